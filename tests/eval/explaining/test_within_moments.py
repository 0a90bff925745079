import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.explaining.within_moments import find_moments, spread_within, stack_columns


def sum_up(x, y, code):
    columns = stack_columns(x, y)
    return np.stack([columns[code == value].sum(axis=0) for value in np.unique(code)])


def adjusted(y, design):
    residuals = y - design @ np.linalg.lstsq(design, y)[0]
    n, k = design.shape
    return 1 - residuals @ residuals / (n - k) / ((y - y.mean()) @ (y - y.mean()) / (n - 1))


def test_moments_are_those_of_least_squares_on_the_rows():
    rng = np.random.default_rng(0)
    code = rng.integers(5, size=80)
    x = rng.normal(size=80) + code
    y = 0.2 * x + 0.3 * code + rng.normal(size=80)
    sums = sum_up(x, y, code)
    found = find_moments(sums[None])
    one, dummies = np.ones((80, 1)), (code[:, None] == np.arange(5)).astype(float)
    line = np.column_stack([one, x])
    assert found.pooled.slope[0] == pytest.approx(np.linalg.lstsq(line, y)[0][1])
    assert found.pooled.r[0] == pytest.approx(np.corrcoef(x, y)[0, 1])
    both = np.column_stack([dummies, x])
    assert found.within.slope[0] == pytest.approx(np.linalg.lstsq(both, y)[0][-1])
    left_x, left_y = (column - dummies @ np.linalg.lstsq(dummies, column)[0] for column in (x, y))
    assert found.within.r[0] == pytest.approx(np.corrcoef(left_x, left_y)[0, 1])
    assert found.by_datasets[0] == pytest.approx(adjusted(y, dummies))
    assert found.by_counts[0] == pytest.approx(adjusted(y, line))
    assert found.by_both[0] == pytest.approx(adjusted(y, both))
    assert spread_within(sums) == pytest.approx([np.var(x[code == c]) * (code == c).sum() for c in range(5)])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_moving_all_values_moves_nothing(seed, to_x, to_y):
    rng = np.random.default_rng(seed)
    code, x, y = np.arange(30) % 4, rng.normal(size=30), rng.normal(size=30)
    first = find_moments(sum_up(x, y, code)[None])
    second = find_moments(sum_up(x + to_x, y + to_y, code)[None])
    np.testing.assert_allclose(
        np.concatenate(first[0] + first[1]), np.concatenate(second[0] + second[1]), rtol=1e-6
    )


def test_counts_that_do_not_vary_have_no_slope_and_accuracies_that_do_not_have_no_r():
    code = np.arange(12) % 3
    flat = find_moments(sum_up(np.full(12, 0.1), np.arange(12.0), code)[None])
    assert np.isnan([flat.pooled.slope[0], flat.within.slope[0], flat.within.r[0]]).all()
    level = find_moments(sum_up(np.arange(12.0), np.full(12, 0.3), code)[None])
    assert level.pooled.slope[0] == 0.0
    assert np.isnan(level.pooled.r[0])
    assert np.isnan(level.by_datasets[0])
