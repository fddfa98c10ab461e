"""A classifier goes on on an emulated board: it scales and learns there as it does itself."""

import shutil
import warnings
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spikebp_plugins import Checkpoint, Simulator, SpikingMLPClassifier, to_c
from spikebp_plugins.embedded import from_state_bytes, to_state_bytes
from tests.core.small_nets import assert_all_equal
from tests.core.test_board import MISSING, assert_sizes_are_kept, board, on_both_cores
from tests.core.test_cli import run as spikebp
from tests.core.test_features_in_c import (
    ESTIMATORS,
    ProgramOfClassifier,
    assert_same_classifiers,
    begun,
    sensor_readings,
)
from tests.core.test_tables import cells_of, write_iris, write_made

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.filterwarnings("ignore"),
]

write_large = partial(write_made, "large.csv", 20_000)
features_file = partial(board.samples_file, number="i4")

#: Another compiler of the network. The library of the board's own one has the headers.
CLANG = ("clang", "--target=arm-none-eabi", "-fshort-enums", "-isystem", "/usr/include/newlib")

COMPILERS = [
    pytest.param((board.COMPILER,), id="gcc"),
    pytest.param(
        CLANG,
        id="clang",
        marks=pytest.mark.skipif(shutil.which("clang") is None, reason="clang not found"),
    ),
]


def wrong_in_turn(model, X, y):
    """Learn samples one by one, and return how many a classifier names wrong before."""
    wrong = 0
    for row, label in zip(X, model.classes_[y], strict=True):
        wrong += model.predict(row[np.newaxis])[0] != label
        model.partial_fit(row[np.newaxis], [label])
    return wrong


@on_both_cores
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_board_learns_what_its_classifier_learns(name, compiler, core, tmp_path):
    n_classes, width, is_sparse, n_fit = ESTIMATORS[name]
    model = begun(n_classes, width, is_sparse, n_fit)
    X, y = sensor_readings(500, n_classes, width, is_sparse, 2)
    before = deepcopy(model)
    to_c(model).save(tmp_path)
    # Clang says of its objects that they execute no stack, and the board's library says nothing.
    options = () if compiler != CLANG else ("-Wl,-z,noexecstack",)
    program = board.build(
        tmp_path, core, tmp_path / "learn.elf", options=options, compiler=compiler
    )
    assert board.unwanted(board.symbols_of(program.path)) == []
    learned = board.learn(program, tmp_path, X[:300], y[:300], write=features_file)
    wrong = wrong_in_turn(model, X[:300], y[:300])
    assert (learned.samples, learned.undone, learned.wrong) == (300, 0, wrong)
    assert_same_classifiers(from_state_bytes(learned.state, before), model)
    # It is switched on again with what it has learned, in the middle of a block.
    learned = board.learn(program, tmp_path, X[300:], y[300:], learned.state, features_file)
    model.partial_fit(X[300:], model.classes_[y[300:]])
    assert_same_classifiers(from_state_bytes(learned.state, before), model)


@on_both_cores
def test_the_first_400_digits_are_learned_as_well_as_by_the_classifier(core, tmp_path):
    X, y = load_digits(return_X_y=True)
    model = SpikingMLPClassifier(random_state=0)
    model.partial_fit(X[:1], y[:1], classes=range(10))
    to_c(model, feature_bits=16).save(tmp_path)
    program = board.build(tmp_path, core, tmp_path / "learn.elf")
    state, before = None, deepcopy(model)
    for rows in (slice(1, 200), slice(200, 400)):
        write = partial(board.samples_file, number="i2")
        learned = board.learn(program, tmp_path, X[rows], y[rows], state, write)
        assert learned.undone == 0
        assert learned.wrong == wrong_in_turn(model, X[rows], y[rows])
        state = learned.state
    assert learned.wrong < 30
    assert_same_classifiers(from_state_bytes(state, before), model)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(
    "fields", [{}, {"n_steps": 1}, {"update": "fractional"}, {"feedback": "random"}], ids=str
)
def test_code_and_stack_are_those_that_the_header_says(fields, bits, tmp_path):
    model = begun(5, 6, False, 0, **fields)
    X, y = sensor_readings(60, 5, 6, False, 2)
    assert_sizes_are_kept(to_c(model, bits), tmp_path, X, y, write=features_file)


@on_both_cores
@pytest.mark.parametrize("is_list", [False, True], ids=["values", "lists"])
def test_values_and_lists_are_learned_on_the_board(is_list, core, tmp_path):
    X, y = sensor_readings(200, 5, 30, True, 3)
    model = begun(5, 30, True, 100)
    checkpoint = Checkpoint(model.checkpoint_.net, model.checkpoint_.state)
    net, values = checkpoint.net, model.network_inputs(X)
    to_c(checkpoint, 32).save(tmp_path)
    option = f"-DSAMPLES_ARE_{'LISTS' if is_list else 'VALUES'}"
    program = board.build(tmp_path, core, tmp_path / "learn.elf", options=(option,))
    write = partial(board.lists_file if is_list else board.samples_file, number="i8")
    units = np.rint(np.ldexp(values * net.input_factor, net.fraction_bits)).astype(int)
    learned = board.learn(program, tmp_path, units, y, write=write)
    with Simulator.from_checkpoint(checkpoint) as sim, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sim.train(values, y)
        found = from_state_bytes(learned.state, checkpoint)
        assert_all_equal(found.state.weights, sim.weights)
    assert learned.undone == 0
    assert learned.state == to_state_bytes(sim.checkpoint(), 32)


@on_both_cores
@pytest.mark.parametrize(("write", "target"), [(write_iris, "species"), (write_large, "income")])
def test_three_commands_bring_a_table_to_a_board(write, target, core, tmp_path, monkeypatch):
    """All rows are named and learned alike in Python, by gcc and on the board."""
    monkeypatch.chdir(tmp_path)
    table = write()
    spikebp("train", table, "--target", target, "--layers", "20,10", "--save", "model.npz")
    spikebp("predict", "model.npz", table, "--output", "said.csv")
    spikebp("export-c", "model.npz")
    model, cells = SpikingMLPClassifier.load("model.npz"), cells_of(table)
    X, y = model.table_.features(cells), np.searchsorted(model.classes_, cells[target])
    before = deepcopy(model)

    (tmp_path / "host").mkdir()
    here = ProgramOfClassifier(model, tmp_path / "host")
    assert (tmp_path / "net.c").read_bytes() == (tmp_path / "host" / "net.c").read_bytes()
    scores = np.array([here.scores(row) for row in X])
    assert np.array_equal(model.classes_[scores.argmax(axis=1)], cells_of("said.csv")[target])
    for row, label in zip(X, y, strict=True):
        assert here.learn(row, label) == 0

    program = board.build(tmp_path, core, tmp_path / "learn.elf")
    learned = board.learn(program, tmp_path, X, y, write=features_file)
    assert learned.wrong == wrong_in_turn(model, X, y)
    assert learned.state == here.state()
    assert_same_classifiers(from_state_bytes(learned.state, before), model)
