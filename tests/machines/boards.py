"""Networks in C learn the same on processors of 32 and of 64 bits, and of either order of bytes."""

import numpy as np
import pytest

from spikebp_plugins import Simulator
from spikebp_plugins.embedded import to_c, to_state_bytes
from spikebp_plugins.embedded.host_samples import PIXELS, SPIKES, VALUES
from spikebp_plugins.embedded.network_in_c import NetworkInC, why_not_in_c
from spikebp_plugins.embedded.number_types import WEIGHT_BITS
from tests.core.small_nets import lively_weights
from tests.core.test_c_compilers import FEATURES, NETWORKS
from tests.machines.emulation import BOARDS, HERE, Machine

#: Samples of a program. Each machine learns one half, and goes on with the state of another one.
N = 200
OK = 0
#: The programs that are not left to whoever has the time, and the width of their weights.
USUAL = set(zip(FEATURES, WEIGHT_BITS * 4, strict=True))
THIS = Machine("x86_64-linux", ("cc",), ())


def drawn_samples(network, kind, random):
    """Return integers as C takes them, of which some leave their types where they are values."""
    net, bits = network.net, network.fraction_bits
    if kind == PIXELS:
        return random.randint(0, 256, (N, net.n_inputs))
    if kind == SPIKES:
        most = 1 if net.spikes == "binary" else 3
        return random.randint(-most, most + 1, (N, net.n_steps, net.n_inputs))
    x = random.uniform(-1, 2, (N, net.n_inputs))
    x[19::20] = np.sign(x[19::20]) * 2.0 ** (network.types.state_bits - bits - 3)
    return np.rint(x * 2.0**bits).astype(np.int64)


class Board:
    """A machine with a program, which learns from what its user has put into a folder."""

    def __init__(self, name, machine, folder, kind):
        self.machine, self.folder, self.program = machine, folder, folder / name
        sources = [folder / "net.c", HERE / "board.c"]
        flags = ["-std=c99", "-O1", f"-I{folder}", f"-DKIND={kind}"]
        machine.compile(self.program, *flags, *sources)

    def learn(self, before, x, y):
        """Return the results that are printed, and the state."""
        (self.folder / "before").unlink(missing_ok=True)
        if before is not None:
            (self.folder / "before").write_bytes(before)
        lines = [" ".join(map(str, (label, *row.ravel()))) for row, label in zip(x, y, strict=True)]
        files = [self.folder / "before", self.folder / "after"]
        printed = self.machine.run(self.program, *files, given="\n".join(lines))
        return printed.splitlines(), files[1].read_bytes()


def assert_learned(checkpoint, bits, x, y, kind, results, state):
    """Assert that a state is what the reference learns from the samples that were not undone."""
    net, sim = checkpoint.net, checkpoint.simulate("reference")
    real = x if kind == SPIKES else x * 2.0**-net.fraction_bits / net.input_factor
    real = x.astype(np.uint8) if kind == PIXELS else real
    for i, result in enumerate(results[1::2]):
        if int(result.split()[0]) == OK:
            sim.train(real[i : i + 1], y[i : i + 1])
    assert to_state_bytes(sim.checkpoint(), bits) == state


@pytest.fixture(scope="module")
def machines():
    there = {name: machine for name, machine in BOARDS.items() if not machine.why_missing()}
    if not there:
        pytest.skip("; ".join({machine.why_missing() or "" for machine in BOARDS.values()} - {""}))
    return there


PROGRAMS = [
    pytest.param(feature, bits, marks=[] if (feature, bits) in USUAL else pytest.mark.thorough)
    for feature, net in NETWORKS.items()
    for bits in WEIGHT_BITS
    if why_not_in_c(net, bits) is None
]


@pytest.mark.parametrize(("feature", "bits"), PROGRAMS)
def test_all_machines_learn_the_same(feature, bits, machines, tmp_path):
    net, random = NETWORKS[feature], np.random.RandomState(bits)
    largest = (2 ** (bits - 1) - 1) / 2**net.fraction_bits
    weights = [np.clip(w, -largest, largest) for w in lively_weights(net)]
    start = Simulator(net, "reference", weights).checkpoint()
    try:
        to_c(start, bits).save(tmp_path)
    except OverflowError:
        pytest.skip("random feedback is too large for these weights")
    network = NetworkInC.of(net, bits)
    kind = SPIKES if net.input_coding == "spikes" else PIXELS if "pixels" in feature else VALUES
    x, y = drawn_samples(network, kind, random), random.randint(0, net.n_outputs, N)
    half = N // 2
    this = Board("this", THIS, tmp_path, kind)
    middle, state = this.learn(None, x[:half], y[:half])
    end, last = this.learn(state, x[half:], y[half:])
    assert_learned(start, bits, x, y, kind, middle + end, last)
    for name, machine in machines.items():
        board = Board(name.replace(" ", ""), machine, tmp_path, kind)
        assert board.learn(None, x[:half], y[:half]) == (middle, state), name
        assert board.learn(state, x[half:], y[half:]) == (end, last), name
