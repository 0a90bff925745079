import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from oddpair.eval.logistic import fit, predict


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(80), rng.normal(size=(80, 2))])
    trials = rng.integers(1, 12, size=80)
    clusters = np.repeat(np.arange(20), 4)
    noise = rng.normal(0, 0.6, size=20)[clusters]
    hits = rng.binomial(trials, expit(design @ [0.3, -0.8, 0.5] + noise))
    return hits, trials, design, clusters


def test_coefficients_and_clustered_errors_are_those_of_statsmodels(data):
    hits, trials, design, clusters = data
    model = sm.GLM(np.column_stack([hits, trials - hits]), design, family=sm.families.Binomial())
    reference = model.fit(cov_type="cluster", cov_kwds={"groups": clusters}, tol=1e-14)
    found = fit(hits, trials, design, clusters)
    assert found.coefficients == pytest.approx(reference.params, abs=1e-6)
    assert found.covariance == pytest.approx(reference.cov_params(), rel=1e-4)


def test_every_row_is_its_own_cluster_unless_clusters_are_given(data):
    hits, trials, design, _ = data
    alone = fit(hits, trials, design)
    numbered = fit(hits, trials, design, np.arange(80)[::-1])
    assert alone.covariance == pytest.approx(numbered.covariance)


def test_the_influence_of_a_cluster_is_what_counting_it_twice_changes(data):
    hits, trials, design, clusters = data
    found = fit(hits, trials, design, clusters)
    twice = clusters == 7
    again = fit(
        np.concatenate([hits, hits[twice]]),
        np.concatenate([trials, trials[twice]]),
        np.concatenate([design, design[twice]]),
    )
    assert again.coefficients - found.coefficients == pytest.approx(found.influence[7], rel=0.25, abs=0.005)


def test_hits_that_one_column_separates_give_a_large_finite_coefficient():
    design = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]])
    found = fit([0, 0, 0, 5, 5, 5], [5] * 6, design)
    assert np.isfinite(found.coefficients).all()
    assert np.isfinite(found.covariance).all()
    probability = predict(found, design).probability
    assert probability[:3] == pytest.approx(np.zeros(3), abs=1e-4)
    assert probability[3:] == pytest.approx(np.ones(3), abs=1e-4)


def test_a_column_given_twice_does_not_change_the_predictions(data):
    hits, trials, design, _ = data
    once = predict(fit(hits, trials, design), design)
    doubled = np.column_stack([design, design[:, 1]])
    twice = predict(fit(hits, trials, doubled), doubled)
    assert twice.probability == pytest.approx(once.probability, abs=1e-6)


def test_the_band_of_an_intercept_is_that_of_the_logit_of_the_share():
    found = predict(fit([2, 4, 3, 3], [10] * 4, np.ones((4, 1))), np.ones((1, 1)))
    assert found.probability == pytest.approx(np.array([0.3]))
    # Scores -1, 1, 0, 0 over information 8.4, with factor 4 / 3 twice cancelled by 3 / 3.
    error = np.sqrt(2 * (4 / 3)) / 8.4
    assert found.low == pytest.approx(expit(logit(0.3) - 1.959964 * error), abs=1e-6)
    assert found.high == pytest.approx(expit(logit(0.3) + 1.959964 * error), abs=1e-6)


def test_the_band_covers_the_true_curve_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    design = np.column_stack([np.ones(60), np.linspace(-1, 1, 60)])
    truth = expit(design @ [0.5, 1.5])
    inside = []
    for _ in range(60):
        band = predict(fit(rng.binomial(5, truth), np.full(60, 5), design), design)
        inside.append(((band.low <= truth) & (truth <= band.high)).mean())
    assert 0.88 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize(
    ("hits", "trials", "design", "clusters", "message"),
    [
        ([1, 2], [1, 1], np.ones((2, 1)), None, "row 1 has 2 successes in 1 trials"),
        ([0, 0], [1, 0], np.ones((2, 1)), None, "row 1 has 0 successes in 0 trials"),
        ([1], [1], np.ones((1, 1)), None, "1 rows for 1 columns"),
        ([], [], np.ones((0, 1)), None, "0 rows for 1 columns"),
        ([1, 0], [1, 1], np.array([[1.0], [np.nan]]), None, "not finite"),
        ([1, 0], [1, 1], np.ones((3, 1)), None, "do not fit"),
        ([1, 0], [1, 1], np.ones((2, 1)), [0, 0], "at least 2 clusters"),
        ([1, 0], [1, 1], np.ones((2, 1)), [0, 1, 2], "clusters have shape"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(hits, trials, design, clusters, message):
    with pytest.raises(ValueError, match=message):
        fit(hits, trials, design, clusters)


def test_predicting_with_other_columns_is_refused(data):
    hits, trials, design, _ = data
    with pytest.raises(ValueError, match="the fit has 3 columns"):
        predict(fit(hits, trials, design), design[:, :2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        predict(fit(hits, trials, design), design, confidence=95)
