"""The network of standard parts is a process like any other of Lava's."""

import time

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor

from spikebp_lava import EngineMLP, SampleSource, SpikingMLPProcess, StandardMLP, StandardModel
from spikebp_plugins import Checkpoint
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules.sample import run_sample
from tests.with_lava.around import Enclosing
from tests.with_lava.graphs import N_SAMPLES, NET, Samples, assert_same_state

PIPELINED = NET.replace(timing="pipelined")
CHIP = PIPELINED.replace(arithmetic="loihi2", weight_exponent=-7, learning_rate=0.1)
T, L = NET.n_steps, NET.n_layers
PERIOD = steps_of_sample(PIPELINED, T)
FLOATING = Loihi2SimCfg(select_tag="floating_pt")


@pytest.fixture
def samples():
    return Samples(PIPELINED)


@pytest.fixture
def ended():
    """Return a function that takes processes whose graph ends with the test."""
    processes = []
    yield lambda process: processes.append(process) or process
    for process in processes:
        process.stop()


def connect(samples, ports):
    source = SampleSource(samples.net, samples.x, samples.y)
    source.spikes_out.connect(ports.spikes_in)
    source.label_out.connect(ports.label_in)


def network(samples, ended, connected=True, **options):
    """Return a network, which is shown the samples."""
    mlp = ended(StandardMLP(samples.net, weights=samples.weights, **options))
    if connected:
        connect(samples, mlp)
    return mlp


def shown(mlp, n_samples, run_cfg=None):
    mlp.run(condition=RunSteps(num_steps=n_samples * PERIOD), run_cfg=run_cfg)


class ByReference:
    """The network of the reference, with the interface of `EngineMLP`."""

    def __init__(self, checkpoint):
        self.net, self.state = checkpoint.net, checkpoint.state

    def train(self, x, y, lengths=None):
        net = self.net
        targets = np.eye(net.n_outputs)[y]
        for values, target, n_steps in zip(x, targets, lengths or [T] * len(x), strict=True):
            shown = values[np.newaxis] * net.input_scale
            self.state, _ = run_sample(net, self.state, shown, target[np.newaxis], n_steps)


def in_samples_of(lengths, samples, mlp):
    """Show samples of these lengths, which resets end; return how many steps they take."""
    in_all = [steps_of_sample(samples.net, n) for n in lengths]
    resets = np.zeros((1, sum(in_all)), int)
    resets[0, np.cumsum([0, *in_all[:-1]]) + lengths - 1] = 1
    Sender(data=np.repeat(samples.x, in_all, axis=0).T).s_out.connect(mlp.s_in)
    Sender(data=np.repeat(samples.y, in_all)[np.newaxis]).s_out.connect(mlp.label_in)
    Sender(data=resets).s_out.connect(mlp.reset_in)
    return resets.size


@pytest.mark.parametrize(
    "update", ["fractional", pytest.param("outer", marks=pytest.mark.thorough)]
)
def test_resets_end_samples_of_any_length_and_all_operations_are_counted(update, ended):
    samples, lengths = Samples(PIPELINED.replace(update=update)), [3, 12, 1, 7, 9, 10]
    model = ByReference(Checkpoint(samples.net, initial_state(samples.net, samples.weights)))
    model.train(samples.x, samples.y, lengths)
    operations = []
    for make in (StandardMLP, SpikingMLPProcess):
        mlp = ended(make(samples.net, weights=samples.weights))
        n_steps = in_samples_of(lengths, samples, mlp)
        mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=FLOATING)
        assert_same_state(mlp.checkpoint(), model.state)
        operations.append(mlp.operations)
    assert operations[0] == operations[1]
    assert operations[0].samples == N_SAMPLES
    assert operations[0].update > 0


def test_a_reset_of_an_input_that_has_ended_ends_the_run(samples, ended):
    mlp = network(samples, ended)
    Sender(data=np.ones((1, 2))).s_out.connect(mlp.reset_in)
    with pytest.raises(ValueError, match="reset_in must be 0 from the end of a sample's input to"):
        mlp.run(condition=RunSteps(num_steps=2), run_cfg=FLOATING)


