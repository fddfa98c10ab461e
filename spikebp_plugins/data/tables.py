"""Tables in text, with a header: their rows as integers that a network learns, or a board reads.

A column of numbers becomes whole numbers of its last decimal, so that 5.1 is 51 where no number of
the column has more decimals; one that has gaps gets a second feature, which says where they are. A
column of categories becomes a feature for each of them, which is 1000 where the row has it.

Features that are mostly zero are scaled together. So numbers that are mostly zero get as many
decimals as make them about 1000 too: categories would vanish beside sums of money.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import compress, islice
from typing import IO, Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike
from spikebp_plugins.common.errors import wrong_argument

#: What stands for a number that is missing, in lower case.
GAPS: Final = frozenset(("", "?", "-", "na", "n/a", "nan", "null", "none"))
#: Columns with more categories are refused: names and texts teach nothing but themselves.
MOST_CATEGORIES: Final = 200
#: Decimals are left out where the largest number of a column would become larger than this.
LARGE_READING: Final = 2**27
#: What a program in C can read; numbers beyond are cut off.
LARGEST_READING: Final = 2**31 - 1
#: The feature of a category that a row has, and of a gap.
PRESENT: Final = 1000
#: A target that has no more different whole numbers is one of classes.
MOST_NUMBERED_CLASSES: Final = 20
#: A number with a decimal comma.
WITH_COMMA: Final = re.compile(r"[+-]?[\d.]*,\d+", re.ASCII)
#: The first bytes of a file that gzip has written.
GZIPPED: Final = b"\x1f\x8b"

Cells = Sequence[str]


class NumberColumn(NamedTuple):
    """A column of numbers.

    Attributes
    ----------
    name : str
        Its name in the header.
    decimals : int
        A feature is the number times 10 to this power, rounded; it may be negative.
    low, high : float
        The least and the largest number in the rows from which the column was made.
    usual : int
        The median of its features there, which stands for a number that is missing.
    has_gaps : bool
        Whether a second feature is `PRESENT` where the number is missing, and otherwise 0.
    """

    name: str
    decimals: int
    low: float
    high: float
    usual: int
    has_gaps: bool

    @classmethod
    def of(cls, name: str, cells: Cells) -> NumberColumn:
        """Return the column that has these cells, which are numbers or missing."""
        numbers = [cell for cell in cells if not is_gap(cell)]
        values = np.array(list(map(float, numbers)))
        decimals = _decimals_of(values, max(map(_decimals, numbers)))
        usual = int(np.rint(np.median(_readings(values, decimals))))
        has_gaps = len(numbers) < len(cells)
        return cls(name, decimals, float(values.min()), float(values.max()), usual, has_gaps)

    @property
    def feature_names(self) -> list[str]:
        """The names of its features."""
        return [self.name, f"{self.name} is missing"][: 1 + self.has_gaps]

    @property
    def meanings(self) -> list[str]:
        """What its features are, for whoever makes them without the table."""
        scale = f" {'*' if self.decimals > 0 else '/'} {10 ** abs(self.decimals)}"
        number = self.name + (scale if self.decimals else "")
        if not self.has_gaps:
            return [number]
        return [
            f"{number}; {self.usual} if it is missing",
            f"{PRESENT} if {self.name} is missing, or else 0",
        ]

    def features(self, cells: Cells) -> NDArray[np.float64]:
        """Return the features of some cells, of shape (n, 1 or 2).

        Raises
        ------
        ValueError
            If a cell is neither a number nor missing.
        """
        is_missing = np.fromiter(map(is_gap, cells), bool, len(cells))
        texts = ["0" if missing else cell for cell, missing in zip(cells, is_missing, strict=True)]
        try:
            values = np.array(list(map(float, texts)))
        except ValueError:
            values = np.array([math.nan])
        if not np.isfinite(values).all():
            wrong = next(text for text in texts if not is_number(text))
            raise wrong_argument(self.name, "a number, or missing, in every row", repr(wrong))
        readings = np.where(is_missing, self.usual, _readings(values, self.decimals))
        return np.stack([readings, PRESENT * is_missing][: 1 + self.has_gaps], axis=1)


class CategoryColumn(NamedTuple):
    """A column of categories.

    Attributes
    ----------
    name : str
        Its name in the header.
    categories : tuple of str
        The texts that it may have, in order; "" is that of a gap. A row with another one is shown
        without any.
    """

    name: str
    categories: tuple[str, ...]

    @classmethod
    def of(cls, name: str, cells: Cells) -> CategoryColumn:
        """Return the column that has these cells.

        Raises
        ------
        ValueError
            If they are too many different ones.
        """
        categories = tuple(sorted(set(cells)))
        if len(categories) > MOST_CATEGORIES:
            raise wrong_argument(
                name,
                f"a column of numbers, or of at most {MOST_CATEGORIES} categories; or left out, as "
                f"with --without {name!r}",
                f"{len(categories)} different texts, such as {categories[-1]!r}",
            )
        return cls(name, categories)

    @property
    def feature_names(self) -> list[str]:
        """The names of its features."""
        return [f"{self.name} is {category or 'missing'}" for category in self.categories]

    @property
    def meanings(self) -> list[str]:
        """What its features are, for whoever makes them without the table."""
        return [f"{PRESENT} if {name}, or else 0" for name in self.feature_names]

    def features(self, cells: Cells) -> NDArray[np.float64]:
        """Return the features of some cells, of shape (n, n_categories)."""
        place = {category: i for i, category in enumerate(self.categories)}
        at = np.fromiter((place.get(cell, -1) for cell in cells), np.int64, len(cells))
        features: NDArray[np.float64] = np.zeros((len(cells), len(place)))
        features[at[:, np.newaxis] == np.arange(len(place))] = PRESENT
        return features


Column = NumberColumn | CategoryColumn


class Table(NamedTuple):
    """What a network learns from a table: which columns, how, and what it is to say.

    Attributes
    ----------
    target : str
        The name of the column that it learns to say.
    is_regression : bool
        Whether that column has numbers to regress, and not classes.
    columns : tuple of NumberColumn or CategoryColumn
        The columns that it is shown, in the order of their features.
    """

    target: str
    is_regression: bool
    columns: tuple[Column, ...]

    @classmethod
    def of(
        cls,
        cells: Mapping[str, Cells],
        target: str,
        *,
        categories: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Table:
        """Return what is to be learned from rows of a table.

        Parameters
        ----------
        cells : mapping of sequence of str
            The cells of each column, by its name in the header.
        target : str
            The name of the column to learn.
        categories : sequence of str, optional
            Columns of numbers that stand for categories; the target's are then classes.
        without : sequence of str, optional
            Columns to leave out.

        Raises
        ------
        ValueError
            If there is no such column, none is left, or one has too many categories, or numbers and
            texts.
        """
        names = tuple(cells)
        for name, given in ("target", [target]), ("categories", categories), ("without", without):
            for one in given:
                if one not in cells:
                    raise wrong_argument(name, f"among the columns {', '.join(names)}", repr(one))
        columns = []
        for name in names:
            if name == target or name in without or all(map(is_gap, cells[name])):
                continue
            is_numeric = name not in categories and _has_numbers(name, cells[name])
            kind = NumberColumn if is_numeric else CategoryColumn
            columns.append(kind.of(name, cells[name]))
        if not columns:
            raise wrong_argument("the table", "one with columns besides the target", target)
        is_regression = (
            target not in categories
            and _has_numbers(target, cells[target])
            and _are_quantities(cells[target])
        )
        return cls(target, is_regression, tuple(columns))

    @property
    def feature_names(self) -> list[str]:
        """The names of all features."""
        return [name for column in self.columns for name in column.feature_names]

    @property
    def meanings(self) -> list[str]:
        """What all features are, for whoever makes them without the table: integers."""
        return [meaning for column in self.columns for meaning in column.meanings]

    def features(self, cells: Mapping[str, Cells]) -> NDArray[np.float64]:
        """Return the features of rows, as whole numbers of shape (n_rows, n_features).

        Parameters
        ----------
        cells : mapping of sequence of str
            The cells of each column, by its name; there may be more columns.

        Raises
        ------
        ValueError
            If a column is missing, or has a text where a number was expected.
        """
        missing = [column.name for column in self.columns if column.name not in cells]
        if missing:
            names = ", ".join(missing)
            raise wrong_argument("the table", f"one with the columns {names}", ", ".join(cells))
        return np.hstack([column.features(cells[column.name]) for column in self.columns])

    def known(self, cells: Cells) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Return which rows have a target, and what a network is to say of these.

        Parameters
        ----------
        cells : sequence of str
            The cells of the target. "none" is a number that is missing, but may be a class.

        Returns
        -------
        is_known : ndarray of shape (n_rows,), bool
            Whether each row has one.
        targets : ndarray of shape (n_known,), float64 or str
            Numbers to regress, or names of classes.

        Raises
        ------
        ValueError
            If a number was expected, and a cell is none.
        """
        is_missing = is_gap if self.is_regression else ("", "?").__contains__
        is_known = ~np.fromiter(map(is_missing, cells), bool, len(cells))
        return is_known, self.targets(list(compress(cells, is_known)))

    def targets(self, cells: Cells) -> NDArray[Any]:
        """Return what a network is to say of rows, numbers or names, all of which are known.

        Raises
        ------
        ValueError
            If a number was expected, and a cell is none.
        """
        if not self.is_regression:
            return np.array(cells, np.str_)
        for cell in cells:
            if not is_number(cell):
                raise wrong_argument(self.target, "a number in every row", repr(cell))
        return np.array(list(map(float, cells)))


