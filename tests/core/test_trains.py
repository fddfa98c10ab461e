"""Constant input is sorted by spike trains that are those of the reference."""

import numpy as np
import pytest
from numba import njit

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.compiled.backend import Memory, ways
from spikebp_plugins.compiled.block import make_block
from spikebp_plugins.compiled.kernels.trains import (
    MOST_LABEL,
    follow_trains,
    groups_in_use,
    sort_sample,
)
from spikebp_plugins.compiled.kernels.vectors import LANES
from spikebp_plugins.compiled.layout import Layout, Now
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import initial_state


@njit(_nrt=False)
def sort_and_follow(run, block, i):
    if not sort_sample(run, block, i):
        return False
    follow_trains(run.trains, groups_in_use(run.groups), block.n_steps)
    return True


def sorting(net, x, dtype=np.int32):
    """Return a run for constant input, and the block of the samples."""
    layout, batch = Layout(net, dtype, LANES), check_batch(net, x)
    learning = layout.learning(initial_state(net))
    now = Now(layout, learning, layout.boundary(), layout.totals(), Operations())
    run = Memory().run(*ways("constant", layout), now, batch, layout.nowhere)
    return run, make_block(layout, batch, 0)


def n_sorted(net, x, dtype=np.int32):
    """Return the number of samples before the first that cannot be sorted."""
    run, block = sorting(net, x, dtype)
    could = [sort_and_follow(run, block, i) for i in range(len(x))]
    return could.index(False) if False in could else len(x)


def input_spikes(net, x):
    """The spikes of layer 0 by the reference, of shape (n_samples, T, n_inputs)."""
    with Simulator(net, "reference") as sim:
        return sim.predict(x, record=True).spikes[0]


def samples(kind, n_inputs):
    random = np.random.default_rng(1)
    x = random.uniform(-1.5, 2.5, (8, n_inputs)) * (random.random((8, n_inputs)) < 0.6)
    x[0] = 0
    x[1] = 0.75
    return random.integers(0, 256, x.shape, np.uint8) if kind == "levels" else x


@pytest.mark.parametrize("kind", ["reals", "levels"])
@pytest.mark.parametrize("n_steps", [1, 10, 16, 17, 40])
@pytest.mark.parametrize("spikes", ["graded", "binary"])
def test_groups_and_jumps_give_the_spikes_of_the_reference(kind, n_steps, spikes):
    net = SpikingMLP(
        (77, 3), n_steps=n_steps, spikes=spikes, input_scale=1 / 255 if kind == "levels" else 1.0
    )
    x = samples(kind, 77)
    run, block = sorting(net, x)
    trains, groups = run.trains, run.groups
    for i, k in enumerate(input_spikes(net, x)):
        assert sort_and_follow(run, block, i)
        n_groups, n_units = groups.size
        labels, starts = groups.label[:n_groups], groups.start[: n_groups + 1]
        member = groups.member[:n_units]
        counts = np.cumsum(k, axis=0)
        assert np.array_equal(np.sort(member), np.flatnonzero(k.any(0)))
        assert np.array_equal(labels, np.unique(counts.sum(0)[member]) + MOST_LABEL)
        assert starts[0] == 0
        assert starts[-1] == len(member)
        for label, begin, end in zip(labels, starts[:-1], starts[1:], strict=True):
            units = member[begin:end]
            expected = np.tile(trains.count[label, 1 : n_steps + 1], (len(units), 1))
            assert np.array_equal(counts[:, units].T, expected)
        assert np.array_equal(trains.sent, np.abs(k).sum(1))
        for t in range(n_steps):
            # C_t of each unit, from the jumps of its group and those before.
            rise = np.zeros(len(labels) + 1, np.int64)
            m = trains.n_jumps[t]
            rise[trains.jump_group[t, :m]] = trains.jump[t, :m]
            sizes = np.diff(starts)
            assert np.array_equal(np.repeat(np.cumsum(rise)[:-1], sizes), counts[t, member])


def test_sorting_ends_before_a_sample_that_is_out_of_range():
    net = SpikingMLP((20, 3))
    x = samples("reals", 20)
    x[5, 7] = 1e6
    for dtype in (np.int32, np.int64):
        assert n_sorted(net, x, dtype) == 5
    x[0, 0] = -1e6
    assert n_sorted(net, x) == 0


def test_levels_that_are_out_of_range_are_sorted_by_nobody():
    net = SpikingMLP((20, 3), input_scale=1e4)
    assert n_sorted(net, np.ones((2, 20), np.uint8)) == 0
