"""The promises that a back end must keep for each case, checked in one run.

Everything is compared with the reference, which is asked for each thing anew: what the back end has
done in several calls, the reference does in one. Its answers are kept, and serve all back ends.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.conformance.case import N_TRAIN, Case
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.simulation.simulator import Simulator
from spikebp_plugins.simulation.trace import Difference, Trace

REFERENCE: Final = "reference"

#: Samples to predict with each number of steps.
PREDICTED: Final = 2
#: Of the training samples the first `RECORDED` are recorded; the back end goes on to `UNRECORDED`
#: without, the reference to `HANDED_OVER`, and the back end learns from the rest.
RECORDED: Final = 4
UNRECORDED: Final = 6
HANDED_OVER: Final = 7


class TracesDifferError(AssertionError):
    """A back end and the reference showed different numbers.

    Attributes
    ----------
    difference : Difference
        Where they first differ; `first` is the back end's value, `second` that of the reference.
    """

    def __init__(self, promise: str, difference: Difference) -> None:
        super().__init__(f"{promise}: {difference} (back end and reference)")
        self.difference = difference


def run_case(backend: str, case: Case) -> None:
    """Compare a back end with the reference; raise AssertionError for a promise that is broken."""
    x, y, _ = case.data()
    n_steps = case.net.n_steps
    work = Operations()

    with Simulator(case.net, backend, case.weights()) as sim:
        trace = sim.train(x[:RECORDED], y[:RECORDED], record=True)
        _assert_equal_traces("training", trace, trained(case, RECORDED).trace)
        _assert_equal_states("training", sim, trained(case, RECORDED).checkpoint)

        for n in (n_steps, n_steps + 5, max(1, n_steps // 2)):
            expected = _predicted(case, n)
            trace = sim.predict(_to_predict(case, n), n_steps=n, record=True)
            _assert_equal_traces(f"prediction in {n} steps", trace, expected.trace)
            work += expected.operations
        _assert_equal_states("prediction changes nothing", sim, trained(case, RECORDED).checkpoint)

        scores = sim.train(x[RECORDED:UNRECORDED], y[RECORDED:UNRECORDED])
        expected = trained(case, UNRECORDED)
        _assert_equal_scores("unrecorded training", scores, expected.trace)
        _assert_equal_states("unrecorded training", sim, expected.checkpoint)
        work += expected.operations
        assert sim.operations == work, f"operations: {sim.operations} and {work} of the reference"
        checkpoint = sim.checkpoint()

    with checkpoint.simulate(REFERENCE) as sim:
        sim.train(x[UNRECORDED:HANDED_OVER], y[UNRECORDED:HANDED_OVER])
        checkpoint = sim.checkpoint()

    with checkpoint.simulate(backend) as sim:
        scores = sim.train(x[HANDED_OVER:], y[HANDED_OVER:])
        expected = trained(case, len(x))
        _assert_equal_scores("handing over and taking over", scores, expected.trace)
        _assert_equal_states("handing over and taking over", sim, expected.checkpoint)
        if case.net.arithmetic == "loihi2":
            _assert_saturation(sim, case)
        elif case.net.input_coding != "spikes" or case.net.spikes != "binary":
            _assert_overflow_is_an_error(sim, case)

    if case.margin is not None:
        _assert_samples_end_early(backend, case, case.margin)


class ReferenceRun(NamedTuple):
    """The trace, the checkpoint and the operations of one call of the reference."""

    trace: Trace
    checkpoint: Checkpoint
    operations: Operations


@cache
def trained(case: Case, n_samples: int) -> ReferenceRun:
    """Return the run of the reference on the first training samples of a case."""
    data = case.data()
    with Simulator(case.net, REFERENCE, case.weights()) as sim:
        trace = sim.train(data.x[:n_samples], data.y[:n_samples], record=True)
        return ReferenceRun(trace, sim.checkpoint(), sim.operations)


@cache
def _predicted(case: Case, n_steps: int) -> ReferenceRun:
    """Return the run of the reference on samples to predict, after the recorded training."""
    with trained(case, RECORDED).checkpoint.simulate(REFERENCE) as sim:
        trace = sim.predict(_to_predict(case, n_steps), n_steps=n_steps, record=True)
        return ReferenceRun(trace, sim.checkpoint(), sim.operations)


def _to_predict(case: Case, n_steps: int) -> NDArray[Any]:
    """Return samples to predict; those whose input changes have as many steps as asked for."""
    x = case.data().x_test[:PREDICTED]
    return x if x.ndim == 2 else np.resize(x, (x.shape[0], n_steps, x.shape[2]))


def _huge(case: Case) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return three samples, the last of which is out of the range of any sum."""
    data, counts = case.data(), case.net.input_coding == "spikes"
    x = data.x[:3].astype(np.int64 if counts else np.float64)
    x[2] = 2**53 if counts else 2.0**60
    return x, data.y[:3]


