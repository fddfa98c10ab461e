"""Writes a network as a project for an FPGA: core, numbers, memories, bench, and a board."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from spikebp_fpga.layout import BITS_OPTION, LANE_OPTION, Layout, why_not_in_hardware
from spikebp_fpga.memory import Memories, files_of, memories_of
from spikebp_fpga.tokens import CLOSE, DROP, READ, STEP, SUMS, tokens_of
from spikebp_fpga.verilated import FOLDER, SOURCES
from spikebp_plugins.backends.base import UnsupportedError
from spikebp_plugins.common.archive import file_target, whole_file
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.simulation.simulator import Simulator

#: Samples of the bench: to learn, and to predict afterwards.
N_LEARNED, N_PREDICTED = 3, 1
#: The part of the inputs that are not zero in them.
ACTIVE: Final = 0.3
#: Bits a second of the serial line, which the chip at the USB port of a board knows.
BAUD: Final = 3_000_000

#: A number in the template of a file.
PLACE: Final = re.compile(r"\bNET_([A-Z]+(?:_[A-Z]+)*)")
#: The files of a board that are written as they are, or with numbers.
BOARD: Final = ("ulx3s.sv", "ulx3s.lpf", "Makefile", "bench.sv", "README.md")

#: The ports that the core and the serial line share.
SHARED: Final = {
    "token_valid": "1",
    "token": "3",
    "token_unit": "number_bits",
    "token_value": "sum_bits",
    "token_ready": "1",
    "host_write": "1",
    "is_sums": "1",
    "host_lane": "lane_bits",
    "host_at": "number_bits",
    "host_in": "sum_bits",
    "host_out": "sum_bits",
}


@dataclass(frozen=True)
class FPGAProject:
    """A network as a project for an FPGA.

    Attributes
    ----------
    layout : Layout
        Widths, depths and places.
    learned : Checkpoint
        What the network has learned so far.
    """

    layout: Layout
    learned: Checkpoint

    @property
    def device(self) -> str:
        """The module ``spikebp_device``: the core with the numbers of this network."""
        layout = self.layout
        bits = {
            "number_bits": layout.parameters["NUMBER_BITS"],
            "sum_bits": layout.sum_bits,
            "lane_bits": layout.parameters["LANE_BITS"] + 1,
        }
        wires = "\n".join(
            f"    wire [{bits.get(width) or int(width)}-1:0] {name};"
            for name, width in SHARED.items()
        )
        shared = ", ".join(f".{name}({name})" for name in SHARED)
        parameters = ",\n        ".join(f".{n}({v})" for n, v in layout.parameters.items())
        numbers = ",\n        ".join(
            f".{name}({width}'h{value & (1 << width) - 1:x})"
            for name, (value, width) in layout.numbers.items()
        )
        of_serial = (
            f".NUMBER_BITS({bits['number_bits']}), .WEIGHT_BITS({layout.weight_bits}), "
            f".SUM_BITS({layout.sum_bits}), .LANE_BITS({layout.parameters['LANE_BITS']})"
        )
        return f"""// The core with the numbers of one network, behind a serial line.
module spikebp_device #(
    parameter DIVIDER = 25  // clocks of a bit of the line
) (
    input  logic clk, rst, receives,
    output logic transmits, rests, refused
);
{wires}
    spikebp_serial #(.DIVIDER(DIVIDER), {of_serial}) serial (
        .clk(clk), .rst(rst), .receives(receives), .transmits(transmits), .rests(rests),
        .refused(refused), {shared});
    spikebp_core #(
        {parameters},
        .IMAGE("memory/")
    ) core (
        .clk(clk), .rst(rst), .rests(rests), .refused(refused),
        {shared},
        {numbers},
        .sends(), .sends_back(), .sending_layer(), .sending_unit(), .sent_spikes(), .sent_error(),
        .state());
