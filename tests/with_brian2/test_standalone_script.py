"""The native objects in a user's own script, in cpp_standalone."""

import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    run,
    second,
    set_device,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Checkpoint, Simulator, SpikingMLP
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    assert_equal_states,
    refusal_of,
    shown,
)

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None,
    reason="cpp_standalone needs g++ and make",
)


@pytest.mark.thorough
def test_one_program_serves_many_runs(experiment, tmp_path, capfd):
    set_device("cpp_standalone", build_on_run=False)
    waits = {"step": 3 * DT, "clock": defaultclock}
    mlp = SpikingMLPGroup(NET, experiment.weights, **waits, **shown(experiment, 3 * DT))
    mlp.record()
    source = PoissonGroup(5, rates="100*Hz")  # an object of the user's
    Network(mlp, source).run(3 * N_SAMPLES * SAMPLE)
    device.build(directory=str(tmp_path / "program"), run=False)

    device.run()
    experiment.assert_learned_by(mlp)
    assert mlp.operations == experiment.operations
    assert mlp.trace().diff(experiment.trace) is None

    device.run(run_args={mlp.schedule.learning: False})
    with Simulator(NET, "reference", experiment.weights) as sim:
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        assert np.array_equal(mlp.scores, sim.predict(experiment.x)[-1])

    # A second epoch, from what the first has learned.
    device.run(run_args=mlp.run_args(Checkpoint(NET, experiment.end)))
    with Simulator(NET, "reference", experiment.weights) as sim:
        sim.train(np.tile(experiment.x, (2, 1)), np.tile(experiment.y, 2))
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)

    with pytest.raises(RuntimeError, match="Project run failed"):
        device.run(run_args={mlp.synapses[0].weight: np.full(72, 0.1)})
    assert "synapses_1.weight must hold multiples of 1/4096" in capfd.readouterr().err
    for wrong, message in (
        ({mlp.schedule.dts_per_step: 2}, "schedule.dts_per_step must stay 3, as definition and"),
        ({mlp.schedule.steps_per_sample: 6}, "schedule.steps_per_sample must stay 7, as defin"),
    ):
        with pytest.raises(RuntimeError, match="Project run failed"):
            device.run(run_args=wrong)
        assert message in capfd.readouterr().err
    device.run(run_args={mlp.synapses[0].update_rate: 0.5})
    for read in (mlp.checkpoint, mlp.trace, lambda: mlp.weights):
        with pytest.raises(ValueError, match=r"synapses_1.update_rate must stay 0.01025390625, as"):
            read()
    device.run(run_args={mlp.synapses[0].weight: np.full(72, 2.0**40)})
    for read in (mlp.checkpoint, mlp.trace, lambda: mlp.weights, lambda: mlp.scores):
        with pytest.raises(OverflowError, match="of layer 1 may have left the range"):
            read()

    device.reinit()
    device.activate()
    with pytest.raises(RuntimeError, match="belongs to a device that has been changed or reinit"):
        mlp.checkpoint()


def test_a_built_program_takes_what_its_run_is_given_and_nothing_else(experiment, tmp_path):
    set_device("cpp_standalone", build_on_run=False)
    mlp = SpikingMLPGroup(NET, name="mine", **shown(experiment))
    mlp.weights = experiment.weights
    network = Network(mlp)
    network.run(SAMPLE)
    device.build(directory=str(tmp_path / "program"), compile=False, run=False)
    for act in (
        lambda: setattr(mlp, "weights", experiment.weights),
        lambda: setattr(mlp, "active", False),
        lambda: setattr(mlp.schedule, "label", 1),
        lambda: setattr(mlp.synapses[0], "weight", "0"),
        mlp.record,
        lambda: mlp.present(experiment.x, experiment.y),
    ):
        with pytest.raises(RuntimeError, match="program of 'mine' is built, "):
            act()
    assert "the program of 'mine' is built" in str(refusal_of(network))


