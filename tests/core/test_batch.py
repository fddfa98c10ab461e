"""Samples and targets: what is accepted, in which type it stays, and what is refused."""

import re

import numpy as np
import pytest

from spikebp_plugins import Operations, Simulator
from spikebp_plugins.common.errors import ArgumentError
from spikebp_plugins.network.samples import ROWS_PER_CHECK, check_batch
from tests.core.small_nets import (
    ENGINES,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    lively_weights,
    samples,
    small_net,
)

NETS = {
    "values": small_net((3, 4, 2), n_steps=3),
    "spikes": small_net((3, 4, 2), n_steps=3, input_coding="spikes"),
    "binary": small_net((3, 4, 2), n_steps=3, input_coding="spikes", spikes="binary"),
}
NET = NETS["values"]
ONES = np.ones((2, 3))
COUNTS = np.ones((2, 3, 3), np.int64)
LABELS = np.array([0, 1])


def with_value(array, index, value):
    array = np.array(array, np.result_type(array, type(value)))
    array[index] = value
    return array


@pytest.fixture(scope="module")
def simulators():
    """Networks that have learned a little, one for each kind of input."""
    found = {kind: lively_simulator(net, "compiled") for kind, net in NETS.items()}
    for kind, sim in found.items():
        sim.train(*samples(NETS[kind], 3))
    return found


def assert_refused(sim, call, message):
    """Hold the call to fail with the message, and the simulator to be as it was."""
    before = (sim.weights, sim.samples_seen, sim.operations, checkpoint_bytes(sim))
    with pytest.raises(ArgumentError, match="^" + re.escape(message)) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert_all_equal(sim.weights, before[0])
    assert (sim.samples_seen, sim.operations, checkpoint_bytes(sim)) == before[1:]


SHAPE_OF_X = "x must be of shape (n_samples, 3) or (n_samples, 3, 3); got shape "

REALS = "x must be an array of real numbers; got "
NOT_FINITE = "x must be finite; got "

WRONG_INPUTS = [
    (np.ones(3), SHAPE_OF_X + "(3,)"),
    ([], SHAPE_OF_X + "(0,)"),
    (np.ones((2, 4)), SHAPE_OF_X + "(2, 4)"),
    (np.ones((2, 1, 3)), SHAPE_OF_X + "(2, 1, 3)"),
    (np.ones((2, 3, 4)), SHAPE_OF_X + "(2, 3, 4)"),
    (np.ones((2, 3, 3, 1)), SHAPE_OF_X + "(2, 3, 3, 1)"),
    (with_value(ONES, (1, 2), np.nan), NOT_FINITE + "nan at index (1, 2)"),
    (with_value(ONES, (1, 0), -np.inf).astype("f4"), NOT_FINITE + "-inf at index (1, 0)"),
    (with_value(np.ones((2, 3, 3)), (1, 2, 0), np.inf), NOT_FINITE + "inf at index (1, 2, 0)"),
    ([[1.0, 2.0, 3.0], [1.0, 2.0]], REALS + "a ragged"),
    ([[10**30] * 3] * 2, REALS + "an array of object"),
    (ONES.astype(complex), REALS + "an array of complex128"),
    (np.zeros((2, 3), "M8[D]"), REALS + "an array of"),
    (None, REALS + "an array of object"),
]


@pytest.mark.parametrize(("x", "message"), WRONG_INPUTS)
def test_wrong_input_is_refused(simulators, x, message):
    sim = simulators["values"]
    assert_refused(sim, lambda: sim.train(x, LABELS), message)
    assert_refused(sim, lambda: sim.train(x, LABELS, record=True), message)
    assert_refused(sim, lambda: sim.predict(x), message)


SHAPE_OF_SPIKES = "x must be of shape (n_samples, 3, 3); got shape "
NO_INTEGERS = "x must be integers with input_coding='spikes'; got "
ONE_SPIKE = "x must be spike counts -1, 0 or 1 with spikes='binary'; got "

WRONG_SPIKES = [
    ("spikes", COUNTS[:, 0], SHAPE_OF_SPIKES + "(2, 3)"),
    ("spikes", COUNTS[:, :2], SHAPE_OF_SPIKES + "(2, 2, 3)"),
    ("spikes", (COUNTS / 4).astype("f4"), NO_INTEGERS + "0.25"),
    ("spikes", with_value(COUNTS, (1, 2, 0), np.nan), NO_INTEGERS + "nan"),
    ("binary", with_value(COUNTS, (1, 2, 0), 2.0), ONE_SPIKE + "2"),
    ("binary", with_value(COUNTS, (1, 2, 0), -2), ONE_SPIKE + "-2"),
    ("binary", np.full((2, 3, 3), 255, np.uint8), ONE_SPIKE + "255"),
    ("binary", np.full((2, 3, 3), -128, np.int8), ONE_SPIKE + "-128"),
]


