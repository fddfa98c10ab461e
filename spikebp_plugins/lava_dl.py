r"""Networks as files of lava-dl's netx, and files of netx as networks.

lava-dl hands networks from its trainers to Lava as HDF5 files of blocks. Here the blocks are dense,
and their units integrate and fire: ``iDecay`` is 4096, so that a current lasts one step, and
``vDecay`` is 0, so that nothing leaks. With the whole numbers m of ``weight``, spikes k of the
layer below, and the threshold ``vThMant``, which netx scales alike,

.. math::
    v \leftarrow v + m k, \qquad v > \mathrm{vThMant}: \text{fire once, } v \leftarrow 0,

and v is 0 at the start. So weights in units of the threshold are :math:`W = m / \mathrm{vThMant}`.

A unit of this network fires above 1/2 and subtracts 1. It sends the same spikes as a unit that
fires above 1, subtracts 1 and starts at 1/2: :math:`k = \lceil v - 1/2 \rceil`. So 1 is the
threshold of the file. Lost are the start at 1/2, what a reset takes away beyond the threshold, and
all but the first spike of a step.

What netx cannot express is in a group of the file that netx does not read, as the arrays of a
checkpoint, so that :func:`load_netx` gives back exactly the same network. ``docs/lava_dl.md`` says
what netx makes of a file.

Needs h5py: ``pip install "spikebp-plugins[lava-dl]"``.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.common.archive import PathLike, unreadable, whole_file
from spikebp_plugins.common.errors import ArgumentError, wrong_argument
from spikebp_plugins.network.checkpoint import Checkpoint, from_arrays, to_arrays
from spikebp_plugins.network.connections import require_dense
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state

try:
    import h5py

    from spikebp_plugins.common.hdf5 import arrays_in
except ImportError as error:
    raise ImportError(
        'files of netx need the package h5py: pip install "spikebp-plugins[lava-dl]"'
    ) from error

#: The group of a file that holds the checkpoint.
GROUP: Final = "spikebp_plugins"

KIND: Final = "network of netx"
ALLOWED: Final = "a chain of dense blocks of units that integrate and fire, without bias and delay"

#: The weights that netx passes on to 8-bit synapses unchanged, whatever their signs.
LOWEST_WEIGHT: Final = -128
HIGHEST_WEIGHT: Final = 127
#: The largest exponent of a threshold that is a power of two: thresholds have 17 bits.
LARGEST_THRESHOLD_EXPONENT: Final = 16

#: The weights that netx accepts; it clips others, or changes them.
READABLE_WEIGHTS: Final = (-256, 255)
#: Potentials of a chip never pass this threshold: units with it only integrate, to be read out.
READOUT_THRESHOLD: Final = 2**17 - 1
#: The integer for a weight of 1 in lava-dl's training: the unit of weights without a threshold.
TRAINED_UNIT: Final = 64.0

#: The types of neurons that integrate and fire, if their decays say so: two names of one.
NEURONS: Final = ("CUBA", "LOIHI")
#: The required decays of a neuron: its whole current in a step, and none of its potential.
DECAYS: Final = {"iDecay": 4096, "vDecay": 0}
#: Optional fields of a neuron, with the only value that is accepted.
OPTIONS: Final = {"refDelay": 1, "gradedSpike": 0, "messageBits": 0, "wgtExp": 0, "weight_exp": 0}
#: Fields that have no effect after training.
IGNORED: Final = ("theta", "scaleRho", "tauRho")

DIFFERENT_UNITS: Final = (
    "spikes will not be those of lava-dl: there units start at 0, are reset and fire at most once "
    "a step, here they start half a spike below their threshold and subtract it"
)

#: The datasets that a dense block may have besides its neuron.
DENSE: Final = ("type", "shape", "inFeatures", "outFeatures", "weight", "bias", "delay")


def save_netx(path: PathLike, checkpoint: Checkpoint) -> None:
    """Write a network to a file that lava-dl's netx reads, whole or not at all.

    Each layer becomes a dense block whose threshold is a power of two: the smallest for which the
    weights are whole numbers of 8 bits, or else the largest for which they are that when rounded.
    The input of the blocks is what enters the first weights: the signed spike counts of layer 0.

    Parameters
    ----------
    path : str or path-like
        The file; an existing file is replaced.
    checkpoint : Checkpoint
        The network; ``Simulator.checkpoint()`` makes one.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If a layer has weights beyond 127 spikes, or none above zero, for which netx finds no scale.

    Warns
    -----
    ApproximationWarning
        Always: it says what netx will not read from the file, and by how much weights are rounded.
    """
    if not isinstance(checkpoint, Checkpoint):
        raise wrong_argument("checkpoint", "a Checkpoint, after the path", repr(checkpoint))
    require_dense("checkpoint", checkpoint.net.connections)
    layers = _written(checkpoint)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for index, layer in enumerate(layers):
            _write_block(file.create_group(f"layer/{index}"), layer)
        # The length of a sample, as lava-dl's own files hold it; netx does not read it.
        file["simulation/Ts"] = 1
        file["simulation/tSample"] = checkpoint.net.n_steps
        for name, array in to_arrays(checkpoint).items():
            file[f"{GROUP}/{name}"] = array
    warnings.warn(_losses(checkpoint, layers), ApproximationWarning, stacklevel=2)
    with whole_file(path) as whole:
        whole.write(buffer.getvalue())


def load_netx(path: PathLike, net: Definition | None = None) -> Checkpoint:
    r"""Return the network that a file of netx describes.

    A file from :func:`save_netx` gives back the network that it was made of, exactly. One from
    lava-dl gives a network that has yet to learn. Its weights are those of the file in units of the
    threshold, :math:`m / \mathrm{vThMant}`, rounded to the grid. A last block that never fires, as
    lava-dl writes one to be read, has weights in units of lava-dl's training, m / 64.

    Parameters
    ----------
    path : str or path-like
        The file.
    net : Definition or None, default=None
        For a file from :func:`save_netx`, the definition that it must have. For one from lava-dl,
        the definition of the network; None takes ``SpikingMLP.paper(layer_sizes)``.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, of another definition, or something that this network cannot be: a
        block of another type, a bias, a delay, neurons that leak, shapes that do not fit.
    OverflowError
        If a weight is out of the range of the grid.

    Warns
    -----
    ApproximationWarning
        If the file is from lava-dl, and units fire otherwise there or weights had to be rounded.
    """
    if net is not None:
        require_dense("net", net.connections)
    blocks, arrays = _read(path)
    layers = _layers(path, blocks)
    if arrays:
        return _own(path, arrays, layers, net)
    weights = [layer.weights for layer in layers]
    sizes = (len(weights[0]), *(matrix.shape[1] for matrix in weights))
    if net is None:
        net = SpikingMLP.paper(sizes)
    elif net.layer_sizes != sizes:
        raise wrong_argument("layer_sizes of net", f"{sizes}, as in the file", net.layer_sizes)
    state = initial_state(net, weights)
    changes = []
    if any(layer.fires for layer in layers):
        changes += [DIFFERENT_UNITS]
    change = max(
        float(np.max(np.abs(rounded - given)))
        for rounded, given in zip(state.weights, weights, strict=True)
    )
    if change > 0:
        changes += [f"weights are rounded to the grid, by up to {change:.3g}"]
    if changes:
        warnings.warn("; ".join(changes), ApproximationWarning, stacklevel=2)
    return Checkpoint(net, state)


class _DenseLayer(NamedTuple):
    """A dense block: whole weights of shape (n_out, n_in), and the threshold of each unit."""

    name: str
    whole_weights: NDArray[np.float64]
    costs: NDArray[np.float64]
    fires: bool

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of shape (n_in, n_out), for which a spike costs 1."""
        return (self.whole_weights / self.costs[:, np.newaxis]).T


