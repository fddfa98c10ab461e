"""Damaged files of every kind: what they hold is read, or refused in one line.

Bytes are put in the place of others anywhere in a file, or within its parts, whose checksums are
then made anew.
"""

import gzip
import io
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Dense,
    ReplayBuffer,
    Simulator,
    Sparse,
    SpikingMLPClassifier,
    SpikingNetwork,
    Trace,
)
from spikebp_plugins.data.aer import read_aer
from spikebp_plugins.data.idx import read_idx
from spikebp_plugins.reproduce.study import _epochs_in
from tests.core.small_nets import lively_simulator, lively_weights, samples, small_net, trained

#: Bytes that reading a small file may take.
MEMORY = 2**28


def only_part(data):
    return {"": data}


def content_of(parts):
    return parts[""]


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Kind(NamedTuple):
    """A kind of files: whole ones, what reads them, and their parts with checksums."""

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    open: Callable[[bytes], dict[str, bytes]] = only_part
    close: Callable[[dict[str, bytes]], bytes] = content_of

    @property
    def has_parts(self):
        return self.open is not only_part


def save_checkpoint(path):
    trained(small_net(feedback="random")).save(path)


def save_network(path):
    layers = [Conv2D(2, 2), Sparse(4, density=0.5), Dense(2)]
    trained(SpikingNetwork.paper((3, 4), layers, n_steps=3)).save(path)


def save_replay(path):
    net, buffer = small_net(), ReplayBuffer(4, n_replayed=2)
    with Simulator(net, "reference", lively_weights(net)) as sim:
        sim.train(*samples(net, 6), replay=buffer)
        replace(sim.checkpoint(), replay=buffer).save(path)


def save_lists(path):
    net, buffer = small_net(), ReplayBuffer(4, n_replayed=2)
    x, y = samples(net, 6)
    buffer.keep(buffer.mix(csr_matrix(x * (x > 0)), y))
    replace(trained(net), replay=buffer).save(path)


def save_estimator(path):
    X, names = 2.0 * np.arange(40).reshape(10, 4) % 9, np.array(["a", "b"])
    model = SpikingMLPClassifier(hidden_layer_sizes=(3,), replay_capacity=3, random_state=0)
    model.partial_fit(csr_matrix(X), names[np.arange(10) % 2], classes=names).save(path)


def save_trace(path):
    net = small_net()
    lively_simulator(net).train(*samples(net, 2), record=True).save(path)


def save_idx(path):
    path.write_bytes(b"\0\0\x08\x03" + bytes([0, 0, 0, 2] * 3) + bytes(range(8)))


def save_zipped_idx(path):
    save_idx(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def save_epochs(path):
    with lively_simulator(small_net()) as sim:
        work = sim.operations.to_dict()
    errors = {"test_error": 3.25, "train_error": None, "averaged_error": 2.5}
    path.write_text(json.dumps({"done": [errors | {"operations": work}] * 2}))


def save_graph(path):
    from spikebp_plugins.nir import save_nir

    save_nir(path, trained(small_net()))


def load_graph(path):
    from spikebp_plugins.nir import load_nir

    return load_nir(path)


def save_blocks(path):
    from spikebp_plugins.lava_dl import save_netx

    save_netx(path, trained(small_net()))


def load_blocks(path):
    from spikebp_plugins.lava_dl import load_netx

    return load_netx(path)


KINDS = {
    "checkpoint": Kind(save_checkpoint, Checkpoint.load, unzipped, zipped),
    "checkpoint of connections": Kind(save_network, Checkpoint.load, unzipped, zipped),
    "checkpoint with samples": Kind(save_replay, Checkpoint.load, unzipped, zipped),
    "checkpoint with lists": Kind(save_lists, Checkpoint.load, unzipped, zipped),
    "estimator": Kind(save_estimator, SpikingMLPClassifier.load, unzipped, zipped),
    "trace": Kind(save_trace, Trace.load, unzipped, zipped),
    "IDX": Kind(save_idx, read_idx),
    "IDX, gzipped": Kind(
        save_zipped_idx,
        read_idx,
        lambda data: only_part(gzip.decompress(data)),
        lambda parts: gzip.compress(parts[""]),
    ),
    "recording": Kind(lambda path: path.write_bytes(bytes(range(200))), read_aer),
    "list of epochs": Kind(save_epochs, _epochs_in),
}
KINDS_OF_HDF5 = {
    "graph of NIR": Kind(save_graph, load_graph),
    "network of netx": Kind(save_blocks, load_blocks),
}

EXTREMES = [b"\xff" * 8, b"\0" * 8, b"\x7f", b"\x80\0\0\0", b"9" * 8]
PLACES = st.integers(0, 2**16)
LENGTHS = st.sampled_from([0, 1, 4, 8, 64, 2**20])
CHANGES = st.tuples(PLACES, LENGTHS, st.sampled_from(EXTREMES) | st.binary(max_size=8))
DAMAGE = st.lists(CHANGES, min_size=1, max_size=3)


def damaged(data, changes):
    """Return bytes with others in the place of some: flipped, cut out, inserted."""
    for place, length, new in changes:
        place %= len(data) + 1
        data = data[:place] + new + data[place + length :]
    return data


@cache
def original(kind, folder):
    """Return a file, and the file of what is read from it."""
    path = folder / "whole"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind.write(path)
        return path.read_bytes(), form(kind.read(path), folder)


def form(found, folder):
    """Return what was read as something that ``==`` compares to the last bit."""
    if isinstance(found, np.ndarray):
        return found.dtype, found.shape, found.tobytes()
    if isinstance(found, list):
        return found
    found.save(folder / "again")
    return (folder / "again").read_bytes()


def resident(field):
    """Return the bytes of memory that this process has (VmRSS), or has had at most (VmHWM)."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(re.search(rf"{field}:\s+(\d+)", status)[1])


def read(kind, data, folder):
    """Return the form of what a file holds, or None if it is refused in a line."""
    path = folder / "damaged"
    path.write_bytes(data)
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        before = resident("VmRSS")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return form(kind.read(path), folder)
    except (ValueError, OSError, OverflowError) as error:
        message = str(error)
        assert str(path) in message
        assert "\n" not in message
        assert len(message) < 1000
        return None
    finally:
        if sys.platform == "linux":
            assert resident("VmHWM") - before < MEMORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.parametrize("name", KINDS)
@given(damage=DAMAGE)
def test_a_damaged_file_is_read_or_refused(name, folder, damage):
    kind = KINDS[name]
    data, expected = original(kind, folder)
    found = read(kind, damaged(data, damage), folder)
    assert not kind.has_parts or found in (None, expected)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.has_parts])
@given(damage=DAMAGE, part=st.integers(0, 20))
def test_a_damaged_part_with_its_checksum_is_read_or_refused(name, folder, damage, part):
    kind = KINDS[name]
    parts = kind.open(original(kind, folder)[0])
    part = list(parts)[part % len(parts)]
    read(kind, kind.close(parts | {part: damaged(parts[part], damage)}), folder)


# A crash of the library would end the process: all runs read the same files, whatever the profile.
@pytest.mark.parametrize("name", KINDS_OF_HDF5)
@settings(derandomize=True)
@given(damage=DAMAGE)
def test_a_damaged_file_of_hdf5_is_read_or_refused(name, folder, damage):
    pytest.importorskip("nir", reason="nir is not installed")
    kind = KINDS_OF_HDF5[name]
    read(kind, damaged(original(kind, folder)[0], damage), folder)
