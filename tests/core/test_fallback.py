"""What the numbers of a simulator cannot hold is computed by the core."""

from importlib.metadata import EntryPoint

import pytest

from spikebp_plugins.backends import registry
from spikebp_plugins.engine import backend, fallback
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.engine.fallback import FallbackBackend
from spikebp_plugins.network.state import initial_state
from tests.core.engine_copies import needs_engine
from tests.core.experiment import Experiment, assert_equals_reference
from tests.core.small_nets import lively_weights, samples, small_net


class EmptyBackend(FallbackBackend):
    """An engine whose numbers hold no block at all."""

    def _show_exactly(self, batch, record):
        raise OverflowError


@pytest.fixture
def experiment(monkeypatch):
    found = registry.available_backends
    entry = EntryPoint("nothing", f"{__name__}:EmptyBackend", registry.GROUP)
    monkeypatch.setattr(registry, "available_backends", lambda: {**found(), "nothing": entry})
    net = small_net()
    (x, y), (x_test, _) = samples(net, 5), samples(net, 3, seed=3)
    return Experiment(net, lively_weights(net), x, y, x_test)


@needs_engine
def test_the_engine_computes_it(experiment, monkeypatch):
    assert_equals_reference(experiment, "nothing")
    assert type(fallback._core(experiment.net, initial_state(experiment.net))) is EngineBackend
    monkeypatch.setattr(backend, "why_missing", lambda: "nobody has built it")
    assert_equals_reference(experiment, "nothing")
