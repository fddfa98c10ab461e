"""A network learns on an emulated board, with the integers of the compiled back end."""

import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    load_dataset,
)
from spikebp_plugins.embedded import from_state_bytes, to_c, to_state_bytes
from spikebp_plugins.embedded.host_library import HostLibrary
from spikebp_plugins.embedded.host_samples import PIXELS, SamplesInC
from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.embedded.toolchain import find_compiler
from tests.core.small_nets import assert_all_equal, checkpoint_bytes
from tests.documentation import ROOT
from tests.scripts import loaded

board = loaded(ROOT / "examples" / "board" / "emulated.py")
MISSING = board.why_no_board()

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]

MNIST = Path(os.environ.get("SPIKEBP_DATA", "")) / "mnist"
M3, M4 = board.CORES.values()
on_both_cores = pytest.mark.parametrize("core", [M3, M4], ids=lambda core: core.cpu)

#: What a board of the smaller kind has: the linker refuses more.
BYTES_OF_RAM = 262_144


NETWORK = SpikingMLP.paper(
    (64, 40, 20, 10),
    n_steps=5,
    learning_rate=400 / 2**14,
    fraction_bits=14,
    weight_init="he",
    label_targets=(1, 5),
    input_scale=1 / 16,
)


@lru_cache(1)
def trained_on_digits():
    """Return a checkpoint of a network that has learned digits, and 200 digits after them."""
    data = load_dataset("digits", raw=True)
    sim = Simulator(NETWORK, "compiled")
    sim.train(data.x_train[:1200], data.y_train[:1200])
    return sim.checkpoint(), data.x_train[1200:1400], data.y_train[1200:1400]


def built(checkpoint, core, folder):
    """Return the program of the board for what a network has learned."""
    to_c(checkpoint, 16).save(folder)
    return board.build(folder, core, folder / "learn.elf")


def assert_same_learning(learned, before, sim):
    """Assert that a board which went on from a checkpoint is where a simulator is."""
    found, expected = from_state_bytes(learned.state, before), sim.checkpoint()
    assert learned.undone == 0
    assert found.state.samples_seen == expected.state.samples_seen
    assert found.state.samples_seen == before.state.samples_seen + learned.samples
    assert_all_equal(found.state.weights, expected.state.weights)
    assert_all_equal(found.state.backward_potentials, expected.state.backward_potentials)
    assert checkpoint_bytes(found) == checkpoint_bytes(sim) != checkpoint_bytes(before)


@on_both_cores
def test_digits_are_learned_on_the_board_as_in_the_compiled_back_end(core, tmp_path):
    before, x, y = trained_on_digits()
    learned = board.learn(built(before, core, tmp_path), tmp_path, x, y)
    sim = Simulator.from_checkpoint(before, "compiled")
    wrong = 0
    for i in range(len(x)):
        wrong += sim.predict(x[i : i + 1]).argmax() != y[i]
        sim.train(x[i : i + 1], y[i : i + 1])
    assert_same_learning(learned, before, sim)
    assert (learned.samples, learned.wrong) == (len(x), wrong)
    assert 0 < wrong < 30


@pytest.mark.skipif(not MNIST.is_dir(), reason="SPIKEBP_DATA does not name a folder with mnist/")
@on_both_cores
def test_mnist_is_learned_on_the_board_as_in_the_compiled_back_end(core, tmp_path):
    data = load_dataset("mnist", raw=True)
    net = NETWORK.replace(
        layer_sizes=(784, 100, 50, 10), learning_rate=100 / 2**14, input_scale=1 / 255
    )
    sim = Simulator(net, "compiled")
    sim.train(data.x_train[:20_000], data.y_train[:20_000])
    before = sim.checkpoint()
    program = built(before, core, tmp_path)
    assert program.ram <= BYTES_OF_RAM
    assert board.unwanted(board.symbols_of(program.path)) == []

    x, y = data.x_train[20_000:21_000], data.y_train[20_000:21_000]
    learned = board.learn(program, tmp_path, x, y)
    sim.train(x, y)
    assert_same_learning(learned, before, sim)
    assert 0 < learned.stack_used < program.stack
    assert learned.wrong < 100


