"""Checks of the arguments of estimators: by ``validate_data``, where that is needed."""

from __future__ import annotations

import math
from numbers import Number
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import _num_features

from spikebp_plugins.common.errors import finite, wrong_argument
from spikebp_plugins.common.notice import warn
from spikebp_plugins.estimators.repetition import UNIT
from spikebp_plugins.network.samples import are_finite
from spikebp_plugins.network.sparse_rows import is_sparse, rows_of_matrix

try:  # releases of scikit-learn have it in different places
    from sklearn.utils.validation import validate_data as _validate_data
except ImportError:  # before scikit-learn 1.6

    def _validate_data(estimator: Any, /, *arrays: Any, **options: Any) -> Any:
        return estimator._validate_data(*arrays, **options)


Weights = NDArray[np.float64]

#: How often the samples of a call or an epoch may be shown, on average.
MOST_SHOWN: Final = 1000
#: `partial_fit` warns of weights that are all below this.
SELDOM_SHOWN: Final = 0.5

_NOTHING: Final = object()


def validate_data(estimator: Any, /, *arrays: Any, **options: Any) -> Any:
    """Return arrays that scikit-learn has checked; of a sparse `X` its rows, as `SparseRows`."""
    checked = _validate_data(estimator, *arrays, **options)
    X, *y = checked if isinstance(checked, tuple) else (checked,)
    if is_sparse(X):
        if not X.has_canonical_format:
            X = X.tocsc().tocsr()  # a copy in order; equal entries stay in theirs, as in an array
            X.sum_duplicates()
            finite("X", X.data, "finite, also where the entries of a sparse matrix are summed")
        X = rows_of_matrix("X", X)
    return (X, *y) if y else X


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
    if _are_features(estimator, X) and (not has_y or _are_numbers(y, X.shape[0])):
        X = X if isinstance(X, np.ndarray) else rows_of_matrix("X", X)
        return (X, y) if has_y else X
    given = (X, y) if has_y else (X,)
    options |= {"dtype": np.float64, "accept_sparse": "csr", "reset": False}
    return validate_data(estimator, *given, **options)


def check_pixels(X: Any, image_shape: tuple[int, ...] | None) -> None:
    """Refuse features whose number is not that of an image's pixels, before they are checked."""
    if image_shape is None:
        return
    try:
        n_features = _num_features(X)
    except TypeError:  # no table at all, which the next check reports
        return
    if n_features != math.prod(image_shape):
        allowed = f"the shape of an image of {n_features} features, as X has"
        raise wrong_argument("image_shape", allowed, repr(image_shape))


def checked_weights(weights: Any, n_samples: int, *, has_epochs: bool) -> Weights | None:
    """Return weights of samples, which must be finite, not negative and not too large.

    Those of a stream may all be zero. Those of epochs may not, and where the mean of those above
    zero is below 1, they are divided by it: weights that sum to 1 would show next to nothing.
    """
    if weights is None:
        return None
    # scikit-learn's own check of weights refuses zeros in newer releases.
    given = np.full(n_samples, weights) if isinstance(weights, Number) else weights
    checked: Weights = check_array(
        given, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if checked.shape != (n_samples,):
        allowed = f"a number, or of shape {(n_samples,)}"
        raise wrong_argument("sample_weight", allowed, f"shape {checked.shape}")
    if (checked < 0).any():
        raise wrong_argument("sample_weight", "not negative", checked[checked < 0][0])
    if has_epochs:
        check_not_zero("sample_weight", checked)
        # The exact sum, which does not depend on the order.
        mean = math.fsum(checked) / np.count_nonzero(checked)
        if mean < 1 - UNIT:
            checked = checked / mean
    check_shown("sample_weight", checked)
    if 0 < checked.max() < SELDOM_SHOWN:
        warn(
            f"all weights of this call are below {SELDOM_SHOWN}, and a weight is how often "
            "a sample is shown: multiply them so that their mean is about 1"
        )
    return checked


def check_not_zero(name: str, weights: Weights) -> None:
    """Refuse weights that are all zero."""
    if not weights.any():
        raise wrong_argument(name, "above zero for some sample", "zeros alone")


def check_shown(name: str, weights: Weights) -> None:
    """Refuse weights that show samples very often: each time takes as long as another sample."""
    with np.errstate(over="ignore"):
        mean = weights.mean()
    if mean > MOST_SHOWN:
        allowed = f"at most {MOST_SHOWN:,} on average, for it is how often a sample is shown"
        raise wrong_argument(name, allowed, f"{mean:.4g}")


def _are_features(estimator: Any, X: Any) -> bool:
    is_array = type(X) is np.ndarray
    if not is_array and not (is_sparse(X) and X.format == "csr" and X.has_canonical_format):
        return False
    return (
        X.dtype.char == "d"
        and X.ndim == 2
        and X.shape[1] == estimator.n_features_in_
        and X.shape[0] > 0
        and not hasattr(estimator, "feature_names_in_")  # without names, X would be warned of
        and are_finite(X if is_array else X.data)
    )


def _are_numbers(y: Any, n_samples: int) -> bool:
    return type(y) is np.ndarray and y.dtype.kind in "iu" and y.shape == (n_samples,)
