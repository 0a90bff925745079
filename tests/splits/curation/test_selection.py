import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from oddpair.errors import Refusal
from oddpair.splits.curation.selection import check_size, draw_by_uid, find_rows, find_size, take_lowest
from oddpair.splits.manifest import Manifest
from oddpair.splits.pool import pool_of_uids


@given(
    st.lists(st.integers(0, 5), max_size=30).flatmap(
        lambda values: st.tuples(st.just(values), st.integers(0, len(values)))
    )
)
@settings(max_examples=60)
def test_the_lowest_are_those_that_sorting_puts_first(drawn):
    values, size = drawn
    first = sorted(range(len(values)), key=lambda place: (values[place], place))[:size]
    found = take_lowest(np.array(values, np.float64), size)
    assert np.flatnonzero(found).tolist() == sorted(first)


@pytest.mark.parametrize(
    "uids", [range(40_000), [f"{row:032x}" for row in range(40_000)]], ids=["short", "hex"]
)
def test_draws_are_uniform_and_differ_by_seed_and_by_stream(uids):
    texts = pa.array([str(uid) for uid in uids], pa.large_string())
    draws = [draw_by_uid(texts, seed, stream) for seed, stream in ((0, 1), (1, 1), (0, 2))]
    for one in draws:
        assert kstest(one, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(draws) - np.eye(3)).max() < 0.02


def test_a_draw_is_of_the_uid_wherever_it_lies():
    texts = pa.array(["x", "y", "z"], pa.large_string())
    assert draw_by_uid(texts[::-1], 3, 1).tolist() == draw_by_uid(texts, 3, 1)[::-1].tolist()
    assert draw_by_uid(texts.slice(1), 3, 1).tolist() == draw_by_uid(texts, 3, 1)[1:].tolist()


def test_a_size_counts_before_a_share_and_cannot_exceed_the_rows():
    assert [find_size(None, 0.001, 5), find_size(None, 1.0, 5), find_size(2, 1.0, 5)] == [1, 5, 2]
    with pytest.raises(Refusal, match="size is 6, there are 5 rows to choose from: ask for fewer"):
        find_size(6, 0.5, 5)


@pytest.mark.parametrize(
    ("size", "share", "refusal"),
    [
        (0, 0.5, "size is 0: it must be 1 or more"),
        (None, 0.0, "share is 0: it must lie above 0"),
        (None, 1.5, "share"),
    ],
)
def test_a_size_that_no_split_can_have_is_refused(size, share, refusal):
    with pytest.raises(Refusal, match=refusal):
        check_size(size, share)


def test_a_row_that_is_not_in_the_corpus_is_named():
    pool = pool_of_uids(["c", "a", "b"])
    mask, check = find_rows(Manifest(name="m", recipe="r", uids=["a", "c"]), pool)
    assert mask.tolist() == [True, False, True]
    assert check.holds
    mask, check = find_rows(Manifest(name="m", recipe="r", uids=["a", "x"]), pool)
    assert (mask.tolist(), check.holds) == ([True, False, False], False)
    assert check.found == "1 of 2 are, uid x is not"
