import numpy as np
import pytest
from statsmodels.api import OLS

from oddpair.eval.explaining.bootstrap import draw_levels
from oddpair.eval.explaining.within_zero import compare_zero


def compare(count, accuracy, draws):
    return compare_zero(count, accuracy, draws)


def test_the_gap_within_datasets_is_that_of_least_squares_beside_their_means():
    rng = np.random.default_rng(0)
    code = rng.integers(6, size=120)
    count = rng.integers(0, 4, 120) * (code > 1)
    y = np.clip(0.1 * code + 0.2 * (count > 0) + 0.1 * rng.normal(size=120), 0, 1)
    draws = draw_levels(code.astype(str), np.arange(120), rng)
    found = compare(count, y, draws)
    dummies = (code[:, None] == np.arange(6)).astype(float)
    slow = OLS(y, np.column_stack([count > 0, dummies])).fit()
    assert found.within.value == pytest.approx(slow.params[0])
    assert found.within.low < 0.2 < found.within.high
    assert (found.n_zero, found.n_counted) == ((count == 0).sum(), (count > 0).sum())
    assert found.zero.value == pytest.approx(y[count == 0].mean())
    assert found.counted.value == pytest.approx(y[count > 0].mean())
    assert (found.zero.n, found.counted.n) == (found.n_zero, found.n_counted)


def test_a_kind_without_rows_has_no_mean():
    draws = draw_levels(np.repeat(["a", "b"], 3), np.arange(6), np.random.default_rng(0), draws=50)
    found = compare([1, 2, 3, 4, 5, 6], [0.5] * 6, draws)
    assert (found.zero, found.within, found.counted.value) == (None, None, 0.5)
    assert compare_zero([0, 0, 0, 4, 5, 6], [0.5] * 6, draws).within is None


def test_columns_that_do_not_fit_are_refused():
    draws = draw_levels(np.full(3, "a"), np.arange(3), np.random.default_rng(0), draws=5)
    with pytest.raises(ValueError, match=r"counts have shape \(2,\), accuracies \(2,\), draws are of 3 rows"):
        compare_zero([1, 2], [0.1, 0.2], draws)
