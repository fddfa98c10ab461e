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
from spikebp_plugins.backends.base import Steps
from spikebp_plugins.engine.fallback import FallbackBackend
from spikebp_plugins.engine.step_engine import StepEngine
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import ENDLESS, delays_of, steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.sparse_rows import SparseRows, of_one_step
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
        # Those that show nothing at present. One serves a simulator for life, and another what is
        # predicted while a sample of a stream is open in it; after an error there is a new one.
        self._at_rest: list[SampleGraph] = []

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
        """End the processes of all graphs."""
        for graph in self._at_rest:
            graph.close()

    def _steps(self) -> LavaSteps:
        return LavaSteps(self)

    def take_graph(self) -> SampleGraph:
        """Return a graph with what has been learned, which is nobody else's until it is back."""
        state = self._so_far[0]
        while self._at_rest:
            graph = self._at_rest.pop()
            if graph.begin(self.net, state):
                return graph
            graph.close()
        return SampleGraph(self.net, state, **self._options)

    def give_back(self, graph: SampleGraph, is_taught: bool = False) -> None:
        """Take a graph back, and with it the work and what was learned of samples that are over."""
        state, operations = self._so_far
        if is_taught:
            state = graph.state = graph.network.shared.memory.state
        self._so_far = (state, operations + graph.operations())
        self._at_rest.append(graph)

    def _show_exactly(self, batch: Batch, record: bool) -> Outcome:
        graph = self.take_graph()
        try:
            blocks = batch.blocks(self.block_size(batch.n_steps))
            outcome = joined([graph.show(block, record) for block in blocks])
            self.give_back(graph, batch.y is not None)
        except BaseException:
            graph.close()
            raise
        return outcome


class LavaSteps(Steps):
    """Shows single steps in a graph, which is that of the open sample alone.

    Parameters
    ----------
    backend : LavaBackend
        The back end, whose graph it takes.
    """

    def __init__(self, backend: LavaBackend) -> None:
        super().__init__(backend.net)
        self._backend = backend
        self._graph: SampleGraph | None = None

    def _show(
        self, x: Array | SparseRows, y: Array | None, n_steps: int, opens: bool, restarts: bool
    ) -> None:
        if self._graph is None:
            self._graph = self._backend.take_graph()
        try:
            self._graph.show_steps(Batch(self.net, of_one_step(x), None, 1), y, n_steps)
        except BaseException:
            self._graph.close()
            self._graph = None
            raise

    def _close(self) -> None:
        self._memory.close_sample(self.is_learning)
        self._end(self.is_learning)

    def drop(self) -> None:
        """End the open sample, and forget what was learned from it."""
        super().drop()
        if self._graph is not None:
            self._memory.drop_sample()
            self._end()

    def _end(self, is_taught: bool = False) -> None:
        graph, self._graph = self._graph, None
        assert graph is not None
        graph.network.shared.is_open[0] = False
        self._backend.give_back(graph, is_taught)

    @property
    def _memory(self) -> StepEngine:
        assert self._graph is not None
        memory: StepEngine = self._graph.network.shared.memory
        return memory

    def _count(self, work: Operations) -> None:
        self._backend.count(work)

    def _potentials(self) -> list[Array]:
        memory, layers = self._memory, range(self.net.n_layers + 1)
        return [np.ldexp(memory.potentials(l), -self.net.fraction_bits) for l in layers]

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        return np.ldexp(self._memory.summed_drive(self.net.n_layers), -self.net.fraction_bits)


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
        #: What had been learned before the samples that it shows now.
        self.state = state
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

    def begin(self, net: Definition, state: LearningState) -> bool:
        """Go on at the rate of a definition, from what others have learned; return if it can."""
        if state is not self.state:
            if self._is_standard:
                return False
            self.network.shared.memory.begin(state)
            self.state = state
        if net.learning_rate != self._net.learning_rate:
            self.network.learning_rate = net.learning_rate
            self._net = net
        return True

    def show_steps(self, sample: Batch, y: Array | None, n_steps: int) -> None:
        """Show one input and one target for some steps of a sample whose end is not known."""
        network, switches = self.network, self.network.shared.switches
        self._rows.x[0] = self._crossing(sample.inputs())[0, 0]
        network.learning = y is not None
        if y is not None:
            self._targets[0] = arithmetic_of(self._net).round(y)
        switches.steps_per_sample[0], switches.steps_per_message[0] = ENDLESS, 1
        switches.recording[0] = False
        self._sink.pace[:] = 1, 0
        self._rows.pace[:] = ENDLESS, 1, 1, 0, self._steps_run
        self._run(n_steps)

    def show(self, batch: Batch, record: bool) -> Outcome:
        """Show as many samples as fit into one run, or one sample of any length."""
        n_samples, n_steps, shared = len(batch), batch.n_steps, self.network.shared
        x = batch.inputs()
        y = np.zeros((n_samples, 1, self._net.n_outputs)) if batch.y is None else batch.targets()
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
        # Messages that are alike are made once.
        alike = per_sample if x.shape[1] == y.shape[1] == 1 else 1
        x = self._crossing(x)
        for first in messages[::STEPS_PER_RUN]:
            part = messages[first : first + STEPS_PER_RUN]
            for rows, values, late in ((self._rows.x, x, 0), (self._targets, y, delay)):
                n_rows = values.shape[1]
                sent = [row_of(message, per_sample, n_rows, late) for message in part[::alike]]
                rows[: len(sent)] = values.reshape(-1, values.shape[2])[sent]
            before = shared.switches.steps_before[0] = self._steps_run
            self._rows.pace[:] = alike, 1, 1, 0, before
            self._run(len(part))
            if records_all:
                records.append(shared.record.copied(len(part) * together))
        scores = self._sink.drives[:n_samples] / n_steps
        recording = self._recording(batch, records, state) if records_all else None
        return Outcome(scores, recording if record else None)

    def _crossing(self, x: Array) -> Array:
        """Return input on the grid, or spike counts, as the numbers that cross the ports."""
        if x.dtype.kind != "f":
            return x
        numbers: Array = np.clip(np.ldexp(x, self._bits), -FARTHEST, FARTHEST)
        return numbers

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
