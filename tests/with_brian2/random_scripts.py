"""Random scripts for Brian2: each must equal the reference, or be refused with an error.

    python -m tests.with_brian2.random_scripts --scripts 500 --seed 0

A `Script` holds all that is drawn from a seed. `judge` plays it in Brian2, follows it with the
reference, and says whether both are equal in every number, and where they differ first.
"""

import argparse
import atexit
import gc
import linecache
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import brian2
import numpy as np
from brian2 import (
    Clock,
    EventMonitor,
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    ms,
)

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Checkpoint, SpikingMLP, UnsupportedError, load
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.step_oracle import follow
from tests.verdicts import DifferenceError, RefusedError, judged, print_counts, verdict_on
from tests.with_brian2.script_feeds import Feed, FeedMaker, Grid, Spikes, put

#: Kinds of scripts that can be left out: with a network as the argument `input` of another, with
#: the argument `dt`, and with spikes that arrive in the next dt, which may be in the next run.
KINDS = ("counted series", "dt", "late spikes")

#: The longest script, in dt.
MOST_DTS = 160

INPUTS = (
    *("constant", "expression", "timed_sample", "timed_step", "timed_step"),
    *("generator", "generator", "generator", "poisson", "neurons", "variable", "operation"),
)
LABELS = (
    *("constant", "expression", "timed_sample", "timed_sample", "timed_step", "timed_step"),
    *("variable", "operation", "nothing"),
)
TARGETS = (
    *("constant", "expression", "timed_sample", "timed_step", "generator"),
    *("variable", "operation", "poisson"),
)
MONITORS = ("spikes", "errors", "ends", "drives")


@dataclass(frozen=True)
class Series:
    """A second network, which some layer of the first one drives.

    Attributes
    ----------
    net : SpikingMLP
        The definition.
    layer : int
        The layer of the first network.
    units : tuple of int or None
        First and last unit of a subgroup (the last is left out); None takes the whole layer.
    is_input : bool
        Whether the layer is the argument `input`, and not at the other end of own synapses.
    order : int
        The order of the wave: below that of the first network, spikes arrive in the next dt.
    label : str
        The kind of label.
    """

    net: SpikingMLP
    layer: int
    units: tuple[int, int] | None
    is_input: bool
    order: int
    label: str


@dataclass(frozen=True)
class Script:
    """All decisions of a script; the numbers that it shows are drawn from the seed.

    Attributes
    ----------
    seed : int
        The seed.
    net : SpikingMLP
        The definition.
    input, extra : str
        The kinds of input: the argument, and what is added to it ("" for nothing).
    answers : str
        "label" or "target".
    answer : str
        The kind of label or target.
    ends : bool
        Whether a group ends samples.
    grid : Grid
        The steps in time.
    clock : str
        How the network gets its clock: "default", "clock" or "dt".
    has_step : bool
        Whether the argument `step` is given; without it a step is a dt.
    order : int
        The order of the wave.
    cuts : tuple of int
        Where runs end, in dt.
    learning : tuple of bool or None
        Whether each run learns; None switches in the middle of a run.
    repeated : int or None
        The run that is repeated after `restore`.
    monitors : tuple of str
        What is recorded.
    readout : bool
        Whether neurons of the script's own follow the output.
    magic : bool
        Whether ``run()`` finds the objects.
    series : Series or None
        A second network.
    then : str
        The back end that goes on from a checkpoint, if any.
    again : bool
        Whether the script then goes on in Brian2, from another checkpoint.
    target : str
        Brian2's target of code generation: "numpy", "cython" or "cpp_standalone".
    """

    seed: int
    net: SpikingMLP
    input: str
    extra: str
    answers: str
    answer: str
    ends: bool
    grid: Grid
    clock: str
    has_step: bool
    order: int
    cuts: tuple[int, ...]
    learning: tuple[bool, ...] | None
    repeated: int | None
    monitors: tuple[str, ...]
    readout: bool
    magic: bool
    series: Series | None
    then: str
    again: bool
    target: str = "numpy"

    @property
    def is_program(self):
        """Whether the script is compiled as a whole."""
        return self.target == "cpp_standalone"

    def kinds(self):
        """Return the names of what the script covers."""
        found = [f"input {self.input}", f"{self.answers} {self.answer}", self.net.timing]
        found += [f"clock {self.clock}", f"order {self.order}", f"runs {len(self.cuts)}"]
        found += [f"extra {self.extra}"] * bool(self.extra)
        found += ["step of several dt"] * (self.grid.ticks > 1)
        found += ["late spikes"] * self.has_late_spikes()
        if self.series:
            found.append("counted series" if self.series.is_input else "series by synapses")
        found += [f"then {self.then}"] * bool(self.then)
        flags = ("ends", "readout", "magic", "again")
        found += [name for name in flags if getattr(self, name)]
        found += ["repeated"] * (self.repeated is not None)
        found += ["learning switched"] * (self.learning is None or not all(self.learning))
        return found

    def has_late_spikes(self):
        """Return whether spikes of neurons may arrive in another run than they were fired in."""
        fired = self.order <= 0 and {self.input, self.answer} & {"neurons", "poisson"}
        below = self.series is not None and self.series.order < self.order
        return len(self.cuts) > 1 and bool(fired or below)


