"""Traces: kept in files, and compared up to their first difference."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spikebp_plugins import Trace
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.simulation.trace import Difference
from tests.core.small_nets import (
    arrays_in,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
)

NET = small_net()
L = NET.n_layers


def shown(training):
    sim = lively_simulator(NET)
    x, y = samples(NET, 6)
    return sim.train(x, y, record=True) if training else sim.predict(x, record=True)


def copied(trace):
    return Trace(
        spikes=[counts.copy() for counts in trace.spikes],
        errors=trace.errors and [None, *(counts.copy() for counts in trace.errors[1:])],
        step_scores=trace.step_scores.copy(),
        scores=trace.scores.copy(),
        weights=[matrix.copy() for matrix in trace.weights],
    )


def array_of(trace, quantity, layer):
    if quantity == "weights":
        return trace.weights[layer - 1]
    values = getattr(trace, quantity)
    return values if quantity in ("step_scores", "scores") else values[layer]


def changed(trace, *places):
    """Return a trace with 1 added at each (quantity, layer, index)."""
    other = copied(trace)
    for quantity, layer, index in places:
        array_of(other, quantity, layer)[index] += 1
    return other


@pytest.fixture(scope="module")
def trace():
    return shown(training=True)


@pytest.fixture(scope="module")
def prediction():
    return shown(training=False)


def assert_same_trace(a, b):
    assert_all_equal(a.spikes, b.spikes)
    assert (a.errors is None) == (b.errors is None)
    if a.errors is not None:
        assert a.errors[0] is b.errors[0] is None
        assert_all_equal(a.errors[1:], b.errors[1:])
    assert_all_equal([a.step_scores, a.scores], [b.step_scores, b.scores])
    assert_all_equal(a.weights, b.weights)


def test_a_trace_has_the_documented_shapes(trace):
    sizes = NET.layer_sizes
    assert [counts.shape for counts in trace.spikes] == [(6, 4, size) for size in sizes]
    assert trace.errors[0] is None
    assert [counts.shape for counts in trace.errors[1:]] == [(6, 4, size) for size in sizes[1:]]
    assert {counts.dtype for counts in trace.spikes + trace.errors[1:]} == {np.dtype(np.int64)}
    assert (trace.step_scores.shape, trace.scores.shape) == ((6, 4, 2), (6, 2))
    assert [matrix.shape for matrix in trace.weights] == list(NET.weight_shapes)
    assert {trace.step_scores.dtype, trace.scores.dtype, trace.weights[0].dtype} == {np.dtype("f8")}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("sizes", "n"), [(NET.layer_sizes, 6), ((3, 2), 2), ((3, 2), 0)])
def test_a_trace_is_read_as_it_was_saved(tmp_path, sizes, n, training):
    net = small_net(sizes)
    sim, (x, y) = lively_simulator(net), samples(net, n)
    trace = sim.train(x, y, record=True) if training else sim.predict(x, record=True)
    assert (trace.errors is None) == (not training)
    for path in (tmp_path / "trace.npz", str(tmp_path / "trace")):
        trace.save(path)
        assert_same_trace(Trace.load(path), trace)
    assert trace.diff(Trace.load(path)) is None


def test_equal_traces_are_equal_bytes(trace, tmp_path):
    trace.save(tmp_path / "first")
    copied(trace).save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_traces_are_equal_in_every_number_or_not(trace, prediction):
    changed = trace.weights[-1].copy()
    changed[0, 0] += 2.0**-40
    assert trace == replace(trace, weights=[*trace.weights[:-1], trace.weights[-1].copy()])
    assert trace != replace(trace, weights=[*trace.weights[:-1], changed])
    assert trace != prediction
    assert trace != 1


def test_a_trace_is_printed_in_a_line(trace):
    assert re.fullmatch(r"<Trace of [\d-]+: \d+ samples, \d+ steps>", repr(trace))


def test_equal_traces_have_no_difference(trace, prediction):
    assert trace.diff(copied(trace)) is None
    assert prediction.diff(copied(prediction)) is None
    assert shown(training=True).diff(trace) is None


@pytest.mark.parametrize(
    ("quantity", "layer", "index"),
    [
        ("spikes", 0, (0, 0, 0)),
        ("spikes", 1, (2, 3, 4)),
        ("spikes", L, (5, 3, 1)),
        ("errors", 1, (0, 0, 0)),
        ("errors", 2, (4, 1, 3)),
        ("errors", L, (5, 3, 1)),
        ("step_scores", L, (0, 0, 0)),
        ("step_scores", L, (3, 2, 1)),
    ],
)
def test_a_difference_in_time_is_found_where_it_is(trace, quantity, layer, index):
    other = changed(trace, (quantity, layer, index))
    sample, step, unit = index
    value = array_of(trace, quantity, layer)[index].item()
    place = (quantity, sample, step, layer, unit)
    assert trace.diff(other) == Difference(*place, value, value + 1)
    assert other.diff(trace) == Difference(*place, value + 1, value)


def test_a_difference_without_a_step_is_found_where_it_is(trace, prediction):
    for index in ((0, 0), (3, 1), (5, 1)):
        value = prediction.scores[index]
        expected = Difference("scores", index[0], None, L, index[1], value, value + 1)
        assert prediction.diff(changed(prediction, ("scores", L, index))) == expected
    for layer, index in ((1, (0, 0)), (1, (2, 4)), (2, (3, 1)), (3, (3, 1))):
        value = trace.weights[layer - 1][index]
        expected = Difference("weights", None, None, layer, index, value, value + 1)
        assert trace.diff(changed(trace, ("weights", layer, index))) == expected


def test_the_values_of_a_difference_are_plain_numbers(trace):
    found = trace.diff(changed(trace, ("spikes", 1, (2, 3, 4))))
    assert [type(value) for value in found[1:]] == [int] * 6
    found = trace.diff(changed(trace, ("weights", 1, (2, 4))))
    assert [type(value) for value in found[3:]] == [int, tuple, float, float]
    assert [type(unit) for unit in found.unit] == [int, int]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # An earlier sample comes first, whatever the quantity, the step and the layer.
        (("step_scores", L, (1, 3, 1)), ("spikes", 0, (2, 0, 0))),
        (("errors", 1, (1, 3, 4)), ("errors", L, (2, 0, 0))),
        # Then an earlier step.
        (("step_scores", L, (1, 1, 1)), ("spikes", 0, (1, 2, 0))),
        (("errors", 1, (1, 1, 4)), ("spikes", 0, (1, 2, 0))),
        (("spikes", L, (1, 1, 1)), ("spikes", 0, (1, 2, 0))),
        # Within a step the spikes from the input up, then the errors from the output down.
        (("spikes", 0, (1, 1, 2)), ("spikes", 1, (1, 1, 0))),
        (("spikes", 2, (1, 1, 3)), ("spikes", L, (1, 1, 0))),
        (("spikes", L, (1, 1, 1)), ("errors", L, (1, 1, 0))),
        (("errors", L, (1, 1, 1)), ("errors", 2, (1, 1, 0))),
        (("errors", 2, (1, 1, 3)), ("errors", 1, (1, 1, 0))),
        (("errors", 1, (1, 1, 4)), ("step_scores", L, (1, 1, 0))),
        # Within a layer the lower unit.
        (("spikes", 1, (1, 1, 2)), ("spikes", 1, (1, 1, 3))),
        # What has no step comes after all that has one; weights are the last.
        (("step_scores", L, (5, 3, 1)), ("scores", L, (0, 0))),
        (("scores", L, (0, 1)), ("scores", L, (1, 0))),
        (("scores", L, (5, 1)), ("weights", 1, (0, 0))),
        (("weights", 1, (2, 4)), ("weights", 2, (0, 0))),
    ],
)
def test_the_first_of_two_differences_is_found(trace, first, second):
    expected = trace.diff(changed(trace, first))
    assert trace.diff(changed(trace, first, second)) == expected
    assert trace.diff(changed(trace, second, first)) == expected


def test_a_difference_reads_well():
    assert str(Difference("spikes", 1, 2, 0, 3, 1, -2)) == (
        "spikes differ at sample 1, step 2, layer 0, unit 3: 1 and -2"
    )
    assert str(Difference("scores", 1, None, 2, 0, 0.5, 0.75)) == (
        "scores differ at sample 1, layer 2, unit 0: 0.5 and 0.75"
    )
    assert str(Difference("weights", None, None, 1, (2, 3), 0.5, -0.75)) == (
        "weights differ at layer 1, unit (2, 3): 0.5 and -0.75"
    )


def test_training_and_prediction_cannot_be_compared(trace, prediction):
    message = "both traces must be of training or of prediction; {} has no errors"
    with pytest.raises(ValueError, match=message.format("the other")):
        trace.diff(prediction)
    with pytest.raises(ValueError, match=message.format("this one")):
        prediction.diff(trace)


def cut(array):
    return array[:-1]


@pytest.mark.parametrize(
    ("quantity", "cut_one"),
    [
        ("spikes", lambda t: replace(t, spikes=[cut(k) for k in t.spikes])),
        ("spikes", lambda t: replace(t, spikes=t.spikes[:-1])),
        ("spikes", lambda t: replace(t, spikes=[k[:, :-1] for k in t.spikes])),
        ("errors", lambda t: replace(t, errors=[None, *(e[:, :, 1:] for e in t.errors[1:])])),
        ("step_scores", lambda t: replace(t, step_scores=t.step_scores[:, :-1])),
        ("scores", lambda t: replace(t, scores=cut(t.scores))),
        ("weights", lambda t: replace(t, weights=t.weights[:-1])),
        ("weights", lambda t: replace(t, weights=[w.T for w in t.weights])),
    ],
)
def test_traces_of_other_shapes_cannot_be_compared(trace, quantity, cut_one):
    for a, b in ((trace, cut_one(trace)), (cut_one(trace), trace)):
        with pytest.raises(ValueError, match=f"; {quantity} have shapes"):
            a.diff(b)


def test_a_missing_trace_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"trace\.npz"):
        Trace.load(tmp_path / "trace.npz")


def refusal(path):
    with pytest.raises(ValueError, match="trace") as caught:
        Trace.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_is_no_trace(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(checkpoint_bytes(lively_simulator(NET)))
    assert "is not a readable trace: it holds no spikes" in refusal(path)


def test_a_trace_of_a_newer_format_is_refused(trace, tmp_path):
    path = tmp_path / "trace.npz"
    trace.save(path)
    write_archive(path, arrays_in(path) | {"trace_version": np.array(2)})
    assert "trace format 2, newer than the 1" in refusal(path)


@pytest.mark.parametrize("version", [0, [1, 2], 0.5])
def test_a_trace_version_that_never_was_is_refused(trace, tmp_path, version):
    path = tmp_path / "trace.npz"
    trace.save(path)
    write_archive(path, arrays_in(path) | {"trace_version": np.array(version)})
    refusal(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_2": None}, "it has no 'weights_2'"),
        ({"errors_1": None}, "it has no 'errors_1'"),
        ({"spikes_1": None}, "it has no 'spikes_1'"),
        ({"scores": np.array(["high"] * 6)}, "its array scores does not hold <U4 of shape (6,)"),
        ({"scores": np.zeros((6, 2), int)}, "scores must be real numbers; got an array of int64"),
        ({"scores": np.zeros((6, 3))}, "scores must be of shape (6, 2); got shape (6, 3)"),
        (
            {"step_scores": np.zeros((6, 2))},
            "step_scores must be of 3 dimensions; got",
        ),
        ({"spikes_0": np.zeros((6, 4, 3))}, "spikes_0 must be integers; got an array of float64"),
        ({"spikes_0": np.zeros((6, 4), int)}, "spikes_0 must be of 3 dimensions; got shape (6, 4)"),
        ({"spikes_1": np.zeros((6, 3, 5), int)}, "spikes_1 must be of shape (6, 4, 5); got shape"),
        ({"errors_2": np.zeros((6, 4, 5), int)}, "errors_2 must be of shape (6, 4, 4); got shape"),
        ({"weights_1": np.zeros((3, 5), int)}, "weights_1 must be real numbers; got an array of"),
    ],
)
def test_a_trace_of_something_else_is_refused(trace, tmp_path, changes, reason):
    path = tmp_path / "trace.npz"
    trace.save(path)
    arrays = arrays_in(path) | changes
    write_archive(path, {name: array for name, array in arrays.items() if array is not None})
    assert f"is not a readable trace: {reason}" in refusal(path)
