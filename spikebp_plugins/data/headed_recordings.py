"""Recordings of event cameras in files whose header says what they are.

After lines of text come events of eight bytes, a time in microseconds and an address:

- DAT of Prophesee (cameras of 304 x 240, 640 x 480 and 1280 x 720): lines begin with "%", and two
  bytes follow, the type of the events and their size. Both numbers are little-endian, the time
  first. From the lowest bit up, an address has 14 bits of x, 14 of y and 4 of p.
- AEDAT 2.0 of jAER, of a DAVIS346 (346 x 260): lines begin with "#". Both numbers are big-endian,
  the address first: bits 12 to 21 have x, 22 to 30 have y, and 11 has p. x and y count from the
  corner that is opposite to that of an image. Bit 31 marks samples of frames and of the inertial
  sensor, and bit 10 signals from outside.

The counter of time has 32 bits, and runs over.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.data.events import EVENT_DTYPE

Array = NDArray[Any]

#: The types of events of a DAT file: those of pixels, as old and as new cameras name them.
DAT_TYPES: Final = (0, 12)
DAVIS346: Final = (346, 260)
BYTES_PER_EVENT: Final = 8


def has_header(data: bytes) -> bool:
    """Return whether a file begins with a header of one of these formats."""
    return data.startswith(b"#!AER-DAT") or re.match(rb"% [A-Za-z]", data) is not None


def headed_events(name: str, data: bytes) -> Array:
    """Return the events of a file.

    Parameters
    ----------
    name : str
        Its name, for a message.
    data : bytes
        All of it.

    Raises
    ------
    ValueError
        If it has events of another kind, or ends within one.
    """
    mark = data[:1]
    # Events may begin with the byte of the mark. They are no text: times have bytes of zero.
    lines = re.match(rb"(%s[^\x00-\x08\x0e-\x1f\n]*\n)*" % mark, data)
    assert lines is not None
    begin, text = lines.end(), lines.group().decode("latin-1")
    if mark == b"%":
        kind = tuple(data[begin : begin + 2])
        if kind not in [(of_pixels, BYTES_PER_EVENT) for of_pixels in DAT_TYPES]:
            raise ValueError(
                f"{name} has no events of pixels of eight bytes, the type and size 0 or 12 and 8 "
                f"of a DAT file; got {kind}"
            )
        time, address = _numbers(name, data, begin + 2, "<u4").T
        x, y, p = address & 0x3FFF, address >> 14 & 0x3FFF, address >> 28
    else:
        if not text.startswith("#!AER-DAT2.") or "DAVIS346" not in text.upper():
            first = text.partition("\n")[0].strip()
            raise ValueError(
                f"{name} is no AEDAT 2.0 of a DAVIS346, as its header would say; it begins with "
                f"{first!r}: read it with a tool of its format, such as tonic.io.read_aedat4"
            )
        address, time = _numbers(name, data, begin, ">u4").T
        is_pixel = address & (1 << 31 | 1 << 10) == 0
        address, time = address[is_pixel], time[is_pixel]
        width, height = DAVIS346
        x, y = width - 1 - (address >> 12 & 0x3FF), height - 1 - (address >> 22 & 0x1FF)
        p = address >> 11 & 1
    events = np.empty(len(time), EVENT_DTYPE)
    runs_over = np.diff(time, prepend=time[:1]) < -(2**31)
    events["x"], events["y"], events["p"] = x, y, p
    events["t"] = time + (np.cumsum(runs_over) << 32)
    return events


def _numbers(name: str, data: bytes, begin: int, dtype: str) -> NDArray[np.int64]:
    """Return the two numbers of each event, of shape (n_events, 2)."""
    whole, rest = divmod(len(data) - begin, BYTES_PER_EVENT)
    if rest:
        raise ValueError(
            f"{name} is truncated: event {whole} has {rest} of {BYTES_PER_EVENT} bytes"
        )
    return np.frombuffer(data, dtype, offset=begin).astype(np.int64).reshape(whole, 2)