def test_monitors_see_variables_and_spikes_leave_as_they_are(samples, ended):
    trace, state, operations = samples.by_reference()
    mlp = network(samples, ended, name="net")
    n_steps = N_SAMPLES * PERIOD
    names = [f"spike_count_{l}" for l in range(L + 1)]
    names += [f"{kind}_{l}" for l in range(1, L + 1) for kind in ("error", "forward_weight")]
    monitors = {name: Monitor() for name in names}
    for name, monitor in monitors.items():
        monitor.probe(getattr(mlp, name), n_steps)
    fired = Receiver(shape=(3,), buffer=n_steps)
    mlp.s_out.connect(fired.a_in)
    shown(mlp, N_SAMPLES, FLOATING)
    seen = {name: monitor.get_data()["net"][name] for name, monitor in monitors.items()}
    for l in range(L + 1):
        delays = {"spike_count": l} | ({"error": 2 * L - l} if l else {})
        for kind, delay in delays.items():
            recorded = (trace.spikes if kind == "spike_count" else trace.errors)[l]
            counts = seen[f"{kind}_{l}"].reshape(N_SAMPLES, PERIOD, -1)
            assert np.array_equal(counts[:, delay : delay + T], recorded)
            assert np.abs(counts).sum() == np.abs(recorded).sum()
    assert np.array_equal(fired.data.get().T, seen[f"spike_count_{L}"])
    for l in range(1, L + 1):
        assert np.array_equal(seen[f"forward_weight_{l}"][-1].T, state.weights[l - 1])
        assert np.array_equal(getattr(mlp, f"forward_weight_{l}").get().T, state.weights[l - 1])
        assert np.array_equal(getattr(mlp, f"weight_{l}").get(), state.weights[l - 1])
    assert mlp.operations == operations


@pytest.mark.parametrize("net", [PIPELINED, CHIP], ids=["floating", "fixed"])
def test_labels_ask_for_what_the_definition_says(net, ended):
    samples = Samples(net.replace(label_targets=(-0.3, 2.7)))
    samples.x = np.abs(samples.x)
    mlp = network(samples, ended)
    shown(mlp, N_SAMPLES, Loihi2SimCfg(select_tag=mlp.tag))
    start = Checkpoint(net, initial_state(net, samples.weights))
    targets = np.where(np.arange(3) == samples.y[:, np.newaxis], 2.7, -0.3)
    if net is CHIP:
        model = EngineMLP(start)
        model.train(samples.x, targets)
        expected = model.state
    else:
        with start.simulate("reference") as sim:
            sim.train(samples.x, targets)
            expected = sim.checkpoint().state
    assert all(map(np.array_equal, mlp.weights, expected.weights))
    assert mlp.checkpoint().state.samples_seen == N_SAMPLES


def test_a_process_that_contains_it_takes_its_variables_for_its_own(samples, ended):
    _, state, _ = samples.by_reference()
    outer = ended(Enclosing(network(samples, ended, connected=False)))
    connect(samples, outer)
    shown(outer, N_SAMPLES, FLOATING)
    mlp = outer.procs.network
    assert_same_state(mlp.checkpoint(), state)
    assert outer.spike_count_1.aliased_var is mlp.spike_count_1
    assert np.array_equal(outer.spike_count_1.get(), mlp.procs.layer_1.spike_count.get())


@pytest.mark.parametrize(
    "net", [PIPELINED, pytest.param(CHIP, marks=pytest.mark.thorough)], ids=["floating", "fixed"]
)
def test_weights_are_set_before_and_between_runs(net, ended):
    samples = Samples(net)
    samples.x = np.abs(samples.x)
    other = initial_state(net, Samples(net, seed=2).weights).weights
    mlp = network(samples, ended)
    mlp.weight_1.set(other[0])
    start = initial_state(net, [other[0], *samples.weights[1:]])
    model = (EngineMLP if net is CHIP else ByReference)(Checkpoint(net, start))
    shown(mlp, 3, Loihi2SimCfg(select_tag=mlp.tag))
    model.train(samples.x[:3], samples.y[:3])
    assert all(map(np.array_equal, mlp.weights, model.state.weights))
    for l in (2, 3):
        getattr(mlp, f"weight_{l}").set(other[l - 1])
        assert np.array_equal(getattr(mlp, f"weight_{l}").get(), other[l - 1])
    model.state = model.state._replace(weights=(model.state.weights[0], *other[1:]))
    shown(mlp, 3)
    model.train(samples.x[3:], samples.y[3:])
    assert all(map(np.array_equal, mlp.weights, model.state.weights))
    assert not any(map(np.array_equal, mlp.weights, other))


