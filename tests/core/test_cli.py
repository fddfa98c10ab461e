"""The command line: what it prints, writes and refuses, and that Ctrl-C costs nothing."""

import json
import re
import shlex
import signal
import struct
import subprocess
import sys
import time
import warnings
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Dense,
    ReplayBuffer,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    UnsupportedError,
    load_dataset,
)
from spikebp_plugins.cli.compare import split_backends
from spikebp_plugins.cli.program import app
from spikebp_plugins.data import images as datasets
from spikebp_plugins.data.images import IDX_FILES
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.simulation import comparison
from spikebp_plugins.simulation.neurobench import neurobench_metrics
from spikebp_plugins.simulation.plots import plot_raster
from spikebp_plugins.simulation.trace import Trace

HERE = Path(__file__).parent
SMALL = ("--layers", "12", "--rate", "0.05", "--steps", "5", "--samples", "50", "--epochs", "3")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, exit_code=0):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


def help_of(command):
    """Return the help of a command as running text, without the frames around its columns."""
    return " ".join(run(command, "--help").stdout.replace("│", " ").split())


def run_json(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def install(monkeypatch, *points):
    def entry_points(group):
        return list(points)

    monkeypatch.setattr("spikebp_plugins.backends.registry.entry_points", entry_points)


def digits():
    return load_dataset("digits", raw=True)


def small_net(**changes):
    return SpikingMLP(
        (64, 12, 10), **{"n_steps": 5, "learning_rate": 0.05, "input_scale": 1 / 16} | changes
    )


def error_of(net_or_checkpoint, x, y, **options):
    with net_or_checkpoint.simulate() as sim:
        wrong = np.count_nonzero(sim.predict(x, **options).argmax(axis=1) != y)
    return 100 * wrong / len(y)


# --- The program


def test_version_and_help():
    assert run("--version").stdout == "spikebp-plugins 0.1.0\n"
    text = run("--help").stdout
    for name in ("train", "predict", "compare", "backends", "demo"):
        assert name in text


def test_every_field_of_the_definition_is_an_option():
    parameters = typer.main.get_command(app).commands["train"].params
    options = {spelling for parameter in parameters for spelling in parameter.opts}
    names = {field.name for field in fields(SpikingMLP)} - {"layer_sizes"}
    assert {f"--{name.replace('_', '-')}" for name in names} | {"--layers"} <= options


def test_heavy_packages_are_not_imported_for_help():
    code = "import sys, spikebp_plugins.cli.program; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"sklearn", "matplotlib", "tqdm", "pooch"} & set(loaded.split())


# --- Training


def test_training_prints_a_line_for_each_epoch_and_a_table():
    lines = run("train", *SMALL).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("test error" in line for line in lines[:3])
    table = "\n".join(lines[3:])
    for text in ("64-12-10", "150", "test error", "training error", "synaptic operations"):
        assert text in table


def test_a_warning_is_a_line_without_code():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = run("train", "--samples", "150", "--epochs", "1", "--input-scale", "1e-6")
    first, *_ = result.stderr.splitlines()
    assert first.startswith("warning: no output of the network has fired in 150 samples: layer 0 ")
    assert first.endswith(" times the present one, would make all layers below the output fire")
    assert len(result.stderr.splitlines()) == 1


def test_training_reports_json_and_nothing_else_on_stdout():
    result = run("train", *SMALL, "--json")
    report = json.loads(result.stdout)
    assert len(result.stderr.splitlines()) == 3
    net = small_net()
    expected = {
        "backend": "compiled",
        "dataset": "digits",
        "layers": [64, 12, 10],
        "epochs": 3,
        "n_steps": 5,
        "learning_rate": 0.05,
        "effective_learning_rate": net.effective_learning_rate,
        "fraction_bits": net.fraction_bits,
        "seed": 0,
        "definition": net.to_dict(),
        "samples_trained": 150,
        "samples_seen": 150,
        "dense_operations_per_sample": 3 * (64 * 12 + 12 * 10),
    }
    assert {name: report[name] for name in expected} == expected
    assert report["seconds_per_sample"] > 0
    assert len(report["test_error_by_epoch"]) == 3
    assert report["test_error_by_epoch"][-1] == report["test_error"]


@pytest.mark.parametrize("options", [(), ("--no-shuffle",), ("--seed", "7")])
def test_training_is_what_the_library_does(folder, options):
    report = run_json("train", *SMALL, *options, "--save", "cli.npz")
    data = digits()
    seed = 7 if "--seed" in options else 0
    x, y, n_done = data.x_train[:50], data.y_train[:50], 0
    with Simulator(small_net(seed=seed)) as sim, Simulator(small_net(seed=seed)) as tested:
        tested.predict(x[:1])
        for epoch in range(3):
            order = np.random.RandomState([seed, epoch]).permutation(50)
            if "--no-shuffle" in options:
                order = np.arange(50)
            sim.train(x[order], y[order])
            # What has to be done depends on what was shown before.
            before = tested.work.multiply_adds
            tested.train(x[order], y[order])
            n_done += tested.work.multiply_adds - before
            tested.predict(data.x_test)
        work = sim.operations
        sim.save("library.npz")
    assert (folder / "cli.npz").read_bytes() == (folder / "library.npz").read_bytes()
    assert report["spikes_per_sample"] == work.spikes / 150
    assert report["synaptic_operations_per_sample"] == work.total / 150
    assert report["messages_per_sample"] == work.messages / 150
    assert report["multiply_adds_per_sample"] == work.multiply_adds / 150
    assert report["multiply_adds_done_per_sample"] == n_done / 150
    assert report["test_error"] == error_of(Checkpoint.load("cli.npz"), data.x_test, data.y_test)
    assert report["train_error"] == error_of(Checkpoint.load("cli.npz"), x, y)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {
            "update": "outer",
            "spikes": "binary",
            "backward_init": "zero",
            "feedback": "random",
            "timing": "immediate",
            "input_coding": "values",
            "arithmetic": "fixed",
            "fraction_bits": 20,
            "n_steps": 4,
            "learning_rate": 0.02,
            "seed": 3,
        },
        {"timing": "pipelined", "arithmetic": "loihi2", "weight_exponent": -7},
    ],
    ids=["none", "fixed", "chip"],
)
def test_options_reach_the_definition(choices):
    options = []
    for name, value in choices.items():
        options += [f"--{name.replace('_', '-')}", value]
    report = run_json("train", "--epochs", "0", "--input-scale", "2", *options)
    sizes = (64, 200, 200, 10)
    net = SpikingMLP(sizes, **{"input_scale": 2 / 16} | choices)
    assert report["definition"] == net.to_dict()


