"""The commands ``spikebp export-c`` and ``spikebp import-c``."""

import pickle
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from typer.testing import CliRunner

from spikebp_plugins import (
    Checkpoint,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    load_dataset,
    to_c,
)
from spikebp_plugins.cli.program import app
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.embedded import to_state_bytes
from spikebp_plugins.embedded.host_library import HostLibrary
from spikebp_plugins.embedded.host_samples import samples_in_c
from spikebp_plugins.embedded.network_in_c import SETTINGS_FOR_16_BITS, NetworkInC
from spikebp_plugins.embedded.state_bytes import bytes_of
from spikebp_plugins.embedded.toolchain import find_compiler
from spikebp_plugins.network.samples import check_batch
from tests.documentation import ROOT, sections


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = SpikingMLP.paper((6, 5, 3), n_steps=4, learning_rate=0.1, fraction_bits=13)
    with Simulator(net, "reference") as sim:
        sim.train(np.ones((4, 6)), [0, 1, 2, 0])
        sim.save("trained.npz")
        sim.train(np.ones((2, 6)), [1, 2])
        sim.save("later.npz")
    return tmp_path


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result.output


def test_a_network_is_written_with_its_header_and_a_guide(folder):
    printed = run("export-c", "trained.npz", "--output", "gesture.c", "--weight-bits", 32)
    program = to_c(Checkpoint.load("trained.npz"), 32, "gesture")
    texts = {"gesture.c": program.source, "gesture.h": program.header, "gesture.md": program.guide}
    for name, text in texts.items():
        assert name in printed
        assert (folder / name).read_text("utf-8") == text
    assert f"{program.sizes.by_use()['together']:,}" in printed


def test_the_name_and_the_bits_have_defaults(folder):
    run("export-c", "trained.npz")
    assert (folder / "net.c").read_text("utf-8") == to_c(Checkpoint.load("trained.npz")).source