@pytest.mark.parametrize(("kind", "x", "message"), WRONG_SPIKES)
def test_wrong_spikes_are_refused(simulators, kind, x, message):
    sim = simulators[kind]
    assert_refused(sim, lambda: sim.train(x, LABELS[: len(x)]), message)
    assert_refused(sim, lambda: sim.predict(x), message)


SHAPE_OF_Y = "y must be of shape (2,) or (2, 2) or (2, 3, 2); got shape "
LABELS_ALLOWED = "y must be labels from 0 to 1, or -1 where one is not known; got "

OF_LABELS = "y must be integers where it is one-dimensional (labels); got an array of float64"

WRONG_TARGETS = [
    ([0], SHAPE_OF_Y + "(1,)"),
    ([0, 1, 1], SHAPE_OF_Y + "(3,)"),
    (0, SHAPE_OF_Y + "()"),
    (np.zeros((3, 2)), SHAPE_OF_Y + "(3, 2)"),
    (np.zeros((2, 1)), SHAPE_OF_Y + "(2, 1)"),
    (np.zeros((2, 2, 2)), SHAPE_OF_Y + "(2, 2, 2)"),
    ([0, 2], LABELS_ALLOWED + "2"),
    ([-2, 0], LABELS_ALLOWED + "-2"),
    (np.array([0, 2**63], np.uint64), LABELS_ALLOWED + str(2**63)),
    ([0.0, 1.0], OF_LABELS),
    (with_value(np.ones((2, 2)), (1, 0), np.nan), "y must be finite; got nan at index (1, 0)"),
    ([[0, 1], [1]], "y must be an array of real numbers; got a ragged"),
    (["0", "1"], "y must be an array of real numbers; got an array of <U1"),
    (None, "y must be an array of targets; got None"),
]


@pytest.mark.parametrize(("y", "message"), WRONG_TARGETS)
def test_wrong_targets_are_refused(simulators, y, message):
    sim = simulators["values"]
    assert_refused(sim, lambda: sim.train(ONES, y), message)


@pytest.mark.parametrize("value", [0, 1.5, True, "3"])
def test_wrong_n_steps_are_refused(simulators, value):
    sim = simulators["values"]
    message = f"n_steps must be an integer of at least 1; got {value!r}"
    assert_refused(sim, lambda: sim.predict(ONES, n_steps=value), message)


def test_input_in_time_must_have_the_steps_to_show(simulators):
    sim = simulators["values"]
    shape = "x must be of shape (n_samples, 3) or (n_samples, 5, 3); got shape (2, 3, 3)"
    assert_refused(sim, lambda: sim.predict(np.ones((2, 3, 3)), n_steps=5), shape)


def test_a_value_that_is_not_finite_is_found_in_a_large_input():
    x = np.ones((2 * ROWS_PER_CHECK + 5, 3), np.float32)
    x[ROWS_PER_CHECK + 7, 1] = np.nan
    message = re.escape(f"x must be finite; got nan at index ({ROWS_PER_CHECK + 7}, 1)")
    with pytest.raises(ArgumentError, match=message):
        check_batch(NET, x)


