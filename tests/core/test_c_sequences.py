"""Samples that follow each other in C: what is evaluated by differences equals what is in full."""

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.embedded.number_types import number_types
from spikebp_plugins.embedded.toolchain import find_compiler
from spikebp_plugins.network.arithmetic import grid_of
from tests.core.c_network import GIVEN_TARGET, NO_LABEL, CNetwork, assert_same

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no compiler of C")


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")


def random_network(random):
    """Return a checkpoint of a network with one step, and the bits of a weight in C."""
    sizes = (random.randint(1, 9, random.randint(1, 5)) ** random.choice([1, 1, 0])).tolist()
    update = random.choice(["fractional", "outer", "normalized"])
    bits = int(random.choice([16, 16, 32, 64]))
    fraction_bits = int(random.choice([8, 11, 14]))
    rate_units = int(random.choice([1, 4, 40]))
    net = SpikingMLP.paper(
        (*sizes, random.randint(1, 5)),
        n_steps=1,
        update=update,
        learning_rate=max(4, rate_units) / 2**8 if update == "normalized" else rate_units / 2**fraction_bits,
        fraction_bits=fraction_bits,
        spikes=random.choice(["graded", "graded", "binary"]),
        feedback=random.choice(["transpose", "transpose", "random"]),
        backward_init=random.choice(["carry", "zero"]),
        input_coding=random.choice(["values", "values", "spikes"]),
        input_scale=float(random.choice([1 / 255, 1 / 60, 1 / 16])),
        label_targets=[(0.0, 1.0), (0.5, 4.0), (-0.7, 9.0)][random.randint(3)],
        seed=int(random.randint(1000)),
    )
    largest = (number_types(net, bits).largest_weight) / 2**fraction_bits
    scale = random.choice([0.1, 0.7, largest if bits == 16 else 2.0])
    weights = [
        np.clip(random.standard_normal(shape) * scale, -largest, largest)
        for shape in net.weight_shapes
    ]
    return Simulator(net, "reference", weights).checkpoint(), bits


class Session:
    """One network in two programs, of which one evaluates each sample in full, and by the rules."""

    def __init__(self, seed):
        self.random = np.random.RandomState(seed)
        start, bits = random_network(self.random)
        self.net = start.net
        self.programs = [CNetwork(start, bits, incremental) for incremental in (True, False)]
        self.sim = start.simulate("reference")
        self.kept = start
        self.pixels = self.random.randint(0, 256, self.net.n_inputs)
        self.share = self.random.choice([0.0, 0.1, 0.5, 1.0])  # of inputs that change
        self.is_active = self.random.uniform(size=self.net.n_inputs) < self.random.choice([0.4, 1])
        self.refused = 0

    def call(self, name, *arguments):
        self.last_call = name
        one, other = (program.call(name, *arguments) for program in self.programs)
        assert one == other, name
        return one

    def next_input(self):
        """Return the kind of the next sample, the sample for C, and that for the reference."""
        random, net, c = self.random, self.net, self.programs[0]
        if random.uniform() < 0.05:
            self.pixels = random.permutation(self.pixels)
        change = random.uniform(size=net.n_inputs) < self.share
        fresh = random.randint(0, 256, net.n_inputs) * self.is_active
        self.pixels = np.where(change, fresh, self.pixels)
        if net.input_coding == "spikes":
            largest = 1 if net.spikes == "binary" else random.choice([2, 5])
            counts = self.pixels * (2 * largest + 1) // 256 - largest
            return "spikes", c.counts(counts), counts
        if random.uniform() < 0.5 and c.network.takes_pixels:
            return "pixels", self.pixels.astype(np.uint8), self.pixels
        values = (self.pixels - 100.0) * random.choice([1, 1, 1, 100])
        on_grid = grid_of(net).round(values * (net.spikes_per_unit * net.input_scale))
        return "values", c.units(on_grid), values

    def next_target(self):
        """Return a label for C, and the target for the reference."""
        random, n = self.random, self.net.n_outputs
        if random.uniform() < 0.7:
            label = random.randint(n)
            wrong, right = self.net.label_targets
            return label, np.where(np.arange(n) == label, right, wrong)
        target = random.randint(-8, 48, n) / 8
        for program in self.programs:
            program.set_target(target)
        return GIVEN_TARGET, target

    def in_steps(self, row):
        return row[np.newaxis] if self.net.input_coding == "spikes" else row

    def learn(self):
        kind, x, row = self.next_input()
        label, target = self.next_target()
        result = self.call(f"learn_{kind}", x, label)
        self.refused += result == "OUTSIDE"
        if result != "OK":
            return
        self.assert_scores(self.sim.train([self.in_steps(row)], [target])[0])

    def predict(self):
        kind, x, row = self.next_input()
        if self.call(f"predict_{kind}", x) == "OK":
            self.assert_scores(self.sim.predict([self.in_steps(row)])[0])

    def show_steps(self):
        """Show a sample step by step, of which at most one can teach, and keep it or not."""
        stream, result = self.sim.stream(), "OK"
        teaches = self.random.randint(4)
        for i in range(self.random.randint(1, 4)):
            kind, x, row = self.next_input()
            label, target = self.next_target() if i == teaches else (NO_LABEL, None)
            result = self.call(f"show_{kind}", x, label)
            if result != "OK":
                break
            stream.show(row, target=target)
            self.assert_scores(stream.scores)
        if result == "OK":
            result = self.call(str(self.random.choice(["close", "close", "drop"])))
        if result == "OK" and self.last_call == "close":
            stream.close_sample()
        elif stream.is_open:
            stream.drop_sample()

    def write(self):
        one, other = (program.state_bytes for program in self.programs)
        assert one == other
        assert one == self.programs[0].bytes_of(self.sim.checkpoint())

    def keep(self):
        self.write()
        self.kept = self.sim.checkpoint()

    def restore(self):
        """Read an earlier state; sometimes bytes of another network are refused before."""
        if self.random.uniform() < 0.5:
            assert self.call("read_state", 0, b"none of it", 10) == "WRONG_STATE"
        state = self.programs[0].bytes_of(self.kept)
        assert self.call("read_state", 0, state, len(state)) == "OK"
        self.sim = self.kept.simulate("reference")

    def refuse(self):
        """Show what is not allowed, or too large."""
        kind, x, _ = self.next_input()
        assert self.call(f"learn_{kind}", x, self.net.n_outputs) == "WRONG_LABEL"
        if kind == "values":
            x[self.random.randint(len(x))] = np.iinfo(x.dtype).max // 2 + 1
            assert self.call("learn_values", x, 0) == "OUTSIDE"

    def assert_scores(self, expected):
        for program in self.programs:
            assert np.array_equal(program.scores, expected)

    def run(self, n):
        parts = {
            self.learn: 0.62,
            self.predict: 0.2,
            self.show_steps: 0.06,
            self.write: 0.04,
            self.keep: 0.03,
            self.restore: 0.02,
            self.refuse: 0.03,
        }
        for _ in range(n):
            self.random.choice(list(parts), p=list(parts.values()))()
        self.write()
        assert_same(self.programs[0].learned, self.sim.checkpoint())


@pytest.mark.parametrize("seed", range(12))
def test_random_sessions_equal_those_in_full_and_the_reference(seed):
    Session(seed).run(120)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(100, 300))
def test_more_random_sessions(seed):
    Session(seed).run(300)
