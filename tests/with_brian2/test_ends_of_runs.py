"""Runs that end in the middle of a sample, by an error or not; what may be written in a run."""

import re
import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    Hz,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonInput,
    SpikeGeneratorGroup,
    Synapses,
    TimedArray,
    device,
    linked_var,
    ms,
    prefs,
    run,
    set_device,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_brian2.variables import read_state, reader
from spikebp_plugins import Simulator
from spikebp_plugins.network.delays import steps_of_sample
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
from tests.with_brian2.test_kinds_of_connections import MIXED

HOT = {"learning_rate": 2.0}  # so that each step of a sample changes weights

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None, reason="needs g++ and make"
)


def after(experiment, n_samples):
    """Return what the reference has learned of the first samples."""
    with Simulator(experiment.net, "reference", experiment.weights) as sim:
        if n_samples:
            sim.train(experiment.x[:n_samples], experiment.y[:n_samples])
        return sim.checkpoint().state


def assert_goes_on(experiment, mlp, n_samples):
    """Assert that a checkpoint holds some whole samples, and that what follows is as ever."""
    checkpoint = mlp.checkpoint()
    assert_equal_states(checkpoint.state, after(experiment, n_samples))
    with checkpoint.simulate("compiled") as sim:
        rest = slice(checkpoint.state.samples_seen, None)
        sim.train(experiment.x[rest], experiment.y[rest])
        assert_equal_states(sim.checkpoint().state, experiment.end)


