"""Undocumented things that scripts do are right, or refused where the user can see it."""

import copy
import gc
import logging
import pickle
import re

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    Clock,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    collect,
    defaultclock,
    ms,
    run,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    assert_equal_states,
    generator,
    labels,
    refusal_of,
    shown,
)


def warnings_in(caplog, *, of_unused=False):
    """Return warnings; those of unused objects, which may be of any test before, alone or not."""
    messages = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    return [text for text in messages if ("getting deleted" in text) == of_unused]


class TestTwoNetworksInSeries:
    """The second network receives the counts that the first sends, in the same dt."""

    @pytest.mark.parametrize("coding", ["values", "spikes"])
    def test_counts_of_a_subgroup_of_units_are_received(self, experiment, coding):
        second = SpikingMLP.paper((4, 6, 2), n_steps=7, learning_rate=0.5, input_coding=coding)
        step = {"step": 0.5 * ms}
        a = SpikingMLPGroup(NET, experiment.weights, **step, **shown(experiment, 0.5 * ms))
        b = SpikingMLPGroup(second, input=a.layers[2][2:6], label=0, order=50, **step)
        # The clock of the first network, which ticks once in each step.
        assert b.clock is a.clock
        Network(a, b).run(N_SAMPLES * 7 * 0.5 * ms)
        experiment.assert_learned_by(a)
        counts = experiment.trace.spikes[2][:, :, 2:6]
        assert counts.max() > 1
        with Simulator(second, "reference") as sim:
            sim.train(counts, np.zeros(N_SAMPLES, int))
            assert_equal_states(b.checkpoint().state, sim.checkpoint().state)

    def test_a_slower_network_adds_up_what_it_receives(self, experiment):
        second = SpikingMLP.paper((7, 2), n_steps=1, learning_rate=0.5)
        weights = [np.full((7, 2), 0.3)]
        a = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        b = SpikingMLPGroup(second, weights, input=a.layers[2], label=0, order=50, step=SAMPLE)
        assert b.clock.dt == DT
        Network(a, b).run(N_SAMPLES * SAMPLE)
        with Simulator(second, "reference", weights) as sim:
            sim.train(experiment.trace.spikes[2].sum(axis=1), np.zeros(N_SAMPLES, int))
            assert np.array_equal(b.weights[0], sim.weights[0])

    def test_counts_of_a_group_of_the_users_are_read_where_the_user_says_so(
        self, experiment_with_counts
    ):
        experiment = experiment_with_counts
        group = NeuronGroup(
            9,
            "n : integer",
            events={"spike": "n != 0"},
            namespace={"given": TimedArray(experiment.x.reshape(-1, 9), dt=DT)},
        )
        group.run_regularly("n = int(given(t, i))")
        mlp = SpikingMLPGroup(NET, experiment.weights, input=(group, "n"), label=labels(experiment))
        Network(group, mlp).run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_a_group_that_counts_for_itself_sends_one_spike_for_an_event(self):
        group = NeuronGroup(9, "spike_count : 1", threshold="True", reset="spike_count += 1")
        mlp = SpikingMLPGroup(NET, input=group, label=0)
        Network(group, mlp).run(2 * SAMPLE)
        assert (mlp.input_layer.spikes_sent[:] == 14).all()

    def test_events_that_may_be_several_spikes_are_refused(self):
        group = NeuronGroup(9, "count : integer", events={"spike": "count != 0"}, name="several")
        with pytest.raises(ValueError, match=r"or \(group, 'variable'\) .*; got 'several'"):
            SpikingMLPGroup(NET, input=group)
        with pytest.raises(ValueError, match=r"a variable of 'several' that counts; got 'n'"):
            SpikingMLPGroup(NET, input=(group, "n"))
        Network(group).run(DT)

    def test_events_of_any_count_end_a_sample(self):
        ends = NeuronGroup(
            2, "spike_count : integer", events={"spike": "spike_count != 0"}, name="ends"
        )
        ends.run_regularly("spike_count = (1 - 2*i)*int(timestep(t, dt) % 3 == 2)")
        mlp = SpikingMLPGroup(NET, sample_end=ends)
        Network(ends, mlp).run(9 * DT)
        assert mlp.operations.samples == 3


