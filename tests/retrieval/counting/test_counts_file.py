import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st
from tests.retrieval.counting.counted import (
    VOCABULARY,
    N,
    assert_equal,
    counted,
    counted_among,
    requests,
    tables,
)

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting import counts_file
from oddpair.retrieval.counting.counts import most_frequent
from oddpair.retrieval.counting.counts_file import (
    need_names,
    read_counts,
    read_meta,
    read_nested,
    verify_counts,
    write_counts,
)

PART = counted(np.ones((2, N), bool), np.ones((2, N), bool))


@configure(max_examples=60, deadline=None)
@given(tables, st.none() | st.integers(0, N + 1), requests)
def test_counts_come_back_from_their_files(tmp_path_factory, table, n, requested):
    folder = tmp_path_factory.mktemp("counts")
    mentions, tags = table
    found = counted_among(mentions, tags, most_frequent(mentions.sum(axis=0, dtype=np.int64), n), requested)
    write_counts(folder, found)
    assert_equal(read_counts(folder, VOCABULARY), found)
    assert read_meta(folder)["pair_concepts"] == (None if n is None or n >= N else n)


def test_the_files_hold_the_documented_columns_and_null_where_there_is_no_value(tmp_path):
    mentions = np.array([[1, 0, 0, 1, 0], [1, 0, 0, 0, 0]], bool)
    write_counts(tmp_path, counted(mentions))
    singles, pairs = pq.read_table(tmp_path / "counts.parquet"), pq.read_table(tmp_path / "pairs.parquet")
    assert singles.column_names == ["concept_id", "name", "count_text", "count_image", "count_joint"]
    assert singles.to_pylist()[0] == {
        "concept_id": 0,
        "name": "cat",
        "count_text": 2,
        "count_image": None,
        "count_joint": None,
    }
    assert pairs.to_pylist() == [
        {"a": 0, "b": 3, "count_text": 1, "count_image": None, "count_joint": None, "pmi": 0.0}
    ]
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert (meta["n"], meta["vocabulary_sha256"]) == (2, VOCABULARY.sha256)
    assert (meta["concepts"], meta["pairs"], meta["tags"], meta["pair_concepts"]) == (N, 1, False, None)
    assert set(meta["rules"]) == {"mention", "pairs", "joint", "pmi"}
    assert meta["counting"] == {"rules": "mentions", "overlap": "all"}


def test_pmi_is_null_where_only_images_hold_the_pair(tmp_path):
    write_counts(tmp_path, counted(np.zeros((1, N), bool), np.array([[1, 0, 0, 1, 0]], bool)))
    assert pq.read_table(tmp_path / "pairs.parquet")["pmi"].to_pylist() == [None]


def test_counts_of_another_vocabulary_are_refused(tmp_path):
    write_counts(tmp_path, PART)
    with pytest.raises(Refusal, match="counts another vocabulary"):
        read_counts(tmp_path, build_vocabulary(["cat"]))
    assert read_counts(tmp_path).names == VOCABULARY.names


