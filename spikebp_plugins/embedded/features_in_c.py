"""The features of an estimator as the numbers of a program in C, which scales them and goes on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.embedded.templates import text_in_c

#: The members of ``struct feature``, in the order of C: those of eight bytes come first.
WIDE: Final = ("since", "centre", "squares", "changes")
NARROW: Final = (
    "nonzero",
    "is_dense",
    "exponent",
    "n",
    "total",
    "n_changes",
    "n_large",
    "far",
    "small",
    "met",
    "last",
    "second",
    "last_exponent",
    "repeated",
)
FEATURE: Final = np.dtype([*((name, "<i8") for name in WIDE), *((name, "<i4") for name in NARROW)])

#: Those of ``struct progress``, but for the last: whether each class has come.
PROGRESS: Final = (
    "unit",
    "n_scaled",
    "n_waiting",
    "sparse_bits",
    "n_followed",
    "n_since",
    "n_errors",
    "total",
    "squares",
    "least",
    "margin",
    "begins_anew",
)

#: The bits that a reading may have.
READING_BITS: Final = (16, 32)
#: The samples of a block.
BLOCK: Final = 16
#: No exponent is beyond this.
LARGEST_EXPONENT: Final = 1100


@dataclass(frozen=True)
class FeaturesInC:
    """What a program knows of its features, and how they become input.

    Attributes
    ----------
    bits : int
        Those of a reading.
    names : tuple of str
        The names of the classes.
    input_of_one : float
        The input for y = 1.
    constant : float
        The constant input behind the features, if the network has one.
    marks : tuple of int
        The samples after which the rate is halved.
    features : ndarray of shape (n_features + 1,), FEATURE
        The features, and the length of rows.
    progress : ndarray of shape (), `progress_type`
        How far scaling and the rate are.
    block : ndarray of shape (BLOCK, n_features), int16 or int32
        The readings of a block that has not ended.
    meanings : tuple of str
        What each feature is, for the guide; empty if that is not known.
    """

    bits: int
    names: tuple[str, ...]
    input_of_one: float
    constant: float
    marks: tuple[int, ...]
    features: NDArray[Any]
    progress: NDArray[Any]
    block: NDArray[Any]
    meanings: tuple[str, ...]

    @property
    def n_features(self) -> int:
        """The number of features."""
        return len(self.features) - 1

    @property
    def unit(self) -> int:
        """2 to this power is what a reading of 1 stands for."""
        return int(self.progress["unit"])

    @property
    def key(self) -> int:
        """The number that identifies states of such features."""
        fixed = (self.bits, self.unit, self.names, self.input_of_one, self.marks)
        return zlib.crc32(repr(fixed).encode())

    @property
    def size(self) -> int:
        """Bytes of what is known."""
        return self.features.nbytes + self.progress.nbytes + self.block.nbytes

    @property
    def halvings(self) -> int:
        """How often the rate is halved now."""
        return sum(mark <= int(self.progress["n_since"]) for mark in self.marks)

    def to_bytes(self) -> bytes:
        """Return what is known as the bytes of a state."""
        return self.features.tobytes() + self.progress.tobytes() + self.block.tobytes()

    def parts_of(self, data: bytes, n_behind: int) -> tuple[NDArray[Any], ...]:
        """Return `features`, `progress` and `block` of a state, with so many bytes behind them."""
        data = data[-self.size - n_behind : -n_behind]
        features = np.frombuffer(data, self.features.dtype, len(self.features))
        progress = np.frombuffer(data, self.progress.dtype, 1, features.nbytes)[0]
        start = features.nbytes + progress.nbytes
        block = np.frombuffer(data, self.block.dtype, offset=start).reshape(self.block.shape)
        return features, progress, block

    def declarations(self) -> Iterator[str]:
        """Yield what C declares of them, with its first numbers."""
        rows = ",\n    ".join(_members(feature) for feature in self.features.tolist())
        yield "/* What is known of features, and the readings of a block that has not ended. */"
        yield f"static struct feature features[NET_FEATURES + 1] = {{\n    {rows},\n}};"
        *numbers, has_come = self.progress.tolist()
        came = _members(has_come)
        yield f"static struct progress progress = {_members([*numbers, came])};"
        rows = ",\n    ".join(map(_members, self.block[: self.progress["n_waiting"]].tolist()))
        first = f" = {{\n    {rows},\n}}" if rows else ""
        yield f"static net_feature_t block[BLOCK][NET_FEATURES]{first};"
        yield f"static int32_t halvings = {self.halvings}; /* of the rate */"

    def guide(self) -> str:
        """Return what the features are, as a table of the guide."""
        if not self.meanings:
            return ""
        names = (meaning.replace("|", "\\|") for meaning in self.meanings)
        rows = (f"| `x[{i}]` | {name} |" for i, name in enumerate(names))
        return "\n".join(["", "| feature | what it is |", "|---|---|", *rows])

    def texts(self) -> dict[str, str]:
        """Return the parts of ``features.c``."""
        return {
            "marks": ", ".join(map(str, self.marks or (2**63 - 1,))),
            "names": ", ".join(map(text_in_c, self.names)),
        }


def progress_type(n_classes: int) -> np.dtype[Any]:
    """Return the type of ``struct progress``."""
    return np.dtype([*((name, "<i8") for name in PROGRESS), ("has_come", "<i8", (n_classes,))])


def _members(numbers: Any) -> str:
    return f"{{ {', '.join(map(str, numbers))} }}"