def test_a_board_goes_on_from_the_state_that_it_is_given(tmp_path):
    exported, x, y = trained_on_digits()
    sim = Simulator.from_checkpoint(exported, "compiled")
    sim.train(x[:100], y[:100])
    before = sim.checkpoint()
    program = built(exported, M3, tmp_path)
    learned = board.learn(program, tmp_path, x[100:], y[100:], to_state_bytes(before, 16))
    sim.train(x[100:], y[100:])
    assert_same_learning(learned, before, sim)


def test_a_board_refuses_a_damaged_state_and_leaves_none(tmp_path):
    exported, x, y = trained_on_digits()
    program = built(exported, M3, tmp_path)
    state = bytearray(to_state_bytes(exported, 16))
    state[1000] ^= 1
    with pytest.raises(RuntimeError, match="ended with code 3"):
        board.learn(program, tmp_path, x, y, bytes(state))
    assert not (tmp_path / "after").exists()


def test_samples_that_are_cut_off_are_noticed(tmp_path):
    exported, x, y = trained_on_digits()
    program = built(exported, M3, tmp_path)
    (tmp_path / "samples").write_bytes(board.samples_file(x, y)[:-1])
    with pytest.raises(RuntimeError, match="ended with code 2"):
        board.emulate(program, tmp_path, "samples", "after")
    with pytest.raises(RuntimeError, match="ended with code 2"):
        board.emulate(program, tmp_path, "no-such-file", "after")
    with pytest.raises(RuntimeError, match="ended with code 1"):
        board.emulate(program, tmp_path, "samples")
    with pytest.raises(ValueError, match="inputs and labels must be 0 to 255"):
        board.samples_file(x.astype(int) + 250, y)


@pytest.mark.skipif(find_compiler() is None, reason="there is no compiler of C for this machine")
def test_samples_that_would_leave_16_bits_are_undone_and_counted(tmp_path):
    exported, x, y = trained_on_digits()
    weights = [np.clip(w * 3, -1.99, 1.99) for w in exported.state.weights]
    before = Simulator(NETWORK, "compiled", weights).checkpoint()
    learned = board.learn(built(before, M3, tmp_path), tmp_path, x, y)

    library = HostLibrary(NetworkInC.of(NETWORK, 16))
    library.read_state(before.state)
    targets = np.where(np.arange(10) == y[:, np.newaxis], 5, 1).astype(np.int32) << 14
    fits = [
        library.show(SamplesInC(PIXELS, image[None, None], target[None, None], 5), False).n == 1
        for image, target in zip(x, targets, strict=True)
    ]
    assert learned.undone == fits.count(False)
    assert 0 < learned.undone < len(x)
    sim = Simulator.from_checkpoint(before, "compiled")
    sim.train(x[fits], y[fits])
    assert checkpoint_bytes(from_state_bytes(learned.state, before)) == checkpoint_bytes(sim)


@on_both_cores
def test_programs_have_no_floating_point_and_no_heap(core, tmp_path):
    program = built(trained_on_digits()[0], core, tmp_path)
    symbols = board.symbols_of(program.path)
    assert {"main", "net_learn_pixels", "memcpy"} <= symbols
    assert board.unwanted(symbols) == []


def test_the_memory_of_an_exported_network_is_known_before_it_is_compiled(tmp_path):
    exported, _, _ = trained_on_digits()
    program = to_c(exported, 16)
    program.save(tmp_path)
    nothing = control_program("int main(void) { return 0; }", tmp_path)
    assert 0 <= nothing.data + nothing.bss - sum(program.sizes.memory.values()) <= 128


def with_small_weights(net):
    """Return a checkpoint of a network whose weights fit 16 bits."""
    before = Simulator(net).checkpoint()
    most = np.ldexp(2.0**12, -net.fraction_bits)
    weights = [np.clip(w, -most, most) for w in before.state.weights]
    return Checkpoint(net, before.state.with_reals(weights=weights))


def assert_sizes_are_kept(exported, folder, x, y, **how):
    """Assert that code and stack on a board are at most what a program says, and near that."""
    exported.save(folder)
    more = ("-Wl,--defsym=ram_size=0x80000",)
    program = board.build(folder, M3, folder / "learn.elf", options=more)
    learned = board.learn(program, folder, x, y, **how)
    assert 0.7 * exported.sizes.code < program.network <= exported.sizes.code
    assert 0.4 * exported.sizes.stack < learned.stack_used <= exported.sizes.stack