def test_files_that_contradict_each_other_are_refused(tmp_path):
    write_counts(tmp_path, PART)
    table = pq.read_table(tmp_path / "counts.parquet")
    pq.write_table(table.slice(1), tmp_path / "counts.parquet")
    with pytest.raises(Refusal, match=r"contradict themselves .*concept_id does not count up from 0"):
        read_counts(tmp_path)
    pq.write_table(table.slice(0, 3), tmp_path / "counts.parquet")
    with pytest.raises(Refusal, match=r"contradict themselves .*3 concepts, meta.json says 5"):
        read_counts(tmp_path)
    nulls = table.set_column(2, "count_text", pa.nulls(N, pa.int64()))
    pq.write_table(nulls, tmp_path / "counts.parquet")
    with pytest.raises(Refusal, match=r"contradict themselves .*5 nulls"):
        read_counts(tmp_path)
    pq.write_table(table, tmp_path / "counts.parquet")
    meta = read_meta(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"n": 1}))
    with pytest.raises(Refusal, match=r"contradict themselves \(a count of concepts is above 1 captions\)"):
        read_counts(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"pairs": 4}))
    with pytest.raises(Refusal, match=r"contradict themselves \(9 pairs, meta.json says 4\)"):
        read_counts(tmp_path)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_pair_that_leaves_more_captions_with_one_concept_than_there_are_is_refused(tmp_path, kind):
    write_counts(tmp_path, PART)
    table = pq.read_table(tmp_path / "pairs.parquet")
    for name in (f"count_{kind}", "count_joint"):
        place = table.schema.get_field_index(name)
        fewer = table[name].to_numpy() - (np.arange(len(table)) == 3)
        table = table.set_column(place, name, pa.array(fewer))
    pq.write_table(table, tmp_path / "pairs.parquet")
    line = r"contradict themselves \(pair 3 is counted 1 times, .* more than 2 captions\): delete .* and count again"
    with pytest.raises(Refusal, match=line) as caught:
        read_counts(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n": None}, "n"),
        ({"n": True}, "n"),
        ({"n": -1}, "n"),
        ({"tags": 1}, "tags"),
        ({"pair_concepts": "all"}, "pair_concepts"),
        ({"pair_concepts": -1}, "pair_concepts"),
        ({"rules": []}, "rules"),
        ({"n": 1 << 63}, "n"),
        ({"n": 10**30}, "n"),
        ({"counting": 5}, "counting"),
        ({"counting": None}, "counting"),
        ({"tagger": "x"}, "tagger"),
        ({"tagger": [1]}, "tagger"),
        ({"tag_threshold": True}, "tag_threshold"),
    ],
)
def test_a_description_that_lacks_something_is_refused(tmp_path, changes, name):
    write_counts(tmp_path, PART)
    (tmp_path / "meta.json").write_text(json.dumps(read_meta(tmp_path) | changes))
    with pytest.raises(
        Refusal, match=rf"meta\.json lacks {name}, or gives another type: delete .* and count again"
    ):
        read_counts(tmp_path)


def test_a_description_that_is_none_is_refused(tmp_path):
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(Refusal, match="lacks n, or gives another type"):
        read_meta(tmp_path)


def change(folder, name, column, values):
    table = pq.read_table(folder / name)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), folder / name)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (pa.array([None, "b", "c", "d", "e"]), "name is string with 1 nulls, needed string"),
        (pa.array(range(N)), "name is int64 with 0 nulls, needed string"),
    ],
)
def test_names_that_are_none_are_refused(tmp_path, names, found):
    write_counts(tmp_path, PART)
    change(tmp_path, "counts.parquet", "name", names)
    for read in (read_counts, lambda folder: need_names(folder, VOCABULARY)):
        with pytest.raises(Refusal, match=rf"contradict themselves \({found}\)"):
            read(tmp_path)


def test_names_in_another_order_than_the_vocabulary_s_are_refused(tmp_path):
    write_counts(tmp_path, PART)
    first, second, *others = VOCABULARY.names
    change(tmp_path, "counts.parquet", "name", pa.array([second, first, *others]))
    with pytest.raises(Refusal, match=f"names '{second}' as concept 0, its vocabulary '{first}'"):
        read_counts(tmp_path, VOCABULARY)
    with pytest.raises(Refusal, match=f"names '{second}' as concept 0, its vocabulary 'cow'"):
        need_names(tmp_path, build_vocabulary(["cow"]))


def test_nested_pairs_are_read_alone_and_refused_if_they_are_none(tmp_path):
    write_counts(tmp_path, PART)
    assert read_nested(tmp_path, N).tolist() == PART.nested.tolist() == read_counts(tmp_path).nested.tolist()
    for a, b in ((1, 1), (2, 1), (-1, 2), (0, N)):
        files.write_table(tmp_path / "nested.parquet", pa.table({"a": [a], "b": [b]}))
        for read in (read_counts, lambda folder: read_nested(folder, N)):
            with pytest.raises(Refusal, match="nested pairs need ids a < b < 5"):
                read(tmp_path)


