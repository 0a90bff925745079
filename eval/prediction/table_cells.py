"""The cells of a CSV as they are written, with the line that each row stands on, and numbers out of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.prediction.table import FloatArray

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST_TOLD = 40
_MOST_TOLD = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """A CSV as text: nothing in it has been taken for a number or for missing.

    Attributes:
        path: The file.
        columns: Cells of each column by its name, in the file's order.
        lines: Line that each row begins on, as an editor counts.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """Say where a row stands."""
        return f"{self.path} line {self.lines[row]}"

    def text(self, name: str) -> Sequence[str]:
        """A column as text.

        Raises:
            Refusal: If there is no such column.
        """
        if name not in self.columns:
            raise lack_column(self.path, name, list(self.columns))
        return self.columns[name]

    def numbers(self, name: str) -> FloatArray:
        """A column as numbers, shape ``(n,)``; an empty cell is NaN.

        Raises:
            Refusal: If there is no such column, or a cell is neither empty nor a finite number.
        """
        cells = self.text(name)
        values = np.full(len(cells), np.nan)
        for row, cell in enumerate(cells):
            if cell:
                value = float(cell) if _NUMBER.fullmatch(cell) else np.inf
                if abs(value) == np.inf:
                    raise Refusal(
                        f"{self.where(row)}: {name} is {shorten(cell)}, needed a number such as 0.25 or 1200, or an "
                        "empty cell where there is none"
                    )
                values[row] = value
        return values


def read_cells(path: Path) -> Cells:
    """Read a CSV with a header, comma separated and in UTF-8.

    Args:
        path: The file; empty lines in it are passed over.

    Returns:
        At least one row.

    Raises:
        Refusal: If the file is missing or empty, not UTF-8, no CSV, names a column twice, or a row has another number
            of cells than the header.
    """
    text = _read_text(path)
    # A cell may be as long as the file; what is too long to be a table is told by its number of cells.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    begins = 1
    try:
        for cells in reader:
            if cells:
                rows.append(cells)
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Refusal(f"{path} line {begins} is no CSV ({error}): mend its quotes") from error
    if len(rows) < 2:
        raise Refusal(f"{path} holds {'a header and no rows' if rows else 'nothing'}: give a table with rows")
    header = rows.pop(0)
    lines.pop(0)
    twice = sorted(name for name in set(header) if header.count(name) > 1)
    if twice:
        raise Refusal(f"{path} has two columns {shorten(twice[0])}: leave one out")
    for line, cells in zip(lines, rows, strict=True):
        if len(cells) != len(header):
            raise Refusal(
                f"{path} line {line} has {len(cells)} cells, the header {len(header)}: put names with commas in "
                "double quotes, or mend the row"
            )
    return Cells(
        path=path, columns=dict(zip(header, zip(*rows, strict=True), strict=True)), lines=tuple(lines)
    )


def lack_column(path: Path, name: str, found: Sequence[str]) -> Refusal:
    """Return what to raise where a column is missing."""
    told = ", ".join(shorten(one) for one in found[:_MOST_TOLD])
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return Refusal(
        f"{path} has no column {name!r}, only {told or 'none'}{more}: add it, or rename the right one"
    )


def shorten(text: str) -> str:
    """Quote text for a message, cut where it is long.

    >>> shorten("cat"), len(shorten("cat" * 100))
    ("'cat'", 43)
    """
    return repr(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…")


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise Refusal(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: give a file of a table"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Refusal(f"{path} line {line} is not UTF-8: save the table as CSV in UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise Refusal(f"{path} line {line} holds a NUL, which no text does: save the table as CSV in UTF-8")
    return text
