"""A former place of what is in `rules.step`; it goes with version 0.2."""

from spikebp_plugins.rules.step import (
    SampleRecord,
    SampleState,
    Step,
    WorkCounter,
    close_training,
    open_sample,
    open_training,
    run_sample,
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
