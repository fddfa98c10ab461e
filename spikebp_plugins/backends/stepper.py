"""The network step by step, in arrays that the caller holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins import reference
from spikebp_plugins.backends import kernels, stepwise
from spikebp_plugins.backends.layout import Layout
from spikebp_plugins.state import LearningState

Array = NDArray[Any]


class Moment(NamedTuple):
    """What a step is to its sample.

    Attributes
    ----------
    opens : bool
        Whether it is the first.
    closes : bool
        Whether it is the last.
    restarts : bool
        Whether it is the first that learns.
    learns : bool
        Whether it has a target.
    updates : bool
        Whether it is the last of a sample that has learned.
    """

    opens: bool
    closes: bool
    restarts: bool
    learns: bool
    updates: bool


class Schedule:
    """Says what each step is to its sample; samples may have any length."""

    def __init__(self) -> None:
        #: Steps of the present sample, or of the last one.
        self.steps_shown = 0
        #: Whether the next step opens a sample.
        self.is_over = True
        self._in_training = False

    def advance(self, n_steps: int, learns: bool, closes: bool) -> Moment:
        """Go on by some steps with the same input and target, the last of which may close."""
        opens = self.is_over
        if opens:
            self.steps_shown, self._in_training = 0, False
        restarts = learns and not self._in_training
        self._in_training |= learns
        self.steps_shown += n_steps
        self.is_over = closes
        return Moment(opens, closes, restarts, learns, closes and self._in_training)


class Stepper:
    """A network that is shown one step after the other.

    What no kernel can prove to be in range is computed by the reference, as in the back end
    `compiled`.

    Parameters
    ----------
    layout : Layout
        How the definition lies in memory.
    learning : kernels.Learning
        What it learns, changed in place.
    totals : kernels.Totals
        Spikes, errors and changed weights, counted up.
    input_scale : float or None, default=None
        What input is multiplied with; None takes that of the definition.
    """

    def __init__(
        self,
        layout: Layout,
        learning: kernels.Learning,
        totals: kernels.Totals,
        input_scale: float | None = None,
    ) -> None:
        self.layout = layout
        self._scale = layout.net.input_scale if input_scale is None else input_scale
        self.sample = layout.sample()
        self._learning, self._totals = learning, totals
        self._kept = stepwise.Kept(
            potential=self.sample.potential.copy(),
            target_potential=self.sample.target_potential.copy(),
            count=self.sample.count.copy(),
            backward_potential=learning.backward_potential.copy(),
            spikes=totals.spikes.copy(),
            errors=totals.errors.copy(),
        )
        self._drawn = layout.drawn_for(0)
        output = layout.net.n_layers
        self._output_potential = self._of_layer(self.sample.potential, output)
        #: Spikes of each output since the sample opened; a view.
        self.output_counts = self._of_layer(self.sample.count, output)

    def show(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        samples_seen: int,
        record: kernels.Record,
        row: int = 0,
        n_steps: int = 1,
    ) -> None:
        """Show an input, and a target to learn from, for some steps.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,)
            Input: real values, or int64 spike counts with ``input_coding="spikes"``.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing.
        moment : Moment
            What the steps are to their sample.
        samples_seen : int
            Training samples before this one.
        record : kernels.Record
            Of one sample, where spikes and errors are written; of none, for nowhere.
        row : int, default=0
            The row of the record for the first step.
        n_steps : int, default=1
            The steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic. Weights, backward potentials and totals
            are then those of the step before; for those before the sample, keep a copy.
        """
        if moment.restarts:
            self._drawn = self.layout.drawn_for(samples_seen)
        done = self._show(x, y, moment, record, row, n_steps)
        while done < n_steps:
            self._show_by_reference(x, y, samples_seen, record, row + done)
            done += 1
            later = moment._replace(opens=False, restarts=False)
            done += self._show(x, y, later, record, row + done, n_steps - done)
        if moment.updates and self.layout.network.outer:
            self.close(samples_seen)

    def _show(
        self,
        x: Array,
        y: Array | None,
        moment: Moment,
        record: kernels.Record,
        row: int,
        n_steps: int,
    ) -> int:
        layout = self.layout
        if layout.net.input_coding == "spikes":
            entering = layout.counts(x)
        else:
            entering = layout.shown(x, self._scale)
        shown: int = stepwise.show_steps(
            layout.network,
            self._learning,
            self.sample,
            self._kept,
            entering,
            self.sample.target_potential if y is None else layout.shown(y),
            self._drawn,
            n_steps,
            moment.opens,
            moment.restarts,
            y is not None,
            self._totals,
            record,
            row,
        )
        return shown

    def close(self, samples_seen: int) -> None:
        """With ``update="outer"``, make the update that is due at the end of a sample."""
        arrays = (self.layout.network, self._learning, self.sample, self._totals)
        if not stepwise.close_sample(*arrays):
            net = self.layout.net
            learning, sample = self._learning_state(samples_seen), self._sample_state()
            self._learn(reference.close_training(net, learning, sample))
            self._totals.updates[0] += reference.weights_changed(net, sample, sample.E)

    def _show_by_reference(
        self, x: Array, y: Array | None, samples_seen: int, record: kernels.Record, row: int
    ) -> None:
        layout, net = self.layout, self.layout.net
        if net.input_coding == "values":
            with np.errstate(over="ignore"):
                x = layout.arithmetic.round(x.astype(np.float64) * self._scale)
        target = None if y is None else layout.arithmetic.round(y)
        before = self._sample_state()
        learning, after, sent = reference.step(
            net, self._learning_state(samples_seen), before, x, target
        )
        self._learn(learning)
        self._take(after, sent)
        for l, (k, e) in enumerate(zip(sent.k, sent.e or [None] * len(sent.k), strict=True)):
            self._totals.spikes[l] += _magnitude(k)
            self._totals.errors[l] += 0 if e is None else _magnitude(e)
        if sent.e is not None and net.update == "fractional":
            self._totals.updates[0] += reference.weights_changed(net, after, sent.e)
        if len(record.spikes):
            record.spikes[0, row] = self.sample.spike
            record.errors[0, row] = self.sample.error
            record.drive[0, row] = self.summed_drive

    @property
    def summed_drive(self) -> Array:
        """The summed drive of the output in the numbers of the layout."""
        drive: Array = self._output_potential + self.output_counts * self.layout.network.one
        return drive

    def _of_layer(self, values: Array, l: int) -> Array:
        unit = self.layout.network.unit
        return values[unit[l] : unit[l + 1]]

    def _learning_state(self, samples_seen: int) -> LearningState:
        return self.layout.state(self._learning, samples_seen)

    def _sample_state(self) -> reference.SampleState:
        layout, sample = self.layout, self.sample
        layers = range(layout.net.n_layers + 1)
        phi = [layout.decoded(self._of_layer(sample.potential, l)) for l in layers]
        counts = [self._of_layer(sample.count, l).astype(np.int64) for l in layers]
        sums = [self._of_layer(sample.error_sum, l).astype(np.int64) for l in layers]
        return reference.SampleState(
            phi=tuple(phi),
            phi_y=layout.decoded(sample.target_potential),
            s=(None, *(phi[l] + counts[l].astype(phi[l].dtype) for l in layers[1:])),
            c=tuple(counts[:-1]),
            E=(None, *sums[1:]),
        )

    def _learn(self, state: LearningState) -> None:
        learned = self.layout.learning(state)
        for array, values in zip(self._learning, learned, strict=True):
            array[...] = values
        # Nothing is certain any more until the next sample measures the bounds.
        for bound in self._learning[-3:]:
            bound[...] = np.inf

    def _take(self, after: reference.SampleState, sent: reference.Step) -> None:
        layout, sample = self.layout, self.sample
        for l, phi in enumerate(after.phi):
            self._of_layer(sample.potential, l)[:] = layout.encoded(phi)
            self._of_layer(sample.spike, l)[:] = sent.k[l]
            if l < len(after.c):
                self._of_layer(sample.count, l)[:] = after.c[l]
            else:
                self._of_layer(sample.count, l)[:] = after.s[l] - phi
            if l > 0:
                self._of_layer(sample.error, l)[:] = 0 if sent.e is None else sent.e[l]
                self._of_layer(sample.error_sum, l)[:] = after.E[l]
        sample.target_potential[:] = layout.encoded(after.phi_y)


def _magnitude(counts: Array) -> int:
    return sum(abs(int(count)) for count in counts[np.flatnonzero(counts)])
