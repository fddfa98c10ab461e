"""Back ends, which compute a network, and the registry that finds them by name."""

from spikebp_plugins.backends.base import Backend, Steps, UnsupportedError
from spikebp_plugins.backends.outcome import (
    EarlySamples,
    Outcome,
    Recording,
    joined,
    recording_from,
    recording_of,
)
from spikebp_plugins.backends.registry import available_backends, get_backend, parse_backend
from spikebp_plugins.network.fields import Definition

__all__ = [
    "Backend",
    "Definition",
    "EarlySamples",
    "Outcome",
    "Recording",
    "Steps",
    "UnsupportedError",
    "available_backends",
    "get_backend",
    "joined",
    "parse_backend",
    "recording_from",
    "recording_of",
]
