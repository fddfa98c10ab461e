"""Reads a ReLU network from any of its forms into one: a list of affine layers."""

from __future__ import annotations

from copy import copy
from importlib import import_module
from typing import Any, Final, NamedTuple

import numpy as np

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.balance import output_scaled
from spikebp_plugins.conversion.bias import without_bias_units
from spikebp_plugins.conversion.layers import (
    AffineLayer,
    Array,
    UnitScaling,
    all_finite,
    checked,
    given_layer,
)
from spikebp_plugins.conversion.scikit_learn import layers_of_network, scaling_of
from spikebp_plugins.conversion.torch_images import layers_of_images
from spikebp_plugins.conversion.torch_modules import layers_of_modules
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import (
    Connection,
    DenseConnection,
    Shape,
    Sparse,
    SparseConnection,
)
from spikebp_plugins.network.definition import SpikingNetwork
from spikebp_plugins.network.fields import Definition

ALLOWED: Final = (
    "a list of weight matrices or of pairs (weights, bias), an MLPClassifier or MLPRegressor of "
    "scikit-learn, a torch.nn.Sequential, a spiking network or an estimator that has one, or a "
    "Pipeline of scalers and one of these"
)


class ReluNetwork(NamedTuple):
    """A ReLU network.

    Attributes
    ----------
    layers : list of AffineLayer
        Its layers, checked: finite, and each fits the one before.
    input_scale : float
        The factor of its input: that of a spiking network, otherwise 1.
    factor : ndarray of shape (n_inputs,) or None
        The factors of scalers before it, one for each input; None without scalers.
    structure : SpikingNetwork or None
        A definition with its shapes and connections, whose other fields say nothing of it; None
        where all connections are dense.
    is_flattened : bool
        Whether it takes images of any shape, and makes vectors of them.
    """

    layers: list[AffineLayer]
    input_scale: float = 1.0
    factor: Array | None = None
    structure: SpikingNetwork | None = None
    is_flattened: bool = False

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of the layers."""
        if self.structure is not None:
            return self.structure.connections
        return tuple(DenseConnection(*W.shape) for W, _ in self.layers)


def read_source(source: Any, image: Shape | None = None) -> ReluNetwork:
    """Return the ReLU network that a source is; raise ValueError if it is none.

    Parameters
    ----------
    source : object
        The source.
    image : Shape or None, default=None
        The shape of its input, for a Sequential of PyTorch that needs it.
    """
    # The library of an object is loaded already. Names are compared, so that no other is loaded.
    libraries = {cls.__module__.partition(".")[0] for cls in type(source).__mro__}
    # A class derived from a Sequential may compute anything.
    if "torch" in libraries and type(source) is import_module("torch.nn").Sequential:
        if image is None:
            flattens = bool(source) and type(source[0]) is import_module("torch.nn").Flatten
            return ReluNetwork(checked(layers_of_modules(source)), is_flattened=flattens)
        layers, structure = layers_of_images(source, image)
        return ReluNetwork(all_finite(layers), structure=structure)
    if image is not None:
        allowed = "None unless the source is a Sequential of PyTorch"
        raise wrong_argument("input_shape", allowed, repr(image.sizes))
    if isinstance(source, (list, tuple)):
        return ReluNetwork(checked([_given(entry, l) for l, entry in enumerate(source, 1)]))
    if "spikebp_plugins" in libraries:
        return _of_spiking_network(source)
    if "sklearn" in libraries:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.pipeline import Pipeline

        if isinstance(source, (MLPClassifier, MLPRegressor)):
            return ReluNetwork(checked(layers_of_network(source)))
        if isinstance(source, Pipeline):
            return _of_pipeline(source)
    raise wrong_argument("source", ALLOWED, type(source).__name__)


def checkpoint_of(source: Any) -> Checkpoint:
    """Return `source` if it is a checkpoint, otherwise the one that it has.

    A simulator has ``checkpoint()``, an estimator of scikit-learn ``checkpoint_``, and one of river
    ``checkpoint``.
    """
    kind, found = type(source), source
    if hasattr(kind, "checkpoint_"):
        found = source.checkpoint_
    elif hasattr(kind, "checkpoint"):
        found = source.checkpoint() if callable(kind.checkpoint) else source.checkpoint
    if not isinstance(found, Checkpoint):
        allowed = "a Checkpoint, a Simulator, or an estimator that has one"
        raise wrong_argument("source", allowed, type(source).__name__)
    return found


def layers_with_biases(source: Any, weights: list[Array]) -> list[AffineLayer]:
    """Return the weights of a source as layers, with biases from its constant input.

    That is the last input, or the one at ``source.intercept_at``: 0 in a network that grows.
    """
    place = getattr(source, "intercept_at", -1)
    return without_bias_units([np.roll(weights[0], -1 - place, axis=0), *weights[1:]])


def _given(entry: Any, l: int) -> AffineLayer:
    is_pair = isinstance(entry, tuple) and len(entry) == 2 and _n_dimensions(entry[0]) == 2
    W, b = entry if is_pair else (entry, None)
    return given_layer(W, b, l)


def _n_dimensions(values: Any) -> int:
    try:
        return np.ndim(values)
    except ValueError:
        return 0


def _of_spiking_network(source: Any) -> ReluNetwork:
    is_estimator = hasattr(source, "intercept_at")
    if is_estimator:
        source = copy(source)  # consistent weights and scaling, whatever other threads learn
    checkpoint = checkpoint_of(source)
    net = checkpoint.net
    weights: list[Array] = [np.array(W, np.float64) for W in checkpoint.state.weights]
    # The constant input of an estimator is a bias, and is always 1. With images there is none.
    has_bias = is_estimator and net.n_inputs != getattr(source, "n_features_in_", None)
    own = getattr(source, "input_scaling_", None) or getattr(source, "input_scaling", None)
    if isinstance(net, SpikingNetwork):
        if has_bias or own is not None:
            allowed = "a Checkpoint or a Simulator, if its network is a SpikingNetwork"
            raise wrong_argument("source", allowed, type(source).__name__)
        plain = scores_in_spikes(net, [AffineLayer(W, None) for W in weights])
        return ReluNetwork(all_finite(plain), net.input_scale, structure=_structure(net))
    layers = (
        layers_with_biases(source, weights) if has_bias else [AffineLayer(W, None) for W in weights]
    )
    scale, factor = net.input_scale, None
    if own is not None:
        factor = own.factor
        layers[0] = UnitScaling(factor * own.spread, -own.centre * own.spread * scale).before(
            layers[0]
        )
    return ReluNetwork(checked(scores_in_spikes(net, layers)), scale, factor)


def scores_in_spikes(net: Definition, layers: list[AffineLayer]) -> list[AffineLayer]:
    """Return layers whose scores are those of a spiking network that has their weights.

    Its units send g spikes a step for what is 1 here, and its scores are spikes.
    """
    return output_scaled(layers, net.spikes_per_unit, "spikes_per_unit")


def _structure(net: SpikingNetwork) -> SpikingNetwork:
    # Which pairs of units a density joins depends on the seed, which may become another.
    layers = [
        Sparse(connection.n_above, pairs=connection.pairs)
        if isinstance(connection, SparseConnection)
        else layer
        for layer, connection in zip(net.layers, net.connections, strict=True)
    ]
    return SpikingNetwork(net.input_shape, layers, input_layout=net.input_layout)


def _of_pipeline(pipeline: Any) -> ReluNetwork:
    """Return the network at the end of a pipeline, its first layer with the scalers before it."""
    network = read_source(pipeline[-1])
    if network.structure is not None:
        allowed = "a network of dense connections, of which scalers can become a part"
        raise wrong_argument("the end of a pipeline", allowed, "one of a SpikingNetwork")
    layers, n_inputs = list(network.layers), len(network.layers[0].weights)
    factor = np.ones(n_inputs) if network.factor is None else network.factor
    for place, step in reversed(pipeline.steps[:-1]):
        if step is None or step == "passthrough":
            continue
        scaling = scaling_of(step, repr(place))
        if len(scaling.factor) != n_inputs:
            allowed = f"one of {n_inputs} features, as the network has"
            raise wrong_argument(f"step {place!r} of source", allowed, len(scaling.factor))
        # The network's input is what the scalers return, times its input scale.
        scaled = scaling._replace(shift=scaling.shift * network.input_scale)
        layers[0] = scaled.before(layers[0])
        factor = factor * scaling.factor
    return ReluNetwork(checked(layers), network.input_scale, factor)
