"""Single steps of a sample by Brian2's objects, for streams and for samples that end by a margin.

To prepare a run takes Brian2 a quarter of a second, and a step some milliseconds. So the objects
are prepared once. They are then called as a run calls them, for one step of any sample: all that
lasts from step to step is written into their variables before it, and read from them after it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from brian2 import Clock, Network, ms
from numpy.typing import NDArray

from spikebp_brian2.global_state import borrowed_runtime
from spikebp_brian2.group import ENDLESS, SpikingMLPGroup
from spikebp_brian2.parts import VariableKey
from spikebp_brian2.range_check import prove_range
from spikebp_brian2.rules import has_variable
from spikebp_brian2.variables import learned, read_seen, read_state
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import RealState
from spikebp_plugins.rules.step import SampleState, Step

Array = NDArray[Any]

#: The variables of layers that last for a sample, by field of `SampleState`.
LASTING: Final = {"phi": "potential", "s": "summed_drive", "c": "input_count", "E": "summed_error"}


class StepScript:
    """A network of Brian2 objects that makes single steps, as the functions of the rules do.

    Parameters
    ----------
    net : Definition
        The definition.
    target : {"numpy", "cython"}
        Brian2's code generation target.

    Attributes
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition, target: str) -> None:
        self.net, self._target = net, target
        # Input comes as numbers on the grid.
        as_given = net.replace(input_scale=1 / net.spikes_per_unit)
        with borrowed_runtime(target):
            clock = Clock(dt=1 * ms, name="spikebp_step_clock")
            no_target = np.zeros(net.n_outputs)
            self._mlp = SpikingMLPGroup(
                as_given, target=no_target, clock=clock, name="spikebp_steps"
            )
            self._mlp._define(as_given, ENDLESS)
            network = Network(self._mlp, name="spikebp_step_network")
            network.run(0 * ms, namespace={})  # this prepares all objects
            self._mlp._guard.begin_run()
        self._objects = [one for one in network.sorted_objects if one.active]
        of_schedule = self._mlp.schedule.contained_objects
        self._but_schedule = [one for one in self._objects if one not in of_schedule]
        self._places = _places(net)

    def step(
        self, net: Definition, learning: RealState, sample: SampleState, x: Array, y: Array | None
    ) -> tuple[RealState, SampleState, Step]:
        """Advance a sample by one step, as `rules.step.step` does.

        Raises
        ------
        OverflowError
            If it is not proven that every number stayed in its range.
        """
        given = [x] if y is None else [x, y]
        if sample.t >= ENDLESS or not all(np.isfinite(values).all() for values in given):
            raise OverflowError("a number is beyond those of Brian2's variables")
        L, is_taught = net.n_layers, y is not None
        values: dict[VariableKey, Any] = {
            ("layer_0", "input_value"): x,
            ("schedule", "learning"): is_taught,
            ("schedule", "in_training"): is_taught,  # its potentials are set already
        }
        if is_taught:
            values[f"layer_{L}", "target_value"] = y
        learning, after = self._run(self._objects, learning, sample, values)
        k = tuple(self._counts(l, "spike_count") for l in range(L + 1))
        e = (None, *(self._counts(l, "error") for l in range(1, L + 1))) if is_taught else None
        return learning, after._replace(t=sample.t + 1, shown=sample.t + 1), Step(k, e)

    def close_training(
        self, net: Definition, learning: RealState, sample: SampleState
    ) -> RealState:
        """Return the state after a training sample, as `rules.step.close_training` does.

        Raises
        ------
        OverflowError
            As `step`.
        """
        if net.learning_rule.learns_once:
            # The end of a sample without a step: only what learns at the end has something to do.
            ends = dict.fromkeys([("schedule", "closes_sample"), ("schedule", "in_training")], True)
            learning, _ = self._run(self._but_schedule, learning, sample, ends)
        return learning._replace(samples_seen=learning.samples_seen + 1)

    def _run(
        self,
        objects: list[Any],
        learning: RealState,
        sample: SampleState,
        values: dict[VariableKey, Any],
    ) -> tuple[RealState, SampleState]:
        """Call objects once; return both states after that."""
        net = self._mlp.net
        self._mlp._guard.undo_run()  # all but what follows is as before any step
        values |= learned(net, learning)
        values |= {("schedule", "steps_shown"): sample.t, ("schedule", "sample_over"): False}
        values[f"layer_{net.n_layers}", "target_potential"] = sample.phi_y
        for field, of_layers in self._places.items():
            values |= {place: getattr(sample, field)[l] for l, place in of_layers.items()}
        for (part, name), value in values.items():
            self._mlp.parts[part].variables[name].set_value(value)
        # A value that leaves the range may overflow a double: the check finds it.
        with borrowed_runtime(self._target), np.errstate(over="ignore", invalid="ignore"):
            for one in objects:
                one.run()
        state = read_state(net, self._read)._replace(samples_seen=learning.samples_seen)
        prove_range(net, state, read_seen(net, self._read))
        return state, self._sample_after(sample)

    def _sample_after(self, before: SampleState) -> SampleState:
        phi_y = self._read((f"layer_{self._mlp.net.n_layers}", "target_potential")).copy()
        changed: dict[str, Any] = {"phi_y": phi_y}
        for field, of_layers in self._places.items():
            found = [*getattr(before, field)]
            for l, place in of_layers.items():
                found[l] = self._read(place).astype(found[l].dtype)
            changed[field] = tuple(found)
        return before._replace(**changed)

    def _counts(self, l: int, variable: str) -> NDArray[np.int64]:
        return self._read((f"layer_{l}", variable)).astype(np.int64)

    def _read(self, place: VariableKey) -> Array:
        part, name = place
        values: Array = self._mlp.parts[part].variables[name].get_value()
        return values


def _places(net: Definition) -> dict[str, dict[int, VariableKey]]:
    """Return the variables of what lasts for a sample, by field of `SampleState` and by layer."""
    layers = range(net.n_layers + 1)
    return {
        field: {l: (f"layer_{l}", name) for l in layers if has_variable(net, l, name)}
        for field, name in LASTING.items()
    }
