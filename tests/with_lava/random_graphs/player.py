"""A random graph in Lava: its processes, their runs, and what they did."""

import time
from typing import NamedTuple

import numpy as np
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor

from spikebp_lava import (
    HierarchicalModel,
    LeafModelFixed,
    LeafModelFloating,
    ScoreSink,
    SpikingMLPProcess,
    StandardMLP,
)
from tests.with_lava.around import Enclosing
from tests.with_lava.own import Keep
from tests.with_lava.random_graphs.drawing import layers_with_weights
from tests.with_lava.random_graphs.expected import expected
from tests.with_lava.random_graphs.feeds import NOTHING, Feed, FeedMaker

#: Seconds that a graph runs until it is paused, and that each of its steps takes.
CONTINUOUS, PACE = 0.05, 0.001


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
    operations : Operations
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
        self.processes = [self.network]
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
            return StandardMLP(self.start)
        granularity = "sample" if self.part.form == "sample" else "step"
        return SpikingMLPProcess(self.start, granularity=granularity)

    @property
    def answers(self):
        """The port for labels or targets."""
        return "target_in" if "targets" in self.part.answer else "label_in"

    def _given(self):
        return {"spikes_in": self.input, self.answers: self.answer, "reset_in": self.resets}

    def _enclosing(self):
        outputs = ("spikes_out", "summed_drive_out")
        inputs = [name for name, feed in self._given().items() if feed.ports]
        if "spikes_in" not in inputs:
            inputs.append("spikes_in")
        if self.part.nested == "all":
            inputs = ["spikes_in", "label_in", "target_in", "reset_in"]
        enclosing = Enclosing(self.network, (*inputs, *outputs))
        self.processes.append(enclosing)
        return enclosing

    # What receives the output.

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
            self.seen["output"] = lambda: fired.data.get().T
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
            self.seen["behind"] = lambda: keep.rows / 2
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
        scores = self.sink.scores if has_scores else None
        return Found(self.records, self.looks, scores, self.network.operations)


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
            settable = layers_with_weights(net)
            if not settable:
                return
            l = settable[int(self.random.integers(len(settable)))]
            bits = net.fraction_bits or 0
            matrix = np.ldexp(self.random.standard_normal(net.weight_shapes[l - 1]), bits)
            matrix = np.rint(matrix)
            is_standard = self.parts[0].part.form == "standard"
            is_in_units = self.graph.is_fixed and number > 0 and not is_standard
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
        return by_form(self.graph.configuration)(self.graph.tag, self.parts)

    # What the reference says.

    def moments(self, start):
        """Return the moments after the messages of each network, whose starts are given."""
        found = []
        for part, checkpoint in zip(self.parts, start, strict=True):
            inputs = self.parts[0].input if part.part.input == "shared" else part.input
            if part.part.input == "series":
                spikes = np.array([moment.spikes for moment in found[0]], float)
                inputs = Feed(lambda n, rows=spikes: rows[:n], [], [])
            settings = self.settings if part is self.parts[0] else {}
            found.append(expected(self, part, checkpoint, inputs, settings))
        return found


def by_form(base):
    """Return a class of run configurations that take the model of each network by its form."""

    class ByForm(base):
        def __init__(self, tag, parts):
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
