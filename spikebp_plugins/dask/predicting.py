"""Predictions for collections of Dask, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from dask.delayed import delayed

from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.dask.learners import numbers_of
from spikebp_plugins.dask.partitions import check_collection, in_whole_rows
from spikebp_plugins.network.checkpoint import Checkpoint


def predict(model: Any, X: Any, method: str = "predict") -> Any:
    """Return what a model predicts for a collection of Dask, which computes it block by block.

    Parameters
    ----------
    model : estimator or Checkpoint
        A fitted estimator, or a network, whose scores are returned.
    X : dask.array.Array or dask.dataframe.DataFrame
        Features, whose blocks may be sparse matrices; for a network what `Simulator.predict` takes.
    method : str, default="predict"
        The method of the estimator that predicts, such as "predict_proba"; a network has one.

    Returns
    -------
    dask.array.Array, dask.dataframe.Series or dask.dataframe.DataFrame
        Of the kind of `X`, with its rows; nothing is computed yet.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    """
    check_collection("X", X)
    if isinstance(model, Checkpoint):
        choice("method", method, ("predict",))
    elif not callable(getattr(model, method, None)):
        raise wrong_argument("method", f"a method of {type(model).__name__}", repr(method))
    sent = delayed(model, traverse=False)
    if not hasattr(X, "rechunk"):
        meta = _of_frame(X._meta_nonempty, model, method).iloc[:0]
        return X.map_partitions(_of_frame, sent, method, meta=meta)
    X = in_whole_rows(X)
    one = _predicted(np.zeros((1, *X.shape[1:])), model, method)
    options: dict[str, Any] = {"dtype": one.dtype, "meta": one[:0]}
    if one.ndim == 1:
        options["drop_axis"] = list(range(1, X.ndim))
    else:
        options["drop_axis"] = list(range(2, X.ndim))
        options["chunks"] = (X.chunks[0], one.shape[1:])
    return X.map_blocks(_predicted, sent, method, **options)


def _predicted(block: Any, model: Any, method: str) -> Any:
    if isinstance(model, Checkpoint):
        with model.simulate() as simulator:
            return simulator.predict(numbers_of(block), progress=False)
    if not block.shape[0]:  # estimators want one sample at least
        return getattr(model, method)(np.zeros((1, block.shape[1])))[:0]
    return getattr(model, method)(block)


def _of_frame(frame: Any, model: Any, method: str) -> Any:
    import pandas as pd

    predicted = _predicted(frame, model, method)
    kind = pd.Series if predicted.ndim == 1 else pd.DataFrame
    return kind(predicted, index=frame.index)
