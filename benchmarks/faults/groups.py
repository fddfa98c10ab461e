"""Damage to the groups and arrays of HDF5 files, which the library finds sound."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import h5py
import numpy as np
from damage import Damage
from numpy.random import RandomState

#: Numbers that an array claims to hold: more bytes than a reader may take.
CLAIMED = 2**28


def changed(data: bytes, change: Callable[[h5py.File], object]) -> bytes:
    """Return a file after a change."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def names_in(data: bytes, kind: type) -> list[str]:
    names: list[str] = []
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda name, node: names.append(name) if isinstance(node, kind) else None)
    return sorted(names)


def an_array(data: bytes, random: RandomState) -> str:
    names = names_in(data, h5py.Dataset)
    return names[random.randint(len(names))]


def any_name(data: bytes, random: RandomState) -> str:
    names = names_in(data, (h5py.Dataset, h5py.Group))
    return names[random.randint(len(names))]


def removed(data: bytes, random: RandomState) -> bytes:
    name = any_name(data, random)
    return changed(data, lambda file: file.__delitem__(name))


def renamed(data: bytes, random: RandomState) -> bytes:
    name = any_name(data, random)
    return changed(data, lambda file: file.move(name, f"{name}_renamed"))


def exchanged(data: bytes, random: RandomState) -> bytes:
    """Put a copy of something else in the place of an array or a group."""
    name, other = any_name(data, random), any_name(data, random)

    def change(file: h5py.File) -> None:
        file.copy(other, "copied")
        del file[name]
        file.move("copied", name)

    return changed(data, change)


def linked(data: bytes, random: RandomState) -> bytes:
    """Put a link that leads nowhere, to a group above it, or to another file in its place."""
    name = any_name(data, random)
    links = (
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/"),
        h5py.SoftLink(f"/{name}"),
        h5py.ExternalLink("/etc/passwd", "/"),
        h5py.ExternalLink("/dev/zero", "/"),
    )
    link = links[random.randint(len(links))]

    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return changed(data, change)


def another_array(data: bytes, random: RandomState) -> bytes:
    """Give an array another type or another shape."""
    name = an_array(data, random)

    def change(file: h5py.File) -> None:
        array = np.asarray(file[name][()])
        is_text = array.dtype.kind in "SO"
        number = np.zeros(3) if is_text else array
        others = (
            number.astype("c16"),
            np.asarray(["text"] * 3, h5py.string_dtype()),
            np.asarray(b"text"),
            np.zeros(3, [("a", "<i4"), ("b", "<f8")]),
            number[np.newaxis],
            np.zeros((0, 3)),
            h5py.Empty("f8"),
            np.full(number.shape, -1),
            np.full(number.shape, np.nan),
            np.full(number.shape, np.inf),
            np.full(number.shape, 1e300),
            np.full(number.shape, 2**62),
            number.astype("f2"),
            number.astype("?"),
        )
        del file[name]
        file[name] = others[random.randint(len(others))]

    return changed(data, change)


def claimed(data: bytes, random: RandomState) -> bytes:
    """Let an array claim more than the memory, with nothing or few bytes behind it."""
    name = an_array(data, random)
    shape = ((CLAIMED,), (2**40,), (2**20, 2**20))[random.randint(3)]
    ways = ({}, {"chunks": (2**16,) * len(shape)}, {"chunks": (64,) * len(shape)})
    way = dict(ways[random.randint(3)])
    if "chunks" in way:
        way["compression"] = "gzip"
        if len(shape) == 2:
            way["chunks"] = (2**8, 2**8)

    def change(file: h5py.File) -> None:
        array = file[name]
        kind = array.dtype if random.randint(2) and array.dtype.kind in "iufb" else "f8"
        del file[name]
        file.create_dataset(name, shape, kind, **way)

    return changed(data, change)


def with_bomb(data: bytes, random: RandomState) -> bytes:
    """Let an array unpack to a gigabyte of zeros, which are there."""
    name = an_array(data, random)

    def change(file: h5py.File) -> None:
        del file[name]
        array = file.create_dataset(
            name, (CLAIMED // 2,), "f8", chunks=(2**17,), compression="gzip"
        )
        array[: 2**17] = 0
        _, packed = array.id.read_direct_chunk((0,))
        # One chunk is packed once, and stored again and again.
        for place in range(2**17, CLAIMED // 2, 2**17):
            array.id.write_direct_chunk((place,), packed)

    return changed(data, change)


def nested(data: bytes, random: RandomState) -> bytes:
    """Put groups within groups within groups in the place of one thing."""
    name, depth = any_name(data, random), int(random.choice((50, 500, 5000)))

    def change(file: h5py.File) -> None:
        del file[name]
        group = file.create_group(name)
        for _ in range(depth):
            group = group.create_group("a")

    return changed(data, change)


#: What an HDF5 file is damaged by, beside its bytes; what is slow is rare.
GROUPS: Sequence[Damage] = (
    *[removed, renamed, exchanged, linked, another_array, another_array, claimed] * 4,
    nested,
    with_bomb,
)
