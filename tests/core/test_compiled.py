"""What is special to the compiled back end: widths of integers, threads, cached kernels."""

import copy
import gc
import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile

from spikebp_plugins import Simulator, SpikingMLP, compare
from spikebp_plugins.common import notice
from spikebp_plugins.compiled import backend as compiled
from spikebp_plugins.compiled.kernels import (
    arrays,
    blocks,
    build,
    constant,
    entering,
    event,
    steps,
)
from spikebp_plugins.compiled.kernels import cache as kernel_cache
from spikebp_plugins.compiled.kernels.cache import KernelFile
from spikebp_plugins.data.events import EVENT_DTYPE, EventEncoder
from spikebp_plugins.network.operations import Operations

pytestmark = pytest.mark.usefixtures("by_numba")

NET = SpikingMLP((20, 15, 12, 4), seed=2)


def experiment(net, n=150, scale=1.0):
    random = np.random.RandomState(8)
    weights = [random.standard_normal(shape) * 0.4 for shape in net.weight_shapes]
    x = random.uniform(-0.5, 1.0, (n, net.n_inputs)) * scale
    return weights, x, random.randint(0, net.n_outputs, n)


def layouts_used(monkeypatch):
    """Record the type and kernel of each block that is shown."""
    used = []
    attempt = compiled.CompiledBackend._attempt

    def spy(self, way, *arguments):
        shown = attempt(self, way, *arguments)
        if shown is not None:
            used.append((str(way.layout.dtype), way.kernel))
        return shown

    monkeypatch.setattr(compiled.CompiledBackend, "_attempt", spy)
    return used


def test_small_numbers_take_32_bits(monkeypatch):
    used = layouts_used(monkeypatch)
    weights, x, y = experiment(NET)
    with Simulator(NET, weights=weights) as sim:
        sim.train(x, y)
        sim.predict(np.repeat(x[:, np.newaxis], NET.n_steps, axis=1))
    assert set(used) == {("int32", "constant"), ("int32", "changing")}


def test_one_large_sample_takes_64_bits_and_the_rest_returns_to_32(monkeypatch):
    used = layouts_used(monkeypatch)
    weights, x, y = experiment(NET, n=40)
    x_large = x * np.where(np.arange(40) == 3, 3000.0, 1.0)[:, np.newaxis]
    with Simulator(NET, weights=weights) as sim, Simulator(NET, "reference", weights) as expected:
        for start in range(0, 40, 4):
            part = slice(start, start + 4)
            for simulator in (sim, expected):
                simulator.train(x[part], y[part])
            trace = sim.predict(x_large[part], record=True)
            assert compare(trace, expected.predict(x_large[part], record=True)) is None
    dtypes = [dtype for dtype, _ in used]
    assert dtypes[0] == "int32"
    assert "int64" in dtypes
    assert dtypes[-1] == "int32"


@pytest.mark.parametrize("kernel", ["constant", "changing", "pipelined"])
def test_a_long_block_needs_no_more_bits_than_short_ones(monkeypatch, kernel):
    # Bounds on weights grow with every update, so they are measured again within a block.
    used = layouts_used(monkeypatch)
    timing = "pipelined" if kernel == "pipelined" else "immediate"
    net = NET.replace(fraction_bits=20, timing=timing)
    weights, x, _ = experiment(net, n=3000)
    y = np.random.default_rng(5).uniform(1, 3, (len(x), net.n_outputs))  # never reached
    if kernel == "changing":
        x = np.repeat(x[:, np.newaxis], net.n_steps, axis=1)
    with Simulator(net, weights=weights) as sim:
        sim.train(x, y)
    assert used == [("int32", "changing" if kernel == "changing" else "constant")]


@pytest.mark.parametrize("kernel", ["constant", "changing"])
def test_an_interrupt_after_the_first_block_in_another_type_finds_what_it_has_learned(
    monkeypatch, kernel
):
    weights, x, y = experiment(NET, n=5)
    if kernel == "changing":
        x = np.repeat(x[:, np.newaxis], NET.n_steps, axis=1)
    with Simulator(NET, weights=weights) as sim, Simulator(NET, weights=weights) as expected:
        shown = compiled.KERNELS[kernel]

        def interrupted(job):
            assert job.run.learning.weight.dtype == np.int32  # the state was in 64 bits
            shown(job)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setitem(compiled.KERNELS, kernel, interrupted)
            with pytest.raises(KeyboardInterrupt):
                sim.train(x, y)
        expected.train(x, y)
        assert sim.samples_seen == 5
        assert sim.operations == expected.operations
        assert all(map(np.array_equal, sim.weights, expected.weights))


