"""The messages that arrive at the ports of a network in one step of Lava."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from lava.proc.io.source import RingBuffer
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, SharedNetwork
from spikebp_lava.sample_clock import SampleClock
from spikebp_plugins.common.errors import finite, whole, wrong_argument
from spikebp_plugins.engine.step_engine import StepContext
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import real_targets

Array = NDArray[Any]

#: The messages that ports allow in fixed_pt, whose models compute with integers.
WHOLE_IN_FIXED: Final = "whole numbers in fixed_pt"


def check_senders(ports: Iterable[Any]) -> None:
    """Refuse a RingBuffer whose model in fixed_pt would change the numbers that it sends to ports.

    It holds integers of 32 bits: real numbers would lose their fraction before they are sent.

    Parameters
    ----------
    ports : iterable of InPort
        Ports of processes in fixed_pt.

    Raises
    ------
    ValueError
        If the data of a RingBuffer are not whole numbers of 32 bits; the message names the port.
    """
    for port in ports:
        for sender in port.get_src_ports():
            if not isinstance(sender.process, RingBuffer):
                continue
            data = np.asarray(sender.process.data.init)
            with np.errstate(invalid="ignore"):
                changes = data.astype(np.int32) != data
            if changes.any():
                allowed = "sent whole numbers of 32 bits in fixed_pt"
                got = f"{data[changes][0]} from RingBuffer {sender.process.name!r}"
                raise wrong_argument(port.name, allowed, got)


def input_ends(port: Any) -> bool | None:
    """Receive at a `reset_in` whether input ends with this step; None if the port has no sender."""
    return bool(np.any(port.recv())) if port.csp_ports else None


def class_targets(net: Definition, message: Array) -> Array | None:
    """Return the real targets of the label that a message carries; None if it is below 0."""
    label = int(whole("label_in", message, "whole numbers")[0])
    if label < 0:
        return None
    if label >= net.n_outputs:
        raise wrong_argument("label_in", f"below {net.n_outputs}", label)
    y: Array = real_targets(net, np.array([label]))[0]
    return y


def require_same(had_target: bool, has_target: bool, step: int) -> None:
    """Refuse a label that comes or goes within a sample of which all steps learn, or none."""
    if has_target != had_target:
        allowed = "known at all steps of a sample or at none with timing='pipelined'"
        change = "goes" if had_target else "comes"
        raise wrong_argument("a label", allowed, f"one that {change} at step {step}")


class Message(NamedTuple):
    """Input and target of some steps, as real numbers, and the context of the steps."""

    x: Array
    y: Array | None
    context: StepContext
    n_steps: int


class PortReader:
    """Reads the ports of a process model that receives samples.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    model : PyLoihiProcessModel
        The model, with the ports spikes_in, label_in, target_in and reset_in.
    """

    def __init__(self, shared: SharedNetwork, model: Any) -> None:
        self._shared, self._model = shared, model
        self._clock = SampleClock(shared)
        self._of_output = delays_of(shared.net).spikes[-1]
        self._is_pipelined = shared.net.timing == "pipelined"
        self._in_training = False  # the present sample

    def receive(self) -> Message:
        """Wait for a message at every port that is connected.

        Input, target and reset are looked at in steps alone in which a layer is busy with them.
        """
        model, switches, clock = self._model, self._shared.switches, self._clock
        x, label, target = model.spikes_in.recv(), None, None
        if model.label_in.csp_ports:
            label = model.label_in.recv()
        if model.target_in.csp_ports:
            if model.label_in.csp_ports:
                raise ValueError("connect label_in or target_in, not both")
            target = model.target_in.recv()
        n_steps = int(switches.steps_per_message[0])
        is_open = self._shared.is_open
        clock.closes = not is_open[0]  # a stream closes samples between runs
        clock.tick(input_ends(model.reset_in), n_steps)
        is_open[0] = not clock.closes
        x = self._input(x) if clock.is_busy(0) else np.zeros_like(x)
        y = self._target(label, target) if clock.is_busy(self._of_output) else None
        # With pipelined timing all steps of a sample learn, or none does.
        if not (clock.learns if self._is_pipelined else switches.learning[0]):
            y = None
        context = self._context(y is not None)
        if y is None and context.learns:
            y = np.zeros(self._shared.net.n_outputs)
        return Message(x, y, context, n_steps)

    def _context(self, has_target: bool) -> StepContext:
        """Return the position of a message in its sample."""
        clock, is_first = self._clock, not self._in_training
        if clock.opens:
            self._in_training, is_first = False, True
        if self._is_pipelined:
            is_first = clock.begins(self._of_output)
            if is_first:
                self._in_training = has_target
            elif clock.is_busy(self._of_output):
                require_same(self._in_training, has_target, clock.first)
        else:
            self._in_training |= has_target
        return StepContext(
            opens=clock.opens,
            closes=clock.closes,
            restarts=has_target and is_first,
            learns=self._in_training if self._is_pipelined else has_target,
            updates=clock.closes and self._in_training,
            t=clock.first,
            n_inputs=clock.n_inputs,
        )

    def _input(self, x: Array) -> Array:
        x = self._fitting("spikes_in", finite("spikes_in", x))
        return self._as_counts(x) if self._shared.net.input_coding == "spikes" else x

    def _as_counts(self, x: Array) -> Array:
        counts = x.astype(np.int64)
        if not np.array_equal(counts, x):
            allowed = "whole numbers with input_coding='spikes'"
            raise wrong_argument("spikes_in", allowed, x[counts != x][0])
        if self._shared.net.spikes == "binary" and np.abs(counts).max() > 1:
            allowed = "spike counts -1, 0 or 1 with spikes='binary'"
            raise wrong_argument("spikes_in", allowed, counts[np.abs(counts) > 1][0])
        return counts

    def _fitting(self, port: str, values: Array) -> Array:
        return whole(port, values, WHOLE_IN_FIXED) if self._model.kind == FIXED else values

    def _target(self, label: Array | None, target: Array | None) -> Array | None:
        net = self._shared.net
        if target is not None:
            real = self._fitting("target_in", finite("target_in", target)).astype(np.float64)
            bits = net.fraction_bits if self._model.kind == FIXED else 0
            return np.asarray(np.ldexp(real, -bits))
        return None if label is None else class_targets(net, label)
