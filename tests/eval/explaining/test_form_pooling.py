import numpy as np
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from oddpair.eval.explaining.form_pooling import pool_rows


def planted(seed=0, datasets=12, spread=0.15, noise=0.2):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 60, size=datasets)
    dataset = np.repeat(np.arange(datasets), sizes)
    x = rng.uniform(0, 5, size=len(dataset))
    y = 0.2 + 0.07 * x + spread * rng.normal(size=datasets)[dataset] + noise * rng.normal(size=len(dataset))
    return x, y, np.array([f"set {code:02d}" for code in dataset])


@pytest.mark.parametrize(("seed", "spread"), [(0, 0.15), (1, 0.05), (2, 0.6)])
def test_the_ridge_is_the_ratio_of_variances_that_statsmodels_finds(seed, spread):
    x, y, dataset = planted(seed, spread=spread)
    # Ten times larger, or the peer warns of small variances; the ratio is the same.
    peer = MixedLM(10 * y, np.stack([np.ones(len(x)), x], axis=1), dataset).fit(reml=True)
    found = pool_rows(x, y, np.ones(len(x)), dataset).ridge
    assert found == pytest.approx(peer.scale / peer.cov_re[0, 0], rel=0.03)


def test_products_are_those_of_generalised_least_squares():
    x, y, dataset = planted(datasets=4)
    weights = np.random.default_rng(3).uniform(0.5, 2, size=len(x))
    rows = pool_rows(x, y, weights, dataset)
    together = rows.codes[:, None] == rows.codes
    inverse = np.linalg.inv(np.diag(1 / rows.weights) + together / rows.ridge)
    columns = np.stack([np.ones(len(x)), rows.x], axis=1)
    np.testing.assert_allclose(rows.product(columns, columns), columns.T @ inverse @ columns)


def test_effects_are_those_of_ridge_regression_on_dummies():
    x, y, dataset = planted(datasets=5)
    rows = pool_rows(x, y, np.ones(len(x)), dataset)
    dummies = (rows.codes[:, None] == np.arange(5)).astype(float)
    expected = np.linalg.solve(dummies.T @ dummies + rows.ridge * np.eye(5), dummies.T @ (rows.y - 0.4))
    np.testing.assert_allclose(rows.effects(np.full(len(x), 0.4)), expected)


def test_datasets_that_differ_by_chance_alone_are_pooled_and_those_that_differ_much_are_not():
    alike, apart = (planted(5, spread=spread) for spread in (0.0, 3.0))
    assert pool_rows(alike[0], alike[1], np.ones(len(alike[0])), alike[2]).ridge > 20
    assert pool_rows(apart[0], apart[1], np.ones(len(apart[0])), apart[2]).ridge < 0.05


def test_the_effect_of_a_single_dataset_is_left_to_the_intercept():
    rows = pool_rows([0, 1, 2], [0.1, 0.5, 0.9], np.ones(3), np.array(["a"] * 3))
    assert rows.effects(np.zeros(3)).tolist() == [0.0]


def test_rows_without_weight_are_as_if_absent():
    x, y, dataset = planted(datasets=4)
    weights = np.ones(len(x))
    weights[::3] = 0
    kept = weights > 0
    part = pool_rows(x[kept], y[kept], np.ones(kept.sum()), dataset[kept])
    whole = pool_rows(x, y, weights, dataset)
    assert whole.ridge == part.ridge
    assert whole.x.tolist() == part.x.tolist()


@pytest.mark.parametrize(
    ("x", "y", "weights", "message"),
    [
        ([0, 1], [0.5], [1, 1], "shapes differ"),
        ([0, np.nan], [0.5, 0.5], [1, 1], "not finite"),
        ([0, 1], [0.5, 0.5], [1, -1], "negative"),
        ([2, 2], [0.5, 0.6], [1, 1], "2 rows with weight hold fewer than 2"),
        ([0, 1], [0.5, 0.6], [0, 0], "0 rows with weight"),
    ],
)
def test_rows_that_hold_no_curve_are_refused(x, y, weights, message):
    with pytest.raises(ValueError, match=message):
        pool_rows(x, y, weights, np.array(["a", "b"]))
