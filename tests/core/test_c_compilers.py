"""Networks in C compile without a warning, take the memory they say, and do nothing undefined."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP, WindowEncoder, load_dataset
from spikebp_plugins.conformance import CASES
from spikebp_plugins.data.windows import CODINGS
from spikebp_plugins.embedded import to_c, windows_to_c
from spikebp_plugins.embedded.c_program import program_of
from spikebp_plugins.embedded.network_in_c import NetworkInC, why_not_in_c
from spikebp_plugins.embedded.number_types import WEIGHT_BITS
from spikebp_plugins.embedded.templates import fill
from tests.core.small_nets import checkpoint_bytes, lively_weights
from tests.documentation import ROOT

#: Cases of the conformance suite whose programs differ most.
FEATURES = (
    "3 layers of weights",
    "spike counts as input",
    "8-bit pixels",
    "pipelined timing, normalized update",
    "1 layer of weights",
    "random feedback, outer update",
    "pipelined timing, binary spikes, changing input and targets",
    "convolution, strides, padding, several channels",
    "convolution, outer update, binary spikes, changing input",
    "convolution, pooling, normalized update",
    "one step",
    "one step of binary spikes, normalized update",
)
NETWORKS = {case.feature: case.net for case in CASES}
NETWORKS[FEATURES[-1]] = SpikingMLP.paper(
    (9, 8, 3), n_steps=1, update="normalized", spikes="binary", learning_rate=1.0, fraction_bits=14
)

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")

MNIST = Path(os.environ.get("SPIKEBP_DATA", "")) / "mnist"


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not found")


def run(command, folder, **environment):
    """Run a command, and return what it prints; it must not fail."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    return done.stdout


def programs(features, bits):
    """Return programs of networks that C knows, by the names of their files."""
    found = {}
    for i, feature in enumerate(features):
        net = NETWORKS[feature]
        if why_not_in_c(net, bits) is None:
            largest = (2 ** (bits - 1) - 1) / 2**net.fraction_bits
            weights = [np.clip(w, -largest, largest) for w in lively_weights(net)]
            stem = f"net{bits}_{i}"
            checkpoint = Simulator(net, "reference", weights).checkpoint()
            with suppress(OverflowError):  # of random feedback, which cannot be made smaller here
                found[stem] = to_c(checkpoint, bits, stem)
    return found


def assert_no_warning(compiler, level, found, folder):
    for program in found.values():
        program.save(folder)
    run([compiler, *FLAGS, level, "-c", *(f"{stem}.c" for stem in found)], folder)


COMPILERS = [pytest.param(name, marks=needs(name)) for name in ("gcc", "clang")]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_programs_compile_without_a_warning(compiler, bits, tmp_path):
    # What is inlined shows the compiler more, in networks of which GCC has warned.
    level, features = ("-O1", FEATURES) if bits == WEIGHT_BITS[0] else ("-O3", FEATURES[6:8])
    found = programs(features, bits)
    assert len(found) == len(features)
    assert_no_warning(compiler, level, found, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("compiler", "bits"),
    [
        pytest.param("gcc", 16, marks=needs("gcc")),
        pytest.param("clang", 32, marks=needs("clang")),
        pytest.param("gcc", 64, marks=needs("gcc")),
    ],
)
def test_programs_of_all_networks_compile_without_a_warning(compiler, bits, tmp_path):
    found = programs(NETWORKS, bits)
    assert len(found) > 15
    assert_no_warning(compiler, "-O3", found, tmp_path)


@needs("gcc")
def test_a_warning_would_be_noticed(tmp_path):
    (tmp_path / "net.c").write_text("int f(long x);\nint f(long x) { return x; }\n")
    with pytest.raises(AssertionError, match="conversion"):
        run(["gcc", *FLAGS, "-c", "net.c"], tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_library_of_this_machine_compiles_without_a_warning(compiler, tmp_path):
    for i, feature in enumerate((*FEATURES[:2], *FEATURES[-2:])):
        net = NETWORKS[feature]
        network = NetworkInC(net, 16)
        program_of(network, None).save(tmp_path)
        host = fill("host.c", {}, network.constants())
        (tmp_path / f"host{i}.c").write_text(host)
        run([compiler, *FLAGS, "-O1", "-fPIC", "-c", f"host{i}.c"], tmp_path)


@needs("gcc", "nm")
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_the_memory_that_is_said_is_what_the_compiler_lays_out(bits, tmp_path):
    found = programs(FEATURES[::2], bits)
    assert len(found) == 6
    for program in found.values():
        program.save(tmp_path)
    run(["gcc", "-std=c99", "-c", *(f"{stem}.c" for stem in found)], tmp_path)
    for stem, program in found.items():
        listed = run(["nm", "-S", f"{stem}.o"], tmp_path)
        variables = re.findall(r"^\w+ (\w+) [bBdD] (\w+)$", listed, re.M)
        sizes = {name: int(size, 16) for size, name in variables}
        assert program.sizes.memory == {name: sizes.get(name) for name in program.sizes.memory}
        scalars = sizes.keys() - program.sizes.memory.keys()
        assert "samples_seen" in scalars
        assert sum(sizes[name] for name in scalars) <= 128


@pytest.mark.thorough
@needs("gcc")
@pytest.mark.skipif(not MNIST.is_dir(), reason="SPIKEBP_DATA does not name a folder with mnist/")
def test_an_epoch_of_mnist_is_learned_as_in_the_compiled_back_end():
    data = load_dataset("mnist", raw=True)
    net = SpikingMLP.paper(
        (784, 100, 50, 10),
        n_steps=5,
        learning_rate=100 / 2**14,
        fraction_bits=14,
        weight_init="he",
        label_targets=(1, 5),
        input_scale=1 / 255,
    )
    in_c, compiled = Simulator(net, "c:16"), Simulator(net, "compiled")
    for sim in (in_c, compiled):
        sim.train(data.x_train, data.y_train)
    assert checkpoint_bytes(in_c) == checkpoint_bytes(compiled)
    assert in_c.operations == compiled.operations
    assert (in_c.predict(data.x_test) == compiled.predict(data.x_test)).all()


# --- Sanitizers

#: Nothing may be computed from a target that is not allowed: not even its magnitude.
TARGETS = """
#include "net.h"
int main(void)
{
    static const net_state_t extremes[] = {EXTREMES};
    static net_state_t x[NET_INPUTS], y[NET_OUTPUTS];
    int i;
    for (i = 0; i < 4; i++) {
        y[0] = extremes[i];
        net_set_target(y);
        if (net_show_values(x, NET_GIVEN_TARGET) != NET_OUTSIDE || net_close() != NET_NO_SAMPLE)
            return 1;
    }
    y[0] = 0;
    net_set_target(y);
    return net_show_values(x, NET_GIVEN_TARGET) != NET_OK;
}
"""


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("bits", "extremes"),
    [
        (16, "INT32_MIN, INT32_MAX, -(1 << 30), 1 << 30"),
        (64, "INT64_MIN, INT64_MAX, INT64_MIN + 1, INT64_MAX - 1"),
    ],
)
def test_targets_beyond_their_type_are_refused(compiler, bits, extremes, tmp_path):
    to_c(Simulator(SpikingMLP.paper((3, 4, 2)), "reference").checkpoint(), bits).save(tmp_path)
    (tmp_path / "main.c").write_text(TARGETS.replace("EXTREMES", extremes))
    checks = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
    run([compiler, *FLAGS, *checks, "net.c", "main.c", "-o", "main"], tmp_path)
    run(["./main"], tmp_path)


READINGS = """
#include "window.h"
#include <stddef.h>
int main(void)
{
    static const int32_t numbers[] = {3, INT32_MAX, WINDOW_MISSING, -7, INT32_MIN + 1, 0, 12};
    int32_t reading[WINDOW_CHANNELS], sum = 0;
    int n, channel, i, n_windows = 0;
    for (n = 0; n < 100; n++) {
        for (channel = 0; channel < WINDOW_CHANNELS; channel++)
            reading[channel] = numbers[(n * n + channel) % 7];
        const uint8_t *window = window_push(reading);
        n_windows += window != NULL;
        for (i = 0; window != NULL && i < WINDOW_INPUTS; i++)
            sum += window[i];
        if (n == 50)
            window_reset();
    }
    return n_windows != 47 || sum == 0;
}
"""


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dead_band", [0, 0.5])
def test_windows_compile_without_a_warning_and_stay_in_bounds(
    compiler, coding, dead_band, tmp_path
):
    fields = {"coding": coding, "dead_band": dead_band, "hop": 2, "low": -9, "high": [9, 5]}
    windows_to_c(WindowEncoder(2, 5, levels=7, **fields)).save(tmp_path)
    (tmp_path / "main.c").write_text(READINGS)
    checks = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    run([compiler, *FLAGS, *checks, "window.c", "main.c", "-o", "main"], tmp_path)
    run(["./main"], tmp_path, ASAN_OPTIONS="detect_leaks=0")


SANITIZERS = "-fsanitize=undefined,address -fno-sanitize-recover=all"

CONFORMANCE = """
import sys
from spikebp_plugins.conformance import CASES
from spikebp_plugins.conformance.__main__ import run_table
backend, *features = sys.argv[1:]
chosen = [case for case in CASES if case.feature in features]
table = run_table([backend], chosen)
sys.exit("\\n".join(table.reasons()) if table.failed else 0)
"""

#: Each does what one of the sanitizers must not let pass.
FAULTY = """
#include <stdlib.h>
int past_end(int n) { volatile char bytes[8]; bytes[n] = 1; return bytes[n]; }
int overflow(int n) { return n + 0x7FFFFFFF; }
"""


def sanitized(folder, program, *arguments):
    """Run a Python program whose libraries in C are compiled with sanitizers."""
    libraries = [
        run(["gcc", f"-print-file-name={name}"], folder).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ
        | {
            # The compiler itself is not sanitized.
            "CC": f"env -u LD_PRELOAD gcc {SANITIZERS}",
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.thorough
@needs("gcc", "env")
@pytest.mark.parametrize(("backend", "features"), [("c:16", FEATURES), ("c:64", FEATURES[1::2])])
def test_sanitizers_report_nothing(backend, features, tmp_path):
    done = sanitized(tmp_path, CONFORMANCE, backend, *features)
    assert (done.returncode, done.stderr) == (0, "")


SESSIONS = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.core.test_c_sequences import Session
for seed in range(10):
    Session(seed).run(120)
"""


@pytest.mark.thorough
@needs("gcc", "env")
def test_sanitizers_report_nothing_in_samples_that_follow_each_other(tmp_path):
    done = sanitized(tmp_path, SESSIONS, str(ROOT))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.thorough
@needs("gcc", "env")
@pytest.mark.parametrize(
    ("call", "report"),
    [("past_end(8)", "stack-buffer-overflow|out of bounds"), ("overflow(1)", "signed integer")],
)
def test_sanitizers_would_report(call, report, tmp_path):
    program = f"""
import ctypes, sys
from pathlib import Path
from spikebp_plugins.embedded.toolchain import compiled_library
path = Path(sys.argv[1], "library")
path.write_bytes(compiled_library({{"net.c": {FAULTY!r}}}, "net.c"))
ctypes.CDLL(str(path)).{call}
"""
    done = sanitized(tmp_path, program, str(tmp_path))
    assert done.returncode != 0
    assert re.search(report, done.stderr)
