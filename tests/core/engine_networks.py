"""Random networks on a build of the engine and on the reference.

``python -m tests.core.engine_networks LIBRARY LEVEL BITS N [NEAR ..]`` runs each check on N
networks in a process of its own, for libraries that may not be loaded into that of the tests; or
tests by hand, if these are named.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spikebp_plugins import Checkpoint, Conv2D, Dense, SpikingNetwork
from spikebp_plugins.engine import library, network
from spikebp_plugins.engine.library import build_of
from spikebp_plugins.engine.network import MOST_PENDING, counted_operations
from spikebp_plugins.engine.step_network import StepNetwork, holds
from spikebp_plugins.engine.structs import ERRORS, SENT, B, W
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import check_batch, real_targets
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import LearningState, initial_state
from tests import profiles  # noqa: F401 (registers them)
from tests.core.strategies import RATES, chip_definitions, definitions, inputs, networks, targets

LIMITS = {"max_depth": 4, "max_width": 40, "max_steps": 12}
STEPS = {"rates": (*RATES, 1e3), **LIMITS}
DENSE = definitions(timing="immediate", **STEPS)


@st.composite
def convolutions(draw, **fixed):
    """Networks in which places of a convolution lie on many units, with channels that fill vectors.

    Others have small kernels, which the engine handles in another way.
    """
    fields = draw(definitions(max_depth=1, max_steps=8, **fixed)).field_values()
    del fields["layer_sizes"]
    channels = draw(st.sampled_from([1, 3, 16, 24, 33]))
    size, stride, padding = (draw(st.integers(*ends)) for ends in ((2, 3), (1, 2), (0, 1)))
    above = draw(st.sampled_from([[], [Dense(3)], [Conv2D(2, 1)], [Conv2D(17, 2, 1, 1)]]))
    layers = [Conv2D(channels, size, stride, padding), *above]
    layout = draw(st.sampled_from(["channels_last", "channels_first"]))
    return SpikingNetwork.paper((4, 5, 3), layers, **fields | {"input_layout": layout})


KINDS = (
    DENSE,
    definitions(**STEPS),
    convolutions(),
    networks(wide=(16, 24, 33), max_steps=8),
    networks(timing="immediate", max_steps=8),
    chip_definitions(**LIMITS),
)
NETS = st.sampled_from(KINDS).flatmap(lambda kind: kind)
#: Those that correct by many updates of several layers.
LIVELY = STEPS | {"updates": ("fractional",), "spikes_per_unit": 8, "rates": (0.01, 0.1)}
#: Those whose weights within a sample are kept by kernels, or one by one.
WIRED = convolutions(timing="immediate") | networks(timing="immediate", max_steps=8)
#: Those that send nearly the same in each step, if their input is constant.
WITH_CONSTANT_INPUT = definitions(
    updates=("fractional",), spikes="graded", input_coding="values", **STEPS
)
#: Those whose samples have one step: most of them may cost what has changed since the one before.
ONE_STEP = STEPS | {"max_steps": 1}
OF_ONE_STEP = st.sampled_from(
    (
        *[definitions(timing="immediate", **ONE_STEP)] * 3,
        definitions(**ONE_STEP),
        networks(max_steps=1),
        chip_definitions(**LIMITS | {"max_steps": 1}),
    )
).flatmap(lambda kind: kind)
KIND_OF = {
    "deep": definitions(timing="immediate", **LIVELY),
    "chip": chip_definitions(**LIMITS),
    "delays": definitions(timing="pipelined", **STEPS),
    "wired": WIRED,
    "constant": WITH_CONSTANT_INPUT,
    "stream": OF_ONE_STEP,
}
#: Shares of the inputs that change from one sample of a stream to the next.
SHARES = (0.0, 0.02, 0.1, 0.5)
N = 6


class Case(NamedTuple):
    """A network, the state that it starts from, and N samples."""

    net: Definition
    start: LearningState
    x: np.ndarray
    y: np.ndarray
    seed: int


#: The numbers of a case that are near the limits: few, for where all are nothing is in range. Or
#: one of the kinds of networks above, of which "stream" has samples that share inputs.
NEAR = (
    (),
    ("wired",),
    ("constant",),
    ("stream",),
    ("stream", "x"),
    ("stream", "weights"),
    ("x",),
    ("y",),
    ("weights",),
    ("psi",),
    ("feedback",),
    ("x", "y"),
    ("x", "weights"),
)


@st.composite
def cases(draw, nears=NEAR):
    """Cases of which some have numbers near the limits of 32 or of 64 bits."""
    near, seed = draw(st.sampled_from(nears)), draw(st.integers(0, 2**32 - 1))
    net = draw(next((KIND_OF[name] for name in near if name in KIND_OF), NETS))
    if "stream" in near and draw(st.booleans()):  # levels that numbers may not hold
        net = net.replace(input_scale=draw(st.sampled_from([2.0**8, 2.0**20])))
    random = np.random.RandomState(seed)
    grid = draw(st.sampled_from(["any", "any", "any", "coarse", "fine"]))
    has_constant = any(c.constant_weight is not None for c in net.connections)
    if net.arithmetic != "fixed" or has_constant:  # which coarse grids do not hold
        grid = "any"
    if grid == "coarse":  # spikes are many before potentials overflow
        rate = draw(st.sampled_from([4.0, 1.5]))  # the other rounds ties
        bits = draw(st.integers(1 if rate == 4.0 else 2, 8))  # which hold a normalized rate
        net = net.replace(fraction_bits=bits, learning_rate=rate * net.n_steps**2)
    elif grid == "fine":  # and few
        few_steps = draw(st.integers(1, 3))
        net = net.replace(fraction_bits=draw(st.sampled_from([22, 40])), n_steps=few_steps)

    def size_of(name, usual, most_bits, bits_of_one=net.fraction_bits):
        if name not in near:
            return draw(st.sampled_from(usual))
        less = draw(st.sampled_from((0, 0, 1, 1, 2, 3, 4, 6, 8, 12)))
        return 2.0 ** (draw(st.sampled_from(most_bits)) - less - bits_of_one)

    def values(name, shapes, *usual):
        size = size_of(name, usual, (28, 52))
        return [random.uniform(-1.7, 1.7, shape) * size for shape in shapes]

    weights = values("weights", net.weight_shapes, 0.05, 0.5, 1.5)
    feedback = None
    if net.feedback == "random" and (draw(st.booleans()) or "feedback" in near):
        feedback = values("feedback", net.feedback_shapes, 0.5)
    start, grid = initial_state(net, weights, feedback), arithmetic_of(net)
    psi = [grid.round(v) for v in values("psi", [(n,) for n in net.layer_sizes[1:-1]], 0.3)]
    start = start.with_reals(backward_potentials=psi)
    kind = draw(st.sampled_from(["labels", "constant", "changing"]))
    if "y" in near and kind == "labels":
        kind = "constant"
    y = targets(net, random, N, kind, size_of("y", (1.0, 1.0, 30.0), (31, 53)))
    bits = 0 if net.input_coding == "spikes" else net.fraction_bits
    usual = (0.0, 1.0) if "y" in near else (1.0, 1.0, 30.0, 1e4)  # silent: errors teach nothing
    changing = draw(st.booleans()) and not {"constant", "stream"} & {*near}
    x = inputs(net, random, N, size_of("x", usual, (31, 53), bits), changing)
    if net.input_coding == "spikes" and usual[0] == 0.0 and draw(st.booleans()):
        x = np.zeros_like(x)
    x = -x if draw(st.booleans()) else x
    if x.ndim == 3:
        x = np.resize(x, (N, net.n_steps, net.n_inputs))
    elif net.input_coding == "values" and draw(st.booleans()):
        x = random.randint(0, 256, (N, net.n_inputs)).astype(np.uint8)
    x[random.uniform(size=x.shape) < draw(st.sampled_from([0.0, 0.0, 0.5, 0.9]))] = 0
    if "stream" in near:
        changes = random.uniform(size=x.shape) < draw(st.sampled_from(SHARES))
        for i in range(1, N):
            x[i] = np.where(changes[i], x[i], x[i - 1])
    if "glitch" in near and net.input_coding == "values" and x.dtype != np.uint8:
        where = draw(st.integers(1, N - 1)), ..., draw(st.integers(0, net.n_inputs - 1))
        x[where] = draw(st.sampled_from([1e3, 1e5]))
    return Case(net, start, x, y, seed)


class Pair:
    """A network in C and the reference."""

    def __init__(self, net, start, level, bits, most_pending=MOST_PENDING):
        self.net, self.ref = net, Checkpoint(net, start).simulate("reference")
        self.bits = bits
        build = build_of(bits, level)
        self.is_held = holds(build, net)
        if self.is_held:
            self.c = StepNetwork(net, build, most_pending=most_pending)
            self.is_held = self.c.write(self.ref.checkpoint().state)

    def assert_same(self):
        state = self.ref.checkpoint().state
        found = self.c.read()
        for name in ("weights", "backward_potentials", "feedback"):
            for wanted, values in zip(getattr(state, name), getattr(found, name), strict=True):
                assert np.array_equal(wanted, values), name
        if self.net.feedback != "random":
            for l, connection in enumerate(self.net.connections[1:], 2):
                back = connection.backward_weights(self.c.array(l, W))
                assert np.array_equal(self.c.array(l, B), back)
        assert counted_operations(self.net, self.c.counts()) == self.ref.operations


def assert_equal_trace(net, trace, shown):
    spikes, errors, step_scores = shown.recording
    assert np.array_equal(trace.scores, shown.scores)
    for l in range(net.n_layers + 1):
        assert np.array_equal(trace.spikes[l], spikes[l]), l
        assert l == 0 or np.array_equal(trace.errors[l], errors[l]), l
    assert np.array_equal(trace.step_scores, step_scores)


def assert_equal_blocks(level, bits, case, most_pending):
    net, x, y = case.net, case.x, case.y
    pair = Pair(net, case.start, level, bits, most_pending)
    if not pair.is_held:
        return
    ref, c = pair.ref, pair.c
    for record in (True, False):
        shown = c.show(check_batch(net, x, y), record)
        n = len(shown.scores)
        if n and record:
            assert_equal_trace(net, ref.train(x[:n], y[:n], record=True), shown)
        elif n:
            assert np.array_equal(ref.train(x[:n], y[:n]), shown.scores)
        pair.assert_same()
    for n_steps in (net.n_steps, 3, 7):
        shape = (N, n_steps, net.n_inputs)
        given = x if x.ndim == 2 else np.resize(x, shape)
        shown = c.show(check_batch(net, given, None, n_steps))
        n = len(shown.scores)
        if n:
            assert np.array_equal(ref.predict(given[:n], n_steps=n_steps), shown.scores)
        pair.assert_same()
    may_stop = net.n_outputs > 1 and net.timing == "immediate"
    for margin in (0.0, 0.5, 2.0) if may_stop and y.ndim == 1 else ():
        shown = c.show_until(check_batch(net, x, y), margin)
        n = len(shown.scores)
        if n:
            early = ref.train(x[:n], y[:n], margin=margin)
            for found, wanted in zip(shown, early, strict=True):
                assert np.array_equal(found, wanted)
        pair.assert_same()
    for margin in (0.0, 0.5, 2.0) if may_stop else ():
        shown = c.show_until(check_batch(net, x), margin)
        n = len(shown.scores)
        if n:
            early = ref.predict(x[:n], margin=margin)
            assert np.array_equal(early.scores, shown.scores)
            assert np.array_equal(early.n_steps, shown.n_steps)
            assert np.array_equal(early.operations, shown.operations)
        pair.assert_same()
    assert_equal_parts(pair, case)


def listed(x, random):
    """Return rows that list their units in any order, and some of those that have nothing."""
    is_listed = (x != 0) | (random.uniform(size=x.shape) < 0.2)
    units = [random.permutation(np.flatnonzero(row)).astype(np.int32) for row in is_listed]
    number = np.concatenate([row[unit] for row, unit in zip(x, units, strict=True)])
    begin = np.cumsum([0, *map(len, units)])
    return SparseRows(begin, np.concatenate(units), number, x.shape[1])


def assert_equal_parts(pair, case):
    """Parts of the samples, of any type, with targets or without; what is learned in between."""
    random, net = np.random.RandomState(case.seed), case.net
    for _ in range(5):
        first = random.randint(N)
        part = slice(first, random.randint(first, N) + 1)
        x, y = case.x[part], case.y[part] if random.rand() < 0.6 else None
        if net.input_coding == "values" and random.rand() < 0.3:
            x = x.astype(np.float64)
        batch = check_batch(net, x, y)
        if x.ndim == 2 and random.rand() < 0.5:
            batch.x = listed(x, random)
        shown = pair.c.show(batch)
        n = len(shown.scores)
        if n:
            wanted = pair.ref.predict(x[:n]) if y is None else pair.ref.train(x[:n], y[:n])
            assert np.array_equal(wanted, shown.scores)
        if random.rand() < 0.5:
            pair.assert_same()
        if random.rand() < 0.2:
            pair.c.drop_sample()
            other = pair.c.beside()  # on the same weights, as threads have it
            now = pair.ref.checkpoint()
            assert all(map(np.array_equal, other.read().weights, now.state.weights))
            shown = other.show(check_batch(net, case.x))
            if n := len(shown.scores):
                scores = now.simulate("reference").predict(case.x[:n])
                assert np.array_equal(scores, shown.scores)
    pair.assert_same()
    pair.c.write(case.start)  # others change what was learned
    shown = pair.c.show(check_batch(net, case.x[-1:]))
    if len(shown.scores):
        fresh = Checkpoint(net, case.start).simulate("reference")
        assert np.array_equal(fresh.predict(case.x[-1:]), shown.scores)


def assert_equal_steps(level, bits, case, most_pending):
    """With little room for updates, targets that come late or go, and samples that are dropped.

    In open samples, what was learned before is read, and what is learned by now.
    """
    net = case.net
    if net.timing != "immediate" or net.arithmetic != "fixed":
        return
    pair = Pair(net, case.start, level, bits, most_pending)
    if not pair.is_held:
        return
    ref, c, random = pair.ref, pair.c, np.random.RandomState(case.seed)
    shown = c.show(check_batch(net, case.x, case.y))
    if n := len(shown.scores):
        assert np.array_equal(ref.train(case.x[:n], case.y[:n]), shown.scores)
    stream = ref.stream()
    for _ in range(3):
        learns = False
        for step in range(random.randint(1, 13)):
            y = drawn_target(case, random)
            starts, learns = y is not None and not learns, learns or y is not None
            row = case.x[random.randint(N)].reshape(-1, net.n_inputs)[0]
            n_steps = random.randint(1, 4)
            c.begin_steps(y, opens=step == 0, restarts=starts)
            if not both_show(pair, stream, row, y, n_steps):
                if stream.is_open:
                    stream.drop_sample()
                c.drop_sample()
                break
            assert np.array_equal(c.scores(stream.steps_shown), stream.scores)
            if random.rand() < 0.1:
                pair.assert_same()
            if random.rand() < 0.05:
                c.write_updates()
                now = stream._steps._learning.weights
                assert all(map(np.array_equal, c.read(is_open=True).weights, now))
        else:
            if random.rand() < 0.5:
                if random.rand() < 0.5:  # else an interrupt has left it
                    c.drop_sample()
                stream.drop_sample()
            elif not both_close(pair, stream, learns):
                return
        pair.assert_same()
    shown = c.show(check_batch(net, case.x))
    if n := len(shown.scores):
        assert np.array_equal(ref.predict(case.x[:n]), shown.scores)
    pair.assert_same()


def drawn_target(case, random):
    """Return a target for a step, of shape (n_outputs,), or None."""
    if random.rand() >= 0.7:
        return None
    y = case.y[random.randint(N)]
    y = y if case.y.ndim > 1 else real_targets(case.net, y[None])[0]
    return y.reshape(-1, case.net.n_outputs)[0]


def both_show(pair, stream, row, y, n_steps):
    """Show steps; return whether C has shown them, or the reference for it in 64 bits."""
    held = pair.c.show_steps(row, n_steps) == n_steps
    before = stream.steps_shown if stream.is_open else 0
    is_over = False
    try:
        stream.show(row, target=y, n_steps=n_steps)
    except OverflowError:
        assert not held
        is_over = True
    if not held and pair.bits == 64:
        held = step_by_reference(pair.c, row, y, before, n_steps)
        assert held != is_over
    if held:
        k, e = stream._steps._sample.sent
        for l, spikes in enumerate(k):
            assert np.array_equal(spikes, pair.c.array(l, SENT)), l
            errors = e[l] if e and l else np.zeros_like(spikes)
            assert np.array_equal(errors, pair.c.array(l, ERRORS)), l
    return held


def both_close(pair, stream, learns):
    """Close the open sample; return whether both are in the same state after it."""
    c = pair.c
    held = c.close_sample(learns)
    try:
        stream.close_sample()
    except OverflowError:
        assert not held
        if pair.bits == 64:
            with pytest.raises(OverflowError):
                c.close_by_reference()
        c.drop_sample()
        return True
    if not held and pair.bits == 64:
        c.close_by_reference()
    return held or pair.bits == 64


def step_by_reference(c, row, y, before, n_steps):
    """Show those of some steps by the reference that the engine does not; return whether it can."""
    shown = c.steps_block.n_shown
    while shown < n_steps:
        try:
            c.step_by_reference(row, y, before + shown)
        except OverflowError:
            return False
        c.begin_steps(y)
        shown += 1
        shown += c.show_steps(row, n_steps - shown) if shown < n_steps else 0
    return True


#: With few, weights are written before a sample closes.
ROOM = {"most_pending": st.sampled_from((1, 2, 3, 5, MOST_PENDING, MOST_PENDING))}
CHECKS = {assert_equal_blocks: ROOM, assert_equal_steps: ROOM}


def run(check, level, bits, nears=NEAR, **options):
    """Run a check on random networks, with options of Hypothesis."""

    # To look for others behind the first failure would take longer than to find it.
    @settings(report_multiple_bugs=False, suppress_health_check=list(HealthCheck), **options)
    @given(case=cases(nears), **CHECKS[check])
    def run_one(**drawn):
        check(level, bits, **drawn)

    run_one()


def main(path, level, bits, n, near):
    """Run each check on n networks, on a library; all with numbers near the limits, if any is.

    Of the check of single steps alone, if "steps" is among them.
    """
    library.LIBRARY = Path(path)
    if tests := [name for name in near if "::" in name]:
        library.best_level = lambda: level
        if pytest.main([*tests, "-q", "--assert=plain", "-p", "no:cacheprovider"]):
            raise AssertionError(tests)
        return
    # A build with AddressSanitizer poisons memory that it is given. What numpy frees can be used
    # again once it is allocated, unless numpy keeps it, as it does with less than 1024 bytes.
    plain = network.aligned
    network.aligned = lambda n, *given: plain(n + 1024, *given)[:n]
    nears = [name for name in near if name != "steps"]
    for check in CHECKS if near == nears else (assert_equal_steps,):
        options = {"max_examples": n, "database": None, "phases": [Phase.generate]}
        run(check, level, bits, (nears,) if nears else NEAR, **options)


if __name__ == "__main__":
    settings.load_profile("default")
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5:])