def test_the_large_tables_say_how_they_were_made(tmp_path):
    made = {"counting": {"rules": "words"}, "tagger": {"kind": "zero-shot"}}
    write_counts(tmp_path / "made", PART, made)
    write_counts(tmp_path / "plain", PART)
    plain = {"counting": {"rules": "mentions", "overlap": "all"}, "tagger": None}
    for folder, expected in (("made", made), ("plain", plain)):
        for name in ("counts.parquet", "pairs.parquet"):
            marks = pq.read_schema(tmp_path / folder / name).metadata
            found = {key: json.loads(marks[f"oddpair.{key}".encode()]) for key in expected}
            assert found == expected


def test_files_are_compared_with_the_record_of_a_finished_count(tmp_path):
    folder, name = tmp_path / "counts", "counts.parquet"
    stages.begin(folder, {})
    write_counts(folder, PART)
    with pytest.raises(Refusal, match="is not finished: run oddpair count again"):
        verify_counts(folder, [name])
    stages.finish(folder)
    assert verify_counts(folder, [name]) == [files.sha256(folder / name)]
    with pytest.raises(Refusal, match=r"x\.txt is no part of what was counted"):
        verify_counts(folder, ["x.txt"])
    data = bytearray((folder / name).read_bytes())
    data[-50] ^= 1
    for damaged in (data, data[:-1]):
        (folder / name).write_bytes(damaged)
        with pytest.raises(Refusal, match=r"counts\.parquet has changed since it was counted"):
            verify_counts(folder, [name])
    (folder / name).unlink()
    with pytest.raises(Refusal, match=r"counts\.parquet does not exist, but was counted"):
        verify_counts(folder, [name])
    for record in ("[]", '{"counts.parquet": 5}'):
        (folder / "done.json").write_text(record)
        with pytest.raises(Refusal):
            verify_counts(folder, [name])


def test_how_counts_were_made_is_written_as_it_was_said(tmp_path):
    made = {
        "counting": {"rules": "unigrams", "paper": "arXiv:2404.04125"},
        "tagger": None,
        "tag_threshold": 0.7,
    }
    write_counts(tmp_path, PART, made)
    meta = read_meta(tmp_path)
    assert {name: meta[name] for name in made} == made
    with pytest.raises(ValueError, match="made gives 'rules', which the counts say themselves"):
        write_counts(tmp_path, PART, {"rules": {}})


def test_members_that_a_reader_could_not_find_are_an_error(tmp_path):
    mentions = np.array([[1, 0, 0, 1, 0], [1, 0, 0, 0, 0]], bool)
    write_counts(tmp_path, counted_among(mentions, None, np.array([0, 3]), []))
    with pytest.raises(ValueError, match="among 2 concepts that are not the most frequent ones"):
        write_counts(tmp_path, counted_among(mentions, None, np.array([0, 4]), []))


def test_a_pair_that_was_asked_for_and_never_occurs_is_listed_with_minus_infinity(tmp_path):
    mentions = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]], bool)
    write_counts(tmp_path, counted_among(mentions, None, np.zeros(0, np.int64), [(0, 3), (0, 4)]))
    pairs = pq.read_table(tmp_path / "pairs.parquet")
    assert pairs["pmi"].to_pylist() == [-np.inf, None]
    assert pairs["count_text"].to_pylist() == [0, 0]


@pytest.mark.parametrize("block", [1, 2, 7])
def test_pairs_are_the_same_however_many_are_written_at_a_time(tmp_path, monkeypatch, block):
    write_counts(tmp_path / "whole", PART)
    monkeypatch.setattr(counts_file, "_BLOCK", block)
    write_counts(tmp_path / "parts", PART)
    assert pq.read_table(tmp_path / "parts" / "pairs.parquet").equals(
        pq.read_table(tmp_path / "whole" / "pairs.parquet")
    )
    assert_equal(read_counts(tmp_path / "parts"), PART)


def test_equal_counts_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_counts(tmp_path / name, PART)
    for name in ("counts.parquet", "pairs.parquet", "meta.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_corpus_without_any_pair_has_a_table_without_rows(tmp_path):
    write_counts(tmp_path, counted(np.zeros((0, N), bool)))
    assert pq.read_table(tmp_path / "pairs.parquet").column_names == [
        "a",
        "b",
        "count_text",
        "count_image",
        "count_joint",
        "pmi",
    ]
    assert len(read_counts(tmp_path).a) == 0
