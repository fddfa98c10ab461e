"""What predictions cost in the definitions of NeuroBench, counted one by one."""

import numpy as np
import pytest

from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingNetwork,
    UnsupportedError,
)
from spikebp_plugins.embedded.number_types import number_types
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation import neurobench
from spikebp_plugins.simulation.neurobench import neurobench_metrics
from tests.core.literal_synapses import synapses_of
from tests.core.small_nets import lively_weights, samples, small_net

IMAGES = SpikingNetwork(
    (7, 6, 2),
    [Conv2D(3, 3, stride=2, padding=1), AveragePool2D(2), Sparse(6, density=0.7), Dense(4)],
    n_steps=3,
    spikes_per_unit=1,
    fraction_bits=12,
)
NETS = {
    "graded": small_net(),
    "binary": small_net(spikes="binary"),
    "pipelined": small_net(timing="pipelined"),
    "counts as input": small_net(input_coding="spikes"),
    "numbers of a chip": small_net(arithmetic="loihi2", weight_exponent=-6),
    "images": IMAGES,
}


def checkpoint_of(net):
    """Return a network some of whose weights are zero, and whose layers all spike."""
    weights = lively_weights(net, seed=5)
    for l, W in enumerate(weights):
        W.reshape(-1)[:: l + 5] = 0
    return Checkpoint(net, initial_state(net, weights))


def counted(checkpoint, x, batch_size, n_steps=None, margin=None):
    """Return MACs, ACs and dense operations of all samples, and their silent units and units."""
    net = checkpoint.net
    with checkpoint.simulate("reference") as sim:
        spikes = sim.predict(x, n_steps=n_steps, record=True).spikes
        n_shown = [spikes[0].shape[1]] * len(x)
        if margin is not None:
            n_shown = sim.predict(x, n_steps=n_steps, margin=margin).n_steps.tolist()
    macs = acs = dense = silent = units = 0
    for first in range(0, len(x), batch_size):
        for t in range(spikes[0].shape[1]):
            batch = [n for n in range(first, min(first + batch_size, len(x))) if t < n_shown[n]]
            for l, (synapses, W) in enumerate(
                zip(synapses_of(net), checkpoint.state.weights, strict=True)
            ):
                rows = [spikes[l][n, t].tolist() for n in batch]
                above = [k for n in batch for k in spikes[l + 1][n, t].tolist()]
                silent += above.count(0)
                units += len(above)
                if not W.size:
                    continue
                flat = W.reshape(-1).tolist()
                met = sum(flat[w] != 0 and row[i] != 0 for row in rows for i, _, w, _ in synapses)
                if all(k in (-1, 0, 1) for row in rows for k in row):
                    acs += met
                else:
                    macs += met
                shares = W.ndim == 4
                pairs = net.layer_sizes[l] * net.layer_sizes[l + 1]
                dense += len(batch) * (len(synapses) if shares else pairs)
    return macs, acs, dense, silent, units


#: Spikes come for as many steps as they are shown, and pipelined samples are shown as a whole.
CASES = [
    (kind, options)
    for kind in NETS
    for options in ({}, {"n_steps": 5}, {"margin": 1.0})
    if (kind, *options) not in {("counts as input", "n_steps"), ("pipelined", "margin")}
]


@pytest.mark.parametrize("batch_size", [1, 3, 7])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_operations_are_those_counted_one_by_one(kind, batch_size, options, monkeypatch):
    net = NETS[kind]
    checkpoint, (x, _) = checkpoint_of(net), samples(net, 7)
    macs, acs, dense, silent, units = counted(checkpoint, x, batch_size, **options)
    found = neurobench_metrics(checkpoint, x, batch_size=batch_size, **options)
    assert (found.effective_macs, found.effective_acs) == (macs / 7, acs / 7)
    assert (found.dense, found.activation_sparsity) == (dense / 7, silent / units)
    full = neurobench_metrics(checkpoint, x, **options | {"margin": None})
    assert (found.dense < full.dense) == ("margin" in options)
    assert acs > 0 or batch_size > 1
    assert (macs == 0) == (kind == "binary")
    # Blocks of one sample, whatever belongs to a batch.
    monkeypatch.setattr(neurobench, "COUNTS_OF_BLOCK", 1)
    assert neurobench_metrics(checkpoint, x, batch_size=batch_size, **options) == found
    if batch_size == 7:
        assert neurobench_metrics(checkpoint, x, **options) == found


