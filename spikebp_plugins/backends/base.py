"""What a back end is: the interface that a simulator drives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.steps import Steps, why_no_steps
from spikebp_plugins.common.errors import one_of, wrong_argument
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

#: The timing that every back end has.
DEFAULT_TIMING: Final = "immediate"


#: Kinds of arithmetic that every back end has, if not with every option.
PLAIN_ARITHMETICS: Final = ("fixed", "float64", "float32")


class UnsupportedError(NotImplementedError):
    """A back end cannot run a definition; the message says why."""


class Recording(NamedTuple):
    """Spikes and errors of some samples, as a `Trace` holds them.

    Attributes
    ----------
    spikes : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Of layers 0..L.
    errors : list of ndarray of shape (n_samples, n_steps, n_units), int64, or None
        Of layers 1..L after the gate, with None at index 0; None for prediction.
    step_scores : ndarray of shape (n_samples, n_steps, n_outputs)
        The running scores after each step.
    """

    spikes: list[NDArray[np.int64]]
    errors: list[Any] | None
    step_scores: NDArray[np.float64]


class Outcome(NamedTuple):
    """What a back end returns for a block of samples.

    Attributes
    ----------
    scores : ndarray of shape (n_samples, n_outputs)
        The scores of each sample.
    recording : Recording or None
        Spikes and errors, if they were asked for.
    """

    scores: NDArray[np.float64]
    recording: Recording | None


class EarlyPrediction(NamedTuple):
    """Predictions of samples that were shown until the output was sure.

    Attributes
    ----------
    scores : ndarray of shape (n_samples, n_outputs)
        Summed drive of the output divided by the steps shown.
    n_steps : ndarray of shape (n_samples,), int64
        The steps shown.
    operations : ndarray of shape (n_samples,), int64
        The synaptic operations that it took.
    """

    scores: NDArray[np.float64]
    n_steps: NDArray[np.int64]
    operations: NDArray[np.int64]


def empty_prediction(batch: Batch) -> EarlyPrediction:
    """Return room for what the samples of a batch will come to."""
    n = len(batch)
    return EarlyPrediction(
        np.zeros((n, batch.net.n_outputs)), np.zeros(n, np.int64), np.zeros(n, np.int64)
    )


def joined(outcomes: list[Outcome]) -> Outcome:
    """Return the outcomes of consecutive blocks, at least one, as one."""
    if len(outcomes) == 1:
        return outcomes[0]
    scores = np.concatenate([outcome.scores for outcome in outcomes])
    recordings = [outcome.recording for outcome in outcomes if outcome.recording is not None]
    if not recordings:
        return Outcome(scores, None)

    def layers(parts: list[list[Any]]) -> list[Any]:
        columns = zip(*parts, strict=True)
        return [None if column[0] is None else np.concatenate(column) for column in columns]

    errors = [recording.errors for recording in recordings if recording.errors is not None]
    return Outcome(
        scores,
        Recording(
            spikes=layers([recording.spikes for recording in recordings]),
            errors=layers(errors) if errors else None,
            step_scores=np.concatenate([recording.step_scores for recording in recordings]),
        ),
    )


@dataclass(frozen=True)
class IntegerOption:
    """An option that takes an integer; its default None leaves the number to the back end.

    Attributes
    ----------
    lowest : int
        The smallest integer that is allowed.
    """

    lowest: int

    def __str__(self) -> str:
        return f"an integer of at least {self.lowest}"

    def parse(self, name: str, value: Any) -> int | None:
        """Return the integer that was given, also as text from a command line."""
        text = str(value)
        is_integer = not isinstance(value, bool) and text.isascii() and text.isdigit()
        if value is None:
            return None
        if not is_integer or int(text) < self.lowest:
            raise wrong_argument(name, str(self), repr(value))
        return int(text)


class Backend(ABC):
    """A network on one engine.

    A back end receives checked blocks of samples and keeps the learning state between them. After
    any exception its state is that of a sample boundary: nothing that was learned before is lost.

    Parameters
    ----------
    net : SpikingMLP
        The definition.
    state : LearningState
        Where to start from.
    **options
        Options of the back end, already checked against `options`.
    """

    #: The options that the back end takes: the values allowed for each, the first of which is the
    #: default, or an `IntegerOption`.
    options: ClassVar[Mapping[str, tuple[Any, ...] | IntegerOption]] = {}

    #: The timings of the definitions that it runs. A back end has to know of any other to offer it.
    timings: ClassVar[tuple[str, ...]] = (DEFAULT_TIMING,)

    #: The kinds of arithmetic of the definitions that it runs, likewise.
    arithmetics: ClassVar[tuple[str, ...]] = PLAIN_ARITHMETICS

    #: The option that a bare word after the colon of "name:word" stands for.
    main_option: ClassVar[str | None] = None

    def __init__(self, net: SpikingMLP, state: LearningState) -> None:
        self.net = net
        #: To be called with the samples shown so far by a back end whose blocks take long.
        self.report: Callable[[int], None] = _report_nothing

    @classmethod
    def unsupported(cls, net: SpikingMLP, **options: Any) -> str | None:  # noqa: ARG003
        """Return why this back end cannot run a definition, or None if it can.

        Definitions of another timing than those in `timings`, or of another arithmetic than those
        in `arithmetics`, do not come here.
        """
        return None

    @property
    @abstractmethod
    def state(self) -> LearningState:
        """What has been learned so far."""

    @property
    def samples_seen(self) -> int:
        """Training samples so far; for a back end whose state is costly to gather, to override."""
        return self.state.samples_seen

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""

    @abstractmethod
    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""

    @abstractmethod
    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""

    def predict_until(self, batch: Batch, margin: float) -> EarlyPrediction:
        """Show each sample until the output is sure, and learn nothing.

        Raises
        ------
        UnsupportedError
            If the back end shows whole samples only.
        """
        steps = self.steps()
        shown = empty_prediction(batch)
        for i, rows in enumerate(batch.rows()):
            before = self.operations.forward
            for t in range(batch.n_steps):
                steps.show(rows[t % len(rows)], None)
                first, second = np.sort(steps.summed_drive)[-1:-3:-1]
                if first - second >= margin:
                    break
            shown.scores[i], shown.n_steps[i] = steps.scores, steps.steps_shown
            steps.close()
            shown.operations[i] = self.operations.forward - before
        return shown

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to hand over at a time.

        Progress is shown and Ctrl-C is served between blocks.
        """
        return 100

    def steps(self) -> Steps:
        """Return what shows single steps, for samples whose end is not known beforehand.

        Raises
        ------
        UnsupportedError
            If the back end shows whole samples only.
        """
        raise UnsupportedError(why_no_steps(self))

    def close(self) -> None:  # noqa: B027
        """Release what the engine holds; called once."""


