"""Samples as the core takes them: tokens, with what the host computes of rule 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.layout import Layout
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.rules.step import fire_input

#: Kinds of tokens as in ``spikebp_core.sv``, operations on memories as in ``spikebp_serial.sv``,
#: and memories.
SPIKE, TARGET, STEP, CLOSE, DROP, READ, WRITE = range(7)
WEIGHTS, SUMS = range(2)

Integers = NDArray[np.int64]


def tokens_of(layout: Layout, batch: Batch) -> tuple[Integers, Integers] | None:
    """Return the spikes of the input of one sample, and all tokens of it but the last.

    Returns
    -------
    spikes : ndarray of shape (n_steps, n_inputs), int64
        Those of layer 0 (rule 1), which the host fires.
    tokens : ndarray of shape (n, 3), int64
        Kind, unit and value.

    None if a number does not fit a token.
    """
    try:
        spikes = input_spikes(batch)
    except OverflowError:
        return None
    if np.abs(spikes).max(initial=0) > layout.most_counted // 2:
        return None
    parts: list[Integers] = []
    targets: Integers = np.empty((0, 0), np.int64)
    if batch.y is not None:
        targets = arithmetic_of(batch.net).encode(batch.targets()[0])
        if np.abs(targets).max() > layout.largest_target:
            return None
    for t, sent in enumerate(spikes):
        if t < len(targets):
            parts.append(_tokens(TARGET, np.arange(targets.shape[1]), targets[t]))
        active = np.flatnonzero(sent)
        parts.append(_tokens(SPIKE, active, sent[active]))
        parts.append(_tokens(STEP, np.zeros(1, np.int64), int(batch.y is not None)))
    return spikes, np.concatenate(parts)


def input_spikes(batch: Batch) -> Integers:
    """Return the spikes of the input of one sample, of shape (n_steps, n_inputs).

    Raises
    ------
    OverflowError
        If a potential or a count leaves the range of the arithmetic.
    """
    net, (rows,) = batch.net, batch.inputs()
    phi, c = np.zeros(net.n_inputs), np.zeros(net.n_inputs, np.int64)
    sent = np.empty((batch.n_steps, net.n_inputs), np.int64)
    for t in range(batch.n_steps):
        sent[t], phi, c = fire_input(net, phi, c, rows[t % len(rows)])
    return sent


def _tokens(kind: int, units: NDArray[Any], values: Any) -> Integers:
    tokens = np.empty((len(units), 3), np.int64)
    tokens[:, 0], tokens[:, 1], tokens[:, 2] = kind, units, values
    return tokens
