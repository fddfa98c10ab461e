"""The simulator, which trains a network on a back end and predicts with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, report_nothing
from spikebp_plugins.backends.outcome import (
    EarlySamples,
    Outcome,
    Recording,
    in_64_bits,
    joined,
    room_for_early,
)
from spikebp_plugins.backends.registry import backend_for
from spikebp_plugins.common.archive import FileLike
from spikebp_plugins.common.errors import real, wrong_argument
from spikebp_plugins.common.notice import warn
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.data.windows import WindowEncoder
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.definition import require_definition
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.network.replay import ReplayBuffer
from spikebp_plugins.network.samples import Batch, check_batch
from spikebp_plugins.network.state import LearningState, initial_state
from spikebp_plugins.simulation.replay_training import blocks_of, check_replay, show_block
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor
from spikebp_plugins.simulation.stream import Encoder, Stream
from spikebp_plugins.simulation.trace import Trace

if TYPE_CHECKING:
    from typing_extensions import Self


class ClosedBackend(NamedTuple):
    """What is left of a back end that a simulator has closed.

    Attributes
    ----------
    net : Definition
        The definition.
    state : LearningState
        What was learned.
    operations, work : object
        Those of the back end.
    """

    net: Definition
    state: LearningState
    operations: Operations
    work: Work | None

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self.state.samples_seen


class Simulator:
    """A network that learns on one back end.

    Threads may share a simulator and its streams: calls wait for each other. A simulator for each
    thread runs at the same time as the others.

    Copies, deep or not, and pickles are simulators of their own on the same back end, and go on
    from where this one is. An open sample of a stream is not in them, just as `save` leaves it out.

    A simulator warns, once, if no output fires in 100 consecutive samples, or once one has fired in
    1,000, and the network is why: a layer below the output is silent, or nothing is learned. The
    warning says which layer, and which `input_scale` would make it fire. A network whose outputs
    begin with weights of zero is not meant, nor are targets of zero. Samples of a stream count if
    they are shown as a whole, as windows are.

    Parameters
    ----------
    net : Definition
        The definition.
    backend : str or None, default=None
        Name of an installed back end, with options behind a colon if any: ``"brian2:numpy"``. None
        takes "compiled", or "reference" where the engine in C is missing, which is said once.
    weights : sequence of array-like or None, default=None
        Initial weights in the shapes of ``net.weight_shapes``, rounded to the grid; None takes
        ``net.init_weights()``.
    feedback : sequence of array-like or None, default=None
        Backward weights :math:`B_2` to :math:`B_L` for a definition with ``feedback="random"``, in
        the shapes of ``net.feedback_shapes``, rounded to the grid; None takes
        ``net.init_feedback()``.
    **options
        Options of the back end.

    Raises
    ------
    ValueError
        If an argument has a value that is not allowed.
    OverflowError
        If a weight is out of the range of the grid.
    UnsupportedError
        If the back end cannot run the definition; the message says why.
    ImportError
        If the back end needs a package that is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> net = SpikingMLP((4, 8, 2), seed=1)
    >>> with Simulator(net, backend="reference") as sim:
    ...     scores = sim.train(np.eye(4), [0, 1, 0, 1])
    >>> scores.shape
    (4, 2)
    """

    def __init__(
        self,
        net: Definition,
        backend: str | None = None,
        weights: Any = None,
        *,
        feedback: Any = None,
        **options: Any,
    ) -> None:
        require_definition("net", net)
        self._start(net, initial_state(net, weights, feedback), backend, options)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, backend: str | None = None, **options: Any
    ) -> Self:
        """Return a simulator that continues exactly where a checkpoint was made.

        Parameters
        ----------
        checkpoint : Checkpoint
            Definition and learning state.
        backend : str or None, default=None
            Name of an installed back end; None as for a new simulator.
        **options
            Options of the back end.

        Raises
        ------
        ValueError, UnsupportedError, ImportError
            As for a new simulator.
        """
        simulator = cls.__new__(cls)
        simulator._start(checkpoint.net, checkpoint.state, backend, options)
        simulator._input_is_scaled = checkpoint.input_is_scaled
        return simulator

    def _start(
        self, net: Definition, state: LearningState, backend: str | None, options: dict[str, Any]
    ) -> None:
        self._lock = RLock()
        self.backend, cls, self._options = backend_for(net, backend, options)
        self._engine: Backend | ClosedBackend = cls(net, state, **self._options)
        self._earlier = Operations()  # those of the simulator that this one is a copy of
        self._stream: Stream | None = None
        self._replay: ReplayBuffer | None = None  # of the last call that had one
        self._input_is_scaled = False  # of the checkpoint that it goes on from
        #: Whether `train` looks for targets that seem to be written in another form.
        self.checks_targets = net.n_outputs > 1
        #: Warns if no output fires; an estimator has one of its own.
        self.silence_monitor = SilenceMonitor()

    @synchronized
    def __getstate__(self) -> dict[str, Any]:
        # Back ends hold processes, modules and memory of engines, which nothing can copy.
        return {
            "checkpoint": self.checkpoint(),
            "backend": self.backend,
            "options": self._options,
            "operations": self.operations,
            "closed": isinstance(self._engine, ClosedBackend),
        }

    def __setstate__(self, copied: dict[str, Any]) -> None:
        checkpoint = copied["checkpoint"]
        self._start(checkpoint.net, checkpoint.state, copied["backend"], copied["options"])
        self._input_is_scaled = checkpoint.input_is_scaled
        self._earlier = copied["operations"]
        if copied["closed"]:
            self.close()

    def train(
        self,
        x: Any,
        y: Any,
        *,
        replay: ReplayBuffer | None = None,
        margin: float | None = None,
        record: bool = False,
        progress: bool | None = None,
    ) -> Any:
        """Learn from samples, one at a time and in order.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
            Input, constant or changing from step to step. With ``input_coding="spikes"`` whole
            numbers of the second shape. In place of n_inputs there may be the shape of the input,
            ``net.layer_shapes[0]``. Or a sparse matrix of SciPy with a row for each sample, which
            takes as long as it has entries; equal ones are added. Input that changes is one row
            too, of n_steps * n_inputs columns: each step behind the one before.
        y : array-like of shape (n_samples,), (n_samples, n_outputs) or \
                (n_samples, n_steps, n_outputs)
            Integer labels, which ask for `label_targets` of the definition, or real targets. A
            sample whose label is not known, -1, is shown and scored, and teaches nothing. Of
            one-hot rows, which ask for less than labels do, the first call warns, and so it does of
            two classes that are -1 and 1.
        replay : ReplayBuffer or None, default=None
            Samples of the past: after each new sample some of them are learned again, and then it
            is kept among them. They count among `samples_seen` and `operations`; what is returned,
            and the progress bar, are of the new samples alone.
        margin : float or None, default=None
            End a sample after the first step in which the summed drive of its label exceeds those
            of all other outputs by at least this many spikes: what is known already teaches less,
            and takes less time. None shows all steps.
        record : bool, default=False
            Whether to return every spike and error.
        progress : bool or None, default=None
            Whether to show a progress bar; None shows one for long work on a terminal.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs), Trace or EarlySamples
            The scores that each sample reached while it was learned, or with `record` a trace; with
            `margin` a named tuple of the scores, the steps shown (``n_steps``) and the synaptic
            operations (``operations``) of each sample.

        Raises
        ------
        ValueError
            If an argument is not allowed; nothing has changed then.
        UnsupportedError
            If `margin` is given and the back end shows whole samples only.
        OverflowError
            If a value leaves the range of the arithmetic; the message has the index of the sample.
            What was learned from earlier samples (on some back ends: from earlier blocks of
            samples) is kept. After this, as after an interrupt, `replay` has seen those new samples
            that have been learned; what was to be learned again after the last of them may be
            missing.
        RuntimeError
            If a sample of a stream is open.
        """
        with self._lock:  # what `synchronized` adds to a call is much for one sample
            engine = self._open_engine()
            self._check_no_open_sample()
            if y is None:
                raise wrong_argument("y", "an array of targets", "None")
            if replay is not None:
                check_replay(replay)
                if margin is not None:
                    raise wrong_argument("replay", "None where a margin is given", repr(replay))
            batch = check_batch(engine.net, x, y)
            assert batch.y is not None
            if self.checks_targets and (batch.y.ndim == 2 or batch.has_unlabeled):
                self._warn_of_targets(batch)
            if margin is not None:
                if batch.y.ndim != 1:
                    raise wrong_argument("y", "labels where a margin is given", "real targets")
                return self._run_until(engine, batch, margin, record, progress)
            self._replay = replay
            return self._run(engine, batch, record, progress, replay)

    def predict(
        self,
        x: Any,
        *,
        n_steps: int | None = None,
        margin: float | None = None,
        record: bool = False,
        progress: bool | None = None,
    ) -> Any:
        """Show samples without learning.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
            Input, as for `train`.
        n_steps : int or None, default=None
            Steps for which to show each sample; None takes those of the definition.
        margin : float or None, default=None
            Stop a sample once the largest summed drive of the output exceeds the second by at
            least this many spikes, which saves time and synaptic operations. None shows all steps.
        record : bool, default=False
            Whether to return every spike.
        progress : bool or None, default=None
            Whether to show a progress bar; None shows one for long work on a terminal.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs), Trace or EarlySamples
            The scores; the index of the largest is the class (the lowest index wins a tie). With
            `record` a trace with ``errors=None``; with `margin` a named tuple of the scores, the
            steps shown (``n_steps``) and the synaptic operations (``operations``) of each sample.

        Raises
        ------
        ValueError
            If an argument is not allowed.
        UnsupportedError
            If `margin` is given and the back end shows whole samples only.
        OverflowError
            If a value leaves the range of the arithmetic; the message has the index of the sample.
        """
        with self._lock:  # what `synchronized` adds to a call is much for one sample
            engine = self._open_engine()
            batch = check_batch(engine.net, x, n_steps=n_steps)
            if margin is None:
                return self._run(engine, batch, record, progress)
            return self._run_until(engine, batch, margin, record, progress)

    def _warn_of_targets(self, batch: Batch) -> None:
        """Warn once if targets look as if they meant something else."""
        y, (wrong, right) = batch.y, self.net.label_targets
        assert y is not None
        if y.ndim == 2 and len(y):
            self.checks_targets = False
            is_one_hot = np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
            if is_one_hot and (wrong, right) != (0, 1):
                warn(
                    "y has rows of 0 and 1, which ask the right output for 1 spike a step and "
                    f"others for none, where a label asks for {right:g} and {wrong:g} "
                    "(label_targets): give labels, y.argmax(axis=1), or set label_targets=(0, 1)"
                )
        elif batch.has_unlabeled and self.net.n_outputs == 2 and set(y.tolist()) == {-1, 1}:
            self.checks_targets = False
            warn(
                "y has no other labels than -1 and 1, and -1 is a label that is not known, from "
                "which nothing is learned: two classes are 0 and 1"
            )

    def _run_until(
        self, engine: Backend, batch: Batch, margin: Any, record: bool, progress: bool | None
    ) -> EarlySamples:
        """Show samples in blocks, each until the output is sure."""
        margin = self._checked_margin(margin, record)
        doing = "predicting" if batch.y is None else "training"
        with (
            _naming_the_sample(engine),
            progress_bar(len(batch), doing, wanted=progress) as bar,
        ):
            blocks = [room_for_early(batch[:0])]
            for block in batch.blocks(engine.block_size(batch.n_steps)):
                blocks += [engine.show_until(part, margin) for part in block.taught_apart()]
                bar.update(len(block))
        shown = EarlySamples(*(np.concatenate(values) for values in zip(*blocks, strict=True)))
        self._observe(batch, shown.scores, shown.n_steps)
        return shown._replace(operations=in_64_bits(shown.operations))

    def _checked_margin(self, margin: Any, record: bool) -> float:
        allowed = "a finite number, not negative, or None"
        lead = real("margin", margin, allowed, lambda number: number >= 0)
        if record:
            raise wrong_argument("record", "False where a margin is given", repr(record))
        if self.net.n_outputs < 2:
            raise wrong_argument("margin", "None for a network with one output", repr(margin))
        return lead

    @synchronized
    def stream(
        self,
        encoder: Encoder | None = None,
        *,
        n_steps: int | None = None,
        replay: ReplayBuffer | None = None,
    ) -> Stream:
        """Return a stream, which is shown input step by step, with or without a target.

        Parameters
        ----------
        encoder : EventEncoder, WindowEncoder or None, default=None
            Turns events of a sensor into input, or the last readings of several. The stream hands
            the readings on to this very object, which belongs to no other stream. Where a network
            that has learned is given a `WindowEncoder` without a range, a warning says so.
        n_steps : int or None, default=None
            A sample closes by itself after this many steps; with None the user closes it, or a
            `WindowEncoder` after those of the definition.
        replay : ReplayBuffer or None, default=None
            Samples of the past: when a sample that had a target is closed, some of them are learned
            again, and then it is kept among them, as `train` would learn it: the input of its first
            ``net.n_steps`` steps, silence where it had fewer, and its last target.

        Returns
        -------
        Stream

        Raises
        ------
        ValueError
            If an argument is not allowed.
        RuntimeError
            If another stream of this simulator has an open sample.
        UnsupportedError
            If the back end shows whole samples only.
        """
        engine = self._open_engine()
        self._check_no_open_sample()
        check_replay(replay)
        stream = Stream(engine, encoder, n_steps, replay, self._lock, self._claim, self._observe)
        if isinstance(encoder, WindowEncoder) and not encoder.is_calibrated and self.samples_seen:
            warn(
                f"the network has learned {self.samples_seen} samples, and the encoder is to learn "
                "its range anew: take the encoder that was saved with it, Checkpoint.encoder, or "
                "give low and high"
            )
        self._stream = stream
        return stream

    def _observe(
        self, batch: Batch, scores: NDArray[np.float64], n_steps: int | NDArray[np.int64]
    ) -> None:
        """Observe samples that have been shown, by a stream too, and warn if nothing fires."""
        if batch.has_unlabeled:  # as such they say nothing of what is learned
            batch = replace(batch, y=None)
        self.silence_monitor.observe(batch, scores, n_steps, self.checkpoint)

    def _claim(self, stream: Stream, replay: ReplayBuffer | None) -> None:
        """Let a stream with a replay buffer open a sample, if no other stream has an open one."""
        if stream is not self._stream:
            self._check_no_open_sample()
            self._stream = stream
        self._settle()
        self._replay = replay

    def _check_no_open_sample(self) -> None:
        if self._stream is not None and self._stream.is_open:
            raise RuntimeError(
                "a sample of a stream is open: close_sample() or drop_sample() first"
            )

    def _run(
        self,
        engine: Backend,
        batch: Batch,
        record: bool,
        progress: bool | None,
        replay: ReplayBuffer | None = None,
    ) -> Any:
        if len(batch.x) == 1 and not progress and replay is None:
            # A bar, and the sum of operations before it, would take longer than the sample.
            try:
                scores, recording = engine.show(next(batch.taught_apart()), record)
            except OverflowError as error:
                raise OverflowError(f"{error}, in sample 0") from error
        else:
            with _naming_the_sample(engine, replay):
                scores, recording = self._by_blocks(engine, batch, record, progress, replay)
        self._observe(batch, scores, batch.n_steps)
        if not record or recording is None:
            return scores
        return Trace(*recording, scores, self.weights)

    def _by_blocks(
        self,
        engine: Backend,
        batch: Batch,
        record: bool,
        progress: bool | None,
        replay: ReplayBuffer | None,
    ) -> Outcome:
        """Show samples in blocks, each followed by those that are learned again."""
        doing, each = "predicting" if batch.y is None else "training", 1
        if replay is not None:
            each = 1 + replay.n_replayed
        outcomes: list[Outcome] = []
        with progress_bar(len(batch), doing, wanted=progress) as bar:
            done = 0

            def report(shown: int) -> None:
                bar.update(done + shown // each - bar.n)

            engine.report = report
            try:
                for block in blocks_of(engine, batch, replay):
                    outcomes.append(show_block(engine, block, record, replay))
                    done += len(block)
                    report(0)
            finally:
                engine.report = report_nothing
        return joined(outcomes) if outcomes else _of_no_samples(batch)

    @property
    def net(self) -> Definition:
        """The definition, with the learning rate of now."""
        return self._engine.net

    @property
    def learning_rate(self) -> float:
        """The learning rate, of its streams too.

        Set it between two samples to learn at another rate from there on. The grid stays what it
        is, as with ``Checkpoint.at_rate``, and so does everything else.

        Raises
        ------
        ValueError
            If the rate rounds to zero on the grid.
        RuntimeError
            If a sample of a stream is open.
        """
        return self.net.learning_rate

    @learning_rate.setter
    @synchronized
    def learning_rate(self, rate: float) -> None:
        engine = self._open_engine()
        self._check_no_open_sample()
        net = self.net.at_rate(rate)
        if not engine.take_rate(net):
            self.close()
            earlier = self.operations
            engine = type(engine)(net, self._engine.state, **self._options)
            self._earlier, self._engine = earlier, engine

    @property
    @synchronized
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of the weights :math:`W_1` to :math:`W_L`, as the connections have them."""
        return self._engine.state.weights.copies()

    @property
    @synchronized
    def samples_seen(self) -> int:
        """Training samples so far, including those before a checkpoint that was loaded."""
        return self._engine.samples_seen

    @property
    @synchronized
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown by this simulator."""
        return self._earlier + self._engine.operations

    @property
    @synchronized
    def work(self) -> Work | None:
        """The work of the back end since it was opened; None if it does not count it."""
        return self._engine.work

    @synchronized
    def checkpoint(
        self, replay: ReplayBuffer | None = None, encoder: WindowEncoder | None = None
    ) -> Checkpoint:
        """Return definition and learning state, from which any back end can continue.

        Parameters
        ----------
        replay : ReplayBuffer or None, default=None
            The buffer that the network has learned with, of which the checkpoint takes a copy.
        encoder : WindowEncoder or None, default=None
            The encoder of its stream, of which the checkpoint takes a copy.
        """
        check_replay(replay)
        if not (encoder is None or isinstance(encoder, WindowEncoder)):
            raise wrong_argument("encoder", "a WindowEncoder or None", repr(encoder))
        kept = None if replay is None else replay.copy()
        state, encoder = self._engine.state, copy.deepcopy(encoder)
        return Checkpoint(self.net, state, kept, encoder, self._input_is_scaled)

    def save(
        self,
        path: FileLike,
        *,
        replay: ReplayBuffer | None = None,
        encoder: WindowEncoder | None = None,
    ) -> None:
        """Write a checkpoint, whole or not at all.

        Parameters
        ----------
        path : str, path-like or file object
            The file, which is replaced if it exists and keeps its permissions; a link is
            followed, and what is no regular file refused. Or one that is open for writing bytes.
        replay : ReplayBuffer or None, default=None
            The buffer that the network has learned with, read by ``Checkpoint.load(path).replay``.
        encoder : WindowEncoder or None, default=None
            The encoder of its stream, read by ``Checkpoint.load(path).encoder``.
        """
        self.checkpoint(replay, encoder).save(path)

    @synchronized
    def close(self) -> None:
        """Release the resources of the back end; weights and checkpoint can still be read."""
        engine = self._engine
        if not isinstance(engine, ClosedBackend):
            if self._stream is not None:
                self._stream.drop_sample()
            self._engine = ClosedBackend(engine.net, engine.state, engine.operations, engine.work)
            engine.close()

    def _open_engine(self) -> Backend:
        if isinstance(self._engine, ClosedBackend):
            raise RuntimeError(
                "this simulator is closed; go on with simulator.checkpoint().simulate()"
            )
        if self._replay is not None:
            self._settle()
        return self._engine

    def _settle(self) -> None:
        """End the mixture of a replay buffer that an interrupted call has left."""
        if self._replay is not None:
            self._replay.settle()
            self._replay = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.net!r}, backend={self.backend!r})"


@contextmanager
def _naming_the_sample(engine: Backend, replay: ReplayBuffer | None = None) -> Iterator[None]:
    """Add to the error of an overflow the index of the sample in which it came."""
    before = engine.operations.samples if replay is None else replay.n_seen
    try:
        yield
    except OverflowError as error:
        # Those that were shown, or are in the buffer, were in range.
        if replay is None:
            where = f"sample {engine.operations.samples - before}"
        else:
            where = f"sample {replay.n_seen - before}, or in one that was learned again before it"
        raise OverflowError(f"{error}, in {where}") from error


def _of_no_samples(batch: Batch) -> Outcome:
    """Return the outcome of a batch without samples: empty arrays of the usual shapes."""
    sizes = batch.net.layer_sizes
    spikes: list[NDArray[np.int64]] = [np.empty((0, batch.n_steps, n), np.int64) for n in sizes]
    errors = None if batch.y is None else [None, *map(np.empty_like, spikes[1:])]
    step_scores = np.empty((0, batch.n_steps, batch.net.n_outputs))
    return Outcome(np.empty((0, batch.net.n_outputs)), Recording(spikes, errors, step_scores))