def draw(seed, without=(), target="numpy"):
    """Return the script of a seed, without the kinds in `without`."""
    return Drawing(seed, without, target).script()


class Drawing:
    """Draws the decisions of a script.

    Parameters
    ----------
    seed : int
        The seed.
    without : sequence of str
        The kinds to leave out.
    target : str
        The target of code generation. A compiled program takes no part of Python while it runs.
    """

    def __init__(self, seed, without, target):
        self.random = np.random.default_rng([seed, 1])
        self.seed, self.without, self.target = seed, without, target
        self.is_program = target == "cpp_standalone"

    def one_of(self, *values):
        return values[int(self.random.integers(len(values)))]

    def chance(self, share):
        return bool(self.random.random() < share)

    def net(self, n_inputs=None):
        depth = self.one_of(1, 2, 2, 3, 3, 4)
        sizes = self.random.integers(1, 7, depth + 1).tolist()
        sizes[0] = n_inputs or sizes[0]
        presynaptic = self.one_of("counts", "counts", "drive")
        # On a fine grid the product of rate and drive would be refused.
        grids = (None, None, 17, 24, 33) if presynaptic == "counts" else (None, None, 17)
        return SpikingMLP(
            sizes,
            n_steps=self.one_of(1, 2, 3, 4, 5, 6, 7, 8),
            learning_rate=self.one_of(0.1, 0.5, 2.0),
            timing=self.one_of("immediate", "immediate", "pipelined"),
            input_coding=self.one_of("values", "values", "spikes"),
            input_scale=self.one_of(1.0, 1 / 3, 1.7),
            update=self.one_of("fractional", "fractional", "outer"),
            presynaptic=presynaptic,
            spikes=self.one_of("graded", "graded", "binary"),
            fraction_bits=self.one_of(*grids),
            backward_init=self.one_of("carry", "zero", "uniform"),
            feedback=self.one_of("transpose", "transpose", "random"),
            seed=(seed := int(self.random.integers(1000))),
            # Not drawn, so that what is drawn for a seed stays what it was.
            label_targets=((0, 1), (0, 1), (1, 5), (-0.3, 2.7))[seed % 4],
        )

    def script(self):
        net = self.net()
        is_signed = numbers_of(net) == "signs"
        input_, extra = self.one_of(*INPUTS), ""
        if self.chance(0.015):
            input_ = "huge"
        if not is_signed and self.chance(0.4):
            spikes = input_ in ("generator", "poisson", "neurons")
            extra = self.one_of("synapses", "synapses", "variable" if spikes else "synapses")
        answers = self.one_of("label", "label", "target")
        answer = self.one_of(*(LABELS if answers == "label" else TARGETS))
        ends = self.chance(0.25)
        then = "" if self.chance(0.75) else self.one_of("compiled", "reference")
        ends = ends and not then
        series = self.series(net) if not then and self.chance(0.3) else None
        # These receive at most one spike of a unit in a step.
        is_single = is_signed and input_ in ("poisson", "neurons")
        # With steps of several dt these would depend on when in a step it is computed.
        is_clear = series is None or (series.is_input and series.order > 0)
        is_short = is_single or extra == "synapses" or not is_clear
        grid, clock = self.grid(net, is_short, bool(then))
        if is_single:
            grid = grid._replace(stride=1)
        order = self.one_of(1, 1, 1, 5, 50, -3, -40)
        if series is not None:
            series = replace(series, order=series.order + order)
        if self.is_program:
            input_, answer = (
                "timed_step" if kind == "operation" else kind for kind in (input_, answer)
            )
        cuts = self.cuts(grid)
        script = Script(
            seed=self.seed,
            net=net,
            input=input_,
            extra=extra,
            answers=answers,
            answer=answer,
            ends=ends,
            grid=grid,
            clock=clock,
            has_step=grid.ticks > 1 or self.chance(0.3),
            order=order,
            cuts=cuts,
            learning=self.learning(len(cuts)),
            repeated=self.repeated(len(cuts)),
            monitors=tuple(name for name in MONITORS if self.chance(0.6)),
            readout=self.chance(0.4),
            magic=self.chance(0.4),
            series=series,
            then=then,
            again=bool(then) and self.chance(0.6) and not self.is_program,
            target=self.target,
        )
        if "late spikes" in self.without and script.has_late_spikes():
            runs = {"learning": script.learning and (True,), "repeated": None}
            return replace(script, cuts=cuts[-1:], **runs)
        return script

    def grid(self, net, is_short, is_whole):
        """Return grid and kind of clock, with steps of one dt and whole samples where need be."""
        sample = steps_of_sample(net, net.n_steps)
        n_steps = sample * int(self.random.integers(1, 5))
        n_steps += 0 if is_whole else int(self.random.integers(sample))
        clock = self.one_of("default", "default", "default", "clock", "dt")
        if clock == "dt" and "dt" in self.without:
            clock = "clock"
        stride = 1 if clock == "default" else self.one_of(1, 2, 3)
        ticks = self.one_of(1, 1, 1, 2, 3, 5, 10)
        ticks = 1 if is_short else ticks
        while n_steps * stride * ticks > MOST_DTS and ticks > 1:
            ticks -= 1
        dt = self.one_of(0.05, 0.1, 0.1, 0.125, 0.2, 0.3, 0.5, 0.7, 1.0)
        return Grid(dt, stride, ticks, n_steps), clock

    def cuts(self, grid):
        n = min(self.one_of(0, 0, 0, 1, 1, 2, 3), grid.n_dts - 1)
        inner = self.random.choice(np.arange(1, grid.n_dts), n, replace=False)
        if self.chance(0.4):
            inner = np.maximum(inner // grid.step_dts, 1) * grid.step_dts
        return tuple(sorted({*inner.tolist(), grid.n_dts}))

    def learning(self, n_runs):
        if self.chance(0.15) and not self.is_program:
            return None
        if self.chance(0.6):
            return (True,) * n_runs
        return tuple(self.chance(0.6) for _ in range(n_runs))

    def repeated(self, n_runs):
        if self.is_program or self.chance(0.6):
            return None
        return int(self.random.integers(n_runs))

    def series(self, below):
        layer = int(self.random.integers(below.n_layers + 1))
        size, units = below.layer_sizes[layer], None
        if size > 1 and self.chance(0.4):
            first = int(self.random.integers(size - 1))
            units = (first, int(self.random.integers(first + 1, size + 1)))
        net = self.net(size if units is None else units[1] - units[0])
        if numbers_of(net) == "signs" and below.spikes == "graded":
            net = net.replace(input_coding="values")
        is_input = self.chance(0.7) and "counted series" not in self.without
        label = self.one_of("constant", "expression", "timed_sample", "timed_step")
        order = self.one_of(60, 60, -60)
        return Series(net, layer, units, is_input, order if is_input else 60, label)


def numbers_of(net):
    """Return what the input of a network consists of."""
    if net.input_coding == "values":
        return "real"
    return "counts" if net.spikes == "graded" else "signs"


class Player:
    """A script in Brian2: its objects, and what they did.

    Parameters
    ----------
    script : Script
        The script.
    part : int
        Which part of it: 1 after a checkpoint has come back.
    start : list of Checkpoint
        What each network starts from.
    """

    def __init__(self, script, part, start):
        self.script, self.grid = script, script.grid
        self.random = np.random.default_rng([script.seed, 2, part])
        self.visible, self.namespace = {}, {}
        brian2.start_scope()
        brian2.seed(script.seed + part)
        brian2.defaultclock.dt = self.grid.dt * ms
        self._make_feeds()
        self._make_first(start[0])
        if script.series is not None:
            self._make_second(start[1])
        for kind in script.monitors:
            for number, mlp in enumerate(self.mlps):
                self._watch(kind, number, mlp)
        if script.readout:
            self._make_readout()
        self.network = None if script.magic else Network(*self.visible.values())

    # What each network is given.

    def _starts(self):
        starts = (0, *self.script.cuts[:-1])
        return {
            number: start
            for number, start in enumerate(starts)
            if self.grid.steps_before(start) is not None
        }

    def _maker(self, net, name, order):
        numbers = {"input": numbers_of(net), "target": "real", "label": "labels"}[name]
        n_units = {"input": net.n_inputs, "target": net.n_outputs, "label": 1}[name]
        sample = steps_of_sample(net, net.n_steps)
        return FeedMaker(
            self.random,
            self.grid,
            name,
            n_units,
            numbers,
            net.n_outputs,
            sample,
            self._starts(),
            order,
        )

    def _make_feeds(self):
        script = self.script
        inputs = self._maker(script.net, "input", script.order)
        self.input = inputs.make(script.input)
        self.extra = inputs.make(script.extra or "nothing")
        self.answer = self._maker(script.net, script.answers, script.order).make(script.answer)
        self.ends = self._ends() if script.ends else None
        self.given = [("input", self.input), ("input", self.extra), (script.answers, self.answer)]
        self.switch = self.random.random(self.grid.n_steps) < 0.6

    def _ends(self):
        """A group that ends samples, with spikes at any dt."""
        n_units = int(self.random.integers(1, 4))
        share = 0.5 / (self.script.net.n_steps * self.grid.step_dts * n_units)
        dts, units = np.nonzero(self.random.random((self.grid.n_dts, n_units)) < share)
        source = SpikeGeneratorGroup(n_units, units, self.grid.time(dts))
        arrived = dts if self.script.order > 0 else dts + 1
        arriving = Spikes(arrived, np.zeros(len(dts), int))
        nothing = np.zeros((self.grid.n_steps, 1))
        return Feed(nothing, source, objects={"trial_ends": source}, arrivals=lambda: arriving)

    def _timing(self):
        grid, arguments = self.grid, {}
        if self.script.clock == "clock":
            arguments["clock"] = Clock(grid.time(grid.stride))
        elif self.script.clock == "dt":
            arguments["dt"] = grid.time(grid.stride)
        if self.script.has_step:
            arguments["step"] = grid.step
        return arguments

    # The networks, and what else is in the script.

    def _make_first(self, start):
        script = self.script
        given = {script.answers: self.answer.argument, "input": self.input.argument}
        if self.ends is not None:
            given["sample_end"] = self.ends.argument
        self.timing = self._timing()
        mlp = SpikingMLPGroup(start, order=script.order, **given, **self.timing)
        self.mlps, self.visible["mlp"] = [mlp], mlp
        for feed in (self.input, self.extra, self.answer, *filter(None, [self.ends])):
            self.visible |= feed.objects | feed.attach(mlp)
            self.namespace |= feed.namespace
        if script.learning is None:
            self.visible["switching"] = self._switching(mlp)

    def _switching(self, mlp):
        def switch(t):
            step = min(self.grid.indices(t), self.grid.n_steps - 1)
            mlp.schedule.learning = bool(self.switch[step])

        return NetworkOperation(switch, dt=self.grid.step, when="start")

    def _make_second(self, start):
        series, below = self.script.series, self.mlps[0]
        source = below.layers[series.layer]
        if series.units is not None:
            source = source[slice(*series.units)]
        maker = self._maker(series.net, "label", series.order)
        self.label = label = replace(maker, name="second_label").make(series.label)
        mlp = SpikingMLPGroup(
            start,
            input=source if series.is_input else None,
            label=label.argument,
            order=series.order,
            **self.timing,
        )
        self.namespace |= label.namespace
        if not series.is_input:
            on_pre = "received_input_post += spike_count_pre"
            own = Synapses(source, mlp.input_layer, on_pre=on_pre)
            own.pre.when, own.pre.order = "thresholds", series.order
            own.connect(j="i")
            self.visible["between"] = own
        self.mlps.append(mlp)
        self.visible["second"] = mlp

    def _watch(self, kind, number, mlp):
        """Record something of a network: of all layers, or of some."""
        L = mlp.net.n_layers
        monitors = {}
        for l in range(L + 1):
            if kind == "spikes" and self._is_watched():
                monitors[l] = SpikeMonitor(mlp.layers[l], variables=["spike_count"])
            elif kind == "errors" and l > 0 and self._is_watched():
                monitors[l] = EventMonitor(mlp.layers[l], "error", variables=["error"])
            elif kind == "drives" and l > 0 and self._is_watched():
                monitors[l] = StateMonitor(mlp.layers[l], "summed_drive", True, when="end")
        if kind == "ends":
            monitors[L] = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
        self.visible |= {f"{kind}_{number}_{l}": monitor for l, monitor in monitors.items()}

    def _is_watched(self):
        return self.script.monitors == MONITORS or self.random.random() < 0.8

    def _make_readout(self):
        output = self.mlps[0].output_layer
        readout = NeuronGroup(
            len(output),
            "dv/dt = -v/(5*ms) : 1",
            threshold="v > 1",
            reset="v = 0",
            method="exact",
            namespace={"ms": ms},
        )
        behind = Synapses(output, readout, on_pre="v_post += 0.3*spike_count_pre")
        behind.connect()
        self.visible |= {"readout": readout, "behind": behind}

    # The runs.

    def play(self):
        """Run the script."""
        script, start = self.script, 0
        self.looks = [{} for _ in self.mlps]
        for number, end in enumerate(script.cuts):
            self._set(number)
            duration = self.grid.time(end - start)
            if number == script.repeated:
                self._call("store", "before")
                self._run(duration)
                first = self._call("get_states", units=False)
                self._call("restore", "before", restore_random_state=True)
            self._run(duration)
            if number == script.repeated:
                again = self._call("get_states", units=False)
                if name := differing(again, first):
                    raise DifferenceError(f"run {number} repeated after restore(): {name}")
            self._look(end)
            start = end

    def _set(self, number):
        if self.script.learning is not None and number in self._starts():
            self.mlps[0].learning = self.script.learning[number]
        for name, feed in self.given:
            if number in feed.settings:
                put(self.mlps[0], name, feed.settings[number])

    def _run(self, duration):
        before = self._learned()
        try:
            self._call("run", duration)
        except Exception as error:
            if refusal(error) and (name := differing(before, self._learned())):
                raise DifferenceError(f"a refused run has left {name} changed") from error
            raise

    def _call(self, name, *arguments, **options):
        """Call a method of the network, or the function of that name in a script without one."""
        if self.network is not None:
            if name == "run":
                options["namespace"] = self.namespace
            return getattr(self.network, name)(*arguments, **options)
        # Brian2 looks for objects in the frame that calls it. There they need names.
        owner = brian2.magic_network if name == "get_states" else brian2
        names = {"call": getattr(owner, name), "arguments": arguments, "options": options}
        return eval("call(*arguments, **options)", self.namespace | self.visible | names)

    def _learned(self):
        """Return what a network has learned; of two networks one may be refused, and one not."""
        if self.script.is_program or len(self.mlps) > 1:
            return None
        return self.mlps[0].checkpoint().state

    def _look(self, end):
        n_steps = self.grid.steps_before(end)
        if n_steps is None or self.script.is_program:
            return
        for mlp, looks in zip(self.mlps, self.looks, strict=True):
            looks[n_steps] = look_at(mlp)

    # What is to be compared, once the script has run.

    def found(self, number):
        """Return the `Found` of a network."""
        mlp, sizes = self.mlps[number], self.mlps[number].net.layer_sizes
        records = {}
        for kind in self.script.monitors:
            for l, size in enumerate(sizes):
                if (monitor := self.visible.get(f"{kind}_{number}_{l}")) is not None:
                    records[kind, l] = self._record(kind, monitor, size)
        looks = self.looks[number] | {self.grid.n_steps: look_at(mlp)}
        return Found(records, looks, mlp.operations)

    def _record(self, kind, monitor, size):
        """Return what a monitor has seen, of shape (n_steps, n_units)."""
        seen = np.zeros((self.grid.n_steps, size))
        steps = self.grid.indices(monitor.t)
        if kind == "drives":
            seen[steps] = monitor.summed_drive.T  # the last dt of a step remains
        else:
            name = {"spikes": "spike_count", "errors": "error", "ends": "summed_drive"}[kind]
            np.add.at(seen, (steps, np.asarray(monitor.i)), getattr(monitor, name)[:])
        return seen

    def moments(self, start):
        """Return what the reference says: the moments after each step of each network."""
        script, grid = self.script, self.grid
        x = self.input.rows(grid) + self.extra.rows(grid)
        targets = self._targets(script.answers, self.answer, self._learns())
        ends = None if self.ends is None else self.ends.rows(grid)[:, 0] > 0
        moments = [follow(start[0], x, targets, ends)]
        if script.series is not None:
            targets = self._targets("label", self.label, np.ones(grid.n_steps, bool))
            moments.append(follow(start[1], self._passed_on(moments[0]), targets, None))
        return moments

    def _learns(self):
        """Return whether the first network learns in each step."""
        if self.script.learning is None:
            return self.switch
        starts = self._starts()
        run = np.searchsorted([*starts.values()], self.grid.computed_at(), side="right") - 1
        return np.array(self.script.learning)[np.array([*starts])[run]]

    def _targets(self, kind, feed, learns):
        rows = feed.rows(self.grid)
        if kind == "label":
            rows = [None if row[0] < 0 else int(row[0]) for row in rows]
        return [row if learning else None for row, learning in zip(rows, learns, strict=True)]

    def _passed_on(self, moments):
        """Return what the second network receives in each step."""
        series = self.script.series
        counts = np.array([moment.spikes[series.layer] for moment in moments], float)
        if series.units is not None:
            counts = counts[:, slice(*series.units)]
        if series.order < self.script.order:
            counts = np.concatenate([np.zeros_like(counts[:1]), counts[:-1]])
        return counts


class Look(NamedTuple):
    """What a network is between runs."""

    state: Any
    scores: np.ndarray
    shown: int


class Found(NamedTuple):
    """What a network was in a script.

    Attributes
    ----------
    records : dict
        What monitors saw, each of shape (n_steps, n_units), by kind and layer.
    looks : dict
        What the network was between runs, by the steps before it.
    operations : Operations
        The work of all samples.
    """

    records: dict
    looks: dict
    operations: Any


def look_at(mlp):
    state = mlp.checkpoint().state
    return Look(state, mlp.scores, int(mlp.schedule.samples_shown[0]))


def assert_equal(network, found, moments):
    """Raise DifferenceError with the first step in which a network differs, and how."""
    differences = [*_different_records(found.records, moments), *_different_looks(found, moments)]
    if differences:
        step, what = min(differences, key=lambda difference: difference[0])
        raise DifferenceError(f"{network} network, step {step}: {what}")


def _different_records(records, moments):
    for (kind, l), seen in records.items():
        expected = np.array([_recorded(moment, kind, l) for moment in moments], float)
        if len(wrong := np.argwhere(seen != expected)):
            step, unit = wrong[0]
            values = f"{seen[step, unit]} in Brian2, {expected[step, unit]} in the reference"
            yield step, f"{kind} of layer {l}, unit {unit}: {values}"


def _recorded(moment, kind, l):
    if kind == "ends":
        return moment.drives[l] * moment.closes
    return {"spikes": moment.spikes, "errors": moment.errors, "drives": moment.drives}[kind][l]


def _different_looks(found, moments):
    for n_steps, look in found.looks.items():
        if n_steps == 0:
            continue
        moment = moments[n_steps - 1]
        expected = Look(moment.state, moment.scores, moment.shown)
        if name := differing(look, expected):
            yield n_steps - 1, f"{name} when the step was over"
    last = moments[-1]
    # In the middle of a sample the spikes of its first steps have been counted already.
    if last.closes and found.operations != last.operations:
        yield len(moments) - 1, f"{found.operations} in Brian2, {last.operations} in the reference"


def differing(found, expected, name="it"):
    """Return the first place where two nested values differ, with both values, or None."""
    if isinstance(found, dict):
        pairs = [(f"{name}[{key!r}]", found[key], expected[key]) for key in found]
    elif isinstance(found, tuple) and hasattr(found, "_fields"):
        pairs = [(key, getattr(found, key), getattr(expected, key)) for key in found._fields]
    elif isinstance(found, (tuple, list)):
        pairs = [
            (f"{name}[{i}]", *both) for i, both in enumerate(zip(found, expected, strict=True))
        ]
    elif np.shape(found) != np.shape(expected):
        return f"{name} of shape {np.shape(found)}, not {np.shape(expected)}"
    else:
        wrong = np.argwhere(np.atleast_1d(np.not_equal(found, expected)))
        if not len(wrong):
            return None
        at = tuple(wrong[0])
        one, other = np.atleast_1d(found)[at], np.atleast_1d(expected)[at]
        return f"{name}[{', '.join(map(str, at))}] is {one} and not {other}"
    return next(filter(None, (differing(one, other, key) for key, one, other in pairs)), None)


def refusal(error):
    """Return the message with which the package has refused something; None if it just failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    place = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(place.filename, place.lineno).strip()
    is_raised = "spikebp_" in place.filename and line.startswith("raise ")
    if is_raised and isinstance(error, (ValueError, OverflowError, UnsupportedError)):
        return f"{type(error).__name__}: {error}"
    return None


def judge(script):
    """Return the verdict on a script."""
    # Brian2 collects garbage before every run, and keeps much for good, which is none.
    gc.collect()
    gc.freeze()
    verdict = _verdict(script)
    if verdict.outcome == "different" and script.monitors != MONITORS:
        # With all monitors the first step is known in which it differs.
        watched = _verdict(replace(script, monitors=MONITORS))
        reason = f"{verdict.reason}\nwith all monitors: {watched.outcome} {watched.reason}"
        return verdict._replace(reason=reason)
    return verdict


def _verdict(script):
    target = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy" if script.is_program else script.target
    if script.is_program:
        brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        return verdict_on(compare, script)
    finally:
        brian2.prefs.codegen.target = target
        if script.is_program:
            brian2.device.reinit()
            brian2.set_device("runtime")


def compare(script):
    """Raise DifferenceError if a script differs from the reference, RefusedError if it is refused.

    An error of the reference is a difference: what it cannot compute must have been refused.
    """
    random = np.random.default_rng([script.seed, 3])
    nets = [script.net] + ([script.series.net] if script.series else [])
    start = [Checkpoint(net, initial_state(net, _weights(net, random))) for net in nets]
    reached, expected = _compare_part(script, 0, start, start)
    if not script.then:
        return
    reached, expected = _go_on(script, random, reached, expected)
    if script.again:
        _compare_part(script, 1, [reached], [expected])


def _weights(net, random):
    return [0.8 * random.standard_normal(shape) for shape in net.weight_shapes]


def _compare_part(script, part, start, expected):
    """Play a script from some checkpoints, and return what both sides have reached."""
    player = _played(script, part, start)
    moments = player.moments(expected)
    for number, name in enumerate(("first", "second")[: len(start)]):
        assert_equal(name, player.found(number), moments[number])
    return player.mlps[0].checkpoint(), Checkpoint(script.net, moments[0][-1].state)


def _played(script, part, start):
    try:
        player = Player(script, part, start)
        player.play()
    except Exception as error:
        if (reason := refusal(error)) is None:
            raise
        raise RefusedError(reason) from error
    if script.is_program:
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)  # results are read from it
        brian2.device.build(directory=folder)
    return player


def _go_on(script, random, reached, expected):
    """Let another back end go on from a file, and return what both sides have reached."""
    net = script.net
    x = random.uniform(-1, 2, (3, net.n_steps, net.n_inputs))
    if net.input_coding == "spikes":
        x = np.clip(np.rint(x), -1, 1).astype(int)
    y = random.integers(0, net.n_outputs, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.npz"
        reached.save(path)
        results = []
        for checkpoint, backend in ((load(path), script.then), (expected, "reference")):
            with checkpoint.simulate(backend) as simulator:
                scores = simulator.train(x, y), simulator.predict(x)
                results.append((scores, simulator.checkpoint()))
    if name := differing(*((scores, end.state) for scores, end in results)):
        raise DifferenceError(f"{name} after the checkpoint")
    return tuple(end for _, end in results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scripts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", nargs="*", default=(), choices=KINDS)
    parser.add_argument("--target", default="numpy")
    given = parser.parse_args()
    brian2.BrianLogger.log_level_error()
    began = time.perf_counter()
    seeds = range(given.seed, given.seed + given.scripts)
    counts = judged(seeds, partial(draw, without=given.without, target=given.target), judge)
    print_counts(*counts, time.perf_counter() - began)


if __name__ == "__main__":
    main()
