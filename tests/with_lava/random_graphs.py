"""Random graphs for Lava: each must equal the reference, or be refused with an error.

    python -m tests.with_lava.random_graphs --graphs 200 --seed 0

A `Graph` holds all that is drawn from a seed. `judge` plays it in Lava, follows it with the
reference, and says whether both are equal in every number, and where they differ first.
"""

import argparse
import faulthandler
import re
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg, Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from tqdm import tqdm

from spikebp_lava import (
    EngineMLP,
    HierarchicalModel,
    LeafModelFixed,
    LeafModelFloating,
    ScoreSink,
    SpikingMLPProcess,
    StandardMLP,
)
from spikebp_lava.messages import PAYLOAD
from spikebp_plugins import Checkpoint, SpikingMLP, UnsupportedError
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.step_oracle import Moment, follow
from tests.with_lava.around import Enclosing
from tests.with_lava.graph_feeds import NOTHING, Feed, FeedMaker, messages_of_sample
from tests.with_lava.own import Keep

#: Seconds after which a graph hangs.
TIME_LIMIT = 120

#: The longest graph, in steps of Lava.
MOST_MESSAGES = 120

#: Seconds that a graph runs until it is paused, and that each of its steps takes.
CONTINUOUS, PACE = 0.05, 0.001

FORMS = ("leaf", "leaf", "sample", "hierarchical", "hierarchical", "standard", "standard")
INPUTS = (
    *("source", "source", "changing", "buffer", "buffer", "own", "two", "neurons", "relayed"),
)
ANSWERS = (
    *("source", "source", "source_targets", "labels", "labels", "late", "unknown"),
    *("targets", "own_targets", "none"),
)
RECEIVERS = ("scores", "spikes", "drive", "behind")

#: The refusals that are documented, by the class of the error and its message.
REFUSALS = (
    (UnsupportedError, r"it knows arithmetic=.*, not arithmetic='loihi2'"),
    (UnsupportedError, r"fixed_pt computes with integers, not with arithmetic='float\d\d'"),
    (UnsupportedError, r"not its drive, with which presynaptic='drive' teaches"),
    (UnsupportedError, r"does not know the drive, with which presynaptic='drive' teaches"),
    (UnsupportedError, r"they know arithmetic='loihi2', not arithmetic='fixed'"),
    (UnsupportedError, r"round nothing as arithmetic='loihi2' does"),
    (UnsupportedError, r"reset_in is to be left unconnected"),
    (ValueError, r"a label must be known at all steps of a sample or at none"),
    (ValueError, r"label_in must be 0 to \d+ in a sample that learns; got -1"),
    (ValueError, r"must be sent whole numbers of 32 bits in fixed_pt"),
    (ValueError, r"must be without negative spikes in fixed_pt"),
    (ValueError, r"spikes_in must be spike counts -1, 0 or 1 with spikes='binary'"),
    (ValueError, r"learning_rate must be from .* for Lava's engine in fixed_pt"),
    (OverflowError, r"may leave the range in which all sums are exact"),
    (OverflowError, r"of layer \d+ must stay below .* in magnitude"),
)


@dataclass(frozen=True)
class Part:
    """A network in a graph.

    Attributes
    ----------
    net : SpikingMLP
        The definition.
    form : str
        "leaf", "sample" (a leaf with a message a sample), "hierarchical" or "standard".
    input, answer : str
        The kinds of input, and of label or target. The input of a second network is the output of
        the first one ("series") or has the first one's ("shared").
    resets : bool
        Whether `reset_in` is connected.
    receivers : tuple of str
        What receives the output.
    monitors : tuple of tuple
        The variables that have a monitor, each a kind and a layer.
    nested : str
        Whether a process contains the network, "" if not: one with "all" of its ports, or with
        those that are "used".
    """

    net: SpikingMLP
    form: str
    input: str
    answer: str
    resets: bool
    receivers: tuple[str, ...]
    monitors: tuple[tuple[str, int], ...]
    nested: str


