import hashlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import MAX_CAPTION, choose_identity, clean, find_identity, hash_text
from oddpair.retrieval.samples import NO_CAPTION

BROKEN = b"caf\xe9"


def text(values):
    """An array of type string whose bytes nobody checked."""
    raw = pa.array([value.encode() if isinstance(value, str) else value for value in values], pa.binary())
    return pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:], raw.buffers()[0], raw.null_count)


def judge(captions, identity="url and caption", **columns):
    rows = len(captions)
    table = pa.table(
        {
            "key": pa.array([f"{row:03d}" for row in range(rows)], pa.string()),
            "url": pa.array([f"http://{row}" for row in range(rows)], pa.string()),
            "caption": text(captions),
            **columns,
        }
    )
    return clean(table, file="a.parquet", first_row=100, identity=identity)


@pytest.mark.parametrize(
    ("columns", "identity"),
    [
        (["url", "caption", "hash", "uid"], "uid"),
        (["url", "hash"], "hash"),
        (["caption", "url"], "url and caption"),
        (["caption"], None),
    ],
)
def test_the_best_id_that_there_is_is_chosen(columns, identity):
    assert choose_identity(columns) == identity


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.text(max_size=6), st.text(min_size=1, max_size=20))))
def test_uids_are_the_published_hash_of_url_and_caption(rows):
    rows = [(url, caption) for url, caption in rows if caption.strip() and (url or "").strip()]
    table = pa.table(
        {
            "key": pa.array(["k"] * len(rows), pa.string()),
            "url": pa.array([url for url, _ in rows], pa.string()),
            "caption": pa.array([caption for _, caption in rows], pa.string()),
        }
    )
    batch = clean(table, file="a", first_row=0, identity="url and caption")
    expected = [
        hashlib.blake2b((url or "").encode() + b"\0" + caption.encode(), digest_size=16).hexdigest()
        for url, caption in rows
    ]
    assert batch.table["uid"].to_pylist() == expected == [hash_text(*row) for row in rows]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_uids_of_hashes_are_their_16_digits(values):
    batch = judge(["a"] * len(values), "hash", hash=pa.array(values, pa.int64()))
    assert batch.table["uid"].to_pylist() == [
        f"{value % 2**64:016x}" for value in values if value is not None
    ]
    assert [bad.reason for bad in batch.bad] == ["no hash"] * values.count(None)


def test_the_uid_is_of_the_caption_before_it_is_cut():
    long = "é" * (MAX_CAPTION + 5)
    batch = judge([long])
    assert batch.table["uid"].to_pylist() == [hash_text("http://0", long)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(BROKEN, "caption is not UTF-8", id="31-latin-1"),
        pytest.param(b"a\xed\xa0\x80", "caption is not UTF-8", id="31-surrogate"),
        pytest.param(None, NO_CAPTION, id="33-null"),
        pytest.param("", NO_CAPTION, id="33-empty"),
        pytest.param(" \t\n\u3000", NO_CAPTION, id="33-blank"),
    ],
)
def test_a_row_whose_caption_says_nothing_is_set_aside(value, reason):
    batch = judge(["a cat", value, "a dog"])
    assert batch.table["caption"].to_pylist() == ["a cat", "a dog"]
    assert batch.table["key"].to_pylist() == ["000", "002"]
    (bad,) = batch.bad
    assert (bad.file, bad.row, bad.reason, bad.rows) == ("a.parquet", 101, reason, 1)


@pytest.mark.parametrize("identity", ["uid", "hash", "url and caption", "key"])
def test_which_rows_are_kept_does_not_depend_on_further_columns(identity):
    columns = {"uid": pa.array(["x", "y", "z"]), "hash": pa.array([1, 2, 3])}
    needed = {name: columns[name] for name in columns if name == identity}
    alone = judge(["a", BROKEN, "c"], identity, **needed)
    beside = judge(["a", BROKEN, "c"], identity, **needed, LICENSE=text([BROKEN, "?", None]))
    assert alone.bad == beside.bad
    assert alone.table["uid"].equals(beside.table["uid"])
    assert beside.table["LICENSE"].to_pylist() == ["caf\ufffd", None]


def test_32_a_caption_of_ten_megabytes_is_cut():
    batch = judge(["x" * 10_000_000, "ä" * MAX_CAPTION])
    assert [len(caption) for caption in batch.table["caption"].to_pylist()] == [MAX_CAPTION] * 2
    assert batch.table["caption"][1].as_py() == "ä" * MAX_CAPTION
    assert not batch.bad


@pytest.mark.parametrize(
    "caption", ["a\0b", "\u202egnp.exe", "\x1b[31mred", "=cmd|' /C calc'!A0", "<script>alert(1)</script>"]
)
def test_34_captions_keep_every_character(caption):
    assert judge([caption]).table["caption"].to_pylist() == [caption]


