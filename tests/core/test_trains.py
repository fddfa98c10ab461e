"""Constant input is sorted by spike trains that are those of the reference."""

import numpy as np
import pytest
from numba import njit

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.compiled.kernels.trains import (
    MOST_LABEL,
    follow_trains,
    groups_of,
    make_groups,
    make_sorting,
    make_trains,
    sort_block,
)
from spikebp_plugins.compiled.kernels.vectors import LANES
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.samples import check_batch


@njit(_nrt=False)
def follow(trains, block, i, n_steps):
    follow_trains(trains, groups_of(block, i), n_steps)


def sort(net, x, dtype=np.int32):
    """Return the layout's trains and the sorted groups of all samples, and how many were sorted."""
    layout, batch = Layout(net, dtype, LANES), check_batch(net, x)
    trains, groups = make_trains(net.n_inputs, net.n_steps), make_groups(*batch.x.shape)
    levels, values = layout.constant_inputs(batch)
    n = sort_block(
        layout.network,
        trains,
        make_sorting(layout.zeros, net.n_inputs),
        levels,
        values,
        net.n_steps,
        groups,
    )
    return trains, groups, n


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
    trains, groups, n = sort(net, x)
    assert n == len(x)
    for i, k in enumerate(input_spikes(net, x)):
        first, last = groups.first_group[i : i + 2]
        labels, starts = groups.label[first : last - 1], groups.start[first:last]
        member = groups.member[slice(*groups.first_unit[i : i + 2])]
        counts = np.cumsum(k, axis=0)
        assert np.array_equal(np.sort(member), np.flatnonzero(k.any(0)))
        assert np.array_equal(labels, np.unique(counts.sum(0)[member]) + MOST_LABEL)
        assert starts[0] == 0
        assert starts[-1] == len(member)
        for label, begin, end in zip(labels, starts[:-1], starts[1:], strict=True):
            units = member[begin:end]
            expected = np.tile(trains.count[label, 1 : n_steps + 1], (len(units), 1))
            assert np.array_equal(counts[:, units].T, expected)
        follow(trains, groups, i, n_steps)
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
        assert sort(net, x, dtype)[2] == 5
    x[0, 0] = -1e6
    assert sort(net, x)[2] == 0


def test_levels_that_are_out_of_range_are_sorted_by_nobody():
    net = SpikingMLP((20, 3), input_scale=1e4)
    assert sort(net, np.ones((2, 20), np.uint8))[2] == 0
