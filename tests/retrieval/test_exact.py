import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import FAMILIES, all_scores, draw_rows, score

from oddpair.retrieval.exact import exact_scores

FLOATS = st.sampled_from([np.float16, np.float32])


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(0, 5),
    n=st.integers(1, 9),
    k=st.integers(0, 7),
    d=st.sampled_from([1, 2, 3, 16, 31, 64, 100]),
    family=st.sampled_from(list(FAMILIES)),
    types=st.tuples(FLOATS, FLOATS),
    seed=st.integers(0, 10_000),
)
def test_the_score_is_the_sum_of_products_in_the_order_of_the_index(m, n, k, d, family, types, seed):
    rng = np.random.default_rng(seed)
    queries, corpus = draw_rows(rng, "normal", m, d, types[0]), draw_rows(rng, family, n, d, types[1])
    rows = rng.integers(0, n, (m, k))
    found = exact_scores(queries, corpus, rows)
    assert found.dtype == np.float32
    assert found.shape == (m, k)
    expected = [[score(queries[query], corpus[row]) for row in rows[query]] for query in range(m)]
    assert found.tobytes() == np.array(expected, dtype=np.float32).tobytes()


@pytest.mark.parametrize("d", [4, 8, 31, 64, 512, 768])
def test_the_order_of_the_sum_decides_where_two_orders_round_to_different_scores(d):
    """1 + 2**-24 lies between two float32 numbers: what is added to it one by one is lost, and at once it counts."""
    query = np.array([1, 2.0**-12] + (d - 2) * [2.0**-26], dtype=np.float32)
    row = np.array([1, 2.0**-12] + (d - 2) * [2.0**-27], dtype=np.float32)
    places = np.array([[0]])
    assert exact_scores(query[None], row[None], places).tolist() == [[1.0]]
    assert exact_scores(query[None, ::-1], row[None, ::-1], places).tolist() == [[1 + 2.0**-23]]
    # The same with strides, of which a compiled loop may know nothing.
    wide = np.repeat(row, 2)[None, ::2]
    assert exact_scores(query[None], wide, places).tolist() == [[1.0]]


def test_large_terms_that_cancel_leave_the_small_one():
    query = np.array([[1, 2.0**-20, 1]], dtype=np.float32)
    corpus = np.array([[1, 2.0**-20, -1], [1, -(2.0**-20), -1]], dtype=np.float32)
    assert exact_scores(query, corpus, np.array([[1, 0]])).tolist() == [[-(2.0**-40), 2.0**-40]]


def test_a_score_too_small_for_float32_keeps_its_sign():
    query, corpus = np.array([[1, 1e-30]], dtype=np.float32), np.array([[0, -1e-30]], dtype=np.float32)
    found = exact_scores(query, corpus, np.array([[0]]))
    assert found == 0
    assert np.signbit(found)


def test_a_product_of_zeros_of_either_sign_is_zero():
    query, corpus = np.array([[1, 0]], dtype=np.float32), np.array([[-0.0, -1]], dtype=np.float32)
    assert exact_scores(query, corpus, np.array([[0]])).tobytes() == np.zeros((1, 1), np.float32).tobytes()


@settings(max_examples=20, deadline=None)
@given(family=st.sampled_from(list(FAMILIES)), kind=FLOATS, seed=st.integers(0, 10_000))
def test_the_table_of_scores_that_other_tests_compare_with_holds_the_score(family, kind, seed):
    rng = np.random.default_rng(seed)
    rows, tests = draw_rows(rng, family, 4, 40, kind), draw_rows(rng, "power_law", 3, 40, np.float32)
    expected = [[score(test, row) for test in tests] for row in rows]
    assert all_scores(rows, tests).tobytes() == np.array(expected).tobytes()