def test_what_labels_ask_for_and_initial_weights_reach_the_definition(tmp_path):
    fields = {"weight_init": "he", "label_targets": (-1, 5.5)}
    net = SpikingMLP((64, 10), input_scale=1 / 16, **fields)
    command = ("train", "--layers", "", "--save", tmp_path / "a.npz")
    options = ("--weight-init", "he", "--label-targets", "-1", "5.5")
    report = run_json(*command, "--epochs", "0", *options)
    assert report["definition"] == net.to_dict()
    assert Checkpoint.load(tmp_path / "a.npz").net == net
    resumed = run_json(*command, "--epochs", "1", "--resume", tmp_path / "a.npz", *options[2:])
    assert resumed["definition"] == net.to_dict()
    refused = ("train", "--epochs", "0", "--label-targets", "1", "nan")
    error = run(*refused, exit_code=2).stderr
    assert (
        "label_targets must be two finite numbers, the second one larger; got (1.0, nan)" in error
    )
    error = run(*refused[:-2], "5", "1", exit_code=2).stderr
    assert "two finite numbers, the second one larger; got (5.0, 1.0)" in error
    shown = help_of("train")
    assert "--label-targets" in shown
    assert "[default: (6 36)]" in shown


@pytest.mark.parametrize(("options", "error"), [((), 10), (("--feedback", "random"), 20)])
def test_training_at_the_default_rate_learns(options, error):
    report = run_json("train", *options)
    assert report["epochs"] == 5
    assert report["test_error"] < error


@pytest.mark.parametrize("command", ["train", "compare", "hardware-report"])
def test_settings_are_those_of_the_definition(command):
    report = run_json(command, "--layers", "", "--samples", "2", *NOTHING_LEARNED.get(command, ()))
    assert report["definition"] == SpikingMLP((64, 10), input_scale=1 / 16).to_dict()
    assert "0.25; 1/4096 with --update fractional" in help_of(command)


NOTHING_LEARNED = {"train": ("--epochs", "0"), "compare": ("--backends", "compiled,reference")}


def test_data_are_read_from_a_folder(folder):
    random = np.random.RandomState(0)
    for file, n in zip(IDX_FILES, (30, 30, 20, 20), strict=True):
        shape = (n, 3, 4) if "images" in file else (n,)
        array = random.randint(0, 10, shape).astype(np.uint8)
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
        (folder / file).write_bytes(header + array.tobytes())
    data = ("--dataset", "mnist", "--folder", folder)
    report = run_json("train", *data, "--layers", "5", "--epochs", "1", "--save", "a.npz")
    assert report["layers"] == [12, 5, 10]
    assert report["definition"]["input_scale"] == 1 / 255
    assert run_json("predict", "a.npz", *data)["error"] == report["test_error"]


# --- Connections

