"""The benchmarks run, on digits and for as short as they can; what they time is not a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins.embedded.toolchain import find_compiler
from tests.scripts import loaded

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "benchmarks"
COMPILED_RIVALS = "pytorch,scikitlearn,numbadense,numbadensedouble,numbasparse"


def run(script, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "SPIKEBP_DATA"}
    command = [sys.executable, str(FOLDER / script), *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(result.stdout)


def test_rivals_are_compared_with_the_spiking_networks():
    options = ("--layers", "12", "--block", "20", "--samples", "40", "--without", COMPILED_RIVALS)
    result = run("online_training.py", *options)
    own = [f"spikebp, {name}" for name in ("default, T = 2", "one step, T = 1", "paper, T = 10")]
    for rows in (result["training"], result["prediction"]):
        assert [row["competitor"] for row in rows] == [*own, "NumPy"]
        assert all(row["microseconds_per_sample"] > 0 for row in rows)
    assert result["work"]["one step"]["messages"] < result["work"]["paper"]["messages"]


def test_a_stream_whose_samples_share_inputs_costs_what_changes():
    (row,) = run("changed_inputs.py", "--only", "room")
    assert row["done"] < row["asked"] / 2
    assert min(row["train"], row["predict"]) > 0


def test_inputs_that_are_silent_cost_neither_time_nor_memory():
    cases = ("rows 1024", "rows 262144", "events 34x34", "start 262144", "rate 1024")
    rows = run("sparse_inputs.py", "--rounds", "1", "--cases", *cases)
    found = {(row["case"], row["what"]): row["now"] for row in rows}
    assert min(found.values()) > 0
    for case in ("rows 262144", "start 262144"):  # arrays of doubles would be twice the weights
        assert found[case, "peak over weights"] < 2


def test_learners_of_sparse_rows_are_compared(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    messages, picture = tmp_path / "messages", tmp_path / "cost.png"
    lines = [("spam\tfree prize now", "ham\tsee you at home")[i % 3 > 0] for i in range(30)]
    messages.write_text("\n".join(lines), "utf-8")
    options = ("--bits", "6,8", "--rounds", "1", "--shuffles", "1", "--file", str(messages))
    own, sgd = "spikebp, partial_fit", "scikit-learn SGDClassifier"
    options += ("--learners", "spikebp, engine", sgd, "PyTorch, EmbeddingBag")
    result = run("sparse_rows.py", *options, "--picture", str(picture))
    left_out = [reason.split(":")[0] for reason in result["left_out"]]
    names = {"spikebp, engine", own, sgd, "PyTorch, EmbeddingBag"} - {*left_out}
    assert {row["learner"] for row in result["cost"]} == names
    assert len(result["cost"]) == 4 * len(names)
    for row in result["cost"]:
        assert min(row["microseconds"]) > 0
        assert (row["own_over_this"] == 1) == (row["learner"] == own)
    assert [row["learner"] for row in result["memory"]][-1] == own
    assert all(len(row["megabytes"]) == 2 for row in result["memory"])
    right = {row["learner"]: row["right"] for row in result["accuracy"]}
    assert {*right} == names - {"spikebp, engine"}
    assert right[sgd] > 80
    assert picture.stat().st_size > 0
    without_data = run("sparse_rows.py", "--parts", "accuracy", "--learners", sgd)
    assert without_data["left_out"] == ["accuracy: neither --file nor SPIKEBP_DATA has messages"]


def test_recordings_of_sensors_are_measured():
    cases = [f"{kind} 34x34" for kind in ("batches", "replay", "Conv2D", "Sparse")]
    rows = run("sparse_inputs.py", "--rounds", "1", "--cases", *cases)
    assert list(dict.fromkeys(row["case"] for row in rows)) == cases
    assert all(row["now"] > 0 for row in rows if row["what"] != "peak, MB")


def test_rivals_that_are_not_installed_are_left_out(monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("numba", "torch", "in_numba"):
        monkeypatch.setitem(sys.modules, name, None)
    found = loaded(FOLDER / "rivals.py").rivals([np.zeros((3, 2))], 0.1)
    assert list(found) == ["ScikitLearn", "NumPy"]
    assert "# Numba, dense (BLAS) is left out: `pip install --group rivals` installs it" in (
        capsys.readouterr().out.splitlines()
    )


def test_a_spiking_convolution_is_compared_with_a_dense_one():
    pytest.importorskip("numba", reason="Numba is not installed")
    size = ("--samples", "40", "--block", "20")
    result = run("convolution.py", *size, "--without", "pytorchconvolution")
    for rows in (result["training"], result["prediction"]):
        names = [row["competitor"] for row in rows]
        assert names == ["spikebp (compiled)", "Numba, dense (im2col and BLAS)"]
        assert all(row["microseconds_per_sample"] > 0 for row in rows)
    assert result["operations"]["forward"] > 0


def test_single_calls_are_compared_with_a_block():
    size = ("--samples", "40", "--block", "20", "--networks", "784-200-200-10,64-100-10")
    left_out, result = run("single_samples.py", *size)
    assert left_out["left_out"] == ["784-200-200-10: SPIKEBP_DATA has no MNIST"]
    assert all(microseconds > 0 for microseconds in result["microseconds"].values())
    assert {"train, beyond the block", "partial_fit / its validation"} <= result["compared"].keys()


def test_the_order_of_events_is_compared_with_that_of_steps():
    result = run("event_order.py", "--layers", "12", "--samples", "40", "--block", "20")
    names = [row["competitor"] for row in result["rows"]]
    assert names == ["event, breadth", "event, depth", "steps"]
    assert result["rows"][0]["own_time_over_this"] == 1
    assert all(row["microseconds_per_sample"] > 0 for row in result["rows"])


def test_scores_approach_those_of_the_relu_network():
    result = run("convergence.py", "--epochs", "8", "--steps", "10", "100", "1000")
    at = {row["n_steps"]: row for row in result["rows"]}
    assert at[1000]["largest_difference"] < 0.02
    assert -1.1 < result["log_log_slope"] < -0.9


def test_competitors_predict_and_learn_a_drifting_stream(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture = tmp_path / "drift.png"
    size = ("--samples", "20", "--layers", "12", "--block", "15")
    result = run("drift.py", "--drift", "rotated", *size, "--picture", str(picture))
    names = [row["competitor"] for row in result["rows"]] + result["left_out"]
    assert names == [
        "spikebp, default",
        "spikebp, paper",
        "scikit-learn SGDClassifier",
        "scikit-learn MLPClassifier",
        "PyTorch, MLP",
    ]
    assert picture.stat().st_size > 0
    assert result["microseconds_in_whole_blocks"] > 0
    for row in result["rows"]:
        assert row["rate"] > 0
        assert row["microseconds_per_sample"] > 0
        assert all(0 <= row[when] <= 1 for when in ("before", "right_after", "at_the_end"))


def test_streams_are_learned_by_all_competitors():
    pytest.importorskip("river", reason="river is not installed")
    small = ("--streams", "bananas,led", "--seeds", "1", "--samples", "60")
    found = run("streams.py", *small, "--chosen")
    assert [result["stream"] for result in found] == ["bananas", "led"]
    for result in found:
        assert len(result["competitors"]) == 7
        assert all(0 < row["accuracy"] < 100 for row in result["competitors"].values())
    (result,) = run("stream_regression.py", "--streams", "trump", *small[2:])
    assert len(result["competitors"]) == 4
    assert all(row["error"] > 0 for row in result["competitors"].values())
    (result,) = run("streams.py", *small[:1], "led", *small[2:], "--parts")
    assert result["competitors"]["defaults"] != result["competitors"]["at every step"]


def test_nested_selection_counts_on_the_streams_that_did_not_choose():
    pytest.importorskip("river", reason="river is not installed")
    size = ("--settings", "2", "--seeds", "1", "--samples", "60")
    found = run("nested_streams.py", "--streams", "sea,led,bananas", *size)
    accuracies = np.array(found["accuracies"])
    assert accuracies.shape == (3, 3)
    assert found["settings"][0] != found["settings"][1]
    for i, chosen in enumerate(found["chosen"]):
        others = np.delete(accuracies, i, axis=1).mean(axis=1)
        assert others[chosen] == others.max()


def test_scaling_survives_what_goes_wrong():
    only = ("--only", "unit x 0.001", "--seeds", "1")
    (labels, numbers) = run("scaling.py", "--streams", "rbf", "--regressed", "friedman", *only)
    assert [row["lost"] for row in labels] == ["unit x 0.001, one", "unit x 0.001, all"]
    assert all(abs(row["rbf"]) < 2 for row in labels)
    assert all(abs(row["friedman"]) < 0.05 for row in numbers)
    sets = ("--sets", "wine,one-hot 20 x 10", "--seeds", "1")
    found, means = run("scaling.py", "--nested", "--settings", "1", *sets)
    assert [row["data"] for row in found] == ["wine", "one-hot 20 x 10"]
    assert all(row["best of all here"] >= row["defaults"] for row in found)
    assert means[0]["setting"] == "default"
    (rows,) = run("scaling.py", "--changes", "--sets", "one-hot 20 x 10", "--seeds", "1")
    default, all_dense = rows[:2]
    assert default["one-hot 20 x 10"] > all_dense["one-hot 20 x 10"] + 2


def test_networks_compare_on_made_sets():
    pytest.importorskip("river", reason="river is not installed")
    found = run("made_sets.py", "--parts", "sets", "--names", "flip_y=.4", "--seeds", "1")
    (row,) = found["sets"]
    (right, loss, seconds), (right_there, loss_there, _) = row["spikebp"], row["MLPClassifier"]
    assert right > right_there > 50
    assert loss < min(loss_there, np.log(2))
    assert seconds > 0
    found = run("made_sets.py", "--parts", "positives", "--names", "shell", "--seeds", "1")
    (row,) = found["balanced accuracy"]
    assert row['spikebp, "balanced"'] > row["GaussianNB"] > [50]
    found = run("made_sets.py", "--parts", "hidden", "--names", "wine", "--seeds", "1")
    *rows, chosen = found["hidden layers"]
    assert len(rows) == 7
    assert chosen["wine"] in [row["wine"] for row in rows]


FANN = os.environ.get("SPIKEBP_FANN")
without_fann = pytest.mark.skipif(FANN is None, reason="SPIKEBP_FANN names no source of FANN")


@pytest.mark.parametrize("fann", [None, pytest.param(FANN, marks=without_fann, id="fann")])
def test_a_board_compares_instructions_with_other_networks(fann):
    missing = loaded(FOLDER.parent / "examples" / "board" / "emulated.py").why_no_board()
    if missing is not None:
        pytest.skip(missing)
    size = ("--layers", "20,15", "--before", "1300", "--samples", "100", "--seeds", "2")
    result = run("board.py", *size, *(() if fann is None else ("--fann", fann)))
    rows = result["rows"]
    names = ["spikebp, T = 1", "spikebp, T = 4", "ReLU, zeros skipped"]
    names += [] if fann is None else ["FANN, single precision"]
    assert [(row["core"], row["competitor"]) for row in rows] == [
        (core, name) for core in ("M3", "M4") for name in names
    ]
    assert ["apt-get source libfann" in text for text in result["left_out"]] == [True] * (not fann)
    for row in rows:
        assert row["instructions_to_learn"] > row["instructions_to_predict"] > 64 * 20
        # They learn with rates that were chosen for more images of MNIST; chance is 90.
        assert 0 < row["error"] < 85
        assert 0 < row["test_error"] < 70
        # The weights of all are in memory.
        assert row["ram"] > 2 * (64 * 20 + 20 * 15 + 15 * 10)
        assert row["stack_used"] > 0
    for of_core in (rows[: len(names)], rows[len(names) :]):
        one, four, rectified, *fanns = (row["times_first_to_learn"] for row in of_core)
        assert rectified < one == 1 < four
        assert all(times > four for times in fanns)


def test_a_folder_without_the_source_of_fann_is_refused(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run("board.py", "--fann", str(tmp_path))
    expected = f"--fann must be a folder with src/floatfann.c; got {tmp_path}\n"
    assert refused.value.stderr.endswith(expected)


def test_scaling_on_a_board_is_compared_with_values_and_lists():
    missing = loaded(FOLDER.parent / "examples" / "board" / "emulated.py").why_no_board()
    if missing is not None:
        pytest.skip(missing)
    rows = run("board_features.py", "--layers", "12", "--samples", "60", "--core", "M3")
    assert [row["way"].split(",")[0] for row in rows] == ["features", "values", "lists"] * 3
    for scaled, values, lists in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert values["learn_ratio"] == 1
        assert 0.9 < scaled["learn_ratio"] < 3
        assert lists["learn_ratio"] < 1.01


def test_a_board_follows_change_compared_with_a_program_that_evaluates_in_full():
    missing = loaded(FOLDER.parent / "examples" / "board" / "emulated.py").why_no_board()
    if missing is not None:
        pytest.skip(missing)
    heart, room, images = run("board_streams.py", "--layers", "20", "--samples", "100")
    assert heart["ratio_to_learn"] < 0.75
    assert room["ratio_to_learn"] < 0.5
    assert images["ratio_to_learn"] < 1.2
    for row in (heart, room, images):
        assert row["changed"] < 1.5 * row["active"]
        assert row["code_incremental"] > row["code_full"]


@pytest.mark.skipif(find_compiler() is None, reason="no compiler of C")
def test_the_network_in_c_is_compared_with_the_compiled_one():
    result = run("network_in_c.py", "--samples", "40", "--block", "20")
    for rows in (result["training"], result["prediction"]):
        assert [row["competitor"] for row in rows] == [
            "spikebp (compiled)",
            "spikebp (C, 16-bit weights)",
        ]
