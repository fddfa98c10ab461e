"""Reads the layers of fitted networks of scikit-learn, also behind scalers in a pipeline."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer, Array, UnitScaling, given_layer

#: Scalers by name: their attributes that are subtracted, divided by, multiplied by and added.
SCALERS: Final[dict[str, tuple[str | None, ...]]] = {
    "StandardScaler": ("mean_", "scale_", None, None),
    "RobustScaler": ("center_", "scale_", None, None),
    "MaxAbsScaler": (None, "scale_", None, None),
    "MinMaxScaler": (None, None, "scale_", "min_"),
}
#: Attributes that a scaler has even if it does not use them, and the parameter that says so.
SWITCHES: Final = {"mean_": "with_mean"}


def layers_of_network(model: Any) -> list[AffineLayer]:
    """Return the layers of a fitted MLPClassifier or MLPRegressor."""
    name = type(model).__name__
    if not hasattr(model, "coefs_"):
        raise wrong_argument("source", "a fitted network", f"a {name} that has not been fitted")
    if len(model.coefs_) > 1 and model.activation != "relu":
        raise wrong_argument("activation of source", "'relu'", repr(model.activation))
    output = model.out_activation_
    if output not in ("identity", "softmax", "logistic"):
        allowed = "'identity', 'softmax' or 'logistic'"
        raise wrong_argument("output activation of source", allowed, repr(output))
    layers = [AffineLayer(W, b) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
    if output == "logistic" and layers[-1].weights.shape[1] == 1:
        # One output z that is compared with 0. Two outputs -z/2 and z/2 have the right argmax,
        # and their softmax is the logistic function of z.
        W, b = layers[-1].weights, layers[-1].bias
        assert b is not None
        layers[-1] = AffineLayer(np.hstack([-W / 2, W / 2]), np.hstack([-b / 2, b / 2]))
    return [given_layer(W, b, l) for l, (W, b) in enumerate(layers, 1)]


def scaling_of(step: Any, place: str) -> UnitScaling:
    """Return the scaling of a scaler in a pipeline; raise ValueError for unknown steps."""
    name = type(step).__name__
    # By name and module: a class derived from a scaler may compute anything.
    if name not in SCALERS or not type(step).__module__.startswith("sklearn.preprocessing."):
        allowed = f"one of {', '.join(SCALERS)} or 'passthrough'"
        raise wrong_argument(f"step {place} of source", allowed, name)
    if getattr(step, "clip", False):
        raise wrong_argument(f"clip of step {place} of source", "False", step.clip)
    if not hasattr(step, "n_features_in_"):
        allowed = "a fitted scaler"
        raise wrong_argument(f"step {place} of source", allowed, f"a {name} that is not fitted")
    subtracted, divisor, factor, added = (_used(step, attribute) for attribute in SCALERS[name])
    ones: Array = np.ones(step.n_features_in_)
    g = ones / (1.0 if divisor is None else divisor) * (1.0 if factor is None else factor)
    h = (0 if added is None else added) - g * (0 if subtracted is None else subtracted)
    return UnitScaling(np.asarray(g), np.asarray(h * ones))


def _used(step: Any, attribute: str | None) -> Any:
    if attribute is None or getattr(step, SWITCHES.get(attribute, attribute)) is False:
        return None
    return getattr(step, attribute)
