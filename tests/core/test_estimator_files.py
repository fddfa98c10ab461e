"""An estimator that a file holds goes on as the one that was saved, and no file brings code."""

import io
import json
import re
import warnings
from copy import deepcopy

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError
from typer.testing import CliRunner

from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingMLPRegressor,
)
from spikebp_plugins.cli.program import app
from spikebp_plugins.common.archive import read_archive, write_archive
from spikebp_plugins.embedded import from_state_bytes, to_state_bytes
from spikebp_plugins.estimators.estimator import SpikingEstimator
from tests.core.test_features_in_c import assert_same_classifiers, sensor_readings
from tests.documentation import sections
from tests.scripts import printed_by

pytestmark = pytest.mark.filterwarnings("ignore")

FEW = {"hidden_layer_sizes": (12,), "max_iter": 3, "random_state": 0}
NAMES = np.array(["none", "spam", "«é» \U0001f600"])

#: Parameters of classifiers, and what turns their labels into names.
CLASSIFIERS = {
    "names": (FEW, NAMES.__getitem__),
    "names that are objects": (FEW, lambda y: NAMES.astype(object)[y]),
    "integers": (FEW | {"random_state": None, "n_steps": np.int64(3)}, lambda y: 10 * y),
    "booleans": (FEW, lambda y: y > 0),
    "numbers": (FEW, lambda y: y * 1.0),
    "weights and replay": (
        FEW | {"class_weight": {0: 2.0, 1: 1, 2: 0.5}, "replay_capacity": 30},
        lambda y: y,
    ),
    "random feedback, a rate": (FEW | {"feedback": "random", "learning_rate": 0.125}, NAMES.take),
    "an image": (
        {"connections": [Conv2D(3, 2)], "image_shape": (2, 5), "max_iter": 2, "random_state": 1},
        lambda y: y,
    ),
    "fractional, early stopping": (
        FEW | {"update": "fractional", "early_stopping": True, "label_targets": (1, 5)},
        lambda y: y,
    ),
    "a scale": (FEW | {"input_scale": 1 / 64, "arithmetic": "fixed"}, lambda y: y),
}


def learned(kind, parameters, X, y, *, by="both"):
    """Return an estimator that has learned in `fit`, in a stream, or in both."""
    model = kind(**parameters)
    if by != "stream":
        model.fit(X[:60], y[:60])
    if by != "fit":
        for i in range(60, 75):  # the block does not end
            more = {"classes": np.unique(y)} if kind is SpikingMLPClassifier and i == 60 else {}
            model.partial_fit(X[i : i + 1], y[i : i + 1], **more)
    return model


def never(model):
    return False


def reloaded(model):
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    return type(model).load(file)


def arrays_of(model, folder):
    model.save(folder / "model.npz")
    return read_archive(folder / "model.npz", "estimator")


def assert_goes_on_alike(one, other, X, y):
    """Compare two estimators now, and after more samples."""
    for rows in (slice(80, 85), slice(85, 120)):
        for name in ("predict", "decision_function", "predict_proba"):
            if hasattr(one, name):
                assert np.array_equal(getattr(one, name)(X), getattr(other, name)(X)), name
        assert one.checkpoint_ == other.checkpoint_
        for model in (one, other):
            model.partial_fit(X[rows], y[rows])
    assert one._learned.rate == other._learned.rate
    assert one.n_iter_ == other.n_iter_


