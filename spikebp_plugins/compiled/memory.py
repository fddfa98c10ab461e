"""The working memory of one thread, and the ways in which it can show a block."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from spikebp_plugins.compiled import event_order
from spikebp_plugins.compiled.block import SampleRoom, make_block
from spikebp_plugins.compiled.kernels import arrays, blocks, constant, event, trains
from spikebp_plugins.compiled.layout import Layout, Now
from spikebp_plugins.network.samples import Batch

#: The most jobs of a thread that are kept: two widths of integers, and some shapes of samples, each
#: checked by Python or by the kernel.
JOBS_KEPT: Final = 32

#: The kernels that show a block: for input that is the same at all steps of a sample, for any
#: input, and for event timing.
KERNELS: Final[dict[str, Any]] = {
    "constant": constant.run_constant_block,
    "changing": blocks.run_block,
    "event": event.run_event_block,
}


class Way(NamedTuple):
    """A way to compute a block: the layout of its numbers, and one of the `KERNELS`."""

    layout: Layout
    kernel: str
    #: What tells apart the ways that are compiled each for itself.
    compiled: tuple[str, bool]


def ways(kernel: str, *layouts: Layout) -> tuple[Way, ...]:
    """Return the ways to compute a block by one kernel."""
    return tuple(Way(layout, kernel, (kernel, layout.narrow)) for layout in layouts)


class KeptJob(NamedTuple):
    """A job for single samples, and the memory into which each of them is written."""

    job: arrays.Job
    room: SampleRoom


class Memory:
    """The working memory of one thread, made when it is first needed."""

    def __init__(self) -> None:
        self._samples: dict[bool, arrays.Sample] = {}
        self._event_sample: event.EventSample | None = None
        self._constant: dict[tuple[bool, int], dict[str, Any]] = {}
        self._jobs: dict[Any, KeptJob] = {}

    def job(self, way: Way, now: Now, batch: Batch, record: arrays.BlockRecord) -> arrays.Job:
        """Return a job; for a single sample that is not recorded, one of those that are kept."""
        if len(batch.x) != 1 or record is not way.layout.nowhere:
            block = make_block(way.layout, batch, now.samples_seen)
            return arrays.Job(self.run(way, now, batch, record), block)
        kept = self.kept(way, now, batch, checked=True)
        kept.room.fill_checked(batch, now)
        return kept.job

    def kept(self, way: Way, now: Now, batch: Batch, *, checked: bool) -> KeptJob:
        """Return a job for single samples that are such as a given one, and its room."""
        x, y = batch.x, batch.y
        key = (
            way.compiled,
            batch.n_steps,
            x.shape,  # of several steps: a stream shows one row of spike counts for all of them
            x.dtype.char == "B",
            None if y is None else y.ndim,
            checked,
        )
        kept = self._jobs.get(key)
        if kept is not None:
            run = kept.job.run
            if (
                run.learning is now.learning
                and run.totals is now.totals
                and run.boundary is now.boundary
            ):
                return kept
        if kept is not None or len(self._jobs) == JOBS_KEPT:
            self._jobs.clear()  # those of an earlier state keep its weights in memory
        room = SampleRoom(way.layout, batch, now.samples_seen, checked=checked)
        job = arrays.Job(self.run(way, now, batch, way.layout.nowhere), room.block)
        self._jobs[key] = kept = KeptJob(job, room)
        return kept

    def run(self, way: Way, now: Now, batch: Batch, record: arrays.BlockRecord) -> arrays.Run:
        """Return all that a kernel needs besides the samples."""
        layout = way.layout
        fields: dict[str, Any] = {
            "net": layout.undelayed if batch.y is None else layout.network,
            "learning": now.learning,
            "totals": now.totals,
            "boundary": now.boundary,
            "record": record,
        }
        if way.kernel == "event":
            return event_order.make_run(layout, self.event_sample(layout), fields)
        if way.kernel == "constant":
            room = self._constant_room(layout, batch.n_steps)
            return constant.ConstantRun(sample=self._sample(layout), **room, **fields)
        return arrays.Run(sample=self._sample(layout), **fields)

    def event_sample(self, layout: Layout) -> event.EventSample:
        """Return the arrays for the state of a sample in event timing, which has one layout."""
        if self._event_sample is None:
            self._event_sample = event_order.make_sample(layout)
        return self._event_sample

    def _sample(self, layout: Layout) -> arrays.Sample:
        if layout.narrow not in self._samples:
            self._samples[layout.narrow] = layout.sample()
        return self._samples[layout.narrow]

    def _constant_room(self, layout: Layout, n_steps: int) -> dict[str, Any]:
        """Return the arrays in which the kernels for constant input work."""
        key = (layout.narrow, n_steps)
        if key not in self._constant:
            n_inputs, zeros = layout.net.n_inputs, layout.zeros
            self._constant[key] = {
                "trains": trains.make_trains(zeros, n_inputs, n_steps),
                "sorting": trains.make_sorting(zeros, n_inputs, layout.levels),
                "groups": trains.make_groups(n_inputs),
                "workspace": constant.make_workspace(zeros, n_inputs, layout.widths[1:], n_steps),
            }
        return self._constant[key]
