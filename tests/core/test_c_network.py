"""The functions of a network in C: samples step by step, samples taken back, and the state."""

import zlib

import numpy as np
import pytest

from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    UnsupportedError,
    to_c,
)
from spikebp_plugins.embedded import from_state_bytes, to_state_bytes
from spikebp_plugins.embedded.toolchain import find_compiler
from tests.core.c_network import GIVEN_TARGET, NO_LABEL, CNetwork, assert_same

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no compiler of C")


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")


def checkpoint_of(net, scale=0.5):
    random = np.random.RandomState(5)
    weights = [random.standard_normal(shape) * scale for shape in net.weight_shapes]
    return Simulator(net, "reference", weights).checkpoint()


def mlp(**changes):
    return SpikingMLP.paper((6, 5, 4, 3), **({"n_steps": 4, "learning_rate": 0.1} | changes))


def images(**changes):
    layers = [Conv2D(3, 2, padding=1), AveragePool2D(2), Conv2D(2, 2), Dense(3)]
    return SpikingNetwork.paper(
        (5, 4, 2), layers, **({"n_steps": 4, "learning_rate": 0.02, "fraction_bits": 13} | changes)
    )


KINDS = {
    "dense": mlp(),
    "outer": mlp(update="outer"),
    "normalized": mlp(update="normalized", learning_rate=1.0, fraction_bits=14),
    "binary": mlp(spikes="binary"),
    "zeroed": mlp(backward_init="zero"),
    "random feedback": mlp(feedback="random"),
    "pipelined": mlp(timing="pipelined"),
    "images": images(),
    "pipelined images, random feedback": images(timing="pipelined", feedback="random"),
    "images, outer": images(update="outer"),
    "spikes": mlp(input_coding="spikes"),
}


def inputs_of(net, n, seed=3):
    random = np.random.RandomState(seed)
    if net.input_coding == "spikes":
        return random.randint(-2, 3, (n, net.n_inputs))
    return random.uniform(-1, 2, (n, net.n_inputs))


def show(c, x, label, as_list=False):
    is_spikes = c.network.net.input_coding == "spikes"
    row = c.counts(x) if is_spikes else c.units(x)
    if as_list:
        entries = c.listed(row)
        return c.call("show_list", entries, len(entries), label)
    return c.call("show_spikes" if is_spikes else "show_values", row, label)


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        *((kind, 16) for kind in KINDS if "pipelined" not in kind),
        *(("dense", 32), ("outer", 64), ("images", 64)),
    ],
)
def test_steps_are_those_of_a_stream(kind, bits):
    """Steps with labels, with targets and without either; samples of any length."""
    net = KINDS[kind]
    start = checkpoint_of(net)
    c, sim = CNetwork(start, bits), start.simulate("reference")
    stream = sim.stream()
    random = np.random.RandomState(1)
    for i, x in enumerate(inputs_of(net, 40)):
        x[i % net.n_inputs] = 0
        as_list = i // 2 % 2 == 1
        what, row = random.randint(3), np.eye(3)[random.randint(3)] * 1.5
        if what == 0:
            target, label = None, NO_LABEL
        elif what == 1:
            label = int(row.argmax())
            target = np.where(np.arange(3) == label, 1.0, 0.0)
        else:
            target, label = row, GIVEN_TARGET
            c.set_target(row)
        if show(c, x, label, as_list) == "TOO_LONG":
            assert not net.learning_rule.learns_once
            assert stream.steps_shown >= net.n_steps
            assert c.call("close") == "OK"
            stream.close_sample()
            assert show(c, x, label, as_list) == "OK"
        stream.show(x, target=target)
        assert np.array_equal(c.scores, stream.scores)
        if random.uniform() < 0.15:
            assert c.call("close") == "OK"
            stream.close_sample()
        elif random.uniform() < 0.1:
            assert c.call("drop") == "OK"
            stream.drop_sample()
    if stream.is_open:
        assert c.call("close") == "OK"
        stream.close_sample()
    learned = sim.checkpoint()
    assert learned.state.samples_seen > 3
    assert_same(c.learned, learned)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_sample_leaves_nothing(kind):
    net = KINDS[kind]
    c = CNetwork(checkpoint_of(net), 16)
    x = inputs_of(net, net.n_steps)
    for label in (0, 1, 2):  # what the first samples teach stays
        for row in x:
            assert show(c, row, label) == "OK"
        assert c.call("close") == "OK"
    before = c.state_bytes
    for row in x:
        assert show(c, row, 2) == "OK"
    assert c.call("write_state", 0, np.zeros(8, np.uint8), 8) == "SAMPLE_IS_OPEN"
    assert c.call("drop") == "OK"
    assert c.state_bytes == before
    assert c.call("drop") == "NO_SAMPLE"
    for row in x:
        assert show(c, row, 2) == "OK"
    assert c.call("close") == "OK"
    if not net.learning_rule.learns_once or net.update == "outer":
        assert c.state_bytes != before


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_without_a_target_undoes_nothing(kind):
    """Neither one that is dropped nor one that leaves the range takes back an earlier one."""
    net = KINDS[kind]
    c = CNetwork(checkpoint_of(net), 16)
    x = inputs_of(net, net.n_steps)
    for row in x:
        assert show(c, row, 1) == "OK"
    assert c.call("close") == "OK"
    before = c.state_bytes
    assert show(c, x[0], NO_LABEL) == "OK"
    assert c.call("drop") == "OK"
    assert c.state_bytes == before
    if net.input_coding == "values":
        too_large = c.units(np.zeros(net.n_inputs))
        too_large[0] = 2**30
        assert c.call("predict_values", too_large) == "OUTSIDE"
        assert c.state_bytes == before


