"""The back end `compiled`, the default: which engine in C runs a definition."""

from __future__ import annotations

from typing import Any, ClassVar

from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.engine.event_backend import EventBackend
from spikebp_plugins.engine.library import why_missing
from spikebp_plugins.network.fields import CHOICES, Definition


class CompiledBackend(EngineBackend):
    """The default back end: the step rules in C, or event timing in C.

    The option `n_jobs` is the number of threads that predict, by default one for each core;
    results are the same for any number.
    """

    choices: ClassVar = {**EngineBackend.choices, "timing": CHOICES["timing"]}

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:  # noqa: ARG003
        """Return that the engine is missing, or that a chip has no such connections."""
        if (lack := cls.lack()) is not None:
            return lack
        if net.arithmetic == "loihi2" and not net.is_dense:
            return f"with arithmetic={net.arithmetic!r} it knows dense connections alone"
        return None

    @classmethod
    def lack(cls) -> str | None:
        """Return why the engine in C is missing, and how to build it; None if it is there."""
        reason = why_missing()
        return reason and f"the engine in C is missing: {reason}"

    @classmethod
    def engine_for(cls, net: Definition) -> type[EngineBackend]:
        """Return the engine of a definition's timing."""
        return EventBackend if net.timing == "event" else EngineBackend
