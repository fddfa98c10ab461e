"""The results of back ends: scores, and recorded spikes and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.delays import delays_of, of_input_steps
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.rules.sample import SampleRecord


class Recording(NamedTuple):
    """Spikes and errors of some samples, as a `Trace` holds them.

    Attributes
    ----------
    spikes : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Of layers 0..L.
    errors : list of ndarray of shape (n_samples, n_steps, n_units), int64, or None
        Of layers 1..L after the gate, with None at index 0; None if no sample had a target.
    step_scores : ndarray of shape (n_samples, n_steps, n_outputs)
        The running scores after each step.
    """

    spikes: list[NDArray[np.int64]]
    errors: list[Any] | None
    step_scores: NDArray[np.float64]


class Outcome(NamedTuple):
    """The result of a back end for a block of samples.

    Attributes
    ----------
    scores : ndarray of shape (n_samples, n_outputs)
        The scores of each sample.
    recording : Recording or None
        Spikes and errors, if they were asked for.
    """

    scores: NDArray[np.float64]
    recording: Recording | None

    def of(self, rows: NDArray[np.bool_]) -> Outcome:
        """Return the outcome of some of the samples."""
        if self.recording is None:
            return Outcome(self.scores[rows], None)
        spikes, errors, step_scores = self.recording
        chosen = Recording(
            spikes=[layer[rows] for layer in spikes],
            errors=errors and [None, *(layer[rows] for layer in errors[1:])],
            step_scores=step_scores[rows],
        )
        return Outcome(self.scores[rows], chosen)


class EarlySamples(NamedTuple):
    """The results of samples that each ended once the output led by a margin.

    Attributes
    ----------
    scores : ndarray of shape (n_samples, n_outputs)
        Summed drive of the output divided by the steps shown.
    n_steps : ndarray of shape (n_samples,), int64
        The steps shown of each sample.
    operations : ndarray of shape (n_samples,), int64
        The synaptic operations of each sample; as Python's integers where 64 bits are too few.
    """

    scores: NDArray[np.float64]
    n_steps: NDArray[np.int64]
    operations: NDArray[Any]


def room_for_early(batch: Batch) -> EarlySamples:
    """Return zeros for the samples of a batch, with operations of any size."""
    n = len(batch)
    return EarlySamples(
        np.zeros((n, batch.net.n_outputs)), np.zeros(n, np.int64), np.zeros(n, object)
    )


def in_64_bits(counts: NDArray[Any]) -> NDArray[Any]:
    """Return Python's integers as int64, or as they are if one is too large."""
    return counts if np.any(counts >= 2**63) else counts.astype(np.int64)


def joined(outcomes: list[Outcome]) -> Outcome:
    """Join the outcomes of consecutive blocks, of which there is at least one."""
    if len(outcomes) == 1:
        return outcomes[0]
    scores = np.concatenate([outcome.scores for outcome in outcomes])
    recordings = [outcome.recording for outcome in outcomes if outcome.recording is not None]
    if not recordings:
        return Outcome(scores, None)

    def layers(parts: list[list[Any]]) -> list[Any]:
        columns = zip(*parts, strict=True)
        return [None if column[0] is None else np.concatenate(column) for column in columns]

    is_taught = any(recording.errors is not None for recording in recordings)
    return Outcome(
        scores,
        Recording(
            spikes=layers([recording.spikes for recording in recordings]),
            errors=layers([_errors_of(each) for each in recordings]) if is_taught else None,
            step_scores=np.concatenate([recording.step_scores for recording in recordings]),
        ),
    )


def _errors_of(recording: Recording) -> list[Any]:
    """Return the errors of samples: zeros of those without a target, among others that have one."""
    return recording.errors or [None, *map(np.zeros_like, recording.spikes[1:])]


def recording_of(net: Definition, records: list[SampleRecord]) -> Recording:
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


def recording_from(
    batch: Batch,
    spikes: Sequence[NDArray[np.int64]],
    errors: Sequence[NDArray[np.int64]],
    drives: NDArray[np.float64],
) -> Recording:
    """Return the recording of a trace from arrays of shape (n_samples, duration, n_units).

    Parameters
    ----------
    batch : Batch
        The samples.
    spikes, errors : sequence of ndarray
        Of layers 0..L, and of layers 1..L.
    drives : ndarray
        The summed drive of the output.
    """
    delays, n_steps = delays_of(batch.net), batch.n_steps

    def by_input_step(records: Sequence[Any], delays: Sequence[int]) -> list[NDArray[Any]]:
        return [of_input_steps(*each, n_steps) for each in zip(records, delays, strict=True)]

    (drive,) = by_input_step([drives], delays.spikes[-1:])
    return Recording(
        spikes=by_input_step(spikes, delays.spikes),
        errors=None if batch.y is None else [None, *by_input_step(errors, delays.errors[1:])],
        step_scores=drive / np.arange(1, n_steps + 1)[:, np.newaxis],
    )