class TestPartsOfTheNetwork:
    def test_do_not_run_without_it(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        with pytest.raises(Exception, match=r"(?s)test_habits\.py.*preparing an object") as error:
            Network(mlp.layers, mlp.synapses, mlp.schedule).run(DT)
        cause = str(error.value.__cause__)
        assert re.match("'mine_.*' runs with the whole of its network alone", cause)
        Network(mlp).run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_are_not_found_by_run_without_it(self):
        def only_a_layer():
            return SpikingMLPGroup(NET, name="hidden").output_layer

        layer = only_a_layer()
        assert layer in collect()
        with pytest.raises(Exception, match="preparing an object") as error:
            run(DT)
        assert "'hidden_layer_3' runs with the whole" in str(error.value.__cause__)
        assert "no longer there: keep the network in sight" in str(error.value.__cause__)

    def test_have_no_delays(self):
        mlp = SpikingMLPGroup(NET, name="mine")
        mlp.synapses[1].backward.delay = 1 * ms
        network = Network(mlp)
        cause = str(refusal_of(network))
        assert "the delay of 'mine_synapses_2_backward' must be 0" in cause
        mlp.synapses[1].backward.delay = 0 * ms
        network.run(DT)

    @pytest.mark.parametrize(
        "choose", [lambda mlp: mlp.synapses[0].forward, lambda mlp: mlp.layers[1]]
    )
    def test_are_active_or_the_network_is_not(self, choose):
        mlp = SpikingMLPGroup(NET, name="mine")
        choose(mlp).active = False
        network = Network(mlp)
        assert "must be active, like its network 'mine'" in str(refusal_of(network))
        mlp.active = False
        network.run(SAMPLE)
        mlp.active = True
        network.run(SAMPLE)
        assert mlp.operations.samples == 1

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("order", 99),
            pytest.param("when", "end", marks=pytest.mark.thorough),
            pytest.param("_clock", Clock(2 * ms), marks=pytest.mark.thorough),
        ],
    )
    def test_keep_their_order_in_a_step(self, name, value):
        mlp = SpikingMLPGroup(NET, name="mine")
        setattr(mlp.layers[1].thresholder["spike"], name, value)
        cause = str(refusal_of(Network(mlp)))
        assert re.match("'mine_layer_1_spike_thresholder' must stay", cause)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                lambda mlp: mlp.contained_objects.remove(mlp.synapses[1]),
                "'mine_synapses_2' must stay",
            ),
            (lambda mlp: mlp.layers[1].contained_objects.pop(), "must stay in its network, 'mine'"),
            (
                lambda mlp: setattr(mlp.synapses[0].forward, "code", "drive_post += 0"),
                "'mine_synapses_1_forward' must keep the code 'drive_post += weight",
            ),
            (
                lambda mlp: mlp.synapses[1].j[:].sort(),
                "mine_synapses_2.j must be the units that its connection joins; the array",
            ),
            (
                lambda mlp: mlp.layers[1].events.update(spike="spike_count > 5"),
                "thresholder' must keep the code 'spike_count != 0'; got 'spike_count > 5'",
            ),
        ],
        ids=["part", "runner", "code", "ends", "event"],
    )
    def test_stay_what_they_are(self, change, sentence):
        mlp = SpikingMLPGroup(NET, name="mine")
        change(mlp)
        assert sentence in str(refusal_of(Network(mlp)))

    def test_are_monitored_in_part_when_they_fire(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        some = SpikeMonitor(mlp.layers[1][2:5], variables=["spike_count"])
        Network(mlp, some).run(N_SAMPLES * SAMPLE)
        found = np.zeros((N_SAMPLES * NET.n_steps, 3))
        found[np.rint(some.t / DT).astype(int), some.i[:]] = some.spike_count[:]
        assert np.array_equal(found, experiment.trace.spikes[1][:, :, 2:5].reshape(-1, 3))

    def test_may_have_code_of_the_users(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        mlp.layers[1].run_regularly("doubled = 2*potential", when="start")
        mlp.input_layer.run_regularly("received_input += 0*i", when="start")
        Network(mlp).run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)


class TestWhatASampleHolds:
    """Numbers that no rule computes are refused, wherever they come from."""

    @pytest.mark.parametrize(
        ("place", "value", "sentence"),
        [
            ("layer_1.potential", 0.1, "must hold multiples of 2**-12; got 0.1"),
            *(
                pytest.param(
                    place,
                    value,
                    f"must hold multiples of 2**-12; got {value}",
                    marks=pytest.mark.thorough,
                )
                for place, value in (("layer_3.target_potential", np.nan), ("layer_2.drive", 1e-09))
            ),
            ("layer_1.input_count", 0.5, "must hold whole numbers; got 0.5"),
            ("schedule.samples_seen", -3, "must be a whole number of at least 0; got -3.0"),
        ],
    )
    def test_is_checked_before_a_run_and_by_a_checkpoint(self, place, value, sentence):
        mlp = SpikingMLPGroup(NET, name="mine")
        part, _, name = place.partition(".")
        setattr(mlp.parts[part], name, value)
        assert str(refusal_of(Network(mlp))) == f"mine_{place} {sentence}"
        with pytest.raises(ValueError, match=re.escape(sentence)):
            mlp.checkpoint()
        setattr(mlp.parts[part], name, 0)
        Network(mlp).run(SAMPLE)

    def test_is_checked_after_a_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        potential = mlp.layers[1].variables["potential"].get_value()
        leak = NetworkOperation(lambda: potential.__imul__(0.9))
        with pytest.raises(ValueError, match=r"mine_layer_1\.potential must hold multiples of 2"):
            Network(mlp, leak).run(2 * SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 0


def test_a_network_is_not_copied():
    mlp = SpikingMLPGroup(NET, name="mine")
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="'mine' cannot be copied or pickled: its checkpoint"):
            act(mlp)
    Network(mlp).run(DT)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (SpikeMonitor, AttributeError),
        (lambda mlp: StateMonitor(mlp, "potential", record=True), TypeError),
        (PopulationRateMonitor, TypeError),
        (lambda mlp: Synapses(mlp, mlp.layers[0], on_pre="potential_post += 1"), AttributeError),
        (lambda mlp: Synapses(mlp.layers[0], mlp, on_pre="potential_post += 1"), AttributeError),
        (lambda mlp: SpikingMLPGroup(NET, input=mlp), TypeError),
    ],
    ids=["spikes", "states", "rates", "from", "to", "input"],
)
def test_a_network_is_no_layer(make, error):
    mlp = SpikingMLPGroup(NET, name="mine")
    with pytest.raises(error, match=re.escape("'mine' is a network") + r".*mlp\.layers\[l\]"):
        make(mlp)
    assert mlp
    Network(mlp).run(DT)


