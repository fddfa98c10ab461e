"""The interface of a back end, which a simulator drives."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.outcome import EarlySamples, Outcome, room_for_early
from spikebp_plugins.common.errors import is_integer, one_of, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import Connection, DenseConnection, refused_connections
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work, operations_of
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import LearningState

if TYPE_CHECKING:
    from spikebp_plugins.data.events import EventClock, EventSteps

Array = NDArray[Any]

#: For fields whose values not every back end runs: the values that every back end runs.
PLAIN_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "timing": ("immediate",),
    "arithmetic": ("fixed",),
    "presynaptic": ("counts",),
    "backward_init": ("carry", "zero"),
}

#: The end of a range of integers that goes on.
NO_END: Final = sys.maxsize

#: Why a back end does not show single steps.
NO_STEPS: Final = (
    "it shows whole samples: single steps, for streams and for samples that end by a margin, are "
    "those of 'compiled', 'reference', 'lava', and 'brian2' with target 'numpy' or 'cython'"
)

#: Why no back end shows single steps of a pipelined network.
WHOLE_SAMPLES: Final = (
    "timing='pipelined' shows whole samples: single steps would end before their spikes arrive"
)


class UnsupportedError(NotImplementedError):
    """A back end cannot run a definition; the message says why."""


class Option(ABC):
    """An option of a back end, and the values that it takes. None is always its default."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the allowed values as text."""

    @abstractmethod
    def parse(self, name: str, value: Any) -> Any:
        """Return a value, which may be text from a command line, or raise ValueError."""


@dataclass(frozen=True)
class IntegerOption(Option):
    """An option that takes an integer.

    Attributes
    ----------
    allowed : range or tuple of int
        The integers that are allowed. A range whose end is `NO_END` has none.
    """

    allowed: range | tuple[int, ...]

    def __str__(self) -> str:
        if not isinstance(self.allowed, range):
            return f"{one_of(self.allowed)} or None"
        if self.allowed.stop == NO_END:
            return f"an integer of at least {self.allowed.start}"
        return f"an integer from {self.allowed.start} to {self.allowed[-1]}"

    def parse(self, name: str, value: Any) -> int | None:
        """Return a value as an integer."""
        is_text = isinstance(value, str) and value.isascii() and value.isdigit()
        number = int(value) if is_text else value
        if number is None:
            return None
        if not is_integer(number) or number not in self.allowed:
            raise wrong_argument(name, str(self), repr(value))
        return int(number)


