"""The network of Lava's own synapses, which learn as `LearningDense`, with neurons between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.process import AbstractProcess, LogConfig
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spikebp_lava.agreement import exchange_of, has_sender
from spikebp_lava.memory import FIXED, FLOATING, SharedNetwork
from spikebp_lava.network import NetworkProcess
from spikebp_lava.port_reader import check_senders
from spikebp_lava.processes.neurons import HiddenNeurons, InputNeurons, NeuronsModel, OutputNeurons
from spikebp_lava.processes.weight_manager import WeightManager
from spikebp_lava.runtime import is_started
from spikebp_lava.standard.state import SharedState
from spikebp_lava.support import tag_of_standard_parts, why_not_of_standard_parts
from spikebp_lava.synapses import SynapseFactory
from spikebp_lava.variables import ReadOnlyVar, checked_log_config
from spikebp_plugins import Checkpoint, UnsupportedError
from spikebp_plugins.common.errors import choice, one_of, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import OnGrid, narrowed

#: The ways to update transposed matrices: they learn the same changes, or are copied after each.
FOLLOWING: Final = ("learn", "copy")

#: The ports that the network shares with its layer 0, and with its output.
OF_INPUT: Final = ("spikes_in", "reset_in")
OF_OUTPUT: Final = ("label_in", "target_in")


class StandardMLP(NetworkProcess, AbstractProcess):  # type: ignore[misc]
    r"""The network as a process made of Lava's standard synapses, in pipelined timing.

    A sample takes ``net.n_steps + 2 * L - 1`` steps of Lava. The processes that it consists of are
    made when its graph is, by the first run or by ``create_runtime(run_cfg=...)``, and are found
    in `procs`: ``layer_0`` to ``layer_L``, the synapses ``forward_1`` to ``forward_L`` and
    ``backward_2`` to ``backward_L``, and ``weight_manager``, which empties traces and copies
    weights.

    Parameters
    ----------
    net : Definition or Checkpoint
        The definition, with ``timing="pipelined"``, or a definition with what it has learned.
        With ``arithmetic="loihi2"`` the graph has to be run with the tag fixed_pt, and computes
        with Lava's learning engine; with ``arithmetic="fixed"`` it has to be run with floating_pt.
    weights : sequence of array-like of shape (n_in, n_out) or None, default=None
        Initial weights, rounded to the grid; None takes ``net.init_weights()``.
    feedback : sequence of array-like of shape (n_out, n_in) or None, default=None
        Backward weights for ``feedback="random"``; None takes ``net.init_feedback()``.
    learning : bool, default=True
        Whether to learn from targets, from the next sample on; `learning` can be set between runs.
    following : {"learn", "copy"} or None, default=None
        With ``feedback="transpose"``: whether the synapses that lead down learn by themselves what
        the synapses that lead up learn, or are copied from them after every change. None takes
        "learn", and under fixed_pt "copy", since traces have no sign there and errors do.
    name : str or None, default=None
        The name of the process in Lava.
    log_config : LogConfig or None, default=None
        Options of Lava's logging.

    Attributes
    ----------
    spikes_in : InPort of shape (n_inputs,)
        Values, which are multiplied by ``net.input_factor``; with ``input_coding="spikes"`` signed
        spike counts. Also named `s_in`.
    label_in : InPort of shape (1,)
        The class; below 0 it is not known, and the sample does not learn. It is known at all steps
        of a sample or at none.
    target_in : InPort of shape (n_outputs,)
        Real targets instead of a label, in fixed_pt in units of 2^-f.
    reset_in : InPort of shape (1,)
        A number other than 0 makes this step the last of its sample's input. If the port is not
        connected, that is step ``net.n_steps``.
    spikes_out : OutPort of shape (n_outputs,)
        The spike counts of the output in this step. Also named `s_out`.
    summed_drive_out : OutPort of shape (n_outputs,)
        The drive of the output summed over the sample so far, in fixed_pt in units of 2^-f.
    weight_1, ..., weight_L : Var of shape (n_in, n_out)
        The weights after the last sample, as real numbers; to be read and set between runs.
    forward_weight_1, ..., forward_weight_L : Var of shape (n_out, n_in)
        The matrices that the synapses hold at present, for a Monitor; in fixed_pt in units of
        ``2**weight_exponent``.
    spike_count_0, ..., spike_count_L, error_1, ..., error_L : Var of shape (n_units,)
        The spikes and error spikes of the last step, for a Monitor.
    potential_0, ..., potential_L, summed_drive_1, ..., summed_drive_L, \
            backward_potential_1, ..., backward_potential_(L-1) : Var of shape (n_units,)
        The states after the last step, as real numbers, for a Monitor.

    Raises
    ------
    UnsupportedError
        If such a graph cannot run the definition; the message says why.
    """

    def __init__(
        self,
        net: Definition | Checkpoint,
        *,
        weights: Any = None,
        feedback: Any = None,
        learning: bool = True,
        following: str | None = None,
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        state = self._start_from(net, weights, feedback)
        self.exchange = exchange_of(self.net)
        self.tag = tag_of_standard_parts(self.net)
        reason = why_not_of_standard_parts(self.net)
        if reason is not None:
            raise UnsupportedError(f"StandardMLP cannot run this network: {reason}")
        self._synapses = SynapseFactory(self.net, self.tag)
        self.shared = SharedNetwork(self.net, SharedState(self.net, state))
        self.learning = learning
        super().__init__(
            name=name,
            log_config=checked_log_config(log_config),
            shared=self.shared,
            following=_settled_following(self.net, self.tag, following),
        )
        self._make_ports()
        self._make_variables()
        for l, matrix in enumerate(self.shared.memory.weights, 1):
            held = self._synapses.held(matrix.T)
            setattr(self, f"forward_weight_{l}", ReadOnlyVar(shape=held.shape, init=held))

    def _states_of(self, l: int) -> tuple[str, ...]:
        is_hidden = 0 < l < self.net.n_layers
        return super()._states_of(l) + ("backward_potential",) * is_hidden

    def _weights(self, l: int) -> NDArray[Any]:
        matrix: NDArray[Any] = self.shared.memory.weights[l - 1]
        return matrix

    def _set_weights(self, l: int, values: NDArray[Any], where: Any) -> None:
        """Replace :math:`W_l`, in shared memory and in the synapses that hold it."""
        self._require_settable(f"weight_{l}")
        self._replace_weights(l, values.astype(np.float64), values, where)
        held = self._synapses.held(self.shared.memory.weights[l - 1])
        if not self.runtime:
            getattr(self.vars, f"forward_weight_{l}").init = held.T
            return
        Var.set(getattr(self.procs, f"forward_{l}").weights, held.T)
        if l > 1 and self.net.feedback == "transpose":
            Var.set(getattr(self.procs, f"backward_{l}").weights, held)

    def _require_settable(self, name: str) -> None:
        if self.runtime and not is_started(self.runtime):
            raise RuntimeError(f"{name} can be set before the graph is made, and between runs")

    def _take_rate(self, net: Definition) -> None:
        """Give the synapses of a graph that is made the rule of another rate, if it is another."""
        synapses = SynapseFactory(net, self.tag)
        if self.runtime and synapses.rule != self._synapses.rule:
            self._require_settable("learning_rate")
            for l in range(1, net.n_layers + 1):
                getattr(self.procs, f"forward_{l}").dw.set(synapses.rule)
        self._synapses = synapses
        super()._take_rate(net)

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state after the last whole sample, for any back end.

        Under fixed_pt weights saturate at the limits that the definition sets: the engine has one
        bit more.
        """
        checkpoint = super().checkpoint()
        weights, ends = checkpoint.state.weights, arithmetic_of(self.net).range_of_weights
        held = OnGrid(
            (narrowed(np.clip(W.astype(np.int64), *ends)) for W in weights.units), weights.exponent
        )
        return replace(checkpoint, state=checkpoint.state._replace(weights=held))

    def prepare(self, models: list[type]) -> None:
        """Check that the models have the network's tag; called before processes are started."""
        super().prepare(models)
        kinds = {model.kind for model in models if issubclass(model, NeuronsModel)}
        if kinds - {self.tag}:
            allowed = f"{one_of((self.tag,))} with arithmetic={self.net.arithmetic!r}"
            raise wrong_argument("select_tag", allowed, repr(*kinds))
        if self.tag == FIXED:
            check_senders(list(self.in_ports))