IMAGES = ("--connections", "conv2k3s2", "--steps", "3")
CONVOLUTION = SpikingNetwork(
    (8, 8), [Conv2D(2, 3, stride=2), Dense(10)], n_steps=3, input_scale=1 / 16
)


def test_connections_are_those_of_the_definition(folder):
    command = ("train", *IMAGES, "--backend", "reference", "--samples", "20", "--save", "a.npz")
    shown = run(*command, "--epochs", "1").stdout
    assert "8x8-3x3x2-10" in shown
    assert Checkpoint.load("a.npz").net == CONVOLUTION
    data = digits()
    order = np.random.RandomState([0, 0]).permutation(20)
    with Simulator(CONVOLUTION, "reference") as sim:
        sim.train(data.x_train[order], data.y_train[order])
        assert all(map(np.array_equal, Checkpoint.load("a.npz").state.weights, sim.weights))
        error = datasets.error_percent(sim.predict(data.x_test), data.y_test)
    assert run_json("predict", "a.npz", "--backend", "reference")["error"] == error
    resumed = run_json(*command, "--epochs", "2", "--resume", "a.npz")
    assert (resumed["samples_trained"], resumed["layers"]) == (20, [64, 18, 10])
    assert resumed["definition"] == CONVOLUTION.to_dict()


def test_every_command_that_makes_a_network_takes_connections():
    options = ("--backends", "reference,compiled", "--samples", "2")
    report = run_json("compare", *IMAGES, *options)
    assert report["definition"] == CONVOLUTION.to_dict()
    report = run_json("hardware-report", *IMAGES, "--samples", "2")
    assert report["definition"] == CONVOLUTION.to_dict()
    for command in ("train", "compare", "hardware-report"):
        assert "conv16k5s2p1" in help_of(command)


def test_a_network_of_other_images_is_refused(folder):
    net = SpikingNetwork.paper((4, 16), [Conv2D(2, 3), Dense(10)])
    with Simulator(net, "reference") as sim:
        sim.save("a.npz")
    said = "error: dataset must be one with images of shape (4, 16), as the checkpoint has; got"
    assert run("predict", "a.npz", exit_code=2).stderr.startswith(said)
    assert run("train", "--resume", "a.npz", exit_code=2).stderr.startswith(said)
    assert run("hardware-report", "a.npz", exit_code=2).stderr.startswith(said)


# --- Going on


def test_resuming_goes_on_where_training_stopped(folder):
    run("train", *SMALL, "--save", "whole.npz")
    run("train", *SMALL, "--save", "part.npz", "--epochs", "1")
    report = run_json("train", *SMALL, "--save", "part.npz", "--resume", "part.npz")
    assert report["samples_trained"] == 100
    assert report["samples_seen"] == 150
    assert (folder / "part.npz").read_bytes() == (folder / "whole.npz").read_bytes()


@pytest.mark.parametrize(
    ("options", "needed", "seen"),
    [
        ((), 4, "3 epochs of 50 samples; got 3"),
        (("--epochs", "1"), 4, "3 epochs of 50 samples; got 1"),
        (("--samples", "40"), 4, "3.75 epochs of 40 samples; got 3"),
    ],
)
def test_resuming_a_complete_run_is_refused(folder, options, needed, seen):
    run("train", *SMALL, "--save", "a.npz")
    arguments = ("train", *SMALL, *options, "--resume", "a.npz", "--save", "b.npz")
    said = run(*arguments, exit_code=2).stderr
    assert said == f"error: epochs must be at least {needed} to go on, for a.npz has seen {seen}\n"
    assert not (folder / "b.npz").exists()
    assert run_json(*arguments, "--epochs", str(needed))["samples_trained"] > 0


def test_a_run_without_epochs_trains_nothing():
    report = run_json("train", *SMALL, "--epochs", "0")
    assert report["samples_trained"] == 0
    assert report["test_error_by_epoch"] == []
    assert [value for name, value in report.items() if name.endswith("_per_sample")] == [None] * 8
    assert "time per sample" in run("train", *SMALL, "--epochs", "0").stdout


def test_resuming_takes_the_definition_from_the_checkpoint():
    options = ("--update", "outer", "--seed", "5", "--input-scale", "2", "--fraction-bits", "30")
    options = (*options, "--rate", "0.0001")
    trained = run_json("train", *SMALL, *options, "--save", "a.npz")
    report = run_json("train", "--samples", "50", "--epochs", "4", "--resume", "a.npz")
    assert report["definition"] == trained["definition"]
    assert report["samples_seen"] == 200
    run("train", *SMALL, *options, "--resume", "a.npz", "--epochs", "4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rate", "0.1"), "learning_rate is 0.05 there and 0.1 here"),
        (("--spikes", "binary"), "spikes is 'graded' there and 'binary' here"),
        (("--seed", "1"), "seed is 0 there and 1 here"),
        (("--input-scale", "2"), "input_scale is 0.0625 there and 0.125 here"),
        (("--layers", "3,4"), "layer_sizes is (64, 12, 10) there and (64, 3, 4, 10) here"),
    ],
)
def test_resuming_under_another_definition_is_refused(options, message):
    run("train", *SMALL, "--epochs", "0", "--save", "a.npz")
    result = run("train", "--resume", "a.npz", *options, exit_code=2)
    assert result.stderr == f"error: a.npz is a checkpoint of another definition: {message}\n"


