"""The native objects in a user's own script, in runtime mode."""

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    DimensionMismatchError,
    EventMonitor,
    Function,
    Network,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    network_operation,
    prefs,
    run,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from tests.with_brian2.experiment import N_SAMPLES, NET, Experiment

DT = 0.1 * ms
SAMPLE = NET.n_steps * DT


def labels(experiment, step=DT):
    return TimedArray(experiment.y.astype(float), dt=experiment.net.n_steps * step)


def shown(experiment, step=DT):
    """Input and labels of an experiment as TimedArrays."""
    values = TimedArray(experiment.x, dt=experiment.net.n_steps * step)
    return {"input": values, "label": labels(experiment, step)}


def generator(experiment, step_in_dt=1, spread=False):
    """A source that fires the experiment's counts, anywhere in each step or at its last dt."""
    samples, steps, units = np.nonzero(experiment.x)
    dts = (samples * experiment.net.n_steps + steps) * step_in_dt
    dts += np.random.RandomState(3).randint(0, step_in_dt, len(dts)) if spread else 0
    order = np.argsort(dts, kind="stable")
    return SpikeGeneratorGroup(experiment.net.n_inputs, units[order], dts[order] * DT)


def counted(monitor, variable, n_units, n_steps, step=DT):
    """The counts of a monitor as an array of shape (n_samples, n_steps, n_units)."""
    counts = np.zeros((N_SAMPLES * n_steps, n_units), int)
    steps = np.floor(np.asarray(monitor.t / step) + 1e-6).astype(int)
    counts[steps, np.asarray(monitor.i)] = getattr(monitor, variable)[:]
    return counts.reshape(N_SAMPLES, n_steps, n_units)


def test_run_finds_the_network_and_it_learns_what_the_reference_learns(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations
    assert np.array_equal(mlp.scores, experiment.trace.scores[-1])


@pytest.mark.parametrize(("step_in_dt", "own_clock"), [(1, True), (5, True), (5, False)])
def test_monitors_of_all_kinds_see_every_spike_and_error(experiment, step_in_dt, own_clock):
    step, clock = step_in_dt * DT, None if own_clock else defaultclock
    mlp = SpikingMLPGroup(
        NET, experiment.weights, step=step, clock=clock, **shown(experiment, step)
    )
    spikes = [SpikeMonitor(layer, variables=["spike_count"]) for layer in mlp.layers]
    errors = [EventMonitor(layer, "error", variables=["error"]) for layer in mlp.layers[1:]]
    ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
    drive = StateMonitor(mlp.output_layer, "summed_drive", record=True, when="end")
    rate = PopulationRateMonitor(mlp.layers[1])
    network = Network(mlp, *spikes, *errors, ends, drive, rate)
    network.run(N_SAMPLES * NET.n_steps * step)

    experiment.assert_learned_by(mlp)
    for l, monitor in enumerate(spikes):
        found = counted(monitor, "spike_count", NET.layer_sizes[l], NET.n_steps, step)
        assert np.array_equal(found, experiment.trace.spikes[l]), l
        # On a clock of its own a step is computed at its first dt; else at its last, when all that
        # arrives during it is there.
        dts = np.rint(np.asarray(monitor.t / DT)).astype(int)
        assert set(dts % step_in_dt) == {0 if own_clock else step_in_dt - 1}
    for l, monitor in enumerate(errors, 1):
        found = counted(monitor, "error", NET.layer_sizes[l], NET.n_steps, step)
        assert np.array_equal(found, experiment.trace.errors[l]), l
    scores = np.asarray(ends.summed_drive).reshape(N_SAMPLES, -1) / NET.n_steps
    assert np.array_equal(scores, experiment.trace.scores)
    ticks = 1 if own_clock else step_in_dt
    last = drive.summed_drive[:, ticks - 1 :: ticks]
    steps = np.arange(1, NET.n_steps + 1)[:, np.newaxis]
    found = last.T.reshape(N_SAMPLES, NET.n_steps, -1) / steps
    assert np.array_equal(found, experiment.trace.step_scores)
    events = (experiment.trace.spikes[1] != 0).sum()
    dt = mlp.clock.dt
    assert float(np.sum(rate.rate) * dt * NET.layer_sizes[1]) == pytest.approx(events)


def test_cython_learns_what_the_reference_learns(experiment):
    prefs.codegen.target = "cython"
    mlp = SpikingMLPGroup(NET, experiment.weights, name="cythonic", **shown(experiment))
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)


