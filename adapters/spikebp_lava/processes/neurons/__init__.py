"""The neurons of the standard graph: one process for each layer, between synapses of Lava's own.

They follow the rules of the reference; the products of spikes and weights arrive from the synapses.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, SharedNetwork
from spikebp_lava.messages import converter_of
from spikebp_lava.port_reader import WHOLE_IN_FIXED, class_targets, input_ends, require_same
from spikebp_lava.sample_clock import SampleClock
from spikebp_lava.standard.state import SharedState
from spikebp_lava.variables import MESSAGES, VALUES, NetworkModel, ReadOnlyVar, models_of
from spikebp_plugins.common.errors import whole
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import WeightedCounts
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.rules.step import backward, fire_input, forward, output_error

Array = NDArray[Any]


#: The ports that carry one number; others, and variables, have one for each unit.
OF_ONE_NUMBER: Final = ("reset_in", "reset_out", "label_in")


def of_one_spike(drive: Array) -> WeightedCounts:
    """Return summed drive as the rules take it: the weights of a unit that sent one spike."""
    return WeightedCounts(np.ones(1, np.int64), drive[np.newaxis])


class Neurons(AbstractProcess):  # type: ignore[misc]
    """The neurons of a layer, without its synapses.

    Parameters
    ----------
    shared : SharedNetwork
        The network, whose switches say how long samples last and whether to learn.
    layer : int
        The index of the layer.

    Attributes
    ----------
    reset_in : InPort of shape (1,)
        Not 0 in the last step of a sample's input. If the port is not connected, samples last as
        long as the switches say.
    spikes_out : OutPort of shape (n_units,)
        Twice the spikes of this step.
    spike_count : Var of shape (n_units,)
        The spikes of the last step.
    potential : Var of shape (n_units,)
        The potentials after these spikes, as real numbers.
    """

    _runtime = None  # Lava looks for it even where an argument has been refused
    made_of: ClassVar[tuple[str, ...]] = ("reset_in", "spikes_out", "spike_count", "potential")

    def __init__(self, shared: SharedNetwork, layer: int) -> None:
        super().__init__(name=f"layer_{layer}", shared=shared, layer=layer)
        for part in self.made_of:
            n = 1 if part in OF_ONE_NUMBER else shared.net.layer_sizes[layer]
            kind = InPort if part.endswith("_in") else OutPort if "_out" in part else ReadOnlyVar
            setattr(self, part, kind(shape=(n,)))


class InputNeurons(Neurons):
    """Layer 0, which turns values into spikes, or passes spikes on; `spikes_in` is the network's.

    Attributes
    ----------
    reset_out : OutPort of shape (1,)
        The message received at `reset_in`, for the other layers.
    """

    made_of = (*Neurons.made_of, "spikes_in", "reset_out")


class LearningNeurons(Neurons):
    """A layer that has errors.

    Attributes
    ----------
    drive_in : InPort of shape (n_units,)
        The drive of the spikes of the layer below, from the synapses.
    errors_out : OutPort of shape (n_units,)
        Twice the errors of this step, for the synapses that lead down.
    factor_out : OutPort of shape (n_units,)
        The errors that change weights in this step, as the third factor of the synapses that lead
        to this layer.
    count_out : OutPort of shape (n_units,)
        The input counts that change weights in this step, as the third factor of the synapses that
        lead down to this layer and learn. Hidden layers alone have this port.
    error : Var of shape (n_units,)
        The errors of the last step.
    summed_drive : Var of shape (n_units,)
        The drive summed over the sample so far.
    """

    made_of = (*Neurons.made_of, "drive_in", "errors_out", "factor_out", "error", "summed_drive")


class HiddenNeurons(LearningNeurons):
    """A hidden layer, which receives errors of shape (n_units,) from the layer above."""

    made_of = (*LearningNeurons.made_of, "errors_in", "count_out", "backward_potential")


class OutputNeurons(LearningNeurons):
    """Layer L, which compares its spikes with a target.

    Its ports `label_in`, `target_in`, `summed_drive_out` and `spikes_out` are those of the network:
    here `spikes_out` has the spikes themselves, for processes around the network.
    """

    made_of = (*LearningNeurons.made_of, "label_in", "target_in", "summed_drive_out")


class NeuronsModel(NetworkModel):
    """The part that the models of all layers share."""

    types: ClassVar = {
        "spikes_in|target_in": (PyInPort.VEC_DENSE, VALUES),
        "drive_in|errors_in": (PyInPort.VEC_DENSE, MESSAGES),
        "reset_in|label_in": (PyInPort.VEC_DENSE, np.int64),
        "summed_drive_out": (PyOutPort.VEC_DENSE, VALUES),
        "spikes_out|errors_out|factor_out|count_out": (PyOutPort.VEC_DENSE, MESSAGES),
        "reset_out": (PyOutPort.VEC_DENSE, np.int64),
        "spike_count|potential|error|summed_drive|backward_potential": (np.ndarray, float),
    }

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._shared: SharedNetwork = proc_params["shared"]
        self._net = self._shared.net
        self._delays = delays_of(self._net)
        self._l: int = proc_params["layer"]
        self._n = self._net.layer_sizes[self._l]
        self._clock = SampleClock(self._shared)
        self._memory: SharedState = self._shared.memory

    def run_spk(self) -> None:
        """Make one step."""
        self._row = self._shared.row(self.time_step)
        self._clock.tick(self._input_ends())
        if self._clock.opens:
            self._open()
        self._step()
        if self._clock.closes:
            self._close()

    def _open(self) -> None:
        """Begin a sample: reset everything that lasts for one sample."""
        self._messages = converter_of(self._shared.net)  # its rate may be another
        self._phi, self._c = np.zeros(self._n), np.zeros(self._n, np.int64)
        self._sent = np.zeros(2, np.int64)

    def _step(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """End a sample: count its spikes, and the messages that carried them."""
        self._memory.spikes[self._l] += self._sent

    def _input_ends(self) -> bool | None:
        """Return whether input ends with this step; None if no process tells."""
        return input_ends(self.reset_in)

    def _send(self, k: Array) -> None:
        self.spikes_out.send(self._message(k))
        self.spike_count, self.potential = k, self._phi
        self._sent += np.abs(k).sum(), np.count_nonzero(k)
        if self._row is not None:
            self._shared.record.spikes[self._l][self._row] = k

    def _message(self, k: Array) -> Array:
        return self._messages.spikes(k, self._l)

    def _teach(self, counts: Array, errors: Array) -> None:
        """Note how many counts and errors change weights in this step."""
        units = np.count_nonzero(counts), np.count_nonzero(errors)
        self._memory.teaching[self.time_step % 2, :, self._l] = units


class InputModel(NeuronsModel):
    """Rule 1."""

    def _input_ends(self) -> bool | None:
        ends = super()._input_ends()
        if ends is not None:
            self.reset_out.send(np.array([ends], np.int64))
        return ends

    def _step(self) -> None:
        x, k = self.spikes_in.recv(), np.zeros(self._n, np.int64)
        if self._clock.is_busy(self._delays.spikes[0]):
            if self.kind == FIXED:
                whole("spikes_in", x, WHOLE_IN_FIXED)
            if self._net.input_coding == "values":
                x = arithmetic_of(self._net).round(x * self._net.input_factor)
            else:
                x = whole("spikes_in", x, "whole numbers with input_coding='spikes'")
                x = x.astype(np.int64)
            k, self._phi, self._c = fire_input(self._net, self._phi, self._c, x)
        self._send(k)
        self._teach(self._c, np.zeros(0))


class LearningModel(NeuronsModel):
    """Rule 2, and the errors that rule 5 reads."""

    def _open(self) -> None:
        super()._open()
        self._s, self._E = np.zeros(self._n), np.zeros(self._n, np.int64)
        self._sent_back = np.zeros(2, np.int64)

    def _close(self) -> None:
        super()._close()
        self._memory.errors[self._l] += self._sent_back

    def _step(self) -> None:
        sums, k = self.drive_in.recv(), np.zeros(self._n, np.int64)
        if self._clock.is_busy(self._delays.spikes[self._l]):
            drive = of_one_spike(self._messages.drive(sums, self._l))
            k, self._phi, self._s = forward(self._net, drive, self._phi, self._s, self._l)
            self._c = self._c + k
        self._send(k)
        e = self._errors(k)
        self._E = self._E + e
        self._sent_back += np.abs(e).sum(), np.count_nonzero(e)
        teaching = self._teaching(e, self._E)
        self._teach(self._c, teaching)
        self.errors_out.send(self._messages.errors(e))
        self.factor_out.send(self._messages.factors(teaching))
        self.error, self.summed_drive = e, self._s
        if self._row is not None:
            self._shared.record.errors[self._l][self._row] = e

    def _errors(self, k: Array) -> Array:
        raise NotImplementedError

    @property
    def _has_errors(self) -> bool:
        """Whether this is a step with errors, of a sample that learns."""
        is_busy = self._clock.is_busy(self._delays.errors[self._l])
        return bool(self._clock.learns and is_busy and self._memory.has_target[0])

    def _teaching(self, now: Array, of_sample: Array) -> Array:
        """Return `now` or, if weights learn once, `of_sample` in the last step and 0 before."""
        if not self._net.learning_rule.learns_once:
            return now
        return of_sample if self._clock.closes else np.zeros_like(of_sample)


class HiddenModel(LearningModel):
    """Rules 2 and 4.

    A monitor reads the backward potentials when all layers have made their step, and the output has
    said whether the sample has a target. Lava assigns initial values to them, without effect.
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._kept = self._memory.backward_potentials[self._l - 1]
        self._psi = self._kept

    def __getattr__(self, name: str) -> Any:
        if name != "backward_potential":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        has_begun = self._clock.learns and self._clock.first > self._delays.errors[-1]
        return self._psi if has_begun and self._memory.has_target[0] else self._kept

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "backward_potential":
            super().__setattr__(name, value)

    def _open(self) -> None:
        super()._open()
        if self._clock.learns:
            carries = self._net.backward_init == "carry"
            self._psi = self._kept.copy() if carries else np.zeros(self._n)

    def _errors(self, k: Array) -> Array:
        sums, e, clock = self.errors_in.recv(), np.zeros(self._n, np.int64), self._clock
        if self._has_errors:
            drive = of_one_spike(self._messages.drive(sums, self._l))
            e, self._psi = backward(self._net, drive, self._psi, self._s, self._l)
        self.count_out.send(self._messages.factors(self._teaching(self._c, self._c)))
        if clock.learns and clock.closes and self._memory.has_target[0]:
            self._kept[:] = self._psi
        return e


