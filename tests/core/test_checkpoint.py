"""Checkpoints: the same bytes for the same state, all of it or an error."""

import io
import json
import os
import signal
import stat
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, ReplayBuffer, Simulator, SpikingMLP
from spikebp_plugins.common.archive import (
    equal_arrays,
    file_target,
    unreadable,
    whole_file,
    write_archive,
)
from spikebp_plugins.network.state import initial_state
from tests.core.small_nets import (
    arrays_in,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
)

NETS = {
    "fixed": small_net(),
    "random feedback": small_net(feedback="random"),
    "one layer": small_net((3, 2)),
}
EVERY_NET = pytest.mark.parametrize("net", NETS.values(), ids=NETS)
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions and files")


def trained(net, backend=None, n_samples=5):
    sim = lively_simulator(net, backend or "reference")
    sim.train(*samples(net, n_samples))
    return sim


@pytest.fixture
def file(tmp_path):
    """A checkpoint of a trained network with random feedback."""
    path = tmp_path / "net.npz"
    trained(NETS["random feedback"]).save(path)
    return path


def rewrite(path, **changes):
    """Replace arrays of a file; None takes one out."""
    arrays = arrays_in(path) | changes
    write_archive(path, {name: array for name, array in arrays.items() if array is not None})


def assert_same_state(first, second):
    assert first.net == second.net
    assert first.state.samples_seen == second.state.samples_seen
    for kind in ("weights", "backward_potentials", "feedback"):
        assert_all_equal(getattr(first.state, kind), getattr(second.state, kind))


def refusal(path, **arguments):
    with pytest.raises(ValueError, match="checkpoint") as caught:
        Checkpoint.load(path, **arguments)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@EVERY_NET
def test_a_checkpoint_is_read_as_it_was_saved(net, tmp_path):
    sim = trained(net)
    sim.save(tmp_path / "net.npz")
    checkpoint = Checkpoint.load(tmp_path / "net.npz")
    assert_same_state(checkpoint, sim.checkpoint())
    assert checkpoint.state.samples_seen == 5
    if net.n_layers > 1:
        assert any(np.any(psi) for psi in checkpoint.state.backward_potentials)


def test_checkpoints_are_equal_in_every_number_or_not():
    with Simulator(SpikingMLP((3, 5, 2))) as sim:
        sim.train(np.eye(3), [0, 1, 0])
        one, other = sim.checkpoint(), sim.checkpoint()
        buffer = ReplayBuffer(2)
        sim.train(np.eye(3), [0, 1, 0], replay=buffer)
    assert one == other
    assert one != sim_after(other)
    assert one != replace(other, net=other.net.replace(seed=7))
    assert replace(one, replay=buffer) == replace(other, replay=buffer.copy())
    assert replace(one, replay=buffer) != other
    assert repr(one).startswith("Checkpoint(SpikingMLP(")
    assert repr(one).endswith("samples_seen=3)")


def sim_after(checkpoint):
    with checkpoint.simulate() as sim:
        sim.train([[0, 0, 1]], [1])
        return sim.checkpoint()


def test_a_path_may_be_text_and_needs_no_suffix(tmp_path):
    sim = trained(NETS["fixed"])
    sim.save(str(tmp_path / "net"))
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert_same_state(Checkpoint.load(str(tmp_path / "net")), sim.checkpoint())


def test_a_file_is_replaced(file):
    sim = trained(NETS["fixed"])
    sim.save(file)
    assert_same_state(Checkpoint.load(file), sim.checkpoint())


@EVERY_NET
def test_equal_states_are_equal_bytes(net, monkeypatch):
    sim = trained(net)
    first = checkpoint_bytes(sim)
    assert checkpoint_bytes(sim) == first
    assert checkpoint_bytes(trained(net)) == first
    assert checkpoint_bytes(trained(net, n_samples=6)) != first

    later = time.gmtime(2_000_000_000)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    monkeypatch.setattr(time, "gmtime", lambda *_: later)
    assert checkpoint_bytes(sim) == first