@pytest.mark.parametrize("by", ["fit", "stream", "both"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_goes_on(name, by):
    parameters, named = CLASSIFIERS[name]
    X, y = sensor_readings(120, 3, 10, True, 3)
    y[:3] = 0, 1, 2
    y[60:63] = 0, 1, 2
    y = named(y)
    model = learned(SpikingMLPClassifier, parameters, X, y, by=by)
    found = reloaded(model)
    assert type(found) is SpikingMLPClassifier
    assert repr(found.get_params()) == repr(model.get_params())
    assert found.classes_.dtype == model.classes_.dtype
    assert found.classes_.tolist() == model.classes_.tolist()
    assert found.loss_curve_ == model.loss_curve_
    assert_goes_on_alike(found, model, X, y)


@pytest.mark.parametrize("by", ["fit", "stream", "both"])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("parameters", [{}, {"target_scale": 0.5}, {"signed_output": False}])
def test_a_regressor_goes_on(parameters, n_targets, by):
    X, y = sensor_readings(120, 3, 6, False, 4)
    y = np.abs(X[:, :n_targets]).clip(0, 500) + y[:, np.newaxis]
    y = y[:, 0] if n_targets == 1 else y
    model = learned(SpikingMLPRegressor, FEW | parameters, X, y, by=by)
    assert_goes_on_alike(reloaded(model), model, X, y)


def test_sparse_rows_and_names_of_features_are_kept():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = sensor_readings(120, 3, 8, True, 5)
    frame = pandas.DataFrame(X, columns=[f"sensor {i}" for i in range(8)])
    model = SpikingMLPClassifier(**FEW).fit(frame, y)
    assert reloaded(model).feature_names_in_.tolist() == frame.columns.tolist()
    rows = csr_matrix(X)
    model = SpikingMLPClassifier(**FEW, replay_capacity=20).partial_fit(
        rows[:70], y[:70], classes=[0, 1, 2]
    )
    assert_goes_on_alike(reloaded(model), model, rows, y)


def test_equal_states_are_equal_bytes_and_a_checkpoint(tmp_path):
    X, y = sensor_readings(120, 3, 8, True, 6)
    model = learned(SpikingMLPClassifier, FEW, X, y)
    path = tmp_path / "model.npz"
    model.save(path)
    files = [path.read_bytes()]
    for one in (deepcopy(model), SpikingMLPClassifier.load(path), model):
        one.predict(X)
        one.save(path)
        files.append(path.read_bytes())
    assert len(set(files)) == 1
    assert Checkpoint.load(path) == model.checkpoint_


def test_what_no_file_holds_is_refused_before_anything_is_written(tmp_path):
    X, y = sensor_readings(60, 3, 4, False, 7)
    path = tmp_path / "model.npz"
    with pytest.raises(NotFittedError):
        SpikingMLPClassifier().save(path)
    for parameters, why in (
        ({"callback": never}, "callback must be None, to be saved; got"),
        ({"random_state": np.random.RandomState(0)}, "random_state must be None or an integer"),
    ):
        model = SpikingMLPClassifier(**FEW | parameters).fit(X, y)
        with pytest.raises(ValueError, match=why):
            model.save(path)
    model = SpikingMLPClassifier(**FEW).fit(X, y)
    model.classes_ = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "datetime64[D]")
    with pytest.raises(ValueError, match="classes_ must be numbers or strings, to be saved; got"):
        model.save(path)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused_in_a_sentence(tmp_path):
    X, y = sensor_readings(60, 3, 4, False, 8)
    model = SpikingMLPClassifier(**FEW).fit(X, y)
    path = tmp_path / "model.npz"
    arrays = arrays_of(model, tmp_path)
    with pytest.raises(ValueError, match="holds a SpikingMLPClassifier, which is no SpikingMLPR"):
        SpikingMLPRegressor.load(path)
    assert type(SpikingEstimator.load(path)) is SpikingMLPClassifier
    model.checkpoint_.save(path)
    with pytest.raises(
        ValueError, match=r"a network and no estimator: read it with Checkpoint\.lo"
    ):
        SpikingMLPClassifier.load(path)
    with pytest.raises(FileNotFoundError):
        SpikingMLPClassifier.load(tmp_path / "none.npz")
    changed = arrays | {"estimator_version": np.array(2)}
    write_archive(path, changed)
    with pytest.raises(ValueError, match="estimator format 2, newer than the 1"):
        SpikingMLPClassifier.load(path)


def test_nothing_that_a_file_names_is_called_and_no_damage_passes(tmp_path):
    X, y = sensor_readings(75, 3, 4, True, 9)
    model = SpikingMLPClassifier(**FEW).fit(X, y)
    path = tmp_path / "model.npz"
    arrays = arrays_of(model, tmp_path)
    text = arrays["estimator"].tobytes().decode()
    tree = json.loads(text)
    tree["learned"]["_monitor"] = {"system": [["true"], None]}
    damages = [json.dumps(tree), text[:-1], "[" * 100_000, "null", text.replace("int64", "int32")]
    damages += [re.sub(word, "x", text, count=1) for word in ("classes_", "_scaling", "LearningR")]
    for damaged in damages:
        write_archive(path, arrays | {"estimator": np.frombuffer(damaged.encode(), np.uint8)})
        with pytest.raises(ValueError, match="is not a readable estimator"):
            SpikingMLPClassifier.load(path)
    for name in arrays:
        if name.startswith("estimator_") and name != "estimator_version":
            for other in (arrays[name][:-1], np.append(arrays[name], arrays[name][:1])):
                write_archive(path, arrays | {name: other})
                with pytest.raises(ValueError, match="is not a readable estimator"):
                    SpikingMLPClassifier.load(path)
    model.save(path)
    data = path.read_bytes()
    for n in range(0, len(data), 97):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match="is not a readable estimator"):
            SpikingMLPClassifier.load(path)


