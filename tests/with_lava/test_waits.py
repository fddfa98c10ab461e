"""Calls that wait for an answer of Lava's look now and then whether it can still come."""

import _thread
import os
import signal
import threading
import time

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.proc.io.extractor import Extractor, PyLoihiExtractorModel
from lava.proc.io.injector import Injector, PyLoihiInjectorModel
from lava.proc.io.sink import RingBuffer as Receiver

from spikebp_lava import SpikingMLPProcess
from spikebp_lava.runtime.control import GuardedRuntime
from tests.with_lava.around import FaultyProcess, PausingProcess
from tests.with_lava.conftest import children
from tests.with_lava.graphs import (
    N_STEPS,
    NET,
    Line,
    Loihi2SimCfg,
    Samples,
    assert_same_state,
    configuration,
)

FLOATING = configuration("floating_pt")

#: Seconds within which a wait ends, on a busy machine too; one without a look at it lasts for ever.
SOON = 30

#: Steps that take minutes.
FOR_LONG = 1_000_000


class Graph:
    """A line with a large array of Lava's own behind the network."""

    def __init__(self):
        self.line = Line(Samples())
        self.mlp = self.line.mlp
        self.received = Receiver(shape=(3,), buffer=1000)
        self.mlp.spikes_out.connect(self.received.a_in)
        self.line.run(N_STEPS, FLOATING)

    def assert_over(self, why):
        """Assert that the graph has ended, and that the network is as it was before."""
        assert not children()
        with pytest.raises(RuntimeError, match=f"has ended .*{why}.*make it anew"):
            self.line.run(1)
        assert_same_state(self.mlp.checkpoint(), Samples().by_reference()[1])
        self.mlp.stop()


def repeat(call, *arguments):
    """Call again and again, until it raises."""
    while True:
        call(*arguments)


def kill_one():
    os.kill(children()[-1], signal.SIGKILL)


@pytest.fixture
def graph():
    made = Graph()
    yield made
    made.mlp.stop()


@pytest.fixture(autouse=True)
def soon():
    """Fail instead of waiting for ever."""
    begin, timer = time.monotonic(), threading.Timer(3 * SOON, _thread.interrupt_main)
    timer.start()
    yield
    timer.cancel()
    assert time.monotonic() - begin < SOON


def test_a_variable_of_a_process_that_was_killed_is_not_read(graph):
    kill_one()
    with pytest.raises(RuntimeError, match="killed by signal 9"):
        graph.received.data.get()
    graph.assert_over("RuntimeError")


def test_a_variable_whose_transfer_is_interrupted(graph):
    """What is under way would be taken for an answer to the next call."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        repeat(graph.received.data.set, np.ones((3, 1000)))
    signal.signal(signal.SIGINT, previous)
    graph.assert_over("KeyboardInterrupt")


def test_a_value_that_cannot_be_sent(graph):
    """Lava notices when it has said already that a value will come."""
    with pytest.raises(AttributeError, match="'list' object has no attribute 'shape'"):
        graph.received.data.set([1.0, 2.0, 3.0])
    graph.assert_over("AttributeError")


def test_a_process_that_fails_while_it_is_paused_or_stopped():
    """It raises what has happened, since what was learned in the run is lost."""
    for call, condition in (
        ("pause", RunContinuous()),
        ("stop", RunSteps(FOR_LONG, blocking=False)),
    ):
        mlp, faulty = SpikingMLPProcess(NET), FaultyProcess(9, 5, seconds=0.5)
        faulty.s_out.connect(mlp.spikes_in)
        mlp.run(condition, FLOATING)
        time.sleep(0.2)
        with pytest.raises(ZeroDivisionError, match="nothing can be divid"):
            getattr(mlp, call)()
        assert not children()


def test_a_graph_goes_on_after_a_pause_in_the_middle_of_steps(graph):
    graph.mlp.run(RunSteps(FOR_LONG, blocking=False))
    graph.mlp.pause()
    graph.line.run(7)
    graph.mlp.run(RunContinuous())
    graph.mlp.pause()
    assert graph.mlp.operations.samples == graph.mlp.checkpoint().state.samples_seen


@pytest.mark.parametrize("call", ["pause", "stop"])
def test_a_run_that_ends_just_then(graph, call, monkeypatch):
    """The end of the run is reported, and a moment later what was asked for."""
    graph.mlp.run(RunSteps(N_STEPS, blocking=False))
    runtime = graph.mlp.runtime
    (port,) = runtime.service_to_runtime
    while not port.probe():
        time.sleep(0.001)
    monkeypatch.setattr(GuardedRuntime, "_is_under_way", lambda *_: True)
    getattr(graph.mlp, call)()
    monkeypatch.undo()
    if call == "pause":
        graph.line.run(N_STEPS)
        graph.mlp.stop()
    assert graph.mlp.operations.samples == (18 if call == "pause" else 12)


#: Their models have no tag.
WITHOUT_TAG = {Injector: PyLoihiInjectorModel, Extractor: PyLoihiExtractorModel}


def with_injector_and_extractor():
    """Return a network between the two, whose first 5 steps have begun."""
    mlp = SpikingMLPProcess(NET)
    injector, extractor = Injector(shape=(9,), buffer_size=2), Extractor(shape=(3,))
    injector.out_port.connect(mlp.spikes_in)
    mlp.spikes_out.connect(extractor.in_port)
    configuration = Loihi2SimCfg(select_tag="floating_pt", exception_proc_model_map=WITHOUT_TAG)
    mlp.run(RunSteps(5, blocking=False), configuration)
    return mlp, injector, extractor


def test_a_message_is_received_while_another_thread_waits_for_the_end_of_a_step():
    """That step may end only when this message was answered."""
    mlp, injector, extractor = with_injector_and_extractor()
    receiving = threading.Thread(target=extractor.receive, daemon=True)
    with mlp.runtime.graph.lock:
        receiving.start()
        receiving.join(0.3)  # it looks at the processes meanwhile
        injector.send(np.ones(9))
        receiving.join(SOON / 2)
        assert not receiving.is_alive()
    for _ in range(4):
        injector.send(np.ones(9))
    mlp.wait()
    mlp.stop()


@pytest.mark.parametrize("call", ["send", "receive"])
def test_an_injector_and_an_extractor_of_a_graph_whose_process_was_killed(call):
    mlp, injector, extractor = with_injector_and_extractor()
    for _ in range(5):
        injector.send(np.ones(9))
        extractor.receive()
    mlp.wait()
    kill_one()
    with pytest.raises(RuntimeError, match="killed by signal 9"):
        repeat(injector.send, np.ones(9)) if call == "send" else extractor.receive()
    assert not children()
    with pytest.raises(RuntimeError, match=r"has ended .*make it anew"):
        extractor.receive()


def test_a_graph_that_has_not_run_can_be_stopped():
    mlp = SpikingMLPProcess(NET)
    with pytest.raises(ValueError, match=r"condition must be RunSteps\(...\) or RunContinuous"):
        mlp.run(3, FLOATING)
    assert children()
    mlp.stop()
    assert not children()


def test_a_process_of_its_own_accord_pauses_a_run():
    """Steps can go on afterwards, since Lava ends these itself."""
    mlp, pausing = SpikingMLPProcess(NET), PausingProcess(9)
    pausing.s_out.connect(mlp.spikes_in)
    mlp.run(RunSteps(20), FLOATING)
    assert mlp.operations.samples == 0
    mlp.run(RunSteps(9))
    mlp.stop()
    assert mlp.operations.samples == 2