@EVERY_NET
def test_a_checkpoint_that_was_read_is_saved_as_the_same_bytes(net, tmp_path):
    trained(net).save(tmp_path / "first")
    Checkpoint.load(tmp_path / "first").save(tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == (tmp_path / "first").read_bytes()


def test_the_file_is_what_the_documentation_says(file):
    state = trained(NETS["random feedback"]).checkpoint().state
    scale = 2.0 ** NETS["random feedback"].fraction_bits
    with np.load(file, allow_pickle=False) as archive:
        assert archive.files == [
            "format_version",
            "definition",
            "samples_seen",
            "weights_1",
            "weights_2",
            "weights_3",
            "backward_potential_1",
            "backward_potential_2",
            "feedback_2",
            "feedback_3",
        ]
        definition = archive["definition"]
        for part in (state.weights, state.backward_potentials, state.feedback):
            assert all(units.dtype == smallest_type(units) for units in part.units)
        learned = archive.files[3:]
        assert all(archive[name].dtype == smallest_type(archive[name]) for name in learned)
        assert archive["format_version"].dtype == archive["samples_seen"].dtype == np.int64
        assert archive["format_version"] == 2
        assert archive["samples_seen"] == 5
        assert archive["format_version"].shape == archive["samples_seen"].shape == ()
        assert [archive[f"weights_{l}"].shape for l in (1, 2, 3)] == [(3, 5), (5, 4), (4, 2)]
        assert [archive[f"feedback_{l}"].shape for l in (2, 3)] == [(4, 5), (2, 4)]
        np.testing.assert_array_equal(archive["weights_2"] / scale, state.weights[1])
        np.testing.assert_array_equal(archive["feedback_3"] / scale, state.feedback[1])
        psi = archive["backward_potential_2"]
        np.testing.assert_array_equal(psi / scale, state.backward_potentials[1])
    assert definition.dtype == np.uint8
    text = definition.tobytes().decode()
    assert text == json.dumps(NETS["random feedback"].to_dict(), sort_keys=True)


@pytest.mark.parametrize("large", [0, 2**30])
def test_other_tools_read_the_file(tmp_path, large, monkeypatch):
    """Whether its arrays are large, or not."""
    monkeypatch.setattr("spikebp_plugins.common.archive.LARGE", large)
    arrays = {"a": np.arange(10**6), "b": np.zeros((0, 3)), "c": np.array(5), "d": np.eye(3).T}
    write_archive(tmp_path / "all.npz", arrays)
    with zipfile.ZipFile(tmp_path / "all.npz") as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
    with np.load(tmp_path / "all.npz") as found:
        assert equal_arrays(found, arrays)
    content = (tmp_path / "all.npz").read_bytes()
    # What stands before an array is what the list of contents says: other tools read either.
    for entry in entries:
        header = content[entry.header_offset :]
        assert int.from_bytes(header[8:10], "little") == zipfile.ZIP_DEFLATED
        assert int.from_bytes(header[14:18], "little") == entry.CRC
        if large:
            sizes = np.frombuffer(header[18:26], "<u4").tolist()
            assert sizes == [entry.compress_size, entry.file_size]


def smallest_type(units):
    """Return the type that the documentation says."""
    kinds = map(np.iinfo, (np.int8, np.int16, np.int32, np.int64))
    return next(k.dtype for k in kinds if k.min <= units.min() and units.max() <= k.max)


def test_the_file_is_compressed_and_not_dated(file):
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_DEFLATED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.create_system for entry in entries} == {3}


@POSIX
def test_the_file_is_as_readable_as_others(file, tmp_path):
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, tmp_path / "other")]
    assert modes[0] == modes[1]


def test_a_network_that_is_read_goes_on(tmp_path):
    net = small_net(backward_init="uniform")
    x, y = samples(net, 8)
    whole, first = lively_simulator(net), lively_simulator(net)
    whole.train(x, y)
    first.train(x[:3], y[:3])
    first.save(tmp_path / "net.npz")
    with Checkpoint.load(tmp_path / "net.npz", net=net).simulate("reference") as second:
        assert second.samples_seen == 3
        second.train(x[3:], y[3:])
        assert checkpoint_bytes(second) == checkpoint_bytes(whole)
        assert second.operations.samples == 5


def test_an_untrained_network_can_be_saved(tmp_path):
    net = small_net(feedback="random")
    Simulator(net, "reference").save(tmp_path / "net")
    state = Checkpoint.load(tmp_path / "net").state
    assert_all_equal(state.weights, initial_state(net).weights)
    assert_all_equal(state.feedback, initial_state(net).feedback)
    assert state.samples_seen == 0


