"""Writes a network as a project for an FPGA: core, numbers, memories, bench, and a board."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from spikebp_fpga.layout import BITS_OPTION, LANE_OPTION, Layout, why_not_in_hardware
from spikebp_fpga.memory import Memories, files_of, memories_of, why_too_large
from spikebp_fpga.tokens import CLOSE, DROP, READ, STEP, SUMS, tokens_of
from spikebp_fpga.verilated import NETWORK, SOURCES
from spikebp_plugins.backends.base import UnsupportedError
from spikebp_plugins.common.archive import file_target, whole_file
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.simulation.simulator import Simulator
from spikebp_plugins.simulation.trace import Trace

#: Samples of the bench: to learn, and to predict afterwards.
N_LEARNED, N_PREDICTED = 3, 1
#: The part of the inputs that are not zero in them: the largest with which all numbers fit.
ACTIVE: Final = (0.3, 0.1, 0.03, 0.01, 0.0)
#: Bits a second of the serial line, which the chip at the USB port of a board knows.
BAUD: Final = 3_000_000

#: The files of a board that are written with numbers.
BOARD: Final = ("ulx3s.sv", "ulx3s.lpf", "Makefile", "bench.sv", "README.md")


class Bench(NamedTuple):
    """What the bench sends, which replies it expects, and what must be learned then."""

    sent: list[int]
    replies: list[int]
    after: Checkpoint


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

    def save(self, folder: Path) -> list[Path]:
        """Write all files to a folder, which is made, and return their paths."""
        learned = self.learned
        bytes_sent, replies, after = self._bench()
        texts = {
            "bench_bytes.hex": "".join(f"{byte:03x}\n" for byte in bytes_sent),
            "bench_replies.hex": "".join(f"{reply & 2**48 - 1:012x}\n" for reply in replies),
            **self._memories("memory", learned),
            **self._memories("learned", after),
        }
        values = self._values() | {"bytes": len(bytes_sent), "replies": len(replies)}
        templates = {NETWORK: NETWORK} | {name: f"board/{name}" for name in BOARD}
        texts |= {name: self.layout.written(path, **values) for name, path in templates.items()}
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
            sums = np.pad(sums, ((0, 0), (0, self.layout.parameters["SUM_DEPTH"] - sums.shape[1])))
        memories = Memories(weights, sums)
        files = files_of(self.layout, memories)
        return {f"{folder}/{name}": text for name, text in files.items()}

    def _values(self) -> dict[str, Any]:
        layout, net = self.layout, self.layout.net
        words = layout.parameters["WORDS"]
        network, bits = layout.network
        arithmetic = arithmetic_of(net)
        wrong, right = arithmetic.encode(arithmetic.round(net.label_targets)).tolist()
        sizes = "-".join(map(str, layout.sizes))
        return {
            "image": "memory/",
            "network": f"{bits}'h{network:x}",
            "lanes": layout.lanes,
            "wrong": wrong,
            "right": right,
            "weight_depth": layout.weight_depth,
            "host_sums": layout.host_sums,
            "psi_at": words,
            "psi_end": words + sum(layout.words[1:-1]),
            "steps": net.n_steps,
            "fraction_bits": layout.fraction_bits,
            "scores_at": layout.drive_at[-1],
            "baud": BAUD,
            "summary": (
                f"{sizes} units, {net.n_steps} steps a sample, update={net.update!r}, "
                f"{layout.lanes} weights of {layout.weight_bits} bits a clock."
            ),
        }

    def _bench(self) -> Bench:
        """Return the bench with as many spikes as fit the core."""
        return next(filter(None, map(self._bench_with, ACTIVE)))

    def _bench_with(self, active: float) -> Bench | None:
        """Return the bench with a part of the inputs, or None if a number might not fit."""
        layout, net = self.layout, self.layout.net
        random = RandomState(net.seed)
        n = N_LEARNED + N_PREDICTED
        shape = (n, net.n_steps, net.n_inputs)
        x: NDArray[Any] = random.uniform(size=shape) / net.input_scale
        if net.input_coding == "spikes":
            x = random.randint(1, 4, shape)
        x = x * (random.uniform(size=shape) < active)
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
                sample = x[i : i + 1]
                trace = (
                    sim.predict(sample, record=True)
                    if taught is None
                    else sim.train(sample, taught, record=True)
                )
                if given is None or not self._fits(trace, sim.checkpoint()):
                    return None
                frames += [*map(tuple, given[1].tolist()), (CLOSE, 0, 0), *reads]
                replies += [0] * (net.n_steps + 1)
                replies += np.rint(trace.scores[0] * net.n_steps * unit).astype(int).tolist()
            after = sim.checkpoint()
        sent = [byte for frame in frames for byte in _bytes_of(*frame)]
        return Bench(sent, replies, after)

    def _fits(self, trace: Trace, after: Checkpoint) -> bool:
        """Return whether what was counted, and what was learned, is far from not fitting."""
        counted = [*trace.spikes[1:], *(trace.errors or [None])[1:]]
        most = max(np.abs(layer).sum(axis=1).max() for layer in counted)
        return most <= self.layout.most_counted // 2 and not why_too_large(self.layout, after.state)


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
