from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.explaining.add_steps import choose_amounts, find_level

NO_BENDS = np.empty(0)


def gains_of(curve, count, weight):
    return lambda added: weight * (curve(np.log10(1 + count + added)) - curve(np.log10(1 + count)))


def best_of_all(gains, concepts, budget):
    plans = (plan for plan in product(range(budget + 1), repeat=concepts) if sum(plan) <= budget)
    return max(float(gains(np.array(plan, dtype=float)).sum()) for plan in plans)


counts = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(lambda found: np.array(found, dtype=float))


@given(counts, st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_concave_curve_is_shared_out_as_brute_force_does(count, budget, seed):
    weight = np.random.default_rng(seed).uniform(0.1, 1, len(count))
    gains = gains_of(lambda x: 0.1 * x, count, weight)
    plan = choose_amounts(gains, count, budget, NO_BENDS)
    assert plan.sum() == budget
    assert gains(plan).sum() == pytest.approx(best_of_all(gains, len(count), budget), rel=1e-9)


@given(counts, st.integers(1, 12), st.floats(0.3, 1.5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_floor_and_steps_lose_less_than_one_concept_s_gain_to_brute_force(count, budget, knot, seed):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 1, len(count))
    at = np.sort(rng.uniform(0, 1.7, 4))
    for curve, bends in (
        (lambda x: 0.2 * np.maximum(x - knot, 0), np.array([knot])),
        (lambda x: np.interp(x, at, [0.1, 0.1, 0.4, 0.4]), at),
    ):
        gains = gains_of(curve, count, weight)
        plan = choose_amounts(gains, count, budget, bends)
        assert plan.sum() <= budget
        assert (plan >= 0).all()
        whole = gains(np.full((1, len(count)), float(budget)))
        assert gains(plan).sum() >= best_of_all(gains, len(count), budget) - whole.max() - 1e-12


def test_a_step_is_bought_whole_where_it_stands_and_the_cheaper_one_first():
    count, cliff = np.array([0.0, 60.0, 90.0]), np.log10(101)
    gains = gains_of(lambda x: (x >= cliff - 1e-9) * 0.5, count, np.ones(3))
    assert choose_amounts(gains, count, 60, np.array([cliff])).tolist() == [0, 40, 10]
    # 30 samples reach the cliff once; the rest helps nobody and is kept.
    assert choose_amounts(gains, count, 30, np.array([cliff])).tolist() == [0, 0, 10]


def test_a_flat_curve_takes_nothing():
    count = np.array([0.0, 5.0])
    assert choose_amounts(lambda added: 0 * added, count, 100, NO_BENDS).tolist() == [0, 0]


@pytest.mark.parametrize("budget", [1000, 10**5, 10**7])
def test_the_logarithm_is_filled_up_like_water_to_within_a_thousandth_of_the_gain(budget):
    count = np.floor(10 ** np.random.default_rng(0).uniform(0, 5, 200)) - 1
    gains = gains_of(lambda x: 0.1 * x, count, np.ones(200))
    plan = choose_amounts(gains, count, budget, NO_BENDS)
    # The optimum for equal weights: every concept that gets any ends at one level.
    low, high = 0.0, 1e9
    for _ in range(100):
        level = (low + high) / 2
        low, high = (level, high) if np.maximum(level - count, 0).sum() <= budget else (low, level)
    best = gains(np.maximum(low - count, 0)).sum()
    assert best * 0.999 <= gains(plan).sum() <= best * (1 + 1e-9)


@given(counts, st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_the_level_is_the_highest_that_the_budget_reaches(count, budget):
    level = find_level(count, budget)
    assert np.maximum(level - count, 0).sum() <= budget
    assert np.maximum(level + 1 - count, 0).sum() > budget
