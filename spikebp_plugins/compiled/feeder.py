"""Events as they come, handed to the kernel that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from spikebp_plugins.common.notice import announced
from spikebp_plugins.compiled.beside import Wanted
from spikebp_plugins.compiled.kernels import build, feed, steps
from spikebp_plugins.data.events import EVENT_DTYPE, EventClock

Array = NDArray[Any]

#: Events whose fields hold all integers of 64 bits with a sign.
WIDE_DTYPE: Final = np.dtype([(name, np.int64) for name in ("x", "y", "t", "p")])


class Feeder:
    """Hands events to the kernel: as they are, or if their type is unusual as a copy.

    Parameters
    ----------
    run : steps.StepRun
        What shows the steps.
    drawn : ndarray of shape (sum of widths,)
        The backward potentials that a training sample may start from.
    clock : EventClock
        Cuts time into steps.
    """

    def __init__(self, run: steps.StepRun, drawn: Array, clock: EventClock) -> None:
        encoder = clock.encoder
        self.run, self.clock = run, clock
        self._target = np.zeros(int(run.net.sizes[-1]))
        self._feeding = feed.Feeding(
            run=run,
            sensor=feed.Sensor(
                width=encoder.width,
                height=encoder.height,
                step=encoder.step,
                longest_leap=np.uint64(encoder.longest_leap),
                planes=encoder.polarity == "planes",
                signs=encoder.polarity == "signs",
            ),
            clock=feed.Clock(clock.times, clock.has_events, clock.counts),
            target=self._target,
            drawn=drawn,
        )
        # By the type of events: the kernel, and whether it takes a copy.
        self._kernels: dict[Any, tuple[Callable[..., tuple[int, int]], bool]] = {}
        self._room = np.empty(0, WIDE_DTYPE)

    def feed(
        self,
        events: Array,
        until: int,
        y: Array | None,
        opens: bool,
        restarts: bool,
        n_left: int,
    ) -> tuple[int, int]:
        """Take events as far as nothing rare happens: see `kernels.feed`."""
        known = self._kernels.get(events.dtype)
        if known is None:
            known = self._kernels[events.dtype] = self._kernel(events.dtype == EVENT_DTYPE)
        kernel, is_copied = known
        if is_copied:
            events = self._copied(events)
        if y is not None:
            self._target[...] = y
        return kernel(self._feeding, events, until, opens, restarts, y is not None, n_left)

    def wanted(self, is_usual: bool) -> Wanted:
        """Return the kernel that takes events of the usual type, or of any other."""
        dtype, flags = EVENT_DTYPE if is_usual else WIDE_DTYPE, [types.boolean] * 3
        events = types.Array(from_dtype(dtype), 1, "A")
        arguments = (self._feeding._numba_type_, events, types.int64, *flags, types.int64)
        return Wanted(feed.feed, arguments)

    def _kernel(self, is_usual: bool) -> tuple[Callable[..., tuple[int, int]], bool]:
        """Return the entry point itself: to find it by its arguments takes longer than to call it.

        Each type of events has a kernel of its own, so unusual types share one.
        """
        kernel = self.wanted(is_usual)
        with announced(kernel):
            return build.entered(feed.feed.compile(kernel.types)), not is_usual

    def _copied(self, events: Array) -> Array:
        n = len(events)
        if len(self._room) < n:
            self._room = np.empty(2 * n, WIDE_DTYPE)
        copied = self._room[:n]
        for name in ("x", "y", "t", "p"):
            copied[name] = events[name]
        return copied
