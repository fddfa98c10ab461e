"""A network with event timing in the memory of the engine, in numbers of 32 or of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.library import EventBuild
from spikebp_plugins.engine.network import N_SENT, EngineNetwork
from spikebp_plugins.engine.structs import PSI, QUANTITIES, B, CEventDefinition, W
from spikebp_plugins.engine.wiring import Connections
from spikebp_plugins.network.arithmetic import FloatingPoint, out_of_range
from spikebp_plugins.network.fields import LARGEST_N_STEPS, Definition
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: As `event_queue.h` and `event_network.h` have them.
MOST_FIRED = 2**20
LARGEST_POTENTIAL = 2.0**23


class EventNetwork(EngineNetwork):
    """A network whose whole samples a build of event timing shows.

    Parameters
    ----------
    net : Definition
        The definition, with ``timing="event"``.
    build : EventBuild
        The functions for its arithmetic.
    learned : ndarray of uint8 or None, default=None
        The learned arrays of another network of this definition and build, to share them.
    """

    build: EventBuild

    def __init__(self, net: Definition, build: EventBuild, learned: Array | None = None) -> None:
        self.most_steps, self._sizes = LARGEST_N_STEPS, np.array(net.layer_sizes, np.int32)
        grid = FloatingPoint(np.dtype(build.number))
        definition = CEventDefinition(
            sizes=self._sizes.ctypes.data,
            input_scale=net.input_factor,
            rate=net.rate,
            limit=grid.limit,
            n_layers=net.n_layers,
            starts_at_zero=net.backward_init == "zero",
            is_outer=net.update == "outer",
            is_depth=net.event_order == "depth",
            holds_error=net.hold_error,
            takes_counts=net.input_coding == "spikes",
            has_random_feedback=net.feedback == "random",
        )
        super().__init__(net, build, definition, grid, Connections(net), learned)

    def for_steps(self, most_steps: int) -> EventNetwork:
        """Return a network on the learned arrays of this one."""
        return EventNetwork(self.net, self.build, self.learned)

    def copied(self) -> EventNetwork:
        """Return a network that shares no memory with this one."""
        return EventNetwork(self.net, self.build, self._copy_of_learned())

    def _reals(self, l: int, which: int) -> Array:
        return self.array(l, which).copy()

    def write(self, state: LearningState) -> bool:
        """Replace what has been learned. Returns True: its numbers hold all weights."""
        feedback = state.feedback or [W_l.T for W_l in state.weights[1:]]
        parts = [(W, 1, state.weights), (B, 2, feedback), (PSI, 1, state.backward_potentials)]
        for which, first, layers in parts:
            for l, values in enumerate(layers, first):
                self.array(l, which)[...] = values
        return True

    def counts(self) -> list[int]:
        """Return the counts of the engine, as `counted_operations` reads them."""
        counts = np.zeros(3 + 2 * (self.net.n_layers + 1), np.int64)
        self.build.write_counts(self._place, counts.ctypes.data)
        samples, of_layers = counts[:3].tolist(), counts[3:].reshape(-1, 2)
        sent = np.zeros((len(of_layers), N_SENT), np.int64)
        sent[:, :2] = sent[:, 2:4] = of_layers  # each spike is a message
        return [*samples, *sent.ravel().tolist()]

    @property
    def trained(self) -> int:
        """Training samples that it has shown."""
        return self.counts()[1]

    def drop_sample(self) -> None:
        """Do nothing: a sample is shown whole."""

    def overflow(self) -> OverflowError:
        """Return the error for the sample that was refused last."""
        fault = np.zeros(3)
        self.build.write_fault(self._place, fault.ctypes.data)
        quantity, layer, value = QUANTITIES[int(fault[0])], int(fault[1]), float(fault[2])
        if quantity == "spikes in one step":
            return OverflowError(
                f"{quantity} of layer {layer} must be fewer than {MOST_FIRED} with "
                "timing='event'; there were more"
            )
        is_potential = quantity not in ("summed drive", "weight")
        limit = LARGEST_POTENTIAL if is_potential else self._grid.limit
        return out_of_range(quantity, layer, limit, abs(value))
