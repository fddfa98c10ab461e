"""Networks with connections of all kinds as processes in a user's graph."""

import re
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor

from spikebp_lava import EngineMLP, SampleSource, SpikingMLPProcess, StandardMLP
from spikebp_lava.memory import SharedNetwork
from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingNetwork,
    UnsupportedError,
    compare,
)
from spikebp_plugins.compiled import fallback
from spikebp_plugins.network.connections import DenseConnection
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.core.experiment import Experiment, assert_equals_reference
from tests.step_oracle import follow
from tests.with_lava.around import Writer
from tests.with_lava.graphs import (
    IMPLEMENTATIONS,
    N_SAMPLES,
    TAGS,
    Line,
    Samples,
    assert_same_state,
    configuration,
)

#: All kinds of connections, with a pool in the middle and a kernel that overlaps the border.
NET = SpikingNetwork(
    (5, 4),
    [Conv2D(3, 3, padding=1), AveragePool2D(2), Sparse(6, density=0.5), Dense(3)],
    n_steps=5,
    learning_rate=0.1,
    input_scale=0.25,
)
PIPELINED = NET.replace(timing="pipelined")
N_STEPS = N_SAMPLES * NET.n_steps
HIERARCHICAL = "lava:tag=floating_pt,implementation=hierarchical"

#: A value that short runs leave out.
longer = partial(pytest.param, marks=pytest.mark.thorough)

#: What differs between tags and between implementations; a short run takes the layers.
BOTH = [
    longer("floating_pt", "leaf"),
    ("fixed_pt", "hierarchical"),
]


@pytest.fixture(scope="module")
def samples():
    return Samples(NET)


def of_layers(*layers, **fields):
    return SpikingNetwork((3, 3), [*layers, Dense(2)], n_steps=4, **fields)


