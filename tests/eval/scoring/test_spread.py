import numpy as np
import pytest
from scipy.stats import binom, binomtest

from oddpair.eval.intervals import widen_confidence
from oddpair.eval.scoring import spread
from oddpair.eval.scoring.spread import (
    BOOTSTRAP,
    EXACT,
    EXACT_CLUSTERS,
    OPEN,
    STRATIFIED,
    centred_interval,
    code_clusters,
    estimate_mean,
    estimate_mean_of_classes,
)


def test_independent_answers_have_the_exact_interval():
    credit = np.r_[np.ones(30), np.zeros(70)]
    found, interval = estimate_mean(credit, np.arange(100), seed=0, what="top1")
    exact = binomtest(30, 100).proportion_ci(0.95, method="exact")
    assert [found.value, found.low, found.high] == pytest.approx([0.3, exact.low, exact.high])
    assert found.n == 100
    assert interval == EXACT


def test_parts_of_answers_are_dropped_below_and_filled_up_above():
    found, _ = estimate_mean(np.array([1.0, 0.5, 0.0, 0.0]), np.arange(4), seed=0, what="top1")
    low, high = binomtest(1, 4).proportion_ci(0.95).low, binomtest(2, 4).proportion_ci(0.95).high
    assert [found.low, found.high] == pytest.approx([low, high])


def test_three_thirds_are_one_answer():
    found, _ = estimate_mean(np.full(3, 1 - 2 / 3), np.arange(3), seed=0, what="top1")
    assert found.high == pytest.approx(binomtest(1, 3).proportion_ci(0.95).high)


def test_answers_that_go_alike_have_the_interval_of_as_many_clusters(rng):
    # Ten times the same answers, in clusters, tell no more than once.
    once = (rng.random(400) < 0.4).astype(float)
    codes = np.repeat(np.arange(400), 10)
    found, interval = estimate_mean(np.repeat(once, 10), codes, seed=0, what="top1")
    alone, _ = estimate_mean(once, np.arange(400), seed=0, what="top1")
    assert found.value == pytest.approx(alone.value)
    assert (found.n, interval) == (4000, BOOTSTRAP)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.1)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_clusters_that_all_earn_alike_have_the_interval_of_as_many_trials(right):
    found, interval = estimate_mean(np.full(50, right), np.repeat(np.arange(10), 5), seed=0, what="top1")
    exact = binomtest(int(10 * right), 10).proportion_ci(0.95)
    assert [found.low, found.high] == pytest.approx([exact.low, exact.high])
    assert interval == EXACT_CLUSTERS


def test_clusters_of_unequal_sizes_that_all_earn_alike_are_worth_fewer_trials():
    # (8 + 1 + 1) ** 2 / (64 + 1 + 1) is 1.5: one trial.
    codes = np.repeat([0, 1, 2], [8, 1, 1])
    found, interval = estimate_mean(np.ones(10), codes, seed=0, what="top1")
    assert [found.low, found.high] == pytest.approx([0.025, 1])
    assert interval == EXACT_CLUSTERS
    # Of two classes, one of a question alone, that question is half the mean: 1 / (1 / 4 + 9 * (1 / 18) ** 2) is 3.6.
    each, interval = estimate_mean_of_classes(
        np.ones(10), np.repeat([0, 1], [9, 1]), None, seed=0, what="mean"
    )
    assert [each.low, each.high] == pytest.approx([0.025 ** (1 / 3), 1])
    assert interval == EXACT


def test_a_single_cluster_says_nothing():
    found, _ = estimate_mean(np.array([1.0, 0.0, 1.0]), np.zeros(3, dtype=int), seed=0, what="top1")
    assert (found.low, found.high) == (0, 1)
    each, interval = estimate_mean_of_classes(
        np.array([1.0, 0.0, 1.0]), np.array([0, 0, 1]), np.zeros(3, dtype=int), seed=0, what="mean"
    )
    assert (each.value, each.low, each.high, interval) == (0.75, 0, 1, OPEN)


def test_draws_depend_on_the_seed_alone(rng, monkeypatch):
    credit, codes = rng.random(60), np.repeat(np.arange(20), 3)
    found = estimate_mean(credit, codes, seed=3, what="top1")
    assert estimate_mean(credit, codes, seed=4, what="top1") != found
    monkeypatch.setattr("oddpair.eval.intervals._CLUSTERS_AT_ONCE", 50)
    assert estimate_mean(credit, codes, seed=3, what="top1") == found


