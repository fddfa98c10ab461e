"""What the numbers of an engine cannot hold is computed by the core, and nobody waits for that."""

from importlib.metadata import EntryPoint
from unittest.mock import Mock

import pytest

from spikebp_plugins.backends import registry
from spikebp_plugins.compiled import beside
from spikebp_plugins.compiled.fallback import BackedByCore
from spikebp_plugins.compiled.memory import KERNELS
from tests.core.experiment import Experiment, assert_equals_reference
from tests.core.small_nets import lively_weights, samples, small_net


class HoldsNothing(BackedByCore):
    """An engine whose numbers hold no block at all."""

    def _show_exactly(self, batch, record):
        raise OverflowError


@pytest.fixture
def experiment(monkeypatch):
    found = registry.available_backends
    entry = EntryPoint("nothing", f"{__name__}:HoldsNothing", registry.GROUP)
    monkeypatch.setattr(registry, "available_backends", lambda: {**found(), "nothing": entry})
    net = small_net()
    (x, y), (x_test, _) = samples(net, 5), samples(net, 3, seed=3)
    return Experiment(net, lively_weights(net), x, y, x_test)


@pytest.fixture
def calls(monkeypatch):
    """The names of the kernels that were called."""
    names = []

    def noted(name, kernel):
        return lambda job: (names.append(name), kernel(job))[1]

    for name, kernel in KERNELS.items():
        monkeypatch.setitem(KERNELS, name, noted(name, kernel))
    return names


@pytest.mark.usefixtures("by_numba")
@pytest.mark.parametrize("are_ready", [False, True])
@pytest.mark.parametrize("said", ["", "1"])
def test_kernels_compute_it_if_they_are_ready(experiment, calls, monkeypatch, said, are_ready):
    monkeypatch.setenv("SPIKEBP_WAIT", said)
    monkeypatch.setattr(beside, "are_ready", Mock(return_value=are_ready))
    assert_equals_reference(experiment, "nothing")
    assert bool(calls) == are_ready
