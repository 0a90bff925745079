"""Predictions of strangers: what is decoded, held against the key, and refused in one line."""

import contextlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.benchmarks.answer_keys import TRUTH, AnswerKey, read_key
from oddpair.errors import Refusal
from oddpair.eval.scoring.ranking import rank_candidates, rank_columns
from oddpair.eval.scoring.records import SCHEMAS
from oddpair.eval.submission.bundle import BundleFile
from oddpair.eval.submission.predictions import read_predictions

TASK = "miniature.sketch"
PATH = "entry/predictions/miniature.sketch@1.parquet"
SCALE = 20.0


@pytest.fixture(scope="module")
def key():
    return read_key(TASK, 1)


@pytest.fixture(scope="module")
def records(key):
    """What some model may have answered."""
    n, k = key.table.num_rows, len(key.class_keys)
    target = key.table["target"].to_numpy().astype(np.int64)
    scores = np.random.default_rng(0).uniform(-0.1, 0.3, (n, k))
    ranked = rank_candidates(
        keys=key.table["key"].to_pylist(),
        target=target,
        n_columns=k,
        scores_of=lambda start, stop: scores[start:stop],
        logit_scale=SCALE,
    )
    keys, uids, styles = (key.table[name].to_pylist() for name in ("key", "uid", "style"))
    return pa.table(rank_columns(keys, uids, styles, target, np.full(n, -1), ranked)).select(
        SCHEMAS["classification"].names
    )


def as_parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", "write_page_checksum": True, **options})
    return sink.getvalue()


def read(data, key, size=None):
    return read_predictions(BundleFile(path=PATH, size=size or len(data), read=lambda: data), key)


def replaced(table, name, values):
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


def with_value(table, name, row, value):
    values = table[name].to_pylist()
    values[row] = value
    return replaced(table, name, values)


def refusal(data, key, **options):
    with pytest.raises(Refusal) as caught:
        read(data, key, **options)
    line = str(caught.value)
    assert line.startswith(PATH)
    assert line.isprintable()
    assert line.endswith(
        ("give the file that oddpair eval wrote", "score the model again", "model is degenerate")
    )
    return line


def test_predictions_are_read_as_they_were_written(key, records):
    assert read(as_parquet(records), key).equals(records)


def test_predictions_in_any_order_are_given_in_the_order_of_the_key(key, records):
    order = np.random.default_rng(1).permutation(records.num_rows)
    assert read(as_parquet(records.take(order)), key).equals(records)


def test_a_file_too_large_is_refused_by_its_size_and_never_read(key):
    line = refusal(b"", key, size=20 * 2**20 + 1)
    assert "has 20,971,521 bytes, at most 20,971,520 are needed" in line


def test_missing_extra_and_repeated_questions_are_counted_and_named(key, records):
    missing = refusal(as_parquet(records.slice(5)), key)
    assert "5 questions are not answered (key '00000/00000000'; key '00000/00000001'; key" in missing
    assert "; ...), needed each of the 870 of miniature.sketch@1 once" in missing
    extra = with_value(records.slice(0, 1), "key", 0, "evil\n\u202e##[error]<b>")
    told = refusal(as_parquet(pa.concat_tables([records, extra])), key)
    assert "1 questions were never asked (key 'evil?????error??b?')" in told
    twice = refusal(as_parquet(pa.concat_tables([records, records.slice(7, 1)])), key)
    assert "1 questions are answered more than once (key '00000/00000007')" in twice


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("uid", "0" * 32, f"has '{'0' * 32}', needed '"),
        ("uid", "x" * 5000, "has 'xxx"),
        ("style", "photo", "has 'photo', needed 'sketch'"),
        ("target", 5, "has 5, needed 4"),
        ("partner", 5, "has 5, needed -1"),
        ("n_candidates", 3, "has 3, needed 87"),
        ("style", None, "has None, needed 'sketch'"),
    ],
)
def test_what_is_not_the_models_to_answer_must_be_what_the_key_says(key, records, name, value, told):
    line = refusal(as_parquet(with_value(records, name, 4, value)), key)
    assert f"1 rows have another {name} than was asked (key '00000/00000004' {told}" in line
    assert len(line) < 400


