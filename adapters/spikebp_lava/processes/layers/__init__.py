"""One Lava process for each layer: the parts of the hierarchical model of the network.

In each step spikes travel from layer 0 to layer L, and errors back to layer 1. A layer holds the
weights of the connection that leads to it, and the kind of this connection says what computes the
layer. With pipelined timing spikes and errors travel no further than to the next layer in a step:
there they go through the weights at once, and act one step later.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from spikebp_lava.dense_network import dense_network
from spikebp_lava.incoming import Incoming
from spikebp_lava.kinds import KINDS
from spikebp_lava.layer_by_kernels import require_certain
from spikebp_lava.memory import FIXED, FLOATING, SharedNetwork
from spikebp_lava.recorder import LayerRecorder
from spikebp_lava.variables import (
    InSharedMemory,
    ModelOfAnyNetwork,
    SeenVar,
    SharedVar,
    define_model,
)
from spikebp_lava.watch import Watched
from spikebp_plugins.compiled.kernels import arrays, layers
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.delays import delays_of, is_busy

Array = NDArray[Any]

#: The numbers that the control port carries: whether this step is the first of its sample, is the
#: first with a target, has a target, and ends a sample that has learned; and with pipelined timing,
#: the number of this step and how many steps of input the sample has.
CONTROL = ("opens", "restarts", "learns", "updates", "t", "n_inputs")


class InputLayer(Watched, AbstractProcess):  # type: ignore[misc]
    """Layer 0: receives samples and targets, and tells the layers above the place of the step.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    """

    def __init__(self, shared: SharedNetwork) -> None:
        super().__init__(shared=shared)
        net = shared.net
        self.spikes_in = InPort(shape=(net.n_inputs,))
        self.label_in = InPort(shape=(1,))
        self.target_in = InPort(shape=(net.n_outputs,))
        self.reset_in = InPort(shape=(1,))
        self.spikes_out = OutPort(shape=(net.n_inputs,))
        self.control_out = OutPort(shape=(len(CONTROL),))
        self.target_out = OutPort(shape=(net.n_outputs,))
        self.spike_count = SeenVar(shape=(net.n_inputs,))
        self.potential = SeenVar(shape=(net.n_inputs,))
        self.input_count = SeenVar(shape=(net.n_inputs,))


class Layer(Watched, AbstractProcess):  # type: ignore[misc]
    """Layer l >= 1, with the synapses that lead to it.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    l : int
        The index of the layer.
    """

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        super().__init__(shared=shared, layer=l)
        n_below, n_units = shared.net.layer_sizes[l - 1 : l + 1]
        self.spikes_in = InPort(shape=(n_below,))
        self.control_in = InPort(shape=(len(CONTROL),))
        self.spikes_out = OutPort(shape=(n_units,))
        self.errors_out = OutPort(shape=(n_below,))
        if shared.has_weights(l):
            self.weight = SharedVar(partial(shared.matrix, l), partial(shared.set_matrix, l))
        self.spike_count = SeenVar(shape=(n_units,))
        self.potential = SeenVar(shape=(n_units,))
        self.input_count = SeenVar(shape=(n_units,))
        self.error = SeenVar(shape=(n_units,))


class HiddenLayer(Layer):
    """Layer l < L, which receives errors of shape (n_units,) from the layer above."""

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        super().__init__(shared, l)
        self.errors_in = InPort(shape=(shared.net.layer_sizes[l],))


class OutputLayer(Layer):
    """Layer L, with ports of shape (n_outputs,) for the target and for the summed drive."""

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        super().__init__(shared, l)
        self.target_in = InPort(shape=(shared.net.n_outputs,))
        self.summed_drive_out = OutPort(shape=(shared.net.n_outputs,))


class InputModel(InSharedMemory, PyLoihiProcessModel):  # type: ignore[misc]
    """Rule 1, and the schedule."""

    kind: ClassVar[str]

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        shared: SharedNetwork = proc_params["shared"]
        net = shared.net
        self._shared, self._delay = shared, delays_of(net).spikes[0]
        lowest = dense_network(net, *net.layer_sizes[:2])
        self._layout = Layout(lowest, shared.dtype)
        nothing = self._layout.zeros(0)  # this layer learns nothing
        learning = arrays.Learning(nothing, nothing, nothing, *(np.zeros(2) for _ in range(3)))
        self._run = self._layout.run(learning)
        self._incoming = Incoming(shared, self)
        n, sample = net.n_inputs, self._run.sample
        self._spike = sample.spike[:n]
        self._recorder = LayerRecorder(shared, 0)
        self.bind(
            spike_count=self._spike,
            potential=sample.potential[:n],
            input_count=sample.count[:n],
        )

    def run_spk(self) -> None:
        """Fire, and pass the target on."""
        shared, layout = self._shared, self._layout
        x, y, moment, _ = self._incoming.receive()
        if shared.net.input_coding == "spikes":
            entering = layout.counts(x)
        else:
            entering = layout.shown(x, shared.net.input_scale)
        control = [int(getattr(moment, name)) for name in CONTROL]
        self.control_out.send(np.array(control, np.int64))
        if not is_busy(moment.t, self._delay, moment.n_inputs):
            self._spike[:] = 0
        else:
            certain = layers.input_layer(self._run, entering, moment.opens)
            require_certain(certain, "potential of layer 0")
        self.spikes_out.send(self._spike.astype(np.int64))
        target = np.zeros(shared.net.n_outputs) if y is None else y
        self.target_out.send(layout.shown(target))
        shared.count(0, self._spike)
        shared.samples += (moment.closes, moment.updates, moment.updates)
        self._recorder.write(self.time_step, self._spike)


class LayerModel(
    InSharedMemory,
    PyLoihiProcessModel,  # type: ignore[misc]
    metaclass=ModelOfAnyNetwork,
):
    """Rules 2, 4 and 5 for one layer, rule 3 in the output."""

    kind: ClassVar[str]
    number: ClassVar[type]
    optional = "weight"

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        shared: SharedNetwork = proc_params["shared"]
        l: int = proc_params["layer"]
        make = KINDS[type(shared.net.connections[l - 1])].layer
        self._shared, self._l, self._steps = shared, l, make(shared, l)
        self._recorder = LayerRecorder(shared, l)
        self._delays = delays_of(shared.net)
        self._pipelined = not self._delays.are_zero
        n_below, n = shared.net.layer_sizes[l - 1 : l + 1]
        self._no_errors = np.zeros(n_below, shared.dtype)
        self._under_way = np.zeros(n, shared.dtype)
        self.bind(
            weight=shared.matrix(l),
            spike_count=self._steps.spike,
            potential=self._steps.potential,
            input_count=self._steps.count,
            error=self._steps.error,
        )

    def run_spk(self) -> None:
        """Go through the forward, the error and the learning phase of a step.

        With pipelined timing the layer first acts on the spikes that arrived one step ago. The
        spikes that arrive now are counted before the layer learns, and act in the next step.
        """
        shared, steps, l = self._shared, self._steps, self._l
        opens, restarts, learns, updates, t, n_inputs = self.control_in.recv().tolist()
        steps.begin(bool(opens), bool(restarts))
        if not self._pipelined:
            self._receive_spikes()
        steps.fire(is_busy(t, self._delays.spikes[l], n_inputs))
        self.spikes_out.send(steps.spike.astype(np.int64))
        has_errors = bool(learns) and is_busy(t, self._delays.errors[l], n_inputs)
        self._find_errors(has_errors)
        if l > 1:
            self._send_down(has_errors)
        if self._pipelined:
            self._receive_spikes()
        if learns or updates:
            steps.learn(bool(updates))
        shared.count(l, steps.spike, steps.error)
        shared.updates[l] = steps.updates
        self._recorder.write(self.time_step, steps.spike, steps.error)

    def _receive_spikes(self) -> None:
        self._steps.receive(self.spikes_in.recv())

    def _find_errors(self, learns: bool) -> None:
        raise NotImplementedError

    def _send_down(self, learns: bool) -> None:
        self.errors_out.send(self._steps.errors_down() if learns else self._no_errors)


class HiddenModel(LayerModel):
    """Errors come from the layer above."""

    def _find_errors(self, learns: bool) -> None:
        arrived = self.errors_in.recv()
        if self._pipelined:
            arrived, self._under_way = self._under_way, arrived
        if learns:
            self._steps.take_errors(arrived)


class OutputModel(LayerModel):
    """Errors come from the target."""

    def _find_errors(self, learns: bool) -> None:
        y = self.target_in.recv()
        if learns:
            self._steps.compare(y)
        drive = self._steps.summed_drive
        self.summed_drive_out.send(drive)
        self._recorder.write_drive(self.time_step, drive)


for _kind, _number in ((FLOATING, float), (FIXED, np.int64)):
    _values_in, _values_out = (
        LavaPyType(port.VEC_DENSE, _number) for port in (PyInPort, PyOutPort)
    )
    _spikes_in, _spikes_out = (
        LavaPyType(port.VEC_DENSE, np.int64) for port in (PyInPort, PyOutPort)
    )
    _values = LavaPyType(np.ndarray, _number)
    define_model(
        globals(),
        f"InputLayer_{_kind}",
        InputModel,
        InputLayer,
        _kind,
        kind=_kind,
        spikes_in=_values_in,
        label_in=_spikes_in,
        target_in=_values_in,
        reset_in=_spikes_in,
        spikes_out=_spikes_out,
        control_out=_spikes_out,
        target_out=_values_out,
        spike_count=_values,
        potential=_values,
        input_count=_values,
    )
    _of_layers = {
        "kind": _kind,
        "number": _number,
        "spikes_in": _spikes_in,
        "control_in": _spikes_in,
        "spikes_out": _spikes_out,
        "errors_out": _values_out,
        "spike_count": _values,
        "potential": _values,
        "input_count": _values,
        "error": _values,
    }
    define_model(
        globals(),
        f"HiddenLayer_{_kind}",
        HiddenModel,
        HiddenLayer,
        _kind,
        errors_in=_values_in,
        **_of_layers,
    )
    define_model(
        globals(),
        f"OutputLayer_{_kind}",
        OutputModel,
        OutputLayer,
        _kind,
        target_in=_values_in,
        summed_drive_out=_values_out,
        **_of_layers,
    )
