"""Pause and stop, from any thread: each state is that of a step's end, and the graph goes on."""

import gc
import math
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import cycle

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.compiler.compiler import Compiler
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.runtime.runtime import Runtime
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, SpikingMLPProcess, StandardMLP
from spikebp_lava.processes.network import PySpikingMLPModel
from spikebp_plugins import Checkpoint, Simulator
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.with_lava.around import FaultyProcess
from tests.with_lava.conftest import children
from tests.with_lava.graphs import NET, Samples, assert_same_state, configuration
from tests.with_lava.own import Replay

#: All forms of the network: leaves with a message for each step or sample, and standard parts.
FORMS = ("leaf", "sample", "standard")

#: Steps that take minutes.
FOR_LONG = 1_000_000

#: Seconds within which what is asked for happens, on a busy machine too.
SOON = 30

UNDER_WAY = "possible before, between and after runs, and one is under way"


class Graph:
    """A source and a network of some form, and a process that counts steps."""

    def __init__(self, form, tag="floating_pt", fails_at=0, **changes):
        net = NET.replace(**{"timing": "pipelined"} if form == "standard" else {}, **changes)
        samples = Samples(net)
        self.x, self.y = samples.x, samples.y
        self.start = Checkpoint(net, initial_state(net, samples.weights))
        options = {"granularity": "sample"} if form == "sample" else {}
        self.mlp = (StandardMLP if form == "standard" else SpikingMLPProcess)(self.start, **options)
        self.source = SampleSource(net, self.x, self.y, **options)
        self.counter = Replay(np.zeros((1, net.n_inputs)), delay=0.001)
        self.source.spikes_out.connect(self.mlp.spikes_in)
        self.counter.s_out.connect(self.mlp.spikes_in)
        self.source.label_out.connect(self.mlp.label_in)
        if fails_at:
            FaultyProcess(net.n_inputs, fails_at).s_out.connect(self.mlp.spikes_in)
        self.configuration = configuration(tag)
        #: Steps of Lava that a sample takes.
        self.period = 1 if form == "sample" else steps_of_sample(net, net.n_steps)

    @property
    def steps(self):
        return int(self.counter.steps[0])

    def run(self, condition):
        self.mlp.run(condition, self.configuration)

    def assert_as_by_reference(self):
        """Assert that the state is that after so many steps, once the present sample has ended."""
        self.run(RunSteps(-self.steps % self.period))
        n = self.steps // self.period
        with Simulator.from_checkpoint(self.start) as sim:
            sim.train(*(np.resize(a, (n, *a.shape[1:])) for a in (self.x, self.y)))
            assert_same_state(self.mlp.checkpoint(), sim.checkpoint().state)
            assert self.mlp.operations == sim.operations


@pytest.fixture
def make_graph():
    graphs = []

    def make(*arguments, **options):
        graphs.append(Graph(*arguments, **options))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.mlp.stop()


@contextmanager
def meanwhile(call):
    """Call in another thread a moment later, and wait until it has come back."""
    thread = threading.Timer(0.1, call)
    thread.start()
    yield
    thread.join(SOON)
    assert not thread.is_alive()


#: What cannot be done while a run is under way.
REFUSED = {
    "run": lambda mlp: mlp.run(RunSteps(20_000)),
    "run for ever": lambda mlp: mlp.run(RunContinuous()),
    "set": lambda mlp: mlp.weight_1.set(np.zeros((9, 8))),
    "get": lambda mlp: mlp.weight_1.get(),
    "get of Lava's": lambda mlp: mlp.spike_count_1.get(),
    "weights": lambda mlp: mlp.weights,
    "operations": lambda mlp: mlp.operations,
    "checkpoint": lambda mlp: mlp.checkpoint(),
    "learning": lambda mlp: setattr(mlp, "learning", False),
}


