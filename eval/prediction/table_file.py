"""Tables of accuracies on disk, as CSV or parquet, with every fault told by file, row and remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.prediction.table import (
    COUNTS,
    NAMES,
    NUMBERS,
    AccuracyTable,
    FloatArray,
)
from oddpair.eval.prediction.table_cells import lack_column, read_cells, shorten

_NEEDED = (*NAMES, "accuracy")
_ENDINGS = (".csv", ".parquet")
# Above this a float no longer holds every whole number.
_MOST_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Imported:
    """A table made from other files.

    Attributes:
        table: The table.
        notes: What whoever reads numbers made from it has to know, a line each.
    """

    table: AccuracyTable
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    names: Mapping[str, list[str]]
    numbers: Mapping[str, FloatArray]
    where: Callable[[int], str]


def read_table(path: Path) -> AccuracyTable:
    """Read a table with a row for every model, dataset and concept.

    Needed are the columns ``model``, ``corpus``, ``dataset``, ``concept`` and ``accuracy``; ``n``, ``count_text``,
    ``count_image``, ``count_joint`` and ``pmi`` may be absent, and others are passed over. Of a CSV an empty cell is a
    number that is missing; words such as ``nan``, ``null`` and ``None`` are concepts like any other, and no numbers.

    Args:
        path: A file ``.csv`` or ``.parquet``.

    Returns:
        The table, rows in the file's order.

    Raises:
        Refusal: If the file is no such table; the line names the file, and the row where there is one: the line of a
            CSV, the index of a parquet row.
    """
    match path.suffix:
        case ".csv":
            found = _read_csv(path)
        case ".parquet":
            found = _read_parquet(path)
        case _:
            raise _no_ending(path)
    _check_names(found)
    _check_numbers(found)
    _check_keys(found)
    columns: dict[str, NDArray[Any]] = {name: np.array(found.names[name], dtype=np.str_) for name in NAMES}
    return AccuracyTable(**columns | dict(found.numbers))


def write_table(path: Path, table: AccuracyTable) -> None:
    """Write a table, sorted by model, dataset and concept; missing numbers are empty cells.

    Args:
        path: A file ``.csv`` or ``.parquet``; equal tables give equal bytes.
        table: The table.

    Raises:
        Refusal: If the path ends otherwise, or the file cannot be written.
    """
    check_ending(path)
    rows = table.take(np.lexsort((table.concept, table.dataset, table.model)))
    columns = rows.columns()
    if path.suffix == ".parquet":
        arrays = {
            name: pa.array(column.tolist(), pa.string())
            if name in NAMES
            else pa.array(column, pa.float64(), mask=np.isnan(column))
            for name, column in columns.items()
        }
        files.write_table(path, pa.table(arrays))
        return
    cells = [
        [_quote(name) for name in column.tolist()]
        if label in NAMES
        else [_format_number(value) for value in column.tolist()]
        for label, column in columns.items()
    ]
    lines = [",".join(columns), *(",".join(row) for row in zip(*cells, strict=True))]
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def check_ending(path: Path) -> None:
    """Refuse a path that ends neither in ``.csv`` nor in ``.parquet``, before anything is computed for it.

    Raises:
        Refusal: If it does.
    """
    if path.suffix not in _ENDINGS:
        raise _no_ending(path)


def _no_ending(path: Path) -> Refusal:
    return Refusal(f"{path}: a table is a file {' or '.join(_ENDINGS)}: give a path that ends so")


def _read_csv(path: Path) -> _Columns:
    cells = read_cells(path)
    names = {name: list(cells.text(name)) for name in NAMES}
    cells.text("accuracy")
    absent = np.full(len(cells), np.nan)
    numbers = {name: cells.numbers(name) if name in cells.columns else absent for name in NUMBERS}
    return _Columns(names=names, numbers=numbers, where=cells.where)


def _read_parquet(path: Path) -> _Columns:
    whole = files.read_table(path)
    for name in (*NAMES, *NUMBERS):
        times = whole.column_names.count(name)
        if times > 1:
            raise Refusal(f"{path} has {times} columns {name!r}: leave one")
        if times == 0 and name in _NEEDED:
            raise lack_column(path, name, whole.column_names)
    if whole.num_rows == 0:
        raise Refusal(f"{path} holds a header and no rows: give a table with rows")

    def where(row: int) -> str:
        return f"{path} row {row}"

    names = {name: _texts(whole[name], name, where) for name in NAMES}
    absent = np.full(whole.num_rows, np.nan)
    numbers = {
        name: _floats(whole[name], name, path) if name in whole.column_names else absent for name in NUMBERS
    }
    return _Columns(names=names, numbers=numbers, where=where)


def _texts(column: pa.ChunkedArray, name: str, where: Callable[[int], str]) -> list[str]:
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise Refusal(f"{where(0)}: {name} is {column.type}, needed text in UTF-8: store it so") from error
    if None in texts:
        raise Refusal(f"{where(texts.index(None))} has no {name}: fill it in, or leave the row out")
    return [text for text in texts if text is not None]


def _floats(column: pa.ChunkedArray, name: str, path: Path) -> FloatArray:
    kind = column.type
    if not any(
        check(kind)
        for check in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    ):
        raise Refusal(f"{path}: {name} is {kind}, needed numbers: store it as float64")
    # Nulls become NaN, which pandas writes for them too.
    values: FloatArray = np.asarray(
        column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
    )
    return values


def _check_names(found: _Columns) -> None:
    for name in NAMES:
        for row, text in enumerate(found.names[name]):
            # Only a concept may be the empty string: that of a published set is.
            if not text and name != "concept":
                raise Refusal(f"{found.where(row)} has no {name}: fill it in, or leave the row out")
            if "\0" in text:
                raise Refusal(f"{found.where(row)}: {name} holds a NUL, which no name does: take it out")


def _check_numbers(found: _Columns) -> None:
    accuracy = found.numbers["accuracy"]
    row = _first((accuracy < 0) | (accuracy > 1))
    if row is not None:
        # A column of percent says so by most of its values, a single wrong cell does not.
        percent = np.nanmin(accuracy) >= 0 and 1 < np.nanmax(accuracy) <= 100
        remedy = "in percent? divide by 100" if percent else "needed a share from 0 to 1"
        raise Refusal(f"{found.where(row)}: accuracy is {accuracy[row]:.10g}, outside 0 to 1: {remedy}")
    for name, least, what in (
        ("n", 1, "the samples behind the accuracy"),
        *((count, 0, "samples of the corpus") for count in COUNTS),
    ):
        values = found.numbers[name]
        known = ~np.isnan(values)
        whole = (values >= least) & (values <= _MOST_WHOLE) & (np.floor(values) == values)
        row = _first(known & ~whole)
        if row is not None:
            raise Refusal(
                f"{found.where(row)}: {name} is {values[row]:.10g}, needed a whole number of {what}, {least} or more, "
                "or an empty cell where it is not known"
            )
    row = _first(np.isinf(found.numbers["pmi"]))
    if row is not None:
        raise Refusal(
            f"{found.where(row)}: pmi is {found.numbers['pmi'][row]}, needed a finite number: of pairs that are never "
            "seen together give a smoothed PMI, or leave the cell empty"
        )


def _check_keys(found: _Columns) -> None:
    seen: dict[tuple[str, str, str], int] = {}
    trained: dict[str, int] = {}
    corpora, models = found.names["corpus"], found.names["model"]
    keys = zip(models, found.names["dataset"], found.names["concept"], strict=True)
    for row, key in enumerate(keys):
        if key in seen:
            told = ", ".join(shorten(part) for part in key)
            raise Refusal(
                f"{found.where(row)} repeats {told} (model, dataset, concept) of {_short(found.where(seen[key]))}: "
                "leave one out"
            )
        seen[key] = row
        first = trained.setdefault(key[0], row)
        if corpora[row] != corpora[first]:
            raise Refusal(
                f"{found.where(row)}: model {shorten(key[0])} has corpus {shorten(corpora[row])}, and "
                f"{shorten(corpora[first])} on {_short(found.where(first))}: give each model the corpus that it was "
                "trained on"
            )


def _short(place: str) -> str:
    """Cut a place down to its line, where the message has named the file."""
    return " ".join(place.split(" ")[-2:])


def _first(mask: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(mask)
    return int(rows[0]) if len(rows) else None


def _quote(name: str) -> str:
    # csv.writer leaves a lone carriage return bare, and its reader then ends the row there.
    return '"' + name.replace('"', '""') + '"' if any(sign in name for sign in ',"\r\n') else name


def _format_number(value: float) -> str:
    if value != value:
        return ""
    return str(int(value)) if value == int(value) and abs(value) <= _MOST_WHOLE else repr(value)
