"""AER files of five bytes an event, written for tests to read."""

import numpy as np


def write_aer(path, events):
    """Write a recording; columns and rows have to fit into a byte, and times into 23 bits."""
    x, y, t, p = (events[name].astype(np.int64) for name in "xytp")
    columns = [x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]
    path.write_bytes(np.column_stack(columns).astype(np.uint8).tobytes())
