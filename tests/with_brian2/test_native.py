"""The native objects in a user's own script, in runtime mode."""

import gc
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    DimensionMismatchError,
    Network,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    network_operation,
    prefs,
    run,
    second,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from spikebp_plugins.network.delays import steps_of_sample
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    Experiment,
    assert_equal_states,
    generator,
    labels,
    refusal_of,
    shown,
)


def test_run_finds_the_network_and_it_learns_what_the_reference_learns(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations
    assert np.array_equal(mlp.scores, experiment.trace.scores[-1])


@pytest.mark.parametrize(("clock", "tick"), [(None, 0), (defaultclock, 4)])
def test_a_step_is_computed_when_all_is_there_that_arrives_during_it(experiment, clock, tick):
    mlp = SpikingMLPGroup(
        NET, experiment.weights, step=5 * DT, clock=clock, **shown(experiment, 5 * DT)
    )
    spikes, rate = SpikeMonitor(mlp.layers[1]), PopulationRateMonitor(mlp.layers[1])
    Network(mlp, spikes, rate).run(N_SAMPLES * 5 * SAMPLE)
    experiment.assert_learned_by(mlp)
    dts = np.rint(np.asarray(spikes.t / DT)).astype(int)
    # On a clock of its own that is at its first dt, else at its last.
    assert set(dts % 5) == {tick}
    # Each event counts once, whatever its spikes.
    events = float(np.sum(rate.rate) * mlp.clock.dt * NET.layer_sizes[1])
    assert round(events) == spikes.num_spikes == (experiment.trace.spikes[1] != 0).sum()


def test_double_preference_does_not_matter(experiment):
    prefs.core.default_float_dtype = np.float32
    try:
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    finally:
        prefs.core.default_float_dtype = np.float64
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)


def test_spikes_anywhere_in_a_step_are_delivered_at_its_end(experiment_with_counts):
    experiment = experiment_with_counts
    source = generator(experiment, step_in_dt=6, spread=True)
    label = labels(experiment, 6 * DT)
    mlp = SpikingMLPGroup(NET, experiment.weights, input=source, label=label, step=6 * DT)
    Network(source, mlp).run(N_SAMPLES * 6 * SAMPLE)
    experiment.assert_learned_by(mlp)


def test_a_sample_that_the_user_cuts_short_leaves_nothing_under_way(experiment):
    net = NET.replace(timing="pipelined")
    steps = steps_of_sample(net, net.n_steps)
    mlp = SpikingMLPGroup(net, experiment.weights, label=0)
    mlp.input_layer.input_value = experiment.x[1]
    network = Network(mlp)
    network.run((net.n_steps + 1) * DT)
    mlp.schedule.sample_over = True
    cut = mlp.checkpoint()
    network.run(steps * DT)
    fresh = SpikingMLPGroup(cut, input=experiment.x[1], label=0)
    Network(fresh).run(steps * DT)
    assert_equal_states(mlp.checkpoint().state, fresh.checkpoint().state)


def test_a_checkpoint_goes_in_and_comes_out(experiment):
    with Simulator(NET, "compiled", experiment.weights) as sim:
        sim.train(experiment.x[:3], experiment.y[:3])
        first = replace(sim.checkpoint(), input_is_scaled=True)
    rest = Experiment(NET)
    rest.x, rest.y = experiment.x[3:6], experiment.y[3:6]
    mlp = SpikingMLPGroup(first, **shown(rest))
    Network(mlp).run(3 * SAMPLE)
    assert mlp.operations.samples == 3
    assert mlp.checkpoint().input_is_scaled
    with mlp.checkpoint().simulate("compiled") as sim:
        sim.train(experiment.x[6:], experiment.y[6:])
        assert_equal_states(sim.checkpoint().state, experiment.end)