@pytest.mark.parametrize(
    ("form", "tag"),
    [
        ("leaf", "fixed_pt"),
        ("sample", "floating_pt"),
        ("standard", "floating_pt"),
    ],
)
def test_a_run_is_paused_and_stopped(form, tag, make_graph):
    graph, again = make_graph(form, tag), make_graph(form, tag)
    mlp = graph.mlp
    graph.run(RunSteps(3))
    with meanwhile(graph.source.pause):
        graph.run(RunSteps(FOR_LONG))
    graph.assert_as_by_reference()
    graph.run(RunContinuous())
    for what in REFUSED.values():
        with pytest.raises(RuntimeError, match=UNDER_WAY):
            what(mlp)
    with meanwhile(mlp.pause):
        mlp.wait()
    graph.assert_as_by_reference()
    with meanwhile(mlp.stop), meanwhile(mlp.wait):
        graph.run(RunSteps(FOR_LONG))
    again.run(RunSteps(graph.steps))
    assert_same_state(mlp.checkpoint(), again.mlp.checkpoint().state)
    assert mlp.operations == again.mlp.operations
    with pytest.raises(RuntimeError, match="this graph of Lava processes has ended"):
        graph.run(RunSteps(1))


#: Networks that learn at each step, or once, in both timings.
LEARNERS = [
    ("leaf", "floating_pt", {"update": "normalized"}),
    ("leaf", "fixed_pt", {"update": "outer", "feedback": "random"}),
    ("leaf", "fixed_pt", {"update": "fractional"}),
    ("leaf", "floating_pt", {"update": "fractional", "timing": "pipelined"}),
    ("leaf", "fixed_pt", {"update": "normalized", "timing": "pipelined"}),
    ("standard", "floating_pt", {"learning_rate": 0.1}),
]


@pytest.mark.parametrize(("form", "tag", "changes"), LEARNERS)
def test_a_sample_that_is_half_shown_is_not_in_a_checkpoint(form, tag, changes, make_graph):
    """Neither after a pause nor after a fault, which brings the state before its run."""
    graph = make_graph(form, tag, fails_at=40, **changes)
    mlp, n_shown = graph.mlp, 2 * graph.period - 2
    graph.run(RunSteps(n_shown))
    checkpoint, shown = mlp.checkpoint(), [values.get().copy() for values in weights_of(mlp)]
    assert checkpoint.state.samples_seen == 1
    if form == "leaf" and changes["update"] == "fractional":
        assert not np.array_equal(shown[-1] * unit_of(graph), mlp.weights[-1])
    with pytest.raises(ZeroDivisionError):
        graph.run(RunSteps(FOR_LONG))
    assert_same_state(mlp.checkpoint(), checkpoint.state)
    assert all(map(np.array_equal, shown, [values.get() for values in weights_of(mlp)]))
    with checkpoint.simulate() as go, graph.start.simulate() as whole:
        go.train(graph.x[go.samples_seen :], graph.y[go.samples_seen :])
        whole.train(graph.x, graph.y)
        assert_same_state(go.checkpoint(), whole.checkpoint().state)


def weights_of(mlp):
    return [mlp.weight_1, mlp.weight_2, mlp.weight_3]


def unit_of(graph):
    """Return what 1 means where weights are got and set."""
    fixed = graph.configuration.select_tag == "fixed_pt"
    return 2.0**-graph.mlp.net.fraction_bits if fixed else 1.0


@pytest.mark.parametrize(("form", "tag"), [("leaf", "fixed_pt"), ("standard", "floating_pt")])
def test_weights_that_are_set_in_the_middle_of_a_sample_are_in_its_checkpoint(
    form, tag, make_graph
):
    graph = make_graph(form, tag, learning_rate=0.1)
    graph.run(RunSteps(2 * graph.period - 2))
    before, matrix = graph.mlp.checkpoint().state, np.full((8, 7), 0.25)
    graph.mlp.weight_2.set(matrix / unit_of(graph))
    weights = (before.weights[0], matrix, before.weights[2])
    assert_same_state(graph.mlp.checkpoint(), before.with_reals(weights=weights))
    assert np.array_equal(graph.mlp.weight_2.get() * unit_of(graph), matrix)
    graph.run(RunSteps(2))
    assert not np.array_equal(graph.mlp.weights[1], matrix)


def test_a_run_that_has_ended_by_itself_need_not_be_waited_for(make_graph):
    graph = make_graph("leaf")
    graph.run(RunSteps(2 * graph.period, blocking=False))
    while graph.steps < 2 * graph.period:
        time.sleep(0.01)
    time.sleep(0.1)
    assert graph.mlp.weight_1.get().any()
    graph.assert_as_by_reference()


