"""The parts of a network, made in the order in which the wave of a step reaches them.

All run in Brian2's slot `thresholds`. With a delay of zero a pathway receives and applies spikes in
the same dt. With pipelined timing all pathways run after the last layer, so that what they carry
acts in the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any, Final

import numpy as np
from brian2 import Clock, Equations, Synapses, linked_var, ms
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.devices.device import RuntimeDevice, get_device
from brian2.equations.equations import FLOAT
from brian2.groups.group import CodeRunner

from spikebp_brian2 import rules
from spikebp_brian2.functions import FUNCTIONS
from spikebp_brian2.parts import PartNeurons, PartSynapses
from spikebp_brian2.rules import Shown
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import Connection, DenseConnection
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition

#: Variables in the number type of the definition; all other real ones are doubles.
VALUES: Final = frozenset(
    {
        "potential",
        "drive",
        "teaching",
        "summed_drive",
        "backward_potential",
        "backward_drive",
        "target_potential",
        "weight",
        "backward_weight",
        "update_rate",
    }
)

#: What makes the synapses of each kind of connection, in the order of its weights.
KINDS: Final[dict[type[Connection], Callable[[Synapses], None]]] = {
    DenseConnection: Synapses.connect
}


class Wave:
    """The parts of a network.

    Parameters
    ----------
    net : Definition
        The definition.
    clock : Clock
        The clock of all parts.
    order : int
        Where the wave begins in its slot.
    name : str
        What the names of the parts begin with.

    Attributes
    ----------
    schedule : NeuronGroup
        One neuron that counts steps and samples.
    layers : list of NeuronGroup
        Layers 0..L.
    synapses : list of Synapses
        Synapses into layers 1..L.
    arrivals, end : int
        The orders in the slot at which spikes of sources arrive, and at which the wave is over.
    """

    def __init__(self, net: Definition, clock: Clock, order: int, name: str) -> None:
        self._net, self._clock, self._name = net, clock, name
        self._order: Iterator[int] = count(order)
        self._postponed: list[Any] = []
        self.arrivals = next(self._order)
        L = net.n_layers
        self.schedule = self._neurons("schedule", 1, rules.schedule_equations(net))
        self.layers = [self._layer(l) for l in range(L + 1)]
        self.synapses = [self._connect(l) for l in range(1, L + 1)]
        self._schedule_code = self._block(self.schedule)
        self._input_value_code = self._block(self.layers[0])
        # Without an expression there is nothing to run.
        self._input_value_code.generate_empty_code = False
        self._block(self.layers[0], rules.input_code(net))
        self._event(self.layers[0], "spike")
        for l in range(1, L + 1):
            self._pathway(l, "forward")
            if l < L and net.backward_init != "carry":
                self._event(self.layers[l], "training_begins", rules.restart_code(net))
            self._output_code = self._block(self.layers[l], rules.forward_code(net, l))
            self._event(self.layers[l], "spike")
        self._event(self.layers[-1], "sample_end")
        self._event(self.layers[-1], "error")
        for l in range(L, 0, -1):
            self._pathway(l, "backward")
            if l > 1:
                self._block(self.layers[l - 1], rules.backward_code(net))
                self._event(self.layers[l - 1], "error")
        if net.learns_once:
            for l in range(1, L + 1):
                self._event(self.layers[l], "learn")
                self._pathway(l, "learn")
        for pathway in self._postponed:
            pathway.order = next(self._order)
        self.end = next(self._order)
        self.show(Shown())
        for part in self.parts.values():
            for runner in part.contained_objects:
                # None of its names is of a user, whom Brian2 would warn of equal names in a script.
                if isinstance(runner, CodeRunner):
                    runner.user_code = runner.user_code or ""

    @property
    def parts(self) -> dict[str, Any]:
        """All parts by name: "schedule", "layer_0", ..., "synapses_1", ..."""
        layers = {f"layer_{l}": layer for l, layer in enumerate(self.layers)}
        synapses = {f"synapses_{l}": one for l, one in enumerate(self.synapses, 1)}
        return {"schedule": self.schedule} | layers | synapses

    @property
    def pathways(self) -> list[Any]:
        """All pathways of the synapses."""
        return [
            getattr(synapses, name)
            for l, synapses in enumerate(self.synapses, 1)
            for name in _pathways(self._net, l)
        ]

    def show(self, shown: Shown, of_user: Collection[str | None] = ()) -> None:
        """Take the code that sets input, label and target, from the next run on.

        Brian2 warns of names in the expressions in `of_user`, which a user wrote, if they stand for
        something in the script too.
        """
        net, L = self._net, self._net.n_layers
        output_code = rules.forward_code(net, L) + rules.target_code(net, shown)
        for runner, code, given in (
            (self._schedule_code, rules.schedule_code(net, shown), shown.label),
            (self._input_value_code, rules.input_value_code(shown), shown.input),
            (self._output_code, output_code, shown.target),
        ):
            runner.abstract_code = code
            runner.user_code = f"_given = {given}" if given in of_user and given else ""

    def _neurons(self, name: str, n: int, code: str, **options: Any) -> PartNeurons:
        equations = Equations(code)
        return PartNeurons(
            n,
            equations,
            dtype=_dtypes(self._net, equations),
            clock=self._clock,
            namespace=dict(FUNCTIONS),
            name=f"{self._name}_{name}",
            **options,
        )

    def _layer(self, l: int) -> PartNeurons:
        net, code = self._net, rules.layer_equations(self._net, l)
        events = rules.layer_events(net, l)
        layer = self._neurons(f"layer_{l}", net.layer_sizes[l], code, events=events)
        for name, equation in layer.equations.items():
            if "linked" in equation.flags:
                setattr(layer, name, linked_var(self.schedule, rules.linked_name(net, l, name)))
        return layer

    def _connect(self, l: int) -> PartSynapses:
        equations = Equations(rules.synapses_equations(self._net, l))
        below, above = rules.pathways(self._net, l)
        synapses = PartSynapses(
            self.layers[l - 1],
            self.layers[l],
            equations,
            on_pre=below,
            on_post=above,
            on_event={"forward": "spike", "backward": "error", "learn": "learn"},
            delay=dict.fromkeys((*below, *above), 0 * ms),
            dtype=_dtypes(self._net, equations),
            clock=self._clock,
            namespace=dict(FUNCTIONS),
            name=f"{self._name}_synapses_{l}",
        )
        if isinstance(get_device(), RuntimeDevice):
            # Connecting all to all is quick in NumPy; Cython would compile for it.
            synapses.codeobj_class = NumpyCodeObject
        KINDS[type(self._net.connections[l - 1])](synapses)
        synapses.codeobj_class = None
        return synapses

    def _block(self, group: PartNeurons, code: str = "") -> CodeRunner:
        return group.run_regularly(code, when="thresholds", order=next(self._order))

    def _event(self, layer: PartNeurons, event: str, code: str | None = None) -> None:
        layer.set_event_schedule(event, "thresholds", next(self._order))
        if code is not None:
            layer.run_on_event(event, code, "thresholds", next(self._order))

    def _pathway(self, l: int, name: str) -> None:
        if name in _pathways(self._net, l):
            pathway = getattr(self.synapses[l - 1], name)
            pathway.when = "thresholds"
            if not delays_of(self._net).are_zero:
                self._postponed.append(pathway)
            else:
                pathway.order = next(self._order)


def _pathways(net: Definition, l: int) -> list[str]:
    below, above = rules.pathways(net, l)
    return [*below, *above]


def _dtypes(net: Definition, equations: Equations) -> dict[str, Any]:
    # Set explicitly, so that `prefs.core.default_float_dtype` has no effect.
    dtype = arithmetic_of(net).dtype
    return {
        name: dtype if name in VALUES else np.dtype(np.float64)
        for name, equation in equations.items()
        if equation.var_type == FLOAT
    }
