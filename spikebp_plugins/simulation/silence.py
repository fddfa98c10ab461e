"""Why no output of a network fires, and what would help, found with copies of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, UnsupportedError
from spikebp_plugins.backends.registry import STAND_IN, backend_for
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.sparse_rows import SparseRows

#: How often a copy is to learn the samples.
N_REPEATS: Final = 3
#: The largest factor of `input_scale` that is tried is two to the power of this.
MOST_DOUBLINGS: Final = 30


class Firing(NamedTuple):
    """What samples do in a network.

    Attributes
    ----------
    fires : ndarray of shape (n_samples, n_layers + 1), bool
        Whether anything fires in each of the layers 0..L.
    scores : ndarray of shape (n_samples, n_outputs)
        Their scores.
    """

    fires: NDArray[np.bool_]
    scores: NDArray[np.float64]


def reason_of_silence(
    checkpoint: Checkpoint,
    samples: Sequence[Batch],
    *,
    is_long: bool,
    constant_at: int | None = None,
    input_is_scaled: bool = False,
) -> str | None:
    """Return why no output fires, and what would help; None if that is as it should be.

    A network that learns from its samples without firing may have begun with small weights or, to
    its output, with none; and one that has learned may be right to be silent.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    samples : sequence of Batch
        Some of the samples in which no output has fired, all with targets or all without.
    is_long : bool
        Whether there have been so many that a network that learns should fire.
    constant_at : int or None, default=None
        The index of a constant input, which an estimator divides by `input_scale`.
    input_is_scaled : bool, default=False
        Whether an estimator scales features, so that there is no `input_scale` to choose.
    """
    net = checkpoint.net
    ones = [replace(one, net=net) for batch in samples for one in batch.blocks(1)]
    copy = _fast_backend(net)
    firing = _firing(copy(checkpoint), ones)
    if firing.fires[:, -1].any():
        return None
    heard = [one for one in ones if _sends(one)]
    silent = np.flatnonzero(~firing.fires[:, :-1].any(axis=0)).tolist()
    if ones[0].y is None:
        if not (heard and silent):
            return None
        if silent[0] > 0 and net.weight_init == "paper":  # as small as to begin in silence
            return None
    else:
        learns = _learns(copy(checkpoint), ones)
        if learns and not is_long:
            return None
        if not any(map(_asks, ones)):
            # Real targets may well ask for nothing.
            is_by_label = ones[0].y.ndim == 1
            ask = "label_targets ask for less than half a spike in a sample: take larger ones"
            return ask if is_by_label else None
        if not heard:
            return "their input is zero, from which nothing is learned"
        if not silent:
            return _reason_in_output(net, firing.scores, learns)
    first = f"layer {silent[0]} is the first in which nothing fires"
    if net.input_coding == "spikes":
        return f"{first}: show more spikes, or take larger weights"
    if input_is_scaled:
        return f"{first}: the features may hardly vary"
    scale = _scale_that_fires(checkpoint, copy, heard, constant_at)
    if scale is None:
        return f"{first}, at any input_scale: take larger weights, or a smaller learning_rate"
    times = f"{scale / net.input_scale:.0f} times the present one"
    return f"{first}: input_scale={scale:g}, {times}, would make all layers below the output fire"


def _reason_in_output(net: Definition, scores: NDArray[np.float64], learns: bool) -> str:
    """Return why an output does not fire that is sent spikes, and is asked for some."""
    if learns:
        return "it learns too slowly: take a larger learning_rate, or larger targets"
    if net.bounded and net.update != "normalized" and (scores >= 0).all():
        return "each update is too large to be made: take a smaller input_scale or learning_rate"
    return (
        "outputs with a drive below zero have no error and learn nothing: take a smaller "
        "learning_rate, or weight_init='quiet'"
    )


def _sends(one: Batch) -> bool:
    """Whether the input of a sample is not zero."""
    return bool((one.x.number if isinstance(one.x, SparseRows) else one.x).any())


def _asks(one: Batch) -> bool:
    """Whether the targets of a sample ask an output for a spike."""
    y = one.targets()
    steps = np.broadcast_to(y, (1, one.n_steps, y.shape[2]))
    return bool(steps.cumsum(axis=1).max() > 0.5)


def _fast_backend(net: Definition) -> Callable[[Checkpoint], Backend]:
    """Return what opens a copy of a network on a fast back end, if one can run it."""
    try:
        _, cls, options = backend_for(net, None, {})
    except UnsupportedError:
        _, cls, options = backend_for(net, STAND_IN, {})
    return lambda checkpoint: cls(checkpoint.net, checkpoint.state, **options)


def _firing(copy: Backend, ones: Sequence[Batch]) -> Firing:
    """Show samples to a copy of a network, which is closed then."""
    fires, scores = [], []
    with closing(copy):
        for one in ones:
            outcome = copy.predict(replace(one, y=None), True)
            assert outcome.recording is not None
            fires.append([bool(counts.any()) for counts in outcome.recording.spikes])
            scores.append(outcome.scores[0])
    return Firing(np.array(fires), np.array(scores))


def _learns(copy: Backend, ones: Sequence[Batch]) -> bool:
    """Whether a copy of a network, which is closed then, learns anything from samples."""
    with closing(copy):
        for one in [*ones] * N_REPEATS:
            copy.train(one, False)
            if copy.operations.update:
                return True
    return False


def _scale_that_fires(
    checkpoint: Checkpoint,
    copy: Callable[[Checkpoint], Backend],
    heard: Sequence[Batch],
    constant_at: int | None,
) -> float | None:
    """Return a larger `input_scale` with which half of the samples reach the output, if any does.

    It is the present one times the smallest power of two, rounded to three digits, which are shown.
    """
    before = checkpoint.net
    for doubling in range(1, MOST_DOUBLINGS + 1):
        scale = float(f"{before.input_scale * 2.0**doubling:.3g}")
        try:
            net = before.replace(input_scale=scale, fraction_bits=before.fraction_bits)
            ones = [_rescaled(one, net, constant_at) for one in heard]
            reaches = _firing(copy(replace(checkpoint, net=net)), ones).fires[:, :-1].all(axis=1)
        except (OverflowError, ValueError):  # out of the range of the arithmetic
            return None
        if 2 * np.count_nonzero(reaches) >= len(ones):
            return scale
    return None


def _rescaled(one: Batch, net: Definition, constant_at: int | None) -> Batch:
    """Return a sample for a definition with another `input_scale`."""
    if constant_at is None:
        return replace(one, net=net)
    rows = one.rows().astype(np.float64)
    rows[..., constant_at] *= one.net.input_scale / net.input_scale
    return replace(one, net=net, x=rows if len(one.x.shape) == 3 else rows[:, 0])
