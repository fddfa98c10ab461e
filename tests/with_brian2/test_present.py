"""Samples that are presented, and what monitors have recorded of them, by sample and step."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    DimensionMismatchError,
    EventMonitor,
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    defaultclock,
    ms,
    mV,
    network_operation,
    run,
)
from brian2.equations.equations import SUBEXPRESSION

import spikebp_brian2
from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork
from spikebp_plugins.network.state import initial_state
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    Experiment,
    assert_equal_states,
    refusal_of,
    shown,
)

#: How steps follow the clock: each tick, a clock of their own, or the last of several ticks.
STEPS = [
    pytest.param({}, marks=pytest.mark.thorough),
    {"step": 5 * ms},
    pytest.param({"step": 0.4 * ms, "clock": defaultclock}, marks=pytest.mark.thorough),
]


def samples(net, n, seed=0):
    random = np.random.RandomState(seed)
    return random.uniform(-1, 2, (n, net.n_inputs)), random.randint(0, net.n_outputs, n)


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
@pytest.mark.parametrize("steps", STEPS, ids=["a dt", "a clock", "several dt"])
def test_every_presentation_is_that_of_the_reference(steps, timing):
    net = NET.replace(timing=timing, label_targets=(-0.3, 2.7))
    mlp = SpikingMLPGroup(net, **steps)
    mlp.record()
    network = Network(mlp)
    with Simulator(net, "reference") as sim:
        for n in (5, 3, 1):
            x, y = samples(net, n, seed=n)
            network.run(mlp.present(x, y))
            assert mlp.trace().diff(sim.train(x, y, record=True)) is None
        x, _ = samples(net, 2)
        network.run(mlp.present(x))
        assert mlp.trace().diff(sim.predict(x, record=True)) is None
        random = np.random.RandomState(4)
        x, y = random.uniform(-1, 2, (3, 7, 9)), random.uniform(-1, 3, (3, 7, 3))
        network.run(mlp.present(x, y))
        assert mlp.trace().diff(sim.train(x, y, record=True)) is None
        network.run(mlp.present(x, y[:, 0]))
        assert mlp.trace().diff(sim.train(x, y[:, 0], record=True)) is None
        assert mlp.checkpoint().state.samples_seen == sim.samples_seen


def test_samples_take_the_place_of_timed_arrays(experiment):
    given = shown(experiment) | {"label": None, "target": TimedArray(np.ones((2, 3)), dt=DT)}
    for feeds in (shown(experiment), given):
        mlp = SpikingMLPGroup(NET, **feeds)
        network = Network(mlp)
        network.run(SAMPLE)
        mlp.begin(initial_state(NET, experiment.weights))
        network.run(mlp.present(experiment.x, experiment.y))
        experiment.assert_learned_by(mlp)


def test_input_spikes_are_presented_as_counts():
    experiment = Experiment(NET.replace(input_coding="spikes"), counts=True)
    mlp = SpikingMLPGroup(experiment.net, experiment.weights)
    run(mlp.present(experiment.x, experiment.y))
    experiment.assert_learned_by(mlp)


def test_runs_may_be_cut_anywhere_and_restored(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, step=1 * ms)
    mlp.record()
    network = Network(mlp)
    whole = mlp.present(experiment.x, experiment.y)
    network.run(3.7 * ms)
    network.store()
    for _ in range(2):
        network.run(whole - network.t)
        experiment.assert_learned_by(mlp)
        assert mlp.trace().diff(experiment.trace) is None
        network.restore()


def test_a_state_from_before_a_presentation_does_not_run(experiment):
    mlp = SpikingMLPGroup(NET)
    network = Network(mlp)
    network.store()
    network.run(mlp.present(experiment.x, experiment.y))
    network.restore()
    with pytest.raises(RuntimeError, match="restored to a state from before its samples"):
        mlp.trace(*mlp.record())
    assert "present them again" in str(refusal_of(network))
    network.run(mlp.present(experiment.x, experiment.y))
    assert mlp.checkpoint().state.samples_seen == 8


def test_samples_are_presented_between_samples(experiment):
    mlp = SpikingMLPGroup(NET)
    network = Network(mlp)
    network.run(3 * DT)
    with pytest.raises(RuntimeError, match="has been shown for 3 steps: run it to its end first"):
        mlp.present(experiment.x, experiment.y)
    network.run(4 * DT)
    network.run(mlp.present(experiment.x, experiment.y))
    assert mlp.checkpoint().state.samples_seen == 8


def test_samples_are_not_presented_within_a_run(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, name="mine")
    other = SpikingMLPGroup(NET, experiment.weights, step=1 * ms)
    others = Network(other)

    @network_operation(dt=SAMPLE)
    def teach():
        with pytest.raises(RuntimeError, match="'mine' between runs; within a run set"):
            mlp.present(experiment.x, experiment.y)
        # A network that is not in this run has one of its own.
        others.run(other.present(experiment.x[:2], experiment.y[:2]))

    network = Network(mlp, teach)
    network.run(SAMPLE)
    teach.active = False
    network.run(mlp.present(experiment.x, experiment.y))
    experiment.assert_learned_by(mlp)
    with Simulator(NET, "reference", experiment.weights) as sim:
        sim.train(experiment.x[:2], experiment.y[:2])
        assert_equal_states(other.checkpoint().state, sim.checkpoint().state)


def test_samples_that_an_event_ends_take_as_long_as_they_take(experiment):
    ends = SpikeGeneratorGroup(1, [0, 0, 0], [2, 11, 12] * DT)
    mlp = SpikingMLPGroup(NET, experiment.weights, sample_end=ends)
    assert mlp.present(experiment.x[:3], experiment.y[:3]) is None
    spikes = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
    Network(mlp, ends, spikes).run(13 * DT)
    with Simulator(NET, "reference", experiment.weights) as sim:
        stream = sim.stream(n_steps=None)
        for x, y, n in zip(experiment.x, experiment.y, (3, 9, 1), strict=False):
            stream.target = y
            for _ in range(n):
                stream.show(x)
            stream.close_sample()
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
    with pytest.raises(RuntimeError, match="cannot be told apart by their times"):
        mlp.counts(spikes)


def test_samples_that_are_over_are_warned_of_once(experiment, caplog):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    network = Network(mlp)
    network.run(mlp.present(experiment.x, experiment.y) + 14 * DT)
    network.run(7 * DT)
    warnings = [
        record.message
        for record in caplog.records
        if record.levelname == "WARNING" and "getting deleted" not in record.message
    ]
    assert len(warnings) == 1
    assert "has been run for 10 samples since 8 were presented" in warnings[0]
    experiment.assert_learned_by(mlp)
    assert not mlp.input_layer.input_value[:].any()


def test_samples_without_targets_may_take_other_steps(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    mlp.record()
    network = Network(mlp)
    with Simulator(NET, "reference", experiment.weights) as sim:
        network.run(mlp.present(experiment.x, n_steps=11))
        assert np.array_equal(mlp.trace().scores, sim.predict(experiment.x, n_steps=11))
        network.store()
        with pytest.raises(ValueError, match="n_steps must be None with targets"):
            mlp.present(experiment.x, experiment.y, n_steps=11)
        network.run(mlp.present(experiment.x, experiment.y))
        assert mlp.trace().diff(sim.train(experiment.x, experiment.y, record=True)) is None
    network.restore()
    with Simulator(NET, "reference", experiment.weights) as sim:
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        network.run(mlp.present(experiment.x, experiment.y))
        sim.train(experiment.x, experiment.y)
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)


def test_monitors_rest_where_nothing_is_recorded(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    monitors = mlp.record()
    network = Network(mlp)
    mlp.recording = False
    network.run(mlp.present(experiment.x, experiment.y))
    assert not any(len(monitor.t) for monitor in monitors)
    mlp.recording = True
    network.run(mlp.present(experiment.x, experiment.y))
    assert mlp.trace().spikes[0].shape == (N_SAMPLES, 7, 9)


@pytest.mark.parametrize("update", ["fractional", "outer", "normalized"])
def test_a_rate_that_changes_teaches_as_the_reference(update):
    net = NET.replace(update=update, timing="pipelined")
    mlp = SpikingMLPGroup(net, name="mine")
    mlp.record()
    network = Network(mlp)
    sim = Simulator(net, "reference")
    for rate in (0.5, 0.25, 0.125):
        x, y = samples(net, 4, seed=int(8 * rate))
        mlp.learning_rate = rate
        assert (mlp.learning_rate, mlp.net.learning_rate) == (rate, rate)
        sim = sim.checkpoint().at_rate(rate).simulate("reference")
        network.run(mlp.present(x, y))
        assert mlp.trace().diff(sim.train(x, y, record=True)) is None
        assert mlp.checkpoint().net == sim.net
        if rate == 0.25:
            network.store()
    before = mlp.checkpoint().state
    for wrong in (0, -1, 1e-9, "0.1"):
        with pytest.raises(ValueError, match="learning_rate"):
            mlp.learning_rate = wrong

    @network_operation(dt=SAMPLE)
    def halve():
        with pytest.raises(RuntimeError, match="rate of 'mine' is set between runs"):
            mlp.learning_rate = 0.01

    assert_equal_states(mlp.checkpoint().state, before)
    assert mlp.learning_rate == 0.125
    network.restore()  # with the rate at which the state was stored
    assert mlp.learning_rate == 0.25
    sim = mlp.checkpoint().simulate("reference")
    network.run(mlp.present(x, y))
    sim.train(x, y)
    assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
    network.add(halve)
    network.run(SAMPLE)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.ones((2, 8)), None, ValueError, "x must be of shape"),
        (np.ones((2, 9)), [0, 3], ValueError, "y must be labels from 0 to 2"),
        (np.ones((2, 9)), [0, 1, 2], ValueError, "y must be of shape"),
        (np.full((2, 9), np.nan), [0, 1], ValueError, "x must be finite"),
        (np.ones((2, 9)) * mV, [0, 1], DimensionMismatchError, "x must be without a unit"),
        (np.ones((2, 9)), [0, 1] * mV, DimensionMismatchError, "y must be without a unit"),
    ],
)
def test_what_cannot_be_presented_changes_nothing(x, y, error, message, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    network = Network(mlp)
    duration = mlp.present(experiment.x, experiment.y)
    with pytest.raises(error, match=message):
        mlp.present(x, y)
    network.run(duration)
    experiment.assert_learned_by(mlp)


class TestReadings:
    def test_monitors_of_the_users_are_read(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, step=1 * ms)
        spikes = [SpikeMonitor(layer, variables=["spike_count"]) for layer in mlp.layers]
        errors = [EventMonitor(layer, "error", variables=["error"]) for layer in mlp.layers[1:]]
        drive = StateMonitor(mlp.output_layer, "summed_drive", record=True, when="end")
        some = SpikeMonitor(mlp.layers[1][3:7], variables=["spike_count"])
        network = Network(mlp, spikes, errors, drive, some)
        network.run(mlp.present(experiment.x, experiment.y))
        for l, monitor in enumerate(spikes):
            assert np.array_equal(mlp.counts(monitor), experiment.trace.spikes[l])
        assert np.array_equal(mlp.counts(some), experiment.trace.spikes[1][:, :, 3:7])
        for l, monitor in enumerate(errors, 1):
            assert np.array_equal(mlp.errors(monitor), experiment.trace.errors[l])
        assert mlp.trace(drive, *errors, *spikes).diff(experiment.trace) is None
        with pytest.raises(ValueError, match="monitors must be those that record"):
            mlp.trace(*spikes)

    @pytest.mark.parametrize(
        "make",
        [
            lambda mlp: SpikeMonitor(mlp.layers[1]),
            lambda mlp: EventMonitor(mlp.layers[1], "error", variables=["error", "spike_count"]),
            lambda mlp: StateMonitor(mlp.layers[1], "spike_count", record=True),
            lambda _: SpikeMonitor(SpikingMLPGroup(NET).layers[1], variables=["spike_count"]),
        ],
    )
    def test_other_monitors_are_refused(self, make):
        mlp = SpikingMLPGroup(NET, name="mine")
        monitor = make(mlp)
        allowed = r"SpikeMonitor\(layer, variables=\['spike_count'\]\) of a layer of 'mine'"
        with pytest.raises(ValueError, match=f"monitor must be {allowed}"):
            mlp.counts(monitor)
        Network(mlp).run(DT)

    def test_a_monitor_that_has_missed_something_is_refused(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights)
        monitor = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
        network = Network(mlp, monitor)
        duration = mlp.present(experiment.x, experiment.y)
        monitor.active = False
        network.run(duration / 2)
        monitor.active = True
        network.run(duration / 2)
        with pytest.raises(ValueError, match="has missed some of what layer 1 has sent"):
            mlp.counts(monitor)
        network.run(mlp.present(experiment.x[:2], experiment.y[:2]))
        assert mlp.counts(monitor).shape == (2, 7, 8)

    def test_a_drive_that_was_recorded_before_the_step_is_refused(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights)
        monitors = mlp.record()
        early = StateMonitor(mlp.output_layer, "summed_drive", record=True)
        Network(mlp, early).run(mlp.present(experiment.x, experiment.y))
        with pytest.raises(ValueError, match=r"StateMonitor.*when='end'"):
            mlp.trace(early, *monitors[:-1])

    def test_a_sample_that_was_begun_anew_cannot_be_found_by_time(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights)
        monitor = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
        network = Network(mlp, monitor)
        network.run(3 * DT)
        mlp.schedule.sample_over = True
        network.run(10 * DT)
        with pytest.raises(RuntimeError, match="not each has taken 7 steps"):
            mlp.counts(monitor)

    def test_only_whole_samples_are_read(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, input=experiment.x[0], label=1)
        monitor = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
        network = Network(mlp, monitor)
        assert mlp.counts(monitor).shape == (0, 7, 8)
        network.run(17 * DT)
        found = mlp.counts(monitor)
        with Simulator(NET, "reference", experiment.weights) as sim:
            expected = sim.train(np.tile(experiment.x[0], (2, 1)), [1, 1], record=True)
        assert np.array_equal(found, expected.spikes[1])


def test_weights_are_read_and_set(experiment):
    mlp = SpikingMLPGroup(NET)
    with pytest.raises(ValueError, match="read-only"):
        mlp.weights[0][0, 0] = 1
    mlp.weights = experiment.weights
    run(mlp.present(experiment.x, experiment.y))
    experiment.assert_learned_by(mlp)
    assert all(map(np.array_equal, mlp.weights, experiment.end.weights))
    for wrong, error in (
        ([np.zeros((9, 8))], ValueError),
        ([w * mV for w in mlp.weights], DimensionMismatchError),
        ([w + 2.0**45 for w in mlp.weights], OverflowError),
        (None, ValueError),
    ):
        with pytest.raises(error, match="weight"):
            mlp.weights = wrong
    experiment.assert_learned_by(mlp)


def test_a_network_says_what_it_is():
    mlp = SpikingMLPGroup(NET, step=5 * ms, name="mine")
    assert repr(mlp) == "<SpikingMLPGroup 'mine': 9-8-7-3, step=5. ms, learning=True>"
    mlp.learning = False
    assert "learning=False" in repr(mlp)
    Network(mlp).run(5 * ms)


def test_help_states_the_meaning_of_every_variable():
    stated = spikebp_brian2.__doc__
    nets = [
        NET,
        NET.replace(update="outer", input_coding="spikes", feedback="random"),
        NET.replace(timing="pipelined"),
        NET.replace(update="normalized"),
        SpikingNetwork.paper((4, 4), [Conv2D(2, 2), Conv2D(1, 2), Dense(2)], feedback="random"),
    ]
    for net in nets:
        mlp = SpikingMLPGroup(net)
        for part in mlp.parts.values():
            for name, equation in part.equations.items():
                number = name.rpartition("_")[2]
                word = name.replace(number, "l") if number.isdigit() else name
                line = next(line for line in stated.splitlines() if f" {word} : " in line)
                is_stated = "#" in line or "linked" in equation.flags
                assert is_stated or equation.type == SUBEXPRESSION, name
        Network(mlp).run(DT)
    assert SpikingMLP.__name__ in SpikingMLPGroup.__doc__


@pytest.mark.thorough
def test_python_may_leave_docstrings_out():
    code = "import spikebp_brian2; print(spikebp_brian2.__doc__)"
    command = [sys.executable, "-OO", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
