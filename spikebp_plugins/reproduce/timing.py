"""Timing networks that take turns, so that what slows the machine down slows all of them."""

from __future__ import annotations

import random
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

    Each block has an order of its own, or the same competitor would always find in the processor's
    caches what another has left there.

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
    drawn = random.Random(0)
    for start in range(0, n_samples, block):
        part = slice(start, min(start + block, n_samples))
        for name in drawn.sample(list(competitors), len(competitors)):
            begin = time.perf_counter()
            call(name, competitors[name], part)
            times[name].append((time.perf_counter() - begin) / (part.stop - part.start))
    return times
