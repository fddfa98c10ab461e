"""The examples run, as short as they can; how well they learn is not tested here."""

import re
import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from spikebp_plugins import EVENT_DTYPE, Checkpoint
from tests.aer import write_aer
from tests.documentation import ROOT
from tests.scripts import printed_by

FOLDER = ROOT / "examples"


def test_digits_are_learned_and_the_checkpoint_goes_on(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    (tmp_path / "results").mkdir()
    sizes = ("--samples", "8", "--test-samples", "6")
    output = printed_by(
        FOLDER / "brian2_digits.py", tmp_path, *sizes, "--target", "numpy", "--output", "results"
    )
    assert re.search(r"Brian2: [\d.]+ % of 6 unseen digits after 8 learned", output)
    assert "its scores of these digits are the same numbers: True" in output
    checkpoint = Checkpoint.load(tmp_path / "results" / "brian2_digits.npz")
    assert checkpoint.net.layer_sizes == (64, 60, 10)
    assert checkpoint.state.samples_seen == 8
    assert (tmp_path / "results" / "brian2_digits.png").stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "brian2_digits.npz",
        "brian2_digits.png",
    ]


@pytest.mark.thorough
def test_plastic_synapses_of_the_script_hear_the_network(tmp_path):
    output = printed_by(
        FOLDER / "brian2_plastic_readout.py",
        tmp_path,
        *("--samples", "1000", "--test-samples", "60", "--target", "numpy"),
    )
    assert re.search(r"[\d.]+ % of 60 unseen digits are named rightly", output)
    assert re.search(r"[\d.]+ % of them are followed by the right action", output)
    grown, all_ = map(float, re.search(r"actions: ([\d.]+), all: ([\d.]+)", output).groups())
    assert grown > 3 * all_
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_spiking_source_teaches_on_line(tmp_path):
    output = printed_by(
        FOLDER / "brian2_online_source.py", tmp_path, "--samples", "16", "--target", "numpy"
    )
    accuracies = re.findall(r"bars \d+ to \d+: ([\d.]+) % of those without a label", output)
    assert len(accuracies) == 4
    assert np.all(np.array(accuracies, float) <= 100)
    assert "learned from 8 of 16 bars" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None,
    reason="cpp_standalone needs g++ and make",
)
def test_compiled_programs_learn(tmp_path):
    output = printed_by(
        FOLDER / "brian2_standalone_mnist.py", tmp_path, "--dataset", "digits", "--samples", "100"
    )
    epochs = re.findall(r"back end: epoch (\d) of 100 images .* test error [\d.]+ %", output)
    assert epochs == ["1", "2"]
    assert re.search(r"script: \d+ spikes in layer 1 for 100 images", output)
    assert "script: weights equal to those of the compiled back end: True" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_events_teach_what_they_teach_a_stream(tmp_path):
    sizes = ("--samples", "8", "--test-samples", "4")
    output = printed_by(FOLDER / "brian2_events.py", tmp_path, *sizes, "--target", "numpy")
    assert "12 recordings: 1536 of 1536 events become spikes" in output
    assert re.search(r"[\d.]+ % of 4 unseen recordings recognized", output)
    assert "scores equal to those of a stream: True" in output
    assert "weights equal to those of a stream: True" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_events_at_the_ends_of_a_dt_keep_their_step(tmp_path):
    random = np.random.RandomState(0)
    for digit in range(4):
        events = np.empty(4000, EVENT_DTYPE)
        # So few pixels that some fire twice within a dt, and times beyond the last step.
        events["x"], events["y"] = random.randint(10, size=(2, 4000))
        events["p"] = random.randint(2, size=4000)
        events["t"] = 1000 * random.randint(330, size=4000) + random.choice([0, 999], size=4000)
        (tmp_path / str(digit)).mkdir()
        write_aer(tmp_path / str(digit) / "1.bin", np.sort(events, order="t"))
    sizes = ("--folder", ".", "--samples", "3", "--test-samples", "1")
    output = printed_by(FOLDER / "brian2_events.py", tmp_path, *sizes, "--target", "numpy")
    kept, shown = re.search(r"4 recordings: (\d+) of (\d+) events become spikes", output).groups()
    assert int(kept) < int(shown) < 4 * 4000
    assert "scores equal to those of a stream: True" in output
    assert "weights equal to those of a stream: True" in output
