"""The structs of the engine, field by field as in the headers of its sources."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

#: The kinds of numbers in a row of input or of targets, as `enum kind` has them.
NONE, LEVELS, REALS, COUNTS, LABELS = range(5)

#: Arrays of a layer, as in `enum array`: of what was learned, and of the open sample.
W, B, PSI, PSI_NOW, S, C, PHI_Y, E, SENT, ERRORS = range(10)


class CFan(ctypes.Structure):
    """``struct fan``."""

    _fields_: ClassVar = [
        *((name, ctypes.c_void_p) for name in ("first", "last", "offset", "n_synapses")),
        *((name, ctypes.c_void_p) for name in ("target", "begin")),
        ("length", ctypes.c_int32),
    ]


class CWiring(ctypes.Structure):
    """``struct wiring``."""

    _fields_: ClassVar = [
        ("up", CFan),
        ("down", CFan),
        ("times_met", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("n_weights", "n_backward")),
        *((name, ctypes.c_int32) for name in ("is_kernel", "channels_below", "channels")),
        *((name, ctypes.c_int32) for name in ("most_uses", "learns")),
    ]


class CLimit(ctypes.Structure):
    """``struct limit``."""

    _fields_: ClassVar = [("least", ctypes.c_int64), ("per_step", ctypes.c_int64)]


class CWeightRule(ctypes.Structure):
    """``struct weight_rule``."""

    _fields_: ClassVar = [
        ("rate", ctypes.c_int64),
        ("added_squares", ctypes.c_int64),
        ("errors", CLimit),
    ]


class CDefinition(ctypes.Structure):
    """``struct definition``."""

    _fields_: ClassVar = [
        ("sizes", ctypes.c_void_p),
        ("wirings", ctypes.c_void_p),
        ("rules", ctypes.c_void_p),
        ("input_scale", ctypes.c_double),
        ("counts", CLimit),
        ("gain", CLimit),
        ("n_layers", ctypes.c_int32),
        ("most_pending", ctypes.c_int32),
        ("bits", ctypes.c_int32),
        ("learns_once", ctypes.c_int32),
        ("starts_at_zero", ctypes.c_int32),
        ("is_binary", ctypes.c_int32),
        ("takes_counts", ctypes.c_int32),
        ("has_random_feedback", ctypes.c_int32),
        *((name, ctypes.c_int32) for name in ("delay", "is_chip", "weight_shift")),
        ("seed", ctypes.c_int64),
    ]


class CRows(ctypes.Structure):
    """``struct rows``."""

    #: The arrays to which it points.
    arrays: Any
    _fields_: ClassVar = [
        ("at", ctypes.c_void_p),
        ("sample_apart", ctypes.c_int64),
        ("step_apart", ctypes.c_int64),
        ("begin", ctypes.c_void_p),
        ("unit", ctypes.c_void_p),
        ("kind", ctypes.c_int32),
    ]


class CBlock(ctypes.Structure):
    """``struct block``."""

    _fields_: ClassVar = [
        ("network", ctypes.c_void_p),
        ("x", CRows),
        ("y", CRows),
        ("label_targets", ctypes.c_double * 2),
        ("n_samples", ctypes.c_int64),
        ("n_steps", ctypes.c_int32),
        ("until_lead", ctypes.c_int32),
        ("margin", ctypes.c_double),
        ("n_learned", ctypes.c_int64),
        ("scores", ctypes.c_void_p),
        ("steps_shown", ctypes.c_void_p),
        ("operations", ctypes.c_void_p),
        ("spikes", ctypes.c_void_p),
        ("errors", ctypes.c_void_p),
        ("step_scores", ctypes.c_void_p),
        ("y_row", ctypes.c_void_p),
        ("opens", ctypes.c_int32),
        ("starts_learning", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("n_shown", "step", "n_inputs")),
    ]


class CRowsBefore(ctypes.Structure):
    """``struct rows_before``."""

    _fields_: ClassVar = [
        ("index", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("length", ctypes.c_int64),
    ]


class CCounted(ctypes.Structure):
    """``struct counted``."""

    _fields_: ClassVar = [(name, ctypes.c_void_p) for name in ("counts", "unit", "n", "is_listed")]


class CEvents(ctypes.Structure):
    """``struct events``."""

    _fields_: ClassVar = [
        ("at", ctypes.c_void_p),
        ("unit", ctypes.c_void_p),
        ("weight", ctypes.c_void_p),
        ("n_events", ctypes.c_int64),
        ("n_steps", ctypes.c_int64),
        ("counted", CCounted),
    ]


class CFeeding(ctypes.Structure):
    """``struct feeding``."""

    _fields_: ClassVar = [
        ("block", ctypes.c_void_p),
        ("events", ctypes.c_char_p),
        *((name, ctypes.c_int64) for name in ("n_events", "n_taken")),
        *((name, ctypes.c_int32) for name in ("are_usual", "are_checked")),
        ("times", ctypes.c_void_p),
        ("counted", CCounted),
        *((name, ctypes.c_int64) for name in ("width", "height")),
        *((name, ctypes.c_uint64) for name in ("step", "longest_leap")),
        *((name, ctypes.c_int32) for name in ("planes", "signs")),
        *((name, ctypes.c_int64) for name in ("until", "n_left")),
    ]
