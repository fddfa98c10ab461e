"""Networks with convolutions, pools and sparse connections in a user's own script."""

import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import Network, StateMonitor, TimedArray, device, ms, prefs, run, set_device

from spikebp_brian2 import SpikingMLPGroup, group
from spikebp_brian2.wiring import KINDS
from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingNetwork,
    UnsupportedError,
)
from spikebp_plugins.network.connections import Convolution
from spikebp_plugins.network.delays import steps_of_sample
from tests.with_brian2.experiment import DT, N_SAMPLES, Experiment, refusal_of, shown

MIXED = SpikingNetwork.paper(
    (6, 5, 2),
    [Conv2D(3, 3, padding=1), AveragePool2D(2), Sparse(6, density=0.5), Dense(3)],
    n_steps=7,
    learning_rate=0.1,
)
CONVOLUTION = SpikingNetwork.paper((5, 4), [Conv2D(3, 2), Dense(3)], n_steps=7, learning_rate=0.1)

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None, reason="needs g++ and make"
)


def duration(net):
    return steps_of_sample(net, net.n_steps) * DT


@pytest.fixture(scope="module")
def mixed():
    return Experiment(MIXED)


@pytest.fixture(scope="module")
def convolution():
    return Experiment(CONVOLUTION)


class TestAScript:
    @pytest.mark.parametrize(
        "changes",
        [
            {"update": "normalized", "learning_rate": 1.0, "feedback": "random"},
            pytest.param(
                {"timing": "pipelined", "backward_init": "zero"}, marks=pytest.mark.thorough
            ),
            pytest.param({"update": "outer", "spikes": "binary"}, marks=pytest.mark.thorough),
        ],
        ids=str,
    )
    def test_shows_images_and_records_every_spike_and_error(self, changes):
        experiment = Experiment(MIXED.replace(**changes))
        mlp = SpikingMLPGroup(experiment.net, experiment.weights, step=1 * ms)
        mlp.record()
        run(mlp.present(experiment.x.reshape(-1, 6, 5, 2), experiment.y))
        assert mlp.trace().diff(experiment.trace) is None
        experiment.assert_learned_by(mlp)
        assert mlp.operations == experiment.operations

    def test_shows_one_image_all_the_time(self, convolution):
        image = convolution.x[0].reshape(5, 4)
        mlp = SpikingMLPGroup(CONVOLUTION, convolution.weights, input=image, label=1)
        Network(mlp).run(2 * duration(CONVOLUTION))
        with Simulator(CONVOLUTION, "reference", convolution.weights) as sim:
            sim.train(np.stack([image, image]), [1, 1])
            assert all(map(np.array_equal, mlp.weights, sim.weights))

    @pytest.mark.thorough
    @needs_compiler
    def test_is_compiled_by_cython(self, mixed):
        prefs.codegen.target = "cython"
        mlp = SpikingMLPGroup(MIXED, mixed.weights, **shown(mixed))
        Network(mlp).run(N_SAMPLES * duration(MIXED))
        mixed.assert_learned_by(mlp)
        shared = mlp.weights[0].ravel()[MIXED.connections[0].synapses.w]
        assert np.array_equal(mlp.synapses[0].weight[:], shared)

    @pytest.mark.thorough
    @needs_compiler
    def test_is_a_program_of_its_own(self, mixed, tmp_path, capfd):
        set_device("cpp_standalone", build_on_run=False)
        mlp = SpikingMLPGroup(MIXED, mixed.weights, name="mine", **shown(mixed))
        mlp.record()
        monitor = StateMonitor(mlp.synapses[0], "weight", record=[0, 100], when="end")
        run(N_SAMPLES * duration(MIXED))
        device.build(directory=str(tmp_path / "program"))
        mixed.assert_learned_by(mlp)
        assert mlp.trace().diff(mixed.trace) is None
        assert mlp.operations == mixed.operations
        shared = mlp.weights[0].ravel()[MIXED.connections[0].synapses.w]
        assert np.array_equal(mlp.synapses[0].weight[:], shared)
        assert np.array_equal(monitor.weight[:, -1], shared[[0, 100]])
        # What has been learned can be given to it, and nothing that the rules would not compute.
        device.run(run_args={mlp.kernels[0].weight: mixed.end.weights[0].ravel()})
        assert not np.array_equal(mlp.weights[0], mixed.end.weights[0])
        for kernel, value, message in (
            (mlp.kernels[0], 0.1, "mine_kernel_1.weight must hold multiples of 1/"),
            (mlp.kernels[1], 0.5, "mine_kernel_2.weight must stay 0.25"),
        ):
            with pytest.raises(RuntimeError, match="Project run failed"):
                device.run(run_args={kernel.weight: np.full(len(kernel), value)})
            assert message in capfd.readouterr().err


