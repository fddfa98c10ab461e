"""What would be silently wrong in a graph is refused before it starts: other forms, other names."""

import copy
import pickle
import re
from itertools import product

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1HwCfg, Loihi2HwCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from spikebp_plugins import Simulator, UnsupportedError
from tests.with_lava.around import EnclosingProcess
from tests.with_lava.conftest import children
from tests.with_lava.graphs import (
    CHIP,
    N_STEPS,
    NET,
    PIPELINED,
    TAGS,
    Samples,
    assert_same_state,
    configuration,
)

#: The forms of the network, with their definitions and granularities.
FORMS = {
    "leaf": (SpikingMLPProcess, NET, "step"),
    "sample": (SpikingMLPProcess, NET, "sample"),
    "standard": (StandardMLP, PIPELINED, "step"),
}

#: What source or sink may have been made with instead.
OTHERS = {
    "n_steps": {"n_steps": 8},
    "timing": {},
    "n_layers": {"layer_sizes": (9, 8, 3)},
    "fraction_bits": {"fraction_bits": 20},
    "granularity": {},
}


def other(field, net, granularity):
    if field == "timing":
        timing = "pipelined" if net.timing == "immediate" else "immediate"
        return net.replace(timing=timing), granularity
    if field == "granularity":
        return net, "sample" if granularity == "step" else "step"
    return net.replace(**OTHERS[field]), granularity


@pytest.mark.parametrize(
    ("form", "field", "is_within"),
    [
        pytest.param(*case, marks=() if turn % 5 == 0 else pytest.mark.thorough)
        for turn, case in enumerate(product(FORMS, OTHERS, (False, True)))
        if case[1] != "n_layers" or case[0] == "standard"  # else no message is late
    ],
)
def test_source_and_sink_agree_with_the_network(form, field, is_within):
    make, net, granularity = FORMS[form]
    options = {"granularity": granularity} if granularity == "sample" else {}
    for disagrees in ("source", "sink"):
        mlp = make(net, **options)
        around = ("spikes_in", "label_in", "target_in", "summed_drive_out")
        ports = EnclosingProcess(mlp, around) if is_within else mlp
        given = {"source": (net, granularity), "sink": (net, granularity)}
        given[disagrees] = other(field, net, granularity)
        (net_of_source, of_source), (net_of_sink, of_sink) = given.values()
        x = np.ones((1, 9), int)
        # Targets have a unit, and labels have none.
        y, port = ([0], "label") if field != "fraction_bits" else (np.ones((1, 3)), "target")
        source = SampleSource(net_of_source, x, y, granularity=of_source)
        sink = ScoreSink(net_of_sink, 1, granularity=of_sink)
        source.spikes_out.connect(ports.spikes_in)
        getattr(source, f"{port}_out").connect(getattr(ports, f"{port}_in"))
        ports.summed_drive_out.connect(sink.summed_drive_in)
        name = {"source": "SampleSource", "sink": "ScoreSink"}[disagrees]
        with pytest.raises(ValueError, match=f"{field} of {name} .* must be that of the network, "):
            sink.run(RunSteps(1), configuration("floating_pt"))
        assert not children()


@pytest.mark.parametrize("tag", TAGS)
def test_one_source_serves_networks_of_other_grids_and_depths(tag):
    samples = Samples()
    nets = [NET, NET.replace(fraction_bits=24), NET.replace(layer_sizes=(9, 5, 3))]
    source = SampleSource(NET, samples.x, samples.y)
    networks = [SpikingMLPProcess(net) for net in nets]
    for network in networks:
        source.spikes_out.connect(network.spikes_in)
        source.label_out.connect(network.label_in)
    source.run(RunSteps(N_STEPS), configuration(tag))
    source.stop()
    for net, network in zip(nets, networks, strict=True):
        with Simulator(net, "reference") as sim:
            sim.train(samples.x, samples.y)
            assert_same_state(network.checkpoint(), sim.checkpoint().state)


def refused(process, tag, message):
    """Assert that a graph is refused before it starts."""
    with pytest.raises(ValueError, match=re.escape(message)):
        process.run(RunSteps(1), configuration(tag))
    assert not children()


