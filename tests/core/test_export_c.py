"""The commands ``spikebp export-c`` and ``spikebp import-c``."""

import numpy as np
import pytest
from typer.testing import CliRunner

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP, to_c
from spikebp_plugins.cli.program import app
from spikebp_plugins.embedded import to_state_bytes


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
    assert f"{program.memory_by_use()['together']:,}" in printed


def test_the_name_and_the_bits_have_defaults(folder):
    run("export-c", "trained.npz")
    assert (folder / "net.c").read_text("utf-8") == to_c(Checkpoint.load("trained.npz")).source


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
    assert program.memory_by_use()["together"] > small.memory_by_use()["together"]
    # A state goes from one to the other; a definition that does not allow it has one program.
    assert "waiting" not in small.memory
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


def test_what_c_does_not_know_is_refused(folder):
    net = SpikingMLP.paper((6, 5, 3), backward_init="uniform")
    Simulator(net, "reference").save("drawn.npz")
    printed = run("export-c", "drawn.npz", exit_code=2)
    assert printed.startswith(
        "error: there is no program in C for this network: it knows backward_init=one of"
    )
