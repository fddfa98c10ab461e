"""What one sample can teach is bounded: the limits, by hand, on every engine of the core."""

import numpy as np
import pytest

from spikebp_plugins import Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork
from spikebp_plugins.network.learning_rule import MOST_PER_STEP, UNLIMITED
from tests.core.small_nets import ENGINES

ALL = pytest.mark.parametrize("engine", [*ENGINES, "c"])
UNIT = 2.0**-20


def counting_net(update, **changes):
    """Return a network that is told how many spikes its input sends, with a rate of units."""
    fields = {"n_steps": 2, "learning_rate": 2.0, "fraction_bits": 20, "input_coding": "spikes"}
    rule = {"update": update, "bounded": True, "layer_sizes": (1, 1)}
    return SpikingMLP.paper(**(fields | rule | changes))


def taught(sim, counts, target):
    """Return how much W_1 changes in a sample, in units of the last place."""
    before = sim.weights[0][0, 0]
    if len(counts) == sim.net.n_steps:
        sim.train(np.array(counts)[np.newaxis, :, np.newaxis], [[target]])
    else:
        stream = sim.stream()
        for count in counts:
            stream.show([count], target=[target])
        stream.close_sample()
    return (sim.weights[0][0, 0] - before) / UNIT


LONG = pytest.mark.parametrize("engine", ENGINES)


@ALL
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("counts", "limit"), [((100, 0), 32), ((9, 90), 32)])
def test_counts_of_usual_samples_are_cut_off(engine, sign, counts, limit):
    check_normalized(engine, sign, counts, limit)


@LONG
@pytest.mark.parametrize("sign", [1, -1])
def test_counts_of_longer_samples_are_cut_off_later(engine, sign):
    check_normalized(engine, sign, (100, 0, 0), 48)


def check_normalized(engine, sign, counts, limit):
    """Check that counts are cut off in the rate and in the change."""
    with Simulator(counting_net("normalized"), engine, [[[0.0]]]) as sim:
        R, N = 2 * 2**20, 4 * 2**2 + limit**2
        change = taught(sim, [sign * count for count in counts], 1.0)
    assert change == sign * (R // N) * limit * len(counts)


@ALL
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("rate", "counts", "each_step", "once"),
    [
        (5, (1, 0), 1 + 1, 2 * 1),  # a gain of 1.25, the largest
        (5 + 2**-18, (1, 0), 0, 0),  # one unit of the last place more
        (5, (1, 1), 1, 0),  # too many counts in the second step, and in the sample
        (5, (3, -2), 1, 2 * 1),  # too many in the first step
        (1 / 4, (4, 0), 4 + 4, 2 * 4),
        (1 / 4, (4, 1), 4, 0),
        (1 / 4, (10**9, 0), 0, 0),
        (2**-16, (50_000, 0), 0, 0),  # whose square 32 bits do not hold
    ],
)
def test_a_fixed_rate_teaches_up_to_a_gain(engine, sign, rate, counts, each_step, once):
    check_fixed_rate(engine, rate, [sign * c for c in counts], sign * each_step, sign * once)


@LONG
def test_the_gain_may_be_larger_the_more_steps_learn(engine):
    check_fixed_rate(engine, 7, (1, 0, 0), 1, 0)  # 1.75, which is below 3 / 2 * 1.25
    check_fixed_rate(engine, 7.5, (1, 0, 0, 0), 1 + 1, 0)
    check_fixed_rate(engine, 5, (1, 0, 0), 3, 3)


def check_fixed_rate(engine, rate, counts, each_step, once):
    """Check what counts teach, each step or all at once, where the error of each step is -1."""
    for update, change in (("fractional", each_step), ("outer", once)):
        net = counting_net(update, learning_rate=rate)
        with Simulator(net, engine, [[[0.0]]]) as sim:
            assert taught(sim, counts, 1.0) == net.rate_units * change


@ALL
def test_each_connection_has_a_gain_of_its_own(engine):
    # With a weight of 8 the unit in the middle sends too much for the connection above.
    net = counting_net("fractional", n_steps=1, learning_rate=1.0, layer_sizes=(1, 1, 1))
    for weight, learns in ((1.0, True), (8.0, False)):
        with Simulator(net, engine, [[[weight]], [[1.0]]]) as sim:
            sim.train([[[1]]], [[0.0]])
            change = np.array([w[0, 0] for w in sim.weights]) - (weight, 1.0)
            assert change.tolist() == [-weight, -weight * learns]
            assert sim.operations.update == 1 + learns


@ALL
@pytest.mark.parametrize(("gain", "learns"), [(1.25, True), (1.3, False)])
def test_a_unit_below_several_places_of_a_kernel_counts_as_often(engine, gain, learns):
    # The kernel lies on corners once, on the unit in the middle four times, on others twice.
    net = SpikingNetwork.paper(
        (3, 3), [Conv2D(1, 2), Dense(2)], n_steps=1, input_coding="spikes", update="outer",
        bounded=True, learning_rate=gain / (4 * 1 + 4 * 2 + 4), fraction_bits=20,
    )  # fmt: skip
    weights = [np.full(shape, 1.0) for shape in net.weight_shapes]
    with Simulator(net, engine, weights) as sim:
        sim.train(np.ones((1, 1, 9), int), [[0.0, 0.0]])
        assert np.any(sim.weights[0] != weights[0]) == learns


