"""The back end `reference`: the step rules as they are written, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebp_plugins.backends.base import Outcome, Recording, StatefulBackend
from spikebp_plugins.batch import Batch
from spikebp_plugins.definition import SpikingMLP
from spikebp_plugins.reference import SampleRecord, run_sample


class ReferenceBackend(StatefulBackend):
    """The executable specification: slow, and right by inspection."""

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to hand over at a time."""
        return 10

    def _show(self, batch: Batch, record: bool) -> Outcome:
        x = batch.inputs()
        y = None if batch.y is None else batch.targets()
        records = []
        for i in range(len(batch)):
            target = None if y is None else y[i]
            state, shown = run_sample(self.net, self.state, x[i], target, batch.n_steps)
            # One assignment: an interrupt leaves the state of one sample boundary or the next.
            self._so_far = (state, self.operations + shown.operations)
            records.append(shown)
        scores = np.stack([shown.step_scores[-1] for shown in records])
        return Outcome(scores, recording_of(self.net, records) if record else None)


def recording_of(net: SpikingMLP, records: list[SampleRecord]) -> Recording:
    """Return the records of samples, stacked into the arrays of a trace."""
    layers = range(net.n_layers + 1)
    steps = [shown.steps for shown in records]
    spikes = [np.array([[sent.k[l] for sent in sample] for sample in steps]) for l in layers]
    errors: list[Any] | None = None
    if steps[0][0].e is not None:
        errors = [None]
        errors += [
            np.array([[sent.e[l] for sent in s if sent.e] for s in steps]) for l in layers[1:]
        ]
    return Recording(spikes, errors, np.stack([shown.step_scores for shown in records]))