def _written(checkpoint: Checkpoint) -> list[_DenseLayer]:
    return [
        _scaled(f"weights of layer {layer}", weights)
        for layer, weights in enumerate(checkpoint.state.weights, 1)
    ]


def _scaled(name: str, weights: NDArray[np.float64]) -> _DenseLayer:
    found = None
    for exponent in range(LARGEST_THRESHOLD_EXPONENT + 1):
        scaled = np.ldexp(weights.T, exponent)
        rounded = np.rint(scaled)
        if rounded.min() < LOWEST_WEIGHT or rounded.max() > HIGHEST_WEIGHT:
            break
        found = _DenseLayer(name, rounded, np.full(len(rounded), 2.0**exponent), fires=True)
        if np.array_equal(rounded, scaled):
            break
    if found is None:
        worst = float(weights.flat[np.argmax(np.abs(weights))])
        raise wrong_argument(name, f"from {LOWEST_WEIGHT} to {HIGHEST_WEIGHT} for netx", worst)
    if found.whole_weights.max() <= 0:
        # netx raises an error for zeros, and changes weights that are all negative.
        allowed = "somewhere above zero, also when rounded to 8 bits, for netx to scale them"
        raise wrong_argument(name, allowed, f"at most {weights.max()}")
    return found


def _write_block(group: h5py.Group, layer: _DenseLayer) -> None:
    # Types are those of lava-dl's own files.
    group.create_dataset("type", (1,), "S10", [b"dense"])
    group["shape"] = np.array([len(layer.whole_weights)])
    group["outFeatures"], group["inFeatures"] = layer.whole_weights.shape
    group["weight"] = layer.whole_weights.astype(np.float32)
    neuron: dict[str, object] = {"type": "CUBA", **DECAYS, "vThMant": int(layer.costs[0])}
    for name, value in (neuron | {"refDelay": 1, "gradedSpike": False}).items():
        group[f"neuron/{name}"] = value