def test_the_code_of_the_guide_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(sections("docs/scikit_learn.md")["Files"], {})
    assert capsys.readouterr().out == "True\n"


def test_the_commands_take_a_classifier_to_c_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = sensor_readings(90, 3, 5, False, 10)
    X = X.clip(-20_000, 20_000) / 1024
    names = np.array(["a", "b", "c"])
    model = SpikingMLPClassifier(**FEW).partial_fit(X[:50], names[y[:50]], classes=names)
    model.save("model.npz")

    def run(*words, exit_code=0):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == exit_code, result.output
        return result.output

    of_features = ("--feature-bits", "16", "--unit")
    assert "net.c" in run("export-c", "model.npz", *of_features, "2^-10")
    assert "in units of 2^-10" in (tmp_path / "net.h").read_text("utf-8")
    assert "must be a power of two" in run("export-c", "model.npz", "--unit", "0.1", exit_code=2)
    assert "unit must be" in run("export-c", "model.npz", "--unit", "fast", exit_code=2)
    assert "feature_bits must be" in run(
        "export-c", "model.npz", "--feature-bits", "8", exit_code=2
    )
    model.partial_fit(X[50:], names[y[50:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tmp_path / "state.bin").write_bytes(to_state_bytes(model, None, 16, 2.0**-10))
    printed = run(
        *("import-c", "state.bin", "--checkpoint", "model.npz", "--unit", "2**-10"),
        *("--output", "later.npz"),
    )
    assert "90 samples seen, 40 since model.npz" in printed
    later = SpikingMLPClassifier.load("later.npz")
    assert_same_classifiers(later, model)
    run("export-c", "later.npz", "--state", "again.bin", *of_features, "0.0009765625")
    again = (tmp_path / "again.bin").read_bytes()
    assert again == (tmp_path / "state.bin").read_bytes()
    assert_same_classifiers(from_state_bytes(again, later, 2.0**-10), model)


def test_a_checkpoint_goes_to_c_without_scikit_learn(tmp_path):
    with Simulator(SpikingMLP((4, 3, 2)), "reference") as sim:
        sim.save(tmp_path / "net.npz")
    code = (
        "import sys; from spikebp_plugins.cli.program import app; "
        "app(['export-c', 'net.npz'], standalone_mode=False); print('sklearn' in sys.modules)"
    )
    assert printed_by("-c", tmp_path, code).split()[-1] == "False"