def test_a_sample_out_of_range_lets_no_bounds_grow():
    # They would prove nothing until they are measured again.
    net = NET.replace(fraction_bits=40)
    weights, x, y = experiment(net)
    with Simulator(net, weights=weights) as sim:
        sim.train(x, y)
        learning = sim._engine._now.learning
        before = [bound.copy() for bound in learning.arrays[3:]]
        with pytest.raises(OverflowError):
            sim.train(x[:1], np.full((1, net.n_outputs), 6000.0))
        assert sim._engine._now.learning is learning
        for bound, earlier in zip(learning.arrays[3:], before, strict=True):
            assert (bound <= earlier).all()


def test_single_calls_need_no_more_bits_than_the_weights(monkeypatch):
    # Bounds that have grown from call to call are measured again before 64 bits are tried.
    used = layouts_used(monkeypatch)
    net = NET.replace(fraction_bits=22)
    weights, x, y = experiment(net, n=200)
    with Simulator(net, weights=weights) as sim, Simulator(net, weights=weights) as together:
        for i in range(200):
            sim.train(x[i : i + 1], y[i : i + 1])
        assert {dtype for dtype, _ in used} == {"int32"}
        sim._engine._now.learning.weight_bound[:] *= 2.0**20
        sim.train(x[:1], y[:1])
        assert {dtype for dtype, _ in used} == {"int32"}
        together.train(np.vstack([x, x[:1]]), np.append(y, y[0]))
        assert all(map(np.array_equal, sim.weights, together.weights))


def test_many_fraction_bits_take_64_bits(monkeypatch):
    used = layouts_used(monkeypatch)
    net = NET.replace(fraction_bits=40)
    weights, x, y = experiment(net)
    with Simulator(net, weights=weights) as sim:
        sim.train(x, y)
    assert {dtype for dtype, _ in used} == {"int64"}


def test_values_with_too_many_trains_are_not_grouped(monkeypatch):
    used = layouts_used(monkeypatch)
    weights, x, _ = experiment(NET, n=4, scale=5000.0)
    with Simulator(NET, weights=weights) as sim, Simulator(NET, "reference", weights) as expected:
        assert compare(sim.predict(x, record=True), expected.predict(x, record=True)) is None
    assert used == [("int64", "changing")]


@pytest.mark.parametrize("sizes", [(5, 1), (20, 16, 4), (37, 130, 4), (16, 33, 257, 300, 17, 3)])
@pytest.mark.parametrize(("n_steps", "levels"), [(1, True), (17, False)])
def test_layers_of_any_width_equal_the_reference(sizes, n_steps, levels):
    # Widths and steps that fill vectors, and such that do not.
    net = SpikingMLP(sizes, seed=2, n_steps=n_steps, learning_rate=0.01)
    random = np.random.default_rng(0)
    weights = [random.standard_normal(s) * 1.6 / s[0] ** 0.5 for s in net.weight_shapes]
    x = random.uniform(-0.5, 1.2, (10, sizes[0])) * (random.random((10, sizes[0])) < 0.7)
    if levels:
        net, x = net.replace(input_scale=1 / 200), random.integers(0, 256, x.shape, np.uint8)
    y = random.integers(0, sizes[-1], 10)
    with Simulator(net, weights=weights) as sim, Simulator(net, "reference", weights) as expected:
        trace, wanted = (s.train(x, y, record=True) for s in (sim, expected))
        assert any(errors.any() for errors in wanted.errors[1:])
        assert compare(trace, wanted) is None
        assert compare(sim.predict(x, record=True), expected.predict(x, record=True)) is None
        assert sim.operations == expected.operations