@needs_compiler
@pytest.mark.parametrize("kind", ["dense", "outer", "pipelined", "images", "images, outer"])
def test_a_sample_that_leaves_the_range_is_undone(kind):
    """Weights near the largest that 16 bits hold are driven beyond it, in the midst of a row."""
    net = KINDS[kind].replace(learning_rate=8.0, fraction_bits=8)
    start = checkpoint_of(net, scale=40.0)
    weights = [np.clip(w, -127.875, 127.875) for w in start.state.weights]
    start = Checkpoint(net, start.state.with_reals(weights=weights))
    c = CNetwork(start, 16)
    before, undone = c.state_bytes, 0
    for i, x in enumerate(inputs_of(net, 30)):
        for _ in range(net.n_steps):
            result = show(c, x, i % 3)
            if result != "OK":
                break
        if result == "OK":
            result = c.call("close")
        assert result in ("OK", "OUTSIDE")
        if result == "OUTSIDE":
            undone += 1
            assert c.state_bytes == before
            assert not c.scores.any()
        else:
            with start.simulate("reference") as sim:
                sim.train([x], [i % 3])
                start = sim.checkpoint()
            assert_same(c.learned, start)
        before = c.state_bytes
    assert undone > 0


@needs_compiler
def test_what_is_not_allowed_changes_nothing():
    c = CNetwork(checkpoint_of(mlp()), 16)
    x = c.units(inputs_of(mlp(), 1)[0])
    before = c.state_bytes
    for label in (3, -3, 2**31 - 1, -(2**31)):
        assert c.call("show_values", x, label) == "WRONG_LABEL"
    assert c.call("close") == "NO_SAMPLE"
    assert c.call("show_values", x, 0) == "OK"
    for call in ("learn_values", "predict_values"):
        assert c.call(call, x, 0) == "SAMPLE_IS_OPEN"
    assert c.call("read_state", 0, before, len(before)) == "SAMPLE_IS_OPEN"
    for _ in range(3):
        assert c.call("show_values", x, 0) == "OK"
    assert c.call("drop") == "OK"
    assert c.state_bytes == before
    # A number beyond its type ends the sample.
    assert c.call("show_values", x, 0) == "OK"
    assert c.call("show_values", np.full_like(x, -(2**31)), 0) == "OUTSIDE"
    assert c.call("close") == "NO_SAMPLE"
    assert c.state_bytes == before


