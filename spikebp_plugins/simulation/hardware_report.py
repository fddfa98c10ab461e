"""What a network would need of a neuromorphic chip, measured while it runs in the reference.

Everything here is simulated. The widths on a chip are those of ``arithmetic="loihi2"``; its
numbers of neurons and synapses are those that Intel's public papers state for Loihi 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.network.arithmetic import (
    HIGHEST_WEIGHT,
    LARGEST_PAYLOAD,
    LARGEST_STATE,
    LARGEST_TRACE,
    LOWEST_WEIGHT,
    FixedPoint,
    Loihi2,
    arithmetic_of,
)
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import run_sample
from spikebp_plugins.rules.step import SampleState, Step, step

#: Neurons and synapses of one Loihi 2 chip, of 128 cores.
CHIP_NEURONS: Final = 1_048_576
CHIP_SYNAPSES: Final = 120_000_000


@dataclass(frozen=True)
class Width:
    """The extremes of one quantity in one layer, and the bits that hold them.

    Attributes
    ----------
    quantity : str
        Name of the quantity.
    layer : int
        The layer; for weights, the layer that they lead into.
    lowest, highest : int
        The extremes: states in grid units, weights in units of their last bit, counts as they are.
    bits : int
        Bits of the smallest signed integer that holds both extremes.
    chip_bits : int
        Bits of the signed integer that holds the quantity on a chip.
    saturating : float or None
        The fraction of all values that were at the chip's extremes or beyond. None for weights of
        ``arithmetic="fixed"``, which have to be rounded before a chip can hold them.
    """

    quantity: str
    layer: int
    lowest: int
    highest: int
    bits: int
    chip_bits: int
    saturating: float | None


@dataclass(frozen=True)
class HardwareReport:
    """What a network needed in a run over some samples.

    Attributes
    ----------
    net : SpikingMLP
        The definition.
    widths : tuple of Width
        Each quantity of each layer.
    weight_exponent : int
        The smallest exponent with which 8 bits cover the range of all weights.
    neurons, synapses : int
        Numbers for the whole network; `synapses` includes the copies that carry errors back.
    steps_per_sample : int
        Time steps that a training sample takes.
    operations : Operations
        Spikes and synaptic operations of the run.
    """

    net: SpikingMLP
    widths: tuple[Width, ...]
    weight_exponent: int
    neurons: int
    synapses: int
    steps_per_sample: int
    operations: Operations

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain Python values that JSON can hold."""
        return {
            "definition": self.net.to_dict(),
            "widths": [asdict(width) for width in self.widths],
            "weight_exponent": self.weight_exponent,
            "neurons": {"needed": self.neurons, "chip": CHIP_NEURONS},
            "synapses": {"needed": self.synapses, "chip": CHIP_SYNAPSES},
            "steps_per_sample": self.steps_per_sample,
            "operations": self.operations.to_dict(),
        }


def hardware_report(
    checkpoint: Checkpoint, x: Any, y: Any = None, *, progress: bool | None = None
) -> HardwareReport:
    """Show samples to a network, and report what it would need of a chip.

    Parameters
    ----------
    checkpoint : Checkpoint
        A network, which is not changed.
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Input.
    y : array-like or None, default=None
        Targets to learn from, as for ``Simulator.train``; None predicts.
    progress : bool or None, default=None
        Whether to show a progress bar; None shows one for long work on a terminal.

    Returns
    -------
    HardwareReport

    Raises
    ------
    ValueError
        If the network has floating-point arithmetic, or `x` or `y` is not allowed.
    """
    net = checkpoint.net
    number = arithmetic_of(net)
    if not isinstance(number, FixedPoint):
        allowed = "a network with arithmetic='fixed' or 'loihi2', whose numbers are integers"
        raise wrong_argument("checkpoint", allowed, f"arithmetic={net.arithmetic!r}")
    batch = check_batch(net, x, y)
    if not len(batch):
        raise wrong_argument("x", "at least one sample", f"shape {batch.x.shape}")
    targets = [None] * len(batch) if y is None else batch.targets()
    extremes = Extremes(number)
    make_step = extremes.watched_step
    learning, operations = checkpoint.state, Operations()
    with progress_bar(len(batch), "hardware report", wanted=progress) as bar:
        for given, target in zip(batch.inputs(), targets, strict=True):
            learning, shown = run_sample(net, learning, given, target, net.n_steps, make_step)
            extremes.see_weights(learning)
            operations += shown.operations
            bar.update(1)
    forward, *others = (connection.n_synapses for connection in net.connections)
    return HardwareReport(
        net=net,
        widths=extremes.widths(),
        weight_exponent=extremes.weight_exponent(),
        neurons=sum(net.layer_sizes),
        synapses=forward + 2 * sum(others),
        steps_per_sample=steps_of_sample(net, net.n_steps),
        operations=operations,
    )


