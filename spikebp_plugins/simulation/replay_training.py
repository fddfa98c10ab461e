"""Training on new samples, each followed by some of a replay buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend
from spikebp_plugins.backends.outcome import Outcome
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.events import EventSteps
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.replay import Mixture, ReplayBuffer
from spikebp_plugins.network.samples import Batch, check_batch, real_targets
from spikebp_plugins.network.sparse_rows import RowsApart, SparseRows

Array = NDArray[Any]

Learned = TypeVar("Learned")


def check_replay(replay: Any) -> None:
    """Raise an error unless `replay` is a replay buffer or None."""
    if not (replay is None or isinstance(replay, ReplayBuffer)):
        raise wrong_argument("replay", "a ReplayBuffer or None", repr(replay))


def blocks_of(engine: Backend, batch: Batch, replay: ReplayBuffer | None) -> Iterator[Batch]:
    """Yield samples in the blocks in which `show_block` shows them on a back end."""
    size = engine.block_size(batch.n_steps)
    if replay is not None:
        size = max(1, size // (1 + replay.n_replayed))
    for block in batch.blocks(size):
        if replay is None and engine.takes_unlabeled:
            yield block
        else:
            yield from block.taught_apart()


def show_block(
    engine: Backend, batch: Batch, record: bool, replay: ReplayBuffer | None = None
) -> Outcome:
    """Show samples, and learn from those that have a target and some of a buffer after each."""
    if replay is None or batch.y is None:
        return engine.show(batch, record)
    return _train_with(engine, replay, batch, record)


def _train_with(engine: Backend, replay: ReplayBuffer, batch: Batch, record: bool) -> Outcome:
    """Learn from new samples and those drawn after each; the outcome is of the new ones."""
    with _learning(engine, replay, batch) as mixture:
        mixed = Batch(batch.net, mixture.x, mixture.y, batch.n_steps)
        outcome = engine.train(mixed, record)
    return outcome.of(mixture.is_new)


def followed_by_others(
    learn: Callable[[], Learned], engine: Backend, replay: ReplayBuffer, batch: Batch
) -> Learned:
    """Learn from one sample by a function, and then from those that are drawn for it.

    Parameters
    ----------
    learn : callable
        Learns from the sample on the back end.
    engine : Backend
        The back end.
    replay : ReplayBuffer
        The buffer.
    batch : Batch
        The sample as a block, as it is to be learned again.

    Returns
    -------
    object
        The result of `learn`.
    """
    with _learning(engine, replay, batch) as mixture:
        learned = learn()
        if len(mixture.x) > 1:
            others = Batch(batch.net, mixture.x[1:], mixture.y[1:], batch.n_steps)
            engine.train(others, False)
    return learned


def _learning(
    engine: Backend, replay: ReplayBuffer, batch: Batch
) -> AbstractContextManager[Mixture]:
    return replay.learning(batch.x, batch.y, lambda: engine.samples_seen, batch.net)


class StreamedSample:
    """The open sample of a stream, as `Simulator.train` would learn it.

    That is its input in the first steps, as many as the definition has, silence where it had fewer,
    and its last target.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self.net = net
        #: The input of each step, None for silence.
        self._rows: list[Array | RowsApart | None] = []
        self._target: Array | None = None

    def note(self, x: Array | SparseRows | None, y: Array | None, n_steps: int) -> None:
        """Record an input that is shown for some steps, and its target."""
        n_kept = min(n_steps, self.net.n_steps - len(self._rows))
        row = x.apart() if isinstance(x, SparseRows) else None if x is None else x.copy()
        self._rows += [row] * n_kept
        if y is not None:
            self._target = y

    def note_events(self, given: EventSteps, y: Array | None) -> None:
        """Record steps of events, and their target."""
        shown, silence = 0, SparseRows.none(self.net.n_inputs)
        for step, unit, number in given.counted():
            self.note(silence, y, step - shown)
            self.note(SparseRows.one(unit, number, self.net.n_inputs), y, 1)
            shown = step + 1
        self.note(silence, y, given.n_steps - shown)

    def batch(self) -> Batch:
        """Return the recorded sample, which has had a target, as a block of one."""
        net, target = self.net, self._target
        assert target is not None
        return check_batch(net, self._input(), targets_of_all(net, target, 1))

    def _input(self) -> Array | SparseRows:
        """Return the input of the sample, once if it is the same in all steps.

        It is a list if lists have been shown, and nothing else but silence.
        """
        net, is_of_values = self.net, self.net.input_coding == "values"
        shown = [row for row in self._rows if row is not None]
        rows = self._rows + [None] * (net.n_steps - len(self._rows))
        dtype = np.result_type(*(row.dtype for row in shown)) if shown else np.dtype(np.uint8)
        if shown and not any(isinstance(row, np.ndarray) for row in shown):
            silence = SparseRows.none(net.n_inputs).apart()
            known = [row if isinstance(row, RowsApart) else silence for row in rows]
            lists = [row.joined().apart(dtype=dtype) for row in known]
            if is_of_values and all(map(lists[0].equals, lists)):
                return lists[0].joined()
            all_lists = np.concatenate([each.lists for each in lists])
            return RowsApart(all_lists, net.n_inputs, dtype).joined().by_sample(net.n_steps)
        x: Array = np.zeros((1, net.n_steps, net.n_inputs), dtype)
        for to, row in zip(x[0], rows, strict=True):
            if row is not None:
                to[:] = row.joined().dense()[0] if isinstance(row, RowsApart) else row
        return x[:, 0] if is_of_values and (x == x[:, :1]).all() else x


def targets_of_all(net: Definition, target: Array, n_samples: int) -> Array:
    """Return one target for all samples: a label for each if one asks for it, or else rows."""
    of_labels = real_targets(net, np.arange(net.n_outputs))
    labels = np.flatnonzero((of_labels == target).all(axis=1))
    return np.repeat(labels if len(labels) == 1 else target[np.newaxis], n_samples, axis=0)