def test_the_spread_within_classes_is_that_of_independent_answers(rng):
    classes = rng.integers(5, size=500)
    share = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    credit = (rng.random(500) < share[classes]).astype(float)
    found, interval = estimate_mean_of_classes(credit, classes, None, seed=0, what="mean")
    means = np.array([credit[classes == number].mean() for number in range(5)])
    sizes = np.bincount(classes)
    deviation = np.sqrt((means * (1 - means) / sizes).sum()) / 5
    assert found.value == pytest.approx(means.mean())
    assert (found.high - found.low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.08)
    assert interval == STRATIFIED


@pytest.mark.parametrize(
    "sizes",
    [np.full(100, 2), np.repeat([1, 4], 50), np.full(50, 10), np.repeat([1, 20], [3, 27])],
    ids=["100 of 2", "half of 1", "50 of 10", "three of 1"],
)
@pytest.mark.parametrize("middle", [0.5, 0.9])
def test_the_interval_within_classes_covers_the_true_mean_as_often_as_it_says(sizes, middle):
    rng = np.random.default_rng(0)
    classes, covered, worlds = np.repeat(np.arange(len(sizes)), sizes), 0, 400
    for _ in range(worlds):
        share = rng.beta(4 * middle, 4 * (1 - middle), len(sizes))
        credit = (rng.random(len(classes)) < share[classes]).astype(float)
        found, _ = estimate_mean_of_classes(credit, classes, None, seed=0, what="mean")
        covered += found.low <= share.mean() <= found.high
    assert covered / worlds >= binom.ppf(0.005, worlds, 0.95) / worlds


def test_no_spread_within_classes_is_bounded_as_no_odd_answer_is():
    found, interval = estimate_mean_of_classes(
        np.repeat([1.0, 0.0], 10), np.repeat([0, 1], 10), None, seed=0, what="mean"
    )
    reach = 1 - 0.025 ** (1 / 20)
    assert [found.value, found.low, found.high] == pytest.approx([0.5, 0.5 - reach, 0.5 + reach])
    assert interval == STRATIFIED


def test_fractions_of_credit_vary_too():
    credit = np.array([0.0, 0.5, 0.5, 1.0] * 25)
    found, _ = estimate_mean_of_classes(credit, np.repeat([0, 1], 50), None, seed=0, what="mean")
    deviation = credit.std() / 10
    assert (found.high - found.low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.08)


def test_classes_drawn_whole_give_the_bootstrap_of_their_means(rng):
    means = rng.random(40)
    classes = np.repeat(np.arange(40), 4)
    found, interval = estimate_mean_of_classes(means[classes], classes, classes, seed=2, what="mean")
    alone, _ = estimate_mean(np.repeat(means, 2), np.repeat(np.arange(40), 2), seed=2, what="mean")
    assert (found.value, found.low, found.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert interval == BOOTSTRAP


def test_clusters_that_cut_across_classes_are_drawn_whole(rng):
    classes, codes = rng.integers(3, size=90), np.repeat(np.arange(30), 3)
    credit = rng.random(90)
    found, _ = estimate_mean_of_classes(credit, classes, codes, seed=2, what="mean")

    def slowly(weights):
        return np.array([
            np.mean([np.average(credit[classes == c], weights=row[codes][classes == c]) for c in range(3)])
            for row in weights
        ])  # fmt: skip

    drawn = spread.draw(slowly, 30, 2)
    tail = (1 - widen_confidence(0.95, 30)) / 2
    assert found.low == pytest.approx(np.quantile(drawn, tail, method="lower"))
    assert found.high == pytest.approx(np.quantile(drawn, 1 - tail, method="higher"))


def test_classes_of_one_question_each_have_the_plain_interval():
    credit = np.array([1.0, 1.0, 0.0, 1.0])
    found = estimate_mean_of_classes(credit, np.arange(4), None, seed=0, what="mean")
    assert found == estimate_mean(credit, np.arange(4), seed=0, what="mean")


def test_every_class_right_or_wrong_throughout_has_the_exact_interval():
    found, interval = estimate_mean_of_classes(np.ones(20), np.arange(20) % 4, None, seed=0, what="mean")
    assert [found.low, found.high] == pytest.approx([0.025 ** (1 / 20), 1])
    assert interval == EXACT


def test_codes_number_rows_in_sorted_order():
    codes = code_clusters([np.array(["b", "a", "b", "a"]), np.array([1, 2, 1, 1])])
    assert codes.tolist() == [2, 1, 2, 0]


def test_a_centred_interval_holds_its_value_and_stays_within_0_and_1():
    found = centred_interval(0.9, np.array([0.2, 0.3, 0.95, np.nan]), n=4, what="x")
    assert (found.low, found.value, found.high) == (0.0, 0.9, 1.0)
