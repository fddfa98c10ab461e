"""Whoever runs a graph: it is guarded, and every process of it can go on and stop.

Lava hands the runtime to leaves and to the process whose `run` is called. The tables here go
through the faults, the forms of the network, and the processes that can be run.
"""

import os
import signal
import threading
import time
from functools import cache
from itertools import product

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunSteps
from lava.magma.runtime.runtime import Runtime

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from spikebp_lava.processes.network import PySpikingMLPModel
from spikebp_plugins import Checkpoint
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.interrupts import interrupts_get_through
from tests.with_lava.around import EnclosingProcess, FaultyProcess
from tests.with_lava.conftest import children
from tests.with_lava.graphs import N_SAMPLES, NET, Samples, assert_same_state, configuration
from tests.with_lava.random_graphs import PHASES

FORMS = ("leaf", "standard")

#: Which process is run: the network, a neighbour, or one that contains the network; the last is a
#: neighbour of that one.
RUNNERS = ("network", "source", "sink", "enclosing", "source of enclosing")

#: Steps that take minutes.
FOR_LONG = 1_000_000

#: Seconds within which a fault ends everything, on a busy machine too; what hangs takes for ever.
SOON = 30

PIPELINED = NET.replace(timing="pipelined")


#: Signals with handlers that raise an exception. The alarm belongs to the time limit of tests.
SIGNALS = {
    KeyboardInterrupt: signal.SIGINT,
    TimeoutError: signal.SIGUSR1,
    SystemExit: signal.SIGTERM,
}


def raising(error):
    def handler(number, frame):
        raise error(f"of a handler, as asked for by signal {number}")

    return handler


class Case:
    """A source, a network of some form, and a sink; and the process that is run."""

    def __init__(self, form, runner="network", fails_at=0, phase="spk"):
        self.samples = Samples(PIPELINED if form == "standard" else NET)
        net = self.samples.net
        state = initial_state(net, self.samples.weights)
        make = StandardMLP if form == "standard" else SpikingMLPProcess
        self.network = make(Checkpoint(net, state))
        self.source = SampleSource(net, self.samples.x, self.samples.y)
        self.sink = ScoreSink(net, N_SAMPLES)
        self.faulty = FaultyProcess(net.n_inputs, fails_at, phase=phase)
        self.enclosing = EnclosingProcess(self.network) if "enclosing" in runner else None
        self.in_graph = ports = self.enclosing or self.network
        self.source.spikes_out.connect(ports.spikes_in)
        self.source.label_out.connect(ports.label_in)
        self.faulty.s_out.connect(ports.spikes_in)
        ports.summed_drive_out.connect(self.sink.summed_drive_in)
        self.runner = getattr(self, runner.split()[0])
        self.configuration = configuration("floating_pt")
        self.per_sample = steps_of_sample(net, net.n_steps)

    @property
    def processes(self):
        """All that have `run` and `stop`."""
        return [self.network, self.source, self.sink, *filter(None, [self.enclosing])]

    def first_run(self):
        """Show all samples once."""
        n_steps = N_SAMPLES * self.per_sample
        self.runner.run(condition=RunSteps(num_steps=n_steps), run_cfg=self.configuration)

    def run_on(self, process=None, n_steps=FOR_LONG, waits=False):
        """Run the graph again; with `waits` return from `run` and wait for its end."""
        process = process or self.runner
        process.run(condition=RunSteps(num_steps=n_steps, blocking=not waits))
        if waits:
            process.wait()

    def assert_shown(self, times):
        """Assert that the network is as it was after it had been shown all samples some times."""
        expected = state_by_reference(self.samples.net, times)
        assert_same_state(self.network.checkpoint(), expected)

    def assert_over(self, why):
        """Assert that every process says that the graph has ended, and can be stopped."""
        assert not children()
        for process in self.processes:
            with pytest.raises(RuntimeError, match=f"has ended .*{why}.*make it anew"):
                self.run_on(process, 1)
            process.stop()


@cache
def state_by_reference(net, times):
    samples = Samples(net)
    x, y = np.tile(samples.x, (times, 1)), np.tile(samples.y, times)
    return samples.by_reference(x, y)[1]


class Fault:
    """Something that goes wrong in the second run, soon after its begin or at a step."""

    #: At which step of Lava a neighbour fails, and in which of its phases.
    step = 0
    phase = "spk"
    why = ""
    #: Whether it happens in `wait` instead of `run`.
    waits = False

    def happen(self):
        """Do it, in a thread."""

    def expected(self):
        """The context in which the second run raises what it must."""


class NeighbourFails(Fault):
    step = 200
    why = "ZeroDivisionError"

    def __init__(self, phase):
        self.phase = phase

    def expected(self):
        return pytest.raises(ZeroDivisionError, match="nothing can be divided by this source")


class ProcessIsKilled(Fault):
    why = "RuntimeError"

    def happen(self):
        os.kill(children()[-1], signal.SIGKILL)

    def expected(self):
        return pytest.raises(RuntimeError, match="killed by signal 9 in the middle of a run")


class Interrupt(Fault):
    why = "KeyboardInterrupt"

    def __init__(self, waits=False):
        self.waits = waits

    def happen(self):
        for pid in (*children(), os.getpid()):  # as a terminal does
            os.kill(pid, signal.SIGINT)

    def expected(self):
        return pytest.raises(KeyboardInterrupt)


class HandlerRaises(Fault):
    """A handler of a signal raises something, as those of time limits do."""

    def __init__(self, error):
        self.error = error
        self.why = error.__name__

    def happen(self):
        os.kill(os.getpid(), SIGNALS[self.error])

    def expected(self):
        return pytest.raises(self.error, match="of a handler")


