from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from oddpair.eval.intervals import (
    Estimate,
    cluster_bootstrap,
    mean_over_worlds,
    normal_interval,
    pearson,
    pearson_bootstrap,
    percentile_interval,
    pool_worlds,
    r_or_none,
    ratio_of_accuracies,
    resample,
)
from oddpair.eval.shares import wilson


def weighted_mean(values, weights):
    return weights @ values / weights.sum(axis=1)


@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_wilson_is_that_of_statsmodels_and_holds_the_share(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    found = wilson(successes, trials, confidence)
    expected = proportion_confint(successes, trials, 1 - confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.n == trials


def test_wilson_of_no_hits_starts_at_exactly_0_and_of_all_hits_ends_at_exactly_1():
    assert wilson(0, 7).low == 0.0
    assert wilson(7, 7).high == 1.0


def test_wilson_covers_the_true_share_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = rng.binomial(30, 0.2, size=400)
    covered = [wilson(int(k), 30).low <= 0.2 <= wilson(int(k), 30).high for k in hits]
    assert 0.91 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(
    ("successes", "trials", "message"),
    [(0, 0, "0 trials"), (3, 2, "3 successes in 2"), (-1, 2, "-1 successes")],
)
def test_wilson_refuses_counts_that_cannot_be(successes, trials, message):
    with pytest.raises(ValueError, match=message):
        wilson(successes, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    with pytest.raises(ValueError, match="needs to lie between 0 and 1"):
        wilson(1, 2, confidence)


def test_mean_over_worlds_is_the_t_interval_of_scipy():
    values = [0.3, 0.5, 0.4, 0.9]
    found = mean_over_worlds(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.525, low, high, 4))


@pytest.mark.parametrize("values", [[], [0.5]])
def test_mean_over_fewer_than_two_worlds_is_refused(values):
    with pytest.raises(ValueError, match="needs at least 2 worlds"):
        mean_over_worlds(values)


def test_resampling_draws_as_many_clusters_as_there_are_and_each_equally_often():
    weights = resample(lambda drawn: drawn, 5, np.random.default_rng(0), 1001)
    assert weights.shape == (1001, 5)
    assert (weights.sum(axis=1) == 5).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.15


def test_the_bootstrap_of_a_mean_is_that_of_a_slow_loop():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    rng = np.random.default_rng(3)
    slow = [values[rng.integers(4, size=4)].mean() for _ in range(150)]
    fast = resample(lambda drawn: drawn @ values / 4, 4, np.random.default_rng(3), 150)
    assert fast == pytest.approx(np.array(slow))


def test_a_cluster_bootstrap_of_the_mean_covers_it_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(120):
        values = rng.normal(size=40)
        found = cluster_bootstrap(partial(weighted_mean, values), 40, rng, 400, what="mean")
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 120 <= 0.99


def test_draws_without_a_value_widen_the_interval_on_both_sides():
    samples = np.where(np.arange(100) < 10, np.nan, 1.0)
    found = percentile_interval(1.0, samples, n=3, what="ratio")
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_one_cluster_cannot_be_resampled():
    with pytest.raises(ValueError, match="at least 2 clusters, found 1"):
        cluster_bootstrap(lambda w: w[:, 0], 1, np.random.default_rng(0), what="mean")


def test_the_ratio_keeps_images_paired_so_that_equal_models_have_ratio_1_without_error():
    rng = np.random.default_rng(0)
    hits = rng.random(60) < 0.4
    found = ratio_of_accuracies(hits, hits, np.repeat(np.arange(12), 5), rng)
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 60)


def test_the_ratio_is_that_of_the_hits_and_its_interval_comes_from_whole_concepts():
    # Concept x: 1 of 2 against 2 of 2; concept y: 0 of 2 against 1 of 2. Draws are xx, xy, yy.
    found = ratio_of_accuracies([1, 0, 0, 0], [1, 1, 0, 1], ["x", "x", "y", "y"], np.random.default_rng(0))
    assert found.value == pytest.approx(1 / 3)
    assert (found.low, found.high) == (0.0, 0.5)


def test_a_ratio_over_a_model_that_may_hit_nothing_has_no_upper_bound():
    found = ratio_of_accuracies([1, 0], [1, 0], ["x", "y"], np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (1.0, 0.0, np.inf)


@pytest.mark.parametrize(
    ("a", "b", "cluster", "message"),
    [
        ([], [], [], "no images"),
        ([1], [1, 0], ["x", "y"], "all need one shape"),
        ([1, 1], [0, 0], ["x", "y"], "hits none of 2 images"),
        ([1, 1], [1, 0], ["x", "x"], "at least 2 clusters"),
    ],
)
def test_a_ratio_that_does_not_exist_is_refused(a, b, cluster, message):
    with pytest.raises(ValueError, match=message):
        ratio_of_accuracies(a, b, cluster, np.random.default_rng(0))


def test_pearson_and_its_interval_are_those_of_scipy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    expected = stats.pearsonr(x, y)
    interval = expected.confidence_interval()
    found = pearson(x, y)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.statistic, interval.low, interval.high), abs=1e-9
    )


