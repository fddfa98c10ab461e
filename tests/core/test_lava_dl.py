"""Files of netx: ours give back the network, those of lava-dl one of its weights, or a reason."""

import json
import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from spikebp_plugins import Conv2D, SpikingMLP, SpikingNetwork
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import initial_state
from tests.core.small_nets import assert_all_equal, checkpoint_bytes, small_net, trained
from tests.documentation import ROOT, sections

pytest.importorskip("h5py", reason="h5py is not installed")

import h5py

from spikebp_plugins.lava_dl import GROUP, ApproximationWarning, load_netx, save_netx

RANDOM = small_net(feedback="random")
APPROXIMATE = pytest.mark.filterwarnings(
    "ignore::spikebp_plugins.common.approximation.ApproximationWarning"
)


def holding(*weights, **changes):
    """Return a checkpoint of some weights, before it has learned."""
    sizes = (len(weights[0]), *(len(matrix[0]) for matrix in weights))
    net = SpikingMLP.paper(sizes, **changes)
    return Checkpoint(net, initial_state(net, weights))


@pytest.fixture
def file(tmp_path):
    """The file of a trained network."""
    path = tmp_path / "net.net"
    with pytest.warns(ApproximationWarning):
        save_netx(path, trained(RANDOM))
    return path


LOSSES = (
    "netx will not see what this network learns by, or that units start half a spike below their "
    "threshold and subtract it"
)
SEVERAL_SPIKES = ", or that they may fire several times in a step"
#: W_1 needs a threshold of 8, W_2 one of 2; together with 1, 1/512 does not fit into 8 bits.
EXACT = (np.array([[0.125, -2.0], [1.0, 0.5]]), np.array([[0.5], [-1.5]]))
INEXACT = (EXACT[0], np.array([[1.0], [-1.0 - 1 / 512]]))


@pytest.mark.parametrize(
    ("weights", "changes", "message"),
    [
        (EXACT, {}, LOSSES + SEVERAL_SPIKES),
        (EXACT, {"spikes": "binary"}, LOSSES),
        (
            INEXACT,
            {"spikes": "binary"},
            f"{LOSSES}; weights of layer 2 are rounded to 8 bits, by up to 0.00195",
        ),
    ],
)
def test_one_sentence_says_what_netx_will_not_see(weights, changes, message, tmp_path):
    with pytest.warns(ApproximationWarning) as caught:
        save_netx(tmp_path / "net.net", holding(*weights, **changes))
    assert [str(warning.message) for warning in caught] == [message]
    assert caught[0].filename == __file__  # shown at the line of the user


# What netx reads, from its source: which datasets, of what type, and what it makes of them.


class Block(NamedTuple):
    """What netx 0.6.0 hands to a process Dense and a process LIF of Lava."""

    weights: np.ndarray
    weight_exp: int
    num_weight_bits: int
    vth: int
    du: int
    dv: int


def as_netx_reads(path):
    with h5py.File(path, "r") as source:
        layers = source["layer"]
        return [dense_block(layers[str(index)]) for index in range(len(layers))]


def dense_block(group):
    assert word(group["type"]) == "dense"
    assert "delay" not in group
    assert "bias" not in group
    assert "weight/imag" not in group
    neuron = group["neuron"]
    assert word(neuron["type"]) in ("LOIHI", "CUBA")
    assert "messageBits" not in neuron
    weights = group["weight"][()].astype(int)
    n_units = np.prod(group["shape"][()])
    assert weights.shape == (n_units, group["inFeatures"][()])
    assert n_units == group["outFeatures"][()]
    return Block(
        *fitted(weights),
        vth=neuron["vThMant"][()],
        du=neuron["iDecay"][()] - 1,
        dv=neuron["vDecay"][()],
    )


def word(dataset):
    value = dataset[0] if dataset.shape else dataset[()]
    return value.decode("ascii")


def fitted(weights):
    """Shift weights to the left until they fill the 8 bits of a synapse, or 8 and a sign."""
    assert weights.min() >= -256
    assert weights.max() <= 254
    is_signed = int(weights.min() < 0)
    assert weights.max() > 0  # without, netx divides by zero or takes other limits
    scales = [255 / weights.max()]
    if is_signed:
        scales = [127 / weights.max(), -128 / weights.min()]
    shift = int(np.floor(np.log2(min(scales)))) + is_signed
    unused = next(n for n in range(8, -1, -1) if not np.any(weights % 2**n))
    return weights << shift, -shift, 8 - shift - (unused - is_signed)


