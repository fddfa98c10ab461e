"""The functions and structs of the sources in `c`, which lie in the library of the engine."""

from __future__ import annotations

import ctypes
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from spikebp_plugins.engine.library import POINTER, functions_of

#: The quantities that can be out of range, in the order of ``enum quantity``.
QUANTITIES: Final = (
    "potential",
    "target potential",
    "backward potential",
    "summed drive",
    "weight",
    "spikes in one step",
)

#: Arrays of a layer, as in ``enum array``: what was learned, and the error spikes of the last
#: sample before the gate, net and counted.
W, B, PSI, NET_BACKWARD, ALL_BACKWARD = range(5)


class CDefinition(ctypes.Structure):
    """``struct definition``."""

    _fields_: ClassVar = [
        ("sizes", POINTER),
        ("rate", ctypes.c_double),
        ("limit", ctypes.c_double),
        ("n_layers", ctypes.c_int32),
        ("starts_at_zero", ctypes.c_int32),
        *((name, ctypes.c_int32) for name in ("is_outer", "is_depth", "holds_error")),
    ]


class CBlock(ctypes.Structure):
    """``struct block``."""

    _fields_: ClassVar = [
        *((name, POINTER) for name in ("network", "x", "y")),
        *((name, ctypes.c_int64) for name in ("n_samples", "n_steps")),
        *((name, POINTER) for name in ("scores", "spikes", "errors")),
    ]


class Build(SimpleNamespace):
    """The functions of a build, by the names that they have in C behind "event_"."""


SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "size": (ctypes.c_int64, [POINTER, POINTER]),
    "place": (POINTER, [POINTER, POINTER, POINTER]),
    "array": (POINTER, [POINTER, ctypes.c_int32, ctypes.c_int32]),
    "write_counts": (None, [POINTER, POINTER]),
    "write_fault": (None, [POINTER, POINTER]),
    "show": (ctypes.c_int64, [POINTER]),
}


@cache
def build_of(arithmetic: str, level: int | None = None) -> Build:
    """Return the build for an arithmetic, by default the best for this processor."""
    bits = 32 if arithmetic == "float32" else 64
    return Build(**functions_of(SIGNATURES, bits, level, "event_"))
