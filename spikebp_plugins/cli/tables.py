"""What ``spikebp train`` and ``spikebp predict`` do with a table."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from spikebp_plugins.cli import output
from spikebp_plugins.cli.interrupts import uninterrupted
from spikebp_plugins.cli.layers import hidden_sizes
from spikebp_plugins.cli.options import check_left_out
from spikebp_plugins.cli.output import EXPECTED_ERRORS
from spikebp_plugins.cli.tallies import ClassTally, NumberTally, Tally
from spikebp_plugins.common.archive import whole_file
from spikebp_plugins.common.errors import real, wrong_argument
from spikebp_plugins.data.tables import Table, TableFile

if TYPE_CHECKING:
    from spikebp_plugins.estimators.estimator import SpikingEstimator

#: Rows that are read together, and after which a pass over a large table says how it goes.
ROWS_AT_ONCE: Final = 10_000
#: So many cells say what the columns are; a table with more features than these (128 MB) is
#: learned in one pass.
CELLS_LOOKED_AT: Final = 2**21
MOST_FEATURES: Final = 2**24
#: The last rows that were held out of one pass, which are shown again at its end.
MOST_HELD_OUT: Final = 20_000
#: Epochs of a table that is learned several times, unless the network finds no gain before.
MOST_EPOCHS: Final = 100

#: The options of the network that an estimator has; it calls the seed `random_state`.
PARAMETERS: Final = (
    *("n_steps", "learning_rate", "update", "spikes", "arithmetic", "feedback", "label_targets"),
    "seed",
)

#: Where a model is saved after an interrupt, if no file was named.
INTERRUPTED: Final = Path("spikebp-interrupted.npz")

Cells = dict[str, tuple[str, ...]]


class Rows(NamedTuple):
    """Rows of a table as a network learns them: features, and what it is to say."""

    X: NDArray[np.float64]
    y: NDArray[Any]

    def those(self, mask: NDArray[np.bool_]) -> Rows:
        """Return the rows of a mask."""
        return Rows(self.X[mask], self.y[mask])


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, of which there is at least one."""
    X, y = zip(*parts, strict=True)
    return Rows(np.concatenate(X), np.concatenate(y))


class TableOptions(NamedTuple):
    """A table, and what is learned from which of its rows.

    Attributes
    ----------
    path : Path
        The table.
    target : str or None
        The column to learn; None takes that of the model with which it goes on.
    categories, without : tuple of str
        Columns of numbers that stand for categories, and those that are left out.
    held_out : float
        The share of rows that are not learned, and say how well the rest was.
    n_rows : int or None
        Only so many rows.
    """

    path: Path
    target: str | None
    categories: tuple[str, ...]
    without: tuple[str, ...]
    held_out: float
    n_rows: int | None


