"""The network of Lava's own synapses, which learn as `LearningDense`, with neurons between them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from lava.proc.dense.process import Dense
from numpy.typing import NDArray

from spikebp_lava.incoming import check_senders
from spikebp_lava.memory import FIXED, FLOATING, SharedNetwork
from spikebp_lava.processes.keeper import Keeper
from spikebp_lava.processes.neurons import (
    HiddenNeurons,
    InputNeurons,
    Neurons,
    NeuronsModel,
    OutputNeurons,
)
from spikebp_lava.standard.synapses import KINDS, Synapses
from spikebp_plugins import Checkpoint, SpikingMLP, UnsupportedError
from spikebp_plugins.common.errors import choice, one_of, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import Connection, refused_connections
from spikebp_plugins.network.state import initial_state

#: How transposed matrices follow: they learn the same changes, or are copied after each change.
FOLLOWING: Final = ("learn", "copy")

#: The most units whose weights of 9 bits times payloads of 9 bits fit into Lava's 32-bit sums.
LARGEST_FIXED_LAYER: Final = 2**31 // (256 * 254)


def why_not_of_standard_parts(net: SpikingMLP, tag: str) -> str | None:
    """Return why synapses of Lava's own cannot make up a network, or None if they can."""
    if (reason := refused_connections(net.connections, KINDS)) is not None:
        return reason
    if net.timing != "pipelined":
        return (
            "a spike takes a step through synapses of Lava's own: they know timing='pipelined', "
            f"not timing={net.timing!r}"
        )
    if net.presynaptic != "counts":
        return (
            "the trace of a synapse counts spikes, and does not know the drive, with which "
            f"presynaptic={net.presynaptic!r} teaches"
        )
    if tag == FIXED and net.arithmetic != "loihi2":
        return (
            "synapses of Lava's own hold integers of 9 bits in fixed_pt: they know "
            f"arithmetic='loihi2', not arithmetic={net.arithmetic!r}"
        )
    if tag == FIXED and max(net.layer_sizes) > LARGEST_FIXED_LAYER:
        return (
            f"sums of 32 bits hold the spikes of {LARGEST_FIXED_LAYER} units in fixed_pt, not "
            f"those of {max(net.layer_sizes)}"
        )
    if tag == FLOATING and net.arithmetic in ("float32", "loihi2"):
        return (
            "synapses of Lava's own compute with doubles in floating_pt, and round nothing as "
            f"arithmetic={net.arithmetic!r} does"
        )
    return None


