"""Comparison of one network on several back ends: whether their runs are equal or how far not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Option
from spikebp_plugins.backends.registry import available_backends, get_backend
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.simulation.trace import Difference, Trace

Array = NDArray[Any]

#: Back ends that have little to compile; some may not be installed.
QUICK_BACKENDS: Final = ("reference", "compiled", "brian2:numpy", "lava:fixed_pt")

#: The value of a main option with which the back end chooses one of the others.
ANY_OF_THEM: Final = "auto"


class BackendRun(NamedTuple):
    """The traces of one back end.

    Attributes
    ----------
    backend : str
        Name of the back end, with options if any.
    training, prediction : Trace
        Traces of the training samples, and of the samples that were predicted afterwards.
    seconds : float
        The time that both took, with the time to make the simulator.
    """

    backend: str
    training: Trace
    prediction: Trace
    seconds: float


class Agreement(NamedTuple):
    """The extent to which two runs agree.

    Attributes
    ----------
    spikes, errors, scores, weights : bool
        Whether all of them are equal in both runs.
    phase : str or None
        "training" or "prediction": when the runs first differ.
    first_difference : Difference or None
        Their first difference.
    equal_samples : float
        The share of samples, of training and prediction, with equal spikes in all layers.
    largest_weight_difference : float
        The largest magnitude by which a weight differs at the end.
    """

    spikes: bool
    errors: bool
    scores: bool
    weights: bool
    phase: str | None
    first_difference: Difference | None
    equal_samples: float
    largest_weight_difference: float

    @property
    def equal(self) -> bool:
        """Whether everything is equal."""
        return self.first_difference is None


class Comparison(NamedTuple):
    """Runs of one network on several back ends.

    Attributes
    ----------
    runs : list of BackendRun
        One run for each back end.
    agreements : list of Agreement
        The agreement of each run with the first run.
    """

    runs: list[BackendRun]
    agreements: list[Agreement]

    @property
    def equal(self) -> bool:
        """Whether everything is equal on all back ends."""
        return all(agreement.equal for agreement in self.agreements)


def compare_backends(
    start: Checkpoint, backends: Sequence[str], x: Array, y: Array, x_test: Array
) -> Comparison:
    """Train a network on each of several back ends, then predict.

    Parameters
    ----------
    start : Checkpoint
        The checkpoint that each back end starts from.
    backends : sequence of str
        Names of installed back ends, with options behind a colon if any.
    x : ndarray of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Samples to learn from, once each and in order.
    y : ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_steps, n_outputs)
        Labels or real targets.
    x_test : ndarray of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Samples to predict after the training.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, UnsupportedError, ImportError
        If a back end is not installed or cannot run the network; raised before any back end runs.
    """
    for name in backends:
        start.simulate(name).close()
    runs = [_run(start, name, x, y, x_test) for name in backends]
    return Comparison(runs, [agreement(run, runs[0]) for run in runs])


def _run(start: Checkpoint, backend: str, x: Array, y: Array, x_test: Array) -> BackendRun:
    begin = time.perf_counter()
    with start.simulate(backend) as sim:
        training = sim.train(x, y, record=True)
        prediction = sim.predict(x_test, record=True)
    return BackendRun(backend, training, prediction, time.perf_counter() - begin)


def agreement(run: BackendRun, expected: BackendRun) -> Agreement:
    """Compare two runs of the same samples on networks of the same shape."""
    pairs = {
        "training": (run.training, expected.training),
        "prediction": (run.prediction, expected.prediction),
    }
    found = {phase: Trace.diff(*traces) for phase, traces in pairs.items()}
    phase = next((phase for phase, difference in found.items() if difference is not None), None)
    same_spikes = np.concatenate([_samples_with_equal_spikes(*traces) for traces in pairs.values()])
    weights = list(zip(run.training.weights, expected.training.weights, strict=True))
    return Agreement(
        spikes=bool(same_spikes.all()),
        errors=all(map(_equal, run.training.errors or [], expected.training.errors or [])),
        scores=all(_equal(a.step_scores, b.step_scores) for a, b in pairs.values()),
        weights=all(_equal(a, b) for a, b in weights),
        phase=phase,
        first_difference=None if phase is None else found[phase],
        equal_samples=float(same_spikes.mean()),
        largest_weight_difference=max(float(np.abs(a - b).max()) for a, b in weights),
    )


def _samples_with_equal_spikes(a: Trace, b: Trace) -> NDArray[np.bool_]:
    layers = [np.all(k == m, axis=(1, 2)) for k, m in zip(a.spikes, b.spikes, strict=True)]
    same: NDArray[np.bool_] = np.all(layers, axis=0)
    return same


def _equal(a: Any, b: Any) -> bool:
    return bool(np.all(a == b))


def quick_backends() -> list[str]:
    """Return those of `QUICK_BACKENDS` that can run here."""
    ready = _ready_backends()
    return [name for name in QUICK_BACKENDS if name.partition(":")[0] in ready]


def all_backends() -> list[str]:
    """Return all back ends that can run here, each with every value of its main option."""
    return ["reference", *(name for name in _every_form() if name != "reference")]


def _every_form() -> Iterator[str]:
    for name in _ready_backends():
        cls = get_backend(name)
        values = cls.options[cls.main_option] if cls.main_option is not None else ()
        if not values or isinstance(values, Option):
            yield name
        else:
            yield from (f"{name}:{value}" for value in values if value != ANY_OF_THEM)


def _ready_backends() -> list[str]:
    ready = []
    for name in available_backends():
        try:
            lack = get_backend(name).lack()
        except Exception:
            continue  # `spikebp backends` says what is wrong with it
        if lack is None:
            ready.append(name)
    return ready
