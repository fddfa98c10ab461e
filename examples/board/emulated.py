"""Builds a program for a board with a Cortex-M3 or M4, and runs it on a board that QEMU emulates.

The board's program is ``learn.c`` in this folder: it learns samples from a file of the host, and
writes what it has learned into another. QEMU emulates the processor, its memory and a timer, so
that the program is the very one that a board would run, but for the files of the host.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikebp_plugins import Checkpoint, to_c
from spikebp_plugins.embedded import from_state_bytes

HERE = Path(__file__).parent
LEARN = HERE / "learn.c"
SUPPORT = tuple(HERE / name for name in ("startup.c", "semihosting.c", "timer.c", "report.c"))

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"

#: What brings each tool on Debian and Ubuntu.
PACKAGES = {
    COMPILER: "gcc-arm-none-eabi",
    "newlib": "libnewlib-arm-none-eabi",
    EMULATOR: "qemu-system-arm",
}

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic")

#: Of the standard library a program takes what it uses, such as memcpy: nothing that starts the
#: library, and so neither a heap nor files.
LIBRARIES = ("-nostartfiles", "-T", str(HERE / "board.ld"), "-Wl,--fatal-warnings")

#: With ``-icount shift=0`` the clock that QEMU shows to the board is no time of the host: it goes
#: on by one nanosecond with each instruction that the processor executes, and by nothing else as
#: long as the program does not sleep, which these do not. The timer has 25 MHz, so that a tick of
#: 40 ns is 40 instructions. QEMU translates instructions in blocks, but one that reads a device
#: ends its block, so that the timer is read when exactly the instructions before have been counted.
#: Those that a condition has skipped (``it``) count too. What the host does for the program, with
#: its files, takes no instruction. So counts are the same in each run on any host, and right to a
#: tick at both ends: tests hold them against loops whose instructions are known. They are
#: instructions and not cycles: a division, a jump or slow memory takes more than one.
COUNTING = ("-icount", "shift=0")
INSTRUCTIONS_PER_TICK = 40

#: Symbols that a program must not have: arithmetic in floating point by software, and a heap.
FLOATING_POINT = re.compile(
    r"__aeabi_(c?[df]\w+|u?[il]2[df]|ul2[df]|h2f\w*)|__(fix|float)\w+|__\w+[sdh][fc]\d?"
)
HEAP = re.compile(r"_*(malloc|calloc|realloc|free|sbrk)(_r)?")


class Core(NamedTuple):
    """A processor, as the compiler and QEMU know it.

    Attributes
    ----------
    name : str
        Its name.
    cpu : str
        The option of the compiler.
    machine : str
        The machine of QEMU that has it.
    floats : {"soft", "hard"}, default="soft"
        Whether programs may use a unit for floating point.
    """

    name: str
    cpu: str
    machine: str
    floats: str = "soft"


CORES = {
    "M3": Core("Cortex-M3", "cortex-m3", "mps2-an385"),
    "M4": Core("Cortex-M4", "cortex-m4", "mps2-an386"),
}


class Program(NamedTuple):
    """A program for a board, linked.

    Attributes
    ----------
    path : Path
        The file in ELF format.
    core : Core
        The processor.
    code : int
        Bytes of code and constants.
    data : int
        Bytes of variables that begin with a value, which is in flash as well.
    bss : int
        Bytes of variables that begin at zero.
    stack : int
        Bytes that are kept for the stack.
    network : int
        Bytes of code of the network alone, without its tables.
    """

    path: Path
    core: Core
    code: int
    data: int
    bss: int
    stack: int
    network: int

    @property
    def ram(self) -> int:
        """Bytes that change, those of the stack included."""
        return self.data + self.bss + self.stack


class LearningResult(NamedTuple):
    """What a board has made of samples.

    Attributes
    ----------
    state : bytes
        What it has learned.
    samples, wrong, undone : int
        Samples shown; those that it took for another class before it learned them; and those that
        it did not learn, since a number would have left its type.
    to_predict, to_learn : float
        Instructions that each took for one sample, on average.
    stack_used : int
        The most bytes of the stack that were in use.
    """

    state: bytes
    samples: int
    wrong: int
    undone: int
    to_predict: float
    to_learn: float
    stack_used: int


def why_no_board() -> str | None:
    """Return which tool is missing and what brings it, or None if all are there."""
    missing = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    if COMPILER not in missing:
        # A file that the compiler does not find comes back as it was named.
        library = _output([COMPILER, "-print-file-name=libc.a"]).strip()
        missing += ["newlib"] if library == "libc.a" else []
    if not missing:
        return None
    packages = " ".join(PACKAGES[tool] for tool in missing)
    return f"{' and '.join(missing)} not found: on Debian and Ubuntu `apt install {packages}` helps"


def build(
    folder: Path,
    core: Core,
    target: Path,
    main: Path = LEARN,
    options: Iterable[str] = (),
    compiler: Sequence[str] = (COMPILER,),
) -> Program:
    """Compile and link a program.

    Parameters
    ----------
    folder : Path
        Where `net.c` and its headers are, as ``to_c(checkpoint).save(folder)`` writes them.
    core : Core
        The processor.
    target : Path
        The file to write.
    main : Path, default=LEARN
        The program that uses the network.
    options : iterable of str, optional
        What else the compiler is told, such as a library that the network needs.
    compiler : sequence of str, optional
        The command of another compiler for the network alone, such as `clang`.

    Raises
    ------
    RuntimeError
        If the compiler warns, or the program does not fit; the message has what was printed.
    """
    machine = (f"-mcpu={core.cpu}", "-mthumb", f"-mfloat-abi={core.floats}")
    flags = (*machine, *WARNINGS, "-Werror", "-O2", "-I", str(folder), "-I", str(HERE))
    network = target.with_suffix(".o")
    _output([*compiler, *flags, "-c", folder / "net.c", "-o", network])
    _output([COMPILER, *flags, network, main, *SUPPORT, *LIBRARIES, *options, "-o", target])
    sizes = _sections(target)
    code = sum(size for name, size in _sections(network).items() if name.startswith("text"))
    return Program(target, core, *(sizes[name] for name in ("text", "data", "bss", "stack")), code)


def _sections(path: Path) -> dict[str, int]:
    """Return the bytes of each section of a program, or of a part of it."""
    listed = re.findall(r"^\.(\S+) +(\d+) ", _output(["arm-none-eabi-size", "-A", path]), re.M)
    return {name: int(size) for name, size in listed}


def symbols_of(path: Path) -> set[str]:
    """Return the names of all functions and variables of a program."""
    listed = _output(["arm-none-eabi-nm", "--format=just-symbols", path])
    return set(listed.split())


def unwanted(symbols: Iterable[str]) -> list[str]:
    """Return the names of arithmetic in floating point by software, and of a heap."""
    return sorted(
        name for name in symbols if FLOATING_POINT.fullmatch(name) or HEAP.fullmatch(name)
    )


def emulate(program: Program, folder: Path, *words: str, timeout: float = 300) -> str:
    """Run a program on the emulated board, and return what it prints.

    Parameters
    ----------
    program : Program
        The program.
    folder : Path
        Where its files are.
    *words : str
        What it is started with, without spaces.
    timeout : float, default=300
        Seconds after which it is stopped.

    Raises
    ------
    RuntimeError
        If it ends with a code other than 0; the message has the code, and what was printed.
    """
    # Without quotes or commas, which QEMU would take for its own.
    assert all(re.fullmatch(r"[\w.-]+", word) for word in words)
    arguments = ",".join(f"arg={word}" for word in (program.path.stem, *words))
    devices = ["-display", "none", "-monitor", "none", "-serial", "none"]
    console = ["-chardev", "stdio,id=console"]
    host = f"enable=on,target=native,chardev=console,{arguments}"
    command = [EMULATOR, "-machine", program.core.machine, *devices, *console, *COUNTING]
    command += ["-semihosting-config", host, "-kernel", str(program.path.resolve())]
    return _output(command, folder, timeout)


def samples_file(x: np.ndarray, y: np.ndarray, number: str = "u1") -> bytes:
    """Return samples as ``learn.c`` reads them.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_inputs)
        Pixels, features or values, which are integers.
    y : ndarray of shape (n_samples,), int
        Labels, from 0 on.
    number : {"u1", "i2", "i4", "i8"}, default="u1"
        The type of all numbers: of pixels, of features of 16 or 32 bits, or of values.
    """
    samples = np.concatenate([np.asarray(y)[:, np.newaxis], x], axis=1)
    limits = np.iinfo(number)
    if samples.min() < limits.min or samples.max() > limits.max:
        raise ValueError(f"inputs and labels must be {limits.min} to {limits.max}")
    return len(samples).to_bytes(4, "little") + samples.astype(f"<{number}").tobytes()


def lists_file(x: np.ndarray, y: np.ndarray, number: str = "i4") -> bytes:
    """Return samples as ``learn.c`` reads them with SAMPLES_ARE_LISTS; see `samples_file`."""
    parts = [len(x).to_bytes(4, "little")]
    entry = np.dtype([("unit", "<i4"), ("number", f"<{number}")], align=True)
    for row, label in zip(x, y, strict=True):
        entries = np.zeros(np.count_nonzero(row), entry)
        entries["unit"] = np.flatnonzero(row)
        entries["number"] = row[entries["unit"]]
        parts += [np.array([label, len(entries)], "<i4").tobytes(), entries.tobytes()]
    return b"".join(parts)


def learn(
    program: Program,
    folder: Path,
    x: np.ndarray,
    y: np.ndarray,
    state: bytes | None = None,
    write: Callable[[np.ndarray, np.ndarray], bytes] = samples_file,
) -> LearningResult:
    """Let the board predict samples, and learn from each in turn.

    Parameters
    ----------
    program : Program
        What `build` has made of ``learn.c`` and a network.
    folder : Path
        Where files of the board are written.
    x : ndarray of shape (n_samples, n_inputs), int
        Pixels, or other input.
    y : ndarray of shape (n_samples,), int
        Labels.
    state : bytes or None, optional
        The state to begin with; by default what the network was exported with.
    write : callable, default=samples_file
        Returns `x` and `y` as a file; another for input that is no pixels.

    Raises
    ------
    RuntimeError
        If the program fails; the message has its code.
    """
    (folder / "samples").write_bytes(write(x, y))
    names = ["samples", "after"]
    if state is not None:
        (folder / "before").write_bytes(state)
        names.append("before")
    printed = emulate(program, folder, *names)
    report = {name: int(value) for name, value in re.findall(r"^(.+): (\d+)$", printed, re.M)}
    n = report["samples"]
    return LearningResult(
        state=(folder / "after").read_bytes(),
        samples=n,
        wrong=report["wrong before learning"],
        undone=report["not learned"],
        to_predict=report["ticks to predict"] * INSTRUCTIONS_PER_TICK / n,
        to_learn=report["ticks to learn"] * INSTRUCTIONS_PER_TICK / n,
        stack_used=report["bytes of stack used"],
    )


class Board:
    """A board that has learned what a checkpoint says, used as a simulator is.

    Parameters
    ----------
    checkpoint : Checkpoint
        What it begins with.
    folder : Path
        Where its program and files are written.
    core : Core, optional
        The processor; by default a Cortex-M3.
    weight_bits : {16, 32, 64} or None, default=None
        Bits of a weight; None takes the fewest with room to learn.

    Attributes
    ----------
    learned : LearningResult or None
        What the last samples took; None before the first.

    Raises
    ------
    RuntimeError
        If the program cannot be built.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        folder: Path,
        core: Core = CORES["M3"],
        weight_bits: int | None = None,
    ) -> None:
        to_c(checkpoint, weight_bits).save(folder)
        self._program = build(folder, core, folder / "learn.elf")
        self._began = checkpoint
        self.learned: LearningResult | None = None

    def train(self, x: np.ndarray, y: np.ndarray) -> None:
        """Learn from samples, as `learn` does, going on from the last."""
        state = None if self.learned is None else self.learned.state
        self.learned = learn(self._program, self._program.path.parent, x, y, state)

    def checkpoint(self) -> Checkpoint:
        """Return what it has learned."""
        if self.learned is None:
            return self._began
        return from_state_bytes(self.learned.state, self._began)


def _output(command: list, folder: Path | None = None, timeout: float | None = None) -> str:
    """Return what a command prints, or raise RuntimeError with it."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=timeout,
    )  # fmt: skip
    if done.returncode != 0:
        printed = (done.stdout + done.stderr).strip()
        raise RuntimeError(f"{shlex.join(words)} ended with code {done.returncode}: {printed}")
    return done.stdout
