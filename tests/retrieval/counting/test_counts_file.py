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

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting import counts_file
from oddpair.retrieval.counting.counts import most_frequent
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, write_counts

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
