"""Interrupts that tests send to their own process."""

import gc
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
def interrupted_in_python(after, files):
    """Raise KeyboardInterrupt once, when `after` operations of Python in `files` are over."""
    left = after

    def enter(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    def count(frame, event, argument):
        nonlocal left
        if event == "opcode":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return count

    # Python 3.12 reports operations only where some frame had asked for them before `settrace`.
    sys._getframe().f_trace_opcodes = True
    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)
