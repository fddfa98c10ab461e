"""What a network takes on the core: clocks and memory, and once it is placed, cells and frequency.

The clocks are those of the formula, which the simulation has to take exactly.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.backend import FPGABackend
from spikebp_fpga.clocks import clocks_of
from spikebp_fpga.export import FPGAProject
from spikebp_fpga.layout import LANES, RATE_BITS, Layout
from spikebp_plugins.common.figures import count
from spikebp_plugins.simulation.hardware_report import Table
from spikebp_plugins.simulation.simulator import Simulator

#: The chip of the project's Makefile.
CHIP: Final = "ECP5-85"
PLACING: Final = ("make", "yosys", "nextpnr-ecp5", "ecppll")
#: Multipliers besides those of the lanes: of places, of factors, and of squared counts.
SHARED_MULTIPLIERS: Final = 3


@dataclass(frozen=True)
class Placed:
    """A project after place and route, with its serial line and the top of its board.

    Attributes
    ----------
    lut4, block_rams, multipliers : int
        Cells of the chip.
    megahertz : float
        The highest frequency that the tools promise.
    """

    lut4: int
    block_rams: int
    multipliers: int
    megahertz: float


@dataclass(frozen=True)
class FPGAReport:
    """What a network takes on the core.

    Attributes
    ----------
    layout : Layout
        The network on the core.
    learning : bool
        Whether the samples were learned.
    is_simulated : bool
        Whether the core was simulated, and took the clocks of the formula; else they are those.
    samples : list of dict of str to int
        Of each sample its clocks by what the core does.
    spikes : list of int
        Of each sample, how many units have sent spikes or errors, counted in each step.
    by_lanes : dict of int to list of int
        Of each sample, its clocks with as many weights a clock, by the formula.
    n_refused : int
        Samples that did not fit the core, and are not among these.
    placed : Placed or None
        None unless it was placed.
    """

    layout: Layout
    learning: bool
    is_simulated: bool
    samples: list[dict[str, int]]
    spikes: list[int]
    by_lanes: dict[int, list[int]]
    n_refused: int
    placed: Placed | None

    @property
    def clocks(self) -> float:
        """The clocks of a sample on average; not a number without samples."""
        clocks = [sum(sample.values()) for sample in self.samples]
        return sum(clocks) / len(clocks) if clocks else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain Python values that JSON can hold."""
        return {
            "definition": self.layout.net.to_dict(),
            "lanes": self.layout.lanes,
            "weight_bits": self.layout.weight_bits,
            "learning": self.learning,
            "simulated": self.is_simulated,
            "samples": len(self.samples),
            "refused": self.n_refused,
            "clocks": self.clocks,
            "clocks_by_pass": self._clocks_by_pass(),
            "clocks_by_lanes": {P: sum(n) / len(n) for P, n in self.by_lanes.items() if n},
            "memory_bits": memory_bits(self.layout),
            "multipliers": multipliers(self.layout),
            "placed": self.placed and asdict(self.placed),
        }

    def tables(self) -> list[Table]:
        """Return the parts of the report."""
        rows = [(name, f"{n:,.1f}") for name, n in self._clocks_by_pass().items()]
        how = "learn" if self.learning else "predict"
        memory = memory_bits(self.layout)
        tables = [
            Table(
                "Clocks of a sample",
                ("pass", f"to {how}"),
                [*rows, ("all", count(self.clocks))],
            ),
            Table("Memory", ("what", "bits"), [(name, f"{n:,}") for name, n in memory.items()]),
        ]
        if (placed := self.placed) is not None:
            cells = [
                ("LUT4", f"{placed.lut4:,}"),
                ("block RAMs of 18 kbit", str(placed.block_rams)),
                ("multipliers of 18 bits", str(placed.multipliers)),
                ("highest frequency, MHz", f"{placed.megahertz:.1f}"),
                ("samples a second", f"{1e6 * placed.megahertz / self.clocks:,.0f}"),
            ]
            tables.append(Table(f"Placed and routed on an {CHIP}", ("", ""), cells))
        return tables

    def notes(self) -> list[str]:
        """Return the notes to the tables, each a sentence."""
        lanes, bits = self.layout.lanes, self.layout.weight_bits
        notes = [
            f"{lanes} weights of {bits} bits a clock, by {multipliers(self.layout)} multipliers."
        ]
        notes.append(
            f"The core was simulated with {len(self.samples)} samples: it takes just these clocks."
            if self.is_simulated
            else "The clocks are those of the formula: there is no Verilator to simulate the core."
        )
        if self.n_refused:
            notes.append(f"{self.n_refused} samples did not fit the core, and are not counted.")
        if self.placed is None:
            notes.append("--place says what yosys and nextpnr make of it, in some minutes.")
        return notes

    def plot(self, axes: Any) -> None:
        """Draw the clocks of each sample against its spikes, for 1 to 16 weights a clock."""
        for lanes, clocks in self.by_lanes.items():
            axes.plot(self.spikes, clocks, "o", markersize=3, label=str(lanes))
        axes.set(xlabel="spikes and errors of a sample", ylabel="clocks of a sample")
        axes.set(xlim=(0, None), ylim=(0, None))
        axes.legend(title="weights a clock")

    def _clocks_by_pass(self) -> dict[str, float]:
        names = dict.fromkeys(name for sample in self.samples for name in sample)
        n = len(self.samples)
        return {name: sum(sample.get(name, 0) for sample in self.samples) / n for name in names}


