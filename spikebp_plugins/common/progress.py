"""Progress of long work: a bar on a terminal, nothing in a log."""

from __future__ import annotations

from functools import cache
from threading import RLock
from typing import Any

#: Seconds of work before a bar appears unasked.
DELAY = 2.0


def progress_bar(total: int, doing: str, unit: str = "samples", wanted: bool | None = None) -> Any:
    """Return a context manager with ``update(n)``.

    Parameters
    ----------
    total : int
        How many there are.
    doing : str
        What is done with them, as "training".
    unit : str, default="samples"
        What they are.
    wanted : bool or None, default=None
        True and False decide; None shows a bar on a terminal when the work takes long.
    """
    if total <= 1 and not wanted:
        return NoBar()
    return _bar_class()(
        total=total,
        desc=doing,
        unit=f" {unit}",
        disable=None if wanted is None else not wanted,
        delay=0 if wanted else DELAY,
        leave=bool(wanted),
    )


class NoBar:
    """In place of a bar for a single sample, whose making would take longer than the sample."""

    n = 0

    def update(self, n: int = 1) -> None:
        """Count on."""
        self.n += n

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@cache
def _bar_class() -> Any:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        # tqdm's own lock is one for processes too, and to make it settles the start method of
        # multiprocessing for the whole program, which scripts and Lava want to do themselves.
        _lock = RLock()

    return Bar
