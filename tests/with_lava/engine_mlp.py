"""A NumPy model of standard synapses under fixed_pt, whose numbers equal those of their graph."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.engine import BITS_BEHIND, MANTISSA, EngineRate
from spikebp_lava.messages import FixedMessageConverter
from spikebp_plugins import Checkpoint, Trace
from spikebp_plugins.backends.outcome import recording_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch, check_batch
from spikebp_plugins.network.state import RealState
from spikebp_plugins.rules.sample import run_sample
from spikebp_plugins.rules.step import SampleState, Step, step

Array = NDArray[Any]

#: A trace is an integer of 7 bits, a weight one of 8 bits and a sign.
LARGEST_TRACE: Final = 127
LOWEST_WEIGHT: Final = -256
HIGHEST_WEIGHT: Final = 255

#: What the engine shifts a product by, and the largest change of a weight in one step, in units of
#: its last bit behind the point.
SHIFT: Final = 3
LARGEST_CHANGE: Final = 2**15

#: Lava's seed of the random numbers that round weights, which no option changes.
SEED: Final = 2


class EngineMLP:
    """The pipelined network, whose weights learn by the rule of Lava's learning engine.

    Parameters
    ----------
    checkpoint : Checkpoint
        A definition with ``arithmetic="loihi2"`` and dense connections, and the learning state to
        start from.

    Attributes
    ----------
    net : Definition
        The definition.
    rate : EngineRate
        The rate as the engine represents it.
    state : RealState
        What has been learned so far.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.state = checkpoint.state.reals()
        self.take_rate(checkpoint.net)
        self._random = np.random.default_rng(SEED)
        # The engine draws one number before its first step, and does not use it.
        self._random.random()

    def take_rate(self, net: Definition) -> None:
        """Go on with a definition of another learning rate."""
        self.net, self.rate = net, EngineRate.of(net)
        self._messages = FixedMessageConverter(net)

    def train(self, x: Any, y: Any) -> Trace:
        """Learn from samples, and return their trace."""
        return self._show(check_batch(self.net, x, y))

    def predict(self, x: Any) -> Trace:
        """Show samples, and return their trace."""
        return self._show(check_batch(self.net, x))

    def _show(self, batch: Batch) -> Trace:
        x, y = batch.inputs(), None if batch.y is None else batch.targets()
        records = []
        for i in range(len(batch)):
            target = None if y is None else y[i]
            self.state, shown = run_sample(
                self.net, self.state, x[i], target, batch.n_steps, self._step
            )
            records.append(shown)
        scores = np.stack([shown.step_scores[-1] for shown in records])
        weights = [np.array(matrix, np.float64) for matrix in self.state.weights]
        return Trace(*recording_of(self.net, records), scores, weights)

    def _step(
        self, net: Any, learning: RealState, sample: SampleState, *now: Any
    ) -> tuple[RealState, SampleState, Step]:
        """Make a step of the definition, but let the engine's rule learn the weights."""
        after, sample, sent = step(net, learning, sample, *now)
        self._messages.spikes(sent.k[0], 0)
        # The engine draws a number in every step, whether the step learns or not.
        draw = self._random.random()
        if sent.e is None:
            return after, sample, sent
        weights = tuple(
            self._learned(W, sample.c[l], sent.e[l + 1], draw)
            for l, W in enumerate(learning.weights)
        )
        return after._replace(weights=weights), sample, sent

    def _learned(self, weights: Array, counts: Array, errors: Array, draw: float) -> Array:
        messages = self._messages
        trace, factors = np.minimum(counts, LARGEST_TRACE), messages.factors(errors)
        held = messages.held(weights).T
        return messages.weights(learned(held, trace, factors, self.rate.exponent, draw)).T


def learned(weights: Array, trace: Array, factor: Array, exponent: int, draw: float) -> Array:
    """Return weights after the engine's learning phase.

    Parameters
    ----------
    weights : ndarray of shape (n_out, n_in), int64
        Weights before.
    trace : ndarray of shape (n_in,), int64
        The traces: counts of the input spikes so far.
    factor : ndarray of shape (n_out,), int64
        The third factor.
    exponent : int
        The exponent s of the rate.
    draw : float
        The random number of this step, from 0 to 1.
    """
    change = (-MANTISSA * np.outer(factor, trace) >> SHIFT) << exponent
    change = np.clip(change, -LARGEST_CHANGE - 1, LARGEST_CHANGE - 1)
    sums = np.clip((weights << BITS_BEHIND) + change, -LARGEST_CHANGE - 1, LARGEST_CHANGE - 1)
    part = (sums & (2**BITS_BEHIND - 1)) / 2**BITS_BEHIND
    return np.clip((sums >> BITS_BEHIND) + (draw < part), LOWEST_WEIGHT, HIGHEST_WEIGHT)