@dataclass(frozen=True)
class Graph:
    """All decisions of a graph; the numbers in it are drawn from the seed.

    Attributes
    ----------
    seed : int
        The seed.
    tag : str
        The tag of the run configuration.
    configuration : type
        The class of the run configuration.
    parts : tuple of Part
        One network or two.
    cuts : tuple of int
        Where runs end, in steps of Lava.
    learning : tuple of tuple of bool
        Whether each network learns in each run.
    settings : tuple of int
        The runs before which weights of the first network are set.
    reads : bool
        Whether variables are read between runs.
    is_continuous : bool
        Whether it runs until it is paused, instead of for numbers of steps.
    runners : tuple of int
        Which process is run each time, and which one stops the graph.
    then : Graph or None
        The graph that goes on from a checkpoint of the first network.
    """

    seed: int
    tag: str
    configuration: type
    parts: tuple[Part, ...]
    cuts: tuple[int, ...]
    learning: tuple[tuple[bool, ...], ...]
    settings: tuple[int, ...]
    reads: bool
    is_continuous: bool
    runners: tuple[int, ...]
    then: "Graph | None" = None

    @property
    def n_messages(self):
        """The steps of Lava, as far as they are known before."""
        return self.cuts[-1]

    @property
    def is_fixed(self):
        return self.tag == "fixed_pt"

    def kinds(self):
        """Return the names of what the graph covers."""
        found = [self.tag, self.configuration.__name__, f"runs {len(self.cuts)}"]
        found += ["weights set"] * bool(self.settings) + ["variables read"] * self.reads
        found += ["until paused"] * self.is_continuous
        found += ["learning switched"] * (not all(map(all, self.learning)))
        for part in self.parts:
            found += [part.form, part.net.timing, part.net.arithmetic]
            found += [f"input {part.input}", f"answer {part.answer}", *part.receivers]
            found += ["resets"] * part.resets + [f"nested, ports {part.nested}"] * bool(part.nested)
            found += [f"monitor of {kind}" for kind, _ in part.monitors]
        found += ["two networks"] * (len(self.parts) > 1)
        found += [f"then {self.then.parts[0].form}"] if self.then is not None else []
        return found


def draw(seed):
    """Return the graph of a seed."""
    return Drawing(seed).graph()


