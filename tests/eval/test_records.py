import re

import numpy as np
import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.eval.records import SCHEMA, accuracy_by, read_records, write_records
from oddpair.files import write_table


def table(**changes):
    columns = {
        "uid": ["b", "a", "a", "c"],
        "task": ["natural", "natural", "pairs", "pairs"],
        "style": ["photo", "photo", "photo", "photo"],
        "target": ["cat", "dog", "dog", "cat"],
        "partner": ["", "", "cat", "dog"],
        "prediction": ["cat", "fox", "dog", "fox"],
        "hit": [True, False, True, False],
        "score": [0.5, 0.25, 0.5, 0.75],
        "margin": [0.0, 0.1, 0.2, 0.3],
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


def test_records_come_back_as_written_sorted_by_task_uid_and_target(tmp_path):
    write_records(tmp_path / "r.parquet", table())
    found = read_records(tmp_path / "r.parquet")
    assert found.schema.equals(SCHEMA)
    assert found["uid"].to_pylist() == ["a", "b", "a", "c"]
    assert found["hit"].to_pylist() == [False, True, True, False]
    assert found["score"].to_pylist() == [0.25, 0.5, 0.5, 0.75]


def test_the_bytes_depend_on_neither_row_order_nor_column_order(tmp_path):
    write_records(tmp_path / "1.parquet", table())
    shuffled = table().take([2, 0, 3, 1]).select(SCHEMA.names[::-1])
    write_records(tmp_path / "2.parquet", shuffled)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": None}, "columns are .*; records need exactly uid, task"),
        ({"extra": [1, 2, 3, 4]}, "columns are .*extra"),
        ({"hit": ["yes", "no", "perhaps", "no"]}, "a column has the wrong type"),
        ({"uid": ["a", None, "c", "d"]}, "row 1 has no uid"),
        ({"score": [0.5, 0.5, np.nan, 0.5]}, "row 2 has a score that is not finite"),
        (
            {"hit": [True, True, True, False]},
            "row 1 says hit=True where the prediction is 'fox' and the target 'dog'",
        ),
        (
            {"uid": ["a", "a", "b", "b"], "target": ["cat", "cat", "dog", "cat"], "prediction": ["cat"] * 4},
            "rows 0 and 1 both answer uid a, task natural, target cat",
        ),
    ],
)
def test_records_that_break_a_rule_are_neither_written_nor_read(tmp_path, changes, message):
    path = tmp_path / "r.parquet"
    broken = table(**changes)
    if "rows 0 and 1" in message:
        broken = broken.set_column(
            broken.column_names.index("hit"), "hit", pa.array([True, True, False, True])
        )
    with pytest.raises(Refusal, match=f"{re.escape(str(path))}: {message}"):
        write_records(path, broken)
    assert not path.exists()
    write_table(path, broken)
    with pytest.raises(Refusal, match=f"{re.escape(str(path))}: {message}"):
        read_records(path)


def test_no_predictions_are_an_error_and_not_an_accuracy_of_0(tmp_path):
    empty = SCHEMA.empty_table()
    with pytest.raises(Refusal, match="holds no predictions"):
        write_records(tmp_path / "r.parquet", empty)
    with pytest.raises(ValueError, match="no records"):
        accuracy_by(empty, ["task"])


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(Refusal, match=r"absent\.parquet"):
        read_records(tmp_path / "absent.parquet")


def test_groups_add_up_to_all_records():
    rng = np.random.default_rng(0)
    records = pa.table(
        {
            "task": rng.choice(["x", "y"], 200),
            "target": rng.choice(["cat", "dog", "fox"], 200),
            "hit": rng.random(200) < 0.3,
        }
    )
    groups = accuracy_by(records, ["task", "target"]).to_pylist()
    assert [(row["task"], row["target"]) for row in groups] == sorted(
        (row["task"], row["target"]) for row in groups
    )
    assert len(groups) == 6
    rows = records.to_pylist()
    for group in groups:
        hits = [r["hit"] for r in rows if r["task"] == group["task"] and r["target"] == group["target"]]
        assert (group["successes"], group["trials"]) == (sum(hits), len(hits))
        assert group["accuracy"] == sum(hits) / len(hits)
