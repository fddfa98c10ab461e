"""The file that a run in shards writes after each round.

It is the file of the estimator or of the checkpoint, which read it themselves, with two more kinds
of arrays:

===============  ================================================================================
``rounds``       uint8, as UTF-8 JSON: the numbers of the plan, and where the run is
``rounds_...``   the weights of a layer after the round before, from which the momentum follows
===============  ================================================================================
"""

from __future__ import annotations

import json
from functools import partial
from typing import NamedTuple

import numpy as np

from spikebp_plugins.common.archive import PathLike, read_archive, unreadable, write_archive
from spikebp_plugins.dask.learners import Learner
from spikebp_plugins.dask.merging import Integers
from spikebp_plugins.dask.plan import Plan
from spikebp_plugins.network.checkpoint import OF_ROUNDS, Checkpoint
from spikebp_plugins.network.state import narrowed


class Position(NamedTuple):
    """Where a run is.

    Attributes
    ----------
    first : int
        The epoch with which it began.
    epoch, round : int
        The epoch and the round that come next.
    loss, spikes : float, int
        The sums of the losses and of the spikes of the samples of this epoch so far.
    before : tuple of ndarray of int64
        The weights after the round before the last one.
    """

    first: int
    epoch: int
    round: int
    loss: float
    spikes: int
    before: tuple[Integers, ...]


def write_round(path: PathLike, plan: Plan, position: Position, learner: Learner) -> None:
    """Write a learner and where its run is, whole or not at all."""
    *place, before = position
    text = json.dumps({"plan": plan, "place": place}).encode()
    arrays = learner.arrays() | {OF_ROUNDS: np.frombuffer(text, np.uint8)}
    for layer, units in enumerate(before, 1):
        arrays[f"{OF_ROUNDS}_{layer}"] = narrowed(units)
    write_archive(path, arrays)


def read_round(path: PathLike, plan: Plan, checkpoint: Checkpoint) -> Position:
    """Return where the run of a file is.

    Raises
    ------
    ValueError
        If it holds no run, one of another plan, or a damaged one.
    """
    arrays, refuse = read_archive(path, "run"), partial(unreadable, path, "run")
    if OF_ROUNDS not in arrays:
        raise refuse("it holds none of fit_shards")
    try:
        run = json.loads(arrays[OF_ROUNDS].tobytes())
        known = Plan(*run["plan"])._replace(lengths=tuple(run["plan"][0]))
        first, epoch, i, loss, spikes = run["place"]
        shapes = checkpoint.net.weight_shapes
        before = tuple(arrays[f"{OF_ROUNDS}_{layer}"] for layer, _ in enumerate(shapes, 1))
        if [units.shape for units in before] != list(shapes):
            raise ValueError("its weights have other shapes")
        position = Position(
            int(first),
            int(epoch),
            int(i),
            float(loss),
            int(spikes),
            tuple(units.astype(np.int64) for units in before),
        )
    except Exception as error:  # a damaged text can raise almost any type of error
        raise refuse(error) from error
    if known != plan:
        changes = (
            f"{name} is {there} there and {here} here"
            for name, there, here in zip(plan._fields, known, plan, strict=True)
            if there != here
        )
        raise ValueError(f"{path} is a run of another plan: {', '.join(changes)}")
    return position
