"""What a definition accepts, refuses and settles."""

import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
)
from spikebp_plugins.common.errors import ArgumentError
from spikebp_plugins.network.defaults import FEW_BITS, FRACTIONAL, NORMALIZED
from tests.profiles import examples

SIZES = (3, 5, 4, 2)

OTHERS = [
    {},
    {"n_steps": 7, "learning_rate": 0.3, "seed": 5},
    {"input_coding": "spikes", "update": "outer", "spikes": "binary"},
    {"arithmetic": "loihi2", "input_scale": 1 / 255},
    {"fraction_bits": 22, "backward_init": "uniform", "feedback": "random"},
    {"presynaptic": "drive", "update": "outer"},
    {"weight_init": "he", "label_targets": (-0.25, 5.0)},
    {"timing": "pipelined"},
]

POSITIVE = "a positive finite number"
AT_LEAST_TWO = "a sequence of at least two positive integers"


def refused(**values):
    """Return the message with which a definition is refused."""
    sizes = values.pop("layer_sizes", SIZES)
    with pytest.raises(ArgumentError) as caught:
        SpikingMLP.paper(sizes, **values)
    # Whether "ten" has a wrong type or a wrong value is not the caller's to know.
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


def test_bare_networks_take_the_first_row_of_the_table():
    net = SpikingMLP(SIZES)
    assert {name: getattr(net, name) for name in NORMALIZED._fields} == NORMALIZED._asdict()
    assert net.fraction_bits == 20
    assert SpikingNetwork((8, 8), [Conv2D(2, 3), Dense(3)]).update == "normalized"


@pytest.mark.parametrize(
    ("given", "row"),
    [
        ({"update": "fractional"}, FRACTIONAL),
        ({"update": "outer"}, FRACTIONAL._replace(update="outer", learning_rate=2.0**-14)),
        ({"presynaptic": "drive"}, FRACTIONAL._replace(learning_rate=2.0**-14)),
        ({"timing": "pipelined"}, NORMALIZED),
        ({"spikes": "binary"}, FEW_BITS),
        ({"arithmetic": "loihi2"}, FEW_BITS),
        ({"spikes": "binary", "update": "normalized"}, FEW_BITS._replace(update="normalized")),
        ({"feedback": "random"}, NORMALIZED._replace(learning_rate=1 / 32)),
    ],
    ids=repr,
)
def test_a_row_of_the_table_is_chosen_by_other_fields(given, row):
    net = SpikingMLP(SIZES, **given)
    assert {name: getattr(net, name) for name in row._fields} == row._asdict()
    # A change leads to the row that it leads to from the start, and back.
    if "update" not in given:
        bare = SpikingMLP(SIZES)
        assert bare.replace(**given) == net
    # What is not the default stays.
    kept = SpikingMLP(SIZES, n_steps=7, **given).replace(seed=3)
    assert (kept.n_steps, kept.update, kept.seed) == (7, row.update, 3)


def test_without_hidden_layers_a_label_asks_nothing_of_other_outputs():
    assert SpikingMLP((4, 3)).label_targets == (0.0, 36.0)
    assert SpikingMLP((4, 3)).replace(layer_sizes=(4, 5, 3)) == SpikingMLP((4, 5, 3))


def test_of_many_outputs_a_label_asks_wrong_ones_for_less_and_the_right_one_for_more():
    targets = {k: SpikingMLP((4, 5, k)).label_targets for k in (2, 10, 11, 20, 40, 1000)}
    few = {2: (6, 36), 10: (6, 36), 11: (5.75, 36), 20: (4.25, 36), 40: (3, 42.75)}
    assert targets == few | {1000: (0.625, 95.75)}
    assert SpikingMLP((4, 5, 40)).replace(layer_sizes=(4, 5, 3)) == SpikingMLP((4, 5, 3))
    assert SpikingMLP((4, 40), label_targets=(1, 9)).label_targets == (1, 9)
    graded = {sizes: SpikingMLP.graded(sizes).label_targets for sizes in ((4, 5, 40), (4, 3))}
    assert graded == {(4, 5, 40): (6, 95.125), (4, 3): (0, 80)}