class StandardMLP:
    r"""The network as a graph of Lava's standard synapses, in pipelined timing.

    It is no process, but makes processes and connects them. Connect its ports to processes of yours
    before the first run; a sample takes ``net.n_steps + 2 * L - 1`` steps of Lava.

    Parameters
    ----------
    net : SpikingMLP or Checkpoint
        The definition, with ``timing="pipelined"``, or a definition with what it has learned.
    tag : {"floating_pt", "fixed_pt"}, default="floating_pt"
        The tag of the process models for which the graph is made. "fixed_pt" needs
        ``arithmetic="loihi2"``, and computes what `EngineMLP` does.
    learning : bool, default=True
        Whether to learn from targets; `learning` can be set between runs.
    following : {"learn", "copy"} or None, default=None
        With ``feedback="transpose"``: whether the synapses that lead down learn by themselves what
        the synapses that lead up learn, or are copied from them after every change. None takes
        "learn", and under fixed_pt "copy", since traces have no sign there and errors do.

    Attributes
    ----------
    neurons : list of Neurons
        Layers 0 to L.
    forward : list of LearningDense
        The synapses of :math:`W_1` to :math:`W_L`, behind None at index 0. They hold the learned
        weights, transposed, of shape (n_out, n_in).
    backward : list of LearningDense or Dense
        The synapses of :math:`B_2` to :math:`B_L`, behind None at index 0 and 1.
    keeper : Keeper
        The process that empties traces and copies weights between the synapses' steps.

    Raises
    ------
    UnsupportedError
        If such a graph cannot run the definition; the message says why.
    """

    def __init__(
        self,
        net: SpikingMLP | Checkpoint,
        *,
        tag: str = FLOATING,
        learning: bool = True,
        following: str | None = None,
        n_rows: int = 0,
        input_scale: float | None = None,
    ) -> None:
        checkpoint = net if isinstance(net, Checkpoint) else _untaught(net)
        tag = choice("tag", tag, (FLOATING, FIXED))
        reason = why_not_of_standard_parts(checkpoint.net, tag)
        if reason is not None:
            raise UnsupportedError(f"StandardMLP cannot run this network: {reason}")
        self.net, self.tag = checkpoint.net, tag
        #: Whether to learn from targets, from the next sample on; to be set between runs.
        self.learning = learning
        self.shared = SharedNetwork(self.net, checkpoint.state, n_rows)
        self._following = _settled_following(self.net, tag, following)
        self._synapses = Synapses(self.net, tag)
        messages = self._synapses.messages
        self.keeper = Keeper(self.shared, messages, self._following == "copy", self)
        self.neurons: list[Neurons] = [
            InputNeurons(self.shared, messages, input_scale),
            *(HiddenNeurons(self.shared, messages, l) for l in self._layers[:-1]),
            OutputNeurons(self.shared, messages),
        ]
        self.forward: list[Any] = [None, *map(self._lead_up, self._layers)]
        self.backward: list[Any] = [None, None, *map(self._lead_down, self._layers[1:])]

    @property
    def _layers(self) -> range:
        return range(1, self.net.n_layers + 1)

    def _connection(self, l: int) -> Connection:
        return self.net.connections[l - 1]

    def _lead_up(self, l: int) -> Dense:
        """Return the synapses of W_l, connected."""
        below, above = self.neurons[l - 1 : l + 1]
        weights = self.shared.matrix(l, FLOATING).T
        synapses = self._synapses.that_learn(self._connection(l), weights, f"forward_{l}")
        below.out_ports.spikes_out.connect(synapses.s_in)
        synapses.a_out.connect(above.in_ports.drive_in)
        above.out_ports.factor_out.connect(synapses.s_in_y1)
        self._keep(f"trace_{l}", synapses.x1)
        self._keep(f"weight_{l}", synapses.weights)
        return synapses

    def _lead_down(self, l: int) -> Dense:
        """Return the synapses of B_l, connected."""
        below, above = self.neurons[l - 1 : l + 1]
        synapses = self._fixed_feedback(l) or self._transpose(l)
        above.out_ports.errors_out.connect(synapses.s_in)
        synapses.a_out.connect(below.in_ports.errors_in)
        return synapses

    def _fixed_feedback(self, l: int) -> Dense | None:
        if self.net.feedback == "transpose":
            return None
        weights = self.shared.read().feedback[l - 2].T
        return self._synapses.that_stay(self._connection(l), weights, f"backward_{l}")

    def _transpose(self, l: int) -> Dense:
        weights = self.shared.matrix(l, FLOATING)
        if self._following == "copy":
            copy = self._synapses.that_stay(self._connection(l), weights, f"backward_{l}")
            self._keep(f"back_weight_{l}", copy.weights)
            return copy
        synapses = self._synapses.that_learn_transposed(
            self._connection(l), weights, f"backward_{l}"
        )
        self.neurons[l - 1].out_ports.count_out.connect(synapses.s_in_y1)
        self._keep(f"back_trace_{l}", synapses.x1)
        return synapses

    def _keep(self, port: str, variable: Any) -> None:
        getattr(self.keeper, port).connect_var(variable)

    @property
    def spikes_in(self) -> Any:
        """The port of shape (n_inputs,) for values or, by `input_coding`, signed spike counts."""
        return self.neurons[0].in_ports.spikes_in

    @property
    def label_in(self) -> Any:
        """The port of shape (1,) for the class."""
        return self.neurons[-1].in_ports.label_in

    @property
    def target_in(self) -> Any:
        """The port of shape (n_outputs,) for real targets (in fixed_pt in grid units)."""
        return self.neurons[-1].in_ports.target_in

    @property
    def spikes_out(self) -> Any:
        """The port of shape (n_outputs,) with twice the spikes of the output."""
        return self.neurons[-1].out_ports.spikes_out

    @property
    def summed_drive_out(self) -> Any:
        """The port of shape (n_outputs,) with the output's drive summed over the sample so far."""
        return self.neurons[-1].out_ports.summed_drive_out

    @property
    def s_in(self) -> Any:
        """Another name of `spikes_in`."""
        return self.spikes_in

    @property
    def s_out(self) -> Any:
        """Another name of `spikes_out`."""
        return self.spikes_out

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of :math:`W_1` to :math:`W_L` after the last sample, each of shape (n_in, n_out).

        Under fixed_pt weights may exceed what the definition allows: the engine has one bit more.
        """
        return [np.array(matrix, np.float64) for matrix in self.shared.read().weights]

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state after the last sample, for any back end.

        Under fixed_pt weights saturate at the limits that the definition sets.
        """
        state = self.shared.read()
        weights = tuple(map(arithmetic_of(self.net).round_weights, state.weights))
        return Checkpoint(self.net, state._replace(weights=weights))

    def run(self, condition: Any, run_cfg: Any = None) -> None:
        """Run the graph, as `run` of any of its processes does."""
        self.keeper.run(condition=condition, run_cfg=run_cfg)

    def stop(self) -> None:
        """End the processes of the graph."""
        self.keeper.stop()

    def prepare(self, models: list[type]) -> None:
        """Check that the models have the graph's tag; called before the processes are started."""
        kinds = {model.kind for model in models if issubclass(model, NeuronsModel)}
        if kinds - {self.tag}:
            raise wrong_argument("select_tag", one_of((self.tag,)), repr(*kinds))
        if self.tag == FIXED:
            check_senders((self.spikes_in, self.label_in, self.target_in))

    def begin_run(self) -> None:
        """Remember the state before a run; called when one begins."""
        has_target = any(port.in_connections for port in (self.label_in, self.target_in))
        self.shared.switches.learning[0] = self.learning and has_target
        self._kept = self.shared.kept()

    def undo_run(self) -> None:
        """Return to the state before the run; called when one has failed."""
        for array, before in self._kept:
            array[...] = before


def _settled_following(net: SpikingMLP, tag: str, following: str | None) -> str | None:
    allowed = FOLLOWING if tag == FLOATING else FOLLOWING[1:]
    if following is not None:
        following = choice("following", following, allowed, f"with tag={tag!r}")
    if net.feedback == "random":
        return None
    return following or allowed[0]


def _untaught(net: Any) -> Checkpoint:
    if not isinstance(net, SpikingMLP):
        raise wrong_argument("net", "a SpikingMLP or a Checkpoint", repr(net))
    return Checkpoint(net, initial_state(net))
