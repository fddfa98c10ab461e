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

#: 1.0 unless |v| is below the limit, so that NaN counts as out of range too.
OUTSIDE_C: Final = """
static inline double spikebp_outside(double v, double limit) {
    return fabs(v) < limit ? 0.0 : 1.0;
}
"""

LARGER_C: Final = """
static inline double spikebp_larger(double a, double b) {
    return a > b ? a : b;
}
"""

ROUNDED_C: Final = """
static inline double spikebp_rounded(double v, double units) {
    return rint(v * units) / units;
}
"""

#: max(1, floor(R 2^-b)) grid units for the R of a rate and the b bits of a total.
NORMALIZED_RATE_C: Final = """
static inline double spikebp_normalized_rate(double rate, double total, double units) {
    int bits;
    frexp(total, &bits);
    double r = floor(ldexp(rate * units, -bits));
    return (r > 1.0 ? r : 1.0) / units;
}
"""

#: Philox4x64-10 with the counter and key of "Random numbers" in docs/semantics.md. NumPy's
#: generator increments its counter before it draws, and draws four numbers for each counter.
DRAWN_C: Final = """
#include <stdint.h>
static inline uint64_t spikebp_multiply(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    uint64_t lower = a0 * b1 + (middle & 0xFFFFFFFFu);
    *high = a1 * b1 + (middle >> 32) + (lower >> 32);
    return a * b;
}
static inline double spikebp_drawn(double seed, double samples_seen, double unit, double bits) {
    uint64_t index = (uint64_t) unit, key0 = (uint64_t) seed, key1 = 0;
    uint64_t c[4] = {index / 4 + 1, 0, (uint64_t) samples_seen, 0};
    for (int turn = 0; turn < 10; turn++) {
        uint64_t high0, high1;
        uint64_t low0 = spikebp_multiply(0xD2E7470EE14C6C93u, c[0], &high0);
        uint64_t low1 = spikebp_multiply(0xCA5A826395121157u, c[2], &high1);
        c[0] = high1 ^ c[1] ^ key0; c[1] = low1; c[2] = high0 ^ c[3] ^ key1; c[3] = low0;
        key0 += 0x9E3779B97F4A7C15u; key1 += 0xBB67AE8584CAA73Bu;
    }
    int f = (int) bits;
    int64_t units = (int64_t) (c[index % 4] >> (64 - f)) - ((int64_t) 1 << (f - 1));
    return ldexp((double) units, -f);
}
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


def _normalized_rate(rate: Any, total: Any, units: Any) -> Any:
    _, bits = np.frexp(total)
    return np.maximum(np.floor(np.ldexp(rate * units, -bits)), 1.0) / units


def _drawn(seed: Any, samples_seen: Any, unit: Any, bits: Any) -> Any:
    units = np.atleast_1d(unit).astype(np.int64)
    if not units.size:  # without a unit the other arguments may be empty too
        return np.empty(0)
    seed, seen, f = (int(np.ravel(value)[0]) for value in (seed, samples_seen, bits))
    generator = np.random.Philox(key=seed, counter=[0, 0, seen, 0])
    raw = generator.random_raw(int(units.max()) + 1)[units]
    drawn = (raw >> np.uint64(64 - f)).astype(np.int64) - 2 ** (f - 1)
    return np.ldexp(drawn.astype(np.float64), -f)


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


#: The functions in the namespaces of layers, synapses and schedule, by the names used there.
FUNCTIONS: Final[dict[str, Function]] = {
    "signed_spikes": _function(_signed, "spikebp_signed", QUANTIZERS_C, 2),
    "rectified_spikes": _function(_rectified, "spikebp_rectified", QUANTIZERS_C, 2),
    "outside": _function(_outside, "spikebp_outside", OUTSIDE_C, 2),
    "larger": _function(np.maximum, "spikebp_larger", LARGER_C, 2),
    "rounded": _function(_rounded, "spikebp_rounded", ROUNDED_C, 2),
    "normalized_rate": _function(_normalized_rate, "spikebp_normalized_rate", NORMALIZED_RATE_C, 3),
    "drawn_backward_potential": _function(_drawn, "spikebp_drawn", DRAWN_C, 4),
}