class Backend(ABC):
    """A network on one engine.

    A back end receives checked blocks of samples and keeps the learning state between them. After
    any exception its state is that of a sample boundary: nothing that was learned before is lost.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.
    **options
        Options of the back end, already checked against `options`.
    """

    #: The options that the back end takes: the values allowed for each, the first of which is the
    #: default, or an `Option`.
    options: ClassVar[Mapping[str, tuple[Any, ...] | Option]] = {}

    #: For some fields of a definition, all values that it runs. For fields not named here it runs
    #: the values in `PLAIN_CHOICES`, or any value if the field is not named there either.
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    #: The kinds of connections of the definitions that it runs; None stands for any.
    connections: ClassVar[Collection[type[Connection]] | None] = (DenseConnection,)

    #: The option to which "name:word" gives the value "word".
    main_option: ClassVar[str | None] = None

    #: Whether `train` also takes samples whose label is -1, from which it learns nothing. If not,
    #: they come to `predict`, each run of them by itself.
    takes_unlabeled: ClassVar[bool] = False

    def __init__(self, net: Definition, state: LearningState) -> None:
        self.net = net
        #: A back end whose blocks take long calls this with the number of samples shown so far.
        self.report: Callable[[int], None] = report_nothing

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:  # noqa: ARG003
        """Return why this back end cannot run a definition, or None if it can.

        Definitions beyond `choices` and `connections` are refused without calling this.
        """
        return None

    @classmethod
    def lack(cls) -> str | None:
        """Return in a sentence what keeps this back end from running here; None if nothing."""
        return None

    @property
    @abstractmethod
    def state(self) -> LearningState:
        """The learning state after the samples so far."""

    @property
    def samples_seen(self) -> int:
        """Training samples so far. A back end whose state is costly to gather overrides this."""
        return self.state.samples_seen

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""

    @property
    def work(self) -> Work | None:
        """The work for these samples; None if this back end does not count it."""
        return None

    def take_rate(self, net: Definition) -> bool:
        """Go on with a definition of another learning rate; return whether this back end can.

        One that can overrides this. All others are opened anew, with the state that they have.
        """
        return False

    @abstractmethod
    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""

    @abstractmethod
    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""

    def show(self, batch: Batch, record: bool) -> Outcome:
        """Learn from samples if they have targets, and else predict them."""
        return (self.predict if batch.y is None else self.train)(batch, record)

    def show_until(self, batch: Batch, margin: float) -> EarlySamples:
        """Show each sample until the output leads by `margin`, and learn from it if it has a label.

        That is the largest summed drive, which leads the second, or that of the label, which leads
        all others.

        Raises
        ------
        UnsupportedError
            If the back end shows whole samples only.
        """
        return self._until_by(self.steps(), batch, margin)

    def _until_by(self, steps: Steps, batch: Batch, margin: float) -> EarlySamples:
        """Show samples step by step, each until its lead is `margin`."""
        shown = room_for_early(batch)
        labels = targets = [None] * len(batch)
        if batch.y is not None:
            labels, targets = batch.y.tolist(), [*batch.targets()[:, 0]]
        try:
            for i in range(len(batch)):
                rows, before = batch.steps(i), self.operations.total
                for t in range(batch.n_steps):
                    steps.show(rows[t % len(rows)], targets[i])
                    if _lead(steps.summed_drive, labels[i]) >= margin:
                        break
                shown.scores[i], shown.n_steps[i] = steps.scores, steps.steps_shown
                steps.close()
                shown.operations[i] = self.operations.total - before
        finally:
            steps.drop()
        return shown

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block.

        Progress is shown and Ctrl-C is served between blocks.
        """
        return 100

    def steps(self) -> Steps:
        """Return an object that shows single steps, for samples whose end is not known beforehand.

        Raises
        ------
        UnsupportedError
            If the back end shows whole samples only.
        """
        if not delays_of(self.net).are_zero:
            raise UnsupportedError(WHOLE_SAMPLES)
        return self._steps()

    def _steps(self) -> Steps:
        """Return such an object. A back end that shows single steps overrides this."""
        raise UnsupportedError(NO_STEPS)

    def close(self) -> None:  # noqa: B027
        """Release what the engine holds; called once."""


def _lead(drive: Array, label: int | None) -> float:
    """Return the lead of the largest summed drive, or of that of a label, over all others."""
    first = drive.argmax() if label is None else label
    return float(drive[first] - np.delete(drive, first).max())


class StatefulBackend(Backend):
    """A back end that shows samples in the same way whether it learns from them or not.

    Subclasses define `_show`, and keep what was learned and the operations in `_so_far`. They
    replace both in one assignment, so that after an interrupt both are those of the same sample
    boundary. One that keeps something else than a `LearningState` defines `state`.
    """

    def __init__(self, net: Definition, state: LearningState) -> None:
        super().__init__(net, state)
        self._so_far: tuple[Any, Operations] = (state, Operations())

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        state: LearningState = self._so_far[0]
        return state

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        return self._so_far[1]

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    @abstractmethod
    def _show(self, batch: Batch, record: bool) -> Outcome:
        """Show samples, and learn from each if the batch has targets."""


def report_nothing(shown: int) -> None:
    """Ignore a report of how many samples have been shown."""


def refused_kind(
    net: Definition,
    choices: Mapping[str, tuple[str, ...]],
    connections: Collection[type[Connection]] | None,
) -> str | None:
    """Return why an engine of these kinds cannot run a definition, or None if it can."""
    for name, known in {**PLAIN_CHOICES, **choices}.items():
        asked = getattr(net, name)
        if asked not in known:
            return f"it knows {name}={one_of(known)}, not {name}={asked!r}"
    return None if connections is None else refused_connections(net.connections, connections)


class Steps(ABC):
    """Shows samples on a back end step by step, one sample after the other.

    What is learned from a sample reaches the back end when the sample is closed. Until then, and
    after an error in one of its steps, the back end has the learning state from before the sample.

    Parameters
    ----------
    net : Definition
        The definition.

    Attributes
    ----------
    steps_shown : int
        Steps of the open sample.
    is_open : bool
        Whether a sample is open.
    is_learning : bool
        Whether the open sample has had a target.
    """

    def __init__(self, net: Definition) -> None:
        self.net = net
        self.steps_shown = 0
        self.is_open = self.is_learning = False
        limit = arithmetic_of(net).largest_payload
        self._sends_all = net.spikes == "graded" and limit is None

    def show(self, x: Array | SparseRows | None, y: Array | None, n_steps: int = 1) -> None:
        """Show an input for some steps, and a target to learn from.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,), SparseRows of one row, or None
            Real values, or integer spike counts with ``input_coding="spikes"``; None is silence.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing in these steps.
        n_steps : int, default=1
            The number of steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic. The sample is dropped then.
        """
        if x is not None:
            self._advance(partial(self._show, x, y, n_steps), y, n_steps)
            return
        silence, shown = SparseRows.none(self.net.n_inputs), 0
        if y is None:
            # Steps that change nothing are only counted. Those before are shown in portions: one
            # step, one, two, four and so on, of which the last may hold some of the others.
            while shown < n_steps and not (self.is_open and self._rests):
                portion = min(n_steps - shown, max(shown, 1))
                self._advance(partial(self._show, silence, None, portion), None, portion)
                shown += portion
            self.steps_shown += n_steps - shown
        else:
            self._advance(partial(self._show, silence, y, n_steps), y, n_steps)

    def show_events(self, given: EventSteps, y: Array | None) -> None:
        """Show consecutive steps of events, and a target to learn from.

        Parameters
        ----------
        given : EventSteps
            At least one step.
        y : ndarray of shape (n_outputs,) or None
            As for `show`.

        Raises
        ------
        OverflowError
            As for `show`.
        """
        shown = 0
        for step, unit, number in given.counted():
            if step > shown:
                self.show(None, y, step - shown)
            self.show(SparseRows.one(unit, number, self.net.n_inputs), y)
            shown = step + 1
        if given.n_steps > shown:
            self.show(None, y, given.n_steps - shown)

    def feed(
        self,
        clock: EventClock,
        events: Array,
        n_taken: int,
        until: int,
        y: Array | None,
        n_left: int,
    ) -> int | None:
        """Take events and show the steps that end by then, as far as this goes quickly.

        A back end that can do so overrides this. Events that are left, if only because something
        rare happens in them, are located, cut into steps and shown by `show_events`.

        Parameters
        ----------
        clock : EventClock
            Cuts time into steps; it has started.
        events : structured array of shape (n_events,)
            Events with integers in the fields x, y, t and p, not checked yet.
        n_taken : int
            The number of events that earlier calls have taken; 0 in the first call with them.
        until : int
            The time in microseconds that the clock is to reach; one before the last event asks for
            nothing.
        y : ndarray of shape (n_outputs,) or None
            As for `show`.
        n_left : int
            The most steps to show.

        Returns
        -------
        int or None
            The number of events taken so far, one more if the clock has reached its time;
            None if one of them may be wrong, or the back end takes none: nothing has changed then.
        """
        return None

    def _advance(self, show: Callable[[bool, bool], None], y: Array | None, n_steps: int) -> None:
        opens, restarts = not self.is_open, y is not None and not self.is_learning
        try:
            show(opens, restarts)
        except BaseException:
            self.drop()
            raise
        if opens:
            self.steps_shown = 0
        self.is_open, self.is_learning = True, self.is_learning or y is not None
        self.steps_shown += n_steps

    @property
    def _rests(self) -> bool:
        """Whether a step of silence without a target changes nothing.

        It does if any unit fires: if a potential is beyond the threshold, strictly. Graded spikes
        leave none there, but binary spikes and the messages of a chip can. If no unit fires, no
        potential gets an addend.
        """
        if self._sends_all:
            return True
        inputs, *others = self._potentials()
        fires = [np.abs(inputs) > 0.5, *(potential > 0.5 for potential in others)]
        return not any(units.any() for units in fires)

    def count_silent_samples(self, n_samples: int) -> None:
        """Add the work of samples of silence without a target, in which nothing happens."""
        self._count(operations_of(self.net, shown=n_samples, trained=0))

    def close(self) -> None:
        """End the open sample, and hand what was learned from it to the back end.

        Raises
        ------
        OverflowError
            If an update at the end leaves the range of the arithmetic. The sample is dropped then.
        """
        try:
            self._close()
        finally:
            self.drop()

    def drop(self) -> None:
        """End the open sample, and forget what was learned from it."""
        self.is_open = self.is_learning = False

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the open sample."""
        scores: NDArray[np.float64] = self.summed_drive / self.steps_shown
        return scores

    @abstractmethod
    def _show(
        self, x: Array | SparseRows, y: Array | None, n_steps: int, opens: bool, restarts: bool
    ) -> None:
        """Show steps: with `opens` a sample's first, with `restarts` its first with a target."""

    @abstractmethod
    def _close(self) -> None:
        """Make the outer update, if any, and hand state and operations to the back end."""

    @abstractmethod
    def _count(self, work: Operations) -> None:
        """Add operations to those of the back end, between two samples."""

    @abstractmethod
    def _potentials(self) -> Sequence[Array]:
        """Return the potentials of layers 0 to L as reals."""

    @property
    @abstractmethod
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
