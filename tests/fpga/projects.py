"""Projects for an FPGA: Icarus runs their benches, and what a core has learned comes back."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spikebp_fpga.export import N_LEARNED, _bytes_of, to_fpga
from spikebp_fpga.memory import checkpoint_from
from spikebp_fpga.report import fpga_report, memory_bits, multipliers
from spikebp_fpga.tokens import CLOSE, SPIKE, STEP, WRITE
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from spikebp_plugins.network.checkpoint import Checkpoint
from tests.core.test_cli import run as run_spikebp
from tests.fpga.networks import tools


def learned(net):
    digits = load_digits()
    with Simulator(net) as simulator:
        simulator.train(digits.data[:200] / 16, digits.target[:200])
        return simulator.checkpoint()


def bench(folder):
    return subprocess.run(
        ["make", "bench"], cwd=folder, capture_output=True, text=True, check=False
    )


@tools("make", "iverilog", "vvp")
@pytest.mark.parametrize(
    ("sizes", "lanes", "fields"),
    [
        ((64, 16, 10), 4, {}),
        ((64, 11, 7, 10), 1, {"update": "fractional", "n_steps": 4}),
        ((64, 10), 16, {"update": "outer", "input_coding": "values"}),
    ],
)
def test_a_bench_finds_all_equal_and_the_core_comes_back(sizes, lanes, fields, tmp_path):
    project = to_fpga(learned(SpikingMLP(sizes, **fields)), lanes)
    project.save(tmp_path)
    done = bench(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = re.search(
        r"(\d+) replies and (\d+) words of memory compared: 0 are wrong", done.stdout
    )
    assert min(map(int, compared.groups())) > 50
    *_, after = project._bench()
    before = Checkpoint.load(tmp_path / "checkpoint.npz")
    again = checkpoint_from(tmp_path / "dump", before, project.layout, N_LEARNED)
    assert again.state == after.state
    assert again.state.weights != before.state.weights


@tools("make", "iverilog", "vvp")
@pytest.mark.parametrize(
    "name", ["bench_replies.hex", "learned/weights_1.hex", "learned/sums_0.hex"]
)
def test_a_bench_finds_what_is_wrong(name, tmp_path):
    to_fpga(learned(SpikingMLP((64, 8, 10))), 2).save(tmp_path)
    path = tmp_path / name
    words = path.read_text().split()
    place = next(i for i in range(len(words) - 1, -1, -1) if int(words[i], 16))
    words[place] = f"{int(words[place], 16) ^ 1:0{len(words[place])}x}"
    path.write_text("\n".join(words) + "\n")
    done = bench(tmp_path)
    assert done.returncode != 0
    assert ": 1 are wrong" in done.stdout


@tools("make", "iverilog", "vvp")
@pytest.mark.parametrize(
    "frame",
    [
        (SPIKE, 1 << 20, 1),
        (SPIKE, 0, 1 << 45),
        (SPIKE + 8, 0, 1),
        (WRITE, 0, 1 << 24),
        (WRITE + 8, 2 << 19, 0),
        (WRITE, 1 << 18, 0),
        (WRITE + 16, 0, 0),
    ],
    ids=["a unit", "a number", "a token", "a weight", "a lane", "a place", "a memory"],
)
def test_frames_that_mean_nothing_do_nothing_and_are_told(frame, tmp_path):
    project = to_fpga(learned(SpikingMLP((64, 8, 10))), 2)
    project.save(tmp_path)
    frames = [frame, (SPIKE, 3, 2), (STEP, 0, 1), (CLOSE, 0, 0), (WRITE, 0, 5)]
    more = [byte for given in frames for byte in _bytes_of(*given)]
    with open(tmp_path / "bench_bytes.hex", "a") as file:
        file.writelines(f"{byte:03x}\n" for byte in more)
    with open(tmp_path / "bench_replies.hex", "a") as file:
        file.write(2 * f"{2:012x}\n")  # nothing was refused, and something is wrong
    sent, replies, _ = project._bench()
    text = (tmp_path / "bench.sv").read_text()
    for before, after in ((len(sent), len(sent) + len(more)), (len(replies), len(replies) + 2)):
        assert f"[0:{before}-1]" in text
        text = re.sub(rf"\b{before}\b", str(after), text)
    (tmp_path / "bench.sv").write_text(text)
    done = bench(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_bring_a_network_to_a_core_and_back(tmp_path):
    before = learned(SpikingMLP((64, 8, 10)))
    before.save(tmp_path / "digits.npz")
    folder = tmp_path / "project"
    run_spikebp("export-fpga", tmp_path / "digits.npz", "--output", folder, "--lanes", 4)
    assert "64-8-10" in (folder / "README.md").read_text()
    assert not re.search(r"NET_[A-Z]", "".join(p.read_text() for p in folder.glob("*.*v*")))
    # What was exported is what a host would read, but for the words that it does not see.
    dump = tmp_path / "dump"
    shutil.copytree(folder / "learned", dump)
    run_spikebp(
        *("import-fpga", dump, "--checkpoint", tmp_path / "digits.npz", "--lanes", 4),
        *("--samples", N_LEARNED, "--output", tmp_path / "after.npz"),
    )
    after = Checkpoint.load(tmp_path / "after.npz")
    assert after.state == to_fpga(before, 4)._bench().after.state


def test_memories_that_are_none_of_the_network_are_refused(tmp_path):
    project = to_fpga(learned(SpikingMLP((64, 8, 10))), 2)
    project.save(tmp_path)
    path = tmp_path / "learned" / "weights_0.hex"
    good = path.read_text()
    for bad in (good[8:], good + "00000\n", good.replace("0", "x", 1), "fffffffffff\n" + good[7:]):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"weights_0\.hex must be \d+ hexadecimal words"):
            checkpoint_from(tmp_path / "learned", project.learned, project.layout, 0)


def test_what_the_core_cannot_hold_is_refused():
    net = SpikingMLP((4, 3, 2))
    weights = [np.full(shape, 9.0) for shape in net.weight_shapes]
    with Simulator(net, weights=weights) as simulator:
        checkpoint = simulator.checkpoint()
    for wrong, message in (((3,), "lanes must be one of 1, 2, 4, 8, 16"), ((8, 33), "weight_bits")):
        with pytest.raises(ValueError, match=message):
            to_fpga(checkpoint, *wrong)
    with pytest.raises(OverflowError, match=r"weight must be at most \d+ units"):
        to_fpga(checkpoint)
    with Simulator(SpikingMLP((4, 3, 2), spikes="binary")) as simulator:
        binary = simulator.checkpoint()
    with pytest.raises(UnsupportedError, match="spikes='graded'"):
        to_fpga(binary)


SOURCES = "hdl/spikebp_network.svh hdl/*.sv"


def yosys(script, folder):
    done = subprocess.run(
        ["yosys", "-p", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@tools("yosys")
def test_the_size_of_a_network_is_guarded(tmp_path):
    project = to_fpga(Simulator(SpikingMLP((64, 32, 10))).checkpoint(), 4)
    project.save(tmp_path)
    printed = yosys(f"read_verilog -sv {SOURCES}; synth_ecp5 -top spikebp_device; stat", tmp_path)
    cells = dict(re.findall(r"^\s+([A-Z]\w+)\s+(\d+)$", printed, re.MULTILINE))
    assert int(cells["LUT4"]) < 5000
    assert int(cells["MULT18X18D"]) == multipliers(project.layout)
    assert int(cells["DP16KD"]) <= 16


@tools("yosys")
@pytest.mark.parametrize(
    ("sizes", "lanes", "fields"),
    [
        ((64, 32, 10), 4, {}),
        ((20, 11, 7, 3), 2, {"update": "fractional", "n_steps": 4, "learning_rate": 0.1}),
        ((12, 3), 1, {}),
    ],
)
def test_the_memory_is_what_the_report_says(sizes, lanes, fields, tmp_path):
    project = to_fpga(Simulator(SpikingMLP(sizes, **fields)).checkpoint(), lanes)
    project.save(tmp_path)
    core = "hierarchy -top spikebp_core; proc; flatten; stat"
    printed = yosys(f"read_verilog -sv {SOURCES}; {core}", tmp_path)
    bits = re.findall(r"Number of memory bits: +(\d+)", printed)
    assert int(bits[-1]) == sum(memory_bits(project.layout).values())


@tools("make", "yosys", "nextpnr-ice40")
def test_a_small_network_is_placed_and_routed(tmp_path):
    net = SpikingMLP((64, 32, 10), update="fractional", learning_rate=0.02, fraction_bits=12)
    to_fpga(Simulator(net).checkpoint(), 1, 16).save(tmp_path)
    done = subprocess.run(
        ["make", "up5k.asc"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: report["utilization"][f"ICESTORM_{name}"]["used"] for name in ("RAM", "DSP")} == {
        "RAM": 25,
        "DSP": 5,
    }
    assert report["utilization"]["ICESTORM_LC"]["used"] < 3_800
    assert min(clock["achieved"] for clock in report["fmax"].values()) > 20


@pytest.mark.parametrize("learn", [True, False])
def test_a_report_says_clocks_and_memory(learn, tmp_path):
    learned(SpikingMLP((64, 8, 10))).save(tmp_path / "digits.npz")
    command = ["fpga-report", tmp_path / "digits.npz", "--lanes", 4, "--samples", 20]
    command += [] if learn else ["--no-learn"]
    printed = run_spikebp(*command, "--figure", tmp_path / "clocks.png").stdout
    assert ("to learn" if learn else "to predict") in printed
    assert ("backward" in printed) == learn
    assert (tmp_path / "clocks.png").stat().st_size > 5_000
    report = json.loads(run_spikebp(*command, "--json").stdout)
    assert (report["samples"], report["refused"]) == (20, 0)
    assert report["simulated"] == (shutil.which("verilator") is not None)
    assert 100 < report["clocks"] < 2_000
    by_pass = report["clocks_by_pass"].values()  # means of 20 samples
    assert sum(round(20 * clocks) for clocks in by_pass) == round(20 * report["clocks"])
    assert report["multipliers"] == 11


@tools("make", "yosys", "nextpnr-ecp5", "ecppll")
def test_a_report_says_what_place_and_route_make_of_it():
    x, y = load_digits(return_X_y=True)
    with Simulator(SpikingMLP((64, 10), input_scale=1 / 16)) as simulator:
        project = to_fpga(simulator.checkpoint(), 1)
    report = fpga_report(project, x[:5], y[:5], place=True)
    assert report.placed.multipliers == multipliers(project.layout) == 5
    assert 1_000 < report.placed.lut4 < 2_500
    assert report.placed.megahertz > 50
    assert f"{1e6 * report.placed.megahertz / report.clocks:,.0f}" in str(report.tables()[-1])
