"""Handles: what calls with one sample need not find out again.

Most calls of a learner on line are like the one before: an array of the same type and shape, the
same steps, the same state in the same memory. A handle has all that follows from these. What
remains of a call is to write the sample where the kernel reads it, and to call the kernel, which
checks the values too. Whatever is not as before goes the way of all blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.block import SampleRoom
from spikebp_plugins.compiled.kernels import arrays, build
from spikebp_plugins.compiled.layout import Now
from spikebp_plugins.compiled.memory import KERNELS, Memory, Way
from spikebp_plugins.network.samples import Batch

Array = NDArray[Any]

#: The most handles of a back end.
HANDLES_KEPT: Final = 16


class Handle(NamedTuple):
    """What calls with samples of one kind have in common.

    Attributes
    ----------
    now : Now
        The state that the kernel changes.
    kernel : callable
        Takes the job, and returns the number of samples done. To look it up by the type of its
        argument, as Numba does, would take a third of the call.
    job : arrays.Job
        A block of one sample.
    room : SampleRoom
        Where this sample is written.
    scores : ndarray of shape (1, n_outputs)
        Where its scores are read.
    is_second : bool
        Whether another layout is tried before this one where it may hold the state.
    """

    now: Now
    kernel: Callable[[arrays.Job], int]
    job: arrays.Job
    room: SampleRoom
    scores: Array
    is_second: bool

    def show(self, x: Array, y: Array | None) -> Array | None:
        """Show a sample; return None, with nothing changed, if the kernel refuses it."""
        self.room.fill(x, y, self.now)
        return self.scores.copy() if self.kernel(self.job) else None


def new_handle(
    way: Way, now: Now, x: Array, batch: Batch, memory: Memory, *, is_second: bool
) -> Handle | None:
    """Return a handle for samples that are such as a given one, or None if there is none.

    There is none if Python has to convert the input, or if the kernel is yet to be compiled.

    Parameters
    ----------
    way : Way
        How to compute them.
    now : Now
        The state, in the layout of this way.
    x : ndarray
        The input as it came.
    batch : Batch
        The sample after it was checked.
    memory : Memory
        Working memory.
    is_second : bool
        As for `Handle`.
    """
    if batch.net.input_coding == "spikes" and not np.can_cast(x.dtype, np.int64):
        return None
    job, room = memory.kept(way, now, batch, checked=False)
    compiled = KERNELS[way.kernel].overloads.get((job._numba_type_,))
    if compiled is None:
        return None
    return Handle(now, build.entered(compiled.entry_point), job, room, room.block.scores, is_second)
