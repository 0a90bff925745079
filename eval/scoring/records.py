"""Records on disk: what a model answered, sample by sample, from which every metric can be computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.eval.scoring.record_checks import find_fault
from oddpair.files import read_table, write_table

_QUESTION = [("key", pa.string()), ("uid", pa.string()), ("style", pa.string())]
_RANKED = pa.schema(
    [
        *_QUESTION,
        ("target", pa.int32()),
        ("partner", pa.int32()),
        ("top_classes", pa.list_(pa.int32())),
        ("top_scores", pa.list_(pa.float32())),
        ("target_score", pa.float32()),
        ("logsumexp", pa.float32()),
        ("n_greater", pa.int32()),
        ("n_tied", pa.int32()),
        ("n_candidates", pa.int32()),
    ]
)
# Scores are float32 so that the last bits of a matrix product do not reach the file.
SCHEMAS: dict[Kind, pa.Schema] = {
    "classification": _RANKED,
    "pairs": _RANKED,
    "multilabel": pa.schema(
        [*_QUESTION, ("scores", pa.list_(pa.float32())), ("labels", pa.list_(pa.int32()))]
    ),
    "retrieval": pa.schema(
        [
            *_QUESTION,
            ("direction", pa.string()),
            ("caption", pa.int32()),
            ("best_score", pa.float32()),
            ("n_greater", pa.int32()),
            ("n_tied", pa.int32()),
            ("n_positives_tied", pa.int32()),
            ("n_candidates", pa.int32()),
        ]
    ),
    "choice": pa.schema(
        [
            *_QUESTION,
            ("category", pa.string()),
            ("n_images", pa.int32()),
            ("n_captions", pa.int32()),
            ("scores", pa.list_(pa.float32())),
        ]
    ),
}
# What makes a question, and the order of records.
ASKED: dict[Kind, tuple[str, ...]] = {
    "classification": ("key",),
    "pairs": ("key", "target", "partner"),
    "multilabel": ("key",),
    "retrieval": ("direction", "key", "caption"),
    "choice": ("key",),
}


def write_records(path: Path, kind: Kind, table: pa.Table) -> None:
    """Write records, sorted by what makes a question, so that the bytes do not depend on their order.

    Args:
        path: Parquet file to write.
        kind: What was asked.
        table: Columns of ``SCHEMAS[kind]``, in any order.

    Raises:
        Refusal: If the table breaks a rule that `read_records` checks.
    """
    checked = check_records(table, kind, path)
    write_table(path, checked.sort_by([(name, "ascending") for name in ASKED[kind]]))


def read_records(path: Path, kind: Kind) -> pa.Table:
    """Read records and check them: columns, no gaps, finite scores, one answer per question, counts that agree.

    Args:
        path: File of `write_records`.
        kind: What was asked.

    Returns:
        The table, in the columns and types of ``SCHEMAS[kind]``.

    Raises:
        Refusal: If the file cannot be read or breaks a rule; the line names the file and the row.
    """
    return check_records(read_table(path), kind, path)


def check_records(table: pa.Table, kind: Kind, path: Path | str) -> pa.Table:
    """Check records that are in memory, as `read_records` does.

    Args:
        table: Columns of ``SCHEMAS[kind]``, in any order.
        kind: What was asked.
        path: Where they come from, for messages.

    Returns:
        The table, in the columns and types of ``SCHEMAS[kind]``, each of one chunk.

    Raises:
        Refusal: If they break a rule; the line names the row.
    """
    schema = SCHEMAS[kind]
    if sorted(table.column_names) != sorted(schema.names):
        raise Refusal(
            f"{path}: columns are {', '.join(table.column_names)}; records of {kind} need exactly "
            f"{', '.join(schema.names)}; score the model again"
        )
    if table.num_rows == 0:
        raise Refusal(f"{path}: holds no records; score the model again")
    try:
        # Without chunks a list's values and offsets are one array each.
        records = table.select(schema.names).cast(schema).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as problem:
        raise Refusal(f"{path}: a column has the wrong type ({problem}); score the model again") from problem
    for field in schema:
        _check_values(records[field.name].chunk(0), field, path)
    repeated = _find_repeated(records, kind)
    if repeated is not None:
        asked = ", ".join(f"{name} {records[name][repeated].as_py()}" for name in ASKED[kind])
        raise Refusal(
            f"{path}: row {repeated} answers a second time ({asked}); one answer per question is needed, score the model again"
        )
    fault = find_fault(records, kind)
    if fault is not None:
        raise Refusal(f"{path}: row {fault.row} {fault.what}; score the model again")
    return records


def _check_values(column: pa.Array, field: pa.Field, path: Path | str) -> None:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise Refusal(f"{path}: row {row} has no {field.name}; score the model again")
    values, rows = column, None
    if pa.types.is_list(field.type):
        values, rows = column.flatten(), pc.list_parent_indices(column)
    place: int | None = None
    problem = "that is not finite; the model is degenerate"
    if values.null_count:
        place, problem = values.is_null().to_pylist().index(True), "with a gap; score the model again"
    elif pa.types.is_floating(values.type):
        broken = np.flatnonzero(~np.isfinite(values.to_numpy()))
        place = int(broken[0]) if len(broken) else None
    if place is not None:
        row = place if rows is None else rows[place].as_py()
        raise Refusal(f"{path}: row {row} has a {field.name} {problem}")


def _find_repeated(records: pa.Table, kind: Kind) -> int | None:
    """Return the second row of a question that is answered twice."""
    order = pc.sort_indices(records, sort_keys=[(name, "ascending") for name in ASKED[kind]]).to_numpy()
    same = np.ones(len(order) - 1, dtype=np.bool_)
    for name in ASKED[kind]:
        column: NDArray[Any] = records[name].take(pa.array(order)).to_numpy(zero_copy_only=False)
        same &= column[1:] == column[:-1]
    places = np.flatnonzero(same)
    return int(max(order[places[0]], order[places[0] + 1])) if len(places) else None
