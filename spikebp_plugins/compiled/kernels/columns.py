"""Kernels for all columns of a row, made of kernels for some columns each."""

from __future__ import annotations

from .build import kernel
from .vectors import LANES


def by_columns(build):
    """Return a kernel that computes all columns of a layer by kernels for some columns.

    `build(lanes)` returns a kernel for `lanes` columns, whose first argument is the first of these
    columns. With the widths of 8, 5, 3, 2 and 1 vectors, at most two narrower kernels compute what
    the widest leaves over.
    """
    most, five, three, two, one = (build(n * LANES) for n in (8, 5, 3, 2, 1))

    @kernel
    def do_all(width, arguments):
        j = 0
        while j + 8 * LANES <= width:
            most(j, *arguments)
            j += 8 * LANES
        if j + 5 * LANES <= width:
            five(j, *arguments)
            j += 5 * LANES
        if j + 3 * LANES <= width:
            three(j, *arguments)
            j += 3 * LANES
        if j + 2 * LANES <= width:
            two(j, *arguments)
            j += 2 * LANES
        if j < width:
            one(j, *arguments)

    return do_all