@pytest.mark.parametrize(
    ("y", "port", "allowed"),
    [
        (None, "target_out", "connected with real targets as y alone"),
        ([0, 1], "target_out", "connected with real targets as y alone"),
        (np.ones((2, 3)), "label_out", "connected with labels as y alone, or without y"),
    ],
)
@pytest.mark.parametrize("way", ["direct", "a process between", "a process around"])
def test_a_source_has_what_it_is_to_send(y, port, allowed, way):
    mlp, source = SpikingMLPProcess(NET), SampleSource(NET, np.ones((2, 9), int), y)
    into = port.replace("out", "in")
    ports = EnclosingProcess(mlp, ("spikes_in", into)) if way == "a process around" else mlp
    receiver = getattr(ports, into)
    if way == "a process between":
        between = Dense(weights=np.eye(receiver.shape[0]), num_message_bits=8)
        between.a_out.connect(receiver)
        receiver = between.s_in
    getattr(source, port).connect(receiver)
    source.spikes_out.connect(ports.spikes_in)
    refused(source, "floating_pt", f"{port} of SampleSource {source.name!r} must be {allowed}; got")


#: Networks behind one that has 3 outputs.
AFTER = NET.replace(layer_sizes=(3, 5, 3))
COUNTS_AFTER = AFTER.replace(input_coding="spikes", input_scale=1.0)
CHIP_AFTER = CHIP.replace(layer_sizes=(3, 5, 3), fraction_bits=9)


def in_a_row(first, out, second, into, way):
    """Connect two networks, and return a process to run them by."""
    sender, receiver, runner = getattr(first, out), getattr(second, into), first
    if way == "a virtual port":
        sender = sender.reshape((3, 1)).flatten()
    elif way == "processes around":
        runner, behind = EnclosingProcess(first, (out,)), EnclosingProcess(second, (into,))
        sender, receiver = getattr(runner, out), getattr(behind, into)
    sender.connect(receiver)
    return runner


@pytest.mark.parametrize("way", ["direct", "a virtual port", "processes around"])
@pytest.mark.parametrize(
    ("make", "net", "out", "after", "into", "units"),
    [
        (
            SpikingMLPProcess,
            NET,
            "summed_drive_out",
            AFTER.replace(fraction_bits=20),
            "target_in",
            ("2**-20", "2**-12"),
        ),
        (SpikingMLPProcess, NET, "spikes_out", AFTER, "target_in", ("2**-12", "1")),
        (SpikingMLPProcess, NET, "summed_drive_out", COUNTS_AFTER, "spikes_in", ("1", "2**-12")),
        (StandardMLP, CHIP, "summed_drive_out", CHIP_AFTER, "target_in", ("2**-9", "2**-12")),
    ],
)
def test_networks_hand_on_numbers_of_one_unit(make, net, out, after, into, units, way):
    first, second = make(net), make(after)
    message = (
        f"{into} of {make.__name__} {second.name!r} must be sent numbers in units of {units[0]} in "
        f"fixed_pt; got units of {units[1]} from {out} of {make.__name__} {first.name!r}"
    )
    refused(in_a_row(first, out, second, into, way), "fixed_pt", message)


@pytest.mark.parametrize("way", ["direct", "a virtual port", "processes around"])
@pytest.mark.parametrize("granularities", [("step", "sample"), ("sample", "step"), ("sample",) * 2])
def test_networks_in_a_row_take_step_after_step(granularities, way):
    networks = [
        SpikingMLPProcess(net, granularity=granularity)
        for net, granularity in zip((NET, COUNTS_AFTER), granularities, strict=True)
    ]
    refuses = networks[granularities.index("sample")]
    runner = in_a_row(networks[0], "spikes_out", networks[1], "spikes_in", way)
    message = (
        f"granularity of SpikingMLPProcess {refuses.name!r} must be 'step' where networks are "
        "connected with each other; got 'sample'"
    )
    refused(runner, "floating_pt", message)


