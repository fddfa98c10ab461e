"""Runs of the reference, kept as files, which every platform and every version must repeat.

`README.md` in this folder says what the files hold, and how they are made anew.
"""

from pathlib import Path
from typing import NamedTuple

from spikebp_plugins import Checkpoint, Simulator, Trace
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.conformance import CASES
from spikebp_plugins.conformance.suite import unsupported_reason
from tests.core.small_nets import arrays_in

FOLDER = Path(__file__).parent

#: The names of the runs, each with its definition; together they use every rule.
NETS = {path.parent.name: Checkpoint.load(path).net for path in sorted(FOLDER.glob("*/start.npz"))}


def names_for(backend):
    """Return the names of the runs that a back end does not refuse."""
    return [name for name, net in NETS.items() if unsupported_reason(backend, net) is None]


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
        start=Checkpoint.load(paths["start"]),
        samples=arrays_in(paths["samples"]),
        training=Trace.load(paths["training"]),
        prediction=Trace.load(paths["prediction"]),
        end=Checkpoint.load(paths["end"]),
    )


def show(start, samples, backend):
    """Go on from a checkpoint: train on the samples, then predict."""
    with start.simulate(backend) as sim:
        training = sim.train(samples["x"], samples["y"], record=True)
        prediction = sim.predict(samples["x_test"], record=True)
        return Golden(start, samples, training, prediction, sim.checkpoint())


def new(name):
    """Return the run of a case of the conformance suite, which is not kept yet."""
    (case,) = [case for case in CASES if name_of(case) == name]
    with Simulator(case.net, "reference", case.weights()) as sim:
        return show(sim.checkpoint(), case.data()._asdict(), "reference")


def name_of(case):
    return str(case).replace(",", "")


def assert_repeated(name, backend):
    """Assert that a back end repeats a golden run in every number."""
    golden = read(name)
    found = show(golden.start, golden.samples, backend)
    for phase in ("training", "prediction"):
        assert getattr(found, phase).diff(getattr(golden, phase)) is None, phase
    end, expected = found.end.state, golden.end.state
    assert end.samples_seen == expected.samples_seen
    for field in ("weights", "backward_potentials", "feedback"):
        for a, b in zip(getattr(end, field), getattr(expected, field), strict=True):
            assert (a == b).all(), field
