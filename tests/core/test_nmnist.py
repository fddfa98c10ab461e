"""Event recordings, from files to what is learned: the example and the benchmarks."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import EVENT_DTYPE
from tests.aer import write_aer
from tests.core.test_benchmarks import run
from tests.documentation import ROOT
from tests.scripts import printed_by

pytestmark = pytest.mark.thorough

EXAMPLE = ROOT / "examples" / "nmnist_events.py"


@pytest.fixture
def folder(tmp_path):
    """Four recordings of each digit: a spot that stays where its digit says."""
    random = np.random.RandomState(0)
    for digit in range(10):
        place = tmp_path / "nmnist" / "Train" / str(digit)
        place.mkdir(parents=True)
        for n in range(4):
            events = np.zeros(3000, EVENT_DTYPE)
            events["x"] = 3 * digit + random.randint(0, 4, 3000)
            events["y"] = random.randint(10, 20, 3000)
            events["t"] = np.sort(random.randint(0, 320_000, 3000))
            events["p"] = random.randint(0, 2, 3000)
            write_aer(place / f"{n:05}.bin", events)
    return tmp_path / "nmnist"


def test_the_example_learns_recordings(folder, tmp_path):
    sizes = ("--samples", "30", "--test-samples", "10", "--epochs", "40")
    output = printed_by(EXAMPLE, tmp_path, "--folder", str(folder), *sizes)
    assert "learned from 1200 recordings in" in output
    whole, early, streamed = re.findall(r"([\d.]+) % ", output)
    assert float(whole) == float(streamed) >= 80
    assert float(early) >= 80


def test_the_example_recognizes_digits(tmp_path):
    data = os.environ.get("SPIKEBP_DATA")
    if data is None or not list(Path(data).glob("nmnist*")):
        pytest.skip("SPIKEBP_DATA has no recordings of N-MNIST")
    output = printed_by(EXAMPLE, tmp_path)
    accuracy = re.search(r"([\d.]+) % of 200 unseen recordings recognized", output)
    assert float(accuracy[1]) >= 84


def test_a_long_stream_is_measured():
    result = run("event_stream.py", "--events", "80000", "--block", "5")
    assert result["recordings"] == "moving dots"
    assert result["same_weights"]
    assert result["events"] >= 80_000
    assert all(row["events_per_second"] > 0 for row in result["rows"])


def test_networks_and_perceptrons_learn_the_same_recordings(folder):
    sizes = ("--samples", "30", "--seeds", "1", "--hidden", "20", "--epochs", "3")
    words = "conv4k7s3,dense10"
    parts = ("--connections", words, "--part-epochs", "10")
    rows = run("nmnist.py", "--folder", str(folder), *sizes, *parts)["rows"]
    names = [row["competitor"] for row in rows]
    perceptron = "scikit-learn MLPClassifier"
    in_parts = ", in parts"
    assert names == ["spiking network", words + in_parts, perceptron, perceptron + in_parts]
    assert all(len(row["accuracies"]) == 1 for row in rows)
    assert rows[1]["accuracies"][0] >= 80
