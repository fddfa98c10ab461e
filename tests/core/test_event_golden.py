"""The order of events repeats runs of the authors' network in every number."""

import os
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins.event_order import EventMLP, EventNetwork
from tests.core.backward_spikes import backward_spikes
from tests.core.literal_event import LiteralEventNetwork

FOLDER = Path(__file__).parents[1] / "oracle"
OTHER_FOLDER = "SPIKEBP_ORACLE"

KEPT = sorted(FOLDER.glob("*.npz"))
OTHERS = sorted(Path(os.environ[OTHER_FOLDER]).glob("*.npz")) if OTHER_FOLDER in os.environ else []


def read(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def definition(run):
    return EventMLP(
        run["sizes"],
        n_steps=int(run["cfg_n_steps"]),
        learning_rate=float(run["cfg_eta"]),
        update="fractional" if run["cfg_fractional"] else "outer",
        order="depth" if run["cfg_depth_first"] else "breadth",
        hold_error=bool(run["cfg_hold_error"]),
        backward_init={"noreset-herding": "carry", "herding": "zero"}[
            str(run["cfg_backward_discretize"])
        ],
        arithmetic={"FLOAT": "float32", "DOUBLE": "float64"}[str(run["cfg_dtype"])],
    )


def matrices(run, suffix=""):
    return [run[f"w{l}{suffix}"] for l in range(len(run["sizes"]) - 1)]


def assert_repeated(path):
    run = read(path)
    x, y = run["x"], run["y"]
    network = EventNetwork(definition(run), matrices(run))
    launched = backward_spikes(network.checkpoint(), x, y)
    found = {"bwd_net": launched.net, "bwd_tot": launched.gross}
    found["pred_before"] = network.predict(x)
    records = [network.train(x[:1], y[:1], record=True)]
    found |= {f"w{l}_after1": matrix for l, matrix in enumerate(network.weights)}
    records.append(network.train(x[1:], y[1:], record=True))
    found |= {f"w{l}_final": matrix for l, matrix in enumerate(network.weights)}
    found["pred_after"] = network.predict(x)
    counts = [np.concatenate([k.sum(axis=1) for k in sent.spikes], axis=1) for sent in records]
    found["fwd_counts"] = np.concatenate(counts)
    settings = {"sizes", "x", "y", "events", *(f"w{l}" for l in range(len(run["sizes"]) - 1))}
    assert found.keys() == {key for key in run if not key.startswith("cfg_")} - settings
    for key, values in found.items():
        np.testing.assert_array_equal(values, run[key], err_msg=key)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_runs_of_the_authors_are_repeated(path):
    assert_repeated(path)


@pytest.mark.skipif(not OTHERS, reason=f"{OTHER_FOLDER} names no folder with runs")
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_runs_in_another_folder_are_repeated(path):
    assert_repeated(path)


@pytest.mark.parametrize(
    "path", [path for path in KEPT if "events" in read(path)], ids=lambda path: path.stem
)
def test_the_literal_transcription_sends_every_spike_in_the_authors_order(path):
    run = read(path)
    net = definition(run)
    literal = LiteralEventNetwork(net, matrices(run))
    events = []
    for n, (x, y) in enumerate(zip(run["x"], run["y"], strict=True)):
        literal.log = []
        literal.show([x] * net.n_steps, [y] * net.n_steps)
        events += [f"SAMPLE {n}", *literal.log]
    assert events == run["events"].tolist()


def test_the_runs_kept_use_every_rule():
    nets = [definition(read(path)) for path in KEPT]
    for field, values in {
        "n_steps": {5, 10},
        "update": {"fractional", "outer"},
        "order": {"breadth", "depth"},
        "backward_init": {"carry", "zero"},
        "arithmetic": {"float32", "float64"},
    }.items():
        assert {getattr(net, field) for net in nets} == values
    assert len({net.layer_sizes for net in nets}) == 2