def test_kernels_learn_at_half_the_rate_where_few_pixels_share_them():
    def rate(*layers, **fields):
        return SpikingNetwork((8, 8), [*layers, Dense(3)], **fields).learning_rate

    assert rate(Conv2D(2, 5)) == rate(Conv2D(9, 3, stride=2), Conv2D(2, 2)) == 1 / 2
    assert rate(Conv2D(2, 4)) == rate(Conv2D(2, 3), AveragePool2D(2), Conv2D(2, 3)) == 1
    assert rate(Sparse(5, density=0.5)) == 1
    assert rate() == 1 / 4
    assert rate(Conv2D(2, 5), update="fractional") == FRACTIONAL.learning_rate
    net = SpikingNetwork((8, 8), [Conv2D(2, 5), Dense(3)])
    assert net.replace(update="fractional").replace(update="normalized") == net


def test_presets_stay_what_they_are_in_changed_definitions():
    paper = SpikingMLP.paper(SIZES)
    assert paper.replace(arithmetic="loihi2").replace(arithmetic="fixed") == paper
    assert paper.replace(spikes="binary").replace(spikes="graded") == paper
    graded = SpikingMLP.graded(SIZES, seed=4)
    assert (graded.n_steps, graded.spikes_per_unit, graded.seed) == (1, 8, 4)
    assert SpikingMLP.paper(SIZES, weight_init="he").weight_init == "he"


@pytest.mark.parametrize("value", [0, -4, 3, 2048, 2.0, True, "4"], ids=repr)
def test_spikes_per_unit_are_a_power_of_two(value):
    said = f"spikes_per_unit must be a power of two from 1 to 1024; got {value!r}"
    assert refused(spikes_per_unit=value) == said


def test_input_is_never_multiplied_by_infinity():
    said = "input_scale times spikes_per_unit must be a positive finite number; got inf"
    assert refused(input_scale=1e308, spikes_per_unit=4) == said
    assert SpikingMLP(SIZES, input_scale=1e307).input_factor == 4e307


def test_more_spikes_per_unit_are_larger_input():
    x = np.random.RandomState(0).uniform(0, 1, (20, 3))
    fine = SpikingMLP(SIZES, spikes_per_unit=8, update="fractional")
    large = fine.replace(spikes_per_unit=2, input_scale=4.0)
    assert fine.input_factor == large.input_factor == 8.0
    y = np.arange(20) % 2
    with Simulator(fine) as first, Simulator(large) as second:
        assert np.array_equal(first.train(x, y), second.train(x, y))
        assert all(map(np.array_equal, first.weights, second.weights))


def test_paper_has_the_settings_of_the_paper():
    assert SpikingMLP.paper(SIZES).to_dict() == {
        "layer_sizes": [3, 5, 4, 2],
        "n_steps": 10,
        "spikes_per_unit": 1,
        "learning_rate": 0.01,
        "timing": "immediate",
        "input_coding": "values",
        "input_scale": 1.0,
        "update": "fractional",
        "bounded": False,
        "presynaptic": "counts",
        "spikes": "graded",
        "arithmetic": "fixed",
        "fraction_bits": 17,
        "weight_exponent": None,
        "backward_init": "carry",
        "feedback": "transpose",
        "weight_init": "paper",
        "label_targets": [0.0, 1.0],
        "seed": 0,
    }


def test_all_but_the_sizes_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        SpikingMLP.paper(SIZES, 10)


def test_shapes_follow_from_the_sizes():
    net = SpikingMLP.paper(SIZES)
    assert (net.n_layers, net.n_inputs, net.n_outputs) == (3, 3, 2)
    assert net.weight_shapes == ((3, 5), (5, 4), (4, 2))
    assert net.feedback_shapes == ((4, 5), (2, 4))
    assert SpikingMLP.paper((3, 2)).feedback_shapes == ()


