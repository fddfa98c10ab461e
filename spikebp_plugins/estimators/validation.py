"""How estimators check what they are given: by ``validate_data``, where that is needed."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, _num_features

from spikebp_plugins.common.errors import wrong_argument

try:  # releases of scikit-learn have it in different places
    from sklearn.utils.validation import validate_data as validate_data
except ImportError:  # before scikit-learn 1.6

    def validate_data(estimator: Any, /, *arrays: Any, **options: Any) -> Any:
        """Return checked arrays, as the function of newer releases does."""
        return estimator._validate_data(*arrays, **options)


_NOTHING: Final = object()


def checked_data(estimator: Any, X: Any, y: Any = _NOTHING, **options: Any) -> Any:
    """Return what ``validate_data`` returns for an estimator that has seen data before.

    Arrays that it would return as they are it need not see: for a single row it takes several times
    as long as the network does to learn from it.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like of shape (n_samples, n_features)
        Features, of double precision in the end.
    y : array-like, optional
        Labels or targets.
    **options
        For ``validate_data``.

    Raises
    ------
    ValueError
        If an array is not allowed.
    """
    has_y = y is not _NOTHING
    if _are_features(estimator, X) and (not has_y or _are_numbers(y, len(X))):
        return (X, y) if has_y else X
    given = (X, y) if has_y else (X,)
    options |= {"dtype": np.float64, "accept_sparse": "csr", "reset": False}
    return validate_data(estimator, *given, **options)


def check_pixels(X: Any, image_shape: tuple[int, ...] | None) -> None:
    """Refuse features that are as many as no image of a shape has, before they are known."""
    if image_shape is None:
        return
    try:
        n_features = _num_features(X)
    except TypeError:  # no table at all, as whoever checks it next will say
        return
    if n_features != math.prod(image_shape):
        allowed = f"the shape of an image of {n_features} features, as X has"
        raise wrong_argument("image_shape", allowed, repr(image_shape))


def checked_weights(weights: Any, X: Any) -> NDArray[np.float64] | None:
    """Return weights of samples, which must be finite and not negative, and not all zero."""
    if weights is None:
        return None
    checked: NDArray[np.float64] = _check_sample_weight(weights, X, dtype=np.float64)
    if (checked < 0).any():
        raise wrong_argument("sample_weight", "not negative", checked[checked < 0][0])
    if not checked.any():
        raise wrong_argument("sample_weight", "above zero for some sample", "zeros alone")
    return checked


def _are_features(estimator: Any, X: Any) -> bool:
    return (
        type(X) is np.ndarray
        and X.dtype.char == "d"
        and X.ndim == 2
        and X.shape[1] == estimator.n_features_in_
        and len(X) > 0
        and not hasattr(estimator, "feature_names_in_")  # without names, X would be warned of
        and 0 not in np.isfinite(X).tobytes()
    )


def _are_numbers(y: Any, n_samples: int) -> bool:
    return type(y) is np.ndarray and y.dtype.kind in "iu" and y.shape == (n_samples,)