def test_resuming_with_other_connections_is_refused(folder):
    with Simulator(CONVOLUTION, "reference") as sim:
        sim.save("a.npz")
    layers = "(Conv2D(channels=2, kernel_size=3, stride=2, padding=0), Dense(n=10))"
    for other, message in (
        (("--layers", "18"), "it is a SpikingNetwork there and a SpikingMLP here"),
        (
            ("--connections", "conv2k3s2p1"),
            f"layers is {layers} there and {layers.replace('padding=0', 'padding=1')} here",
        ),
    ):
        said = run("train", "--resume", "a.npz", *other, exit_code=2).stderr
        assert said == f"error: a.npz is a checkpoint of another definition: {message}\n"


def test_a_replay_buffer_is_not_lost_by_resuming(folder):
    buffer = ReplayBuffer(2)
    with Simulator(SpikingMLP.paper((64, 12, 10), input_scale=1 / 16), "reference") as sim:
        sim.train(np.ones((3, 64)), [1, 2, 3], replay=buffer)
        sim.save("a.npz", replay=buffer)
    before = Path("a.npz").read_bytes()
    said = run("train", "--resume", "a.npz", "--save", "a.npz", exit_code=2).stderr
    message = "error: resume must be a checkpoint without a replay buffer or an encoder: go on in"
    assert said.startswith(message)
    assert Path("a.npz").read_bytes() == before


# --- Ctrl-C


class InterruptedBackend(EngineBackend):
    """Learns ten samples at a time, and is interrupted after some of them."""

    blocks_left = 0

    def block_size(self, n_steps):
        return 10

    def train(self, batch, record):
        if type(self).blocks_left == 0:
            raise KeyboardInterrupt
        type(self).blocks_left -= 1
        return super().train(batch, record)


@pytest.mark.parametrize(("blocks", "saving"), [(0, True), (7, False), (14, True)])
def test_an_interrupted_run_resumes_to_the_same_bytes(folder, monkeypatch, blocks, saving):
    save = ("--save", "net 1.npz") if saving else ()
    path = "net 1.npz" if saving else "spikebp-interrupted.npz"
    run("train", *SMALL, "--save", "whole.npz")

    point = EntryPoint("compiled", f"{__name__}:InterruptedBackend", "spikebp_plugins.backends")
    with monkeypatch.context() as patch:
        patch.setattr(InterruptedBackend, "blocks_left", blocks)
        install(patch, point)
        result = run("train", *SMALL, *save, "--json", exit_code=130)
    assert result.stdout == ""
    said = result.stderr.splitlines()[-1]
    sentence, command = said.split("; go on with: ")
    assert sentence == f"interrupted: {path} holds the network after {10 * blocks} of 150 samples"
    assert Checkpoint.load(path).state.samples_seen == 10 * blocks

    program, *arguments = shlex.split(command)
    assert program == "spikebp"
    assert arguments[-2:] == ["--resume", path]
    run(*arguments, *(() if saving else ("--save", path)))
    assert (folder / path).read_bytes() == (folder / "whole.npz").read_bytes()


def test_ctrl_c_after_the_last_sample_leaves_nothing_to_go_on_with(monkeypatch):
    predict = Simulator.predict

    def interrupted(sim, x):
        if sim.samples_seen == 150:
            raise KeyboardInterrupt
        return predict(sim, x)

    monkeypatch.setattr(Simulator, "predict", interrupted)
    said = run("train", *SMALL, exit_code=130).stderr.splitlines()[-1]
    assert said == (
        "interrupted: spikebp-interrupted.npz holds the network after 150 of 150 samples"
    )


@pytest.mark.parametrize("earlier", [["--resume", "a.npz"], ["--resume=a.npz"]])
def test_the_command_to_go_on_resumes_from_one_checkpoint(monkeypatch, earlier):
    run("train", *SMALL, "--epochs", "1", "--save", "a.npz")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(EngineBackend, "train", interrupt)
    said = run("train", *earlier, *SMALL, exit_code=130).stderr
    expected = shlex.join(["spikebp", "train", *SMALL, "--resume", "spikebp-interrupted.npz"])
    assert said.endswith(f"after 50 of 150 samples; go on with: {expected}\n")


