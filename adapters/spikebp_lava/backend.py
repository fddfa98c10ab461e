"""The back end `lava`: whole data sets through the network's Lava processes."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, FLOATING, StepRecords, shared_array
from spikebp_lava.processes.network import SpikingMLPProcess
from spikebp_lava.processes.samples import Rows, SampleSource, ScoreSink, row_of
from spikebp_lava.processes.standard import StandardMLP
from spikebp_lava.standard.exact_sums import require_exact_sums
from spikebp_lava.support import CHOICES, why_no_standard_graph, why_unsupported
from spikebp_plugins import Checkpoint
from spikebp_plugins.backends import Outcome, Recording, joined, recording_from
from spikebp_plugins.engine.fallback import FallbackBackend
from spikebp_plugins.engine.step_engine import StepEngine
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: Input is clipped to this magnitude, which is far out of range.
FARTHEST: Final = 2.0**60

#: How many steps of the network fit into shared memory, and so into one run.
STEPS_PER_RUN: Final = 2_000


class LavaBackend(FallbackBackend):
    """The network as a process of a Lava graph, between a source and a sink.

    The option `tag` is "fixed_pt" (the default) or "floating_pt"; `implementation` is "leaf" (the
    default), one process for the whole network, or "standard", synapses of Lava's own between one
    process for each layer. With
    `granularity` "step" (the default) every spike crosses the ports; with "sample" one step of
    Lava carries a whole sample, where the input is the same at all of its steps.
    """

    options: ClassVar = {
        "tag": (FIXED, FLOATING),
        "implementation": ("leaf", "standard"),
        "granularity": ("step", "sample"),
    }
    main_option: ClassVar = "tag"
    choices: ClassVar = CHOICES
    connections: ClassVar = StepEngine.connections

    def __init__(self, net: Definition, state: LearningState, **options: str) -> None:
        super().__init__(net, state)
        self._options = options
        self._graph: SampleGraph | None = None
        # The learned state; None from the beginning of a run until its results are taken over.
        self._in_graph: LearningState | None = None

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:
        """Return why these options cannot run a definition, or None if they can."""
        if options["implementation"] == "standard":
            return why_no_standard_graph(net, options["tag"], options["granularity"])
        return why_unsupported(net)

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return max(1, STEPS_PER_RUN // steps_of_sample(self.net, n_steps))

    def close(self) -> None:
        """End the processes of the graph."""
        if self._graph is not None:
            self._graph.close()

    def _show_exactly(self, batch: Batch, record: bool) -> Outcome:
        state, operations = self._so_far
        # One graph serves the simulator for life; a new one is made only after an error, or after
        # an interrupt between a run and the taking over of its results.
        if self._graph is None or self._in_graph is not state:
            self.close()
            self._graph = SampleGraph(self.net, state, **self._options)
        graph, self._in_graph = self._graph, None
        try:
            outcome = graph.show(batch, record)
        except BaseException:
            graph.close()
            raise
        after = graph.network.shared.memory.state if batch.y is not None else state
        self._so_far = (after, operations + graph.operations())
        self._in_graph = after
        return outcome


class SampleGraph:
    """A graph of a source, the network and a sink, with room for one run in shared memory.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.
    tag, implementation, granularity : str
        The options of the back end.
    """

    def __init__(
        self,
        net: Definition,
        state: LearningState,
        tag: str,
        implementation: str,
        granularity: str,
    ) -> None:
        self._net, self._whole_samples = net, granularity == "sample"
        self._is_standard = implementation == "standard"
        # Values cross the ports as real numbers on the grid, in fixed_pt as units of 2^-f.
        in_units = tag == FIXED and net.input_coding == "values"
        self._bits = net.fraction_bits if in_units else 0
        # The samples are scaled already: the factor of layer 0 is 2^-f, or 1.
        as_given = net.replace(input_scale=2.0**-self._bits / net.spikes_per_unit)
        make = StandardMLP if self._is_standard else SpikingMLPProcess
        self.network = make(Checkpoint(as_given, state))
        self.network.shared.make_room(STEPS_PER_RUN)
        integers = tag == FIXED or net.input_coding == "spikes"
        self._targets = shared_array((STEPS_PER_RUN, net.n_outputs), np.float64)
        self._rows = Rows(
            x=shared_array((STEPS_PER_RUN, net.n_inputs), np.int64 if integers else np.float64),
            labels=None,
            targets=self._targets,
            pace=shared_array(5, np.int64),
        )
        source = SampleSource(net, rows=self._rows)
        self._sink = ScoreSink(net, STEPS_PER_RUN)
        source.spikes_out.connect(self.network.spikes_in)
        source.target_out.connect(self.network.target_in)
        self.network.summed_drive_out.connect(self._sink.summed_drive_in)
        self._configuration = Loihi2SimCfg(select_tag=tag)
        self._steps_run = 0
        self._counted = Operations()

    def show(self, batch: Batch, record: bool) -> Outcome:
        """Show samples."""
        size = max(1, STEPS_PER_RUN // steps_of_sample(self._net, batch.n_steps))
        return joined([self._show_block(block, record) for block in batch.blocks(size)])

    def _show_block(self, batch: Batch, record: bool) -> Outcome:
        """Show as many samples as fit into one run, or one sample of any length."""
        n_samples, n_steps, shared = len(batch), batch.n_steps, self.network.shared
        x = batch.inputs()
        y: Array = np.zeros((n_samples, 1, self._net.n_outputs))
        if batch.y is not None:
            y = batch.targets()
        self.network.learning = batch.y is not None
        in_all = steps_of_sample(self._net, n_steps)
        shared.switches.steps_per_sample[0] = n_steps
        state, records_all = shared.memory.state, record or self._is_standard
        shared.switches.recording[0] = records_all
        constant = x.shape[1] == y.shape[1] == 1 and in_all <= STEPS_PER_RUN
        together = in_all if self._whole_samples and constant else 1
        shared.switches.steps_per_message[0] = together
        per_sample = in_all // together
        self._sink.pace[:] = per_sample, 0
        delay = delays_of(self._net).spikes[-1]
        records: list[StepRecords] = []
        messages = range(n_samples * per_sample)
        if x.dtype.kind == "f":  # numbers on the grid are those that cross the ports
            x = np.clip(np.ldexp(x, self._bits), -FARTHEST, FARTHEST)
        for first in messages[::STEPS_PER_RUN]:
            part = messages[first : first + STEPS_PER_RUN]
            rows_x = _fill(self._rows.x, x, part, per_sample)
            rows_y = _fill(self._targets, y, part, per_sample, delay)
            before = shared.switches.steps_before[0] = self._steps_run
            # The delay is 0 here: where rows change, `_fill` has delayed the rows of the messages.
            self._rows.pace[:] = per_sample, rows_x, rows_y, 0, before
            self._run(len(part))
            if records_all:
                records.append(shared.record.copied(len(part) * together))
        scores = self._sink.drives[:n_samples] / n_steps
        recording = self._recording(batch, records, state) if records_all else None
        return Outcome(scores, recording if record else None)

    def _recording(
        self, batch: Batch, records: list[StepRecords], before: LearningState
    ) -> Recording:
        """Return the recording of a block; with standard parts only if it proves sums exact."""
        shape = (len(batch), steps_of_sample(self._net, batch.n_steps), -1)

        def of_samples(*parts: Array) -> Array:
            return np.concatenate(parts).reshape(shape)

        spikes, errors = (
            [of_samples(*layer) for layer in zip(*layers, strict=True)]
            for layers in ([r.spikes for r in records], [r.errors for r in records])
        )
        if self._is_standard:
            require_exact_sums(self._net, before, spikes, errors)
        drives = of_samples(*(record.summed_drive for record in records))
        return recording_from(batch, spikes, errors[1:], drives)

    def _run(self, n_messages: int) -> None:
        self.network.run(condition=RunSteps(num_steps=n_messages), run_cfg=self._configuration)
        self._steps_run += n_messages

    def operations(self) -> Operations:
        """Return the operations since the last call."""
        before, self._counted = self._counted, self.network.operations
        return self._counted - before

    def close(self) -> None:
        """End the processes."""
        self.network.stop()


def _fill(rows: Array, values: Array, part: range, per_sample: int, delay: int = 0) -> int:
    """Write the rows that a run sends; return how many rows a sample has.

    `values` has the shape (n_samples, 1 or n_steps, n). A sample takes `per_sample` messages, and
    the run sends the messages in `part`: whole samples, or a part of one sample.
    """
    n_samples, n_rows, n = values.shape
    flat = values.reshape(n_samples * n_rows, n)
    if n_rows == 1:
        rows[:n_samples] = flat
        return 1
    rows[: len(part)] = flat[[row_of(message, per_sample, n_rows, delay) for message in part]]
    return per_sample
