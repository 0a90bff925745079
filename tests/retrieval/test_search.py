import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval import exact
from oddpair.retrieval.exact import exact_scores
from oddpair.retrieval.search import nearest


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(queries, corpus, k, uids):
    """Sort every pair of rows by its float64 dot product rounded to float32, then by uid."""
    places = []
    for query in queries.astype(np.float64):
        scores = [np.float32(np.sum(query * row)) for row in corpus.astype(np.float64)]
        places.append(sorted(range(len(corpus)), key=lambda row: (-scores[row], uids[row]))[:k])
    return np.array(places, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 120),
    distinct=st.integers(1, 40),
    k=st.integers(1, 140),
    d=st.sampled_from([1, 3, 16, 40]),
    seed=st.integers(0, 10_000),
)
def test_nearest_equals_brute_force_with_ties_by_uid(n, distinct, k, d, seed):
    rng = np.random.default_rng(seed)
    corpus = unit(rng.normal(size=(distinct, d)))[rng.integers(0, distinct, n)]
    queries = np.concatenate([unit(rng.normal(size=(3, d))), corpus[:2]])
    uids = [f"{place:05d}" for place in rng.permutation(n)]
    found = nearest(queries, corpus, k, uids=uids)
    assert found.scores.shape == found.rows.shape == (len(queries), min(k, n))
    assert found.scores.dtype == np.float32
    assert found.rows.dtype == np.int64
    assert np.array_equal(found.rows, brute_force(queries, corpus, k, uids))


def test_of_hundreds_of_copies_the_smallest_uids_are_found():
    rng = np.random.default_rng(0)
    other, copied = unit(rng.normal(size=(500, 24))), unit(rng.normal(size=(1, 24)))
    corpus = np.concatenate([other, np.repeat(copied, 300, axis=0)])[rng.permutation(800)]
    uids = [f"{place:05d}" for place in rng.permutation(800)]
    queries = np.concatenate([copied, unit(copied + 0.1 * rng.normal(size=(4, 24)))])
    for k in (1, 5, 290, 310):
        assert np.array_equal(
            nearest(queries, corpus, k, uids=uids).rows, brute_force(queries, corpus, k, uids)
        )


def test_near_equals_are_put_in_the_order_of_their_float64_scores():
    rng = np.random.default_rng(1)
    base = unit(rng.normal(size=(1, 64)))
    corpus = unit(base + 1e-6 * rng.normal(size=(200, 64)))
    uids = [f"{row:03d}" for row in range(200)][::-1]
    assert np.array_equal(nearest(base, corpus, 7, uids=uids).rows, brute_force(base, corpus, 7, uids))


def test_scores_are_exact_however_many_are_computed_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    corpus, queries = unit(rng.normal(size=(50, 16))), unit(rng.normal(size=(9, 16)))
    rows = rng.integers(0, 50, (9, 4))
    expected = np.array(
        [
            [np.float32(np.dot(queries[q].astype(np.float64), corpus[row])) for row in rows[q]]
            for q in range(9)
        ]
    )
    assert np.array_equal(exact_scores(queries, corpus, rows), expected)
    monkeypatch.setattr(exact, "_VALUES_AT_ONCE", 1)
    assert np.array_equal(exact_scores(queries, corpus, rows), expected)


def test_the_order_of_the_corpus_changes_no_result():
    rng = np.random.default_rng(3)
    corpus = unit(rng.integers(-1, 2, size=(150, 6)) + 0.5)
    queries = unit(rng.normal(size=(5, 6)))
    uids = np.array([f"{row:04d}" for row in range(150)])
    order = rng.permutation(150)
    here = nearest(queries, corpus, 8, uids=uids.tolist())
    there = nearest(queries, corpus[order], 8, uids=uids[order].tolist())
    assert np.array_equal(uids[here.rows], uids[order][there.rows])
    assert np.array_equal(here.scores, there.scores)


def test_what_cannot_be_searched_is_refused_with_both_numbers():
    corpus, query = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:1]
    uids = ["a", "b", "c"]
    with pytest.raises(ValueError, match="nothing to search: 1 queries, 0 corpus rows"):
        nearest(query, corpus[:0], 1, uids=[])
    with pytest.raises(ValueError, match="nothing to search: 0 queries, 3 corpus rows"):
        nearest(query[:0], corpus, 1, uids=uids)
    with pytest.raises(ValueError, match="corpus has dimension 3, queries have 2"):
        nearest(query[:, :2], corpus, 1, uids=uids)
    with pytest.raises(ValueError, match="corpus has 3 rows, 2 uids were given"):
        nearest(query, corpus, 1, uids=uids[:2])
    with pytest.raises(ValueError, match="k is 0, at least 1 is needed"):
        nearest(query, corpus, 0, uids=uids)
    broken = corpus.copy()
    broken[1, 2] = np.nan
    with pytest.raises(ValueError, match="corpus row 1 has length nan, needed 1"):
        nearest(query, broken, 1, uids=uids)
