"""Kernels that are compiled beside the work: nobody waits, and no number shows when they come."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext

import numpy as np
import pytest

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP, warmup
from spikebp_plugins.compiled import beside, readiness
from spikebp_plugins.compiled.readiness import Readiness
from tests.core.small_nets import checkpoint_bytes, small_net

pytestmark = pytest.mark.usefixtures("by_numba")

ENCODER = EventEncoder(3, 1, step=10, polarity="ignored")
CLICKS = np.array([(i % 3, 0, 7 * i, 1) for i in range(20)], EVENT_DTYPE)


class ReadyAfter(Readiness):
    """The kernels of each use become ready when somebody has asked for them often enough."""

    def __init__(self, times):
        super().__init__(False)
        self.times, self.asked, self.first = times, {}, ()

    def of(self, use, kernels):
        self.asked[use] = self.asked.get(use, 0) + 1
        return use[0] in self.first or self.asked[use] > self.times

    def ask(self, use):
        assert use in self.asked

    def done_without(self, use, synapse_steps):
        assert use in self.asked
        return nullcontext()


def train(sim, x, y):
    return [sim.train(x, y), sim.predict(x)]


def train_singly(sim, x, y):
    return [sim.train(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]


def predict_in_threads(sim, x, y):
    many = np.repeat(x, 30, axis=0)
    return [sim.train(x, y), sim.predict(many), *sim.predict(many, record=True).spikes]


def stop_early(sim, x, y):
    return [sim.train(x, y), *sim.predict(x, margin=0.5)]


def stream(sim, x, y):
    shown, scores = sim.stream(n_steps=4), []
    for i in range(len(x)):
        scores.append(shown.show(x[i], target=y[i], n_steps=3))
        scores.append(shown.scores)
        scores.append(shown.show(x[i], n_steps=1 + i % 2))
        scores.append(sim.predict(x[:1]))
        scores += sim.weights
    return scores


def feed(sim, x, y):
    fed = sim.stream(ENCODER, n_steps=3)
    scores = [fed.feed(CLICKS[i : i + 3], target=i % 2) for i in range(0, len(CLICKS), 3)]
    return [*scores, fed.advance_to(200), fed.scores]


OUTER = {"update": "outer", "backward_init": "uniform"}


@pytest.mark.parametrize(
    ("use", "fields"),
    [
        (train, {"timing": "pipelined"}),
        (train, {"arithmetic": "loihi2", "fraction_bits": 6}),
        (train_singly, OUTER),
        (predict_in_threads, {}),
        (stop_early, {}),
        (stream, OUTER),
        pytest.param(feed, {}, marks=pytest.mark.thorough),
    ],
)
def test_no_number_shows_when_kernels_become_ready(use, fields):
    net = small_net(**fields)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, net.n_inputs)), rng.integers(0, 2, 6)
    if use is feed:
        x = None
    else:
        x[3] *= 1e6  # which takes 64 bits
    with Simulator(net, "reference") as sim:
        expected, state, work = use(sim, x, y), checkpoint_bytes(sim), sim.operations
    changes = set()
    for times in range(12):
        with Simulator(net, n_jobs=2) as sim:
            late = sim._engine.readiness = ReadyAfter(times)
            found = use(sim, x, y)
            assert len(found) == len(expected)
            assert all(map(np.array_equal, found, expected))
            assert checkpoint_bytes(sim) == state
            assert sim.operations == work
            changes |= {key for key, n in late.asked.items() if 0 < times < n}
    assert changes


@pytest.mark.parametrize("first", [["events"], ["feed"], ["events", "feed"], ["steps"]])
def test_kernels_of_a_stream_may_become_ready_in_any_order(first):
    net = small_net()
    with Simulator(net, "reference") as sim:
        expected, state = feed(sim, None, None), checkpoint_bytes(sim)
    with Simulator(net) as sim:
        late = sim._engine.readiness = ReadyAfter(1000)
        late.first = first
        assert all(map(np.array_equal, feed(sim, None, None), expected))
        assert checkpoint_bytes(sim) == state
    scores = []
    for backend in ("compiled", "reference"):
        with Simulator(net, backend) as sim:
            if backend == "compiled":
                late = sim._engine.readiness = ReadyAfter(1000)
                late.first = first
            shown = sim.stream(ENCODER)
            shown.show(np.ones(3), target=0)  # the sample goes on with events
            shown.feed(CLICKS)
            scores.append(shown.close_sample())
    assert (scores[0] == scores[1]).all()


@pytest.fixture
def asked(monkeypatch):
    """What is asked for, where nothing is ever ready, and no time has been taken."""
    kernels = []
    monkeypatch.setattr(readiness, "_seconds", {})
    monkeypatch.setattr(beside, "are_ready", lambda _: False)
    monkeypatch.setattr(beside, "ask", kernels.extend)
    return kernels


def test_only_work_that_takes_long_is_compiled_for(asked, monkeypatch):
    monkeypatch.setattr(readiness, "SECONDS_BEFORE_COMPILING", 1000.0)
    net, x, y = SpikingMLP((4, 3, 2)), np.ones((3, 4)), [0, 1, 0]
    for _ in range(2):
        with Simulator(net, wait=False) as sim:
            sim.train(x, y)
    assert not asked
    # What was taken before counts, also by other simulators.
    taken = max(readiness._seconds.values())
    monkeypatch.setattr(readiness, "SECONDS_BEFORE_COMPILING", taken)
    with Simulator(net, wait=False) as sim:
        sim.train(x[:1], y[:1])
    assert {each.kernel.py_func.__name__ for each in asked} == {"run_constant_block"}


def test_work_that_will_take_long_is_compiled_for_at_once(asked):
    late = Readiness(False)
    late.of("much", lambda: ["kernels"])
    with late.done_without("much", 1e3):
        assert not asked
    with late.done_without("much", 1e10):
        assert asked == ["kernels"]


def test_event_timing_waits():
    net = SpikingMLP((4, 3, 2), timing="event", arithmetic="float64")
    with Simulator(net, wait=False) as sim:
        assert sim._engine.readiness.waits


@pytest.mark.parametrize("text", ["compiled:wait=true", "compiled:wait=True,n_jobs=1"])
def test_the_option_as_text(text):
    with Simulator(SpikingMLP((4, 3, 2)), text) as sim:
        assert sim._engine.readiness.waits
    with pytest.raises(ValueError, match="wait of back end 'compiled' must be True or False; got"):
        Simulator(SpikingMLP((4, 3, 2)), "compiled:wait=maybe")


@pytest.mark.parametrize(("said", "waits"), [("", False), ("0", False), ("1", True)])
def test_the_environment_settles_what_the_user_has_not(monkeypatch, said, waits):
    monkeypatch.setenv("SPIKEBP_WAIT", said)
    net = SpikingMLP((4, 3, 2))
    with Simulator(net) as sim, Simulator(net, wait=not waits) as other:
        assert sim._engine.readiness.waits == waits
        assert other._engine.readiness.waits != waits


#: Shows streams whose values outgrow 32 bits while kernels for 64 bits are never ready, then while
#: they are, and prints what is compiled or loaded at a moment when somebody waits for it.
OUTGROWS = """
    import numpy as np
    from numba.core.dispatcher import Dispatcher

    from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP, warmup
    from spikebp_plugins.compiled import beside, readiness
    from spikebp_plugins.compiled.backend import CompiledBackend
    from spikebp_plugins.compiled.kernels.cache import KernelCache

    CompiledBackend.engine_for = classmethod(lambda cls, _: cls)
    readiness.SECONDS_BEFORE_COMPILING = 0.0
    asked, loading, counts = [], [], {"kernel": 0}
    beside.ask = asked.extend
    is_ready, compile_, holds = beside._is_ready, Dispatcher.compile, KernelCache.holds

    def loads(wanted):
        loading.append(wanted)
        try:
            return is_ready(wanted)
        finally:
            loading.pop()

    def compiles(kernel, types):
        if isinstance(kernel._cache, KernelCache):
            counts["kernel"] += 1
            if not loading:
                print("somebody waits for", kernel.py_func.__name__)
        return compile_(kernel, types)

    def is_wide(kind):
        fields = getattr(kind, "fields", {})
        one = fields.get("one")
        return one.bitwidth == 64 if one else any(map(is_wide, fields.values()))

    def shown(backend, **options):
        clicks = np.zeros(3, EVENT_DTYPE)
        clicks["t"] = 0, 12, 25
        x, values = np.ones((1, 4)), []
        with Simulator(SpikingMLP((4, 3, 2), n_steps=6), backend, **options) as sim:
            for size in (1.0, 1e4, 1.0):
                values += [sim.train(size * x, [0]), sim.predict(size * x)]
                stream = sim.stream(n_steps=6)
                stream.show(x[0], target=1, n_steps=3)
                stream.show(size * x[0], n_steps=3)
                values += [stream.scores, *sim.weights]
                feeling = sim.stream(EventEncoder(4, 1, step=10, polarity="ignored"))
                feeling.feed(np.repeat(clicks, 40), target=1)
                values += [sim.predict(x, margin=0.5).scores, feeling.close_sample(), *sim.weights]
                feeling.feed(clicks, target=1)
                feeling.drop_sample()
        return values

    Dispatcher.compile = compiles
    beside._is_ready = loads
    KernelCache.holds = lambda cache, types, context: (
        not any(map(is_wide, types)) and holds(cache, types, context)
    )
    expected = shown("reference")
    assert all(map(np.array_equal, shown("compiled", wait=False), expected))
    names = {each.kernel.py_func.__name__ for each in asked}
    assert {"run_constant_block", "show_steps"} <= names, names
    assert all(any(map(is_wide, each.types)) for each in asked)
    few = counts["kernel"]
    KernelCache.holds = holds
    beside._missing.clear()
    asked.clear()
    assert all(map(np.array_equal, shown("compiled", wait=False), expected))
    assert few < counts["kernel"], (few, counts)
    assert not asked, asked
    print("done")
