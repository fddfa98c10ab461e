"""Deliberate faults in the Brian2 code are found by the suite, at their step and layer."""

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from spikebp_brian2 import rules
from spikebp_brian2.network_parts import NetworkParts
from spikebp_plugins.conformance import CASES, ConformanceTest, TracesDifferError
from spikebp_plugins.conformance.suite import unsupported_reason
from tests.mutations import assert_found, expected_differences, mutated, spread

pytestmark = pytest.mark.thorough

#: The cases that Brian2 does not refuse.
KNOWN = [case for case in CASES if unsupported_reason("brian2:numpy", case.net) is None]

#: The functions that each fault changes, and how.
EDITS = {
    "a threshold that is only reached fires": [
        (
            rules,
            "forward_code",
            "rectified_spikes(potential,",
            "rectified_spikes(potential + 0.25*int(potential - floor(potential) == 0.5),",
        )
    ],
    "weights change before errors have read them": [
        (
            rules,
            "pathways",
            "{above.get('backward', '')}\\n{update}",
            "{update}\\n{above.get('backward', '')}",
        ),
        (NetworkParts, "__init__", '("backward", "learn")', '("learn", "backward")'),
    ],
    "the gate of hidden layers is shut at 0": [
        (rules, "backward_code", "summed_drive >= 0", "summed_drive > 0")
    ],
    "the gate of the output is shut at 0": [
        (rules, "target_code", "summed_drive >= 0", "summed_drive > 0")
    ],
    "potentials are not reset": [
        (
            rules,
            "forward_code",
            "potential = int(not opens_sample)*potential + arrived",
            "potential = potential + arrived",
        )
    ],
}


@pytest.mark.parametrize("fault", EDITS)
def test_a_fault_is_found_where_it_is(fault, monkeypatch):
    expected = expected_differences(fault, KNOWN)
    for owner, name, *edit in EDITS[fault]:
        monkeypatch.setattr(owner, name, mutated(getattr(owner, name), edit))
    assert_found("brian2:numpy", fault, spread(expected, 6))


#: Faults of pipelined timing: where each is put, and what differs first. Samples that do not last
#: as long as they should are found before they are compared.
PIPELINE_EDITS = {
    "connections learn before they are given spikes": (
        NetworkParts,
        "__init__",
        ("for pathway in self._postponed:", "for pathway in reversed(self._postponed):"),
        "step_scores",
    ),
    "layers go on after the last step of input": (
        rules,
        "_windows",
        ("{since} <= steps_shown", "{since} <= steps_shown + 1"),
        "errors",
    ),
    "the last errors do not arrive": (
        rules,
        "schedule_code",
        ("duration(0)}", "duration(0) - 1}"),
        "duration",
    ),
    "hidden layers do not wait for a target": (
        rules,
        "linked_name",
        ('or (name == "has_target" and 0 < l < net.n_layers)', ""),
        "errors",
    ),
}


@pytest.mark.parametrize("fault", PIPELINE_EDITS)
def test_a_fault_of_pipelined_timing_is_found(fault, monkeypatch):
    owner, name, edit, quantity = PIPELINE_EDITS[fault]
    monkeypatch.setattr(owner, name, mutated(getattr(owner, name), edit))
    found = set()
    for case in [case for case in KNOWN if case.net.timing == "pipelined"]:
        try:
            ConformanceTest("brian2:numpy", case).run()
        except TracesDifferError as failure:
            found.add(failure.difference.quantity)
        except RuntimeError as failure:
            found.add("duration" if "not each has taken" in str(failure) else str(failure))
    assert quantity in found, found
