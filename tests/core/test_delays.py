"""A step timing is a table of delays: the reference and the kernels follow any."""

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP, compare
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.compiled.backend import CompiledBackend
from spikebp_plugins.network import delays, fields
from spikebp_plugins.network.delays import Delays


def with_lags(forward, backward):
    """Return the delays of four layers; `backward` are the lags to layers 3, 2 and 1."""
    spikes = np.cumsum([0, *forward]).tolist()
    errors = np.cumsum([spikes[-1], *backward]).tolist()[::-1]
    return Delays(tuple(spikes), (errors[0], *errors))


TABLES = {
    "errors alone take steps": with_lags((0, 0, 0, 0), (1, 1, 1)),
    "spikes alone take steps": with_lags((1, 1, 1, 1), (0, 0, 0)),
    "some connections take a step": with_lags((0, 1, 0, 1), (0, 1, 0)),
    "others do": with_lags((1, 0, 1, 0), (1, 0, 1)),
}
SIZES = (6, 9, 8, 7, 4)


@pytest.fixture(params=TABLES)
def timing(request, monkeypatch):
    """A timing that the definition does not have."""
    name = "another"
    for choices in (fields.CHOICES, fields.LOIHI2_CHOICES):
        monkeypatch.setitem(choices, "timing", (*choices["timing"], name))
    monkeypatch.setitem(delays.TABLES, name, lambda _: TABLES[request.param])
    for backend in (ReferenceBackend, CompiledBackend):
        timings = (*backend.choices["timing"], name)
        monkeypatch.setattr(backend, "choices", {**backend.choices, "timing": timings})
    return name


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"update": "outer", "spikes": "binary", "fraction_bits": 30},
        {"feedback": "random", "backward_init": "uniform"},
        {"arithmetic": "loihi2"},
    ],
    ids=str,
)
def test_kernels_follow_any_table_as_the_reference_does(timing, fields):
    net = SpikingMLP(SIZES, timing=timing, n_steps=7, learning_rate=0.1, seed=4, **fields)
    random = np.random.RandomState(2)
    weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
    x, y = random.uniform(-0.5, 2.0, (6, 7, 6)), random.randint(0, 4, 6)
    traces = []
    for backend in ("reference", "compiled"):
        with Simulator(net, backend, weights) as sim:
            sim.train(x[:, 0], y)
            traces += [sim.train(x, y, record=True), sim.predict(x, record=True)]
            operations = sim.operations
    assert compare(traces[0], traces[2]) is None
    assert compare(traces[1], traces[3]) is None
    assert all(counts.any() for counts in traces[0].errors[1:])
    with Simulator(net, "reference", weights) as sim:
        sim.train(x[:, 0], y)
        sim.train(x, y)
        sim.predict(x)
        assert sim.operations == operations
