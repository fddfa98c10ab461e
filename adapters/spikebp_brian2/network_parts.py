"""The parts of a network, made in the order in which a step runs them.

All run in Brian2's slot `thresholds`. With a delay of zero a pathway receives and applies spikes in
the same dt. With pipelined timing all pathways run after the last layer, so that what they carry
acts in the next step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

import numpy as np
from brian2 import Clock, linked_var, ms
from brian2.groups.group import CodeRunner

from spikebp_brian2 import rules
from spikebp_brian2.functions import FUNCTIONS
from spikebp_brian2.parts import PartNeurons, PartSynapses
from spikebp_brian2.rules import SourceExpressions
from spikebp_brian2.wiring import add_numbers, connect, share
from spikebp_plugins.network.connections import DenseConnection, SynapseList
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition


class NetworkParts:
    """The parts of a network.

    Parameters
    ----------
    net : Definition
        The definition.
    clock : Clock
        The clock of all parts.
    order : int
        The order at which a step begins in its slot.
    name : str
        The prefix of the names of the parts.

    Attributes
    ----------
    schedule : NeuronGroup
        One neuron that counts steps and samples.
    layers : list of NeuronGroup
        Layers 0..L.
    kernels : list of NeuronGroup or None
        The weights that synapses into layers 1..L share; None where each has its own.
    rates : list of NeuronGroup
        Where rates depend on squared counts, one neuron for each of layers 1..L, with the rate of
        the weights that lead there; otherwise empty.
    squares : list of Synapses
        Synapses from layers 0..L-1 to these.
    synapses : list of Synapses
        Synapses into layers 1..L.
    arrivals, end : int
        The orders in the slot at which spikes of sources arrive, and at which a step is over.
    """

    def __init__(self, net: Definition, clock: Clock, order: int, name: str) -> None:
        self._net, self._clock, self._name = net, clock, name
        self._order: Iterator[int] = count(order)
        self._postponed: list[Any] = []
        self.arrivals = next(self._order)
        L = net.n_layers
        self.schedule = self._neurons("schedule", 1, rules.schedule_equations(net))
        upper = range(1, L + 1)
        self.kernels = [self._kernel(l) for l in upper]
        self.rates = [self._rate(l) for l in upper if net.learning_rule.reads_squares]
        self.layers = [self._layer(l) for l in range(L + 1)]
        self.squares = [self._square(l) for l, _ in enumerate(self.rates, 1)]
        self.synapses = [self._connect(l) for l in upper]
        self._schedule_code = self._block(self.schedule)
        for l, kernel in enumerate(self.kernels, 1):
            if kernel is not None and rules.has_sample_change(net, l):
                self._block(kernel, rules.KERNEL_CODE)
        self._input_value_code = self._block(self.layers[0])
        # Without an expression there is nothing to run.
        self._input_value_code.generate_empty_code = False
        self._input_code = self._block(self.layers[0])
        self._event(self.layers[0], "spike")
        for l in range(1, L + 1):
            self._pathway(l, "forward")
            if self.rates:  # which sum the squared counts of a layer that has fired in this step
                self._event(self.layers[l - 1], "counted")
                squares = self.squares[l - 1].squares
                squares.when, squares.order = "thresholds", next(self._order)
                self._block(self.rates[l - 1], rules.rate_neuron(net)[1])
            self._output_code = self._block(self.layers[l], rules.forward_code(net, l))
            self._event(self.layers[l], "spike")
        self._event(self.layers[-1], "sample_end")
        self._event(self.layers[-1], "error")
        for l in range(L, 0, -1):
            for name in ("backward",) if net.learning_rule.learns_once else ("backward", "learn"):
                self._pathway(l, name)
            if l > 1:
                self._block(self.layers[l - 1], rules.backward_code(net, l - 1))
                self._event(self.layers[l - 1], "error")
        if net.learning_rule.learns_once:
            for l in upper:
                if not rules.has_constant_weight(net, l):
                    self._event(self.layers[l], "learn")
                    self._pathway(l, "learn")
        for pathway in self._postponed:
            pathway.order = next(self._order)
        self.end = next(self._order)
        self.show(SourceExpressions())
        for part in self.parts.values():
            for runner in part.contained_objects:
                # None of its names is of a user, whom Brian2 would warn of equal names in a script.
                if isinstance(runner, CodeRunner):
                    runner.user_code = runner.user_code or ""

    @property
    def parts(self) -> dict[str, Any]:
        """All parts by name: "schedule", "layer_0", ..., "synapses_1", ..."""
        layers = {f"layer_{l}": layer for l, layer in enumerate(self.layers)}
        kernels = {f"kernel_{l}": one for l, one in enumerate(self.kernels, 1) if one is not None}
        upper = {
            f"{name}_{l}": one
            for name, parts in (
                ("rate", self.rates),
                ("squares", self.squares),
                ("synapses", self.synapses),
            )
            for l, one in enumerate(parts, 1)
        }
        return {"schedule": self.schedule} | layers | kernels | upper

    def show(self, shown: SourceExpressions, of_user: Collection[str | None] = ()) -> None:
        """Set the code of input, label and target, from the next run on.

        Brian2 warns of names in the expressions in `of_user`, which a user wrote, if they stand for
        something in the script too.
        """
        net, L = self._net, self._net.n_layers
        output_code = rules.forward_code(net, L) + rules.target_code(net, shown)
        # Code of a user's runs before the rules, and by itself.
        input_value = "" if shown.in_rows else rules.input_value(shown)
        self._input_code.abstract_code = rules.input_code(net, shown)
        for runner, code, given in (
            (self._schedule_code, rules.schedule_code(net, shown), shown.label),
            (self._input_value_code, input_value, shown.input),
            (self._output_code, output_code, shown.target),
        ):
            runner.abstract_code = code
            runner.user_code = f"_given = {given}" if given in of_user and given else ""

    def _neurons(self, name: str, n: int, code: str, **options: Any) -> PartNeurons:
        return PartNeurons(n, code, **self._of_all_parts(name), **options)

    def _of_all_parts(self, name: str) -> dict[str, Any]:
        """Return the options of all parts."""
        return {
            "dtype": np.float64,  # whatever `prefs.core.default_float_dtype` is
            "clock": self._clock,
            "namespace": dict(FUNCTIONS),
            "name": f"{self._name}_{name}",
        }

    def _layer(self, l: int) -> PartNeurons:
        net, code = self._net, rules.layer_equations(self._net, l)
        events = rules.layer_events(net, l)
        layer = self._neurons(f"layer_{l}", net.layer_sizes[l], code, events=events)
        for name, equation in layer.equations.items():
            if "linked" in equation.flags:
                owner = self.rates[l - 1] if name == "squared_counts" else self.schedule
                setattr(layer, name, linked_var(owner, rules.linked_name(net, l, name)))
        return layer

    def _kernel(self, l: int) -> PartNeurons | None:
        net, connection = self._net, self._net.connections[l - 1]
        if rules.has_own_weights(net, l):
            return None
        n_weights = max(1, math.prod(connection.weight_shape))  # a pool has one, which is constant
        kernel = self._neurons(f"kernel_{l}", n_weights, rules.kernel_equations(net, l))
        if rules.has_sample_change(net, l):
            kernel.opens_sample = linked_var(self.schedule, "opens_sample")
        return kernel

    def _rate(self, l: int) -> PartNeurons:
        rate = self._neurons(f"rate_{l}", 1, rules.rate_neuron(self._net)[0])
        if self._net.learning_rule.limits_gain:
            rate.steps_shown = linked_var(self.schedule, "steps_shown")
        return rate

    def _square(self, l: int) -> PartSynapses:
        """Return the synapses that bring the squared counts of layer l - 1 to rate l."""
        net = self._net
        squares = self._synapses(
            f"squares_{l}",
            self.layers[l - 1],
            self.rates[l - 1],
            on_pre={"squares": rules.SQUARES_CODE.format(count=rules.count_taught(net))},
            on_event={"squares": "counted"},
            delay={"squares": 0 * ms},
        )
        connect(squares, DenseConnection(net.layer_sizes[l - 1], 1))
        add_numbers(squares, "times_met", net.connections[l - 1].times_met)
        return squares

    def _connect(self, l: int) -> PartSynapses:
        net, connection = self._net, self._net.connections[l - 1]
        below, above = rules.pathways(net, l)
        names = (*below, *above)
        synapses = self._synapses(
            f"synapses_{l}",
            self.layers[l - 1],
            self.layers[l],
            rules.synapses_equations(net, l),
            on_pre=below,
            on_post=above,
            on_event={name: rules.event_of_pathway(net, name) for name in names},
            delay=dict.fromkeys(names, 0 * ms),
        )
        connect(synapses, connection)
        if (kernel := self.kernels[l - 1]) is not None:
            assert isinstance(connection, SynapseList)
            share(synapses, kernel, connection.synapses.w)
        if self.rates:
            rate = self.rates[l - 1]
            synapses.variables.add_reference("_own_rate", rate, "own_rate", index="0")
        return synapses

    def _synapses(
        self, name: str, source: PartNeurons, target: PartNeurons, *model: Any, **options: Any
    ) -> PartSynapses:
        return PartSynapses(source, target, *model, **self._of_all_parts(name), **options)

    def _block(self, group: PartNeurons, code: str = "") -> CodeRunner:
        return group.run_regularly(code, when="thresholds", order=next(self._order))

    def _event(self, layer: PartNeurons, event: str) -> None:
        layer.set_event_schedule(event, "thresholds", next(self._order))

    def _pathway(self, l: int, name: str) -> None:
        # Not all synapses have each of them.
        if (pathway := getattr(self.synapses[l - 1], name, None)) is not None:
            pathway.when = "thresholds"
            if not delays_of(self._net).are_zero:
                self._postponed.append(pathway)
            else:
                pathway.order = next(self._order)
