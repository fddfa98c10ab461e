"""How many clocks a sample takes: they follow from what units send, and from nothing else.

A pass of products takes a clock for each word of each entry of its list: the row of a unit that
spikes, the column of one with an error, or, in an update, a word with errors for each unit below
that has spiked. A pass of the quantizers goes through the words of a layer, and a word takes as
many clocks as units are listed, but 2 at least. Each pass has some clocks more, until its pipeline
is empty.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.layout import Layout

Integers = NDArray[np.int64]

#: Clocks of a pass of products with and without entries, of one of the input with and without
#: spikes, of a pass of the quantizers, and of a rate.
PRODUCTS, NO_PRODUCTS = 16, 5
INPUT, NO_INPUT = 19, 7
#: Clocks until the core takes the next spike of the input.
SPIKE: Final = 4
QUANTIZERS: Final = 12
RATE: Final = 5
#: Clocks in which the inputs met are kept for the next update, where weights learn at each step.
KEEP, NOTHING_KEPT = 5, 4


def clocks_of(
    layout: Layout, spikes: list[Integers], errors: list[Any] | None, n_targets: int = 1
) -> Counter[str]:
    """Return the clocks of a sample by what the core does, if its tokens come without a pause.

    Parameters
    ----------
    layout : Layout
        The network on the core.
    spikes : list of ndarray of shape (n_steps, n_units)
        Of layers 0..L, as one sample of a trace has them.
    errors : list of ndarray of shape (n_steps, n_units), or None
        Of layers 1..L behind None; None for a sample without a target.
    n_targets : int, default=1
        Steps that have a target of their own.
    """
    return _Clocks(layout, spikes, errors, n_targets).total


class _Clocks:
    """The clocks of a sample, added up as its steps go by."""

    def __init__(
        self, layout: Layout, spikes: list[Integers], errors: list[Any] | None, n_targets: int
    ) -> None:
        self.layout = layout
        self.rule = layout.net.learning_rule
        self.total: Counter[str] = Counter(input=NO_INPUT)  # to close it
        n_steps, L = len(spikes[0]), layout.net.n_layers
        c = [np.zeros(n, np.int64) for n in layout.sizes]
        E = [np.zeros(n, np.int64) for n in layout.sizes]
        has_spiked = np.zeros(layout.sizes[0], np.bool_)
        if errors is not None:
            self.total["input"] += layout.sizes[-1] * n_targets
        for t in range(n_steps):
            sent = [layer[t] for layer in spikes]
            back: list[Any] = [
                layer if layer is None else layer[t] for layer in errors or [None] * (L + 1)
            ]
            has_spiked |= sent[0] != 0
            c = [before + k for before, k in zip(c, sent, strict=True)]
            n, words = np.count_nonzero(sent[0]), layout.words[1]
            self.total["input"] += (
                INPUT + max(n * words, SPIKE * (n - 1) + words) if n else NO_INPUT
            )
            for l in range(1, L + 1):
                if l > 1:
                    self._products("forward", sent[l - 1], layout.words[l])
                if l == L and errors is not None:
                    self._quantizers("targets", l, np.zeros(layout.sizes[l]))
                listed = c[l]
                if l == L:  # spikes of the output are listed, and so are its errors
                    listed = sent[l] if errors is None else (sent[l] != 0) | (back[l] != 0)
                self._quantizers("spikes", l, listed)
            if errors is None:
                continue
            for l in range(L, 1, -1):
                self._products("backward", back[l], layout.words[l - 1])
                self._quantizers("errors", l - 1, back[l - 1])
            E = [E[0], *(before + e for before, e in zip(E[1:], back[1:], strict=True))]
            if not self.rule.learns_once:
                self._update([has_spiked, *c[1:]], back)
                if t + 1 < layout.updates:
                    n = int(has_spiked.sum())
                    self.total["keep"] += KEEP + n if n else NOTHING_KEPT
        if errors is not None and self.rule.learns_once:
            self._update([has_spiked, *c[1:]], E)

    def _products(self, name: str, entries: Integers, words: int) -> None:
        n = np.count_nonzero(entries) * words
        self.total[name] += PRODUCTS + int(n) if n else NO_PRODUCTS

    def _quantizers(self, name: str, l: int, listed: Any) -> None:
        *others, last = self._by_word(l, listed)
        self.total[name] += QUANTIZERS + sum(max(2, int(n)) for n in others) + int(last)

    def _update(self, met: list[Any], errors: list[Any]) -> None:
        for l in range(1, len(self.layout.sizes)):
            self.total["rate"] += RATE
            if self.rule.reads_squares:
                self._products("squares", met[l - 1], 1)
                self.total["rate"] += self.layout.parameters["LIMIT_BITS"]
            n_words = np.count_nonzero(self._by_word(l, errors[l]))
            self._products("update", met[l - 1], int(n_words))

    def _by_word(self, l: int, values: Any) -> Integers:
        """Return how many units of each word have a value that is not 0."""
        padded = np.zeros(self.layout.words[l] * self.layout.lanes, np.bool_)
        padded[: len(values)] = values != 0
        listed: Integers = np.count_nonzero(padded.reshape(-1, self.layout.lanes), axis=1)
        return listed