@given(
    st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=4, max_size=20), st.floats(0.1, 5)
)
@settings(max_examples=60, deadline=None)
def test_pearson_is_symmetric_and_blind_to_scale_and_shift(points, scale):
    x, y = np.array(points).T
    if min(np.ptp(x), np.ptp(y)) < 1e-3:
        return
    found = pearson(x, y)
    assert pearson(y, x).value == pytest.approx(found.value, abs=1e-7)
    assert pearson(3 + scale * x, -y).value == pytest.approx(-found.value, abs=1e-6)
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_a_large_offset_does_not_wash_out_a_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    assert pearson(x + 1e7, y - 1e7).value == pytest.approx(pearson(x, y).value, abs=1e-7)


def test_three_points_settle_nothing_about_a_correlation():
    found = pearson([1, 2, 3], [1, 3, 2])
    assert (found.value, found.low, found.high) == pytest.approx((0.5, -1.0, 1.0))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([], [], "0 points"),
        ([1, 2], [1, 2], "2 points"),
        ([1, 1, 1], [1, 2, 3], "x is 1.0 everywhere"),
        ([1, 2, np.nan], [1, 2, 3], "x holds a value that is not finite"),
        ([1, 2, 3], [1, 2], "y has"),
    ],
)
def test_a_correlation_that_does_not_exist_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        pearson(x, y)


def test_a_correlation_that_does_not_exist_is_none_where_that_is_allowed():
    assert r_or_none([1, 2], [1, 2], "r") is None
    assert r_or_none([1, 1, 1], [1, 2, 3], "r") is None
    assert r_or_none([1, 2, 3], [1, 2, 4], "r") == pearson([1, 2, 3], [1, 2, 4], what="r")


def test_doubled_points_narrow_fishers_interval_but_not_the_clustered_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    once = pearson_bootstrap(x, y, np.arange(40), np.random.default_rng(1))
    twice = pearson_bootstrap(
        np.tile(x, 2), np.tile(y, 2), np.tile(np.arange(40), 2), np.random.default_rng(1)
    )
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))
    assert twice.n == 80
    fisher = pearson(x, y)
    assert once.high - once.low == pytest.approx(fisher.high - fisher.low, rel=0.3)


def test_pooling_weighs_worlds_by_their_inverse_variance_and_also_equally():
    plain, weighted = pool_worlds([1.0, 2.0, 6.0], [1.0, 1.0, 2.0], what="beta")
    assert plain == mean_over_worlds([1.0, 2.0, 6.0], what="beta")
    assert weighted.value == pytest.approx((1 + 2 + 6 / 4) / 2.25)
    assert weighted.high - weighted.value == pytest.approx(1.959964 / 1.5)


@pytest.mark.parametrize(
    ("values", "errors", "message"),
    [
        ([1.0], [1.0], "at least 2 worlds"),
        ([1.0, 2.0], [1.0, 0.0], "must be positive"),
        ([1.0, 2.0], [1.0], "errors"),
    ],
)
def test_effects_that_cannot_be_pooled_are_refused(values, errors, message):
    with pytest.raises(ValueError, match=message):
        pool_worlds(values, errors, what="beta")


def test_a_normal_interval_reaches_1_96_standard_errors_to_each_side():
    found = normal_interval(2.0, 1.0, n=4, what="slope")
    assert (found.low, found.high) == pytest.approx((0.040036, 3.959964))


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "message"),
    [
        (0.5, 0.4, 0.6, 0, "support is 0"),
        (np.nan, 0.4, 0.6, 1, "is not an estimate"),
        (0.5, np.nan, 0.6, 1, "is not an estimate"),
        (0.5, 0.6, 0.4, 1, "from 0.6 down to 0.4"),
    ],
)
def test_an_estimate_without_support_value_or_interval_cannot_be_made(value, low, high, n, message):
    with pytest.raises(ValueError, match=message):
        Estimate(value=value, low=low, high=high, n=n, what="accuracy")