def test_rules_of_records_hold_for_strangers_too(key, records):
    line = refusal(as_parquet(with_value(records, "target_score", 2, float("nan"))), key)
    assert "row 2 has a target_score that is not finite" in line
    top = records["top_classes"].to_pylist()
    top[9][1] = top[9][0]
    assert "row 9 lists a class twice" in refusal(as_parquet(replaced(records, "top_classes", top)), key)
    assert "row 0 has no n_tied" in refusal(as_parquet(with_value(records, "n_tied", 0, None)), key)


@pytest.mark.parametrize("change", ["missing", "more", "order", "type", "dictionary", "extension"])
def test_columns_other_than_those_of_records_are_refused(key, records, change):
    changed = {
        "missing": lambda: records.drop_columns(["n_tied"]),
        "more": lambda: records.append_column("evil\x1b[2J", pa.array([0] * records.num_rows)),
        "order": lambda: records.select(records.column_names[::-1]),
        "type": lambda: records.set_column(11, "n_candidates", records["n_candidates"].cast(pa.int64())),
        "dictionary": lambda: records.set_column(2, "style", records["style"].dictionary_encode()),
        "extension": lambda: records.set_column(
            2,
            "style",
            pa.ExtensionArray.from_storage(pa.json_(pa.utf8()), records["style"].combine_chunks()),
        ),
    }[change]()
    assert "its columns are not those of records" in refusal(as_parquet(changed), key)


def bomb(records, name, value):
    """The records with one text in every row, which a dictionary stores once."""
    place = records.schema.get_field_index(name)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * records.num_rows, pa.int32()), [value])
    # Without Arrow's own schema the file does not tell that the column was one of a dictionary.
    return as_parquet(records.set_column(place, name, repeated), store_schema=False)


def test_a_text_that_a_dictionary_repeats_into_gigabytes_is_refused(key, records):
    data = bomb(records, "style", "s" * 3_000_000)
    assert len(data) < 200_000
    assert "it unpacks to" in refusal(data, key)


def test_a_dictionary_that_hides_below_the_footers_limit_is_refused_when_it_is_decoded(key, records):
    data = bomb(records, "style", "s" * 200_000)
    assert any(what in refusal(data, key) for what in ("are enough", "MiB to decode", "ends the process"))


def test_lists_of_millions_of_equal_values_are_refused(key, records):
    lists = pa.array([[0] * 5] * (records.num_rows - 1) + [[0] * 3_000_000], pa.list_(pa.int32()))
    table = records.set_column(5, pa.field("top_classes", pa.list_(pa.int32())), lists)
    data = as_parquet(table)
    assert len(data) < 400_000
    assert "values in a column" in refusal(data, key)


def test_many_rows_and_many_groups_of_rows_are_refused_by_the_footer(key, records):
    many = pa.concat_tables([records] * 3)
    assert "it holds 2,610 rows, needed 1 to 1,740" in refusal(as_parquet(many), key)
    assert "it holds 0 rows" in refusal(as_parquet(records.slice(0, 0)), key)
    assert "has 10 groups of rows" in refusal(as_parquet(records, row_group_size=87), key)


def test_a_file_whose_footer_lies_about_its_rows_is_refused(key, records):
    short, whole = as_parquet(records.slice(0, 869)), as_parquet(records)
    # The footer of the whole table behind the pages of the shorter one.
    at = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    cut = len(short) - 8 - int.from_bytes(short[-8:-4], "little")
    data = short[:cut].ljust(at, b"\0")[:at] + whole[at:]
    refusal(data, key)


