"""The native objects with pipelined timing: every state at every step, and what a script may do."""

import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    EventMonitor,
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    defaultclock,
    prefs,
    run,
    set_device,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules import step as reference
from spikebp_plugins.rules.sample import run_sample
from tests.core.literal import asked_by
from tests.with_brian2.experiment import N_SAMPLES, NET, Experiment
from tests.with_brian2.test_native import DT, counted

HOPS = NET.replace(timing="pipelined")
T, L = HOPS.n_steps, HOPS.n_layers
STEPS = T + 2 * L - 1

OPTIONS = [
    {},
    {"update": "outer"},
    {"update": "normalized", "learning_rate": 1.0},
    {"presynaptic": "drive"},
    {"presynaptic": "drive", "update": "outer", "spikes": "binary"},
    {"spikes": "binary"},
    {"feedback": "random"},
    {"backward_init": "zero"},
    {"backward_init": "uniform", "seed": 5},
    {"update": "outer", "feedback": "random", "spikes": "binary", "backward_init": "uniform"},
    {"label_targets": (-0.3, 2.7)},
]


@pytest.fixture(scope="module")
def experiment():
    return Experiment(HOPS)


def steps_of(net):
    return net.n_steps + 2 * net.n_layers - 1


def shown(experiment, step=DT):
    """Input and labels of an experiment as TimedArrays, each sample for as long as it takes."""
    sample = steps_of(experiment.net) * step
    return {
        "input": TimedArray(experiment.x, dt=sample),
        "label": TimedArray(experiment.y.astype(float), dt=sample),
    }


def in_steps_of_a_sample(rows, delay, elsewhere):
    """Rows of shape (n_samples, T, n) in the steps of samples from `delay` on."""
    n_samples, _, n = rows.shape
    steps = np.full((n_samples, STEPS, n), elsewhere, float)
    steps[:, delay : delay + T] = rows
    return steps.reshape(-1, n)


def assert_equal_learning(found, expected):
    assert found.samples_seen == expected.samples_seen
    for name in ("weights", "backward_potentials", "feedback"):
        for l, (one, other) in enumerate(
            zip(getattr(found, name), getattr(expected, name), strict=True)
        ):
            assert np.array_equal(one, other), f"{name}[{l}]"


@pytest.mark.parametrize(("step_in_dt", "own_clock"), [(1, True), (5, True), (5, False)])
def test_monitors_see_every_spike_and_error_in_its_step_and_none_elsewhere(
    experiment, step_in_dt, own_clock
):
    step, clock = step_in_dt * DT, None if own_clock else defaultclock
    mlp = SpikingMLPGroup(
        HOPS, experiment.weights, step=step, clock=clock, **shown(experiment, step)
    )
    spikes = [SpikeMonitor(layer, variables=["spike_count"]) for layer in mlp.layers]
    errors = [EventMonitor(layer, "error", variables=["error"]) for layer in mlp.layers[1:]]
    ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
    drive = StateMonitor(mlp.output_layer, "summed_drive", record=True, when="end")
    Network(mlp, *spikes, *errors, ends, drive).run(N_SAMPLES * STEPS * step)

    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations
    assert np.array_equal(mlp.scores, experiment.trace.scores[-1])
    for variable, first, monitors, delays in (
        ("spike_count", 0, spikes, range(L + 1)),
        ("error", 1, errors, [2 * L - l for l in range(1, L + 1)]),
    ):
        traced = experiment.trace.spikes if first == 0 else experiment.trace.errors
        for l, (monitor, delay) in enumerate(zip(monitors, delays, strict=True), first):
            found = counted(monitor, variable, HOPS.layer_sizes[l], STEPS, step)
            expected = in_steps_of_a_sample(traced[l], delay, 0)
            assert np.array_equal(found.reshape(expected.shape), expected), (variable, l)
            dts = np.rint(np.asarray(monitor.t / DT)).astype(int)
            assert set(dts % step_in_dt) == {0 if own_clock else step_in_dt - 1}
    scores = np.asarray(ends.summed_drive).reshape(N_SAMPLES, -1) / T
    assert np.array_equal(scores, experiment.trace.scores)
    ticks = 1 if own_clock else step_in_dt
    in_steps = drive.summed_drive.T.reshape(N_SAMPLES, STEPS, ticks, -1)
    drives = in_steps[:, L : L + T, -1]
    found = drives / np.arange(1, T + 1)[:, np.newaxis]
    assert np.array_equal(found, experiment.trace.step_scores)
    # Nothing changes between the steps.
    assert (in_steps[:, L + 1 :, :-1] == in_steps[:, L:-1, -1:]).all()