class TableFile:
    """A table in a file of text, with a header; gzip may have packed it.

    Cells are separated by commas, semicolons or tabulators, whichever the header has, and may be in
    quotation marks.

    Parameters
    ----------
    path : str or path-like
        The file.
    """

    #: What may separate cells.
    SEPARATORS: ClassVar = (",", ";", "\t")

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def rows(self, at_once: int) -> Iterator[dict[str, tuple[str, ...]]]:
        """Yield the cells of each column by its name, for some rows after the other.

        Parameters
        ----------
        at_once : int
            The most rows of which cells are returned together.

        Yields
        ------
        dict of tuple of str
            The cells of each column, without spaces around them.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no table: without a header, or with a row that is longer or shorter.
        """
        with self._opened() as file:
            lines = self._lines(file)
            first = next(lines, "")
            separator = max(self.SEPARATORS, key=first.count)
            names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
            self._check_header(names)
            reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            checked = self._checked(reader, len(names))
            while rows := list(islice(checked, at_once)):
                cells = zip(*rows, strict=True)
                yield {
                    name: tuple(map(str.strip, column))
                    for name, column in zip(names, cells, strict=True)
                }

    def _opened(self) -> IO[str]:
        with open(self.path, "rb") as file:
            is_packed = file.read(len(GZIPPED)) == GZIPPED
        opened: IO[str] = (gzip.open if is_packed else open)(
            self.path, "rt", encoding="utf-8-sig", newline=""
        )
        return opened

    def _check_header(self, names: Sequence[str]) -> None:
        allowed = f"the names of columns in the first line of {self.path}"
        if not names or any(map(is_number, names)):
            raise wrong_argument("the header", allowed, ", ".join(names) or "nothing")
        if len(set(names)) < len(names) or "" in names:
            raise wrong_argument("the header", f"{allowed}, all of them different", names)

    def _checked(self, reader: Any, n_columns: int) -> Iterator[list[str]]:
        try:
            for row in reader:
                if len(row) == n_columns:
                    yield row
                elif row:
                    where = f"line {reader.line_num + 1} of {self.path}"
                    raise wrong_argument(where, f"a row of {n_columns} cells", f"one of {len(row)}")
        except csv.Error as error:
            where = f"line {reader.line_num + 1} of {self.path}"
            raise wrong_argument(where, "a row of cells", error) from error

    def _lines(self, file: IO[str]) -> Iterator[str]:
        """Yield the lines of a file, or say that it is damaged."""
        try:
            yield from file
        except (EOFError, UnicodeDecodeError, gzip.BadGzipFile, zlib.error) as error:
            raise wrong_argument(str(self.path), "a table of text in UTF-8", error) from error


