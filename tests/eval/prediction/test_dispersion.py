"""Dispersion and intervals beside slow versions and drawn beta-binomials."""

import numpy as np
import pytest
from scipy.stats import betabinom

from oddpair.eval.prediction.dispersion import find_intervals, fit_dispersion
from oddpair.eval.prediction.scoring import is_covered


def draw(rng, n, rho, support=50):
    mean = rng.uniform(0.05, 0.95, n)
    size = (1 - rho) / rho
    hits = rng.binomial(support, rng.beta(mean * size, (1 - mean) * size))
    return mean, hits / support


@pytest.mark.parametrize("rho", [0.05, 0.2, 0.5])
def test_a_planted_dispersion_is_found(rho):
    mean, accuracy = draw(np.random.default_rng(1), 3000, rho)
    support, group = np.full(3000, 50.0), np.zeros(3000, dtype=np.int64)
    assert fit_dispersion(mean, accuracy, support, group, 1)[0] == pytest.approx(rho, rel=0.3)


def test_a_group_of_few_borrows_and_a_group_of_none_has_the_dispersion_of_all():
    mean, accuracy = draw(np.random.default_rng(2), 1000, 0.2)
    group = np.zeros(1000, dtype=np.int64)
    group[:3] = 1
    found = fit_dispersion(mean, accuracy, np.full(1000, 50.0), group, 3)
    assert found[2] == found[0]
    assert 0.05 < found[1] < 0.5


@pytest.mark.parametrize("rho", [0.02, 0.3])
@pytest.mark.parametrize("support", [10, 50, 1000])
def test_intervals_hold_about_nine_in_ten(rho, support):
    mean, accuracy = draw(np.random.default_rng(3), 3000, rho, support)
    interval = find_intervals(mean, np.full(3000, rho), np.full(3000, float(support)))
    # Few samples come in coarse steps; above 200 the ends are rounded to steps of 1 in 200.
    assert is_covered(accuracy, interval).mean() == pytest.approx(0.9, abs=0.05)


def test_the_run_holds_the_share_and_scores_best_among_all_runs():
    rng = np.random.default_rng(4)
    n = 12
    for _ in range(40):
        mean, rho = rng.uniform(0.02, 0.98), rng.uniform(0.02, 0.6)
        low, high = (
            float(end[0]) for end in find_intervals(np.array([mean]), np.array([rho]), np.array([float(n)]))
        )
        size = (1 - rho) / rho
        masses = betabinom.pmf(np.arange(n + 1), n, mean * size, (1 - mean) * size)

        def cost(first, last, masses=masses):
            k = np.arange(n + 1)
            outside = np.maximum(first - k, 0) + np.maximum(k - last, 0)
            return last - first + 20 * (masses * outside).sum()

        def held(first, last, masses=masses):
            return masses[first : last + 1].sum()

        runs = [
            (first, min(last for last in range(first, n + 1) if held(first, last) >= 0.9 - 1e-12))
            for first in range(n + 1)
            if held(first, n) >= 0.9 - 1e-12
        ]
        first, last = min(runs, key=lambda run: cost(*run))
        shorter = max([(first + 1, last), (first, last - 1)], key=lambda run: held(*run))
        if last > first and 0.9 - held(*shorter) < held(first, last) - 0.9:
            first, last = shorter
        assert held(round(low * n), round(high * n)) == pytest.approx(held(first, last), abs=1e-9)
