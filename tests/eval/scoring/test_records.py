import numpy as np
import pyarrow as pa
import pytest
from tests.eval.scoring.scored import SCALE, ask_every_kind

from oddpair.benchmarks.evaluation_set import KINDS
from oddpair.errors import Refusal
from oddpair.eval.scoring.metrics import measure
from oddpair.eval.scoring.records import ASKED, SCHEMAS, read_records, write_records
from oddpair.files import write_table


@pytest.fixture(scope="module")
def every_kind():
    return ask_every_kind(np.random.default_rng(3))


@pytest.mark.parametrize("kind", KINDS)
def test_scorers_give_the_columns_and_types_of_their_kind(kind, every_kind):
    assert every_kind[kind][0].schema.equals(SCHEMAS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_is_the_same_to_the_last_bit_when_read_back(kind, every_kind, tmp_path):
    table, n_classes = every_kind[kind]
    asked = {"cluster": "image", "n_classes": n_classes, "seed": 5, "logit_scale": SCALE}
    by = [(name, "ascending") for name in ASKED[kind]]
    write_records(tmp_path / "records.parquet", kind, table)
    again = read_records(tmp_path / "records.parquet", kind)
    assert again.equals(table.sort_by(by))
    assert measure(again, kind, **asked) == measure(table.sort_by(by), kind, **asked)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_does_not_depend_on_the_order_of_rows_or_columns(kind, every_kind, tmp_path):
    table = every_kind[kind][0]
    order = np.random.default_rng(0).permutation(table.num_rows)
    write_records(tmp_path / "a", kind, table)
    write_records(tmp_path / "b", kind, table.take(pa.array(order)).select(table.column_names[::-1]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def spoil(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(values, table.schema.field(column).type))


@pytest.mark.parametrize(
    ("kind", "column", "value", "message"),
    [
        ("classification", "uid", None, "row 3 has no uid"),
        ("classification", "key", "k00001", r"row 3 answers a second time \(key k00001\)"),
        ("classification", "target_score", float("nan"), "row 3 has a target_score that is not finite"),
        ("classification", "logsumexp", float("inf"), "row 3 has a logsumexp that is not finite"),
        ("classification", "top_scores", [0.5, None], "row 3 has a top_scores with a gap"),
        ("classification", "top_scores", [0.5, float("nan")], "row 3 has a top_scores that is not finite"),
        ("classification", "top_scores", [0.5], "row 3 lists more or fewer classes"),
        ("classification", "top_scores", [0.1, 0.2, 0.0, 0.0, 0.0], "row 3 lists classes whose scores rise"),
        ("classification", "top_classes", [1, 1, 2, 3, 4], "row 3 lists a class twice"),
        (
            "classification",
            "top_classes",
            [-1, 1, 2, 3, 4],
            "row 3 lists the target|row 3 lists a class twice",
        ),
        ("classification", "target", -1, "row 3 has a target or a partner that is no class"),
        ("classification", "partner", 2, "row 3 has a target or a partner"),
        ("classification", "n_greater", 9, "row 3 counts more classes"),
        ("classification", "n_tied", -1, "row 3 counts more classes"),
        ("pairs", "partner", -1, "row 3 has a target or a partner"),
        ("retrieval", "direction", "sideways", "row 3 has a direction that is none"),
        ("retrieval", "caption", 2, "row 3 has a caption number"),
        ("retrieval", "n_positives_tied", 0, "row 3 counts more answers"),
        ("retrieval", "n_candidates", 0, "row 3 counts more answers"),
        ("choice", "n_images", 3, "row 3 has neither"),
        ("choice", "scores", [0.1, 0.2], "row 3 has more or fewer scores"),
        ("multilabel", "scores", [0.1, 0.2], "row 3 has another number of scores"),
        ("multilabel", "labels", [2, 1], "row 3 has labels that are no classes, or not in order"),
        ("multilabel", "labels", [5], "row 3 has labels that are no classes"),
        ("multilabel", "labels", [0, 1, 2, 3, 4, 5], "row 3 has more labels than scores"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_its_place(
    kind, column, value, message, every_kind, tmp_path
):
    table = spoil(every_kind[kind][0], column, 3, value)
    with pytest.raises(Refusal, match=message):
        write_records(tmp_path / "bad", kind, table)
    write_table(tmp_path / "bad", table)
    with pytest.raises(Refusal, match=f"bad: ({message})"):
        read_records(tmp_path / "bad", kind)


@pytest.mark.parametrize("column", ["n_greater", "n_tied"])
def test_counts_that_flatter_are_refused(column, every_kind, tmp_path):
    table = every_kind["classification"][0]
    row = next(row for row, count in enumerate(table["n_greater"].to_pylist()) if count == 2)
    with pytest.raises(Refusal, match=f"row {row} lists .* contradict"):
        write_records(
            tmp_path / "bad", "classification", spoil(table, column, row, 0 if column == "n_greater" else 3)
        )


def test_a_target_moved_to_the_first_place_is_refused(every_kind, tmp_path):
    table = every_kind["classification"][0]
    row = next(row for row, count in enumerate(table["n_greater"].to_pylist()) if count == 2)
    first = table["top_classes"][row][0].as_py()
    with pytest.raises(Refusal, match=f"row {row} lists the target in a place"):
        write_records(tmp_path / "bad", "classification", spoil(table, "target", row, first))


def test_a_table_of_other_columns_of_another_type_or_of_no_rows_is_refused(every_kind, tmp_path):
    table = every_kind["choice"][0]
    with pytest.raises(Refusal, match="records of choice need exactly key, uid, style"):
        write_records(tmp_path / "bad", "choice", table.drop_columns(["uid"]))
    with pytest.raises(Refusal, match="holds no records"):
        write_records(tmp_path / "bad", "choice", table.slice(0, 0))
    text = table.set_column(4, "n_images", pa.array(["x"] * table.num_rows))
    with pytest.raises(Refusal, match="a column has the wrong type"):
        write_records(tmp_path / "bad", "choice", text)


def test_the_same_key_in_both_orders_of_a_pair_is_two_questions(every_kind, tmp_path):
    table = every_kind["pairs"][0].slice(0, 2)
    table = spoil(spoil(table, "key", 1, table["key"][0].as_py()), "key", 0, table["key"][0].as_py())
    assert table["target"][0] != table["target"][1]
    write_records(tmp_path / "fine", "pairs", table)
