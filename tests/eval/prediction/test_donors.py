from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.prediction.planted_models import lay, plant_table

from oddpair.eval.prediction.donors import complete, make_covariance, shrink, stretch, weigh_donors

NAN = np.nan


def draw_covariance(seed, models):
    factor = np.random.default_rng(seed).normal(size=(models, models))
    return factor @ factor.T + 0.1 * np.eye(models)


def solve_by_multipliers(covariance, model, donors):
    """The same by the bordered system: gradient zero but for the multiplier, weights summing to 1."""
    k = len(donors)
    bordered = np.zeros((k + 1, k + 1))
    bordered[:k, :k] = covariance[np.ix_(donors, donors)]
    bordered[:k, k] = bordered[k, :k] = 1
    return np.linalg.solve(bordered, np.append(covariance[donors, model], 1))[:k]


def left_over(covariance, model, donors, weights):
    """Variance of the model less its weighed donors."""
    whole = np.zeros(len(covariance))
    whole[donors] = weights
    whole[model] -= 1
    return whole @ covariance @ whole


@given(seed=st.integers(0, 10_000), models=st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_weights_are_those_of_the_constrained_least_squares(seed, models):
    covariance = draw_covariance(seed, models)
    donors = np.arange(1, models)
    found = weigh_donors(covariance, 0, donors)
    assert found.donor.sum() == pytest.approx(1)
    assert found.donor == pytest.approx(solve_by_multipliers(covariance, 0, donors), abs=1e-6)
    assert found.variance == pytest.approx(left_over(covariance, 0, donors, found.donor), abs=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_other_weights_that_sum_to_1_leave_less_variance(seed):
    covariance = draw_covariance(seed, 6)
    donors = np.array([0, 1, 3, 4, 5])
    found = weigh_donors(covariance, 2, donors)
    away = np.random.default_rng(seed + 1).normal(size=5)
    for size in (1e-3, 0.1, 1.0):
        moved = found.donor + size * (away - away.mean())
        assert left_over(covariance, 2, donors, moved) >= found.variance - 1e-9


def test_the_order_of_donors_moves_their_weights_alone():
    covariance = draw_covariance(5, 6)
    donors, turned = np.array([0, 1, 3, 5]), np.array([5, 0, 3, 1])
    one, other = weigh_donors(covariance, 2, donors), weigh_donors(covariance, 2, turned)
    assert dict(zip(donors.tolist(), one.donor, strict=True)) == pytest.approx(
        dict(zip(turned.tolist(), other.donor, strict=True))
    )
    assert one.variance == pytest.approx(other.variance)


def test_donors_that_nothing_tells_apart_weigh_the_same():
    found = weigh_donors(np.eye(5) + 1, 0, np.arange(1, 5))
    assert found.donor == pytest.approx([0.25] * 4)
    assert found.variance == pytest.approx(1.25)


def test_a_donor_of_the_same_corpus_weighs_more():
    covariance = np.eye(3) + 1
    covariance[0, 1] = covariance[1, 0] = 1.8
    near, far = weigh_donors(covariance, 0, np.array([1, 2])).donor
    assert near == pytest.approx(0.9)
    assert far == pytest.approx(0.1)


@given(st.floats(0, 1))
def test_shrink_undoes_stretch(accuracy):
    assert shrink(stretch(np.array([accuracy])))[0] == pytest.approx(accuracy, abs=1e-12)


def test_beyond_the_range_of_stretched_accuracies_lie_0_and_1():
    assert shrink(np.array([-0.3, 0.0, np.pi / 2, 2.0])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_stretched_accuracies_have_the_same_noise_everywhere(accuracy):
    drawn = np.random.default_rng(0).binomial(400, accuracy, 20_000) / 400
    assert stretch(drawn).std() * 2 * np.sqrt(400) == pytest.approx(1, abs=0.03)


def test_what_a_model_lacks_is_the_level_of_the_concept_plus_its_own():
    # Model means 3 and 4; the second concept lies 2 above the first model's, the third 1 below the second's.
    values = np.array([[1.0, 5.0], [5.0, NAN], [NAN, 3.0], [NAN, NAN]])
    assert complete(values).tolist() == [[1, 5], [5, 6], [2, 3], [3, 4]]


def test_what_is_known_stands():
    values = np.random.default_rng(0).uniform(size=(20, 4))
    assert complete(values) is values
    holed = np.where(np.random.default_rng(1).uniform(size=values.shape) < 0.3, NAN, values)
    filled = complete(holed)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(holed)], holed[~np.isnan(holed)])


def test_covariance_is_by_hand_level_skill_corpus_and_residual():
    cells, _ = lay(plant_table("aab", classes=15))
    hand = replace(
        cells, skill=np.array([1.0, 2.0, 3.0]), likeness=np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
    )
    # 1 for the level, 3 times the product of skills about their mean, half for the corpus, 1 for the residual.
    assert make_covariance(hand, 0.5) == pytest.approx(
        np.array([[5.5, 1.5, -2], [1.5, 2.5, 1], [-2, 1, 5.5]])
    )


def test_covariance_is_positive_where_likenesses_contradict_each_other():
    cells, _ = lay(plant_table("abc", classes=15))
    odd = replace(cells, likeness=np.array([[1, 1, -1], [1, 1, 1], [-1, 1, 1.0]]))
    covariance = make_covariance(odd, 20.0)
    assert covariance == pytest.approx(covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
