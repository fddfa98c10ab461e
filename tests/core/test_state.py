"""What a network starts from."""

import copy
import pickle

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, SpikingMLP
from spikebp_plugins.network.state import OnGrid, drawn_backward_potentials, initial_state
from tests.core.small_nets import assert_all_equal, lively_weights, small_net

#: One step and a rate of 1, so that any grid holds the rate.
COARSE = SpikingMLP.paper((2, 3), n_steps=1, learning_rate=1.0, fraction_bits=4)


def test_the_initial_state_has_the_rounded_initial_weights():
    net = small_net()
    state = initial_state(net)
    scale = 2.0**net.fraction_bits
    assert_all_equal(state.weights, [np.rint(w * scale) / scale for w in net.init_weights()])
    assert_all_equal(state.backward_potentials, [np.zeros(5), np.zeros(4)])
    assert len(state.feedback) == 0
    assert state.samples_seen == 0


def test_a_network_of_one_layer_has_no_backward_potentials():
    assert len(initial_state(small_net((3, 2))).backward_potentials) == 0


def test_a_state_is_integers_in_the_smallest_type():
    weights = [np.array([[127, -128, 0], [1, 2, 3]]) / 16]
    state = initial_state(COARSE, weights)
    assert state.weights.exponent == -4
    assert state.weights.units[0].dtype == np.int8
    assert_all_equal([*state.weights], weights)
    wider = state.with_reals(weights=[weights[0] + 1 / 16])
    assert wider.weights.units[0].dtype == np.int16
    assert wider.weights.units[0].tolist() == [[128, -127, 1], [2, 3, 4]]
    assert (state == wider, state == initial_state(COARSE, weights)) == (False, True)
    assert repr(wider.weights) == "<int16 of shape (2, 3), in units of 2**-4>"


def test_weights_of_a_chip_have_an_exponent_of_their_own():
    net = SpikingMLP.paper((2, 3), arithmetic="loihi2", fraction_bits=12, weight_exponent=-3)
    state = initial_state(net, [np.array([[1, 2, 99], [-1, -99, 0.125]])])
    assert state.weights.exponent == -3
    assert state.backward_potentials.exponent == -12
    assert state.weights.units[0].tolist() == [[8, 16, 127], [-8, -128, 1]]


@pytest.mark.parametrize("value", [1 / 32, np.nan, np.inf])
def test_what_is_not_on_the_grid_is_refused(value):
    state = initial_state(COARSE)
    wrong = state.weights[0].copy()
    wrong[1, 2] = value
    with pytest.raises(ValueError, match=rf"multiples of 2\*\*-4; got {value}"):
        state.with_reals(weights=[wrong])
    with pytest.raises(ValueError, match="multiples of 2"):
        state.reals()._replace(weights=(wrong,)).on_grid(COARSE)
    assert state.reals().on_grid(COARSE) == state


def test_units_are_signed_integers():
    for wrong in (np.zeros(2), np.zeros(2, np.uint8)):
        with pytest.raises(ValueError, match=f"arrays of signed integers; got {wrong.dtype}"):
            OnGrid([wrong], -4)


def test_nothing_changes_a_state():
    """A real number that is written would be lost."""
    state = initial_state(small_net(), lively_weights(small_net()))
    for arrays in (state.weights, state.weights.units, state.backward_potentials):
        with pytest.raises(ValueError, match="read-only"):
            arrays[0][...] = 1
    copied, pickled = copy.deepcopy(state), pickle.loads(pickle.dumps(state))
    assert copied == pickled == state
    drawn = initial_state(small_net())
    assert pickle.loads(pickle.dumps(drawn)) == drawn


def test_a_checkpoint_of_real_numbers_is_refused():
    net = small_net()
    with pytest.raises(ValueError, match="state must be a LearningState, whose numbers are OnGrid"):
        Checkpoint(net, initial_state(net).reals())


def test_weights_are_rounded_to_the_grid_and_ties_go_to_even():
    sixteenths = np.array([[0.5, 1.5, 2.5], [-0.5, -1.5, 7.49]])
    (rounded,) = initial_state(COARSE, [sixteenths / 16]).weights
    np.testing.assert_array_equal(rounded * 16, [[0, 2, 2], [0, -2, 7]])


def test_weights_on_the_grid_stay_as_they_are():
    given = [np.array([[1, -2, 3], [4, 5, -60]]) / 16]
    assert_all_equal(initial_state(COARSE, given).weights, given)


@pytest.mark.parametrize(
    "given",
    [
        [[[1, 2, 3], [4, 5, 6]]],
        [np.array([[1, 2, 3], [4, 5, 6]], np.uint8)],
        (np.array([[1, 2, 3], [4, 5, 6]], np.float16),),
        np.array([[[1, 2, 3], [4, 5, 6]]]),
        [np.asfortranarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])],
    ],
    ids=["lists", "uint8", "float16", "one array", "by columns"],
)
def test_weights_may_be_any_real_matrices(given):
    expected = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert_all_equal(initial_state(COARSE, given).weights, [expected])