class Layer:
    """Lava 0.10.0's Dense and LIF, bit-accurate: spikes arrive one step after they were sent."""

    def __init__(self, block):
        is_signed = bool(block.weights.min() < 0)
        limits = (-256, 255) if is_signed else (0, 255)
        cut = 8 - block.num_weight_bits + is_signed
        self.block = block
        self.weights = (np.clip(block.weights, *limits) >> cut) << cut
        self.arriving = np.zeros(len(block.weights), int)
        self.u = np.zeros(len(block.weights), int)
        self.v = np.zeros(len(block.weights), int)

    def step(self, spikes):
        self.u = self.decayed(self.u, self.block.du + 1) + (self.arriving << 6)
        self.v = np.clip(self.decayed(self.v, self.block.dv) + self.u, 1 - 2**23, 2**23 - 1)
        fired = self.v > (self.block.vth << 6)
        self.v[fired] = 0
        self.arriving = (self.weights @ spikes) >> -self.block.weight_exp
        return fired.astype(int)

    @staticmethod
    def decayed(state, decay):
        return np.sign(state) * ((np.abs(state) * (4096 - decay)) >> 12)


def spikes_of_netx(path, spikes, n_steps):
    layers = [Layer(block) for block in as_netx_reads(path)]
    found = []
    for step in range(n_steps):
        sent = spikes[step] if step < len(spikes) else np.zeros_like(spikes[0])
        # A layer sees what the one below sends in the same step, and weighs it for the next.
        for layer in layers:
            sent = layer.step(sent)
        found.append(sent)
    return np.array(found)


def spikes_with_reset(weights, spikes):
    """What the documentation says of netx: fire once above 1, and start again from 0."""
    potentials = [np.zeros(matrix.shape[1]) for matrix in weights]
    found = []
    for sent in spikes:
        for potential, matrix in zip(potentials, weights, strict=True):
            potential += sent @ matrix
            sent = (potential > 1).astype(int)
            potential[sent > 0] = 0
        found.append(sent)
    return np.array(found)


@APPROXIMATE
@pytest.mark.parametrize("exponent", [-3, -6, -9])
def test_netx_fires_where_the_page_says(exponent, tmp_path):
    random = np.random.RandomState(-exponent)
    first = np.ldexp(random.randint(-128, 128, (6, 9)), exponent)
    # A layer without negative weights is packed otherwise.
    weights = [first, np.ldexp(random.randint(0, 128, (9, 8)), -8)]
    save_netx(tmp_path / "net.net", holding(*weights, input_coding="spikes"))
    spikes = random.randint(-3, 4, (200, 6))
    expected = spikes_with_reset(weights, spikes)
    assert expected.sum() > 20
    found = spikes_of_netx(tmp_path / "net.net", spikes, 202)
    np.testing.assert_array_equal(found[2:], expected)  # a step later for each layer


@APPROXIMATE
def test_thresholds_are_the_smallest_for_which_weights_are_whole(tmp_path):
    save_netx(tmp_path / "net.net", holding(*EXACT))
    first, second = as_netx_reads(tmp_path / "net.net")
    assert (first.vth, second.vth) == (8, 2)
    assert_all_equal(
        [
            block.weights << block.weight_exp
            if block.weight_exp > 0
            else block.weights >> -block.weight_exp
            for block in (first, second)
        ],
        [(EXACT[0] * 8).T.astype(int), (EXACT[1] * 2).T.astype(int)],
    )


@APPROXIMATE
def test_weights_that_do_not_fit_are_rounded_with_the_largest_threshold_that_does(tmp_path):
    save_netx(tmp_path / "net.net", holding(*INEXACT))
    with h5py.File(tmp_path / "net.net", "a") as file:
        assert file["layer/1/neuron/vThMant"][()] == 64
        assert file["layer/1/weight"][()].tolist() == [[64, -64]]
        del file[GROUP]
    restored = load_netx(tmp_path / "net.net")
    assert restored.state.samples_seen == 0
    assert_all_equal(restored.state.weights, [EXACT[0], np.array([[1.0], [-1.0]])])


