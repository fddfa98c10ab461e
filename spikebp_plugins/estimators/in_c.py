"""A classifier as a program in C: its scaling and its learning rate as numbers of C, and back."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from spikebp_plugins.backends.base import UnsupportedError
from spikebp_plugins.common.errors import choice, real, wrong_argument
from spikebp_plugins.embedded.features_in_c import (
    BLOCK,
    FEATURE,
    READING_BITS,
    FeaturesInC,
    progress_type,
)
from spikebp_plugins.embedded.learned_in_c import LearnedInC, learned_in_c
from spikebp_plugins.estimators.classifier import SpikingMLPClassifier
from spikebp_plugins.estimators.feature_counts import FeatureCounts
from spikebp_plugins.estimators.learning_rate import MARKS, LearningRate
from spikebp_plugins.estimators.running_scale import ONE, RunningScale
from spikebp_plugins.estimators.scaling import LIMIT
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import LearningState

#: What a scale and ``struct feature`` call alike.
SAME: Final = (
    *("centre", "squares", "changes", "n", "total"),
    *("n_changes", "n_large", "far", "small", "met", "repeated"),
)
#: What a rate and ``struct progress`` do.
SAME_OF_RATE: Final = ("n_errors", "total", "squares", "least", "margin", "begins_anew")


@learned_in_c.register
def _(learned: SpikingMLPClassifier, feature_bits: int, unit: float) -> LearnedInC:
    check_is_fitted(learned)
    choice("feature_bits", feature_bits, READING_BITS)
    allowed = "a power of two, as 2**-14"
    _, exponent = math.frexp(real("unit", unit, allowed, lambda x: math.frexp(x)[0] == 0.5))
    with learned._learning_lock, learned._lock:
        _check_known(learned)
        features = _features(learned, feature_bits, exponent - 1)
        rate, net = _in_stream(learned._learned.rate), learned._learned.net
        at_first = net.at_rate(rate._replace(n_samples=0).now)
        checkpoint = Checkpoint(at_first, learned._learned.checkpoint.state)
        return LearnedInC(checkpoint, features, partial(_after, deepcopy(learned), features))


def _check_known(learned: SpikingMLPClassifier) -> None:
    """Refuse what C does not know."""
    for name in ("class_weight", "replay_capacity"):
        if value := getattr(learned, name):
            raise UnsupportedError(f"a program in C knows no {name}: it is {value!r}")
    if learned._scaling is None:
        raise UnsupportedError(
            f"a program in C scales by input_scale='auto', not by {learned.input_scale!r}: take "
            "checkpoint_ for one that is shown pixels, or values times 2^f, and learns at one rate"
        )


def _in_stream(rate: LearningRate) -> LearningRate:
    """Return the rate as it is in a stream, which a program has."""
    return rate.beginning()._replace(in_stream=True)


def _features(learned: SpikingMLPClassifier, bits: int, unit: int) -> FeaturesInC:
    """Return the features of a classifier, in units of a power of two."""
    scaling, rate = learned._scaling, _in_stream(learned._learned.rate)
    assert scaling is not None
    n, names = learned.n_features_in_, tuple(map(str, learned.classes_.tolist()))
    as_readings = partial(_as_readings, bits=bits, unit=unit)
    waiting = [rows.dense() if isinstance(rows, SparseRows) else rows for rows in scaling.waiting]
    block = np.zeros((BLOCK, n), f"<i{bits // 8}")
    if waiting:
        rows = np.concatenate(waiting)
        block[: len(rows)] = as_readings(rows)

    features = np.zeros(n + 1, FEATURE)
    features["nonzero"][:n], features["since"][:n] = scaling.counts.at(scaling.n_seen).T
    features["is_dense"][scaling.dense] = 1
    for places, scale in ((scaling.dense, scaling.scale), ([n], scaling.length)):
        for name in SAME:
            features[name][places] = getattr(scale, name)
        features["exponent"][places] = np.where(scale.n > 0, scale.exponent - unit, 0)
    for name in ("last", "second"):
        features[name][scaling.dense] = as_readings(getattr(scaling.scale, name))
    length, exponent = float(scaling.length.last[0]).as_integer_ratio(), -unit
    odd = length[0] & -length[0]  # the largest power of two that divides it
    if odd:
        exponent += odd.bit_length() - length[1].bit_length()
    features["last"][n] = length[0] // max(odd, 1)
    features["last_exponent"][n] = exponent if odd else 0

    progress = np.zeros((), progress_type(len(names)))
    progress["unit"], progress["n_scaled"] = unit, scaling.n_seen
    progress["n_waiting"] = sum(map(len, waiting))
    progress["sparse_bits"] = scaling.sparse_bits or 0
    progress["n_followed"], progress["n_since"] = rate.n_seen, rate.n_samples
    for name in SAME_OF_RATE:
        progress[name] = getattr(rate, name)
    progress["has_come"][list(rate.labels)] = 1
    net = learned._learned.net
    return FeaturesInC(
        bits=bits,
        names=names,
        input_of_one=scaling.spread / ONE * net.input_factor,
        constant=net.input_factor / net.input_scale,
        marks=() if rate.is_fixed else tuple(mark << rate.doubled for mark in MARKS),
        features=features,
        progress=progress,
        block=block,
        meanings=_meanings(learned),
    )


def _meanings(learned: SpikingMLPClassifier) -> tuple[str, ...]:
    """Return what the features of a classifier are, as far as it knows."""
    if learned.table_ is not None:
        return tuple(learned.table_.meanings)
    return tuple(getattr(learned, "feature_names_in_", ()))


def _as_readings(values: NDArray[np.float64], bits: int, unit: int) -> NDArray[np.int64]:
    """Return the readings of the last samples as integers, or refuse them."""
    readings = np.ldexp(values, -unit)
    is_one = (readings == np.rint(readings)) & (np.abs(readings + 0.5) < 2 ** (bits - 1))
    if not is_one.all():
        allowed = (
            f"such that the last samples are integers of {bits} bits times it, as a program reads "
            "them: train with what the sensors send"
        )
        raise wrong_argument("unit", allowed, f"2**{unit} with {values[~is_one][0]:.6g}")
    return readings.astype(np.int64)


def _after(
    before: SpikingMLPClassifier,
    fixed: FeaturesInC,
    state: LearningState,
    features: NDArray[Any],
    progress: NDArray[Any],
    block: NDArray[Any],
) -> SpikingMLPClassifier:
    """Return a classifier as it is after what a program has learned."""
    learned: SpikingMLPClassifier = deepcopy(before)
    unit, of_one, length = fixed.unit, features[:-1], features[-1:]
    scaling = learned._scaling
    assert scaling is not None
    dense = np.flatnonzero(of_one["is_dense"])
    n_waiting = int(progress["n_waiting"])
    counts = np.stack([of_one["nonzero"], of_one["since"]], axis=1)
    learned._scaling = scaling._replace(
        n_seen=int(progress["n_scaled"]),
        waiting=(np.ldexp(block[:n_waiting].astype(np.float64), unit),) if n_waiting else (),
        counts=FeatureCounts.of_counts(counts),
        n_known=int(np.count_nonzero(of_one["since"] >= 0)),
        dense=dense,
        scale=_scale_of(of_one[dense], unit, is_centred=True),
        length=_scale_of(length, unit, is_centred=False),
        sparse_bits=int(progress["sparse_bits"]) or None,
    )
    rate = _in_stream(learned._learned.rate)
    if not rate.is_fixed:
        rate = rate._replace(
            n_seen=int(progress["n_followed"]),
            n_samples=int(progress["n_since"]),
            labels=frozenset(np.flatnonzero(progress["has_come"]).tolist()),
            **{name: progress[name].item() for name in SAME_OF_RATE},
        )._replace(begins_anew=bool(progress["begins_anew"]))
    net = learned._learned.net.at_rate(rate.now)
    learned._learned = learned._learned.at(Checkpoint(net, state), rate)
    return learned


def _scale_of(features: NDArray[Any], unit: int, *, is_centred: bool) -> RunningScale:
    """Return the scale that features of C have."""
    exponent = features["exponent"].astype(np.int64)
    last = np.ldexp(features["last"].astype(np.float64), features["last_exponent"] + unit)
    same: dict[str, Any] = {name: features[name].astype(np.int64) for name in SAME}
    begun = RunningScale.beginning(last, LIMIT, is_centred=is_centred)
    return begun._replace(
        exponent=np.where(features["n"] > 0, exponent + unit, 0),
        second=np.ldexp(features["second"].astype(np.float64), unit),
        **same,
    ).with_factors()
