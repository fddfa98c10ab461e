"""Damage to the members of npz files, whose checksums are right."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from functools import partial

import numpy as np
from damage import Damage
from numpy.random import RandomState

Members = dict[str, bytes]

#: Bytes that a bomb unpacks to: more than a reader may take.
BOMB = 2**29

DEEP = 20_000

#: Definitions that are none.
DEFINITIONS = (
    b"[" * DEEP + b"]" * DEEP,
    b'{"layer_sizes":' * DEEP + b"1" + b"}" * DEEP,
    b'{"layer_sizes": [3',
    b"\xff\xfe\x00",
    b"null",
    b'{"layer_sizes": []}',
    b'{"layer_sizes": [3, -5, 2]}',
    b'{"layer_sizes": [3, 5.5, 2]}',
    b'{"layer_sizes": "352"}',
    b'{"layer_sizes": [1000000000, 1000000000, 2]}',
    b'{"layer_sizes": [3, 5, 4, 2], "n_steps": 1e400}',
    b'{"layer_sizes": [3, 5, 4, 2], "n_steps": ' + b"9" * 5000 + b"}",
    b'{"layer_sizes": [3, 5, 4, 2], "learning_rate": 5e-324}',
    b'{"layer_sizes": [3, 5, 4, 2], "learning_rate": NaN}',
    b'{"layer_sizes": [3, 5, 4, 2], "learning_rate": {}}',
    b'{"layer_sizes": [3, 5, 4, 2], "arithmetic": "float16"}',
    b'{"layer_sizes": [3, 5, 4, 2], "fraction_bits": 99999999}',
    b'{"layer_sizes": [3, 5, 4, 2], "no_field": 1}',
    b'{"layer_sizes": [3, 5, 4, 2], "seed": -1}',
)


def members_of(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def packed(members: Members, second: Members | None = None, method: int = 0) -> bytes:
    """Return an archive; members of `second` are added even where their names exist."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # zipfile warns of names that exist
        for some in (members, second or {}):
            for name, content in some.items():
                archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()


def a_member(members: Members, random: RandomState) -> str:
    return sorted(members)[random.randint(len(members))]


def renamed(data: bytes, random: RandomState) -> bytes:
    members = members_of(data)
    name = a_member(members, random)
    others = (f"x{name}", name.upper(), f"../{name}", ".npy", f"{name}/", name.removesuffix("npy"))
    content = members.pop(name)
    return packed(members | {others[random.randint(len(others))]: content})


def doubled(data: bytes, random: RandomState) -> bytes:
    members = members_of(data)
    name = a_member(members, random)
    again = name if random.randint(2) else name.removesuffix(".npy")
    return packed(members, {again: members[a_member(members, random)]})


def removed(data: bytes, random: RandomState) -> bytes:
    members = members_of(data)
    del members[a_member(members, random)]
    return packed(members)


def of_another_kind(data: bytes, random: RandomState) -> bytes:
    """Give an array another type, another shape or objects."""
    members = members_of(data)
    name = a_member(members, random)
    array = np.load(io.BytesIO(members[name]))
    other = (
        array.astype("c16"),
        array.astype("U9"),
        array.astype("V8") if array.itemsize == 8 else array.view("V1"),
        array.astype(object),
        array.astype("M8[s]") if array.dtype.kind == "i" else array.astype("?"),
        array[np.newaxis],
        np.concatenate([array.ravel()] * 2)[:-1],
        np.zeros((0, 3), array.dtype),
        np.zeros((1,) * 5, array.dtype),
    )
    return packed(members | {name: npy(other[random.randint(len(other))])})


def no_array(data: bytes, random: RandomState) -> bytes:
    """Put something into a member that is no npy file."""
    members = members_of(data)
    whole = members[name := a_member(members, random)]
    other = (
        b"",
        b"PK\x03\x04",
        pickle.dumps({"weights": [1, 2]}),
        whole[:7],
        whole[:-1],
        whole + b"\0",
        whole[:6] + b"\x09\x00" + whole[8:],
        whole.replace(b"'shape'", b"'shade'"),
        whole.replace(b"False", b"Maybe"),
        whole.replace(b"{", b"(" * 60, 1)[: len(whole)],
        header("<i8", (2**62, 4)) + bytes(64),
        header("<f8", (2**40,)) + bytes(64),
        header("<i8", (-3, -5)) + bytes(120),
        header("|O", (1,)) + pickle.dumps([1]),
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 64,
        b"\x93NUMPY\x01\x00\xff\xff{'descr': " + b"(" * 30_000,
    )
    return packed(members | {name: other[random.randint(len(other))]})


def out_of_range(data: bytes, random: RandomState) -> bytes:
    """Set a version or a count to what none can be."""
    members = members_of(data)
    names = ("format_version", "trace_version", "samples_seen", "bits")
    known = [f"{name}.npy" for name in names if f"{name}.npy" in members]
    name = known[random.randint(len(known))]
    values = (-1, -(2**63), 2**63 - 1) if name != "samples_seen.npy" else (-1, -(2**63))
    value = values[random.randint(len(values))]
    return packed(members | {name: npy(np.array(value, np.int64))})


def without_definition(data: bytes, random: RandomState) -> bytes:
    """Put text into the definition that defines nothing."""
    members = members_of(data)
    if "definition.npy" not in members:
        return no_array(data, random)
    text = DEFINITIONS[random.randint(len(DEFINITIONS))]
    return packed(members | {"definition.npy": npy(np.frombuffer(text, np.uint8))})


def with_bomb(data: bytes, random: RandomState) -> bytes:
    """Let a member unpack to half a gigabyte of zeros, whatever its header says."""
    members = members_of(data)
    name = a_member(members, random) if random.randint(4) else "unused.npy"
    starts = (
        b"",
        header("|u1", (BOMB,)),
        header("<i8", (BOMB // 8,)),
        members.get(name, b"")[:128],
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, content in members.items():
            if other != name:
                archive.writestr(other, content)
        with archive.open(name, "w") as member:
            member.write(starts[random.randint(len(starts))])
            for _ in range(BOMB // 2**20):
                member.write(bytes(2**20))
    return buffer.getvalue()


def compressed(data: bytes, random: RandomState, damage: Damage | None = None) -> bytes:
    """Store the same arrays compressed, and damage that."""
    method = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[random.randint(3)]
    again = packed(members_of(data), method=method)
    return again if damage is None else damage(again, random)


def damages(damage_of_bytes: Damage) -> list[Damage]:
    """Return what an npz file is damaged by, beside its bytes; a bomb is rare, since it is slow."""
    usual = [renamed, doubled, removed, of_another_kind, no_array, out_of_range, without_definition]
    packings = [partial(compressed, damage=damage_of_bytes), compressed]
    return usual * 4 + packings * 2 + [with_bomb]