@pytest.mark.parametrize(("tag", "implementation"), list(zip(TAGS, IMPLEMENTATIONS, strict=True)))
def test_spikes_errors_weights_and_scores_are_those_of_the_reference(samples, tag, implementation):
    trace, state, operations = samples.by_reference()
    line, monitors = Line(samples), {}
    variables = ["weight_1", "spike_count_2", "error_2", "spike_count_3", "error_3"]
    for name in variables:
        monitors[name] = Monitor()
        monitors[name].probe(getattr(line.mlp, name), N_STEPS)
    line.run(N_STEPS, configuration(tag, implementation))
    recorded = {name: m.get_data()[line.mlp.name][name] for name, m in monitors.items()}
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert line.mlp.operations == operations
    assert np.array_equal(line.sink.scores, trace.scores)
    for l in (2, 3):
        assert np.array_equal(recorded[f"spike_count_{l}"], trace.spikes[l].reshape(N_STEPS, -1))
        assert np.array_equal(recorded[f"error_{l}"], trace.errors[l].reshape(N_STEPS, -1))
    unit = 2.0**NET.fraction_bits if tag == "fixed_pt" else 1
    assert recorded["weight_1"].shape == (N_STEPS, 3, 3, 1, 3)
    assert np.array_equal(recorded["weight_1"][-1], state.weights[0] * unit)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_weights_that_are_set_within_a_sample_are_those_that_the_next_spikes_meet(
    tag, implementation
):
    samples = Samples(PIPELINED)
    n, before = N_SAMPLES * steps_of_sample(PIPELINED, PIPELINED.n_steps), 8
    line = Line(samples)
    line.run(before, configuration(tag, implementation))
    unit = 2.0**-PIPELINED.fraction_bits if tag == "fixed_pt" else 1
    line.mlp.weight_1.set(given := line.mlp.weight_1.get()[::-1])
    line.run(n - before)
    line.mlp.stop()
    x, labels = (np.repeat(values, n // N_SAMPLES, axis=0) for values in (samples.x, samples.y))
    start = Checkpoint(PIPELINED, initial_state(PIPELINED, samples.weights))
    moments = follow(start, x, labels.tolist(), None, {before: (1, given * unit)})
    assert_same_state(line.mlp.checkpoint(), moments[-1].state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_weights_are_read_and_written_between_runs(samples, tag, implementation):
    line = Line(samples)
    line.run(N_STEPS, configuration(tag, implementation))
    variables = line.mlp.weight_1, line.mlp.weight_3, line.mlp.weight_4
    assert [variable.shape for variable in variables] == [(3, 3, 1, 3), (36,), (6, 3)]
    unit = 2.0**NET.fraction_bits if tag == "fixed_pt" else 1
    for variable in variables:
        variable.set(np.zeros(variable.shape))
        variable.set(unit, idx=-1)
    variables[0].set(2 * unit, idx=(1, 1, 0, 2))
    with pytest.raises(ValueError, match=r"weight_1 must be of shape \(3, 3, 1, 3\); got shape"):
        variables[0].set(np.zeros((9, 3)))
    with pytest.raises(ValueError, match=r"weight_3 must be on the grid"):
        variables[1].set(unit * 2.0 ** -(NET.fraction_bits + 1), idx=0)
    assert line.mlp.weights[0][1, 1, 0].tolist() == [0, 0, 2]
    assert line.mlp.weights[2].tolist() == [0] * 35 + [1]
    before = line.mlp.checkpoint()
    line.run(N_STEPS)
    line.mlp.stop()
    with before.simulate("reference") as sim:
        sim.train(samples.x, samples.y)
        assert_same_state(line.mlp.checkpoint(), sim.checkpoint().state)


@pytest.mark.parametrize("implementation", [longer("leaf"), "hierarchical"])
def test_no_weights_are_written_in_a_run(samples, implementation):
    line = Line(samples)
    line.run(1, configuration("floating_pt", implementation))
    line.mlp.run(RunSteps(num_steps=N_STEPS, blocking=False))
    for variable in (line.mlp.weight_1, line.mlp.weight_4):
        with pytest.raises(RuntimeError, match=f"{variable.name!r} can be set before, between and"):
            variable.set(np.zeros(variable.shape))
    line.mlp.wait()
    line.mlp.weight_1.set(np.zeros((3, 3, 1, 3)))
    line.mlp.stop()
    line.mlp.weight_4.set(np.zeros((6, 3)))
    assert not line.mlp.weights[0].any()
    assert not line.mlp.weights[3].any()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_layer_that_pools_has_no_weights_to_read(samples, implementation):
    line = Line(samples)
    message = (
        "there is no variable 'weight_2': all synapses of AveragePool2D weigh 0.25, and none learns"
    )
    for has_run in (False, True):
        with pytest.raises(AttributeError, match=re.escape(message)):
            line.mlp.weight_2.get()
        assert not hasattr(line.mlp, "weight_2")
        assert line.mlp.weights[1].shape == (0,)
        if not has_run:
            line.run(1, configuration("floating_pt", implementation))
    line.mlp.stop()


@pytest.mark.parametrize("implementation", [longer("leaf"), "hierarchical"])
def test_no_kernel_is_written_through_a_port(samples, implementation):
    line, writer = Line(samples), Writer((3, 3, 1, 3))
    writer.weight.connect_var(line.mlp.weight_1)
    before = line.mlp.weights[0]
    with pytest.raises(RuntimeError, match=r"a RefPort can read weight.* but not write it"):
        line.run(7, configuration("floating_pt", implementation))
    assert np.array_equal(line.mlp.weights[0], before)


@pytest.mark.parametrize("tag", ["fixed_pt", longer("floating_pt")])
def test_a_message_can_be_a_whole_sample_of_images(samples, tag):
    trace, state, _ = samples.by_reference()
    images = Samples(NET)
    images.x = images.x.reshape(-1, *NET.layer_shapes[0])
    line = Line(images, granularity="sample")
    line.run(N_SAMPLES, configuration(tag, "leaf"))
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert np.array_equal(line.sink.scores, trace.scores)


def test_images_of_another_process_are_flattened(samples):
    mlp = SpikingMLPProcess(NET, weights=samples.weights)
    images = np.repeat(samples.x, NET.n_steps, axis=0).T.reshape(5, 4, N_STEPS)
    Sender(data=images).s_out.flatten().connect(mlp.spikes_in)
    labels = Sender(data=np.repeat(samples.y, NET.n_steps)[np.newaxis])
    labels.s_out.connect(mlp.label_in)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration("fixed_pt", "leaf"))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), samples.by_reference()[1])


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_checkpoint_goes_in_and_comes_out(tag, implementation):
    samples = Samples(PIPELINED.replace(feedback="random", backward_init="carry"))
    with Simulator(samples.net, "reference", samples.weights) as sim:
        sim.train(samples.x, samples.y)
        checkpoint = sim.checkpoint()
        sim.train(samples.x, samples.y)
        state = sim.checkpoint().state
    mlp, source = SpikingMLPProcess(checkpoint), SampleSource(samples.net, samples.x, samples.y)
    source.spikes_out.connect(mlp.spikes_in)
    source.label_out.connect(mlp.label_in)
    n_steps = N_SAMPLES * steps_of_sample(samples.net, samples.net.n_steps)
    mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=configuration(tag, implementation))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize("name", [longer("lava:fixed_pt"), HIERARCHICAL])
