"""Timings: the delays, in steps, after which each layer sends its spikes and errors.

A timing is a table of delays: d_l for the spikes of layer l, b_l for its errors. It follows:

- Layer l sends the spikes of input step tau in step tau + d_l, and the errors in step tau + b_l.
  With T steps of input it is busy with these in step t if 1 <= t - delay <= T, and else idle.
- The target of input step tau is compared in step tau + d_L, when the output sends its spikes.
- Spikes and errors arrive in the step in which they are sent (lag 0) or in the next (lag 1). They
  pass through the weights as these stood when they were sent.
- A sample lasts T + b_1 steps: until its last errors have reached layer 1.

"Pipelined timing" in ``docs/semantics.md`` has the rules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from spikebp_plugins.network.fields import Definition

#: The number of input steps that stands for a sample whose end is not known.
ENDLESS: Final = sys.maxsize


class Delays(NamedTuple):
    """The steps between a step of input and what a layer sends for it.

    Attributes
    ----------
    spikes : tuple of int
        d_l of layers 0..L.
    errors : tuple of int
        b_l of layers 0..L; layer 0, which sends no errors, has that of layer 1.
    """

    spikes: tuple[int, ...]
    errors: tuple[int, ...]

    def duration(self, n_steps: int) -> int:
        """Return the steps of a sample with `n_steps` steps of input."""
        return n_steps + self.errors[1]

    @property
    def forward_lags(self) -> tuple[int, ...]:
        """The steps that spikes take to layers 1..L; 0 at index 0."""
        d = self.spikes
        return (0, *(above - below for below, above in pairwise(d)))

    @property
    def backward_lags(self) -> tuple[int, ...]:
        """The steps that errors take to layers 0..L-1; 0 at index L."""
        b = self.errors
        return (*(below - above for below, above in pairwise(b)), 0)

    @property
    def are_zero(self) -> bool:
        """Whether spikes and errors cross the whole network in one step."""
        return not any(self.spikes + self.errors)


def _immediate(L: int) -> Delays:
    return Delays((0,) * (L + 1), (0,) * (L + 1))


def _pipelined(L: int) -> Delays:
    return Delays(tuple(range(L + 1)), tuple(2 * L - max(l, 1) for l in range(L + 1)))


#: The table of each timing, for L layers with weights.
TABLES: Final[dict[str, Callable[[int], Delays]]] = {
    "immediate": _immediate,
    "pipelined": _pipelined,
}


def delays_of(net: Definition) -> Delays:
    """Return the delays of a definition."""
    return TABLES[net.timing](net.n_layers)


def steps_of_sample(net: Definition, n_steps: int) -> int:
    """Return the steps of a sample with `n_steps` steps of input."""
    return delays_of(net).duration(n_steps)


def is_busy(t: int, delay: int, n_steps: int) -> bool:
    """Return whether a layer with a delay has something to send in step t, which counts from 1."""
    return 1 <= t - delay <= n_steps


def of_input_steps(record: NDArray[Any], delay: int, n_steps: int) -> NDArray[Any]:
    """Return the rows of a record of shape (n_samples, duration, n) that belong to input steps."""
    return record[:, delay : delay + n_steps]
