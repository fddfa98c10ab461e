"""Back ends: what computes a network, and how one is found by name."""

from spikebp_plugins.backends.base import Backend, UnsupportedError
from spikebp_plugins.backends.outcome import (
    EarlyPrediction,
    Outcome,
    Recording,
    joined,
    recording_from,
)
from spikebp_plugins.backends.registry import available_backends, get_backend, parse_backend

__all__ = [
    "Backend",
    "EarlyPrediction",
    "Outcome",
    "Recording",
    "UnsupportedError",
    "available_backends",
    "get_backend",
    "joined",
    "parse_backend",
    "recording_from",
]
