"""One Cython module or two serve all of a group, and groups of any name, size and depth."""

import shutil
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import (
    Network,
    NeuronGroup,
    Synapses,
    TimedArray,
    check_units,
    implementation,
    ms,
    prefs,
)
from brian2.codegen.runtime.cython_rt.extension_manager import cython_extension_manager

from spikebp_brian2 import SpikingMLPGroup, cython_module
from spikebp_plugins import SpikingMLP
from tests.with_brian2.experiment import NET, Experiment
from tests.with_brian2.test_native import DT, N_SAMPLES, SAMPLE, shown

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
    for name, sizes in (("spikebp", (9, 8, 7, 3)), ("another*", (4, 3, 2, 5, 2))):
        experiment = Experiment(NET.replace(layer_sizes=sizes))
        modules.clear()
        # Constant values, so that nothing is the user's.
        mlp = SpikingMLPGroup(
            experiment.net, experiment.weights, input=experiment.x[0], label=1, name=name
        )
        Network(mlp).run(SAMPLE)
        sources.append(list(modules))
    assert 1 <= len(sources[0]) <= 2  # the synapses of newer releases have declarations
    assert sources[0] == sources[1]
    assert not any(word in "".join(sources[0]) for word in ("spikebp_layer", "another"))


def test_expressions_of_the_user_have_modules_of_their_own(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    Network(mlp).run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    # The input, and the label in the code of the schedule; the rest is the rules.
    assert [("_timedarray" in source) for source in modules].count(True) == 2
    assert 3 <= len(modules) <= 4


def scaling_by(factor):
    """A function that has the name of others of its kind, and is not the same."""

    @implementation("cython", f"cdef double scaled(double v):\n    return {factor}*v")
    @check_units(v=1, result=1)
    def scaled(v):
        raise AssertionError("compiled code is used")

    return scaled


@pytest.mark.once
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


@pytest.mark.once
@pytest.mark.thorough
def test_two_groups_in_one_network_learn_each_its_own(modules):
    experiments = [Experiment(NET, seed=1), Experiment(NET.replace(update="outer"), seed=2)]
    groups = [SpikingMLPGroup(e.net, e.weights, **shown(e)) for e in experiments]
    Network(*groups).run(N_SAMPLES * SAMPLE)
    for experiment, mlp in zip(experiments, groups, strict=True):
        experiment.assert_learned_by(mlp)


@pytest.mark.once
@pytest.mark.thorough
def test_what_the_user_adds_to_the_parts_is_compiled_by_brian2(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    mlp.layers[1].run_regularly("spikes_sent += 0")
    follower = NeuronGroup(1, "total : 1")
    synapses = Synapses(mlp.layers[1], follower, on_pre="total_post += spike_count_pre")
    network = Network(mlp, follower, synapses)
    synapses.connect()
    network.run(N_SAMPLES * SAMPLE)
    experiment.assert_learned_by(mlp)
    assert follower.total[0] == experiment.trace.spikes[1].sum()


def test_targets_may_change_from_run_to_run(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    network = Network(mlp)
    for target in ("numpy", "cython", "numpy", "cython"):
        prefs.codegen.target = target
        modules.clear()
        network.run(N_SAMPLES // 4 * SAMPLE)
        assert bool(modules) == (target == "cython")
    experiment.assert_learned_by(mlp)


def test_a_state_is_restored_between_runs(modules, experiment):
    mlp = SpikingMLPGroup(NET, experiment.weights, **shown(experiment))
    network = Network(mlp)
    network.run(N_SAMPLES // 2 * SAMPLE)
    network.store()
    network.run(N_SAMPLES // 4 * SAMPLE)
    network.restore()
    network.run(N_SAMPLES // 2 * SAMPLE)
    experiment.assert_learned_by(mlp)


def test_a_step_of_several_dt_with_a_clock_of_its_own(modules):
    patterns = TimedArray([[1, 0, 0.5], [0, 1, 0.5]], dt=1 * ms)
    net = SpikingMLP((3, 4, 2), n_steps=5)
    mlp = SpikingMLPGroup(net, input=patterns, label=0, step=0.2 * ms)
    Network(mlp).run(2 * ms)
    assert mlp.checkpoint().state.samples_seen == 2


def test_what_was_interrupted_is_compiled_by_the_next_call(modules, monkeypatch):
    shared, arguments = cython_module.SharedModule(), {}
    block = shared.block("a source", None, arguments)
    compiled = Mock(side_effect=[KeyboardInterrupt, Mock(main=Mock(return_value="done"))])
    monkeypatch.setattr(cython_module, "_compiled", compiled)
    with pytest.raises(KeyboardInterrupt):
        block.main({})
    assert block.main({}) == "done"