def test_ctrl_c_elsewhere_is_one_line(monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikebp_plugins.cli.options.load_dataset", interrupt)
    assert run("train", exit_code=130).stderr == "interrupted\n"


def started_and_interrupted(module, *arguments, raised):
    """Run the command in a process that gets SIGINT as it begins to import a module."""
    code = (
        """
import signal, sys

class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == interrupted_at:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise """
        + raised
        + """

# Whoever starts the tests may ignore SIGINT, which a child inherits.
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupted_at = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt)
from spikebp_plugins.cli import main
main()
"""
    )
    command = [sys.executable, "-c", code, module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_ctrl_c_while_options_are_read_is_one_line(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.metadata.version", interrupt)
    assert run("--version", exit_code=130).stderr == "interrupted\n"


@pytest.mark.parametrize(
    ("module", "raised"),
    [
        ("typing", "KeyboardInterrupt"),
        ("spikebp_plugins.cli.program", "KeyboardInterrupt"),
        # NumPy, interrupted while its C code imports a module, says that it is not installed.
        ("numpy", "ImportError('NumPy')"),
        (
            "sklearn",
            "KeyboardInterrupt",
        ),  # which a command imports, once its options have been read
    ],
)
def test_ctrl_c_while_the_command_starts_is_one_line(module, raised):
    result = started_and_interrupted(module, "train", *SMALL, raised=raised)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send to one process")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_gets_a_signal_ends_with_130(folder, sent):
    # Whoever starts the tests may ignore SIGINT, which a child inherits.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from spikebp_plugins.cli import main; main()"
    )
    # The reference is slow enough to be caught amid an epoch, and needs nothing compiled.
    options = ["train", "--layers", "12", "--samples", "200", "--epochs", "2", "--steps", "5"]
    options += ["--rate", "0.05", "--save", "net.npz"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *options, "--backend", "reference"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline().startswith("epoch 1/2")
        time.sleep(0.1)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.startswith("interrupted: net.npz holds the network after ")
    assert errors.count("\n") == 1
    assert 200 <= Checkpoint.load("net.npz").state.samples_seen < 400

    run(*shlex.split(errors.split("; go on with: ")[1])[1:])
    run(*options, "--save", "whole.npz")
    assert (folder / "net.npz").read_bytes() == (folder / "whole.npz").read_bytes()


# --- Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--dataset", "cifar"), "dataset must be one of 'digits', 'mnist'"),
        (("train", "--layers", "10,x"), "layers must be sizes of hidden layers"),
        (
            ("train", "--layers", "1000000,1000000"),
            "layers must be such that weights fit into the m",
        ),
        (("hardware-report", "--layers", "1000000,1000000"), "weights take 8,001 GB"),
        (("train", "--connections", "conv3"), "connections must be words such as conv16k5, conv16"),
        (
            ("train", "--connections", "conv3k9"),
            "error: layer 1: kernel_size must be at most 8, the pixels",
        ),
        (
            ("compare", "--connections", "conv3k3", "--layers", "9"),
            "layers must be left out if connections are given; got '9'",
        ),
        (("train", "--input-coding", "spikes"), "input_coding='spikes' needs spikes as input"),
        (("train", "--backend", "abacus"), "backend must be one of"),
        (("train", "--backend", "compiled:fast"), "backend must be 'compiled'"),
        (("train", "--resume", "none.npz"), "none.npz: No such file"),
        (("train", "--save", "none/a.npz"), "there is no folder none to write a.npz to"),
        (("train", "--dataset", "mnist", "--folder", "none"), "mnist needs the files"),
        (("train", *SMALL, "--rate", "1e9"), "must stay below"),
        (("predict", "none.npz"), "none.npz: No such file"),
        (("predict", "a.npz", "--split", "both"), "split must be one of 'test', 'train'"),
        (("train", "--save", ""), "save must be the name of a file; got '.'"),
        (("train", "--save", str(HERE)), f"a regular file, or a new one; got {HERE}, which is"),
        (("predict", "a.npz", "--output", "none/s.npz"), "there is no folder none"),
        (("demo", "--seed", "-1"), "seed must be an integer from 0"),
        (("demo", "--output", "none/a.png"), "there is no folder none"),
    ],
)
def test_an_error_is_one_line(arguments, message):
    result = run(*arguments, exit_code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_cannot_be_saved_is_not_trained(folder, monkeypatch):
    def fail(*arguments):
        raise AssertionError("training has begun")

    monkeypatch.setattr(EngineBackend, "train", fail)
    (folder / "link.npz").symlink_to("/dev/null")
    for name, reason in (("link.npz", "no regular file"), ("none/a.npz", "there is no folder")):
        said = run("train", *SMALL, "--save", name, exit_code=2).stderr
        assert reason in said
        assert name.split("/")[0] in said
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "a.npz cannot be written" in run("train", "--save", "a.npz", exit_code=2).stderr


@pytest.mark.parametrize(
    "error",
    [
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
        ImportError,
        ConnectionError,
        UnsupportedError,
    ],
)
def test_every_expected_kind_of_error_is_one_line(monkeypatch, error):
    def fail(path):
        raise error("two\nlines")

    monkeypatch.setattr("spikebp_plugins.network.checkpoint.Checkpoint.load", fail)
    assert run("predict", "a.npz", exit_code=2).stderr == "error: two lines\n"


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(path):
        raise ZeroDivisionError

    monkeypatch.setattr("spikebp_plugins.network.checkpoint.Checkpoint.load", fail)
    with pytest.raises(ZeroDivisionError):
        run("predict", "a.npz")


# --- Prediction


def test_prediction_is_what_the_library_does():
    run("train", *SMALL, "--save", "a.npz")
    data = digits()
    with Checkpoint.load("a.npz").simulate() as sim:
        scores = sim.predict(data.x_test)
        work = sim.operations
    report = run_json("predict", "a.npz", "--output", "scores.npz")
    assert report.pop("seconds_per_sample") > 0
    # Parts of threads, in each of which nothing is kept of the one before, depend on the machine.
    assert report.pop("rows_read_per_sample") > 0
    assert report.pop("multiply_adds_done_per_sample") > 0
    assert report == {
        "backend": "compiled",
        "dataset": "digits",
        "split": "test",
        "n_steps": 5,
        "error": datasets.error_percent(scores, data.y_test),
        "spikes_per_sample": work.spikes / 360,
        "synaptic_operations_per_sample": work.forward / 360,
        "messages_per_sample": work.messages / 360,
        "multiply_adds_per_sample": work.multiply_adds / 360,
        "dense_operations_per_sample": 64 * 12 + 12 * 10,
    }
    with np.load("scores.npz") as written:
        assert set(written) == {"scores", "classes"}
        np.testing.assert_array_equal(written["scores"], scores)
        np.testing.assert_array_equal(written["classes"], scores.argmax(axis=1))
    assert f"{report['error']:.2f} %" in run("predict", "a.npz").stdout


def test_predict_counts_in_the_definitions_of_neurobench():
    run("train", *SMALL, "--save", "a.npz")
    found = neurobench_metrics(Checkpoint.load("a.npz"), digits().x_test, n_steps=9)
    command = ("predict", "a.npz", "--neurobench", "--steps", "9")
    assert run_json(*command)["neurobench"] == found._asdict()
    printed = run(*command).stdout
    assert re.search(rf"NeuroBench: dense +│ {found.dense:,.0f} ", printed)
    assert re.search(
        rf"NeuroBench: activation sparsity +│ {found.activation_sparsity:.3g} ", printed
    )


def test_predict_shows_training_samples_for_more_steps():
    run("train", *SMALL, "--save", "a.npz")
    data = digits()
    report = run_json("predict", "a.npz", "--split", "train", "--steps", "9")
    assert report["n_steps"] == 9
    assert report["split"] == "train"
    assert report["error"] == error_of(
        Checkpoint.load("a.npz"), data.x_train, data.y_train, n_steps=9
    )


def test_a_network_made_for_unit_pixels_gets_them():
    data = load_dataset("digits")
    with Simulator(small_net(input_scale=1.0)) as sim:
        sim.train(data.x_train, data.y_train)
        sim.save("a.npz")
    error = error_of(Checkpoint.load("a.npz"), data.x_test, data.y_test)
    assert run_json("predict", "a.npz")["error"] == error
    with Checkpoint.load("a.npz").simulate() as sim:
        sim.train(data.x_train[:1], data.y_train[:1])
        after = error_of(sim.checkpoint(), data.x_test, data.y_test)
    epochs = ("--samples", "1", "--epochs", str(len(data.x_train) + 1))
    report = run_json("train", "--resume", "a.npz", *epochs)
    assert (report["samples_trained"], report["test_error"]) == (1, after)


def test_a_network_of_another_shape_is_refused():
    with Simulator(SpikingMLP.paper((12, 10)), backend="reference") as sim:
        sim.save("a.npz")
    said = run("predict", "a.npz", exit_code=2).stderr
    assert said == (
        "error: dataset must be one with 12 inputs and 10 classes, as the checkpoint has; "
        "got 'digits' with 64 and 10\n"
    )


def test_a_network_that_takes_spikes_is_refused():
    with Simulator(SpikingMLP.paper((64, 10), input_coding="spikes"), backend="reference") as sim:
        sim.save("a.npz")
    message = "error: input_coding='spikes' needs spikes as input"
    assert run("predict", "a.npz", exit_code=2).stderr.startswith(message)
    assert run("train", "--resume", "a.npz", "--layers", "", exit_code=2).stderr.startswith(message)


# --- Back ends


class BackendWithOptions(EngineBackend):
    options = {"target": ("fast", "slow"), "threads": (1, 2)}  # noqa: RUF012


def test_back_ends_are_listed_with_their_options_and_state(monkeypatch):
    group = "spikebp_plugins.backends"
    points = [
        EntryPoint("good", f"{__name__}:BackendWithOptions", group),
        EntryPoint("missing", "no_such_package:Backend", group),
        EntryPoint("wrong", "builtins:int", group),
    ]
    install(monkeypatch, *points)
    assert run_json("backends") == {
        "good": {
            "distribution": None,
            "options": {"target": ["fast", "slow"], "threads": [1, 2]},
            "state": "ready",
        },
        "missing": {
            "distribution": None,
            "options": {},
            "state": "No module named 'no_such_package'",
        },
        "wrong": {
            "distribution": None,
            "options": {},
            "state": "back end 'wrong' must be a subclass of Backend; got <class 'int'>",
        },
    }
    text = run("backends").stdout
    for part in ("target=fast|slow", "threads=1|2", "ready", "No module named 'no_such_package'"):
        assert part in text


# --- The demo


@pytest.fixture
def core_alone(monkeypatch):
    """Only the back ends of the core are there, whatever is installed."""
    monkeypatch.setattr(comparison, "QUICK_BACKENDS", ("reference", "compiled"))


def test_demo_compares_both_networks_and_draws(folder, core_alone):
    pytest.importorskip("matplotlib")
    result = run("demo", "--epochs", "1")
    for part in ("epoch 1/1", "spiking network", "ReLU network", "picture: spikebp-demo.png"):
        assert part in result.stdout
    assert (folder / "spikebp-demo.png").read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in result.stdout.splitlines() if "equal" in line]
    assert [(row[1], row.count("equal")) for row in rows] == [("reference", 4), ("compiled", 4)]


@pytest.mark.thorough
def test_demo_without_matplotlib_draws_no_picture_and_says_so(folder, monkeypatch, core_alone):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("demo", "--epochs", "1", "--seed", "4", "--json")
    report = json.loads(result.stdout)
    assert result.stderr.splitlines()[-2:] == [
        'no picture: pictures need matplotlib: pip install "spikebp-plugins[plot]"',
        "going on on reference, compiled ...",
    ]
    assert not list(folder.iterdir())
    assert report["seed"] == 4
    assert report["test_error_by_epoch"] == [report["test_error"]]
    assert report["relu_test_error_by_epoch"] == [report["relu_test_error"]]
    dense = 64 * 100 + 100 * 100 + 100 * 10
    assert report["prediction"]["dense_operations_per_sample"] == dense
    assert report["training"]["dense_operations_per_sample"] == 3 * dense
    assert report["comparison"]["equal"]
    assert list(report["comparison"]["backends"]) == ["reference", "compiled"]


@pytest.mark.thorough
def test_demo_fails_if_a_back_end_differs(monkeypatch):
    install_faulty(monkeypatch)
    result = run("demo", "--epochs", "1", "--all", exit_code=1)
    assert "faulty and reference: in training, spikes differ at sample 1, step 1" in result.stdout


def test_a_raster_has_a_marker_for_each_unit_that_spikes():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    spikes = [np.zeros((2, 3, size), np.int64) for size in (4, 12)]
    spikes[0][1, 0, 2], spikes[0][1, 2, 3], spikes[1][1, 1, 11] = 1, -2, 4
    plot_raster(figure, Trace(spikes, None, np.zeros((2, 3, 12)), np.zeros((2, 12)), []), sample=1)
    groups = [group for axes in figure.axes for group in axes.collections]
    markers = [
        [
            (*place, area)
            for place, area in zip(g.get_offsets().tolist(), g.get_sizes(), strict=True)
        ]
        for g in groups
        if len(g.get_offsets())
    ]
    one = min(area for group in markers for *_, area in group)
    drawn = {(x, y, area / one) for group in markers for x, y, area in group}
    assert {(1, 2, 1), (3, 3, 2), (2, 11, 4)} <= drawn
    assert [axes.get_ylabel() for axes in figure.axes] == ["output unit", "input unit"]


def test_an_overflow_saves_what_was_learned_before_it(tmp_path):
    path = tmp_path / "before.npz"
    run("train", *SMALL, "--rate", "1e9", "--save", str(path), exit_code=2)
    assert Checkpoint.load(path).net.learning_rate == 1e9


# --- compare


class FaultyBackend(EngineBackend):
    """Sends one spike too many in the last step of the second sample that it learns from."""

    def train(self, batch, record):
        outcome = super().train(batch, record)
        if outcome.recording is not None:
            outcome.recording.spikes[1][1:2, -1, 3:4] += 1
        return outcome


def install_faulty(monkeypatch):
    point = EntryPoint("faulty", f"{__name__}:FaultyBackend", "spikebp_plugins.backends")
    built_in = [
        EntryPoint(name, f"spikebp_plugins.{place}", "spikebp_plugins.backends")
        for name, place in (
            ("reference", "backends.reference:ReferenceBackend"),
            ("compiled", "engine.backend:EngineBackend"),
        )
    ]
    install(monkeypatch, point, *built_in)


COMPARE = ("compare", "--samples", "5", "--layers", "6", "--steps", "3")


def test_compare_trains_on_each_back_end():
    backends = ("--backends", "reference,compiled:n_jobs=1,compiled")
    result = run_json(*COMPARE, *backends, "--timing", "pipelined")
    assert result["equal"]
    assert result["definition"]["timing"] == "pipelined"
    assert list(result["backends"]) == ["reference", "compiled:n_jobs=1", "compiled"]
    for found in result["backends"].values():
        assert found["equal"]
        assert found["first_difference"] is None
        assert found["equal_samples"] == 1
        assert found["largest_weight_difference"] == 0
        assert found["seconds"] > 0
    text = run(*COMPARE, "--backends", "reference,compiled").stdout
    assert text.count("equal") == 8
    assert "error spikes in reference" in text


def test_compare_says_where_a_back_end_differs(monkeypatch, folder):
    install_faulty(monkeypatch)
    arguments = (*COMPARE, "--backends", "reference,faulty", "--output", "spikes.png")
    result = run(*arguments, "--json", exit_code=1)
    found = json.loads(result.stdout)
    assert not found["equal"]
    assert found["backends"]["reference"]["equal"]
    faulty = found["backends"]["faulty"]
    assert not faulty["spikes"]
    assert faulty["weights"]
    assert faulty["phase"] == "training"
    place = {"quantity": "spikes", "sample": 1, "step": 2, "layer": 1, "unit": 3}
    assert faulty["first_difference"].items() >= place.items()
    assert faulty["equal_samples"] == 9 / 10
    assert (folder / "spikes.png").stat().st_size > 10_000
    text = run(*COMPARE, "--backends", "reference,faulty", exit_code=1).stdout
    assert "faulty and reference: in training, spikes differ at sample 1, step 2, layer 1" in text


def test_compare_takes_two_traces(folder):
    data, net = digits(), small_net()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with Simulator(net.replace(learning_rate=0.25 + seed)) as sim:
            sim.train(data.x_train[:1], data.y_train[:1], record=True).save(folder / f"{name}.npz")
    assert run("compare", "a.npz", "b.npz").stdout.startswith("equal in every spike")
    assert run_json("compare", "a.npz", "b.npz") == {"equal": True, "first_difference": None}
    assert "weights differ" in run("compare", "a.npz", "c.npz", exit_code=1).stdout


def test_json_has_null_for_what_is_no_number(folder):
    data = digits()
    with Simulator(small_net()) as sim:
        trace = sim.predict(data.x_test[:2], record=True)
    trace.save("good.npz")
    trace.scores[1, 3] = np.nan
    trace.save("bad.npz")
    shown = run("compare", "bad.npz", "good.npz", "--json", exit_code=1).stdout
    values = json.loads(shown, parse_constant=pytest.fail)
    assert not values["equal"]
    difference = values["first_difference"]
    assert (difference["quantity"], difference["sample"], difference["unit"]) == ("scores", 1, 3)
    assert difference["first"] is None
    assert isinstance(difference["second"], float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.npz",), "traces must be two files; got 1"),
        (("--backends", "reference,reference"), "backends must be different from each other"),
        (
            ("--backends", "reference"),
            "error: backends must be two or more, to compare with the first; got 'reference'",
        ),
        (("--backends", "reference,nothing"), "backend must be "),
        (("--layers", "0"), "layers must be sizes of hidden layers"),
        (("--input-scale", "2"), "No such option"),
    ],
)
def test_compare_refuses(arguments, message):
    assert message in run("compare", *arguments, exit_code=2).stderr


def test_lists_of_back_ends_may_have_options():
    text = "reference,lava:tag=fixed_pt,granularity=sample,brian2:numpy"
    assert split_backends(text) == [
        "reference",
        "lava:tag=fixed_pt,granularity=sample",
        "brian2:numpy",
    ]


def test_back_ends_that_cannot_run_are_left_out(monkeypatch):
    install_faulty(monkeypatch)
    assert comparison.quick_backends() == ["reference", "compiled"]
    assert comparison.all_backends() == ["reference", "compiled", "faulty"]
