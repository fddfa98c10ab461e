"""The needs of a network on a neuromorphic chip: its sizes, and measurements of a run.

Everything here is simulated, in the reference. The widths on a chip are those of
``arithmetic="loihi2"``; its numbers of neurons and synapses are those that Intel's public papers
state for Loihi 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.common.figures import count, shapes
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.network.arithmetic import (
    HIGHEST_WEIGHT,
    LARGEST_PAYLOAD,
    LARGEST_STATE,
    LOWEST_WEIGHT,
    FixedPoint,
    Loihi2,
    arithmetic_of,
)
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.definition import require_definition
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.learning_rule import LARGEST_TRACE
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import RealState, in_units, initial_state
from spikebp_plugins.rules.sample import run_sample
from spikebp_plugins.rules.step import SampleState, Step, step, synaptic_weights
from spikebp_plugins.simulation.core_limits import CoreLimits
from spikebp_plugins.simulation.layer_needs import LayerNeeds, needs_of_layers, why_no_fit

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
        The extremes: states in units of 2^-f, weights in units of their last bit, counts.
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


class Table(NamedTuple):
    """A part of a report: a title, names of columns, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        # Names stand on the left, and numbers on the right.
        aligned = [
            [cell.rjust(n) if i else cell.ljust(n) for i, (cell, n) in enumerate(cells)]
            for cells in (zip(line, widths, strict=True) for line in lines)
        ]
        return "\n".join([self.title, *("  ".join(cells).rstrip() for cells in aligned)])