"""


@pytest.mark.thorough
def test_a_stream_that_outgrows_32_bits_never_waits_for_a_compiler():
    warmup(SpikingMLP((4, 3, 2), n_steps=6))  # so that kernels are in the cache
    command = [sys.executable, "-c", textwrap.dedent(OUTGROWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["done"], done.stdout + done.stderr


#: Knows a kernel that is quickly compiled, and notes what this process compiles itself.
KERNEL = """
    import os, sys, time
    import numpy as np
    from numba.core import event

    from spikebp_plugins import SpikingMLP
    from spikebp_plugins.compiled import beside
    from spikebp_plugins.compiled.kernels import blocks
    from spikebp_plugins.compiled.kernels.cache import kernel_folder
    from spikebp_plugins.compiled.layout import Layout
    from spikebp_plugins.network.state import initial_state

    class Listener(event.Listener):
        def on_start(self, event):
            compiled.append(event)

        def on_end(self, event):
            pass

    def wait_for(condition):
        for _ in range(1200):
            if condition():
                return
            time.sleep(0.05)
        raise TimeoutError

    net, compiled = SpikingMLP((4, 3, 2)), []
    layout = Layout(net, np.int64)
    learning = layout.learning(initial_state(net))
    kernels = [beside.wanted(blocks.measure_bounds, layout.network, learning)]
    event.register("numba:compile", Listener())
    assert not beside.are_ready(kernels)
