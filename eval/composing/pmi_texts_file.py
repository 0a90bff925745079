"""Samples of text and what models made of them, from a table on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.eval.composing.pmi_gap_rows import FloatArray
from oddpair.eval.prediction.table import Names
from oddpair.eval.prediction.table_cells import lack_column, read_cells, shorten
from oddpair.files import read_table

Answers = Literal["gold", "predicted"]

_COLUMNS = ("model", "dataset", "sample", "question", "answer", "text", "predicted", "correct")
_TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextSamples:
    """What models made of samples of text; the same sample comes once for every model.

    Attributes:
        model: Model of the row, shape ``(n,)``.
        dataset: Test set of the row, shape ``(n,)``; ``""`` where the table names none.
        sample: Sample of the test set, shape ``(n,)``.
        parts: Columns of text: questions and answers, or whole texts alone; each of ``n`` strings.
        correct: Whether the model has it right, 0 to 1, shape ``(n,)``.
    """

    model: Names
    dataset: Names
    sample: Names
    parts: tuple[tuple[str, ...], ...]
    correct: FloatArray

    def __len__(self) -> int:
        return len(self.model)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, sorted."""
        return tuple(np.unique(self.model).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    columns: dict[str, Sequence[str]]
    where: Callable[[int], str]


def read_texts(path: Path, answers: Answers = "gold") -> TextSamples:
    """Read samples of text from a CSV or parquet file.

    Needed are ``model``, ``sample``, ``correct`` (0 to 1, or true and false) and either ``text`` or ``question`` with
    ``answer``, or with ``predicted`` where predicted answers are asked for; ``dataset`` may be there, and other columns
    are passed over. An empty text names no concept.

    Args:
        path: A file ``.csv`` or ``.parquet``.
        answers: Whether the correct answers (``gold``) or those of the models (``predicted``) stand beside questions.

    Returns:
        The samples, in the file's order.

    Raises:
        Refusal: If the file is no such table, or a row comes twice; the line names the file and the row.
    """
    table = _read(path)
    for name in ("model", "sample", "correct"):
        if name not in table.columns:
            raise lack_column(path, name, list(table.columns))
    for name in ("model", "sample"):
        if "" in table.columns[name]:
            row = list(table.columns[name]).index("")
            raise Refusal(f"{table.where(row)} has no {name}: fill it in, or leave the row out")
    model, sample = (np.array(table.columns[name], np.str_) for name in ("model", "sample"))
    dataset = np.array(table.columns.get("dataset", [""] * len(model)), np.str_)
    first: dict[tuple[str, str, str], int] = {}
    for row, key in enumerate(zip(model.tolist(), dataset.tolist(), sample.tolist(), strict=True)):
        if first.setdefault(key, row) != row:
            told = ", ".join(shorten(part) for part in key if part)
            raise Refusal(f"{table.where(row)} repeats {told} of {table.where(first[key])}: leave one out")
    return TextSamples(
        model=model,
        dataset=dataset,
        sample=sample,
        parts=_choose_parts(path, table, answers),
        correct=_read_correct(table),
    )


def _choose_parts(path: Path, table: _Table, answers: Answers) -> tuple[tuple[str, ...], ...]:
    if "question" in table.columns:
        beside = "answer" if answers == "gold" else "predicted"
        if beside not in table.columns:
            raise lack_column(path, beside, list(table.columns))
        return tuple(table.columns["question"]), tuple(table.columns[beside])
    if "text" not in table.columns:
        raise lack_column(path, "text", list(table.columns))
    if answers == "predicted":
        raise Refusal(
            f"{path} has whole texts, in which predicted answers have no place: give the columns 'question' and 'predicted'"
        )
    return (tuple(table.columns["text"]),)


def _read_correct(table: _Table) -> FloatArray:
    cells = table.columns["correct"]
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            value = _TRUTH[cell.lower()] if cell.lower() in _TRUTH else float(cell)
        except ValueError:
            value = np.nan
        if not 0 <= value <= 1:
            raise Refusal(
                f"{table.where(row)}: correct is {shorten(cell)}, needed a number from 0 to 1, or true or false"
            )
        values[row] = value
    return values


def _read(path: Path) -> _Table:
    if path.suffix == ".csv":
        cells = read_cells(path)
        return _Table(
            columns={name: column for name, column in cells.columns.items() if name in _COLUMNS},
            where=cells.where,
        )
    if path.suffix != ".parquet":
        raise Refusal(f"{path}: a table is a file .csv or .parquet: give a path that ends so")
    whole = read_table(path)
    if whole.num_rows == 0:
        raise Refusal(f"{path} holds no rows: give one for each model and sample")
    columns: dict[str, Sequence[str]] = {}
    for name in whole.column_names:
        if name in _COLUMNS:
            if whole.column_names.count(name) > 1:
                raise Refusal(f"{path} has two columns {name!r}: leave one out")
            columns[name] = _as_texts(path, name, whole[name])
    return _Table(columns=columns, where=lambda row: f"{path} row {row}")


def _as_texts(path: Path, name: str, column: pa.ChunkedArray) -> tuple[str, ...]:
    try:
        return tuple(text or "" for text in column.cast(pa.string()).to_pylist())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise Refusal(f"{path}: {name} is {column.type}, needed text in UTF-8: store it so") from error