class Literal:
    """What a network is after each step, where steps may lack a target; of one sample at a time.

    The reference shows samples that have a target in every step, or in none.
    """

    def __init__(self, net, weights):
        self.net, self.number = net, arithmetic_of(net)
        self.learning = initial_state(net, weights)
        self.seen = []

    def show(self, x, label, known):
        net = self.net
        x, y = self.number.round(x), self.number.round(asked_by(net, [label])[0])
        training, sample = known.any(), reference.open_sample(net)
        if training:
            self.learning = reference.open_training(net, self.learning)
        k, e = reference.silence(net)
        before = self.learning
        for t in range(STEPS):
            W = (None, *before.weights)
            B = reference.backward_weights(net, before)
            before = self.learning
            sample, k, e, psi = self._fire(sample, k, e, t, x, y, known, W, B)
            self.learning = self.learning._replace(backward_potentials=psi)
            self.learning, sample = reference.learn(net, self.learning, sample, e)
            if training and t == STEPS - 1:
                self.learning = reference.close_training(net, self.learning, sample)
            self.seen.append((self.learning, sample))

    def _fire(self, sample, k, e, t, x, y, known, W, B):
        net = self.net
        new_k, new_e = (list(layers) for layers in reference.silence(net))
        phi, s, c, phi_y = list(sample.phi), list(sample.s), list(sample.c), sample.phi_y
        psi = [None, *self.learning.backward_potentials]
        if t < T:
            new_k[0], phi[0], c[0] = reference.fire_input(net, phi[0], c[0], x)
        for l in range(1, L + 1):
            if 0 <= t - l < T:
                arriving = net.connections[l - 1].forward(k[l - 1], W[l])
                new_k[l], phi[l], s[l] = reference.forward(net, arriving, phi[l], s[l], l)
                if l < L:
                    c[l] = c[l] + new_k[l]
        if 0 <= t - L < T and known[t - L]:
            new_e[L], phi_y = reference.output_error(net, new_k[L], y, phi_y, s[L])
        for l in range(1, L):
            step = t - (2 * L - l)
            if 0 <= step < T and known[step]:
                arriving = net.connections[l].backward(e[l + 1], B[l + 1])
                new_e[l], psi[l] = reference.backward(net, arriving, psi[l], s[l], l)
        sample = sample._replace(phi=tuple(phi), s=tuple(s), c=tuple(c), phi_y=phi_y)
        return sample, new_k, new_e, tuple(psi[1:])


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.once)])
@pytest.mark.parametrize("changes", OPTIONS, ids=str)
def test_every_state_is_that_of_the_definition_after_every_step(changes, late):
    net = HOPS.replace(**changes)
    experiment = Experiment(net)
    known = np.ones((N_SAMPLES, T), bool)
    if late:
        known = np.random.RandomState(9).randint(0, 2, known.shape).astype(bool)
        known[2] = False  # a sample whose target never comes
    label = np.where(known, experiment.y[:, np.newaxis], -1)[:, :, np.newaxis]
    mlp = SpikingMLPGroup(
        net,
        experiment.weights,
        input=shown(experiment)["input"],
        # A label counts when the output compares; those of steps in which it is idle do not.
        label=TimedArray(in_steps_of_a_sample(label, L, elsewhere=0).ravel(), dt=DT),
    )
    names = ["potential", "summed_drive", "input_count", "backward_potential"]
    of_layer = [
        StateMonitor(layer, [name for name in names if name in layer.variables], True, when="end")
        for layer in mlp.layers
    ]
    target = StateMonitor(mlp.output_layer, "target_potential", True, when="end")
    weights = [StateMonitor(synapses, "weight", True, when="end") for synapses in mlp.synapses]
    Network(mlp, *of_layer, target, *weights).run(N_SAMPLES * STEPS * DT)

    literal = Literal(net, experiment.weights)
    for sample in zip(experiment.x, experiment.y, known, strict=True):
        literal.show(*sample)
    assert len(literal.seen) == N_SAMPLES * STEPS
    opened = 0
    for step, (learning, sample) in enumerate(literal.seen):
        t, n = step % STEPS, step // STEPS
        for l in range(L + 1):
            monitor = of_layer[l]
            if l > 0:
                assert np.array_equal(monitor.summed_drive[:, step], sample.s[l]), (step, l)
                matrix = learning.weights[l - 1].ravel()
                assert np.array_equal(weights[l - 1].weight[:, step], matrix), (step, l)
            if l < L:
                assert np.array_equal(monitor.input_count[:, step], sample.c[l]), (step, l)
            if 0 < l < L and known[n, : max(t - L + 1, 0)].any():
                opened += 1  # backward potentials are drawn when the first target comes
                psi = learning.backward_potentials[l - 1]
                assert np.array_equal(monitor.backward_potential[:, step], psi), (step, l)
            if l > 0 or net.input_coding == "values":
                assert np.array_equal(monitor.potential[:, step], sample.phi[l]), (step, l)
        assert np.array_equal(target.target_potential[:, step], sample.phi_y), step
    assert opened > 0
    assert_equal_learning(mlp.checkpoint().state, literal.learning)
    if not late:
        experiment.assert_learned_by(mlp)
        assert mlp.operations == experiment.operations