def test_reading_what_it_does_not_have_says_where_it_is():
    mlp = SpikingMLPGroup(NET, name="mine")
    with pytest.raises(AttributeError, match=r"'label' of 'mine' is schedule\.label"):
        _ = mlp.label
    with pytest.raises(AttributeError, match=r"'input_scale' of 'mine' is net\.input_scale"):
        _ = mlp.input_scale
    with pytest.raises(AttributeError, match="has no attribute 'lable'"):
        _ = mlp.lable
    Network(mlp).run(DT)


def test_an_unused_network_is_warned_of_once_with_the_line_of_the_user(caplog):
    SpikingMLPGroup(NET, name="unused", input=SpikeGeneratorGroup(9, [], [] * ms))
    gc.collect()
    found = [text for text in warnings_in(caplog, of_unused=True) if "'unused" in text]
    assert len(found) == 1
    assert "test_habits.py" in found[0]
    assert "group.py" not in found[0]


def test_names_of_a_script_are_not_those_of_the_network(caplog):
    mlp = SpikingMLPGroup(
        NET.replace(update="outer", backward_init="zero"),
        input="0.1*i + factor",
        label=TimedArray([0.0, 1.0], dt=SAMPLE),
    )
    names = ["error", "label", "weight", "potential", "drive", "learning", "t", "spike_count"]
    names += ["is_step", "summed_error", "closes_sample", "rounded", "outside", "lag"]
    network = Network(mlp)
    network.run(2 * SAMPLE, namespace=dict.fromkeys(names, 3) | {"factor": 1.0})
    assert warnings_in(caplog) == []
    assert mlp.checkpoint().state.samples_seen == 2
    # Of what users wrote themselves Brian2 warns as ever.
    mlp.synapses[0].run_regularly("copy = weight")
    network.run(SAMPLE, namespace={"weight": 3, "factor": 1.0})
    (warning,) = [text for text in warnings_in(caplog) if "internal variable" in text]
    assert "'weight' is an internal variable" in warning


class TestTimes:
    @pytest.mark.parametrize(
        ("name", "dt", "n", "message"),
        [
            ("input", 1.0, 8, "has a dt of 1. ms, but a step takes 100. us and a sample 0.7 ms"),
            ("label", 0.7, 3, "is over at 2.1 ms, before this run, which ends at 2.8 ms"),
            ("target", 0.1, 27, "is over at 2.7 ms, before this run, which ends at 2.8 ms"),
            ("input", 0.7, 4, None),
            ("label", 0.1, 28, None),
        ],
    )
    def test_rows_that_do_not_follow_the_samples_are_warned_of_once(
        self, name, dt, n, message, caplog
    ):
        values = {"input": np.ones((n, 9)), "label": np.zeros(n), "target": np.ones((n, 3))}
        mlp = SpikingMLPGroup(NET, **{name: TimedArray(values[name], dt=dt * ms)})
        network = Network(mlp)
        network.run(4 * SAMPLE)
        found = warnings_in(caplog)
        assert len(found) == (message is not None)
        if message is not None:
            assert f"TimedArray given as {name} {message}" in found[0]
            assert "test_habits.py" in found[0]
            network.run(4 * SAMPLE)
            assert len(warnings_in(caplog)) == 1

    def test_samples_of_any_length_take_any_row(self, caplog):
        ends = SpikeGeneratorGroup(1, [0], [3] * DT)
        mlp = SpikingMLPGroup(NET, label=TimedArray([0.0, 1.0, 2.0], dt=3 * DT), sample_end=ends)
        Network(mlp, ends).run(9 * DT)
        assert warnings_in(caplog) == []