@pytest.mark.parametrize(
    "sizes",
    [
        5,
        None,
        2.5,
        "34",
        b"34",
        {3, 4},
        {3: 4, 5: 6},
        pytest.param(iter((3, 4)), id="an iterator"),
        (),
        (3,),
        (3, 0),
        (0, 3),
        (3, -1, 2),
        (3, 2.0),
        (3, np.float64(2.0)),
        (3, True),
        (np.True_, 3),
        (3, "2"),
        (3, None),
        (3, (2, 2)),
        np.array(3),
        np.ones((2, 2), int),
        np.array([3.0, 2.0]),
    ],
    ids=repr,
)
def test_wrong_layer_sizes_are_refused(sizes):
    assert refused(layer_sizes=sizes) == f"layer_sizes must be {AT_LEAST_TWO}; got {sizes!r}"


@pytest.mark.parametrize(
    "sizes",
    [
        [3, 2],
        (np.int64(3), np.uint8(2)),
        np.array([3, 2]),
        np.array([3, 2], np.uint16),
        range(3, 1, -1),
    ],
    ids=repr,
)
def test_layer_sizes_become_a_tuple_of_python_integers(sizes):
    net = SpikingMLP.paper(sizes)
    assert net.layer_sizes == (3, 2)
    assert type(net.layer_sizes) is tuple
    assert [type(size) for size in net.layer_sizes] == [int, int]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("n_steps", 2**31, "an integer from 1 to 2147483647"),
        ("seed", 2**32 - 1, "an integer from 0 to 4294967294"),
        ("fraction_bits", 41, "an integer from 1 to 40"),
        ("learning_rate", -math.inf, POSITIVE),
        ("weight_init", "normal", "one of 'paper', 'he', 'quiet', 'growing'"),
    ],
)
def test_what_is_just_outside_is_refused(name, value, allowed):
    # What else each argument refuses is in test_errors.py.
    assert refused(**{name: value}) == f"{name} must be {allowed}; got {value!r}"


@pytest.mark.parametrize("seed", [0, 2**32 - 2])
def test_the_outermost_seeds_can_draw(seed):
    net = SpikingMLP.paper(SIZES, seed=seed, feedback="random")
    assert len(net.init_weights()) == 3
    assert len(net.init_feedback()) == 2


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("timing", "one of 'immediate', 'pipelined'"),
        ("input_coding", "one of 'values', 'spikes'"),
        ("update", "one of 'fractional', 'outer', 'normalized'"),
        ("presynaptic", "one of 'counts', 'drive'"),
        ("spikes", "one of 'graded', 'binary'"),
        ("arithmetic", "one of 'fixed', 'loihi2'"),
        ("backward_init", "one of 'carry', 'zero', 'uniform'"),
        ("feedback", "one of 'transpose', 'random'"),
    ],
)
@pytest.mark.parametrize("value", ["unknown", "", 1, ["fixed"]], ids=repr)
def test_an_unknown_choice_names_those_there_are(name, allowed, value):
    assert refused(**{name: value}) == f"{name} must be {allowed}; got {value!r}"


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="momentum"):
        SpikingMLP.paper(SIZES, momentum=0.9)


@pytest.mark.parametrize("field", [field.name for field in fields(SpikingMLP)])
def test_nothing_can_be_changed(field):
    net = SpikingMLP.paper(SIZES)
    with pytest.raises(FrozenInstanceError):
        setattr(net, field, getattr(net, field))
    with pytest.raises(FrozenInstanceError):
        delattr(net, field)


def test_definitions_are_equal_and_hashed_by_value():
    net = SpikingMLP.paper(SIZES)
    same = SpikingMLP.paper(
        list(SIZES), n_steps=np.int32(10), learning_rate=np.float64(0.01), fraction_bits=17
    )
    assert net == same
    assert hash(net) == hash(same)
    assert {net: "found"}[same] == "found"


@pytest.mark.parametrize("changes", [*OTHERS[1:], {"layer_sizes": (3, 2)}], ids=repr)
def test_every_change_makes_another_definition(changes):
    assert SpikingMLP.paper(**({"layer_sizes": SIZES} | changes)) != SpikingMLP.paper(SIZES)


