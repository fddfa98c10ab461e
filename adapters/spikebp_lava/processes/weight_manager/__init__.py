"""The manager of the weights of the standard graph, which writes to synapses between their steps.

On a chip a processor next to the neuron cores does this work, in the management phase after
learning: the learning engine of the synapses can neither empty a trace at once nor copy a matrix.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from spikebp_lava.memory import SharedNetwork
from spikebp_lava.messages import converter_of
from spikebp_lava.port_reader import input_ends
from spikebp_lava.runtime import GuardedProcess
from spikebp_lava.sample_clock import SampleClock
from spikebp_lava.standard.state import SharedState
from spikebp_lava.variables import MESSAGES, VALUES, NetworkModel, models_of

Array = NDArray[Any]


class WeightManager(GuardedProcess, AbstractProcess):  # type: ignore[misc]
    """Empties traces at the end of each sample, and copies weights for errors and for the user.

    Parameters
    ----------
    shared : SharedNetwork
        The network, whose weights are updated after each sample that learns.
    copies : bool
        Whether the weights are copied into the synapses that errors travel through.

    Attributes
    ----------
    reset_in : InPort of shape (1,)
        As that of `Neurons`.
    trace_l, weight_l : RefPort
        For the synapses that lead to layer l = 1..L: their trace x1, of shape (n_in,), and their
        matrix, of shape (n_out, n_in).
    back_trace_l, back_weight_l : RefPort
        The same for the synapses that lead down from layer l = 2..L.
    """

    def __init__(self, shared: SharedNetwork, copies: bool) -> None:
        super().__init__(name="weight_manager", shared=shared, copies=copies)
        self.reset_in = InPort(shape=(1,))
        net = shared.net
        for l, (n_below, n) in enumerate(net.weight_shapes, 1):
            setattr(self, f"trace_{l}", RefPort(shape=(n_below,)))
            setattr(self, f"weight_{l}", RefPort(shape=(n, n_below)))
            if l > 1:
                setattr(self, f"back_trace_{l}", RefPort(shape=(n,)))
                setattr(self, f"back_weight_{l}", RefPort(shape=(n_below, n)))


class WeightManagerModel(NetworkModel):
    """The process model: it works in the management phase, after all synapses have learned."""

    types: ClassVar = {
        "reset_in": (PyInPort.VEC_DENSE, np.int64),
        r"(back_)?trace_\d+": (PyRefPort.VEC_DENSE, VALUES),
        r"(back_)?weight_\d+": (PyRefPort.VEC_DENSE, MESSAGES),
    }

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._shared: SharedNetwork = proc_params["shared"]
        self._memory: SharedState = self._shared.memory
        self._messages = converter_of(self._shared.net)
        self._copies: bool = proc_params["copies"]
        self._clock = SampleClock(self._shared)
        #: The weights that have changed in this sample, and the last step of which they are known.
        self._changes, self._known = np.zeros(self._shared.net.n_layers + 1, np.int64), 0

    def run_spk(self) -> None:
        """Count the step, and the weights that the step before has changed."""
        self._clock.tick(input_ends(self.reset_in))
        self._shared.is_open[0] = not self._clock.closes
        self._count_changes(self.time_step - 1)

    def post_guard(self) -> bool:
        """Return whether this step needs a management phase."""
        return self._clock.closes or self._is_to_copy

    @property
    def _learns(self) -> bool:
        return bool(self._clock.learns and self._memory.has_target[0])

    @property
    def _is_to_copy(self) -> bool:
        changes = self._clock.closes or not self._shared.net.learning_rule.learns_once
        return self._copies and self._learns and changes

    def run_post_mgmt(self) -> None:
        """Copy weights for errors; at the end of a sample empty traces and share the weights."""
        L = self._shared.net.n_layers
        self._count_changes(self.time_step)
        if self._is_to_copy:
            for l in range(2, L + 1):
                self._write(f"back_weight_{l}", getattr(self, f"weight_{l}").read().T)
        if not self._clock.closes:
            return
        for l in range(1, L + 1):
            self._empty(f"trace_{l}")
            if l > 1:
                self._empty(f"back_trace_{l}")
        if self._learns:
            for l in range(1, L + 1):
                weights = getattr(self, f"weight_{l}").read()
                self._memory.weights[l - 1][...] = self._messages.weights(weights).T
        self._memory.updates += self._changes
        self._changes[:] = 0
        self._memory.samples += (1, self._learns, self._learns)

    def _count_changes(self, time_step: int) -> None:
        """Count the weights that a step has changed, once."""
        if time_step > self._known:
            self._changes += self._memory.changes(time_step)
            self._known = time_step

    def _empty(self, port: str) -> None:
        self._write(port, np.zeros(getattr(self, port)._shape))

    def _write(self, name: str, values: Array) -> None:
        port = getattr(self, name)
        port.write(values)
        # Otherwise the synapses might begin their next step before they have received the values.
        port.wait()


FLOATING_MODEL, FIXED_MODEL = models_of(WeightManager, WeightManagerModel)
