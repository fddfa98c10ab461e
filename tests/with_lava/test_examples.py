"""The examples run, as short as they can; how well they learn is not tested here."""

import re

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_plugins import Checkpoint
from tests.documentation import ROOT
from tests.scripts import printed_by

FOLDER = ROOT / "examples"

#: Both tags, of which a short run takes the one that the examples take by themselves.
TAGS = pytest.mark.parametrize(
    "tag", [pytest.param("floating_pt", marks=pytest.mark.thorough), "fixed_pt"]
)


@TAGS
def test_digits_are_learned_and_the_checkpoint_goes_on(tag, tmp_path):
    (tmp_path / "results").mkdir()
    sizes = ("--samples", "8", "--test-samples", "6")
    output = printed_by(
        FOLDER / "lava_digits.py", tmp_path, *sizes, "--tag", tag, "--output", "results"
    )
    assert re.search(r"Lava: [\d.]+ % of 8 digits right while they were learned", output)
    assert re.search(r"Lava: [\d.]+ % of 6 unseen digits after 8 learned", output)
    assert "its scores of these digits are the same numbers: True" in output
    assert f"after {8 + 20 * 1437} samples learned" in output
    checkpoint = Checkpoint.load(tmp_path / "results" / "lava_digits.npz")
    assert checkpoint.net.layer_sizes == (64, 60, 10)
    assert checkpoint.state.samples_seen == 8
    assert [path.name for path in tmp_path.rglob("*.*")] == ["lava_digits.npz"]


@pytest.mark.thorough
@TAGS
def test_potentials_are_watched_and_the_network_learns_as_in_the_reference(tag, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    output = printed_by(FOLDER / "lava_potentials.py", tmp_path, "--samples", "5", "--tag", tag)
    spikes = re.search(r"layer 1: (\d+) spikes in 50 steps, at most (\d+) in one", output)
    assert int(spikes[1]) > int(spikes[2]) > 0
    assert "weights are the same numbers as those of the reference: True" in output
    assert (tmp_path / "lava_potentials.png").stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["lava_potentials.png"]


@TAGS
def test_events_teach_what_they_teach_a_stream(tag, tmp_path):
    sizes = ("--samples", "8", "--test-samples", "4")
    output = printed_by(FOLDER / "lava_events.py", tmp_path, *sizes, "--tag", tag)
    assert re.search(r"[\d.]+ % of 4 unseen recordings recognized", output)
    assert "scores equal to those of a stream: True" in output
    assert "weights equal to those of a stream: True" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_loop_teaches_what_a_stream_learns_from_its_spikes(tmp_path):
    sizes = ("--samples", "300", "--test-samples", "20")
    output = printed_by(FOLDER / "lava_closed_loop.py", tmp_path, *sizes)
    lines = re.findall(r"inhibition ([\d.]+): (\d+) spikes a digit, [\d.]+ % named", output)
    (_, without), (_, with_loop) = lines
    assert int(with_loop) < int(without)
    assert "scores equal to those of a stream: True" in output
    assert "weights equal to those of a stream: True" in output
    assert not list(tmp_path.iterdir())
