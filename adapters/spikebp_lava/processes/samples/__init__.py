"""The source process, which holds a data set, and the sink process, which collects scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, LogConfig
from numpy.typing import NDArray

from spikebp_lava.agreement import Exchange, exchange_of, require_no_receiver
from spikebp_lava.memory import FIXED, shared_array
from spikebp_lava.runtime import GuardedProcess, at_rest
from spikebp_lava.variables import (
    VALUES,
    LavaPortNames,
    NetworkModel,
    checked_log_config,
    models_of,
)
from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import check_batch

Array = NDArray[Any]


class Rows(NamedTuple):
    """The rows that a source sends.

    Attributes
    ----------
    x : ndarray of shape (n_rows, n_inputs)
        Input.
    labels : ndarray of shape (n_rows_y,) or None
        Labels.
    targets : ndarray of shape (n_rows_y, n_outputs) or None
        Real targets.
    pace : ndarray of shape (5,), int64
        Five numbers: messages of a sample; rows of x of a sample; rows of y of a sample; messages
        by which y is sent later than x; steps of Lava before the first message.
    """

    x: Array
    labels: Array | None
    targets: Array | None
    pace: Array


def row_of(message: int, n_messages: int, n_rows: int, delay: int = 0) -> int:
    """Return the row to send with a message, of samples with `n_messages` and `n_rows` each.

    Messages before the first row repeat the first; messages after the last repeat the last.
    """
    sample, step = divmod(message, n_messages)
    return sample * n_rows + min(max(step - delay, 0), n_rows - 1)


class SampleSource(GuardedProcess, LavaPortNames, AbstractProcess):  # type: ignore[misc]
    """Shows samples and targets to a network, one after the other, over and over again.

    With ``timing="pipelined"`` a sample lasts until its last error has reached layer 1, and targets
    that change are sent when the output is busy with their steps.

    Parameters
    ----------
    net : Definition
        The definition, whose ``n_steps`` each sample is shown for.
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Input, of which a copy is kept in its number type. In fixed_pt it must be integers, 8-bit
        pixels for example, with ``input_scale=1/255`` in the definition.
    y : array-like of shape (n_samples,), (n_samples, n_outputs), \
            (n_samples, n_steps, n_outputs) or None, default=None
        Labels for `label_out`, or real targets for `target_out`.
    granularity : {"step", "sample"}, default="step"
        The granularity of the network: a message for each step, or for each sample.
    rows : Rows or None, default=None
        Rows in shared memory instead of samples; the caller changes them between runs.
    name : str or None, default=None
        The name of the process in Lava.
    log_config : LogConfig or None, default=None
        Options of Lava's logging.

    Attributes
    ----------
    spikes_out : OutPort of shape (n_inputs,)
        The input, for the network's port `spikes_in`. Also named `s_out`.
    label_out : OutPort of shape (1,)
        The label; -1 without one.
    target_out : OutPort of shape (n_outputs,)
        The target, in fixed_pt in units of 2^-f.
    """

    _ports_of_lava: ClassVar = {"s_out": "spikes_out"}

    def __init__(
        self,
        net: Definition,
        x: Any = None,
        y: Any = None,
        *,
        granularity: str = "step",
        rows: Rows | None = None,
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        self.exchange_with_network = exchange_of(net, granularity)
        if rows is None:
            rows = _rows_of(net, x, y, self.exchange_with_network)
        super().__init__(
            name=name,
            log_config=checked_log_config(log_config),
            rows=rows,
            fraction_bits=net.fraction_bits,
        )
        self.spikes_out = OutPort(shape=(net.n_inputs,))
        self.label_out = OutPort(shape=(1,))
        self.target_out = OutPort(shape=(net.n_outputs,))

    def prepare(self, models: list[type]) -> None:
        """Refuse a port that would send no answers; called before processes are started.

        Raises
        ------
        ValueError
            If `target_out` is connected without real targets, or `label_out` with them.
        """
        if self.proc_params["rows"].targets is None:
            require_no_receiver(self.target_out, "with real targets as y alone")
        else:
            require_no_receiver(self.label_out, "with labels as y alone, or without y")


def _rows_of(net: Definition, x: Any, y: Any, exchange: Exchange) -> Rows:
    batch = check_batch(net, x, y).as_arrays()
    rows: Any = batch.x
    if not len(batch):
        raise wrong_argument("x", "at least one sample", "none")
    changing = rows.ndim == 3 or (batch.y is not None and batch.y.ndim == 3)
    if exchange.granularity == "sample" and changing:
        raise wrong_argument(
            "x and y", "the same at all steps with granularity='sample'", "3 dimensions"
        )
    pace = np.array([n_messages(net, exchange), 1, 1, delays_of(net).spikes[-1], 0])
    if rows.ndim == 3:
        pace[1] = net.n_steps
    labels = targets = None
    if batch.y is not None and batch.y.ndim == 1:
        labels = batch.y
    elif batch.y is not None:
        targets = batch.targets().reshape(-1, net.n_outputs)
        pace[2] = net.n_steps if batch.y.ndim == 3 else 1
    return Rows(np.array(rows.reshape(-1, net.n_inputs)), labels, targets, pace)


def n_messages(net: Definition, exchange: Exchange) -> int:
    """Return the number of messages of a sample."""
    return steps_of_sample(net, net.n_steps) if exchange.granularity == "step" else 1


class ScoreSink(GuardedProcess, LavaPortNames, AbstractProcess):  # type: ignore[misc]
    """Collects the scores of samples from a network.

    Parameters
    ----------
    net : Definition
        The definition, whose ``n_steps`` each sample is shown for.
    n_samples : int
        The number of samples whose scores are kept; older scores are overwritten. It counts the
        steps of samples, so that the network's `reset_in` must be unconnected.
    granularity : {"step", "sample"}, default="step"
        The granularity of the network: a message for each step, or for each sample.
    name : str or None, default=None
        The name of the process in Lava.
    log_config : LogConfig or None, default=None
        Options of Lava's logging.

    Attributes
    ----------
    summed_drive_in : InPort of shape (n_outputs,)
        The summed drive, from the network's port `summed_drive_out`. Also named `a_in`.
    """

    _ports_of_lava: ClassVar = {"a_in": "summed_drive_in"}

    def __init__(
        self,
        net: Definition,
        n_samples: int,
        *,
        granularity: str = "step",
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        n_samples = integer("n_samples", n_samples, 1)
        self.net = net
        self.exchange_with_network = exchange_of(net, granularity)
        drives = shared_array((n_samples, net.n_outputs), np.float64)
        #: How many messages a sample takes, and how many samples have been collected.
        self.pace = shared_array(2, np.int64)
        self.pace[0] = n_messages(net, self.exchange_with_network)
        self.drives = drives
        super().__init__(
            name=name,
            log_config=checked_log_config(log_config),
            drives=drives,
            pace=self.pace,
            fraction_bits=net.fraction_bits,
        )
        self.summed_drive_in = InPort(shape=(net.n_outputs,))

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores of the last samples, at most `n_samples`, of shape (n, n_outputs)."""
        with at_rest(self):
            collected, capacity = int(self.pace[1]), len(self.drives)
            kept = np.arange(max(0, collected - capacity), collected) % capacity
            scores: NDArray[np.float64] = self.drives[kept] / self.net.n_steps
            return scores


