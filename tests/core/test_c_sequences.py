"""Samples that follow each other in C: what is evaluated by differences equals what is in full."""

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP
from spikebp_plugins.embedded.toolchain import find_compiler
from spikebp_plugins.network.arithmetic import arithmetic_of
from tests.core.c_network import GIVEN_TARGET, NO_LABEL, CNetwork, assert_same

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no compiler of C")


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")


def random_network(random):
    """Return a checkpoint of a network with one step, and the bits of a weight in C."""
    widest = random.choice([1, 8, 16])
    sizes = random.randint(1, widest + 1, random.randint(1, 5)).tolist()
    update = random.choice(["fractional", "outer", "normalized"])
    bits = int(random.choice([16, 16, 16, 32, 64]))
    fraction_bits = int(random.choice([8, 11, 14]))
    rate_units = int(random.choice([1, 4, 40, 400]))
    rate = rate_units / 2**fraction_bits
    net = SpikingMLP.paper(
        (*sizes, random.randint(1, 5)),
        n_steps=1,
        update=update,
        bounded=update == "normalized" or bool(random.randint(2)),
        learning_rate=max(rate, 4 / 2**fraction_bits) * (4 if update == "normalized" else 1),
        fraction_bits=fraction_bits,
        spikes=random.choice(["graded", "graded", "binary"]),
        feedback=random.choice(["transpose", "transpose", "random"]),
        backward_init=random.choice(["carry", "zero"]),
        input_coding=random.choice(["values", "values", "spikes"]),
        input_scale=float(random.choice([1 / 255, 1 / 60, 1 / 16, 1 / 4])),
        label_targets=[(0.0, 1.0), (0.5, 4.0), (-0.7, 9.0)][random.randint(3)],
        seed=int(random.randint(1000)),
    )
    # Weights of 16 bits come to their limits.
    largest = 2**15 / 2**fraction_bits
    reach = min(largest * 0.99, random.choice([0.3, 1.0, largest]))
    weights = [random.uniform(-reach, reach, shape) for shape in net.weight_shapes]
    start = Simulator(net, "reference", weights).checkpoint()
    most = (2**15 - 1) / 2**fraction_bits
    feedback = tuple(np.clip(b, -most, most) for b in start.state.feedback)
    return Checkpoint(net, start.state.with_reals(feedback=feedback)), bits


