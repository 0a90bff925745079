import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from tests.eval.explaining.planted_accuracies import floor, line, plant

from oddpair.eval.explaining.form_curves import natural_basis
from oddpair.eval.explaining.form_fits import (
    fit_floor,
    fit_line,
    fit_logistic,
    fit_mean,
    fit_spline,
    fit_steps,
)
from oddpair.eval.explaining.form_pooling import pool_rows


def rows_of(curve, **planted):
    table = plant(curve, **planted)
    return pool_rows(np.log10(1 + table.count_joint), table.accuracy, np.ones(len(table)), table.dataset)


def loss(rows, curve):
    """Penalised squared error of a curve given at the rows, with the best effects beside it."""
    effects = rows.effects(curve)
    left = rows.y - curve - effects[rows.codes]
    ridge = rows.ridge if np.isfinite(rows.ridge) else 0.0
    return float(rows.weights @ left**2 + ridge * effects @ effects)


def ridge_regression(rows, basis):
    """Coefficients of a basis beside penalised dummies of the datasets, by plain least squares on longer rows."""
    dummies = (rows.codes[:, None] == np.arange(len(rows.datasets))).astype(float)
    prior = np.hstack(
        [np.zeros((len(rows.datasets), basis.shape[1])), np.sqrt(rows.ridge) * np.eye(len(rows.datasets))]
    )
    design = np.vstack([np.hstack([basis, dummies]), prior])
    target = np.concatenate([rows.y, np.zeros(len(rows.datasets))])
    return np.linalg.lstsq(design, target, rcond=None)[0][: basis.shape[1]]


def test_mean_line_and_spline_are_ridge_regressions_with_dummies():
    rows = rows_of(line, concepts=120)
    one = np.ones((len(rows.x), 1))
    assert fit_mean(rows).intercept == pytest.approx(ridge_regression(rows, one)[0])
    found = fit_line(rows)
    expected = ridge_regression(rows, np.column_stack([one, rows.x]))
    assert [found.intercept, found.slope] == pytest.approx(expected.tolist())
    spline = fit_spline(rows)
    assert len(spline.knots) == 5
    np.testing.assert_allclose(
        spline.coefficients, ridge_regression(rows, natural_basis(rows.x, spline.knots)), atol=1e-8
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_floor_is_as_good_as_any_knot_of_a_fine_scan(seed):
    rows = rows_of(floor, concepts=150, seed=seed)
    best = min(
        loss(rows, basis @ ridge_regression(rows, basis))
        for knot in np.linspace(rows.x.min(), np.quantile(rows.x, 0.98), 300)
        for basis in [np.column_stack([np.ones(len(rows.x)), np.maximum(rows.x - knot, 0)])]
    )
    assert loss(rows, fit_floor(rows)(rows.x)) <= best * 1.0005


def test_the_planted_knot_floor_and_slope_are_recovered():
    found = fit_floor(rows_of(floor, concepts=4000, spread=0.02))
    assert found.knot == pytest.approx(3, abs=0.15)
    assert found.floor == pytest.approx(0.3, abs=0.03)
    assert found.slope == pytest.approx(0.12, abs=0.01)


def test_a_floor_never_falls_and_a_line_may():
    rows = rows_of(lambda x: 0.8 - 0.1 * x, concepts=200)
    assert fit_line(rows).slope < -0.05
    assert fit_floor(rows).slope == 0
    found = fit_logistic(rows)
    assert found.floor <= found.ceiling


@pytest.mark.parametrize(
    ("low", "high", "noise"), [(0.2, 0.8, 0.1), (0.0, 1.0, 0.05), (0.02, 0.3, 0.05), (0.7, 0.98, 0.05)]
)
def test_the_logistic_is_as_good_as_a_bounded_search_from_the_truth(low, high, noise):
    rows = rows_of(
        lambda x: low + (high - low) * expit((x - 3) / 0.7), concepts=300, noise=noise, spread=0.03
    )

    def residuals(parameters):
        bottom, top, middle, width = parameters
        curve = bottom + top * (1 - bottom) * expit((rows.x - middle) / width)
        effects = rows.effects(curve)
        return np.concatenate([rows.y - curve - effects[rows.codes], np.sqrt(rows.ridge) * effects])

    reach = np.ptp(rows.x)
    bounds = ([0, 0, rows.x.min(), reach / 40], [1, 1, rows.x.max(), reach])
    start = [max(low, 0.01), min((high - low) / (1 - low), 0.99), 3, 0.7]
    peer = least_squares(residuals, start, bounds=bounds)
    found = fit_logistic(rows)
    assert 0 <= found.floor <= found.ceiling <= 1
    assert loss(rows, found(rows.x)) <= 2 * peer.cost * 1.001


def test_steps_of_one_dataset_are_those_of_scikit_learn():
    rows = rows_of(
        line, concepts=400, datasets=1, counts=np.random.default_rng(0).integers(0, 60, 400).astype(float)
    )
    peer = IsotonicRegression(out_of_bounds="clip").fit(rows.x, rows.y)
    at = np.linspace(-1, 3, 200)
    np.testing.assert_allclose(fit_steps(rows)(at), peer.predict(at), atol=1e-9)


def test_steps_rise_and_no_small_change_of_a_level_makes_them_better():
    rows = rows_of(line, concepts=200)
    found = fit_steps(rows)
    assert (np.diff(found.levels) >= 0).all()
    best = loss(rows, found(rows.x))
    for level in np.unique(found.levels):
        for change in (-0.002, 0.002):
            moved = np.where(found.levels == level, level + change, found.levels)
            if (np.diff(moved) >= 0).all():
                assert loss(rows, np.interp(rows.x, found.at, moved)) > best - 1e-9


def test_the_spline_of_few_different_counts_has_as_few_knots():
    x = np.repeat([0.0, 1.0, 2.0], 5)
    rows = pool_rows(x, x / 4 + np.tile([0.0, 0.1, 0.2, 0.3, 0.4], 3), np.ones(15), np.array(["a"] * 15))
    found = fit_spline(rows)
    assert found.knots.tolist() == [0, 1, 2]
    assert found(np.array([0.0, 1.0, 2.0])) == pytest.approx([0.2, 0.45, 0.7])
