"""Runs of the reference, kept as files, which every platform and every version must repeat.

`README.md` beside this file says what the files hold, and how they are made anew.
"""

from pathlib import Path
from typing import NamedTuple

from spikebp_plugins import Simulator, Trace, compare, load
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.conformance import CASES
from spikebp_plugins.network.checkpoint import Checkpoint
from tests.core.small_nets import arrays_in

FOLDER = Path(__file__).parent

#: Cases of the conformance suite that together use every rule.
FEATURES = (
    "3 layers of weights",
    "one step",
    "input changing from step to step",
    "8-bit pixels",
    "spike counts as input",
    "targets changing from step to step",
    "initial weights of he",
    "outer update",
    "normalized update",
    "smoothed updates",
    "binary spikes",
    "backward potentials drawn, binary spikes",
    "random feedback, outer update",
    "pipelined timing",
    "pipelined timing, binary spikes, changing input and targets",
    "numbers of a chip, pipelined timing, random feedback",
    "40 fraction bits",
    "float64 arithmetic",
    "float32 arithmetic",
    "convolution, strides, padding, several channels",
    "sparse connections",
    "connections of all kinds, pipelined timing, random feedback",
)
CASES_KEPT = {str(case).replace(",", ""): case for case in CASES if case.feature in FEATURES}


def names_of(*arithmetics):
    """Return the names of the cases with some kinds of arithmetic."""
    return [name for name, case in CASES_KEPT.items() if case.net.arithmetic in arithmetics]


class Golden(NamedTuple):
    """The files of one folder; each field has the name of its file."""

    start: Checkpoint
    samples: dict
    training: Trace
    prediction: Trace
    end: Checkpoint

    def save(self, folder):
        folder.mkdir(exist_ok=True)
        for name, part in self._asdict().items():
            path = folder / f"{name}.npz"
            write_archive(path, part) if name == "samples" else part.save(path)


def read(name, root=FOLDER):
    paths = {part: root / name / f"{part}.npz" for part in Golden._fields}
    return Golden(
        start=load(paths["start"]),
        samples=arrays_in(paths["samples"]),
        training=Trace.load(paths["training"]),
        prediction=Trace.load(paths["prediction"]),
        end=load(paths["end"]),
    )


def show(start, samples, backend):
    """Go on from a checkpoint: train on the samples, then predict."""
    with start.simulate(backend) as sim:
        training = sim.train(samples["x"], samples["y"], record=True)
        prediction = sim.predict(samples["x_test"], record=True)
        return Golden(start, samples, training, prediction, sim.checkpoint())


def make(case):
    """Return the golden run of a case, by the reference."""
    with Simulator(case.net, "reference", case.weights()) as sim:
        return show(sim.checkpoint(), case.data()._asdict(), "reference")


def assert_repeated(name, backend):
    """Assert that a back end repeats a golden run in every number."""
    golden = read(name)
    found = show(golden.start, golden.samples, backend)
    for phase in ("training", "prediction"):
        assert compare(getattr(found, phase), getattr(golden, phase)) is None, phase
    end, expected = found.end.state, golden.end.state
    assert end.samples_seen == expected.samples_seen
    for field in ("weights", "backward_potentials", "feedback"):
        for a, b in zip(getattr(end, field), getattr(expected, field), strict=True):
            assert (a == b).all(), field