FAULTS = {
    **{f"neighbour fails in {phase}": NeighbourFails(phase) for phase in PHASES},
    "process is killed": ProcessIsKilled(),
    "interrupt": Interrupt(),
    "interrupt in wait": Interrupt(waits=True),
    "TimeoutError of a handler": HandlerRaises(TimeoutError),
    "SystemExit of a handler": HandlerRaises(SystemExit),
}


@pytest.fixture(autouse=True)
def handlers():
    """Signals raise exceptions; whoever starts the tests may ignore interrupts."""
    previous = {number: signal.signal(number, raising(error)) for error, number in SIGNALS.items()}
    with interrupts_get_through():
        yield
    for number, handler in previous.items():
        signal.signal(number, handler)


def table(*columns, quick):
    """A third of all combinations as parameters, in which each two values of two columns meet.

    All but those that are `quick` take too long for a short run.
    """
    numbered = product(*map(enumerate, columns))
    thorough = [
        tuple(value for _, value in row) for row in numbered if sum(i for i, _ in row) % 3 == 0
    ]
    return [
        *quick,
        *(pytest.param(*row, marks=pytest.mark.thorough) for row in thorough if row not in quick),
    ]


@pytest.mark.parametrize(
    ("form", "runner", "fault"),
    table(
        FORMS,
        RUNNERS,
        FAULTS,
        quick=[
            ("leaf", "enclosing", "neighbour fails in spk"),
            ("standard", "network", "neighbour fails in lrn"),
            ("standard", "sink", "interrupt"),
            ("leaf", "network", "TimeoutError of a handler"),
        ],
    ),
)
def test_a_fault_ends_the_run(form, runner, fault, record_property):
    fault = FAULTS[fault]
    case = Case(form, runner, fault.step, fault.phase)
    case.first_run()
    happened = []

    def happen():
        happened.append(time.monotonic())
        fault.happen()

    threading.Timer(0.1, happen).start()
    with fault.expected() as raised:
        case.run_on(waits=fault.waits)
    if happened:
        seconds = time.monotonic() - happened[0]
        record_property("seconds", seconds)
        assert seconds < SOON
    if fault.step:
        assert "raise ZeroDivisionError" in str(raised.value.__cause__)
    case.assert_shown(1)
    case.assert_over(fault.why)


@pytest.mark.parametrize(
    ("form", "runner"),
    table(
        FORMS,
        ("network", "source", "enclosing"),
        quick=[],
    ),
)
def test_a_graph_stops_after_a_process_was_killed(form, runner):
    case = Case(form, runner)
    case.first_run()
    os.kill(children()[-1], signal.SIGKILL)
    begin = time.monotonic()
    case.runner.stop()
    assert time.monotonic() - begin < SOON
    case.assert_shown(1)
    case.assert_over("killed by signal 9 between runs")


@pytest.mark.parametrize(
    ("form", "runner"),
    table(
        FORMS,
        ("network", "source", "source of enclosing"),
        quick=[("standard", "source of enclosing")],
    ),
)
def test_every_process_can_go_on_and_stop(form, runner):
    case = Case(form, runner)
    case.first_run()
    for process in case.processes:
        case.run_on(process, N_SAMPLES * case.per_sample)
    case.assert_shown(1 + len(case.processes))
    case.processes[-1].stop()
    case.assert_over("stopped")


#: What Lava's runtime does one after the other as a graph starts.
MOMENTS = ("_build_processes", "_build_runtime_services", "_start_ports")


@pytest.mark.parametrize(
    ("form", "runner", "moment", "error"),
    table(
        FORMS,
        ("network", "source", "enclosing"),
        MOMENTS,
        SIGNALS,
        quick=[("leaf", "network", "_build_runtime_services", KeyboardInterrupt)],
    ),
)
def test_a_signal_while_the_graph_starts_is_not_lost(
    form, runner, moment, error, monkeypatch, record_property
):
    """It comes between two forks, or before or after all."""
    case = Case(form, runner)
    before = case.network.checkpoint()
    in_place = {number: signal.getsignal(number) for number in SIGNALS.values()}
    build = getattr(Runtime, moment)

    def build_and_send(runtime):
        os.kill(os.getpid(), SIGNALS[error])
        time.sleep(0.01)
        build(runtime)

    monkeypatch.setattr(Runtime, moment, build_and_send)
    begin = time.monotonic()
    with pytest.raises(error):
        case.first_run()
    seconds = time.monotonic() - begin
    record_property("seconds", seconds)
    assert seconds < SOON
    assert {number: signal.getsignal(number) for number in SIGNALS.values()} == in_place
    assert_same_state(case.network.checkpoint(), before.state)
    case.assert_over("it could not be started")


def test_a_process_that_is_killed_at_its_start_ends_it(monkeypatch):
    monkeypatch.setattr(
        PySpikingMLPModel, "__init__", lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    )
    case = Case("leaf")
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="killed by signal 9 at its start"):
        case.first_run()
    assert time.monotonic() - begin < SOON
    case.assert_over("it could not be started")


def test_two_networks_run_alternately():
    """They are of different depths, and the second is driven by the first."""
    below = SpikingMLPProcess(NET)
    above = SpikingMLPProcess(NET.replace(layer_sizes=(3, 4, 2), input_coding="spikes"))
    faulty = FaultyProcess(NET.n_inputs, 100)
    faulty.s_out.connect(below.spikes_in)
    below.spikes_out.connect(above.spikes_in)
    below.run(RunSteps(num_steps=14), configuration("floating_pt"))
    above.run(RunSteps(num_steps=14))
    assert [network.operations.samples for network in (below, above)] == [4, 4]
    with pytest.raises(ZeroDivisionError):
        above.run(RunSteps(num_steps=1000))
    assert [network.operations.samples for network in (below, above)] == [4, 4]
    below.stop()
    above.stop()