@pytest.fixture(scope="module")
def of_the_readme(tmp_path_factory):
    """Return the folder in which the commands of the README have run as they stand."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    commands = sections("README.md", "sh")["From a table to a microcontroller, and to a page"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for words in map(shlex.split, commands.splitlines()):
            if words[0] == "spikebp":
                run(*words[1:])
            elif find_spec("ziglang") is not None:
                subprocess.run([sys.executable, *words[1:]], check=True)
                assert (folder / "model.html").exists()
    return folder


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_program_of_the_readme_compiles_without_a_warning(of_the_readme, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} not found")
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-c", "net.c"]
    done = subprocess.run(command, cwd=of_the_readme, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(find_compiler() is None, reason="no compiler of C")
def test_a_program_learns_digits_for_20_epochs_and_refuses_no_sample(folder):
    run("train", "--layers", "32", "--save", "digits.npz")
    before, data = Checkpoint.load("digits.npz"), load_dataset("digits", raw=True)
    network = NetworkInC.holding(before, None)
    library = HostLibrary(network)
    library.read_state(before.state)

    def learned(x, y):
        """Return the scores of samples that C learns."""
        shown = library.show(samples_in_c(network, check_batch(before.net, x, y)), False)
        assert shown.n == len(x)
        return shown.drive * 2.0**-network.fraction_bits / before.net.n_steps

    with before.simulate("compiled") as sim:
        x, y = data.x_train[:500], data.y_train[:500]
        assert np.array_equal(sim.train(x, y), learned(x, y))
        after = library.write_state(before.state)
        assert bytes_of(network, after) == to_state_bytes(sim.checkpoint())
    for epoch in range(20):
        order = shuffled(len(data.x_train), 0, epoch)
        learned(data.x_train[order], data.y_train[order])


def test_settings_that_the_message_names_make_weights_that_16_bits_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ("train", "--layers", "12", "--save")
    run(*short, "default.npz")
    printed = run("export-c", "default.npz", "--weight-bits", 16, exit_code=2)
    assert printed.endswith(f"weight_bits=32 is enough, or train with {SETTINGS_FOR_16_BITS}\n")
    run(*short, "small.npz", *SETTINGS_FOR_16_BITS.split())
    run("export-c", "small.npz", "--weight-bits", 16)
    assert "int16_t net_weight_t" in (tmp_path / "net.h").read_text("utf-8")
    page = sections("docs/microcontrollers.md", "sh")["Numbers, and what happens at their limits"]
    assert SETTINGS_FOR_16_BITS in " ".join(page.replace("\\", "").split())


def test_samples_of_one_step_follow_each_other_unless_it_is_said(folder):
    net = SpikingMLP.paper((6, 5, 3), n_steps=1, learning_rate=0.1, fraction_bits=13)
    Simulator(net, "reference").save("one.npz")
    printed = run("export-c", "one.npz")
    assert "what follows change" in printed
    smaller = run("export-c", "one.npz", "--no-incremental", "--output", "small.c")
    assert "what follows change" not in smaller
    one = Checkpoint.load("one.npz")
    program, small = to_c(one), to_c(one, stem="small", incremental=False)
    assert (folder / "net.c").read_text("utf-8") == program.source
    assert (folder / "small.c").read_text("utf-8") == small.source
    assert program.sizes.by_use()["together"] > small.sizes.by_use()["together"]
    # A state goes from one to the other; a definition that does not allow it has one program.
    assert "waiting" not in small.sizes.memory
    several = Checkpoint.load("trained.npz")
    assert to_c(several).source == to_c(several, incremental=False).source
    with pytest.raises(ValueError, match="incremental must be True or False; got 1"):
        to_c(one, incremental=1)


def test_what_was_learned_goes_to_a_board_and_comes_back(folder):
    printed = run("export-c", "later.npz", "--state", "state.bin")
    data = (folder / "state.bin").read_bytes()
    assert data == to_state_bytes(Checkpoint.load("later.npz"))
    assert printed == f"state.bin: {len(data):,} bytes\n"
    assert not (folder / "net.c").exists()
    printed = run("import-c", "state.bin", "--checkpoint", "trained.npz", "--output", "again.npz")
    assert printed == "again.npz: 6 samples seen, 2 since trained.npz\n"
    assert (folder / "again.npz").read_bytes() == (folder / "later.npz").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export-c", "none.npz"), "none.npz"),
        (
            ("export-c", "trained.npz", "--output", "net.cpp"),
            "a file that ends in .c; got 'net.cpp'",
        ),
        (("export-c", "trained.npz", "--output", "my net.c"), "an identifier of C; got 'my net'"),
        (("export-c", "trained.npz", "--output", "no/net.c"), "there is no folder no"),
        (("export-c", "trained.npz", "--weight-bits", "8"), "one of 16, 32, 64; got 8"),
        (("import-c", "trained.npz", "--checkpoint", "trained.npz", "--output", "a.npz"), "SBPC"),
        (("import-c", "none", "--checkpoint", "trained.npz", "--output", "a.npz"), "none"),
    ],
)
def test_what_is_wrong_is_one_line(folder, arguments, reason):
    before = sorted(path.name for path in folder.iterdir())
    printed = run(*arguments, exit_code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert reason in printed or reason == "SBPC"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_damaged_state_names_the_file(folder):
    run("export-c", "later.npz", "--state", "state.bin")
    data = bytearray((folder / "state.bin").read_bytes())
    data[30] ^= 1
    (folder / "state.bin").write_bytes(data)
    arguments = ("import-c", "state.bin", "--checkpoint", "trained.npz", "--output", "again.npz")
    printed = run(*arguments, exit_code=2)
    assert printed.startswith("error: state.bin is not a readable state of this network in C: data")
    assert "checksum" in printed
    assert not (folder / "again.npz").exists()


@pytest.mark.parametrize("how", ["estimator", "file", "simulator", "river"])
def test_a_network_whose_input_an_estimator_scales_is_refused(tmp_path, how):
    X, y = [[0.0, 9.0], [1.0, 3.0]], [0, 1]
    model = SpikingMLPClassifier(hidden_layer_sizes=(3,), max_iter=1).fit(X, y)
    checkpoint = model.checkpoint_
    if how == "file":
        checkpoint.save(tmp_path / "net.npz")
        checkpoint = Checkpoint.load(tmp_path / "net.npz")
    if how == "simulator":
        with checkpoint.simulate() as sim:
            checkpoint = pickle.loads(pickle.dumps(sim)).checkpoint()
    if how == "river":
        river = pytest.importorskip("spikebp_plugins.river", reason="river is not installed")
        model = river.SpikingMLPClassifier()
        model.learn_one({"a": 1.0}, 0)
        checkpoint = model.checkpoint
    message = "or a Checkpoint whose input nobody scales: fit with a number as input_scale"
    for make in (to_c, to_state_bytes):
        with pytest.raises(ValueError, match=message):
            make(checkpoint)
    assert to_c(Checkpoint(checkpoint.net, checkpoint.state)).source


def test_a_network_whose_input_is_multiplied_by_a_number_is_written():
    model = SpikingMLPClassifier(hidden_layer_sizes=(3,), max_iter=1, input_scale=1 / 8)
    checkpoint = model.fit([[0.0, 9.0], [1.0, 3.0]], [0, 1]).checkpoint_
    assert to_c(checkpoint).source == to_c(checkpoint.simulate().checkpoint()).source


def test_what_c_does_not_know_is_refused(folder):
    net = SpikingMLP.paper((6, 5, 3), backward_init="uniform")
    Simulator(net, "reference").save("drawn.npz")
    printed = run("export-c", "drawn.npz", exit_code=2)
    assert printed.startswith(
        "error: there is no program in C for this network: it knows backward_init=one of"
    )