def test_the_metrics_are_those_counted_by_hand():
    net = small_net((2, 2, 1), n_steps=2, fraction_bits=6)
    with Simulator(net, weights=[[[1.0, 0.0], [0.5, -1.0]], [[1.0], [0.25]]]) as sim:
        checkpoint = sim.checkpoint()
    # The first sample sends (1, 0), (1, 0) and 1 in both steps, the second (0, 2), (1, 0) and 1.
    x = [[1.0, 0.0], [0.0, 2.0]]
    found = neurobench_metrics(checkpoint, x)
    assert found == (6 * 1 + (5 + 1) * 4, 1 / 6, 4 / 12, 3.0, 2.0, 12.0)
    # Alone, the first sample meets no number but 1.
    assert neurobench_metrics(checkpoint, x, batch_size=1) == (*found[:3], 2.0, 3.0, 12.0)


def test_pairs_without_synapse_are_weights_of_zero_and_pools_have_none():
    checkpoint = checkpoint_of(IMAGES)
    found = neurobench_metrics(checkpoint, samples(IMAGES, 1)[0])
    kernel, sparse, dense = (W for W in checkpoint.state.weights if W.size)
    n_nonzero = sum(map(np.count_nonzero, (kernel, sparse, dense)))
    n_weights = 3 * 3 * 2 * 3 + 6 * 6 + 6 * 4
    assert sparse.size < 6 * 6
    assert found.connection_sparsity == (n_weights - n_nonzero) / n_weights
    n_states = 7 * 6 * 2 + 4 * 3 * 3 + 2 * 1 * 3 + 6 + 4 + 4
    assert found.footprint == 2 * n_weights + 4 * n_states


@pytest.mark.parametrize(
    ("units", "fields", "of_weight", "of_state"),
    [
        ((-(2**7), 2**7 - 1), {}, 1, 4),
        ((0, 2**7), {}, 2, 4),
        ((-(2**15), 2**15 - 1), {}, 2, 4),
        ((-(2**15) - 1, 0), {}, 4, 8),
        ((2**31 - 1, 0), {}, 4, 8),
        ((2**31, 0), {}, 8, 8),
        ((1, 0), {"fraction_bits": 24}, 1, 4),
        ((1, 0), {"fraction_bits": 25}, 1, 8),
    ],
)
def test_numbers_have_the_smallest_type_that_holds_them(units, fields, of_weight, of_state):
    net = small_net((2, 1), **{"fraction_bits": 20} | fields)
    weights = np.ldexp(np.reshape(units, (2, 1)).astype(float), -net.fraction_bits)
    found = neurobench_metrics(Checkpoint(net, initial_state(net, [weights])), [[1.0, 1.0]])
    assert found.footprint == 2 * of_weight + (3 + 1) * of_state


def test_potentials_are_those_of_the_program_in_c():
    of_16_bits = number_types(small_net(), neurobench.MOST_WEIGHT_BITS)
    assert of_16_bits.largest_fraction_bits == neurobench.MOST_FRACTION_BITS
    assert of_16_bits.state_bits == 32
    assert [number_types(small_net(), bits).state_bits for bits in (32, 64)] == [64, 64]


def test_weights_of_a_chip_have_a_byte_each():
    checkpoint = checkpoint_of(NETS["numbers of a chip"])
    found = neurobench_metrics(checkpoint, np.ones((1, 3)))
    assert found.footprint == 15 + 20 + 8 + (14 + 2) * 4


def refusal(error, expected, net=None, x=((1.0, 1.0, 1.0),), **options):
    checkpoint = checkpoint_of(net or small_net())
    with pytest.raises(error, match=expected):
        neurobench_metrics(checkpoint, x, **options)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="checkpoint must be a Checkpoint; got 3"):
        neurobench_metrics(3, [[1.0]])
    pools = SpikingNetwork((2, 2, 1), [AveragePool2D(2)])
    refusal(ValueError, "a network with weights; got pools alone", pools, np.ones((1, 4)))
    refusal(ValueError, r"x must be at least one sample; got shape \(0, 3\)", x=np.ones((0, 3)))
    refusal(ValueError, "batch_size must be an integer of at least 1; got 0", batch_size=0)
    refusal(ValueError, "margin must be", margin=-1)
    refusal(UnsupportedError, "pipelined", small_net(timing="pipelined"), margin=1)