@pytest.mark.parametrize(("n_jobs", "n_steps"), [(1, None), (2, 65), ("3", None)])
def test_prediction_is_the_same_for_any_number_of_threads(n_jobs, n_steps):
    weights, x, _ = experiment(NET, n=120)
    with (
        Simulator(NET, weights=weights, n_jobs=n_jobs) as sim,
        Simulator(NET, "reference", weights) as expected,
    ):
        trace = sim.predict(x, n_steps=n_steps, record=True)
        assert compare(trace, expected.predict(x, n_steps=n_steps, record=True)) is None
        assert sim.operations == expected.operations


def test_an_overflow_in_one_thread_is_that_of_the_first_sample():
    weights, x, _ = experiment(NET, n=200)
    x[150, 3], x[60, 7] = 1e300, 1e20
    outcomes = []
    for backend, options in (("compiled", {"n_jobs": 3}), ("reference", {})):
        with Simulator(NET, backend, weights, **options) as sim:
            with pytest.raises(OverflowError) as error:
                sim.predict(x)
            outcomes.append((str(error.value), sim.operations))
    assert outcomes[0] == outcomes[1]


def test_counters_are_emptied_before_they_are_full(monkeypatch):
    monkeypatch.setattr(compiled, "MOST_COUNTED", 2**31)  # so that most calls find them full
    weights, x, y = experiment(NET, n=30)
    emptied = []
    empty = compiled.CompiledBackend._empty_counters
    monkeypatch.setattr(
        compiled.CompiledBackend, "_empty_counters", lambda self: (emptied.append(1), empty(self))
    )
    with Simulator(NET, weights=weights) as sim, Simulator(NET, "reference", weights) as expected:
        streams = [each.stream() for each in (sim, expected)]
        sim._engine._now.totals.spikes[0] = 2**30 + 1  # as after a day of streams
        sim._engine._now = sim._engine._now._replace(work=Operations() - sim.operations)
        for i in range(0, 30, 3):
            for each, stream in zip((sim, expected), streams, strict=True):
                each.train(x[i : i + 1], y[i : i + 1])
                each.predict(x[i : i + 3])
                stream.show(x[i], target=y[i], n_steps=3)
                stream.close_sample()
            assert sim.operations == expected.operations
            assert sim.samples_seen == expected.samples_seen
    assert len(emptied) > 10


def test_the_memory_of_kernels_cannot_be_copied():
    with Simulator(NET) as sim, pytest.raises(TypeError, match="Network cannot be copied"):
        copy.deepcopy(sim._engine._wide.network)


def test_kernels_are_kept_for_all_their_sources(monkeypatch, tmp_path):
    modules = (blocks, constant, entering, event, steps)
    entries = [
        kernel
        for module in modules
        for kernel in vars(module).values()
        if getattr(kernel, "targetoptions", {}).get("nogil")
    ]
    assert {kernel.py_func.__module__ for kernel in entries} == {m.__name__ for m in modules}
    assert {kernel.stats.cache_path for kernel in entries} == {str(kernel_cache.kernel_folder())}

    # A change in any file leads to another folder.
    folder = Path(kernel_cache.__file__).parent
    folders = set()
    for changed in (None, "slices.py", "event_queue.py", "vectors.py"):
        copy = tmp_path / str(changed)
        shutil.copytree(folder, copy)
        if changed:
            copy.joinpath(changed).write_text("# changed")
        monkeypatch.setattr(kernel_cache, "__file__", str(copy / "cache.py"))
        folders.add(kernel_cache.kernel_folder.__wrapped__())
    assert len(folders) == 4
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "archive.zip" / "cache.py"))
    with pytest.raises(OSError, match="archive"):  # no sources to be named for
        kernel_cache.kernel_folder.__wrapped__()
    assert kernel_cache.kernel_folder() in folders


def saved_at_once(kind, folder):
    """What is found when two processes save, each after the other has looked at the index."""
    folder.mkdir()
    first, second = (kind(str(folder), "kernel", None) for _ in range(2))
    second._load_index = dict if kind is IndexDataCacheFile else second._load_index
    save_data = first._save_data

    def after_the_other(name, data):
        second.save("64 bits", "code for 64 bits")
        save_data(name, data)

    first._save_data = after_the_other
    first.save("32 bits", "code for 32 bits")
    return [kind(str(folder), "kernel", None).load(key) for key in ("32 bits", "64 bits")]


