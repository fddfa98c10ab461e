r"""Probabilities of classes from the scores of a network.

.. math:: p = \mathrm{softmax}(\beta s)

The inverse temperature :math:`\beta` minimizes the log loss of the scores of samples that had not
been learned yet: the last of a stream, when they were shown for the first time, or those that `fit`
kept out. Where it kept none out, they are those of its last epoch; so the loss takes one label of
200 for wrong: a network that knows its samples by heart would otherwise be certain of everything.
"""

from __future__ import annotations

from collections import deque
from itertools import accumulate, groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: How many of the last samples count.
WINDOW: Final = 1000
#: beta is found anew after so many samples, which costs a stream little.
INTERVAL: Final = 50
#: So many samples are enough to find it again.
KEPT: Final = WINDOW + INTERVAL
#: The share of labels that are taken for wrong.
DOUBT: Final = 1 / 200
#: beta is 2^(i / PARTS) with an integer i of a magnitude of at most LIMIT * PARTS.
PARTS: Final = 32
LIMIT: Final = 8


class Temperature:
    """The inverse temperature of a softmax over scores, fitted to the last learned samples.

    It depends on the samples and their order alone: not on how many came in one call, nor on when
    or how often it is asked.
    """

    def __init__(self) -> None:
        self._chunks: deque[tuple[Array, NDArray[np.int64]]] = deque()
        self._n_kept = 0
        self._n_seen = 0
        self._found = (0, 1.0)  # beta, and how many samples there were when it was found

    def copy(self) -> Temperature:
        """Return an independent copy."""
        other = Temperature()
        vars(other).update(vars(self), _chunks=self._chunks.copy())
        return other

    def __getstate__(self) -> dict[str, Any]:
        # Equal whether samples came one by one or many in a call, and whether beta was asked for.
        return {"_chunks": self._joined(), "_n_seen": self._n_seen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(Temperature()) | state)
        self._n_kept = sum(len(labels) for _, labels in self._chunks)

    def observe(self, scores: Array, labels: NDArray[np.int64]) -> None:
        """Observe samples that were learned.

        Parameters
        ----------
        scores : ndarray of shape (n_samples, n_classes)
            The scores that they reached; the array is kept, and must not change. There may be more
            classes than before.
        labels : ndarray of shape (n_samples,)
            Their classes, from 0.
        """
        self._n_seen += len(labels)
        if len(labels) > KEPT:  # a copy lets go of the rest
            scores, labels = scores[-KEPT:].copy(), labels[-KEPT:].copy()
        self._chunks.append((scores, labels))
        self._n_kept += len(labels)
        while self._n_kept - len(self._chunks[0][1]) >= KEPT:
            self._n_kept -= len(self._chunks.popleft()[1])

    @property
    def inverse(self) -> float:
        """The inverse temperature: 1 before the first sample, from 2^-8 to 2^8."""
        n = self._n_seen
        settled = n - n % INTERVAL if n > INTERVAL else n
        if self._found[0] != settled:
            self._found = settled, self._best(n - settled)
        return self._found[1]

    def probabilities(self, scores: Array) -> Array:
        """Return the probabilities of the classes, of shape (n_samples, n_classes)."""
        return softmax(self.inverse * scores)

    def log_probabilities(self, scores: Array) -> Array:
        """Return the logarithms of the probabilities, of shape (n_samples, n_classes)."""
        powers = self.inverse * scores
        powers -= powers.max(axis=1, keepdims=True)
        logs: Array = powers - np.log(np.exp(powers).sum(axis=1, keepdims=True))
        return logs

    def _best(self, n_newer: int) -> float:
        """Return beta for the last samples but `n_newer`."""
        self._chunks = self._joined()
        self._n_kept = min(self._n_kept, KEPT)
        stop = self._n_kept - n_newer
        n_classes = self._n_classes_at(stop)
        most = self._chunks[-1][0].shape[1]
        scores = np.concatenate([_wide(scores, most) for scores, _ in self._chunks])
        labels = np.concatenate([labels for _, labels in self._chunks])
        kept = slice(max(0, stop - WINDOW), stop)
        return _minimum(scores[kept, :n_classes], labels[kept])

    def _joined(self) -> deque[tuple[Array, NDArray[np.int64]]]:
        """Return the samples that are needed in as few arrays as their numbers of classes allow."""
        joined, excess = deque[tuple[Array, NDArray[np.int64]]](), max(0, self._n_kept - KEPT)
        for _, alike in groupby(self._chunks, lambda chunk: chunk[0].shape[1]):
            scores, labels = map(np.concatenate, zip(*alike, strict=True))
            if excess < len(labels):
                joined.append((scores[excess:], labels[excess:]))
            excess = max(0, excess - len(labels))
        return joined

    def _n_classes_at(self, stop: int) -> int:
        """Return the number of classes at the time of the first kept sample."""
        ends = accumulate(len(labels) for _, labels in self._chunks)
        widths = (scores.shape[1] for scores, _ in self._chunks)
        return next(width for width, end in zip(widths, ends, strict=True) if end >= stop)


def _wide(scores: Array, n_classes: int) -> Array:
    """Return scores with zeros for classes that did not exist yet."""
    missing = n_classes - scores.shape[1]
    return np.pad(scores, ((0, 0), (0, missing))) if missing else scores


def _minimum(scores: Array, labels: NDArray[np.int64]) -> float:
    """Return the beta with the least log loss, which is convex: its slope rises with beta."""
    rights = scores[np.arange(len(labels)), labels]
    others = (scores.sum(axis=1) - rights) / max(1, scores.shape[1] - 1)
    expected = np.mean((1 - DOUBT) * rights + DOUBT * others)
    low, high = -LIMIT * PARTS, LIMIT * PARTS
    while high - low > 1:
        middle = (low + high) // 2
        p = softmax(2.0 ** (middle / PARTS) * scores)
        is_rising = np.mean(np.sum(p * scores, axis=1)) >= expected
        low, high = (low, middle) if is_rising else (middle, high)
    return float(2.0 ** (high / PARTS))


def softmax(scores: Array) -> Array:
    """Return positive numbers in the order of the scores; those of a row sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares
