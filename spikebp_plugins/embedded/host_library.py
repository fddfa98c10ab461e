"""A network in C, compiled for this machine and loaded: samples in blocks, and the state."""

from __future__ import annotations

import _ctypes
import ctypes
import sys
import tempfile
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.embedded.c_program import program_of
from spikebp_plugins.embedded.host_samples import ListsInC, SamplesInC
from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.embedded.state_bytes import bytes_of, state_of
from spikebp_plugins.embedded.templates import fill
from spikebp_plugins.embedded.toolchain import LIBRARY_NAME, compiled_library
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState

if sys.platform == "win32":
    _UNLOAD = _ctypes.FreeLibrary
else:
    _UNLOAD = _ctypes.dlclose

#: Compiled libraries that a process keeps, of some tens of kilobytes.
LIBRARIES_KEPT: Final = 64

#: The kinds of work that a network has done.
DONE: Final = ("rows_read", "multiply_adds")

#: The counts, in the order of C: operations by the rules, work done, samples, and those with a
#: target.
WORK: Final = (
    *("forward", "backward", "update", "spikes", "errors", "messages", "met"),
    *DONE,
    *("shown", "trained"),
)


class _HostBlock(ctypes.Structure):
    """``struct host_block`` of `host.c`."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("n_samples", "n_steps", "kind", "x_rows", "y_rows")),
        *(
            (name, ctypes.c_void_p)
            for name in ("x", "begin", "y", "spikes", "errors", "drive", "scores", "work")
        ),
    ]


class CBlockResult(NamedTuple):
    """The results of a block of samples, in the integers of C.

    Attributes
    ----------
    n : int
        The number of samples shown. With the next one a number would leave its type.
    drive : ndarray of shape (n_samples, n_outputs)
        The summed drive of the output.
    spikes, errors, step_drive : ndarray of shape (n_samples, duration, n) or None
        Spikes of all units, errors of all but the input, and summed drive of the output, by step.
    """

    n: int
    drive: NDArray[Any]
    spikes: NDArray[Any] | None
    errors: NDArray[Any] | None
    step_drive: NDArray[Any] | None


class HostLibrary:
    """A network in C in this process, with numbers of its own.

    Parameters
    ----------
    network : NetworkInC
        The network.

    Attributes
    ----------
    work : ndarray of shape (11,), int64
        Counts of `WORK` so far.
    """

    def __init__(self, network: NetworkInC) -> None:
        self.network = network
        self.work = np.zeros(len(WORK), np.int64)
        types = network.types
        self.state_dtype, self.count_dtype, self.weight_dtype = (
            np.dtype(f"i{bits // 8}")
            for bits in (types.state_bits, types.count_bits, types.weight_bits)
        )
        # The numbers of a library are static, so each network has to load a file of its own.
        with tempfile.TemporaryDirectory(prefix="spikebp-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, LIBRARY_NAME)
            path.write_bytes(_compiled(network.net, types.weight_bits, network.incremental))
            self._library = ctypes.CDLL(str(path))
        # Not at the end of the process: what closes simulators then still asks for their state.
        weakref.finalize(self, _UNLOAD, self._library._handle).atexit = False
        self._library.host_show.restype = ctypes.c_int64
        self._library.host_feedback.restype = ctypes.c_void_p

    def read_state(self, state: LearningState) -> None:
        """Replace the state of the network by one that fits the types."""
        feedback = np.ascontiguousarray(self.network.feedback(state), self.weight_dtype)
        if feedback.size:
            ctypes.memmove(self._library.host_feedback(), feedback.ctypes.data, feedback.nbytes)
        data = bytes_of(self.network, state)
        if self._library.net_read_state(0, data, len(data)) != 0:
            raise RuntimeError("a network in C has refused its own state")

    def write_state(self, before: LearningState) -> LearningState:
        """Return the learning state, with the feedback of an earlier one."""
        data = ctypes.create_string_buffer(self.network.state_size)
        if self._library.net_write_state(0, data, len(data)) != 0:
            raise RuntimeError("a network in C has not given its state")
        return state_of(self.network, data.raw, before)

    @property
    def counts(self) -> dict[str, int]:
        """The work so far, by its kind."""
        return dict(zip(WORK, self.work.tolist(), strict=True))

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        seen = self._library.net_samples_seen
        seen.restype = ctypes.c_uint64
        return int(seen())

    def show(self, samples: SamplesInC, record: bool) -> CBlockResult:
        """Show samples in order, and learn from each if there are targets.

        Parameters
        ----------
        samples : SamplesInC
            The samples.
        record : bool
            Whether to return every spike and error.
        """
        kind, x, y, n_steps = samples
        net, n = self.network.net, len(x)
        lists = x if isinstance(x, ListsInC) else None
        rows = np.ascontiguousarray(x if lists is None else lists.entries)
        drive = np.empty((n, net.n_outputs), self.state_dtype)
        records: list[NDArray[Any] | None] = [None, None, None]
        if record:
            duration = n_steps + (0 if y is None else self.network.steps_after)
            units = sum(net.layer_sizes)
            records = [
                np.empty((n, duration, units), self.count_dtype),
                np.empty((n, duration, units - net.n_inputs), self.count_dtype),
                np.empty((n, duration, net.n_outputs), self.state_dtype),
            ]
        y = None if y is None else np.ascontiguousarray(y)
        begin = None if lists is None else lists.begin
        arrays = [rows, begin, y, *records, drive, self.work]
        block = _HostBlock(
            n,
            n_steps,
            kind,
            rows.shape[1] if lists is None else lists.n_rows,
            0 if y is None else y.shape[1],
            *(None if array is None else array.ctypes.data for array in arrays),
        )
        return CBlockResult(self._library.host_show(ctypes.byref(block)), drive, *records)


@lru_cache(LIBRARIES_KEPT)
def _compiled(net: Definition, weight_bits: int, incremental: bool) -> bytes:
    network = NetworkInC(net, weight_bits, incremental)
    program = program_of(network, None)
    host = fill("host.c", {}, network.constants())
    return compiled_library(
        {"net.c": program.source, "net.h": program.header, "host.c": host}, "host.c"
    )
