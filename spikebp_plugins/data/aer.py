"""Recordings of event cameras in AER files of five bytes an event, as N-MNIST has them.

The bytes of an event: x; y; then, from the highest bit down, one bit of polarity and 23 bits of
time in microseconds. A y of 240 is no pixel: it marks an overflow of the counter of time, which
adds 2^13 microseconds to all events that follow (Orchard, Jayawant, Cohen and Thakor, "Converting
static image datasets to spiking neuromorphic datasets using saccades", Frontiers in Neuroscience
9:437, 2015, and its code for reading the files). A byte holds no address of a larger sensor than
256 x 240: recordings of these have files with a header (`headed_recordings`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike
from spikebp_plugins.common.errors import REALS, array_of, integer, whole, wrong_argument
from spikebp_plugins.data.events import EVENT_DTYPE
from spikebp_plugins.data.headed_recordings import has_header, headed_events
from spikebp_plugins.data.images import FOLDER_VARIABLE

BYTES_PER_EVENT: Final = 5
OVERFLOW_ROW: Final = 240
OVERFLOW_TIME: Final = 2**13


def read_aer(path: PathLike) -> NDArray[Any]:
    """Read a recording.

    Parameters
    ----------
    path : str or path-like
        A file of five bytes an event, as N-MNIST has them; a DAT file of Prophesee; or an AEDAT 2.0
        file of a DAVIS346. The last two are known by their headers.

    Returns
    -------
    ndarray of shape (n_events,)
        Events with the fields x, y, t, p; see ``events.EVENT_DTYPE``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file ends within an event, or its header says that it is of another kind.
    """
    content = Path(path).read_bytes()
    if has_header(content):
        return headed_events(os.fspath(path), content)
    data = np.frombuffer(content, np.uint8)
    whole, rest = divmod(len(data), BYTES_PER_EVENT)
    if rest:
        raise ValueError(
            f"{os.fspath(path)} is truncated: event {whole} has {rest} of {BYTES_PER_EVENT} bytes"
        )
    x, y, high, middle, low = data.reshape(whole, BYTES_PER_EVENT).astype(np.int64).T
    is_overflow = y == OVERFLOW_ROW
    events = np.empty(whole, EVENT_DTYPE)
    events["x"], events["y"], events["p"] = x, y, high >> 7
    counter = (high & 127) << 16 | middle << 8 | low
    events["t"] = counter + OVERFLOW_TIME * np.cumsum(is_overflow)
    pixels: NDArray[Any] = events[~is_overflow]
    return pixels


class EventRecordings(Sequence[tuple[NDArray[Any], int]]):
    """Labelled recordings; a file is read each time its recording is accessed.

    Parameters
    ----------
    files : sequence of path-like
        A file for each recording.
    labels : array-like of shape (n_recordings,)
        The class of each recording.
    """

    def __init__(self, files: Sequence[PathLike], labels: Any) -> None:
        self.files = [Path(file) for file in files]
        real = array_of("labels", labels, REALS, "integers")
        self.labels = whole("labels", real, "integers").astype(np.int64)
        if self.labels.shape != (len(self.files),):
            allowed = f"one label for each of {len(self.files)} files"
            raise wrong_argument("labels", allowed, f"shape {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> EventRecordings: ...
    def __getitem__(self, index: Any) -> Any:
        """Return (events, label) for an integer index, otherwise the chosen recordings."""
        if isinstance(index, (int, np.integer)):
            return read_aer(self.files[index]), int(self.labels[index])
        chosen = np.arange(len(self))[index]
        return EventRecordings([self.files[i] for i in chosen], self.labels[chosen])

    def shuffled(self, seed: int) -> EventRecordings:
        """Return the same recordings in an order drawn from ``RandomState(seed)``."""
        seed = integer("seed", seed, 0, 2**32 - 1)
        return self[np.random.RandomState(seed).permutation(len(self))]

    def __repr__(self) -> str:
        return f"EventRecordings({len(self)} recordings of {len(np.unique(self.labels))} classes)"


def load_nmnist(folder: PathLike | None = None, part: str = "Train") -> EventRecordings:
    """Find the recordings of N-MNIST, or of any data set in folders of the same form.

    Parameters
    ----------
    folder : str or path-like, default=None
        A folder with `part`/<digit>/*.bin, or with <digit>/*.bin. None takes the first folder in
        ``$SPIKEBP_DATA`` whose name begins with "nmnist".
    part : str, default="Train"
        "Train" or "Test".

    Returns
    -------
    EventRecordings
        The recordings, sorted by digit and then by file name.

    Raises
    ------
    FileNotFoundError
        If there are no recordings there.
    """
    root = _nmnist_folder() if folder is None else Path(folder)
    parts = [path for path in (root / part, root) if path.is_dir()]
    for place in parts:
        digits = sorted(path for path in place.iterdir() if path.is_dir() and path.name.isdigit())
        files = [(file, int(path.name)) for path in digits for file in sorted(path.glob("*.bin"))]
        if files:
            return EventRecordings([file for file, _ in files], [label for _, label in files])
    raise FileNotFoundError(f"no recordings {part}/<digit>/*.bin or <digit>/*.bin in {root}")


def _nmnist_folder() -> Path:
    place = os.environ.get(FOLDER_VARIABLE)
    found = sorted(Path(place).glob("nmnist*")) if place else []
    if not found:
        raise FileNotFoundError(
            "N-MNIST is not downloaded by itself: give the folder of its recordings, or set "
            f"{FOLDER_VARIABLE} to a folder that holds one named nmnist"
        )
    return found[0]