class StatefulBackend(Backend):
    """A back end that shows samples in the same way whether they are learned or not.

    Subclasses define `_show`, and keep learning state and operations in `_so_far`, which they
    assign as one: an interrupt then leaves the state of one sample boundary or another.
    """

    def __init__(self, net: SpikingMLP, state: LearningState) -> None:
        super().__init__(net, state)
        self._so_far = (state, Operations())

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""
        return self._so_far[0]

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


def _report_nothing(shown: int) -> None:
    pass


def refused_kind(
    net: SpikingMLP,
    timings: tuple[str, ...] = (DEFAULT_TIMING,),
    arithmetics: tuple[str, ...] = PLAIN_ARITHMETICS,
) -> str | None:
    """Return why a definition cannot run where only some kinds are known, or None if it can."""
    for name, known in (("timing", timings), ("arithmetic", arithmetics)):
        asked = getattr(net, name)
        if asked not in known:
            return f"it knows {name}={one_of(known)}, not {name}={asked!r}"
    return None


def refused_definition(
    cls: type[Backend], net: SpikingMLP, options: Mapping[str, Any]
) -> str | None:
    """Return why a back end cannot run a definition, or None if it can."""
    refusal = refused_kind(net, cls.timings, cls.arithmetics)
    return refusal or cls.unsupported(net, **options)


def check_options(cls: type[Backend], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a back end, the defaults included.

    Raises
    ------
    ValueError
        If an option is unknown or has a value that is not allowed.
    """
    settled: dict[str, Any] = {}
    for option, value in options.items():
        if option not in cls.options:
            allowed = one_of(cls.options) if cls.options else "left out: there are none"
            raise wrong_argument(f"an option of back end {name!r}", allowed, repr(option))
        rule, full_name = cls.options[option], f"{option} of back end {name!r}"
        if isinstance(rule, IntegerOption):
            settled[option] = rule.parse(full_name, value)
        elif value in rule:
            settled[option] = value
        else:
            raise wrong_argument(full_name, one_of(rule), repr(value))
    defaults = {
        option: None if isinstance(rule, IntegerOption) else rule[0]
        for option, rule in cls.options.items()
    }
    return defaults | settled