@pytest.mark.parametrize("place", ["page", "footer", "length", "cut", "empty", "other"])
def test_a_damaged_file_is_one_line(key, records, place):
    data = bytearray(as_parquet(records))
    if place == "page":
        data[len(data) // 2] ^= 0x10
    elif place == "footer":
        data[-200] ^= 0xFF
    elif place == "length":
        data[-8:-4] = (2**31 - 1).to_bytes(4, "little")
    elif place == "cut":
        data = data[: len(data) // 2]
    elif place == "empty":
        data = bytearray()
    else:
        data = bytearray(b"\x80\x04\x95this is a pickle, or so it says")
    refusal(bytes(data), key)


def test_flipped_bits_anywhere_are_refused_or_change_nothing(key, records):
    whole = as_parquet(records)
    rng = np.random.default_rng(3)
    for place in rng.integers(0, len(whole), 60).tolist():
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(Refusal):
            assert read(bytes(data), key).equals(records)


def small_key(kind, table, *, cluster="image", classes=()):
    return AnswerKey(
        task=f"toy.{kind}",
        version=1,
        kind=kind,
        cluster=cluster,
        class_keys=classes,
        class_names=classes,
        uids="0" * 64,
        lock="0" * 64,
        table=table.select(TRUTH[kind].names),
    )


def test_every_kind_of_records_is_held_against_its_key():
    asked = {"key": ["a", "b"], "uid": ["1", "2"], "style": ["", ""]}
    multilabel = pa.table(
        {**asked, "scores": [[0.5, 0.1, 0.2], [0.1, 0.2, 0.3]], "labels": [[0, 2], []]},
        schema=SCHEMAS["multilabel"],
    )
    choice = pa.table(
        {**asked, "category": ["x", "y"], "n_images": [1, 2], "n_captions": [2, 2],
         "scores": [[0.1, 0.2], [0.1, 0.2, 0.3, 0.4]]},
        schema=SCHEMAS["choice"],
    )  # fmt: skip
    retrieval = pa.table(
        {
            "key": ["a", "b", "a", "b"], "uid": ["1", "2"] * 2, "style": [""] * 4,
            "direction": ["image_to_text"] * 2 + ["text_to_image"] * 2, "caption": [-1, -1, 0, 0],
            "best_score": [0.1, 0.2] * 2, "n_greater": [0, 1] * 2, "n_tied": [0] * 4,
            "n_positives_tied": [1] * 4, "n_candidates": [2] * 4,
        },
        schema=SCHEMAS["retrieval"],
    )  # fmt: skip
    for kind, table, classes, change in (
        ("multilabel", multilabel, ("p", "q", "r"), ("labels", 0, [0])),
        ("choice", choice, (), ("category", 1, "x")),
        ("retrieval", retrieval, (), ("n_candidates", 3, 5)),
    ):
        key = small_key(kind, table, classes=classes)
        assert read(as_parquet(table), key).equals(table)
        line = refusal(as_parquet(with_value(table, *change)), key)
        assert f"1 rows have another {change[0]} than was asked" in line


def test_a_wrong_target_of_a_pair_is_a_question_that_was_never_asked():
    columns = {
        "key": ["a", "a"], "uid": ["1", "1"], "style": ["", ""], "target": [0, 1], "partner": [1, 0],
        "top_classes": [[0, 2], [1, 2]], "top_scores": [[0.2, 0.1]] * 2, "target_score": [0.2, 0.2],
        "logsumexp": [1.0, 1.0], "n_greater": [0, 0], "n_tied": [0, 0], "n_candidates": [2, 2],
    }  # fmt: skip
    table = pa.table(columns, schema=SCHEMAS["pairs"])
    key = small_key("pairs", table, cluster="pair", classes=("p", "q", "r"))
    line = refusal(as_parquet(with_value(table, "target", 1, 2)), key)
    assert "1 questions are not answered (key 'a' target 1 partner 0)" in line
