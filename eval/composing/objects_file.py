"""Samples that show several objects, from a table on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.composing.objects import FloatArray, Names, ObjectSamples
from oddpair.eval.composing.objects_counts import look_up_sets
from oddpair.files import read_table
from oddpair.retrieval.words import normalise

if TYPE_CHECKING:
    import pyarrow as pa

_NAMES = ("model", "corpus", "sample", "objects")
_NUMBERS = ("count_set", "pmi", "corpus_size")
_SPLIT = ";"


def read_objects(path: Path, counts: Mapping[str, Path]) -> ObjectSamples:
    """Read samples of several objects from a CSV or parquet file.

    It has the columns ``model, corpus, sample, objects`` (split by ``;``) and ``correct`` (0 to 1), and may have
    ``count_objects`` (split by ``;``, in the order of the objects), ``count_set``, ``pmi`` and ``corpus_size``. What it
    leaves empty is looked up, for the corpora whose counts are given. An object that a row names twice is one.

    Args:
        path: The file.
        counts: Folder of ``oddpair count`` by the name of the corpus.

    Returns:
        The samples; counts of objects that are no concept of the counts are NaN.

    Raises:
        Refusal: If the file is missing, damaged, lacks a column or holds what is no sample; if neither it nor counts
            that were given say how often objects occur; or if the counts are damaged.
    """
    table = _read(path)
    lacking = [name for name in (*_NAMES, "correct") if name not in table.column_names]
    if lacking:
        raise Refusal(
            f"{path} has no column {lacking[0]!r}, only {', '.join(map(repr, table.column_names))}: give a table with "
            f"the columns {', '.join((*_NAMES, 'correct'))}"
        )
    if not table.num_rows:
        raise Refusal(f"{path} has no rows: give one for each model and sample")
    names = {name: _texts(path, table, name) for name in _NAMES}
    numbers = {name: _numbers(path, table, name) for name in ("correct", *_NUMBERS)}
    objects, each = _read_objects(path, table, names["objects"])
    strange = sorted(set(counts) - set(names["corpus"].tolist()))
    if strange:
        corpora = ", ".join(np.unique(names["corpus"]).tolist())
        raise Refusal(
            f"counts of a corpus {strange[0]!r} were given, {path} has models of {corpora}: give one of these names"
        )
    for corpus in np.unique(names["corpus"]).tolist():
        rows = np.flatnonzero(names["corpus"] == corpus)
        if corpus in counts:
            _fill(counts[corpus], rows, objects, each, numbers)
        elif all(np.isnan(each[row]).all() for row in rows.tolist()):
            raise Refusal(
                f"{path}: row {rows[0]} and all others of corpus {corpus!r} do not say how often their objects occur: "
                "fill in count_objects and count_set, or give the folder of oddpair count for this corpus"
            )
    try:
        return ObjectSamples(
            model=names["model"],
            corpus=names["corpus"],
            sample=names["sample"],
            objects=tuple(objects),
            counts=np.concatenate(each),
            **numbers,
        )
    except ValueError as error:
        raise Refusal(f"{path}: {error} (rows count from 0): mend the table") from error


def _read(path: Path) -> pa.Table:
    if path.suffix.lower() in (".parquet", ".pq"):
        return read_table(path)
    import pyarrow as pa
    from pyarrow import csv

    try:
        # Texts stay as they are: a model may be called 007, and an object "null".
        return csv.read_csv(
            path,
            convert_options=csv.ConvertOptions(
                column_types={
                    **dict.fromkeys((*_NAMES, "count_objects"), pa.string()),
                    **dict.fromkeys(("correct", *_NUMBERS), pa.float64()),
                },
                null_values=[""],
                strings_can_be_null=False,
            ),
            read_options=csv.ReadOptions(use_threads=False),
        )
    except FileNotFoundError as error:
        raise Refusal(f"{path} does not exist: check the path") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        told = str(error).splitlines()[0]
        raise Refusal(
            f"{path} is no CSV file of samples ({told}): mend it, or give a parquet file"
        ) from error


def _texts(path: Path, table: pa.Table, name: str) -> Names:
    import pyarrow as pa

    values = table[name].cast(pa.string()).to_pylist()
    empty = next((row for row, value in enumerate(values) if not value), None)
    if empty is not None:
        raise Refusal(f"{path}: row {empty} (from 0) has no {name}: fill it in, or leave the row out")
    return np.array(values, dtype=np.str_)


def _numbers(path: Path, table: pa.Table, name: str) -> FloatArray:
    import pyarrow as pa

    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        if column.null_count < len(column) and not pa.types.is_boolean(column.type):
            raise Refusal(f"{path}: column {name!r} is {column.type}, needed numbers: write it as numbers")
        column = column.cast(pa.int8())
    values: FloatArray = column.cast(pa.float64()).to_numpy()
    return values.copy()


def _read_objects(
    path: Path, table: pa.Table, column: Names
) -> tuple[list[tuple[str, ...]], list[FloatArray]]:
    """Split the objects and their counts; a repeated object goes with its count."""
    given = [""] * len(column)
    if "count_objects" in table.column_names:
        given = ["" if value is None else str(value) for value in table["count_objects"].to_pylist()]
    objects, counts = [], []
    for row, (text, numbers) in enumerate(zip(column.tolist(), given, strict=True)):
        found = [name.strip() for name in text.split(_SPLIT)]
        if not all(map(normalise, found)):
            raise Refusal(
                f"{path}: row {row} (from 0) has the objects {text!r}, one of which is no name: mend it"
            )
        values = _split_counts(path, row, numbers, len(found))
        first = {normalise(name): place for place, name in reversed(list(enumerate(found)))}
        kept = sorted(first.values())
        objects.append(tuple(found[place] for place in kept))
        counts.append(values[kept])
    return objects, counts


def _split_counts(path: Path, row: int, text: str, n: int) -> FloatArray:
    if not text.strip():
        return np.full(n, np.nan)
    parts = text.split(_SPLIT)
    try:
        values = np.array([float(part) if part.strip() else np.nan for part in parts])
    except ValueError:
        values = np.empty(0)
    if len(values) != n:
        raise Refusal(
            f"{path}: row {row} (from 0) has the counts {text!r}, needed {n} numbers split by {_SPLIT!r}, one for each "
            "object: mend it"
        )
    return values


def _fill(
    folder: Path,
    rows: np.ndarray,
    objects: Sequence[tuple[str, ...]],
    each: list[FloatArray],
    numbers: Mapping[str, FloatArray],
) -> None:
    """Put what the counts say where the table says nothing; what it says itself stays."""
    sets = list(dict.fromkeys(objects[row] for row in rows.tolist()))
    place_of = {found: place for place, found in enumerate(sets)}
    found = look_up_sets(folder, sets)
    for row in rows.tolist():
        place = place_of[objects[row]]
        empty = np.isnan(each[row])
        each[row] = np.where(empty, found.single[place], each[row])
        for name, value in (
            ("count_set", found.together[place]),
            ("pmi", found.pmi[place]),
            ("corpus_size", found.corpus_size),
        ):
            if np.isnan(numbers[name][row]):
                numbers[name][row] = value
