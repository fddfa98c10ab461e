"""The back ends of the core repeat the golden runs, and the command that makes them is careful."""

import shutil
from unittest.mock import Mock

import pytest

from spikebp_plugins import Checkpoint
from spikebp_plugins.common.archive import equal_arrays
from spikebp_plugins.conformance import CASES
from tests import golden
from tests.core.small_nets import arrays_in
from tests.golden import __main__ as command

BACKENDS = ("reference", "compiled")


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, backend) for backend in BACKENDS for name in golden.names_for(backend)],
)
def test_golden_runs_are_repeated(name, backend):
    golden.assert_repeated(name, backend)


def test_golden_runs_use_every_rule():
    nets = golden.NETS.values()
    for field in (
        "timing",
        "input_coding",
        "update",
        "spikes",
        "arithmetic",
        "backward_init",
        "feedback",
        "weight_init",
    ):
        used = {getattr(net, field) for net in nets}
        assert used >= {getattr(case.net, field) for case in CASES} - {"zero"}


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Let the command work on a copy of one golden run."""
    name = "3-layers-of-weights"
    shutil.copytree(golden.FOLDER / name, tmp_path / name)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "NETS", [name])
    monkeypatch.setattr(command, "read", lambda name: golden.read(name, tmp_path))
    return tmp_path / name


def test_what_has_not_changed_is_left_alone(copies, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["golden"])
    assert command.main() == 0
    assert capsys.readouterr().out == ""


def test_what_has_changed_is_overwritten_only_if_accepted(copies, monkeypatch, capsys):
    path = copies / "training.npz"
    right = arrays_in(path)
    trace = golden.read(copies.name).training
    trace.spikes[1][2, 3, 4] += 1
    trace.save(path)
    changed = path.read_bytes()
    monkeypatch.setattr("sys.argv", ["golden"])
    assert command.main() == 1
    assert path.read_bytes() == changed
    assert "spikes differ at sample 2, step 3, layer 1, unit 4" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["golden", "--accept"])
    assert command.main() == 0
    assert equal_arrays(arrays_in(path), right)


def test_the_run_of_a_case_is_kept(copies, monkeypatch):
    kept = {path.name: arrays_in(path) for path in copies.iterdir()}
    shutil.rmtree(copies)
    monkeypatch.setattr("sys.argv", ["golden", copies.name])
    assert command.main() == 0
    assert kept.keys() == {path.name for path in copies.iterdir()}
    assert all(equal_arrays(arrays_in(copies / name), kept[name]) for name in kept)


def test_a_changed_number_is_found(monkeypatch):
    run = golden.read("3-layers-of-weights")
    first, *others = (matrix.copy() for matrix in run.end.state.weights)
    first[0, 0] += 1
    state = run.end.state.with_reals(weights=[first, *others])
    run = run._replace(end=Checkpoint(run.end.net, state))
    monkeypatch.setattr(golden, "read", Mock(return_value=run))
    with pytest.raises(AssertionError, match="weights"):
        golden.assert_repeated("3-layers-of-weights", "compiled")
