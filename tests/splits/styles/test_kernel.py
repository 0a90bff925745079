import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.splits.styles.kernel import add_weighted_sums


def test_every_float16_counts_as_what_it_is():
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = values[np.isfinite(values)][:, None]
    sums = np.zeros((len(finite), 1))
    assert add_weighted_sums(finite, np.ones((1, 1)), sums) is None
    assert (sums == finite.astype(np.float64)).all()


@given(n=st.integers(1, 20), d=st.integers(1, 40), c=st.integers(1, 3), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_sums_are_those_of_a_matrix_product_and_add_up(n, d, c, seed):
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(n, d)).astype(np.float16), rng.normal(size=(c, d))
    sums = np.ones((n, c))
    assert add_weighted_sums(rows, weights, sums) is None
    np.testing.assert_allclose(sums, 1 + rows.astype(np.float64) @ weights.T, atol=1e-12)


def test_a_row_has_the_same_bits_wherever_it_lies():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(50, 83)).astype(np.float16), rng.normal(size=(2, 83))
    whole = np.zeros((50, 2))
    add_weighted_sums(rows, weights, whole)
    for start in (1, 7, 49):
        part = np.zeros((50 - start, 2))
        add_weighted_sums(rows[start:], weights, part)
        assert part.tobytes() == whole[start:].tobytes()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_the_first_row_that_is_not_finite_is_named(value):
    rows = np.ones((6, 3), dtype=np.float16)
    rows[2, 1] = rows[4, 0] = value
    assert add_weighted_sums(rows, np.ones((1, 3)), np.zeros((6, 1))) == 2
