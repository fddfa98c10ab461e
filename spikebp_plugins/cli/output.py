"""Printing of tables and JSON by commands, and the measurements that they share."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import typer

from spikebp_plugins.common.figures import count
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.simulation.simulator import Simulator

#: The errors that the package raises for requests that cannot be met. Any other error is a bug,
#: whose traceback is shown.
EXPECTED_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    ImportError,
    OSError,
    NotImplementedError,
)


class CostMeter:
    """Measures the time, the operations and the work of some calls of a simulator.

    Parameters
    ----------
    sim : Simulator
        The simulator.

    Attributes
    ----------
    seconds : float
        Time that the calls took.
    operations : Operations
        Operations of the calls.
    work : Work or None
        The work of the back end for them, if it counts it.
    """

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.seconds = 0.0
        self.operations = Operations()
        self.work = None if sim.work is None else Work()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add the time and the work of the calls within the ``with`` block."""
        before, work_before = self._sim.operations, self._sim.work or Work()
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self.operations += self._sim.operations - before
        if self.work is not None:
            self.work += (self._sim.work or Work()) - work_before

    def per_sample(self) -> dict[str, float | None]:
        """Return the means over samples; None where there were no samples."""
        operations, work = self.operations, self.work
        totals: dict[str, float | None] = {
            "seconds_per_sample": self.seconds,
            "spikes_per_sample": operations.spikes,
            "synaptic_operations_per_sample": operations.total,
            "messages_per_sample": operations.messages,
            "multiply_adds_per_sample": operations.multiply_adds,
            "multiply_adds_done_per_sample": None if work is None else work.multiply_adds,
            "rows_read_per_sample": None if work is None else work.rows_read,
            "dense_operations_per_sample": operations.dense,
        }
        n = operations.samples
        return {
            name: total / n if n and total is not None else None for name, total in totals.items()
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of a table with these means."""
        seconds, spikes, operations, messages, products, done, rows, dense = (
            self.per_sample().values()
        )
        return [
            ("time per sample", duration(seconds)),
            ("spikes per sample", count(spikes)),
            ("synaptic operations per sample", count(operations)),
            ("messages per sample", count(messages)),
            ("multiply-adds per sample", count(products)),
            ("multiply-adds done per sample", count(done)),
            ("rows of weights read per sample", count(rows)),
            ("dense operations per sample", count(dense)),
            ("synaptic / dense", ratio(operations, dense)),
            ("multiply-adds / dense", ratio(products, dense)),
        ]


def one_line(error: BaseException) -> str:
    """Return an error's message without line breaks."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def print_epoch(epoch: int, epochs: int, text: str, as_json: bool) -> None:
    """Print a line for an epoch, counted from 0; with JSON on stdout it goes to stderr."""
    typer.echo(f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}: {text}", err=as_json)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; JSON has null for numbers that are not finite."""
    typer.echo(json.dumps(_with_null(values), indent=2, allow_nan=False))


def _with_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_null(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_null(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str | None = None
) -> None:
    """Print a table, with a header if any column has a name."""
    # Imported here because the import takes longer than all of `spikebp --version`.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, because brackets in a string would be taken for markup.
    table = Table(title=Text(title), caption=caption and Text(caption), show_header=any(columns))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def percent(value: float) -> str:
    """Return an error in percent as text."""
    return f"{value:.2f} %"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def ratio(part: float | None, whole: float | None) -> str:
    """Return the quotient of two counts as text."""
    return "-" if part is None or not whole else f"{part / whole:.2f}"
