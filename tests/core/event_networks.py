"""Random networks in the order of events on a build of the library, and as transcribed literally.

``python -m tests.core.event_networks LIBRARY LEVEL N`` compares N networks in a process of its own,
for libraries that may not be loaded into that of the tests.
"""

import re
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from spikebp_plugins.engine import library
from spikebp_plugins.event_order import EventMLP, EventNetwork, network
from spikebp_plugins.event_order.library import build_of
from tests import profiles  # noqa: F401 (registers them)
from tests.core.backward_spikes import backward_spikes
from tests.core.experiment import Experiment
from tests.core.literal_event import LiteralEventNetwork
from tests.core.strategies import random_weights, targets


def in_quarters(values):
    """Round to multiples of 1/4, so that many potentials are equal."""
    return np.rint(np.asarray(values) * 4) / 4


@st.composite
def event_definitions(draw):
    """Definitions of small networks, with rates at which counts stay small."""
    wide = draw(st.sampled_from([(), (), (20, 40)]))
    width = st.integers(1, 6) | (st.sampled_from(wide) if wide else st.nothing())
    return EventMLP(
        draw(st.lists(width, min_size=2, max_size=5)),
        n_steps=draw(st.integers(1, 6)),
        learning_rate=draw(st.sampled_from([0.01, 0.05])),
        input_scale=draw(st.sampled_from([1.0, 1 / 255, 3.7])),
        order=draw(st.sampled_from(["breadth", "depth"])),
        hold_error=draw(st.booleans()),
        update=draw(st.sampled_from(["fractional", "outer"])),
        backward_init=draw(st.sampled_from(["carry", "zero"])),
        arithmetic=draw(st.sampled_from(["float32", "float64"])),
    )


@st.composite
def event_experiments(draw):
    """A definition with weights, training samples, targets and test samples."""
    net, random = draw(event_definitions()), np.random.RandomState(draw(st.integers(0, 2**31)))
    rounded = draw(st.sampled_from([in_quarters, np.asarray]))
    scale = draw(st.sampled_from([0.3, 0.6])) * min(1.0, (6 / max(net.layer_sizes)) ** 0.5)
    weights = [rounded(w) for w in random_weights(net, random, scale)]
    n = draw(st.integers(1, 4))
    x, x_test = (rounded(random.uniform(-1.5, 2.5, (n, net.n_inputs))) for _ in range(2))
    x, x_test = (values / net.input_scale for values in (x, x_test))
    kind = draw(st.sampled_from(["labels", "constant"]))
    y = targets(net, random, n, kind, 1.0)
    return Experiment(net, weights, x, y if kind == "labels" else rounded(y), x_test)


@contextmanager
def on_level(level):
    """Let networks be shown by the builds of a level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "build_of", partial(build_of, level=level))
        yield


def assert_sample(net, record, n, shown):
    k, e, s = shown
    for t in range(net.n_steps):
        for l in range(net.n_layers + 1):
            assert record.spikes[l][n, t].tolist() == k[t][l]
            assert record.errors[l][n, t].tolist() == e[t][l]
    steps = np.dtype(net.arithmetic).type(net.n_steps)
    assert record.scores[n].tolist() == [float(np.float32(drive / steps)) for drive in s[-1]]


def assert_follows_the_order(net, weights, x, y, x_test):
    asked = np.eye(net.n_outputs)[y] if np.ndim(y) == 1 else y
    literal = LiteralEventNetwork(net, weights)
    found, sizes, L = EventNetwork(net, weights), net.layer_sizes, net.n_layers
    try:
        launched = backward_spikes(found.checkpoint(), x, y)
    except OverflowError as error:  # a cascade that does not end, which nobody could follow
        quantity = str(error).rpartition(", in sample")[0]
        with pytest.raises(OverflowError, match=re.escape(quantity)):
            found.train(x, y)
        reject()
    record = found.train(x, y, record=True)
    for n in range(len(x)):
        assert_sample(net, record, n, literal.show([x[n]] * net.n_steps, [asked[n]] * net.n_steps))
        assert launched.net[n].tolist() == np.concatenate(literal.net_backward[1:]).tolist()
        assert launched.gross[n].tolist() == np.concatenate(literal.gross_backward[1:]).tolist()
    potentials = found.checkpoint().backward_potentials
    for l in range(1, L + 1):
        assert found.weights[l - 1].tolist() == np.array(literal.W[l], float).tolist()
        if l < L:
            assert potentials[l - 1].tolist() == literal.psi[l]
    predicted = found.predict(x_test, record=True)
    for n in range(len(x_test)):
        assert_sample(net, predicted, n, literal.show([x_test[n]] * net.n_steps, None))
    work = found.operations
    assert work.spikes == sum(literal.n_sent)
    assert work.errors == sum(literal.n_passed)
    assert work.messages == work.spikes + work.errors
    assert work.forward == sum(literal.n_sent[l - 1] * sizes[l] for l in range(1, L + 1))
    assert work.backward == sum(literal.n_passed[l] * sizes[l - 1] for l in range(2, L + 1))
    assert work.update == literal.n_changed
    assert work.multiply_adds == work.forward + work.backward + work.update
    assert work.samples == len(x) + len(x_test)
    dense = sum(n * m for n, m in net.weight_shapes)
    assert work.dense == dense * (3 * len(x) + len(x_test))


def run(level, **options):
    """Compare random networks on the builds of a level, with options of Hypothesis."""

    @settings(report_multiple_bugs=False, suppress_health_check=list(HealthCheck), **options)
    @given(event_experiments())
    def run_one(experiment):
        assert_follows_the_order(*experiment)

    with on_level(level):
        run_one()


def main(path, level, n):
    """Compare n random networks on a library."""
    library.LIBRARY = Path(path)
    # As in engine_networks: numpy is to give memory back that a build has poisoned.
    plain = network.aligned
    network.aligned = lambda n, *given: plain(n + 1024, *given)[:n]
    run(level, max_examples=n, database=None, phases=[Phase.generate])


if __name__ == "__main__":
    settings.load_profile("default")
    main(sys.argv[1], *map(int, sys.argv[2:]))
