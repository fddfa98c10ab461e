"""Learning from new samples and from a replay buffer, in one block of samples."""

from __future__ import annotations

from typing import Any

from spikebp_plugins.backends.base import Backend
from spikebp_plugins.backends.outcome import Outcome
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.replay import Mixture, ReplayBuffer
from spikebp_plugins.network.samples import Batch


def check_replay(replay: Any) -> None:
    """Refuse what is no replay buffer."""
    if not (replay is None or isinstance(replay, ReplayBuffer)):
        raise wrong_argument("replay", "a ReplayBuffer or None", repr(replay))


class Replaying:
    """A back end that learns from a replay buffer besides.

    A back end need not know of it: it learns from a mixture as from any block of samples.

    Parameters
    ----------
    engine : Backend
        The back end.
    replay : ReplayBuffer
        The buffer.
    """

    def __init__(self, engine: Backend, replay: ReplayBuffer) -> None:
        self._engine, self._replay = engine, replay

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Learn from new samples and from those drawn after each; the outcome is of the new ones."""
        engine, replay = self._engine, self._replay
        mixture = replay.mix_batch(batch)
        report, before = engine.report, engine.samples_seen

        def report_new(shown: int) -> None:
            report(mixture.n_new(shown))

        engine.report = report_new
        try:
            with replay.learning(mixture, lambda: engine.samples_seen - before):
                outcome = engine.train(_batch(batch, mixture), record)
        finally:
            engine.report = report
        return outcome.of(mixture.is_new)


def _batch(batch: Batch, mixture: Mixture) -> Batch:
    return Batch(batch.net, mixture.x, mixture.y, batch.n_steps)