@dataclass(frozen=True)
class HardwareReport:
    """A report of what a network needs of a chip; ``print`` shows it as tables.

    Attributes
    ----------
    net : Definition
        The definition.
    widths : tuple of Width
        Each quantity of each layer, as seen with the samples; weights alone if there were none.
    weight_exponent : int
        The smallest exponent with which 8 bits cover the range of all weights.
    neurons, synapses : int
        Numbers for the whole network; `synapses` includes the copies that carry errors back.
    steps_per_sample : int
        Time steps that a training sample takes.
    operations : Operations
        Spikes, messages and synaptic operations of the run; zero without samples.
    layers : tuple of LayerNeeds
        The needs of each layer on the chip.
    core : CoreLimits
        The limits of these cores.
    samples_seen : int
        Training samples from which the weights had learned before the run.
    """

    net: Definition
    widths: tuple[Width, ...]
    weight_exponent: int
    neurons: int
    synapses: int
    steps_per_sample: int
    operations: Operations
    layers: tuple[LayerNeeds, ...]
    core: CoreLimits
    samples_seen: int

    @property
    def cores(self) -> int | None:
        """The cores that all layers take, sharing none; None if a layer fits on none."""
        total = 0
        for need in self.layers:
            if need.cores is None:
                return None
            total += need.cores
        return total

    @property
    def obstacles(self) -> tuple[str, ...]:
        """The reasons why the network does not fit on the chip, in sentences; empty if it fits."""
        found = []
        if self.net.timing != "pipelined":
            found.append(
                f"timing={self.net.timing!r} cannot run on a chip, where layers hear of each other "
                "one step later: use timing='pipelined'."
            )
        if self.net.presynaptic != "counts":
            found.append(
                f"presynaptic={self.net.presynaptic!r} cannot run on a chip, whose synapses learn "
                "from spikes: use presynaptic='counts'."
            )
        found += [
            f"Layer {l} shares weights, which no synapse can learn by itself: on a chip the "
            "network predicts, with a weight for each synapse."
            for l, connection in enumerate(self.net.connections, 1)
            if connection.shares_weights and connection.constant_weight is None
        ]
        found += [
            f"Layer {need.layer} does not fit: it {reason}."
            for need in self.layers
            if (reason := why_no_fit(need, self.net, self.core)) is not None
        ]
        if self.cores is not None and self.cores > self.core.cores:
            found.append(f"It takes {self.cores:,} cores, and a chip has {self.core.cores:,}.")
        return tuple(found)

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
            "layers": [asdict(need) for need in self.layers],
            "cores": {"needed": self.cores, "limits": asdict(self.core)},
            "obstacles": list(self.obstacles),
            "samples_seen": self.samples_seen,
        }

    def __str__(self) -> str:
        return "\n\n".join([*map(str, self.tables()), "\n".join(self.notes())])

    def tables(self) -> list[Table]:
        """Return the parts of the report: layers, bits of each variable, size and work."""
        shown = self.operations.samples
        samples = f"{shown:,} samples" if shown else "no samples"
        name = shapes(self.net.layer_shapes)
        return [
            self._table_of_layers(f"{name}: what each layer takes"),
            self._table_of_widths(f"{name}, {samples}: bits of each variable"),
            self._table_of_work("size and work"),
        ]

    def notes(self) -> list[str]:
        """Return the notes to the tables, each a sentence."""
        notes = list(self.obstacles)
        if not self.samples_seen:
            notes.append("The weights to begin with are those before any training.")
        if not self.operations.samples:
            notes.append(
                "No samples were shown: messages are the largest that the definition allows, where "
                "it sets a limit, and of the variables only weights are known."
            )
        if self.net.arithmetic == "loihi2":
            notes.append(f"8-bit weights with weight_exponent={self.net.weight_exponent}.")
        else:
            notes.append(
                "The weights are not yet rounded to 8 bits: with arithmetic='loihi2', "
                f"weight_exponent={self.weight_exponent} reaches all of them."
            )
        counted = "Cores are counted from states, weights and learning alone"
        if self.net.is_dense:
            notes.append(f"{counted}: fewer are not enough, and more may be needed.")
        else:
            notes.append(
                f"{counted}, with neurons on cores in the order of their numbers: more may be "
                "needed, and another order may need fewer."
            )
        for l, connection in enumerate(self.net.connections, 1):
            if connection.shares_weights:
                n = math.prod(connection.weight_shape) or 1  # the constant one
                notes.append(
                    f"Layer {l} has {n:,} weight{'s' if n > 1 else ''} for "
                    f"{connection.n_synapses:,} synapses: memory is that of a weight for each "
                    "synapse, and cores that share weights need less."
                )
        notes.append("Simulated, not measured on a chip; the chip's sizes are those published.")
        return notes

    def _table_of_layers(self, title: str) -> Table:
        needs, core = self.layers, self.core
        columns = ("", *(f"layer {need.layer}" for need in needs), "a core holds")
        numbers: list[tuple[str, list[int | None], int | None]] = [
            ("neurons", [need.neurons for need in needs], core.neurons),
            ("synapses", [need.synapses for need in needs], None),
            ("fan-in of a neuron", [need.fan_in for need in needs], None),
            ("fan-out of a neuron", [need.fan_out for need in needs], None),
            ("axons that arrive", [need.axons_in for need in needs], core.axons),
            ("axons that leave", [need.axons_out for need in needs], None),
            (
                "largest message",
                [need.largest_message for need in needs],
                2 ** (core.message_bits - 1) - 1,
            ),
            ("bytes of states", [need.state_memory for need in needs], None),
            ("bytes of synapses", [need.synapse_memory for need in needs], None),
            ("bytes for learning", [need.learning_memory for need in needs], None),
            ("bytes in all", [need.memory for need in needs], core.memory),
        ]
        rows = [(name, *map(_number, of), _number(limit)) for name, of, limit in numbers]
        cores = (str(need.cores or "does not fit") for need in needs)
        return Table(title, columns, [*rows, ("cores", *cores, "-")])

    def _table_of_widths(self, title: str) -> Table:
        layers = range(self.net.n_layers + 1)
        rows = []
        for quantity, widths in by_quantity(self.widths).items():
            by_layer = {width.layer: width for width in widths}
            parts = [width.saturating for width in widths if width.saturating is not None]
            rows.append(
                (
                    quantity,
                    _number(min(width.lowest for width in widths)),
                    _number(max(width.highest for width in widths)),
                    " / ".join(str(by_layer[l].bits) if l in by_layer else "-" for l in layers),
                    str(widths[0].chip_bits),
                    f"{100 * max(parts):.3g} %" if parts else "-",
                )
            )
        bits = f"bits in layers {' / '.join(map(str, layers))}"
        return Table(title, ("variable", "lowest", "highest", bits, "chip", "saturating"), rows)

    def _table_of_work(self, title: str) -> Table:
        rows = [
            ("neurons", _number(self.neurons), _number(CHIP_NEURONS)),
            ("synapses, both directions", _number(self.synapses), _number(CHIP_SYNAPSES)),
            ("cores", _number(self.cores), _number(self.core.cores)),
            ("time steps per training sample", _number(self.steps_per_sample), ""),
        ]
        n = self.operations.samples
        if n:
            rows += [
                ("spikes per sample", count(self.operations.spikes / n), ""),
                ("error spikes per sample", count(self.operations.errors / n), ""),
                ("synaptic operations per sample", count(self.operations.total / n), ""),
                ("messages per sample", count(self.operations.messages / n), ""),
                ("multiply-adds per sample", count(self.operations.multiply_adds / n), ""),
            ]
        return Table(title, ("", "network", "chip"), rows)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def hardware_report(
    checkpoint: Definition | Checkpoint,
    x: Any = None,
    y: Any = None,
    *,
    core: CoreLimits | None = None,
    progress: bool | None = None,
) -> HardwareReport:
    """Report what a network would need of a chip; samples measure the range of its values.

    Parameters
    ----------
    checkpoint : Definition or Checkpoint
        A network, which is not changed. A definition has its initial weights.
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs) or None, \
            default=None
        Input. None shows nothing: then sizes and the range of the weights are reported alone.
    y : array-like or None, default=None
        Targets to learn from, as for ``Simulator.train``; None predicts.
    core : CoreLimits or None, default=None
        The limits of a core; None takes those published for Loihi 2.
    progress : bool or None, default=None
        Whether to show a progress bar; None shows one for long work on a terminal.

    Returns
    -------
    HardwareReport

    Raises
    ------
    ValueError
        If an argument is not allowed.

    Examples
    --------
    >>> from spikebp_plugins import SpikingMLP
    >>> report = hardware_report(SpikingMLP((784, 200, 200, 10), timing="pipelined"))
    >>> [layer.cores for layer in report.layers]
    [1, 2, 1, 1]
    """
    start = _start_of(checkpoint)
    net = start.net
    core = CoreLimits() if core is None else core
    if not isinstance(core, CoreLimits):
        raise wrong_argument("core", "a CoreLimits or None", repr(core))
    extremes, operations = Extremes(arithmetic_of(net)), Operations()
    if x is None:
        if y is not None:
            raise wrong_argument("y", "None without x", "targets")
        extremes.include_weights(net, start.state.reals())
    else:
        operations = _show(extremes, start, x, y, progress)
    forward, *others = (connection.n_synapses for connection in net.connections)
    return HardwareReport(
        net=net,
        widths=extremes.widths(),
        weight_exponent=extremes.weight_exponent(),
        neurons=sum(net.layer_sizes),
        synapses=forward + 2 * sum(others),
        steps_per_sample=steps_of_sample(net, net.n_steps),
        operations=operations,
        layers=needs_of_layers(net, core, extremes.largest_messages()),
        core=core,
        samples_seen=start.state.samples_seen,
    )