def test_a_handler_of_a_signal_pauses_a_run(make_graph):
    graph, states = make_graph("leaf"), []
    graph.run(RunSteps(3))

    def handler(*_):
        graph.mlp.pause()
        states.append(graph.mlp.checkpoint().state)

    previous = signal.signal(signal.SIGUSR1, handler)
    with meanwhile(lambda: os.kill(os.getpid(), signal.SIGUSR1)):
        graph.run(RunSteps(FOR_LONG))
    signal.signal(signal.SIGUSR1, previous)
    assert_same_state(graph.mlp.checkpoint(), states[0])
    graph.assert_as_by_reference()


def test_a_signal_with_a_handler_is_for_the_script_alone(make_graph):
    graph, called_in = make_graph("leaf"), []

    def handler(*_):
        called_in.append(os.getpid())
        graph.mlp.checkpoint()

    previous = signal.signal(signal.SIGUSR1, handler)
    graph.run(RunSteps(3))
    for pid in (*children(), os.getpid()):
        os.kill(pid, signal.SIGUSR1)
    graph.run(RunSteps(3))
    signal.signal(signal.SIGUSR1, previous)
    assert called_in == [os.getpid()]
    graph.assert_as_by_reference()


#: What is done when a graph makes its first run, in order: methods of Lava's.
MOMENTS = {
    "compiled": (Compiler, "compile"),
    "begun": (Runtime, "_build_channels"),
    "forked": (Runtime, "_build_runtime_services"),
    "started": (Runtime, "_start_ports"),
}


@pytest.fixture
def at_moment(monkeypatch):
    """Return a function that lets a call be made at a moment, in a thread or by a signal."""

    def let(moment, way, call):
        owner, name = MOMENTS[moment]
        lavas_own = getattr(owner, name)

        def method(*arguments):
            monkeypatch.setattr(owner, name, lavas_own)
            if way == "thread":
                thread = threading.Thread(target=call)
                thread.start()
                thread.join(SOON)
                assert not thread.is_alive()
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
            return lavas_own(*arguments)

        monkeypatch.setattr(owner, name, method)
        signal.signal(signal.SIGUSR1, lambda *_: call())

    previous = signal.getsignal(signal.SIGUSR1)
    yield let
    signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize(
    ("moment", "way", "runner", "target"),
    [
        ("compiled", "thread", "mlp", "source"),
        ("compiled", "signal", "source", "mlp"),
        ("begun", "thread", "counter", "mlp"),
        ("forked", "signal", "mlp", "mlp"),
        ("started", "thread", "mlp", "counter"),
    ],
)
@pytest.mark.parametrize("call", ["pause", "stop"])
def test_a_run_ends_whose_graph_is_still_made(
    call, moment, way, runner, target, make_graph, at_moment
):
    graph = make_graph("leaf")
    at_moment(moment, way, getattr(getattr(graph, target), call))
    getattr(graph, runner).run(RunSteps(FOR_LONG), graph.configuration)
    assert graph.steps == 0
    if call == "stop":
        assert not children()
        with pytest.raises(RuntimeError, match=r"has ended \(stopped\)"):
            graph.run(RunSteps(1))
        return
    graph.run(RunSteps(3))
    assert graph.steps == 3
    graph.assert_as_by_reference()


def test_a_graph_stops_whose_process_takes_long_at_first(make_graph, monkeypatch):
    monkeypatch.setattr(PySpikingMLPModel, "__init__", lambda *_: time.sleep(1000))
    graph = make_graph("leaf")
    with meanwhile(graph.mlp.stop):
        graph.run(RunSteps(FOR_LONG))
    assert not children()


def test_a_stop_before_the_first_run_is_none_of_it(make_graph):
    graph = make_graph("leaf")
    graph.mlp.pause()
    graph.mlp.stop()
    graph.run(RunSteps(3))
    with pytest.raises(ValueError, match="condition must be"):
        graph.run("for ever")
    graph.mlp.pause()
    graph.run(RunSteps(4))
    assert graph.steps == 7


