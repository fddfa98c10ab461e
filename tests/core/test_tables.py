"""Tables become features that are whole numbers, and models are trained on them from a shell."""

import csv
import gzip
import json
import subprocess
import sys
import tracemalloc
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris

from spikebp_plugins import (
    Checkpoint,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingMLPRegressor,
)
from spikebp_plugins.cli import tables
from spikebp_plugins.data.tables import (
    GAPS,
    LARGEST_READING,
    MOST_CATEGORIES,
    PRESENT,
    CategoryColumn,
    NumberColumn,
    Table,
    TableFile,
)
from tests.core.small_nets import assert_all_equal
from tests.core.test_cli import run, run_json
from tests.documentation import ROOT, sections

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_table(name, header, rows, **options):
    opened = gzip.open if name.endswith(".gz") else open
    with opened(name, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return name


def cells_of(path, at_once=10**6):
    blocks = list(TableFile(path).rows(at_once))
    return {name: sum((block[name] for block in blocks), ()) for name in blocks[0]}


def write_iris(name="iris.csv"):
    data = load_iris()
    rows = [(*x, data.target_names[y]) for x, y in zip(data.data, data.target, strict=True)]
    return write_table(name, [*data.feature_names, "species"], rows)


def write_made(name="made.csv", n=600):
    """Write a table with gaps, categories, sums that are mostly zero, and three classes."""
    random = np.random.default_rng(0)
    age, hours = random.integers(17, 90, n), random.normal(40, 12, n).round(1)
    jobs = random.choice(["clerk", "nurse", "driver", ""], n)
    gain = np.where(random.random(n) < 0.1, random.integers(1000, 99999, n), 0)
    score = (age - 50) / 20 + (hours - 40) / 12 + 2 * (jobs == "nurse") + 3 * (gain > 20000)
    income = np.array(["low", "middle", "high"])[np.digitize(score, [-0.5, 1.5])]
    is_gap = random.random((2, n)) < 0.05
    rows = zip(
        np.where(is_gap[0], "", age),
        np.where(is_gap[1], "?", hours),
        jobs,
        gain,
        income,
        strict=True,
    )
    return write_table(name, ["age", "hours", "job", "gain", "income"], rows)


# Columns, and what their features are.


def literal_reading(cell, decimals):
    whole = Decimal(cell).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN)
    return max(-LARGEST_READING, min(LARGEST_READING, int(whole)))


