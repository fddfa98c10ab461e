"""Data sets of small images with ten classes: what examples and benchmarks learn from."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import choice
from spikebp_plugins.data.idx import read_idx

if TYPE_CHECKING:
    from requests.exceptions import RequestException

DATASET_NAMES: Final = ("digits", "mnist", "fashion-mnist")
FOLDER_VARIABLE: Final = "SPIKEBP_DATA"
N_CLASSES: Final = 10

IDX_FILES: Final = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Publication(NamedTuple):
    """The addresses and checksums of the gzipped IDX files of a data set."""

    hosts: tuple[str, ...]  #: URLs of folders with the same files, in the order of preference.
    md5: tuple[str, ...]  #: Checksums in the order of `IDX_FILES`.


SOURCES: Final = {
    "mnist": Publication(
        hosts=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        md5=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion-mnist": Publication(
        hosts=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        md5=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, split into those to train on and those to test on.

    Parameters
    ----------
    name : str
        One of `DATASET_NAMES`.
    x_train : ndarray of shape (n_train, n_features)
        One image a row, row by row of its pixels; float64 in [0, 1], or uint8 as stored.
    y_train : ndarray of shape (n_train,)
        Labels 0 to ``n_classes - 1``, int64.
    x_test : ndarray of shape (n_test, n_features)
        As `x_train`.
    y_test : ndarray of shape (n_test,)
        As `y_train`.
    n_classes : int
        The number of classes.
    input_scale : float
        The factor that maps `x_train` and `x_test` to [0, 1].
    image_shape : tuple of int
        Rows and columns of an image; their product is `n_features`.
    """

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    n_classes: int
    input_scale: float
    image_shape: tuple[int, int]


def load_dataset(
    name: str = "digits",
    *,
    folder: str | os.PathLike[str] | None = None,
    raw: bool = False,
    download: bool = True,
) -> Dataset:
    """Return a data set by its name.

    "digits" comes with scikit-learn and has a fixed split: 1437 images to train on, 360 to test
    on. The others are four IDX files, gzipped or not, that are looked for in `folder`. If it is
    None, they are looked for in ``$SPIKEBP_DATA/<name>`` if there is such a folder, and otherwise
    in the user's cache, into which they are downloaded once.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion-mnist"}, default="digits"
        The name of the data set.
    folder : str or path-like, default=None
        The folder that holds the files, itself or in a subfolder called `name`; nowhere else is
        searched. Not used for "digits".
    raw : bool, default=False
        Whether images stay uint8 as stored. Then ``input_scale`` of the data set is the factor
        that maps them to [0, 1], and otherwise 1.0: a network can take it in both cases.
    download : bool, default=True
        Whether files that are not in the cache may be downloaded.

    Returns
    -------
    Dataset
        Images and labels, with the number of classes and the input scale.

    Raises
    ------
    ValueError
        If `name` is unknown, a file has the wrong contents, or all hosts have failed, one of them
        with wrong contents.
    FileNotFoundError
        If a folder that was given lacks a file, or a file is not cached and ``download=False``.
    ConnectionError
        If no host of the data set can be reached.

    References
    ----------
    - digits: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
      Learning Repository, 1998; the copy in scikit-learn, 8 x 8 pixels of 17 levels.
    - mnist: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
      document recognition", Proceedings of the IEEE 86(11), 1998; 28 x 28 pixels.
    - fashion-mnist: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
      benchmarking machine learning algorithms", arXiv:1708.07747, 2017; 28 x 28 pixels.

    Examples
    --------
    >>> data = load_dataset("digits", raw=True)
    >>> data.x_train.shape, data.x_train.dtype, data.input_scale
    ((1437, 64), dtype('uint8'), 0.0625)
    """
    name = choice("name", name, DATASET_NAMES)
    data = _digits() if name == "digits" else _from_idx(name, _idx_paths(name, folder, download))
    if raw:
        return data
    images = data.x_train, data.x_test
    train, test = (np.multiply(x, data.input_scale, dtype=np.float64) for x in images)
    return replace(data, x_train=train, x_test=test, input_scale=1.0)


def _digits() -> Dataset:
    # Imported here because scikit-learn takes a second, and most uses do without this data set.
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(1797)
    # scikit-learn returns floats; their levels 0 to 16 are exact in uint8.
    x, y = x[order].astype(np.uint8), y[order].astype(np.int64)
    return Dataset("digits", x[:1437], y[:1437], x[1437:], y[1437:], N_CLASSES, 1 / 16, (8, 8))


