"""Arguments: what each takes, in which form it goes on, and what the message says of others."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest

from spikebp_plugins import (
    EVENT_DTYPE,
    EventEncoder,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingMLPRegressor,
    from_relu,
    with_bias_input,
)
from spikebp_plugins.common.errors import (
    REALS,
    ArgumentError,
    array_of,
    boolean,
    choice,
    finite,
    sizes,
)
from spikebp_plugins.conversion.quantized import quantized_weights
from spikebp_plugins.data.aer import EventRecordings
from spikebp_plugins.rules.quantization import spiking_vector_quantization
from tests.core.small_nets import lively_simulator, small_net

SENSOR = EventEncoder(3, 2, step=10)
EVENTS = np.array([(0, 0, 12, 1), (2, 1, 34, 0)], EVENT_DTYPE)
COUNTING = small_net((SENSOR.n_inputs, 4, 2), input_coding="spikes")
X = np.array([[0.0, 1.0], [1.0, 0.0]] * 10)
Y = np.array([0, 1] * 10)
NET = small_net((3, 2))
EYE = [np.eye(2), np.eye(2)]


class Argument(NamedTuple):
    """An argument: a call with it, what its message says, a good value, and what else is taken."""

    call: Callable[[Any], Any]
    name: str
    allowed: str
    good: float = 3
    taken: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return self.name

    def refuses(self, value):
        with pytest.raises(ArgumentError) as caught:
            self.call(value)
        message = str(caught.value)
        assert message.startswith(f"{self.name} must be {self.allowed}; got ")
        assert repr(value) in message


def field(name, allowed, **known):
    """Return a field of the definition."""
    options = {key: known.pop(key) for key in ("good", "taken") if key in known}
    return Argument(
        lambda value: SpikingMLP.paper((2, 2), **{name: value}, **known), name, allowed, **options
    )


def parameter(cls, name, allowed, **options):
    """Return a parameter of an estimator."""
    tiny = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 5}

    def learned(value):
        return cls(**(tiny | {name: value})).fit(X, Y).loss_curve_

    return Argument(learned, name, allowed, **options)


def of_river(name, allowed, **options):
    """Return an argument of the classifier for river."""
    tiny = {"n_features": 3, "n_classes": 2, "hidden_layer_sizes": (3,)}

    def definition(value):
        pytest.importorskip("river", reason="river is not installed")
        river = import_module("spikebp_plugins.river")
        return river.SpikingMLPClassifier(**(tiny | {name: value})).checkpoint.net

    return Argument(definition, name, allowed, **options)


def stream(net=COUNTING, encoder=SENSOR, **options):
    return lively_simulator(net).stream(encoder, **options)


def clock_at_34():
    begun = stream()
    begun.feed(EVENTS)
    return begun


ONE_OR_MORE = "an integer of at least 1"
STEPS = "an integer from 1 to 2147483647"
SEEDS = "an integer from 0 to 4294967294"
HIDDEN = "a sequence of positive integers, or one of them"

INTEGERS = {
    "SpikingMLP.n_steps": field("n_steps", STEPS),
    "SpikingMLP.seed": field("seed", SEEDS, taken=(0,)),
    "SpikingMLP.fraction_bits": field(
        "fraction_bits", "an integer from 1 to 40", learning_rate=100.0
    ),
    "SpikingMLP.fraction_bits of a chip": field(
        "fraction_bits", "an integer from 1 to 16", arithmetic="loihi2", learning_rate=100.0
    ),
    "SpikingMLP.weight_exponent": field(
        "weight_exponent", "an integer from -12 to -1", arithmetic="loihi2", good=-3, taken=(-1,)
    ),
    "SpikingMLP.layer_sizes": Argument(
        lambda value: SpikingMLP.paper((2, value)),
        "layer_sizes",
        "a sequence of at least two positive integers",
    ),
    "SpikingMLP.replace": Argument(
        lambda value: SpikingMLP.paper((2, 2)).replace(n_steps=value), "n_steps", STEPS
    ),
    "EventEncoder.width": Argument(
        lambda value: EventEncoder(value, 2, step=10), "width", ONE_OR_MORE
    ),
    "EventEncoder.height": Argument(
        lambda value: EventEncoder(2, value, step=10), "height", ONE_OR_MORE
    ),
    "EventEncoder.step": Argument(
        lambda value: EventEncoder(2, 2, step=value), "step", f"an integer from 1 to {2**63 - 1}"
    ),
    "EventEncoder.encode(n_steps)": Argument(
        lambda value: SENSOR.encode(EVENTS, value),
        "n_steps",
        "an integer of at least 0",
        taken=(0,),
    ),
    "EventEncoder.encode(start)": Argument(
        lambda value: SENSOR.encode(EVENTS, start=value),
        "start",
        "an integer of 64 bits",
        taken=(0, -1),
    ),
    "EventEncoder.locate(after)": Argument(
        lambda value: SENSOR.locate(EVENTS, after=value),
        "after",
        "an integer of 64 bits",
        taken=(0, -1),
    ),
    "EventEncoder.batches(n_steps)": Argument(
        lambda value: list(SENSOR.batches([(EVENTS, 1)], value)),
        "n_steps",
        "an integer of at least 0",
        taken=(0,),
    ),
    "EventEncoder.batches(size)": Argument(
        lambda value: list(SENSOR.batches([(EVENTS, 1)] * 4, 2, value)), "size", ONE_OR_MORE
    ),
    "EventRecordings.shuffled": Argument(
        lambda value: EventRecordings(["a", "b", "c", "d"], [0, 1, 2, 3]).shuffled(value).labels,
        "seed",
        "an integer from 0 to 4294967295",
        taken=(0,),
    ),
    "Simulator.predict": Argument(
        lambda value: lively_simulator(small_net()).predict(np.ones((2, 3)), n_steps=value),
        "n_steps",
        ONE_OR_MORE,
    ),
    "Simulator.stream": Argument(
        lambda value: stream(n_steps=value).show(None, n_steps=7), "n_steps", ONE_OR_MORE
    ),
    "Stream.show": Argument(
        lambda value: stream(n_steps=2).show(None, n_steps=value),
        "n_steps",
        f"an integer from 1 to {2**53}",
    ),
    "Stream.feed(start)": Argument(
        lambda value: stream(n_steps=2).feed(EVENTS, start=value),
        "start",
        "an integer of 64 bits",
        taken=(0, -1),
    ),
    "Stream.advance_to": Argument(
        lambda value: clock_at_34().advance_to(value),
        "time",
        "an integer of at least 34, the last event",
        good=1000,
    ),
    "n_jobs of a back end": Argument(
        lambda value: Simulator(small_net(), n_jobs=value),
        "n_jobs of back end 'compiled'",
        ONE_OR_MORE,
        taken=("3",),
    ),
    "spiking_vector_quantization": Argument(
        lambda value: spiking_vector_quantization([0.75, -0.25], value), "n_steps", ONE_OR_MORE
    ),
    "from_relu": Argument(lambda value: from_relu(EYE, n_steps=value).net, "n_steps", STEPS),
    "quantized_weights": Argument(
        lambda value: quantized_weights(lively_simulator(small_net()), value).weights,
        "bits",
        "an integer from 2 to 32",
    ),
    "river.n_features": of_river("n_features", f"None or {ONE_OR_MORE}"),
    "river.n_classes": of_river("n_classes", f"None or {ONE_OR_MORE}"),
    "river.hidden_layer_sizes": of_river("hidden_layer_sizes", HIDDEN),
    "river.n_steps": of_river("n_steps", STEPS),
    "river.seed": of_river("seed", SEEDS, taken=(0,)),
} | {
    f"{cls.__name__}.{name}": parameter(cls, name, allowed, taken=taken)
    for cls in (SpikingMLPClassifier, SpikingMLPRegressor)
    for name, allowed, taken in (
        ("hidden_layer_sizes", HIDDEN, ()),
        ("n_steps", STEPS, ()),
        ("max_iter", ONE_OR_MORE, ()),
        ("n_iter_no_change", ONE_OR_MORE, ()),
        ("random_state", f"None, a RandomState or {SEEDS}", (0,)),
    )
}

POSITIVE = "a positive finite number"
AUTOMATIC = f"'auto' or {POSITIVE}"
WINNER = f"'winner' or {POSITIVE}"
NOT_NEGATIVE = "a finite number, not negative, or None"

REAL_NUMBERS = {
    "SpikingMLP.learning_rate": field("learning_rate", POSITIVE, good=1.5),
    "SpikingMLP.input_scale": field("input_scale", POSITIVE, good=1.5),
    "SpikingMLP.label_targets": Argument(
        lambda value: SpikingMLP.paper((2, 2), label_targets=(0, value)),
        "label_targets",
        "two finite numbers, the second one larger",
        good=1.5,
    ),
    "Checkpoint.at_rate": Argument(
        lambda value: lively_simulator(small_net()).checkpoint().at_rate(value).net,
        "learning_rate",
        POSITIVE,
        good=1.5,
    ),
    "Simulator.predict(margin)": Argument(
        lambda value: lively_simulator(small_net()).predict(np.ones((2, 3)), margin=value),
        "margin",
        NOT_NEGATIVE,
        good=1.5,
        taken=(0,),
    ),
    "with_bias_input": Argument(
        lambda value: with_bias_input(X, input_scale=value), "input_scale", POSITIVE, good=1.5
    ),
    "from_relu(percentile)": Argument(
        lambda value: from_relu(EYE, balance=X, percentile=value).state,
        "percentile",
        "above 0 and at most 100",
        good=1.5,
    ),
    "from_relu(peak)": Argument(
        lambda value: from_relu(EYE, balance=X, peak=value).state, "peak", POSITIVE, good=1.5
    ),
    "from_relu(output_scale)": Argument(
        lambda value: from_relu(EYE, output_scale=value).state, "output_scale", WINNER, good=1.5
    ),
    "river.input_scale": of_river("input_scale", AUTOMATIC, good=1.5),
    "SpikingMLPClassifier.input_scale": parameter(
        SpikingMLPClassifier, "input_scale", AUTOMATIC, good=1.5
    ),
    "SpikingMLPRegressor.target_scale": parameter(
        SpikingMLPRegressor, "target_scale", AUTOMATIC, good=1.5
    ),
    "SpikingMLPClassifier.tol": parameter(
        SpikingMLPClassifier, "tol", "a finite number of at least 0", good=1.5, taken=(0,)
    ),
    "SpikingMLPClassifier.learning_rate": parameter(
        SpikingMLPClassifier, "learning_rate", POSITIVE, good=0.5
    ),
    "SpikingMLPClassifier.validation_fraction": parameter(
        SpikingMLPClassifier, "validation_fraction", "between 0 and 1", good=0.5
    ),
}

each_integer = pytest.mark.parametrize("argument", INTEGERS.values(), ids=INTEGERS)
each_real = pytest.mark.parametrize("argument", REAL_NUMBERS.values(), ids=REAL_NUMBERS)


@each_integer
@pytest.mark.parametrize("kind", [np.int64, np.int16])
def test_integers_of_numpy_do_what_those_of_python_do(argument, kind):
    assert repr(argument.call(kind(argument.good))) == repr(argument.call(argument.good))


@each_integer
@pytest.mark.parametrize("value", [True, 1.5, "3", 0, -1], ids=repr)
def test_what_is_not_such_an_integer_is_refused(argument, value):
    if value in argument.taken:
        argument.call(value)
    else:
        argument.refuses(value)


@each_real
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_numbers_of_numpy_do_what_those_of_python_do(argument, kind):
    assert repr(argument.call(kind(argument.good))) == repr(argument.call(argument.good))


@each_real
def test_integers_are_real_numbers(argument):
    if argument.good > 1:
        expected = repr(argument.call(2.0))
        assert [repr(argument.call(two)) for two in (2, np.int16(2))] == [expected] * 2


@each_real
@pytest.mark.parametrize("value", [True, "3", 0, -1, np.nan, np.inf, 10**400], ids=repr)
def test_what_is_not_such_a_number_is_refused(argument, value):
    if value in argument.taken:
        argument.call(value)
    else:
        argument.refuses(value)


def test_an_encoder_of_short_integers_counts_all_its_inputs():
    encoder = EventEncoder(np.int16(240), np.int16(180), step=1000)
    assert encoder.n_inputs == 86400
    assert encoder == EventEncoder(240, 180, step=1000)
    assert {type(value) for value in (encoder.width, encoder.height, encoder.step)} == {int}
    assert encoder.encode(EVENTS, np.int16(2)).shape == (2, 86400)


def test_a_short_number_of_features_leaves_room_for_the_intercept():
    pytest.importorskip("river", reason="river is not installed")
    river = import_module("spikebp_plugins.river")
    model = river.SpikingMLPClassifier(np.int8(127), np.int8(2))
    assert model.checkpoint.net.layer_sizes == (128, 100, 200, 2)


def test_text_and_booleans_of_numpy_become_plain():
    net = SpikingMLP((2, 2), timing=np.str_("pipelined"), bounded=np.bool_(True))
    assert (type(net.timing), net.bounded) == (str, True)
    assert type(EventEncoder(2, 2, 10, np.str_("signs")).polarity) is str


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boolean("clip", 1), "clip must be True or False; got 1"),
        (lambda: choice("update", ["x"], ("a",)), "update must be 'a'; got ['x']"),
        (lambda: choice("update", EYE[0], "ab"), "update must be one of 'a', 'b'; got array("),
        (lambda: choice("update", "x", "ab", "here"), "update must be one of 'a', 'b' here; got"),
        (lambda: sizes("layers", (3, 0), "sizes"), "layers must be sizes; got (3, 0)"),
        (lambda: sizes("layers", np.array(3), "sizes"), "layers must be sizes; got array(3)"),
        (lambda: array_of("x", [[1], [2, 3]], REALS, "reals"), "x must be reals; got a ragged ar"),
        (lambda: array_of("x", [True], REALS, "reals"), "x must be reals; got an array of bool"),
        (lambda: finite("x", np.array([1.0, -np.inf, np.nan])), "x must be finite; got -inf"),
        (lambda: finite("x", np.array(np.nan), "a number"), "x must be a number; got nan"),
    ],
)
def test_the_message_says_what_is_allowed_and_what_came(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_what_is_allowed_comes_back():
    assert choice("bias", None, (None, "input")) is None
    assert sizes("layers", np.array([3, 2], np.uint8), "sizes") == (3, 2)
    assert sizes("layers", (), "sizes") == ()
    array = np.arange(3)
    assert finite("x", array_of("x", array, REALS, "reals")) is array


MASKED = {
    "x": lambda: Simulator(NET, "reference").predict(masked([[1.0] * 3])),
    "y": lambda: Simulator(NET, "reference").train([[1.0] * 3], masked([1])),
    "weights of layer 1": lambda: Simulator(NET, weights=[masked(np.ones((3, 2)))]),
    "events": lambda: SENSOR.encode(masked(EVENTS)),
}


def masked(values):
    """Return a masked array whose last value is masked; of an event, that is its polarity."""
    array = np.ma.masked_array(values)
    if array.dtype.names:
        array["p"][-1] = np.ma.masked
    else:
        array[..., -1] = np.ma.masked
    return array


@pytest.mark.parametrize("name", MASKED)
def test_masked_values_are_refused(name):
    with pytest.raises(ArgumentError, match=f"^{name} must be .*, without masked values; got a m"):
        MASKED[name]()


def test_masked_arrays_without_masked_values_are_arrays():
    x = np.ma.masked_array([[1.0] * 3])
    sims = (Simulator(NET, "reference") for _ in range(2))
    first, second = (sim.predict(given) for sim, given in zip(sims, (x, x.data), strict=True))
    assert (first == second).all()