@needs_compiler
@pytest.mark.parametrize("kind", ["dense", "spikes"])
def test_lists_out_of_order_or_of_other_units_are_refused(kind):
    c = CNetwork(checkpoint_of(KINDS[kind]), 16)
    right = c.listed(np.array([0, 1, 0, 2, 0, 1]))
    before = c.state_bytes
    for units in ([1, 1, 5], [3, 1, 5], [1, 3, 6], [-1, 3, 5], [1, 3, 2**31 - 1]):
        wrong = right.copy()
        wrong["unit"] = units
        assert c.call("show_list", wrong, 3, 0) == "WRONG_INPUT"
        if kind == "dense":
            assert c.call("learn_list", wrong, 3, 0) == "WRONG_INPUT"
            assert c.call("predict_list", wrong, 3) == "WRONG_INPUT"
    assert c.call("show_list", right, -1, 0) == "WRONG_INPUT"
    assert c.call("close") == "NO_SAMPLE"
    assert c.state_bytes == before
    right["number"][1] = np.iinfo(right["number"].dtype).max
    assert c.call("show_list", right, 3, 0) == "OUTSIDE"
    assert c.call("show_list", right, 0, 0) == "OK"


@needs_compiler
def test_pipelined_steps_all_have_a_target_or_none_has():
    net = mlp(timing="pipelined")
    c = CNetwork(checkpoint_of(net), 32)
    x = c.units(inputs_of(net, 1)[0])
    assert c.call("show_values", x, 0) == "OK"
    assert c.call("show_values", x, NO_LABEL) == "MIXED"
    assert c.call("drop") == "OK"
    assert c.call("show_values", x, NO_LABEL) == "OK"
    assert c.call("show_values", x, 0) == "MIXED"
    assert c.call("close") == "OK"


@needs_compiler
def test_binary_spikes_are_checked():
    net = mlp(input_coding="spikes", spikes="binary")
    c = CNetwork(checkpoint_of(net), 16)
    assert c.network.types.count_bits == 8
    assert c.call("show_spikes", c.counts([0, 1, -1, 0, 2, 0]), 0) == "WRONG_INPUT"
    x = c.counts(np.tile([0, 1, -1, 0, 1, 0], net.n_steps))
    assert c.call("learn_spikes", x, 0) == "OK"
    x[-1] = -2
    assert c.call("learn_spikes", x, 0) == "WRONG_INPUT"
    assert c.call("show_list", c.listed(x[-6:]), 4, 0) == "WRONG_INPUT"
    assert c.learned.state.samples_seen == 1


@needs_compiler
def test_whole_samples_and_classes_equal_the_reference():
    net = mlp(input_scale=1 / 255, label_targets=(0.5, 3.0))
    start = checkpoint_of(net)
    c = CNetwork(start, 16)
    x = np.random.RandomState(0).randint(0, 256, (20, 6)).astype(np.uint8)
    with start.simulate("reference") as sim:
        for i, row in enumerate(x):
            expected = sim.predict(row[np.newaxis])[0]
            assert c.call("predict_pixels", row.copy()) == "OK"
            assert np.array_equal(c.scores, expected)
            assert c.library.net_class() == expected.argmax()
            sim.train(row[np.newaxis], [i % 3])
            assert c.call("learn_pixels", row.copy(), i % 3) == "OK"
        assert_same(c.learned, sim.checkpoint())
    assert c.host.samples_seen == 20


@needs_compiler
@pytest.mark.parametrize("part", [1, 7, 1000])
def test_a_state_goes_in_parts(part):
    start = checkpoint_of(mlp())
    with start.simulate("reference") as sim:
        sim.train(inputs_of(mlp(), 5), [0, 1, 2, 0, 1])
        later = sim.checkpoint()
    c = CNetwork(start, 16)
    data = to_state_bytes(later, 16)
    for offset in range(0, len(data), part):
        piece = data[offset : offset + part]
        assert c.call("read_state", offset, piece, len(piece)) == "OK"
        if 12 < offset + part < len(data):
            assert c.call("show_values", c.units(np.ones(6)), 0) == "WRONG_STATE"
    assert c.state_bytes == data
    written = b""
    while len(written) < len(data):
        n = min(part, len(data) - len(written))
        piece = np.zeros(n, np.uint8)
        assert c.call("write_state", len(written), piece, n) == "OK"
        written += piece.tobytes()
    assert written == data
    assert_same(from_state_bytes(written, start), later)


