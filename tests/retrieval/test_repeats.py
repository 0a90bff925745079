"""Repeated uids of an embedding folder are counted, and refused where their vectors differ."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval import repeats
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.repeats import count_repeats
from oddpair.retrieval.stored import open_stored


def write(folder, shards, kind="img_emb"):
    """Write shards of rows (uid, caption, number of the vector) as an embedding folder."""
    for index, shard in enumerate(shards):
        rows = np.zeros((len(shard), 16), dtype=np.float16)
        rows[np.arange(len(shard)), [number for _, _, number in shard]] = 1
        files.write_array(part_path(folder, kind, index, len(shards)), rows)
        columns = {"uid": [row[0] for row in shard], "caption": [row[1] for row in shard]}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        files.write_table(part_path(folder, "metadata", index, len(shards)), table)
    manifest = {"rows": list(map(len, shards)), "dimensions": {kind: 16}, "encoder_sha256": ""}
    files.write_json(folder / "manifest.json", manifest)
    return open_stored(folder, kind)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=4), st.integers(1, 5))
def test_every_row_whose_uid_came_before_is_counted(tmp_path_factory, numbers, rows_at_once):
    shards = [[(f"u{number}", "", number) for number in shard] for shard in numbers]
    stored = write(tmp_path_factory.mktemp("made"), shards)
    flat = [number for shard in numbers for number in shard]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "_ROWS_AT_ONCE", rows_at_once)
        patch.setattr(repeats, "_STRETCH", rows_at_once)
        assert count_repeats(stored) == len(flat) - len(set(flat))


def test_a_uid_with_two_vectors_is_refused_with_both_places(tmp_path):
    stored = write(tmp_path, [[("a", "", 0), ("b", "", 1)], [("c", "", 2), ("b", "", 3)]])
    with pytest.raises(
        Refusal, match=r"uid b has one vector in .*0000.npy row 1 and another in .*0001.npy row 1"
    ):
        count_repeats(stored)


def test_rows_that_differ_by_rounding_are_one(tmp_path):
    stored = write(tmp_path, [[("a", "", 0), ("a", "", 0)]])
    path = part_path(tmp_path, "img_emb", 0, 1)
    rows = files.read_array(path)
    rows[1, 1] = 0.005
    files.write_array(path, rows)
    assert count_repeats(stored) == 1
    rows[1, 1] = 0.02
    files.write_array(path, rows)
    with pytest.raises(Refusal, match="uid a has one vector in"):
        count_repeats(stored)


def test_one_picture_may_have_two_captions_with_vectors_of_their_own(tmp_path):
    rows = [("a", "one", 0), ("a", "two", 1), ("a", "one", 0)]
    assert count_repeats(write(tmp_path / "fine", [rows], "text_emb")) == 2
    stored = write(tmp_path / "wrong", [[*rows, ("a", "two", 2)]], "text_emb")
    with pytest.raises(Refusal, match=r"uid a has one vector in .*row 1 and another in .*row 3"):
        count_repeats(stored)


def test_uids_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    stored = write(tmp_path, [[("a", "", 0), ("b", "", 1), ("a", "", 0)]])
    monkeypatch.setattr(repeats, "hash", lambda uid: 7, raising=False)
    assert count_repeats(stored) == 1