@APPROXIMATE
@pytest.mark.parametrize("exponent", [-16, -9, -1])
def test_weights_of_a_chip_are_written_as_they_are(exponent, tmp_path):
    net = small_net(
        arithmetic="loihi2", weight_exponent=exponent, fraction_bits=16, learning_rate=0.05
    )
    random = np.random.RandomState(3)
    weights = [np.ldexp(random.randint(-128, 128, shape), exponent) for shape in net.weight_shapes]
    with pytest.warns(ApproximationWarning) as caught:
        save_netx(tmp_path / "net.net", Checkpoint(net, initial_state(net, weights)))
    assert "rounded" not in str(caught[0].message)
    with h5py.File(tmp_path / "net.net", "a") as file:
        del file[GROUP]
    assert_all_equal(load_netx(tmp_path / "net.net", net).state.weights, weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[127.6]], "weights of layer 1 must be from -128 to 127 for netx; got 127.5999"),
        ([[1.0, -129.0]], "weights of layer 1 must be from -128 to 127 for netx; got -129.0"),
        ([[0.0]], "weights of layer 1 must be somewhere above zero, also when rounded to 8 bits"),
        ([[-1.0, 0.0]], "for netx to scale them; got at most 0.0"),
        ([[2.0**-18]], "got at most 3.8"),
    ],
)
def test_what_netx_cannot_hold_is_refused_and_leaves_the_file(weights, message, tmp_path):
    path = tmp_path / "net.net"
    path.write_text("an earlier file")
    with pytest.raises(ValueError, match=re.escape(message)):
        save_netx(path, holding(weights, fraction_bits=18))
    assert path.read_text() == "an earlier file"
    assert list(tmp_path.iterdir()) == [path]


def test_path_and_checkpoint_have_an_order(tmp_path):
    with pytest.raises(ValueError, match="checkpoint must be a Checkpoint, after the path; got '"):
        save_netx(holding([[1.0]]), str(tmp_path / "net.net"))
    assert not list(tmp_path.iterdir())


def test_connections_that_are_not_dense_are_refused(file, tmp_path):
    net = SpikingNetwork.paper((3, 3), [Conv2D(2, 2)])
    reason = "network of dense connections; got another: it knows Dense connections, not Conv2D"
    with pytest.raises(ValueError, match=f"checkpoint must be a {reason}"):
        save_netx(tmp_path / "conv.net", Checkpoint(net, initial_state(net)))
    assert not (tmp_path / "conv.net").exists()
    with pytest.raises(ValueError, match=f"net must be a {reason}"):
        load_netx(file, net)


# Files as lava-dl writes them.

CUBA = {
    "type": "CUBA",
    "iDecay": 4096,
    "vDecay": 0,
    "vThMant": 64,
    "refDelay": 1,
    "gradedSpike": False,
}
M1 = np.array([[4, -6, 254], [0, 8, -256]])
M2 = np.array([[-2, 32]])


def block(kind, shape, **datasets):
    """Return the datasets of a block, as its `export_hdf5` of lava-dl writes them."""
    return {"type": np.array([kind.encode()], "S10"), "shape": np.array(shape), **datasets}


def dense(weights, neuron=CUBA, **datasets):
    weights = np.asarray(weights)
    named = {f"neuron/{name}": value for name, value in neuron.items()}
    features = {"inFeatures": weights.shape[-1], "outFeatures": len(weights)}
    whole = block("dense", (len(weights),), weight=weights.astype(np.float32), **features)
    return whole | named | datasets


def exported(path, *blocks):
    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        for index, datasets in enumerate(blocks):
            group = layers.create_group(str(index))
            for name, value in datasets.items():
                if value is not None:
                    group.create_dataset(name, data=value)
    return path


def test_a_file_of_lava_dl_gives_a_network(tmp_path):
    path = exported(tmp_path / "net.net", dense(M1), dense(M2, CUBA | {"vThMant": 16}))
    with pytest.warns(ApproximationWarning) as caught:
        checkpoint = load_netx(path)
    (message,) = [str(warning.message) for warning in caught]
    assert message == (
        "spikes will not be those of lava-dl: there units start at 0, are reset and fire at most "
        "once a step, here they start half a spike below their threshold and subtract it"
    )
    assert caught[0].filename == __file__
    assert checkpoint.net == SpikingMLP.paper((3, 2, 1))
    assert_all_equal(checkpoint.state.weights, (M1.T / 64, M2.T / 16))
    assert checkpoint.state.samples_seen == 0
    assert not checkpoint.state.backward_potentials[0].any()


