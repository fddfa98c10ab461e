"""The state of an estimator as text and numbers, and back, without code.

The text is JSON. None, True, False, numbers, strings and lists stand for themselves. All else is an
object with one name, which says what it is:

=======================  =======================================================================
``array``                type and shape: it has the next numbers of this type
``text``                 such an array, of the code points of an array of strings
``objects``              shape and items of an array of Python's own numbers and strings
``scalar``               an array without dimensions, for a number or a string of NumPy
``tuple``, ``deque``,    the items; those of sets are sorted
``set``, ``frozenset``
``dict``                 pairs of key and value
``layer``                ``Layer.to_dict()``
``sparse``               the `SparseRows` of a sparse matrix
``checkpoint``           the network and what it has learned, which are beside
another                  a class of `KNOWN`: the arguments of its ``__new__``, and the state that a
                         pickle would have
=======================  =======================================================================

Nothing that a text names is imported or called, but for the classes of these tables.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.tables import CategoryColumn, NumberColumn, Table
from spikebp_plugins.estimators.activity_monitor import ActivityMonitor
from spikebp_plugins.estimators.class_counts import ClassCounts
from spikebp_plugins.estimators.feature_counts import FeatureCounts
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.repetition import WeightRemainders
from spikebp_plugins.estimators.running_scale import RunningScale
from spikebp_plugins.estimators.scaling import InputScaling
from spikebp_plugins.estimators.target_coding import TargetCoding
from spikebp_plugins.estimators.target_scaling import TargetScaling
from spikebp_plugins.estimators.temperature import Temperature
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections.kinds import LAYERS, layer_from_dict
from spikebp_plugins.network.replay import ReplayBuffer
from spikebp_plugins.network.sparse_rows import SparseRows, is_sparse, rows_of_matrix
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor, SilentRun

#: The types that stand for themselves.
PLAIN: Final = frozenset([type(None), bool, int, float, str])
#: Those that are their items.
COLLECTIONS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (tuple, deque, set, frozenset)
}
#: Classes whose objects are what pickles keep of them.
KNOWN: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        *(ActivityMonitor, CategoryColumn, ClassCounts, FeatureCounts, InputScaling, LazySimulator),
        *(LearningRate, NumberColumn, ReplayBuffer, RunningScale, SilenceMonitor, SilentRun),
        *(SparseRows, Table, TargetCoding, TargetScaling, Temperature, WeightRemainders),
    )
}
#: What some attributes must be to be stored, and what others must.
STORABLE: Final = {
    "callback": "None",
    "random_state": "None or an integer",
    "classes_": "numbers or strings",
    "class_weight": "None, 'balanced' or a dict of numbers by numbers or strings",
}
MADE_OF: Final = "made of numbers, strings, arrays of these, and layers"


class StateWriter:
    """Turns values into what JSON can hold, and collects the numbers of their arrays."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def numbers(self) -> dict[str, NDArray[Any]]:
        """Return the numbers of all arrays so far, one array for each type, by its name."""
        return {name: np.concatenate(self._parts[name]) for name in sorted(self._parts)}

    def node(self, name: str, value: Any) -> Any:
        """Return a value as JSON can hold it.

        Raises
        ------
        ValueError
            If it is of a kind that a file does not hold; the message says that `name` is.
        """
        kind: type[Any] = type(value)
        if kind in PLAIN:
            return value
        if kind is list:
            return [self.node(name, item) for item in value]
        if kind is dict:
            return {"dict": [self.node(name, list(pair)) for pair in value.items()]}
        if COLLECTIONS.get(kind.__name__) is kind:
            items = self.node(name, list(value))
            is_set = kind in (set, frozenset)
            return {kind.__name__: sorted(items, key=json.dumps) if is_set else items}
        if kind is np.ndarray:
            return self._of_array(name, value)
        if isinstance(value, np.generic):
            return {"scalar": self._of_array(name, np.asarray(value))}
        if LAYERS.get(kind.__name__) is kind:
            return {"layer": value.to_dict()}
        if kind is Checkpoint:
            return {"checkpoint": None}
        if is_sparse(value):
            return {"sparse": self.node(name, rows_of_matrix(name, value))}
        if KNOWN.get(kind.__name__) is kind:
            _, (_, *arguments), state, *_ = value.__reduce_ex__(2)
            return {kind.__name__: self.node(name, [arguments, state])}
        raise _not_storable(name, repr(value))

    def _of_array(self, name: str, array: NDArray[Any]) -> dict[str, Any]:
        shape = list(array.shape)
        if array.dtype.kind in "biuf":
            self._parts.setdefault(array.dtype.name, []).append(array.reshape(-1))
            return {"array": [array.dtype.name, shape]}
        if array.dtype.kind == "U":
            strings = array.reshape(-1, 1).astype(array.dtype.newbyteorder("="))
            codes = strings.view(np.uint32)
            return {"text": self._of_array(name, codes.reshape(*shape, codes.shape[1]))}
        if array.dtype.kind == "O":
            return {"objects": [shape, self.node(name, array.reshape(-1).tolist())]}
        raise _not_storable(name, f"an array of {array.dtype}")


class StateReader:
    """Makes values anew of what a `StateWriter` has made of them.

    Parameters
    ----------
    numbers : mapping of ndarray
        The numbers of all arrays, by the name of their type.
    checkpoint : Checkpoint
        The network, and what it has learned.
    """

    def __init__(self, numbers: Mapping[str, NDArray[Any]], checkpoint: Checkpoint) -> None:
        self._left, self._checkpoint = dict(numbers), checkpoint

    def value(self, node: Any) -> Any:
        """Return the value that a node stands for; of one that is none, raise any exception."""
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind == "dict":
            return dict(self.value(content))
        if kind in COLLECTIONS:
            return COLLECTIONS[kind](self.value(content))
        if kind == "array":
            return self._array(*content)
        if kind == "text":
            codes = self.value(content)
            strings = codes.view(f"U{codes.shape[-1]}").reshape(codes.shape[:-1])
            strings.tolist()  # raises if one is no code point
            return strings
        if kind == "objects":
            shape, items = content
            objects = np.empty(len(items), object)
            objects[:] = self.value(items)
            return objects.reshape(shape)
        if kind == "scalar":
            return self.value(content)[()]
        if kind == "layer":
            return layer_from_dict(content)
        if kind == "checkpoint":
            return self._checkpoint
        if kind == "sparse":
            return self.value(content).matrix()
        if kind not in KNOWN:
            raise ValueError(f"it names {kind!r}, which no estimator has")
        arguments, state = self.value(content)
        made = KNOWN[kind].__new__(KNOWN[kind], *arguments)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        elif state is not None:
            vars(made).update(state)
        return made

    def _array(self, name: str, shape: list[int]) -> NDArray[Any]:
        left, n = self._left[name], math.prod(shape)
        self._left[name] = left[n:]
        # A copy, so that it may be changed, and keeps nothing else in memory.
        return left[:n].reshape(shape).copy()


def _not_storable(name: str, got: str) -> ValueError:
    return wrong_argument(name, f"{STORABLE.get(name, MADE_OF)}, to be saved", got)
