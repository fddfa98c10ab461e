"""What may become a program in C, and be made anew of what the program has learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.embedded.features_in_c import FeaturesInC
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import LearningState


@dataclass(frozen=True)
class LearnedInC:
    """What a program is made of.

    Attributes
    ----------
    checkpoint : Checkpoint
        The network, and what it has learned.
    features : FeaturesInC or None
        How features become its input; None if the program is shown input.
    after : callable
        Returns what was given, as it is with another learned state, and with the features, progress
        and block of `FeaturesInC`.
    """

    checkpoint: Checkpoint
    features: FeaturesInC | None
    after: Callable[..., Any]


@singledispatch
def learned_in_c(
    learned: object,
    feature_bits: int,  # noqa: ARG001
    unit: float,  # noqa: ARG001
) -> LearnedInC:
    """Return what a program is made of, for what was given.

    Parameters
    ----------
    learned : Checkpoint, or what has registered here
        What was learned.
    feature_bits, unit
        As for `to_c`.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    UnsupportedError
        If C does not know how this scales its features.
    """
    allowed = "a Checkpoint or a SpikingMLPClassifier"
    raise wrong_argument("learned", allowed, type(learned).__name__)


@learned_in_c.register
def _(learned: Checkpoint, feature_bits: int, unit: float) -> LearnedInC:
    for name, value, usual in (("feature_bits", feature_bits, 32), ("unit", unit, 1.0)):
        if value != usual:
            raise wrong_argument(name, f"{usual} for a Checkpoint, which has no features", value)
    if learned.input_is_scaled:
        allowed = (
            "a SpikingMLPClassifier itself, or a Checkpoint whose input nobody scales: fit with a "
            "number as input_scale, 1/255 for 8-bit pixels, or take Checkpoint(checkpoint.net, "
            "checkpoint.state) for a program that is shown what network_inputs returns"
        )
        raise wrong_argument("learned", allowed, "the checkpoint of an estimator that scales")

    def after(state: LearningState) -> Checkpoint:
        return replace(learned, state=state)

    return LearnedInC(learned, None, after)
