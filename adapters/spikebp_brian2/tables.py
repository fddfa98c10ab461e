"""Arrays that generated code reads by row and column, on each of Brian2's targets.

Brian2's TimedArray is a function of time. Presented samples are counted instead, since samples may
differ in length, and a count is never off by a rounded time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

CPP: Final = """
static inline double {name}(const int64_t row, const int column, const int n_columns) {{
    return _namespace{name}_values[row*n_columns + column];
}}
"""

CYTHON: Final = """
cdef inline double {name}(
    const int64_t row, const int64_t column, const int64_t n_columns
) noexcept nogil:
    return _namespace{name}_values[row*n_columns + column]
"""


class TableFunction(Function):  # type: ignore[misc]
    """The function ``name(row, column, n_columns)`` of an array.

    The size of the array is no part of the code, so that one compiled module serves any.

    Parameters
    ----------
    name : str
        The function's name in the code.
    """

    def __init__(self, name: str) -> None:
        super().__init__(self._look_up, arg_units=[1] * 3, arg_types=["integer"] * 3, return_unit=1)
        self._namespace = {f"{name}_values": np.empty(0)}
        self.implementations.add_implementation("numpy", self._look_up)
        for target, code in (("cpp", CPP), ("cython", CYTHON)):
            self.implementations.add_implementation(
                target, code.format(name=name), self._namespace, name=name
            )

    def show(self, rows: NDArray[np.float64]) -> None:
        """Take an array of shape (n_rows, n_columns), from the next run on."""
        self._rows = rows
        self._namespace.update(dict.fromkeys(self._namespace, rows.ravel()))

    def _look_up(self, row: Any, column: Any, n_columns: Any) -> Any:
        return self._rows[row, column]


def cython_code(name: str) -> str:
    """Return the declarations that a Cython module needs to read the table `name`."""
    return f"cdef double *_namespace{name}_values\n{CYTHON.format(name=name)}"