def _assert_overflow_is_an_error(sim: Simulator, case: Case) -> None:
    x, y = _huge(case)
    seen_before = sim.samples_seen
    try:
        sim.train(x, y)
    except OverflowError as error:
        assert "layer" in str(error), f"overflow: the message names no layer: {error}"
    else:
        raise AssertionError("overflow: no OverflowError for an input of 2**60")
    learned = sim.samples_seen - seen_before
    assert 0 <= learned <= 2, f"overflow: {learned} samples learned when the third is out of range"
    with trained(case, N_TRAIN).checkpoint.simulate(REFERENCE) as reference:
        reference.train(x[:learned], y[:learned])
        promise = "overflow: the state is that of a sample boundary"
        _assert_equal_states(promise, sim, reference.checkpoint())


def _assert_samples_end_early(backend: str, case: Case, margin: float) -> None:
    x, y, _ = case.data()
    with (
        Simulator(case.net, REFERENCE, case.weights()) as reference,
        Simulator(case.net, backend, case.weights()) as sim,
    ):
        shown, expected = (each.train(x, y, margin=margin) for each in (sim, reference))
        for name, found, wanted in zip(shown._fields, shown, expected, strict=True):
            promise = f"training until labels lead: {name}"
            assert np.array_equal(found, wanted), f"{promise} {found} and {wanted} of the reference"
        _assert_equal_states("training until labels lead", sim, reference.checkpoint())


def _assert_saturation(sim: Simulator, case: Case) -> None:
    x, y = _huge(case)
    with trained(case, N_TRAIN).checkpoint.simulate(REFERENCE) as reference:
        expected = reference.train(x, y, record=True)
        _assert_equal_traces("saturation", sim.train(x, y, record=True), expected)


def _assert_equal_traces(promise: str, trace: Trace, expected: Trace) -> None:
    difference = trace.diff(expected)
    if difference is not None:
        raise TracesDifferError(promise, difference)


def _assert_equal_scores(promise: str, scores: NDArray[Any], expected: Trace) -> None:
    last = expected.scores[-len(scores) :]
    assert np.array_equal(scores, last), f"{promise}: scores {scores} and {last} of the reference"


def _assert_equal_states(promise: str, sim: Simulator, expected: Checkpoint) -> None:
    """Assert that a simulator has learned the same as the reference, and say what differs first."""
    one, other = sim.checkpoint().state, expected.state
    seen = one.samples_seen, other.samples_seen
    assert seen[0] == seen[1], f"{promise}: samples_seen {seen[0]} and {seen[1]} of the reference"
    for name in ("weights", "backward_potentials", "feedback"):
        for i, (a, b) in enumerate(zip(getattr(one, name), getattr(other, name), strict=True)):
            if np.any(a != b):
                place = tuple(np.argwhere(a != b)[0].tolist())
                values = f"{a[place].item()} and {b[place].item()} of the reference"
                raise AssertionError(f"{promise}: {name}[{i}] differ at {place}: {values}")