@given(
    st.lists(
        st.one_of(
            st.decimals(-9999, 9999, places=3).map(str),
            st.integers(-99, 99).map(str),
            st.sampled_from(sorted(GAPS)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_numbers_become_whole_numbers_of_their_last_decimal(cells):
    numbers = [cell for cell in cells if cell not in GAPS]
    assume(numbers)
    column = NumberColumn.of("c", cells)
    nonzero = [cell for cell in numbers if float(cell) != 0]
    if 2 * len(nonzero) >= len(numbers):
        most = max(max(0, -Decimal(cell).as_tuple().exponent) for cell in numbers)
        assert column.decimals == most
    readings = [literal_reading(cell, column.decimals) for cell in numbers]
    assert abs(column.usual - median(readings)) <= 0.5
    has_gaps = len(numbers) < len(cells)
    assert len(column.feature_names) == len(column.meanings) == 1 + has_gaps
    expected = [
        [column.usual, PRESENT][: 1 + has_gaps]
        if cell in GAPS
        else [literal_reading(cell, column.decimals), 0][: 1 + has_gaps]
        for cell in cells
    ]
    # A number with more decimals than the column could be half-way between two in binary alone.
    assert column.features(cells).tolist() == expected


def test_large_numbers_keep_the_digits_that_a_board_can_read():
    cells = ["123456789012.25", "1e11", "-7"]
    column = NumberColumn.of("c", cells)
    assert column.decimals == -3
    assert column.features(cells).tolist() == [[123456789], [100000000], [0]]
    assert column.features(["9e99", "-9e99"]).tolist() == [[LARGEST_READING], [-LARGEST_READING]]
    assert column.meanings == ["c / 1000"]


def test_numbers_that_are_mostly_zero_are_as_large_as_categories():
    cells = ["0"] * 9 + ["52000"]
    assert NumberColumn.of("c", cells).features(cells).max() == 5200 / 10
    cells = ["0"] * 9 + ["0.0031"]
    assert NumberColumn.of("c", cells).features(cells).max() == 3100


def test_what_python_takes_for_a_number_is_one_everywhere():
    column = NumberColumn.of("c", ["1_000", "١٢", "3e2"])
    assert column.features(["1_000", "١٢", "3e2"]).tolist() == [[1000], [12], [300]]


def test_categories_have_a_feature_each_and_one_for_gaps():
    column = CategoryColumn.of("c", ["red", "", "blue", "red"])
    assert column.categories == ("", "blue", "red")
    assert column.feature_names == ["c is missing", "c is blue", "c is red"]
    expected = [[0, 0, PRESENT], [PRESENT, 0, 0], [0, 0, 0]]  # green has not come before
    assert column.features(["red", "", "green"]).tolist() == expected


def test_columns_beside_large_sums_are_learned():
    """Features that are mostly zero share a scale, in which 1 beside 50,000 would be nothing."""
    random = np.random.default_rng(0)
    job = random.integers(0, 12, 3000)
    gain = np.where(random.random(3000) < 0.08, random.integers(1000, 99999, 3000), 0)
    is_high = random.normal(0, 1, 12)[job] > 0
    cells = {"job": [f"j{i}" for i in job], "gain": gain.astype(str), "high": is_high.astype(str)}
    table = Table.of(cells, "high")
    X, y = table.features(cells), table.targets(cells["high"])
    model = SpikingMLPClassifier((30,), random_state=0).fit(X[:2400], y[:2400])
    assert model.score(X[2400:], y[2400:]) > 0.98


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_files_have_separators_quotes_and_gzip(separator, ending):
    rows = [["1.5", 'a "b", c; d\te', "x"], ["2", "", "y"], ["?", "line\nbreak", "x"]]
    name = write_table(f"t.{ending}", ["n", "c", "t"], rows, delimiter=separator)
    cells = cells_of(name, at_once=2)
    assert cells == {"n": ("1.5", "2", "?"), "c": tuple(r[1] for r in rows), "t": ("x", "y", "x")}


def test_a_byte_order_mark_and_empty_lines_are_no_cells():
    with open("t.csv", "w", encoding="utf-8-sig") as file:
        file.write("a, b\n1, x\n\n2, y\n")
    assert cells_of("t.csv") == {"a": ("1", "2"), "b": ("x", "y")}


def test_a_target_of_many_numbers_is_regressed():
    numbers = {"x": ["1"] * 40, "y": list(map(str, range(40)))}
    assert Table.of(numbers, "y").is_regression
    assert not Table.of(numbers, "y", categories=["y"]).is_regression
    assert not Table.of(numbers | {"y": ["0", "1"] * 20}, "y").is_regression
    assert Table.of(numbers | {"y": ["0.5", "1"] * 20}, "y").is_regression
    mixed = Table.of(numbers | {"y": ["none", "1"] * 20}, "y", categories=["y"])
    assert not mixed.is_regression
    is_known, classes = mixed.known(["", "none", "1", "?"])
    assert is_known.tolist() == [False, True, True, False]
    assert classes.tolist() == ["none", "1"]
    is_known, regressed = Table.of(numbers, "y").known(["none", "1.5"])
    assert (is_known.tolist(), regressed.tolist()) == ([False, True], [1.5])


def refused(*arguments):
    """Return what a command says when it refuses something."""
    return run(*arguments, exit_code=2).stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the header must be the names of columns in the first line of t.csv; got nothing"),
        ("1,2\n3,4\n", "the header must be the names of columns"),
        ("a,a,t\n1,2,x\n", "all of them different; got ['a', 'a', 't']"),
        ("a,t\n", "the table must be one with rows below its header; got none"),
        ("a,t\n1,x\n2\n", "line 3 of t.csv must be a row of 2 cells; got one of 1"),
        ("a,b\n1,x\n", "target must be among the columns a, b; got 't'"),
        ("a,t\n1,x\nunknown,y\n", "a must be numbers with a point in every row, or texts, or"),
        ("a;t\n3,5;x\n2,5;y\n", "or named in --categories; got '3,5'"),
        ("a,t\n1,1.5\n2,n.a.\n", "t must be numbers with a point in every row, or texts, or"),
        ("a,t\n1,?\n2,?\n", "the table must be one with rows that have a t; got 0"),
        ("t\nx\ny\n", "the table must be one with columns besides the target; got t"),
        (
            "a,t\n" + "".join(f"text {i},x\n" for i in range(201)),
            (
                f"a must be a column of numbers, or of at most {MOST_CATEGORIES} categories; or "
                "left out, as with --without 'a'; got 201 different texts"
            ),
        ),
    ],
    ids=[
        "empty",
        "numbers",
        "twice",
        "no rows",
        "short",
        "texts and numbers",
        "decimal commas",
        "targets with texts",
        "no target",
        "no targets",
        "target alone",
        "texts",
    ],
)
def test_what_is_no_table_is_refused_in_a_line(text, said):
    with open("t.csv", "w", encoding="utf-8") as file:
        file.write(text)
    assert said in refused("train", "t.csv", "--target", "t", "--save", "m.npz")
    assert not Path("m.npz").exists()


def test_bytes_that_are_no_text_are_refused():
    Path("t.csv").write_bytes(b"a,t\n1,x\n\xff\xfe,y\n")
    assert "t.csv must be a table of text in UTF-8; got" in refused(
        "train", "t.csv", "--target", "t"
    )
    Path("t.csv").write_bytes(b"a,t\n1,x\n" + b"1" * 200_000 + b",x\n")
    assert "line 3 of t.csv must be a row of cells; got field larger" in refused(
        "train", "t.csv", "--target", "t"
    )
    packed = gzip.compress(b"a,t\n" + b"1,x\n2,y\n" * 5000)
    Path("t.csv").write_bytes(packed[: len(packed) // 2])
    assert "t.csv must be a table of text in UTF-8; got" in refused(
        "train", "t.csv", "--target", "t"
    )


# The commands.


def model_in(path, kind=SpikingMLPClassifier):
    return kind.load(path)


def split(n, share=0.2, seed=0):
    return np.random.default_rng(seed).random(n) < share


def test_a_model_learns_iris_by_name_and_names_a_table():
    write_iris()
    report = run_json(
        *("train", "iris.csv", "--target", "species", "--layers", "20"),
        *("--epochs", "20", "--rate", "0.25", "--seed", "3", "--save", "model.npz"),
    )
    model, cells = model_in("model.npz"), cells_of("iris.csv")
    X, y = model.table_.features(cells), np.array(cells["species"])
    assert X.tolist() == np.rint(load_iris().data * 10).tolist()
    is_held_out = split(150, seed=3)
    again = SpikingMLPClassifier((20,), max_iter=20, learning_rate=0.25, random_state=3)
    again.fit(X[~is_held_out], y[~is_held_out])
    assert_all_equal(again.checkpoint_.state.weights, model.checkpoint_.state.weights)
    assert (report["rows"], report["rows_held_out"]) == (150, is_held_out.sum())
    assert report["features"] == report["columns"] == 4
    said = model.predict(X)
    wrong = said[is_held_out] != y[is_held_out]
    assert report["error"] == 100 * wrong.sum() / len(wrong) < 12
    assert report["classes"] == ["setosa", "versicolor", "virginica"]
    pairs = [[(y == a) & (said == b) & is_held_out for b in model.classes_] for a in model.classes_]
    assert report["confusion"] == np.sum(pairs, axis=2).tolist()

    known = run_json("predict", "model.npz", "iris.csv", "--output", "said.csv")
    assert known["rows"] == known["rows_with_target"] == 150
    assert known["error"] == 100 * (said != y).sum() / 150
    said_in_file = cells_of("said.csv")
    assert list(said_in_file["species"]) == said.tolist()
    probabilities = np.array([said_in_file[f"probability of {c}"] for c in model.classes_], float)
    assert np.array_equal(probabilities.T, model.predict_proba(X).round(6))


def test_tables_and_what_is_taken_for_what_are_printed():
    write_made()
    printed = run("train", "made.csv", "--target", "income", "--epochs", "3", "--save", "m.npz")
    assert "learns income (3 classes) from 4 columns (9 features)" in printed.stdout
    assert "epoch 3/3: held-out error" in printed.stdout
    assert "error of always the most frequent class of these" in printed.stdout
    assert "taken for" in printed.stdout
    # Other columns, in another order and without the target: each row is named in a line.
    cells = cells_of("made.csv")
    rows = list(zip(cells["gain"], cells["job"], cells["hours"], cells["age"], strict=True))
    write_table("new.csv", ["gain", "job", "hours", "age", "x"], [(*row, "y") for row in rows])
    lines = run("predict", "m.npz", "new.csv").stdout.split()
    model = model_in("m.npz")
    assert lines == model.predict(model.table_.features(cells)).tolist()


def test_many_classes_are_told_by_the_most_frequent_mistakes():
    random = np.random.default_rng(0)
    y = random.integers(0, 15, 400)
    rows = [(x + random.normal(0, 2), f"class {x:02}") for x in y]
    write_table("t.csv", ["x", "t"], rows)
    printed = run("train", "t.csv", "--target", "t", "--epochs", "2", "--held-out", "0.5").stdout
    assert "the most frequent mistakes" in " ".join(printed.split())


def test_numbers_are_regressed():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    write_table("d.csv", [*(f"x{i}" for i in range(10)), "y"], np.column_stack([X, y]).tolist())
    options = ("--target", "y", "--layers", "30", "--save", "m.npz")
    report = run_json("train", "d.csv", *options)
    model, cells = model_in("m.npz", SpikingMLPRegressor), cells_of("d.csv")
    held = split(len(y))
    said = model.predict(model.table_.features(cells))
    assert report["r2"] == pytest.approx(model.score(model.table_.features(cells)[held], y[held]))
    assert report["r2"] > 0.3
    error = np.sqrt(np.mean((said[held] - y[held]) ** 2))
    assert report["root_mean_square_error"] == pytest.approx(error)
    assert "R²" in run("predict", "m.npz", "d.csv").stdout
    run("predict", "m.npz", "d.csv", "--output", "said.csv")
    assert np.array_equal(np.array(cells_of("said.csv")["y"], float), said)
    assert "left out where numbers are learned" in refused(
        "train", "d.csv", "--target", "y", "--label-targets", "1", "5"
    )


def test_rows_without_a_target_are_not_learned():
    rows = [(i % 7, "" if i % 5 == 0 else "ab"[i % 7 > 3]) for i in range(100)]
    write_table("t.csv", ["x", "t"], rows)
    report = run_json("train", "t.csv", "--target", "t", "--epochs", "1", "--save", "m.npz")
    assert (report["rows"], report["rows_without_target"]) == (80, 20)
    known = run_json("predict", "m.npz", "t.csv")
    assert (known["rows"], known["rows_with_target"]) == (100, 80)


def in_parts(monkeypatch, cells, features):
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 50)
    monkeypatch.setattr(tables, "CELLS_LOOKED_AT", cells)
    monkeypatch.setattr(tables, "MOST_FEATURES", features)


def test_a_large_table_is_learned_in_one_pass(monkeypatch):
    write_made()
    in_parts(monkeypatch, 5 * 300, 9 * 400)
    printed = run("train", "made.csv", "--target", "income", "--save", "m.npz")
    assert "the table is learned in one pass" in printed.stdout
    assert "of held-out rows after it" in printed.stdout
    model, cells = model_in("m.npz"), cells_of("made.csv")
    first = {name: column[:300] for name, column in cells.items()}
    assert model.table_ == Table.of(first, "income")
    X, y = model.table_.features(cells), np.array(cells["income"])
    learned = ~split(600)
    again = SpikingMLPClassifier(random_state=0)
    again.partial_fit(X[learned], y[learned], classes=np.unique(y))
    assert_all_equal(again.checkpoint_.state.weights, model.checkpoint_.state.weights)


def test_epochs_do_not_depend_on_the_size_of_parts(monkeypatch):
    write_made()
    options = ("made.csv", "--target", "income", "--layers", "9", "--epochs", "2", "--save")
    run("train", *options, "whole.npz")
    in_parts(monkeypatch, 10**6, 10**6)
    run("train", *options, "parts.npz")
    one, other = (model_in(f"{name}.npz") for name in ("whole", "parts"))
    assert one.table_ == other.table_
    assert_all_equal(one.checkpoint_.state.weights, other.checkpoint_.state.weights)


def test_the_code_of_the_page_on_commands_runs(folder, capsys):
    (folder / "examples").symlink_to(ROOT / "examples")
    arguments = ("--target", "species", "--epochs", "2", "--save", "model.npz")
    run("train", "examples/iris.csv", *arguments)
    capsys.readouterr()
    exec(sections("docs/command_line.md")["Tables"], {})
    assert "setosa" in capsys.readouterr().out


@pytest.mark.thorough
def test_memory_does_not_grow_with_a_table_of_one_pass(monkeypatch):
    rows = [(i % 97, i % 13, "xy"[i % 97 > 50]) for i in range(24_000)]
    write_table("t.csv", ["a", "b", "t"], rows)
    monkeypatch.setattr(tables, "MOST_FEATURES", 4000)
    monkeypatch.setattr(tables, "CELLS_LOOKED_AT", 4000)
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 500)
    monkeypatch.setattr(tables, "MOST_HELD_OUT", 500)
    peaks = []
    for n in (100, 6_000, 24_000):  # the first one imports
        tracemalloc.start()
        run("train", "t.csv", "--target", "t", "--layers", "4", "--samples", n)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1]


def test_a_model_goes_on_with_the_rows_of_another_table():
    write_made()
    cells = cells_of("made.csv")
    rows = list(zip(*cells.values(), strict=True))
    write_table("first.csv", list(cells), rows[:400])
    write_table("later.csv", list(cells), rows[400:])
    run("train", "first.csv", "--target", "income", "--epochs", "3", "--save", "m.npz")
    model = model_in("m.npz")
    run("train", "later.csv", "--resume", "m.npz", "--held-out", "0", "--save", "later.npz")
    later = cells_of("later.csv")
    model.partial_fit(model.table_.features(later), np.array(later["income"]))
    assert_all_equal(
        model.checkpoint_.state.weights, model_in("later.npz").checkpoint_.state.weights
    )
    for options, said in (
        (("--target", "age"), "target must be income, as in m.npz; got age"),
        (("--without", "age"), "without must be left out with --resume"),
        (("--layers", "9"), "options of the network must be left out with a checkpoint"),
    ):
        assert said in refused("train", "later.csv", "--resume", "m.npz", *options)
    write_iris()
    said = refused("train", "iris.csv", "--resume", "m.npz", "--save", "none.npz")
    assert "target must be among the columns" in said
    assert not Path("none.npz").exists()


def test_options_that_fit_no_table_are_refused():
    write_iris()
    Simulator(SpikingMLP((4, 3))).save("net.npz")
    model = SpikingMLPClassifier((4,)).fit(*load_iris(return_X_y=True))
    model.save("other.npz")
    for arguments, said in (
        (("train", "iris.csv"), "target must be the name of the column to learn; got none"),
        (("train", "iris.csv", "--target", "species", "--dataset", "mnist"), "with a table"),
        (("train", "iris.csv", "--target", "species", "--timing", "pipelined"), "with a table"),
        (("train", "iris.csv", "--target", "species", "--connections", "dense9"), "with a table"),
        (("train", "iris.csv", "--target", "species", "--held-out", "1"), "held-out must be"),
        (("train", "iris.csv", "--target", "species", "--epochs", "0"), "epochs must be"),
        (("train", "--target", "species"), "target must be left out without a table"),
        (("train", "none.csv", "--target", "a"), "none.csv: No such file"),
        (("predict", "net.npz", "iris.csv"), "holds a network and no estimator"),
        (("predict", "other.npz", "iris.csv"), "which was learned from other samples"),
        (("predict", "other.npz", "iris.csv", "--split", "test"), "with a table"),
    ):
        assert said in refused(*arguments)


def test_a_text_among_numbers_is_refused_and_what_was_learned_is_kept(monkeypatch):
    write_made()
    with open("made.csv", "a") as file:
        file.write("many,40,clerk,0,low\n")
    in_parts(monkeypatch, 5 * 300, 9 * 300)
    arguments = ("train", "made.csv", "--target", "income", "--layers", "9", "--save", "m.npz")
    assert "age must be a number, or missing, in every row; got 'many'" in refused(*arguments)
    assert model_in("m.npz").checkpoint_.state.samples_seen == (~split(600)).sum()
    cells = cells_of("made.csv")
    write_table("iris.csv", ["age", "hours"], zip(cells["hours"], cells["age"], strict=True))
    said = refused("predict", "m.npz", "iris.csv")
    assert "the table must be one with the columns job, gain; got age, hours" in said


def test_ctrl_c_keeps_what_was_learned(monkeypatch):
    write_made()
    fit = SpikingMLPClassifier.fit

    def interrupted(self, X, y):
        fit(self, X, y)
        raise KeyboardInterrupt

    monkeypatch.setattr(SpikingMLPClassifier, "fit", interrupted)
    arguments = ("train", "made.csv", "--target", "income", "--epochs", "1")
    said = run(*arguments, exit_code=130).stderr.splitlines()[-1]
    assert said == "interrupted: spikebp-interrupted.npz holds the model as it is"
    assert model_in("spikebp-interrupted.npz").table_.target == "income"

    def at_once(self, X, y):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpikingMLPClassifier, "fit", at_once)
    said = run(*arguments, "--save", "m.npz", exit_code=130).stderr.splitlines()[-1]
    assert said == "interrupted: before anything was learned"