class Session:
    """One network in two programs, of which one evaluates each sample in full, and by the rules."""

    def __init__(self, seed):
        self.random, self.forms = np.random.RandomState(seed), np.random.RandomState(seed + 1)
        start, bits = random_network(self.random)
        self.net = start.net
        self.programs = [CNetwork(start, bits, incremental) for incremental in (True, False)]
        self.sim = start.simulate("reference")
        self.kept = start
        self.pixels = self.random.randint(0, 256, self.net.n_inputs)
        self.begin_phase()

    def begin_phase(self):
        """Choose which share of the inputs changes from now on, how large they are, and a class."""
        random, n = self.random, self.net.n_inputs
        self.share = random.choice([0.0, 0.1, 0.3, 1.0])
        self.is_active = random.uniform(size=n) < random.choice([0.4, 1])
        self.brightest = random.choice([60, 256])
        self.label = random.choice([-1, random.randint(self.net.n_outputs)])  # -1: any

    def call(self, name, *arguments):
        self.last_call = name
        one, other = (program.call(name, *arguments) for program in self.programs)
        assert one == other, name
        return one

    def show(self, verb, kind, x, *label):
        """Show a sample or a step as a row or, where there are lists, as a list."""
        has_lists = kind == "values" or (kind == "spikes" and verb == "show")
        if not has_lists or self.forms.uniform() < 0.6:
            return self.call(f"{verb}_{kind}", x, *label)
        entries = self.programs[0].listed(x)
        return self.call(f"{verb}_list", entries, len(entries), *label)

    def next_input(self):
        """Return the kind of the next sample, the sample for C, and that for the reference."""
        random, net, c = self.random, self.net, self.programs[0]
        if random.uniform() < 0.05:
            self.pixels = random.permutation(self.pixels)
        change = random.uniform(size=net.n_inputs) < self.share
        fresh = random.randint(0, self.brightest, net.n_inputs) * self.is_active
        self.pixels = np.where(change, fresh, self.pixels)
        if net.input_coding == "spikes":
            largest = 1 if net.spikes == "binary" else random.choice([2, 5])
            counts = self.pixels * (2 * largest + 1) // 256 - largest
            return "spikes", c.counts(counts), counts
        if random.uniform() < 0.5 and c.network.takes_pixels:
            return "pixels", self.pixels.astype(np.uint8), self.pixels
        values = self.pixels * random.choice([1.0, 1.0, 1.0, -1.0, 50.0])
        on_grid = arithmetic_of(net).round(values * (net.spikes_per_unit * net.input_scale))
        return "values", c.units(on_grid), values

    def next_target(self):
        """Return a label for C, and the target for the reference."""
        random, n = self.random, self.net.n_outputs
        if random.uniform() < 0.7:
            label = int(random.randint(n) if self.label < 0 else self.label)
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
        result = self.show("learn", kind, x, label)
        if result != "OK":
            return
        self.assert_scores(self.sim.train([self.in_steps(row)], [target])[0])

    def predict(self):
        kind, x, row = self.next_input()
        if self.show("predict", kind, x) == "OK":
            self.assert_scores(self.sim.predict([self.in_steps(row)])[0])

    def show_steps(self):
        """Show a sample step by step, of which at most one can teach, and keep it or not."""
        stream, result = self.sim.stream(), "OK"
        teaches = self.random.randint(4)
        for i in range(self.random.randint(1, 4)):
            kind, x, row = self.next_input()
            label, target = self.next_target() if i == teaches else (NO_LABEL, None)
            result = self.show("show", kind, x, label)
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
            assert self.show("learn", kind, x, 0) == "OUTSIDE"

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
        for i in range(n):
            if i % 25 == 24:
                self.begin_phase()
            self.random.choice(list(parts), p=list(parts.values()))()
        self.write()
        assert_same(self.programs[0].learned, self.sim.checkpoint())


# In the last one steps have brought a weight near to its limit.
@pytest.mark.parametrize("seed", [*range(8), 30007])
def test_random_sessions_equal_those_in_full_and_the_reference(seed):
    Session(seed).run(120)


# Some networks of random weights never fire.
@pytest.mark.filterwarnings("ignore:no output of the network has fired")
@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_sessions_equal_the_reference(seed):
    Session(seed).run(300)


def pair(net, weights, bits=16):
    """Return a session on a network with given weights."""
    session = Session.__new__(Session)
    session.net = net
    session.sim = Simulator(net, "reference", weights)
    start = session.sim.checkpoint()
    session.programs = [CNetwork(start, bits, incremental) for incremental in (True, False)]
    return session


def learned(session, counts, label=NO_LABEL):
    """Learn from spike counts, or predict; by the rules too if C has room for it."""
    result = session.call("learn_spikes", session.programs[0].counts(counts), label)
    row = np.asarray(counts)[np.newaxis, np.newaxis]
    if result == "OK" and label == NO_LABEL:
        session.assert_scores(session.sim.predict(row)[0])
    elif result == "OK":
        session.assert_scores(session.sim.train(row, [label])[0])
    return result


def counting(sizes, **fields):
    return SpikingMLP.paper(sizes, n_steps=1, input_coding="spikes", **fields)


@pytest.mark.parametrize("n_inputs", [1, 5])
@pytest.mark.parametrize("sign", [-1, 1])
def test_weights_that_wait_drift_to_their_limit(n_inputs, sign):
    """The output never gets what it is asked for: weights go on until a sample is refused."""
    net = counting(
        (n_inputs, 2), learning_rate=60 / 2**14, fraction_bits=14, label_targets=(0.0, 9.0)
    )
    session = pair(net, [np.full((n_inputs, 2), sign * 0.1)])
    results = [
        learned(session, [sign] + [int(i % 9 == j) for j in range(1, n_inputs)], 0)
        for i in range(100)
    ]
    session.write()
    assert results.index("OUTSIDE") > 20


