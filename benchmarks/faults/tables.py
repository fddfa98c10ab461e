"""Damage to what is particular to IDX files, recordings and lists of epochs."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence

from damage import ANY, EXTREMES, Damage
from numpy.random import RandomState

#: Bytes that a bomb unpacks to: more than a reader may take.
BOMB = 2**29


def another_shape(data: bytes, random: RandomState) -> bytes:
    """Change a number of an IDX header: type, dimensions, or the size of one."""
    place = random.randint(2, 4 + 4 * data[3])
    if place < 4:
        return data[:place] + bytes([random.randint(256)]) + data[place + 1 :]
    place -= place % 4
    size = EXTREMES[random.randint(len(EXTREMES))] % 2**32
    return data[:place] + size.to_bytes(4, "big") + data[place + 4 :]


def many_dimensions(data: bytes, random: RandomState) -> bytes:
    n_dimensions = random.randint(4, 256)
    sizes = b"".join(int(s).to_bytes(4, "big") for s in random.choice((0, 1, 2, 2**31), 255))
    return data[:3] + bytes([n_dimensions]) + sizes[: 4 * n_dimensions] + data[4 + 4 * data[3] :]


def zipped_anew(data: bytes, random: RandomState) -> bytes:
    """Damage what a gzipped file holds, so that its checksum is right."""
    damages = (another_shape, many_dimensions, *ANY[:3])
    return gzip.compress(damages[random.randint(len(damages))](gzip.decompress(data), random))


def in_parts(data: bytes, random: RandomState) -> bytes:
    """Put gzipped members one behind the other; some are damaged or of something else."""
    whole = gzip.decompress(data)
    cut = random.randint(len(whole) + 1)
    ends = (b"", b"\0" * 20, b"junk", gzip.compress(b"more"), data, b"\x1f\x8b")
    end = ends[random.randint(len(ends))]
    return gzip.compress(whole[:cut]) + gzip.compress(whole[cut:]) + end


def zip_bomb(data: bytes, random: RandomState) -> bytes:
    """Let half a gigabyte of zeros follow a header that states less or more."""
    header = gzip.decompress(data)[: 4 + 4 * data[3]]
    sizes = ((2**32 - 1,) * 3, (2, 28, 28), (0, 0, 0), (2**31, 1, 1))[random.randint(4)]
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in sizes)
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(header)]
    parts += [packer.compress(bytes(2**20)) for _ in range(BOMB // 2**20)]
    return b"".join(parts) + packer.flush()


def another_event(data: bytes, random: RandomState) -> bytes:
    """Give an event a row, a column or a time that no event has there."""
    place = 5 * random.randint(len(data) // 5)
    event = bytearray(data[place : place + 5])
    where = random.randint(5)
    event[where] = random.choice((0, 34, 127, 239, 240, 241, 255))
    return data[:place] + bytes(event) + data[place + 5 :]


def other_order(data: bytes, random: RandomState) -> bytes:
    """Exchange two events, or leave some out."""
    events = [data[i : i + 5] for i in range(0, len(data), 5)]
    first, second = sorted(random.randint(len(events), size=2))
    if random.randint(2):
        events[first], events[second] = events[second], events[first]
    else:
        del events[first:second]
    return b"".join(events)


def another_value(data: bytes, random: RandomState) -> bytes:
    """Put something that no list of epochs holds in the place of one value."""
    values = json.loads(data)
    epoch = values["done"][random.randint(len(values["done"]))]
    other = (None, 5, "text", [], {}, [None], [[1]], [{}], [5], True, float("nan"), 10**400)
    wrong = other[random.randint(len(other))]
    place = random.randint(4)
    if place == 0:
        values["done"] = wrong
    elif place == 1:
        values["done"][0] = wrong
    elif place == 2:
        epoch[("test_error", "operations", "unknown")[random.randint(3)]] = wrong
    else:
        epoch["operations"][("updates", "unknown")[random.randint(2)]] = wrong
    return json.dumps(values).encode()


def no_epochs(data: bytes, random: RandomState) -> bytes:
    deep = 100_000
    texts = (
        b'{"done": ' + b"[" * deep + b"]" * deep + b"}",
        b'{"done": ' * deep,
        b"[]",
        b"null",
        b'"done"',
        b'{"dome": []}',
        b'{"done": {"0": 1}}',
        b'{"done": ' + b"9" * 5000 + b"}",
        data[: len(data) // 2] + b"\xff" + data[len(data) // 2 :],
        data.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + data,
    )
    return texts[random.randint(len(texts))]


IDX: Sequence[Damage] = (another_shape, many_dimensions)
ZIPPED_IDX: Sequence[Damage] = (zipped_anew,) * 8 + (in_parts,) * 4 + (zip_bomb,)
RECORDINGS: Sequence[Damage] = (another_event, another_event, other_order)
EPOCHS: Sequence[Damage] = (another_value, another_value, no_epochs)
