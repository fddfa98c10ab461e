"""Interrupts and kills of ``spikebp train``, which is then told to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from experiment import check_folder, judged
from numpy.random import RandomState

from spikebp_plugins import Checkpoint

SAMPLES, EPOCHS = 300, 3
N_SAMPLES = EPOCHS * SAMPLES

OPTIONS = ["train", "--layers", "12", "--steps", "5"]
OPTIONS += ["--samples", str(SAMPLES), "--epochs", str(EPOCHS)]

#: Whoever starts this may ignore SIGINT, which a child inherits.
CODE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from spikebp_plugins.cli import main; print(flush=True); main()"
)


def started(folder: Path, backend: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-c", CODE, *OPTIONS, "--backend", backend]
    command += ["--save", "net.npz", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def whole_run(folder: Path, backend: str, *options: str) -> bytes:
    with started(folder, backend, *options) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    return (folder / "net.npz").read_bytes()


def stopped(how: str, folder: Path, backend: str, seconds: float, random: RandomState) -> bool:
    """Stop a run, let it go on, and return whether it was stopped before its end."""
    path = folder / "net.npz"
    with started(folder, backend) as process:
        process.stdout.readline()  # the package is imported
        time.sleep(random.uniform(0, seconds))
        process.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
        output, errors = process.communicate()
    codes = (0, 130) if how == "interrupt" else (0, -signal.SIGKILL)
    # A Python that has nothing left to do but to end does not hear SIGINT, and dies of it.
    is_over = process.returncode == -signal.SIGINT and "training error" in output and not errors
    assert is_over or process.returncode in codes, f"exit code {process.returncode}: {errors}"
    assert errors.count("\n") <= 1, f"more than a line: {errors}"
    if path.exists():
        n_seen = Checkpoint.load(path).state.samples_seen
        # Ctrl-C before training leaves no file, and behind it the last.
        is_told = f"net.npz holds the network after {n_seen} of {N_SAMPLES} samples" in errors
        assert is_told or n_seen % SAMPLES == 0, f"{n_seen} samples, and {errors}"
        assert is_told or how == "kill" or n_seen == N_SAMPLES, f"{n_seen} samples, and {errors}"
        if n_seen < N_SAMPLES:
            whole_run(folder, backend, "--resume", "net.npz")
    else:
        whole_run(folder, backend)
    check_folder(path, how)
    return process.returncode != 0 and not is_over


def cases(how: str, backend: str, seed: int, numbers: range) -> Iterator[dict]:
    """Yield the verdict on each of some runs."""
    with tempfile.TemporaryDirectory() as name:
        expected = whole_run(Path(name), backend)
        begin = time.monotonic()
        whole_run(Path(name), backend)
        seconds = time.monotonic() - begin

    def play(random: RandomState) -> dict:
        with tempfile.TemporaryDirectory() as name:
            inside = stopped(how, Path(name), backend, seconds, random)
            assert (Path(name) / "net.npz").read_bytes() == expected, "another network"
            return {"inside": inside}

    for number in numbers:
        yield judged(number, play, "command", how, backend, seed)
