"""Finds the library of the engine, and the functions in it for this processor."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from spikebp_plugins.engine.building import LIBRARY, digest


class EngineMissingError(ImportError):
    """There is no library of the engine that could be loaded; the message says why."""


class Build(SimpleNamespace):
    """The functions of a build of the engine, by the names that they have in C: see `SIGNATURES`.

    Attributes
    ----------
    number : type
        The type of its numbers.
    largest : float
        The magnitude, in units of 2^-f, that weights must be below when they are written.
    most_bits : int
        With more fraction bits its numbers hold too few spikes of potential.
    """

    number: type
    largest: float
    most_bits: int


POINTER: Final = ctypes.c_void_p
SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "size": (ctypes.c_int64, [POINTER, POINTER]),
    "header_size": (ctypes.c_int64, [POINTER]),
    "place": (POINTER, [POINTER, POINTER, POINTER]),
    "array": (POINTER, [POINTER, ctypes.c_int32, ctypes.c_int32]),
    "forget_bounds": (None, [POINTER]),
    "take_bounds": (None, [POINTER, POINTER]),
    "shown": (ctypes.c_int64, [POINTER]),
    "trained": (ctypes.c_int64, [POINTER]),
    "write_counts": (None, [POINTER, POINTER]),
    "show": (ctypes.c_int64, [POINTER]),
    "size_before": (ctypes.c_int64, [POINTER]),
    "place_before": (None, [POINTER, POINTER]),
    "before": (ctypes.c_int32, [POINTER, ctypes.c_int32, POINTER]),
    "keep_row": (None, [POINTER, ctypes.c_int32, ctypes.c_int32]),
    "show_steps": (None, [POINTER]),
    "show_events": (ctypes.c_int32, [POINTER, POINTER]),
    "feed": (None, [POINTER]),
    "write_updates": (None, [POINTER]),
    "sample_counts": (None, [POINTER, POINTER]),
    "reopen": (None, [POINTER, POINTER]),
    "close_sample": (ctypes.c_int32, [POINTER, ctypes.c_int32, ctypes.c_int32]),
    "drop_sample": (None, [POINTER]),
    "find_scores": (None, [POINTER, POINTER, ctypes.c_int64]),
}


@cache
def library() -> Any:
    """Return the library.

    Raises
    ------
    EngineMissingError
        If the package was installed without one, or it is not that of these sources.
    """
    if not LIBRARY.exists():
        raise EngineMissingError(
            "none was built when the package was installed; "
            "python -m spikebp_plugins.engine.building builds one, or says why it cannot"
        )
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        raise EngineMissingError(
            f"{LIBRARY.name} cannot be loaded: {error}; install the package again"
        ) from error
    loaded.sources.restype = ctypes.c_char_p
    if loaded.sources().decode() != digest():
        raise EngineMissingError(
            f"{LIBRARY.name} was built from other sources; install the package again, or run "
            "python -m spikebp_plugins.engine.building"
        )
    return loaded


@cache
def why_missing() -> str | None:
    """Return why there is no library, or None if there is one."""
    try:
        library()
    except EngineMissingError as error:
        return str(error)
    return None


def best_level() -> int:
    """Return the level of the best build that this processor runs."""
    return int(library().best_level())


@cache
def build_of(bits: int, level: int | None = None) -> Build:
    """Return the build for numbers of 32 or of 64 bits, by default the best for this processor."""
    number, largest, most_bits = (np.int32, 2.0**29, 22) if bits == 32 else (np.int64, 2.0**53, 40)
    functions = functions_of(SIGNATURES, bits, level)
    return Build(number=number, largest=largest, most_bits=most_bits, **functions)


def functions_of(
    signatures: Mapping[str, tuple[Any, list[Any]]], bits: int, level: int | None, prefix: str = ""
) -> dict[str, Any]:
    """Return functions of a build by the names that they have in C, behind a prefix if any."""
    level = best_level() if level is None else level
    functions = {}
    for name, (result, arguments) in signatures.items():
        function = getattr(library(), f"{prefix}{name}_{level}_{bits}")
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return functions
