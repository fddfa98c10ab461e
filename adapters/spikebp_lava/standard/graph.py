"""Whole data sets through the graph of standard parts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, FLOATING, shared_array
from spikebp_lava.messages import PAYLOAD
from spikebp_lava.processes.samples import Rows, SampleSource
from spikebp_lava.processes.standard import StandardMLP
from spikebp_lava.standard.certainty import Flow, require_certain
from spikebp_lava.support import why_not_of_standard_parts
from spikebp_plugins import Checkpoint
from spikebp_plugins.backends import Outcome
from spikebp_plugins.backends.outcome import joined
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: How many steps of Lava fit into shared memory, and so into one run.
STEPS_PER_RUN: Final = 2_000

#: Input is clipped to this magnitude, which is far out of range.
FARTHEST: Final = 2.0**60


def why_no_standard_graph(net: Definition, tag: str, granularity: str) -> str | None:
    """Return why the back end cannot run a definition with standard parts, or None if it can."""
    if granularity == "sample":
        step = "standard parts take a step of Lava for each step"
        reason: str | None = f"{step}, not one for granularity='sample'"
    else:
        reason = why_not_of_standard_parts(net, FLOATING)
    if tag == FIXED:
        at_random = (
            "with standard parts fixed_pt rounds weights at random, with numbers of Lava's own, "
            "and so is no network of the definition"
        )
        advice = "use tag='floating_pt', or StandardMLP"
        # Who follows the advice must not meet another reason then.
        return f"{at_random}; {advice}" if reason is None else f"{at_random}; and {reason}"
    return reason


class StandardGraph:
    """A graph of a source and of standard parts, with room for one run in shared memory.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.
    tag : str
        The tag of the process models.
    """

    def __init__(self, net: Definition, state: LearningState, tag: str) -> None:
        self._net = net
        self.network = StandardMLP(Checkpoint(net, state), n_rows=STEPS_PER_RUN, input_scale=1.0)
        number = np.int64 if net.input_coding == "spikes" else np.float64
        self._x = shared_array((STEPS_PER_RUN, net.n_inputs), number)
        self._y = shared_array((STEPS_PER_RUN, net.n_outputs), np.float64)
        # Every message has a row of its own.
        self._pace = shared_array(5, np.int64)
        self._pace[:3] = 1
        source = SampleSource(net, rows=Rows(self._x, None, self._y, self._pace))
        source.spikes_out.connect(self.network.spikes_in)
        source.target_out.connect(self.network.target_in)
        self.network.shared.switches.recording[0] = True
        self._configuration = Loihi2SimCfg(select_tag=tag)
        self._steps_run = 0
        self._counted = Operations()

    def show(self, batch: Batch, record: bool) -> Outcome:
        """Show samples."""
        size = max(1, STEPS_PER_RUN // steps_of_sample(self._net, batch.n_steps))
        return joined([self._show_block(block, record) for block in batch.blocks(size)])

    def _show_block(self, batch: Batch, record: bool) -> Outcome:
        """Show as many samples as fit into one run, or one sample of any length."""
        net, network, training = self._net, self.network, batch.y is not None
        before = network.shared.read()
        network.learning = training
        network.shared.switches.steps_per_sample[0] = batch.n_steps
        rows = self._run(batch)
        flow = Flow.of(net, *rows[:2])
        require_certain(net, before, flow, PAYLOAD)
        recording = network.shared.layout.recording(rows, batch.n_steps, training)
        return Outcome(recording.step_scores[:, -1], recording if record else None)

    def _run(self, batch: Batch) -> list[Array]:
        """Run the graph; return spikes, errors and drive, of shape (n_samples, n_lava_steps, n)."""
        T, of_output = batch.n_steps, delays_of(self._net).spikes[-1]
        period = steps_of_sample(self._net, T)
        x = batch.inputs()
        if x.dtype.kind == "f":
            x = np.clip(x, -FARTHEST, FARTHEST)
        y = np.zeros((len(batch), 1, self._net.n_outputs)) if batch.y is None else batch.targets()
        shared, parts = self.network.shared, []
        for first in range(0, len(batch) * period, STEPS_PER_RUN):
            steps = np.arange(first, min(first + STEPS_PER_RUN, len(batch) * period))
            sample, t = np.divmod(steps, period)
            n = len(steps)
            # An idle layer ignores its input and target, so any row will do.
            self._x[:n] = x[sample, np.clip(t, 0, T - 1) % x.shape[1]]
            self._y[:n] = y[sample, np.clip(t - of_output, 0, T - 1) % y.shape[1]]
            self._pace[4] = shared.switches.steps_before[0] = self._steps_run
            self.network.run(RunSteps(num_steps=n), self._configuration)
            self._steps_run += n
            parts.append([rows[0, :n].copy() for rows in shared.record().arrays])
        shape = (len(batch), period, -1)
        return [np.concatenate(rows).reshape(shape) for rows in zip(*parts, strict=True)]

    def operations(self) -> Operations:
        """Return the operations since the last call."""
        before, self._counted = self._counted, self.network.operations
        return self._counted - before

    def close(self) -> None:
        """End the processes."""
        self.network.stop()
