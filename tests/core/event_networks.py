"""Random networks with event timing on a build of the engine, and as transcribed literally.

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

from spikebp_plugins import Simulator
from spikebp_plugins.engine import event_backend, library, network
from spikebp_plugins.engine.library import event_build_of
from tests import profiles  # noqa: F401 (registers them)
from tests.core.backward_spikes import backward_spikes
from tests.core.literal import asked_by
from tests.core.literal_event import LiteralEventNetwork
from tests.core.strategies import event_experiments


@contextmanager
def on_level(level):
    """Let networks with event timing be shown by the builds of a level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_backend, "event_build_of", partial(event_build_of, level=level))
        yield


def steps_of(sample, n_steps):
    return np.broadcast_to(sample, (n_steps, sample.shape[-1]))


def assert_sample(net, trace, n, shown):
    k, e, s = shown
    n_steps = len(k)
    for t in range(n_steps):
        for l in range(net.n_layers + 1):
            assert trace.spikes[l][n, t].tolist() == k[t][l]
            if trace.errors is not None and l > 0:
                assert trace.errors[l][n, t].tolist() == e[t][l]
        steps = np.dtype(net.arithmetic).type(t + 1)
        scores = [float(np.float32(drive / steps)) for drive in s[t]]
        assert trace.step_scores[n, t].tolist() == scores
    assert trace.scores[n].tolist() == trace.step_scores[n, -1].tolist()


def assert_follows_the_order(net, weights, x, y, x_test):
    targets = np.array(asked_by(net, y)) if y.ndim == 1 else y
    literal = LiteralEventNetwork(net, weights, net.init_feedback())
    T, L = net.n_steps, net.n_layers
    with Simulator(net, weights=weights, n_jobs=1) as sim:
        try:
            launched = backward_spikes(sim.checkpoint(), x, y)
        except OverflowError as error:  # a cascade that does not end, which nobody could follow
            with pytest.raises(OverflowError, match=re.escape(str(error))):
                sim.train(x, y)
            reject()
        trace = sim.train(x, y, record=True)
        for n in range(len(x)):
            assert_sample(net, trace, n, literal.show(steps_of(x[n], T), steps_of(targets[n], T)))
            assert launched.net[n].tolist() == np.concatenate(literal.net_backward[1:]).tolist()
            assert launched.gross[n].tolist() == np.concatenate(literal.gross_backward[1:]).tolist()
        state = sim.checkpoint().state
        for l in range(1, L + 1):
            assert trace.weights[l - 1].tolist() == np.array(literal.W[l], float).tolist()
            if l < L:
                assert state.backward_potentials[l - 1].tolist() == literal.psi[l]
        lengths = (T,) if x_test.ndim == 3 or net.input_coding == "spikes" else (T, T + 3)
        for n_steps in lengths:
            predicted = sim.predict(x_test, n_steps=n_steps, record=True)
            assert predicted.errors is None
            for n in range(len(x_test)):
                shown = literal.show(steps_of(x_test[n], n_steps), None)
                assert_sample(net, predicted, n, shown)
        work, sizes = sim.operations, net.layer_sizes
        assert work.spikes == sum(literal.n_sent)
        assert work.errors == sum(literal.n_passed)
        assert work.forward == sum(literal.n_sent[l - 1] * sizes[l] for l in range(1, L + 1))
        assert work.backward == sum(literal.n_passed[l] * sizes[l - 1] for l in range(2, L + 1))
        assert work.update == literal.n_changed
        assert work.samples == len(x) + len(lengths) * len(x_test)


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