@pytest.mark.thorough
def test_a_program_finds_weights_off_the_grid_and_labels_that_are_no_class(
    experiment, tmp_path, capfd
):
    set_device("cpp_standalone", build_on_run=False)
    label = TimedArray([2.0, 2.0], dt=SAMPLE)
    mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", input=experiment.x[0], label=label)
    mlp.synapses[1].weight = "0.1*i"
    run(SAMPLE)
    device.build(directory=str(tmp_path / "program"), run=False)
    with pytest.raises(RuntimeError, match="Project run failed"):
        device.run()
    assert "mine_synapses_2.weight must hold multiples of 1/4096" in capfd.readouterr().err

    on_grid = {mlp.synapses[1].weight: np.zeros(56)}
    for wrong in (3.0, 0.5, np.nan):
        device.run(run_args=on_grid | {label: np.array([wrong, 2.0])})
        with pytest.raises(ValueError, match="the label of a step must be a whole number below 3"):
            mlp.checkpoint()
    device.run(run_args=on_grid | {label: np.array([-0.5, 2.0])})
    assert mlp.checkpoint().state.samples_seen == 0
    device.run(run_args=on_grid)
    assert mlp.checkpoint().state.samples_seen == 1


@pytest.mark.thorough
def test_samples_are_presented_before_and_between_runs(experiment, tmp_path):
    set_device("cpp_standalone", build_on_run=False)
    # A network, one that will be in the middle of a sample, and two in series: of one layer each.
    net = SpikingMLP.paper((9, 3), n_steps=7, learning_rate=0.5)
    behind_net, weights = net.replace(layer_sizes=(3, 2)), [np.full((3, 2), 0.3)]
    mlp = SpikingMLPGroup(net, step=1 * ms, name="mine")
    cut = SpikingMLPGroup(net, step=3 * ms)
    first = SpikingMLPGroup(net)
    behind = SpikingMLPGroup(behind_net, weights, input=first.layers[1], label=0, order=50)
    network = Network(mlp, cut, first, behind)
    for nothing in ("scores", "operations"):
        with pytest.raises(NotImplementedError, match=f"'mine' has no {nothing} yet"):
            getattr(mlp, nothing)
    whole = mlp.present(experiment.x, experiment.y)
    network.run(first.present(experiment.x, experiment.y))
    behind.active = False
    first.present(experiment.x[:3], experiment.y[:3])
    cut.present(experiment.x, experiment.y)
    network.run(whole - N_SAMPLES * SAMPLE)
    device.build(directory=str(tmp_path / "program"))

    with Simulator(net, "reference") as sim:
        trace = sim.train(experiment.x, experiment.y, record=True)
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        sim.train(experiment.x[:3], experiment.y[:3])
        assert_equal_states(first.checkpoint().state, sim.checkpoint().state)
    with Simulator(behind_net, "reference", weights) as sim:
        sim.train(trace.spikes[1], np.zeros(N_SAMPLES, int))
        assert_equal_states(behind.checkpoint().state, sim.checkpoint().state)
    with pytest.raises(RuntimeError, match="between the runs of one program"):
        first.trace()
    with pytest.raises(RuntimeError, match="or what it has learned was set, in the middle"):
        cut.checkpoint()


