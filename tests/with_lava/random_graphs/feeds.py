"""What random graphs give a network: processes of Lava, and the rows that the reference is shown.

A message is what arrives in one step of Lava. What it holds follows from what the feed was made of,
and from nothing that the network computes; what neurons send is recorded.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.lif.process import LIF

from spikebp_lava import SampleSource
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from tests.with_lava.own import Keep, Replay


class Feed(NamedTuple):
    """What a graph gives a network at one port.

    Attributes
    ----------
    rows : callable
        Returns what arrives with the first n messages, of shape (n, n_units), in real numbers.
    ports : list of OutPort
        What to connect to the port.
    processes : list
        The processes that send it.
    """

    rows: Callable[[int], Any]
    ports: list
    processes: list


NOTHING = Feed(lambda _: None, [], [])


def messages_of_sample(net, form):
    """Return how many messages a sample takes."""
    return 1 if form == "sample" else steps_of_sample(net, net.n_steps)


class FeedMaker:
    """Makes the feeds of one network: a method for each kind.

    Parameters
    ----------
    random : Generator
        Draws all numbers.
    tag : str
        The tag of the graph.
    part : Part
        The network, and what is drawn about it.
    n : int
        How many messages there are; those after them repeat the first.
    delay : float
        Seconds that each step takes, where a process of the graph's own sends the input.
    """

    def __init__(self, random, tag, part, n, delay=0.0):
        self.random, self.n, self.delay = random, n, delay
        self.net, self.form, self.answer = part.net, part.form, part.answer
        self.is_fixed = tag == "fixed_pt"
        self.per_sample = messages_of_sample(part.net, part.form)
        self.source = self.y = None
        self.ends = self._drawn_ends() if part.resets else None
        self.starts = self.first_of(n)

    # Where samples end.

    def first_of(self, n):
        """Return for each of n messages that with which its sample begins."""
        if self.ends is None:
            return np.arange(n) // self.per_sample * self.per_sample
        begins, after = np.zeros(n, int), np.flatnonzero(self.ends[:n]) + self._on_its_way + 1
        begins[after[after < n]] = after[after < n]
        return np.maximum.accumulate(begins)

    def resets(self):
        if self.ends is None:
            return NOTHING
        return self._sent(self.ends[:, np.newaxis])

    def _drawn_ends(self):
        """Return ends of samples of any length; the way through the network has none."""
        longest = 3 if self.form == "sample" else 2 * self.net.n_steps
        ends, first = np.zeros(self.n, int), 0
        while first < self.n:
            last = first + int(self.random.integers(longest))
            ends[last : last + 1] = self.random.integers(1, 4)
            first = last + self._on_its_way + 1
        return ends

    @property
    def _on_its_way(self):
        """How many steps a sample takes from the end of its input to its own end."""
        return steps_of_sample(self.net, 0)

    # Input.

    def input_source(self):
        """A `SampleSource` whose samples do not change; spikes are those of steps."""
        if self.net.input_coding == "spikes":
            return self.input_buffer() if self.form == "sample" else self.input_changing()
        n_samples = int(self.random.integers(1, 5))
        return self._from_source(self._values((n_samples, self.net.n_inputs)))

    def input_changing(self):
        """A `SampleSource` whose samples change from step to step."""
        if self.form == "sample":
            return self.input_source()
        shape = (int(self.random.integers(1, 5)), self.net.n_steps, self.net.n_inputs)
        return self._from_source(self._values(shape))

    def _from_source(self, x):
        net, n_samples = self.net, len(x)
        y = None
        if self.answer == "source":
            y = self.random.integers(0, net.n_outputs, n_samples)
        elif self.answer == "source_targets":
            changing = self.form != "sample" and self.random.random() < 0.4
            steps = (net.n_steps,) if changing else ()
            y = self.random.uniform(-1, 2, (n_samples, *steps, net.n_outputs))
        granularity = "sample" if self.form == "sample" else "step"
        source = SampleSource(net, x, y, granularity=granularity)
        self.source, self.y = source, y
        return Feed(lambda n: self._source_rows(x, 0, n), [source.spikes_out], [source])

    def _source_rows(self, values, delay, n):
        sample, message = np.divmod(np.arange(n), self.per_sample)
        of_sample = values[sample % len(values)]
        if values.ndim < 3:
            return of_sample
        return of_sample[np.arange(n), np.clip(message - delay, 0, self.net.n_steps - 1)]

    def input_buffer(self):
        return self._sent(self._values((self._n_rows(), self.net.n_inputs)))

    def input_own(self):
        rows = self._values((self._n_rows(), self.net.n_inputs))
        own = Replay(rows, self.delay)
        return Feed(lambda n: cycled(rows, n), [own.s_out], [own])

    def input_two(self):
        """Two processes whose messages add up."""
        one, other = self.input_buffer(), self.input_own()
        return Feed(
            lambda n: one.rows(n) + other.rows(n),
            one.ports + other.ports,
            one.processes + other.processes,
        )

    def input_neurons(self):
        """Neurons of Lava's."""
        neurons = self._neurons()
        return self._recorded(neurons.s_out, [neurons])

    def input_relayed(self):
        """Neurons of Lava's, through synapses."""
        neurons = self._neurons()
        relay = Dense(weights=2 * np.eye(self.net.n_inputs))
        neurons.s_out.connect(relay.s_in)
        return self._recorded(relay.a_out, [neurons, relay])

    def input_huge(self):
        """Values that no network takes."""
        rows = np.full((1, self.net.n_inputs), 2**58)
        own = Replay(rows, self.delay)
        return Feed(lambda n: cycled(rows, n), [own.s_out], [own])

    def _neurons(self):
        n = self.net.n_inputs
        # In fixed_pt a LIF scales its threshold, but not its bias, by 2**6.
        scale = {"bias_exp": 6} if self.is_fixed else {}
        bias = self.random.integers(2, 12, n)
        return LIF(shape=(n,), bias_mant=bias, du=0, dv=0, vth=10, **scale)

    def _recorded(self, port, processes):
        keep = Keep(self.net.n_inputs, self.n)
        port.connect(keep.a_in)
        return Feed(lambda n: keep.rows[:n], [port], [*processes, keep])

    # Labels and targets.

    def answer_source(self):
        """Labels of the `SampleSource`; of a buffer, if the input comes from another process."""
        if self.source is None:
            return self.answer_labels()
        return Feed(lambda n: self._source_rows(self.y, 0, n), [self.source.label_out], [])

    def answer_source_targets(self):
        """Targets of the `SampleSource`, which are sent when the output is busy with them."""
        if self.source is None:
            return self.answer_targets()
        delay = delays_of(self.net).spikes[-1]
        return Feed(lambda n: self._source_rows(self.y, delay, n), [self.source.target_out], [])

    def answer_labels(self):
        """Labels from a buffer: the same in a sample, or others in each message."""
        labels = self.random.integers(0, self.net.n_outputs, self.n)
        if self.random.random() < 0.6:
            labels = labels[self.starts]
        return self._labels(labels)

    def answer_late(self):
        """Labels that come late."""
        labels = self.random.integers(0, self.net.n_outputs, self.n)[self.starts]
        late = self.random.integers(0, self.per_sample + 1, self.n)[self.starts]
        return self._labels(np.where(np.arange(self.n) - self.starts < late, -1, labels))

    def answer_unknown(self):
        """Samples without a label among others."""
        return self._labels(self.random.integers(-1, self.net.n_outputs, self.n)[self.starts])

    def answer_targets(self):
        return self._targets(self._sent)

    def answer_own_targets(self):
        def own(rows):
            replay = Replay(rows)
            return Feed(lambda n: cycled(rows, n), [replay.s_out], [replay])

        return self._targets(own)

    def answer_none(self):
        """No label and no target at all."""
        return NOTHING

    def _labels(self, labels):
        feed = self._sent(labels[:, np.newaxis])
        return feed._replace(rows=lambda n: cycled(labels, n))

    def _targets(self, sent):
        """Return real targets, in fixed_pt in grid units, as the function `sent` sends them."""
        values = self.random.uniform(-1, 2, (self.n, self.net.n_outputs))
        bits = (self.net.fraction_bits or 0) if self.is_fixed else 0
        if not self.is_fixed:
            return sent(values)
        units = np.rint(np.ldexp(values, bits)).astype(np.int64)
        return sent(units)._replace(rows=lambda n: np.ldexp(cycled(units, n), -bits))

    # What they have in common.

    def _sent(self, rows):
        sender = Sender(data=rows.T)
        return Feed(lambda n: cycled(rows, n), [sender.s_out], [sender])

    def _n_rows(self):
        return max(1, self.n - int(self.random.integers(3)))

    def _values(self, shape):
        net, random = self.net, self.random
        if net.input_coding == "spikes" and net.spikes == "binary":
            return random.integers(0 if self._is_positive else -1, 2, shape)
        if self._is_positive:
            return random.integers(0, 4, shape)
        if self.is_fixed or net.input_coding == "spikes":
            return random.integers(-2, 5, shape)
        return random.uniform(-1, 2, shape)

    @property
    def _is_positive(self):
        """Whether negative spikes are refused: traces of Lava's engine have no sign."""
        return self.is_fixed and self.form == "standard"


def cycled(rows, n):
    """Return the first n of rows that begin again after the last."""
    return rows[np.arange(n) % len(rows)]
