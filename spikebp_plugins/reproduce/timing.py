"""Timing networks that take turns, so that what slows the machine down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Name = TypeVar("Name")
Competitor = TypeVar("Competitor")


def alternate(
    competitors: Mapping[Name, Competitor],
    call: Callable[[Name, Competitor, slice], object],
    n_samples: int,
    block: int,
) -> dict[Name, list[float]]:
    """Time calls on blocks of samples, competitors taking turns.

    Parameters
    ----------
    competitors : mapping
        The competitors, by name.
    call : callable
        Takes a name, its competitor and the part of the samples to go through.
    n_samples : int
        The number of samples.
    block : int
        Samples in a part.

    Returns
    -------
    dict of lists of float
        The seconds per sample of each block, for each competitor.
    """
    times: dict[Name, list[float]] = {name: [] for name in competitors}
    for start in range(0, n_samples, block):
        part = slice(start, min(start + block, n_samples))
        for name, competitor in competitors.items():
            begin = time.perf_counter()
            call(name, competitor, part)
            times[name].append((time.perf_counter() - begin) / (part.stop - part.start))
    return times