@pytest.mark.thorough
def test_it_pauses_goes_on_and_waits(samples, ended):
    mlp = network(samples, ended)
    mlp.run(condition=RunContinuous(), run_cfg=FLOATING)
    while mlp.operations.samples < 2:
        time.sleep(0.01)
    mlp.pause()
    seen = mlp.operations.samples
    model = ByReference(Checkpoint(samples.net, initial_state(samples.net, samples.weights)))
    turns = np.arange(seen) % N_SAMPLES
    model.train(samples.x[turns], samples.y[turns])
    assert all(map(np.array_equal, mlp.weights, model.state.weights))
    again = network(samples, ended)
    again.run(condition=RunSteps(num_steps=seen * PERIOD, blocking=False), run_cfg=FLOATING)
    again.wait()
    assert all(map(np.array_equal, again.weights, mlp.weights))


class NamedModel(StandardModel):
    """A model of a user's, which run configurations select by the class of the process."""

    made = 0

    def __init__(self, proc):
        super().__init__(proc)
        NamedModel.made += 1


@pytest.mark.parametrize(
    "options",
    [
        {},  # without a tag Lava takes the model of each process that it finds first
        pytest.param(
            {"select_tag": "floating_pt", "select_sub_proc_model": True},
            marks=pytest.mark.thorough,
        ),
        {"select_tag": "floating_pt", "exception_proc_model_map": {StandardMLP: NamedModel}},
    ],
    ids=["no tag", "parts wanted", "a model by name"],
)
def test_run_configurations_select_its_models(options, samples, ended):
    _, state, _ = samples.by_reference()
    mlp, made = network(samples, ended), NamedModel.made
    shown(mlp, N_SAMPLES, Loihi2SimCfg(**options))
    assert_same_state(mlp.checkpoint(), state)
    assert NamedModel.made == made + ("exception_proc_model_map" in options)


class TestMisuse:
    def test_a_matrix_of_the_synapses_is_set_with_all_that_follow(self, samples, ended):
        mlp = network(samples, ended)
        mlp.create_runtime(run_cfg=FLOATING)
        with pytest.raises(RuntimeError, match="weight_2 can be set before the graph is made, and"):
            mlp.weight_2.set(mlp.weight_2.get())
        shown(mlp, 1)
        with pytest.raises(RuntimeError, match="weights of 'forward_2' can only be read; set wei"):
            mlp.procs.forward_2.weights.set(np.zeros((7, 8)))
        with pytest.raises(RuntimeError, match="'forward_weight_2' can only be read"):
            mlp.forward_weight_2.set(np.zeros((7, 8)))
        with pytest.raises(ValueError, match=r"weight_2 must be of shape \(8, 7\); got shape"):
            mlp.weight_2.set(np.zeros((7, 8)))

    def test_a_monitor_probes_what_the_synapses_hold(self, samples, ended):
        mlp = network(samples, ended)
        Monitor().probe(mlp.weight_1, 5)
        with pytest.raises(ValueError, match="Monitor must be 'forward_weight_1', which the syn"):
            shown(mlp, 1, FLOATING)

    def test_labels_or_targets_teach_and_not_both(self, samples, ended):
        mlp = network(samples, ended)
        Sender(data=np.ones((3, 2))).s_out.connect(mlp.target_in)
        with pytest.raises(ValueError, match="connect label_in or target_in, not both"):
            shown(mlp, 1, FLOATING)