@needs_compiler
def test_bytes_of_another_network_change_nothing_and_damaged_ones_are_refused():
    c = CNetwork(checkpoint_of(mlp()), 16)
    before = c.state_bytes
    other = to_state_bytes(checkpoint_of(mlp(n_steps=5)), 16)
    assert c.call("read_state", 0, other, len(other)) == "WRONG_STATE"
    wide = to_state_bytes(checkpoint_of(mlp()), 32)
    assert c.call("read_state", 0, wide, 12) == "WRONG_STATE"
    assert c.call("read_state", 5, before[5:], len(before) - 5) == "WRONG_STATE"
    assert c.call("read_state", 0, before, len(before) + 1) == "WRONG_STATE"
    assert c.state_bytes == before
    damaged = bytearray(before)
    damaged[40] ^= 1
    assert c.call("read_state", 0, bytes(damaged), len(damaged)) == "WRONG_STATE"
    x = c.units(np.ones(6))
    assert c.call("show_values", x, 0) == "WRONG_STATE"
    assert c.call("write_state", 0, np.zeros(8, np.uint8), 8) == "WRONG_STATE"
    assert c.call("read_state", 0, before, len(before)) == "OK"
    assert c.state_bytes == before
    # A state may come at any rate: the key is the same.
    at_half = to_state_bytes(checkpoint_of(mlp()).at_rate(0.05), 16)
    assert at_half == before


@needs_compiler
def test_numbers_out_of_range_in_a_state_are_refused():
    c = CNetwork(checkpoint_of(mlp()), 16)
    good = c.state_bytes
    data = bytearray(good[:-4])
    data[20:22] = (-(2**15)).to_bytes(2, "little", signed=True)
    data = bytes(data) + zlib.crc32(bytes(data)).to_bytes(4, "little")
    assert c.call("read_state", 0, data, len(data)) == "WRONG_STATE"
    assert c.call("read_state", 0, good, len(good)) == "OK"


def test_bytes_that_are_none_of_a_state_are_refused():
    start = checkpoint_of(mlp())
    good = to_state_bytes(start, 16)
    later = bytearray(good)
    later[4] = 2
    cases = {
        b"": "0 other bytes",
        b"x" * 100: "100 other bytes",
        bytes(later): "version 2",
        good[:-1]: f"{len(good) - 1} bytes",
        good[:50] + b"\xff" + good[51:]: "another checksum",
        to_state_bytes(checkpoint_of(mlp(seed=1)), 16): "that of another",
    }
    for data, reason in cases.items():
        with pytest.raises(ValueError, match=f"data must be .*; got .*{reason}"):
            from_state_bytes(data, start)


def test_bytes_are_those_of_the_checkpoint(tmp_path):
    for bits in (16, 32, 64):
        start = checkpoint_of(images(feedback="random"))
        from_state_bytes(to_state_bytes(start, bits), start).save(tmp_path / "a.npz")
        start.save(tmp_path / "b.npz")
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        assert Checkpoint.load(tmp_path / "a.npz").net == start.net


