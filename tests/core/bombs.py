"""Small files that unpack to more than anyone wants to hold."""

import io
import tracemalloc
import zipfile

import numpy as np

#: Bytes of zeros that a bomb unpacks: more than a test may take, and quickly written.
ZEROS = 2**26


def header(array_type, shape):
    """Return the start of an npy file."""
    start = io.BytesIO()
    about = {"descr": array_type, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(start, about)
    return start.getvalue()


def add_bomb(path, name, start=b"", n_zeros=ZEROS):
    """Replace a member of an npz file by one that unpacks to zeros; `start` comes before them."""
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    members.pop(name, None)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for kept, content in members.items():
            archive.writestr(kept, content)
        with archive.open(name, "w") as member:
            member.write(start)
            for _ in range(n_zeros // 2**20):
                member.write(bytes(2**20))


def most_memory(call):
    """Return the most bytes that Python and NumPy held at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
