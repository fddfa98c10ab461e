"""A network that is shown step by step, in arrays that the caller provides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.beside import Wanted, wanted
from spikebp_plugins.compiled.kernels import arrays, steps
from spikebp_plugins.compiled.kernels.boundary import restore_copy
from spikebp_plugins.compiled.kernels.entering import to_numbers
from spikebp_plugins.compiled.layout import Layout, forget_bounds, overwrite
from spikebp_plugins.data.events import EventSteps
from spikebp_plugins.network.arithmetic import grid_of
from spikebp_plugins.network.delays import ENDLESS, delays_of
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import weights_changed
from spikebp_plugins.rules.step import (
    SampleState,
    Step,
    backward_weights,
    close_training,
    learn,
    open_training,
    silence,
    step,
)

Array = NDArray[Any]


class Moment(NamedTuple):
    """The place of a step in its sample, or of several steps with the same input and target.

    Attributes
    ----------
    opens : bool
        Whether the first of these steps is the first of the sample.
    closes : bool
        Whether the last of these steps is the last of the sample.
    restarts : bool
        Whether the first target of the sample comes in these steps.
    learns : bool
        Whether the network learns in these steps.
    updates : bool
        Whether the sample ends with these steps and has had a target.
    t : int, default=1
        The number of the first of these steps, from 1; only timings with delays read it.
    n_inputs : int, default=ENDLESS
        How many steps of input the sample has.
    """

    opens: bool
    closes: bool
    restarts: bool
    learns: bool
    updates: bool
    t: int = 1
    n_inputs: int = ENDLESS

    def after(self, n_steps: int) -> Moment:
        """Return the place of the steps that remain when `n_steps` of these have been shown."""
        if n_steps == 0:
            return self
        return self._replace(opens=False, restarts=False, t=self.t + n_steps)


class Remembering:
    """A function of arrays that is not called again for the array that it was called with last."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function
        self._known: tuple[Any, Array] | None = None

    def __call__(self, array: Array) -> Array:
        """Return what the function returns, or has returned for an array that was the same."""
        # By value: the caller may have changed the array itself.
        argument, known = (array.dtype, array.tobytes()), self._known
        if known is None or argument != known[0]:
            # In one assignment: an interrupt between two would leave a value of another argument.
            known = self._known = argument, self._function(array)
        return known[1]