@pytest.mark.parametrize(("still", "moving"), [(0, 150), (40, 150), (10, 40)])
def test_weights_come_to_their_limit_after_rows_have_waited_and_not_waited(still, moving):
    """While predictions change rows between the samples that are learned, no row is to wait."""
    fields = {"learning_rate": 30 / 2**14, "label_targets": (0.0, 15.0)}
    net = counting((5, 2), fraction_bits=14, **fields)
    session = pair(net, [np.full((5, 2), 0.1)])
    results = []
    for i in range(200):
        for j in range(6 if still <= i < still + moving else 0):
            learned(session, [1, 1, 1, 1, j % 2])
        results.append(learned(session, [1, 1, 1, 1, 0], 0))
    session.write()
    assert results.index("OUTSIDE") > still + 40


def test_weights_that_are_read_may_be_near_to_their_limit():
    net = counting((1, 1), learning_rate=30 / 2**14, fraction_bits=14, label_targets=(0.0, 15.0))
    session = pair(net, [[[0.1]]])
    assert [learned(session, [1], 0) for _ in range(9)][-1] == "OK"
    near = pair(net, [[[1.97]]]).programs[0].state_bytes
    assert session.call("read_state", 0, near, len(near)) == "OK"
    session.sim = session.programs[0].learned.simulate("reference")
    assert [learned(session, [1], 0) for _ in range(3)][-1] == "OUTSIDE"


def test_a_row_that_waits_for_large_counts_is_written_before_it_leaves_its_type():
    net = counting((3, 1), learning_rate=4 / 2**14, fraction_bits=14, label_targets=(0.0, 9.0))
    session = pair(net, [[[0.0], [-1.5], [1.5]]])
    for _ in range(100):
        assert learned(session, [1, 0, 0], 0) == "OK"
    for counts in ([1, 9, 0], [1, -9, 0], [1, 0, 9], [1, 0, -9], [1, 9, 9]):
        assert learned(session, counts) == "OK"
    session.write()


def test_changes_of_counts_beyond_their_type():
    net = counting((2, 3, 2), learning_rate=1 / 2**14, fraction_bits=14)
    session = pair(net, [[[2**-14, -(2**-14), 2**-13], [0, 1, 0]], np.ones((3, 2)) / 8])
    for count in (30_000, -30_000, 20_000, -12_000, 30_000, 0, 30_000, 29_999, -32_767, 1):
        assert learned(session, [count, 1]) == "OK"
        assert learned(session, [count, 2], 1) in ("OK", "OUTSIDE")
    session.write()


def test_changes_of_weights_are_limited_by_the_counts_of_now():
    """Not by the largest there have been."""
    net = counting((1, 2), learning_rate=2.2, fraction_bits=14, label_targets=(0.0, 1.0))
    session = pair(net, [[[1.2, 1.2]]])
    assert learned(session, [-30_000]) == "OK"
    assert learned(session, [1], 1) == "OK"
    session.write()


@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_what_other_connections_have_learned_is_taken_back(update):
    """Whether they write or wait, if a weight of the last one leaves its type."""
    fields = {"learning_rate": 20 / 2**14, "label_targets": (0.0, 15.0), "update": update}
    net = counting((4, 2, 2), fraction_bits=14, **fields)
    random = np.random.RandomState(2)
    session = pair(net, [np.full((4, 2), 0.3), np.full((2, 2), 1.96)])
    start, results = session.programs[0].state_bytes, []
    for i in range(150):
        if i % 20 == 19:  # from the first weights, after what was found out about others
            assert session.call("read_state", 0, start, len(start)) == "OK"
            session.sim = session.programs[0].learned.simulate("reference")
        counts = [1, 2, int(i % 7 == 0), i // 30] if i % 10 < 8 else random.randint(0, 2, 4)
        results.append(learned(session, counts, int(random.randint(2))))
        if i % 13 == 0:
            session.write()
    session.write()
    assert results.count("OK") > 20 < results.count("OUTSIDE")