#: Definitions whose programs have different parts, and the bits of their weights.
OTHER_PROGRAMS = [
    *(({"n_steps": 1}, bits) for bits in (16, 32, 64)),
    *(({}, bits) for bits in (16, 32, 64)),
    ({"update": "fractional", "n_steps": 8, "spikes_per_unit": 1}, 32),
    ({"update": "outer", "n_steps": 4}, 16),
    ({"timing": "pipelined"}, 64),
    ({"spikes": "binary", "n_steps": 8}, 16),
]


@pytest.mark.parametrize(("fields", "bits"), OTHER_PROGRAMS, ids=str)
def test_code_and_stack_are_those_that_the_header_says(fields, bits, tmp_path):
    data = load_dataset("digits", raw=True)
    net = SpikingMLP((64, 32, 10), input_scale=data.input_scale, **fields)
    exported = to_c(with_small_weights(net), bits)
    assert_sizes_are_kept(exported, tmp_path, data.x_train[:40], data.y_train[:40])


def test_those_of_convolutions_are(tmp_path):
    data = load_dataset("digits", raw=True)
    layers = [Conv2D(4, 3, stride=2), AveragePool2D(2), Dense(10)]
    net = SpikingNetwork((8, 8, 1), layers, input_scale=data.input_scale)
    exported = to_c(Simulator(net).checkpoint(), 64)
    assert_sizes_are_kept(exported, tmp_path, data.x_train[:40], data.y_train[:40])


def test_floating_point_would_be_noticed(tmp_path):
    main = """
        int main(void) {
            volatile float x = 3;
            volatile double y = x * x;
            return (int)y / (int)x;
        }
    """
    found = board.unwanted(board.symbols_of(control_program(main, tmp_path).path))
    assert {"__aeabi_fmul", "__aeabi_f2d", "__aeabi_d2iz"} <= set(found)
    names = {"__mulsf3", "__floatsidf", "__fixdfsi", "malloc", "_malloc_r", "free", "_sbrk"}
    allowed = {"main", "reset", "memcpy", "__aeabi_uldivmod", "__aeabi_idiv0", "__udivmoddi4"}
    assert set(board.unwanted(names | allowed)) == names
    assert not allowed & set(found)


def test_a_program_with_a_heap_does_not_link(tmp_path):
    main = """
        #include <stdlib.h>
        int main(void) { return malloc(1) == 0; }
    """
    with pytest.raises(RuntimeError, match="undefined reference to `_sbrk'"):
        control_program(main, tmp_path)


def test_a_network_that_does_not_fit_is_refused_by_the_linker(tmp_path):
    net = NETWORK.replace(layer_sizes=(784, 160, 50, 10))
    with pytest.raises(RuntimeError, match="`RAM' overflowed"):
        built(Simulator(net).checkpoint(), M3, tmp_path)
    more = ("-Wl,--defsym=ram_size=0x80000",)
    program = board.build(tmp_path, M3, tmp_path / "learn.elf", options=more)
    assert BYTES_OF_RAM < program.ram < 2 * BYTES_OF_RAM


def test_a_program_may_use_the_unit_for_floating_point(tmp_path):
    main = """
        int main(void) {
            volatile float x = 3;
            return x * x == 9.0f ? 0 : 1;
        }
    """
    program = control_program(main, tmp_path, M4._replace(floats="hard"))
    assert board.unwanted(board.symbols_of(program.path)) == []
    assert board.emulate(program, tmp_path) == ""


# What the board's program measures is held against programs of which it is known.


def control_program(main, folder, core=M3):
    """Return a program of a test, with a small network."""
    to_c(trained_on_digits()[0], 16).save(folder)
    source = folder / "control.c"
    source.write_text(main)
    return board.build(folder, core, folder / "control.elf", source)


def reported(program, folder):
    printed = board.emulate(program, folder)
    return {name: int(value) for name, value in re.findall(r"(.+): (\d+)\n", printed)}


