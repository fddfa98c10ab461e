"""A classifier as a program in C scales, learns and names as it does itself, on any features."""

import ctypes
import subprocess
import warnings
from copy import deepcopy

import numpy as np
import pytest

from spikebp_plugins import SpikingMLPClassifier, SpikingMLPRegressor, UnsupportedError, to_c
from spikebp_plugins.embedded import from_state_bytes, to_state_bytes
from spikebp_plugins.embedded.toolchain import find_compiler
from tests.core.equal_scalings import assert_same_scalings
from tests.core.small_nets import assert_all_equal
from tests.core.test_c_compilers import COMPILERS, FLAGS

#: Classes, features, whether these are mostly zero, and with which samples `fit` begins.
ESTIMATORS = {
    "two classes": (2, 4, False, 0),
    "ten classes, sparse": (10, 35, True, 0),
    "20 classes, 64 features": (20, 64, False, 0),
    "sparse, after fit": (17, 9, True, 100),
    "dense, after fit": (5, 6, False, 90),
    "20 classes, 64 sparse features": (20, 64, True, 0),
}


def sensor_readings(n, n_classes, width, is_sparse, seed):
    """Return integers with a glitch, a class that comes late, and a change of unit, and labels."""
    random = np.random.RandomState(seed)
    y = random.randint(n_classes, size=n)
    if is_sparse:
        shares = random.rand(n_classes, width) ** 4 / 2
        X = 10.0 * (random.rand(n, width) < shares[y]) * random.randint(1, 9, (n, width))
        X[:, :2] = 100 * random.standard_normal((n, 2))
    else:
        X = 60 * random.standard_normal((n_classes, width))[y]
        X += 50 * random.standard_normal((n, width)) + random.randint(-1000, 1000, width)
        X *= 2.0 ** random.randint(-3, 8, width)
    X[n // 2, 0] = -(2.0**30)
    X[2 * n // 3 :, width // 2 :] *= random.choice([0.125, 0.5, 16])
    first = y[: n // 3]
    if n_classes > 2:
        first[first == n_classes - 1] = 0
    return np.rint(X), y


def begun(n_classes, width, is_sparse, n_fit, **parameters):
    """Return a classifier that has begun, in `fit` or with one sample."""
    sizes = {} if "connections" in parameters else {"hidden_layer_sizes": (16, 9)}
    model = SpikingMLPClassifier(random_state=n_classes, max_iter=2, **sizes, **parameters)
    classes = np.array([f"net_{i}, «{i}»?" for i in range(n_classes)])
    X, y = sensor_readings(max(n_fit, 1), n_classes, width, is_sparse, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not n_fit:
            return model.partial_fit(X, classes[y], classes=classes)
        y[:n_classes] = np.arange(n_classes)
        return model.fit(X, classes[y])


class ProgramOfClassifier:
    """The program of a classifier, compiled for this machine."""

    def __init__(self, model, folder, **options):
        program = to_c(model, **options)
        program.save(folder)
        command = ["cc", *FLAGS, "-O1", "-shared", "-fPIC", "-o", "net.so", "net.c"]
        subprocess.run(command, cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "net.so"))
        self.net = model.checkpoint_.net
        self.size = int(program.header.split("NET_STATE_SIZE")[1].split()[0])
        is_wide = "typedef int64_t net_state_t" in program.header
        self.drive = self.library.net_summed_drive
        self.drive.restype = ctypes.POINTER(ctypes.c_int64 if is_wide else ctypes.c_int32)
        self.library.net_name.restype = ctypes.c_char_p
        self.readings = np.dtype(f"i{options.get('feature_bits', 32) // 8}")

    def learn(self, x, label):
        x = np.ascontiguousarray(x, self.readings)
        return self.library.net_learn_features(x.ctypes.data_as(ctypes.c_void_p), int(label))

    def scores(self, x):
        x = np.ascontiguousarray(x, self.readings)
        assert self.library.net_predict_features(x.ctypes.data_as(ctypes.c_void_p)) == 0
        drive = self.drive()[: self.net.n_outputs]
        steps = self.library.net_steps()
        return np.array(drive) / 2.0**self.net.fraction_bits / steps

    def name(self):
        return self.library.net_name(self.library.net_class()).decode()

    def state(self):
        data = ctypes.create_string_buffer(self.size)
        assert self.library.net_write_state(0, data, self.size) == 0
        return data.raw

    def read(self, data):
        return self.library.net_read_state(0, data, len(data))


def assert_same_classifiers(found, expected):
    """Compare all that learning follows; only a classifier in Python knows of outliers."""
    assert_all_equal(found.checkpoint_.state.weights, expected.checkpoint_.state.weights)
    potentials = (one.checkpoint_.state.backward_potentials for one in (found, expected))
    assert_all_equal(*potentials)
    scalings = (one.input_scaling_._replace(outlier=None) for one in (found, expected))
    assert_same_scalings(*scalings)
    assert found._learned.rate == expected._learned.rate


@pytest.mark.skipif(find_compiler() is None, reason="there is no compiler of C for this machine")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_program_learns_what_its_classifier_learns(name, tmp_path):
    n_classes, width, is_sparse, n_fit = ESTIMATORS[name]
    model = begun(n_classes, width, is_sparse, n_fit)
    X, y = sensor_readings(500, n_classes, width, is_sparse, 2)
    program, before = ProgramOfClassifier(model, tmp_path), deepcopy(model)
    for i, (row, label) in enumerate(zip(X, y, strict=True)):
        scores = model.decision_function(row[np.newaxis])[0]
        found = program.scores(row)
        assert np.array_equal(found[1] - found[0] if n_classes == 2 else found, scores), i
        assert program.name() == model.predict(row[np.newaxis])[0]
        assert program.learn(row, label) == 0
        model.partial_fit(row[np.newaxis], model.classes_[[label]])
        if i in (7, 250):
            assert_same_classifiers(from_state_bytes(program.state(), before), model)
    after = from_state_bytes(program.state(), before)
    assert_same_classifiers(after, model)
    assert_same_classifiers(before, begun(n_classes, width, is_sparse, n_fit))
    # It goes on in Python, and the program from there.
    for one in (after, model):
        one.partial_fit(X[:40], model.classes_[y[:40]])
    assert_same_classifiers(after, model)
    assert program.read(to_state_bytes(after)) == 0
    assert program.learn(X[0], y[0]) == 0
    model.partial_fit(X[:1], model.classes_[y[:1]])
    assert_same_classifiers(from_state_bytes(program.state(), before), model)


@pytest.mark.skipif(find_compiler() is None, reason="there is no compiler of C for this machine")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "parameters",
    [
        {"n_steps": 1},
        {"update": "fractional"},
        {"learning_rate": 0.25, "feedback": "random"},
        {"spikes": "binary", "n_steps": 4},
        {"connections": "conv3k2", "image_shape": (3, 4)},
    ],
    ids=str,
)
def test_networks_of_other_kinds_learn_the_same(parameters, tmp_path):
    model = begun(4, 12, False, 0, **parameters)
    X, y = sensor_readings(300, 4, 12, False, 6)
    program, before = ProgramOfClassifier(model, tmp_path), deepcopy(model)
    for i, (row, label) in enumerate(zip(X, y, strict=True)):
        assert np.array_equal(program.scores(row), model.decision_function(row[np.newaxis])[0]), i
        assert program.learn(row, label) == 0
        model.partial_fit(row[np.newaxis], model.classes_[[label]])
    assert_same_classifiers(from_state_bytes(program.state(), before), model)


@pytest.mark.skipif(find_compiler() is None, reason="there is no compiler of C for this machine")
@pytest.mark.filterwarnings("ignore")
def test_readings_may_be_in_a_unit_and_of_16_bits(tmp_path):
    X, y = sensor_readings(120, 3, 5, False, 3)
    X = X.clip(-20_000, 20_000)
    model = SpikingMLPClassifier((9,), random_state=0).partial_fit(
        X[:1] * 2.0**-14, y[:1], classes=[0, 1, 2]
    )
    options = {"feature_bits": 16, "unit": 2.0**-14}
    program, before = ProgramOfClassifier(model, tmp_path, **options), deepcopy(model)
    assert "in units of 2^-14" in (tmp_path / "net.h").read_text("utf-8")
    for row, label in zip(X[1:], y[1:], strict=True):
        assert program.learn(row, label) == 0
        model.partial_fit(row[np.newaxis] * 2.0**-14, [label])
    assert_same_classifiers(from_state_bytes(program.state(), before, 2.0**-14), model)
    with pytest.raises(ValueError, match="data must be the state of this network"):
        from_state_bytes(program.state(), before)


@pytest.mark.skipif(find_compiler() is None, reason="there is no compiler of C for this machine")
@pytest.mark.filterwarnings("ignore")
def test_a_sample_that_is_refused_changes_nothing(tmp_path):
    model = begun(3, 6, False, 0)
    X, y = sensor_readings(60, 3, 6, False, 4)
    program = ProgramOfClassifier(model, tmp_path)
    for row, label in zip(X, y, strict=True):
        before = program.state()
        assert program.learn(row, 3) != 0
        assert program.learn(row, -1) != 0
        assert program.state() == before
        assert program.learn(row, label) == 0
    damaged = bytearray(program.state())
    damaged[-100] ^= 1
    assert program.read(bytes(damaged)) != 0
    assert program.learn(X[0], y[0]) != 0


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_program_does_nothing_undefined(name, compiler, tmp_path):
    n_classes, width, is_sparse, n_fit = ESTIMATORS[name]
    X, y = sensor_readings(300, n_classes, width, is_sparse, 5)
    X[40:60] = np.random.RandomState(0).choice([-(2.0**31), 2.0**31 - 1, 0], (20, width))
    to_c(begun(n_classes, width, is_sparse, n_fit)).save(tmp_path)
    rows = ",\n".join(f"{{ {', '.join(map(str, row))} }}" for row in X.astype(int).tolist())
    labels = ", ".join(map(str, y.tolist()))
    (tmp_path / "main.c").write_text(f"""
#include "net.h"
static const net_feature_t X[300][{width}] = {{
{rows.replace("-2147483648", "-2147483647 - 1")}
}};
static const int32_t Y[300] = {{ {labels} }};
int main(void)
{{
    int i;
    for (i = 0; i < 300; i++)
        if (net_predict_features(X[i]) != NET_OK || net_learn_features(X[i], Y[i]) != NET_OK)
            return 1;
    return 0;
}}
""")
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [compiler, *FLAGS, "-O1", *checks, "net.c", "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run(["./main"], cwd=tmp_path, check=True)


@pytest.mark.filterwarnings("ignore")
def test_what_c_does_not_know_is_refused_by_name():
    model = begun(3, 4, False, 0)
    X, y = np.arange(12.0).reshape(3, 4), [0, 1, 2]
    with pytest.raises(ValueError, match="feature_bits must be"):
        to_c(model, feature_bits=8)
    for unit in (0.1, -0.5, 0, "1", np.nan):
        with pytest.raises(ValueError, match="unit must be a power of two"):
            to_c(model, unit=unit)
    for parameters, why in (
        ({"class_weight": "balanced"}, "class_weight"),
        ({"replay_capacity": 9}, "replay_capacity"),
        ({"input_scale": 0.5}, "input_scale='auto'"),
        ({"update": "fractional", "n_steps": 5}, "cannot be halved on its grid"),
    ):
        other = SpikingMLPClassifier((5,), **parameters).partial_fit(X, y, classes=y)
        with pytest.raises(UnsupportedError, match=why):
            to_c(other)
    halves = SpikingMLPClassifier((5,)).partial_fit(X / 2, y, classes=y)
    with pytest.raises(ValueError, match="unit must be such that the last samples are integers"):
        to_c(halves)
    to_c(halves, unit=0.5)
    with pytest.raises(ValueError, match="learned must be a Checkpoint or a SpikingMLPClassifier"):
        to_c(SpikingMLPRegressor((5,)).partial_fit(X, [0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"unit must be 1\.0 for a Checkpoint"):
        to_c(model._learned.checkpoint, unit=0.5)
    with pytest.raises(ValueError, match="learned must be a classifier"):
        from_state_bytes(to_state_bytes(model), model._learned.checkpoint)
    with pytest.raises(ValueError, match="learned must be a Checkpoint, as"):
        from_state_bytes(to_state_bytes(model._learned.checkpoint), model)
