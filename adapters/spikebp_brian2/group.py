"""The network as native Brian2 objects, for a user's own script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

import numpy as np
from brian2 import (
    BrianObject,
    Clock,
    Equations,
    NeuronGroup,
    Quantity,
    Synapses,
    get_device,
    get_logger,
    linked_var,
    ms,
    second,
)
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.core.spikesource import SpikeSource
from brian2.devices.device import RuntimeDevice
from brian2.equations.equations import FLOAT
from brian2.groups.group import CodeRunner
from brian2.units.fundamentalunits import have_same_dimensions
from numpy.typing import NDArray

from spikebp_brian2 import rules
from spikebp_brian2.cython_module import SharedModule
from spikebp_brian2.functions import FUNCTIONS
from spikebp_brian2.proof import Seen, allowed_labels, check_on_grid, prove_range
from spikebp_brian2.sources import Source, as_source, deliver, refuse_unit
from spikebp_brian2.variables import (
    Place,
    constants,
    learned,
    read_operations,
    read_seen,
    read_state,
)
from spikebp_plugins import Checkpoint, Operations, SpikingMLP, UnsupportedError
from spikebp_plugins.backends.base import refused_kind
from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import Connection, Dense
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.state import LearningState, initial_state

logger = get_logger(__name__)

#: Samples after which a layer that has never fired is worth a warning.
SILENT_SAMPLES: Final = 100

#: The value of steps_per_sample where only an event ends a sample.
ENDLESS: Final = 2**31 - 1

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


#: Where to set what a user may try to set on the group itself.
PLACES: Final = {
    "input": "input_layer.input_value",
    "input_value": "input_layer.input_value",
    "received_input": "input_layer.received_input",
    "label": "schedule.label",
    "n_steps": "schedule.steps_per_sample",
    "steps_per_sample": "schedule.steps_per_sample",
    "target": "output_layer.target_value",
    "target_value": "output_layer.target_value",
    "received_target": "output_layer.received_target",
    "weights": "synapses[l - 1].weight",
    "weight": "synapses[l - 1].weight",
    "feedback": "synapses[l - 1].backward_weight",
    "backward_weight": "synapses[l - 1].backward_weight",
    "backward_potential": "layers[l].backward_potential",
}

#: Arguments that stay what they were when the group was made.
SETTLED: Final = ("net", "sample_end", "step", "order")

#: What makes the synapses of each kind of connection, in the order of its weights.
KINDS: Final[dict[type[Connection], Callable[[Synapses], None]]] = {Dense: Synapses.connect}


class SpikingMLPGroup(BrianObject):
    r"""A spiking network that learns by backpropagation, made of Brian2 objects.

    A container that goes into a `Network` like any group, and that ``run()`` finds. Its parts are
    a NeuronGroup for each layer, a Synapses for each pair of layers, and a NeuronGroup of one
    neuron, the schedule. A step is one dt or several; within a step the whole wave runs forward and
    backward in the order of docs/semantics.md, in slot ``thresholds``. With
    ``timing="pipelined"`` the wave takes a step from layer to layer instead, and a sample lasts
    ``2*net.n_layers - 1`` steps longer than its input.

    Parameters
    ----------
    net : SpikingMLP or Checkpoint
        The definition, or a definition with what it has learned.
    weights : sequence of array-like of shape (n_in, n_out) or None, default=None
        Initial weights, rounded to the grid; None takes ``net.init_weights()``.
    feedback : sequence of array-like of shape (n_out, n_in) or None, default=None
        Backward weights for ``feedback="random"``; None takes ``net.init_feedback()``.
    input : str, TimedArray, group that spikes, array-like or None, default=None
        What layer 0 receives: an expression (with ``t`` and ``i``, and names of the script), a
        TimedArray of shape (n, n_inputs), a group of n_inputs units each spike of which counts 1,
        or constant values. With None the user sets ``input_layer.input_value``. Synapses of the
        user may add to ``input_layer.received_input``. Values and spikes add up; with
        ``input_coding="values"`` the sum is multiplied by ``net.input_scale``.
    label : str, one-dimensional TimedArray, number or None, default=None
        The class of the sample; below 0 it is not known, and nothing is learned. With None the
        user sets ``schedule.label``, which starts at -1. A label, like a target, is read when
        the output fires: with pipelined timing ``net.n_layers`` steps after the input. A run in
        which another number is learned from raises ValueError at its end.
    target : as `input`, of n_outputs units, default=None
        Real targets instead of a label.
    sample_end : group that spikes or None, default=None
        A spike of any of its units makes the step in which it arrives the last of its sample (with
        pipelined timing, of the sample's input). With None, step ``net.n_steps`` is the last.
    step : Quantity or None, default=None
        The duration of a step, a whole number of dt; None takes one dt. Spikes that arrive during
        a step act at its last dt.
    learning : bool, default=True
        Whether to learn; the attribute `learning` can be set between runs.
    order : int, default=1
        Where the wave begins in slot ``thresholds``. Spikes that a source fires before that, as
        groups do by default (order 0), count in the same dt, all others in the next.
    clock : Clock or None, default=None
        The clock; None takes the default clock.
    name : str, default="spikingmlp*"
        The name of the group, with which the names of its parts begin.

    Attributes
    ----------
    layers : list of NeuronGroup
        Layers 0..L. Events are ``spike`` and, from layer 1 on, ``error``; the output also has
        ``sample_end``. :mod:`spikebp_brian2.rules` states the meaning of each variable.
    synapses : list of Synapses
        Synapses into layers 1..L, with variable ``weight``; index 0 leads into layer 1.
    schedule : NeuronGroup
        One neuron that counts steps and samples.
    parts : dict of str to NeuronGroup or Synapses
        All parts by name: "schedule", "layer_0", ..., "synapses_1", ...

    Raises
    ------
    ValueError
        If an argument is not allowed.
    UnsupportedError
        If the timing or the arithmetic of the definition is not supported here.
    DimensionMismatchError
        If input, label, target, weights or feedback have a unit.
    OverflowError
        If a weight is out of range. A run raises it at its end if a number was out of range, or
        may have been; the network is then as it was before that run. In cpp_standalone `checkpoint`
        raises it.

    Notes
    -----
    A unit may fire several spikes in one step, negative ones in layer 0, and that is one event:
    ``spike_count`` says how many. Synapses to groups of yours must therefore use it,
    ``on_pre="v_post += 0.1*spike_count_pre"``, and not ``"v_post += 0.1"``.

    Examples
    --------
    >>> from brian2 import TimedArray, ms, run
    >>> from spikebp_plugins import SpikingMLP
    >>> patterns = TimedArray([[1, 0, 0.5], [0, 1, 0.5]], dt=1 * ms)
    >>> labels = TimedArray([0, 1], dt=1 * ms)
    >>> mlp = SpikingMLPGroup(SpikingMLP((3, 8, 2)), input=patterns, label=labels)
    >>> run(2 * ms)
    >>> mlp.checkpoint().state.samples_seen
    2
    """

    add_to_magic_network = True
    _is_made = False

    def __init__(
        self,
        net: SpikingMLP | Checkpoint,
        weights: Any = None,
        feedback: Any = None,
        *,
        input: Any = None,  # noqa: A002 (the word that everyone looks for)
        label: Any = None,
        target: Any = None,
        sample_end: SpikeSource | None = None,
        step: Quantity | None = None,
        learning: bool = True,
        order: int = 1,
        clock: Clock | None = None,
        name: str = "spikingmlp*",
    ) -> None:
        state = _starting_state(net, weights, feedback)
        self.net = net.net if isinstance(net, Checkpoint) else net
        if (reason := refused_kind(self.net, rules.TIMINGS, connections=KINDS)) is not None:
            raise UnsupportedError(f"SpikingMLPGroup cannot run this network: {reason}")
        if label is not None and target is not None:
            raise wrong_argument("label", "None where a target is given", repr(label))
        if not (sample_end is None or isinstance(sample_end, SpikeSource)):
            raise wrong_argument("sample_end", "a group that spikes, or None", repr(sample_end))
        order = integer("order", order)
        given = {
            "input": as_source("input", input, self.net.n_inputs),
            "label": as_source("label", label, 1, shared=True),
            "target": as_source("target", target, self.net.n_outputs),
        }
        if (fixed := given["label"].values) is not None and not _is_label(fixed[0], self.net):
            raise wrong_argument("label", allowed_labels(self.net), repr(label))
        super().__init__(clock=clock, name=name)
        self._added: set[str] = set()
        self._step = step
        self._dts_per_step()
        self._device = get_device()
        self._device_arrays = self._device.arrays
        self._by_label = target is None
        self._seen_at_start = state.samples_seen
        self._before_run: list[tuple[Any, NDArray[Any]]] = []
        self._warned = self._checks_itself = False
        self._wave = count(order)
        self._postponed: list[Any] = []
        self._delays = delays_of(self.net)
        self._build(given, sample_end)
        self._set(constants(self.net))
        self._set(learned(state))
        self.schedule.steps_per_sample = self.net.n_steps if sample_end is None else ENDLESS
        self.schedule.sample_over = True
        self.schedule.label = -1
        self.schedule.learning = bool(learning)
        for source, group, variable in (
            (given["input"], self.input_layer, "input_value"),
            (given["label"], self.schedule, "label"),
            (given["target"], self.output_layer, "target_value"),
        ):
            if source.values is not None:
                setattr(group, variable, source.values)
        self._is_made = True

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = name.startswith("_") or hasattr(type(self), name)
        if self._is_made and not (is_own or name in self._added):
            if name in PLACES:
                advice = f"set {PLACES[name]}"
            elif name in SETTLED:
                advice = "it is an argument that is given when the group is made"
            else:
                advice = "variables belong to its parts; add_attribute makes a name of your own"
            raise AttributeError(f"{name!r} of {self.name!r} cannot be set: {advice}")
        super().__setattr__(name, value)

    def add_attribute(self, name: str) -> None:
        """Make an attribute of the user's own, as Brian2's groups do: no other name can be set.

        Parameters
        ----------
        name : str
            The name of the attribute, which is None at first.

        Raises
        ------
        AttributeError
            If the group has an attribute of this name, or one of its parts stands for it.
        """
        if hasattr(self, name) or name in (*PLACES, *SETTLED):
            raise AttributeError(f"{name!r} has a meaning in {self.name!r}; take another name")
        self._added.add(name)
        setattr(self, name, None)

    def _build(self, given: dict[str, Source], sample_end: SpikeSource | None) -> None:
        net, L = self.net, self.net.n_layers
        arrivals, equations = next(self._wave), Equations(rules.schedule_equations(net))
        self.schedule = NeuronGroup(
            1,
            equations,
            dtype=_dtypes(net, equations),
            clock=self.clock,
            namespace=FUNCTIONS | given["label"].namespace,
            name=f"{self.name}_schedule",
        )
        self.layers = [self._layer(l) for l in range(L + 1)]
        self.synapses = [self._connect(l) for l in range(1, L + 1)]
        self.parts: dict[str, Any] = {"schedule": self.schedule}
        self.parts |= {f"layer_{l}": layer for l, layer in enumerate(self.layers)}
        self.parts |= {f"synapses_{l}": synapses for l, synapses in enumerate(self.synapses, 1)}
        self.contained_objects.extend(self.parts.values())
        self.input_layer.namespace |= given["input"].namespace
        self.output_layer.namespace |= given["target"].namespace

        self._block(self.schedule, rules.schedule_code(net, given["label"].code, self._by_label))
        if given["input"].code is not None:
            self._block(self.input_layer, f"input_value = {given['input'].code}")
        self._block(self.input_layer, rules.input_code(net))
        self._event(self.input_layer, "spike")
        for l in range(1, L + 1):
            self._pathway(l, "forward")
            code = rules.forward_code(net, l)
            if l == L:
                code += rules.target_code(net, given["target"].code, self._by_label)
            elif net.backward_init != "carry":
                self._event(self.layers[l], "training_begins", rules.restart_code(net))
            self._block(self.layers[l], code)
            self._event(self.layers[l], "spike")
        self._event(self.output_layer, "sample_end")
        self._event(self.output_layer, "error")
        for l in range(L, 0, -1):
            self._pathway(l, "backward")
            if l > 1:
                self._block(self.layers[l - 1], rules.backward_code(net))
                self._event(self.layers[l - 1], "error")
        if net.update == "outer":
            for l in range(1, L + 1):
                self._event(self.layers[l], "learn")
                self._pathway(l, "learn")
        for pathway in self._postponed:
            pathway.order = next(self._wave)

        for name, layer in (("input", self.input_layer), ("target", self.output_layer)):
            if given[name].spikes is not None:
                self._deliver(given[name].spikes, layer, f"received_{name}", arrivals)
        if sample_end is not None:
            self._deliver(sample_end, self.schedule, "received_ends", arrivals)
        # Not among these: what the user adds to the parts later, which Brian2 compiles as usual.
        self._runners = [
            runner
            for part in self.contained_objects
            for runner in part.contained_objects
            if isinstance(runner, CodeRunner)
        ]

    def _layer(self, l: int) -> NeuronGroup:
        equations = Equations(rules.layer_equations(self.net, l))
        layer = NeuronGroup(
            self.net.layer_sizes[l],
            equations,
            events=rules.layer_events(self.net, l),
            dtype=_dtypes(self.net, equations),
            clock=self.clock,
            namespace=dict(FUNCTIONS),
            name=f"{self.name}_layer_{l}",
        )
        for name, equation in equations.items():
            if "linked" in equation.flags:
                of_schedule = rules.linked_name(self.net, l, name)
                setattr(layer, name, linked_var(self.schedule, of_schedule))
        return layer

    def _connect(self, l: int) -> Synapses:
        equations = Equations(rules.synapses_equations(self.net, l))
        below, above = rules.pathways(self.net, l)
        synapses = Synapses(
            self.layers[l - 1],
            self.layers[l],
            equations,
            on_pre=below,
            on_post=above,
            on_event={"forward": "spike", "backward": "error", "learn": "learn"},
            delay=dict.fromkeys((*below, *above), 0 * ms),
            dtype=_dtypes(self.net, equations),
            clock=self.clock,
            namespace=dict(FUNCTIONS),
            name=f"{self.name}_synapses_{l}",
        )
        if isinstance(self._device, RuntimeDevice):
            # Connecting all to all is quick in NumPy; Cython would compile for it.
            synapses.codeobj_class = NumpyCodeObject
        KINDS[type(self.net.connections[l - 1])](synapses)
        synapses.codeobj_class = None
        return synapses

    # All parts run in the slot `thresholds`, in the order in which the wave reaches them. With a
    # delay of zero a pathway receives and applies spikes in the same dt. With pipelined timing all
    # pathways run after the last layer, so that what they carry acts in the next step.

    def _block(self, group: NeuronGroup, code: str) -> None:
        group.run_regularly(code, when="thresholds", order=next(self._wave))

    def _event(self, layer: NeuronGroup, event: str, code: str | None = None) -> None:
        layer.set_event_schedule(event, "thresholds", next(self._wave))
        if code is not None:
            layer.run_on_event(event, code, "thresholds", next(self._wave))

    def _pathway(self, l: int, name: str) -> None:
        if name in rules.pathways(self.net, l)[0] | rules.pathways(self.net, l)[1]:
            pathway = getattr(self.synapses[l - 1], name)
            pathway.when = "thresholds"
            if not self._delays.are_zero:
                self._postponed.append(pathway)
            else:
                pathway.order = next(self._wave)

    def _deliver(
        self, source: SpikeSource | None, target: NeuronGroup, variable: str, order: int
    ) -> None:
        name = f"{self.name}_{variable}"
        self.contained_objects.append(deliver(name, source, target, variable, order))

    def _set(self, values: Mapping[Place, Any]) -> None:
        for (part, name), value in values.items():
            setattr(self.parts[part], name, value)

    def _read(self, place: Place) -> NDArray[Any]:
        part, name = place
        return np.asarray(getattr(self.parts[part], name)[:])

    @property
    def input_layer(self) -> NeuronGroup:
        """Layer 0."""
        return self.layers[0]

    @property
    def output_layer(self) -> NeuronGroup:
        """Layer L."""
        return self.layers[-1]

    @property
    def learning(self) -> bool:
        """Whether steps with a target learn; to be read and set between runs.

        During a run the variable ``schedule.learning`` does the same.
        """
        return bool(self.schedule.learning[0])

    @learning.setter
    def learning(self, value: bool) -> None:
        self.schedule.learning = bool(value)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the present sample, or of the last one, of shape (n_outputs,)."""
        steps = int(self.schedule.steps_shown[0])
        if (delay := self._delays.spikes[-1]) > 0:
            steps = min(steps, int(self.schedule.steps_taken[0]) - delay)
        return np.asarray(self.output_layer.summed_drive[:], np.float64) / max(1, steps)

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state, to go on from on any back end.

        Raises
        ------
        ValueError
            If a weight or a backward potential is off the grid.
        OverflowError
            If one is out of range, or a number may have left it in a run of cpp_standalone.
        """
        self._check_device()
        state = read_state(self.net, self._read)
        check_on_grid(self.net, state)
        if not isinstance(self._device, RuntimeDevice):
            prove_range(self.net, state, read_seen(self.net, self._read))
            self._warn_of_silence()
        return Checkpoint(self.net, state)

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        return read_operations(self.net, self._read, self._seen_at_start)

    def before_run(self, run_namespace: Any) -> None:
        """Get ready for a run; called by Brian2."""
        self._check_device()
        self.schedule.dts_per_step = self._dts_per_step()
        if isinstance(self._device, RuntimeDevice):
            check_on_grid(self.net, read_state(self.net, self._read))
            self._begin_proof()
            self._before_run = [(array, array.copy()) for array in self.changing_arrays()]
            self._compile_together()
        else:
            # The generated program has to know the pathways of contained synapses.
            contained = [part for part in self.contained_objects if isinstance(part, Synapses)]
            self._device.synapses |= set(contained)
            if not self._checks_itself:
                self._device.insert_code("before_network_run", self._check_in_program())
                self._checks_itself = True
        super().before_run(run_namespace)

    def after_run(self) -> None:
        """Prove that the run was exact and ended on the grid; called by Brian2."""
        super().after_run()
        if not isinstance(self._device, RuntimeDevice):
            return
        try:
            state = read_state(self.net, self._read)
            prove_range(self.net, state, read_seen(self.net, self._read))
            check_on_grid(self.net, state)
        except (OverflowError, ValueError):
            for array, before in self._before_run:
                array[:] = before
            raise
        finally:
            self._before_run = []
        self._warn_of_silence()

    def _check_in_program(self) -> str:
        """Return C++ that checks weights as `check_on_grid` does: only the program has them."""

        def name_of(owner: Any, variable: str) -> str:
            name: str = self._device.get_array_name(owner.variables[variable], False)
            return name

        off_grid = "" if self.net.fraction_bits is None else " || rint(v * units) != v * units"
        checks = [
            f"""
            for (const double v : {name_of(synapses, variable)})
                if (!(fabs(v) < limit){off_grid}) {{
                    std::cerr << "{synapses.name}.{variable} must hold multiples of 1/" << units
                              << " below " << limit << "; got " << v << std::endl;
                    return 2;
                }}"""
            for synapses in self.synapses
            for variable in ("weight", "backward_weight")
            if variable in synapses.variables
        ]
        units, limit = (
            f"{name_of(self.input_layer, variable)}[0]"
            for variable in ("units_per_one", "value_limit")
        )
        return f"{{ const double units = {units}, limit = {limit}; {''.join(checks)} }}"

    def _compile_together(self) -> None:
        uses_cython = self._device.code_object_class() is CythonCodeObject
        chosen = SharedModule().code_object_class if uses_cython else None
        for runner in self._runners:
            runner.codeobj_class = chosen

    def _begin_proof(self) -> None:
        for layer in self.layers:
            for name in Seen._fields:
                if name in layer.variables:
                    setattr(layer, name, 0)

    def changing_arrays(self) -> list[NDArray[Any]]:
        """Return the arrays of all variables that a run may change, in runtime mode.

        All but the numbers of the definition: a function of the user's may change any other.
        """
        return [
            part.variables[name].get_value()
            for part in self.parts.values()
            for name, equation in part.equations.items()
            if not {"linked", "shared"} & set(equation.flags)
        ]

    def _warn_of_silence(self) -> None:
        shown = int(self.schedule.samples_shown[0])
        if self._warned or shown < SILENT_SAMPLES:
            return
        for l, layer in enumerate(self.layers[:-1]):
            if not np.any(layer.spikes_sent[:]):
                self._warned = True
                remedy = "larger input or input_scale" if l == 0 else "larger weights or more steps"
                logger.warn(
                    f"layer {l} of {self.name!r} has fired no spike in {shown} samples, so that "
                    f"nothing reaches the layers above; it may need {remedy}",
                    "silent_layer",
                )
                return

    def _check_device(self) -> None:
        device = get_device()
        if device is not self._device or device.arrays is not self._device_arrays:
            raise RuntimeError(
                f"{self.name!r} belongs to a device that has been changed or reinitialised since "
                "it was made; make it anew"
            )

    def _dts_per_step(self) -> int:
        if self._step is None:
            return 1
        dt = self.clock.dt
        allowed = f"a whole number of dt, which is {dt}"
        is_time = isinstance(self._step, Quantity) and have_same_dimensions(self._step, second)
        if not is_time or np.ndim(self._step) != 0:
            raise wrong_argument("step", "a time, such as 5*ms", repr(self._step))
        ratio = float(self._step) / float(dt)
        if not (round(ratio) >= 1 and abs(ratio - round(ratio)) < 1e-6):
            raise wrong_argument("step", allowed, str(self._step))
        return round(ratio)


def _is_label(value: float, net: SpikingMLP) -> bool:
    return value < 0 or (value < net.n_outputs and value.is_integer())


def _starting_state(net: Any, weights: Any, feedback: Any) -> LearningState:
    if isinstance(net, Checkpoint):
        if weights is not None or feedback is not None:
            raise wrong_argument("weights and feedback", "None with a checkpoint", "matrices")
        return net.state
    if not isinstance(net, SpikingMLP):
        raise wrong_argument("net", "a SpikingMLP or a Checkpoint", repr(net))
    refuse_unit("weights", weights)
    refuse_unit("feedback", feedback)
    return initial_state(net, weights, feedback)


def _dtypes(net: SpikingMLP, equations: Equations) -> dict[str, Any]:
    # Set explicitly, so that `prefs.core.default_float_dtype` has no effect.
    dtype = arithmetic_of(net).dtype
    return {
        name: dtype if name in VALUES else np.dtype(np.float64)
        for name, equation in equations.items()
        if equation.var_type == FLOAT
    }
