"""Progress of long work: a bar on a terminal, nothing in a log."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from threading import RLock
from typing import Any

#: Seconds of work before a bar appears by default.
DELAY = 2.0


def progress_bar(total: int, doing: str, unit: str = "samples", wanted: bool | None = None) -> Any:
    """Return a progress bar, a context manager whose ``update(n)`` counts n more items.

    Parameters
    ----------
    total : int
        Number of items.
    doing : str
        The activity, for example "training".
    unit : str, default="samples"
        The name of an item.
    wanted : bool or None, default=None
        Whether to show the bar; None shows it on a terminal when the work takes long.
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


class NoBar(AbstractContextManager["NoBar"]):
    """Replaces the bar for a single item: making a bar would take longer than the item."""

    n = 0

    def update(self, n: int = 1) -> None:
        """Count n more items."""
        self.n += n

    def __exit__(self, *error: object) -> None:
        pass


@cache
def _bar_class() -> Any:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        # tqdm's own lock works across processes too. To make it fixes the start method of
        # multiprocessing for the whole program, which scripts and Lava want to choose themselves.
        _lock = RLock()

    return Bar
