"""Single steps on a back end: streams, margins, and rates between samples."""

import numpy as np
import pytest

from spikebp_plugins import Simulator
from tests.core.small_nets import checkpoint_bytes, small_net

#: Networks that learn at the end of a sample, from binary spikes at every step, and from counts.
NETS = {
    "normalized": small_net(update="normalized", learning_rate=1.0, backward_init="carry"),
    "fractional": small_net(spikes="binary", feedback="random", bounded=True),
    "outer": small_net(update="outer", input_coding="spikes"),
}


def assert_streams_equal_reference(backend, net):
    """Assert that streams, margins and rates between samples are the same on a back end.

    What is predicted while a sample is open finds the network of before it, and a sample that is
    dropped, or leaves the range, leaves nothing.
    """
    random, is_counts = np.random.RandomState(3), net.input_coding == "spikes"

    def drawn(n):
        if is_counts:
            return random.randint(-1, 2, (n, net.n_steps, net.n_inputs))
        return random.uniform(-1, 2, (n, net.n_inputs))

    weights = [0.6 * random.standard_normal(shape) for shape in net.weight_shapes]
    x, y = drawn(6), random.randint(0, net.n_outputs, 6)
    with Simulator(net, backend, weights) as sim, Simulator(net, "reference", weights) as ref:

        def same(call):
            for found, wanted in zip(
                np.atleast_2d(call(sim)), np.atleast_2d(call(ref)), strict=True
            ):
                assert np.array_equal(found, wanted)
            assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
            assert sim.operations == ref.operations

        streams = {sim: sim.stream(), ref: ref.stream()}
        for turn in range(3):
            for part, target in enumerate((None, 1, random.uniform(-1, 2, net.n_outputs), None)):
                row = None if part == turn else drawn(1).reshape(-1, net.n_inputs)[0]
                n_steps = random.randint(1, 4)
                for stream in streams.values():
                    stream.show(row, target=target, n_steps=n_steps)
                same(lambda each: streams[each].scores)
            same(lambda each: each.predict(x[:2], margin=0.5).scores)
            same(lambda each: each.predict(x[:2]))
            if turn == 1:
                for stream in streams.values():
                    stream.drop_sample()
            else:
                same(lambda each: streams[each].close_sample())
            for each in streams:
                each.learning_rate /= 2
            same(lambda each: each.train(x, y, margin=1.0).scores)
        same(lambda each: each.train(x, y))
        for stream in streams.values():
            stream.show(None, target=0)
            with pytest.raises(OverflowError):
                stream.show(np.full(net.n_inputs, 2**53 if is_counts else 2.0**60), target=0)
        same(lambda each: each.predict(x))
