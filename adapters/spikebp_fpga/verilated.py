"""The core in Verilator: compiled once for a machine, and loaded with the numbers of a network."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pooch
from numpy.typing import NDArray

from spikebp_fpga.layout import FOLDER, Layout
from spikebp_fpga.memory import memories_of, state_of
from spikebp_fpga.tokens import SUMS, WEIGHTS
from spikebp_plugins.common.archive import whole_file
from spikebp_plugins.common.notice import announced
from spikebp_plugins.network.state import LearningState

#: The core; its first source has the numbers of a network, and is a template.
NETWORK: Final = "hdl/spikebp_network.svh"
SOURCES: Final = tuple(sorted((FOLDER / "hdl").glob("spikebp_*.sv")))
CORE: Final = "spikebp_core"
HARNESS: Final = FOLDER / "harness.cpp"

#: What a chip begins with may be anything, and so may what the simulation does.
VERILATOR_FLAGS: Final = ("-O3", "--x-assign", "unique", "--x-initial", "unique")
#: -O2 takes twice as long to compile, for an eighth of the time of a clock.
COMPILER_FLAGS: Final = ("-fPIC", "-O1", "-std=c++17", "-pthread")
RUNTIME: Final = ("verilated.cpp", "verilated_threads.cpp")

#: Outcomes of a sample besides the number of its events.
REFUSED, NOT_SHOWN = -1, -2

Integers = NDArray[np.int64]


def why_no_verilator() -> str | None:
    """Return what is missing to simulate the core, or None if nothing is."""
    if shutil.which("verilator") is None:
        return (
            "it needs Verilator, and no verilator is on the PATH: on Debian and Ubuntu "
            "`apt install verilator` brings it, with a compiler of C++"
        )
    if shutil.which(_compiler()[0]) is None:
        return f"it needs a compiler of C++, and no {_compiler()[0]} is on the PATH"
    return None


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def _flags() -> list[str]:
    return [*COMPILER_FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]


def _run(command: Sequence[Any]) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))} failed: {done.stderr.strip()}")
    return done.stdout.strip()


@cache
def library_for(numbers: str) -> ctypes.CDLL:
    """Return the library of the core with the text of `NETWORK`, from the cache or compiled.

    Raises
    ------
    RuntimeError
        If Verilator or the compiler refuses the core; the message has what it printed.
    """
    with announced((library_for, numbers)):
        runtime = _cached("runtime.o", (), _compiled_runtime)
        sources = [path.read_bytes() for path in (*SOURCES, HARNESS)]
        library = _cached("core.so", (numbers, sources), lambda: _compiled_core(numbers, runtime))
    return ctypes.CDLL(str(library))


def _cached(name: str, known: tuple[Any, ...], compiled: Callable[[], bytes]) -> Path:
    """Return a file of the cache, which is compiled if what is known of it is new."""
    known += (_run(["verilator", "--version"]), _compiler(), _flags())
    path = Path(pooch.os_cache("spikebp-plugins")) / "fpga" / name
    path = path.with_stem(f"{path.stem}-{hashlib.sha256(repr(known).encode()).hexdigest()[:20]}")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = compiled()
        with whole_file(path) as file:
            file.write(content)
    return path


def _compiled(sources: Iterable[Path], *others: Any) -> bytes:
    """Return what comes of sources, as one: so they are compiled in half the time of many."""
    root = _runtime_folder()
    with tempfile.TemporaryDirectory(prefix="spikebp-") as name:
        unity, output = Path(name) / "all.cpp", Path(name) / "output"
        unity.write_text("".join(f'#include "{path}"\n' for path in sources), "utf-8")
        includes = [f"-I{root}", f"-I{root / 'vltstd'}"]
        _run([*_compiler(), *_flags(), *includes, unity, *others, "-o", output])
        return output.read_bytes()


def _compiled_runtime() -> bytes:
    return _compiled([_runtime_folder() / name for name in RUNTIME], "-c")


def _runtime_folder() -> Path:
    return Path(_run(["verilator", "--getenv", "VERILATOR_ROOT"])) / "include"


def _compiled_core(numbers: str, runtime: Path) -> bytes:
    with tempfile.TemporaryDirectory(prefix="spikebp-") as name:
        folder = Path(name)
        network = folder / "spikebp_network.svh"
        network.write_text(numbers, "utf-8")
        flags = ["--cc", *VERILATOR_FLAGS, "--top-module", CORE, "--Mdir", folder]
        _run(["verilator", *flags, network, *SOURCES])
        sources = [*sorted(folder.glob("V*.cpp")), HARNESS]
        return _compiled(sources, f"-I{folder}", runtime, "-shared")


class Shown(NamedTuple):
    """A sample, and what the core says of it.

    Attributes
    ----------
    drives : ndarray of shape (n_steps, n_outputs), int64
        The summed drive of the output after each step, in units of 2^-f.
    events : ndarray of shape (most, 5), int64
        Step, layer, unit, spikes, and error of each unit that sent any.
    clocks : ndarray of shape (1,), int64
        The clocks of the sample.
    outcome : ndarray of shape (1,), int64
        How many of the events there are, `REFUSED`, or `NOT_SHOWN`. The harness writes it, so that
        it is right after an interrupt.
    """

    drives: Integers
    events: Integers
    clocks: Integers
    outcome: Integers

    @property
    def has_fitted(self) -> bool:
        """Whether it was shown, and all numbers fitted."""
        return bool(self.outcome[0] >= 0)


class VerilatedCore:
    """The core in this process, with the numbers of a network.

    Parameters
    ----------
    layout : Layout
        The network, with memories as deep as the simulation has them.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._library = library = library_for(layout.written(NETWORK, image="", network=0))
        library.open_core.restype = ctypes.c_void_p
        library.show_tokens.restype = ctypes.c_int64
        self._core = ctypes.c_void_p(
            library.open_core(ctypes.c_int64(layout.sum_bits), ctypes.c_int64(layout.count_bits))
        )
        weakref.finalize(self, library.close_core, self._core)
        network, bits = layout.network
        n_bytes = -(-bits // 8)
        library.set_network(
            self._core, ctypes.c_int64(n_bytes), network.to_bytes(n_bytes, "little")
        )
        n_outputs = layout.sizes[-1]
        self._outputs = [*map(_row, layout.units_at(layout.drive_at[-1], n_outputs))]

    def write(self, memory: int, lanes: Integers, places: Integers, numbers: Integers) -> None:
        """Write numbers to a memory, each to a place of a lane."""
        arrays = [_row(array) for array in (lanes, places, numbers)]
        self._library.write_words(
            self._core, ctypes.c_int64(memory), ctypes.c_int64(arrays[2].size), *map(_at, arrays)
        )

    def read(self, memory: int, lanes: Integers, places: Integers) -> Integers:
        """Return the numbers at places of lanes of a memory, in the shape of these."""
        numbers = np.empty(lanes.shape, np.int64)
        arrays = [_row(lanes), _row(places), numbers]
        self._library.read_words(
            self._core, ctypes.c_int64(memory), ctypes.c_int64(numbers.size), *map(_at, arrays)
        )
        return numbers

    def room(self, n_steps: int) -> Shown:
        """Return room for what the core says of a sample, which was not shown yet."""
        sizes = self.layout.sizes
        return Shown(
            drives=np.zeros((n_steps, sizes[-1]), np.int64),
            events=np.empty((2 * n_steps * sum(sizes[1:]), 5), np.int64),
            clocks=np.zeros(1, np.int64),
            outcome=np.array([NOT_SHOWN]),
        )

    def show(self, tokens: Integers, shown: Shown, stalls: int = 0) -> None:
        """Show a sample, and close it. If a number does not fit, the core is as it was before.

        Parameters
        ----------
        tokens : ndarray of shape (n, 3), int64
            Kind, unit and value of all tokens but the one that closes the sample.
        shown : Shown
            Room for as many steps as are among them.
        stalls : int, default=0
            Not 0: where the random clocks begin in which no token comes.
        """
        self._library.show_sample(
            self._core,
            ctypes.c_int64(len(tokens)),
            _at(tokens),
            ctypes.c_int64(self.layout.sizes[-1]),
            *map(_at, self._outputs),
            _at(shown.drives),
            _at(shown.events),
            ctypes.c_int64(len(shown.events)),
            _at(shown.clocks),
            ctypes.c_int64(stalls),
            _at(shown.outcome),
        )

    def show_tokens(self, tokens: Integers) -> bool:
        """Give it tokens; return whether the sample that was closed last has fitted."""
        n = ctypes.c_int64(len(tokens))
        return bool(self._library.show_tokens(self._core, n, _at(tokens)))

    def read_state(self, state: LearningState) -> None:
        """Take over what was learned, all of which fits."""
        for memory, words in zip((WEIGHTS, SUMS), memories_of(self.layout, state), strict=True):
            lanes, places = np.indices(words.shape)
            self.write(memory, lanes, places, words)

    def write_state(self, before: LearningState, samples_seen: int) -> LearningState:
        """Return what was learned, with the feedback of an earlier state."""
        P, depths = self.layout.lanes, (self.layout.weight_depth, self.layout.host_sums)
        weights, sums = (
            self.read(memory, *np.indices((P, depth)))
            for memory, depth in zip((WEIGHTS, SUMS), depths, strict=True)
        )
        return state_of(self.layout, weights, sums, before, samples_seen)


def _row(array: Integers) -> Integers:
    return np.ascontiguousarray(array, np.int64).ravel()


def _at(array: Integers) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