class TestSteps:
    def test_steps_have_a_clock_of_their_own_unless_they_wait_for_spikes(self):
        source = SpikeGeneratorGroup(9, [], [] * ms)
        coarse = PoissonGroup(9, rates="10*Hz", dt=5 * ms)
        step = {"step": 5 * ms}
        assert SpikingMLPGroup(NET, **step).clock.dt == 5 * ms
        assert SpikingMLPGroup(NET, input=source, **step).clock.dt == DT
        assert SpikingMLPGroup(NET, sample_end=source, **step).clock.dt == DT
        assert SpikingMLPGroup(NET, input=coarse, **step).clock is coarse.clock
        assert SpikingMLPGroup(NET, clock=defaultclock, **step).clock.dt == DT
        assert SpikingMLPGroup(NET, dt=1 * ms, **step).clock.dt == 1 * ms
        assert SpikingMLPGroup(NET, dt=1 * ms).clock.dt == 1 * ms

    def test_spikes_between_steps_are_refused_where_none_are_waited_for(self, caplog):
        source = generator_of_all()
        mlp = SpikingMLPGroup(NET, step=0.5 * ms, name="mine")
        synapses = Synapses(source, mlp.input_layer, on_pre="received_input_post += 1")
        synapses.connect(j="i")
        cause = str(refusal_of(Network(source, mlp, synapses)))
        assert "'synapses' brings spikes every 100. us to 'mine'" in cause
        assert "clock=defaultclock" in cause

    def test_spikes_between_the_steps_of_two_networks_are_refused(self):
        a = SpikingMLPGroup(NET, step=0.5 * ms)
        b = SpikingMLPGroup(SpikingMLP.paper((3, 2)), input=a.output_layer, step=0.5 * ms, order=50)
        source = SpikeGeneratorGroup(3, [0], [0] * ms)
        synapses = Synapses(source, b.input_layer, on_pre="received_input_post += 1")
        synapses.connect(j="i")
        cause = str(refusal_of(Network(source, a, b, synapses)))
        assert "brings spikes every 100. us" in cause

    def test_spikes_between_steps_count_with_the_clock_of_the_script(self, experiment_with_counts):
        experiment = experiment_with_counts
        source = generator(experiment, step_in_dt=5, spread=True)
        label = labels(experiment, 5 * DT)
        mlp = SpikingMLPGroup(NET, experiment.weights, step=5 * DT, clock=defaultclock, label=label)
        synapses = Synapses(source, mlp.input_layer, on_pre="received_input_post += 1")
        synapses.connect(j="i")
        synapses.pre.when, synapses.pre.order = "thresholds", 1
        Network(source, mlp, synapses).run(N_SAMPLES * 5 * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_spikes_of_a_group_with_the_clock_of_the_steps_may_arrive(self, caplog):
        mlp = SpikingMLPGroup(NET, step=0.5 * ms)
        source = NeuronGroup(9, "v : 1", threshold="True", reset="", clock=mlp.clock)
        synapses = Synapses(
            source, mlp.input_layer, on_pre="received_input_post += 1", clock=mlp.clock
        )
        synapses.connect(j="i")
        Network(source, mlp, synapses).run(3.5 * ms)
        assert (mlp.input_layer.spikes_sent[:] == 6).all()
        assert warnings_in(caplog) == []

    def test_a_group_of_ones_own_reads_steps_on_another_clock(self, experiment, caplog):
        mlp = SpikingMLPGroup(NET, experiment.weights, step=0.5 * ms, **shown(experiment, 0.5 * ms))
        readout = NeuronGroup(3, "v : 1")
        readout.run_regularly("v = v")
        synapses = Synapses(mlp.output_layer, readout, on_pre="v_post += spike_count_pre")
        synapses.connect(j="i")
        Network(mlp, readout, synapses).run(N_SAMPLES * 3.5 * ms)
        experiment.assert_learned_by(mlp)
        assert np.array_equal(readout.v[:], experiment.trace.spikes[3].sum(axis=(0, 1)))
        assert warnings_in(caplog) == []

    def test_delays_that_are_rounded_are_warned_of(self, caplog):
        mlp = SpikingMLPGroup(NET, step=0.5 * ms)
        readout = NeuronGroup(3, "v : 1")
        # Brian2 says it once of each name, and other tests have synapses of the usual names.
        own = {"on_pre": "v_post += 1", "delay": 0.7 * ms, "name": "rounded_synapses"}
        synapses = Synapses(mlp.output_layer, readout, **own)
        synapses.connect(j="i")
        Network(mlp, readout, synapses).run(1 * ms)
        (warning,) = warnings_in(caplog)
        assert "all delays will be rounded to multiples of 0.5 ms" in warning

    @pytest.mark.parametrize("spikes", ["graded", "binary"])
    def test_counts_are_not_read_behind_a_delay(self, experiment, spikes):
        mlp = SpikingMLPGroup(NET.replace(spikes=spikes), name="mine")
        readout = NeuronGroup(3, "v : 1")
        given = {"model": "count = spike_count_pre : 1", "on_pre": "v_post += 0.3*count"}
        one = Synapses(mlp.output_layer[:2], readout, **given, delay=1 * ms, name="late")
        one.connect()
        network = Network(mlp, readout, one)
        cause = str(refusal_of(network))
        assert "the delay of 'late_pre' must be 0, since spike_count_pre is read when" in cause
        assert "got 0.001 s" in cause
        one.active = False
        network.run(DT)
        other = Synapses(readout, mlp.layers[1], on_post="v_pre += error_post", name="back")
        other.connect()
        other.post.delay = "0.2*ms*rand()"
        network.add(other)
        assert "since error_post is read when" in str(refusal_of(network))
        other.post.delay = 0 * ms
        network.run(DT)

    def test_synapses_that_a_script_has_left_behind_are_no_hindrance(self):
        def script():
            mlp = SpikingMLPGroup(NET, step=1 * ms, name="mine")
            group = NeuronGroup(9, "x : 1", threshold="x > 1", dt=1 * ms)
            into = Synapses(group, mlp.input_layer, on_pre="received_input_post += 1")
            into.connect(j="i")
            out = Synapses(mlp.output_layer, group, on_pre="x_post += spike_count_pre")
            out.connect(j="i")
            Network(mlp, group, into, out).run(1 * ms)
            out.delay = 1 * ms
            return group, into, out

        behind = script()
        gc.collect()
        mlp = SpikingMLPGroup(NET, step=5 * ms, name="mine")
        Network(mlp).run(5 * ms)
        assert all(synapses.active for synapses in behind[1:])


class TestSourcesThatFireLate:
    """Spikes that come too late for the forward pass of their dt count in the next, in any run."""

    @pytest.mark.parametrize(
        ("slot", "place", "order", "seen"),
        [
            ("thresholds", 0, 1, 6),
            ("thresholds", 0, -3, 5),
            pytest.param("thresholds", 0, 0, 5, marks=pytest.mark.thorough),
            pytest.param("thresholds", 7, 1, 5, marks=pytest.mark.thorough),
            pytest.param("before_thresholds", 99, 1, 6, marks=pytest.mark.thorough),
            pytest.param("after_thresholds", 0, 1, 5, marks=pytest.mark.thorough),
            ("resets", 0, 1, 5),
        ],
    )
    def test_whatever_the_runs(self, slot, place, order, seen):
        for n_runs in (1, 6):
            source = NeuronGroup(1, "v : 1", threshold="True", reset="")
            source.set_event_schedule("spike", slot, place)
            mlp = SpikingMLPGroup(SpikingMLP.paper((1, 1), n_steps=6), input=source, order=order)
            network = Network(source, mlp)
            for _ in range(n_runs):
                network.run(6 / n_runs * DT)
            assert mlp.input_layer.input_count[0] == seen

    def test_a_source_fires_when_it_did(self):
        source = NeuronGroup(9, "v : 1", threshold="True", reset="", name="moved")
        mlp = SpikingMLPGroup(NET, input=source)
        source.set_event_schedule("spike", "resets", 0)
        cause = str(refusal_of(Network(source, mlp)))
        assert "'moved', whose spikes 'spikingmlp" in cause
        assert "must fire in slot 'thresholds' at order 0" in cause


def generator_of_all():
    return SpikeGeneratorGroup(9, np.arange(9), np.zeros(9) * ms)
