"""Synapses of Lava's own, set up so that they follow the rules of the network."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from lava.magma.core.learning.constants import GradedSpikeCfg
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.proc.dense.process import Dense, LearningDense
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from spikebp_lava.engine import EngineRate
from spikebp_lava.memory import FIXED
from spikebp_lava.messages import converter_of
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]

#: The time constant of a trace that never decays. In Lava a constant of 0 does not mean that.
NEVER: Final = 2**62

#: The value of `num_message_bits`; to Dense any value above 0 means spikes with a payload.
GRADED: Final = 8

#: With fewer bits, Lava would drop the last bit of learned weights that enter a new graph.
WEIGHT_BITS: Final = 9


class SynapseFactory:
    """Makes synapses for the process models of a tag; their matrices are of shape (n_out, n_in).

    Parameters
    ----------
    net : Definition
        The definition.
    tag : str
        The tag.

    Attributes
    ----------
    rule : str
        The learning rule of synapses that lead up.
    """

    def __init__(self, net: Definition, tag: str) -> None:
        self._outer = net.learning_rule.learns_once
        self._options: dict[str, Any] = {"num_message_bits": GRADED}
        self._messages = converter_of(net)
        if tag == FIXED:
            self.rule = EngineRate.of(net).rule
            self._options |= {"sign_mode": SignMode.MIXED, "num_weight_bits": WEIGHT_BITS}
        else:
            self.rule = "-1 * u0 * x1 * y1"

    def that_learn(self, weights: Array, name: str) -> Any:
        """Return synapses that count spikes, and learn when the third factor is an error."""
        traces = GradedSpikeCfg.ADD_WITH_SATURATION
        return self._learning(weights, name, self.rule, traces)

    def that_learn_transposed(self, weights: Array, name: str) -> Any:
        """Return synapses that pass errors on, and learn with counts as the third factor."""
        if self._outer:
            # Here the trace sums errors, as the trace of the forward synapses sums spikes.
            return self.that_learn(weights, name)
        # The trace is the error of this step alone. In a step without an error the trace keeps an
        # older error, but x0 is 0, so that nothing is learned.
        rule = self.rule.replace("u0", "x0")
        return self._learning(weights, name, rule, GradedSpikeCfg.OVERWRITE)

    def that_stay(self, weights: Array, name: str) -> Any:
        """Return synapses that do not learn."""
        process = Dense(weights=self.held(weights), name=name, **self._options)
        return self._settable_as_a_whole(process)

    def _learning(self, weights: Array, name: str, dw: str, traces: GradedSpikeCfg) -> Any:
        rule = Loihi3FLearningRule(dw=dw, x1_tau=NEVER, x2_tau=NEVER, t_epoch=1, rng_seed=0)
        # Lava sets these constants to 65535, with which a third factor would lose its last bits.
        rule.y1_tau = rule.y2_tau = rule.y3_tau = NEVER
        return self._settable_as_a_whole(
            LearningDense(
                weights=self.held(weights),
                learning_rule=rule,
                graded_spike_cfg=traces,
                name=name,
                **self._options,
            )
        )

    def held(self, weights: Array) -> Array:
        """Return a matrix in the numbers that synapses hold."""
        return np.array(self._messages.held(weights))

    @staticmethod
    def _settable_as_a_whole(process: Any) -> Any:
        """Refuse `set` of a matrix, which would not reach the network and other synapses."""

        def refuse(*_: Any) -> None:
            raise RuntimeError(
                f"weights of {process.name!r} can only be read; set weight_1 to weight_L of the "
                "network, which also sets what follows them"
            )

        process.weights.set = refuse
        return process
