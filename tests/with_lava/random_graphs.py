"""Graphs of Lava processes as users build them, drawn at random: each must equal the reference.

    python -m tests.with_lava.random_graphs 3000 --busy 2

plays many of them, with processes in the background that keep cores busy, and as many that are
ended at any step, whose checkpoints must go on as if they had not been. None may hang: if one takes
longer than two minutes, the program prints all stacks and ends.
"""

import argparse
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from spikebp_plugins import Checkpoint, Operations
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state
from tests.core.strategies import definitions, networks
from tests.step_oracle import follow, with_weights
from tests.with_lava.around import EnclosingProcess, FaultyProcess
from tests.with_lava.graphs import (
    TAGS,
    Loihi1SimCfg,
    Loihi2SimCfg,
    assert_same_state,
    configuration,
)
from tests.with_lava.own import Recorder, Replay

#: Seconds after which a graph hangs.
TIME_LIMIT = 120

#: A leaf, one with a message for each sample, synapses of Lava's own.
FORMS = ("leaf", "sample", "standard")

#: The phases of a step of Lava in which a process computes.
PHASES = ("spk", "pre_mgmt", "lrn", "post_mgmt")

INPUTS = ("spikes_in", "label_in", "target_in", "reset_in")
OUTPUTS = ("spikes_out", "summed_drive_out")


@dataclass(frozen=True)
class Graph:
    """All decisions of a graph; the numbers in it are drawn from the seed.

    Attributes
    ----------
    net : Definition
        The definition.
    form, tag : str
        One of `FORMS`, and the tag of the run configuration.
    base : type
        The class of the run configuration.
    input : str
        What sends the input: a "source" of samples, one of "changing" samples, a "buffer" of
        Lava's, or a process of the user's "own".
    answer : str
        "labels" or "targets" of the "source" or of another process, or "none".
    has_resets, is_nested : bool
        Whether `reset_in` is connected, and whether a process contains the network.
    monitors : tuple of tuple
        The variables that have a monitor, each a kind and a layer.
    cuts : tuple of int
        Where runs end, in messages.
    runs : tuple of tuple
        For each run, whether it learns, whether weights are set before it, which process runs, and
        by what the learning rate is multiplied before it.
    seed : int
        The seed.
    """

    net: Definition
    form: str
    tag: str
    base: type
    input: str
    answer: str
    has_resets: bool
    is_nested: bool
    monitors: tuple
    cuts: tuple
    runs: tuple
    seed: int

    @property
    def per_sample(self):
        """How many messages a sample takes."""
        return 1 if self.form == "sample" else steps_of_sample(self.net, self.net.n_steps)

    @property
    def n(self):
        """How many messages there are."""
        return self.cuts[-1]

    @property
    def unit(self):
        """What 1 means at a port for real targets and drives."""
        return 2.0**-self.net.fraction_bits if self.tag == "fixed_pt" else 1.0

    @property
    def granularity(self):
        return {"granularity": "sample"} if self.form == "sample" else {}


def nets(form, **limits):
    """Definitions that a form does not refuse."""
    if form == "standard":
        limits |= {"timing": "pipelined", "updates": ("fractional", "outer"), "bounded": False}
    dense = definitions(max_depth=4, max_width=6, **limits)
    if form == "standard":
        return dense
    return dense | networks(max_depth=3, max_side=4, max_width=5, **limits)


