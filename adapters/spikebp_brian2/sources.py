"""The forms of input, targets and labels: values, expressions, or spikes of another group."""

from __future__ import annotations

import ast
import math
from typing import Any, NamedTuple

import numpy as np
from brian2 import BrianObject, NeuronGroup, TimedArray, ms, prefs
from brian2.core.spikesource import SpikeSource
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError, get_unit
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from spikebp_brian2.parts import PartSynapses, whole_group
from spikebp_plugins.common.errors import wrong_argument


class Source(NamedTuple):
    """The source of input, targets or labels: at most one of code, values and spikes.

    Attributes
    ----------
    code : str or None
        An expression to evaluate at every dt.
    values : ndarray or None
        Values that stay until the user sets others.
    spikes : SpikeSource or None
        A group, each spike of which counts 1, or its `spike_count`.
    timed : TimedArray or None
        The array of which the expression takes its values.
    namespace : dict
        The objects that the expression refers to, by name.
    """

    code: str | None = None
    values: NDArray[np.float64] | None = None
    spikes: SpikeSource | None = None
    timed: TimedArray | None = None
    namespace: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)


def as_source(name: str, given: Any, shape: tuple[int, ...], *, shared: bool = False) -> Source:
    """Return the source that an argument describes.

    Parameters
    ----------
    name : str
        The argument's name.
    given : None, str, TimedArray, SpikeSource or array-like
        The argument that the user gave.
    shape : tuple of int
        The shape of the layer that receives the values, in which numbers may be given.
    shared : bool, default=False
        Whether a TimedArray has one value for each time instead of one for each unit.

    Raises
    ------
    ValueError
        If the argument is none of these, or of the wrong size.
    DimensionMismatchError
        If values have a unit.
    """
    n_units = math.prod(shape)
    if given is None:
        return Source()
    of_group = "" if shared else "a group that spikes, "
    values_allowed = f"{n_units} finite numbers" if n_units > 1 else "a finite number"
    allowed = f"an expression, a TimedArray, {of_group}or {values_allowed}"
    if isinstance(given, str):
        return Source(code=_checked_expression(name, given))
    if isinstance(given, BrianObject) and (shared or not isinstance(given, SpikeSource)):
        raise wrong_argument(name, allowed, f"{type(given).__name__} {given.name!r}")
    if isinstance(given, SpikeSource):
        if len(given) != n_units:
            came = f"{type(given).__name__} {given.name!r} of {len(given)}"
            raise wrong_argument(name, f"a group of {n_units} units", came)
        _check_counts(name, given)
        return Source(spikes=given)
    refuse_unit(name, given)
    if isinstance(given, TimedArray):
        return _timed(name, given, n_units, shared)
    try:
        values = np.asarray(given, np.float64)
        values = values.reshape(-1) if values.shape == shape else values
        values = np.broadcast_to(values, n_units).copy()
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        shape_given = np.shape(given) if isinstance(given, (np.ndarray, list, tuple)) else ()
        of_sample = [()] if shared else [(n_units,), shape]
        if shape_given and shape_given[0] and shape_given[1:] in of_sample:
            raise wrong_argument(
                name,
                "TimedArray(x, dt=...) for samples, one after the other, or left to present(x, y)",
                f"an array of shape {shape_given}",
            )
        raise wrong_argument(name, allowed, repr(given))
    return Source(values=values)


def _checked_expression(name: str, code: str) -> str:
    """Return an expression; refuse any other code, which might set other variables."""
    try:
        ast.parse(code.strip(), mode="eval")
    except SyntaxError:
        raise wrong_argument(name, "an expression, if it is a string", repr(code)) from None
    return code.strip()


def check_units(name: str, code: str, part: Any, run_namespace: Any) -> None:
    """Raise DimensionMismatchError if the value of an expression has a unit, as that of t has."""
    variables = part.resolve_all(get_identifiers(code), run_namespace, user_identifiers=set())
    if (dimensions := parse_expression_dimensions(code, variables)) is not DIMENSIONLESS:
        unit = get_unit(dimensions)
        raise DimensionMismatchError(
            f"{name}={code!r} must be without a unit, as ({code})/{unit} is", dimensions
        )


def _has_counts(source: SpikeSource) -> bool:
    return "spike_count" in source.variables


def _check_counts(name: str, source: SpikeSource) -> None:
    """Raise ValueError if a unit may send several spikes at once that nothing counts."""
    condition = getattr(source, "events", {}).get("spike") or ""
    if not _has_counts(source) and "!=" in condition:
        raise wrong_argument(
            name,
            "a group whose events are one spike each, or one with a variable spike_count",
            f"{source.name!r}, whose event 'spike' may be several: {condition}",
        )


def refuse_unit(name: str, given: Any) -> None:
    """Raise DimensionMismatchError if values have a unit, which NumPy would drop."""
    if isinstance(given, (list, tuple)):
        for value in given:
            refuse_unit(name, value)
    elif (dimensions := getattr(given, "dim", DIMENSIONLESS)) is not DIMENSIONLESS:
        raise DimensionMismatchError(f"{name} must be without a unit", dimensions)


def _timed(name: str, array: TimedArray, n_units: int, shared: bool) -> Source:
    shape = array.values.shape
    if shared:
        fits, allowed = len(shape) == 1, "one-dimensional"
    else:
        fits, allowed = len(shape) == 2 and shape[1] == n_units, f"of shape (n, {n_units})"
    if not fits:
        raise wrong_argument(name, f"a TimedArray {allowed}", f"one of shape {shape}")
    presented = f"presented_{name}"
    indices = "t" if shared else "t, i"
    code = f"{presented}({indices})"
    return Source(code=code, timed=array, namespace={presented: array})


def deliver(
    name: str, source: SpikeSource, target: NeuronGroup, variable: str, end: int, order: int
) -> Any:
    """Return synapses that add the spikes of `source` to a variable of `target`.

    An event is `spike_count` spikes if the source has that variable, as layers have, and else one.

    Unit i of the source reaches unit i of the target; if the sizes differ, all units of the source
    reach unit 0. Spikes that the source fires before `order` of slot ``thresholds``, as groups do
    by default, arrive in the same dt; others arrive in the next. `end` is the order in that slot at
    which the step is over.
    """
    spikes = "spike_count_pre" if _has_counts(source) else "1"
    synapses = PartSynapses(
        source,
        target,
        on_pre=f"{variable}_post += {spikes}",
        delay=0 * ms,
        clock=source.clock,
        name=name,
    )
    synapses.pre.user_code = ""
    slot, fires = fires_at(source)
    # Spikes that are too late for a step are delivered behind it, in their own dt: Brian2 forgets
    # events at the end of a run, so that in the next dt they may be gone.
    if slot == "thresholds":
        place = (slot, order if fires < order else max(fires + 1, end))
    else:
        slots = prefs.core.network.default_schedule
        is_early = slots.index(_without_prefix(slot)) <= slots.index("thresholds")
        is_early = is_early and slot != "after_thresholds"
        place = ("thresholds", order) if is_early else (slot, fires + 1)
    synapses.pre.when, synapses.pre.order = place
    synapses.connect(j="i" if len(target) == len(source) else "0")
    return synapses


def fires_at(source: SpikeSource) -> tuple[str, int]:
    """Return the slot in which a source fires, and its order there."""
    whole = whole_group(source)
    runner = getattr(whole, "thresholder", {}).get("spike", whole)
    return runner.when, runner.order


def _without_prefix(slot: str) -> str:
    return slot.removeprefix("before_").removeprefix("after_")
