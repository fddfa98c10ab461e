"""Random scripts are equal to the reference or refused; deliberate faults make them differ."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from spikebp_brian2 import group, rules
from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
)
from spikebp_plugins.network.state import initial_state
from tests.mutations import mutated
from tests.step_oracle import follow
from tests.with_brian2.experiment import NET, Experiment
from tests.with_brian2.random_scripts import KINDS, differing, draw, judge, refusal

#: Short scripts that together are of nearly all kinds.
SEEDS = (68, 231, 228, 33, 116, 55, 12, 6, 17, 147, 166, 135)


#: Some of them, with one to four layers of weights.
FEW_SEEDS = (12, 33, 68, 116)


def through_other_connections(script):
    """Return a script with one network, of as many layers, inputs and outputs, but hardly dense."""
    net = script.net
    outputs, conv, pool = net.n_outputs, Conv2D(2, 2, padding=1), AveragePool2D(2)
    layers = {
        1: [Sparse(outputs, density=0.6)],
        2: [conv, Dense(outputs)],
        3: [conv, pool, Dense(outputs)],
        4: [conv, pool, Sparse(5, density=0.5), Dense(outputs)],
    }[net.n_layers]
    fields = {name: value for name, value in net.field_values().items() if name != "layer_sizes"}
    other = SpikingNetwork((net.n_inputs, 1), layers, **fields)
    return replace(script, net=other, series=None, then=script.then and "reference")


def assert_not_different(script):
    verdict = judge(script)
    assert verdict.outcome in ("equal", "refused"), f"{script}\n{verdict.reason}"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_script_is_equal_to_the_reference_or_refused(seed):
    assert_not_different(draw(seed))


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_a_script_is_equal_to_the_reference_through_other_connections(seed):
    assert_not_different(through_other_connections(draw(seed)))


@pytest.mark.once
@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_any_script_is_equal_to_the_reference_through_other_connections(seed):
    assert_not_different(through_other_connections(draw(seed)))


@pytest.mark.once
@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_any_script_is_equal_to_the_reference_or_refused(seed):
    assert_not_different(draw(seed))


@pytest.mark.once
@pytest.mark.thorough
@pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None,
    reason="cpp_standalone needs g++ and make",
)
@pytest.mark.parametrize(("target", "seed"), [("cython", 6), ("cpp_standalone", 33)])
def test_a_compiled_script_is_equal_to_the_reference(target, seed):
    assert_not_different(draw(seed, target=target))


def test_few_scripts_are_refused():
    # Nothing but huge values: 12 of 500 scripts from seed 0 on.
    huge = sum(draw(seed).input == "huge" for seed in range(500))
    assert 0 < huge < 0.05 * 500


def test_the_same_seed_draws_the_same_script():
    for seed in SEEDS:
        script = draw(seed)
        assert script == draw(seed)
        if not {*script.kinds()} & {*KINDS, "clock dt"}:
            assert draw(seed, KINDS) == script


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_steps_of_the_oracle_are_whole_samples_of_the_reference(timing, update):
    experiment = Experiment(NET.replace(timing=timing, update=update, backward_init="uniform"))
    net, n_samples = experiment.net, len(experiment.x)
    start = Checkpoint(net, initial_state(net, experiment.weights))
    duration = net.n_steps + (2 * net.n_layers - 1 if timing == "pipelined" else 0)
    x = np.repeat(experiment.x, duration, axis=0)
    moments = follow(start, x, np.repeat(experiment.y, duration), None)
    assert [step for step, moment in enumerate(moments) if moment.closes] == [
        *range(duration - 1, n_samples * duration, duration)
    ]
    end = moments[-1]
    assert end.operations == experiment.operations
    assert np.array_equal(end.scores, experiment.trace.scores[-1])
    assert differing(end.state, experiment.end) is None


def keeping_potentials(monkeypatch):
    edit = (
        "potential = int(not opens_sample)*potential + arrived",
        "potential = potential + arrived",
    )
    monkeypatch.setattr(rules, "forward_code", mutated(rules.forward_code, edit))


def shutting_gates_at_zero(monkeypatch):
    edit = ("summed_drive >= 0", "summed_drive > 0")
    monkeypatch.setattr(rules, "target_code", mutated(rules.target_code, edit))


def delivering_too_late(monkeypatch):
    sound = group.deliver

    def deliver(*arguments):
        return sound(*arguments[:-1], arguments[-1] + 1000)

    monkeypatch.setattr(group, "deliver", deliver)


def learning_always(monkeypatch):
    edit = ("has_target = {answers} and learning", "has_target = {answers}")
    monkeypatch.setattr(rules, "schedule_code", mutated(rules.schedule_code, edit))


@pytest.mark.parametrize(
    ("put", "seed", "first"),
    [
        (keeping_potentials, 116, "spikes of layer [1-9]"),
        pytest.param(shutting_gates_at_zero, 116, "errors", marks=pytest.mark.thorough),
        pytest.param(delivering_too_late, 135, "spikes of layer 0", marks=pytest.mark.thorough),
        pytest.param(learning_always, 135, "errors", marks=pytest.mark.thorough),
    ],
)
def test_a_fault_is_found_with_its_first_step(put, seed, first, monkeypatch):
    put(monkeypatch)
    verdict = judge(draw(seed))
    assert verdict.outcome == "different"
    assert re.search(rf"network, step \d+: {first}.*, unit \d+: ", verdict.reason.splitlines()[-1])


def test_an_error_of_brian2_or_numpy_is_no_refusal():
    with pytest.raises(ValueError, match="backend") as refused:
        Simulator(SpikingMLP((2, 2)), "nothing")
    assert refusal(refused.value).startswith("ArgumentError: ")
    with pytest.raises(ValueError, match="broadcast") as failed:
        np.zeros(2) + np.zeros(3)
    assert refusal(failed.value) is None
