"""Interrupts that tests send to their own process."""

import gc
from contextlib import contextmanager


@contextmanager
def interrupts_get_through():
    """Call nothing at collections of garbage: an interrupt that arrives there is lost.

    Hypothesis measures their time, by a function that stays when its tests are over.
    """
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        yield
    finally:
        gc.callbacks.extend(callbacks)