@pytest.mark.parametrize("function", ["os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_interrupted_write_leaves_the_earlier_file(file, monkeypatch, function, error):
    def fail(*arguments):
        raise error

    before = file.read_bytes()
    monkeypatch.setattr(function, fail)
    with pytest.raises(type(error)):
        trained(NETS["fixed"]).save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_an_interrupted_write_leaves_no_new_file(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        trained(NETS["fixed"]).save(tmp_path / "net.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_just_after_the_file_was_made_leaves_none(file, monkeypatch):
    before, make = file.read_bytes(), os.open

    def interrupted(*arguments, **options):
        os.close(make(*arguments, **options))
        raise KeyboardInterrupt

    sim = trained(NETS["fixed"])
    monkeypatch.setattr("os.open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sim.save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def killed_while_it_saves(sim, path, function):
    """Save in another process, which is killed in the middle."""
    child = os.fork()
    if child == 0:
        setattr(os, function, lambda *_: os._exit(9))
        sim.save(path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@POSIX
def test_a_save_removes_what_kills_have_left_and_nothing_else(file):
    before, sim = file.read_bytes(), trained(NETS["fixed"])
    others = {".spikebp-notes", "spikebp-" + "0" * 16, ".spikebp-" + "0" * 15, "a.npz", file.name}
    for name in others - {file.name}:
        (file.parent / name).touch()
    for function in ("fsync", "replace"):
        killed_while_it_saves(sim, file, function)
        assert len(list(file.parent.iterdir())) == len(others) + 1
        assert file.read_bytes() == before
    sim.save(file)
    assert {path.name for path in file.parent.iterdir()} == others
    assert Checkpoint.load(file) == sim.checkpoint()


@pytest.mark.thorough
@POSIX
def test_a_hundred_kills_at_any_time_leave_the_last_file_and_nothing_else(file):
    sims = [trained(NETS["fixed"], n_samples=n) for n in (3, 4)]
    times = np.random.RandomState(0).uniform(0, 0.01, 100)
    for seconds in times:
        child = os.fork()
        if child == 0:
            while True:
                for sim in sims:
                    sim.save(file)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        Checkpoint.load(file)
        sims[0].save(file)
        assert list(file.parent.iterdir()) == [file]
        assert Checkpoint.load(file) == sims[0].checkpoint()


def test_a_save_leaves_files_that_are_being_written(tmp_path):
    with whole_file(tmp_path / "slow") as slow:
        slow.write(b"begun")
        slow.flush()
        trained(NETS["fixed"]).save(tmp_path / "net.npz")
        slow.write(b", and ended")
    assert (tmp_path / "slow").read_bytes() == b"begun, and ended"
    assert len(list(tmp_path.iterdir())) == 2


class Slow(io.RawIOBase):
    """A raw file that takes a few bytes at a time."""

    def __init__(self):
        self.content = b""

    def writable(self):
        return True

    def write(self, content):
        self.content += bytes(content[:100])
        return min(100, len(content))


def test_what_is_open_for_bytes_is_written_and_read(tmp_path):
    sim = trained(NETS["fixed"])
    sim.save(tmp_path / "net.npz")
    expected, buffer, slow = (tmp_path / "net.npz").read_bytes(), io.BytesIO(b"12345"), Slow()
    buffer.seek(5)
    for file in (buffer, slow):
        sim.save(file)
    assert buffer.getvalue() == b"12345" + expected
    assert slow.content == expected
    assert not slow.closed
    buffer.seek(5)
    assert Checkpoint.load(buffer) == sim.checkpoint()
    assert buffer.read() == b""
    output, input_ = os.pipe()
    with open(output, "rb") as read:
        with open(input_, "wb") as written:
            sim.save(written)
        assert Checkpoint.load(read) == sim.checkpoint()


def test_open_files_that_hold_something_else_are_refused():
    sim, twice = trained(NETS["fixed"]), io.BytesIO()
    for _ in range(2):
        sim.save(twice)
    for content, reason in (
        (twice.getvalue(), "something else comes before its arrays"),
        (b"", "File is not a zip file"),
    ):
        message = f"the BytesIO is not a readable checkpoint: {reason}"
        with pytest.raises(ValueError, match=message):
            Checkpoint.load(io.BytesIO(content))
    for wrong in (io.StringIO(), 3, None):
        with pytest.raises(ValueError, match="path must be a path, or a file open to write bytes"):
            sim.save(wrong)
        with pytest.raises(ValueError, match="path must be a path, or a file open to read bytes"):
            Checkpoint.load(wrong)


@POSIX
def test_a_file_that_is_replaced_keeps_its_permissions(file):
    for mode in (0o600, 0o664):
        file.chmod(mode)
        trained(NETS["fixed"]).save(file)
        assert stat.S_IMODE(file.stat().st_mode) == mode


@POSIX
def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    links = {"new": tmp_path / "there" / "new.npz", "old": Path("there/old.npz")}
    (tmp_path / "there" / "old.npz").touch(mode=0o600)
    (tmp_path / "folder").symlink_to("there")
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    sim = trained(NETS["fixed"])
    for name, path in (("new", "there/new.npz"), ("old", "there/old.npz"), ("folder/a", "there/a")):
        sim.save(tmp_path / name)
        assert_same_state(Checkpoint.load(tmp_path / path), sim.checkpoint())
        assert not (tmp_path / path).is_symlink()
    assert [(tmp_path / name).is_symlink() for name in ("new", "old", "folder")] == [True] * 3
    assert stat.S_IMODE((tmp_path / "there" / "old.npz").stat().st_mode) == 0o600
    assert len(list((tmp_path / "there").iterdir())) == 3


@POSIX
def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for name, what in (
        ("pipe", "no regular file"),
        ("link", "no regular file"),
        ("folder", "a folder"),
    ):
        path = tmp_path / name
        with pytest.raises(ValueError, match="path must be a regular file, or a new one") as caught:
            trained(NETS["fixed"]).save(path)
        assert str(caught.value).endswith(f"; got {path}, which is {what}")
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    # Asked only: were it not refused, it would be gone.
    with pytest.raises(ValueError, match="got /dev/null, which is no regular file"):
        file_target("/dev/null")


@pytest.mark.parametrize("path", ["", ".", "..", "new/", "a\0b"])
def test_what_is_no_name_of_a_file_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="path must be the name of a file; got '"):
        trained(NETS["fixed"]).save(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_may_not_be_written_is_refused(file, monkeypatch, place):
    before, unwritable = file.read_bytes(), {"file": file, "folder": file.parent}[place]
    monkeypatch.setattr("os.access", lambda path, _: path != unwritable)
    with pytest.raises(PermissionError, match="cannot be written: no permission") as caught:
        trained(NETS["fixed"]).save(file)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("function", ["os.open", "os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), PermissionError(13, "no")])
def test_an_error_names_the_path_that_was_given(tmp_path, monkeypatch, function, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(function, fail)
    with pytest.raises(type(error)) as caught:
        trained(NETS["fixed"]).save(tmp_path / "net.npz")
    assert caught.value.filename == str(tmp_path / "net.npz")
    assert caught.value.errno == error.errno


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path):
    sim = trained(NETS["fixed"])
    sim.save(tmp_path / ("n" * 250))
    assert_same_state(Checkpoint.load(tmp_path / ("n" * 250)), sim.checkpoint())
    with pytest.raises(OSError, match="too long"):
        sim.save(tmp_path / ("n" * 300))


def test_a_missing_file_or_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"net\.npz"):
        Checkpoint.load(tmp_path / "net.npz")
    with pytest.raises(FileNotFoundError, match="folder"):
        trained(NETS["fixed"]).save(tmp_path / "folder" / "net.npz")


@pytest.mark.parametrize("content", [b"weights", b"PK\x03\x04", b"\x93NUMPY\x01\x00" + b" " * 200])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "net.npz"
    path.write_bytes(content)
    assert "is not a readable checkpoint" in refusal(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no array")
    assert "is not a readable checkpoint" in refusal(path)
    np.savez(path, x=np.zeros(3))
    assert "holds no definition" in refusal(path)


def test_a_trace_is_no_checkpoint(tmp_path):
    path = tmp_path / "trace.npz"
    net = small_net()
    lively_simulator(net).train(*samples(net, 2), record=True).save(path)
    assert "holds no definition" in refusal(path)


class Trap:
    """Something that leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_pickled_objects_are_refused_and_not_unpickled(file, tmp_path):
    arrays = arrays_in(file)
    arrays["weights_1"] = np.array([Trap(tmp_path / "mark")], dtype=object)
    np.savez(file, **arrays)
    assert "is not a readable checkpoint" in refusal(file)
    assert not (tmp_path / "mark").exists()


def test_a_newer_format_is_refused(file):
    rewrite(file, format_version=np.array(3, np.int64))
    assert "checkpoint format 3, newer than the 2 that this" in refusal(file)


def test_an_older_format_is_refused(file):
    rewrite(file, format_version=np.array(1, np.int64))
    assert "checkpoint format 1, older than the 2 that this" in refusal(file)


@pytest.mark.parametrize(
    "version",
    [np.array(0), np.array(-1), np.array([1, 2]), np.array([], int), np.array("1"), np.array(0.5)],
    ids=repr,
)
def test_a_format_version_that_never_was_is_refused(file, version):
    rewrite(file, format_version=version)
    refusal(file)


KEYS = [
    *("format_version", "definition", "samples_seen", "weights_1", "weights_3"),
    *("backward_potential_1", "backward_potential_2", "feedback_2", "feedback_3"),
]


@pytest.mark.parametrize("name", KEYS)
def test_a_missing_array_is_refused(file, name):
    rewrite(file, **{name: None})
    message = refusal(file)
    assert name in message or "holds no definition" in message


@pytest.mark.parametrize("name", KEYS[3:])
def test_an_array_of_another_type_or_shape_is_refused(file, name):
    array = arrays_in(file)[name]
    others = [array.astype(dtype) for dtype in ("float64", "uint64", "bool")]
    for wrong in (*others, array[:-1], array[np.newaxis], array.ravel()[0]):
        rewrite(file, **{name: wrong})
        assert f"{name} must be integers of shape {array.shape}" in refusal(file)


@pytest.mark.parametrize("name", KEYS[3:])
def test_a_value_out_of_range_is_refused(file, name):
    array = arrays_in(file)[name].astype(np.int64)
    for value in (2**53, -(2**53), 2**63 - 1, -(2**63)):
        array.flat[-1] = value
        rewrite(file, **{name: array})
        assert name in refusal(file)


@pytest.mark.parametrize("value", [-1, 0.5, [1, 2], "1", True])
def test_samples_seen_must_be_a_count(file, value):
    rewrite(file, samples_seen=np.array(value))
    assert "samples_seen" in refusal(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\xff",
        "5",
        "null",
        "[]",
        "{}",
        '{"layer_sizes": 5}',
        '{"layer_sizes": [3, 2], "momentum": 0.9}',
        '{"layer_sizes": [3, 5, 4, 2], "seed": "0"}',
        "[" * 100_000,
    ],
)
def test_a_definition_that_is_none_is_refused(file, text):
    rewrite(file, definition=np.frombuffer(text.encode("latin-1"), np.uint8))
    assert "is not a readable checkpoint" in refusal(file)


def test_the_definition_can_be_required(file):
    net = NETS["random feedback"]
    assert_same_state(Checkpoint.load(file, net=net), Checkpoint.load(file))
    message = refusal(file, net=net.replace(n_steps=5, seed=3))
    assert "another definition" in message
    assert "n_steps is 4 there and 5 here" in message
    assert "seed is 0 there and 3 here" in message
    assert "layer_sizes" not in message
    assert "update" not in message


def test_the_message_about_another_definition_shows_sizes_and_grid(file):
    message = refusal(file, net=small_net((3, 2), feedback="random", fraction_bits=30))
    assert "layer_sizes is (3, 5, 4, 2) there and (3, 2) here" in message
    assert "fraction_bits is 12 there and 30 here" in message


@pytest.mark.parametrize("shape", [(2**40,), (3, 4), (3, 5, 1)])
def test_an_array_of_another_size_than_it_states_is_refused(file, shape):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = members["weights_1.npy"].replace(b"(3, 5)", str(shape).encode(), 1)
    padding = b" " * (len(str(shape)) - len("(3, 5)"))
    members["weights_1.npy"] = header.replace(padding + b"\n", b"\n", 1)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    message = refusal(file)
    if shape == (3, 5, 1):
        assert "weights_1 must be integers of shape (3, 5)" in message
    else:
        assert f"its array weights_1 does not hold int16 of shape {shape}" in message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_that_numpy_has_written_is_read(file, save):
    before = Checkpoint.load(file)
    save(file, **arrays_in(file))
    assert Checkpoint.load(file) == before


def test_an_array_that_claims_more_than_comes_from_its_bytes_is_refused(file):
    """The size in the list of contents is changed."""
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo("weights_1.npy").file_size.to_bytes(4, "little")
    content, name = file.read_bytes(), b"weights_1.npy"
    at = content.rindex(size, 0, content.rindex(name))
    file.write_bytes(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
    assert "its array weights_1 claims too much" in refusal(file)


@pytest.mark.parametrize("name", ["weights_1.npy", "weights_1"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_array_of_a_name_is_refused(file, name):
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, archive.read("weights_1.npy"))
    assert "it has two arrays weights_1" in refusal(file)


def test_what_another_library_says_is_shown_in_one_line():
    message = str(unreadable("net.npz", "checkpoint", "two\n  lines " * 100))
    assert message.startswith("net.npz is not a readable checkpoint: two lines two lines ")
    assert message.endswith(" ...")
    assert len(message) < 400


def test_another_rate_leaves_all_numbers_on_their_grid():
    with Simulator(SpikingMLP.paper((3, 4, 2), learning_rate=0.01, fraction_bits=20)) as sim:
        sim.train(np.eye(3), [0, 1, 0])
        before = sim.checkpoint()
    after = before.at_rate(0.0025)
    assert after.net == before.net.replace(learning_rate=0.0025, fraction_bits=20)
    assert after.state is before.state
    with pytest.raises(ValueError, match="learning_rate must be above"):
        before.at_rate(1e-7)


class TestAveraged:
    NET = SpikingMLP.paper((2, 3, 2), learning_rate=0.1, fraction_bits=12)

    def checkpoint(self, units):
        weights = [np.full(shape, units / 2**12) for shape in self.NET.weight_shapes]
        return Simulator(self.NET, weights=weights).checkpoint()

    @pytest.mark.parametrize(
        ("units", "mean"),
        [
            *[((1, 2), 2), ((2, 3), 2), ((-1, -2), -2), ((-3, -2), -2), ((1, 1, 2), 1), ((7,), 7)],
            # In doubles the sum would be rounded, too.
            ((2**53 - 1, 2**53 - 1, 2**53 - 3), 2**53 - 2),
            ([2**53 - 1] * 600, 2**53 - 1),  # whose sum takes more than 64 bits
        ],
    )
    def test_means_are_on_the_grid_with_ties_to_even(self, units, mean):
        found = Checkpoint.mean([self.checkpoint(unit) for unit in units])
        assert found.net == self.NET
        for matrix in found.state.weights:
            assert (matrix * 2**12 == mean).all()

    def test_all_else_is_that_of_the_last(self):
        last = Simulator(self.NET)
        last.train([[1.0, 0.5]] * 3, [0, 1, 1])
        found = Checkpoint.mean([Simulator(self.NET).checkpoint(), last.checkpoint()])
        assert found.state.samples_seen == 3
        for a, b in zip(
            found.state.backward_potentials,
            last.checkpoint().state.backward_potentials,
            strict=True,
        ):
            assert (a == b).all()

    def test_what_does_not_fit_together_is_refused(self):
        with pytest.raises(ValueError, match="checkpoints must be at least one checkpoint"):
            Checkpoint.mean([])
        other = Simulator(self.NET.replace(fraction_bits=13)).checkpoint()
        chips = [
            Simulator(SpikingMLP.paper((2, 2), arithmetic="loihi2", weight_exponent=e)).checkpoint()
            for e in (-8, -7)
        ]
        with pytest.raises(ValueError, match=r"checkpoints must be of one weight_exponent; got \["):
            Checkpoint.mean(chips)
        with pytest.raises(
            ValueError, match=r"checkpoints must be of one fraction_bits; got \[12,"
        ):
            Checkpoint.mean([self.checkpoint(1), other])