def test_a_state_holds_copies_of_what_was_given():
    net = small_net()
    given = lively_weights(net)
    state = initial_state(net, given)
    before = [matrix.copy() for matrix in state.weights]
    for matrix in given:
        matrix[...] = 7
    assert_all_equal(state.weights, before)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [np.zeros((3, 2))],
        [np.zeros((2, 3)), np.zeros((3, 2))],
        [np.zeros(6)],
        [np.zeros((2, 3, 1))],
        [None],
        [[[1, 2, 3], [4, 5]]],
        np.zeros((2, 3)),
        5,
        "weights",
    ],
    ids=["none", "transposed", "too many", "flat", "3-D", "None", "ragged", "no list", "5", "text"],
)
def test_weights_of_another_shape_are_refused(given):
    with pytest.raises(ValueError, match=r"weights must be matrices of shapes \[\(2, 3\)\]; got"):
        initial_state(COARSE, given)


def test_the_message_about_shapes_shows_those_that_came():
    with pytest.raises(ValueError, match=r"got \[\(3, 2\)\]"):
        initial_state(COARSE, [np.zeros((3, 2))])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    net = small_net()
    weights = lively_weights(net)
    weights[1][2, 3] = value
    message = f"weights of layer 2 must be finite real numbers; got {value}"
    with pytest.raises(ValueError, match=message):
        initial_state(net, weights)


@pytest.mark.parametrize("dtype", [complex, object, "U3"])
def test_weights_that_are_not_real_numbers_are_refused(dtype):
    message = "weights of layer 1 must be finite real numbers; got an array of"
    with pytest.raises(ValueError, match=message):
        initial_state(COARSE, [np.ones((2, 3)).astype(dtype)])


@pytest.mark.parametrize("sign", [1, -1])
def test_weights_stay_below_the_range_of_the_grid(sign):
    units = np.zeros((2, 3), np.int64)
    units[1, 2] = sign * (2**53 - 1)
    (accepted,) = initial_state(COARSE, [np.ldexp(units.astype(float), -4)]).weights
    assert int(accepted[1, 2] * 16) == sign * (2**53 - 1)
    units[1, 2] = sign * 2**53
    with pytest.raises(OverflowError, match="weight of layer 1"):
        initial_state(COARSE, [np.ldexp(units.astype(float), -4)])


def test_a_weight_beyond_floating_point_once_scaled_is_out_of_range():
    with pytest.raises(OverflowError, match="weight of layer 1"):
        initial_state(COARSE, [np.full((2, 3), 1.7e308)])


def test_feedback_is_refused_where_errors_take_the_transposed_weights():
    net = small_net()
    message = "feedback must be None with feedback='transpose'"
    with pytest.raises(ValueError, match=message):
        initial_state(net, feedback=net.init_feedback())


def test_random_feedback_is_drawn_and_rounded():
    net = small_net(feedback="random")
    scale = 2.0**net.fraction_bits
    expected = [np.rint(matrix * scale) / scale for matrix in net.init_feedback()]
    assert_all_equal(initial_state(net).feedback, expected)


def test_feedback_may_be_given():
    net = small_net(feedback="random")
    given = [np.full((4, 5), 0.25), np.full((2, 4), -0.5)]
    assert_all_equal(initial_state(net, feedback=given).feedback, given)


def test_wrong_feedback_is_refused():
    net = small_net(feedback="random")
    with pytest.raises(ValueError, match=r"feedback must be matrices of shapes \[\(4, 5\), \(2"):
        initial_state(net, feedback=[np.zeros((5, 4)), np.zeros((4, 2))])
    with pytest.raises(ValueError, match="feedback of layer 3 must be finite real numbers"):
        initial_state(net, feedback=[np.zeros((4, 5)), np.full((2, 4), np.nan)])
    with pytest.raises(OverflowError, match="weight of layer 3"):
        initial_state(net, feedback=[np.zeros((4, 5)), np.full((2, 4), 1e300)])


def drawn_by_the_letter(sizes, bits, seed, i):
    """Return the draws of the layers between input and output, as integers in units of 2^-f."""
    generator = np.random.Philox(key=seed, counter=[0, 0, i, 0])
    return [
        [(int(raw) >> (64 - bits)) - 2 ** (bits - 1) for raw in generator.random_raw(size)]
        for size in sizes[1:-1]
    ]


@pytest.mark.parametrize("bits", [1, 17, 40])
@pytest.mark.parametrize(("seed", "i"), [(0, 0), (0, 1), (3, 0), (2**32 - 2, 60_000), (1, 2**40)])
def test_drawn_backward_potentials_are_those_of_semantics(bits, seed, i):
    sizes = (3, 5, 7, 4, 2)
    net = SpikingMLP.paper(
        sizes,
        n_steps=1,
        learning_rate=1.0,
        fraction_bits=bits,
        seed=seed,
        backward_init="uniform",
    )
    drawn = drawn_backward_potentials(net, i)
    expected = drawn_by_the_letter(sizes, bits, seed, i)
    assert [[int(v) for v in psi * 2.0**bits] for psi in drawn] == expected
    assert_all_equal(drawn, [np.array(units) / 2.0**bits for units in expected])


def test_draws_cover_the_half_open_interval():
    net = small_net((3, 2000, 2), backward_init="uniform")
    (psi,) = drawn_backward_potentials(net, 0)
    assert psi.min() >= -0.5
    assert psi.max() < 0.5
    assert abs(psi.mean()) < 0.05
    assert len(np.unique(np.floor(psi * 10))) == 10


def test_each_sample_draws_its_own_and_always_the_same():
    net = small_net(backward_init="uniform")
    assert_all_equal(drawn_backward_potentials(net, 5), drawn_backward_potentials(net, 5))
    assert not np.array_equal(
        drawn_backward_potentials(net, 5)[0], drawn_backward_potentials(net, 6)[0]
    )