REFUSED = {
    "arithmetic='fixed', not arithmetic='loihi2'": {"arithmetic": "loihi2"},
    "presynaptic='counts', not presynaptic='drive'": {"presynaptic": "drive"},
    "one of 'carry', 'zero', not backward_init='uniform'": {"backward_init": "uniform"},
    "at most 24 fraction bits, not 25; weight_bits=32 is enough": {"fraction_bits": 25},
    "learning_rate leaves the 32 bits": {"learning_rate": 1e5, "fraction_bits": 20},
    "label_targets leaves the 32 bits": {"label_targets": (0, 1e4), "fraction_bits": 20},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_c_does_not_know_is_refused_with_the_reason(reason):
    with pytest.raises(UnsupportedError, match=reason):
        to_c(checkpoint_of(mlp(**REFUSED[reason])), 16)


def test_sparse_connections_are_refused():
    net = SpikingNetwork.paper((6,), [Sparse(4, density=0.5), Dense(2)])
    with pytest.raises(UnsupportedError, match="not Sparse"):
        to_c(checkpoint_of(net))


def with_large(checkpoint, **numbers):
    """Return a checkpoint with a number in place of the first one of some parts."""
    state, parts = checkpoint.state, {}
    for name, number in numbers.items():
        first, *others = getattr(state, name)
        first = first.copy()
        first.flat[0] = number
        parts[name] = [first, *others]
    return Checkpoint(checkpoint.net, state.with_reals(**parts))


def test_numbers_that_do_not_fit_are_refused():
    start = checkpoint_of(mlp(fraction_bits=14), scale=3.0)
    said = "at most 32767 units of the last place with weight_bits=16; one is .*weight_bits=32 is"
    with pytest.raises(OverflowError, match=f"each weight must be {said} enough"):
        to_c(start, 16)
    assert "int32_t net_weight_t" in to_c(start).header
    start = with_large(start, weights=2.0**18, backward_potentials=2.0**17)
    with pytest.raises(OverflowError, match=r"each weight .* weight_bits=64 is enough"):
        to_c(start, 32)
    assert "int64_t net_weight_t" in to_c(start).header
    start = with_large(checkpoint_of(start.net, scale=0.0), backward_potentials=2.0**17)
    with pytest.raises(OverflowError, match=r"each backward potential .* weight_bits=32 is enough"):
        to_c(start, 16)


@pytest.mark.parametrize(
    ("largest", "fraction_bits", "bits"),
    [(1.9375, 10, 16), (2, 10, 32), (1, 11, 32), (1, 26, 32), (16, 22, 32), (33, 22, 64)],
)
def test_weights_have_room_to_become_sixteen_times_as_large(largest, fraction_bits, bits):
    start = checkpoint_of(mlp(fraction_bits=fraction_bits, learning_rate=1.0), scale=0.0)
    start = with_large(start, weights=-largest)
    assert f"int{bits}_t net_weight_t" in to_c(start).header
    assert to_state_bytes(start) == to_state_bytes(start, bits)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("weight_bits", 8), ("weight_bits", "16"), ("stem", "a b"), ("stem", "3d"), ("stem", 1)],
)
def test_wrong_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be"):
        to_c(checkpoint_of(mlp()), **{argument: value})
    with pytest.raises(ValueError, match="learned must be a Checkpoint"):
        to_c(mlp())


def test_names_begin_with_the_stem(tmp_path):
    program = to_c(checkpoint_of(images()), stem="gesture")
    names = [path.name for path in program.save(tmp_path)]
    assert names == ["gesture.c", "gesture.h", "gesture.md"]
    assert '#include "gesture.h"' in program.source
    for text in (program.source, program.header, program.guide):
        assert "net_" not in text
        assert "NET_" not in text
        assert "@" not in text
    for word in ("float", "double", "malloc", "stdlib", "stdio"):
        assert word not in program.source.replace("floating point", "")


def test_the_network_of_the_guide_takes_the_memory_that_it_says():
    net = SpikingMLP.paper(
        (784, 100, 50, 10),
        n_steps=5,
        learning_rate=100 / 2**14,
        fraction_bits=14,
        weight_init="he",
        label_targets=(1, 5),
        input_scale=1 / 255,
    )
    program = to_c(Simulator(net, "reference").checkpoint(), 16)
    use = program.sizes.by_use()
    assert use["weights"] == 2 * 83_900
    assert use["together"] == sum(program.sizes.memory.values())
    assert use["together"] < 2**18 - 2**14  # room for the stack
    assert f"{use['together']:,}" in program.guide
