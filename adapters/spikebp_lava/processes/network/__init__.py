"""The network as one Lava process, and its process models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.process import AbstractProcess, LogConfig
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spikebp_lava.agreement import exchange_of
from spikebp_lava.incoming import Incoming, check_senders, has_sender
from spikebp_lava.kinds import is_of_kernels
from spikebp_lava.memory import FIXED, FLOATING, SharedNetwork
from spikebp_lava.network import NetworkProcess, definition_of, starting_state
from spikebp_lava.prepare import prepare_layers, prepare_steps
from spikebp_lava.processes.layers import HiddenLayer, InputLayer, LayerModel, OutputLayer
from spikebp_lava.signals import signals_deferred
from spikebp_lava.stepper_by_rules import StepperByRules
from spikebp_lava.support import why_unsupported
from spikebp_lava.variables import (
    InSharedMemory,
    ModelOfAnyNetwork,
    ProcessOfAnyDepth,
    SeenVar,
    SharedVar,
    checked_log_config,
)
from spikebp_plugins import Checkpoint, UnsupportedError
from spikebp_plugins.common.errors import one_of, wrong_argument
from spikebp_plugins.compiled.kernels import arrays
from spikebp_plugins.compiled.stepper import Stepper
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]


class SpikingMLPProcess(
    NetworkProcess,
    AbstractProcess,  # type: ignore[misc]
    metaclass=ProcessOfAnyDepth,
):
    r"""A spiking network that learns by backpropagation, as one Lava process.

    In every step of Lava the network receives one message at each connected port and makes one
    step of docs/semantics.md: the wave crosses all layers, forward and backward, within the step.
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
        Whether to learn from targets; `learning` can be set between runs.
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
        ``net.input_scale``; with ``input_coding="spikes"`` signed spike counts. Also named `s_in`.
    label_in : InPort of shape (1,)
        The class, which asks for ``net.label_targets``; below 0 it is not known, and the step does
        not learn.
    target_in : InPort of shape (n_outputs,)
        Real targets instead of a label, in fixed_pt in grid units.
    reset_in : InPort of shape (1,)
        A number other than 0 makes this step the last of its sample, with ``timing="pipelined"``
        the last of its input. If the port is not connected, that is step ``net.n_steps``.
    spikes_out : OutPort of shape (n_outputs,)
        The spike counts of the output in this step. Also named `s_out`.
    summed_drive_out : OutPort of shape (n_outputs,)
        The drive of the output summed over the sample so far, in fixed_pt in grid units. Divided
        by the steps shown these are the scores.
    weight_1, ..., weight_L : Var of shapes ``net.weight_shapes``
        The weights; in fixed_pt in grid units. A layer that pools has none.
    spike_count_0, ..., spike_count_L : Var of shape (n_units,)
        The signed spike counts of each layer in the last step, for a Monitor.
    error_1, ..., error_L : Var of shape (n_units,)
        The signed error spikes of each layer in the last step, for a Monitor.
    """

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        """Make a process of the class for the depth of the network.

        In Lava the variables of a model are attributes of its class, and the number of matrices
        depends on the number of layers. Arguments are left to the constructor to check.
        """
        if not arguments and "net" not in keywords:
            return object.__new__(cls)
        net = arguments[0] if arguments else keywords["net"]
        return object.__new__(class_of_depth(definition_of(net).n_layers))

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
        state = starting_state(net, weights, feedback)
        self.net = definition_of(net)
        self.exchange = exchange_of(self.net, granularity)
        self.shared = SharedNetwork(self.net, state)
        super().__init__(
            name=name,
            log_config=checked_log_config(log_config),
            shared=self.shared,
        )
        self._takes_whole_samples = self.exchange.granularity == "sample"
        if self._takes_whole_samples:
            in_all = steps_of_sample(self.net, self.net.n_steps)
            self.shared.switches.steps_per_message[0] = in_all
        self.learning = learning
        self._make_ports()
        for l in filter(self.shared.has_weights, range(1, self.net.n_layers + 1)):
            read, write = partial(self.shared.matrix, l), partial(self.shared.set_matrix, l)
            setattr(self, f"weight_{l}", SharedVar(read, write))
        for l, size in enumerate(self.net.layer_sizes):
            setattr(self, f"spike_count_{l}", SeenVar(shape=(size,)))
            if l > 0:
                setattr(self, f"error_{l}", SeenVar(shape=(size,)))

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
        """Compile the kernels; called before the processes of a graph are started.

        Raises
        ------
        UnsupportedError
            If these models cannot run the definition.
        ValueError
            If the models are not all of one tag, or real numbers are to be sent to the process in
            fixed_pt, or a source or sink was made with another definition or granularity.
        """
        super().prepare(models)
        kinds = {getattr(model, "kind", None) for model in models} & {FLOATING, FIXED}
        if len(kinds) > 1:
            allowed = f"{one_of((FLOATING, FIXED))} for all processes of spikebp_lava"
            raise wrong_argument("the tag of process models", allowed, "both")
        ours = [model for model in models if issubclass(model, (LeafModel, LayerModel))]
        if not ours:
            return
        reason = why_unsupported(
            self.net,
            hierarchical=type(self) not in {model.implements_process for model in ours},
            whole_samples=self._takes_whole_samples,
            resets=has_sender(self.reset_in),
        )
        if reason is not None:
            raise UnsupportedError(f"SpikingMLPProcess cannot run this network: {reason}")
        if ours[0].kind == FIXED:
            check_senders(list(self.in_ports))
        for model in models:
            if issubclass(model, LeafModel) and is_of_kernels(self.net):
                prepare_steps(self.net, model.kind)
            elif issubclass(model, LayerModel):
                prepare_layers(self.net, model.kind)
        # Here, and not in processes that a fault at the start may kill in the middle of it.
        with signals_deferred():
            self.shared.adopt(ours[0].kind)


class LeafModel(
    InSharedMemory,
    PyLoihiProcessModel,  # type: ignore[misc]
    metaclass=ModelOfAnyNetwork,
):
    """The whole network in one process, which calls the step kernels of the compiled core.

    Where a connection is of a kind that they do not compute, the rules of the reference do.
    """

    kind: ClassVar[str]
    number: ClassVar[type]
    optional = r"(weight|spike_count|error)_\d+"
    label_in = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    reset_in = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    spikes_out = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        shared: SharedNetwork = proc_params["shared"]
        net = shared.net
        self._shared = shared
        self._stepper = self._new_stepper()
        self._incoming = Incoming(shared, self)
        self._records = shared.record(False), shared.record(True)
        for l in range(net.n_layers + 1):
            units = shared.units(l)
            self.bind(**{f"spike_count_{l}": self._stepper.sample.spike[units]})
            if l > 0:
                error = self._stepper.sample.error[units]
                self.bind(**{f"weight_{l}": shared.matrix(l), f"error_{l}": error})

    def _new_stepper(self) -> Stepper | StepperByRules:
        shared = self._shared
        if not is_of_kernels(shared.net):
            return StepperByRules(shared)
        bounds = [np.zeros(shared.net.n_layers + 1) for _ in range(3)]
        totals = arrays.Totals(shared.spikes, shared.errors, shared.updates[:1], shared.samples)
        learning = arrays.Learning(*shared.arrays(), *bounds)
        return Stepper(shared.layout, learning, totals)

    def run_spk(self) -> None:
        """Make one step, or the steps of one message."""
        shared, stepper = self._shared, self._stepper
        message = self._incoming.receive()
        moment = message.moment
        is_heard = bool(self.spikes_out.csp_ports)
        counts: Any = stepper.output_counts.copy() if is_heard and not moment.opens else 0
        stepper.show(
            message.x,
            message.y,
            moment,
            int(shared.samples[2]),
            self._records[int(shared.switches.recording[0])],
            shared.row(self.time_step),
            message.n_steps,
        )
        if moment.closes:
            shared.samples += (1, moment.updates, moment.updates)
        if is_heard:
            self.spikes_out.send((stepper.output_counts - counts).astype(np.int64))
        if self.summed_drive_out.csp_ports:
            self.summed_drive_out.send(stepper.summed_drive)


@implements(proc=SpikingMLPProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag(FLOATING)
class LeafModelFloating(LeafModel):
    """The whole network in one process, with doubles: the model that `floating_pt` takes."""

    kind = FLOATING
    number = float
    spikes_in = target_in = LavaPyType(PyInPort.VEC_DENSE, float)
    summed_drive_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=SpikingMLPProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag(FIXED)
class LeafModelFixed(LeafModel):
    """The whole network in one process, with integers: the model that `fixed_pt` takes."""

    kind = FIXED
    number = np.int64
    spikes_in = target_in = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    summed_drive_out = LavaPyType(PyOutPort.VEC_DENSE, np.int64)


@implements(proc=SpikingMLPProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag(FLOATING, FIXED)
class HierarchicalModel(AbstractSubProcessModel):  # type: ignore[misc]
    """One process for each layer, under both tags: the model of ``select_sub_proc_model=True``.

    The layers have ports for their spikes, their errors and their matrices.
    """

    def __init__(self, proc: SpikingMLPProcess) -> None:
        net, shared = proc.net, proc.shared
        L = net.n_layers
        self.layer_0 = below = InputLayer(shared)
        for port in ("spikes_in", "label_in", "target_in", "reset_in"):
            getattr(proc.in_ports, port).connect(getattr(below.in_ports, port))
        proc.vars.spike_count_0.alias(below.vars.spike_count)
        for l in range(1, L + 1):
            layer = OutputLayer(shared, l) if l == L else HiddenLayer(shared, l)
            setattr(self, f"layer_{l}", layer)
            below.out_ports.spikes_out.connect(layer.in_ports.spikes_in)
            self.layer_0.out_ports.control_out.connect(layer.in_ports.control_in)
            if l > 1:
                layer.out_ports.errors_out.connect(below.in_ports.errors_in)
            for name in ("weight", "spike_count", "error"):
                if name != "weight" or shared.has_weights(l):
                    getattr(proc.vars, f"{name}_{l}").alias(getattr(layer.vars, name))
            below = layer
        self.layer_0.out_ports.target_out.connect(below.in_ports.target_in)
        below.out_ports.spikes_out.connect(proc.out_ports.spikes_out)
        below.out_ports.summed_drive_out.connect(proc.out_ports.summed_drive_out)


def class_of_depth(n_layers: int) -> type[SpikingMLPProcess]:
    """Return the class of processes for `n_layers` layers; the first call makes it and its models.

    Class and models get names in this module, where Lava looks for them.
    """
    name = f"SpikingMLPProcess{n_layers}"
    if name not in globals():
        members = {"__module__": __name__, "__doc__": SpikingMLPProcess.__doc__}
        of_depth = {"_of_any_depth": SpikingMLPProcess, **members}
        process = globals()[name] = ProcessOfAnyDepth(name, (SpikingMLPProcess,), of_depth)
        models: tuple[Any, ...] = (LeafModelFloating, LeafModelFixed, HierarchicalModel)
        for model in models:
            of_process = {"implements_process": process, **members, "__doc__": model.__doc__}
            model_name = f"{model.__name__}{n_layers}"
            globals()[model_name] = type(model)(model_name, (model,), of_process)
    found: type[SpikingMLPProcess] = globals()[name]
    return found