class TestACheckpoint:
    @pytest.mark.parametrize(
        ("net", "update", "timing"),
        [
            (NET, "fractional", "immediate"),
            (MIXED, "fractional", "pipelined"),
            *(
                pytest.param(net, update, timing, marks=pytest.mark.thorough)
                for net, update, timing in (
                    (NET, "fractional", "pipelined"),
                    (MIXED, "fractional", "immediate"),
                    (NET, "outer", "pipelined"),
                    (MIXED, "normalized", "immediate"),
                )
            ),
        ],
    )
    def test_in_the_middle_of_a_sample_holds_whole_samples(self, net, update, timing):
        experiment = Experiment(net.replace(update=update, timing=timing, **HOT))
        mlp = SpikingMLPGroup(experiment.net, experiment.weights)
        network, duration = Network(mlp), steps_of_sample(experiment.net, net.n_steps)
        end = mlp.present(experiment.x, experiment.y)
        taught = 0
        for step in (0, duration - 3, duration - 1, 2 * duration + 4, 4 * duration - 1):
            network.run(step * DT - network.t)
            assert_goes_on(experiment, mlp, step // duration)
            now = read_state(experiment.net, reader(mlp)).weights
            taught += not all(map(np.array_equal, now, mlp.weights))
        # What a sample has taught by then is there, and no part of the checkpoint.
        assert (taught > 0) == (update == "fractional")
        network.run(end - network.t)
        experiment.assert_learned_by(mlp)

    @needs_compiler
    @pytest.mark.thorough
    @pytest.mark.parametrize("net", [NET, MIXED], ids=["dense", "mixed"])
    def test_of_the_compiled_targets_does_so_too(self, net, tmp_path):
        experiment = Experiment(net.replace(**HOT))
        prefs.codegen.target = "cython"
        mlp = SpikingMLPGroup(experiment.net, experiment.weights)
        mlp.present(experiment.x, experiment.y)
        Network(mlp).run(2.7 * SAMPLE)
        assert_goes_on(experiment, mlp, 2)
        set_device("cpp_standalone", build_on_run=False)
        mlp = SpikingMLPGroup(experiment.net, experiment.weights)
        mlp.present(experiment.x, experiment.y)
        run(2.7 * SAMPLE)
        device.build(directory=str(tmp_path / "program"))
        assert_goes_on(experiment, mlp, 2)

    def test_of_samples_that_an_event_ends_holds_those_that_have_ended(self, experiment):
        ends = SpikeGeneratorGroup(1, [0, 0], [6, 13] * DT)
        given = shown(experiment)
        mlp = SpikingMLPGroup(NET, experiment.weights, sample_end=ends, **given)
        Network(mlp, ends).run(2.9 * SAMPLE)
        assert_equal_states(mlp.checkpoint().state, after(experiment, 2))

    def test_holds_no_step_without_a_target(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, input=experiment.x[0])
        mlp.layers[1].backward_potential = 0.25
        Network(mlp).run(SAMPLE / 2)
        assert (mlp.checkpoint().state.backward_potentials[0] == 0.25).all()

    def test_is_found_in_a_state_that_was_stored_in_the_middle(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp)
        network.run(1.6 * SAMPLE)
        network.store()
        network.run(2 * SAMPLE)
        network.restore()
        assert_goes_on(experiment, mlp, 1)

    def test_is_not_set_in_the_middle_of_a_sample(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        network = Network(mlp)
        network.run(1.6 * SAMPLE)
        for change in (
            lambda: setattr(mlp, "weights", experiment.weights),
            lambda: mlp.synapses[1].weight.__setitem__(3, 0.5),
            lambda: setattr(mlp.layers[1], "backward_potential", 0),
            lambda: mlp.begin(experiment.end),
        ):
            with pytest.raises(RuntimeError, match="of 'mine' is set between samples, and the pre"):
                change()
        network.run((N_SAMPLES - 1.6) * SAMPLE)
        experiment.assert_learned_by(mlp)
        mlp.weights = experiment.weights


#: How scripts read what a run has done, or go on.
READS = {
    "checkpoint": lambda mlp, _: mlp.checkpoint(),
    "variable": lambda mlp, _: mlp.synapses[0].weight,
    "run": lambda _, network: network.run(DT),
    "weights": lambda mlp, _: mlp.weights,
    "scores": lambda mlp, _: mlp.scores,
    "operations": lambda mlp, _: mlp.operations,
    "present": lambda mlp, _: mlp.present(np.ones((1, 9)), [0]),
    "rate": lambda mlp, _: setattr(mlp, "learning_rate", 0.25),
    "store": lambda _, network: network.store(),
}
READERS = [
    name if n < 3 else pytest.param(name, marks=pytest.mark.thorough)
    for n, name in enumerate(READS)
]


class Error(Exception):
    """An error of the user's."""


def failing(dt, **place):
    """Return an operation that ends a run in a dt."""

    def fail(t):
        if round(t / DT) == dt and not fail.is_over:
            fail.is_over = True
            raise Error

    fail.is_over = False
    return NetworkOperation(fail, **place)


class TestAnErrorOfTheUsers:
    """In each of these the third sample has been shown for three or four steps."""

    def test_before_a_step_leaves_a_network_that_goes_on(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp, failing(2 * 7 + 3))
        with pytest.raises(Error):
            network.run(N_SAMPLES * SAMPLE)
        assert_goes_on(experiment, mlp, 2)
        assert int(mlp.schedule.steps_shown[0]) == 3
        network.run(N_SAMPLES * SAMPLE - network.t)
        experiment.assert_learned_by(mlp)

    def test_behind_a_step_keeps_it_and_no_run_repeats_it(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        network = Network(mlp, failing(2 * 7 + 3, when="end"))
        network.store()
        with pytest.raises(Error):
            network.run(N_SAMPLES * SAMPLE)
        assert_goes_on(experiment, mlp, 2)
        assert int(mlp.schedule.steps_shown[0]) == 4
        assert "Brian2 would repeat the last dt of 'mine'" in str(refusal_of(network))
        network.restore()
        network.run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_within_a_step_undoes_the_run(self, experiment, caplog):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        network = Network(mlp, failing(3 * 7 + 6, when="thresholds", order=12))
        network.run(2 * SAMPLE)
        with pytest.raises(Error):
            network.run(N_SAMPLES * SAMPLE)
        assert_goes_on(experiment, mlp, 2)
        assert "'mine' is as it was before the last run, which an error has ended" in caplog.text

    def test_while_spikes_arrive_repeats_none(self, experiment_with_counts):
        experiment = experiment_with_counts
        steps, units = np.nonzero(experiment.x.reshape(-1, 9))
        source = SpikeGeneratorGroup(9, units, steps * 4 * DT, dt=DT)
        mlp = SpikingMLPGroup(NET, experiment.weights, input=source, dt=4 * DT)
        network = Network(source, mlp, failing(2 * 7 * 4 + 1, when="end"))
        with pytest.raises(Error):
            network.run(N_SAMPLES * 4 * SAMPLE)
        assert "Brian2 would repeat the last dt" in str(refusal_of(network))

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"input": 1e13}, OverflowError),
            pytest.param(
                {"label": TimedArray([1.0, 5.0, 1.0], dt=SAMPLE)},
                ValueError,
                marks=pytest.mark.thorough,
            ),
        ],
        ids=["input", "label"],
    )
    @pytest.mark.parametrize("name", READERS)
    def test_lets_nothing_pass_that_a_run_refuses(self, experiment, given, error, name):
        given = {"input": np.ones(9), "label": 1} | given
        mlp = SpikingMLPGroup(NET, experiment.weights, **given)
        network = Network(mlp, failing(2 * 7))
        with pytest.raises(Error):
            network.run(3 * SAMPLE)
        with pytest.raises(Exception) as caught:  # noqa: PT011 (a run has it as the cause)
            READS[name](mlp, network)
        cause = caught.value.__cause__ or caught.value
        assert isinstance(cause, error)
        assert re.match("a value of layer 0 may have left|the label of a step must be", str(cause))
        assert_equal_states(mlp.checkpoint().state, after(experiment, 0))

    def test_in_the_second_dt_is_forgotten_where_the_first_is_restored(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp, failing(1))
        network.store()
        with pytest.raises(Error):
            network.run(SAMPLE)
        assert_goes_on(experiment, mlp, 0)
        network.restore()
        network.run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_is_forgotten_where_another_state_is_restored(self, experiment, caplog):
        mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
        network = Network(mlp, failing(10, when="thresholds", order=5))
        network.run(SAMPLE)
        network.store()
        with pytest.raises(Error):
            network.run(SAMPLE)
        network.restore()
        assert "is as it was before" not in caplog.text
        network.run((N_SAMPLES - 1) * SAMPLE)
        experiment.assert_learned_by(mlp)