MASKED = np.ma.masked_array(np.ones(9), [False, True] * 4 + [False])


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
            ({"label": 3}, "label must be a whole number below 3, or any below 0 where .*; got 3"),
            ({"label": 0.5}, r"label must be a whole number below 3, .*; got 0\.5"),
            ({"input": np.ones((8, 9))}, r"input must be TimedArray\(x, dt=...\).*present\(x, y\)"),
            ({"label": [0, 1, 2]}, r"label must be TimedArray\(x, dt=...\).*present\(x, y\)"),
            ({"label": np.nan}, "label must be .* a TimedArray, or a finite number; got nan"),
            (
                {"input": "0; label = 1"},
                "input must be an expression, if it is a string; got '0; l",
            ),
            (
                {"target": "1\npotential = 1"},
                "target must be an expression, if it is a string; got",
            ),
            ({"sample_end": 5}, "sample_end must be a group that spikes, or None; got 5"),
            ({"step": 0.25 * ms}, "step must be a whole number of dt, which is 100. us; got"),
            ({"step": 0 * ms}, "step must be a positive finite time"),
            ({"step": np.inf * second}, "step must be a positive finite time"),
            ({"step": 5 * mV}, r"step must be a positive .*, such as 5\*ms; got 5\. \* mvolt"),
            ({"step": [1, 2] * ms}, "step must be a positive finite time, such as"),
            ({"dt": 0 * ms}, "dt must be a positive finite time, such as"),
            ({"dt": -1 * ms}, "dt must be a positive finite time, such as"),
            ({"clock": "x"}, "clock must be a Clock or None; got 'x'"),
            ({"input": MASKED}, "9 finite numbers, without masked values; got a masked array"),
            ({"target": MASKED[:3]}, "3 finite numbers, without masked values; got a masked"),
            (
                {"input": TimedArray(np.ma.stack([MASKED, MASKED]), dt=DT)},
                "input must be a TimedArray without masked values; got one of a masked array",
            ),
            ({"order": True}, "order must be an integer; got True"),
            ({"order": 1.5}, r"order must be an integer; got 1\.5"),
            ({"learning": "no"}, "learning must be True or False; got 'no'"),
            ({"dt": 1 * ms, "clock": defaultclock}, "either a dt or a clock, not both"),
        ],
    )
    def test_wrong_arguments_are_refused_and_leave_nothing(self, arguments, message, caplog):
        with pytest.raises(ValueError, match=message):
            SpikingMLPGroup(**({"net": NET} | arguments))
        gc.collect()
        # Brian2 warns of objects that have never run, of those of tests before, too.
        warnings = [record.getMessage() for record in caplog.records]
        assert not [text for text in warnings if "in test_wrong_arguments_are" in text]

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("input", np.ones(9) * mV),
            ("input", [0.5, 1 * mV, *range(7)]),
            ("input", TimedArray(np.ones((2, 9)) * mV, dt=DT)),
            ("label", 1 * ms),
            ("target", [1, 0, 0] * mV),
            ("weights", [np.zeros((9, 8)), np.zeros((8, 7)) * mV, np.zeros((7, 3))]),
            ("feedback", (np.zeros((7, 8)), np.zeros((3, 7)) * mV)),
        ],
    )
    def test_a_unit_is_refused(self, name, given):
        with pytest.raises(DimensionMismatchError, match=f"{name} must be without a unit"):
            SpikingMLPGroup(NET.replace(feedback="random"), **{name: given})

    @pytest.mark.parametrize("name", ["input", "label", "target"])
    def test_an_expression_with_a_unit_is_refused(self, name):
        cause = refusal_of(Network(SpikingMLPGroup(NET, **{name: "t"})))
        assert isinstance(cause, DimensionMismatchError)
        assert f"{name}='t' must be without a unit, as (t)/s is" in str(cause)

    def test_quantities_without_a_unit_are_numbers(self):
        mlp = SpikingMLPGroup(NET, input=np.ones(9) * mV / mV, label=2 * ms / ms)
        Network(mlp).run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 1

    def test_the_order_is_any_integer(self):
        order = np.int16(-3)
        parts = SpikingMLPGroup(NET, order=order).schedule.contained_objects
        orders = [part.order for part in parts if part.when == "thresholds"]
        assert orders == [order + 1]
        assert type(orders[0]) is int

    def test_a_source_of_the_wrong_size_is_refused(self):
        source = SpikeGeneratorGroup(5, [], [] * ms)
        synapses = Synapses(source, source)
        with pytest.raises(ValueError, match="input must be a group of 9 units; got Spike"):
            SpikingMLPGroup(NET, input=source)
        with pytest.raises(ValueError, match="target must be a group of 3 units; got Spike"):
            SpikingMLPGroup(NET, target=source)
        allowed = "an expression, a TimedArray, or a finite number"
        for kind, given in (("SpikeGeneratorGroup", source), ("Synapses", synapses)):
            with pytest.raises(ValueError, match=f"label must be {allowed}; got {kind} '"):
                SpikingMLPGroup(NET, label=given)
        with pytest.raises(ValueError, match=r"that counts'\), or 9 finite .*; got Synapses '"):
            SpikingMLPGroup(NET, input=synapses)
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
            ("n_steps", "it is of the definition, with which the group is made"),
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
        cause = refusal_of(Network(mlp))
        assert "weight of layer 2 must be a multiple of 2**-12; got 0.1" in str(cause)
        mlp.synapses[1].weight[5] = 2.0**50
        assert isinstance(refusal_of(Network(mlp)), OverflowError)

    def test_an_overflow_leaves_the_network_as_before_the_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp)
        network.run(2 * SAMPLE)
        before = mlp.checkpoint().state
        mlp.schedule.label = 0
        mlp.input_layer.received_input = 2.0**43
        with pytest.raises(OverflowError, match="of layer 0 may have left the range in this run"):
            network.run(SAMPLE)
        assert_equal_states(mlp.checkpoint().state, before)
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
                owner.variables[variable].get_value()[3] = value

        network = Network(mlp, overwrite)
        before = mlp.checkpoint().state
        words = variable.replace("_", "[_ ]")
        with pytest.raises(error, match=f"{words} of layer 2 (must be a multiple|must stay|may)"):
            network.run(SAMPLE)
        assert_equal_states(mlp.checkpoint().state, before)
        is_on = False
        network.run(SAMPLE)

    def test_a_checkpoint_is_on_the_grid(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        Network(mlp).run(SAMPLE)
        mlp.layers[1].backward_potential[2] = 0.1
        with pytest.raises(ValueError, match="backward_potential of layer 1 must be a multiple"):
            mlp.checkpoint()

    @pytest.mark.parametrize(
        ("spikes", "value"), [("graded", 0.5), ("graded", np.inf), ("binary", 2.0)]
    )
    def test_input_spikes_must_be_counts(self, spikes, value):
        net = NET.replace(input_coding="spikes", spikes=spikes)
        mlp = SpikingMLPGroup(net, label=1)
        network = Network(mlp)
        mlp.input_layer.input_value[4] = -1.0
        network.run(SAMPLE)
        mlp.input_layer.input_value[4] = value
        sentence = "input_coding='spikes'; unit 4 of layer 0 received"
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=sentence):
            network.run(SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 1

    @pytest.mark.parametrize(
        ("wrong", "timing"),
        [(3.0, "immediate"), (0.5, "pipelined"), (np.inf, "immediate"), (np.nan, "immediate")],
    )
    def test_a_label_that_is_no_class_leaves_the_network_as_before(self, wrong, timing):
        net = NET.replace(timing=timing)
        sample = steps_of_sample(net, net.n_steps) * DT
        given = TimedArray([1.0, wrong, -0.5, 2.0], dt=sample)
        mlp = SpikingMLPGroup(net, label=given, input=np.ones(9))
        network = Network(mlp)
        network.run(sample)
        before = mlp.checkpoint().state
        with pytest.raises(ValueError, match="the label of a step must be a whole number below 3"):
            network.run(sample)
        assert before.samples_seen == 1
        assert_equal_states(mlp.checkpoint().state, before)
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

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_what_is_not_finite_is_an_error(self, experiment, value):
        mlp = SpikingMLPGroup(NET, experiment.weights, label=1)
        mlp.input_layer.input_value[2] = value
        sentence = "input of a step must be finite; unit 2 of layer 0 received something else"
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=sentence):
            Network(mlp).run(SAMPLE)
        mlp = SpikingMLPGroup(NET, experiment.weights, target=np.zeros(3))
        mlp.output_layer.target_value[1] = value
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="its target finite"):
            Network(mlp).run(SAMPLE)

    def test_the_default_dt_may_change_until_the_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, step=1 * ms, **shown(experiment, 1 * ms))
        defaultclock.dt = 0.5 * ms
        Network(mlp).run(N_SAMPLES * NET.n_steps * ms)
        experiment.assert_learned_by(mlp)

    def test_the_default_dt_may_change_between_steps_alone(self, experiment):
        step = {"step": 1 * ms, "clock": defaultclock}
        mlp = SpikingMLPGroup(NET, experiment.weights, **step, **shown(experiment, 1 * ms))
        network = Network(mlp)
        network.run(4 * ms)
        defaultclock.dt = 0.2 * ms
        network.run(3.4 * ms)
        defaultclock.dt = 0.1 * ms
        assert "until the present step is over, which takes 5 dt" in str(refusal_of(network))
        defaultclock.dt = 0.2 * ms
        network.run((N_SAMPLES * NET.n_steps - 7.4) * ms)
        experiment.assert_learned_by(mlp)


