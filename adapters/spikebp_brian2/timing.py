"""The times of steps: the clock that they follow, and the check that a TimedArray follows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from brian2 import Clock, Quantity, TimedArray, second
from brian2.core.spikesource import SpikeSource
from brian2.units.fundamentalunits import have_same_dimensions

from spikebp_plugins.common.errors import wrong_argument


def check_times(step: Any, dt: Any, clock: Any) -> None:
    """Raise ValueError unless `step` and `dt` are durations, and `clock` a clock, or None."""
    for name, value in (("step", step), ("dt", dt)):
        is_time = isinstance(value, Quantity) and have_same_dimensions(value, second)
        is_duration = is_time and np.ndim(value) == 0 and 0 < float(value) < np.inf
        if not (value is None or is_duration):
            raise wrong_argument(name, "a positive finite time, such as 5*ms", repr(value))
    if not (clock is None or isinstance(getattr(clock, "dt", None), Quantity)):
        raise wrong_argument("clock", "a Clock or None", repr(clock))


def clock_of_steps(
    step: Quantity | None, base: Clock, sources: Iterable[SpikeSource], name: str
) -> Clock:
    """Return a clock that ticks once in each step, or, where there can be none, `base`.

    Spikes arrive at any time within a step, whose end therefore has to be waited for: the step is
    then computed at its last dt. Without sources that spike, or with sources that spike once in
    each step, nothing has to be waited for.

    Parameters
    ----------
    step : Quantity or None
        The duration of a step; None for one tick of `base`.
    base : Clock
        The clock of a network whose steps are not on a clock of their own.
    sources : iterable of SpikeSource
        The groups whose spikes the network receives.
    name : str
        The name of a new clock.
    """
    clocks = {source.clock for source in sources}
    if step is None:
        return base
    if not clocks:
        return Clock(dt=step, name=name)
    first = clocks.pop()
    return first if not clocks and _ratio(step, first.dt) == 1 else base


def dts_per_step(step: Quantity | None, dt: Quantity) -> int:
    """Return the number of dt in a step.

    Raises
    ------
    ValueError
        If they are not a whole number.
    """
    if step is None:
        return 1
    ratio = _ratio(step, dt)
    if ratio is None:
        raise wrong_argument("step", f"a whole number of dt, which is {dt}", str(step))
    return ratio


def mistimed(
    name: str, given: TimedArray, step: Quantity, n_steps: int | None, end: float
) -> str | None:
    """Return why the times of a TimedArray do not fit the steps, or None.

    Parameters
    ----------
    name : str
        The argument that it was given for.
    given : TimedArray
        The array.
    step : Quantity
        The duration of a step.
    n_steps : int or None
        The steps of a sample; None if samples differ.
    end : float
        The end of the run, in seconds.
    """
    dt = given.dt * second
    steps = _ratio(dt, step)
    if steps is None or not (steps == 1 or n_steps in (None, steps)):
        of_sample = "" if n_steps is None else f" and a sample {n_steps * step}"
        return (
            f"the TimedArray given as {name} has a dt of {dt}, but a step takes {step}{of_sample}: "
            "its rows do not change where these do"
        )
    over = len(given.values) * given.dt
    if over < end - 0.5 * float(step):
        return (
            f"the TimedArray given as {name} is over at {over * second}, before this run, which "
            f"ends at {end * second}: until then its last row is shown"
        )
    return None


def _ratio(duration: Quantity, dt: Quantity) -> int | None:
    """Return the number of dt in a duration, or None if that is no positive whole number."""
    ratio = float(duration) / float(dt)
    return round(ratio) if round(ratio) >= 1 and abs(ratio - round(ratio)) < 1e-6 else None
