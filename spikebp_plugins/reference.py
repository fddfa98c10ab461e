"""A former place of what is in `rules.step` and `rules.sample`; it goes with version 0.2."""

from spikebp_plugins.rules.sample import SampleRecord, WorkCounter, run_sample
from spikebp_plugins.rules.step import (
    SampleState,
    Step,
    close_training,
    open_sample,
    open_training,
    step,
)

__all__ = [
    "SampleRecord",
    "SampleState",
    "Step",
    "WorkCounter",
    "close_training",
    "open_sample",
    "open_training",
    "run_sample",
    "step",
]