def test_a_silent_layer_is_warned_of_once(caplog):
    net = SpikingMLP.paper((4, 5, 2), n_steps=2)
    mlp = SpikingMLPGroup(net, [np.zeros((4, 5)), np.zeros((5, 2))], input=np.ones(4), label=0)
    network = Network(mlp)
    for _ in range(3):
        network.run(100 * 2 * DT)
    warnings = [record for record in caplog.records if "has fired no spike" in record.message]
    assert len(warnings) == 1
    assert f"layer 1 of {mlp.name!r}" in warnings[0].message
    assert "larger weights or more steps" in warnings[0].message


def test_a_network_without_input_or_target_runs_and_learns_nothing(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights)
    Network(mlp).run(2 * SAMPLE)
    assert mlp.checkpoint().state.samples_seen == 0
    assert mlp.operations.samples == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arithmetic": "loihi2"}, "arithmetic='fixed', not arithmetic='loihi2'"),
        ({"presynaptic": "drive"}, "presynaptic='counts', not presynaptic='drive'"),
        ({"backward_init": "uniform"}, "one of 'carry', 'zero', not backward_init='uniform'"),
    ],
    ids=str,
)
def test_what_it_does_not_know_is_refused(changes, message):
    with pytest.raises(
        UnsupportedError, match=f"SpikingMLPGroup cannot run .* it knows .*{message}"
    ):
        SpikingMLPGroup(NET.replace(**changes))
