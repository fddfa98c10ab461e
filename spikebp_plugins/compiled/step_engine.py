"""The engine for those who show a network single steps by themselves, in memory of their own.

With `fallback`, it is what adapters know of the compiled engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.notice import announced
from spikebp_plugins.compiled.kernels.structs import Struct
from spikebp_plugins.compiled.layout import Layout, Now, forget_bounds, overwrite
from spikebp_plugins.compiled.stepper import Moment, Stepper
from spikebp_plugins.compiled.synapse_arrays import KINDS
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import LearningState

__all__ = ["Moment", "StepEngine"]

Array = NDArray[Any]

#: No count has reached this when a sample opens; what it adds is far less than 64 bits have left.
MOST_COUNTED: Final = 2**62


class StepEngine:
    """A network on a grid that is shown one step after the other, in 64-bit integers.

    What it has learned and counted lies in arrays that the caller allocates. In memory that
    processes share, one of them shows steps, and the others read and replace between two steps what
    has been learned.

    Parameters
    ----------
    net : Definition
        The definition, with ``arithmetic="fixed"``.
    state : LearningState
        The learning state to start from.
    allocate : callable, default=np.zeros
        Returns an array of zeros, given its shape and its type.

    Attributes
    ----------
    arrays : list of ndarray
        All that the steps of whole samples change: who restores copies of them undoes samples.
    """

    #: The kinds of connections that it knows.
    connections: ClassVar = tuple(KINDS)

    def __init__(
        self,
        net: Definition,
        state: LearningState,
        allocate: Callable[[Any, Any], Array] = np.zeros,
    ) -> None:
        layout = Layout(net, np.int64)
        learning = _placed(layout.learning(state), allocate)
        totals = _placed(layout.totals(), allocate)
        boundary = _placed(layout.boundary(keeps=False), allocate)
        totals.samples[2] = state.samples_seen
        self._now = Now(layout, learning, boundary, totals, Operations())
        self._stepper = Stepper(layout, learning, totals, boundary)
        self.arrays = [*learning.arrays, *totals.arrays, *boundary.arrays]

    def compile(self) -> None:
        """Compile the kernels, or load them from the cache, before the first step does."""
        with announced(("steps of an engine", self._now.layout.net.is_dense)):
            for kernel, types in self._stepper.kernels():
                kernel.compile(types)

    @property
    def state(self) -> LearningState:
        """A copy of what has been learned; what is assigned replaces it."""
        return self._now.layout.state(self._now.learning, self._now.samples_seen)

    @state.setter
    def state(self, state: LearningState) -> None:
        now = self._now
        overwrite(now.learning, now.layout.learning(state))
        forget_bounds(now.learning, now.boundary)
        now.totals.samples[2] = state.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        return self._now.operations

    def show(self, x: Array, y: Array | None, moment: Moment, n_steps: int = 1) -> None:
        """Show the same input, and the same target to learn from, for some steps.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,)
            Input: real values, or int64 spike counts with ``input_coding="spikes"``.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing.
        moment : Moment
            The place of the steps in their sample.
        n_steps : int, default=1
            How many steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic, or 64 bits would soon hold a count no
            more.
        """
        now, stepper = self._now, self._stepper
        if moment.opens and max(values.max() for values in now.totals.arrays) >= MOST_COUNTED:
            raise OverflowError("spikes and errors are too many to be counted")
        stepper.show(x, y, moment, now.samples_seen, now.layout.nowhere, n_steps=n_steps)
        if moment.closes:
            stepper.end_sample(trained=moment.updates)
        # So that nobody counts what a sample has sent before it has ended.
        now.boundary.is_open[0] = not moment.closes

    # What the last step has left, in arrays that steps change in place.

    def weights(self, l: int) -> Array:
        """Return W_l in grid units, of the shape ``net.weight_shapes[l - 1]``."""
        return self._now.layout.weights(self._now.learning, l)

    def spikes(self, l: int) -> Array:
        """Return the spike counts of layer l in the last step, of shape (n_units,)."""
        return self._now.layout.of_layer(self._stepper.sample.spike, l)

    def errors(self, l: int) -> Array:
        """Return the errors of layer l in the last step, of shape (n_units,)."""
        return self._now.layout.of_layer(self._stepper.sample.error, l)

    def potentials(self, l: int) -> Array:
        """Return the potentials of layer l in grid units, of shape (n_units,)."""
        return self._now.layout.of_layer(self._stepper.sample.potential, l)

    def spikes_of_sample(self, l: int) -> Array:
        """Return the spike counts of layer l since the sample opened, of shape (n_units,)."""
        return self._now.layout.of_layer(self._stepper.sample.count, l)

    def summed_drive(self, l: int) -> Array:
        """Return the drive of layer l >= 1 summed over the sample, in grid units: a new array."""
        drive: Array = self.potentials(l) + self.spikes_of_sample(l) * self._now.layout.network.one
        return drive


def _placed(struct: Any, allocate: Callable[[Any, Any], Array]) -> Any:
    """Return a struct with the same values in arrays that are allocated for it."""
    places = {}
    for field in fields(struct):
        values = getattr(struct, field.name)
        if isinstance(values, np.ndarray):
            places[field.name] = place = allocate(values.shape, values.dtype)
            place[...] = values
    placed: Struct = replace(struct, **places)
    return placed
