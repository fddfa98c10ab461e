"""Deliberate faults in the Brian2 code are found by the suite, at their step and layer."""

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from spikebp_brian2 import rules, runtime
from tests.mutations import assert_found, expected_differences, mutated, spread

#: The function of the rules that each fault changes, and how.
EDITS = {
    "a threshold that is only reached fires": (
        "forward_code",
        "rectified_spikes(potential,",
        "rectified_spikes(potential + 0.25*int(potential - floor(potential) == 0.5),",
    ),
    "weights change before errors have read them": (
        "pathways",
        "{backward}\\n{_update(net, 'error_post')}",
        "{_update(net, 'error_post')}\\n{backward}",
    ),
    "the gate of hidden layers is shut at 0": (
        "backward_code",
        "summed_drive >= 0",
        "summed_drive > 0",
    ),
    "the gate of the output is shut at 0": ("target_code", "summed_drive >= 0", "summed_drive > 0"),
    "potentials are not reset": (
        "forward_code",
        "potential = int(not opens_sample)*potential + arrived",
        "potential = potential + arrived",
    ),
}


@pytest.mark.parametrize("fault", EDITS)
def test_a_fault_is_found_where_it_is(fault, monkeypatch):
    expected = expected_differences(fault)
    name, *edit = EDITS[fault]
    monkeypatch.setattr(runtime, "_idle", {})  # no sound program is taken, and no faulty one left
    monkeypatch.setattr(rules, name, mutated(getattr(rules, name), edit))
    assert_found("brian2:numpy", fault, spread(expected, 6))