#: Neurons as earlier versions of lava-dl wrote them.
LOIHI = {
    "type": "LOIHI",
    "iDecay": 4096,
    "vDecay": 0,
    "vThMant": 64,
    "refDelay": 1,
    "wgtExp": 0,
    "theta": 4096,
    "tauRho": 0.5,
    "scaleRho": 1.0,
}
SAME_NETWORKS = {
    "earlier neurons and shapes": [
        dense(M1, LOIHI, shape=np.array([2, 1, 1])),
        dense(M2, LOIHI, shape=np.array([1, 1, 1])),
    ],
    "an input of one dimension": [block("input", (3,)), dense(M1), dense(M2)],
    "an input that is flattened": [
        block("input", (3, 1, 1)),
        block("flatten", (3, 1, 1)),
        dense(M1),
        dense(M2),
    ],
    "biases and delays of zero": [
        dense(M1, bias=np.zeros(2, np.float32), delay=np.zeros(2, np.float32)),
        dense(M2, delay=0),
    ],
    "a flat weight and nothing that netx does not read": [
        dense(M1, refDelay=None, inFeatures=None, outFeatures=None),
        dense(M2, weight=np.float32([-2, 32])),
    ],
    "integers": [dense(M1, weight=M1), dense(M2, weight=M2.astype(np.int16))],
    "a threshold for each unit": [
        dense(M1, CUBA | {"vThMant": np.array([64, 64]), "vDecay": np.array([0, 0])}),
        dense(M2, CUBA | {"vThMant": np.array([64])}),
    ],
    "a last block without neurons": [dense(M1), dense(M2, {})],
    "a last block that never fires": [dense(M1), dense(M2, CUBA | {"vThMant": 2**18 - 1})],
    "an earlier last block that never fires": [
        dense(M1),
        dense(M2, LOIHI | {"vThMant": 2**17 - 1}),
    ],
}


@APPROXIMATE
@pytest.mark.parametrize("blocks", SAME_NETWORKS.values(), ids=SAME_NETWORKS)
def test_files_may_say_the_same_in_other_words(blocks, tmp_path):
    path = exported(tmp_path / "net.net", *blocks)
    with h5py.File(path, "a") as file:
        file["simulation/Ts"], file["simulation/tSample"] = 1, 16
    assert_all_equal(load_netx(path).state.weights, (M1.T / 64, M2.T / 64))


@APPROXIMATE
def test_each_unit_may_have_a_threshold_of_its_own(tmp_path):
    path = exported(tmp_path / "net.net", dense(M1, CUBA | {"vThMant": np.array([2, 32])}))
    (weights,) = load_netx(path).state.weights
    np.testing.assert_array_equal(weights, M1.T / [2, 32])


def test_weights_alone_are_exact(tmp_path):
    net = SpikingMLP.paper((2, 1), learning_rate=1, fraction_bits=6)
    path = exported(tmp_path / "net.net", dense(M2, {}))
    assert_all_equal(load_netx(path, net).state.weights, (M2.T / 64,))


def test_weights_are_rounded_to_the_grid_of_the_definition(tmp_path):
    path = exported(tmp_path / "net.net", dense(M1, CUBA | {"vThMant": 80}), dense(M2))
    net = SpikingMLP.paper((3, 2, 1), learning_rate=0.5, fraction_bits=8, feedback="random")
    with pytest.warns(
        ApproximationWarning, match="; weights are rounded to the grid, by up to 0.0"
    ):
        checkpoint = load_netx(path, net)
    assert checkpoint.net is net
    assert_all_equal(checkpoint.state.weights, (np.rint(M1.T / 80 * 256) / 256, M2.T / 64))
    with pytest.raises(
        ValueError, match=re.escape("net must be (3, 2, 1), as in the file; got (3, 1)")
    ):
        load_netx(path, SpikingMLP.paper((3, 1)))
    with pytest.raises(OverflowError, match="weight of layer 1"):
        load_netx(
            exported(tmp_path / "big.net", dense(M1, CUBA | {"vThMant": 1e-14})),
            SpikingMLP.paper((3, 2), fraction_bits=40),
        )


