"""Interrupts that tests send to their own process."""

import gc
from contextlib import contextmanager


@contextmanager
def interrupts_get_through():
    """Let no function run at garbage collections, since it would lose an interrupt.

    Hypothesis times garbage collections with a function that stays after its tests.
    """
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        yield
    finally:
        gc.callbacks.extend(callbacks)
