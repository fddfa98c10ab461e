"""The engine for callers that show single steps of a network in memory of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.library import build_of
from spikebp_plugins.engine.network import counted_operations
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.engine.structs import ERRORS, PSI, SENT, C, S, W
from spikebp_plugins.engine.wiring import KINDS
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import ENDLESS, delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]


class StepContext(NamedTuple):
    """The position in their sample of one step or of several with the same input and target.

    Attributes
    ----------
    opens : bool
        Whether the first of these steps is the first of the sample.
    closes : bool
        Whether the last of these steps is the last of the sample.
    restarts : bool
        Whether the first target of the sample comes in these steps.
    learns : bool
        Whether the network learns in these steps.
    updates : bool
        Whether the sample ends with these steps and has had a target.
    t : int, default=1
        The number of the first of these steps, from 1; only timings with delays read it.
    n_inputs : int, default=ENDLESS
        The number of steps of input of the sample.
    """

    opens: bool
    closes: bool
    restarts: bool
    learns: bool
    updates: bool
    t: int = 1
    n_inputs: int = ENDLESS

    def after(self, n_steps: int) -> StepContext:
        """Return the context of the remaining steps after `n_steps` of these have been shown."""
        if n_steps == 0:
            return self
        return self._replace(opens=False, restarts=False, t=self.t + n_steps)


class StepEngine:
    """A network on a grid that is shown one step after the other, in 64-bit integers.

    Everything that it learns and counts lies in memory that the caller allocates. In memory that
    processes share, one process shows steps. Between two steps the others read what has been
    learned, and replace weights.

    Parameters
    ----------
    net : Definition
        The definition, with ``arithmetic="fixed"``.
    state : LearningState
        The learning state to start from.
    allocate : callable, default=np.zeros
        Returns an array of zeros, given its shape and its type.
    """

    #: The kinds of connections that it knows.
    connections: ClassVar = tuple(KINDS)

    def __init__(
        self,
        net: Definition,
        state: LearningState,
        allocate: Callable[[Any, Any], Array] = np.zeros,
    ) -> None:
        self._network = StepNetwork(net, build_of(64), allocate=allocate)
        self._network.make_room_before()
        self._network.write(state)
        self._is_delayed = not delays_of(net).are_zero
        #: The steps of the open sample.
        self._shown = allocate(1, np.int64)

    @property
    def arrays(self) -> list[Array]:
        """All of what was learned and counted: restored copies undo the steps since.

        Then the sample that was open cannot go on, whose sums are not among them.
        """
        network, L = self._network, self._network.net.n_layers
        network.forget_bounds()  # those of a copy are not right once it is restored
        before = [network.array(l, PSI) for l in range(1, L)]
        assert network.before is not None
        learned = (network.learned, network.before, *before)
        return [*learned, network.header, self._shown]

    @property
    def state(self) -> LearningState:
        """A copy of what was learned before the open sample."""
        return self._network.read()

    def replace_weights(self, l: int, weights: Array, where: Any = ...) -> None:
        """Replace W_l at an index by real numbers on the grid, in an open sample and in `state`."""
        self._network.replace_weights(l, weights, where)

    def begin(self, state: LearningState) -> None:
        """Replace all of what was learned, between two samples."""
        self._network.write(state)

    def take_rate(self, net: Definition) -> None:
        """Go on with a definition of another learning rate, between two samples."""
        if net is not self._network.net:
            self._network.take_rate(net)

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        return counted_operations(self._network.net, self._network.counts())

    def show(self, x: Array, y: Array | None, context: StepContext, n_steps: int = 1) -> None:
        """Show the same input, and the same target to learn from, for some steps.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,)
            Input: real values, or int64 spike counts with ``input_coding="spikes"``.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing.
        context : StepContext
            The position of the steps in their sample.
        n_steps : int, default=1
            The number of steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic; with ``timing="pipelined"`` also if
            bounds do not prove that none does.
        """
        network, target = self._network, None if y is None else y.copy()
        if context.opens:
            self._shown[0] = 0
        network.begin_steps(target, opens=context.opens, restarts=context.restarts)
        done = 0
        while done < n_steps:
            done += network.show_steps(x, n_steps - done, context.t - 1 + done, context.n_inputs)
            if done < n_steps:
                self._show_by_reference(x, target, int(self._shown[0]) + done)
                done += 1
        self._shown[0] += n_steps
        if target is not None:
            network.write_updates()
        if context.closes:
            self.close_sample(context.updates)

    def close_sample(self, updates: bool) -> None:
        """End the open sample; `updates` says whether it has had a target.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic.
        """
        if not self._network.close_sample(updates):
            self._network.close_by_reference()

    def drop_sample(self) -> None:
        """End the open sample, if there is one, and forget what was learned from it."""
        self._network.drop_sample()

    def _show_by_reference(self, x: Array, y: Array | None, n_shown: int) -> None:
        if self._is_delayed:
            raise OverflowError(
                "weights, potentials and drive must stay so far below 2**53 units of the last "
                "place that no sum can leave 64 bits with timing='pipelined'; bounds do not prove "
                "that they do"
            )
        self._network.step_by_reference(x, y, n_shown)
        self._network.begin_steps(y)

    # The state after the last step.

    def weights(self, l: int) -> Array:
        """Return W_l in units of 2^-f, of the shape ``net.weight_shapes[l - 1]``: a view."""
        return self._network.array(l, W)

    def spikes(self, l: int) -> Array:
        """Return the spike counts of layer l in the last step, of shape (n_units,): a view."""
        return self._network.array(l, SENT)

    def errors(self, l: int) -> Array:
        """Return the errors of layer l in the last step, of shape (n_units,): a view."""
        return self._network.array(l, ERRORS)

    def potentials(self, l: int) -> Array:
        """Return the potentials of layer l in units of 2^-f, of shape (n_units,): a new array."""
        drive = self._network.array(l, S).copy()
        return drive if l == 0 else drive - self._in_units(self.spikes_of_sample(l))

    def spikes_of_sample(self, l: int) -> Array:
        """Return the spike counts of layer l since the sample opened, of shape (n_units,)."""
        return self._network.array(l, C)

    def summed_drive(self, l: int) -> Array:
        """Return the drive of layer l >= 1 summed so far, in units of 2^-f: a new array."""
        return self._network.array(l, S).copy()

    def _in_units(self, counts: Array) -> Array:
        units: Array = counts << arithmetic_of(self._network.net).fraction_bits
        return units