REFUSED = {
    "layer/0 of type 'conv'": [block("conv", (3, 1, 1))],
    "layer/1 of type 'pool'": [dense(M1), block("pool", (2,)), dense(M2)],
    "layer/1 of type 'flatten'": [dense(M1), block("flatten", (2, 1, 1)), dense(M2)],
    "layer/1 of type 'input'": [dense(M1), block("input", (2,)), dense(M2)],
    "layer/1 of type 'average'": [dense(M1), block("average", (1, 1, 1))],
    "layer/1 of type 'concat'": [dense(M1), block("concat", (2,), layers=0), dense(M2)],
    "layer/0 of type 'dense_rec'": [dense(M1) | {"type": np.array([b"dense_rec"])}],
    "layer/0 of type 'input' with neurons of its own": [
        block("input", (3,), **{f"neuron/{name}": value for name, value in CUBA.items()}),
        dense(M1),
    ],
    "layer/1 with a bias": [dense(M1), dense(M2, bias=np.float32([2]))],
    "layer/0 with a delay": [dense(M1, delay=np.float32([0, 3])), dense(M2)],
    "layer/0 with complex weights": [
        dense(M1, weight=None) | {"weight/real": M1, "weight/imag": M1}
    ],
    "layer/0 with 'weight_rec'": [dense(M1, weight_rec=np.eye(2))],
    "layer/0 with 'neuron/refractory'": [dense(M1, CUBA | {"refractory": 1})],
    "layer/0 without neurons before another block": [dense(M1, {}), dense(M2)],
    "layer/0 with neurons of type 'SDNN'": [dense(M1, {"type": "SDNN", "vThMant": 6})],
    "layer/0 with neurons of type 'ALIF'": [dense(M1, CUBA | {"type": "ALIF"})],
    "layer/0 with neurons of type 'RF_ZERO'": [dense(M1, CUBA | {"type": "RF_ZERO"})],
    "layer/0 with a 'neuron/iDecay' of 1024, not 4096": [dense(M1, CUBA | {"iDecay": 1024})],
    "layer/0 with a 'neuron/vDecay' of 123, not 0": [
        dense(M1, CUBA | {"vDecay": np.array([0, 123])})
    ],
    "layer/0 with a 'neuron/refDelay' of 2, not 1": [dense(M1, CUBA | {"refDelay": 2})],
    "layer/0 with a 'neuron/gradedSpike' of 1, not 0": [dense(M1, CUBA | {"gradedSpike": True})],
    "layer/0 with a 'neuron/messageBits' of 16, not 0": [dense(M1, CUBA | {"messageBits": 16})],
    "layer/0 with a 'neuron/weight_exp' of -2, not 0": [dense(M1, CUBA | {"weight_exp": [-2.0]})],
    "layer/0 with a 'neuron/wgtExp' of 1, not 0": [dense(M1, LOIHI | {"wgtExp": 1})],
    "layer/0 with a 'neuron/vThMant' that is not positive": [dense(M1, CUBA | {"vThMant": 0})],
    "layer/0 with a weight of 4.5, no integer from -256 to 255": [dense(M1 + 0.5)],
    "layer/0 with a weight of -258, no integer": [dense(M1 - 2)],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_another_network_is_refused_by_name(reason, tmp_path):
    path = exported(tmp_path / "net.net", *REFUSED[reason])
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        load_netx(path)
    assert str(caught.value).startswith(
        f"the network in {path} must be a chain of dense blocks of units that integrate and fire, "
        "without bias and delay; got layer/"
    )


DAMAGED = {
    "its layers are [], not numbered from 0": [],
    "it has no dense block": [block("input", (3,))],
    "layer/0 has no 'type'": [{}],
    "layer/0 holds no text as 'type'": [block("dense", (2,)) | {"type": 5}],
    "layer/0 has no 'shape'": [dense(M1, shape=None)],
    "layer/0 has the shape [0.0]": [dense(M1, shape=np.array([0]))],
    "layer/0 has the shape [1.5]": [dense(M1, shape=np.array([1.5]))],
    "layer/0 holds no finite numbers as 'shape'": [dense(M1, shape="two")],
    "layer/0 has no 'weight'": [dense(M1, weight=None)],
    "layer/0 holds no finite numbers as 'weight'": [dense(M1, weight=M1 * np.nan)],
    "no finite numbers as 'weight'": [dense(M1, weight=h5py.Empty("f"))],
    "layer/0 has weights of shape (2, 3) for 4 units": [dense(M1, shape=np.array([4]))],
    "layer/0 has weights of shape (6,) for 4 units": [
        dense(M1, weight=M1.ravel(), shape=np.array([4]))
    ],
    "layer/0 has weights of shape (2, 3, 1) for 2 units": [dense(M1, weight=M1[..., np.newaxis])],
    f"for {2**80} units": [dense(M1, shape=np.array([2.0**40, 2.0**40]))],
    "layer/0 has another 'inFeatures' than its weights of shape (2, 3)": [dense(M1, inFeatures=2)],
    "layer/0 holds no finite numbers as 'outFeatures'": [dense(M1, outFeatures=np.array([]))],
    "layer/1 has weights of shape (2, 3) behind 2 units": [dense(M1), dense(M1)],
    "layer/1 has weights of shape (2, 3) behind 4 units": [block("input", (4,)), dense(M1)],
    "layer/1 flattens 4 units to 3": [block("input", (2, 2)), block("flatten", (3,)), dense(M1)],
    "layer/0 has no 'neuron/type'": [dense(M1, CUBA | {"type": None})],
    "layer/0 has no 'neuron/vDecay'": [dense(M1, CUBA | {"vDecay": None})],
    "layer/0 has no 'neuron/vThMant'": [dense(M1, CUBA | {"vThMant": None})],
    "layer/0 has 3 thresholds for 2 units": [dense(M1, CUBA | {"vThMant": [1, 2, 3]})],
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_what_netx_could_not_read_either_is_refused(reason, tmp_path):
    path = exported(tmp_path / "net.net", *DAMAGED[reason])
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        load_netx(path)
    assert str(caught.value).startswith(f"{path} is not a readable network of netx: ")


def test_layers_are_numbered_from_0_without_a_gap(tmp_path):
    path = exported(tmp_path / "net.net", dense(M1), dense(M2))
    with h5py.File(path, "a") as file:
        file.move("layer/1", "layer/2")
    with pytest.raises(ValueError, match=re.escape("its layers are ['0', '2'], not numbered")):
        load_netx(path)


# The datasets of our own files besides the blocks.


@APPROXIMATE
def test_our_own_file_without_its_group_is_one_of_lava_dl(file):
    with h5py.File(file, "a") as opened:
        del opened[GROUP]
    checkpoint = load_netx(file)
    assert checkpoint.net == SpikingMLP.paper((3, 5, 4, 2))
    expected = trained(RANDOM).state.weights
    for weights, exact in zip(checkpoint.state.weights, expected, strict=True):
        assert np.all(np.abs(weights - exact) <= 1 / 64)


def one_weight_more(file):
    file["layer/1/weight"][0, 0] += 1


def another_threshold(file):
    file["layer/2/neuron/vThMant"][...] *= 2


def one_layer_less(file):
    del file["layer/2"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (one_weight_more, "layer/1 has other weights or thresholds"),
        (another_threshold, "layer/2 has other weights or thresholds"),
        (one_layer_less, "it has 2 layers"),
    ],
)
def test_blocks_that_contradict_the_group_are_refused(file, change, reason):
    with h5py.File(file, "a") as opened:
        change(opened)
    with pytest.raises(ValueError, match=f"no longer holds the network in its group .*, {reason}"):
        load_netx(file)


def test_a_group_of_which_no_such_file_can_be_is_refused_by_path(file):
    with h5py.File(file, "a") as opened:
        group, name = opened[GROUP], "weights_1"
        weights = group[name][...].astype(np.int64)
        weights[0, 0] = 2**40
        del group[name]
        group[name] = weights
    with pytest.raises(ValueError, match="must be from -128 to 127 for netx") as caught:
        load_netx(file)
    assert str(caught.value).startswith(f"{file} no longer holds the network in its group")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("samples_seen", -1, "samples_seen must be a number that is not negative"),
        ("format_version", 3, "checkpoint format 3, newer than the 2"),
        ("definition", None, "it holds no definition"),
    ],
)
def test_a_damaged_group_is_refused(file, name, value, message):
    with h5py.File(file, "a") as opened:
        del opened[GROUP][name]
        if value is not None:
            opened[GROUP][name] = value
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_netx(file)
    assert str(caught.value).startswith(f"the group 'spikebp_plugins' of {file} ")


@APPROXIMATE
def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in sections("docs/lava_dl.md").values():
        exec(code, names)
    assert checkpoint_bytes(load_netx("digits.net")) == checkpoint_bytes(names["checkpoint"])


@pytest.mark.thorough
def test_the_benchmark_runs_the_rules_of_the_page():
    command = [sys.executable, str(ROOT / "benchmarks" / "netx_agreement.py")]
    options = ["--epochs", "4", "--layers", "40", "--steps", "10", "--readers", "rules", "--json"]
    printed = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    (row,) = json.loads(printed.stdout)["rows"]
    assert (row["reader"], row["n_steps"], row["same_spikes"]) == ("rules", 10, True)
    assert 0.9 < row["agreement"] < 1