@pytest.mark.parametrize("changes", OTHERS, ids=repr)
def test_a_definition_is_found_again_in_every_form(changes):
    net = SpikingMLP.paper(SIZES, **changes)
    assert eval(repr(net), {"SpikingMLP": SpikingMLP}) == net
    assert SpikingMLP.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert pickle.loads(pickle.dumps(net)) == net
    assert copy.deepcopy(net) == net


def test_to_dict_hands_out_nothing_of_the_definition():
    net = SpikingMLP.paper(SIZES)
    net.to_dict()["layer_sizes"].append(7)
    assert net.layer_sizes == SIZES


def test_from_dict_refuses_unknown_and_missing_fields():
    assert SpikingMLP.from_dict({"layer_sizes": [3, 2]}) == SpikingMLP((3, 2))
    with pytest.raises(ValueError, match=r"field of SpikingMLP.*'layer_sizes'.*'seed'.*'momentum'"):
        SpikingMLP.from_dict({"layer_sizes": [3, 2], "momentum": 0.9})
    with pytest.raises(ValueError, match="'layer_sizes'"):
        SpikingMLP.from_dict({"n_steps": 10})
    with pytest.raises(ValueError, match="n_steps must be"):
        SpikingMLP.from_dict({"layer_sizes": [3, 2], "n_steps": "10"})


def automatic_choice(learning_rate, n_steps):
    """Return f and r by the letter of the rule, on exact numbers; None where there are none."""
    rate = Fraction(learning_rate / n_steps**2)
    for bits in range(12, 41):
        units = round(rate * 2**bits)
        if abs(Fraction(units, 2**bits) - rate) <= rate / 100:
            return bits, units
    return None


def assert_automatic_choice(learning_rate, n_steps):
    choice = automatic_choice(learning_rate, n_steps)
    if choice is None:
        assert "learning_rate" in refused(learning_rate=learning_rate, n_steps=n_steps)
        return
    net = SpikingMLP.paper(SIZES, learning_rate=learning_rate, n_steps=n_steps)
    assert (net.fraction_bits, net.rate_units) == choice
    assert Fraction(net.rate) == Fraction(choice[1], 2 ** choice[0])
    assert net.effective_learning_rate == pytest.approx(learning_rate, rel=0.01 + 1e-9)


@settings(max_examples=examples(200))
@given(st.floats(1e-12, 1e3) | st.sampled_from([1e-6, 0.01, 0.5, 1.0, 8.0]), st.integers(1, 300))
def test_the_grid_is_the_coarsest_that_holds_the_rate(learning_rate, n_steps):
    assert_automatic_choice(learning_rate, n_steps)


def test_the_documented_example_has_its_grid_and_rate():
    net = SpikingMLP.paper((784, 300, 300, 10))
    assert (net.fraction_bits, net.rate_units) == (17, 13)
    assert net.rate == 13 / 2**17
    assert net.effective_learning_rate == 13 / 2**17 * 100
    assert round(net.effective_learning_rate, 5) == 0.00992


def test_a_rate_too_small_for_every_grid_is_refused():
    message = refused(learning_rate=1e-12)
    assert message.startswith("learning_rate must be")
    assert "n_steps" in message
    assert "fraction_bits" in message


@pytest.mark.parametrize("learning_rate", [5e-324, 1e-320])
@pytest.mark.parametrize("n_steps", [2, 10, 2**31 - 1])
@pytest.mark.parametrize("arithmetic", ["fixed", "loihi2"])
def test_a_rate_that_the_steps_turn_into_zero_is_refused(learning_rate, n_steps, arithmetic):
    # It passed on the automatic grid, and the checkpoint, which names the grid, was refused.
    message = refused(learning_rate=learning_rate, n_steps=n_steps, arithmetic=arithmetic)
    assert message.startswith("learning_rate must be")


@pytest.mark.parametrize("learning_rate", [1e300, 1.7e308])
def test_a_rate_beyond_the_numbers_of_a_chip_is_refused(learning_rate):
    message = refused(learning_rate=learning_rate, n_steps=1, arithmetic="loihi2")
    assert message.startswith("learning_rate must be above 1.49e-08 and below 0.5 with")