@pytest.mark.parametrize("dtype", ["u1", "i4", "u8", "f2", "f8", ">f8", ">i2"])
def test_input_stays_in_its_type_and_place(dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    batch = check_batch(NET, x, LABELS)
    assert batch.x.dtype == x.dtype
    assert np.shares_memory(batch.x, x)
    np.testing.assert_array_equal(batch.inputs(), np.arange(6.0).reshape(2, 1, 3), strict=True)


def test_8_bit_pixels_are_scaled_and_rounded_to_the_grid():
    net = NET.replace(input_scale=1 / 255)
    x = np.array([[0, 1, 2], [128, 254, 255]], np.uint8)
    scale = 2.0**net.fraction_bits
    expected = np.rint(x.astype(float) * (1 / 255) * scale) / scale
    np.testing.assert_array_equal(check_batch(net, x).inputs()[:, 0], expected, strict=True)


def test_truth_values_count_as_0_and_1():
    truth = np.array([[True, False, True]])
    np.testing.assert_array_equal(check_batch(NET, truth).inputs(), [[[1.0, 0.0, 1.0]]])
    counts = np.array([[[True, False, True]] * 3])
    assert check_batch(NETS["binary"], counts).inputs().tolist() == [[[1, 0, 1]] * 3]


@pytest.mark.parametrize("dtype", ["i1", "i8", ">i4", "u8", "f2", "f8", ">f8"])
def test_spikes_of_every_type_become_int64(dtype):
    spikes = np.arange(18).reshape(2, 3, 3)
    given = spikes.astype(dtype)
    inputs = check_batch(NETS["spikes"], given).inputs()
    np.testing.assert_array_equal(inputs, spikes.astype(np.int64), strict=True)
    assert not np.shares_memory(inputs, given)


@pytest.mark.parametrize("engine", ENGINES)
def test_whole_real_numbers_are_spikes_as_integers_are(engine):
    net, weights = NETS["spikes"], lively_weights(NETS["spikes"])
    counts = samples(net, 20)[0]
    with Simulator(net, engine, weights) as sim, Simulator(net, engine, weights) as other:
        y = np.arange(20) % 2
        np.testing.assert_array_equal(sim.train(counts, y), other.train(counts.astype(float), y))
        assert checkpoint_bytes(sim) == checkpoint_bytes(other)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u8"])
def test_counts_that_are_far_out_of_range_stay_so(dtype):
    largest = np.iinfo(dtype).max if dtype == "u8" else np.finfo(dtype).max
    given = np.full((1, 3, 3), largest, dtype)
    least = min(int(largest), 2**62)
    assert (check_batch(NETS["spikes"], given).inputs() >= least).all()
    if dtype != "u8":
        assert (check_batch(NETS["spikes"], -given).inputs() <= -least).all()


def test_labels_stand_for_one_hot_targets():
    targets = check_batch(NET, ONES, [1, 0]).targets()
    np.testing.assert_array_equal(targets, [[[0.0, 1.0]], [[1.0, 0.0]]], strict=True)
    for dtype in ("u1", "i2", "u8"):
        given = np.array([1, 0], dtype)
        np.testing.assert_array_equal(check_batch(NET, ONES, given).targets(), targets)


def test_real_targets_are_rounded_to_the_grid():
    scale = 2.0**NET.fraction_bits
    y = np.random.RandomState(0).uniform(-3, 3, (2, 3, 2))
    expected = np.rint(y * scale) / scale
    np.testing.assert_array_equal(check_batch(NET, ONES, y).targets(), expected, strict=True)
    constant = check_batch(NET, ONES, y[:, 0]).targets()
    np.testing.assert_array_equal(constant, expected[:, :1], strict=True)


def test_lists_will_do():
    batch = check_batch(NET, [[1, 2, 3], [4, 5, 6]], [[0.5, 1], [0, 2]])
    assert len(batch) == 2
    np.testing.assert_array_equal(batch.targets(), [[[0.5, 1.0]], [[0.0, 2.0]]])


def test_blocks_keep_the_order():
    x = np.arange(21.0).reshape(7, 3)
    batch = check_batch(NET, x, np.arange(7) % 2)
    blocks = list(batch.blocks(3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([block.x for block in blocks]), x)
    np.testing.assert_array_equal(np.concatenate([block.y for block in blocks]), batch.y)
    assert {block.n_steps for block in blocks} == {3}
    assert list(batch[:0].blocks(3)) == []


@pytest.mark.parametrize("backend", ENGINES)
def test_nothing_that_was_given_is_changed(backend):
    x, y = samples(NET, 4)
    targets = np.eye(2)[y]
    before = x.copy(), targets.copy()
    sim = lively_simulator(NET, backend)
    sim.train(x, targets)
    sim.predict(x)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(targets, before[1])


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("y", [[], np.empty((0, 2)), np.empty((0, 3, 2))], ids=np.shape)
def test_no_samples_change_nothing(simulators, kind, y):
    sim = simulators[kind]
    x = np.empty((0, 3, 3), np.int64)
    before = (sim.operations, checkpoint_bytes(sim))
    for scores in (sim.train(x, y), sim.predict(x), sim.predict(x, n_steps=3)):
        assert (scores.shape, scores.dtype) == ((0, 2), np.float64)
    for trace in (sim.train(x, y, record=True), sim.predict(x, record=True)):
        assert [counts.shape for counts in trace.spikes] == [(0, 3, 3), (0, 3, 4), (0, 3, 2)]
        assert {counts.dtype for counts in trace.spikes} == {np.dtype(np.int64)}
        assert (trace.step_scores.shape, trace.scores.shape) == ((0, 3, 2), (0, 2))
        assert_all_equal(trace.weights, sim.weights)
    trained = sim.train(x, y, record=True).errors
    assert trained[0] is None
    assert [counts.shape for counts in trained[1:]] == [(0, 3, 4), (0, 3, 2)]
    assert sim.predict(x, record=True).errors is None
    assert (sim.operations, checkpoint_bytes(sim)) == before


def test_no_samples_at_all_cost_nothing():
    sim = lively_simulator(NET)
    sim.train(np.empty((0, 3)), [])
    assert sim.operations == Operations()
    assert sim.samples_seen == 0
