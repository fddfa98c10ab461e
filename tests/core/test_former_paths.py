"""What third parties were told of is found where they were told, until version 0.2."""

from importlib import import_module

import pytest

FORMER = {
    "reference": ("rules.sample", ["run_sample", "SampleRecord", "WorkCounter"]),
    "backends.backed": ("compiled.fallback", ["BackedByCore"]),
    "backends.reference": ("backends.outcome", ["recording_of"]),
    "state": ("network.state", ["LearningState", "initial_state"]),
    "hardware": ("simulation.hardware_report", ["HardwareReport", "Width", "hardware_report"]),
}


@pytest.mark.parametrize("former", FORMER)
def test_a_former_path_leads_to_the_new_one(former):
    place, names = FORMER[former]
    old, new = (import_module(f"spikebp_plugins.{path}") for path in (former, place))
    for name in names:
        assert getattr(old, name) is getattr(new, name)
