"""What the reference computes when it is shown the steps of an experiment, one after the other."""

from typing import Any, NamedTuple

import numpy as np

from spikebp_plugins import Operations
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.rules import step as reference
from spikebp_plugins.rules.sample import WorkCounter
from tests.core.literal import asked_by


class StepResult(NamedTuple):
    """What a network is after a step.

    Attributes
    ----------
    spikes, errors : tuple
        What each layer sent in this step; there are no errors of layer 0.
    drives : tuple
        The summed drive of each layer; None for layer 0.
    scores : ndarray
        Of the present sample, or of the one that this step has ended.
    state : RealState
        Weights and backward potentials.
    closes : bool
        Whether the step ended a sample.
    shown : int
        How many samples have ended.
    operations : Operations
        The work of these samples.
    sample : SampleState or None
        Potentials and sums of the present sample, or of the one that this step has ended.
    """

    spikes: tuple
    errors: tuple
    drives: tuple
    scores: np.ndarray
    state: Any
    closes: bool
    shown: int
    operations: Operations
    sample: reference.SampleState | None = None


class ImmediateOracle:
    """A stream of the reference, of which every step is looked at."""

    def __init__(self, checkpoint):
        self.simulator = checkpoint.simulate("reference")
        self.stream = self.simulator.stream()

    def show(self, x, target):
        self.stream.show(x, target=target)
        return self.stream._steps._sample, self.stream.scores

    def is_over(self, has_ended):
        return has_ended

    def close(self):
        self.stream.close_sample()

    @property
    def shown(self):
        return self.stream.steps_shown if self.stream.is_open else 0

    @property
    def is_shown_input(self):
        return True

    @property
    def state(self):
        if self.stream.is_open:
            return self.stream._steps._learning
        return self.simulator.checkpoint().state.reals()

    @property
    def operations(self):
        return self.simulator.operations

    def set_rate(self, learning_rate):
        """Learn at another rate, also from the sample that is open."""
        backend = self.stream._steps._backend
        backend.net = backend.net.at_rate(learning_rate)

    def set_weights(self, l, matrix):
        """Replace W_l by a matrix on the grid, also in the middle of a sample."""
        if self.stream.is_open:
            steps = self.stream._steps
            steps._learning = with_weights(steps._learning, l, matrix)
        else:
            backend = self.stream._steps._backend
            backend.take(with_weights(backend.learned, l, matrix), Operations())


