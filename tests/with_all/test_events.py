"""Recordings of an event camera teach the same on every back end, in a stream and in scripts."""

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")
pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_plugins import EventEncoder, Simulator, SpikingMLP
from spikebp_plugins.data.aer import load_nmnist
from tests.documentation import ROOT
from tests.scripts import printed_by

N_STEPS = 10
ENCODER = EventEncoder(34, 34, step=32_000)
NET = SpikingMLP.paper((ENCODER.n_inputs, 200, 10), n_steps=N_STEPS, input_coding="spikes")


@pytest.fixture(scope="module")
def recordings():
    try:
        return load_nmnist().shuffled(seed=0)[:10]
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def learned_by_a_stream(recordings):
    """Scores and weights of the compiled back end, which takes the events as they come."""
    length, scores = N_STEPS * ENCODER.step, []
    with Simulator(NET) as sim:
        initial = sim.weights
        stream = sim.stream(ENCODER, n_steps=N_STEPS)
        for k, (events, label) in enumerate(recordings):
            shown = events[events["t"] < length]
            shown["t"] += k * length
            stream.feed(shown, target=label, start=0 if k == 0 else None)
            scores.extend(stream.advance_to((k + 1) * length))
        weights = sim.weights
    assert all((new != old).any() for new, old in zip(weights, initial, strict=True))
    return np.array(scores), weights


@pytest.mark.parametrize("backend", ["compiled", "brian2:numpy", "lava"])
def test_samples_teach_what_a_stream_teaches(backend, recordings, learned_by_a_stream):
    expected_scores, expected_weights = learned_by_a_stream
    x, y = next(ENCODER.batches(recordings, N_STEPS, start=0))
    with Simulator(NET, backend) as sim:
        scores, weights = sim.train(x, y), sim.weights
    assert np.array_equal(scores, expected_scores)
    for found, expected in zip(weights, expected_weights, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("script", ["brian2_events.py --target numpy", "lava_events.py"])
def test_the_examples_learn_digits(script, recordings, tmp_path):
    name, *options = script.split()
    folder = recordings.files[0].parents[1]
    sizes = ("--folder", str(folder), "--samples", "8", "--test-samples", "2")
    output = printed_by(ROOT / "examples" / name, tmp_path, *sizes, *options)
    assert "scores equal to those of a stream: True" in output
    assert "weights equal to those of a stream: True" in output
