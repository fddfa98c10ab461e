"""Channels of a guarded graph lose no wake-up, in the interleavings in which Lava's own do."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.compiler.channels import pypychannel
from lava.magma.compiler.channels.pypychannel import CspSelector, PyPyChannel

from spikebp_lava.runtime.channels import no_wake_up_is_lost

#: Long enough for a thread to go on; a lost one would wait for ever.
SOON = 5.0


class Ports:
    """A channel between threads, whose receiving end is used as Lava's processes use theirs."""

    def start(self):
        memory = SimpleNamespace(
            create_shared_memory=lambda size: SimpleNamespace(buf=memoryview(bytearray(size)))
        )
        channel = PyPyChannel(SimpleNamespace(smm=memory), "a", "b", (1,), np.int64, 4)
        self.source, self.sink = channel.src_port, channel.dst_port
        self.selector = CspSelector()
        self.source.start()
        self.sink.start()

    def send(self, value):
        self.source.send(np.array([value]))

    def select(self):
        return self.selector.select((self.sink, lambda: int(self.sink.recv()[0])))

    def join(self):
        self.source.join()
        self.sink.join()


@pytest.fixture
def ports():
    made = Ports()
    yield made
    made.join()


def selected_twice(ports):
    """Send two messages, and select both, while the second arrives as the first is taken.

    The thread of the receiving port is held, if it asks whether a message is there already, until
    the selector has taken the first message and waits for the second.
    """
    found = []
    asked, is_taken, waits = (threading.Event() for _ in range(3))
    ask = ports.sink.probe

    def probe():
        answer = ask()
        if threading.current_thread() is ports.sink.thread and answer:
            asked.set()
            is_taken.wait(SOON)
            waits.wait(SOON)
        return answer

    def select():
        found.append(ports.select())
        is_taken.set()
        found.append(ports.select())

    wait = ports.selector._cv.wait

    def wait_and_say_so(*arguments):
        waits.set()
        return wait(*arguments)

    ports.sink.probe, ports.selector._cv.wait = probe, wait_and_say_so
    ports.send(1)
    while not ask():
        time.sleep(0.001)
    ports.send(2)
    while not asked.is_set() and ports.sink._queue.qsize() < 2:
        time.sleep(0.001)
    selecting = threading.Thread(target=select, daemon=True)
    selecting.start()
    selecting.join(SOON)
    if selecting.is_alive():  # it was lost: let the thread end
        ports.selector._changed()
        selecting.join(SOON)
        return found[:1]
    return found


def test_a_message_that_comes_while_an_older_one_is_taken_wakes_its_receiver(ports):
    with no_wake_up_is_lost():
        ports.start()
    assert selected_twice(ports) == [1, 2]


def test_it_is_lost_by_channels_of_lava_alone(ports):
    ports.start()
    assert selected_twice(ports) == [1]


def test_a_selector_that_goes_while_a_message_comes_does_not_end_the_port(ports):
    class VanishingSelector:
        """A port's observer that has gone when it is looked at again."""

        def __get__(self, port, cls):
            gone, port.looked_at = getattr(port, "looked_at", False), True
            return None if gone else (lambda: None)

        def __set__(self, port, observer):
            pass

    with no_wake_up_is_lost():
        ports.start()
    ports.sink.observer = lambda: None
    ports.sink.__class__ = type("Port", (type(ports.sink),), {"observer": VanishingSelector()})
    for message in (1, 2, 3):
        ports.send(message)
        assert ports.sink._queue.acquire(timeout=SOON)
        ports.sink._queue.release()
        assert int(ports.sink.recv()[0]) == message


def test_a_port_has_a_thread_once_it_is_observed(ports):
    with no_wake_up_is_lost():
        ports.start()
    for value in (1, 2, 3):
        ports.send(value)
    assert int(ports.sink.peek()[0]) == 1
    assert (ports.sink.probe(), ports.sink._queue.qsize()) == (True, 3)
    assert int(ports.sink.recv()[0]) == 1
    for port in (ports.source, ports.sink):
        port.thread.join(SOON)
        assert not port.thread.is_alive()
    assert ports.select() == 2
    assert ports.sink.thread.is_alive()
    ports.send(4)
    assert [ports.select(), int(ports.sink.recv()[0])] == [3, 4]
    assert not ports.sink.probe()


@pytest.mark.parametrize("is_observed", [False, True])
def test_a_full_channel_has_no_room_until_a_message_is_received(ports, is_observed):
    with no_wake_up_is_lost():
        ports.start()
    if is_observed:
        ports.source.observer = lambda: None
    for value in range(4):
        assert ports.source.probe()
        ports.send(value)
    assert not ports.source.probe()
    waiting = threading.Thread(target=ports.send, args=(4,), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert [int(ports.sink.recv()[0]) for _ in range(5)] == [0, 1, 2, 3, 4]
    waiting.join(SOON)
    assert not waiting.is_alive()


def test_lava_is_left_as_it_was():
    before = pypychannel.CspRecvPort, pypychannel.CspSendPort
    with no_wake_up_is_lost():
        assert pypychannel.CspRecvPort is not before[0]
    assert (pypychannel.CspRecvPort, pypychannel.CspSendPort) == before