@pytest.mark.parametrize("layer_sizes", [(9, 3), (9, 8, 7, 6, 5, 3), (1, 1)])
def test_any_depth(layer_sizes):
    net = SpikingMLP(layer_sizes, n_steps=7, learning_rate=0.5, timing="pipelined")
    experiment = Experiment(net)
    mlp = SpikingMLPGroup(net, experiment.weights, **shown(experiment))
    Network(mlp).run(N_SAMPLES * steps_of(net) * DT)
    experiment.assert_learned_by(mlp)


def test_what_input_and_targets_are_while_layers_are_idle_does_not_matter():
    random = np.random.RandomState(4)
    x, y = random.uniform(-1, 2, (4, T, 9)), random.uniform(-1, 3, (4, T, 3))
    mlp = SpikingMLPGroup(
        HOPS,
        input=TimedArray(in_steps_of_a_sample(x, 0, elsewhere=5.0), dt=DT),
        target=TimedArray(in_steps_of_a_sample(y, L, elsewhere=5.0), dt=DT),
    )
    Network(mlp).run(4 * STEPS * DT)
    with Simulator(HOPS, "reference") as sim:
        sim.train(x, y)
        assert_equal_learning(mlp.checkpoint().state, sim.checkpoint().state)


@pytest.mark.parametrize("coding", ["values", "spikes"])
@pytest.mark.parametrize("step_in_dt", [1, 4])
def test_spikes_of_sources_count_while_layers_are_busy(coding, step_in_dt):
    random = np.random.RandomState(5)
    x, y = random.randint(0, 2, (4, T, 9)), random.randint(0, 2, (4, T, 3))
    sources = []
    for counts, delay in ((x, 0), (y, L)):
        steps, units = np.nonzero(in_steps_of_a_sample(counts, delay, elsewhere=1))
        dts = steps * step_in_dt + random.randint(0, step_in_dt, len(steps))
        order = np.argsort(dts, kind="stable")
        sources.append(SpikeGeneratorGroup(counts.shape[2], units[order], dts[order] * DT))
    net = HOPS.replace(input_coding=coding)
    mlp = SpikingMLPGroup(net, input=sources[0], target=sources[1], step=step_in_dt * DT)
    Network(*sources, mlp).run(4 * STEPS * step_in_dt * DT)
    with Simulator(net, "reference") as sim:
        sim.train(x, y.astype(float))
        assert_equal_learning(mlp.checkpoint().state, sim.checkpoint().state)


@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_an_event_of_the_users_ends_the_input_of_a_sample(experiment, update):
    net, lengths = HOPS.replace(update=update), [3, 9, 1, 7]
    durations = [length + 2 * L - 1 for length in lengths]
    starts = np.cumsum([0, *durations[:-1]])
    # Also in the steps after the input, where it says nothing.
    ends = sorted([*(starts + lengths - 1), *(starts + lengths)])
    source = SpikeGeneratorGroup(1, np.zeros(8, int), ends * DT)
    mlp = SpikingMLPGroup(
        net,
        experiment.weights,
        input=TimedArray(np.repeat(experiment.x[:4], durations, axis=0), dt=DT),
        label=TimedArray(np.repeat(experiment.y[:4], durations).astype(float), dt=DT),
        sample_end=source,
    )
    closed = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
    Network(source, mlp, closed).run(sum(durations) * DT)

    number = arithmetic_of(net)
    learning = initial_state(net, experiment.weights)
    scores = []
    for x, y, length in zip(experiment.x, experiment.y, lengths, strict=False):
        rows = number.round(x)[np.newaxis], number.round(np.eye(3)[[y]])
        learning, record = run_sample(net, learning, *rows, length)
        scores.append(record.step_scores[-1])
    found = np.asarray(closed.summed_drive).reshape(4, -1) / np.array(lengths)[:, np.newaxis]
    assert np.array_equal(found, scores)
    assert np.array_equal(mlp.scores, scores[-1])
    assert_equal_learning(mlp.checkpoint().state, learning)


