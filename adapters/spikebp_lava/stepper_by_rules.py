"""A network with connections of any kinds that is shown step by step, by the reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.compiled.kernels.arrays import BlockRecord
from spikebp_plugins.compiled.stepper import Moment
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.rules.sample import weights_changed
from spikebp_plugins.rules.step import (
    SampleState,
    Step,
    close_training,
    open_sample,
    open_training,
    step,
)

Array = NDArray[Any]


class Sent(NamedTuple):
    """What all layers have sent in the last step, each array of shape (sum of layer sizes,)."""

    spike: Array
    error: Array


class StepperByRules:
    """A network that is shown one step after the other, as the `Stepper` of the core shows it.

    Parameters
    ----------
    shared : SharedNetwork
        The network, whose learning state and counters each message changes.

    Attributes
    ----------
    sample : Sent
        What the last step has sent, in the numbers of the network's tag; changed in place.
    output_counts : ndarray of shape (n_outputs,)
        Spikes of each output since the sample opened; changed in place.
    """

    def __init__(self, shared: SharedNetwork) -> None:
        net = shared.net
        self._shared, self._net, self._number = shared, net, arithmetic_of(net)
        dtype, units = shared.dtype, sum(net.layer_sizes)
        self.sample = Sent(np.zeros(units, dtype), np.zeros(units, dtype))
        self.output_counts = np.zeros(net.n_outputs, dtype)
        self._state = open_sample(net)

    @property
    def summed_drive(self) -> Array:
        """The summed drive of the output in the numbers of the network's tag."""
        return self._shared.encoded(self._state.s[-1])

    def show(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        samples_seen: int,
        record: BlockRecord,
        row: int = 0,
        n_steps: int = 1,
    ) -> None:
        """Show the same input, and the same target to learn from, for some steps.

        Parameters and exceptions are those of the `Stepper` of the core.
        """
        net, shared = self._net, self._shared
        if moment.opens:
            self._state = open_sample(net)
            self.output_counts[:] = 0
        before = learning = shared.read()
        if moment.restarts:
            learning = open_training(net, learning)
        entering, target = self._entering(x), None if y is None else self._number.round(y)
        for done in range(n_steps):
            state = self._state._replace(t=moment.t - 1 + done)
            learning, self._state, sent = step(
                net, learning, state, entering, target, moment.n_inputs
            )
            self._count(sent, self._state)
            self._write(sent, record, row + done)
        if moment.updates and net.learns_once:
            learning = close_training(net, learning, self._state)
            shared.updates[0] += weights_changed(net, self._state, self._state.E)
        if learning is not before:
            shared.write(learning._replace(samples_seen=samples_seen))

    def _entering(self, x: Array) -> Array:
        """Return input as layer 0 takes it: counts, or values that are scaled and rounded."""
        if self._net.input_coding == "spikes":
            return x
        with np.errstate(over="ignore"):
            return self._number.round(x.astype(np.float64) * self._net.input_scale)

    def _count(self, sent: Step, after: SampleState) -> None:
        net, shared = self._net, self._shared
        for l, k in enumerate(sent.k):
            shared.count(l, k, sent.e[l] if sent.e is not None and l > 0 else None)
        if sent.e is not None and not net.learns_once:
            shared.updates[0] += weights_changed(net, after, sent.e)

    def _write(self, sent: Step, record: BlockRecord, row: int) -> None:
        """Write what a step has sent to where others see it, and to a record if it has room."""
        self.sample.spike[:] = np.concatenate(sent.k)
        self.sample.error[:] = 0
        if sent.e is not None:
            self.sample.error[self._net.n_inputs :] = np.concatenate(sent.e[1:])
        self.output_counts += sent.k[-1].astype(self.output_counts.dtype)
        if len(record.spikes):
            record.spikes[0, row], record.errors[0, row] = self.sample
            record.drive[0, row] = self.summed_drive