class Drawing:
    """Draws the decisions of a graph."""

    def __init__(self, seed):
        self.seed, self.random = seed, np.random.default_rng([seed, 1])

    def one_of(self, *values):
        return values[int(self.random.integers(len(values)))]

    def chance(self, share):
        return bool(self.random.random() < share)

    def graph(self):
        tag = self.one_of("floating_pt", "fixed_pt")
        form = self.one_of(*FORMS)
        # Of samples that are half shown the model of Lava's engine knows nothing.
        is_continuous = self.chance(0.1) and (tag, form) != ("fixed_pt", "standard")
        parts = [self.part(tag, self.net(tag, form), form, is_continuous)]
        if self.chance(0.25):
            parts.append(self.second(tag, parts[0], is_continuous))
        goes_on = not is_continuous and not parts[0].resets and self.chance(0.2)
        graph = self.played(tag, tuple(parts), is_continuous, goes_on)
        return replace(graph, then=self.following(parts[0].net)) if goes_on else graph

    def following(self, net):
        """Return a graph for the same network in any form."""
        tag = "fixed_pt" if net.arithmetic == "loihi2" else self.one_of("floating_pt", "fixed_pt")
        part = self.part(tag, net, self.form_for(net, tag), False)
        return self.played(tag, (part,), False, False)

    def form_for(self, net, tag):
        if net.arithmetic == "loihi2":
            return "standard"
        can_be_standard = net.timing == "pipelined" and tag == "floating_pt"
        return self.one_of(*(FORMS if can_be_standard else FORMS[:5]))

    def played(self, tag, parts, is_continuous, ends_with_sample):
        """Return a graph of these networks."""
        is_engine = parts[0].net.arithmetic == "loihi2"  # it knows whole samples
        cuts = self.cuts(parts, ends_with_sample or is_engine)
        n_runs = len(cuts)
        has_weights = parts[0].form != "standard" and not is_continuous
        return Graph(
            seed=self.seed,
            tag=tag,
            configuration=self.one_of(Loihi2SimCfg, Loihi2SimCfg, Loihi1SimCfg),
            parts=parts,
            cuts=cuts,
            learning=tuple(tuple(self.chance(0.8) for _ in parts) for _ in range(n_runs)),
            settings=tuple(r for r in range(n_runs) if has_weights and self.chance(0.15)),
            reads=self.chance(0.4),
            is_continuous=is_continuous,
            runners=tuple(self.random.integers(0, 1000, n_runs + 1).tolist()),
        )

    def cuts(self, parts, ends_with_sample):
        per_sample = messages_of_sample(parts[0].net, parts[0].form)
        n = per_sample * max(1, min(int(self.random.integers(1, 7)), MOST_MESSAGES // per_sample))
        if not ends_with_sample:
            n += int(self.random.integers(per_sample))
        inner = self.random.integers(1, n + 1, self.one_of(0, 0, 1, 1, 2, 3))
        return tuple(sorted({*inner.tolist(), n}))

    def net(self, tag, form, n_inputs=None):
        depth = self.one_of(1, 2, 2, 3, 3, 4)
        sizes = self.random.integers(1, 7, depth + 1).tolist()
        sizes[0] = n_inputs or sizes[0]
        is_standard = form == "standard"
        is_engine = is_standard and tag == "fixed_pt"
        drive = (0.3 if form in ("leaf", "sample") else 0.02) * (not is_engine)
        presynaptic = "drive" if self.chance(drive) else "counts"
        arithmetic = "loihi2" if is_engine else "fixed"
        if self.chance(0.02):
            arithmetic = self.one_of("loihi2", "fixed", *["float64"] * (tag == "fixed_pt"))
        if arithmetic == "loihi2":
            presynaptic, bits = "counts", None
        elif arithmetic == "fixed":
            # On a fine grid the product of rate and drive would be refused.
            bits = self.one_of(*((None, None, 17, 24, 33) if presynaptic == "counts" else (None,)))
        else:
            bits = None
        is_outer = arithmetic != "loihi2" and self.chance(0.33)
        return SpikingMLP(
            sizes,
            n_steps=self.one_of(1, 2, 3, 4, 5, 6, 7, 8),
            learning_rate=self.one_of(*((0.1, 0.3) if arithmetic == "loihi2" else (0.1, 0.5, 2.0))),
            timing="pipelined" if is_standard or self.chance(0.4) else "immediate",
            input_coding=self.one_of("values", "values", "spikes"),
            input_scale=self.one_of(1.0, 1 / 3, 1.7),
            update="outer" if is_outer else "fractional",
            presynaptic=presynaptic,
            spikes=self.one_of("graded", "graded", "binary"),
            arithmetic=arithmetic,
            fraction_bits=bits,
            backward_init=self.one_of("carry", "zero", "uniform"),
            feedback=self.one_of("transpose", "transpose", "random"),
            seed=int(self.random.integers(1000)),
        )

    def part(self, tag, net, form, is_continuous):
        kinds = INPUTS
        is_single = net.input_coding == "spikes" and net.spikes == "binary"
        if is_single:  # these send more than one spike, or add up to it
            kinds = tuple(kind for kind in INPUTS if kind not in ("two", "relayed"))
        input_ = "huge" if self.chance(0.015) and not is_single else self.one_of(*kinds)
        if is_continuous:  # a process of the graph's own holds it back, and counts steps
            input_ = "own"
        # In pipelined timing late labels, and in standard form unknown ones are refused.
        answers = ANSWERS
        if net.timing == "pipelined" and self.chance(0.9):
            answers = tuple(kind for kind in answers if kind != "late")
        if form == "standard" and self.chance(0.9):
            answers = tuple(kind for kind in answers if kind not in ("late", "unknown"))
        is_refused = form == "sample" and net.timing == "pipelined" and self.chance(0.9)
        resets = self.chance(0.25) and form != "standard" and not is_continuous and not is_refused
        receivers = tuple(kind for kind in RECEIVERS if self.chance(0.4))
        if resets:
            receivers = tuple(kind for kind in receivers if kind != "scores")
        answer = self.one_of(*answers)
        if is_continuous and answer in ("late", "unknown"):  # when they begin again in a sample
            answer = "source"
        nested = self.one_of("all", "used") if self.chance(0.2) else ""
        # A monitor has room for steps that are known before, and Lava sees no variables inside.
        is_watched = not is_continuous and not nested
        return Part(
            net=net,
            form=form,
            input=input_,
            answer=answer,
            resets=resets,
            receivers=receivers,
            monitors=self.monitors(net, form) if is_watched else (),
            nested=nested,
        )

    def monitors(self, net, form):
        L = net.n_layers
        found = [("spike_count", l) for l in range(L + 1)] + [("error", l) for l in range(1, L + 1)]
        if form != "standard":
            found += [("weight", l) for l in range(1, L + 1)]
        chosen = self.random.permutation(len(found))[: self.one_of(0, 1, 2, 3, 4)]
        return tuple(found[i] for i in sorted(chosen))

    def second(self, tag, first, is_continuous):
        """Return a second network, which the first one drives or which has the same input."""
        # There is one set of names for the parts of standard form in a graph.
        forms = [form for form in FORMS if form != "standard" or first.form != "standard"]
        form = self.one_of(*forms)
        is_driven = self.chance(0.7)
        net = self.net(tag, form, first.net.n_outputs if is_driven else first.net.n_inputs)
        # What arrives are real numbers, or more than one spike of a unit.
        net = net.replace(input_coding="values")
        part = replace(self.part(tag, net, form, is_continuous), nested="")
        answer = {"source": "labels", "source_targets": "targets"}.get(part.answer, part.answer)
        return replace(part, input="series" if is_driven else "shared", answer=answer)


class Found(NamedTuple):
    """What a network was in a graph.

    Attributes
    ----------
    records : dict
        What was received or seen, each of shape (n_messages, n_units), by what it is.
    looks : dict
        What the network was between runs, by the messages before.
    scores : ndarray or None
        The scores of samples.
    operations : Operations or None
        The work of all samples.
    """

    records: dict
    looks: dict
    scores: np.ndarray | None
    operations: object


class Played:
    """One network of a graph in Lava: what is around it, and what it did."""

    def __init__(self, graph, part, start, random):
        self.graph, self.part, self.start, self.net = graph, part, start, part.net
        n = graph.n_messages
        self.feeds = FeedMaker(random, graph.tag, part, n, PACE if graph.is_continuous else 0)
        self.input = NOTHING
        if part.input not in ("series", "shared"):
            self.input = getattr(self.feeds, f"input_{part.input}")()
        self.answer = getattr(self.feeds, f"answer_{part.answer}")()
        self.resets = self.feeds.resets()
        self.network = self._made()
        is_process = isinstance(self.network, AbstractProcess)
        self.processes = [self.network if is_process else self.network.keeper]
        self.outside = self._enclosing() if part.nested else self.network
        self.records, self.looks, self.seen = {}, {}, {}
        for name, feed in self._given().items():
            for port in feed.ports:
                port.connect(getattr(self.outside, name))
            self.processes += feed.processes
        for kind in part.receivers:
            getattr(self, f"_receive_{kind}")()
        for kind, l in part.monitors:
            self._watch(kind, l)

    def _made(self):
        if self.part.form == "standard":
            return StandardMLP(self.start, tag=self.graph.tag)
        granularity = "sample" if self.part.form == "sample" else "step"
        return SpikingMLPProcess(self.start, granularity=granularity)

    @property
    def answers(self):
        """The port for labels or targets."""
        return "target_in" if "targets" in self.part.answer else "label_in"

    def _given(self):
        feeds = {"spikes_in": self.input, self.answers: self.answer}
        return feeds | ({} if self.part.form == "standard" else {"reset_in": self.resets})

    def _enclosing(self):
        outputs = ("spikes_out", "summed_drive_out")
        inputs = [name for name, feed in self._given().items() if feed.ports]
        if "spikes_in" not in inputs:
            inputs.append("spikes_in")
        if self.part.nested == "all":
            inputs = ["spikes_in", "label_in", "target_in", "reset_in"]
            inputs = inputs[: 3 if self.part.form == "standard" else 4]
        enclosing = Enclosing(self.network, (*inputs, *outputs))
        self.processes.append(enclosing)
        return enclosing

    # What receives the output.

    @property
    def _payload(self):
        return PAYLOAD if self.part.form == "standard" else 1

    @property
    def _unit(self):
        return 2.0 ** -(self.net.fraction_bits or 0) if self.graph.is_fixed else 1.0

    def _receive_scores(self):
        granularity = "sample" if self.part.form == "sample" else "step"
        n = 1000 if self.graph.is_continuous else self.graph.n_messages
        self.sink = ScoreSink(self.net, n, granularity=granularity)
        self.outside.summed_drive_out.connect(self.sink.summed_drive_in)
        self.processes.append(self.sink)

    def _receive_spikes(self):
        fired = Receiver(shape=(self.net.n_outputs,), buffer=self.graph.n_messages)
        self.outside.spikes_out.connect(fired.a_in)
        if not self.graph.is_continuous:
            self.seen["output"] = lambda: fired.data.get().T / self._payload
        self.processes.append(fired)

    def _receive_drive(self):
        keep = Keep(self.net.n_outputs, self.graph.n_messages)
        self.outside.summed_drive_out.connect(keep.a_in)
        if not self.graph.is_continuous:
            self.seen["drive"] = lambda: keep.rows * self._unit
        self.processes.append(keep)

    def _receive_behind(self):
        """Synapses and neurons of Lava's; what the synapses send is one step late."""
        n = self.net.n_outputs
        synapses = Dense(weights=2 * np.eye(n), num_message_bits=8)
        neurons, keep = LIF(shape=(n,), vth=3), Keep(n, self.graph.n_messages)
        self.outside.spikes_out.connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)
        synapses.a_out.connect(keep.a_in)
        if not self.graph.is_continuous:
            self.seen["behind"] = lambda: keep.rows / (2 * self._payload)
        self.processes += [synapses, neurons, keep]

    def _watch(self, kind, l):
        monitor = Monitor()
        monitor.probe(self._variable(kind, l), self.graph.n_messages)
        unit = self._unit if kind == "weight" else 1

        def seen():
            (variables,) = monitor.get_data().values()
            (values,) = variables.values()
            return values.reshape(self.graph.n_messages, -1) * unit

        self.seen[kind, l] = seen
        self.processes.append(monitor)

    def _variable(self, kind, l):
        if self.part.form == "standard":
            return getattr(self.network.neurons[l], kind)
        return getattr(self.network, f"{kind}_{l}")

    # Between runs.

    def look(self, n_messages, reads):
        """Look at what the network is, after so many messages."""
        found = {"state": self.network.checkpoint().state}
        if reads:
            for l in range(1, self.net.n_layers + 1):
                for kind in ("spike_count", "error"):
                    found[kind, l] = self._variable(kind, l).get()
        self.looks[n_messages] = found

    def collect(self):
        """Read what was seen, before the graph is stopped."""
        for name, read in self.seen.items():
            self.records[name] = read()

    def found(self):
        has_scores = "scores" in self.part.receivers
        operations = None if self.part.form == "standard" else self.network.operations
        scores = self.sink.scores if has_scores else None
        return Found(self.records, self.looks, scores, operations)


class Player:
    """A graph in Lava."""

    def __init__(self, graph, start):
        self.graph = graph
        self.random = np.random.default_rng([graph.seed, 2])
        self.parts = [
            Played(graph, part, checkpoint, self.random)
            for part, checkpoint in zip(graph.parts, start, strict=True)
        ]
        if len(self.parts) > 1:
            self._connect(*self.parts)
        self.processes = [process for part in self.parts for process in part.processes]
        self.inside = [part.processes[0] for part in self.parts if part.part.nested]
        self.n_messages = 0
        self.learning, self.settings = {}, {}

    def _connect(self, first, second):
        """Let the first network drive the second one, or the input of the first one reach both."""
        is_driven = second.part.input == "series"
        for port in [first.outside.spikes_out] if is_driven else first.input.ports:
            port.connect(second.outside.spikes_in)

    def play(self):
        """Run the graph."""
        graph = self.graph
        try:
            for number, end in enumerate(graph.cuts):
                self._prepare(number)
                self._run(number, end - self.n_messages)
                for part in self.parts:
                    part.look(self.n_messages, graph.reads)
            for part in self.parts:
                part.collect()
        except BaseException:
            self._process(-1).stop()
            raise
        self._process(-1).stop()

    def _process(self, number):
        """Return the process that is run: at first none in another one, which it does not know."""
        processes = self.processes
        if number == 0:
            processes = [process for process in processes if process not in self.inside]
        return processes[self.graph.runners[number] % len(processes)]

    def _prepare(self, number):
        """Switch learning, and set weights."""
        for part, learning in zip(self.parts, self.graph.learning[number], strict=True):
            part.network.learning = learning
        self.learning[self.n_messages] = self.graph.learning[number]
        if number in self.graph.settings:
            network, net = self.parts[0].network, self.parts[0].net
            l = int(self.random.integers(1, net.n_layers + 1))
            bits = net.fraction_bits or 0
            matrix = np.ldexp(self.random.standard_normal(net.weight_shapes[l - 1]), bits)
            matrix = np.rint(matrix)
            is_in_units = self.graph.is_fixed and number > 0
            given = matrix if is_in_units else np.ldexp(matrix, -bits)
            getattr(network, f"weight_{l}").set(given)
            self.settings[self.n_messages] = (l, np.ldexp(matrix, -bits))

    def _run(self, number, n_steps):
        runner = self._process(number)
        configuration = self._configuration() if number == 0 else None
        if not self.graph.is_continuous:
            runner.run(RunSteps(num_steps=n_steps), configuration)
            self.n_messages += n_steps
            return
        runner.run(RunContinuous(), configuration)
        time.sleep(CONTINUOUS)
        runner.pause()
        (own,) = self.parts[0].input.processes
        self.n_messages = int(own.steps[0])

    def _configuration(self):
        """Return a run configuration; of several networks each has a model of its own."""
        forms = {part.form for part in self.graph.parts}
        return by_form(self.graph.configuration)(self.graph.tag, self.parts, forms)

    # What the reference says.

    def moments(self, start):
        """Return the moments after the messages of each network, whose starts are given."""
        found = []
        for part, checkpoint in zip(self.parts, start, strict=True):
            inputs = self.parts[0].input if part.part.input == "shared" else part.input
            if part.part.input == "series":
                spikes = np.array([moment.spikes for moment in found[0]], float)
                inputs = Feed(lambda n, rows=spikes * self.parts[0]._payload: rows[:n], [], [])
            settings = self.settings if part is self.parts[0] else {}
            found.append(expected(self, part, checkpoint, inputs, settings))
        return found


def by_form(base):
    """Return a class of run configurations that take the model of each network by its form."""

    class ByForm(base):
        def __init__(self, tag, parts, forms):
            super().__init__(select_tag=tag)
            self.hierarchical = [part.network for part in parts if part.part.form == "hierarchical"]

        def select(self, process, models):
            if isinstance(process, SpikingMLPProcess):
                is_hierarchical = any(process is network for network in self.hierarchical)
                leaf = LeafModelFixed if self.select_tag == "fixed_pt" else LeafModelFloating
                wanted = HierarchicalModel if is_hierarchical else leaf
                return next(model for model in models if issubclass(model, wanted))
            return super().select(process, models)

    return ByForm


class Message(NamedTuple):
    """What a network is after a message: its last moment, and the spikes of all of them."""

    spikes: np.ndarray
    last: Moment


def expected(player, played, start, inputs, settings):
    """Return what the reference says of one network of a graph."""
    net, form, n = played.net, played.part.form, player.n_messages
    together = steps_of_sample(net, net.n_steps) if form == "sample" else 1
    x = np.repeat(inputs.rows(n), together, axis=0)
    learns = switched(player, played)
    answers = played.answer.rows(n)
    targets = [None] * n if answers is None else [target_of(row) for row in answers]
    targets = [target if switch else None for target, switch in zip(targets, learns, strict=True)]
    targets = [target for target in targets for _ in range(together)]
    ends = None
    if played.feeds.ends is not None:
        ends = np.zeros(n * together, bool)
        ends[together - 1 :: together] = played.feeds.ends[:n]
    weights = {message * together: given for message, given in settings.items()}
    if net.arithmetic == "loihi2":
        moments = follow_engine(start, x, targets)
    else:
        moments = follow(start, x, targets, ends, weights)
    groups = [moments[i : i + together] for i in range(0, n * together, together)]
    return [message_of(group) for group in groups]


def message_of(moments):
    """Return the message of some steps, of which nothing may be known."""
    last = moments[-1]
    return Message(last and sum(moment.spikes[-1] for moment in moments), last)


def target_of(row):
    """Return the label of a row, None for one below 0, or its real targets."""
    if np.ndim(row) == 0:
        return None if row < 0 else int(row)
    return row


def switched(player, played):
    """Return whether each message of a network is learned from."""
    n, number = player.n_messages, player.parts.index(played)
    messages = np.arange(n)
    if played.net.timing == "pipelined":  # a matter of whole samples
        messages = played.feeds.first_of(n)
    starts = np.array([*player.learning])
    runs = [*player.learning.values()]
    return [runs[i][number] for i in np.searchsorted(starts, messages, side="right") - 1]


def follow_engine(start, x, targets):
    """Return the moments of standard parts in fixed_pt, by the model of Lava's engine.

    It knows whole samples alone: of one that is not shown to its end, nothing is compared.
    """
    net, model = start.net, EngineMLP(start)
    delays, period = delays_of(net), steps_of_sample(net, net.n_steps)
    moments, scores = [], np.zeros(net.n_outputs)
    for first in range(0, len(x), period):
        rows = x[first : first + period]
        if len(rows) < period:
            return moments + [None] * len(rows)
        before = saturated(net, model.state)
        shown = rows[np.newaxis, : net.n_steps]
        if net.input_coding == "spikes":
            shown = shown.astype(int)
        y = targets[first : first + period][delays.spikes[-1] :][: net.n_steps]
        if y[0] is None:
            trace = model.predict(shown)
        else:
            y = [np.eye(net.n_outputs)[row] if np.ndim(row) == 0 else row for row in y]
            trace = model.train(shown, np.array(y)[np.newaxis])
        for t in range(period):
            closes = t == period - 1
            scores = trace.scores[0] if closes else scores
            moments.append(
                Moment(
                    spikes=_of_step(net, trace.spikes, delays.spikes, t),
                    errors=_of_step(net, trace.errors, delays.errors, t),
                    drives=_drives(net, trace, t - delays.spikes[-1]),
                    scores=scores,
                    state=saturated(net, model.state) if closes else before,
                    closes=closes,
                    shown=first // period + closes,
                    operations=None,
                )
            )
    return moments


def saturated(net, state):
    """Return a state as a checkpoint has it: the engine has one bit more for weights."""
    weights = tuple(map(arithmetic_of(net).round_weights, state.weights))
    return state._replace(weights=weights)


def _of_step(net, record, delays, t):
    """Return what each layer sends in step t of a sample, from 0 on."""
    sent = []
    for l, size in enumerate(net.layer_sizes):
        tau, rows = t - delays[l], record[l] if record else None
        is_busy = rows is not None and 0 <= tau < net.n_steps
        sent.append(rows[0, tau] if is_busy else np.zeros(size, int))
    return tuple(sent)


def _drives(net, trace, tau):
    """Return the summed drives, of which that of the output alone is known."""
    tau = min(tau, net.n_steps - 1)
    drive = np.zeros(net.n_outputs) if tau < 0 else trace.step_scores[0, tau] * (tau + 1)
    return (None,) * net.n_layers + (drive,)


class DifferenceError(AssertionError):
    """A graph differs from the reference; the message says where."""


def assert_equal(name, played, messages):
    """Raise DifferenceError with the first message at which a network differs, and how."""
    found = played.found()
    differences = [
        *different_records(found.records, messages),
        *different_looks(played, found.looks, messages),
        *different_ends(found, messages),
    ]
    if differences:
        message, what = min(differences, key=lambda difference: difference[0])
        raise DifferenceError(f"{name} network, step {message}: {what}")


def different_records(records, messages):
    for name, seen in records.items():
        for message, row in enumerate(seen[: len(messages)]):
            wanted = recorded(name, messages, message)
            if wanted is None:
                continue
            wanted = np.asarray(wanted, float).reshape(-1)
            if len(wrong := np.flatnonzero(row != wanted)):
                unit = wrong[0]
                values = f"{row[unit]} in Lava, {wanted[unit]} in the reference"
                yield message, f"{name}, unit {unit}: {values}"
                break


def recorded(name, messages, number):
    """Return what should have been recorded at a message, or None if that is not known."""
    message = messages[number]
    if message.last is None:
        return None
    if name == "output":
        return message.spikes
    if name == "drive":
        return message.last.drives[-1]
    if name == "behind":
        return messages[number - 1].spikes if number else np.zeros_like(message.spikes)
    kind, l = name
    if kind == "weight":
        return message.last.state.weights[l - 1]
    return {"spike_count": message.last.spikes, "error": message.last.errors}[kind][l]


def different_looks(played, looks, messages):
    for n_messages, look in looks.items():
        moment = messages[n_messages - 1].last
        if moment is None:
            continue
        for name, value in look.items():
            if name != "state":
                wanted = {"spike_count": moment.spikes, "error": moment.errors}[name[0]][name[1]]
                if not np.array_equal(value, wanted):
                    yield n_messages - 1, f"{name} read: {value}, not {wanted}"
            # A checkpoint holds no sample that is half shown, but weights learn at every step.
            elif moment.closes or played.part.form != "standard":
                names = STATE if moment.closes else STATE[:1]
                if what := differing_state(value, moment.state, names):
                    yield n_messages - 1, f"{what} when the run was over"


#: The parts of a learning state.
STATE = ("weights", "backward_potentials", "feedback", "samples_seen")


def differing_state(state, wanted, names=STATE):
    """Return the first place where two learning states differ, or None."""
    for name in names:
        one, other = getattr(state, name), getattr(wanted, name)
        both = [(one, other)] if name == "samples_seen" else zip(one, other, strict=True)
        for i, (one, other) in enumerate(both):
            one, other = np.asarray(one), np.asarray(other)
            if len(wrong := np.argwhere(one != other)):
                at = tuple(wrong[0])
                return f"{name}[{i}]{list(map(int, at))} is {one[at]} and not {other[at]}"
    return None


def different_ends(found, messages):
    last = messages[-1].last
    if found.scores is not None:
        closing = [m.last.scores for m in messages if m.last is not None and m.last.closes]
        wanted = np.array(closing).reshape(-1, found.scores.shape[-1])
        if not np.array_equal(found.scores, wanted):
            yield len(messages) - 1, f"scores are {found.scores}, not {wanted}"
    # In the middle of a sample the spikes of its first steps have been counted already.
    if found.operations is not None and last.closes and found.operations != last.operations:
        text = f"{found.operations} in Lava, {last.operations} in the reference"
        yield len(messages) - 1, text


class RefusedError(Exception):
    """A graph was refused; the message is that of the package."""


def refusal(error):
    """Return the message with which something documented was refused; None if it just failed."""
    for kind, sentence in REFUSALS:
        if isinstance(error, kind) and re.search(sentence, str(error)):
            return f"{type(error).__name__}: {error}"
    return None


class Verdict(NamedTuple):
    """What came out of a graph: "equal", "refused" or "different", and why."""

    outcome: str
    reason: str = ""


def judge(graph):
    """Return the verdict on a graph."""
    try:
        compare(graph)
    except RefusedError as error:
        return Verdict("refused", str(error))
    except Exception as error:
        is_told = isinstance(error, DifferenceError)
        reason = str(error) if is_told else "".join(traceback.format_exception(error))
        return Verdict("different", reason)
    return Verdict("equal")


def compare(graph):
    """Raise DifferenceError if a graph differs from the reference, RefusedError if it is refused.

    An error of the reference is a difference: what it cannot compute must have been refused.
    """
    random = np.random.default_rng([graph.seed, 3])
    start = [Checkpoint(part.net, drawn_state(part.net, random)) for part in graph.parts]
    reached, wanted = compare_one(graph, start, start)
    if graph.then is not None:
        compare_one(graph.then, [reached], [wanted])


def drawn_state(net, random):
    """Return a state with weights with which layers spike."""
    size = 0.2 if net.arithmetic == "loihi2" else 0.8
    return initial_state(net, [size * random.standard_normal(s) for s in net.weight_shapes])


def compare_one(graph, start, wanted):
    """Play a graph from some checkpoints; return what both sides have reached."""
    player = played(graph, start)
    said = player.moments(wanted)
    for number, name in enumerate(("first", "second")[: len(start)]):
        assert_equal(name, player.parts[number], said[number])
    last = said[0][-1].last
    state = None if last is None else last.state
    return player.parts[0].network.checkpoint(), Checkpoint(graph.parts[0].net, state)


def played(graph, start):
    player = None
    try:
        player = Player(graph, start)
        player.play()
    except Exception as error:
        if (reason := refusal(error)) is None:
            raise
        if player is not None:
            assert_unchanged(player, start)
        raise RefusedError(reason) from error
    return player


def assert_unchanged(player, start):
    """Assert that a refused run has left each network as the run before did."""
    for part, checkpoint in zip(player.parts, start, strict=True):
        before = [look["state"] for look in part.looks.values()] or [checkpoint.state]
        if player.settings or part.part.form == "standard":
            continue
        if what := differing_state(part.network.checkpoint().state, before[-1]):
            raise DifferenceError(f"a refused run has changed: {what}")


def run(seeds, report=print, progress=iter):
    """Judge the graphs of some seeds; return the counts of outcomes and of kinds."""
    outcomes, kinds = Counter(), Counter()
    for seed in progress(seeds):
        graph = draw(seed)
        faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
        verdict = judge(graph)
        faulthandler.cancel_dump_traceback_later()
        outcomes[verdict.outcome] += 1
        kinds.update(set(graph.kinds()))
        if verdict.outcome == "different":
            report(f"seed {seed}: different\n{graph}\n{verdict.reason}\n")
        elif verdict.outcome == "refused":
            report(f"seed {seed}: refused: {verdict.reason}")
    return outcomes, kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    outcomes, kinds = run(range(given.seed, given.seed + given.graphs), tqdm.write, tqdm)
    for kind, count in sorted(kinds.items()):
        print(f"{count:5} {kind}")
    names = ("equal", "refused", "different")
    print(", ".join(f"{outcomes[name]} {name}" for name in names))
    print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(bool(outcomes["different"]))


if __name__ == "__main__":
    main()
