import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from oddpair.retrieval.proportion import clopper_pearson, clopper_pearson_interval


def test_the_bounds_leave_exactly_the_risk_in_the_tail():
    lower, upper = clopper_pearson(290, 300, 0.95, "lower"), clopper_pearson(290, 300, 0.95, "upper")
    assert binom.sf(289, 300, lower) == pytest.approx(0.05)
    assert binom.cdf(290, 300, upper) == pytest.approx(0.05)
    assert lower < 290 / 300 < upper


def test_the_bounds_know_the_edges():
    assert clopper_pearson(0, 10, 0.95, "lower") == 0
    assert clopper_pearson(10, 10, 0.95, "upper") == 1
    assert (clopper_pearson(0, 0, 0.95, "lower"), clopper_pearson(0, 0, 0.95, "upper")) == (0, 1)
    found = clopper_pearson(np.array([0, 5, 10]), np.array([10, 10, 10]), 0.95, "upper")
    assert found.tolist() == [clopper_pearson(k, 10, 0.95, "upper") for k in (0, 5, 10)]


@pytest.mark.parametrize(
    ("successes", "confidence"), [(11, 0.95), (-1, 0.95), (float("nan"), 0.95), (5, 1.0), (5, 0.0)]
)
def test_impossible_counts_and_confidences_are_errors(successes, confidence):
    with pytest.raises(ValueError, match=r"more successes than trials|needed between 0 and 1"):
        clopper_pearson(successes, 10, confidence, "lower")


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=40, deadline=None)
def test_the_interval_is_that_of_scipy(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    expected = binomtest(successes, trials).proportion_ci(confidence, "exact")
    found = clopper_pearson_interval(successes, trials, confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_of_no_success_is_the_textbooks_and_that_of_no_trial_everything():
    assert clopper_pearson_interval(0, 30) == pytest.approx((0, 1 - 0.025 ** (1 / 30)))
    assert clopper_pearson_interval(0, 0) == (0.0, 1.0)


def test_the_interval_of_a_part_of_a_success_holds_those_of_both_whole_numbers_beside_it():
    low, high = clopper_pearson_interval(3.25, 10)
    assert (low, high) == (clopper_pearson_interval(3, 10)[0], clopper_pearson_interval(4, 10)[1])
    assert low < clopper_pearson(3.25, 10, 0.975, "lower")
    assert clopper_pearson(3.25, 10, 0.975, "upper") < high
