"""The network as one Lava process, and its process models."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.process.process import AbstractProcess, LogConfig
from numpy.typing import NDArray

from spikebp_lava.agreement import exchange_of, has_sender
from spikebp_lava.memory import FIXED, FLOATING, SharedNetwork, shared_array
from spikebp_lava.network import NetworkProcess
from spikebp_lava.port_reader import Message, PortReader, check_senders
from spikebp_lava.support import why_unsupported
from spikebp_lava.variables import VALUES, NetworkModel, checked_log_config, model_of
from spikebp_plugins import Checkpoint, UnsupportedError
from spikebp_plugins.common.errors import one_of, wrong_argument
from spikebp_plugins.engine.step_engine import StepEngine
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]

#: How the states of a layer are read from the engine, and whether they are in units of 2^-f.
READ: Final[dict[str, tuple[Callable[[StepEngine, int], Array], bool]]] = {
    "weight": (StepEngine.weights, True),
    "potential": (StepEngine.potentials, True),
    "summed_drive": (StepEngine.summed_drive, True),
    "spike_count": (StepEngine.spikes, False),
    "error": (StepEngine.errors, False),
}
VARIABLES: Final = rf"({'|'.join(READ)})_(\d+)"


class SpikingMLPProcess(NetworkProcess, AbstractProcess):  # type: ignore[misc]
    r"""A spiking network that learns by backpropagation, as one Lava process.

    In every step of Lava the network receives one message at each connected port and makes one
    step of docs/semantics.md: the forward and the backward pass cross all layers within the step.
    No chip does that. With ``timing="pipelined"`` in the definition spikes and errors take a step
    from layer to layer: a sample of T steps of input takes T + 2 L - 1 steps of Lava with L layers
    of weights, targets are read L steps after their input, and `learning` holds for whole samples.

    Parameters
    ----------
    net : Definition or Checkpoint
        The definition, or a definition with what it has learned.
    weights : sequence of array-like of shapes ``net.weight_shapes`` or None, default=None
        Initial weights, rounded to the grid; None takes ``net.init_weights()``.
    feedback : sequence of array-like of shapes ``net.feedback_shapes`` or None, default=None
        Backward weights for ``feedback="random"``; None takes ``net.init_feedback()``.
    learning : bool, default=True
        Whether to learn from targets; `learning` can be set between runs, and `learning_rate`
        between two samples.
    granularity : {"step", "sample"}, default="step"
        Whether a message is input for one step, or for all the steps of a sample.
    name : str or None, default=None
        The name of the process in Lava.
    log_config : LogConfig or None, default=None
        Options of Lava's logging.

    Attributes
    ----------
    spikes_in : InPort of shape (n_inputs,)
        The input of layer 0: real values (in fixed_pt integers), which are multiplied by
        ``net.input_factor``; with ``input_coding="spikes"`` signed spike counts. Also named `s_in`.
    label_in : InPort of shape (1,)
        The class, which asks for ``net.label_targets``; below 0 it is not known, and the step does
        not learn.
    target_in : InPort of shape (n_outputs,)
        Real targets instead of a label, in fixed_pt in units of 2^-f.
    reset_in : InPort of shape (1,)
        A number other than 0 makes this step the last of its sample, with ``timing="pipelined"``
        the last of its input. If the port is not connected, that is step ``net.n_steps``.
    spikes_out : OutPort of shape (n_outputs,)
        The spike counts of the output in this step. Also named `s_out`.
    summed_drive_out : OutPort of shape (n_outputs,)
        The drive of the output summed over the sample so far, in fixed_pt in units of 2^-f. Divided
        by the steps shown these are the scores.
    weight_1, ..., weight_L : Var of shapes ``net.weight_shapes``
        The weights at present; in fixed_pt in units of 2^-f. A layer that pools has none.
    spike_count_0, ..., spike_count_L, error_1, ..., error_L : Var of shape (n_units,)
        The signed spike counts and error spikes of each layer in the last step, for a Monitor.
    potential_0, ..., potential_L, summed_drive_1, ..., summed_drive_L : Var of shape (n_units,)
        Potentials after the last step, and the drive summed over the sample so far, for a Monitor;
        in fixed_pt in units of 2^-f.

    Raises
    ------
    UnsupportedError
        If the engine cannot run the definition; the message says why.
    """

    def __init__(
        self,
        net: Definition | Checkpoint,
        *,
        weights: Sequence[Any] | None = None,
        feedback: Sequence[Any] | None = None,
        learning: bool = True,
        granularity: str = "step",
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        state = self._start_from(net, weights, feedback)
        if (reason := why_unsupported(self.net)) is not None:
            raise UnsupportedError(f"SpikingMLPProcess cannot run this network: {reason}")
        self.exchange = exchange_of(self.net, granularity)
        self.shared = SharedNetwork(self.net, StepEngine(self.net, state, shared_array))
        self.learning = learning
        super().__init__(
            name=name,
            log_config=checked_log_config(log_config),
            shared=self.shared,
        )
        self._takes_whole_samples = self.exchange.granularity == "sample"
        if self._takes_whole_samples:
            in_all = steps_of_sample(self.net, self.net.n_steps)
            self.shared.switches.steps_per_message[0] = in_all
        self._bits = 0  # f, once the tag is fixed_pt: weights are got and set in units of 2^-f
        self._make_ports()
        self._make_variables()

    def _weights(self, l: int) -> Array:
        units: Array = self.shared.memory.weights(l)
        return units if self._bits else np.ldexp(units, -self.net.fraction_bits)

    def _set_weights(self, l: int, values: Array, where: Any) -> None:
        self._replace_weights(l, np.ldexp(values.astype(np.float64), -self._bits), values, where)

    def __getattr__(self, name: str) -> Any:
        net = self.__dict__.get("net")
        for l, connection in enumerate(net.connections if net else (), 1):
            if name == f"weight_{l}" and connection.constant_weight is not None:
                raise AttributeError(
                    f"there is no variable {name!r}: all synapses of {connection.kind} weigh "
                    f"{connection.constant_weight:g}, and none learns"
                )
        return super().__getattr__(name)

    def prepare(self, models: list[type]) -> None:
        """Check what is connected; called before the processes of a graph are started.

        Raises
        ------
        UnsupportedError
            If `reset_in` is connected where samples cannot end by it.
        ValueError
            If the models are not all of one tag, or real numbers are to be sent to the process in
            fixed_pt, or what it is connected with does not agree with it.
        """
        kinds = {getattr(model, "kind", None) for model in models} & {FLOATING, FIXED}
        if len(kinds) > 1:
            allowed = f"{one_of((FLOATING, FIXED))} for all processes of spikebp_lava"
            raise wrong_argument("the tag of process models", allowed, "both")
        super().prepare(models)
        is_pipelined = self.net.timing == "pipelined"
        if self._takes_whole_samples and is_pipelined and has_sender(self.reset_in):
            raise UnsupportedError(
                "with timing='pipelined' and granularity='sample' a message has the way through "
                "the network in it: reset_in of SpikingMLPProcess is to be left unconnected"
            )
        if FIXED in kinds:
            check_senders(list(self.in_ports))
            self._bits = self.net.fraction_bits


class PySpikingMLPModel(NetworkModel):
    """The whole network in one process, by the engine of the back end ``compiled``.

    Variables are read where the engine holds them. Lava assigns copies of initial values to them,
    which changes nothing; a RefPort would write by assignment too, and gets an error instead.
    """

    types: ClassVar = {
        "spikes_in|target_in": (PyInPort.VEC_DENSE, VALUES),
        "label_in|reset_in": (PyInPort.VEC_DENSE, np.int64),
        "summed_drive_out": (PyOutPort.VEC_DENSE, VALUES),
        "spikes_out": (PyOutPort.VEC_DENSE, np.int64),
        VARIABLES: (np.ndarray, VALUES),
    }

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._shared: SharedNetwork = proc_params["shared"]
        self._engine: StepEngine = self._shared.memory
        self._n_layers = self._shared.net.n_layers
        self._reader = PortReader(self._shared, self)
        self._has_started = False

    def start(self) -> None:
        """Begin to serve the runtime."""
        self._has_started = True
        super().start()

    def __getattr__(self, name: str) -> Any:
        found = re.fullmatch(VARIABLES, name)
        if found is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        read, is_on_grid = READ[found[1]]
        numbers: Array = read(self._engine, int(found[2]))
        return self._numbers(numbers) if is_on_grid else numbers.astype(VALUES[self.kind])

    def __setattr__(self, name: str, value: Any) -> None:
        if re.fullmatch(VARIABLES, name) is None:
            super().__setattr__(name, value)
        elif self._has_started:
            raise RuntimeError(f"a RefPort can read {name} but not write it")

    def _numbers(self, units: Array) -> Array:
        """Return integers in units of 2^-f as the numbers of the tag."""
        return units if self.kind == FIXED else np.ldexp(units, -self._shared.net.fraction_bits)

    def run_spk(self) -> None:
        """Make one step, or the steps of one message."""
        shared, engine, L = self._shared, self._engine, self._n_layers
        message = self._reader.receive()
        if message.context.opens:
            engine.take_rate(shared.net)
        is_heard = bool(self.spikes_out.csp_ports)
        has_sent = is_heard and not message.context.opens
        before: Any = engine.spikes_of_sample(L).copy() if has_sent else 0
        row = shared.row(self.time_step)
        if row is None:
            engine.show(message.x, message.y, message.context, message.n_steps)
        else:
            self._show_and_record(message, row)
        if is_heard:
            self.spikes_out.send(engine.spikes_of_sample(L) - before)
        if self.summed_drive_out.csp_ports:
            self.summed_drive_out.send(self._numbers(engine.summed_drive(L)))

    def _show_and_record(self, message: Message, first_row: int) -> None:
        engine, record = self._engine, self._shared.record
        for done in range(message.n_steps):
            context, row = message.context.after(done), first_row + done
            if done < message.n_steps - 1:
                context = context._replace(closes=False, updates=False)
            engine.show(message.x, message.y, context)
            for l in range(self._n_layers + 1):
                record.spikes[l][row], record.errors[l][row] = engine.spikes(l), engine.errors(l)
            drive = engine.summed_drive(self._n_layers)
            record.summed_drive[row] = np.ldexp(drive, -self._shared.net.fraction_bits)


@model_of(SpikingMLPProcess, FLOATING)
class PySpikingMLPModelFloat(PySpikingMLPModel):
    """The network with messages and variables that hold values: the model of `floating_pt`."""


@model_of(SpikingMLPProcess, FIXED)
class PySpikingMLPModelFixed(PySpikingMLPModel):
    """The network with messages and variables of integers: the model of `fixed_pt`."""