def _start_of(checkpoint: Any) -> Checkpoint:
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    require_definition("checkpoint", checkpoint, "a Checkpoint")
    return Checkpoint(checkpoint, initial_state(checkpoint))


def _show(
    extremes: Extremes, start: Checkpoint, x: Any, y: Any, progress: bool | None
) -> Operations:
    """Show samples, and return the operations of the run."""
    net, learning, operations = start.net, start.state.reals(), Operations()
    batch = check_batch(net, x, y)
    if not len(batch):
        raise wrong_argument("x", "at least one sample", f"shape {batch.x.shape}")
    make_step = extremes.observed_step
    with progress_bar(len(batch), "hardware report", wanted=progress) as bar:
        for part in batch.taught_apart():
            targets = [None] * len(part) if part.y is None else part.targets()
            for given, target in zip(part.inputs(), targets, strict=True):
                learning, shown = run_sample(net, learning, given, target, net.n_steps, make_step)
                extremes.include_weights(net, learning)
                operations += shown.operations
                bar.update(1)
    return operations


class ValueRange:
    """The range of one quantity in one layer, and the number of values that saturate on a chip.

    Parameters
    ----------
    low, high : int
        The smallest and the largest value that a chip can hold.
    """

    def __init__(self, low: int, high: int) -> None:
        self.chip = low, high
        self.lowest = self.highest = 0
        self.n = self.n_saturating = 0

    def include(self, values: NDArray[Any]) -> None:
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
        self._of: dict[tuple[str, int], ValueRange] = {}
        self._largest_weight = 0.0

    def observed_step(
        self, net: Definition, learning: RealState, before: SampleState, *arguments: Any
    ) -> tuple[RealState, SampleState, Step]:
        """Make a step of the reference, and include its values in the extremes."""
        learning, after, sent = step(net, learning, before, *arguments)
        units, L = self._number.encode, net.n_layers
        for l in range(L + 1):
            self._include(
                "potential when it fires", l, units(after.phi[l] + sent.k[l]), LARGEST_STATE
            )
            self._include("spikes in a step", l, sent.k[l], LARGEST_PAYLOAD)
            if l > 0:
                self._include("drive of a step", l, units(after.s[l] - before.s[l]), LARGEST_STATE)
                self._include("summed drive", l, units(after.s[l]), LARGEST_STATE)
            if l < L:
                self._include("spikes in a sample", l, after.c[l], LARGEST_TRACE)
        if sent.e is not None:
            self._include("target potential", L, units(after.phi_y), LARGEST_STATE)
            for l in range(1, L + 1):
                self._include("errors in a step", l, sent.e[l], LARGEST_PAYLOAD)
            for l, psi in enumerate(learning.backward_potentials, 1):
                fired = units(psi + sent.e[l])
                self._include("backward potential when it fires", l, fired, LARGEST_STATE)
        return learning, after, sent

    def include_weights(self, net: Definition, learning: RealState) -> None:
        """Include all weights after a sample, constant ones too."""
        number = self._number
        for l, weights in enumerate(synaptic_weights(net, learning)[1:], 1):
            units = in_units(weights, number.exponent_of_weights)
            self._include("weight", l, units, HIGHEST_WEIGHT, LOWEST_WEIGHT)
            self._largest_weight = max(self._largest_weight, float(np.abs(weights).max()))

    def _include(
        self, quantity: str, layer: int, values: NDArray[Any], high: int, low: int | None = None
    ) -> None:
        new = ValueRange(-high if low is None else low, high)
        self._of.setdefault((quantity, layer), new).include(values)

    def widths(self) -> tuple[Width, ...]:
        """Return the width of each quantity in each layer."""
        is_chips = isinstance(self._number, Loihi2)
        return tuple(
            Width(
                quantity=quantity,
                layer=layer,
                lowest=values.lowest,
                highest=values.highest,
                bits=bits_of(values.lowest, values.highest),
                chip_bits=bits_of(*values.chip),
                saturating=values.n_saturating / values.n
                if is_chips or quantity != "weight"
                else None,
            )
            for (quantity, layer), values in self._of.items()
        )

    def largest_messages(self) -> dict[int, int]:
        """Return the most spikes or errors of one sign that were sent in a step, by layer."""
        largest: dict[int, int] = {}
        for (quantity, layer), values in self._of.items():
            if quantity in ("spikes in a step", "errors in a step"):
                size = max(-values.lowest, values.highest)
                largest[layer] = max(size, largest.get(layer, 0))
        return largest

    def weight_exponent(self) -> int:
        """Return the smallest exponent with which 8 bits cover the range of all weights so far."""
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