class PipelinedOracle:
    """The rules of the reference with a delay for each connection, where steps may lack a target.

    A simulator shows samples with pipelined timing as a whole, with a target in every step or in
    none. The order of the rules is that of "Pipelined timing" in docs/semantics.md.
    """

    def __init__(self, checkpoint):
        self.net, self.state = checkpoint.net, checkpoint.state.reals()
        self.number = arithmetic_of(self.net)
        self.operations = Operations()
        self._open()

    def _open(self):
        self.sample = reference.open_sample(self.net)
        self.sent, self.before = reference.silence(self.net), self.state
        self.work = WorkCounter(self.net)
        self.steps = self.shown = 0
        self.is_shown_input = True
        self.with_target = set()

    def show(self, x, target):
        """Show a step; the input counts while layer 0 is busy, the target while the output is."""
        net, L = self.net, self.net.n_layers
        self.steps += 1
        self.shown += self.is_shown_input
        if target is not None and self._is_busy(L):
            if not self.with_target:
                self.state = reference.open_training(net, self.state)
            self.with_target.add(self.steps - L)
        W = reference.synaptic_weights(net, self.before)
        B = reference.backward_weights(net, self.before)
        self.before = self.state
        sent = self._send_spikes(x, W)
        sent = reference.Step(sent, self._send_errors(sent, target, B))
        self.state, self.sample = reference.learn(net, self.state, self.sample, sent.e)
        self.work.add(self.sample, sent)
        self.sent = sent
        shown = max(1, min(self.shown, self.steps - L))
        return self.sample._replace(sent=sent), self.sample.s[L] / shown

    def _is_busy(self, delay):
        return 1 <= self.steps - delay <= self.shown

    def _send_spikes(self, x, W):
        net = self.net
        k, phi, s, c = (
            list(layers)
            for layers in (
                reference.silence(net).k,
                self.sample.phi,
                self.sample.s,
                self.sample.c,
            )
        )
        if self.is_shown_input:
            # A batch of one sample scales and rounds values as it does for whole samples.
            encoded = Batch(net, x[np.newaxis, np.newaxis], None, 1).inputs()[0, 0]
            k[0], phi[0], c[0] = reference.fire_input(net, phi[0], c[0], encoded)
        for l in range(1, net.n_layers + 1):
            if self._is_busy(l):
                arriving = net.connections[l - 1].forward(self.sent.k[l - 1], W[l])
                k[l], phi[l], s[l] = reference.forward(net, arriving, phi[l], s[l], l)
                if l < net.n_layers:
                    c[l] = c[l] + k[l]
        self.sample = self.sample._replace(phi=tuple(phi), s=tuple(s), c=tuple(c))
        return tuple(k)

    def _send_errors(self, k, target, B):
        net, L, s = self.net, self.net.n_layers, self.sample.s
        e = list(reference.silence(net).e)
        if self.steps - L in self.with_target:
            y = asked_by(net, [target])[0] if np.ndim(target) == 0 else target
            e[L], phi_y = reference.output_error(
                net, k[L], self.number.round(y), self.sample.phi_y, s[L]
            )
            self.sample = self.sample._replace(phi_y=phi_y)
        psi = [None, *self.state.backward_potentials]
        for l in range(1, L):
            if self.steps - (2 * L - l) in self.with_target:
                arriving = net.connections[l].backward(self.sent.e[l + 1], B[l + 1])
                e[l], psi[l] = reference.backward(net, arriving, psi[l], s[l], l)
        self.state = self.state._replace(backward_potentials=tuple(psi[1:]))
        return tuple(e)

    def is_over(self, has_ended):
        """Return whether the sample is over, once its input is: after the way there and back."""
        self.is_shown_input = self.is_shown_input and not has_ended
        return self.steps - self.shown == 2 * self.net.n_layers - 1

    def set_rate(self, learning_rate):
        """Learn at another rate, also from the sample that is open."""
        self.net = self.net.at_rate(learning_rate)

    def set_weights(self, l, matrix):
        """Replace W_l; what is under way has been through the weights before."""
        self.state = with_weights(self.state, l, matrix)

    def close(self):
        is_training = bool(self.with_target)
        if is_training:
            self.state = reference.close_training(self.net, self.state, self.sample)
        self.operations += self.work.total(self.sample, is_training)
        self._open()


def with_weights(state, l, matrix):
    """Return a learning state with another W_l."""
    weights = list(state.weights)
    weights[l - 1] = matrix
    return state._replace(weights=tuple(weights))


def follow(checkpoint, x, targets, ends, weights=None, rates=None):
    """Return the result of each step of a script.

    Parameters
    ----------
    checkpoint : Checkpoint
        What the network starts from.
    x : ndarray of shape (n_steps, n_inputs)
        The input of every step.
    targets : list of int, ndarray or None
        What the output is compared with in each step, None if it does not learn in the step.
    ends : ndarray of shape (n_steps,) or None
        Whether the input of a sample ends in a step; None ends it after as many as are defined.
    weights : dict or None
        Matrices that are set between steps: by the number of the step that follows, a layer l
        and its W_l.
    rates : dict or None
        Learning rates that are set between steps, by the number of the step that follows.
    """
    net = checkpoint.net
    network = (ImmediateOracle if net.timing == "immediate" else PipelinedOracle)(checkpoint)
    if net.input_coding == "spikes":
        x = x.astype(np.int64)
    results, shown = [], 0
    for step, (row, target) in enumerate(zip(x, targets, strict=True)):
        if weights and step in weights:
            network.set_weights(*weights[step])
        if rates and step in rates:
            network.set_rate(rates[step])
        sample, scores = network.show(row, target)
        has_ended = network.shown >= net.n_steps if ends is None else bool(ends[step])
        closes = network.is_over(network.is_shown_input and has_ended)
        if closes:
            network.close()
        shown += closes
        results.append(
            StepResult(
                *sample.sent,
                sample.s,
                scores,
                network.state,
                closes,
                shown,
                network.operations,
                sample,
            )
        )
    return results
