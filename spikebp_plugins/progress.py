"""Progress of long work: a bar on a terminal, nothing in a log."""

from __future__ import annotations

from typing import Any

#: Seconds of work before a bar appears unasked.
DELAY = 2.0


def progress_bar(total: int, training: bool, wanted: bool | None) -> Any:
    """Return a context manager with ``update(n)``.

    Parameters
    ----------
    total : int
        The number of samples.
    training : bool
        Whether they are learned.
    wanted : bool or None
        True and False decide; None shows a bar on a terminal when the work takes long.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc="training" if training else "predicting",
        unit=" samples",
        disable=None if wanted is None else not wanted,
        delay=0 if wanted else DELAY,
        leave=bool(wanted),
    )
