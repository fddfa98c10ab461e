"""The checks: what is asked of a back end for each case. A failed check raises AssertionError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from spikebp_plugins.backends.registry import alone
from spikebp_plugins.conformance.case import N_TRAIN, Case
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.simulation.simulator import Simulator
from spikebp_plugins.simulation.trace import Difference, Trace, compare

REFERENCE: Final = "reference"


class TracesDifferError(AssertionError):
    """A back end and the reference showed different numbers.

    Attributes
    ----------
    difference : Difference
        Where they first differ; `first` is the back end's value, `second` that of the reference.
    """

    def __init__(self, difference: Difference) -> None:
        super().__init__(f"back end and reference: {difference}")
        self.difference = difference


def training_equals_reference(backend: str, case: Case) -> None:
    """Every spike, error, score and weight of training is that of the reference."""
    _assert_equal_traces(_train(backend, case), _train(REFERENCE, case))


def prediction_equals_reference(backend: str, case: Case) -> None:
    """Every spike and score of prediction is that of the reference, and nothing is learned."""
    with _trained(backend, case) as sim, _trained(REFERENCE, case) as expected:
        before = sim.checkpoint()
        x_test, T = case.data().x_test, case.net.n_steps
        for n_steps in (T, T + 5, max(1, T // 2)):
            n, *steps, n_inputs = x_test.shape
            x = np.resize(x_test, (n, n_steps, n_inputs)) if steps else x_test
            shown = [s.predict(x, n_steps=n_steps, record=True) for s in (sim, expected)]
            _assert_equal_traces(*shown)
        _assert_equal_states(sim.checkpoint(), before, "prediction changed the state")


def recording_changes_nothing(backend: str, case: Case) -> None:
    """Scores and weights do not depend on whether spikes are recorded."""
    data = case.data()
    trace = _train(backend, case)
    with _simulator(backend, case) as sim:
        scores = sim.train(data.x, data.y)
        assert np.array_equal(scores, trace.scores), "scores depend on record="
        for matrix, recorded in zip(sim.weights, trace.weights, strict=True):
            assert np.array_equal(matrix, recorded), "weights depend on record="


def calls_can_be_split(backend: str, case: Case) -> None:
    """Samples may come in one call or in several, with predictions in between."""
    data = case.data()
    with _trained(backend, case) as whole, _simulator(backend, case) as parts:
        parts.train(data.x[:1], data.y[:1])
        parts.predict(data.x_test)
        parts.train(data.x[1:], data.y[1:])
        _assert_equal_states(parts.checkpoint(), whole.checkpoint(), "splitting a call matters")


def checkpoints_are_handed_on(backend: str, case: Case) -> None:
    """Training goes on exactly from a checkpoint of the reference, and the other way round."""
    data, half = case.data(), N_TRAIN // 2
    ends = []
    for first, second in ((backend, REFERENCE), (REFERENCE, backend), (REFERENCE, REFERENCE)):
        with _simulator(first, case) as sim:
            sim.train(data.x[:half], data.y[:half])
            checkpoint = sim.checkpoint()
        with checkpoint.simulate(alone(second)) as sim:
            sim.train(data.x[half:], data.y[half:])
            ends.append(sim.checkpoint())
    for end in ends[:-1]:
        _assert_equal_states(end, ends[-1], "a checkpoint did not go on exactly")


def operations_equal_reference(backend: str, case: Case) -> None:
    """Spikes and synaptic operations are counted as the reference counts them."""
    with _trained(backend, case) as sim, _trained(REFERENCE, case) as expected:
        for s in (sim, expected):
            s.predict(case.data().x_test)
        counted = sim.operations, expected.operations
    assert counted[0] == counted[1], f"operations differ: {counted[0]} and {counted[1]}"


def overflow_is_an_error(backend: str, case: Case) -> None:
    """A value that leaves the range is an OverflowError that names the layer; nothing wraps."""
    data = case.data()
    if case.net.input_coding == "spikes" and case.net.spikes == "binary":
        return  # input counts are at most 1: no input is large enough for an overflow
    x = data.x.astype(np.int64 if case.net.input_coding == "spikes" else np.float64)
    x[N_TRAIN // 2] = 2**53 if case.net.input_coding == "spikes" else 2.0**60
    if case.net.arithmetic == "loihi2":  # its values saturate instead
        _assert_equal_traces(*(_train(name, case, x) for name in (backend, REFERENCE)))
        return
    with _simulator(backend, case) as sim:
        try:
            sim.train(x, data.y)
        except OverflowError as error:
            assert "layer" in str(error), f"the message names no layer: {error}"
        else:
            raise AssertionError("no OverflowError for an input of 2**60")
        seen = sim.samples_seen
        assert seen <= N_TRAIN // 2, f"{seen} samples seen after an overflow in the fifth"
        expected = _simulator(REFERENCE, case)
        expected.train(data.x[:seen], data.y[:seen])
        _assert_equal_states(
            sim.checkpoint(), expected.checkpoint(), "the state is that of no sample boundary"
        )


CHECKS: Final[tuple[Callable[[str, Case], None], ...]] = (
    training_equals_reference,
    prediction_equals_reference,
    recording_changes_nothing,
    calls_can_be_split,
    checkpoints_are_handed_on,
    operations_equal_reference,
    overflow_is_an_error,
)


def _simulator(backend: str, case: Case) -> Simulator:
    return Simulator(case.net, alone(backend), case.weights())


def _trained(backend: str, case: Case) -> Simulator:
    data = case.data()
    sim = _simulator(backend, case)
    sim.train(data.x, data.y)
    return sim


def _train(backend: str, case: Case, x: Any = None) -> Trace:
    data = case.data()
    with _simulator(backend, case) as sim:
        trace: Trace = sim.train(data.x if x is None else x, data.y, record=True)
        return trace


def _assert_equal_traces(trace: Trace, expected: Trace) -> None:
    difference = compare(trace, expected)
    if difference is not None:
        raise TracesDifferError(difference)


def _assert_equal_states(one: Checkpoint, other: Checkpoint, message: str) -> None:
    assert one.state.samples_seen == other.state.samples_seen, message
    for name in ("weights", "backward_potentials", "feedback"):
        for a, b in zip(getattr(one.state, name), getattr(other.state, name), strict=True):
            assert np.array_equal(a, b), f"{message} ({name.replace('_', ' ')})"
