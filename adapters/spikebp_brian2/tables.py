"""Arrays that generated code reads by row and column, on each of Brian2's targets.

Brian2's TimedArray is a function of time. Presented samples are counted instead, since samples may
differ in length, and a count is never off by a rounded time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

#: The name of the values in the generated code, as Brian2 names what belongs to a function.
VALUES: Final = "_namespace{name}_values"

CPP: Final = """
static inline double {name}(const int64_t row, const int column) {{
    return {values}[row*{n_columns} + column];
}}
"""

CYTHON: Final = """
cdef double {name}(const int64_t row, const int64_t column):
    global {values}
    return {values}[row*{n_columns} + column]
"""


def table(name: str, values: NDArray[np.float64]) -> Function:
    """Return the function ``name(row, column)`` of an array.

    How many rows there are is no part of the code, so that one compiled module serves any number.

    Parameters
    ----------
    name : str
        The function's name in the code.
    values : ndarray of shape (n_rows, n_columns)
        The array.
    """

    def look_up(row: Any, column: Any) -> Any:
        return values[row, column]

    function = Function(look_up, arg_units=[1, 1], arg_types=["integer", "integer"], return_unit=1)
    function.implementations.add_implementation("numpy", look_up)
    names = {"name": name, "values": VALUES.format(name=name), "n_columns": values.shape[1]}
    for target, code in (("cpp", CPP), ("cython", CYTHON)):
        function.implementations.add_implementation(
            target, code.format(**names), namespace={f"{name}_values": values.ravel()}, name=name
        )
    return function
