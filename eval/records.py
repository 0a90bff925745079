"""Per-sample predictions on disk: one row per question asked, from which every score can be made again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import read_table, write_table

# score and margin are float32 so that the last bits of a matrix product do not reach the file.
SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("task", pa.string()),
        ("style", pa.string()),
        ("target", pa.string()),
        ("partner", pa.string()),
        ("prediction", pa.string()),
        ("hit", pa.bool_()),
        ("score", pa.float32()),
        ("margin", pa.float32()),
    ]
)
_KEY = ("task", "uid", "target")


def write_records(path: Path, table: pa.Table) -> None:
    """Write predictions, sorted by task, uid and target, so that the bytes do not depend on their order.

    Args:
        path: Parquet file to write.
        table: Columns of `SCHEMA` in any order; ``partner`` is ``""`` for one-object questions.

    Raises:
        Refusal: If the table breaks a rule that `read_records` checks.
    """
    checked = _check(table, path)
    write_table(path, checked.sort_by([(name, "ascending") for name in _KEY]))


def read_records(path: Path) -> pa.Table:
    """Read predictions and check them: columns, no gaps, one answer per question, hits as the names say.

    Args:
        path: File of `write_records`.

    Returns:
        The table, in the columns and types of `SCHEMA`.

    Raises:
        Refusal: If the file cannot be read or breaks a rule; the line names the file and the row.
    """
    return _check(read_table(path), path)


def accuracy_by(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Hits and questions per group of records.

    Args:
        table: Records.
        columns: Columns of the records that make a group, such as ``("task", "target", "partner")``.

    Returns:
        The group columns, sorted, then ``successes`` and ``trials`` (int64) and ``accuracy`` (float64).

    Raises:
        ValueError: If there are no records.

    >>> table = pa.table({"task": ["a", "a", "b"], "hit": [True, False, True]})
    >>> accuracy_by(table, ["task"]).to_pylist()[0]
    {'task': 'a', 'successes': 1, 'trials': 2, 'accuracy': 0.5}
    """
    if table.num_rows == 0:
        raise ValueError("no records, no accuracy")
    keys = list(columns)
    counted = table.select([*keys, "hit"]).set_column(len(keys), "hit", table["hit"].cast(pa.int64()))
    grouped = counted.group_by(keys, use_threads=False).aggregate([("hit", "sum"), ("hit", "count")])
    grouped = grouped.sort_by([(name, "ascending") for name in keys])
    successes, trials = grouped["hit_sum"].cast(pa.int64()), grouped["hit_count"].cast(pa.int64())
    accuracy = np.asarray(successes.to_numpy(), dtype=np.float64) / trials.to_numpy()
    return pa.table(
        {name: grouped[name] for name in keys}
        | {"successes": successes, "trials": trials, "accuracy": pa.array(accuracy)}
    )


def _check(table: pa.Table, path: Path) -> pa.Table:
    if sorted(table.column_names) != sorted(SCHEMA.names):
        raise Refusal(
            f"{path}: columns are {', '.join(table.column_names)}; records need exactly "
            f"{', '.join(SCHEMA.names)}; score the model again"
        )
    if table.num_rows == 0:
        raise Refusal(f"{path}: holds no predictions; score the model again")
    try:
        records = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as problem:
        raise Refusal(f"{path}: a column has the wrong type ({problem}); score the model again") from problem
    for name in SCHEMA.names:
        if records[name].null_count:
            row = records[name].is_null().to_pylist().index(True)
            raise Refusal(f"{path}: row {row} has no {name}; score the model again")
    for name in ("score", "margin"):
        broken = np.flatnonzero(~np.isfinite(records[name].to_numpy()))
        if len(broken):
            raise Refusal(f"{path}: row {broken[0]} has a {name} that is not finite; the model is degenerate")
    _check_answers(records, path)
    return records


def _check_answers(records: pa.Table, path: Path) -> None:
    columns = {name: records[name].to_pylist() for name in (*_KEY, "prediction", "hit")}
    asked: dict[tuple[str, ...], int] = {}
    for row, question in enumerate(zip(*(columns[name] for name in _KEY), strict=True)):
        first = asked.setdefault(question, row)
        if first != row:
            task, uid, target = question
            raise Refusal(
                f"{path}: rows {first} and {row} both answer uid {uid}, task {task}, target {target}; "
                "one answer per question is needed, score the model again"
            )
        prediction, hit = columns["prediction"][row], columns["hit"][row]
        if hit != (prediction == question[-1]):
            raise Refusal(
                f"{path}: row {row} says hit={hit} where the prediction is {prediction!r} and the target "
                f"{question[-1]!r}; score the model again"
            )
