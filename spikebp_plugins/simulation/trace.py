"""Traces: every spike and error of a run, and where two runs first differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import (
    FileLike,
    check_version,
    equal_arrays,
    read_archive,
    unreadable,
    write_archive,
)
from spikebp_plugins.common.errors import INTEGERS, ArgumentError, wrong_argument

FORMAT_VERSION: Final = 1

FLOATS: Final = np.typecodes["Float"]

#: A quantity, its layer, and its values in each of two traces.
Pair = tuple[str, int, NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The spikes, errors, scores and weights of a network that was shown some samples.

    Two are equal (``==``) if every number is; `diff` says where they are not.

    Attributes
    ----------
    spikes : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Signed spike counts of layers 0..L.
    errors : list of ndarray of shape (n_samples, n_steps, n_units), int64, or None
        Error spikes of layers 1..L after the gate, with None at index 0. For a prediction None
        takes the place of the list.
    step_scores : ndarray of shape (n_samples, n_steps, n_outputs)
        The running scores after each step.
    scores : ndarray of shape (n_samples, n_outputs)
        The scores of each sample.
    weights : list of ndarray
        The weights, as the connections have them, after the last sample.
    """

    spikes: list[NDArray[np.int64]]
    errors: list[Any] | None
    step_scores: NDArray[np.float64]
    scores: NDArray[np.float64]
    weights: list[NDArray[np.float64]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and equal_arrays(self._arrays(), other._arrays())

    def __repr__(self) -> str:
        sizes = "-".join(str(counts.shape[2]) for counts in self.spikes)
        n_samples, n_steps = self.step_scores.shape[:2]
        return f"<Trace of {sizes}: {n_samples} samples, {n_steps} steps>"

    def save(self, path: FileLike) -> None:
        """Write the trace to an npz file, whole or not at all.

        Parameters
        ----------
        path : str, path-like or file object
            The file, which is replaced if it exists and keeps its permissions; a link is
            followed, and what is no regular file refused. Or one that is open for writing bytes.
        """
        write_archive(path, self._arrays())

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a trace's file, by name and in their order."""
        arrays: dict[str, NDArray[Any]] = {
            "trace_version": np.array(FORMAT_VERSION, np.int64),
            "step_scores": self.step_scores,
            "scores": self.scores,
        }
        arrays |= {f"spikes_{layer}": counts for layer, counts in enumerate(self.spikes)}
        if self.errors is not None:
            arrays |= {f"errors_{l}": counts for l, counts in enumerate(self.errors) if l}
        return arrays | {f"weights_{layer}": m for layer, m in enumerate(self.weights, 1)}

    @classmethod
    def load(cls, path: FileLike) -> Trace:
        """Read a trace.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no trace, damaged, or of a newer format.
        """
        arrays = read_archive(path, "trace")
        if not {"trace_version", "step_scores", "scores", "spikes_0"} <= arrays.keys():
            raise unreadable(path, "trace", "it holds no spikes")
        check_version(path, "trace", "trace_version", arrays["trace_version"], FORMAT_VERSION)
        try:
            return cls(**_checked(arrays))
        except (KeyError, ArgumentError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise unreadable(path, "trace", reason) from error

    def diff(self, other: Trace) -> Difference | None:
        """Find the first difference from another trace.

        Parameters
        ----------
        other : Trace
            A trace of the same samples shown to a network of the same shape.

        Returns
        -------
        Difference or None
            The first in the order of the step rules: by sample, then step; within a step the spikes
            of layers 0..L, then the errors of layers L..1, then the scores; after all steps the
            scores and the weights. None if everything is equal.

        Raises
        ------
        ValueError
            If the traces have different shapes, or only one of them has errors.
        """
        if (self.errors is None) != (other.errors is None):
            which = "the other" if self.errors is not None else "this one"
            raise ValueError(
                f"both traces must be of training or of prediction; {which} has no errors"
            )
        timed = list(_timed_quantities(self, other))
        differing = [
            (*_first_difference(x, y)[:2], order)
            for order, (_, _, x, y) in enumerate(timed)
            if np.any(x != y)
        ]
        if differing:
            # The cause is the earliest difference of all quantities; within one step it is the one
            # that the rules compute first.
            sample, step, order = min(differing)
            quantity, layer, x, y = timed[order]
            unit = int(np.argmax(x[sample, step] != y[sample, step]))
            place = sample, step, unit
            return Difference(quantity, sample, step, layer, unit, x[place].item(), y[place].item())
        return _compare_ends(self, other)


def _checked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the fields of a trace, each array of the type and shape that spikes ask for."""
    n_layers = sum(name.startswith("spikes_") for name in arrays)  # the input's is one of them
    layers = range(1, n_layers)
    has_errors = any(name.startswith("errors_") for name in arrays)
    shown = [_stated(f"spikes_{l}", arrays, INTEGERS, 3) for l in range(n_layers)]
    sizes = [shape[2] for shape in shown]
    timed = {
        **{f"spikes_{l}": (INTEGERS, sizes[l]) for l in range(n_layers)},
        **({f"errors_{l}": (INTEGERS, sizes[l]) for l in layers} if has_errors else {}),
        "step_scores": (FLOATS, sizes[-1]),
    }
    expected = {name: (kinds, (*shown[0][:2], n)) for name, (kinds, n) in timed.items()}
    expected["scores"] = FLOATS, (shown[0][0], sizes[-1])
    for l in layers:  # weights have the shape of their connection, of which a trace does not know
        _stated(f"weights_{l}", arrays, FLOATS)
    for name, (kinds, shape) in expected.items():
        if _stated(name, arrays, kinds, len(shape)) != shape:
            raise wrong_argument(name, f"of shape {shape}", f"shape {arrays[name].shape}")
    errors = [arrays[f"errors_{l}"] for l in layers] if has_errors else None
    return {
        "spikes": [arrays[f"spikes_{l}"] for l in range(n_layers)],
        "errors": None if errors is None else [None, *errors],
        "step_scores": arrays["step_scores"],
        "scores": arrays["scores"],
        "weights": [arrays[f"weights_{l}"] for l in layers],
    }


def _stated(
    name: str, arrays: Mapping[str, NDArray[Any]], kinds: str, n_dimensions: int | None = None
) -> tuple[int, ...]:
    """Return the shape of an array, whose type must be one of `kinds`."""
    array = arrays[name]
    if array.dtype.char not in kinds:
        what = "integers" if kinds == INTEGERS else "real numbers"
        raise wrong_argument(name, what, f"an array of {array.dtype}")
    if n_dimensions not in (None, len(array.shape)):
        raise wrong_argument(name, f"of {n_dimensions} dimensions", f"shape {array.shape}")
    return array.shape


class Difference(NamedTuple):
    """The first difference of two traces.

    Attributes
    ----------
    quantity : str
        "spikes", "errors", "step_scores", "scores" or "weights".
    sample, step : int or None
        Indices of the sample and the step; None where the quantity has none (scores: no step;
        weights: neither).
    layer : int
        The layer; scores belong to layer L, weights to the layer that they lead into.
    unit : int or tuple of int
        The unit; for a weight, its place in the array: the row and the column, if dense.
    first, second : int or float
        The value in the first trace, and that in the second.
    """

    quantity: str
    sample: int | None
    step: int | None
    layer: int
    unit: int | tuple[int, ...]
    first: float
    second: float

    def __str__(self) -> str:
        place = [f"{name} {getattr(self, name)}" for name in ("sample", "step", "layer", "unit")]
        where = ", ".join(part for part in place if not part.endswith("None"))
        return f"{self.quantity} differ at {where}: {self.first!r} and {self.second!r}"


def _timed_quantities(a: Trace, b: Trace) -> Iterator[Pair]:
    yield from _paired("spikes", a.spikes, b.spikes, first_layer=0)
    if a.errors is not None and b.errors is not None:
        yield from reversed([*_paired("errors", a.errors[1:], b.errors[1:], first_layer=1)])
    yield from _paired("step_scores", [a.step_scores], [b.step_scores], len(a.spikes) - 1)


def _compare_ends(a: Trace, b: Trace) -> Difference | None:
    scores = _paired("scores", [a.scores], [b.scores], first_layer=len(a.spikes) - 1)
    weights = _paired("weights", a.weights, b.weights, first_layer=1)
    for quantity, layer, x, y in chain(scores, weights):
        if np.any(x != y):
            place = _first_difference(x, y)
            sample, unit = place if quantity == "scores" else (None, place)
            return Difference(quantity, sample, None, layer, unit, x[place].item(), y[place].item())
    return None


def _first_difference(x: NDArray[Any], y: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(x != y)), x.shape))


def _paired(
    quantity: str, a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]], first_layer: int
) -> Iterator[Pair]:
    shapes_a, shapes_b = [x.shape for x in a], [y.shape for y in b]
    if shapes_a != shapes_b:
        raise ValueError(
            f"both traces must show the same samples, steps and layers; "
            f"{quantity} have shapes {shapes_a} and {shapes_b}"
        )
    for layer, (x, y) in enumerate(zip(a, b, strict=True), first_layer):
        yield quantity, layer, x, y
