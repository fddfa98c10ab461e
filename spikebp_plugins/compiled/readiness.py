"""When a back end calls kernels, and when it leaves samples to the reference meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from spikebp_plugins.compiled import beside
from spikebp_plugins.compiled.beside import Wanted
from spikebp_plugins.compiled.kernels import blocks

#: The seconds that the reference may take, or is going to take, for what kernels would do: beyond
#: these it pays to compile them.
SECONDS_BEFORE_COMPILING: Final = 1.0

#: The seconds of the reference for a synapse and a step, at the least.
SECONDS_PER_SYNAPSE: Final = 2e-9

#: The environment variable that settles whether to wait where the user has not.
WAIT: Final = "SPIKEBP_WAIT"


#: The seconds that the reference has taken in this process for what some kernels would do. A search
#: for parameters makes many networks, each of which takes less than a second.
_seconds: dict[tuple[Wanted, ...], float] = {}


class Readiness:
    """Which kernels of a back end can be called without waiting for a compiler.

    Parameters
    ----------
    wait : bool or None
        Whether to call all kernels at once, and to wait while they are compiled; None leaves it to
        the environment variable `WAIT`.
    """

    def __init__(self, wait: bool | None) -> None:
        asked_to = os.environ.get(WAIT, "") not in ("", "0") if wait is None else wait
        #: Whether kernels are called whether they are ready or not.
        self.waits = asked_to or not beside.is_possible(blocks.run_block)
        self._ready: set[Any] = set()
        self._wanted: dict[Any, tuple[Wanted, ...]] = {}

    def of(self, use: Any, kernels: Callable[[], Sequence[Wanted]]) -> bool:
        """Return whether all kernels of a use can be called.

        Parameters
        ----------
        use : hashable
            What the kernels are used for.
        kernels : callable
            Returns the kernels that it may call.
        """
        if self.waits or use in self._ready:
            return True
        if use not in self._wanted:
            self._wanted[use] = tuple(kernels())
        if not beside.are_ready(self._wanted[use]):
            return False
        self._ready.add(use)
        return True

    def ask(self, use: Any) -> None:
        """Have the kernels of a use compiled beside that is known to `of`."""
        beside.ask(self._wanted[use])

    @contextmanager
    def done_without(self, use: Any, synapse_steps: float) -> Iterator[None]:
        """Return a context in which the reference does what kernels would do if they were ready.

        If that takes long they are compiled beside.

        Parameters
        ----------
        use : hashable
            What the kernels are used for.
        synapse_steps : float
            The synapses times the steps of all that waits to be done.
        """
        wanted, expected = self._wanted[use], synapse_steps * SECONDS_PER_SYNAPSE
        if _seconds.get(wanted, 0.0) + expected > SECONDS_BEFORE_COMPILING:
            self.ask(use)
        start = time.perf_counter()
        try:
            yield
        finally:
            _seconds[wanted] = _seconds.get(wanted, 0.0) + time.perf_counter() - start