@pytest.mark.parametrize(
    "changes",
    [
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
        {"label_targets": (1, 5), "update": "outer", "spikes": "binary"},
    ],
    ids=str,
)
def test_all_options(changes):
    experiment = Experiment(NET.replace(**changes))
    mlp = SpikingMLPGroup(experiment.net, experiment.weights, **shown(experiment))
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations


@pytest.mark.parametrize("layer_sizes", [(9, 3), (9, 8, 7, 6, 5, 3), (1, 1)])
def test_any_depth(layer_sizes):
    experiment = Experiment(SpikingMLP(layer_sizes, n_steps=7, learning_rate=0.5))
    mlp = SpikingMLPGroup(experiment.net, experiment.weights, **shown(experiment))
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)


def test_double_preference_does_not_matter(experiment):
    prefs.core.default_float_dtype = np.float32
    try:
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    finally:
        prefs.core.default_float_dtype = np.float64
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)


class TestInput:
    @pytest.mark.parametrize("coding", ["values", "spikes"])
    def test_spikes_of_a_source_arrive_in_the_same_dt(self, coding):
        experiment = Experiment(NET.replace(input_coding=coding), counts=True)
        source = generator(experiment)
        mlp = SpikingMLPGroup(
            experiment.net,
            experiment.weights,
            input=source,
            label=labels(experiment),
        )
        Network(source, mlp).run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_spikes_anywhere_in_a_step_are_delivered_at_its_end(self, experiment_with_counts):
        experiment = experiment_with_counts
        source = generator(experiment, step_in_dt=6, spread=True)
        label = labels(experiment, 6 * DT)
        mlp = SpikingMLPGroup(NET, experiment.weights, input=source, label=label, step=6 * DT)
        Network(source, mlp).run(N_SAMPLES * 6 * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_spikes_through_synapses_of_the_users_arrive_in_the_next_dt(
        self, experiment_with_counts
    ):
        experiment = experiment_with_counts
        source = generator(experiment)
        mlp = SpikingMLPGroup(NET, experiment.weights, order=5)
        synapses = Synapses(source, mlp.input_layer, on_pre="received_input_post += 1")
        synapses.connect(j="i")
        network = Network(source, mlp, synapses)
        network.run(DT)  # one step before the first spike arrives, and no label yet
        assert mlp.checkpoint().state.samples_seen == 0
        mlp.schedule.sample_over = True
        for y in experiment.y:
            mlp.schedule.label = y
            network.run(SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_a_neuron_group_of_the_users_drives_the_network(self):
        net = SpikingMLP((4, 6, 2), n_steps=5, learning_rate=0.5)
        group = NeuronGroup(
            4, "dv/dt = (i + 1.5)/ms : 1", threshold="v > 1", reset="v -= 1", method="euler"
        )
        spikes = SpikeMonitor(group)
        mlp = SpikingMLPGroup(net, input=group, label=1)
        Network(group, spikes, mlp).run(40 * DT)
        counts = np.zeros((40, 4), int)
        counts[np.rint(np.asarray(spikes.t / DT)).astype(int), np.asarray(spikes.i)] = 1
        with Simulator(net, "reference") as sim:
            sim.train(counts.reshape(8, 5, 4), np.ones(8, int))
            expected = sim.weights
        assert counts.any()
        for found, matrix in zip(mlp.checkpoint().state.weights, expected, strict=True):
            assert np.array_equal(found, matrix)

    def test_a_poisson_group_drives_the_network(self):
        net = SpikingMLP((30, 10, 2), n_steps=5, input_coding="spikes")
        source = PoissonGroup(30, rates="2000*Hz")
        mlp = SpikingMLPGroup(net, input=source, label=0)
        Network(source, mlp).run(100 * DT)
        assert mlp.operations.samples == 20
        assert mlp.operations.spikes > 0

    def test_constants_expressions_and_variables_that_are_set_later(self, experiment):
        first, factor = experiment.x[0], 2.0
        halves = Function(
            lambda i: first[i] / 2, arg_units=[1], arg_types=["integer"], return_unit=1
        )
        halves.implementations.add_implementation("numpy", halves.pyfunc)
        mlps = [
            SpikingMLPGroup(NET, experiment.weights, input=first, label=1),
            SpikingMLPGroup(NET, experiment.weights, input="factor*halves(i)", label="factor - 1"),
            SpikingMLPGroup(NET, experiment.weights),
        ]
        mlps[2].input_layer.input_value = first
        mlps[2].schedule.label = 1
        Network(mlps).run(3 * SAMPLE, namespace={"halves": halves, "factor": factor})
        ends = [mlp.checkpoint().state.weights for mlp in mlps]
        with Simulator(NET, "reference", experiment.weights) as sim:
            sim.train(np.tile(first, (3, 1)), [1, 1, 1])
            for end in ends:
                for found, expected in zip(end, sim.weights, strict=True):
                    assert np.array_equal(found, expected)


class TestTargets:
    def test_a_label_that_is_set_asks_for_what_the_definition_says(self, experiment):
        net = NET.replace(label_targets=(1, 5))
        x, y = experiment.x[0], np.array([[1.0, 5.0, 1.0]])
        mlps = [SpikingMLPGroup(net, input=x), SpikingMLPGroup(NET, input=x, target=y[0])]
        mlps[0].schedule.label = 1
        Network(mlps).run(SAMPLE)
        with Simulator(NET, "reference") as sim:
            sim.train(x[np.newaxis], y)
            for mlp in mlps:
                found = mlp.checkpoint().state.weights
                assert all(map(np.array_equal, found, sim.weights))

    def test_real_targets_from_a_timed_array(self):
        net = NET
        random = np.random.RandomState(4)
        x, y = random.uniform(-1, 2, (4, 9)), random.uniform(-1, 3, (4, 7, 3))
        mlp = SpikingMLPGroup(
            net,
            input=TimedArray(x, dt=SAMPLE),
            target=TimedArray(y.reshape(-1, 3), dt=DT),
        )
        Network(mlp).run(4 * SAMPLE)
        with Simulator(net, "reference") as sim:
            sim.train(x, y)
            expected = sim.weights
        for found, matrix in zip(mlp.checkpoint().state.weights, expected, strict=True):
            assert np.array_equal(found, matrix)

    def test_targets_from_a_source_of_spikes(self, experiment):
        random = np.random.RandomState(4)
        y = random.randint(0, 2, (N_SAMPLES, NET.n_steps, NET.n_outputs))
        steps, units = np.nonzero(y.reshape(-1, NET.n_outputs))
        source = SpikeGeneratorGroup(NET.n_outputs, units, steps * DT)
        mlp = SpikingMLPGroup(NET, input=shown(experiment)["input"], target=source)
        Network(source, mlp).run(N_SAMPLES * SAMPLE)
        with Simulator(NET, "reference") as sim:
            sim.train(experiment.x, y.astype(float))
            expected = sim.weights
        for found, matrix in zip(mlp.checkpoint().state.weights, expected, strict=True):
            assert np.array_equal(found, matrix)

    def test_learning_can_be_switched_without_making_anything_anew(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp)
        mlp.learning = False
        network.run(3 * SAMPLE)
        before = mlp.checkpoint().state
        assert before.samples_seen == 0
        assert np.array_equal(mlp.scores, _predicted(experiment, 3)[-1])
        mlp.learning = True
        network.run((N_SAMPLES - 3) * SAMPLE)
        assert mlp.checkpoint().state.samples_seen == N_SAMPLES - 3
        with Simulator(NET, "reference", experiment.weights) as sim:
            sim.train(experiment.x[3:], experiment.y[3:])
            for found, matrix in zip(mlp.checkpoint().state.weights, sim.weights, strict=True):
                assert np.array_equal(found, matrix)

    @pytest.mark.parametrize("update", ["fractional", "outer"])
    @pytest.mark.parametrize("backward_init", ["carry", "zero", "uniform"])
    @pytest.mark.parametrize("spikes", ["graded", "binary"])
    def test_a_late_target_skips_the_rules_of_learning_until_it_comes(
        self, update, backward_init, spikes
    ):
        from spikebp_plugins.network.arithmetic import arithmetic_of
        from spikebp_plugins.network.state import initial_state
        from spikebp_plugins.rules import step as reference

        net = NET.replace(update=update, backward_init=backward_init, spikes=spikes, seed=2)
        experiment = Experiment(net)
        known = np.random.RandomState(9).randint(0, 2, (N_SAMPLES, net.n_steps)).astype(bool)
        known[2] = False  # a sample whose target never comes
        labels = np.where(known, experiment.y[:, np.newaxis], -1)
        mlp = SpikingMLPGroup(
            net,
            experiment.weights,
            input=shown(experiment)["input"],
            label=TimedArray(labels.ravel().astype(float), dt=DT),
        )
        Network(mlp).run(N_SAMPLES * SAMPLE)

        number = arithmetic_of(net)
        learning = initial_state(net, experiment.weights)
        for x, y, row in zip(experiment.x, experiment.y, known, strict=True):
            sample = reference.open_sample(net)
            if row.any():
                learning = reference.open_training(net, learning)
            for has_target in row:
                target = number.round(np.eye(3)[y]) if has_target else None
                learning, sample, _ = reference.step(net, learning, sample, number.round(x), target)
            if row.any():
                learning = reference.close_training(net, learning, sample)
        state = mlp.checkpoint().state
        assert state.samples_seen == learning.samples_seen == N_SAMPLES - 1
        for name in ("weights", "backward_potentials"):
            for found, expected in zip(getattr(state, name), getattr(learning, name), strict=True):
                assert np.array_equal(found, expected)


def _predicted(experiment, n):
    with Simulator(experiment.net, "reference", experiment.weights) as sim:
        return sim.predict(experiment.x[:n])


def test_an_event_of_the_users_ends_a_sample(experiment):
    lengths = [3, 9, 1, 7]
    ends = np.cumsum(lengths) - 1
    source = SpikeGeneratorGroup(1, np.zeros(4, int), ends * DT)
    x, y = np.repeat(experiment.x[:4], lengths, axis=0), np.repeat(experiment.y[:4], lengths)
    mlp = SpikingMLPGroup(
        NET.replace(update="outer"),
        experiment.weights,
        input=TimedArray(x, dt=DT),
        label=TimedArray(y.astype(float), dt=DT),
        sample_end=source,
    )
    scores = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
    Network(source, mlp, scores).run(sum(lengths) * DT)

    from spikebp_plugins.network.arithmetic import arithmetic_of
    from spikebp_plugins.network.state import initial_state
    from spikebp_plugins.rules.sample import run_sample

    number, net = arithmetic_of(mlp.net), mlp.net
    learning = initial_state(net, experiment.weights)
    drives = []
    for i, length in enumerate(lengths):
        rows = (number.round(experiment.x[i])[np.newaxis], number.round(np.eye(3)[[y[ends[i]]]]))
        learning, record = run_sample(net, learning, *rows, length)
        drives.append(record.step_scores[-1] * length)
    assert np.allclose(np.asarray(scores.summed_drive).reshape(4, -1), drives, rtol=1e-12)
    state = mlp.checkpoint().state
    assert state.samples_seen == 4
    for found, expected in zip(state.weights, learning.weights, strict=True):
        assert np.array_equal(found, expected)


def test_store_restore_and_runs_in_parts_go_on_exactly(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    network = Network(mlp)
    network.store()
    network.run(3 * SAMPLE)
    network.restore()
    # The second run begins in the middle of a sample.
    network.run(N_SAMPLES * SAMPLE / 2 - 2 * DT)
    network.run(N_SAMPLES * SAMPLE / 2 + 2 * DT)
    experiment.assert_learned_by(mlp)


def test_a_checkpoint_goes_in_and_comes_out(experiment):
    with Simulator(NET, "compiled", experiment.weights) as sim:
        sim.train(experiment.x[:3], experiment.y[:3])
        first = sim.checkpoint()
    rest = Experiment(NET)
    rest.x, rest.y = experiment.x[3:6], experiment.y[3:6]
    mlp = SpikingMLPGroup(first, **shown(rest))
    Network(mlp).run(3 * SAMPLE)
    assert mlp.operations.samples == 3
    with mlp.checkpoint().simulate("compiled") as sim:
        sim.train(experiment.x[6:], experiment.y[6:])
        end = sim.checkpoint().state
    assert end.samples_seen == N_SAMPLES
    for found, expected in zip(end.weights, experiment.end.weights, strict=True):
        assert np.array_equal(found, expected)


def test_two_networks_in_one_script_do_not_disturb_each_other(experiment):
    first = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    second_net = Experiment(NET.replace(learning_rate=0.3), seed=4)
    second_mlp = SpikingMLPGroup(second_net.net, second_net.weights, **shown(second_net))
    Network(first, second_mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(first)
    second_net.assert_learned_by(second_mlp)


def test_networks_can_be_stacked_within_a_dt(experiment):
    lower = SpikingMLPGroup(NET, experiment.weights, name="lower", **shown(experiment))
    upper_net = SpikingMLP((3, 5, 2), n_steps=7, input_coding="spikes", learning_rate=0.5)
    upper = SpikingMLPGroup(upper_net, name="upper", order=100, label=1)
    graded = Synapses(
        lower.output_layer, upper.input_layer, on_pre="received_input_post += spike_count_pre"
    )
    graded.pre.when, graded.pre.order = "thresholds", 99
    graded.connect(j="i")
    Network(lower, upper, graded).run(N_SAMPLES * SAMPLE)
    with Simulator(upper_net, "reference") as sim:
        sim.train(experiment.trace.spikes[3], np.ones(N_SAMPLES, int))
        for found, expected in zip(upper.checkpoint().state.weights, sim.weights, strict=True):
            assert np.array_equal(found, expected)


def test_spikes_reach_groups_of_the_users_with_their_count(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    sink = NeuronGroup(3, "v : 1")
    synapses = Synapses(mlp.output_layer, sink, on_pre="v_post += spike_count_pre")
    synapses.connect(j="i")
    Network(mlp, sink, synapses).run((N_SAMPLES * NET.n_steps + 1) * DT)
    assert np.array_equal(sink.v[:], experiment.trace.spikes[3].sum(axis=(0, 1)))
    assert experiment.trace.spikes[3].max() > 1


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"net": (9, 3)},
                r"net must be a SpikingMLP or a SpikingNetwork or a Checkpoint; got \(9, 3\)",
            ),
            ({"weights": [np.zeros((2, 2))]}, "weights must be matrices of shapes"),
            ({"input": [1.0, 2.0]}, "input must be an expression, a TimedArray, a group that"),
            ({"input": np.full(9, np.nan)}, "9 finite numbers; got array"),
            ({"label": 1, "target": 0.5}, "label must be None where a target is given; got 1"),
            ({"label": "one", "target": "x"}, "label must be None where a target is given"),
            ({"label": 3}, "label must be a whole number below 3, or any below 0 where .*; got 3"),
            ({"label": 0.5}, r"label must be a whole number below 3, .*; got 0\.5"),
            ({"sample_end": 5}, "sample_end must be a group that spikes, or None; got 5"),
            ({"step": 0.25 * ms}, "step must be a whole number of dt, which is 100. us; got"),
            ({"step": 0 * ms}, "step must be a whole number of dt"),
            ({"step": 3}, r"step must be a time, such as 5\*ms; got 3"),
            ({"step": 5 * mV}, r"step must be a time, such as 5\*ms; got 5\. \* mvolt"),
            ({"step": "5*ms"}, "step must be a time, such as"),
            ({"step": [1, 2] * ms}, "step must be a time, such as"),
            ({"step": -1 * ms}, "step must be a whole number of dt"),
            ({"order": True}, "order must be an integer; got True"),
            ({"order": 1.5}, r"order must be an integer; got 1\.5"),
            ({"order": "3"}, "order must be an integer; got '3'"),
        ],
        ids=str,
    )
    def test_wrong_arguments_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            SpikingMLPGroup(**({"net": NET} | arguments))

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("input", np.ones(9) * mV),
            ("input", [0.5, 1 * mV, *range(7)]),
            ("input", TimedArray(np.ones((2, 9)) * mV, dt=DT)),
            ("input", 0 * mV),
            ("label", 1 * ms),
            ("label", TimedArray([1, 2] * mV, dt=DT)),
            ("target", [1, 0, 0] * mV),
            ("weights", [np.zeros((9, 8)), np.zeros((8, 7)) * mV, np.zeros((7, 3))]),
            ("feedback", (np.zeros((7, 8)), np.zeros((3, 7)) * mV)),
        ],
    )
    def test_a_unit_is_refused(self, name, given):
        with pytest.raises(DimensionMismatchError, match=f"{name} must be without a unit"):
            SpikingMLPGroup(NET.replace(feedback="random"), **{name: given})

    def test_quantities_without_a_unit_are_numbers(self):
        mlp = SpikingMLPGroup(NET, input=np.ones(9) * mV / mV, label=2 * ms / ms)
        Network(mlp).run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 1

    @pytest.mark.parametrize("order", [np.int64(3), np.int16(3), 0, -1], ids=repr)
    def test_the_order_is_any_integer(self, order):
        parts = SpikingMLPGroup(NET, order=order).schedule.contained_objects
        orders = [part.order for part in parts if part.when == "thresholds"]
        assert orders == [order + 1]
        assert type(orders[0]) is int

    def test_a_source_of_the_wrong_size_is_refused(self):
        source = SpikeGeneratorGroup(5, [], [] * ms)
        with pytest.raises(ValueError, match="input must be a group of 9 units; got Spike"):
            SpikingMLPGroup(NET, input=source)
        with pytest.raises(ValueError, match="target must be a group of 3 units; got Spike"):
            SpikingMLPGroup(NET, target=source)
        with pytest.raises(ValueError, match="label must be a number, an expression or a TimedAr"):
            SpikingMLPGroup(NET, label=source)
        Network(source).run(DT)

    def test_timed_arrays_of_the_wrong_shape_are_refused(self):
        with pytest.raises(ValueError, match=r"TimedArray of shape \(n, 9\); got one of"):
            SpikingMLPGroup(NET, input=TimedArray(np.zeros((4, 2)), dt=DT))
        with pytest.raises(ValueError, match="label must be a TimedArray one-dimensional"):
            SpikingMLPGroup(NET, label=TimedArray(np.zeros((4, 2)), dt=DT))

    def test_weights_with_a_checkpoint_are_refused(self, experiment):
        with Simulator(NET) as sim:
            checkpoint = sim.checkpoint()
        with pytest.raises(ValueError, match="weights and feedback must be None with a checkpoint"):
            SpikingMLPGroup(checkpoint, experiment.weights)

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("label", r"set schedule\.label"),
            ("input", r"set input_layer\.input_value"),
            ("target", r"set output_layer\.target_value"),
            ("weight", r"set synapses\[l - 1\]\.weight"),
            ("n_steps", r"set schedule\.steps_per_sample"),
            ("step", "it is an argument that is given when the group is made"),
            ("order", "it is an argument"),
            ("net", "it is an argument"),
            ("lable", "variables belong to its parts; add_attribute makes a name of your own"),
            ("schedule", "variables belong to its parts"),
        ],
    )
    def test_what_the_group_does_not_have_cannot_be_set(self, name, advice):
        mlp = SpikingMLPGroup(NET, name="mine")
        with pytest.raises(AttributeError, match=f"'{name}' of 'mine' cannot be set: {advice}"):
            setattr(mlp, name, 3)
        Network(mlp).run(DT)

    def test_what_the_group_has_can_be_set(self):
        mlp = SpikingMLPGroup(NET, label=1)
        mlp.learning = False
        mlp.active = False
        assert not mlp.output_layer.active
        mlp.active = True
        mlp._note = 1
        mlp.add_attribute("note")
        assert mlp.note is None
        mlp.note = 2
        assert mlp.note == 2
        for taken in ("note", "scores", "label", "step"):
            with pytest.raises(AttributeError, match=f"'{taken}' has a meaning in 'spikingmlp'"):
                mlp.add_attribute(taken)
        Network(mlp).run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 0

    def test_values_off_the_grid_are_found_before_the_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        mlp.synapses[1].weight[5] = 0.1
        with pytest.raises(Exception, match="preparing an object") as error:
            Network(mlp).run(SAMPLE)
        assert "weight of layer 2 must be a multiple of 2**-12; got 0.1" in str(
            error.value.__cause__
        )
        mlp.synapses[1].weight[5] = 2.0**50
        with pytest.raises(Exception, match="preparing an object") as error:
            Network(mlp).run(SAMPLE)
        assert isinstance(error.value.__cause__, OverflowError)

    def test_an_overflow_leaves_the_network_as_before_the_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp)
        network.run(2 * SAMPLE)
        before = mlp.checkpoint().state
        mlp.schedule.label = 0
        mlp.input_layer.received_input = 2.0**43
        with pytest.raises(OverflowError, match="of layer 0 may have left the range in this run"):
            network.run(SAMPLE)
        after = mlp.checkpoint().state
        assert after.samples_seen == before.samples_seen
        for one, other in zip(after.weights, before.weights, strict=True):
            assert np.array_equal(one, other)
        mlp.input_layer.received_input = 0
        network.run((N_SAMPLES - 3) * SAMPLE)

    @pytest.mark.parametrize(
        ("variable", "value", "error"),
        [
            ("weight", 0.1, ValueError),
            ("backward_weight", 0.1, ValueError),
            ("backward_potential", 0.1, ValueError),
            ("weight", 2.0**50, OverflowError),
        ],
    )
    def test_a_run_that_ends_off_the_grid_leaves_the_network_as_before(
        self, experiment, variable, value, error
    ):
        mlp = SpikingMLPGroup(NET.replace(feedback="random"), experiment.weights)
        owner = mlp.layers[2] if variable == "backward_potential" else mlp.synapses[1]
        is_on = True

        @network_operation(when="end")
        def overwrite():
            if is_on:
                getattr(owner, variable)[3] = value

        network = Network(mlp, overwrite)
        before = mlp.checkpoint().state
        words = variable.replace("_", "[_ ]")
        with pytest.raises(error, match=f"{words} of layer 2 (must be a multiple|must stay|may)"):
            network.run(SAMPLE)
        after = mlp.checkpoint().state
        for one, other in (
            (before.weights, after.weights),
            (before.feedback, after.feedback),
            (before.backward_potentials, after.backward_potentials),
        ):
            assert all(map(np.array_equal, one, other))
        is_on = False
        network.run(SAMPLE)

    def test_weights_that_decay_off_the_grid_are_an_error(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        mlp.synapses[0].run_regularly("weight *= 0.999", dt=SAMPLE)
        with pytest.raises(ValueError, match="weight of layer 1 must be a multiple of 2"):
            Network(mlp).run(2 * SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 0

    def test_a_checkpoint_is_on_the_grid(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        Network(mlp).run(SAMPLE)
        mlp.layers[1].backward_potential[2] = 0.1
        with pytest.raises(ValueError, match="backward_potential of layer 1 must be a multiple"):
            mlp.checkpoint()

    @pytest.mark.parametrize(("spikes", "value"), [("graded", 0.5), ("binary", 2.0)])
    def test_input_spikes_must_be_counts(self, spikes, value):
        net = NET.replace(input_coding="spikes", spikes=spikes)
        mlp = SpikingMLPGroup(net, label=1)
        network = Network(mlp)
        mlp.input_layer.input_value[4] = -1.0
        network.run(SAMPLE)
        mlp.input_layer.input_value[4] = value
        with pytest.raises(ValueError, match="input_coding='spikes'; unit 4 of layer 0 received"):
            network.run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 1

    @pytest.mark.parametrize("timing", ["immediate", "pipelined"])
    @pytest.mark.parametrize("wrong", [3.0, 0.5, 2.5, np.inf, np.nan])
    def test_a_label_that_is_no_class_leaves_the_network_as_before(self, wrong, timing):
        net = NET.replace(timing=timing)
        sample = (net.n_steps + (5 if timing == "pipelined" else 0)) * DT
        given = TimedArray([1.0, wrong, -0.5, 2.0], dt=sample)
        mlp = SpikingMLPGroup(net, label=given, input=np.ones(9))
        network = Network(mlp)
        network.run(sample)
        before = mlp.checkpoint().state
        with pytest.raises(ValueError, match="the label of a step must be a whole number below 3"):
            network.run(sample)
        after = mlp.checkpoint().state
        assert after.samples_seen == before.samples_seen == 1
        for one, other in zip(after.weights, before.weights, strict=True):
            assert np.array_equal(one, other)
        network.run(2 * sample)
        assert mlp.checkpoint().state.samples_seen == 2

    def test_a_label_from_an_expression_or_a_variable_must_be_a_class(self):
        mlp = SpikingMLPGroup(NET, label="3*int(t > 0.3*ms)")
        with pytest.raises(ValueError, match="the label of a step must be a whole number below 3"):
            Network(mlp).run(SAMPLE)
        mlp = SpikingMLPGroup(NET)
        mlp.schedule.label = 7
        network = Network(mlp)
        mlp.learning = False
        network.run(SAMPLE)
        mlp.learning = True
        with pytest.raises(ValueError, match="the label of a step must be a whole number below 3"):
            network.run(SAMPLE)

    @pytest.mark.parametrize("label", [-1, -0.5, 2, np.int16(1), True], ids=repr)
    def test_labels_that_are_known_or_not(self, label):
        mlp = SpikingMLPGroup(NET, label=label)
        Network(mlp).run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == (label >= 0)

    def test_nan_is_an_error(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, label=1)
        mlp.input_layer.input_value[2] = np.nan
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(OverflowError, match="a value of layer 0"),
        ):
            Network(mlp).run(SAMPLE)

    def test_the_default_dt_may_change_until_the_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, step=1 * ms, **shown(experiment, 1 * ms))
        defaultclock.dt = 0.5 * ms
        Network(mlp).run(N_SAMPLES * NET.n_steps * ms)
        experiment.assert_learned_by(mlp)


def test_a_silent_layer_is_warned_of_once(caplog):
    net = SpikingMLP((4, 5, 2), n_steps=2)
    mlp = SpikingMLPGroup(net, [np.zeros((4, 5)), np.zeros((5, 2))], input=np.ones(4), label=0)
    network = Network(mlp)
    for _ in range(3):
        network.run(100 * 2 * DT)
    warnings = [record for record in caplog.records if "has fired no spike" in record.message]
    assert len(warnings) == 1
    assert "layer 1 of 'spikingmlp'" in warnings[0].message
    assert "larger weights or more steps" in warnings[0].message


def test_a_network_without_input_or_target_runs_and_learns_nothing(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    Network(mlp).run(2 * SAMPLE)
    assert mlp.checkpoint().state.samples_seen == 0
    assert mlp.operations.samples == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"timing": "event", "arithmetic": "float32"},
            "timing=one of 'immediate', 'pipelined', not timing='event'",
        ),
        ({"arithmetic": "loihi2"}, "'float64', 'float32', not arithmetic='loihi2'"),
    ],
    ids=str,
)
def test_what_it_does_not_know_is_refused(changes, message):
    with pytest.raises(
        UnsupportedError, match=f"SpikingMLPGroup cannot run .* it knows .*{message}"
    ):
        SpikingMLPGroup(NET.replace(**changes))
