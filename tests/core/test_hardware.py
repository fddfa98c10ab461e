"""The report of what a network needs of a chip, and the numbers of a chip where they differ."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    UnsupportedError,
)
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.network.checkpoint import from_arrays, to_arrays
from spikebp_plugins.network.draws import draw_key, draws_of
from spikebp_plugins.simulation.core_limits import CoreLimits
from spikebp_plugins.simulation.hardware_report import bits_of, by_quantity, hardware_report
from tests.core.literal_synapses import synapses_of
from tests.core.small_nets import lively_weights, samples, small_net
from tests.core.test_cli import folder, run, run_json

__all__ = ["folder"]

CHIP = {"arithmetic": "loihi2", "weight_exponent": -6}


def trained(net, n=30):
    x, y = samples(net, n)
    with Simulator(net, "reference", lively_weights(net)) as sim:
        sim.train(x, y)
        return sim.checkpoint(), x, y


def seen(report, quantity, layer):
    (width,) = (w for w in by_quantity(report.widths)[quantity] if w.layer == layer)
    return width


@pytest.mark.parametrize(
    ("values", "bits"),
    [((0, 0), 1), ((-1, 0), 1), ((0, 1), 2), ((-2, 1), 2), ((-128, 127), 8), ((0, 128), 9)],
)
def test_bits_are_those_of_the_smallest_signed_integer(values, bits):
    assert bits_of(*values) == bits
    low, high = values
    assert -(2 ** (bits - 1)) <= low
    assert high < 2 ** (bits - 1)


@pytest.mark.parametrize("fields", [{}, {"timing": "pipelined"}, {"spikes": "binary"}, CHIP])
def test_extremes_are_those_of_a_recorded_run(fields):
    net = small_net(**fields)
    checkpoint, x, y = trained(net)
    report = hardware_report(checkpoint, x, y)
    with checkpoint.simulate("reference") as sim:
        trace = sim.train(x, y, record=True)
        operations = sim.operations
    for l in range(net.n_layers + 1):
        spikes = seen(report, "spikes in a step", l)
        assert (spikes.lowest, spikes.highest) == (
            min(0, trace.spikes[l].min()),
            max(0, trace.spikes[l].max()),
        )
        if l < net.n_layers:
            counts = trace.spikes[l].cumsum(axis=1)
            assert seen(report, "spikes in a sample", l).highest == counts.max()
        if l > 0:
            assert seen(report, "errors in a step", l).highest == max(0, trace.errors[l].max())
    drive = trace.step_scores * np.arange(1, net.n_steps + 1)[:, np.newaxis]
    units = np.rint(np.ldexp(drive, net.fraction_bits))
    assert seen(report, "summed drive", net.n_layers).highest == max(0, units.max())
    assert report.operations == operations
    assert report.steps_per_sample == net.n_steps + (
        2 * net.n_layers - 1 if net.timing == "pipelined" else 0
    )
    assert report.neurons == 14
    assert report.synapses == 15 + 2 * 20 + 2 * 8


def test_prediction_alone_has_no_errors_and_leaves_weights_as_they_are():
    checkpoint, x, _ = trained(small_net())
    report = hardware_report(checkpoint, x)
    assert "errors in a step" not in by_quantity(report.widths)
    units = np.ldexp(checkpoint.state.weights[0], checkpoint.net.fraction_bits)
    assert seen(report, "weight", 1).highest == max(0, units.max())
    assert report.operations.update == 0


@pytest.mark.parametrize("largest", [0.9, 1.0, 127 / 128, 127 / 64, 0.01])
def test_the_weight_exponent_is_the_smallest_that_reaches_all_weights(largest):
    net = small_net((1, 1))
    with Simulator(net, "reference", [[[largest]]]) as sim:
        report = hardware_report(sim.checkpoint(), [[0.0]])
        weight = sim.weights[0].item()
    assert weight <= 127 * 2.0**report.weight_exponent
    assert weight > 127 * 2.0 ** (report.weight_exponent - 1)


def test_saturating_values_are_counted():
    net = small_net((2, 1), **CHIP)
    with Simulator(net, "reference", [[[1.9], [0.0]]]) as sim:
        report = hardware_report(sim.checkpoint(), [[3000.0, 0.0]])
    # The first input holds what it can, fires 127 spikes a step, and is at its limit ever after.
    assert seen(report, "spikes in a step", 0).saturating == 0.5
    assert seen(report, "spikes in a sample", 0).saturating == 0.5
    assert seen(report, "weight", 1).saturating == 0.0
    assert seen(report, "drive of a step", 1).saturating == 0.0


def test_a_report_needs_a_sample():
    checkpoint, x, _ = trained(small_net())
    with pytest.raises(ValueError, match="x must be at least one sample"):
        hardware_report(checkpoint, x[:0])


PIPELINED = {"timing": "pipelined", **CHIP}

NO_WAVE = (
    "timing='immediate' cannot run on a chip, where layers hear of each other one step later: use "
    "timing='pipelined'."
)
NO_DRIVE = (
    "presynaptic='drive' cannot run on a chip, whose synapses learn from spikes: use "
    "presynaptic='counts'."
)


def layers_of(report, *names):
    return [[getattr(layer, name) for name in names] for layer in report.layers]


def test_a_definition_has_a_report_of_its_sizes():
    net = small_net(**PIPELINED)
    report = hardware_report(net)
    # Errors travel from layer 3 to 2 and from 2 to 1, through synapses of their own.
    assert layers_of(report, "layer", "neurons", "synapses", "fan_in", "fan_out", "axons_in") == [
        [0, 3, 0, 0, 5, 0],
        [1, 5, 3 * 5 + 4 * 5, 3 + 4, 4, 3 + 4],
        [2, 4, 5 * 4 + 2 * 4, 5 + 2, 2 + 5, 5 + 2],
        [3, 2, 4 * 2, 4, 4, 4],
    ]
    assert layers_of(report, "axons_out", "cores") == [[3, 1], [5, 1], [8, 1], [2, 1]]
    assert layers_of(report, "state_memory", "synapse_memory", "learning_memory") == [
        [3 * 3, 0, 0],
        [5 * 9, 35, (3 + 4) + 5 * 2],
        [4 * 9, 28, (5 + 2) + 4 * 2],
        [2 * 9, 8, 4 + 2],
    ]
    assert sum(layer.synapses for layer in report.layers) == report.synapses
    assert report.cores == 4
    assert report.obstacles == ()
    assert report.operations.samples == report.samples_seen == 0
    assert by_quantity(report.widths).keys() == {"weight"}
    with Simulator(net) as sim:
        assert hardware_report(sim.checkpoint()) == report


def test_random_feedback_does_not_learn():
    report = hardware_report(small_net(feedback="random"))
    assert layers_of(report, "learning_memory") == [[0], [3 + 5], [5 + 4], [4 + 2]]


@pytest.mark.parametrize(
    ("fields", "largest"), [({"spikes": "binary"}, 1), (CHIP, 127), ({}, None)], ids=str
)
def test_messages_are_those_that_the_definition_allows_or_those_seen(fields, largest):
    net = small_net(**fields)
    assert layers_of(hardware_report(net), "largest_message") == [[largest]] * 4
    checkpoint, x, y = trained(net)
    report = hardware_report(checkpoint, x, y)
    assert report.samples_seen == 30
    for layer in report.layers:
        seen_here = [
            w
            for name in ("spikes in a step", "errors in a step")
            for w in by_quantity(report.widths)[name]
            if w.layer == layer.layer
        ]
        assert layer.largest_message == max(max(-w.lowest, w.highest) for w in seen_here) > 0


@pytest.mark.parametrize("memory", [200, 500, 1_000, 5_000])
@pytest.mark.parametrize("neurons", [1, 3, 1_000])
def test_cores_are_the_fewest_that_hold_a_layer(memory, neurons):
    net = small_net((30, 40, 20, 10), **PIPELINED)
    report = hardware_report(net, core=CoreLimits(neurons=neurons, memory=memory, cores=10_000))
    assert report.obstacles == ()
    for layer in report.layers:
        shared = layer.axons_in  # a trace of each axon, on every core
        of_neuron = (layer.memory - layer.cores * shared) // layer.neurons

        def hold(cores, layer=layer, shared=shared, of_neuron=of_neuron):
            on_one = -(-layer.neurons // cores)
            return on_one <= neurons and on_one * of_neuron + shared <= memory

        assert hold(layer.cores)
        assert layer.cores == 1 or not hold(layer.cores - 1)
    above = report.layers[1].cores
    assert report.layers[0].axons_out == 30 * above
    assert report.layers[2].axons_out == 20 * (above + report.layers[3].cores)
    assert report.cores == sum(layer.cores for layer in report.layers)


@pytest.mark.parametrize(
    ("limits", "fields", "sentence"),
    [
        (
            {},
            {"timing": "immediate"},
            NO_WAVE,
        ),
        (
            {},
            {"presynaptic": "drive", "timing": "immediate"},
            NO_DRIVE,
        ),
        (
            {"memory": 24},
            {},
            "Layer 1 does not fit: it needs 25 bytes for one neuron alone, and a core has 24.",
        ),
        (
            {"axons": 6},
            {},
            "Layer 2 does not fit: it receives from 7 units, and a core from 6.",
        ),
        (
            {"message_bits": 7},
            CHIP,
            "Layer 0 does not fit: it sends messages of 8 bits, and a message has 7.",
        ),
        ({"neurons": 1, "cores": 13}, {}, "It takes 14 cores, and a chip has 13."),
    ],
    ids=str,
)
def test_a_report_says_what_keeps_a_network_from_a_chip(limits, fields, sentence):
    report = hardware_report(
        small_net(**{"timing": "pipelined"} | fields), core=CoreLimits(**limits)
    )
    assert sentence in report.obstacles
    assert sentence in str(report)
    assert json.loads(json.dumps(report.to_dict()))["obstacles"] == list(report.obstacles)


def test_a_layer_that_fits_on_no_core_has_no_number_of_cores():
    report = hardware_report(small_net(**PIPELINED), core=CoreLimits(axons=6))
    assert layers_of(report, "cores", "axons_out") == [
        [1, None], [None, None], [None, None], [1, None],
    ]  # fmt: skip
    assert report.cores is None
    assert "does not fit" in str(report)


def test_a_printed_report_has_every_number(capsys):
    net = small_net((30, 40, 20, 10), **PIPELINED)
    checkpoint, x, y = trained(net, 5)
    for report in (hardware_report(net), hardware_report(checkpoint, x, y)):
        print(report)
        printed = capsys.readouterr().out
        numbers = printed.replace(",", "").split()
        for layer in report.layers:
            assert {str(v) for v in vars(layer).values()} <= {*numbers, "None"}
        for width in report.widths:
            assert width.quantity in printed
        assert ("before any training" in printed) == (report.samples_seen == 0)
        assert ("No samples were shown" in printed) == (report.operations.samples == 0)
        assert len({len(line) for line in printed.splitlines() if line.startswith("neurons ")}) <= 2


#: A kernel that leaves out pixels, borders, a pool, drawn pairs.
IMAGES = SpikingNetwork.paper(
    (7, 6, 2),
    [Conv2D(3, 3, stride=2, padding=1), AveragePool2D(2), Sparse(6, density=0.4), Dense(4)],
    n_steps=3,
    learning_rate=0.05,
    timing="pipelined",
)


def literal_needs(net, neurons, memory, axons):
    """Return what each layer takes, from its synapses one by one."""
    L, sizes, synapses = net.n_layers, net.layer_sizes, [None, *synapses_of(net)]
    learns = [None, *(type(layer).__name__ != "AveragePool2D" for layer in net.layers)]
    of_drive = 3 if net.presynaptic == "drive" else 1
    needs, lines = [], [0] * (L + 1)
    for l in range(L + 1):
        heard = [set() for _ in range(sizes[l])]  # (layer, unit, bytes of its trace)
        factors = 0
        if l > 0:
            factors += learns[l]
            for i, j, *_ in synapses[l]:
                heard[j].add((l - 1, i, of_drive * learns[l]))
        if 0 < l < L:
            follows = learns[l + 1] and net.feedback == "transpose"
            factors += follows
            for i, j, *_ in synapses[l + 1]:
                heard[i].add((l + 1, j, 1 * follows))
        cores = [(0, 0, set())]
        states = 3 if l == 0 else 9
        for of_unit in heard:
            size = states + factors + len(of_unit)
            for fresh in (False, True):
                n, used, known = (0, 0, set()) if fresh else cores[-1]
                union = known | of_unit
                held = used + size + sum(trace for *_, trace in union)
                if n < neurons and held <= memory and (axons is None or len(union) <= axons):
                    cores = [*(cores if fresh else cores[:-1]), (n + 1, used + size, union)]
                    break
        for *_, known in cores:
            for layer, *_ in known:
                lines[layer] += 1
        needs.append(
            {
                "synapses": sum(map(len, heard)),
                "fan_in": max(map(len, heard)),
                "axons_in": len(set().union(*heard)),
                "state_memory": states * sizes[l],
                "learning_memory": factors * sizes[l]
                + sum(trace for *_, known in cores for *_, trace in known),
                "cores": len(cores),
            }
        )
    return [need | {"axons_out": n} for need, n in zip(needs, lines, strict=True)]


@pytest.mark.parametrize(
    ("neurons", "memory", "axons"),
    [(8192, 10_000, None), (5, 10_000, None), (50, 100, None), (50, 10_000, 25), (7, 130, 30)],
)
@pytest.mark.parametrize(
    "fields", [{}, {"feedback": "random"}, {"presynaptic": "drive", "timing": "immediate"}], ids=str
)
def test_layers_of_any_connections_are_placed_in_the_order_of_their_neurons(
    neurons, memory, axons, fields
):
    net = IMAGES.replace(**fields)
    limits = CoreLimits(neurons=neurons, memory=memory, axons=axons, cores=10_000)
    report = hardware_report(net, core=limits)
    for layer, literal in zip(
        report.layers, literal_needs(net, neurons, memory, axons), strict=True
    ):
        assert {name: getattr(layer, name) for name in literal} == literal
    assert report.synapses == sum(layer.synapses for layer in report.layers)
    # Padded places, and pixels that no kernel reaches, have no synapses.
    assert (report.layers[0].fan_out, report.layers[1].fan_in) == (12, 19)


def test_shared_weights_are_counted_for_each_synapse_and_cannot_learn_on_a_chip():
    report = hardware_report(IMAGES)
    [shares] = report.obstacles
    assert shares == (
        "Layer 1 shares weights, which no synapse can learn by itself: on a chip the network "
        "predicts, with a weight for each synapse."
    )
    synapses = [len(of_layer) for of_layer in synapses_of(IMAGES)]
    notes = report.notes()
    for l, text in ((1, f"54 weights for {synapses[0]}"), (2, f"1 weight for {synapses[1]}")):
        assert any(note.startswith(f"Layer {l} has {text} synapses: memory") for note in notes)
    assert any("in the order of their numbers" in note for note in notes)
    assert str(report).startswith("7x6x2-4x3x3-2x1x3-6-4: what each layer takes")
    sparse = hardware_report(IMAGES.replace(input_shape=(84,), layers=[Sparse(6, 0.5), Dense(4)]))
    assert sparse.obstacles == ()
    assert not any("synapses: memory" in note for note in sparse.notes())


def test_the_constant_weights_of_a_pool_are_among_those_that_a_chip_holds():
    random = np.random.RandomState(0)
    x, y = random.uniform(0, 3, (4, 84)), random.randint(0, 4, 4)
    weights = [0.01 * random.standard_normal(shape) for shape in IMAGES.weight_shapes]
    with Simulator(IMAGES, "reference", weights) as sim:
        checkpoint = sim.checkpoint()
    report = hardware_report(checkpoint, x, y)
    pool = seen(report, "weight", 2)
    assert pool.highest == 2 ** (IMAGES.fraction_bits - 2)
    assert report.weight_exponent == -8  # 127 / 256 is the first that reaches 1/4
    with checkpoint.simulate("reference") as sim:
        sim.train(x, y)
        assert report.operations == sim.operations


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (
            {"memory": 45},
            "Layer 1 does not fit: it needs 47 bytes for one neuron alone, and a core",
        ),
        ({"axons": 18}, "Layer 1 does not fit: it receives from 19 units, and a core from 18."),
    ],
)
def test_the_neuron_with_the_most_synapses_decides_whether_a_layer_fits(limits, sentence):
    report = hardware_report(IMAGES, core=CoreLimits(**limits))
    assert any(obstacle.startswith(sentence) for obstacle in report.obstacles)
    assert report.layers[1].cores is None
    assert report.layers[0].axons_out is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("neurons", 0), ("memory", None), ("message_bits", 1.5), ("axons", 0), ("cores", "128")],
)
def test_limits_are_positive_integers(name, value):
    message = f"{name} must be an integer of at least 1; got {value!r}"
    with pytest.raises(ValueError, match=message):
        CoreLimits(**{name: value})


def test_wrong_arguments_of_a_report_are_refused():
    net = small_net()
    for arguments, options, message in (
        (
            (net.layer_sizes,),
            {},
            r"checkpoint must be a SpikingMLP or a SpikingNetwork or a Checkpoint; got \(3, 5",
        ),
        ((net,), {"y": [0]}, "y must be None without x; got targets"),
        ((net,), {"core": 8192}, "core must be a CoreLimits or None; got 8192"),
    ):
        with pytest.raises(ValueError, match=message):
            hardware_report(*arguments, **options)


def test_the_command_reports_on_a_definition(folder):
    options = ("--layers", "12", "--steps", "5", "--samples", "2", "--core-neurons", "50")
    report = run_json("hardware-report", *options, "--core-memory", "30000")
    assert report["definition"]["layer_sizes"] == [64, 12, 10]
    assert [layer["cores"] for layer in report["layers"]] == [2, 1, 1]
    limits = report["cores"]["limits"]
    assert (limits["neurons"], limits["memory"]) == (50, 30_000)
    shown = run("hardware-report", *options).stdout
    for text in ("bytes for learning", "timing='immediate' cannot run", "before any training"):
        assert text in shown
    Simulator(SpikingMLP.paper((64, 10)), "reference").save("net.npz")
    refused = run("hardware-report", "net.npz", "--layers", "3", "--steps", "2", exit_code=2).stderr
    assert refused == (
        "error: options of the network must be left out with a checkpoint; got layers, n_steps\n"
    )


def test_the_command_reports_the_same_as_the_function(folder):
    options = ("--layers", "12", "--steps", "5", "--timing", "pipelined", "--arithmetic", "loihi2")
    run("train", *options, "--weight-exponent", "-7", "--epochs", "1", "--save", "net.npz")
    assert Checkpoint.load("net.npz").net.weight_exponent == -7
    report = run_json("hardware-report", "net.npz", "--samples", "20")
    assert report["definition"] == Checkpoint.load("net.npz").net.to_dict()
    assert report["operations"]["samples"] == 20
    shown = run("hardware-report", "net.npz", "--samples", "20").stdout
    assert "8-bit weights with weight_exponent=-7" in shown
    assert "Simulated" in shown
    for width in report["widths"]:
        assert width["quantity"] in shown
    quiet = run_json("hardware-report", "net.npz", "--samples", "20", "--no-learn")
    assert quiet["operations"]["update"] == 0
    assert json.dumps(quiet)


def test_the_command_refuses_no_samples(folder):
    run("train", "--layers", "", "--epochs", "0", "--save", "net.npz")
    message = "error: samples must be an integer of at least 1; got 0"
    assert run("hardware-report", "net.npz", "--samples", 0, exit_code=2).stderr.startswith(message)


def test_weights_that_enter_are_rounded_and_saturate():
    net = small_net((1, 5), arithmetic="loihi2", weight_exponent=-2, fraction_bits=4)
    with Simulator(net, weights=[[[0.125, 0.375, -99.0, 99.0, 0.3]]]) as sim:
        assert_array_equal(sim.weights[0], [[0.0, 0.5, -32.0, 31.75, 0.25]])


def test_the_numbers_that_round_are_uniform_and_differ_from_place_to_place():
    draws = draws_of(draw_key(0, 0, 1, 1), (500, 400))
    assert draws.min() >= 0
    assert draws.max() < 2**16
    # The mean of 200,000 uniform numbers has a standard deviation of 42.
    assert abs(draws.mean() - 2**15) < 5 * 42
    assert np.bincount(draws.ravel() >> 12, minlength=16).min() > 11_500
    for other in [(1, 0, 1, 1), (0, 1, 1, 1), (0, 0, 2, 1), (0, 0, 1, 2)]:
        assert (draws_of(draw_key(*other), (500, 400)) == draws).mean() < 1e-3


@pytest.mark.filterwarnings("ignore:.* it learns too slowly")
def test_a_rate_far_below_the_last_bit_still_teaches_on_average():
    net = small_net((1, 1), n_steps=1, learning_rate=2.0**-12, **CHIP)
    assert net.rate_units == 2 ** (16 + 6 - 12)
    # Every sample has one spike and one error of -1: 1/64 of the last bit, upward.
    with Simulator(net, "compiled", [[[0.0]]]) as sim:
        sim.train(np.ones((64 * 20, 1)), np.ones((64 * 20, 1)))
        steps = np.ldexp(sim.weights[0].item(), 6)
    assert 5 < steps < 40


def test_the_definition_says_what_a_chip_has_not():
    for fields, message in (
        ({"update": "outer"}, "update must be 'fractional' with arithmetic='loihi2'; got 'outer'"),
        ({"presynaptic": "drive"}, "presynaptic must be 'counts' with arithmetic='loihi2'"),
        ({"fraction_bits": 17}, "fraction_bits must be an integer from 1 to 16; got 17"),
        ({"weight_exponent": 0}, "weight_exponent must be an integer from -12 to -1; got 0"),
        ({"learning_rate": 1e-9}, "learning_rate must be above"),
        ({"learning_rate": 1e6}, "learning_rate must be above"),
    ):
        with pytest.raises(ValueError, match="must be") as refusal:
            SpikingMLP.paper((2, 2), arithmetic="loihi2", **fields)
        assert str(refusal.value).startswith(message)
    with pytest.raises(ValueError, match="weight_exponent must be None with arithmetic='fixed'"):
        SpikingMLP.paper((2, 2), weight_exponent=-7)


def test_a_definition_changes_into_the_numbers_of_a_chip_and_back():
    net = SpikingMLP.paper((3, 2), learning_rate=0.02)
    chip = net.replace(arithmetic="loihi2")
    assert (chip.fraction_bits, chip.weight_exponent) == (12, -9)
    assert chip.replace(arithmetic="fixed") == net
    assert SpikingMLP.from_dict(chip.to_dict()) == chip


def test_a_message_of_more_than_127_spikes_is_refused_as_input():
    net = small_net((1, 1), input_coding="spikes", **CHIP)
    x = np.full((1, net.n_steps, 1), 128)
    with pytest.raises(ValueError, match="x must be spike counts of at most 127 with arithmetic="):
        Simulator(net).train(x, [0])


def test_a_checkpoint_with_other_weights_than_8_bits_is_refused():
    arrays = to_arrays(trained(small_net(**CHIP))[0])
    arrays["weights_1"] = np.full_like(arrays["weights_1"], 128, np.int16)
    with pytest.raises(ValueError, match="weights_1 must lie from -128 to 127"):
        from_arrays("file", arrays)


def test_where_nothing_saturates_no_sample_needs_the_reference(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a sample was left to the reference")

    monkeypatch.setattr(EngineBackend, "_by_reference", refuse)
    net = small_net((10, 8, 4), **CHIP)
    x, y = samples(net, 50)
    with Simulator(net, weights=lively_weights(net)) as sim:
        sim.train(x, y)


def test_streams_of_a_chip_run_in_the_reference_and_learn_the_same():
    net = small_net(**CHIP)
    x, y = samples(net, 5)
    with Simulator(net, "reference", lively_weights(net)) as sim:
        stream = sim.stream()
        for values, label in zip(x, y, strict=True):
            stream.show(values, target=label, n_steps=net.n_steps)
            stream.close_sample()
        streamed = sim.weights
    with Simulator(net, "compiled", lively_weights(net)) as sim:
        sim.train(x, y)
        for one, other in zip(sim.weights, streamed, strict=True):
            assert_array_equal(one, other)
        with pytest.raises(UnsupportedError, match="single steps run on backend='reference'"):
            sim.stream()
        with sim.checkpoint().simulate("reference") as expected:
            for found, wanted in zip(
                sim.predict(x, margin=1.0), expected.predict(x, margin=1.0), strict=True
            ):
                assert_array_equal(found, wanted)