class TableTraining:
    """The training of a model on a table.

    Parameters
    ----------
    options : TableOptions
        The table, and what is learned.
    model : SpikingEstimator or None
        The model that goes on, in one pass; None for a new one.
    parameters : mapping
        Those of a new one.
    backend : str or None
        Where it runs, while it is trained.
    as_json : bool
        Whether stdout is for one JSON object.
    """

    def __init__(
        self,
        options: TableOptions,
        model: Any,
        parameters: Mapping[str, Any],
        backend: str | None,
        as_json: bool,
    ) -> None:
        share, allowed = options.held_out, "a number from 0 to less than 1"
        real("held-out", share, allowed, lambda x: 0 <= x < 1)
        self.options, self.model = options, model
        self.n_rows = self.n_without_target = 0
        self.is_one_pass = model is not None
        self.as_json = as_json
        self._parameters, self._backend = parameters, backend
        self._seen_before = self._samples_seen()
        self._random = np.random.default_rng(parameters.get("random_state", 0))

    @classmethod
    def of_new(
        cls,
        options: TableOptions,
        parameters: Mapping[str, Any],
        backend: str | None,
        as_json: bool,
    ) -> TableTraining:
        """Return the training of a new model."""
        if options.target is None:
            raise wrong_argument("target", "the name of the column to learn", "none")
        return cls(options, None, parameters, backend, as_json)

    @classmethod
    def going_on(
        cls, options: TableOptions, path: Path, backend: str | None, as_json: bool
    ) -> TableTraining:
        """Return the training of the model in a file, which has its columns."""
        check_left_out("with --resume", categories=options.categories, without=options.without)
        model: Any = learned_from_table(path, "resume")
        if options.target not in (None, model.table_.target):
            raise wrong_argument("target", f"{model.table_.target}, as in {path}", options.target)
        return cls(options, model, {}, backend, as_json)

    def run(self) -> Tally:
        """Learn, and return how well held-out rows are known in the end."""
        self._say(f"reads {self.options.path}")
        blocks = _first(TableFile(self.options.path).rows(ROWS_AT_ONCE), self.options.n_rows)
        looked_at = list(_until(blocks, CELLS_LOOKED_AT))
        if not looked_at:
            raise wrong_argument("the table", "one with rows below its header", "none")
        if self.model is None:
            self.table = Table.of(
                {
                    name: tuple(chain(*(cells[name] for cells in looked_at)))
                    for name in looked_at[0]
                },
                str(self.options.target),
                categories=self.options.categories,
                without=self.options.without,
            )
        else:
            self.table = self.model.table_
        parts = self._rows(chain(looked_at, blocks))
        del looked_at
        if self.is_one_pass:
            return self._pass_over([], parts)
        first, n_features = [], 0
        for rows in parts:
            first.append(rows)
            n_features += rows.X.size
            if n_features > MOST_FEATURES:
                self.is_one_pass = True
                return self._pass_over(first, parts)
        if not first:
            raise wrong_argument("the table", f"one with rows that have a {self.table.target}", 0)
        return self._fit(joined(first))

    def _rows(self, blocks: Iterable[Cells]) -> Iterator[Rows]:
        """Yield the rows that have a target."""
        for cells in blocks:
            if self.table.target not in cells:
                names = ", ".join(cells)
                raise wrong_argument("target", f"among the columns {names}", self.table.target)
            is_known, y = self.table.known(cells[self.table.target])
            self.n_without_target += len(is_known) - len(y)
            self.n_rows += len(y)
            if len(y):
                yield Rows(self.table.features(cells)[is_known], y)

    def _split(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the rows to learn from, and those that are held out."""
        is_held_out = self._random.random(len(rows.y)) < self.options.held_out
        return rows.those(~is_held_out), rows.those(is_held_out)

    def _say(self, text: str) -> None:
        typer.echo(text, err=self.as_json)

    def _begin(self, y: NDArray[Any]) -> None:
        """Make a new model, which learns to say targets such as `y`."""
        from spikebp_plugins.estimators import SpikingMLPClassifier, SpikingMLPRegressor

        kind: Any = SpikingMLPRegressor if self.table.is_regression else SpikingMLPClassifier
        if self.table.is_regression and "label_targets" in self._parameters:
            raise wrong_argument("label-targets", "left out where numbers are learned", "those")
        self.model = kind(**self._parameters)
        n_features, n_columns = len(self.table.feature_names), len(self.table.columns)
        what = "numbers" if self.table.is_regression else f"{len(np.unique(y))} classes"
        self._say(
            f"learns {self.table.target} ({what}) from {n_columns} columns ({n_features} features)"
        )

    def _fit(self, rows: Rows) -> Tally:
        """Learn all rows for some epochs."""
        learned, held_out = self._split(rows)
        if not len(learned.y):
            raise wrong_argument("the table", "one with rows to learn", f"{len(rows.y)}")
        self._begin(learned.y)

        def say(model: SpikingEstimator) -> None:
            text = f"held-out {self._judged([held_out])}" if len(held_out.y) else "learned"
            output.print_epoch(model.n_iter_ - 1, model.max_iter, text, self.as_json)

        self.model.set_params(callback=say, backend=self._backend)
        try:
            self.model.fit(*learned)
        finally:
            self._settle()
        return self._judged([held_out])

    def _pass_over(self, first: Sequence[Rows], rest: Iterable[Rows]) -> Tally:
        """Learn rows once, as they come."""
        of_first = {}
        if self.model is None:
            y = joined(first).y
            of_first = {} if self.table.is_regression else {"classes": np.unique(y)}
            self._begin(y)
        self.model.set_params(backend=self._backend)
        kept: deque[Rows] = deque()
        n_learned = 0
        self._say("the table is learned in one pass")
        try:
            for rows in chain(first, rest):
                learned, held_out = self._split(rows)
                if len(held_out.y) and n_learned:
                    text = f"{self._judged([held_out])} of held-out rows after it"
                    self._say(f"row {n_learned:,}: {text}")
                if len(learned.y):
                    self.model.partial_fit(*learned, **of_first)
                    n_learned, of_first = n_learned + len(learned.y), {}
                kept.append(held_out)
                while sum(len(part.y) for part in kept) > MOST_HELD_OUT and len(kept) > 1:
                    kept.popleft()
        finally:
            self._settle()
        return self._judged(kept)

    def _settle(self) -> None:
        """Let the model know its table, so that it can be saved."""
        self.model.set_params(callback=None, backend=None)
        if self.model.__sklearn_is_fitted__():
            self.model.table_ = self.table

    def _judged(self, parts: Iterable[Rows]) -> Tally:
        """Return how well rows are known."""
        tally = tally_of(self.table)
        for X, y in parts:
            if len(y):
                tally.add(y, self.model.predict(X))
        return tally

    def _samples_seen(self) -> int:
        """Return how many samples the model has learned, with those of earlier runs."""
        is_fitted = self.model is not None and self.model.__sklearn_is_fitted__()
        return self.model.checkpoint_.state.samples_seen if is_fitted else 0

    def save(self, path: Path) -> bool:
        """Save what was learned, and return whether there is anything."""
        if self._samples_seen() == self._seen_before:
            return False
        with uninterrupted():
            self.model.save(path)
        return True


def parameters_of(
    given: Mapping[str, Any], layers: str | None, connections: str | None
) -> dict[str, Any]:
    """Return the parameters of an estimator, from the options of the network.

    Raises
    ------
    ValueError
        If an option is none for a table.
    """
    others = [name for name in given if name not in PARAMETERS]
    others += ["connections"] if connections is not None else []
    if others:
        allowed = f"among {', '.join([*PARAMETERS, 'layers'])} with a table"
        raise wrong_argument("options of the network", allowed, ", ".join(others))
    values = dict(given)
    values["random_state"] = values.pop("seed", 0)
    if layers is not None:
        values["hidden_layer_sizes"] = hidden_sizes(layers)
    return values


def train_on_table(training: TableTraining, save: Path | None) -> None:
    """Train, save what was learned, also after an interrupt or an error, and report."""
    try:
        tally = training.run()
    except KeyboardInterrupt:
        path = INTERRUPTED if save is None else save
        text = "before anything was learned"
        if training.save(path):
            text = f"{path} holds the model as it is"
        typer.echo(f"interrupted: {text}", err=True)
        raise typer.Exit(130) from None
    except EXPECTED_ERRORS:
        if save is not None:
            training.save(save)
        raise
    if save is not None:
        training.save(save)
    options, table = training.options, training.table
    figures = {
        "table": str(options.path),
        "target": table.target,
        "columns": len(table.columns),
        "features": len(table.feature_names),
        "rows": training.n_rows,
        "rows_without_target": training.n_without_target,
        "rows_held_out": tally.n,
        "one_pass": training.is_one_pass,
    }
    if training.as_json:
        output.print_json(figures | (tally.report() if tally.n else {}))
        return
    rows = [
        ("rows with a target", f"{training.n_rows:,}"),
        ("rows without", f"{training.n_without_target:,}"),
        ("held-out rows", f"{tally.n:,}"),
        *((f"{name} of these", text) for name, text in (tally.rows() if tally.n else ())),
    ]
    if save is not None:
        rows.append(("model", str(save)))
    output.print_table(f"{table.target} of {options.path}", ("", ""), rows)
    tally.print("Held-out rows")


def learned_from_table(path: Path, name: str) -> SpikingEstimator:
    """Return the model in a file, or refuse one that was not learned from a table."""
    from spikebp_plugins.estimators.estimator import SpikingEstimator

    model = SpikingEstimator.load(path)
    if model.table_ is None:
        allowed = "a model that `spikebp train TABLE` has saved"
        raise wrong_argument(name, allowed, f"{path}, which was learned from other samples")
    return model


def tally_of(table: Table) -> Tally:
    """Return a tally for what a network says of the rows of a table."""
    return NumberTally() if table.is_regression else ClassTally()


def predict_table(
    model: SpikingEstimator, path: Path, output_path: Path | None, as_json: bool
) -> None:
    """Say what the rows of a table are, and how well it knows those that have a target.

    Parameters
    ----------
    model : SpikingEstimator
        The model.
    path : Path
        The table, of which some rows are in memory at a time.
    output_path : Path or None
        Where what it says is written, as a table. None prints it, if the table has no targets.
    as_json : bool
        Whether one JSON object is printed.
    """
    table: Any = model.table_
    tally, n_rows = tally_of(table), 0
    with nullcontext() if output_path is None else whole_file(output_path) as file:
        for cells in TableFile(path).rows(ROWS_AT_ONCE):
            X, targets = table.features(cells), cells.get(table.target)
            said: Any = model.predict(X)
            if file is not None:
                file.write(_as_text(model, X, said, with_header=n_rows == 0))
            elif targets is None and not as_json:
                typer.echo("\n".join(map(str, said.tolist())))
            if targets is not None:
                is_known, y = table.known(targets)
                tally.add(y, said[is_known])
            n_rows += len(said)
    if as_json:
        known = {"rows_with_target": tally.n, **tally.report()} if tally.n else {}
        output.print_json({"table": str(path), "target": table.target, "rows": n_rows, **known})
        return
    if tally.n:
        rows = [("rows", f"{n_rows:,}"), ("of which with a target", f"{tally.n:,}"), *tally.rows()]
        output.print_table(f"{table.target} of {path}", ("", ""), rows)
        tally.print("All rows")
    if output_path is not None:
        typer.echo(f"{output_path}: {n_rows:,} rows")


def _as_text(
    model: SpikingEstimator, X: NDArray[np.float64], said: NDArray[Any], *, with_header: bool
) -> bytes:
    """Return what a model says of rows, and the probability of each class, as rows of a table."""
    known: Any = model
    classes = [] if known.table_.is_regression else known.classes_.tolist()
    columns = [said[:, np.newaxis]]
    if classes:
        columns.append(known.predict_proba(X).round(6))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if with_header:
        writer.writerow([known.table_.target, *(f"probability of {name}" for name in classes)])
    writer.writerows(np.concatenate([part.astype(object) for part in columns], axis=1).tolist())
    return text.getvalue().encode()


def _first(blocks: Iterable[Cells], n: int | None) -> Iterator[Cells]:
    """Yield blocks until there are `n` rows; None yields all."""
    for cells in blocks:
        n_rows = len(next(iter(cells.values())))
        if n is None or n_rows < n:
            yield cells
            n = None if n is None else n - n_rows
            continue
        yield {name: column[:n] for name, column in cells.items()}
        return


def _until(blocks: Iterator[Cells], n_cells: int) -> Iterator[Cells]:
    """Yield blocks until they have so many cells; the others are left."""
    for cells in blocks:
        yield cells
        n_cells -= sum(map(len, cells.values()))
        if n_cells <= 0:
            return