def test_a_rate_that_rounds_to_zero_on_the_given_grid_is_refused():
    message = refused(learning_rate=0.01, fraction_bits=12)
    assert message.startswith("learning_rate must be")
    assert "fraction_bits=12" in message
    assert message.endswith("got 0.01")


def test_half_a_unit_rounds_to_zero_and_more_does_not():
    assert "learning_rate" in refused(learning_rate=2.0**-5, n_steps=1, fraction_bits=4)
    just_above = math.nextafter(2.0**-5, 1)
    net = SpikingMLP.paper(SIZES, learning_rate=just_above, n_steps=1, fraction_bits=4)
    assert net.rate_units == 1


def test_a_given_grid_may_be_coarser_than_the_automatic_one():
    net = SpikingMLP.paper(SIZES, fraction_bits=13)
    assert (net.fraction_bits, net.rate_units) == (13, 1)
    assert net.effective_learning_rate == 100 / 2**13


@pytest.mark.parametrize("given", [{}, {"fraction_bits": 12}, {"fraction_bits": 40}], ids=repr)
@pytest.mark.parametrize("learning_rate", [2.0**41, 1e20, 1e300, 1e308])
def test_a_rate_out_of_the_range_of_the_grid_is_refused(learning_rate, given):
    assert refused(learning_rate=learning_rate, n_steps=1, **given).startswith("learning_rate must")


def test_repr_shows_what_is_not_the_default():
    given = SpikingMLP(SIZES, weight_init="quiet", label_targets=(6, np.float32(36)))
    shown = "n_steps=2, learning_rate=0.25, fraction_bits=20"
    assert repr(given) == f"SpikingMLP((3, 5, 4, 2), {shown})"
    other = SpikingMLP.paper(SIZES, weight_init="he", label_targets=np.array([1, 5]))
    assert "weight_init='he', label_targets=(1.0, 5.0)" in repr(other)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        "15",
        (),
        (1.0,),
        (0, 1, 2),
        {0.0, 1.0},
        (0, "1"),
        (True, 1.0),
        (0.0, None),
        (math.nan, 1.0),
        (0.0, math.inf),
        (1.0, 1.0),
        (5, 1),
        (0, -0.5),
        np.ones((2, 2)),
        pytest.param(iter((0, 1)), id="an iterator"),
    ],
    ids=repr,
)
def test_wrong_label_targets_are_refused(value):
    allowed = "two finite numbers, the second one larger"
    assert refused(label_targets=value) == f"label_targets must be {allowed}; got {value!r}"


def test_label_targets_are_apart_on_the_grid():
    said = (
        "label_targets must be at least 2**-17 apart, a unit of the last place; got (1.0, 1.000001)"
    )
    assert refused(label_targets=(1, 1.000001)) == said
    assert (
        SpikingMLP.paper(SIZES, label_targets=(1, 1.000001), fraction_bits=30).fraction_bits == 30
    )
    assert SpikingMLP.paper(SIZES, label_targets=(0, 2.0**-17)).fraction_bits == 17


@pytest.mark.parametrize("value", [[-1, 5], (-1.0, np.float32(5)), np.array([-1, 5], np.int8)])
def test_label_targets_become_a_tuple_of_python_numbers(value):
    asked = SpikingMLP.paper(SIZES, label_targets=value).label_targets
    assert asked == (-1.0, 5.0)
    assert (type(asked), *map(type, asked)) == (tuple, float, float)
    assert math.copysign(1, SpikingMLP.paper(SIZES, label_targets=(-0.0, 1)).label_targets[0]) == 1


def test_replace_changes_the_fields_that_are_named():
    net = SpikingMLP.paper(SIZES, seed=4)
    assert net.replace(update="outer") == SpikingMLP.paper(SIZES, seed=4, update="outer")
    assert net.replace(layer_sizes=[2, 1]) == SpikingMLP.paper((2, 1), seed=4)
    assert net.replace(weight_init="he").replace(weight_init="paper") == net.replace() == net
    assert net.replace(weight_init="he").replace(seed=3).weight_init == "he"
    with pytest.raises(ValueError, match="'momentum'"):
        net.replace(momentum=0.9)
    with pytest.raises(ValueError, match="n_steps must be"):
        net.replace(n_steps=0)