def test_scores_of_the_present_sample_are_those_of_the_steps_that_the_output_has_seen(experiment):
    mlp = SpikingMLPGroup(HOPS, experiment.weights, learning=False, **shown(experiment))
    with Simulator(HOPS, "reference", experiment.weights) as sim:
        step_scores = sim.predict(experiment.x[:2], record=True).step_scores
    network = Network(mlp)
    for scores in step_scores:
        for t in range(STEPS):
            network.run(DT)
            expected = scores[min(t - L, T - 1)] if t >= L else np.zeros(3)
            assert np.array_equal(mlp.scores, expected), t
    assert mlp.checkpoint().state.samples_seen == 0


def test_learning_can_be_switched_without_making_anything_anew(experiment):
    mlp = SpikingMLPGroup(HOPS, experiment.weights, learning=False, **shown(experiment))
    network = Network(mlp)
    network.run(3 * STEPS * DT)
    mlp.learning = True
    network.run((N_SAMPLES - 3) * STEPS * DT)
    with Simulator(HOPS, "reference", experiment.weights) as sim:
        sim.train(experiment.x[3:], experiment.y[3:])
        assert_equal_learning(mlp.checkpoint().state, sim.checkpoint().state)


def test_store_restore_and_runs_in_parts_go_on_exactly(experiment):
    mlp = SpikingMLPGroup(HOPS, experiment.weights, **shown(experiment))
    network = Network(mlp)
    network.run((2 * STEPS + T + 1) * DT)  # spikes and errors are under way
    network.store()
    network.run(3 * STEPS * DT)
    network.restore()
    network.run(1 * DT)
    network.run((N_SAMPLES * STEPS - 2 * STEPS - T - 2) * DT)
    experiment.assert_learned_by(mlp)


def test_a_checkpoint_goes_in_and_comes_out(experiment):
    with Simulator(HOPS, "reference", experiment.weights) as sim:
        sim.train(experiment.x[:3], experiment.y[:3])
        first = sim.checkpoint()
    rest = Experiment(HOPS)
    rest.x, rest.y = experiment.x[3:6], experiment.y[3:6]
    mlp = SpikingMLPGroup(first, **shown(rest))
    Network(mlp).run(3 * STEPS * DT)
    with mlp.checkpoint().simulate("reference") as sim:
        sim.train(experiment.x[6:], experiment.y[6:])
        assert_equal_learning(sim.checkpoint().state, experiment.end)


def test_a_sample_that_the_user_cuts_short_leaves_nothing_under_way(experiment):
    mlp = SpikingMLPGroup(HOPS, experiment.weights)
    mlp.input_layer.input_value = experiment.x[1]
    network = Network(mlp)
    mlp.schedule.label = 0
    network.run((T + 1) * DT)
    cut = mlp.checkpoint()
    mlp.schedule.sample_over = True
    network.run(STEPS * DT)
    fresh = SpikingMLPGroup(cut, input=experiment.x[1], label=0)
    Network(fresh).run(STEPS * DT)
    assert_equal_learning(mlp.checkpoint().state, fresh.checkpoint().state)


def test_an_overflow_leaves_the_network_as_before_the_run(experiment):
    mlp = SpikingMLPGroup(HOPS, experiment.weights, **shown(experiment))
    network = Network(mlp)
    network.run((STEPS + 4) * DT)
    before = mlp.checkpoint().state
    mlp.input_layer.received_input = 2.0**43
    with pytest.raises(OverflowError, match="of layer 0 may have left the range in this run"):
        network.run(DT)
    assert_equal_learning(mlp.checkpoint().state, before)
    mlp.input_layer.received_input = 0


def test_cython_learns_what_the_reference_learns(experiment):
    prefs.codegen.target = "cython"
    mlp = SpikingMLPGroup(HOPS, experiment.weights, name="cythonic", **shown(experiment))
    Network(mlp).run(N_SAMPLES * STEPS * DT)
    experiment.assert_learned_by(mlp)


@pytest.mark.thorough
@pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None,
    reason="cpp_standalone needs g++ and make",
)
def test_a_compiled_script_learns_what_the_reference_learns(experiment, tmp_path):
    set_device("cpp_standalone", directory=str(tmp_path / "program"))
    mlp = SpikingMLPGroup(HOPS, experiment.weights, **shown(experiment))
    errors = EventMonitor(mlp.layers[1], "error", variables=["error"])
    run(N_SAMPLES * STEPS * DT)
    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations
    assert np.array_equal(mlp.scores, experiment.trace.scores[-1])
    found = counted(errors, "error", 8, STEPS)[:, 2 * L - 1 :]
    assert np.array_equal(found, experiment.trace.errors[1])
