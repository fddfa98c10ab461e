"""Running blocks in compiled programs: Brian2's target `cpp_standalone`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_brian2.build import GROUP, MANIFEST, RECORDING_VARIABLE, STEP, built_program
from spikebp_brian2.program import BlockResult, Program, real_targets
from spikebp_brian2.proof import prove_range
from spikebp_brian2.variables import (
    Place,
    constants,
    learned,
    read_operations,
    read_seen,
    read_state,
)
from spikebp_plugins.backends import Outcome, recording_from
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

EVERY_BYTE: Final = np.arange(256, dtype=np.uint8)


class StandaloneProgram(Program):
    """A compiled program, run once for each block.

    Parameters
    ----------
    net : Definition
        A definition of the structure.
    """

    def __init__(self, net: Definition) -> None:
        self._folder = built_program(net)
        self._manifest = json.loads((self._folder / MANIFEST).read_text(encoding="utf-8"))

    def show(
        self, state: LearningState, batch: Batch, record: bool, report: Callable[[int], None]
    ) -> BlockResult:
        """Show samples, and learn from those with targets."""
        with tempfile.TemporaryDirectory(prefix="spikebp-brian2-") as name:
            results = Path(name)
            self._run(results, state, batch, record, report)

            def read(place: Place) -> NDArray[Any]:
                return self._results(results, "group", ".".join(place))

            after = read_state(batch.net, read)
            prove_range(batch.net, after, read_seen(batch.net, read))
            return BlockResult(
                after,
                self._outcome(results, batch, record),
                read_operations(batch.net, read, state.samples_seen),
            )

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to show in one run: all of them."""
        return sys.maxsize

    def _run(
        self,
        folder: Path,
        state: LearningState,
        batch: Batch,
        record: bool,
        report: Callable[[int], None],
    ) -> None:
        arguments: dict[Place, Any] = {
            **constants(batch.net, batch.n_steps),
            **learned(batch.net, state),
            ("schedule", "learning"): batch.y is not None,
        }
        values = []
        for (part, name), value in arguments.items():
            if isinstance(value, np.ndarray):
                path = folder / f"{part}_{name}"
                np.ascontiguousarray(value).tofile(path)
                value = path
            values.append(f"{GROUP}_{part}.{name}={value}")
        environment = dict(os.environ)
        delays = delays_of(batch.net)
        duration = delays.duration(batch.n_steps)
        for variable, array, delay in (
            ("INPUTS", inputs(batch), 0),
            ("TARGETS", real_targets(batch), delays.spikes[-1]),
        ):
            path = folder / variable
            write_samples(path, array, batch.n_steps, delay, duration)
            environment[f"SPIKEBP_{variable}"] = str(path)
        environment.pop(RECORDING_VARIABLE, None)
        if record:
            environment[RECORDING_VARIABLE] = "1"
        program = self._folder / ("main.exe" if os.name == "nt" else "main")
        errors = folder / "errors"
        with (
            errors.open("w", encoding="utf-8") as stderr,
            subprocess.Popen(
                [str(program), "--results_dir", f"{folder}{os.sep}", *values],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process,
        ):
            try:
                for line in process.stdout or ():
                    report(int(line))
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise RuntimeError(
                f"the program that Brian2 generated ended with code {process.returncode}: "
                f"{errors.read_text(encoding='utf-8').strip()}"
            )

    def _results(self, folder: Path, group: str, key: str) -> NDArray[Any]:
        entry = self._manifest[group][key]
        return np.fromfile(folder / entry["file"], np.dtype(entry["dtype"]))

    def _outcome(self, folder: Path, batch: Batch, record: bool) -> Outcome:
        n_samples, duration = len(batch), delays_of(batch.net).duration(batch.n_steps)
        layers = range(batch.net.n_layers + 1)

        def drives(monitor: str) -> NDArray[np.float64]:
            values = self._results(folder, "monitors", f"{monitor}.summed_drive")
            return values.reshape(n_samples, -1, batch.net.n_outputs)

        def counts(kind: str, variable: str, l: int) -> NDArray[np.int64]:
            t, i, value = (
                self._results(folder, "monitors", f"{kind}_{l}.{name}")
                for name in ("t", "i", variable)
            )
            found = np.zeros((n_samples * duration, batch.net.layer_sizes[l]), np.int64)
            found[np.rint(t / STEP).astype(np.int64), i] = value
            return found.reshape(n_samples, duration, -1)

        scores = drives("ends")[:, 0] / batch.n_steps
        if not record:
            return Outcome(scores, None)
        spikes = [counts("spikes", "spike_count", l) for l in layers]
        errors = [counts("errors", "error", l) for l in layers[1:]]
        return Outcome(scores, recording_from(batch, spikes, errors, drives("drive")))


def inputs(batch: Batch) -> NDArray[Any]:
    """Return input of shape (n_samples, 1 or n_steps, n_inputs); 8-bit input stays 8-bit."""
    x = batch.x if batch.x.ndim == 3 else batch.x[:, np.newaxis]
    return x if x.dtype.itemsize == 1 else np.asarray(x, np.float64)


def write_samples(
    path: Path, samples: NDArray[Any], n_steps: int, delay: int, duration: int
) -> None:
    """Write samples as ``samples.h`` reads them.

    Parameters
    ----------
    path : Path
        The file.
    samples : ndarray of shape (n_samples, n_rows, n_units)
        Doubles, or integers of 8 bits.
    n_steps : int
        How many steps each sample is shown for.
    delay : int
        How many steps of each sample come before it is shown.
    duration : int
        How many steps each sample takes, including those in which it is not shown.
    """
    with path.open("wb") as file:
        header = [samples.dtype.itemsize, *samples.shape, n_steps, delay, duration]
        np.array(header, np.int64).tofile(file)
        if samples.dtype.itemsize == 1:
            EVERY_BYTE.view(samples.dtype).astype(np.float64).tofile(file)
        np.ascontiguousarray(samples).tofile(file)
