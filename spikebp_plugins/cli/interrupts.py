"""What Ctrl-C and SIGTERM must not end half-way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM within the ``with`` block, which saves what was learned."""
    endings = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(ends, signal.SIG_IGN) for ends in endings]
    try:
        yield
    finally:
        for ends, handler in zip(endings, previous, strict=True):
            signal.signal(ends, handler)
