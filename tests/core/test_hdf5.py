"""HDF5 files that claim more than they hold: refused before anything is taken for it."""

import io
import warnings

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("nir", reason="nir is not installed")

import h5py

from spikebp_plugins.common.hdf5 import DEEPEST, arrays_in
from spikebp_plugins.lava_dl import load_netx, save_netx
from spikebp_plugins.nir import load_nir, save_nir
from tests.core.small_nets import small_net, trained


def changed(data, change):
    """Return a file after a change."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "a") as file:
        change(file)
    return buffer.getvalue()


def found_in(data):
    with h5py.File(io.BytesIO(data), "r") as file:
        return {name: array[()] for name, array in arrays_in(file, data).items()}


def text_and_numbers(file):
    file["group/text"] = ["one", "two", ""]
    file["group/bytes"] = np.array([b"three"])
    file.create_dataset("numbers", data=np.zeros(1000), chunks=(100,), compression="gzip")
    file["number"] = 5
    file["nothing"] = h5py.Empty("f8")


WHOLE = changed(b"", text_and_numbers)


def test_arrays_are_found_by_their_names():
    found = found_in(WHOLE)
    assert sorted(found) == ["group/bytes", "group/text", "nothing", "number", "numbers"]
    assert found["group/text"].tolist() == [b"one", b"two", b""]
    assert found["number"] == 5


def many_numbers(file):
    file.create_dataset("many", (2**40,), "f8")


def many_packed_numbers(file):
    file.create_dataset("many", (2**24,), "f8", chunks=(2**10,), compression="gzip")


def a_large_chunk(file):
    file.create_dataset("many", (4,), "f8", maxshape=(None,), chunks=(2**24,), compression="gzip")


def a_claim_of_many_arrays(file):
    for number in range(10):
        file.create_dataset(f"many {number}", (2**20,), "f8")


def packed_texts(file):
    file.create_dataset("texts", data=["four"] * 4, chunks=(2,), compression="gzip")


def rows_of_any_length(file):
    file.create_dataset("rows", (2,), h5py.vlen_dtype("f8"))[0] = [1.0, 2.0]


def nested(file):
    file.create_group("/".join("a" * (DEEPEST + 1)))


def in_a_circle(file):
    file["group/again"] = file["group"]


def soft_link(file):
    file["link"] = h5py.SoftLink("/number")


def external_link(file):
    file["group/link"] = h5py.ExternalLink("/etc/passwd", "/")


CLAIMS = {
    many_numbers: "array 'many' claims more",
    many_packed_numbers: "array 'many' claims more",
    a_large_chunk: "array 'many' claims more",
    a_claim_of_many_arrays: "claims more",
    packed_texts: "array 'texts' holds neither numbers nor texts",
    rows_of_any_length: "array 'rows' holds neither numbers nor texts",
    nested: "groups are nested more than 20 deep",
    in_a_circle: "groups are nested more than 20 deep",
    soft_link: "part 'link' is a link to another place",
    external_link: "part 'group/link' is a link to another place",
}


def reader_and_file(name):
    """Return a reader, and the file of a trained network for it."""
    save, load = {"nir": (save_nir, load_nir), "netx": (save_netx, load_netx)}[name]
    return save, load


@pytest.mark.parametrize("change", CLAIMS, ids=lambda change: change.__name__)
def test_what_claims_too_much_is_refused(change):
    with pytest.raises(ValueError, match=CLAIMS[change]):
        found_in(changed(WHOLE, change))


@pytest.mark.parametrize("name", ["nir", "netx"])
def test_readers_refuse_what_claims_too_much(name, tmp_path):
    save, load = reader_and_file(name)
    path = tmp_path / "net"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(path, trained(small_net()))
    whole = path.read_bytes()
    for change in (many_numbers, nested, soft_link):
        path.write_bytes(changed(whole, change))
        with pytest.raises(ValueError, match=CLAIMS[change]) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path} is not a readable ")


def damaged_chunk(data):
    """Let a packed chunk claim four gigabytes of the file."""
    with h5py.File(io.BytesIO(data), "r") as file:
        chunk = file["numbers"].id.get_chunk_info(3)
    # Its length stands in the tree of chunks as a key of 32 bits, and its address behind the key.
    address = chunk.byte_offset.to_bytes(8, "little")
    place = data.index(address) - 8 - 8 - 8
    assert int.from_bytes(data[place : place + 4], "little") == chunk.size
    return data[:place] + b"\xf0\xff\xff\xff" + data[place + 4 :]


def longer_text(data):
    """Let a text claim four gigabytes; its length stands before the address of its heap."""
    place = data.index(data.index(b"GCOL").to_bytes(8, "little")) - 4
    return data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]


@pytest.mark.parametrize("damage", [damaged_chunk, longer_text])
def test_lengths_that_the_file_does_not_have_are_refused(damage):
    with pytest.raises(ValueError, match=r"array '.*' claims more than the file"):
        found_in(damage(WHOLE))
