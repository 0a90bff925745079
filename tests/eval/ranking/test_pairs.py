import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from tests.eval.ranking.ranked_models import FAMILIES, answer, answer_all

from oddpair.eval.ranking.macro import task_weights
from oddpair.eval.ranking.pairs import compare_pairs
from oddpair.eval.ranking.totals import draw, total
from oddpair.retrieval.proportion import clopper_pearson

WEIGHTS = task_weights(FAMILIES)


def compare(models, weights, seed=0, draws=2000):
    totals = total(models, tuple(weights))
    return compare_pairs(totals, draw(totals, seed, draws), weights)


def compare_one_task(*columns, clusters=None, draws=2000):
    models = [{"task": answer(c, range(len(c)) if clusters is None else clusters)} for c in columns]
    return compare(models, {"task": 1.0}, draws=draws)


def slow_pairs(models, weights, seed, draws):
    """By definition: one pair at a time, t = |d* - d| / se, moved out as Student's t is beyond the normal."""
    totals = total(models, tuple(weights))
    drawn = draw(totals, seed, draws)
    n = min(len(set(models[0][task].clusters)) for task in weights)

    def outward(statistic):
        return t.isf(norm.sf(statistic), n - 1) * (n / (n - 1)) ** 0.5

    found, largest = [], np.zeros(draws)
    for i, j in itertools.combinations(range(len(models)), 2):
        value = sum(w * (models[i][k].credit.mean() - models[j][k].credit.mean()) for k, w in weights.items())
        star = sum(w * (drawn[k].samples[:, i] - drawn[k].samples[:, j]) for k, w in weights.items())
        error = star.std(ddof=1)
        statistic = np.abs(star - value) / error
        largest = np.maximum(largest, statistic)
        reach = error * outward(sorted(statistic)[-int(0.05 * (draws + 1))])
        found.append((i, j, value, value - reach, value + reach, abs(value) / error))
    largest = outward(largest)
    return [(*rest, (1 + np.sum(largest >= own)) / (draws + 1)) for *rest, own in found]


def test_pairs_are_those_of_the_definition():
    models = list(answer_all([1.5, 1, 0.5, 0.5], seed=1).values())
    found = compare(models, WEIGHTS, seed=3, draws=400)
    columns = [found.first, found.second, found.difference.value, found.difference.low, found.difference.high]
    expected = slow_pairs(models, WEIGHTS, 3, 400)
    np.testing.assert_allclose(np.stack([*columns, found.p_adjusted], axis=1), expected)
    np.testing.assert_array_equal(found.separated, [row[-1] <= 0.05 for row in expected])
    assert 0 < found.separated.sum() < len(found)


def test_the_difference_of_a_task_is_that_of_the_task_alone():
    models = list(answer_all([1, 0.5, 0], seed=2).values())
    found = compare(models, WEIGHTS).tasks
    assert list(found) == ["near", "far", "farther"]
    for task, differences in found.items():
        means = [model[task].credit.mean() for model in models]
        np.testing.assert_allclose(differences.value, [a - b for a, b in itertools.combinations(means, 2)])
        totals = total(models, tuple(WEIGHTS))
        alone = compare_pairs(totals, {task: draw(totals, 0)[task]}, {task: 1.0}).difference
        np.testing.assert_array_equal(alone.low, differences.low)
        np.testing.assert_array_equal(alone.high, differences.high)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.integers(2, 6))
def test_what_is_separated_excludes_nothing_and_more_company_separates_no_more(seed, n_models):
    models = list(answer_all(np.linspace(1, 0, n_models), seed=seed).values())
    found = compare(models, WEIGHTS, draws=300)
    low, high = found.difference.low, found.difference.high
    assert not (found.separated & (low <= 0) & (high >= 0)).any()
    assert ((low <= found.difference.value) & (found.difference.value <= high)).all()
    alone = compare(models[:2], WEIGHTS, draws=300)
    assert alone.p_adjusted[0] <= found.p_adjusted[0]
    assert alone.difference.low[0] == pytest.approx(low[0])


def test_copies_are_never_separated_and_differ_by_no_more_than_no_odd_cluster_allows():
    credit = np.tile([1, 0, 1 / 3], 20)
    found = compare_one_task(credit, credit)
    reach = clopper_pearson(0, 60, 0.975, "upper")
    assert (found.p_adjusted[0], found.separated[0]) == (1, False)
    assert (found.difference.low[0], found.difference.high[0]) == pytest.approx((-reach, reach))


@pytest.mark.parametrize(("n", "is_separated"), [(5, False), (6, True)])
def test_always_right_against_always_wrong_is_a_sign_test_of_the_clusters(n, is_separated):
    # Twice 2 ** -5 is 0.0625, twice 2 ** -6 is 0.03125.
    found = compare_one_task(np.ones(n), np.zeros(n))
    assert found.p_adjusted[0] == 2 * 2.0**-n
    assert found.separated[0] == is_separated
    assert found.difference.value[0] == found.difference.high[0] == 1


def test_the_same_difference_in_every_cluster_is_judged_by_the_odd_ones_not_met():
    rising = np.linspace(0, 0.5, 40)
    found = compare_one_task(rising + 0.25, rising, rising)
    assert found.p_adjusted == pytest.approx([3 * 2 * 1.25**-40, 3 * 2 * 1.25**-40, 1])
    reach = clopper_pearson(0, 40, 0.975, "upper")
    assert found.difference.low == pytest.approx([0.25 - reach, 0.25 - reach, -reach])


def test_clusters_of_unequal_size_are_worth_fewer():
    # 60 of 64 questions are of one cluster: 64 ** 2 / (60 ** 2 + 4) is 1.1 clusters.
    found = compare_one_task(np.ones(64), np.zeros(64), clusters=[*[0] * 60, 1, 2, 3, 4])
    assert (found.p_adjusted[0], found.separated[0]) == (1, False)
    assert found.difference.low[0] == pytest.approx(1 - 0.975)


@pytest.mark.parametrize("clusters", ["aaaa", "aaab"], ids=["one", "two"])
def test_one_or_two_clusters_separate_nothing(clusters):
    found = compare_one_task([1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0], clusters=clusters)
    assert not found.separated.any()
    assert ((found.difference.low <= 0.1) & (found.difference.high == 1))[:2].all()


def test_a_task_that_many_draws_miss_separates_nothing_and_leaves_intervals_open():
    right, wrong = np.r_[np.ones(40), 0], np.r_[np.zeros(40), 1]
    models = [
        {"many": answer(credit, range(41), "m"), "two": answer([1 - k, k], ["x", "y"], "t")}
        for k, credit in enumerate([right, wrong])
    ]
    found = compare(models, {"many": 0.5, "two": 0.5})
    # Both clusters of the second task are missed by (41 / 43) ** 43 = 13 % of draws.
    assert (found.p_adjusted[0], found.separated[0]) == (1, False)
    assert (found.difference.low[0], found.difference.high[0]) == (-1, 1)
    assert found.tasks["many"].low[0] > 0.8


def test_equal_models_are_called_different_on_one_leaderboard_in_twenty():
    boards = 200
    wrong = sum(
        compare(
            list(answer_all(np.zeros(5), seed=seed, n_pairs=40).values()), WEIGHTS, seed, 400
        ).separated.any()
        for seed in range(boards)
    )
    # Three standard errors of a share of 5 % of as many boards, and the 1 % that few clusters cost.
    assert 0 < wrong / boards < 0.06 + 3 * (0.05 * 0.95 / boards) ** 0.5