class SourceModel(NetworkModel):
    """Sends the rows of the present message."""

    types: ClassVar = {
        "spikes_out|target_out": (PyOutPort.VEC_DENSE, VALUES),
        "label_out": (PyOutPort.VEC_DENSE, np.int64),
    }

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._rows: Rows = proc_params["rows"]
        self._fraction_bits: int = proc_params["fraction_bits"]
        x = self._rows.x
        if self.kind == FIXED and x.dtype.kind == "f":
            whole = np.rint(x) == x
            if not whole.all():
                allowed = "integers in fixed_pt; input_scale in the definition makes them smaller"
                raise wrong_argument("x", allowed, x[~whole][0])

        #: The rows that were sent last, and their messages: most are sent many times in a row.
        self._sent: tuple[int, ...] = ()
        self._messages: list[tuple[Any, Array]] = []

    def run_spk(self) -> None:
        """Send a row of input, and its label or target."""
        per_sample, rows_x, rows_y, delay, before = self._rows.pace.tolist()
        message = self.time_step - 1 - before
        # The owner of the rows may have changed them since the run before.
        rows = (
            before,
            row_of(message, per_sample, rows_x),
            row_of(message, per_sample, rows_y, delay),
        )
        if rows != self._sent:
            self._messages = list(self._made(*rows[1:]))
            self._sent = rows
        for port, values in self._messages:
            port.send(values)

    def _made(self, row_x: int, row_y: int) -> Iterator[tuple[Any, Array]]:
        """Yield ports, and the messages for them."""
        x, labels, targets, _ = self._rows
        number = VALUES[self.kind]
        yield self.spikes_out, x[row_x % len(x)].astype(number)
        if self.label_out.csp_ports:
            label = -1 if labels is None else labels[row_y % len(labels)]
            yield self.label_out, np.array([label], np.int64)
        if self.target_out.csp_ports:
            assert targets is not None
            target = targets[row_y % len(targets)]
            if self.kind == FIXED:
                target = np.rint(np.ldexp(target, self._fraction_bits))
            yield self.target_out, np.clip(target, -(2.0**60), 2.0**60).astype(number)


class SinkModel(NetworkModel):
    """Keeps the summed drive of the last message of each sample."""

    types: ClassVar = {"summed_drive_in": (PyInPort.VEC_DENSE, VALUES)}

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._drives, self._pace = proc_params["drives"], proc_params["pace"]
        fixed = self.kind == FIXED
        self._unit = 2.0 ** -proc_params["fraction_bits"] if fixed else 1.0
        self._messages = 0

    def run_spk(self) -> None:
        """Receive the summed drive."""
        drive = self.summed_drive_in.recv()
        self._messages += 1
        if self._messages == self._pace[0]:
            self._messages = 0
            self._drives[self._pace[1] % len(self._drives)] = drive * self._unit
            self._pace[1] += 1


FLOATING_SOURCE, FIXED_SOURCE = models_of(SampleSource, SourceModel)
FLOATING_SINK, FIXED_SINK = models_of(ScoreSink, SinkModel)