def test_stop_ends_a_run_in_the_middle_of_a_sample(experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    stopping = NetworkOperation(lambda t: network.stop() if round(t / DT) == 17 else None)
    network = Network(mlp, stopping)
    network.run(N_SAMPLES * SAMPLE)
    assert int(mlp.schedule.steps_shown[0]) == 4
    assert_goes_on(experiment, mlp, 2)
    network.run(N_SAMPLES * SAMPLE - network.t)
    experiment.assert_learned_by(mlp)


@needs_compiler
@pytest.mark.thorough
def test_a_program_finds_what_was_set_between_its_runs(experiment, tmp_path, capfd):
    set_device("cpp_standalone", build_on_run=False)
    mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
    network = Network(mlp)
    network.run(1.5 * SAMPLE)
    mlp.layers[2].potential = "0.1*int(i > 3)"
    network.run(1.5 * SAMPLE)
    device.build(directory=str(tmp_path / "off the grid"), run=False)
    with pytest.raises(RuntimeError, match="Project run failed"):
        device.run()
    assert "mine_layer_2.potential must hold multiples of 1/4096 below" in capfd.readouterr().err

    device.reinit()
    device.activate()
    set_device("cpp_standalone", build_on_run=False)
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    network = Network(mlp)
    network.run(1.5 * SAMPLE)
    mlp.weights = experiment.weights
    network.run(1.5 * SAMPLE)
    device.build(directory=str(tmp_path / "in a sample"))
    with pytest.raises(RuntimeError, match="was set, in the middle of a sample"):
        mlp.checkpoint()


class TestWhileItRuns:
    """Code of a script may write input, label, target and learning, and nothing else."""

    @pytest.mark.parametrize(
        ("add", "written"),
        [
            (lambda mlp: mlp.synapses[0].run_regularly("weight *= 0.999"), "synapses_1.weight"),
            (lambda mlp: mlp.layers[1].run_regularly("x = 1; potential += x"), "layer_1.potential"),
            (lambda mlp: noise(mlp.layers[1], "potential_post += 0.1"), "layer_1.potential"),
            (lambda mlp: noise(mlp.layers[1][2:5], "input_count_post = 0"), "layer_1.input_count"),
            (lambda mlp: summed(mlp.layers[2], "potential"), "layer_2.potential"),
            (
                lambda mlp: PoissonInput(mlp.layers[1], "potential", 1, 100 * Hz, 1.0),
                "layer_1.potential",
            ),
            (lambda mlp: linked(mlp.layers[1], "potential"), "layer_1.potential"),
        ],
        ids=["weights", "potentials", "synapses", "subgroup", "summed", "poisson", "linked"],
    )
    def test_other_code_is_refused_before(self, add, written):
        mlp = SpikingMLPGroup(NET, name="mine")
        code = add(mlp)
        network = Network(mlp, code)
        cause = str(refusal_of(network))
        assert f"must not write mine_{written} while 'mine' runs: set it between runs" in cause

    @pytest.mark.parametrize(
        "write",
        [
            lambda mlp: setattr(mlp.layers[1], "potential", 0.1),
            lambda mlp: mlp.synapses[0].weight.__setitem__(slice(3), "0.1*rand()"),
            lambda mlp: setattr(mlp, "weights", NET.init_weights()),
            lambda mlp: setattr(mlp.schedule, "sample_over", True),
        ],
        ids=["potentials", "weights", "all weights", "schedule"],
    )
    def test_an_operation_is_refused_where_it_writes(self, write):
        mlp = SpikingMLPGroup(NET, name="mine", input=np.ones(9), label=1)
        network = Network(mlp, NetworkOperation(lambda t: write(mlp) if t > SAMPLE else None))
        with pytest.raises(RuntimeError, match=r"a script must not write mine_.* while 'mine' r"):
            network.run(2 * SAMPLE)
        assert mlp.checkpoint().state.samples_seen == 1

    def test_what_is_the_scripts_to_set_is_set(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights)
        x, y = TimedArray(experiment.x, dt=SAMPLE), TimedArray(experiment.y, dt=SAMPLE)
        mlp.input_layer.run_regularly("input_value = x(t, i)")
        mlp.schedule.run_regularly("label = y(t); learning = True")
        noise(mlp.input_layer, "received_input_post += 0")
        Network(mlp).run(N_SAMPLES * SAMPLE, namespace={"x": x, "y": y})
        experiment.assert_learned_by(mlp)


def noise(layer, code):
    source = NeuronGroup(1, "v : 1", threshold="True")
    synapses = Synapses(source, layer, on_pre=code)
    synapses.connect()
    return [source, synapses]


def summed(layer, name):
    source = NeuronGroup(1, "v : 1")
    synapses = Synapses(source, layer, f"{name}_post = v_pre : 1 (summed)")
    synapses.connect()
    return [source, synapses]


def linked(layer, name):
    group = NeuronGroup(len(layer), "x : 1 (linked)", threshold="True", reset="x = 0")
    group.x = linked_var(layer, name)
    return group


@pytest.mark.parametrize("name", ["whole", "rounded", "outside"])
def test_functions_of_a_script_have_names_of_their_own(name):
    mlp = SpikingMLPGroup(NET, input=f"{name}(t, i)", name="mine")
    given = TimedArray(np.full((1, 9), 3.0), dt=1 * ms)
    network = Network(mlp)
    with pytest.raises(Exception, match="Error encountered") as error:
        network.run(DT, namespace={name: given})
    assert f"{name!r} in code of 'mine_layer_0' is a function of its rules" in str(
        error.value.__cause__
    )