def _losses(checkpoint: Checkpoint, layers: list[_DenseLayer]) -> str:
    losses = [
        "what this network learns by",
        "that units start half a spike below their threshold and subtract it",
    ]
    if checkpoint.net.spikes == "graded":
        losses += ["that they may fire several times in a step"]
    message = f"netx will not see {', or '.join(losses)}"
    for layer, weights in zip(layers, checkpoint.state.weights, strict=True):
        change = float(np.max(np.abs(layer.weights - weights)))
        if change > 0:
            message += f"; {layer.name} are rounded to 8 bits, by up to {change:.3g}"
    return message


class _NetxBlock(NamedTuple):
    """The datasets of one block of a file, by their names in it."""

    path: PathLike
    name: str
    arrays: dict[str, NDArray[Any]]

    def refused(self, came: str) -> ArgumentError:
        """Return the error for a block that a network cannot have."""
        return wrong_argument(
            f"the network in {os.fspath(self.path)}", ALLOWED, f"{self.name} {came}"
        )

    def damaged(self, reason: str) -> ValueError:
        """Return the error for a block that netx could not read either."""
        return unreadable(self.path, KIND, f"{self.name} {reason}")

    def array(self, name: str) -> NDArray[Any]:
        """Return a dataset, which must be there."""
        if name not in self.arrays:
            raise self.damaged(f"has no {name!r}")
        return self.arrays[name]

    def text(self, name: str) -> str:
        """Return a text."""
        array = self.array(name)
        if array.size != 1 or not isinstance(array.item(), bytes):
            raise self.damaged(f"holds no text as {name!r}")
        return str(array.item().decode("ascii", "replace"))

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return finite numbers."""
        array = self.array(name)
        if array.dtype.kind not in "iufb" or array.size == 0 or not np.all(np.isfinite(array)):
            raise self.damaged(f"holds no finite numbers as {name!r}")
        return array.astype(np.float64)

    def size(self) -> int:
        """Return the number of units that the shape of the block says."""
        shape = self.numbers("shape")
        if np.any(shape < 1) or np.any(shape != np.rint(shape)):
            raise self.damaged(f"has the shape {shape.tolist()}")
        return math.prod(map(int, shape.flat))


def _read(path: PathLike) -> tuple[list[_NetxBlock], dict[str, NDArray[Any]]]:
    """Return the blocks of a file, and the arrays of a checkpoint if it holds them."""
    with open(path, "rb") as file:
        data = io.BytesIO(file.read())
    found: dict[str, dict[str, NDArray[Any]]] = {}
    own: dict[str, NDArray[Any]] = {}
    try:
        with h5py.File(data, "r") as source:
            found |= {name: {} for name in source.get("layer", ())}
            for name, array in arrays_in(source, data.getvalue()).items():
                room, *rest = name.split("/", 2)
                if room == GROUP:
                    own["/".join(rest)] = np.asarray(array[()])
                elif room == "layer" and len(rest) == 2:
                    found[rest[0]][rest[1]] = np.asarray(array[()])
    except Exception as error:
        # A damaged file can make h5py raise almost any type of error.
        raise unreadable(path, KIND, error) from error
    names = [str(index) for index in range(len(found))]
    if not found or set(found) != set(names):
        raise unreadable(path, KIND, f"its layers are {sorted(found)}, not numbered from 0")
    return [_NetxBlock(path, f"layer/{name}", found[name]) for name in names], own


def _layers(path: PathLike, blocks: list[_NetxBlock]) -> list[_DenseLayer]:
    layers: list[_DenseLayer] = []
    size: int | None = None
    for block in blocks:
        kind = block.text("type")
        if kind == "input" and block is blocks[0]:
            if set(block.arrays) - {"type", "shape"}:
                raise block.refused("of type 'input' with neurons of its own")
        elif kind == "dense":
            layers.append(_dense(block, size, is_last=block is blocks[-1]))
        elif kind != "flatten" or layers:
            # Before the first weights it only says that the input has one dimension.
            raise block.refused(f"of type {kind!r}")
        if size is not None and kind == "flatten" and block.size() != size:
            raise block.damaged(f"flattens {size} units to {block.size()}")
        size = block.size()
    if not layers:
        raise unreadable(path, KIND, "it has no dense block")
    return layers


def _dense(block: _NetxBlock, n_inputs: int | None, *, is_last: bool) -> _DenseLayer:
    if "weight/real" in block.arrays or "weight/imag" in block.arrays:
        raise block.refused("with complex weights")
    for name in block.arrays:
        if name not in DENSE and not name.startswith("neuron/"):
            raise block.refused(f"with {name!r}")
    for name in ("bias", "delay"):
        if name in block.arrays and np.any(block.numbers(name)):
            raise block.refused(f"with a {name}")
    weights = _whole_weights(block)
    n_units, n_below = weights.shape
    for name, size in (("inFeatures", n_below), ("outFeatures", n_units)):
        if name in block.arrays and np.any(block.numbers(name) != size):
            raise block.damaged(f"has another {name!r} than its weights of shape {weights.shape}")
    if n_inputs is not None and n_inputs != n_below:
        raise block.damaged(f"has weights of shape {weights.shape} behind {n_inputs} units")
    thresholds = _thresholds(block, n_units)
    if thresholds is None or (is_last and np.all(thresholds >= READOUT_THRESHOLD)):
        if not is_last:
            raise block.refused("without neurons before another block")
        return _DenseLayer(block.name, weights, np.full(n_units, TRAINED_UNIT), fires=False)
    return _DenseLayer(block.name, weights, thresholds, fires=True)


def _whole_weights(block: _NetxBlock) -> NDArray[np.float64]:
    weights, n_units = block.numbers("weight"), block.size()
    if weights.ndim == 1 and weights.size % n_units == 0:
        weights = weights.reshape(n_units, -1)  # as netx does
    if weights.ndim != 2 or len(weights) != n_units:
        raise block.damaged(f"has weights of shape {weights.shape} for {n_units} units")
    lowest, highest = READABLE_WEIGHTS
    is_weight = (weights == np.rint(weights)) & (weights >= lowest) & (weights <= highest)
    if not np.all(is_weight):
        worst = weights[~is_weight][0]
        raise block.refused(f"with a weight of {worst:g}, no integer from {lowest} to {highest}")
    return weights


def _thresholds(block: _NetxBlock, n_units: int) -> NDArray[np.float64] | None:
    """Return the thresholds of a block's units; None if it has no neurons."""
    names = [name for name in block.arrays if name.startswith("neuron/")]
    if not names:
        return None
    kind = block.text("neuron/type")
    if kind not in NEURONS:
        raise block.refused(f"with neurons of type {kind!r}")
    for name in names:
        short = name.removeprefix("neuron/")
        if short not in ("type", "vThMant", *DECAYS, *OPTIONS, *IGNORED):
            raise block.refused(f"with {name!r}")
    for short, value in (DECAYS | OPTIONS).items():
        name = f"neuron/{short}"
        if short in DECAYS or name in names:
            found = block.numbers(name)
            if np.any(found != value):
                raise block.refused(f"with a {name!r} of {found[found != value][0]:g}, not {value}")
    thresholds = block.numbers("neuron/vThMant")
    if thresholds.size not in (1, n_units):
        raise block.damaged(f"has {thresholds.size} thresholds for {n_units} units")
    if np.any(thresholds <= 0):
        raise block.refused("with a 'neuron/vThMant' that is not positive")
    return np.broadcast_to(thresholds.ravel(), n_units)


def _own(
    path: PathLike,
    arrays: dict[str, NDArray[Any]],
    layers: list[_DenseLayer],
    net: Definition | None,
) -> Checkpoint:
    checkpoint = from_arrays(f"the group {GROUP!r} of {os.fspath(path)}", arrays)
    if net is not None and net != checkpoint.net:
        raise wrong_argument("net", f"None or {checkpoint.net}, as in the file", net)
    try:
        written = _written(checkpoint)
    except ValueError as error:
        raise _contradiction(path, f"of which no such file can be: {error}") from error
    if len(layers) != len(written):
        raise _contradiction(path, f"it has {len(layers)} layers")
    for layer, expected in zip(layers, written, strict=True):
        same = layer.fires and np.array_equal(layer.costs, expected.costs)
        if not same or not np.array_equal(layer.whole_weights, expected.whole_weights):
            raise _contradiction(path, f"{layer.name} has other weights or thresholds")
    return checkpoint


def _contradiction(path: PathLike, reason: str) -> ValueError:
    return ValueError(
        f"{os.fspath(path)} no longer holds the network in its group {GROUP!r}, {reason}: without "
        "the group it is read like a file of lava-dl"
    )