@pytest.mark.parametrize("tag", TAGS)
def test_a_network_teaches_another(tag):
    """In floating_pt they may have other grids; the targets are the real drives of each step."""
    bits = NET.fraction_bits + 3 * (tag == "floating_pt")
    taught = NET.replace(learning_rate=0.1, fraction_bits=bits)
    samples = Samples()
    x = samples.x[:, np.newaxis].repeat(NET.n_steps, axis=1)
    with Simulator(NET, "reference", samples.weights) as sim:
        drives = sim.predict(samples.x, record=True).step_scores
    drives = drives * np.arange(1, NET.n_steps + 1)[:, np.newaxis]
    with Simulator(taught, "reference", samples.weights) as sim:
        sim.train(x, drives)
        expected = sim.checkpoint().state
    teacher, student = (SpikingMLPProcess(n, weights=samples.weights) for n in (NET, taught))
    for network in (teacher, student):
        SampleSource(network.net, samples.x).spikes_out.connect(network.spikes_in)
    teacher.summed_drive_out.connect(student.target_in)
    student.run(RunSteps(N_STEPS), configuration(tag))
    student.stop()
    assert_same_state(student.checkpoint(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_sink_counts_steps_and_knows_no_other_ends(form):
    make, net, granularity = FORMS[form]
    options = {"granularity": granularity} if granularity == "sample" else {}
    mlp, sink = make(net, **options), ScoreSink(net, 1, **options)
    mlp.summed_drive_out.connect(sink.summed_drive_in)
    Sender(data=np.ones((1, 9))).s_out.connect(mlp.reset_in)
    message = (
        f"reset_in of {make.__name__} {mlp.name!r} must be unconnected with a ScoreSink, which "
        f"counts n_steps steps to a sample; got ScoreSink {sink.name!r}"
    )
    refused(sink, "floating_pt", message)


@pytest.mark.parametrize("make", [SpikingMLPProcess, StandardMLP])
def test_learning_is_true_or_false(make):
    mlp = make(PIPELINED)
    for value in ("no", 1, None):
        message = f"learning must be True or False; got {value!r}"
        with pytest.raises(ValueError, match=message):
            make(PIPELINED, learning=value)
        with pytest.raises(ValueError, match=message):
            mlp.learning = value
    mlp.learning = np.bool_(False)
    assert mlp.learning is False


@pytest.mark.parametrize("make", [Loihi1HwCfg, Loihi2HwCfg])
@pytest.mark.parametrize("runner", ["network", "source"])
def test_a_chip_is_refused(make, runner):
    mlp, source = SpikingMLPProcess(NET), SampleSource(NET, np.ones((1, 9), int))
    source.spikes_out.connect(mlp.spikes_in)
    message = rf"run_cfg must be Loihi1SimCfg\(...\) or .*; got {make.__name__}"
    with pytest.raises(UnsupportedError, match=message):
        (mlp if runner == "network" else source).run(RunSteps(1), make(select_tag="fixed_pt"))
    mlp.run(RunSteps(1), configuration("fixed_pt"))
    mlp.stop()


@pytest.mark.parametrize("form", FORMS)
def test_what_a_definition_owns_is_no_argument(form):
    make, net, *_ = FORMS[form]
    for name in ("input_scale", "n_steps", "learning_rate", "n_rows"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            make(net, **{name: 1})


@pytest.mark.parametrize("form", FORMS)
def test_an_attribute_that_would_be_ignored_cannot_be_set(form):
    make, net, _ = FORMS[form]
    mlp = make(net)
    mlp.name = "other"
    for _ in range(2):
        for name in ("lerning", "net", "shared", "spikes_in"):
            with pytest.raises(
                AttributeError, match=f"'{name}' of .* only learning and learning_rate can be"
            ):
                setattr(mlp, name, False)
        for name in ("weight_1", "spike_count_0", "error_2"):
            with pytest.raises(AttributeError, match=rf"a variable, whose values {name}.set"):
                setattr(mlp, name, 0)
        mlp.learning = False
        mlp.run(RunSteps(0), configuration("floating_pt"))
    mlp.stop()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_connected_too_late_is_refused(form):
    make, net, _ = FORMS[form]
    for connect in (
        lambda mlp: mlp.spikes_out.connect(Receiver(shape=(3,), buffer=1).a_in),
        lambda mlp: Monitor().probe(mlp.spike_count_1, 1),
    ):
        mlp = make(net)
        mlp.run(RunSteps(1), configuration("floating_pt"))
        connect(mlp)
        with pytest.raises(RuntimeError, match=r"connected or probed after its graph was made"):
            mlp.run(RunSteps(1))
        mlp.stop()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("make", [SpikingMLPProcess, StandardMLP])
def test_a_process_is_not_copied(make, copied):
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copied(make(PIPELINED))
