"""Pools: rows sorted by uid, each uid once."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.retrieval.neighbour_data import draw, stored

from oddpair.errors import Refusal
from oddpair.splits.pool import pool_of_stored, pool_of_uids

UIDS = st.lists(st.text("ab0é\U0001f600\x00", max_size=3), min_size=1, max_size=30)


@given(UIDS)
def test_a_pool_holds_each_uid_once_in_order_by_its_first_row(uids):
    pool = pool_of_uids(uids)
    assert pool.uids.to_pylist() == sorted(set(uids))
    assert [uids.index(uid) for uid in pool.uids.to_pylist()] == pool.rows.tolist()
    assert pool.uids.type == pa.large_string()


@pytest.mark.parametrize(
    "make",
    [tuple, iter, pa.array, lambda uids: pa.chunked_array([uids[:2], uids[2:]])],
    ids=["tuple", "iterator", "array", "chunks"],
)
def test_uids_may_be_given_as_any_list(make):
    assert pool_of_uids(make(["c", "a", "b", "a"])).uids.to_pylist() == ["a", "b", "c"]


def test_what_a_mask_keeps_is_sorted_and_places_lead_back():
    pool = pool_of_uids(["d", "a", "c", "b"])
    kept = pool.keep(np.array([True, False, True, True]))
    assert kept.to_pylist() == ["a", "c", "d"]
    assert pool.places(kept).tolist() == [0, 2, 3]
    assert pool.places(["c", "x", "a"]).tolist() == [2, -1, 0]
    assert len(pool) == 4


def test_embeddings_become_a_pool_of_the_rows_that_they_lie_in(tmp_path):
    rows, uids = draw(0, 60)
    pool = pool_of_stored(stored(tmp_path, rows, uids, [10, 0, 50]))
    assert pool.uids.to_pylist() == sorted(uids)
    assert [uids[row] for row in pool.rows] == sorted(uids)


def test_a_uid_with_two_vectors_is_refused(tmp_path):
    rows, uids = draw(0, 20)
    with pytest.raises(Refusal, match=rf"uid {uids[0]} has one vector in .+ and another in .+"):
        pool_of_stored(stored(tmp_path, np.concatenate([rows, rows[1:2]]), [*uids, uids[0]]))


def test_embeddings_whose_table_has_too_few_rows_are_refused(tmp_path):
    rows, uids = draw(0, 20)
    opened = stored(tmp_path / "whole", rows, uids)
    stored(tmp_path / "short", rows[:19], uids[:19])
    table = "metadata/metadata_0000.parquet"
    (tmp_path / "whole" / table).write_bytes((tmp_path / "short" / table).read_bytes())
    with pytest.raises(
        Refusal, match=r"metadata_0000.parquet has 19 rows, its manifest says 20: embed again"
    ):
        pool_of_stored(opened)