def test_a_runtime_of_ones_own_is_refused(make_graph):
    """Its processes would not be guarded."""
    graph, again = make_graph("leaf"), make_graph("leaf")
    runtime = Runtime(graph.mlp.compile(graph.configuration), ActorType.MultiProcessing)
    with pytest.raises(RuntimeError, match=r"started by run\(\) or by create_runtime\(executable="):
        runtime.initialize()
    assert not children()
    with pytest.raises(RuntimeError, match=r"has ended .*by a Runtime of one's own.*make it anew"):
        graph.run(RunSteps(3))
    again.mlp.create_runtime(executable=again.mlp.compile(again.configuration))
    again.run(RunSteps(3))
    again.assert_as_by_reference()


@pytest.mark.parametrize("n_steps", [2.5, -1, math.nan, math.inf, None, True, "5", [5], 2**64])
def test_a_number_of_steps_that_is_none(n_steps, graph_at_rest):
    with pytest.raises(ValueError, match=r"num_steps must be an integer from 0 to \d+; got"):
        graph_at_rest.run(RunSteps(n_steps))


@pytest.fixture(scope="module")
def graph_at_rest():
    graph = Graph("leaf")
    graph.run(RunSteps(np.int16(2)))
    graph.run(RunSteps(0))
    graph.run(RunSteps(5.0))
    assert graph.steps == 7
    yield graph
    graph.assert_as_by_reference()
    graph.mlp.stop()


#: What tells that a run has failed of which nobody has waited for the end.
TELLS = {
    "stop": lambda mlp: mlp.stop(),
    "wait": lambda mlp: mlp.wait(),
    **REFUSED,
}
SOME = ("stop", "run", "get of Lava's", "checkpoint")


@pytest.mark.parametrize(
    ("call", "form"),
    [
        pytest.param(call, form, marks=() if call in SOME else pytest.mark.thorough)
        for call, form in zip(TELLS, cycle(FORMS))
    ],
)
def test_a_fault_of_a_run_that_nobody_waits_for_is_told_once(call, form, make_graph):
    graph = make_graph(form, fails_at=2 * NET.n_steps)
    graph.run(RunSteps(7))
    before = graph.mlp.checkpoint().state
    n_processes = len(children())
    graph.run(RunContinuous())
    while len(children()) == n_processes:
        time.sleep(0.01)
    with pytest.raises(ZeroDivisionError, match="nothing can be divided") as raised:
        TELLS[call](graph.mlp)
    assert "in run_spk" in str(raised.value.__cause__)
    graph.mlp.stop()
    assert_same_state(graph.mlp.checkpoint(), before)


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_ends_with_the_last_reference_to_it(form):
    """Also one that is observed, and one whose run is under way."""
    graph, monitor = Graph(form), Monitor()
    monitor.probe(graph.mlp.spike_count_1, 10)
    graph.run(RunSteps(3))
    graph.run(RunContinuous())
    assert children()
    del graph, monitor
    gc.collect()
    assert not children()


def test_simulators_that_nobody_has_closed_end_when_another_starts():
    def trained():
        sim = Simulator(NET, "lava")
        sim.train(Samples().x[:1], Samples().y[:1])
        return sim, len(children())

    n_processes = trained()[1]
    sim, n_after = trained()
    sim.close()
    assert n_after == n_processes


def train_in_worker(backend):
    with Simulator(NET, backend, Samples().weights) as sim:
        sim.train(Samples().x, Samples().y)
        return sim.checkpoint()


def test_workers_of_a_pool_are_told_what_to_use():
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool, pytest.raises(RuntimeError, match=r"concurrent\.futures"):
        pool.apply(train_in_worker, ["lava"])
    with ProcessPoolExecutor(1, mp_context=fork) as workers:
        trained = workers.submit(train_in_worker, "lava").result()
    assert_same_state(trained, train_in_worker("compiled").state)


def test_a_graph_belongs_to_the_process_that_made_it(graph_at_rest):
    """A child of the user's that ends, or that nobody refers to, leaves it alone."""
    child = os.fork()
    if not child:
        try:
            graph_at_rest.mlp.checkpoint()
        except RuntimeError:
            graph_at_rest.mlp.stop()
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    graph_at_rest.run(RunSteps(2))
