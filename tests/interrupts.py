"""Interrupts that tests send to their own process."""

import gc
import math
import sys
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


@contextmanager
def interrupted_in_python(after, files, before_that=None, counts=lambda: True):
    """Raise KeyboardInterrupt once, when `after` operations of Python in `files` are over.

    From Python 3.12 on, the operations of a function are reported from its second call on under the
    same trace. The first may come in `before_that`, a function whose operations do not count.
    Others do not either as long as `counts` returns False.
    """
    left = math.inf

    def enter(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    def count(frame, event, argument):
        nonlocal left
        if event == "opcode" and counts():
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return count

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        if before_that is not None:
            before_that()
            sys.settrace(enter)  # 3.12 reports operations to those who come after that call
        left = after
        yield
    finally:
        sys.settrace(before)
