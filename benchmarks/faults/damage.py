"""Damage to the bytes of any file."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from functools import partial

from numpy.random import RandomState

Damage = Callable[[bytes, RandomState], bytes]

#: Numbers that a damaged header may state.
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def region(data: bytes, random: RandomState, longest: int = 64) -> tuple[int, int]:
    """Return where a random region begins and ends."""
    start = random.randint(len(data))
    return start, min(len(data), start + random.randint(1, longest + 1))


def truncated(data: bytes, random: RandomState) -> bytes:
    return data[: random.randint(len(data))]


def without_end(data: bytes, random: RandomState) -> bytes:
    return data[: -random.randint(1, min(30, len(data)))]


def flipped(data: bytes, random: RandomState) -> bytes:
    changed = bytearray(data)
    for place in random.randint(len(data), size=random.choice((1, 1, 2, 8))):
        changed[place] ^= 1 << random.randint(8)
    return bytes(changed)


def exchanged(data: bytes, random: RandomState) -> bytes:
    """Exchange two blocks of equal length."""
    length = random.choice((1, 2, 16, 64))
    first, second = sorted(random.randint(max(1, len(data) - length), size=2))
    second = max(second, first + length)
    a, b = data[first : first + length], data[second : second + length]
    return data[:first] + b + data[first + length : second] + a + data[second + length :]


def overwritten(data: bytes, random: RandomState, zeros: bool) -> bytes:
    start, stop = region(data, random)
    filling = bytes(stop - start) if zeros else random.bytes(stop - start)
    return data[:start] + filling + data[stop:]


def repeated(data: bytes, random: RandomState) -> bytes:
    start, stop = region(data, random)
    return data[:stop] + data[start:stop] * random.randint(1, 4) + data[stop:]


def cut_out(data: bytes, random: RandomState) -> bytes:
    start, stop = region(data, random)
    return data[:start] + data[stop:]


def longer(data: bytes, random: RandomState) -> bytes:
    return data + random.bytes(random.randint(1, 65))


def replaced(_: bytes, random: RandomState) -> bytes:
    """Return what is no such file at all."""
    text = b"no such file\n"
    return (b"", b"\0" * 64, text, random.bytes(200), gzip.compress(text))[random.randint(5)]


def another_number(data: bytes, random: RandomState) -> bytes:
    """Set a number of the first or last bytes, where most formats keep theirs, to an extreme."""
    n_bytes = int(random.choice((1, 2, 4, 8)))
    room = min(len(data), 128)
    place = random.randint(room)
    if random.randint(2):
        place = len(data) - room + place
    value = EXTREMES[random.randint(len(EXTREMES))] % 256**n_bytes
    number = value.to_bytes(n_bytes, ("little", "big")[random.randint(2)])
    return (data[:place] + number + data[place + n_bytes :])[: max(len(data), place + n_bytes)]


#: What any file is damaged by, the most likely accidents several times.
ANY: Sequence[Damage] = (
    truncated,
    truncated,
    without_end,
    flipped,
    flipped,
    flipped,
    exchanged,
    partial(overwritten, zeros=True),
    partial(overwritten, zeros=False),
    repeated,
    cut_out,
    longer,
    replaced,
    another_number,
    another_number,
)
