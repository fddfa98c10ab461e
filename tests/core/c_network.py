"""A program in C, compiled for this machine and called step by step, as a user of it would."""

import ctypes

import numpy as np

from spikebp_plugins import Checkpoint
from spikebp_plugins.embedded import from_state_bytes
from spikebp_plugins.embedded.host_library import HostLibrary
from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.embedded.state_bytes import bytes_of

RESULTS = (
    "OK",
    "OUTSIDE",
    "TOO_LONG",
    "MIXED",
    "WRONG_LABEL",
    "WRONG_INPUT",
    "SAMPLE_IS_OPEN",
    "NO_SAMPLE",
    "WRONG_STATE",
)
NO_LABEL, GIVEN_TARGET = -1, -2


class CNetwork:
    """The functions of a program; each returns the word for its result."""

    def __init__(self, checkpoint, weight_bits=64, incremental=True):
        self.checkpoint = checkpoint
        self.network = NetworkInC.of(checkpoint.net, weight_bits, incremental)
        self.host = HostLibrary(self.network)
        self.host.read_state(checkpoint.state)
        self.library = self.host._library
        self.library.net_summed_drive.restype = ctypes.c_void_p

    def call(self, name, *arguments):
        arguments = [
            a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else a for a in arguments
        ]
        return RESULTS[getattr(self.library, f"net_{name}")(*arguments)]

    def units(self, values):
        bits = self.network.types.state_bits // 8
        return np.ascontiguousarray(self.network.units(np.asarray(values, float)), f"i{bits}")

    def counts(self, values):
        return np.ascontiguousarray(values, f"i{self.network.types.count_bits // 8}")

    def listed(self, row):
        """Return a row of integers as a list of those that are not zero."""
        units = np.flatnonzero(row)
        kind = [("unit", np.int32), ("number", f"i{self.network.types.state_bits // 8}")]
        entries = np.empty(len(units), np.dtype(kind, align=True))
        entries["unit"], entries["number"] = units, row[units]
        return entries

    def set_target(self, values):
        self.library.net_set_target(self.units(values).ctypes.data_as(ctypes.c_void_p))

    @property
    def scores(self):
        n = self.network.net.n_outputs
        kind = ctypes.c_int32 if self.network.types.state_bits == 32 else ctypes.c_int64
        drive = ctypes.cast(self.library.net_summed_drive(), ctypes.POINTER(kind))
        steps = self.library.net_steps()
        return (
            np.array(drive[:n]) * 2.0**-self.network.fraction_bits / steps if steps else np.zeros(n)
        )

    @property
    def state_bytes(self):
        data = ctypes.create_string_buffer(self.network.state_size)
        assert self.call("write_state", 0, data, len(data)) == "OK"
        return data.raw

    @property
    def learned(self):
        return from_state_bytes(self.state_bytes, self.checkpoint)

    def bytes_of(self, checkpoint):
        return bytes_of(self.network, checkpoint.state)


def assert_same(one: Checkpoint, other: Checkpoint):
    assert one.state.samples_seen == other.state.samples_seen
    for name in ("weights", "backward_potentials", "feedback"):
        for a, b in zip(getattr(one.state, name), getattr(other.state, name), strict=True):
            assert np.array_equal(a, b), name