endmodule
"""

    def save(self, folder: Path) -> list[Path]:
        """Write all files to a folder, which is made, and return their paths."""
        learned = self.learned
        bytes_sent, replies, after = self._bench()
        texts = {
            "spikebp_device.sv": self.device,
            "bench_bytes.hex": "".join(f"{byte:03x}\n" for byte in bytes_sent),
            "bench_replies.hex": "".join(f"{reply & 2**48 - 1:012x}\n" for reply in replies),
            **self._memories("memory", learned),
            **self._memories("learned", after),
        }
        values = self._values() | {"bytes": len(bytes_sent), "replies": len(replies)}
        for name in BOARD:
            template = (FOLDER / "board" / name).read_text("utf-8")
            texts[name] = PLACE.sub(lambda place: str(values[place[1].lower()]), template)
        paths = [folder / name for name in texts]
        for part in ("hdl", "memory", "learned", "dump"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        file_target(paths[0], "output")
        for path, text in zip(paths, texts.values(), strict=True):
            with whole_file(path) as file:
                file.write(text.encode())
        sources = [Path(shutil.copy(source, folder / "hdl")) for source in SOURCES]
        checkpoint = folder / "checkpoint.npz"
        learned.save(checkpoint)
        return [*paths, *sources, checkpoint]

    def _memories(self, folder: str, learned: Checkpoint) -> dict[str, str]:
        weights, sums = memories_of(self.layout, learned.state)
        if folder == "memory":  # it fills the whole memory
            sums = np.pad(sums, ((0, 0), (0, self.layout.sum_depth - sums.shape[1])))
        memories = Memories(weights, sums)
        files = files_of(self.layout, memories)
        return {f"{folder}/{name}": text for name, text in files.items()}

    def _values(self) -> dict[str, Any]:
        layout, net = self.layout, self.layout.net
        words = layout.parameters["WORDS"]
        sizes = "-".join(map(str, layout.sizes))
        return {
            "lanes": layout.lanes,
            "weight_bits": layout.weight_bits,
            "sum_bits": layout.sum_bits,
            "weight_depth": layout.weight_depth,
            "host_sums": layout.host_sums,
            "psi_at": words,
            "psi_end": words + sum(layout.words[1:-1]),
            "psi_copy": layout.parameters["HIDDEN_WORDS"],
            "steps": net.n_steps,
            "fraction_bits": layout.fraction_bits,
            "scores_at": layout.drive_at[-1],
            "baud": BAUD,
            "summary": (
                f"{sizes} units, {net.n_steps} steps a sample, update={net.update!r}, "
                f"{layout.lanes} weights of {layout.weight_bits} bits a clock."
            ),
        }

    def _bench(self) -> tuple[list[int], list[int], Checkpoint]:
        """Return what the bench sends, which replies it expects, and what must be learned then."""
        layout, net = self.layout, self.layout.net
        random = RandomState(net.seed)
        n = N_LEARNED + N_PREDICTED
        shape = (n, net.n_steps, net.n_inputs)
        x: NDArray[Any] = random.uniform(size=shape) / net.input_scale
        if net.input_coding == "spikes":
            x = random.randint(1, 4, shape)
        x = x * (random.uniform(size=shape) < ACTIVE)
        y = random.randint(0, net.n_outputs, N_LEARNED)
        outputs = zip(*layout.units_at(layout.drive_at[-1], net.n_outputs), strict=True)
        reads = [(READ + 8 * SUMS, int(lane) << 19 | int(at), 0) for lane, at in outputs]
        frames: list[tuple[int, int, int]] = []
        replies: list[int] = []
        unit = 2.0**layout.fraction_bits
        with Simulator.from_checkpoint(self.learned, "reference") as sim:
            for i in range(n):
                taught = y[i : i + 1] if i < N_LEARNED else None
                given = tokens_of(layout, check_batch(net, x[i : i + 1], taught))
                if given is None:
                    raise RuntimeError("a sample of the bench does not fit tokens")
                sample = x[i : i + 1]
                scores = sim.predict(sample) if taught is None else sim.train(sample, taught)
                frames += [*map(tuple, given[1].tolist()), (CLOSE, 0, 0), *reads]
                replies += [0] * (net.n_steps + 1)
                replies += np.rint(scores[0] * net.n_steps * unit).astype(int).tolist()
            after = sim.checkpoint()
        sent = [byte for frame in frames for byte in _bytes_of(*frame)]
        return sent, replies, after


def _bytes_of(operation: int, index: int, number: int) -> list[int]:
    """Return a frame of the serial line; the ninth bit of its last byte asks for a reply."""
    data = (
        bytes([operation]) + index.to_bytes(3, "little") + number.to_bytes(6, "little", signed=True)
    )
    is_answered = operation in (STEP, CLOSE, DROP) or operation & 7 == READ
    return [*data[:-1], data[-1] | is_answered << 8]


def to_fpga(
    learned: Checkpoint, lanes: int | None = None, weight_bits: int | None = None
) -> FPGAProject:
    """Return a network as a project for an FPGA.

    Parameters
    ----------
    learned : Checkpoint
        The network, and what it has learned.
    lanes : {1, 2, 4, 8, 16} or None, default=None
        Weights that the core reads in a clock; None takes 8.
    weight_bits : int or None, default=None
        Bits of a weight, 16 to 32; None takes 4 more than fraction bits.

    Raises
    ------
    ValueError
        If `lanes` or `weight_bits` is not allowed.
    UnsupportedError
        If the core does not know the network.
    OverflowError
        If a weight does not fit.
    """
    lanes, weight_bits = (
        LANE_OPTION.parse("lanes", lanes),
        BITS_OPTION.parse("weight_bits", weight_bits),
    )
    if (reason := why_not_in_hardware(learned.net, weight_bits)) is not None:
        raise UnsupportedError(f"the core cannot run this network: {reason}")
    layout = Layout.of(learned.net, lanes, weight_bits)
    memories_of(layout, learned.state)
    return FPGAProject(layout, learned)