def test_kernels_saved_at_once_are_not_mixed_up(tmp_path):
    assert saved_at_once(IndexDataCacheFile, tmp_path / "numba") == [None, "code for 32 bits"]
    assert saved_at_once(KernelFile, tmp_path / "ours") == ["code for 32 bits", "code for 64 bits"]


def twice(x):
    return 2 * x


DAMAGE = {
    "empty": lambda content: content[:0],
    "cut off": lambda content: content[: len(content) // 2],
    "overwritten": lambda content: b"\xff" * len(content),
    "another object": lambda _: pickle.dumps(3),
    "its end": lambda content: content[:-1] + b"?",
}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_kernels_are_made_anew(monkeypatch, tmp_path, ending):
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: tmp_path)

    def hits():
        kernel = build.entry(twice)
        assert kernel(3) == 6
        return sum(kernel.stats.cache_hits.values())

    assert (hits(), hits()) == (0, 1)
    for kind, damage in DAMAGE.items():
        for file in tmp_path.glob(f"*.{ending}"):
            file.write_bytes(damage(file.read_bytes()))
        assert (kind, hits(), hits()) == (kind, 0, 1)


def test_kernels_that_may_not_be_compiled_are_refused():
    done = subprocess.run(
        [sys.executable, "-c", "from spikebp_plugins import *; Simulator(SpikingMLP((2, 2)))"],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UnsupportedError: back end 'compiled' cannot run this network: NUMBA_DISABLE_JIT k" in (
        done.stderr
    )


def test_kernels_need_no_place_to_be_kept(tmp_path):
    """Where nothing can be written, each process compiles them anew."""
    (tmp_path / "file").touch()
    code = (
        "from spikebp_plugins import Simulator, SpikingMLP\n"
        "from spikebp_plugins.compiled.kernels import entering\n"
        "path = entering.to_numbers.stats.cache_path\n"
        "print(path, Simulator(SpikingMLP((2, 2))).weights[0].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "None (2, 2)\n", done.stderr


def test_a_long_first_call_says_that_it_compiles(monkeypatch, caplog):
    monkeypatch.setattr(notice, "SECONDS_BEFORE_NOTICE", 0.01)
    monkeypatch.setattr(notice, "_called", set())
    with caplog.at_level(logging.WARNING, "spikebp_plugins"):
        with notice.announced("a kernel"):
            time.sleep(0.2)
        assert "compiling the kernels" in caplog.text
        caplog.clear()
        with notice.announced("a kernel"):
            time.sleep(0.2)
        assert caplog.text == ""


def test_a_struct_takes_contiguous_arrays_alone():
    values = np.zeros((4, 4))
    with pytest.raises(ValueError, match="spikes of a Totals must be contiguous"):
        arrays.Totals(values[:, 0], errors=values[0], updates=values[0], samples=values[0])


def test_who_counts_the_memory_of_a_model_does_not_count_the_compiler():
    net = SpikingMLP((4, 5, 2), n_steps=3)
    rows, targets = np.ones((3, 1, 4)), np.eye(2)[[[0], [1], [0]]]
    clicks = np.array([(0, 0, 0, 1), (3, 0, 15, 1), (1, 0, 40, 1)], EVENT_DTYPE)
    encoder = EventEncoder(4, 1, step=10, polarity="ignored")
    with Simulator(net) as sim, Simulator(replace(net, input_coding="spikes")) as counting:
        for x, y in zip(rows, targets, strict=True):  # from the second on by a handle
            sim.train(x, y)
            sim.predict(x)
        watching, feeling = sim.stream(), counting.stream(encoder=encoder)
        watching.show(rows[0, 0], target=0)
        feeling.feed(clicks, target=0)
        found, waiting = {}, [sim, counting, watching, feeling]
        while waiting:  # as river does
            one = waiting.pop()
            if id(one) not in found and not isinstance(one, type | ModuleType | FunctionType):
                found[id(one)] = one
                waiting += gc.get_referents(one)
    origins = {type(one).__module__.partition(".")[0] for one in found.values()}
    assert {"numpy", "spikebp_plugins"} <= origins
    assert not {"numba", "llvmlite", "_dynfunc"} & origins
