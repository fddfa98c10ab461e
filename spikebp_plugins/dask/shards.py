"""Learning in shards on a Dask cluster, in rounds after which their mean goes on.

In a round each shard learns its samples, one after the other, from the weights that all have in
common. What a round sends are these weights, once to each worker, and the sums of what the shards
have made of them. Samples are sent if Dask wants a shard to learn elsewhere than where its
partition is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import dask
from dask.delayed import delayed
from distributed import Client, default_client

from spikebp_plugins.common.archive import PathLike, file_target
from spikebp_plugins.common.errors import boolean, integer, wrong_argument
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.dask.learners import Found, Learner, learner_of
from spikebp_plugins.dask.merging import (
    Learned,
    mean_of,
    next_start,
    whole_weights,
    with_weights,
)
from spikebp_plugins.dask.partitions import (
    ADDED_AT_ONCE,
    PartitionedRows,
    Partitions,
    features_of,
    groups,
    sum_of,
    taken,
    targets_of,
)
from spikebp_plugins.dask.plan import Part, Plan
from spikebp_plugins.dask.round_file import Position, read_round, write_round
from spikebp_plugins.network.checkpoint import MOST_SUMMED

#: Dask warns of tasks with more bytes; weights are sent as they are.
WARNING: Final = "distributed.admin.large-graph-warning-threshold"


def fit_shards(
    model_or_net: Any,
    X: Any,
    y: Any,
    *,
    n_shards: int = 4,
    samples_per_round: int = 500,
    epochs: int = 1,
    client: Client | None = None,
    save: PathLike | None = None,
    resume: bool = False,
) -> Any:
    """Learn from samples of a Dask cluster, in shards.

    In each round every shard learns up to `samples_per_round` samples, all from the same weights;
    the mean of the shards goes on, with a momentum that follows their number (see
    `spikebp_plugins.dask.merging`). The result depends on the samples, on how they are partitioned,
    and on the arguments, but not on the workers: it has the same integers on any number of them,
    and after some were lost.

    Parameters
    ----------
    model_or_net : SpikingMLPClassifier, SpikingMLPRegressor, Checkpoint or Definition
        What learns. It stays as it is. An estimator begins anew, unless it has ``warm_start=True``
        and has learned before.
    X : dask.array.Array or dask.dataframe.DataFrame
        Features of shape (n_samples, n_features), whose blocks may be sparse matrices of SciPy; for
        a network what `Simulator.train` takes.
    y : dask.array.Array, dask.dataframe.Series or dask.dataframe.DataFrame
        Labels or targets, in as many partitions as `X`. An array is divided as `X` is.
    n_shards : int, default=4
        The parts of an epoch that are learned at the same time, up to 512; more than there are
        workers take turns.
    samples_per_round : int, default=500
        The most samples that a shard learns before the mean is taken.
    epochs : int, default=1
        How often all samples are learned, in place of `max_iter`. None is kept out.
    client : distributed.Client or None, default=None
        The client of the cluster; None for the one that was made last.
    save : str, path-like or None, default=None
        The file that is written before the first round and after each, and replaced if it exists.
        ``load`` of the estimator and `Checkpoint.load` read it, too.
    resume : bool, default=False
        Whether to go on from `save` where another call ended, which had the same arguments; only
        `epochs` may be more.

    Returns
    -------
    estimator or Checkpoint
        An estimator of the same class, or the checkpoint of a network. It goes on anywhere.

    Raises
    ------
    ValueError
        If an argument is not allowed, or a partition; nothing has been learned then.
    OverflowError
        If a value leaves the range of the arithmetic. `save` has what was learned until then.
    """
    n_shards = integer("n_shards", n_shards, 1, MOST_SUMMED)
    samples_per_round = integer("samples_per_round", samples_per_round, 1)
    epochs, resume = integer("epochs", epochs, 1), boolean("resume", resume)
    if save is not None:
        file_target(save, "save")
    elif resume:
        raise wrong_argument("save", "the file to go on from, to resume", "None")
    learner, partitions = learner_of(model_or_net), Partitions.of(X, y)
    cluster = Cluster(_connected(client), partitions)
    found = cluster.checked(learner)
    lengths = tuple(part.n_samples for part in found)
    if sum(lengths) < n_shards:
        raise wrong_argument("n_shards", f"at most {sum(lengths)}, the samples", n_shards)
    if resume and save is not None:
        learner = learner.loaded(save)
    else:
        blocks = ((partitions.X, features_of), (partitions.y, targets_of))
        rows = (PartitionedRows(cluster.client, of, lengths, how) for of, how in blocks)
        learner.prepare(found, *rows)
    plan = Plan(lengths, n_shards, samples_per_round, learner.seed)
    before = learner.epochs_before(plan.n_samples)
    position = Position(before, before, 0, 0.0, 0, whole_weights(learner.checkpoint))
    if save is not None:
        if resume:
            position = read_round(save, plan, learner.checkpoint)
        write_round(save, plan, position, learner)
    ends = position.first + epochs
    rounds = (ends - position.epoch) * plan.n_rounds - position.round
    with progress_bar(rounds, "training", "rounds") as bar:
        while position.epoch < ends:
            learner, position = cluster.round(learner, plan, position)
            if save is not None:
                write_round(save, plan, position, learner)
            bar.update()
    return learner.result


class Cluster:
    """The workers of a client, and the partitions that they learn from.

    Parameters
    ----------
    client : Client
        The client.
    partitions : Partitions
        The samples.
    """

    def __init__(self, client: Any, partitions: Partitions) -> None:
        self.client, self._partitions = client, partitions
        self._held: dict[int, list[Any]] = {}
        self._run = uuid.uuid4().hex

    def checked(self, learner: Learner) -> list[Found]:
        """Return what a learner finds in each partition."""
        sent = delayed(learner, traverse=False)
        pairs = zip(*self._partitions, strict=True)
        tasks = [delayed(_checked)(sent, i, *pair) for i, pair in enumerate(pairs)]
        with _large_graphs():
            found = [future.result() for future in self.client.compute(tasks)]
        if not any(part.n_samples for part in found):
            raise wrong_argument("X", "of one sample at least", "none")
        return found

    def round(self, learner: Learner, plan: Plan, position: Position) -> tuple[Learner, Position]:
        """Return the learner after a round, and where it is then."""
        if position.round == 0:
            learner.begin_epoch()
        mean, epoch, i = learner.checkpoint, position.epoch, position.round
        learner.go_on(
            with_weights(mean, next_start(mean, position.before, plan.n_shards)), learner.labels
        )
        shards = plan.round(epoch, i)
        merged = self._learned(learner, shards, (epoch, i))
        learner = merged.last
        n_learned = sum(len(part.rows) for parts in shards for part in parts)
        seen = mean.state.samples_seen + n_learned
        state = learner.checkpoint.state._replace(samples_seen=seen)
        learner.go_on(replace(learner.checkpoint, state=state), merged.labels)
        loss, spikes = position.loss + merged.loss, position.spikes + merged.spikes
        position = position._replace(
            round=i + 1, loss=loss, spikes=spikes, before=whole_weights(mean)
        )
        if position.round == plan.n_rounds:
            learner.end_epoch(loss / plan.n_samples, spikes / plan.n_samples)
            position = position._replace(epoch=epoch + 1, round=0, loss=0.0, spikes=0)
        return learner, position

    def _learned(
        self, learner: Learner, shards: list[list[Part]], place: tuple[int, int]
    ) -> Learned:
        """Return what the shards have learned, merged."""
        with _large_graphs():
            # The scheduler keeps what it has been sent: it can be sent again to other workers.
            sent = self._submit("send", place, 0, _as_it_is, learner)
        blocks = self._blocks({part.partition for parts in shards for part in parts})
        learned = [
            self._submit(
                "learn",
                place,
                s,
                _learned,
                sent,
                [blocks[part.partition] for part in parts],
                [part.rows for part in parts],
                s == len(shards) - 1,
            )
            for s, parts in enumerate(shards)
        ]
        sums, depth = learned, 0
        while len(sums) > ADDED_AT_ONCE:
            depth += 1
            sums = [
                self._submit(f"add{depth}", place, g, sum_of, group, Learned.added)
                for g, group in enumerate(groups(sums))
            ]
        merged: Learned = self._submit("mean", place, 0, _mean, sums, len(shards)).result()
        return merged

    def _blocks(self, wanted: set[int]) -> dict[int, list[Any]]:
        """Return the features and targets of partitions on the cluster, and forget others."""
        self._held = {
            i: self._held.get(i) or self.client.compute([of[i] for of in self._partitions])
            for i in sorted(wanted)
        }
        return self._held

    def _submit(self, name: str, place: tuple[int, int], i: int, task: Any, *arguments: Any) -> Any:
        """Start a task that the dashboard shows by its name."""
        key = (f"{name}-{self._run}", *place, i)
        return self.client.submit(task, *arguments, key=key, pure=False)


def _connected(client: Any) -> Any:
    """Return the client of a cluster."""
    last: Callable[[], Any] = default_client  # which has no types
    allowed = "a Client of distributed that is not asynchronous, or None where there is one"
    if client is None:
        try:
            client = last()
        except ValueError:
            raise wrong_argument("client", allowed, "None, and there is none") from None
    if not isinstance(client, Client) or client.asynchronous:
        raise wrong_argument("client", allowed, repr(client))
    return client


@contextmanager
def _large_graphs() -> Iterator[None]:
    with dask.config.set({WARNING: "1 PB"}):
        yield


def _checked(learner: Learner, i: int, X: Any, y: Any) -> Found:
    """Return what is found in a partition."""
    n, n_targets = X.shape[0], y.shape[0]
    if n != n_targets:
        raise wrong_argument("y", f"a target for each of {n} samples of partition {i}", n_targets)
    if not n:
        return Found(0)
    try:
        return learner.checked(X, y)
    except ValueError as error:
        raise ValueError(f"in partition {i}, {error}") from error


def _as_it_is(learner: Learner) -> Learner:
    return learner


def _learned(learner: Learner, blocks: list[Any], rows: list[Any], is_last: bool) -> Learned:
    """Return what a copy of a learner has learned from rows of partitions."""
    learner, loss, spikes = deepcopy(learner), 0.0, 0
    for (X, y), places in zip(blocks, rows, strict=True):
        of_part = learner.learn(taken(X, places), taken(y, places))
        loss, spikes = loss + of_part[0], spikes + of_part[1]
    last = learner if is_last else None
    return Learned(whole_weights(learner.checkpoint), loss, spikes, learner.labels, last)


def _mean(shards: list[Learned], n_shards: int) -> Learned:
    """Return what shards have learned, with their mean in the place of their weights."""
    learned = sum_of(shards, Learned.added)
    mean = with_weights(learned.last.checkpoint, mean_of(learned.weights, n_shards))
    last = deepcopy(learned.last)  # this task may come again, on another worker
    last.go_on(mean, learned.labels)
    return learned._replace(weights=(), last=last)