@implements(proc=StandardMLP, protocol=LoihiProtocol)
@requires(CPU)
@tag(FLOATING, FIXED)
class SubStandardMLPModel(AbstractSubProcessModel):  # type: ignore[misc]
    """The parts: neurons of each layer, Lava's own synapses between them, the weight manager."""

    # Every process that is an attribute here becomes a part of the network.
    def __init__(self, proc: StandardMLP) -> None:
        self._net, self._shared, self._synapses = proc.net, proc.shared, proc._synapses
        self._copies = proc.proc_params["following"] == "copy"
        L = self._net.n_layers
        teachers = [port for port in OF_OUTPUT if has_sender(getattr(proc.in_ports, port))]
        if len(teachers) > 1:
            raise ValueError("connect label_in or target_in, not both")
        self._shared.switches.taught[0] = bool(teachers)
        self.weight_manager = WeightManager(self._shared, self._copies)
        self.layer_0 = InputNeurons(self._shared, 0)
        for l in range(1, L):
            setattr(self, f"layer_{l}", HiddenNeurons(self._shared, l))
        setattr(self, f"layer_{L}", OutputNeurons(self._shared, L))
        for l in range(1, L + 1):
            setattr(self, f"forward_{l}", self._lead_up(l))
            if l > 1:
                setattr(self, f"backward_{l}", self._lead_down(l))
        self._lead_out(proc)
        self._alias(proc)

    def _neurons(self, l: int) -> Any:
        return getattr(self, f"layer_{l}")

    def _lead_up(self, l: int) -> Any:
        """Return the synapses of W_l, connected."""
        below, above = self._neurons(l - 1), self._neurons(l)
        weights = self._shared.memory.weights[l - 1]
        synapses = self._synapses.that_learn(weights.T, f"forward_{l}")
        below.out_ports.spikes_out.connect(synapses.s_in)
        synapses.a_out.connect(above.in_ports.drive_in)
        above.out_ports.factor_out.connect(synapses.s_in_y1)
        self._keep(f"trace_{l}", synapses.x1)
        self._keep(f"weight_{l}", synapses.weights)
        return synapses

    def _lead_down(self, l: int) -> Any:
        """Return the synapses of B_l, connected."""
        below, above = self._neurons(l - 1), self._neurons(l)
        synapses = self._that_lead_down(l, below)
        above.out_ports.errors_out.connect(synapses.s_in)
        synapses.a_out.connect(below.in_ports.errors_in)
        return synapses

    def _that_lead_down(self, l: int, below: Any) -> Any:
        name = f"backward_{l}"
        memory = self._shared.memory
        if self._net.feedback == "random":
            return self._synapses.that_stay(memory.feedback[l - 2].T, name)
        weights = memory.weights[l - 1]
        if self._copies:
            copy = self._synapses.that_stay(weights, name)
            self._keep(f"back_weight_{l}", copy.weights)
            return copy
        synapses = self._synapses.that_learn_transposed(weights, name)
        below.out_ports.count_out.connect(synapses.s_in_y1)
        self._keep(f"back_trace_{l}", synapses.x1)
        return synapses

    def _keep(self, port: str, variable: Any) -> None:
        getattr(self.weight_manager, port).connect_var(variable)

    def _lead_out(self, proc: StandardMLP) -> None:
        """Connect the ports of the network with those of its layer 0 and its output."""
        L = self._net.n_layers
        lowest, output = self.layer_0, self._neurons(L)
        for inner, names in ((lowest, OF_INPUT), (output, OF_OUTPUT)):
            for port in names:
                getattr(proc.in_ports, port).connect(getattr(inner.in_ports, port))
        for port in ("spikes_out", "summed_drive_out"):
            getattr(output.out_ports, port).connect(getattr(proc.out_ports, port))
        if has_sender(proc.in_ports.reset_in):
            for part in (*map(self._neurons, range(1, L + 1)), self.weight_manager):
                lowest.out_ports.reset_out.connect(part.in_ports.reset_in)

    def _alias(self, proc: StandardMLP) -> None:
        """Let the variables of the network stand for those of its parts."""
        for l in range(self._net.n_layers + 1):
            for kind in proc._states_of(l):
                getattr(proc.vars, f"{kind}_{l}").alias(getattr(self._neurons(l).vars, kind))
            if l > 0:
                synapses = getattr(self, f"forward_{l}")
                getattr(proc.vars, f"forward_weight_{l}").alias(synapses.weights)
        for port in proc.var_ports:
            if port.var.aliased_var is None:
                allowed = f"'forward_{port.var.name}', which the synapses hold"
                what = "the variable of a RefPort or Monitor"
                raise wrong_argument(what, allowed, repr(port.var.name))


def _settled_following(net: Definition, tag: str, following: str | None) -> str | None:
    allowed = FOLLOWING if tag == FLOATING else FOLLOWING[1:]
    if following is not None:
        following = choice("following", following, allowed, f"with the tag {tag!r}")
    if net.feedback == "random":
        return None
    return following or allowed[0]
