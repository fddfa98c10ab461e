"""Samples and targets of a user, checked once and converted block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    REALS,
    REALS_AND_BOOLEANS,
    array_of,
    integer,
    whole,
    wrong_argument,
)
from spikebp_plugins.network.arithmetic import LARGEST_COUNT, Reals, arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.sparse_rows import SparseRows, is_sparse, rows_of_matrix

#: The label of a sample whose label is not known.
UNLABELED: Final = -1
#: How many rows of a large array are checked at a time for NaN and infinity.
ROWS_PER_CHECK: Final = 4096
#: How many values are added up at a time: for more the matrix library starts threads.
VALUES_PER_SUM: Final = 8192


@dataclass(eq=False, slots=True)
class Batch:
    """Checked samples, with or without targets.

    Attributes
    ----------
    net : Definition
        The definition that they were checked against.
    x : SparseRows, or ndarray of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Input in the type in which it came: 8-bit pixels stay 8-bit. Spikes that came as real
        numbers are int64.
    y : ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_steps, n_outputs)
        Labels, of which -1 is one that is not known, or real targets; None for prediction.
    n_steps : int
        The steps for which each sample is shown.
    """

    net: Definition
    x: NDArray[Any] | SparseRows
    y: NDArray[Any] | None
    n_steps: int

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: slice) -> Batch:
        y = None if self.y is None else self.y[index]
        return Batch(self.net, self.x[index], y, self.n_steps)

    def blocks(self, size: int) -> Iterator[Batch]:
        """Yield the samples in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    @property
    def has_unlabeled(self) -> bool:
        """Whether the label of a sample is not known."""
        y = self.y
        if y is None or y.ndim != 1:
            return False
        lowest: int = y.item() if len(y) == 1 else y.min(initial=0)  # NumPy's takes longer
        return lowest < 0

    def taught_apart(self) -> Iterator[Batch]:
        """Yield the samples in order, those whose label is not known apart, as for prediction."""
        if not self.has_unlabeled:
            yield self
            return
        assert self.y is not None
        is_known = np.greater_equal(self.y, 0)
        changes = np.flatnonzero(is_known[1:] != is_known[:-1]) + 1
        for start, end in pairwise([0, *changes.tolist(), len(self)]):
            part = self[start:end]
            yield part if is_known[start] else replace(part, y=None)

    def as_arrays(self) -> Batch:
        """Return the same samples, with an array in place of rows that list their units."""
        if not isinstance(self.x, SparseRows):
            return self
        x = self.x.dense()
        if is_by_step(self.net, self.x):
            x = x.reshape(len(x), -1, self.net.n_inputs)
        return replace(self, x=x)

    def steps(self, i: int) -> list[Any]:
        """Return the input of a sample as it came, one for all steps or one for each."""
        if isinstance(self.x, SparseRows):
            rows = self.x[i : i + 1].by_step(self.net.n_inputs)
            return [rows[t : t + 1] for t in range(len(rows))]
        return list(self.x[i] if self.x.ndim == 3 else self.x[i : i + 1])

    def rows(self) -> NDArray[Any]:
        """Return the input as it came, of shape (n_samples, 1 or n_steps, n_inputs)."""
        x: Any = self.as_arrays().x
        rows: NDArray[Any] = x if x.ndim == 3 else x[:, np.newaxis]
        return rows

    def inputs(self) -> NDArray[Any]:
        """Return the input of layer 0.

        Returns
        -------
        ndarray of shape (n_samples, 1 or n_steps, n_inputs)
            Values rounded to the grid, or int64 spike counts; one row where all steps are alike.
        """
        return encoded(self.net, self.rows())

    def targets(self) -> Reals:
        """Return the targets of the output.

        Returns
        -------
        ndarray of shape (n_samples, 1 or n_steps, n_outputs)
            Targets rounded to the grid; one row where all steps are alike.
        """
        assert self.y is not None
        y = real_targets(self.net, self.y)
        return arithmetic_of(self.net).round(y if y.ndim == 3 else y[:, np.newaxis])


