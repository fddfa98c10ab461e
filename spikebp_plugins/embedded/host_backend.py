"""The back end `c`: the network in C that a microcontroller runs, compiled for this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, IntegerOption
from spikebp_plugins.backends.outcome import Outcome, Recording, joined, recording_of
from spikebp_plugins.backends.reference import shown_by_rules, work_by_rules
from spikebp_plugins.embedded.geometry import GEOMETRIES
from spikebp_plugins.embedded.host_library import DONE, CBlockResult, HostLibrary
from spikebp_plugins.embedded.host_samples import SamplesInC, samples_in_c
from spikebp_plugins.embedded.network_in_c import CHOICES_IN_C, NetworkInC, why_not_in_c
from spikebp_plugins.embedded.number_types import WEIGHT_BITS
from spikebp_plugins.embedded.toolchain import find_compiler, why_no_compiler
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import delays_of, of_input_steps
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work, operations_of
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: Synapses times steps of a block, which takes some tenths of a second at most.
BLOCK_WORK: Final = 200_000_000

#: A counter of C is reset before it reaches this.
MOST_COUNTED: Final = 2**61


class CBackendState(NamedTuple):
    """The state of a `CBackend`, replaced in one assignment.

    Attributes
    ----------
    state : LearningState
        The learning state; with a `library`, the one that it started from.
    earlier : Operations
        The operations that the library has not counted.
    done : Work
        The work of these operations.
    library : HostLibrary or None
        The network in C that shows the next samples; None if the reference does.
    """

    state: LearningState
    earlier: Operations
    done: Work
    library: HostLibrary | None


class CBackend(Backend):
    """The network in C, compiled by the compiler of this machine.

    The option `weight_bits` says how many bits a weight has. By default these are the fewest that
    hold the weights, and become more when a number outgrows its type. A sample that no type holds
    is computed by the reference, which returns the result or raises the error for the user.
    """

    choices: ClassVar = CHOICES_IN_C
    connections: ClassVar = tuple(GEOMETRIES)
    options: ClassVar = {"weight_bits": IntegerOption(WEIGHT_BITS)}
    main_option: ClassVar = "weight_bits"

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:
        """Return why there is no program in C, or no compiler, or None if there are both."""
        reason = why_not_in_c(net, options.get("weight_bits") or WEIGHT_BITS[-1])
        return reason or (None if find_compiler() else why_no_compiler())

    def __init__(self, net: Definition, state: LearningState, weight_bits: int | None) -> None:
        super().__init__(net, state)
        given = WEIGHT_BITS if weight_bits is None else (weight_bits,)
        # The networks that may still be needed, those with the fewest bits first.
        self._networks = [
            NetworkInC(net, bits) for bits in given if why_not_in_c(net, bits) is None
        ]
        self._libraries: dict[NetworkInC, HostLibrary] = {}
        self._current = CBackendState(state, Operations(), Work(), None)

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        state, library = self._current.state, self._current.library
        return state if library is None else library.write_state(state)

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        state, library = self._current.state, self._current.library
        return state.samples_seen if library is None else library.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        earlier, library = self._current.earlier, self._current.library
        if library is None:
            return earlier
        counts = library.counts
        asked = {name: n for name, n in counts.items() if name not in DONE}
        return earlier + operations_of(self.net, **asked)

    @property
    def work(self) -> Work:
        """The work for these samples."""
        done, library = self._current.done, self._current.library
        if library is None:
            return done
        return done + Work(**{name: library.counts[name] for name in DONE})

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        n_synapses = sum(connection.n_synapses for connection in self.net.connections)
        return max(1, BLOCK_WORK // (n_steps * max(n_synapses, 1)))

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        outcomes: list[Outcome] = []
        done, portion = 0, len(batch)
        while done < len(batch):
            rest = batch[done : done + portion]
            library = self._library()
            outcome = None if library is None else self._show_in_c(library, rest, record)
            if outcome is None:
                self._leave_c()
                if len(self._networks) > 1 and len(samples_in_c(self._networks[-1], rest[:1]).x):
                    del self._networks[0]  # the next has room for larger numbers
                    continue
                outcome = self._show_by_rules(rest[:1], record)
                portion = 1  # if consecutive samples fail, few are prepared in vain
            outcomes.append(outcome)
            portion *= 2
            done += len(outcome.scores)
        return joined(outcomes)

    def _library(self) -> HostLibrary | None:
        """Return the network in C with the present state; None if its types do not hold it."""
        library = self._current.library
        if library is not None and library.work.max() < MOST_COUNTED:
            return library
        self._leave_c()
        current, network = self._current, self._networks[0]
        try:
            network.check_state(current.state)
        except OverflowError:
            return None
        library = self._libraries.get(network) or HostLibrary(network)
        self._libraries = {network: library}
        library.read_state(current.state)
        library.work[:] = 0
        self._current = current._replace(library=library)
        return library

    def _leave_c(self) -> None:
        """Take state and work from the network in C."""
        self._current = CBackendState(self.state, self.operations, self.work, None)

    def _show_in_c(self, library: HostLibrary, batch: Batch, record: bool) -> Outcome | None:
        """Show samples as far as the types of C hold them; None if they do not hold the first."""
        samples = samples_in_c(library.network, batch)
        shown = library.show(samples, record)
        return _outcome(self.net, shown, samples) if shown.n > 0 else None

    def _show_by_rules(self, batch: Batch, record: bool) -> Outcome:
        """Show one sample by the reference."""
        before, earlier, done, _ = self._current
        state, shown = shown_by_rules(self.net, before, batch)
        done += work_by_rules(shown.steps, shown.operations)
        self._current = CBackendState(state, earlier + shown.operations, done, None)
        recording = recording_of(self.net, [shown]) if record else None
        return Outcome(shown.step_scores[-1:], recording)


def _outcome(net: Definition, shown: CBlockResult, samples: SamplesInC) -> Outcome:
    """Return the results of a block as those of a back end."""
    n, n_steps = shown.n, samples.n_steps
    unit = math.ldexp(1.0, -arithmetic_of(net).fraction_bits)
    scores = shown.drive[:n] * unit / n_steps
    if shown.spikes is None or shown.errors is None or shown.step_drive is None:
        return Outcome(scores, None)
    none = (0,) * (net.n_layers + 1)
    sent, back = (none, none) if samples.y is None else delays_of(net)
    borders = np.cumsum(net.layer_sizes)[:-1]

    def by_layer(record: Array, borders: Array, delays: Sequence[int]) -> list[NDArray[np.int64]]:
        parts = np.split(record[:n].astype(np.int64), borders, axis=2)
        pairs = zip(parts, delays, strict=True)
        return [of_input_steps(part, delay, n_steps) for part, delay in pairs]

    spikes = by_layer(shown.spikes, borders, sent)
    errors = None
    if samples.y is not None:
        errors = [None, *by_layer(shown.errors, borders[1:] - net.n_inputs, back[1:])]
    drive = of_input_steps(shown.step_drive[:n], sent[-1], n_steps)
    step_scores = drive * unit / np.arange(1, n_steps + 1)[:, np.newaxis]
    return Outcome(scores, Recording(spikes, errors, step_scores))
