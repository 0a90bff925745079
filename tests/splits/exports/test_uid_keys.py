import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval.subset import parse_uids
from oddpair.splits.exports.uid_keys import (
    UidIndex,
    count_key,
    find_keys,
    index_keys,
    index_uids,
    make_key,
    make_keys,
    take_new,
)

# Few digits, so that halves of uids are often equal.
HEX = st.tuples(st.sampled_from("0f"), st.sampled_from("0f")).map(lambda ends: (ends[0] * 16) + ends[1] * 16)
UIDS = st.one_of(HEX, st.sampled_from(["a", "n01/1.JPEG", "0" * 31, "F" * 32, "0" * 32 + "\n", "é"]))


@settings(max_examples=60, deadline=None)
@given(listed=st.lists(UIDS, unique=True), asked=st.lists(UIDS))
def test_every_uid_is_found_at_its_place_and_no_other_is_found(listed, asked):
    found = index_uids(listed).find(pa.chunked_array([asked], pa.string()))
    assert found.tolist() == [listed.index(uid) if uid in listed else -1 for uid in asked]


def test_uids_of_datacomp_are_its_pairs_of_numbers_and_other_text_is_hashed():
    uids = ["0123456789abcdef" * 2, "img 1", "f" * 32]
    keys = make_keys(pa.array(uids))
    assert keys[[0, 2]].tolist() == parse_uids([uids[0], uids[2]]).tolist()
    digest = hashlib.blake2b(b"img 1", digest_size=16).digest()
    assert keys[1].tolist() == (int.from_bytes(digest[:8]), int.from_bytes(digest[8:]))


@settings(max_examples=60, deadline=None)
@given(listed=st.lists(UIDS), asked=UIDS)
def test_a_key_is_counted_as_often_as_it_is_listed(listed, asked):
    keys = make_keys(listed)
    assert [make_key(uid) for uid in listed] == [tuple(key) for key in keys.tolist()]
    keys.sort()
    assert count_key(keys, make_key(asked)) == listed.count(asked)


def test_a_key_that_is_there_several_times_is_found_at_its_first_place():
    keys = make_keys(["f" * 32, "0" * 32, "f" * 32, "0" * 32])
    assert index_keys(keys).find_keys(keys).tolist() == [0, 1, 0, 1]
    keys.sort()
    assert find_keys(keys, make_keys(["f" * 32, "0" * 32, "1" * 32])).tolist() == [2, 0, -1]


def test_nothing_is_found_in_an_empty_list():
    empty = index_uids([])
    assert isinstance(empty, UidIndex)
    assert empty.find(["a"]).tolist() == [-1]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_of_rows_with_one_uid_the_first_is_taken_whatever_the_batches(batch):
    found = np.array([2, -1, 2, 0, 1, 0, 2])
    seen = np.zeros(4, dtype=np.bool_)
    taken = []
    for start in range(0, len(found), batch):
        taken += (start + take_new(found[start : start + batch], seen)).tolist()
    assert taken == [0, 3, 4]
    assert seen.tolist() == [True, True, True, False]
