"""The order of uids, of one length and of any."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.retrieval.uid_order import find_uids, sort_uids


def order(uids, start=0):
    given = pa.array(uids, pa.large_string())[start:]
    found, rows = sort_uids(given)
    found.validate(full=True)
    assert found.equals(given.take(pa.array(rows)))
    return rows.tolist()


def slow(uids):
    return sorted(range(len(uids)), key=lambda row: (uids[row], row))


@given(
    st.sampled_from([7, 8, 9, 16, 17, 32]).flatmap(
        lambda width: st.lists(st.text("ab", min_size=width, max_size=width), max_size=20)
    )
)
def test_uids_of_one_length_are_ordered_as_python_orders_them(uids):
    assert order(uids) == slow(uids)


@given(st.lists(st.text(max_size=12), max_size=20))
def test_uids_of_any_length_are_ordered_by_code_point(uids):
    assert order(uids) == slow(uids)


def test_uids_that_differ_late_or_not_at_all_are_told_apart_or_stay_in_order():
    rng = np.random.default_rng(0)
    uids = [f"{'same' * 6}{rng.integers(0, 40):08d}" for _ in range(500)]
    assert order(uids) == slow(uids)


@pytest.mark.parametrize("start", [0, 3, 11])
def test_a_slice_is_ordered_by_its_own_rows(start):
    uids = [f"{number * 7919 % 1000:09d}" for number in range(40)]
    assert order(uids, start) == slow(uids[start:])


@given(st.data(), st.sampled_from([1, 8, 9]), st.sampled_from(["ab", "a\x00\x7fé"]))
def test_a_uid_is_found_where_it_lies_and_nowhere_else(data, width, letters):
    texts = st.text(letters, min_size=width, max_size=width)
    known = sorted(data.draw(st.sets(texts, max_size=12)))
    wanted = data.draw(st.lists(texts | st.text(letters, max_size=3), max_size=12))
    found = find_uids(pa.array(known, pa.large_string()), pa.array(wanted, pa.large_string()))
    assert found.tolist() == [known.index(uid) if uid in known else -1 for uid in wanted]
