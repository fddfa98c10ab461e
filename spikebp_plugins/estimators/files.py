"""Files of estimators: a checkpoint's, with all else that an estimator has learned.

So `Checkpoint.load` reads them too. After the arrays of the checkpoint come, in this order:

=======================  =======================================================================
``estimator_version``    int64, 1
``estimator``            uint8, as UTF-8 JSON: the ``class``, and its ``parameters`` and what it has
                         ``learned``, each by the name of the attribute, as `state_tree` says
``estimator_...``        the numbers of all arrays of a type, such as float64, one after the other
=======================  =======================================================================

No array depends on time, machine or back end; of equal states a machine makes equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from spikebp_plugins.common.archive import (
    FileLike,
    check_version,
    equal_arrays,
    name_of,
    read_archive,
    unreadable,
    write_archive,
)
from spikebp_plugins.estimators.state_tree import StateReader, StateWriter
from spikebp_plugins.network.checkpoint import OF_ESTIMATOR, OF_ROUNDS, from_arrays, to_arrays

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT_VERSION: Final = 1
#: The name of its array, and what the names of arrays of numbers begin with.
VERSION: Final = f"{OF_ESTIMATOR}_version"
NUMBERS: Final = f"{OF_ESTIMATOR}_"
#: The locks, and what the check of the parameters finds: an estimator makes them itself.
MADE_ANEW: Final = frozenset(
    ("_lock", "_learning_lock", "_in_use", "_resumed", "_course", "_structure", "_scale")
)


class EstimatorFiles:
    """The base of an estimator that files hold: as numbers and text, without code."""

    def save(self, path: FileLike) -> None:
        """Write the estimator, whole or not at all, to a file from which it goes on exactly.

        The file holds numbers and text, no code. It is that of a checkpoint as well:
        ``Checkpoint.load`` reads ``checkpoint_`` from it.

        Parameters
        ----------
        path : str, path-like or file object
            The file, which is replaced if it exists and keeps its permissions; a link is
            followed, and what is no regular file refused. Or one that is open for writing bytes.

        Raises
        ------
        NotFittedError
            If it has learned nothing yet.
        ValueError
            If a parameter or the labels are no numbers or text, as a `callback`, a RandomState as
            `random_state`, or dates. Nothing is written then.
        """
        check_is_fitted(self)
        write_archive(path, arrays_of(self))

    @classmethod
    def load(cls, path: FileLike) -> Self:
        """Read an estimator that `save` has written.

        It learns and predicts as the one that was saved would have.

        Parameters
        ----------
        path : str, path-like or file object
            The file; of a file object, such as a pipe, all is read that is left.

        Returns
        -------
        estimator
            Of the class that is asked, or of one that derives from it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, of another format, or holds an estimator of another class, or
            none.
        """
        refuse = partial(unreadable, path, "estimator")
        # What a run in shards adds is for this run alone.
        arrays = {
            name: array
            for name, array in read_archive(path, "estimator").items()
            if not name.startswith(OF_ROUNDS)
        }
        if OF_ESTIMATOR not in arrays and "definition" in arrays:
            raise ValueError(
                f"{name_of(path)} holds a network and no estimator: read it with Checkpoint.load"
            )
        if not {OF_ESTIMATOR, VERSION} <= arrays.keys():
            raise refuse("it holds no estimator")
        check_version(path, "estimator", VERSION, arrays[VERSION], FORMAT_VERSION)
        try:
            tree = json.loads(arrays[OF_ESTIMATOR].tobytes())
            name = str(tree["class"])
        except Exception as error:  # a damaged text can raise almost any type of error
            raise refuse(error) from error
        known = {kind.__name__: kind for kind in _kinds_of(cls)}
        if name not in known:
            raise ValueError(f"{name_of(path)} holds a {name}, which is no {cls.__name__}")
        try:
            estimator: Self = _estimator_of(known[name], arrays, tree)
            if not equal_arrays(arrays_of(estimator), arrays):
                raise ValueError("what it holds is not what an estimator would write")
        except Exception as error:  # and so can damaged numbers
            raise refuse(error) from error
        return estimator


def _kinds_of(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and all that derive from it."""
    yield kind
    for derived in kind.__subclasses__():
        yield from _kinds_of(derived)


def arrays_of(estimator: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays of an estimator's file, by name and in their order."""
    state = estimator.__getstate__()
    scaling = state["_scaling"]
    if scaling is not None:  # without what would take back the last samples
        state["_scaling"] = scaling.copy()
    names = set(estimator.get_params(deep=False))
    writer = StateWriter()

    def nodes(names: set[str]) -> dict[str, Any]:
        return {name: writer.node(name, state[name]) for name in sorted(names)}

    tree = {
        "class": type(estimator).__name__,
        "learned": nodes(state.keys() - names - MADE_ANEW),
        "parameters": nodes(names),
    }
    checkpoint = replace(state["_learned"].checkpoint, input_is_scaled=scaling is not None)
    return to_arrays(checkpoint) | {
        VERSION: np.array(FORMAT_VERSION, np.int64),
        OF_ESTIMATOR: np.frombuffer(json.dumps(tree).encode(), np.uint8),
        **{f"{NUMBERS}{name}": array for name, array in writer.numbers().items()},
    }


def _estimator_of(kind: type[Any], arrays: dict[str, NDArray[Any]], tree: dict[str, Any]) -> Any:
    """Return the estimator that arrays and their text hold, or raise any exception."""
    checkpoint = replace(from_arrays("its network", arrays), input_is_scaled=False)
    numbers = {
        name.removeprefix(NUMBERS): array
        for name, array in arrays.items()
        if name.startswith(NUMBERS) and name != VERSION
    }
    reader = StateReader(numbers, checkpoint)
    learned, parameters = (
        {name: reader.value(node) for name, node in tree[part].items()}
        for part in ("learned", "parameters")
    )
    estimator = kind(**parameters)
    estimator.__dict__.update(learned)
    return estimator
