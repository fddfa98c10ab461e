r"""A conventional network of rectified units, with which the spiking network is compared.

Shapes, initial weights and the rule for the errors are those of the spiking network; units send
real numbers instead of spikes. For a sample x with target y, without bias:

.. math::

    a_0 &= x, \qquad s_l = a_{l-1} W_l, \qquad a_l = \max(0, s_l) \\
    e_L &= (a_L - y) \, [s_L \ge 0] \\
    e_{l-1} &= (W_l e_l) \, [s_{l-1} \ge 0] \\
    W_l &\leftarrow W_l - \eta \, a_{l-1} e_l^T

The errors pass through the weights as they were before the sample. That is plain stochastic
gradient descent on half the squared error, one sample at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.defaults import PAPER
from spikebp_plugins.network.samples import label_rows

Array = NDArray[np.float64]


def relu_scores(weights: Sequence[ArrayLike], x: ArrayLike) -> Array:
    """Return the scores :math:`s_L`: the last layer's drive before it is rectified.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_in, n_out)
        :math:`W_1` to :math:`W_L`.
    x : array-like of shape (n_samples, n_inputs)
        Input.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
        The scores; the index of the largest is the class.
    """
    _, s = _forward([np.asarray(W, np.float64) for W in weights], np.asarray(x, np.float64))
    return s[-1]


def train_relu(
    weights: Sequence[ArrayLike], x: ArrayLike, y: ArrayLike, learning_rate: float
) -> list[Array]:
    r"""Learn from samples, one at a time and in order.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_in, n_out)
        :math:`W_1` to :math:`W_L`, which stay as they are.
    x : array-like of shape (n_samples, n_inputs)
        Input.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Integer labels, which stand for one-hot targets, or real targets.
    learning_rate : float
        :math:`\eta`.

    Returns
    -------
    list of ndarray of shape (n_in, n_out)
        The weights after the last sample.

    Raises
    ------
    ValueError
        If `y` is neither labels of the output units nor targets for them, one for each sample.
    """
    learned = [np.array(W, np.float64) for W in weights]
    inputs = np.asarray(x, np.float64)
    targets = _targets(y, len(inputs), learned[-1].shape[1])
    for x_i, y_i in zip(inputs, targets, strict=True):
        a, s = _forward(learned, x_i)
        e = np.where(s[-1] >= 0, a[-1] - y_i, 0.0)
        for l in range(len(learned) - 1, -1, -1):
            change = learning_rate * np.outer(a[l], e)
            if l > 0:
                e = np.where(s[l - 1] >= 0, learned[l] @ e, 0.0)
            learned[l] -= change
    return learned


def _forward(weights: list[Array], x: Array) -> tuple[list[Array], list[Array]]:
    """Return the activations of layers 0..L, and the drive of layers 1..L."""
    a, s = [x], []
    for W in weights:
        s.append(a[-1] @ W)
        a.append(np.maximum(s[-1], 0.0))
    return a, s


def _targets(y: ArrayLike, n_samples: int, n_outputs: int) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(y)
    if array.shape == (n_samples, n_outputs):
        return array
    is_label = array.dtype.kind in "iu" and np.all((array >= 0) & (array < n_outputs))
    if array.shape != (n_samples,) or not is_label:
        labels = f"labels from 0 to {n_outputs - 1} of shape ({n_samples},)"
        allowed = f"{labels}, or targets of shape ({n_samples}, {n_outputs})"
        raise wrong_argument("y", allowed, f"{array.dtype} of shape {array.shape}")
    return label_rows(array, n_outputs, PAPER.label_targets)