@ALL
@pytest.mark.parametrize(
    ("label_targets", "limit"), [((0.0, 1.0), 16), ((0.0, 20.25), 41), ((-30.0, 1.0), 60)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_errors_of_the_output_are_cut_off_above_what_labels_ask(engine, label_targets, limit, sign):
    net = counting_net("normalized", n_steps=1, learning_rate=2.0, label_targets=label_targets)
    rate = net.rate_units // (4 + 1)
    weight, target = (500.0, 0.0) if sign > 0 else (0.0, 500.0)
    with Simulator(net, engine, [[[weight]]]) as sim:
        assert taught(sim, [1], target) == -sign * rate * limit
        assert sim.predict([[[1]]]).tolist() == [[weight - sign * rate * limit * UNIT]]


@LONG
def test_summed_errors_of_hidden_layers_are_cut_off_for_usual_steps(engine):
    net = SpikingMLP.paper(
        (1, 1, 1), n_steps=2, spikes_per_unit=4, update="normalized", learning_rate=2.0,
        fraction_bits=20, label_targets=(0.0, 300.0),
    )  # fmt: skip
    with Simulator(net, engine, [[[1.0]], [[32.0]]]) as sim:
        stream = sim.stream()
        for _ in range(3):
            stream.show([1 / 4], target=[0.0])
        stream.close_sample()
        changed = (sim.weights[0][0, 0] - 1) / UNIT
    # Three spikes in, three out, each of them 32 spikes of the output too many: 32 times 96.
    rate = (net.rate_units >> 2) // (4 * 8**2 + 3**2)
    assert changed == -rate * 3 * 8 * 2 * 4


@ALL
@pytest.mark.parametrize("as_pixels", [False, True])
@pytest.mark.parametrize("make", [SpikingMLP, SpikingMLP.graded])
def test_samples_that_follow_each_other_go_on_from_what_was_sent(engine, as_pixels, make):
    # In each sample few inputs change, and in some of them one is far too large.
    random = np.random.RandomState(3)
    net = make((12, 6, 3), n_steps=1, weight_init="he", learning_rate=2.0**-9, input_scale=1 / 25)
    x = np.repeat(random.randint(0, 50, (1, 12)), 40, axis=0)
    x[np.arange(40), random.randint(0, 12, 40)] += random.choice([0, 9, 200], 40)
    x, y = x.astype(np.uint8 if as_pixels else np.float64), random.randint(0, 3, 40)
    with Simulator(net, "reference") as ref, Simulator(net, engine) as sim:
        for part in (slice(20), slice(20, 40)):
            assert sim.train(x[part], y[part], record=True).diff(
                ref.train(x[part], y[part], record=True)
            ) is None  # fmt: skip
            assert sim.checkpoint() == ref.checkpoint()
            assert sim.operations == ref.operations


@pytest.mark.parametrize("make", [SpikingMLP, SpikingMLP.graded])
@pytest.mark.parametrize("value", [30.0, 1e3, -1e4, 1e6])
def test_a_wrong_reading_undoes_nothing(make, value):
    # Two classes on two sides of a line: easy to learn, and to lose.
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (600, 4))
    y = (x @ [1.0, -1.0, 0.5, 0.0] > 0).astype(int)
    with Simulator(make((4, 20, 2))) as sim:
        sim.train(x, y)
        right = np.mean(sim.predict(x).argmax(axis=1) == y)
        assert right > 0.85
        wrong = x[:1].copy()
        wrong[0, 1] = value
        sim.train(wrong, y[:1])
        assert np.mean(sim.predict(x).argmax(axis=1) == y) > right - 0.05


def test_normalized_and_graded_networks_are_bounded():
    assert SpikingMLP((3, 2)).bounded
    assert SpikingMLP.paper((3, 2), update="normalized").bounded
    assert SpikingMLP.graded((3, 2)).bounded
    paper = SpikingMLP.paper((3, 2))
    assert not paper.bounded
    assert paper.learning_rule.count_limit == paper.learning_rule.gain_limit == UNLIMITED
    assert paper.replace(update="normalized").replace(update="fractional") == paper
    assert SpikingMLP((3, 2), update="outer", bounded=True).bounded


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"update": "normalized", "bounded": False}, "True with update='normalized'; got False"),
        ({"arithmetic": "loihi2", "bounded": True}, "False with arithmetic='loihi2'; got True"),
        ({"presynaptic": "drive", "bounded": True}, "False with presynaptic='drive'; got True"),
        ({"bounded": 1}, "True or False; got 1"),
    ],
    ids=str,
)
def test_what_cannot_be_bounded_is_refused(fields, allowed):
    with pytest.raises(ValueError, match=f"bounded must be {allowed}"):
        SpikingMLP.paper((3, 2), **fields)


def test_a_limit_stays_an_integer_of_64_bits():
    net = SpikingMLP((3, 2), n_steps=2**20, label_targets=(0.0, 1e12), fraction_bits=8)
    limit = net.learning_rule.weights[0].error_limit
    assert limit == (MOST_PER_STEP * 2**20, MOST_PER_STEP)
    assert limit.after(2**31 - 1) < 2**63