"""
COMPILED = """
    beside.ask(kernels)
    beside.ask(kernels)
    wait_for(lambda: beside.are_ready(kernels))
    blocks.measure_bounds(layout.network, learning)
    assert not compiled
    print("done")
"""
LEFT_ALONE = """
    beside.ask(kernels)
    wait_for(lambda: list(kernel_folder().glob("*.lock")))
    os._exit(0)
"""
FORKS = """
    beside.ask(kernels)
    child = os.fork()
    if child == 0:
        os._exit(bool(beside._asked) or beside._worker is not None)
    print(os.waitpid(child, 0)[1], flush=True)
    os._exit(0)
"""
IMPOSSIBLE = """
    sys.executable = {program!r}
    beside.ask(kernels)
    wait_for(lambda: beside.are_ready(kernels))
    assert compiled
    print("done")
"""


def run(tmp_path, text):
    """Run a program with an empty cache, in a folder with a module that would be in the way."""
    (tmp_path / "numba.py").write_text("raise ImportError('not this one')")
    script = tmp_path / "script" / "script.py"
    script.parent.mkdir()
    script.write_text(textwrap.dedent(KERNEL) + textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )


def test_another_process_leaves_kernels_in_the_cache(tmp_path):
    done = run(tmp_path, COMPILED)
    assert done.stdout == "done\n", done.stderr
    # Once, and also where nothing is set up for logging.
    assert done.stderr.count("are being compiled, once for this machine; until they are ready") == 1


def test_the_compiler_outlives_the_program_that_has_started_it(tmp_path):
    assert run(tmp_path, LEFT_ALONE).returncode == 0
    end = time.monotonic() + 60
    while not list(tmp_path.glob("cache/kernels/*/blocks.measure_bounds*.nbc")):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_process_that_was_forked_asks_anew(tmp_path):
    done = run(tmp_path, FORKS)
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize("program", ["/nowhere/python", shutil.which("false")])
def test_what_cannot_be_compiled_beside_is_compiled_here(tmp_path, program):
    done = run(tmp_path, IMPOSSIBLE.format(program=program))
    assert done.stdout == "done\n", done.stderr


def test_a_frozen_program_starts_no_other(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with Simulator(SpikingMLP((4, 3, 2)), wait=False) as sim:
        assert sim._engine.readiness.waits