class OutputModel(LearningModel):
    """Rules 2 and 3."""

    # No synapses of the network receive its spikes.
    types: ClassVar = {"spikes_out": (PyOutPort.VEC_DENSE, np.int64)} | LearningModel.types

    def _open(self) -> None:
        super()._open()
        self._phi_y = np.zeros(self._n)

    def _message(self, k: Array) -> Array:
        """Return the counts themselves."""
        return k.astype(np.int64)

    def _errors(self, k: Array) -> Array:
        target, e = self.target_in.recv(), np.zeros(self._n, np.int64)
        label = self.label_in.recv() if self.label_in.csp_ports else None
        self.summed_drive_out.send(self._messages.units(self._s))
        if self._row is not None:
            self._shared.record.summed_drive[self._row] = self._s
        clock, delay = self._clock, self._delays.errors[self._l]
        if clock.learns and clock.is_busy(delay):
            has_target = self._memory.has_target
            y = self._real(target) if label is None else class_targets(self._net, label)
            if clock.begins(delay):
                has_target[0] = y is not None
            require_same(bool(has_target[0]), y is not None, clock.first)
            if y is not None:
                y = arithmetic_of(self._net).round(y)
                e, self._phi_y = output_error(self._net, k, y, self._phi_y, self._s)
        return e

    def _real(self, target: Array) -> Array:
        if self.kind == FIXED:
            whole("target_in", target, WHOLE_IN_FIXED)
        return self._messages.values(target)


FLOATING_INPUT, FIXED_INPUT = models_of(InputNeurons, InputModel)
FLOATING_HIDDEN, FIXED_HIDDEN = models_of(HiddenNeurons, HiddenModel)
FLOATING_OUTPUT, FIXED_OUTPUT = models_of(OutputNeurons, OutputModel)