def encoded(net: Definition, x: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of input, of any shape, rounded to the grid; or int64 spike counts."""
    if net.input_coding == "spikes":
        return spike_counts(x)
    with np.errstate(over="ignore"):
        scaled = x.astype(np.float64) * net.input_factor
    return arithmetic_of(net).round(scaled)


def is_by_step(net: Definition, x: Any) -> bool:
    """Return whether samples have input for each step, and not one for all."""
    return len(x.shape) == 3 or x.shape[1] != net.n_inputs


def label_rows(
    labels: NDArray[Any], n_outputs: int, label_targets: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the targets that integer labels stand for.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Labels from 0 to ``n_outputs - 1``.
    n_outputs : int
        Units of the output.
    label_targets : tuple of two floats
        The targets of each wrong output and of the right one for a label.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
        Targets in spikes a step, not yet rounded to the grid.
    """
    wrong, right = label_targets
    return np.where(labels[:, np.newaxis] == np.arange(n_outputs), right, wrong)


def real_targets(net: Definition, y: NDArray[Any]) -> NDArray[Any]:
    """Return targets as real numbers; labels become the targets that the definition says."""
    return label_rows(y, net.n_outputs, net.label_targets) if y.ndim == 1 else y


def check_batch(net: Definition, x: Any, y: Any = None, n_steps: int | None = None) -> Batch:
    """Check samples and targets against a definition.

    Parameters
    ----------
    net : Definition
        The definition.
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs), or sparse
        Input; a sparse matrix of SciPy has a row for each sample, with the input of all steps, or
        that of each behind that of the step before.
    y : array-like or None, default=None
        Targets: integer labels of shape (n_samples,), -1 where one is not known, or reals of shape
        (n_samples, n_outputs) or (n_samples, n_steps, n_outputs).
    n_steps : int or None, default=None
        Steps to show; None takes those of the definition.

    Raises
    ------
    ValueError
        If a shape, a type or a value is not allowed.
    """
    steps = net.n_steps if n_steps is None else integer("n_steps", n_steps, 1)
    if not isinstance(x, (np.ndarray, SparseRows)) and is_sparse(x):
        x = rows_of_matrix("x", x)
    if isinstance(x, SparseRows):
        x = check_sparse(net, x, steps)
    else:
        x = real_array("x", x)
        if x.shape[1:] != (net.n_inputs,) or net.input_coding != "values":
            x = _flattened(net, x, steps)
        x = check_values(net, x)
    return Batch(net, x, None if y is None else check_targets(net, y, len(x), steps), steps)


def check_sparse(net: Definition, rows: SparseRows, n_steps: int) -> SparseRows:
    """Check rows that list their units, each of a sample, or of its steps one behind the other."""
    of_steps, of_values = n_steps * net.n_inputs, net.input_coding == "values"
    known = (net.n_inputs, of_steps) if of_values else (of_steps,)
    if rows.n_units not in known:
        shapes = " or ".join(_shape(("n_samples", n)) for n in dict.fromkeys(known))
        raise wrong_argument("x", f"of shape {shapes} where it is sparse", f"shape {rows.shape}")
    number = rows.number
    if number.dtype.kind == "f" and not are_finite(number):
        of_row, wrong = rows.row_of_each, np.flatnonzero(~np.isfinite(number))
        first = min(wrong, key=lambda i: (of_row[i], rows.unit[i]))
        index = int(of_row[first]), int(rows.unit[first])
        raise wrong_argument("x", "finite", f"{number[first]} at index {index}")
    return rows if of_values else replace(rows, number=_check_counts(net, number))


def _flattened(net: Definition, array: NDArray[Any], n_steps: int) -> NDArray[Any]:
    """Return samples in the shape of the input as rows of all inputs."""
    allowed: list[tuple[int, ...]] = [(n_steps, net.n_inputs)]
    if net.input_coding == "values":
        allowed.insert(0, (net.n_inputs,))
    if array.shape[1:] in allowed:
        return array
    shaped = {
        (*flat[:-1], *of_layer): flat for of_layer in net.shapes[0].of_arrays for flat in allowed
    }
    if array.shape[1:] in shaped:
        return array.reshape(len(array), *shaped[array.shape[1:]])
    known = dict.fromkeys((*allowed, *shaped))
    shapes = " or ".join(_shape(("n_samples", *shape)) for shape in known)
    raise wrong_argument("x", f"of shape {shapes}", f"shape {array.shape}")


def spike_counts(x: NDArray[Any]) -> NDArray[np.int64]:
    """Return integers as int64, cut to counts whose magnitude 64 bits hold."""
    if x.dtype == np.uint64:
        x = np.minimum(x, np.uint64(LARGEST_COUNT))
    # The magnitude of -2**63 does not fit into 64 bits.
    return np.maximum(x.astype(np.int64), -LARGEST_COUNT)


def check_values(net: Definition, array: NDArray[Any]) -> NDArray[Any]:
    """Check input of any shape; return spike counts that came as real numbers as int64.

    Raises
    ------
    ValueError
        If a value is not allowed.
    """
    return _check_finite("x", array) if net.input_coding == "values" else _check_counts(net, array)


def _check_counts(net: Definition, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        # Lava's sinks, for example, keep the spikes that they receive as real numbers.
        real = whole("x", array, "integers with input_coding='spikes'").astype(np.float64)
        array = np.clip(real, -LARGEST_COUNT, LARGEST_COUNT).astype(np.int64)
    if net.spikes == "binary" and array.size and (array.max() > 1 or array.min() < -1):
        outside = array[(array > 1) | (array < -1)][0]
        raise wrong_argument("x", "spike counts -1, 0 or 1 with spikes='binary'", outside)
    most = arithmetic_of(net).largest_payload
    if most is not None and array.size and (array.max() > most or array.min() < -most):
        outside = array[(array > most) | (array < -most)][0]
        limit = f"spike counts of at most {most} with arithmetic={net.arithmetic!r}"
        raise wrong_argument("x", limit, outside)
    return array


def check_targets(net: Definition, y: Any, n_samples: int, n_steps: int) -> NDArray[Any]:
    """Return targets as an array, of labels or of reals; see `check_batch`."""
    array, n_outputs = real_array("y", y), net.n_outputs
    if array.shape != (n_samples,):
        allowed = [(n_samples,), (n_samples, n_outputs), (n_samples, n_steps, n_outputs)]
        if array.shape not in allowed:
            shapes = " or ".join(_shape(shape) for shape in allowed)
            raise wrong_argument("y", f"of shape {shapes}", f"shape {array.shape}")
        return _check_finite("y", array)
    if array.dtype.kind not in "iu" and array.size:
        raise wrong_argument(
            "y", "integers where it is one-dimensional (labels)", f"an array of {array.dtype}"
        )
    copied = array.astype(np.int64)  # engines use them as indices, and trust them
    # To compare one number, NumPy takes longer than to learn from a sample.
    ends = copied.tolist() if n_samples == 1 else copied.size and (copied.min(), copied.max())
    if ends and not UNLABELED <= ends[0] <= ends[-1] < n_outputs:
        outside = array[(array < UNLABELED) | (array >= n_outputs)][0]
        labels = f"labels from 0 to {n_outputs - 1}, or {UNLABELED} where one is not known"
        raise wrong_argument("y", labels, outside)
    return copied


def real_array(name: str, values: Any) -> NDArray[Any]:
    """Return real numbers as an array; Booleans become integers of 8 bits."""
    if type(values) is np.ndarray and values.dtype.char in REALS:
        return values
    array = array_of(name, values, REALS_AND_BOOLEANS, "an array of real numbers")
    return array.astype(np.uint8) if array.dtype.char == "?" else array


def are_finite(values: NDArray[Any]) -> bool:
    """Return whether all real numbers are finite."""
    return _has_finite_square(values) or bool(np.isfinite(values).all())


def _has_finite_square(values: NDArray[Any]) -> bool:
    """Whether all sums of squares are finite: the quickest test that all values are."""
    if values.dtype.char not in "fd":  # of which the matrix library makes products
        return False
    if values.size <= VALUES_PER_SUM:
        return math.isfinite(np.vdot(values, values))
    if not values.flags.c_contiguous:  # NumPy would copy all of them
        return False
    flat = values.reshape(-1)
    parts = (flat[start : start + VALUES_PER_SUM] for start in range(0, flat.size, VALUES_PER_SUM))
    return all(math.isfinite(np.vdot(part, part)) for part in parts)


def _check_finite(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "f" or _has_finite_square(array):
        return array
    for start in range(0, len(array), ROWS_PER_CHECK):
        is_finite = np.isfinite(array[start : start + ROWS_PER_CHECK])
        if not is_finite.all():
            place = [int(i) for i in np.argwhere(~is_finite)[0]]
            place[0] += start
            value, index = array[tuple(place)], tuple(place) if len(place) > 1 else place[0]
            raise wrong_argument(name, "finite", f"{value} at index {index}")
    return array


def _shape(sizes: tuple[Any, ...]) -> str:
    return f"({', '.join(str(size) for size in sizes)}{',' if len(sizes) == 1 else ''})"