class Seen:
    """The extremes of one quantity in one layer, and how many of its values saturate on a chip.

    Parameters
    ----------
    low, high : int
        The smallest and the largest value that a chip can hold.
    """

    def __init__(self, low: int, high: int) -> None:
        self.chip = low, high
        self.lowest = self.highest = 0
        self.n = self.n_saturating = 0

    def see(self, values: NDArray[Any]) -> None:
        """Include integers in the extremes and the counts."""
        low, high = self.chip
        self.lowest = min(self.lowest, int(values.min()))
        self.highest = max(self.highest, int(values.max()))
        self.n += values.size
        self.n_saturating += int(np.count_nonzero((values <= low) | (values >= high)))


class Extremes:
    """The extremes of all quantities of a network.

    Parameters
    ----------
    number : FixedPoint
        The arithmetic of the network.
    """

    def __init__(self, number: FixedPoint) -> None:
        self._number = number
        self._of: dict[tuple[str, int], Seen] = {}
        self._largest_weight = 0.0

    def watched_step(
        self, net: SpikingMLP, learning: LearningState, before: SampleState, *arguments: Any
    ) -> tuple[LearningState, SampleState, Step]:
        """Make a step of the reference, and include its values."""
        learning, after, sent = step(net, learning, before, *arguments)
        units, L = self._number.encode, net.n_layers
        for l in range(L + 1):
            self._see("potential when it fires", l, units(after.phi[l] + sent.k[l]), LARGEST_STATE)
            self._see("spikes in a step", l, sent.k[l], LARGEST_PAYLOAD)
            if l > 0:
                self._see("drive of a step", l, units(after.s[l] - before.s[l]), LARGEST_STATE)
                self._see("summed drive", l, units(after.s[l]), LARGEST_STATE)
            if l < L:
                self._see("spikes in a sample", l, after.c[l], LARGEST_TRACE)
        if sent.e is not None:
            self._see("target potential", L, units(after.phi_y), LARGEST_STATE)
            for l in range(1, L + 1):
                self._see("errors in a step", l, sent.e[l], LARGEST_PAYLOAD)
            for l, psi in enumerate(learning.backward_potentials, 1):
                fired = units(psi + sent.e[l])
                self._see("backward potential when it fires", l, fired, LARGEST_STATE)
        return learning, after, sent

    def see_weights(self, learning: LearningState) -> None:
        """Include the weights after a sample."""
        number = self._number
        units = number.weight_units if isinstance(number, Loihi2) else number.encode
        for l, weights in enumerate(learning.weights, 1):
            self._see("weight", l, units(weights), HIGHEST_WEIGHT, LOWEST_WEIGHT)
            self._largest_weight = max(self._largest_weight, float(np.abs(weights).max()))

    def _see(
        self, quantity: str, layer: int, values: NDArray[Any], high: int, low: int | None = None
    ) -> None:
        new = Seen(-high if low is None else low, high)
        self._of.setdefault((quantity, layer), new).see(values)

    def widths(self) -> tuple[Width, ...]:
        """Return the width of each quantity in each layer."""
        is_chips = isinstance(self._number, Loihi2)
        return tuple(
            Width(
                quantity=quantity,
                layer=layer,
                lowest=seen.lowest,
                highest=seen.highest,
                bits=bits_of(seen.lowest, seen.highest),
                chip_bits=bits_of(*seen.chip),
                saturating=seen.n_saturating / seen.n if is_chips or quantity != "weight" else None,
            )
            for (quantity, layer), seen in self._of.items()
        )

    def weight_exponent(self) -> int:
        """Return the smallest exponent with which 8 bits cover the range of the weights seen."""
        mantissa, exponent = np.frexp(self._largest_weight / HIGHEST_WEIGHT)
        return int(exponent) - int(mantissa == 0.5)


def bits_of(*values: int) -> int:
    """Return the bits of the smallest signed integer that holds all of these."""
    return 1 + max((-1 - v if v < 0 else v).bit_length() for v in values)


def by_quantity(widths: Sequence[Width]) -> dict[str, list[Width]]:
    """Return the widths of each quantity, in the order of layers."""
    quantities: dict[str, list[Width]] = {}
    for width in widths:
        quantities.setdefault(width.quantity, []).append(width)
    return quantities