def test_replace_finds_a_new_grid_where_the_old_one_was_automatic():
    assert SpikingMLP.paper(SIZES, fraction_bits=22).replace(n_steps=5).fraction_bits == 22
    net = SpikingMLP.paper(SIZES)
    assert net.replace(n_steps=5, fraction_bits=30).fraction_bits == 30
    assert net.replace(learning_rate=1.0) == SpikingMLP.paper(SIZES, learning_rate=1.0)
    assert net.replace(n_steps=100) == SpikingMLP.paper(SIZES, n_steps=100)
    assert net.replace(n_steps=100).fraction_bits > net.fraction_bits


def test_drawing_leaves_the_generator_of_numpy_alone():
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    SpikingMLP.paper(SIZES).init_weights()
    SpikingMLP.paper(SIZES).init_feedback()
    assert np.random.rand() == expected


def test_a_normalized_rate_is_not_divided_by_the_steps():
    net = SpikingMLP.paper(SIZES, update="normalized", learning_rate=0.7, n_steps=9)
    assert net.fraction_bits == 20
    assert net.rate_units == round(0.7 * 2**20)
    assert net.rate == net.effective_learning_rate == net.rate_units / 2**20
    halved = [
        net.replace(fraction_bits=None, learning_rate=2.0**-i).fraction_bits for i in range(8)
    ]
    assert halved == [20, 20, 20, 20, 20, 21, 22, 23]
    assert net.replace(learning_rate=0.01).fraction_bits == 23
    assert net.replace(update="outer") == SpikingMLP.paper(
        SIZES, update="outer", learning_rate=0.7, n_steps=9
    )
    assert SpikingMLP.paper(SIZES, update="normalized", fraction_bits=17).fraction_bits == 17
    assert refused(update="normalized", n_steps=2**24 + 1).startswith("n_steps must be an integer")
    smallest = 4 * 2.0**-24
    assert SpikingMLP.paper(SIZES, update="normalized", learning_rate=smallest).rate_units == 4
    message = refused(update="normalized", learning_rate=0.8 * smallest)
    assert message.startswith("learning_rate must be at least 2.38e-07 with fraction_bits=24")
    # The rate of an output alone is not lowered.
    smallest /= 4
    alone = SpikingMLP.paper((3, 2), update="normalized", learning_rate=smallest)
    assert alone.rate_units == 1
    message = refused(layer_sizes=(3, 2), update="normalized", learning_rate=0.4 * smallest)
    assert message.startswith("learning_rate must be at least 5.96e-08 with fraction_bits=24")


def drawn(seed, shapes):
    random = np.random.RandomState(seed)
    return [random.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("seed", [0, 12345])
def test_weights_are_drawn_layer_after_layer(seed):
    shapes = [(3, 5), (5, 4), (4, 2)]
    he = [math.sqrt(2 / n_in) for n_in, _ in shapes]
    for weight_init, deviations in {
        "paper": [0.01] * 3,
        "he": he,
        "quiet": [he[0] / 4, he[1], 0],
    }.items():
        found = SpikingMLP.paper(SIZES, seed=seed, weight_init=weight_init).init_weights()
        for matrix, normal, deviation in zip(found, drawn(seed, shapes), deviations, strict=True):
            np.testing.assert_array_equal(matrix, normal * deviation, strict=True)
    found = SpikingMLP.paper(SIZES, seed=seed, feedback="random").init_feedback()
    for matrix, normal in zip(found, drawn(seed + 1, [(4, 5), (2, 4)]), strict=True):
        np.testing.assert_array_equal(matrix, normal / math.sqrt(len(matrix)), strict=True)
    assert not SpikingMLP.paper((3, 2), weight_init="quiet").init_weights()[0].any()
