"""The kinds of files that the package reads, each with whole samples and with what damages it."""

from __future__ import annotations

import gzip
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import archives
import numpy as np
import tables
from damage import ANY, Damage, flipped
from numpy.random import RandomState

from spikebp_plugins import EventEncoder, Simulator, SpikingMLP, load, quantized_weights
from spikebp_plugins.conversion.quantized import QuantizedWeights
from spikebp_plugins.data.aer import read_aer
from spikebp_plugins.data.idx import read_idx
from spikebp_plugins.reproduce.study import _epochs_in
from spikebp_plugins.simulation.trace import Trace

SIZES = (3, 5, 4, 2)
N_SAMPLES = 6

#: Definitions whose files differ in what they hold.
NETS = tuple(
    SpikingMLP(SIZES, n_steps=4, **fields)
    for fields in (
        {"learning_rate": 0.5},
        {"learning_rate": 0.25, "feedback": "random"},
        {"learning_rate": 0.5, "arithmetic": "float32"},
        {"learning_rate": 0.5, "arithmetic": "float64", "feedback": "random"},
    )
)

ENCODER = EventEncoder(34, 34, step=32_000)


class Kind(NamedTuple):
    """Files of one format.

    Attributes
    ----------
    samples : callable
        Returns whole files, each as bytes.
    read : callable
        Reads a file and returns what it holds.
    damages : sequence of callable
        What damages a file in ways of its own; its bytes are damaged as those of any file.
    use : callable or None, default=None
        Goes on with what was read, and may refuse it by naming the event that is wrong.
    """

    samples: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    damages: Sequence[Damage]
    use: Callable[[Any], Any] | None = None

    def damaged(self, whole: bytes, random: RandomState) -> bytes:
        """Return a file with random damage."""
        some = self.damages if self.damages and random.randint(2) else ANY
        return some[random.randint(len(some))](whole, random)


def bytes_by(write: Callable[[Path], Any]) -> bytes:
    """Return what a function writes to a file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other tools will not see
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


def simulators() -> list[Simulator]:
    """Return networks that have learned a little."""
    trained = []
    for seed, net in enumerate(NETS):
        random = RandomState(seed)
        weights = [0.7 * random.standard_normal(shape) for shape in net.weight_shapes]
        trained.append(Simulator(net, "reference", weights))
        trained[-1].train(random.uniform(-0.5, 2, (N_SAMPLES, 3)), random.randint(0, 2, N_SAMPLES))
    return trained


def checkpoints() -> list[bytes]:
    return [bytes_by(sim.save) for sim in simulators()]


def traces() -> list[bytes]:
    x = RandomState(0).uniform(-0.5, 2, (2, 3))
    shown = []
    for sim in simulators():
        shown += [sim.predict(x, record=True), sim.train(x, [0, 1], record=True)]
    return [bytes_by(trace.save) for trace in shown]


def quantized() -> list[bytes]:
    sims = simulators()
    some = [quantized_weights(sim, bits) for sim, bits in zip(sims, (2, 8, 12, 32), strict=True)]
    some.append(quantized_weights(sims[0], 8, shared_by="unit"))
    return [bytes_by(weights.save) for weights in some]


def idx_files() -> list[bytes]:
    random = RandomState(0)
    shapes = {b"\x08\x03": (6, 5, 4), b"\x08\x01": (20,), b"\x0d\x02": (3, 4)}
    return [
        b"\0\0"
        + start
        + b"".join(size.to_bytes(4, "big") for size in shape)
        + random.bytes(int(np.prod(shape)) * (4 if start[0] == 0x0D else 1))
        for start, shape in shapes.items()
    ]


def recordings() -> list[bytes]:
    random = RandomState(0)
    files = []
    for n_events in (1, 40, 200):
        time = np.sort(random.randint(0, 300_000, n_events))
        x, y, p = random.randint(34, size=n_events), random.randint(34, size=n_events), time % 2
        columns = [x, y, p << 7 | time >> 16, time >> 8 & 255, time & 255]
        files.append(np.column_stack(columns).astype(np.uint8).tobytes())
    return files


def lists_of_epochs() -> list[bytes]:
    sim = simulators()[0]
    epoch = {
        "test_error": 3.25,
        "train_error": None,
        "operations": sim.operations.to_dict(),
        "averaged_error": None,
    }
    about = {"definition": sim.net.to_dict(), "kind": "spiking", "epochs": 2, "samples": N_SAMPLES}
    whole = about | {"done": [epoch, epoch | {"train_error": 2.5}]}
    return [json.dumps(whole, indent=1).encode()]


def graphs() -> list[bytes]:
    from spikebp_plugins.nir import save_nir

    own = [bytes_by(lambda path, sim=sim: save_nir(path, sim.checkpoint())) for sim in simulators()]
    return [*own, without(own[0], "node/metadata/spikebp_plugins")]


def networks_of_netx() -> list[bytes]:
    from spikebp_plugins.lava_dl import save_netx

    sims = simulators()
    own = [bytes_by(lambda path, sim=sim: save_netx(path, sim.checkpoint())) for sim in sims]
    return [*own, without(own[0], "spikebp_plugins")]


def without(data: bytes, group: str) -> bytes:
    """Return a file as another tool would write it, without the group of this package."""
    from groups import changed

    return changed(data, lambda file: file.pop(group))


def read_graph(path: Path) -> Any:
    from spikebp_plugins.nir import load_nir

    return load_nir(path)


def read_netx(path: Path) -> Any:
    from spikebp_plugins.lava_dl import load_netx

    return load_netx(path)


def damages_of_groups() -> Sequence[Damage]:
    try:
        from groups import GROUPS
    except ImportError:  # no h5py, and then nothing reads such files either
        return ()
    return GROUPS


NPZ = archives.damages(flipped)

KINDS = {
    "checkpoint": Kind(checkpoints, load, NPZ),
    "trace": Kind(traces, Trace.load, NPZ),
    "quantized": Kind(quantized, QuantizedWeights.load, NPZ),
    "idx": Kind(idx_files, read_idx, tables.IDX),
    "idx.gz": Kind(
        lambda: [gzip.compress(data) for data in idx_files()],
        read_idx,
        tables.ZIPPED_IDX,
    ),
    "aer": Kind(recordings, read_aer, tables.RECORDINGS, ENCODER.encode),
    "nir": Kind(graphs, read_graph, damages_of_groups()),
    "netx": Kind(networks_of_netx, read_netx, damages_of_groups()),
    "epochs": Kind(lists_of_epochs, _epochs_in, tables.EPOCHS),
}