@st.composite
def graphs(draw, form):
    """Any graph of a form that is not refused."""

    def one_of(*values):
        return draw(st.sampled_from(values))

    limits = {"max_steps": 6, "rates": (0.05, 0.5), "fraction_bits": None}
    net = draw(nets(form, input_scale=one_of(1.0, 1 / 3, 1.7), **limits))
    tag = TAGS[0] if form == "standard" else one_of(*TAGS)
    L, is_pipelined = net.n_layers, net.timing == "pipelined"
    sources = ["source"] * (net.input_coding == "values") + ["changing"] * (form != "sample")
    given = one_of(*sources, "buffer", "own")
    answers = ["source labels", "source targets"] * (given in sources) + ["labels", "targets"]
    is_nested = draw(st.booleans())
    seen = [(kind, l) for kind in ("spike_count", "potential") for l in range(L + 1)]
    seen += [(kind, l) for kind in ("error", "summed_drive") for l in range(1, L + 1)]
    if form == "standard":
        seen += [("backward_potential", l) for l in range(1, L)]
    weight = "forward_weight" if form == "standard" else "weight"
    seen += [(weight, l) for l in layers_with_weights(net)]
    per_sample = 1 if form == "sample" else steps_of_sample(net, net.n_steps)
    n = per_sample * draw(st.integers(1, 4)) + draw(st.integers(0, per_sample - 1))
    cuts = tuple(sorted({*draw(st.lists(st.integers(1, n), max_size=2)), n}))
    factors = st.sampled_from([1.0, 1.0, 0.5, 0.75, 2.0])
    run = st.tuples(st.booleans(), st.booleans(), st.integers(0, 99), factors)
    return Graph(
        net=net,
        form=form,
        tag=tag,
        base=one_of(Loihi2SimCfg, Loihi1SimCfg),
        input=given,
        answer=one_of(*answers, "none"),
        has_resets=draw(st.booleans()) and not (form == "sample" and is_pipelined),
        is_nested=is_nested,
        # Lava sees no variables of a process inside another one.
        monitors=() if is_nested else tuple(draw(st.sets(st.sampled_from(seen), max_size=3))),
        cuts=cuts,
        runs=tuple(draw(run) for _ in cuts),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def layers_with_weights(net):
    """Return the layers that are reached through weights: those that pool are not."""
    return [l for l, c in enumerate(net.connections, 1) if c.constant_weight is None]


class GraphInput:
    """What a graph gives its network: rows of real numbers, one for each message, and processes.

    Attributes
    ----------
    x, ends : ndarray or None
        Input, and where it ends.
    answers : list
        The label or the real targets of each message, None without any.
    first : ndarray
        The message with which the sample of each message begins.
    senders : dict
        The ports that send, by the name of the port that receives.
    processes : list
        Those that send.
    """

    def __init__(self, graph, random):
        self._graph, self._net, self._random = graph, graph.net, random
        self.senders, self.processes = {}, []
        self.ends = self._drawn_ends() if graph.has_resets else None
        self.first = self._first_of_samples()
        if self.ends is not None:
            self._send("reset_in", Sender(data=self.ends[np.newaxis].astype(int)))
        self._give_input()
        self._give_answers()

    def _drawn_ends(self):
        """Return ends of samples of any length; the way through the network has none."""
        graph = self._graph
        longest = 3 if graph.form == "sample" else 2 * self._net.n_steps
        ends, first = np.zeros(graph.n, bool), 0
        while first < graph.n:
            last = first + int(self._random.integers(longest))
            ends[last : last + 1] = True
            first = last + self._on_its_way + 1
        return ends

    @property
    def _on_its_way(self):
        """How many steps a sample takes from the end of its input to its own end."""
        return steps_of_sample(self._net, 0)

    def _first_of_samples(self):
        n, per_sample = self._graph.n, self._graph.per_sample
        if self.ends is None:
            return np.arange(n) // per_sample * per_sample
        begins, after = np.zeros(n, int), np.flatnonzero(self.ends) + self._on_its_way + 1
        begins[after[after < n]] = after[after < n]
        return np.maximum.accumulate(begins)

    def _give_input(self):
        graph, net, n = self._graph, self._net, self._graph.n
        if graph.input in ("source", "changing"):
            steps = (net.n_steps,) if graph.input == "changing" else ()
            x = self._values((3, *steps, net.n_inputs))
            self.x, y = self._of_source(x), None
            if graph.answer == "source labels":
                # In pipelined timing a label may not come or go where a reset cuts a sample off.
                all_known = graph.has_resets and net.timing == "pipelined"
                y = self._random.integers(0 if all_known else -1, net.n_outputs, 3)
            elif graph.answer == "source targets":
                y = self._random.uniform(-1, 2, (3, *steps, net.n_outputs))
            self._source, self._y = SampleSource(net, x, y, **graph.granularity), y
            self._send("spikes_in", self._source, self._source.spikes_out)
        else:
            self.x = self._values((n, net.n_inputs))
            make = Replay(self.x) if graph.input == "own" else Sender(data=self.x.T)
            self._send("spikes_in", make)

    def _values(self, shape):
        net, random = self._net, self._random
        if net.input_coding == "spikes" and net.spikes == "binary":
            return random.integers(-1, 2, shape)
        if self._graph.tag == "fixed_pt" or net.input_coding == "spikes":
            values = random.integers(-2, 5, shape)
        else:
            values = random.uniform(-1, 2, shape)
        if self._graph.form != "standard":  # whose messages are small
            values[random.random(shape) < 0.05] *= 100  # wrong readings
        return values

    def _of_source(self, values, delay=0):
        """Return the rows that a source sends, of samples that it begins again after the last."""
        n, per_sample = self._graph.n, self._graph.per_sample
        sample, message = np.divmod(np.arange(n), per_sample)
        of_sample = values[sample % len(values)]
        if values.ndim < 3:
            return of_sample
        return of_sample[np.arange(n), np.clip(message - delay, 0, self._net.n_steps - 1)]

    def _give_answers(self):
        graph, net, n, random = self._graph, self._net, self._graph.n, self._random
        self.answers = [None] * n
        if graph.answer == "source labels":
            self._send("label_in", self._source, self._source.label_out)
            self.answers = known(self._of_source(self._y))
        elif graph.answer == "source targets":
            self._send("target_in", self._source, self._source.target_out)
            self.answers = list(self._of_source(self._y, delays_of(net).spikes[-1]))
        elif graph.answer == "labels":
            labels = random.integers(0, net.n_outputs, n)
            labels[random.random(n)[self.first] < 0.3] = -1
            if net.timing == "immediate":
                labels[np.arange(n) - self.first < random.integers(0, 3, n)[self.first]] = -1
            self._send("label_in", Sender(data=labels[np.newaxis]))
            self.answers = known(labels)
        elif graph.answer == "targets":
            targets = random.uniform(-1, 2, (n, net.n_outputs))
            if graph.tag == "fixed_pt":
                targets = np.rint(targets / graph.unit)
            self._send("target_in", Replay(targets))
            self.answers = list(targets * graph.unit)

    def _send(self, port, process, sender=None):
        self.senders[port] = sender or process.s_out
        self.processes.append(process)


def known(labels):
    return [None if label < 0 else label for label in labels.tolist()]


class Player:
    """A graph in Lava, and what it must do by the reference."""

    def __init__(self, graph):
        random = np.random.default_rng(graph.seed)
        net = graph.net
        weights = [0.8 * random.standard_normal(shape) for shape in net.weight_shapes]
        self.graph, self.random = graph, random
        self.start = Checkpoint(net, initial_state(net, weights))
        if graph.form == "standard":
            self.network = StandardMLP(self.start)
        else:
            self.network = SpikingMLPProcess(self.start, **graph.granularity)
        self.given = GraphInput(graph, random)
        enclosing = [EnclosingProcess(self.network, INPUTS + OUTPUTS)] if graph.is_nested else []
        (ports,) = enclosing or [self.network]
        for name, sender in self.given.senders.items():
            sender.connect(getattr(ports, name))
        # A sink counts the steps of samples.
        self.sink = None if graph.has_resets else ScoreSink(net, graph.n, **graph.granularity)
        self.drives = Recorder(net.n_outputs, graph.n)
        self.fired = Receiver(shape=(net.n_outputs,), buffer=graph.n)
        ports.spikes_out.connect(self.fired.a_in)
        ports.summed_drive_out.connect(self.drives.a_in)
        if self.sink:
            ports.summed_drive_out.connect(self.sink.summed_drive_in)
        self.monitors = [Monitor() for _ in graph.monitors]
        for monitor, (kind, l) in zip(self.monitors, graph.monitors, strict=True):
            monitor.probe(getattr(self.network, f"{kind}_{l}"), graph.n)
        receivers = [self.drives, self.fired, *filter(None, [self.sink])]
        self.around = [*self.given.processes, *receivers, *enclosing]
        self.settings, self.rates = {}, {}

    def play(self):
        """Run the graph, and assert that it does what the reference does."""
        graph, states, first = self.graph, [], 0
        try:
            for number, end in enumerate(graph.cuts):
                learns, sets_weights, runner, factor = graph.runs[number]
                self.network.learning = learns
                if sets_weights:
                    self._set_weights(first)
                self._set_rate(first, factor)
                # At first none is run that is in another process, which it does not know yet.
                processes = self.around + [self.network] * (number > 0 or not graph.is_nested)
                run_cfg = configuration(graph.tag, graph.base) if number == 0 else None
                processes[runner % len(processes)].run(RunSteps(num_steps=end - first), run_cfg)
                states.append(self.network.checkpoint())
                self._assert_predicts(states[-1])
                first = end
            records = self._records()
        finally:
            self.network.stop()
        results = self._results()
        self._assert_recorded(records, results)
        self._assert_reached(states, results)

    def _set_weights(self, message):
        graph, net = self.graph, self.graph.net
        layers = layers_with_weights(net)
        if not layers:
            return
        l = layers[int(self.random.integers(len(layers)))]
        matrix = np.rint(self.random.standard_normal(net.weight_shapes[l - 1]) * 2**12) / 2**12
        getattr(self.network, f"weight_{l}").set(matrix / (graph.unit if message else 1))
        self.settings[message] = (l, matrix)

    def _set_rate(self, message, factor):
        """Set another rate, which is refused exactly where a sample is half shown."""
        rate = factor * self.network.learning_rate
        is_between = message in (0, self.graph.n) or self.given.first[message] == message
        if not is_between:
            with pytest.raises(RuntimeError, match="is set between samples"):
                self.network.learning_rate = rate
            return
        try:
            self.network.learning_rate = rate
        except ValueError:  # it would round to zero
            assert factor < 1
        else:
            self.rates[message] = rate

    def _assert_predicts(self, checkpoint):
        """Assert that the network predicts as the reference does from its checkpoint."""
        net = self.graph.net
        x = self.given.x[-1:]
        if net.input_coding == "spikes":
            x = np.repeat(x[:, np.newaxis], net.n_steps, axis=1)
        with checkpoint.simulate("reference") as sim:
            scores = sim.predict(x)
        assert np.array_equal(self.network.predict(x), scores)
        labels = [int(scores.argmax()), -1, *[int(scores.argmin())] * bool(np.ptp(scores))]
        found = self.network.accuracy(np.repeat(x, len(labels), axis=0), labels)
        assert found == 1 / (len(labels) - 1)

    def _records(self):
        """Return what was received and seen, each of shape (n_messages, n), by what it is."""
        records = {"output": self.fired.data.get().T, "drive": self.drives.rows * self.graph.unit}
        for monitor, (kind, l) in zip(self.monitors, self.graph.monitors, strict=True):
            ((values,),) = (found.values() for found in monitor.get_data().values())
            unit = self.graph.unit if kind in ("weight", "potential", "summed_drive") else 1
            records[kind, l] = values.reshape(self.graph.n, -1) * unit
        return records

    def _results(self):
        """Return the results of each message, by the reference."""
        graph, given = self.graph, self.given
        together = steps_of_sample(graph.net, graph.net.n_steps) if graph.form == "sample" else 1
        is_pipelined = graph.net.timing == "pipelined"
        # With pipelined timing learning is a matter of whole samples.
        asked = given.first if is_pipelined else np.arange(graph.n)
        learns = [graph.runs[np.searchsorted(graph.cuts, m, side="right")][0] for m in asked]
        targets = [y if learn else None for y, learn in zip(given.answers, learns, strict=True)]
        ends = given.ends
        if ends is not None:
            ends = np.zeros((graph.n, together), bool)
            ends[:, -1] = given.ends
            ends = ends.ravel()
        steps = follow(
            self.start,
            np.repeat(given.x, together, axis=0),
            [y for y in targets for _ in range(together)],
            ends,
            *(
                {message * together: value for message, value in given.items()}
                for given in (self.settings, self.rates)
            ),
        )
        return [steps[i : i + together] for i in range(0, len(steps), together)]

    def _assert_recorded(self, records, results):
        for message, steps in enumerate(results):
            for name, rows in records.items():
                wanted = np.ravel(self._wanted(name, steps))
                assert np.array_equal(rows[message], wanted), f"{name} in message {message}"

    @staticmethod
    def _wanted(name: Any, steps: Any) -> Any:
        last = steps[-1]
        if name == "output":
            return sum(result.spikes[-1] for result in steps)
        if name == "drive":
            return last.drives[-1]
        kind, l = name
        if kind == "weight":
            return last.state.weights[l - 1]
        if kind == "forward_weight":
            return last.state.weights[l - 1].T
        return {
            "spike_count": last.spikes,
            "error": last.errors,
            "potential": last.sample.phi,
            "summed_drive": last.drives,
            "backward_potential": (None, *last.state.backward_potentials),
        }[kind][l]

    def _assert_reached(self, checkpoints, results):
        """Compare what has been learned after each run, and what is known of all samples."""
        for end, checkpoint in zip(self.graph.cuts, checkpoints, strict=True):
            closing = [i for i, steps in enumerate(results[:end]) if steps[-1].closes]
            first = closing[-1] + 1 if closing else 0
            wanted = results[first - 1][-1].state if closing else self.start.state
            for message in range(first, end):
                if message in self.settings:
                    wanted = with_weights(wanted, *self.settings[message])
            assert_same_state(checkpoint, wanted)
        closing = [steps[-1] for steps in results if steps[-1].closes]
        if self.sink:
            wanted = [result.scores for result in closing]
            assert np.array_equal(
                self.sink.scores, np.reshape(wanted, (-1, self.graph.net.n_outputs))
            )
        of_ended = closing[-1].operations if closing else Operations()
        assert self.network.operations == of_ended, "Operations"


def play(graph):
    """Assert that a graph does what the reference does."""
    Player(graph).play()


#: What ends the last run of a graph: calls from another thread, an exception of a neighbour in a
#: phase of a step, and handlers of signals, one of which pauses the run, and one raises.
ENDS = ("pause", "stop", *PHASES, "signal", "raise")


@dataclass(frozen=True)
class EndedGraph:
    """All decisions of a graph that is ended at any step, most often in the middle of a sample.

    Attributes
    ----------
    net : Definition
        The definition.
    form, tag : str
        As in `Graph`.
    changes, has_labels : bool
        Whether input changes from step to step; whether the source has labels, or real targets.
    end : str
        One of `ENDS`.
    first, more : int
        The messages of a first run, and after how many others the second run is ended.
    seed : int
        The seed.
    """

    net: Definition
    form: str
    tag: str
    changes: bool
    has_labels: bool
    end: str
    first: int
    more: int
    seed: int

    granularity = Graph.granularity
    per_sample = Graph.per_sample


@st.composite
def ended_graphs(draw, form):
    """Any graph of a form that is not refused, and that learns in sums within their range."""
    limits = {"max_steps": 6, "rates": (0.01, 0.05), "fraction_bits": None}
    if form == "sample":  # a source has values for all steps of a sample, and not spikes
        limits["input_coding"] = "values"
    net = draw(nets(form, input_scale=draw(st.sampled_from((1.0, 1 / 3, 1.7))), **limits))
    takes_rows = net.input_coding == "values"
    per_sample = 1 if form == "sample" else steps_of_sample(net, net.n_steps)
    return EndedGraph(
        net=net,
        form=form,
        tag=TAGS[0] if form == "standard" else draw(st.sampled_from(TAGS)),
        changes=form != "sample" and (not takes_rows or draw(st.booleans())),
        has_labels=draw(st.booleans()),
        end=draw(st.sampled_from(ENDS)),
        first=draw(st.integers(0, 2 * per_sample)),
        more=draw(st.integers(1, 2 * per_sample)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


class EndedPlayer:
    """A graph that is ended by something, and whose checkpoint goes on elsewhere."""

    def __init__(self, graph):
        random, net = np.random.default_rng(graph.seed), graph.net
        steps = (net.n_steps,) if graph.changes else ()
        self.x = random.integers(-1, 2, (3, *steps, net.n_inputs))
        self.y = random.uniform(-1, 2, (3, net.n_outputs))
        if graph.has_labels:
            self.y = random.integers(0, net.n_outputs, 3)
        weights = [0.5 * random.standard_normal(shape) for shape in net.weight_shapes]
        self.graph, self.start = graph, Checkpoint(net, initial_state(net, weights))
        self.has_ended = False
        make = StandardMLP if graph.form == "standard" else SpikingMLPProcess
        self.network = make(self.start, **graph.granularity)
        source = SampleSource(net, self.x, self.y, **graph.granularity)
        self.counter = Replay(np.zeros((1, net.n_inputs)), delay=0.001)
        fails_at = graph.first + graph.more if graph.end in PHASES else 0
        faulty = FaultyProcess(net.n_inputs, fails_at, phase=graph.end)
        for sender in (source.spikes_out, self.counter.s_out, faulty.s_out):
            sender.connect(self.network.spikes_in)
        if graph.has_labels:
            source.label_out.connect(self.network.label_in)
        else:
            source.target_out.connect(self.network.target_in)

    def play(self):
        """End the graph, and assert that its checkpoint goes on as if nothing had ended it."""
        graph, network = self.graph, self.network
        try:
            network.run(RunSteps(graph.first), configuration(graph.tag))
            self._run_to_the_end()
        finally:
            network.stop()
        n_samples = network.operations.samples
        # Nothing is left of a run that raises an exception; a signal may come when it has ended.
        raises = graph.end == "raise" or graph.end in PHASES
        shown = [graph.first] * raises + [int(self.counter.steps[0])] * (graph.end not in PHASES)
        assert n_samples in [n // graph.per_sample for n in shown]
        x, y = (np.resize(all_, (n_samples + 3, *all_.shape[1:])) for all_ in (self.x, self.y))
        with network.checkpoint().simulate() as go, self.start.simulate() as whole:
            assert go.samples_seen == n_samples
            go.train(x[go.samples_seen :], y[go.samples_seen :])
            whole.train(x, y)
            assert_same_state(go.checkpoint(), whole.checkpoint().state)

    def _run_to_the_end(self):
        end = self.graph.end
        handlers = {"signal": lambda *_: self.network.pause(), "raise": raise_time_is_over}
        with suppress(TimeoutError, ZeroDivisionError), handled_by(handlers.get(end)):
            ending = threading.Thread(target=self._end)
            ending.start()
            try:
                # More samples might bring sums out of range.
                self.network.run(RunSteps(self.graph.more + self.graph.per_sample))
                assert end in ("pause", "stop", "signal")
            finally:
                self.has_ended = True
                ending.join()

    def _end(self):
        end, last = self.graph.end, self.graph.first + self.graph.more
        while self.counter.steps[0] < last and not self.has_ended:
            time.sleep(0.0002)
        if end in ("signal", "raise"):
            os.kill(os.getpid(), signal.SIGUSR1)
        elif end not in PHASES:
            getattr(self.network, end)()


def raise_time_is_over(*_):
    raise TimeoutError


@contextmanager
def handled_by(handler):
    """Let a handler be that of the signal; None leaves it alone."""
    previous = signal.signal(signal.SIGUSR1, handler or signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR1, previous)


def play_to_the_end(graph):
    """Assert that the checkpoint of a graph that is ended goes on as if it had not been."""
    EndedPlayer(graph).play()


def spin():
    while True:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=int, help="how many of each form")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep a core busy each")
    asked = parser.parse_args()
    for _ in range(asked.busy):
        multiprocessing.Process(target=spin, daemon=True).start()

    def in_time(play_one):
        def play_in_time(graph):
            faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
            play_one(graph)
            faulthandler.cancel_dump_traceback_later()

        return play_in_time

    limits = settings(
        max_examples=asked.graphs,
        deadline=None,
        derandomize=False,
        suppress_health_check=HealthCheck,
    )
    for form in FORMS:
        limits(given(graphs(form))(in_time(play)))()
        print(f"{form}: {asked.graphs} graphs equal the reference", flush=True)
        limits(given(ended_graphs(form))(in_time(play_to_the_end)))()
        print(f"{form}: {asked.graphs} that were ended went on as if not", flush=True)


if __name__ == "__main__":
    main()
