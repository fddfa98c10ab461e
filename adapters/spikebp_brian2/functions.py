r"""The functions that the step rules need and Brian2 does not have, for each of its targets.

Brian2's own `floor` and `ceil` give 32-bit integers under numpy, and it has no rounding to the
nearest even number; so the quantizers are functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from brian2 import Function

from spikebp_plugins.rules.quantization import crossings

#: The quantizers of "Quantizers" in docs/semantics.md. They do without ceil(|v| - 1/2), because the
#: difference is rounded where |v| is large.
QUANTIZERS_C: Final = """
#ifndef SPIKEBP_QUANTIZERS
#define SPIKEBP_QUANTIZERS
static inline double spikebp_crossings(double size, double binary) {
    double whole = floor(size);
    double count = whole + (size - whole > 0.5 ? 1.0 : 0.0);
    double most = binary != 0.0 ? 1.0 : count;
    return count < most ? count : most;
}
static inline double spikebp_signed(double v, double binary) {
    return copysign(spikebp_crossings(fabs(v), binary), v);
}
static inline double spikebp_rectified(double v, double binary) {
    return spikebp_crossings(v > 0.0 ? v : 0.0, binary);
}
#endif
"""


def _signed(v: Any, binary: Any) -> Any:
    return np.sign(v) * _crossings(v, binary)


def _rectified(v: Any, binary: Any) -> Any:
    return np.where(v > 0, _crossings(v, binary), 0.0)


def _crossings(v: Any, binary: Any) -> Any:
    # No warning for an infinite value: `outside` finds that it is out of range.
    with np.errstate(invalid="ignore"):
        return crossings(np.abs(v), bool(binary))


def _outside(v: Any, limit: Any) -> Any:
    return np.where(np.abs(v) < limit, 0.0, 1.0)


def _rounded(v: Any, units: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.rint(v * units) / units


def _function(python: Callable[..., Any], c_name: str, c_code: str, n_arguments: int) -> Function:
    function = Function(python, arg_units=[1] * n_arguments, return_unit=1)
    function.implementations.add_implementation("numpy", python)
    function.implementations.add_implementation("cpp", c_code, name=c_name)
    arguments = ", ".join(["double"] * n_arguments)
    # Cython calls the same C code, which it includes verbatim.
    verbatim = f'cdef extern from *:\n    """\n    #include <math.h>{c_code}"""\n'
    declared = f"    double {c_name}({arguments}) noexcept nogil\n"
    function.implementations.add_implementation("cython", verbatim + declared, name=c_name)
    return function


def _of_expression(name: str, python: Callable[..., Any], given: str, value: str) -> Function:
    """Return a function of the arguments `given`, whose value in C is an expression."""
    names = given.split()
    c_name, arguments = f"spikebp_{name}", ", ".join(f"double {one}" for one in names)
    c_code = f"\nstatic inline double {c_name}({arguments}) {{\n    return {value};\n}}\n"
    return _function(python, c_name, c_code, len(names))


#: The functions in the namespaces of layers, synapses and schedule, by the names used there.
FUNCTIONS: Final[dict[str, Function]] = {
    "signed_spikes": _function(_signed, "spikebp_signed", QUANTIZERS_C, 2),
    "rectified_spikes": _function(_rectified, "spikebp_rectified", QUANTIZERS_C, 2),
    # 1.0 unless |v| is below the limit, so that NaN counts as out of range too.
    "outside": _of_expression("outside", _outside, "v limit", "fabs(v) < limit ? 0.0 : 1.0"),
    "larger": _of_expression("larger", np.maximum, "a b", "a > b ? a : b"),
    # Brian2's own `clip` would be compiled in a module of its own.
    "within": _of_expression(
        "within", np.clip, "v low high", "v < low ? low : v > high ? high : v"
    ),
    "rounded": _of_expression("rounded", _rounded, "v units", "rint(v * units) / units"),
    "whole": _of_expression("whole", np.floor, "v", "floor(v)"),
}