def test_a_network_whose_connections_are_all_dense_is_one_like_any(name):
    net = SpikingNetwork((3, 2), [Dense(5), Dense(3)], n_steps=4, learning_rate=0.3)
    samples = Samples(net)
    experiment = Experiment(net, samples.weights, samples.x, samples.y, samples.x)
    assert_equals_reference(experiment, name)


@pytest.mark.parametrize("arithmetic", ["float64", longer("float32")])
def test_sparse_connections_learn_in_floating_point(arithmetic):
    """With values for which every operation is exact, in any order."""
    net = SpikingNetwork(
        (9,),
        [Sparse(8, density=0.4), Sparse(6, density=0.5), Dense(3)],
        n_steps=4,
        learning_rate=2.0**-4,
        arithmetic=arithmetic,
    )
    random = np.random.RandomState(1)
    weights = [np.rint(random.standard_normal(s) * 40) / 64 for s in net.weight_shapes]
    x, x_test = random.randint(-16, 33, (2, 4, 9)) / 16
    experiment = Experiment(net, weights, x, random.randint(0, 3, 4), x_test)
    assert_equals_reference(experiment, "lava:floating_pt", HIERARCHICAL)


def test_what_leaves_the_range_is_computed_anew_by_the_core(monkeypatch):
    net = of_layers(Conv2D(2, 2), learning_rate=0.5)
    samples = Samples(net)
    samples.weights[0] *= 2.0**38
    computed = Mock(wraps=fallback._core)
    monkeypatch.setattr(fallback, "_core", computed)
    experiment = Experiment(net, samples.weights, samples.x, samples.y, samples.x)
    assert_equals_reference(experiment, HIERARCHICAL)
    assert computed.called


def test_what_lies_within_the_range_is_left_to_nobody(samples, monkeypatch):
    monkeypatch.setattr(fallback, "_core", Mock(side_effect=AssertionError))
    trace, _, operations = samples.by_reference()
    with Simulator(NET, HIERARCHICAL, samples.weights) as sim:
        assert compare(sim.train(samples.x, samples.y, record=True), trace) is None
        assert sim.operations == operations


def test_counts_that_would_wrap_are_an_error():
    shared = SharedNetwork(NET, initial_state(NET))
    most = np.full(3, 2**60)
    shared.count(4, most, most)
    with pytest.raises(OverflowError, match="spikes and errors of layer 4 are too many to be cou"):
        shared.count(4, most)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (
            Conv2D(2, 2),
            (
                "Conv2D connections: the kernel of Lava's Conv does not learn, and Lava's synapses "
                "that learn share no weight"
            ),
        ),
        (AveragePool2D(2), "AveragePool2D connections: they are not built on Lava's Conv"),
        (Sparse(2, density=0.5), "Sparse connections: they are not built on Lava's LearningSparse"),
    ],
)
def test_standard_parts_are_dense(layer, reason):
    net = of_layers(layer, timing="pipelined", learning_rate=0.1)
    chip = net.replace(arithmetic="loihi2")
    reason = f"of standard parts there are no {reason}"
    for refused in (
        lambda: StandardMLP(net),
        lambda: StandardMLP(chip),
        lambda: Simulator(net, "lava", tag="floating_pt", implementation="standard"),
        lambda: EngineMLP(Simulator(chip, "reference").checkpoint()),
    ):
        with pytest.raises(UnsupportedError, match=f"{re.escape(reason)}$"):
            refused()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_numbers_of_a_chip_are_refused_as_for_dense_connections(implementation):
    net = NET.replace(arithmetic="loihi2")
    with pytest.raises(UnsupportedError, match=r"it knows arithmetic=.*, not arithmetic='loihi2'"):
        Simulator(net, "lava", implementation=implementation)


class Alone(DenseConnection):
    """Another kind, which no engine knows."""

    kind = "Alone"


def test_a_kind_that_is_not_known_is_refused(monkeypatch):
    net = of_layers(Conv2D(2, 2), learning_rate=0.1)
    net.__dict__["connections"] = (Alone(9, 8), *net.connections[1:])
    known = "it knows Dense, Conv2D, AveragePool2D, Sparse connections, not Alone"
    with pytest.raises(UnsupportedError, match=known):
        Simulator(net, "lava")
    mlp = SpikingMLPProcess(net)
    with pytest.raises(UnsupportedError, match=f"SpikingMLPProcess cannot run this .*{known}"):
        mlp.run(condition=RunSteps(num_steps=1), run_cfg=configuration("fixed_pt", "leaf"))