LOOPS = """
    #include "report.h"
    #include "timer.h"

    /* Two instructions each time. */
    static uint32_t loop(uint32_t n)
    {
        uint32_t begin = timer_ticks();
        __asm__ volatile("1: subs %0, %0, #1\\n bne 1b" : "+r"(n) : : "cc");
        return timer_ticks() - begin;
    }

    static uint32_t straight(void)
    {
        uint32_t begin = timer_ticks();
        __asm__ volatile(".rept 200\\n nop\\n .endr");
        return timer_ticks() - begin;
    }

    static uint32_t skipped(void)
    {
        uint32_t begin = timer_ticks(), n = 0;
        __asm__ volatile("cmp %0, %0\\n .rept 100\\n it ne\\n addne %0, %0, #1\\n .endr"
                         : "+r"(n) : : "cc");
        return timer_ticks() - begin + n;
    }

    static uint32_t divided(uint32_t n)
    {
        uint32_t begin = timer_ticks();
        __asm__ volatile("1: udiv r3, %0, %0\\n subs %0, %0, #1\\n bne 1b"
                         : "+r"(n) : : "r3", "cc");
        return timer_ticks() - begin;
    }

    static uint32_t host(void)
    {
        uint32_t begin = timer_ticks();
        report("nothing", 0);
        return timer_ticks() - begin;
    }

    int main(void)
    {
        timer_start();
        report("2", loop(1));
        report("2000000", loop(1000000));
        report("60000000", loop(30000000));
        report("200", straight());
        report("201", skipped());
        report("300000", divided(100000));
        report("host", host());
        report("most", ~(uint64_t)0);
        return 0;
    }
"""


@on_both_cores
def test_ticks_count_instructions(core, tmp_path):
    counted = reported(control_program(LOOPS, tmp_path, core), tmp_path)
    assert counted.pop("nothing") == 0
    assert counted.pop("most") == 2**64 - 1
    # The calls of the host are a few tens of instructions, however long it takes.
    assert counted.pop("host") * board.INSTRUCTIONS_PER_TICK < 400
    assert len(counted) == 6
    for expected, ticks in counted.items():
        # To read the timer takes some instructions, and either end may be within a tick.
        assert abs(ticks * board.INSTRUCTIONS_PER_TICK - int(expected)) <= 60


def test_counts_are_the_same_in_each_run(tmp_path):
    exported, x, y = trained_on_digits()
    program = built(exported, M4, tmp_path)
    first, second = (board.learn(program, tmp_path, x, y) for _ in range(2))
    assert first == second
    assert first.to_learn > first.to_predict > 64


DEEP = """
    #include "report.h"
    #include "stack.h"

    static uint32_t __attribute__((noinline)) deep(uint32_t bytes)
    {
        volatile uint8_t used[bytes];
        uint32_t i;
        for (i = bytes; i > 0; i--)
            used[i - 1] = 1;
        return used[0];
    }

    int main(void)
    {
        report("shallow", stack_used());
        (void)deep(1000);
        report("deep", stack_used());
        (void)deep(100);
        report("after", stack_used());
        (void)deep(stack_reserved());
        report("too deep", stack_used() == stack_reserved());
        return 0;
    }
"""


def test_the_deepest_use_of_the_stack_is_known(tmp_path):
    program = control_program(DEEP, tmp_path)
    used = reported(program, tmp_path)
    assert used["shallow"] < 300
    assert 1000 <= used["deep"] < 1100
    assert used["after"] == used["deep"]
    assert used["too deep"] == 1
    assert program.stack == 2048


def test_a_fault_ends_the_program(tmp_path):
    main = """
        #include <stdint.h>
        int main(void) { return *(volatile int *)(uintptr_t)0x60000000u; }
    """
    program = control_program(main, tmp_path)
    with pytest.raises(RuntimeError, match="ended with code 70"):
        board.emulate(program, tmp_path)


def test_what_is_missing_is_said_with_what_brings_it(monkeypatch):
    monkeypatch.setattr(board.shutil, "which", lambda _: None)
    assert board.why_no_board() == (
        "arm-none-eabi-gcc and qemu-system-arm not found: on Debian and Ubuntu "
        "`apt install gcc-arm-none-eabi qemu-system-arm` helps"
    )