class Stepper:
    """A network that is shown one step after the other.

    A step that no kernel can prove to be in range is computed by the reference.

    Parameters
    ----------
    layout : Layout
        How the definition lies in memory.
    learning : arrays.Learning
        The learning state to start from, changed in place.
    totals : arrays.Totals
        The counts of spikes, errors and changed weights, to which each step adds its own.
    boundary : arrays.Boundary or None, default=None
        Room for what a sample changes; None if the caller has a copy of the learning state.
    """

    def __init__(
        self,
        layout: Layout,
        learning: arrays.Learning,
        totals: arrays.Totals,
        boundary: arrays.Boundary | None = None,
    ) -> None:
        self.layout = layout
        self._scale = layout.net.input_scale
        self.sample = layout.sample()
        self._learning, self._totals = learning, totals
        self.boundary = boundary or layout.boundary(keeps=False)
        self._kept = steps.Kept(
            state=self.sample.state.copy(),
            backward_potential=learning.backward_potential.copy(),
            spikes=totals.spikes.copy(),
            errors=totals.errors.copy(),
        )
        self.run = self._run_with(layout.nowhere)
        # Where input stays the same, converting it takes as long as the step.
        if layout.net.input_coding == "spikes":
            self._entering = Remembering(layout.counts)
        else:
            self._entering = Remembering(partial(layout.shown, scale=self._scale))
        self._target = Remembering(layout.shown)
        #: The backward potentials that a training sample may start from.
        self.drawn = layout.drawn_for(0)
        self._counts = np.zeros(layout.net.n_inputs, np.int64)
        self._delays = delays_of(layout.net)
        self._by_reference: tuple[LearningState, SampleState] | None = None
        output = layout.net.n_layers
        self._output_potential = self.layout.of_layer(self.sample.potential, output)
        #: Spikes of each output since the sample opened; a view.
        self.output_counts = self.layout.of_layer(self.sample.count, output)

    def show(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        samples_seen: int,
        record: arrays.BlockRecord,
        row: int = 0,
        n_steps: int = 1,
    ) -> None:
        """Show the same input, and the same target to learn from, for some steps.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,)
            Input: real values, or int64 spike counts with ``input_coding="spikes"``.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing.
        moment : Moment
            The place of the steps in their sample.
        samples_seen : int
            Training samples before this one.
        record : arrays.BlockRecord
            Where spikes, errors and summed drive are written: of one sample, or empty.
        row : int, default=0
            The row of the record for the first step.
        n_steps : int, default=1
            How many steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic. Weights, backward potentials and totals
            are then those of the step before; for those before the sample, keep a copy.
        """
        if moment.restarts:
            self.draw(samples_seen)
        done = self._show(x, y, moment, record, row, n_steps)
        while done < n_steps:
            self._show_by_reference(x, y, moment.after(done), samples_seen, record, row + done)
            done += 1
            done += self._show(x, y, moment.after(done), record, row + done, n_steps - done)
        if moment.updates and self.layout.network.outer:
            self.close(samples_seen)

    def show_certain(
        self, x: Array, y: Array | None, moment: Moment, samples_seen: int, n_steps: int
    ) -> int:
        """Show those steps that come before the first that no kernel can prove to be in range.

        Returns how many; there is no record, and the rest is as for `show`.
        """
        if moment.restarts:
            self.draw(samples_seen)
        return self._show(x, y, moment, self.layout.nowhere, 0, n_steps)

    def kernels(self) -> list[Wanted]:
        """Return the kernels that show steps, undo them, and read what they have done."""
        run, sample, flags = self.run, self.sample, [False] * 3
        net, learning, boundary = self.layout.network, self._learning, self.boundary
        reals = np.zeros(1)
        return [
            wanted(
                steps.show_steps, run, sample.input, sample.target, self.drawn, *flags, *[1] * 4
            ),
            wanted(steps.find_scores, run, 1, reals),
            *(wanted(kernel, run) for kernel in (steps.close_sample, steps.keep_all)),
            wanted(steps.end_sample, run, 1),
            wanted(steps.drop_sample, run),
            wanted(restore_copy, net, boundary, learning),
            wanted(to_numbers, net, reals, 1.0, sample.input),
        ]

    def kernels_for_events(self) -> list[Wanted]:
        """Return the kernels that show steps of events."""
        at, flags = np.zeros(0, np.int64), [False] * 3
        arguments = at, at, at, self._counts, self.sample.target, self.drawn, *flags, 1
        return [wanted(steps.show_events, self.run, *arguments)]

    def draw(self, samples_seen: int) -> None:
        """Draw the backward potentials that a training sample may start from."""
        if self.layout.net.backward_init == "uniform":
            self.drawn[...] = self.layout.drawn_for(samples_seen)

    def numbers_of(self, y: Array | None) -> Array:
        """Return a target in the numbers of the layout; without one, any array of its shape."""
        return self.sample.target_potential if y is None else self._target(y)

    def show_events(
        self, given: EventSteps, y: Array | None, moment: Moment, samples_seen: int
    ) -> None:
        """Show consecutive steps of events, without a record; the rest is as for `show`.

        Timings with delays are not for this.
        """
        done, n_steps = 0, given.n_steps
        while done < n_steps:
            rest, now = given.after(done), moment.after(done)
            done += self.show_certain_events(rest, y, now, samples_seen)
            if done < n_steps:
                x, now = self._counts.copy(), moment.after(done)
                self._show_by_reference(x, y, now, samples_seen, self.layout.nowhere, 0)
                done += 1

    def show_certain_events(
        self, given: EventSteps, y: Array | None, moment: Moment, samples_seen: int
    ) -> int:
        """Show those steps of events that come before the first that may be out of range.

        Returns how many; the rest is as for `show_events`.
        """
        if moment.restarts:
            self.draw(samples_seen)
        self._counts[...] = 0 if given.counts is None else given.counts
        done: int = steps.show_events(
            self.run,
            given.at,
            given.unit,
            given.weight,
            self._counts,
            self.numbers_of(y),
            self.drawn,
            moment.opens,
            moment.restarts,
            y is not None,
            given.n_steps,
        )
        return done

    def _show(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        record: arrays.BlockRecord,
        row: int,
        n_steps: int,
    ) -> int:
        if moment.opens:
            self._by_reference = None
        if self._by_reference is not None:
            return 0
        entering = self._entering(x)
        target = self.numbers_of(y)
        if record is not self.run.record:
            self.run = self._run_with(record)
        shown: int = steps.show_steps(
            self.run,
            entering,
            target,
            self.drawn,
            moment.opens,
            moment.restarts,
            y is not None,
            moment.t,
            moment.n_inputs,
            n_steps,
            row,
        )
        return shown

    def _run_with(self, record: arrays.BlockRecord) -> steps.StepRun:
        return steps.StepRun(
            net=self.layout.network,
            learning=self._learning,
            sample=self.sample,
            totals=self._totals,
            boundary=self.boundary,
            record=record,
            kept=self._kept,
        )

    def close_certain(self) -> bool:
        """Make the update at the end of a sample; False if it may be out of range."""
        certain: bool = steps.close_sample(self.run)
        return certain

    def close(self, samples_seen: int) -> None:
        """Make the update that is due at the end of a sample whose errors are summed."""
        if not self.close_certain():
            net = self.layout.net
            learning, sample = self._learning_state(samples_seen), self._sample_state()
            self._learn(close_training(net, learning, sample))
            self._totals.updates[0] += weights_changed(net, sample, sample.E)

    def end_sample(self, trained: bool) -> None:
        """Count a sample that has ended, as a training sample too if it has `trained`."""
        steps.end_sample(self.run, int(trained))

    def _show_by_reference(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        samples_seen: int,
        record: arrays.BlockRecord,
        row: int,
    ) -> None:
        layout, net = self.layout, self.layout.net
        if net.input_coding == "values":
            with np.errstate(over="ignore"):
                x = layout.arithmetic.round(x.astype(np.float64) * self._scale)
        target = None if y is None else layout.arithmetic.round(y)
        learning, after, sent = self._step(x, target, moment, samples_seen)
        self._learn(learning)
        self._take(after, sent)
        for l, (k, e) in enumerate(zip(sent.k, sent.e or [None] * len(sent.k), strict=True)):
            layout.count_sent(self._totals, l, k, e)
        if sent.e is not None and not net.learns_once:
            self._totals.updates[0] += weights_changed(net, after, sent.e)
        if len(record.spikes):
            record.spikes[0, row] = self.sample.spike
            record.errors[0, row] = self.sample.error
            record.drive[0, row] = self.summed_drive

    def _step(
        self, x: Array, target: Array | None, moment: Moment, samples_seen: int
    ) -> tuple[LearningState, SampleState, Step]:
        """Compute a step by the reference.

        With delays, spikes and errors are under way between two steps: the reference then
        computes the rest of the sample too.
        """
        net = self.layout.net
        if self._by_reference is None:
            learning, sample = self._what_is_known(samples_seen)
        else:
            learning, sample = self._by_reference
            if moment.restarts:
                learning = open_training(net, learning)
        sample = sample._replace(t=moment.t - 1)
        learning, sample, sent = step(net, learning, sample, x, target, moment.n_inputs)
        if not self._delays.are_zero:
            self._by_reference = learning, sample
        return learning, sample, sent

    def _what_is_known(self, samples_seen: int) -> tuple[LearningState, SampleState]:
        """Return the learning state and the state of the sample in the form of the reference.

        With delays, the kernel has already sent the spikes and errors of the last step through the
        weights; the reference sends them in the next step. So `before` undoes what the last step
        has learned, and the errors of that step are taken out of the backward potentials.
        """
        net, sample = self.layout.net, self._sample_state()
        learning, L = self._learning_state(samples_seen), net.n_layers
        if self._delays.are_zero:
            return learning, sample
        k, e = (
            [self.layout.of_layer(values, l).astype(np.int64) for l in range(L + 1)]
            for values in (self.sample.spike, self.sample.error)
        )
        before, _ = learn(net, learning, sample, [-errors for errors in e])
        B = backward_weights(net, before)
        add = grid_of(net).add_arriving
        psi = [
            add(psi_l, connection.backward(-e[l + 1], B[l + 1]), "backward potential", l)
            for l, (connection, psi_l) in enumerate(
                zip(net.connections[1:], learning.backward_potentials, strict=True), 1
            )
        ]
        learning = learning._replace(backward_potentials=tuple(psi))
        return learning, sample._replace(sent=Step(tuple(k), (None, *e[1:])), before=before)

    @property
    def summed_drive(self) -> Array:
        """The summed drive of the output in the numbers of the layout."""
        drive: Array = self._output_potential + self.output_counts * self.layout.network.one
        return drive

    def potentials(self) -> list[Array]:
        """Return the potentials of layers 0 to L as reals."""
        layout = self.layout
        layers = range(layout.net.n_layers + 1)
        return [layout.decoded(layout.of_layer(self.sample.potential, l)) for l in layers]

    def _learning_state(self, samples_seen: int) -> LearningState:
        return self.layout.state(self._learning, samples_seen)

    def _sample_state(self) -> SampleState:
        layout, sample = self.layout, self.sample
        layers = range(layout.net.n_layers + 1)
        phi = self.potentials()
        counts = [self.layout.of_layer(sample.count, l).astype(np.int64) for l in layers]
        sums = [self.layout.of_layer(sample.error_sum, l).astype(np.int64) for l in layers]
        return SampleState(
            phi=tuple(phi),
            phi_y=layout.decoded(sample.target_potential),
            s=(None, *(phi[l] + counts[l] for l in layers[1:])),
            c=tuple(counts[:-1]),
            E=(None, *sums[1:]),
            sent=silence(layout.net),
        )

    def _learn(self, state: LearningState) -> None:
        steps.keep_all(self.run)
        overwrite(self._learning, self.layout.learning(state))
        forget_bounds(self._learning, self.boundary)

    def _take(self, after: SampleState, sent: Step) -> None:
        layout, sample = self.layout, self.sample
        for l, phi in enumerate(after.phi):
            self.layout.of_layer(sample.potential, l)[:] = layout.encoded(phi)
            self.layout.of_layer(sample.spike, l)[:] = sent.k[l]
            if l < len(after.c):
                self.layout.of_layer(sample.count, l)[:] = after.c[l]
            else:
                self.layout.of_layer(sample.count, l)[:] = after.s[l] - phi
            if l > 0:
                self.layout.of_layer(sample.error, l)[:] = 0 if sent.e is None else sent.e[l]
                sample.n_errors[l] = 0 if sent.e is None else _magnitude(sent.e[l])
                self.layout.of_layer(sample.error_sum, l)[:] = after.E[l]
        sample.target_potential[:] = layout.encoded(after.phi_y)
        # Of these values nothing is known; kernels that need bounds measure them.
        sample.drive_bound[:] = sample.target_bound[:] = np.inf


def _magnitude(counts: Array) -> int:
    return sum(abs(int(count)) for count in counts[np.flatnonzero(counts)])