def test_a_model_of_a_table_is_a_checkpoint_and_forgets_it_in_another_fit():
    write_iris()
    run("train", "iris.csv", "--target", "species", "--epochs", "1", "--save", "m.npz")
    assert Checkpoint.load("m.npz").net.n_outputs == 3
    model = model_in("m.npz")
    assert model.fit(*load_iris(return_X_y=True)).table_ is None


def test_programs_say_what_their_features_are(folder):
    write_made()
    run(
        "train",
        "made.csv",
        "--target",
        "income",
        "--layers",
        "9",
        "--epochs",
        "1",
        "--save",
        "m.npz",
    )
    run("export-c", "m.npz")
    guide = (folder / "net.md").read_text()
    usual = model_in("m.npz").table_.columns[1].usual
    assert f"| `x[2]` | hours * 10; {usual} if it is missing |" in guide
    assert "| `x[5]` | 1000 if job is clerk, or else 0 |" in guide


@pytest.mark.thorough
def test_pandas_is_not_needed(folder):
    write_iris()
    code = """
import sys

class WithoutPandas:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ImportError(name)

sys.meta_path.insert(0, WithoutPandas())
from spikebp_plugins.cli.program import app
app(["train", "iris.csv", "--target", "species", "--epochs", "1", "--json"])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 150
