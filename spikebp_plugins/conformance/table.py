"""The table of features by back ends: where they are equal to the reference, and why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from spikebp_plugins.conformance.suite import Result

#: The word of a cell, by outcome; the number of the reason follows in brackets.
WORDS: Final = {"passed": "equal", "unsupported": "no", "failed": "FAILED"}


class Cell(NamedTuple):
    """The outcome of one feature on one back end.

    Attributes
    ----------
    outcome : str
        "passed", "unsupported" or "failed".
    reason : str
        Why a back end does not support the feature, or how it failed.
    """

    outcome: str
    reason: str = ""


@dataclass
class Table:
    """Cells by back end and feature.

    Attributes
    ----------
    columns : dict of dict of Cell
        The cells of each back end, by feature.
    """

    columns: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Add the result of one test."""
        column = self.columns.setdefault(result.test.backend, {})
        column[result.test.case.feature] = Cell(result.outcome, result.reason)

    @property
    def features(self) -> list[str]:
        """The features, in the order in which they were tried."""
        return list(dict.fromkeys(feature for cells in self.columns.values() for feature in cells))

    @property
    def failed(self) -> bool:
        """Whether any back end failed anything."""
        return any(cell.outcome == "failed" for cell in self._cells())

    def reasons(self) -> list[str]:
        """Return the different reasons of all cells; cells refer to them by number, from 1 on."""
        return list(dict.fromkeys(cell.reason for cell in self._cells() if cell.reason))

    def rows(self) -> list[list[str]]:
        """Return a row of text for each feature, with a cell for each back end."""
        numbers = {reason: number for number, reason in enumerate(self.reasons(), 1)}

        def text(cell: Cell) -> str:
            word = WORDS[cell.outcome]
            return f"{word} ({numbers[cell.reason]})" if cell.reason else word

        return [
            [feature, *(text(column[feature]) for column in self.columns.values())]
            for feature in self.features
        ]

    def to_markdown(self) -> str:
        """Return the table and the list of its reasons as Markdown."""
        header = ["feature", *(f"`{name}`" for name in self.columns)]
        lines = [header, ["---"] * len(header), *self.rows()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        reasons = "\n".join(f"{n}. {reason}" for n, reason in enumerate(self.reasons(), 1))
        return f"{table}\n\n{reasons}\n" if reasons else f"{table}\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain Python values that JSON can hold."""
        return {
            name: {feature: cell._asdict() for feature, cell in cells.items()}
            for name, cells in self.columns.items()
        }

    def _cells(self) -> list[Cell]:
        """Return the cells row by row."""
        return [column[feature] for feature in self.features for column in self.columns.values()]