def test_a_row_without_an_id_is_set_aside():
    batch = judge(["a", "b", "c"], "uid", uid=pa.array(["x", None, ""]))
    assert [(bad.row, bad.reason) for bad in batch.bad] == [(101, "no uid"), (102, "no uid")]


def test_rows_without_a_url_have_no_id_in_a_corpus_of_bare_pictures():
    table = pa.table({"key": ["1", "2"], "url": ["http://a", None]})
    batch = clean(table, file="a", first_row=0, identity="url and caption", captioned=False)
    assert batch.table["uid"].to_pylist() == [hash_text("http://a", "")]
    assert batch.table["caption"].to_pylist() == [""]
    assert [bad.reason for bad in batch.bad] == ["no url"]


@pytest.mark.parametrize("url", [None, "", " \n"])
def test_a_row_without_a_url_has_no_id_though_it_has_a_caption(url):
    # Two pictures of one logo would be one sample.
    table = pa.table({"key": ["1", "2"], "url": ["http://a", url], "caption": ["logo", "logo"]})
    batch = clean(table, file="a", first_row=0, identity="url and caption")
    assert batch.table["uid"].to_pylist() == [hash_text("http://a", "logo")]
    assert [(bad.row, bad.uid, bad.reason) for bad in batch.bad] == [(1, None, "no url")]


TEXT, WHOLE, DOUBLE, ADDRESS = pa.string(), pa.int64(), pa.float64(), {"url": pa.string()}


@pytest.mark.parametrize(
    ("types", "identity", "n_notes"),
    [
        ({"uid": pa.large_string(), "hash": DOUBLE}, "uid", 0),
        ({"uid": pa.null()}, "uid", 0),
        ({"uid": WHOLE, "hash": WHOLE, **ADDRESS}, "hash", 1),
        ({"uid": WHOLE, "hash": DOUBLE, **ADDRESS}, "url and caption", 2),
        ({"hash": TEXT, **ADDRESS}, "url and caption", 1),
        (ADDRESS, "url and caption", 0),
        ({}, None, 0),
    ],
)
def test_columns_that_ids_cannot_be_made_from_are_passed_over(types, identity, n_notes):
    found, notes = find_identity(types, "a.parquet")
    assert (found, len(notes)) == (identity, n_notes)
    assert all(note.endswith(f": ids are made from {identity}") for note in notes)


@pytest.mark.parametrize(("name", "needed"), [("uid", "string"), ("hash", "int64")])
def test_a_column_of_ids_of_another_type_is_refused_where_nothing_else_makes_ids(name, needed):
    with pytest.raises(
        Refusal, match=rf"a.parquet has double in column '{name}', needed {needed}: write the table"
    ):
        find_identity({name: DOUBLE}, "a.parquet")


def test_a_row_without_a_key_is_set_aside():
    table = pa.table({"key": pa.array(["1", None]), "url": ["a", "b"], "caption": ["c", "d"]})
    batch = clean(table, file="a", first_row=0, identity="url and caption")
    assert [(bad.row, bad.reason) for bad in batch.bad] == [(1, "no key")]


def test_rows_of_a_filtered_table_keep_their_numbers():
    table = pa.table({"key": ["1", "2"], "caption": ["", " "]})
    batch = clean(table, file="a", first_row=0, identity="key", rows=[7, 9])
    assert [(bad.row, bad.uid) for bad in batch.bad] == [(7, "1"), (9, "2")]


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_text_may_be_encoded_in_any_way(kind):
    batch = judge(["a", "b"], LICENSE=pa.array(["x", None]).cast(kind))
    assert batch.table.schema.field("LICENSE").type == pa.string()
    table = pa.table({"key": ["1"], "url": ["a"], "caption": pa.array(["c"]).cast(kind)})
    assert clean(table, file="a", first_row=0, identity="key").table["caption"].to_pylist() == ["c"]


def test_a_caption_that_is_a_number_is_refused():
    table = pa.table({"key": ["1"], "url": ["a"], "caption": [3]})
    with pytest.raises(Refusal, match=r"^a has int64 in column 'caption', needed string"):
        clean(table, file="a", first_row=0, identity="key")


def test_a_hash_of_another_type_is_refused():
    with pytest.raises(Refusal, match=r"has double in column 'hash', needed int64"):
        judge(["a"], "hash", hash=pa.array([1.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.binary(max_size=4) | st.text(max_size=4)))
def test_every_row_is_kept_or_set_aside(captions):
    batch = judge(captions)
    kept = {int(key) + 100 for key in batch.table["key"].to_pylist()}
    lost = [bad.row for bad in batch.bad]
    assert sorted([*kept, *lost]) == list(range(100, 100 + len(captions)))
    for caption in batch.table["caption"].to_pylist():
        assert caption.strip()
