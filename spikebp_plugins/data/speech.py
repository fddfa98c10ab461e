"""Recordings of spoken digits: the Free Spoken Digit Dataset, or a user's own in the same form."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike, unreadable, whole_file
from spikebp_plugins.data.filter_bank import speech_features, speech_package
from spikebp_plugins.data.images import FOLDER_VARIABLE

NAME: Final = "fsdd"

#: Release 1.0.10, of six speakers. Its host packs the archive anew from time to time: the checksum
#: is that of the recordings in it, see `checksum`.
ARCHIVE: Final = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
)
SHA256: Final = "aacc6435ec019f03383d4aa575de70fa6775a5c68b50d87c766d1c14bb2b79ac"

#: The name of a recording: digit, speaker, and a number of any kind.
FORM: Final = re.compile(r"(?P<digit>\d)_(?P<speaker>.+)_(?P<index>\d+)", re.ASCII)


@dataclass(frozen=True, eq=False)
class SpokenDigits:
    """Recordings of spoken digits, one word each.

    Parameters
    ----------
    signals : sequence of ndarray of shape (n_samples,), float32
        The sound of each word, from -1 to 1; channels are averaged.
    rates : ndarray of shape (n_words,), int64
        Samples a second of each.
    labels : ndarray of shape (n_words,), int64
        The digits, 0 to 9.
    speakers : ndarray of shape (n_words,), of str
        Who spoke each word.
    """

    signals: Sequence[NDArray[np.float32]]
    rates: NDArray[np.int64]
    labels: NDArray[np.int64]
    speakers: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.signals)

    def features(self) -> NDArray[np.float64]:
        """Return `speech_features` of every word, of shape (n_words, 384)."""
        pairs = zip(self.signals, self.rates.tolist(), strict=True)
        return np.array([speech_features(signal, rate) for signal, rate in pairs])

    def __repr__(self) -> str:
        return f"SpokenDigits({len(self)} words of {len(np.unique(self.speakers))} speakers)"


def load_fsdd(folder: PathLike | None = None, *, download: bool = True) -> SpokenDigits:
    """Read recordings of spoken digits, named DIGIT_SPEAKER_INDEX.wav.

    The Free Spoken Digit Dataset has 3,000 of them: 50 of each digit by six speakers, 8,000 samples
    a second. Recordings of your own may have any rate, several channels, and integers or floating
    point of any size.

    Parameters
    ----------
    folder : str or path-like, default=None
        The folder of the recordings; files of other kinds are passed over. None takes
        ``$SPIKEBP_DATA/fsdd`` if there is such a folder, and otherwise the user's cache, into which
        the data set is downloaded once.
    download : bool, default=True
        Whether the data set may be downloaded if it is not in the cache.

    Returns
    -------
    SpokenDigits
        The words, sorted by the names of their files.

    Raises
    ------
    FileNotFoundError
        If the folder has no recordings, or the data set is not cached and ``download=False``.
    ValueError
        If a file is no readable WAV file, has no sample, or has a name of another form; or if what
        came from the host is not the data set.
    ConnectionError
        If the host cannot be reached.
    ImportError
        Without the packages of ``pip install "spikebp-plugins[speech]"``.

    References
    ----------
    Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas and A. Thite, "Free Spoken Digit Dataset",
    v1.0.10, 2020; licence CC BY-SA 4.0.
    """
    place = _folder(download) if folder is None else Path(folder)
    files = sorted(file for file in place.glob("*") if file.suffix.lower() == ".wav")
    if not files:
        raise FileNotFoundError(f"there are no recordings DIGIT_SPEAKER_INDEX.wav in {place}")
    names = [_parts_of_name(file) for file in files]  # refused before any file is read
    signals, rates = zip(*map(_sound, files), strict=True)
    return SpokenDigits(
        signals,
        np.array(rates, np.int64),
        np.array([int(name["digit"]) for name in names], np.int64),
        np.array([name["speaker"] for name in names]),
    )


def _parts_of_name(file: Path) -> re.Match[str]:
    name = FORM.fullmatch(file.stem)
    if name is None:
        raise ValueError(f"{file} must be named DIGIT_SPEAKER_INDEX.wav, as in 7_ada_0.wav")
    return name


def _sound(file: Path) -> tuple[NDArray[np.float32], int]:
    library = speech_package("soundfile")
    try:
        sound, rate = library.read(file, dtype="float32", always_2d=True)
    except library.LibsndfileError as error:
        raise unreadable(file, "WAV file", error) from error
    if not len(sound):
        raise ValueError(f"{file} has no sample")
    return sound.mean(axis=1), rate


def _folder(download: bool) -> Path:
    if (root := os.environ.get(FOLDER_VARIABLE)) and (Path(root) / NAME).is_dir():
        return Path(root) / NAME
    # Imported here because only downloads and their cache need it.
    import pooch

    cache = Path(pooch.os_cache("spikebp-plugins")) / NAME
    # The recordings appear there one by one; this file comes after the last of them.
    complete = cache / "complete"
    if not complete.exists():
        if not download:
            raise FileNotFoundError(
                f"{NAME} is not in {cache}; download=True would fetch it, and folder= takes another"
            )
        recordings = _downloaded(cache)
        for name, content in recordings.items():
            with whole_file(cache / name) as file:
                file.write(content)
        complete.touch()
    return cache


def _downloaded(cache: Path) -> dict[str, bytes]:
    import pooch
    from requests.exceptions import RequestException  # pooch lets it through

    hint = f"recordings can also be put in a folder that is given by folder=, or ${FOLDER_VARIABLE}"
    try:
        path = pooch.retrieve(
            ARCHIVE, None, fname="fsdd.zip", path=cache, progressbar=sys.stderr.isatty()
        )
    except RequestException as error:
        if error.response is not None:  # on which pooch leaves the connection open
            error.response.close()
        raise ConnectionError(f"could not fetch {NAME} from {ARCHIVE}; {hint}") from error
    try:
        recordings = _recordings_in(Path(path))
        if checksum(recordings) != SHA256:
            raise ValueError("its recordings are others")
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"what came from {ARCHIVE} is not {NAME}: {error}; {hint}") from error
    finally:
        Path(path).unlink()
    return recordings


def _recordings_in(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".wav")]
        return {PurePosixPath(name).name: archive.read(name) for name in names}


def checksum(recordings: dict[str, bytes]) -> str:
    """Return the SHA-256 of recordings: for each, sorted by name, its name, a line end and bytes.

    Parameters
    ----------
    recordings : dict of str to bytes
        The contents of WAV files by their names.
    """
    total = sha256()
    for name in sorted(recordings):
        total.update(name.encode() + b"\n" + recordings[name])
    return total.hexdigest()
