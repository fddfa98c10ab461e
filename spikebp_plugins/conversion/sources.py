"""Reads a ReLU network from any of its forms into one: a list of affine layers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument

Array = NDArray[np.float64]

ALLOWED: Final = (
    "a list of weight matrices or of pairs (weights, bias), an MLPClassifier or MLPRegressor of "
    "scikit-learn, or a torch.nn.Sequential"
)


class Layer(NamedTuple):
    r"""One layer :math:`s = a W + b` of a ReLU network.

    Attributes
    ----------
    weights : ndarray of shape (n_in, n_out)
        :math:`W`.
    bias : ndarray of shape (n_out,) or None
        :math:`b`; None where the layer has none.
    """

    weights: Array
    bias: Array | None


def layers_of(source: Any) -> list[Layer]:
    """Return the layers of a ReLU network, checked: finite, and each fits the one before."""
    # The library of an object is loaded already. Names are compared, so that no other is loaded.
    libraries = {cls.__module__.partition(".")[0] for cls in type(source).__mro__}
    if isinstance(source, (list, tuple)):
        layers = [_given_layer(entry, l) for l, entry in enumerate(source, 1)]
    elif "torch" in libraries:
        layers = _of_torch(source)
    elif "sklearn" in libraries:
        layers = _of_scikit_learn(source)
    else:
        raise wrong_argument("source", ALLOWED, type(source).__name__)
    return _checked(layers)


def _checked(layers: list[Layer]) -> list[Layer]:
    if not layers:
        raise wrong_argument("source", "a network of at least one layer of weights", "none")
    for l, (W, b) in enumerate(layers, 1):
        if 0 in W.shape:
            raise wrong_argument(f"weights of layer {l}", "of at least one unit", W.shape)
        before = layers[l - 2].weights.shape[1] if l > 1 else W.shape[0]
        if W.shape[0] != before:
            allowed = f"a matrix of {before} rows, one for each unit before"
            raise wrong_argument(f"weights of layer {l}", allowed, f"shape {W.shape}")
        if b is not None and b.shape != W.shape[1:]:
            allowed = f"of shape ({W.shape[1]},), one for each unit"
            raise wrong_argument(f"bias of layer {l}", allowed, f"shape {b.shape}")
        for name, values in (("weights", W), ("bias", b)):
            if values is not None:
                finite(f"{name} of layer {l}", values, "finite real numbers")
    return layers


def _given_layer(entry: Any, l: int) -> Layer:
    is_pair = isinstance(entry, tuple) and len(entry) == 2 and _n_dimensions(entry[0]) == 2
    W, b = entry if is_pair else (entry, None)
    weights = _reals(f"weights of layer {l}", W, 2)
    return Layer(weights, None if b is None else _reals(f"bias of layer {l}", b, 1))


def _n_dimensions(values: Any) -> int:
    try:
        return np.ndim(values)
    except ValueError:
        return 0


def _reals(name: str, values: Any, n_dimensions: int) -> Array:
    allowed = f"real numbers of {n_dimensions} dimension{'s' if n_dimensions > 1 else ''}"
    array = array_of(name, values, REALS, allowed)
    if array.ndim != n_dimensions:
        raise wrong_argument(name, allowed, f"shape {array.shape}")
    return array.astype(np.float64)


def _of_scikit_learn(model: Any) -> list[Layer]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    name = type(model).__name__
    if not isinstance(model, (MLPClassifier, MLPRegressor)):
        raise wrong_argument("source", ALLOWED, name)
    if not hasattr(model, "coefs_"):
        raise wrong_argument("source", "a fitted network", f"a {name} that has not been fitted")
    if len(model.coefs_) > 1 and model.activation != "relu":
        raise wrong_argument("activation of source", "'relu'", repr(model.activation))
    output = model.out_activation_
    if output not in ("identity", "softmax", "logistic"):
        allowed = "'identity', 'softmax' or 'logistic'"
        raise wrong_argument("output activation of source", allowed, repr(output))
    layers = [Layer(W, b) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
    if output == "logistic" and layers[-1].weights.shape[1] == 1:
        # One output z that is compared with 0. Two outputs -z/2 and z/2 have the right argmax,
        # and their softmax is the logistic function of z.
        W, b = layers[-1].weights, layers[-1].bias
        assert b is not None
        layers[-1] = Layer(np.hstack([-W / 2, W / 2]), np.hstack([-b / 2, b / 2]))
    return [_given_layer((W, b), l) for l, (W, b) in enumerate(layers, 1)]


def _of_torch(model: Any) -> list[Layer]:
    nn = import_module("torch.nn")
    # A class derived from a module may compute anything: only the module's own class is accepted.
    if type(model) is not nn.Sequential:
        raise wrong_argument("source", ALLOWED, type(model).__name__)
    layers: list[Layer] = []
    is_rectified = True
    for place, module in _modules(model, nn.Sequential):
        kind = type(module)
        if kind is nn.Linear:
            if not is_rectified:
                raise wrong_argument(f"module {place} of source", "a ReLU after a Linear", "Linear")
            layers.append(_linear(module, len(layers) + 1))
            is_rectified = False
        elif kind is nn.ReLU:
            if not layers:
                raise wrong_argument(f"module {place} of source", "a Linear before a ReLU", "ReLU")
            is_rectified = True
        elif kind is nn.Dropout:
            if module.training:
                allowed = "in evaluation mode: call source.eval()"
                raise wrong_argument(f"Dropout {place} of source", allowed, "training mode")
        elif kind is nn.Flatten:
            if (module.start_dim, module.end_dim) != (1, -1):
                allowed = "over all dimensions but the first"
                raise wrong_argument(f"Flatten {place} of source", allowed, module)
        else:
            allowed = "Linear, ReLU, Flatten, Dropout or a Sequential of these"
            raise wrong_argument(f"module {place} of source", allowed, kind.__name__)
    return layers


def _modules(model: Any, sequential: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, module in model.named_children():
        place = prefix + name
        if type(module) is sequential:
            yield from _modules(module, sequential, f"{place}.")
        else:
            yield place, module


def _linear(module: Any, l: int) -> Layer:
    def values(parameter: Any) -> Any:
        return parameter.detach().cpu().double().numpy()

    b = None if module.bias is None else values(module.bias)
    return _given_layer((values(module.weight).T, b), l)
