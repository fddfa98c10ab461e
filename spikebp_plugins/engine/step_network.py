"""A network in the memory of the engine, in numbers of 32 or 64 bits, of which steps are shown."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.library import Build
from spikebp_plugins.engine.network import MOST_PENDING, N_SENT, EngineNetwork, KeptRow, Part
from spikebp_plugins.engine.structs import (
    ERRORS,
    PHI_Y,
    REALS,
    SENT,
    B,
    C,
    CBlock,
    CDefinition,
    CLimit,
    CWeightRule,
    E,
    S,
    W,
)
from spikebp_plugins.engine.wiring import Connections, ConvolutionLayout
from spikebp_plugins.network.arithmetic import (
    LARGEST_PAYLOAD,
    LARGEST_STATE,
    LOWEST_WEIGHT,
    Loihi2,
    arithmetic_of,
)
from spikebp_plugins.network.delays import ENDLESS, delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch, spike_counts
from spikebp_plugins.network.sparse_rows import SparseRows, of_one_step
from spikebp_plugins.rules.sample import weights_changed
from spikebp_plugins.rules.step import SampleState, close_training, silence, step

Array = NDArray[Any]


def weight_shift(net: Definition) -> int:
    """Return the exponent of 2 by which weights of a chip are multiples of 2^-f; otherwise 0."""
    bits = arithmetic_of(net).fraction_bits
    return 0 if net.weight_exponent is None else bits + net.weight_exponent


def _rules_in_c(net: Definition) -> ctypes.Array[CWeightRule]:
    """Return how W_1 to W_L learn, as the engine reads it."""
    rules = net.learning_rule.weights
    each = (CWeightRule(*rule[:-1], CLimit(*rule.error_limit)) for rule in rules)
    return (CWeightRule * len(rules))(*each)


def holds(build: Build, net: Definition) -> bool:
    """Return whether the numbers of a build hold the constants of a definition.

    On a chip, also whether they hold any drive of a step.
    """
    grid, largest = arithmetic_of(net), np.iinfo(build.number).max
    if isinstance(grid, Loihi2):
        weight = -LOWEST_WEIGHT << weight_shift(net)
        arriving = max(net.layer_sizes) * LARGEST_PAYLOAD * weight
        return 2 * max(arriving, LARGEST_STATE) < largest
    return grid.fraction_bits <= build.most_bits and net.rate_units <= largest


class StepNetwork(EngineNetwork):
    """A network that is shown whole samples, or single steps of one that is open.

    Parameters
    ----------
    net : Definition
        The definition.
    build : Build
        The functions for 32 or for 64 bits.
    learned : ndarray of uint8 or None, default=None
        The learned arrays of another network of this definition and build, to share them.
    connections : Connections or None, default=None
        The connections of another network of this definition, to save the time to lay them out.
    allocate : callable, default=np.zeros
        Returns an array of zeros, given its shape and its type: all that samples change lies there.
    most_pending : int, default=MOST_PENDING
        So many updates of a layer wait at most.
    """

    build: Build

    def __init__(
        self,
        net: Definition,
        build: Build,
        learned: Array | None = None,
        connections: Connections | None = None,
        allocate: Callable[[Any, Any], Array] = np.zeros,
        most_pending: int = MOST_PENDING,
    ) -> None:
        grid, delays = arithmetic_of(net), delays_of(net)
        assert holds(build, net)
        self._sizes = np.array(net.layer_sizes, np.int32)
        rule, self._rules = net.learning_rule, _rules_in_c(net)
        connections = connections or Connections(net)
        definition = CDefinition(
            sizes=self._sizes.ctypes.data,
            wirings=connections.address,
            rules=ctypes.addressof(self._rules),
            input_scale=net.input_factor,
            counts=CLimit(*rule.count_limit),
            gain=CLimit(*rule.gain_limit),
            n_layers=net.n_layers,
            most_pending=most_pending,
            bits=grid.fraction_bits,
            learns_once=rule.learns_once,
            starts_at_zero=net.backward_init == "zero",
            is_binary=net.spikes == "binary",
            takes_counts=net.input_coding == "spikes",
            has_random_feedback=net.feedback == "random",
            delay=not delays.are_zero,
            is_chip=isinstance(grid, Loihi2),
            weight_shift=weight_shift(net),
            seed=net.seed,
        )
        super().__init__(net, build, definition, grid, connections, learned, allocate)
        #: The part of the memory of samples with counts and bounds.
        self.header = self._sample[: build.header_size(ctypes.byref(definition))]
        #: The target of single steps, as `begin_steps` was given it.
        self.target: Array | None = None
        self._target = KeptRow(net.n_outputs, np.float64, REALS)
        self.steps_block = CBlock.from_buffer_copy(self.block)
        self.steps_address = ctypes.addressof(self.steps_block)

    def take_rate(self, net: Definition) -> None:
        """Learn as a definition says that differs in its learning rate alone."""
        ctypes.memmove(self._rules, _rules_in_c(net), ctypes.sizeof(self._rules))
        self.net = net

    def beside(self) -> StepNetwork:
        """Return a network on the learned arrays of this one."""
        other = StepNetwork(self.net, self.build, self.learned, self.connections)
        self.build.take_bounds(other._place, self._place)
        other.block.n_learned = self.samples_seen
        return other

    def replace_weights(self, l: int, weights: Array, where: Any = ...) -> None:
        """Replace W_l at an index, before an open sample and in it, after `write_updates`."""
        units, layout = self._grid.encode(weights), self.connections.layouts[l - 1]
        flat, (index, rows) = self.flat_before(l), self.rows_before(l)
        before, now = layout.weights(flat), self.array(l, W)
        for held in (before, now):
            held[where] = units[where]
        length = min(rows.shape[1], len(flat))
        rows[:, :length] = flat.reshape(-1, length)[index]
        if l > 1 and self.net.feedback == "transpose":
            backward_weights = self.net.connections[l - 1].backward_weights
            self.array(l, B)[...] = backward_weights(now)
            if isinstance(layout, ConvolutionLayout):
                for row in rows:
                    layout.backward(row[length:])[...] = backward_weights(before)
        self.forget_bounds()

    def write_updates(self) -> None:
        """Write pending updates: then the arrays of an open sample are complete."""
        self.build.write_updates(self._place)

    def begin_steps(self, y: Array | None, *, opens: bool = False, restarts: bool = False) -> None:
        """Set the arguments that the next single steps share.

        Parameters
        ----------
        y : ndarray of shape (n_outputs,) or None
            Real target, in an array that does not change.
        opens : bool, default=False
            Whether they open a sample.
        restarts : bool, default=False
            Whether they are the first that are taught.
        """
        self.make_room_before()
        block = self.steps_block
        if y is not self.target:
            self.target = self._y_row  # nobody's: an interrupt may come before the block has it
            block.y = self._none if y is None else self._target.of(y)
            self.target = y
        block.opens, block.starts_learning = opens, restarts

    def show_steps(
        self, x: Array | SparseRows, n_steps: int, first: int = 0, n_inputs: int = ENDLESS
    ) -> int:
        """Show the same input, of shape (n_inputs,), in single steps after `begin_steps`.

        With delays the first of them is step `first` of its sample, from 0, of which `n_inputs`
        have input. Returns how many were shown before one that may be out of range.
        """
        block = self.steps_block
        block.step, block.n_inputs = first, n_inputs
        block.n_steps = n_steps
        if isinstance(x, SparseRows):
            rows = self._rows_of(x)
        else:
            rows = self._input.of(spike_counts(x) if self._takes_counts else x)
        block.x = rows
        self.build.show_steps(self.steps_address)
        return int(block.n_shown)

    def close_sample(self, learns: bool) -> bool:
        """End a sample of single steps; return whether all values were in range."""
        return bool(self.build.close_sample(self._place, learns, False))

    def close_by_reference(self) -> None:
        """End a sample that learns at its end by the reference.

        Raises
        ------
        OverflowError
            If a value leaves its range.
        """
        sample, counts = self.sample_so_far(0), self._sample_counts()
        learned = close_training(self.net, self.read(is_open=True).reals(), sample)
        counts[1] = weights_changed(self.net, sample, sample.E)
        self._reopen(counts, self._parts_of(learned.on_grid(self.net)), sample)
        self.build.close_sample(self._place, True, True)

    def scores(self, n_steps: int) -> NDArray[np.float64]:
        """Return the scores of the open sample after so many steps."""
        self.build.find_scores(self._place, self.block.scores, n_steps)
        scores: NDArray[np.float64] = self._scores[0].copy()
        return scores

    def summed_drive(self) -> NDArray[np.float64]:
        """Return the summed drive of the output in the open sample, as reals."""
        drive: NDArray[np.float64] = self._reals(self.net.n_layers, S)
        return drive

    def potentials(self) -> list[Array]:
        """Return the potentials of layers 0 to L in the open sample, as reals."""
        L = self.net.n_layers
        above = [self._reals(l, S) - self._units(l, C) for l in range(1, L + 1)]
        return [self._reals(0, S), *above]

    def sample_so_far(self, n_steps: int) -> SampleState:
        """Return the open sample after `n_steps` in the form of the reference."""
        net, L = self.net, self.net.n_layers
        self.write_updates()
        return SampleState(
            phi=tuple(self.potentials()),
            phi_y=self._reals(L, PHI_Y),
            s=(None, *(self._reals(l, S) for l in range(1, L + 1))),
            c=tuple(self._units(l, C) for l in range(L)),
            E=(None, *(self._units(l, E) for l in range(1, L + 1))),
            sent=silence(net),
            t=n_steps,
            shown=self._sample_counts()[2],
        )

    def _sample_counts(self) -> list[int]:
        counts = np.zeros(3 + N_SENT * len(self._sizes), np.int64)
        self.build.sample_counts(self._place, counts.ctypes.data)
        return [int(count) for count in counts]

    def _reopen(self, counts: list[int], learned: Iterable[Part], sample: SampleState) -> None:
        """Reopen a sample that has begun elsewhere, on what was learned before it."""
        given = np.array(counts, np.int64)
        self.build.reopen(self._place, given.ctypes.data)
        self._write(learned, is_open=True)
        encode, L = self._grid.encode, self.net.n_layers
        self.array(0, S)[...] = encode(sample.phi[0])
        self.array(0, C)[...] = sample.c[0]
        for l in range(1, L + 1):
            self.array(l, S)[...] = encode(sample.s[l])
            self.array(l, C)[...] = sample.s[l] - sample.phi[l]
            self.array(l, E)[...] = sample.E[l]
        self.array(L, PHI_Y)[...] = encode(sample.phi_y)

    def go_on_from(self, other: StepNetwork) -> None:
        """Continue the sample that is open in another network of fewer bits."""
        is_held = self.take(other)
        assert is_held, "64 bits hold what 32 bits do"
        self.make_room_before()
        sample = other.sample_so_far(0)
        self._reopen(other._sample_counts(), other.parts_now(), sample)

    def step_by_reference(self, x: Array | SparseRows, y: Array | None, n_steps: int) -> None:
        """Show a step of the open sample, after `n_steps`, by the reference.

        Raises
        ------
        OverflowError
            If a value leaves its range.
        """
        net, L = self.net, self.net.n_layers
        sample, counts = self.sample_so_far(n_steps), self._sample_counts()
        learned = self.read(is_open=True).reals()
        encoded = Batch(net, of_one_step(x), None, 1).inputs()[0, 0]
        target = None if y is None else self._grid.round(y)
        learned, sample, sent = step(net, learned, sample, encoded, target)
        counts[2] = sample.shown
        errors = silence(net).e if sent.e is None else sent.e
        assert errors is not None
        if y is not None and not net.learning_rule.learns_once:
            counts[1] += weights_changed(net, sample, errors)
        spikes = [np.abs(k.astype(object)) for k in sent.k]
        of_errors = [np.zeros(1), *(np.abs(e.astype(object)) for e in errors[1:])]
        messages, error_messages = (
            [(each != 0).astype(object) for each in part] for part in (spikes, of_errors)
        )
        for l in range(L + 1):
            connection = net.connections[l - 1]
            up = down = [0, 0]
            if l > 0:
                up = [connection.forward_operations(part[l - 1]) for part in (spikes, messages)]
            if l > 1:
                of_layer = of_errors[l], error_messages[l]
                down = [connection.backward_operations(part) for part in of_layer]
            sent_by_all = [part[l].sum() for part in (spikes, of_errors, messages, error_messages)]
            for i, part in enumerate([*sent_by_all, up[0], down[0], up[1], down[1]]):
                counts[3 + N_SENT * l + i] += int(part)
        if max(counts) >= 2**63:
            raise OverflowError(
                "a layer must send fewer than 2**63 spikes in a sample; it sent more"
            )
        self._reopen(counts, self._parts_of(learned.on_grid(net)), sample)
        for l in range(L + 1):
            self.array(l, SENT)[...] = sent.k[l]
            self.array(l, ERRORS)[...] = 0 if l == 0 else errors[l]
