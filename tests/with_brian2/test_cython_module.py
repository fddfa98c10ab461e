"""One Cython module or two serve all of a group, and groups of any name, size and depth."""

import shutil
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import Network, NeuronGroup, Synapses, check_units, implementation, prefs
from brian2.codegen.runtime.cython_rt.extension_manager import cython_extension_manager

from spikebp_brian2 import SpikingMLPGroup, cython_module
from spikebp_plugins import Simulator
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    Experiment,
    assert_equal_states,
    shown,
)

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


@pytest.fixture
def modules(monkeypatch):
    """Use the target `cython`; the sources of the modules that are compiled or found from then."""
    prefs.codegen.target = "cython"
    found, create = [], cython_extension_manager.create_extension

    def create_and_note(source, **options):
        found.append(source)
        return create(source, **options)

    monkeypatch.setattr(cython_extension_manager, "create_extension", create_and_note)
    return found


def test_groups_of_any_name_size_and_depth_share_a_module(modules):
    sources = []
    groups = ("spikebp", (9, 8, 7, 3), DT), ("another*", (4, 3, 2, 5, 3), 5 * DT)
    for name, sizes, step in groups:
        experiment = Experiment(NET.replace(layer_sizes=sizes))
        modules.clear()
        # Constant values, so that nothing is the user's.
        given = {"input": experiment.x[0], "target": np.eye(3)[1], "step": step}
        mlp = SpikingMLPGroup(experiment.net, experiment.weights, name=name, **given)
        Network(mlp).run(NET.n_steps * step)
        with Simulator(experiment.net, "reference", experiment.weights) as sim:
            sim.train(experiment.x[:1], [1])
            assert_equal_states(mlp.checkpoint().state, sim.checkpoint().state)
        sources.append(list(modules))
    assert 1 <= len(sources[0]) <= 2  # the synapses of newer releases have declarations
    assert sources[0] == sources[1]
    assert not any(word in "".join(sources[0]) for word in ("spikebp_layer", "another"))


@pytest.mark.thorough
def test_a_script_may_change_targets_and_be_restored(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    network = Network(mlp)
    quarter = N_SAMPLES // 4 * SAMPLE
    network.run(quarter)
    # The input, and the label in the code of the schedule; the rest is the rules.
    assert ["_timedarray" in source for source in modules].count(True) == 2
    assert 3 <= len(modules) <= 4
    network.store()
    network.run(quarter)
    network.restore()
    for target in ("numpy", "cython", "numpy"):
        prefs.codegen.target = target
        modules.clear()
        network.run(quarter)
        assert bool(modules) == (target == "cython")
    experiment.assert_learned_by(mlp)


def scaling_by(factor):
    """A function that has the name of others of its kind, and is not the same."""

    @implementation("cython", f"cdef double scaled(double v):\n    return {factor}*v")
    @check_units(v=1, result=1)
    def scaled(v):
        raise AssertionError("compiled code is used")

    return scaled


@pytest.mark.thorough
def test_functions_of_one_name_stay_what_they_are(modules):
    groups = []
    for name, factor in (("doubling", 2.0), ("halving", 0.5)):
        mlp = SpikingMLPGroup(NET, input="scaled(0.25*i)", label=0, name=name)
        mlp.input_layer.namespace["scaled"] = scaling_by(factor)
        groups.append(mlp)
    Network(*groups).run(DT)
    doubled, halved = (mlp.input_layer.input_value[:] for mlp in groups)
    assert np.array_equal(doubled, np.arange(9) / 2)
    assert np.array_equal(halved, np.arange(9) / 8)


@pytest.mark.thorough
def test_two_groups_in_one_network_learn_each_its_own(modules):
    experiments = [Experiment(NET, seed=1), Experiment(NET.replace(update="outer"), seed=2)]
    groups = [SpikingMLPGroup(e.net, e.weights, **shown(e)) for e in experiments]
    Network(*groups).run(N_SAMPLES * SAMPLE)
    for experiment, mlp in zip(experiments, groups, strict=True):
        experiment.assert_learned_by(mlp)


@pytest.mark.thorough
def test_what_the_user_adds_to_the_parts_is_compiled_by_brian2(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    mlp.input_layer.run_regularly("received_input += 0")
    follower = NeuronGroup(1, "total : 1")
    synapses = Synapses(mlp.layers[1], follower, on_pre="total_post += spike_count_pre")
    network = Network(mlp, follower, synapses)
    synapses.connect()
    network.run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    assert follower.total[0] == experiment.trace.spikes[1].sum()


def test_what_was_interrupted_is_compiled_by_the_next_call(modules, monkeypatch):
    shared, arguments = cython_module.SharedModule(), {}
    block = shared.block("a source", None, arguments)
    compiled = Mock(side_effect=[KeyboardInterrupt, Mock(main=Mock(return_value="done"))])
    monkeypatch.setattr(cython_module, "_compiled", compiled)
    with pytest.raises(KeyboardInterrupt):
        block.main({})
    assert block.main({}) == "done"