def _from_idx(name: str, paths: Sequence[Path]) -> Dataset:
    x_train, y_train = _images_and_labels(*paths[:2])
    x_test, y_test = _images_and_labels(*paths[2:])
    rows, columns = x_train.shape[1:]
    if x_test.shape[1:] != (rows, columns):
        raise ValueError(
            f"{paths[2]} holds images of shape {x_test.shape[1:]}, "
            f"but those of {paths[0]} have {(rows, columns)}"
        )
    train, test = (x.reshape(len(x), rows * columns) for x in (x_train, x_test))
    return Dataset(name, train, y_train, test, y_test, N_CLASSES, 1 / 255, (rows, columns))


def _images_and_labels(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    x, y = _read_bytes(images, 3), _read_bytes(labels, 1)
    if len(x) != len(y):
        raise ValueError(f"{images} holds {len(x)} images, but {labels} holds {len(y)} labels")
    if y.max(initial=0) >= N_CLASSES:
        raise ValueError(f"{labels} holds the label {y.max()}, but labels are 0 to {N_CLASSES - 1}")
    return x, y.astype(np.int64)


def _read_bytes(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != n_dimensions:
        raise ValueError(
            f"{path} must hold uint8 in {n_dimensions} dimensions, "
            f"but it holds {array.dtype} in {array.ndim}"
        )
    return array


def _idx_paths(name: str, folder: str | os.PathLike[str] | None, download: bool) -> list[Path]:
    if folder is not None:
        # The subfolder first: the folder itself may hold another data set under the same names.
        return _existing(name, Path(folder) / name, Path(folder))
    if (root := os.environ.get(FOLDER_VARIABLE)) and (Path(root) / name).is_dir():
        return _existing(name, Path(root) / name)
    # Imported here because only downloads and their cache need it.
    import pooch

    cache = Path(pooch.os_cache("spikebp-plugins")) / name
    if download:
        return _downloaded(name, cache)
    try:
        return _existing(name, cache)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; download=True would fetch them") from None


def _existing(name: str, *folders: Path) -> list[Path]:
    """Return the files in the first folder that has all of them."""
    for folder in folders:
        paths = [path for file in IDX_FILES if (path := _spelled(folder, file))]
        if len(paths) == len(IDX_FILES):
            return paths
    raise FileNotFoundError(
        f"{name} needs the files {', '.join(IDX_FILES)} (with or without .gz, or spelled like "
        f"train-images.idx3-ubyte), but not all are in {' or '.join(map(str, folders))}"
    )


def _spelled(folder: Path, file: str) -> Path | None:
    dotted = file.replace("-idx", ".idx")
    paths = [folder / (stem + ending) for stem in (file, dotted) for ending in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _downloaded(name: str, cache: Path) -> list[Path]:
    """Return the files in the cache, fetching those that are missing or damaged."""
    from requests.exceptions import RequestException  # pooch lets it through

    failures: dict[str, Exception] = {}
    # One host is asked for all files before the next one is: a dead host costs one time-out rather
    # than four, and files that a host has delivered are in the cache when the next one is asked.
    for host in SOURCES[name].hosts:
        try:
            return _fetched(name, host, cache)
        except RequestException as error:
            failures[f"{host} ({_reason(error)})"] = error
            # pooch leaves the connection open on which a host answered with an error.
            if error.response is not None:
                error.response.close()
        except ValueError as error:  # so pooch refuses files with another checksum
            failures[f"{host} (wrong contents)"] = error
    message = (
        f"could not fetch {name} from {' or '.join(failures)}; its files can also be put in a "
        f"folder that is given by folder=, or in a folder {name} within ${FOLDER_VARIABLE}"
    )
    wrong = [error for error in failures.values() if not isinstance(error, RequestException)]
    if wrong:
        raise ValueError(message) from wrong[0]
    raise ConnectionError(message) from list(failures.values())[-1]


def _reason(error: RequestException) -> str:
    return "no connection" if error.response is None else f"HTTP {error.response.status_code}"


def _fetched(name: str, host: str, cache: Path) -> list[Path]:
    import pooch

    fetch = partial(pooch.retrieve, path=cache, progressbar=sys.stderr.isatty())
    return [
        Path(fetch(f"{host}{file}.gz", known_hash=f"md5:{md5}", fname=f"{file}.gz"))
        for file, md5 in zip(IDX_FILES, SOURCES[name].md5, strict=True)
    ]


def shuffled(n_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return a random order that follows from seed and epoch alone, so any epoch can be resumed."""
    return np.random.RandomState([seed, epoch]).permutation(n_samples)


def error_percent(scores: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the percentage of samples that the scores put into a wrong class."""
    return 100 * int(np.count_nonzero(scores.argmax(axis=1) != y)) / len(y)