def is_gap(cell: str) -> bool:
    """Return whether a cell stands for a number that is missing."""
    return cell.lower() in GAPS


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _has_numbers(name: str, cells: Cells) -> bool:
    """Return whether a column has numbers, and refuse one that has texts too.

    Numbers with a decimal comma would be taken for texts, and each for another category.
    """
    there = [cell for cell in cells if not is_gap(cell)]
    other = next((cell for cell in there if not is_number(cell)), None)
    has_numbers = any(map(is_number, there))
    if other is not None and (has_numbers or WITH_COMMA.fullmatch(other)):
        allowed = "numbers with a point in every row, or texts, or named in --categories"
        raise wrong_argument(name, allowed, repr(other))
    return has_numbers


def _are_quantities(cells: Cells) -> bool:
    """Return whether the numbers of a target are to be regressed."""
    different = {float(cell) for cell in cells if not is_gap(cell)}
    return len(different) > MOST_NUMBERED_CLASSES or not all(map(float.is_integer, different))


def _decimals_of(values: NDArray[np.float64], most: int) -> int:
    """Return the decimals of a column of numbers, given those of the number that has most."""
    sizes = np.abs(values[values != 0])
    if sizes.size == 0:
        return 0
    if 2 * sizes.size < values.size:
        return round(math.log10(PRESENT / float(np.median(sizes))))
    return min(most, math.floor(math.log10(LARGE_READING / float(sizes.max()))))


def _decimals(cell: str) -> int:
    """Return how many digits a number has behind the point."""
    exponent = Decimal(cell).as_tuple().exponent
    return max(0, -int(exponent))


def _readings(values: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """Return numbers as whole numbers of a last decimal."""
    scaled = values * 10.0**decimals if decimals >= 0 else values / 10.0**-decimals
    readings: NDArray[np.float64] = np.rint(scaled)
    return readings.clip(-LARGEST_READING, LARGEST_READING)
