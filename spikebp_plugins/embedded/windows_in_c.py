"""Windows over the readings of sensors as a file in C, whose bytes are those of the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.windows import CODINGS, WindowEncoder
from spikebp_plugins.embedded.c_program import CFiles
from spikebp_plugins.embedded.templates import check_stem, defined, fill, named, number


def windows_to_c(encoder: WindowEncoder, stem: str = "window") -> CFiles:
    """Return an encoder of windows in C, which begins with an empty window.

    For integers of 32 bits it returns the bytes that the encoder returns, in integers alone: a
    number is above a threshold if it is above the largest integer that is not above this. So low
    and high are those of the integers that a board reads from its sensors.

    Parameters
    ----------
    encoder : WindowEncoder
        An encoder that has learned the low and high of all channels, or was given them.
    stem : str, default="window"
        The name of the files, and what all public names begin with: an identifier of C.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    OverflowError
        If a threshold does not fit 32 bits.
    """
    if not isinstance(encoder, WindowEncoder):
        raise wrong_argument("encoder", "a WindowEncoder", type(encoder).__name__)
    check_stem(stem)
    scale = encoder.past.scale
    if scale.n_unknown:
        raise wrong_argument("encoder", "one that knows its low and high", repr(encoder))
    public = {
        "WINDOW_CHANNELS": encoder.n_channels,
        "WINDOW_LENGTH": encoder.length,
        "WINDOW_HOP": encoder.hop,
        "WINDOW_LEVELS": encoder.levels,
        "WINDOW_INPUTS": encoder.n_inputs,
    }
    parts = {
        "about": f"/* {encoder!r}\n * in C99, written by spikebp-plugins. */",
        "constants": defined(public),
        "code_bytes": str(encoder.n_inputs // (encoder.length * encoder.n_channels)),
        "thresholds": _rows(scale.thresholds),
        "falls": _rows(scale.falls[:, 1:]),
        "rises": _rows(scale.rises[:, :-1]),
    }
    conditions = {
        "CODING": CODINGS.index(encoder.coding),
        "DEAD_BAND": int(encoder.dead_band > 0),
    }
    source, header = (
        named(fill(f"window.{ending}", parts, conditions), stem, "window") for ending in "ch"
    )
    return CFiles(stem, source, header)


def _rows(bounds: NDArray[np.float64]) -> str:
    """Return the largest integers that are not above some bounds, a row for each channel."""
    whole: NDArray[Any] = np.floor(bounds)
    # The lowest integer stands for a number that is missing.
    is_outside = np.abs(whole) >= 2.0**31
    if is_outside.any():
        raise OverflowError(
            f"thresholds must fit 32 bits; got {bounds[is_outside][0]}: give the encoder readings "
            "as the board has them"
        )
    rows = (", ".join(number(int(value)) for value in row) for row in whole)
    return "\n    ".join(f"{{ {row} }}," for row in rows)