def fpga_report(
    project: FPGAProject,
    x: NDArray[Any],
    y: NDArray[np.int64] | None = None,
    place: bool = False,
) -> FPGAReport:
    """Show samples to the core, and return what they and the network take there.

    Parameters
    ----------
    project : FPGAProject
        The network on the core.
    x : ndarray
        Samples, as the network takes them.
    y : ndarray of shape (n_samples,), int64, or None, default=None
        Their labels, to learn from them.
    place : bool, default=False
        Whether to place and route the project, which takes minutes.

    Raises
    ------
    RuntimeError
        If the core takes other clocks than the formula says, or a tool that places fails.
    FileNotFoundError
        If a tool that places is not on the PATH.
    """
    layout = project.layout
    is_simulated = FPGABackend.lack() is None
    options = {"lanes": layout.lanes, "weight_bits": layout.weight_bits} if is_simulated else {}
    name = "fpga" if is_simulated else "reference"
    layouts = {P: Layout.of(layout.net, P, layout.weight_bits) for P in LANES}
    by_lanes: dict[int, list[int]] = {P: [] for P in LANES}
    samples, spikes, n_refused, shown = [], [], 0, 0
    with Simulator.from_checkpoint(project.learned, name, **options) as sim:
        for i in range(len(x)):
            here = slice(i, i + 1)
            trace = (
                sim.predict(x[here], record=True)
                if y is None
                else sim.train(x[here], y[here], record=True)
            )
            sent = [layer[0] for layer in trace.spikes]
            back = [layer[0] for layer in (trace.errors or [])[1:]]
            clocks = {
                P: clocks_of(each, sent, [None, *back] if back else None)
                for P, each in layouts.items()
            }
            formula = clocks[layout.lanes]
            before, shown = shown, sim.work.clocks if sim.work else 0
            taken = shown - before
            if is_simulated and taken == 0:
                n_refused += 1
                continue
            if is_simulated and taken != formula.total():
                raise RuntimeError(f"sample {i} takes {taken} clocks, not {formula.total()}")
            samples.append(dict(formula))
            spikes.append(sum(int((layer != 0).sum()) for layer in (*sent, *back)))
            for P, each in clocks.items():
                by_lanes[P].append(each.total())
    placed = _placed(project) if place else None
    return FPGAReport(
        layout, y is not None, is_simulated, samples, spikes, by_lanes, n_refused, placed
    )


def memory_bits(layout: Layout) -> dict[str, int]:
    """Return the bits of the core's memories, by what they hold."""
    n, P = layout.parameters, layout.lanes
    number, counted = n["NUMBER_BITS"], n["COUNT_BITS"]
    entries = n["LISTED"] + n["UPDATES"] * n["UNITS"]
    lengths = n["UPDATES"] * (n["LAYERS"] + 1)
    return {
        "weights": P * n["BANK_DEPTH"] * n["WEIGHT_BITS"],
        "potentials and targets": P * (n["SUM_DEPTH"] + n["OUTPUT_WORDS"]) * n["SUM_BITS"],
        "counts": P * n["WORDS"] * (counted + 1) + P * n["OUTPUT_WORDS"] * counted,
        "errors": n["UPDATES"] * n["WORDS"] * (P * counted + number),
        "lists": entries * (number + counted) + n["INPUTS"] * number,
        "lengths and rates": lengths * (2 * number + RATE_BITS),
    }


def multipliers(layout: Layout) -> int:
    """Return how many multipliers of 18 bits the core has."""
    return layout.lanes * (1 if layout.weight_bits <= 18 else 2) + SHARED_MULTIPLIERS


def _placed(project: FPGAProject) -> Placed:
    """Place and route a project."""
    missing = [tool for tool in PLACING if shutil.which(tool) is None]
    if missing:
        raise FileNotFoundError(f"place takes programs that are not on the PATH: {missing}")
    with tempfile.TemporaryDirectory(prefix="spikebp-") as name:
        folder = Path(name)
        project.save(folder)
        # A clock that is too fast for it is no failure here: it is what is asked for.
        command = ["make", "ulx3s.config", "ROUTE=--timing-allow-fail"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-1000:]}")
        report = json.loads((folder / "report.json").read_text("utf-8"))
        cells = dict(
            re.findall(r"(\w+)\s+(\d+)$", (folder / "cells.txt").read_text(), re.MULTILINE)
        )
    return Placed(
        int(cells["LUT4"]),
        report["utilization"]["DP16KD"]["used"],
        report["utilization"]["MULT18X18D"]["used"],
        min(clock["achieved"] for clock in report["fmax"].values()),
    )
