"""What a network has learned, as memories of the core hold it, and as files of hexadecimal words.

The files are those of ``$readmemh`` and ``$writememh``: a word of a lane in each line. So a
simulator begins with them, and a memory that was written out comes back as a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.layout import Layout
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import LearningState, OnGrid, narrowed

Integers = NDArray[np.int64]

#: A lane in the name of a file.
DIGITS: Final = "0123456789abcdef"


class Memories(NamedTuple):
    """Words of all lanes, in units of 2^-f.

    Attributes
    ----------
    weights : ndarray of shape (lanes, weight_depth), int64
        Banks of weights, with zeros where a tile is larger than its connection.
    sums : ndarray of shape (lanes, host_sums), int64
        Summed drive, and backward potentials.
    """

    weights: Integers
    sums: Integers


def memories_of(layout: Layout, state: LearningState) -> Memories:
    """Return the memories that hold what was learned.

    Raises
    ------
    OverflowError
        If a number does not fit; the message says which.
    """
    if (reason := why_too_large(layout, state)) is not None:
        raise OverflowError(reason)
    weights = np.zeros((layout.lanes, layout.weight_depth), np.int64)
    for l, units in enumerate(state.weights.units, 1):
        weights[layout.places(l)] = units
    sums = np.zeros((layout.lanes, layout.host_sums), np.int64)
    for l, units in enumerate(state.backward_potentials.units, 1):
        sums[layout.units_at(layout.psi_at[l], len(units))] = units
    return Memories(weights, sums)


def why_too_large(layout: Layout, state: LearningState) -> str | None:
    """Return which number does not fit the memories, or None."""
    for name, part, most in (
        ("weight", state.weights, layout.largest_weight),
        ("backward potential", state.backward_potentials, 2 ** (layout.fraction_bits - 1)),
    ):
        largest = max((int(np.abs(units).max(initial=0)) for units in part.units), default=0)
        if largest > most:
            return (
                f"each {name} must be at most {most} units of the last place with "
                f"weight_bits={layout.weight_bits}; one is {largest}"
            )
    return None


def state_of(
    layout: Layout, weights: Integers, sums: Integers, before: LearningState, samples_seen: int
) -> LearningState:
    """Return what memories hold, with the feedback of an earlier state."""
    matrices = (weights[layout.places(l)] for l in range(1, len(layout.sizes)))
    potentials = (
        sums[layout.units_at(layout.psi_at[l], layout.sizes[l])]
        for l in range(1, len(layout.sizes) - 1)
    )
    return LearningState(
        weights=OnGrid(map(narrowed, matrices), -layout.fraction_bits),
        backward_potentials=OnGrid(map(narrowed, potentials), -layout.fraction_bits),
        feedback=before.feedback,
        samples_seen=samples_seen,
    )


def files_of(layout: Layout, memories: Memories) -> dict[str, str]:
    """Return the texts of all files, by their names."""
    bits = layout.weight_bits, layout.sum_bits
    return {
        f"{name}_{DIGITS[lane]}.hex": "".join(
            f"{word & (1 << width) - 1:0{-(-width // 4)}x}\n" for word in words.tolist()
        )
        for (name, lanes), width in zip(memories._asdict().items(), bits, strict=True)
        for lane, words in enumerate(lanes)
    }


def checkpoint_from(
    folder: Path, learned: Checkpoint, layout: Layout, n_samples: int
) -> Checkpoint:
    """Return the checkpoint for memories that were written out.

    Parameters
    ----------
    folder : Path
        It has ``weights_0.hex`` and the others, and ``sums_0.hex`` and the others.
    learned : Checkpoint
        What the device was made from.
    layout : Layout
        The layout of the device.
    n_samples : int
        Training samples since then, which the core does not count.

    Raises
    ------
    ValueError
        If a file is no memory of this network.
    """
    weights, sums = (
        np.stack(
            [
                _words_in(folder / f"{name}_{DIGITS[lane]}.hex", depth, bits)
                for lane in range(layout.lanes)
            ]
        )
        for name, depth, bits in (
            ("weights", layout.weight_depth, layout.weight_bits),
            ("sums", layout.host_sums, layout.sum_bits),
        )
    )
    before = learned.state
    state = state_of(layout, weights, sums, before, before.samples_seen + n_samples)
    if (reason := why_too_large(layout, state)) is not None:
        raise wrong_argument("folder", "the memories of this network", f"others: {reason}")
    return Checkpoint(learned.net, state)


def _words_in(path: Path, depth: int, bits: int) -> Integers:
    """Return the numbers in a file of words, which may have comments."""
    lines = (line.partition("//")[0].split() for line in path.read_text("ascii").splitlines())
    words = [word for line in lines for word in line if not word.startswith("@")]
    try:
        numbers = [int(word, 16) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != depth or not all(0 <= number < 1 << bits for number in numbers):
        allowed = f"{depth} hexadecimal words of {bits} bits"
        raise wrong_argument(str(path), allowed, f"{len(words)} others")
    sign = 1 << (bits - 1)
    return np.array([(number ^ sign) - sign for number in numbers], np.int64)
