"""The forms of input, targets and labels: values, expressions, or spikes of another group.

Brian2's TimedArray drops the mask of masked values. From the import of this module on it keeps a
note of them, so that they can be refused.
"""

from __future__ import annotations

import ast
import math
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from brian2 import BrianObject, NeuronGroup, TimedArray, ms, prefs
from brian2.core.spikesource import SpikeSource
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError, get_unit
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from spikebp_brian2.parts import PartNeurons, PartSynapses, whole_group
from spikebp_plugins.common.errors import ArgumentError, as_array, wrong_argument


class Source(NamedTuple):
    """The source of input, targets or labels: at most one of code, values and spikes.

    Attributes
    ----------
    code : str or None
        An expression to evaluate at every dt.
    values : ndarray or None
        Values that stay until the user sets others.
    spikes : SpikeSource or None
        A group that spikes.
    counted_by : str or None
        The variable of the group that says how many spikes an event is; None if it is one.
    timed : TimedArray or None
        The array of which the expression takes its values.
    namespace : dict
        The objects that the expression refers to, by name.
    """

    code: str | None = None
    values: NDArray[np.float64] | None = None
    spikes: SpikeSource | None = None
    counted_by: str | None = None
    timed: TimedArray | None = None
    namespace: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)


def as_source(name: str, given: Any, shape: tuple[int, ...], *, shared: bool = False) -> Source:
    """Return the source that an argument describes.

    Parameters
    ----------
    name : str
        The argument's name.
    given : None, str, TimedArray, SpikeSource, tuple of SpikeSource and str, or array-like
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
    of_group = "" if shared else "a group that spikes, (group, 'variable that counts'), "
    values_allowed = f"{n_units} finite numbers" if n_units > 1 else "a finite number"
    allowed = f"an expression, a TimedArray, {of_group}or {values_allowed}"
    if isinstance(given, str):
        return Source(code=_checked_expression(name, given))
    if isinstance(given, BrianObject) and (shared or not isinstance(given, SpikeSource)):
        raise wrong_argument(name, allowed, f"{type(given).__name__} {given.name!r}")
    if not shared and (spiking := _group_with_counts(given)) is not None:
        return _spiking(name, *spiking, n_units)
    refuse_unit(name, given)
    if isinstance(given, TimedArray):
        return _timed(name, given, n_units, shared)
    try:
        values = as_array(name, given, allowed).astype(np.float64)
        values = values.reshape(-1) if values.shape == shape else values
        values = np.broadcast_to(values, n_units).copy()
    except ArgumentError:
        raise
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
    names = get_identifiers(code)
    part.refuse_names_of_rules(names)
    variables = part.resolve_all(names, run_namespace, user_identifiers=set())
    if (dimensions := parse_expression_dimensions(code, variables)) is not DIMENSIONLESS:
        unit = get_unit(dimensions)
        raise DimensionMismatchError(
            f"{name}={code!r} must be without a unit, as ({code})/{unit} is", dimensions
        )


def _group_with_counts(given: Any) -> tuple[SpikeSource, str | None] | None:
    """Return a group that spikes, and the name of the variable that counts; None for all else."""
    if isinstance(given, SpikeSource):
        is_layer = isinstance(whole_group(given), PartNeurons)
        return given, "spike_count" if is_layer else None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], SpikeSource):
        return given
    return None


def _spiking(name: str, group: SpikeSource, counted_by: Any, n_units: int) -> Source:
    if len(group) != n_units:
        came = f"{type(group).__name__} {group.name!r} of {len(group)}"
        raise wrong_argument(name, f"a group of {n_units} units", came)
    if not (counted_by is None or (isinstance(counted_by, str) and counted_by in group.variables)):
        allowed = f"(group, 'variable') with a variable of {group.name!r} that counts"
        raise wrong_argument(name, allowed, repr(counted_by))
    condition = getattr(group, "events", {}).get("spike") or ""
    if counted_by is None and "!=" in condition:
        raise wrong_argument(
            name,
            "a group whose events are one spike each, or (group, 'variable') with the variable "
            "that counts them",
            f"{group.name!r}, whose event 'spike' may be several: {condition}",
        )
    return Source(spikes=group, counted_by=counted_by)


def refuse_unit(name: str, given: Any) -> None:
    """Raise DimensionMismatchError if values have a unit, which NumPy would drop."""
    if isinstance(given, (list, tuple)):
        for value in given:
            refuse_unit(name, value)
    elif (dimensions := getattr(given, "dim", DIMENSIONLESS)) is not DIMENSIONLESS:
        raise DimensionMismatchError(f"{name} must be without a unit", dimensions)


def _note_masks() -> None:
    make = TimedArray.__init__

    @wraps(make)
    def noting(self: TimedArray, values: Any, *arguments: Any, **options: Any) -> None:
        make(self, values, *arguments, **options)
        self.was_masked = np.ma.is_masked(values)  # type: ignore[no-untyped-call]

    TimedArray.__init__ = noting


_note_masks()


def _timed(name: str, array: TimedArray, n_units: int, shared: bool) -> Source:
    shape = array.values.shape
    if getattr(array, "was_masked", False):
        raise wrong_argument(name, "a TimedArray without masked values", "one of a masked array")
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
    name: str, source: Source, target: NeuronGroup, variable: str, end: int, order: int
) -> Any:
    """Return synapses that add the spikes of a source to a variable of `target`.

    Unit i of the source reaches unit i of the target; if the sizes differ, all units of the source
    reach unit 0. Spikes that the source fires before `order` of slot ``thresholds``, as groups do
    by default, arrive in the same dt; others arrive in the next. `end` is the order in that slot at
    which the step is over.
    """
    group, counted_by = source.spikes, source.counted_by
    assert group is not None
    synapses = PartSynapses(
        group,
        target,
        on_pre=f"{variable}_post += {1 if counted_by is None else f'{counted_by}_pre'}",
        delay=0 * ms,
        clock=group.clock,
        name=name,
    )
    synapses.pre.user_code = ""
    slot, fires = fires_at(group)
    # Spikes that are too late for a step are delivered behind it, in their own dt: Brian2 forgets
    # events at the end of a run, so that in the next dt they may be gone.
    if slot == "thresholds":
        place = (slot, order if fires < order else max(fires + 1, end))
    else:
        slots = prefs.core.network.default_schedule
        own = slot.removeprefix("before_").removeprefix("after_")
        is_early = slots.index(own) <= slots.index("thresholds")
        is_early = is_early and slot != "after_thresholds"
        place = ("thresholds", order) if is_early else (slot, fires + 1)
    synapses.pre.when, synapses.pre.order = place
    synapses.connect(j="i" if len(target) == len(group) else "0")
    return synapses


def fires_at(source: SpikeSource) -> tuple[str, int]:
    """Return the slot in which a source fires, and its order there."""
    whole = whole_group(source)
    runner = getattr(whole, "thresholder", {}).get("spike", whole)
    return runner.when, runner.order
