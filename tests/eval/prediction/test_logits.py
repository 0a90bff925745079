"""Batched fits beside a slow optimiser, and a kernel beside its formula."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from oddpair.eval.prediction.kernel import make_basis
from oddpair.eval.prediction.logits import WORKING_DISPERSION, fit_logits, rate


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    at = rng.normal(size=(80, 3))
    kernel = np.exp(-0.5 * ((at[:, None] - at[None]) ** 2).sum(axis=2)).astype(np.float32) + np.float32(0.5)
    accuracy = rng.binomial(40, expit(at[:, 0] - 0.5)) / 40
    return make_basis(kernel), kernel, accuracy, np.full(80, 40.0), np.full(80, 0.01)


def test_the_basis_gives_back_the_kernel(problem):
    basis, kernel, *_ = problem
    assert np.abs(basis @ basis.T - kernel).max() < 1e-3


def test_a_fit_is_the_mode_that_a_slow_optimiser_finds(problem):
    basis, _, accuracy, support, chance = problem
    trained = np.arange(80) % 4 > 0
    found = fit_logits(basis, accuracy[:, None], support, chance, trained[:, None])
    assert found.guess[0] in np.linspace(0, 1, 6)
    weight = 40 / (1 + 39 * WORKING_DISPERSION)
    mean = accuracy[trained].mean()
    centre, floor = np.log(mean / (1 - mean)), found.guess[0] * 0.01

    def loss(coefficients):
        share = floor + (1 - floor) * expit(basis @ coefficients + centre)[trained]
        y = accuracy[trained]
        return (
            -weight * (y * np.log(share) + (1 - y) * np.log1p(-share)).sum() + coefficients @ coefficients / 2
        )

    slow = minimize(loss, np.zeros(basis.shape[1]), method="L-BFGS-B", options={"maxiter": 2000})
    assert found.eta[:, 0] == pytest.approx(basis @ slow.x + centre, abs=0.02)


def test_what_is_not_trained_on_moves_nothing_even_where_it_is_nan(problem):
    basis, _, accuracy, support, chance = problem
    trained = np.arange(80) % 4 > 0
    blank = np.where(trained, accuracy, np.nan)
    one = fit_logits(basis, accuracy[:, None], support, chance, trained[:, None])
    other = fit_logits(basis, blank[:, None], support, chance, trained[:, None])
    assert np.array_equal(one.eta, other.eta)


def test_a_problem_without_rows_is_refused(problem):
    basis, _, accuracy, support, chance = problem
    with pytest.raises(ValueError, match="problem 0 has no rows"):
        fit_logits(basis, accuracy[:, None], support, chance, np.zeros((80, 1), dtype=bool))


def test_a_rate_averages_over_the_error_of_its_logit():
    rng = np.random.default_rng(6)
    for eta, variance in ((-2.0, 1.0), (0.5, 2.0)):
        drawn = expit(rng.normal(eta, np.sqrt(variance), 200_000)).mean()
        assert rate(np.array(eta), np.array(0.0), variance) == pytest.approx(drawn, abs=0.01)


def guesses_of(share: float, scale: float, seed: int) -> np.ndarray:
    """Fit a problem whose hardest concepts are answered by guessing one of ten, that share of the time."""
    rng = np.random.default_rng(seed)
    at = np.linspace(-4, 4, 400)
    skill = expit(scale * at)
    accuracy = rng.binomial(200, share * 0.1 + (1 - share * 0.1) * skill) / 200
    kernel = (4 * np.exp(-0.5 * (at[:, None] - at[None]) ** 2)).astype(np.float32)
    every = np.ones((400, 1), dtype=bool)
    return fit_logits(
        make_basis(kernel), accuracy[:, None], np.full(400, 200.0), np.full(400, 0.1), every
    ).guess


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_guess_rate_comes_back(seed):
    assert guesses_of(1.0, 2.0, seed)[0] >= 0.8
    assert guesses_of(0.0, 2.0, seed)[0] <= 0.2
