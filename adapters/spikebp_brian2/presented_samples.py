"""Samples that are presented to a network one after the other, and their times."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
from brian2 import Clock
from numpy.typing import NDArray

from spikebp_brian2.network_parts import NetworkParts
from spikebp_brian2.parts import VariableKey
from spikebp_brian2.rules import SourceExpressions
from spikebp_brian2.sources import refuse_unit
from spikebp_brian2.tables import TableFunction
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch, check_batch, real_targets

#: Counts of the messages of the units of each layer, by name of the variable.
SentCounts = dict[str, list[NDArray[Any]]]

#: The tables that presented samples are read from: names of functions in the code of the network.
TABLES: Final = ("presented_input", "presented_label", "presented_target")

#: The expressions that show presented samples of any kind.
CODE: Final = SourceExpressions(
    input="presented_input(input_row, i, N)",
    label="presented_label(presented, 0, 1)",
    target="presented_target(target_row, i, N)",
    by_label=False,
    in_rows=True,
)


class PresentedSamples:
    """The samples that a network is shown since the last call of `present`, or since the start.

    Parameters
    ----------
    net : Definition
        The definition.
    parts : NetworkParts
        The parts of the network.
    clock : Clock
        Their clock.
    name : str
        The name of the network.
    is_runtime : bool
        Whether runs happen in this process.

    Attributes
    ----------
    number : int
        The number of presentations so far; of a built program, the number of their file.
    is_replaceable : bool
        Whether a program that is built takes others in their place: it presents them first of all.
    has_run : bool
        Whether a run has begun since the network was made.
    is_begun : bool
        Whether a run before the present one, or the last, has begun with them.
    n_samples, n_steps : int
        The number of samples, and of steps for which each is shown.
    first_tick : int or None
        The tick of the network's clock with which the first step begins; None before its run.
    dt : float
        The duration of a tick in seconds.
    sent_before : dict of str to list of ndarray, or None
        The values of "spikes_sent" and "errors_sent" of layers 0..L before the first sample; None
        if no Python has seen them.
    seen_before : int or None
        `samples_seen` before the first sample.
    shown_before : int or None
        `samples_shown` before the first sample.
    """

    def __init__(
        self, net: Definition, parts: NetworkParts, clock: Clock, name: str, is_runtime: bool
    ) -> None:
        self._net, self._parts, self._clock, self._name = net, parts, clock, name
        self._is_runtime = is_runtime
        self.has_run = self.is_replaceable = self.is_begun = False
        self.number, self.n_samples, self.n_steps = 0, 0, net.n_steps
        self._begin(knows_past=True)

    def _begin(self, knows_past: bool) -> None:
        self.first_tick: int | None = None
        self.dt = 0.0
        self.sent_before: SentCounts | None = None
        self.seen_before: int | None = None
        self.shown_before: int | None = None
        if knows_past:
            self.sent_before = {
                name: [_sent(layer, name) for layer in self._parts.layers]
                for name in ("spikes_sent", "errors_sent")
            }
            self.seen_before = int(self._of_schedule("samples_seen"))
            self.shown_before = int(self._of_schedule("samples_shown"))

    def _of_schedule(self, name: str) -> Any:
        return self._parts.schedule.variables[name].get_value()[0]

    def checked(self, x: Any, y: Any, n_steps: int | None) -> Batch:
        """Return the arguments of `SpikingMLPGroup.present`, checked."""
        refuse_unit("x", x)
        refuse_unit("y", y)
        if n_steps not in (None, self._net.n_steps) and y is not None:
            raise wrong_argument("n_steps", "None with targets", repr(n_steps))
        return check_batch(self._net, x, y, n_steps).as_arrays()

    def present(self, batch: Batch) -> dict[VariableKey, Any]:
        """Show samples from the next run on.

        Returns
        -------
        dict of tuple of str to object
            The values to set, by part and variable.
        """
        knows_past = self._is_runtime or not self.has_run
        if knows_past and not self._of_schedule("sample_over"):
            raise RuntimeError(
                f"samples are presented to {self._name!r} between samples, and the present one has "
                f"been shown for {self._of_schedule('steps_shown')} steps: run it to its end first"
            )
        self.number, self.is_replaceable = self.number + 1, not self.has_run
        schedule = self._parts.schedule
        owners = (self._parts.layers[0], schedule, self._parts.layers[-1])
        for owner, name, rows in zip(owners, TABLES, _tables(batch), strict=True):
            if not self._is_runtime:
                # A program has all of its tables at once.
                owner.namespace[name] = TableFunction(f"{self._name}_{name}_{self.number}")
            elif not isinstance(owner.namespace.get(name), TableFunction):
                # In one module of Cython for all networks; a TimedArray has the name of its place.
                owner.namespace[name] = TableFunction(name)
            owner.namespace[name].show(np.asarray(rows, np.float64))
        self._parts.show(CODE)
        if not knows_past:  # only the program that will run them knows
            schedule.interrupted = "interrupted + int(not sample_over)"
        self._begin(knows_past)
        return self._values(batch)

    def present_to_program(self, batch: Batch, folder: Path) -> dict[VariableKey, Any]:
        """Write samples to a file for the next run of a program that is built in `folder`."""
        if not self.is_replaceable:
            raise RuntimeError(
                f"the program of {self._name!r} is built, and takes other samples if it presents "
                "some before its first run, and none after it"
            )
        for number in count(self.number + 1):
            try:
                file = (folder / "static_arrays" / file_name(self._name, number)).open("xb")
            except FileExistsError:  # of another process that runs the program
                continue
            break
        with file:
            for rows in _tables(batch):
                np.array([rows.size, rows.itemsize], np.int64).tofile(file)
                rows.tofile(file)
        self.number, self.first_tick, self.dt = number, 0, float(self._clock.dt)
        return self._values(batch)

    def _values(self, batch: Batch) -> dict[VariableKey, Any]:
        self.n_samples, self.n_steps = len(batch), batch.n_steps
        values = {
            "presentation": self.number,
            "presented": 0,
            "n_presented": len(batch),
            "input_rows": batch.rows().shape[1],
            "target_rows": batch.y.shape[1] if batch.y is not None and batch.y.ndim == 3 else 1,
        }
        return {("schedule", name): value for name, value in values.items()}

    def require(self) -> None:
        """Raise RuntimeError if a state has been restored from before they were presented."""
        if int(self._of_schedule("presentation")) != self.number:
            raise RuntimeError(
                f"{self._name!r} was restored to a state from before its samples were presented; "
                "present them again"
            )

    def before_run(self) -> None:
        """Note when the first sample begins."""
        self.has_run, self.is_begun = True, self.first_tick is not None
        if self.first_tick is None:
            self.first_tick = int(self._clock.variables["timestep"].get_value()[0])
            self.dt = float(self._clock.dt)


def file_name(name: str, number: object) -> str:
    """Return the name of a file with samples for a program, and of its network."""
    return f"{name}_presented_{number}"


def _tables(batch: Batch) -> list[NDArray[Any]]:
    """Return the rows of `TABLES`: of samples, and around them of a sample of nothing.

    They are doubles, or bytes without a sign if input is.
    """
    n_samples, y = len(batch), batch.y
    # Real targets are known, whatever the label, for as long as there are samples.
    label = np.full(n_samples, -1.0) if y is None else y if y.ndim == 1 else np.zeros(n_samples)
    targets = (
        np.zeros((n_samples, batch.net.n_outputs)) if y is None else real_targets(batch.net, y)
    )
    return [
        _with_nothing_around(batch.rows(), 0),
        _with_nothing_around(label.reshape(-1, 1, 1).astype(np.float64), -1),
        _with_nothing_around(targets if targets.ndim == 3 else targets[:, np.newaxis], 0),
    ]


def _sent(layer: Any, name: str) -> NDArray[Any]:
    found = name in layer.variables
    return np.array(layer.variables[name].get_value()) if found else np.zeros(len(layer))


def _with_nothing_around(samples: NDArray[Any], nothing: float) -> NDArray[Any]:
    """Return the rows of samples, with a sample of nothing before the first and after the last."""
    n_samples, n_rows, n_units = samples.shape
    dtype = np.uint8 if samples.dtype == np.uint8 else np.float64
    rows = np.full(((n_samples + 2) * n_rows, n_units), nothing, dtype)
    rows[n_rows:-n_rows] = samples.reshape(-1, n_units)
    return rows
