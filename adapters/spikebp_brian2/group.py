"""The network as native Brian2 objects, for a user's own script."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from weakref import proxy, ref

import brian2
import numpy as np
from brian2 import BrianObject, Clock, Quantity, Synapses, get_device
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.core.spikesource import SpikeSource
from brian2.devices.device import RuntimeDevice
from numpy.typing import NDArray

from spikebp_brian2 import rules
from spikebp_brian2.cython_module import SharedModule
from spikebp_brian2.guards import (
    RunGuard,
    check_constants_in_program,
    check_delays_in_program,
    check_values_in_program,
    require_writable,
)
from spikebp_brian2.monitors import monitors_for_trace, recorded, trace_of
from spikebp_brian2.network_parts import NetworkParts
from spikebp_brian2.notices import Notices, drop_zero_delays
from spikebp_brian2.parts import PartNeurons, PartSynapses, VariableKey
from spikebp_brian2.presented_samples import PresentedSamples
from spikebp_brian2.program import ProgramSettings, follow_arguments
from spikebp_brian2.range_check import allowed_labels
from spikebp_brian2.run_progress import RunProgress, is_running, refuse_in_run
from spikebp_brian2.sources import Source, as_source, check_units, deliver, fires_at, refuse_unit
from spikebp_brian2.stored_definition import StoredDefinition, restore_whole_states
from spikebp_brian2.timing import check_times, clock_of_steps, dts_per_step
from spikebp_brian2.variables import (
    STEPS_PER_SAMPLE,
    constants,
    is_half_taught,
    learned,
    placed_weights,
    read_operations,
    read_state_after_last_sample,
    reader,
)
from spikebp_brian2.wiring import KINDS
from spikebp_plugins import Checkpoint, Operations, Trace, UnsupportedError
from spikebp_plugins.backends.base import refused_kind
from spikebp_plugins.common.errors import boolean, integer, wrong_argument
from spikebp_plugins.network.checkpoint import differences, starting_checkpoint
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState, initial_state
from spikebp_plugins.simulation.prediction import PredictsFromCheckpoint

#: The value of steps_per_sample where only an event ends a sample.
ENDLESS: Final = 2**31 - 1

#: The variable with the number of dt of the clock in a step.
DTS_PER_STEP: Final = ("schedule", "dts_per_step")

#: Other attributes that can be set between runs.
LEARNING: Final = ("schedule", "learning")
RECORDING: Final = ("schedule", "recording")

#: Variables that hold what has been learned.
LEARNED: Final = ("weight", "backward_weight", "backward_potential")

#: The advice for attributes of weights.
WEIGHT: Final = "synapses[l - 1].weight, or kernels[l - 1].weight where synapses share weights"
BACKWARD_WEIGHT: Final = WEIGHT.replace(".weight", ".backward_weight")

#: Attributes that the group does not have, and where to find them.
PLACES: Final = {
    "input": "input_layer.input_value",
    "input_value": "input_layer.input_value",
    "received_input": "input_layer.received_input",
    "label": "schedule.label",
    "target": "output_layer.target_value",
    "target_value": "output_layer.target_value",
    "received_target": "output_layer.received_target",
    "weight": WEIGHT,
    "feedback": BACKWARD_WEIGHT,
    "backward_weight": BACKWARD_WEIGHT,
    "backward_potential": "layers[l].backward_potential",
}

#: Attributes that Brian2's monitors and synapses expect of a group of neurons.
OF_NEURONS: Final = ("events", "spikes", "variables", "thresholder", "start", "stop", "N")

#: Arguments that cannot be changed after the group was made.
SETTLED: Final = ("net", "sample_end", "step", "order")

#: The folders whose code no user wrote.
NOT_OF_USER: Final = tuple(
    f"{Path(module).parent}{os.sep}" for module in (brian2.__file__, __file__)
)


class SpikingMLPGroup(StoredDefinition, PredictsFromCheckpoint, BrianObject, SpikeSource):
    r"""A spiking network that learns by backpropagation, made of Brian2 objects.

    A container that goes into a `Network` like any group, and that ``run()`` finds. Its parts are
    a NeuronGroup for each layer, a Synapses for each connection, with a NeuronGroup for its weights
    if synapses share them, and a NeuronGroup of one neuron, the schedule. A step is one dt or
    several; within a step the whole network runs forward and backward in the order of
    docs/semantics.md, in slot ``thresholds``. With ``timing="pipelined"`` spikes and errors take
    a step from layer to layer instead, and a sample lasts ``2*net.n_layers - 1`` steps longer than
    its input.

    Parameters
    ----------
    net : Definition or Checkpoint
        The definition, or a definition with what it has learned.
    weights : sequence of array-like or None, default=None
        Initial weights in the shapes ``net.weight_shapes``, rounded to the grid; None takes
        ``net.init_weights()``.
    feedback : sequence of array-like or None, default=None
        Backward weights for ``feedback="random"``, of shape (n_out, n_in) for a dense connection,
        else of the shape of its weights; None takes ``net.init_feedback()``.
    input : str, TimedArray, group that spikes, (group, str), array-like or None, default=None
        The input of layer 0: an expression (with ``t`` and ``i``, and names of the script), a
        TimedArray of shape (n, n_inputs), a group of n_inputs units, or constant values. An event
        of a group counts as 1, or as its ``spike_count`` if it is a layer of another network; with
        ``(group, "n")`` as n, a variable of the group. With None the user sets
        ``input_layer.input_value``, or presents samples. Synapses of the user may add to
        ``input_layer.received_input``. Values and spikes add up; with
        ``input_coding="values"`` the sum is multiplied by ``net.input_factor``.
    label : str, one-dimensional TimedArray, number or None, default=None
        The class of the sample, which asks for ``net.label_targets``; below 0 it is not known, and
        nothing is learned. With None the user sets ``schedule.label``, which starts at -1. A label,
        like a target, is read when the output fires: with pipelined timing ``net.n_layers`` steps
        after the input. A run in which another number is learned from raises ValueError at its end.
    target : as `input`, of n_outputs units, default=None
        Real targets instead of a label.
    sample_end : group that spikes or None, default=None
        An event of any of its units makes the step in which it arrives the last of its sample, even
        if its ``spike_count`` is below 0 (with pipelined timing, the last of the sample's input).
        With None, step ``net.n_steps`` is the last.
    step : Quantity or None, default=None
        The duration of a step, a whole number of dt; None takes one dt. Steps have a clock of their
        own, and are computed at their first dt, unless `clock` or `dt` is given, or a group spikes
        during a step: then at their last dt, when all spikes are there.
    learning : bool, default=True
        Whether to learn; the attribute `learning` can be set between runs.
    order : int, default=1
        The order at which a step begins in slot ``thresholds``. Spikes that a source fires before
        that, as groups do by default (order 0), count in the same dt, all others in the next.
    dt : Quantity or None, default=None
        The dt of the network, for which it gets a clock. Spikes that arrive between two ticks of
        this clock count at the second.
    clock : Clock or None, default=None
        The clock; None takes the default clock, or that of the steps.
    name : str, default="spikingmlp*"
        The name of the group, with which the names of its parts begin.

    Attributes
    ----------
    layers : list of NeuronGroup
        Layers 0..L. Events are ``spike`` and, from layer 1 on, ``error``; the output also has
        ``sample_end``. ``help(spikebp_brian2)`` states the meaning of each variable.
    synapses : list of Synapses
        Synapses into layers 1..L, with variable ``weight``; index 0 leads into layer 1.
    kernels : list of NeuronGroup or None
        For each of these the group with the ``weight`` of each of the weights that the synapses
        share, to be set there; None where each synapse has its own.
    schedule : NeuronGroup
        One neuron that counts steps and samples.
    parts : dict of str to NeuronGroup or Synapses
        All parts by name: "schedule", "layer_0", ..., "synapses_1", ...
    constants : dict of tuple of str to float
        The numbers of the definition and of the step, by part and variable. They cannot be set.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    UnsupportedError
        If the definition asks for what is not supported here.
    DimensionMismatchError
        If input, label, target, weights or feedback have a unit.
    OverflowError
        If a weight is out of range. A run raises it at its end if a number was out of range, or
        may have been; the network is then as it was before that run. In cpp_standalone `checkpoint`
        raises it.
    RuntimeError
        A run raises it before it begins if parts of the network are in it without the network.

    Notes
    -----
    A unit may fire several spikes in one step, negative ones in layer 0, and that is one event:
    ``spike_count`` says how many. Synapses to groups of yours must therefore use it,
    ``on_pre="v_post += 0.1*spike_count_pre"``, and not ``"v_post += 0.1"``.

    Examples
    --------
    >>> from brian2 import run
    >>> from spikebp_plugins import SpikingMLP
    >>> mlp = SpikingMLPGroup(SpikingMLP((3, 8, 2)))
    >>> run(mlp.present([[1, 0, 0.5], [0, 1, 0.5]], [0, 1]))
    >>> mlp.checkpoint().state.samples_seen
    2
    """

    add_to_magic_network = True
    #: Whether a program serves all definitions with the same code. Otherwise it compares numbers
    #: that it is given with those of one definition.
    takes_constants = False
    _is_made = False

    def __init__(
        self,
        net: Definition | Checkpoint,
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
        dt: Quantity | None = None,
        clock: Clock | None = None,
        name: str = "spikingmlp*",
    ) -> None:
        refuse_unit("weights", weights)
        refuse_unit("feedback", feedback)
        start = starting_checkpoint(net, weights, feedback)
        self.net, self._input_is_scaled = start.net, start.input_is_scaled
        if (reason := refused_kind(self.net, rules.CHOICES, KINDS)) is not None:
            raise UnsupportedError(f"SpikingMLPGroup cannot run this network: {reason}")
        order, learning = integer("order", order), boolean("learning", learning)
        given = _sources_of(self.net, input, label, target, sample_end)
        check_times(step, dt, clock)
        dts_per_step(step, dt if dt is not None else (clock or get_device().defaultclock).dt)
        # Before its parts, which it admits to a run.
        super().__init__(dt=dt, clock=clock, order=-1, name=name)
        self._step, self._by_label = step, target is None
        self.ends_by_event = sample_end is not None
        spiking = [source.spikes for source in given.values() if source.spikes is not None]
        base = self.clock
        if dt is None and clock is None:
            # Each tick is a step, in which the clock of the script may tick several times.
            self._clock = clock_of_steps(step, base, spiking, f"{self.name}_clock")
        self.has_own_clock = self.clock is not base
        self._prepare_runs()
        made = NetworkParts(self.net, self.clock, order, self.name)
        self.schedule, self.layers, self.parts = made.schedule, made.layers, made.parts
        self.synapses, self.kernels = made.synapses, made.kernels
        self.contained_objects.extend(self.parts.values())
        self.schedule.sample_over = self.schedule.recording = True
        self.schedule.label, self.schedule.learning = -1, learning
        self._receive(made, given)
        self._set_constants()
        self.begin(start.state)
        self._name_line_of_user()
        drop_zero_delays()
        restore_whole_states()
        self._presented = PresentedSamples(self.net, made, self.clock, self.name, self._is_runtime)
        # These do not keep the network alive.
        self._settings, self._notices = ProgramSettings(proxy(self)), Notices(proxy(self))
        self._is_made = True

    def _prepare_runs(self) -> None:
        """Set the state of the group itself before the first run."""
        self.device = get_device()
        self._device_arrays = self.device.arrays
        self._is_runtime = isinstance(self.device, RuntimeDevice)
        self._recording, self._checks_itself = True, False
        self._added: set[str] = set()
        self._awaited: set[str] = set()
        self._run_proven = 0
        self._monitors: list[Any] = []
        self._expressions: dict[str, tuple[str, PartNeurons]] = {}
        self._delays = delays_of(self.net)

    def _set_constants(self) -> None:
        """Set the numbers of the definition and of the step, which a user cannot set."""
        self.constants = constants(self.net, ENDLESS if self.ends_by_event else self.net.n_steps)
        self._set(self.constants)
        self._set_dts_per_step()
        for part, variable in self.constants:
            # In cpp_standalone Brian2 reads no read-only variables from the results of a program.
            self.parts[part].variables[variable].read_only = self._is_runtime

    def _receive(self, made: NetworkParts, given: dict[str, Source]) -> None:
        """Make the parts read their input, labels and targets; then all parts are there."""
        self._timed = {name: one.timed for name, one in given.items() if one.timed is not None}
        codes = (given["input"].code, given["label"].code, given["target"].code)
        of_user = [source.code for source in given.values() if source.timed is None]
        made.show(rules.SourceExpressions(*codes, by_label=self._by_label), of_user)
        self._deliveries: list[PartSynapses] = []
        sources = []
        for name, part, value, received in (
            ("input", self.input_layer, "input_value", "received_input"),
            ("label", self.schedule, "label", ""),
            ("target", self.output_layer, "target_value", "received_target"),
            ("sample_end", self.schedule, "", "received_ends"),
        ):
            source = given[name]
            part.namespace |= source.namespace
            if source.code is not None:
                self._expressions[name] = source.code, part
            if source.values is not None:
                setattr(part, value, source.values)
            if source.spikes is not None:
                place = f"{self.name}_{received}", source, part, received
                self._deliveries.append(deliver(*place, made.end, made.arrivals))
                sources.append((source.spikes, *fires_at(source.spikes)))
        self.contained_objects.extend(self._deliveries)
        clocks = [source.clock for source, *_ in sources]
        self._progress = RunProgress(self.clock, clocks, made.arrivals - 1, made.end, self.name)
        self.contained_objects.extend(self._progress.marks)
        self._guard = RunGuard(proxy(self), self._deliveries, sources)
        for part in self.contained_objects:
            part.group = ref(self)

    def _name_line_of_user(self) -> None:
        """Set the line of the user's script that Brian2's messages about the parts name."""
        frames = [
            frame
            for frame in traceback.extract_stack()
            if not frame.filename.startswith(NOT_OF_USER)
        ]
        lines = [
            f"  File '{f.filename}', line {f.lineno}, in {f.name}\n    {f.line}" for f in frames
        ]
        parts = self.contained_objects
        for one in (self, *parts, *(runner for part in parts for runner in part.contained_objects)):
            one._creation_stack = lines[-1] if lines else one._creation_stack
            one._full_creation_stack = "\n".join(["", *lines])

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = name.startswith("_") or hasattr(type(self), name)
        if self._is_made and not (is_own or name in self._added):
            if name in PLACES:
                advice = f"set {PLACES[name]}"
            elif name in SETTLED:
                advice = "it is an argument that is given when the group is made"
            elif hasattr(self.net, name):
                advice = "it is of the definition, with which the group is made"
            else:
                advice = "variables belong to its parts; add_attribute makes a name of your own"
            raise AttributeError(f"{name!r} of {self.name!r} cannot be set: {advice}")
        if self._is_made and name == "active":
            self.check_not_built()
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        # Called for what the group does not have.
        if name in PLACES:
            raise AttributeError(f"{name!r} of {self.name!r} is {PLACES[name]}")
        if name in OF_NEURONS:
            raise AttributeError(self._is_no_layer())
        if hasattr(self.__dict__.get("net"), name):
            raise AttributeError(f"{name!r} of {self.name!r} is net.{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # A SpikeSource, like any group that can be monitored: so monitors ask for its events or length,
    # and are told where to find these.

    def __len__(self) -> int:
        raise TypeError(self._is_no_layer())

    def __bool__(self) -> bool:
        return True

    def _is_no_layer(self) -> str:
        return (
            f"{self.name!r} is a network and no group of neurons: take one of its layers, "
            "mlp.layers[l]"
        )

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

    def _set(self, values: Mapping[VariableKey, Any]) -> None:
        for (part, name), value in values.items():
            setattr(self.parts[part], name, value)

    @property
    def input_layer(self) -> PartNeurons:
        """Layer 0."""
        return self.layers[0]

    @property
    def output_layer(self) -> PartNeurons:
        """Layer L."""
        return self.layers[-1]

    @property
    def learning(self) -> bool:
        """Whether steps with a target learn, from the next step on."""
        value = self._settings.get(LEARNING)
        return bool(self.schedule.learning[0] if value is None else value)

    @learning.setter
    def learning(self, value: bool) -> None:
        self._settings.change({LEARNING: boolean("learning", value)})

    @property
    def learning_rate(self) -> float:
        """The learning rate of the definition, to be read and set between runs.

        The grid of the weights stays what it is.

        Raises
        ------
        ValueError
            If the rate is not allowed, or rounds to zero on the grid.
        RuntimeError
            If a run is under way.
        """
        return self.net.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        refuse_in_run(self, f"the learning rate of {self.name!r} is set between runs")
        self.check_finished()
        bits = self.net.fraction_bits
        net = self.net.replace(learning_rate=value, fraction_bits=bits)
        self._define(net, self.constants[STEPS_PER_SAMPLE])

    def _define(self, net: Definition, steps_per_sample: float) -> None:
        """Take a definition with another learning rate, and how many steps a sample takes."""
        found = constants(net, steps_per_sample)
        new = {place: value for place, value in found.items() if value != self.constants[place]}
        self.__dict__["net"] = net
        self.constants.update(new)
        if new:
            self._settings.change(new)

    @property
    def recording(self) -> bool:
        """Whether the monitors of `record` record, from the next run on."""
        return self._recording

    @recording.setter
    def recording(self, value: bool) -> None:
        self._recording = boolean("recording", value)
        self._settings.change({RECORDING: self._recording})
        for monitor in self._monitors:
            # A program decides by the variable, so that it need not be built again.
            monitor.active = self._recording or not self._is_runtime

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """The weights W_1..W_L of `checkpoint`, as `net.weight_shapes` says; set between samples.

        With ``update="fractional"`` the present ones, ``synapses[l - 1].weight``, hold what a
        sample has taught so far that is not over. Values that are set are rounded to the grid.
        Arrays that are read are read-only, since to write into them would change nothing.

        Raises
        ------
        RuntimeError
            If they are set in a run, or in the middle of a sample that has had a target.
        ValueError
            If there is not one array of real numbers of the right shape for each connection.
        OverflowError
            If a weight is out of range.
        DimensionMismatchError
            If weights have a unit.
        """
        self._check_results()
        found = tuple(read_state_after_last_sample(self.net, reader(self)).weights)
        for matrix in found:
            matrix.flags.writeable = False
        return found

    @weights.setter
    def weights(self, value: Any) -> None:
        if value is None:
            raise wrong_argument("weights", "an array for each connection", "None")
        refuse_unit("weights", value)
        self._set(placed_weights(self.net, initial_state(self.net, value).weights))

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the present sample, or of the last one, of shape (n_outputs,)."""
        self._check_built("scores")
        self._check_results()
        steps = int(self.schedule.steps_shown[0])
        if (delay := self._delays.spikes[-1]) > 0:
            steps = min(steps, int(self.schedule.steps_taken[0]) - delay)
        return np.asarray(self.output_layer.summed_drive[:], np.float64) / max(1, steps)

    @property
    def operations(self) -> Operations:
        """Synaptic operations since the start; `samples` are those that have ended."""
        self._check_built("operations")
        self._check_results()
        return read_operations(self.net, reader(self), self._seen_at_start)

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state, from which any back end can continue.

        The state is that after the last sample that is over, whatever has ended the run: of a
        sample that is half shown it holds nothing.

        Raises
        ------
        ValueError
            If a weight or a backward potential is off the grid.
        OverflowError
            If one is out of range, or a number may have left it in a run of cpp_standalone.
        RuntimeError
            If samples were presented, or weights set, in the middle of a sample in a run of
            cpp_standalone.
        """
        self._check_device()
        self._check_results()
        self._guard.check_state()
        if not self._is_runtime:
            if self.schedule.interrupted[0]:
                raise RuntimeError(
                    f"samples were presented to {self.name!r}, or what it has learned was set, in "
                    "the middle of a sample"
                )
            self._notices.of_silence()
        state = read_state_after_last_sample(self.net, reader(self)).on_grid(self.net)
        return Checkpoint(self.net, state, input_is_scaled=self._input_is_scaled)

    def begin(self, state: LearningState) -> None:
        """Take over the learning state of another network of the same definition.

        Parameters
        ----------
        state : LearningState
            Its weights, backward potentials and feedback, on the grid, and samples seen.

        Raises
        ------
        RuntimeError
            If a program is built: `run_args` takes a checkpoint. If a run is under way, or a sample
            that has had a target is not over.
        """
        self._check_between_samples("what it has learned")
        self._set(learned(self.net, state))
        self._seen_at_start = state.samples_seen

    def present(self, x: Any, y: Any = None, *, n_steps: int | None = None) -> Quantity | None:
        """Show samples from the next run on, each for as many steps as the timing needs.

        They take the place of the values and expressions of `input`, `label` and `target`, and of
        TimedArrays; spikes that arrive still add up with them. Once the samples are over the input
        is 0, and nothing is learned.
        A program that is built takes others too, if it presents samples before its first run and
        none after it: that run then takes as long as these.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
            Input.
        y : array-like or None, default=None
            Integer labels of shape (n_samples,), or reals of shape (n_samples, n_outputs) or
            (n_samples, n_steps, n_outputs). With None nothing is learned.
        n_steps : int or None, default=None
            Steps for which to show each sample, without targets; None takes those of the
            definition.

        Returns
        -------
        Quantity or None
            The duration of the samples, for ``run(mlp.present(x, y))``. None if `sample_end` ends
            them.

        Raises
        ------
        ValueError
            If a shape, a type or a value is not allowed.
        DimensionMismatchError
            If samples or targets have a unit.
        RuntimeError
            If a sample is half shown; in cpp_standalone between runs, `checkpoint` raises it. If a
            run is under way, or a program is built that takes no other samples.
        """
        self._check_device()
        refuse_in_run(
            self,
            f"samples are presented to {self.name!r} between runs; within a run set "
            "mlp.input_layer.input_value and mlp.schedule.label, or give TimedArrays as its input "
            "and label",
        )
        self.check_finished()
        presented = self._presented
        batch = presented.checked(x, y, n_steps)
        if self._settings.is_built:
            built = self.constants[STEPS_PER_SAMPLE]
            if batch.n_steps != built and not self.takes_constants:
                raise wrong_argument("n_steps", f"those of the program, {built}", repr(n_steps))
            values = presented.present_to_program(batch, Path(self.device.project_dir))
        else:
            values = presented.present(batch)
            self._timed, self._expressions = {}, {}
        if not self.ends_by_event:
            values[STEPS_PER_SAMPLE] = batch.n_steps
            self.constants[STEPS_PER_SAMPLE] = batch.n_steps
        self._settings.change(values)
        steps = len(batch) * self._delays.duration(batch.n_steps)
        return None if self.ends_by_event else steps * self._duration_of_step()

    def run_args(self, checkpoint: Checkpoint | None = None) -> dict[Any, Any]:
        """Return the arguments of the next run of a built program.

        ``device.run(run_args=mlp.run_args())`` goes on from what the last run has learned, with
        the samples, `learning`, `learning_rate` and `recording` that were set since; nothing is
        compiled for that. A program without a run begins as it was built.

        Parameters
        ----------
        checkpoint : Checkpoint or None, default=None
            The state to begin with instead.

        Returns
        -------
        dict of VariableView to array-like

        Raises
        ------
        ValueError
            If the checkpoint is of another definition.
        RuntimeError
            If no program is built.
        """
        if not self._settings.is_built:
            raise RuntimeError(f"the program of {self.name!r} is not built, and has no arguments")
        if checkpoint is not None and checkpoint.net != self.net:
            changes = differences(checkpoint.net, self.net)
            raise wrong_argument("checkpoint", f"of the definition of {self.name!r}", changes)
        if checkpoint is None and self.device.has_been_run:
            checkpoint = self.checkpoint()
        if checkpoint is not None:
            self._seen_at_start = self._presented.seen_before = checkpoint.state.samples_seen
        return self._settings.arguments(None if checkpoint is None else checkpoint.state)

    def counts(self, monitor: Any) -> NDArray[np.int64]:
        """Return the spikes that a monitor has recorded, by sample and step.

        Parameters
        ----------
        monitor : SpikeMonitor
            ``SpikeMonitor(mlp.layers[l], variables=["spike_count"])``, or one of some of its
            units, ``mlp.layers[l][a:b]``.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_units)
            Signed spike counts of the samples that have ended since they were presented, or since
            the start. Steps are those of the input, also with pipelined timing.

        Raises
        ------
        ValueError
            If this is no such monitor, or it has missed some of the spikes.
        RuntimeError
            If the samples cannot be told apart by their times, because some did not take
            ``net.n_steps`` steps.
        """
        self._check_results()
        return recorded(self, self._presented, monitor, "spike")

    def errors(self, monitor: Any) -> NDArray[np.int64]:
        """Return the errors that a monitor has recorded, by sample and step.

        Parameters
        ----------
        monitor : EventMonitor
            ``EventMonitor(mlp.layers[l], "error", variables=["error"])``.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_units)
            Signed error counts, by samples and steps as in `counts`.

        Raises
        ------
        ValueError, RuntimeError
            As `counts`.
        """
        self._check_results()
        return recorded(self, self._presented, monitor, "error")

    def record(self) -> list[Any]:
        """Make the monitors that `trace` needs; they run with the network.

        Returns
        -------
        list of EventMonitor and StateMonitor
            Of the spikes of layers 0..L, the errors of layers 1..L, and the summed drive of the
            output.
        """
        self.check_not_built()
        if not self._monitors:
            self._monitors = monitors_for_trace(self)
            self.contained_objects.extend(self._monitors)
            self.recording = self._recording
        return list(self._monitors)

    def trace(self, *monitors: Any) -> Trace:
        """Return the trace of all samples, in the form in which back ends are compared.

        Parameters
        ----------
        *monitors : EventMonitor and StateMonitor
            Monitors of all layers; without them those of `record`.

        Returns
        -------
        Trace
            Of the samples that have ended since they were presented, or since the start;
            ``Trace.diff`` finds where it differs from another.

        Raises
        ------
        ValueError, RuntimeError
            As `counts`.
        """
        self._check_results()
        return trace_of(self, self._presented, list(monitors) or self._monitors)

    def before_run(self, run_namespace: Any) -> None:
        """Get ready for a run; called by Brian2."""
        self._check_device()
        self.check_not_built()
        self._finish_run()
        self._progress.refuse_repetition(self.name)
        end = float(self.clock._i_end * self.clock.dt_)
        self._guard.check_script(end)
        for name, (code, part) in self._expressions.items():
            check_units(name, code, part, run_namespace)
        self._set_dts_per_step()
        self._notices.of_times(self._timed, self._duration_of_step(), end)
        self._presented.before_run()
        if self._is_runtime:
            self._presented.require()
            self._guard.begin_run()
            self._compile_together()
            self._progress.begin_run()
        else:
            self._write_checks()
        self._awaited = {part.name for part in (*self.parts.values(), *self._deliveries)}
        super().before_run(run_namespace)

    def _write_checks(self) -> None:
        """Make the program check its constants and delays at its start, its values at each run."""
        # The generated program has to know the pathways of contained synapses.
        self.device.synapses |= {
            part for part in self.contained_objects if isinstance(part, Synapses)
        }
        if not self._checks_itself:
            if not self.device.run_args_applied:
                self.device.apply_run_args()
            self.device.insert_code("before_network_run", check_values_in_program(self))
            self._checks_itself = True
        self.device.insert_code("main", check_delays_in_program(self, self._guard.places))
        if not self.takes_constants:
            check = check_constants_in_program(self, self.constants)
            self.device.insert_code("main", check)

    def _set_dts_per_step(self) -> None:
        """Set the number of dt per step, which follows the dt that the clock has in the run."""
        part, name = DTS_PER_STEP
        now, variable = dts_per_step(self._step, self.clock.dt), self.parts[part].variables[name]
        if self._is_made and now != (before := self._dts_of_step_under_way(now)):
            raise ValueError(
                f"the dt of {self.name!r} must stay as it is until the present step is over, which "
                f"takes {before} dt; at a dt of {self.clock.dt} it would take {now}"
            )
        self.constants[DTS_PER_STEP] = now
        variable.set_value(now)

    def _dts_of_step_under_way(self, otherwise: int) -> int:
        """Return the number of dt of a step of which some have passed, or in a program may have."""
        if not self._is_runtime:
            return int(self.constants[DTS_PER_STEP]) if self._presented.has_run else otherwise
        per_step, waited = (
            int(self.schedule.variables[name].get_value()[0])
            for name in ("dts_per_step", "dts_waited")
        )
        return per_step if waited else otherwise

    def admit(self, part: BrianObject) -> None:
        """Admit a part to a run; called by the part before the run.

        Raises
        ------
        RuntimeError
            If the network itself is not in that run.
        """
        if part.name not in self._awaited:
            raise RuntimeError(
                f"{part.name!r} runs with the whole of its network alone: give Network(...) "
                f"{self.name!r} itself, and keep it in sight of run()"
            )
        self._awaited.discard(part.name)

    def after_run(self) -> None:
        """Prove that the run was exact and ended on the grid; called by Brian2."""
        super().after_run()
        if not self._is_runtime:
            follow_arguments(self, self._presented, self._monitors)
            self._settings.constants = self.constants.copy()
            return
        self._progress.end_run()
        self._end_run()
        self._notices.of_silence()
        self._notices.of_nothing(self._presented)

    def _end_run(self) -> None:
        try:
            self._guard.end_run()
        finally:
            # A stored state may be of a run at another dt.
            self.constants.pop(DTS_PER_STEP, None)

    def _finish_run(self) -> None:
        """Check what a run has done that an error has ended, or undo it."""
        if not self._progress.is_open:
            return
        if not self._progress.is_in_step:
            self._progress.is_open = False
            self._end_run()
            return
        self.drop_run()
        self._notices.of_undone_run(int(self.clock.variables["timestep"].get_value()[0]))

    def drop_run(self) -> None:
        """Undo a run that an error has ended; called before another state is restored."""
        is_open = self._progress.is_open
        self._progress.end_run()
        if is_open:
            self._guard.undo_run()
            self.constants.pop(DTS_PER_STEP, None)

    def check_finished(self) -> None:
        """Check what a run has done that an error has ended; called before anything is read.

        Raises
        ------
        OverflowError, ValueError
            As at the end of a run; the network is as it was before it.
        """
        if self._is_made and self._progress.is_open and not is_running(self):
            self._finish_run()

    def _compile_together(self) -> None:
        uses_cython = self.device.code_object_class() is CythonCodeObject
        chosen = SharedModule().code_object_class if uses_cython else None
        for made in self._guard.made:
            made.runner.codeobj_class = chosen
        of_monitors = SharedModule().code_object_class if uses_cython else None
        for monitor in self._monitors:
            monitor.codeobj_class = of_monitors

    def _duration_of_step(self) -> Quantity:
        return self.clock.dt if self._step is None else self._step

    def _check_built(self, what: str) -> None:
        if not (self._is_runtime or self.device.has_been_run):
            raise NotImplementedError(
                f"{self.name!r} has no {what} yet: its program has not been built and run"
            )

    def _check_results(self) -> None:
        """Check a run whose end is not known yet; that of a program once, as in this process."""
        self.check_finished()
        if self._is_runtime or not self.device.has_been_run:
            return
        self._settings.check()
        if self._run_proven != (now := self._settings.time_of_run()):
            self._guard.prove()
            self._run_proven = now

    def check_not_built(self) -> None:
        """Refuse to set a variable of a part; called by the part before it is set.

        Raises
        ------
        RuntimeError
            If a program is built, in which setting it would change nothing.
        """
        if self._is_made and self._settings.is_built:
            raise RuntimeError(
                f"the program of {self.name!r} is built, so nothing but its samples, learning, "
                "learning_rate and recording can be set: device.run(run_args=mlp.run_args()) runs "
                "it again with these, and mlp.run_args() | {mlp.schedule.label: ..., ...} with "
                "other values; for anything else call device.reinit() and make it anew"
            )

    def check_write(self, variable: Any) -> None:
        """Refuse to set a variable of a part where that is not possible; called before it is set.

        Raises
        ------
        RuntimeError
            In a run, unless the variable is the user's to set; in the middle of a sample that has
            had a target, if it holds what has been learned; if a program is built.
        """
        self.check_not_built()
        if not self._is_made:
            return
        if is_running(self):
            require_writable(self, "a script", variable)
        elif variable.name in LEARNED:
            self._check_between_samples(f"{variable.owner.name}.{variable.name}")

    def _check_between_samples(self, what: str) -> None:
        if not self._is_made:
            return
        if self._is_runtime:
            self.check_finished()
            if is_half_taught(reader(self)):
                raise RuntimeError(
                    f"{what} of {self.name!r} is set between samples, and the present one has "
                    "taught for some steps: run it to its end first"
                )
        elif self._presented.has_run and not self._settings.is_built:
            # Only the program knows.
            self.schedule.interrupted = "interrupted + int(in_training and not sample_over)"

    def _check_device(self) -> None:
        device = get_device()
        if device is not self.device or device.arrays is not self._device_arrays:
            raise RuntimeError(
                f"{self.name!r} belongs to a device that has been changed or reinitialised since "
                "it was made; make it anew"
            )

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{self.name!r} cannot be copied or pickled: its checkpoint() can, and "
            "SpikingMLPGroup(checkpoint) goes on from there"
        )

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.net.layer_sizes))
        learns = f", learning={self.learning}" if self._is_made else ""
        return f"<SpikingMLPGroup {self.name!r}: {sizes}, step={self._duration_of_step()}{learns}>"


#: The name for definitions that are a `SpikingNetwork`.
SpikingNetworkGroup = SpikingMLPGroup


def _sources_of(
    net: Definition, values: Any, label: Any, target: Any, sample_end: Any
) -> dict[str, Source]:
    """Return the sources of input, label, target and ends of samples by these names, checked."""
    if not (sample_end is None or isinstance(sample_end, SpikeSource)):
        raise wrong_argument("sample_end", "a group that spikes, or None", repr(sample_end))
    if label is not None and target is not None:
        raise wrong_argument("label", "None where a target is given", repr(label))
    given = {
        "input": as_source("input", values, net.layer_shapes[0]),
        "label": as_source("label", label, (1,), shared=True),
        "target": as_source("target", target, (net.n_outputs,)),
        "sample_end": Source(spikes=sample_end),  # an event ends a sample, whatever it counts
    }
    if (fixed := given["label"].values) is not None and not _is_label(fixed[0], net):
        raise wrong_argument("label", allowed_labels(net), repr(label))
    return given


def _is_label(value: float, net: Definition) -> bool:
    return value < 0 or (value < net.n_outputs and value.is_integer())
