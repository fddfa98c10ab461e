"""The base of classifier and regressor for river: a network that grows with its stream."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from river import base

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.data.windows import PastReadings, WindowEncoder
from spikebp_plugins.estimators.activity_monitor import ActivityMonitor
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.parameters import NetworkParameters
from spikebp_plugins.estimators.scaling import InputScaling, scaled_in_turn
from spikebp_plugins.estimators.structure import Structure
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import OnGrid, narrowed
from spikebp_plugins.river.frames import columns_of, placed
from spikebp_plugins.river.names import ONE_OR_MORE, FeatureReader, Places, capacity, new_places

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: The initial weights of a network that may grow.
GROWING: Final = "growing"


@dataclass(eq=False, repr=False)
class StreamLearner(base.Estimator, NetworkParameters):
    """The base of both estimators: each new feature gets an input of the network.

    Memory for inputs doubles when it is full, which no result depends on. Nothing changes if a
    sample is refused.

    Parameters
    ----------
    n_features : int or None, default=None
        The most different features that may appear, for which memory is made at once; None makes
        memory as they come.
    seed : int, default=0
        Seed of the definition.
    window : WindowEncoder or None, default=None
        Samples are readings, and the network is shown the last of them. Features take the channels
        as they come; one that a sample does not have keeps its level. A sample is learned if it
        completes a window; of others the label is known from then on. Predictions see each sample
        as the newest reading after those that were learned, and do not keep it. With
        ``input_scale="auto"`` the largest byte counts 1. The encoder itself takes no reading.
    """

    n_features: int | None = None
    _: KW_ONLY
    seed: int = 0
    window: WindowEncoder | None = None

    #: In front of all features, so that these may become more.
    intercept_at: ClassVar = 0
    _weight_init: ClassVar = GROWING

    def _start(self, hidden_layer_sizes: Any, n_outputs: int) -> None:
        """Make a network that has learned nothing."""
        self.n_features = capacity("n_features", self.n_features)
        self._check_window()
        width = self._n_fixed or 1
        structure = Structure.of_sizes(hidden_layer_sizes)
        net, rate = self._definition(structure, width + 1, n_outputs, self.seed)
        if self.window is None:
            self._require_growth("n_features")
        self._learned = LazySimulator.untrained(net, rate, self._silence_monitor(True))
        self._places: dict[Hashable, int] = {}
        self._new: Places = {}
        self._reader = FeatureReader()
        self._monitor = ActivityMonitor()
        self._scaling: InputScaling | None = None
        self._past: PastReadings | None = None
        if self.window is not None:
            self._past = self.window.beginning(self.window.past.scale)
        elif self._scales:
            self._scaling = InputScaling.unknown(width, self._spread, grows=True)

    def _check_window(self) -> None:
        window = self.window
        if window is not None and not isinstance(window, WindowEncoder):
            raise wrong_argument("window", "a WindowEncoder or None", repr(window))
        if window is not None and self.n_features is not None:
            allowed = "None with a window, which has n_channels"
            raise wrong_argument("n_features", allowed, self.n_features)

    def _require_growth(self, name: str) -> None:
        """Refuse to grow, where a parameter asks for it, with weights that depend on the size."""
        if getattr(self, name) is None and self.arithmetic != "fixed":
            raise wrong_argument(name, f"{ONE_OR_MORE} with arithmetic={self.arithmetic!r}", None)

    @property
    @synchronized
    def checkpoint(self) -> Checkpoint:
        """Definition and learning state, from which any back end can continue.

        Input 0 is constant, and the features follow, as `network_inputs` has them.
        """
        checkpoint = self._learned.checkpoint
        checkpoint = checkpoint if self._n_fixed else _cut(checkpoint, self._n_inputs)
        return replace(checkpoint, input_is_scaled=self._scales)

    @property
    @synchronized
    def features(self) -> list[Hashable]:
        """The features met so far, in the order of the inputs, or of the channels of the window."""
        return list(self._inputs)

    @property
    @synchronized
    def input_scaling(self) -> InputScaling | None:
        """The scaling of features to input; None if they are not scaled."""
        scaling = self._scaling
        return None if scaling is None else scaling.copy().resized(self._n_inputs - 1)

    @synchronized
    def network_inputs(self, x: Mapping[Any, Any]) -> Array:
        """Return the input of the network of `checkpoint` for a sample.

        Parameters
        ----------
        x
            Real numbers by feature; features that have not been learned from are left out.

        Returns
        -------
        ndarray of shape (1, n_inputs)
            The constant input and the features, scaled as `input_scaling` says.
        """
        shown = self._shown_one(x)
        inputs: Array = shown.dense() if isinstance(shown, SparseRows) else shown
        return inputs[:, : self._n_inputs]

    @synchronized
    def clone(
        self, new_params: dict[Any, Any] | None = None, include_attributes: bool = False
    ) -> Any:
        """Return a model with the same parameters, as every model of river does."""
        return super().clone(new_params, include_attributes)

    @property
    def _raw_memory_usage(self) -> int:
        # river would count all that can be reached: the back end, which all models share, too.
        return len(pickle.dumps(self))

    @property
    def _inputs(self) -> Places:
        """The places of all features that have been learned from.

        Those that a sample has brought are added here, and not while it is learned: it may be
        refused, and to copy all places would cost more with each feature that has come.
        """
        if self._new:
            self._places.update(self._new)
            self._new = {}
        return self._places

    @property
    def _n_inputs(self) -> int:
        """Inputs that the checkpoint has."""
        return (self._n_fixed or len(self._inputs)) + 1

    @property
    def _n_fixed(self) -> int | None:
        """Inputs besides the constant one, if they do not become more."""
        return self.n_features if self.window is None else self.window.n_inputs

    @property
    def _width(self) -> int:
        """The number of features for which there is memory."""
        return self._learned.net.n_inputs - 1 if self.window is None else self.window.n_channels

    @property
    def _missing(self) -> float:
        """The value of a feature that a sample does not have."""
        return 0.0 if self.window is None else np.nan

    def _with_new(self, names: Any) -> tuple[Places, int]:
        """Return the indices of new features, and the number for which memory is needed."""
        known = self._inputs
        if self.window is not None:
            width = self.window.n_channels
            return new_places(known, names, "n_channels of the window", width), width
        new = new_places(known, names, "n_features", self.n_features)
        n = len(known) + len(new)
        return new, 1 << (n - 1).bit_length() if n > self._width else self._width

    def _rows_of_one(self, x: Mapping[Any, Any]) -> tuple[Places, Array | SparseRows]:
        """Return the indices of new features, and the values of a sample, of shape (1, width)."""
        new: Places = {}
        width = self._width
        if not self._reader.knows(x, self._inputs):
            new, width = self._with_new(x)
        return new, self._reader.features(x, self._inputs, new, width, self._missing)

    def _rows_of_many(self, X: pd.DataFrame) -> tuple[Places, Array | SparseRows]:
        """Return the indices of new features, and the values of a frame, (n_samples, width)."""
        names, columns = columns_of(X)
        new, width = self._with_new(names if len(columns) else ())
        return new, placed(columns, names, self._inputs, new, width, self._missing)

    def _completed(self, rows: Any) -> tuple[Any, slice, dict[str, Any]]:
        """Return the samples that new rows complete, which are learned.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, width), or SparseRows
            The features of each sample.

        Returns
        -------
        rows : ndarray of shape (n_learned, n_inputs - 1), or SparseRows
            The input of the network: features, or windows of them.
        learned : slice
            The rows that are learned.
        changes : dict
            Attributes that this object is to have then.
        """
        if self.window is None:
            return rows, slice(None), {}
        found = self.window.windows(self.window.checked("x", rows), self._past)
        return self._as_real(found.bytes), found.ends, {"_past": found.past}

    def _as_real(self, windows: NDArray[np.uint8]) -> Array:
        assert self.window is not None
        return windows / self.window.largest_byte if self._scales else windows.astype(np.float64)

    def _learn(
        self,
        new: Places,
        rows: Array | SparseRows,
        n_outputs: int,
        targets: Callable[[Definition], NDArray[Any]],
        after: Callable[[LearningRate, Array, slice], LearningRate],
        **changes: Any,
    ) -> Array:
        """Learn from samples in turn, all of them or none, and return their scores.

        Parameters
        ----------
        new : mapping
            The places of new features.
        rows : ndarray of shape (n_samples, n_inputs - 1), or SparseRows
            The input of the network for each sample, not scaled yet.
        n_outputs : int
            The outputs that the network is to have.
        targets : callable
            Returns the targets that a network is to learn.
        after : callable
            Returns the learning rate after some of the samples, by their scores.
        **changes
            Attributes that this object is to have once all samples have been learned.
        """
        learned = self._learned.grown(rows.shape[1] + 1, n_outputs)
        if not len(rows):  # no window is complete, or no sample is shown
            self.__dict__.update(changes | {"_new": new, "_learned": learned})
            return np.empty((0, n_outputs))
        scaled: Any = rows
        scaling = self._scaling
        if scaling is not None:
            scaling, scaled = scaled_in_turn(scaling.resized(rows.shape[1]), rows)
        shown, net = self._with_constant(scaled, learned.net), learned.net
        is_at_stake = learned is self._learned and len(rows) > 1
        before = self._learned.copy() if is_at_stake else None
        changes |= {"_new": new, "_scaling": scaling, "_learned": learned}
        all_seen, is_done = learned.n_seen + len(rows), False
        try:
            scores = learned.train(self.backend, shown, targets(net), after)
            is_done = True
        finally:
            # Ctrl-C may come when the network has learned, and then all else has to know it too.
            if is_done or learned.checkpoint.state.samples_seen == all_seen:
                self.__dict__.update(changes)  # in one step, which nothing interrupts
            elif before is not None:
                self._learned = before
        n_heard = None if self.window is not None else len(self._inputs) + 1
        self._monitor.observe(shown, net, n_heard)
        self._monitor.warn_of_outlier(scaling, lambda i: self.features[i])
        return scores

    def _shown_one(self, x: Mapping[Any, Any]) -> Array | SparseRows:
        return self._shown(self._reader.features(x, self._inputs, {}, self._width, self._missing))

    def _shown(self, rows: Any) -> Array | SparseRows:
        """Return features of shape (n_samples, width) as input, scaled by the samples so far."""
        if self.window is not None:
            rows = self._newest_windows(rows)
        scaling = self._scaling
        scaled = rows if scaling is None else scaling.scaled(scaling.without_unknown(rows))
        inputs: Array | SparseRows = self._with_constant(scaled, self._learned.net)
        return inputs

    def _newest_windows(self, rows: Array) -> Array:
        """Return the window that each sample would end as the next; zeros where none is complete.

        river wants the same from `predict_many` and from `predict_one` for each row.
        """
        assert self.window is not None
        windows = np.zeros((len(rows), self.window.n_inputs), np.uint8)
        for row, window in zip(self.window.checked("x", rows), windows, strict=True):
            for found in self.window.windows(row[np.newaxis], self._past, every=True).bytes:
                window[:] = found
        return self._as_real(windows)

    def _scores_of_many(self, X: pd.DataFrame) -> Array:
        names, columns = columns_of(X)
        rows = placed(columns, names, self._inputs, {}, self._width, self._missing)
        return self._learned.predict(self.backend, self._shown(rows))


def _cut(checkpoint: Checkpoint, n_inputs: int) -> Checkpoint:
    """Return a checkpoint without inputs that nothing has been learned from."""
    net, weights = checkpoint.net, checkpoint.state.weights
    first, *others = weights.units
    sizes = (n_inputs, *net.layer_sizes[1:])
    kept = OnGrid([narrowed(first[:n_inputs]), *others], weights.exponent)
    state = checkpoint.state._replace(weights=kept)
    return Checkpoint(net.replace(layer_sizes=sizes, fraction_bits=net.fraction_bits), state)