@pytest.mark.thorough
@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_a_program_takes_other_samples_and_another_rate(experiment, timing, tmp_path):
    set_device("cpp_standalone", build_on_run=False)
    net = NET.replace(layer_sizes=(9, 8, 3), timing=timing, update="normalized")
    step = {"step": 3 * DT, "clock": defaultclock}
    mlp, other = (SpikingMLPGroup(net, name=name, **step) for name in ("mine", "other"))
    mlp.record()
    hidden = SpikeMonitor(mlp.layers[1][2:5], variables=["spike_count"])
    with pytest.raises(RuntimeError, match="program of 'mine' is not built"):
        mlp.run_args()
    other.present(experiment.x, experiment.y)
    network = Network(mlp, other, hidden)
    network.run(mlp.present(experiment.x, experiment.y))
    network.run(6 * DT)  # two steps of a sample of nothing
    device.build(directory=str(tmp_path / "program"))

    random = np.random.RandomState(5)
    sim = Simulator(net, "reference")
    expected = sim.train(experiment.x, experiment.y, record=True)
    assert mlp.trace().diff(expected) is None
    assert np.array_equal(mlp.counts(hidden), expected.spikes[1][:, :, 2:5])
    end_of_other = other.checkpoint().state
    for n, rate in ((9, 0.25), (13, 0.125), (8, 0.125)):
        x, y = random.uniform(-1, 2, (n, 7, 9)), random.uniform(0, 2, (n, 7, 3))
        mlp.learning_rate = rate
        mlp.present(x, y)
        # What was learned before can be read until the program runs again.
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        device.run(run_args=mlp.run_args())
        sim = sim.checkpoint().at_rate(rate).simulate("reference")
        expected = sim.train(x, y, record=True)
        assert mlp.trace().diff(expected) is None
        assert np.array_equal(mlp.counts(hidden), expected.spikes[1][:, :, 2:5])
        assert mlp.operations == sim.operations
        assert mlp.checkpoint().net == sim.net
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        # The other network is shown the samples that it was built with.
        assert_equal_states(other.checkpoint().state, end_of_other)
    mlp.present(x)
    mlp.recording = False
    device.run(run_args=mlp.run_args())
    assert np.array_equal(mlp.scores, sim.predict(x)[-1])
    with pytest.raises(ValueError, match="has missed some of what layer"):
        mlp.trace()
    mlp.learning = False
    mlp.present(x, y)
    device.run(run_args=mlp.run_args())
    assert not mlp.learning
    assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)

    # Without the arguments nothing of this would have an effect.
    device.run()
    for read in (mlp.checkpoint, mlp.trace, lambda: mlp.weights, lambda: mlp.scores, mlp.run_args):
        with pytest.raises(RuntimeError, match="run without what was set since it was built"):
            read()
    with pytest.raises(ValueError, match="checkpoint must be of the definition of 'mine'"):
        mlp.run_args(Checkpoint(NET, experiment.end))
    with pytest.raises(ValueError, match="n_steps must be those of the program"):
        mlp.present(x[:, 0], n_steps=9)


@pytest.mark.thorough
def test_what_a_script_sets_between_its_runs_is_as_in_this_process(experiment, tmp_path):
    set_device("cpp_standalone", build_on_run=False)
    net = NET.replace(layer_sizes=(9, 3))
    mlp = SpikingMLPGroup(net, **shown(experiment))
    network = Network(mlp)
    network.run(3 * SAMPLE)
    mlp.learning_rate = 0.25
    network.run(3 * SAMPLE)
    mlp.learning = False
    network.run(2 * SAMPLE)
    device.build(directory=str(tmp_path / "program"))
    with Simulator(net, "reference") as sim:
        sim.train(experiment.x[:3], experiment.y[:3])
        halved = sim.checkpoint().at_rate(0.25)
    with halved.simulate("reference") as sim:
        sim.train(experiment.x[3:6], experiment.y[3:6])
        assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        assert mlp.checkpoint().net == sim.net


@pytest.mark.thorough
def test_delays_within_a_network_are_found_before_the_run(tmp_path, capfd):
    set_device("cpp_standalone", directory=str(tmp_path / "program"))
    mlp = SpikingMLPGroup(NET, name="mine")
    mlp.synapses[1].forward.delay = 1 * ms
    with pytest.raises(RuntimeError, match="Project run failed"):
        run(SAMPLE)
    assert "the delay of 'mine_synapses_2_forward' must be 0" in capfd.readouterr().err


@pytest.mark.thorough
@pytest.mark.parametrize("delay", [1 * ms, "rand()*ms"])
def test_counts_that_are_read_behind_a_delay_are_found_before_the_run(tmp_path, capfd, delay):
    set_device("cpp_standalone", directory=str(tmp_path / "program"))
    mlp = SpikingMLPGroup(NET)
    readout = NeuronGroup(3, "v : 1")
    late = Synapses(mlp.output_layer, readout, on_pre="v_post += spike_count_pre", name="late")
    late.connect()
    late.delay = delay
    with pytest.raises(RuntimeError, match="Project run failed"):
        run(SAMPLE)
    assert (
        "the delay of 'late_pre' must be 0, since spike_count_pre is read" in capfd.readouterr().err
    )


def test_clocks_that_a_program_would_set_apart_are_refused():
    set_device("cpp_standalone", build_on_run=False)
    source = PoissonGroup(9, rates="100*Hz", dt=0.3 * ms)
    mlp = SpikingMLPGroup(NET, input=source, dt=0.1 * ms)
    with pytest.raises(Exception, match="preparing an object") as error:
        Network(source, mlp).run(50 * second)
    assert "must have its dt, 100. us, in runs of" in str(error.value.__cause__)