class TestSharedWeights:
    @pytest.fixture
    def mlp(self, mixed):
        return SpikingMLPGroup(MIXED, mixed.weights, name="mine", **shown(mixed))

    def test_are_read_by_weight_and_by_synapse(self, mixed, mlp):
        monitor = StateMonitor(mlp.synapses[0], "weight", record=[0, 5, 100], when="end")
        Network(mlp, monitor).run(N_SAMPLES * duration(MIXED))
        connection = MIXED.connections[0]
        shared = mixed.end.weights[0].ravel()[connection.synapses.w]
        assert np.array_equal(mlp.kernels[0].weight[:], mixed.end.weights[0].ravel())
        assert np.array_equal(mlp.synapses[0].weight[:], shared)
        assert np.array_equal(monitor.weight[:, -1], shared[[0, 5, 100]])
        i, j = connection.synapses.i[100], connection.synapses.j[100]
        assert mlp.synapses[0].weight[i, j] == shared[100]
        assert np.array_equal(mlp.synapses[1].weight[:], np.full(len(mlp.synapses[1]), 0.25))
        assert mlp.kernels[2] is None
        assert np.array_equal(mlp.synapses[2].weight[:], mixed.end.weights[2])

    def test_are_set_by_weight(self, mixed, mlp):
        mlp.weights = [np.zeros_like(matrix) for matrix in mixed.weights]
        assert not any(map(np.any, mlp.weights))
        for l, matrix in enumerate(SpikingMLPGroup(MIXED, mixed.weights).weights):
            if matrix.size:
                (mlp.kernels[l] or mlp.synapses[l]).weight = matrix.ravel()
        network = Network(mlp)
        network.run(N_SAMPLES * duration(MIXED))
        mixed.assert_learned_by(mlp)
        mlp.kernels[0].weight = 0.1
        assert "weight of layer 1 must be a multiple" in str(refusal_of(network))

    @pytest.mark.parametrize("l", [1, 2])
    def test_are_not_set_by_synapse(self, mlp, l):
        synapses, before = mlp.synapses[l - 1], mlp.weights
        with pytest.raises(
            TypeError, match=rf"in 'mine_kernel_{l}': mlp\.kernels\[l - 1\]\.weight"
        ):
            synapses.weight = 1
        with pytest.raises(TypeError, match=r"'weight' of 'mine_synapses_.' must be set where"):
            synapses.weight = "rand()"
        with pytest.raises(TypeError, match="read-only"):
            synapses.weight[:] = 1
        with pytest.raises(TypeError, match="read-only"):
            synapses.weight[0, 0] = 1
        with pytest.raises(TypeError, match="read-only"):
            synapses.weight_index = 0
        assert all(map(np.array_equal, mlp.weights, before))
        synapses.run_regularly("weight *= 0.5")
        assert f"must not write mine_synapses_{l}.weight" in str(refusal_of(Network(mlp)))

    def test_that_are_constant_stay_so(self, mlp):
        network = Network(mlp)
        with pytest.raises(TypeError, match="weight is read-only"):
            mlp.kernels[1].weight = 0.5
        network.run(DT)
        mlp.kernels[1].run_regularly("weight = 0.5")
        assert "must not write mine_kernel_2.weight" in str(refusal_of(network))
        assert mlp.kernels[1].weight[0] == 0.25

    def test_out_of_range_are_found_and_nothing_is_changed(self, convolution):
        kernel, above = convolution.weights
        mlp = SpikingMLPGroup(CONVOLUTION, [kernel * 2.0**34, above], input=8.0, label=0)
        before = mlp.weights
        with pytest.raises(OverflowError, match="of layer 1"):
            Network(mlp).run(duration(CONVOLUTION))
        assert all(map(np.array_equal, mlp.weights, before))


def test_synapses_are_those_of_the_definition():
    mlp = SpikingMLPGroup(MIXED, name="mine")
    for l in range(1, 5):
        with pytest.raises(RuntimeError, match=f"'mine_synapses_{l}' has the synapses that"):
            mlp.synapses[l - 1].connect(i=0, j=0)
    Network(mlp).run(DT)
    assert [len(synapses) for synapses in mlp.synapses] == [
        connection.n_synapses for connection in MIXED.connections
    ]


def test_what_it_cannot_build_is_refused(monkeypatch):
    monkeypatch.setattr(group, "KINDS", [kind for kind in KINDS if kind is not Convolution])
    with pytest.raises(UnsupportedError, match=r"it knows Dense.* connections, not Conv2D"):
        SpikingMLPGroup(MIXED)


def test_samples_are_left_to_present():
    with pytest.raises(ValueError, match=r"present\(x, y\); got an array of shape \(3, 5, 4\)"):
        SpikingMLPGroup(CONVOLUTION, input=np.ones((3, 5, 4)))
    rows = TimedArray(np.ones((3, 20)), dt=duration(CONVOLUTION))
    Network(SpikingMLPGroup(CONVOLUTION, input=rows)).run(DT)
