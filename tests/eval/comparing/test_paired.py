import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from tests.eval.comparing.result_data import CLASSES, classified

from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import Answers, answers_of
from oddpair.eval.comparing.paired import adjust, compare_answers, compare_records
from oddpair.eval.intervals import ratio_of_accuracies
from oddpair.retrieval.proportion import clopper_pearson


def need(ratio):
    assert ratio is not None
    return ratio


def answers(credit, clusters=None, questions=None):
    n = len(credit)
    questions = [f"q{number}" for number in range(n)] if questions is None else questions
    clusters = questions if clusters is None else [str(name) for name in clusters]
    return Answers(questions=questions, clusters=clusters, credit=np.asarray(credit, float))


def test_difference_ratio_and_discordant_answers_are_counted_by_hand():
    found = compare_answers(answers([1, 1, 1, 0, 0.5]), answers([1, 0, 0, 1, 0]), task="natural")
    assert (found.task, found.n, found.n_clusters) == ("natural", 5, 5)
    assert (found.a, found.b, found.better, found.worse) == (0.7, 0.4, 3, 1)
    assert found.difference.value == pytest.approx(30)
    assert need(found.ratio).value == pytest.approx(0.7 / 0.4)
    assert found.p_value == pytest.approx(binomtest(3, 4).pvalue)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
@settings(max_examples=40, deadline=None)
def test_the_other_way_round_the_difference_turns_its_sign_and_p_stays(rows):
    first, second, clusters = np.array(rows).T
    a, b = answers(first, clusters), answers(second, clusters)
    found, turned = compare_answers(a, b), compare_answers(b, a)
    assert (found.better, found.worse) == (turned.worse, turned.better)
    assert (found.a, found.b, found.p_value) == (turned.b, turned.a, turned.p_value)
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert found.difference.value == -turned.difference.value
    assert (found.ratio is None) == (not second.any())


def test_the_same_model_twice_differs_by_nothing_within_what_the_sample_can_tell():
    found = compare_answers(answers([1, 0] * 50), answers([1, 0] * 50))
    reach = clopper_pearson(0, 100, 0.975, "upper")
    assert (found.difference.value, need(found.ratio).value, found.p_value) == (0, 1, 1)
    assert (found.difference.low, found.difference.high) == pytest.approx((-100 * reach, 100 * reach))
    assert (need(found.ratio).low, need(found.ratio).high) == pytest.approx((1 - 2 * reach, 1 + 2 * reach))


def test_the_difference_covers_the_truth_as_often_as_it_says_and_unpaired_answers_would_not():
    rng = np.random.default_rng(0)
    covered, truth = {"paired": 0, "unpaired": 0}, 0.1
    for _ in range(200):
        easy = np.clip(rng.normal(0.5, 0.3, (40, 1)), 0.15, 0.85)
        shared = rng.random((40, 10))
        a, b = ((shared < easy + shift).ravel() for shift in (truth / 2, -truth / 2))
        clusters = np.repeat(np.arange(40), 10)
        gap = compare_answers(answers(a, clusters), answers(b, clusters)).difference
        covered["paired"] += gap.low <= 100 * truth <= gap.high
        rate = [np.bincount(clusters, side) / 10 for side in (a, b)]
        error = np.sqrt(sum(side.var(ddof=1) / 40 for side in rate))
        covered["unpaired"] += abs(a.mean() - b.mean() - truth) <= 1.96 * error
    least, most = (binom.ppf(tail, 200, 0.95) for tail in (0.005, 0.995))
    assert least <= covered["paired"] <= most < covered["unpaired"]


def test_the_ratio_is_that_of_the_style_papers_accuracies():
    rng = np.random.default_rng(0)
    a, b = rng.random(400) < 0.4, rng.random(400) < 0.6
    clusters = np.repeat(np.arange(100), 4)
    found = need(compare_answers(answers(a, clusters), answers(b, clusters)).ratio)
    other = ratio_of_accuracies(a, b, clusters, rng)
    assert found.value == pytest.approx(other.value)
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.02)


def test_a_model_without_a_hit_is_no_denominator():
    found = compare_answers(answers([1, 0, 1]), answers([0, 0, 0]))
    assert found.ratio is None
    assert found.difference.value == pytest.approx(200 / 3)


def test_a_single_cluster_tells_nothing():
    found = compare_answers(answers([1, 1, 1, 0], "aaaa"), answers([0, 0, 1, 0], "aaaa"))
    assert (found.difference.low, found.difference.high) == (-100, 100)
    assert (need(found.ratio).low, need(found.ratio).high, found.p_value) == (0, np.inf, 1)


def test_questions_are_matched_by_name_and_not_by_place():
    a = answers([1, 0, 1, 1], questions=list("abcd"))
    b = answers([0, 1, 0, 1], questions=list("dcba"))
    assert compare_answers(a, b) == compare_answers(a, answers([1, 0, 1, 0], questions=list("abcd")))


def test_models_that_were_asked_other_questions_are_not_compared():
    a, b = answers([1, 0, 1], questions=list("abc")), answers([1, 0], questions=list("bz"))
    with pytest.raises(
        Refusal, match=r"natural: .* of 3 and 2 questions 2 are of the first alone and 1 of the second: score"
    ):
        compare_answers(a, b, task="natural")


def test_records_are_compared_as_their_answers_are():
    a, b = classified([1, 1, 0, 1]), classified([0, 1, 1, 0])
    found = compare_records(a, b, "classification", cluster="class", class_keys=CLASSES, task="natural")
    first, second = (
        answers_of(table, "classification", cluster="class", class_keys=CLASSES) for table in (a, b)
    )
    assert found == compare_answers(first, second, task="natural")
    assert (found.a, found.b, found.better, found.worse) == (0.75, 0.5, 2, 1)


def test_comparisons_side_by_side_are_adjusted_together():
    first = compare_answers(answers(np.ones(8)), answers(np.zeros(8)), task="1")
    second = compare_answers(answers([1] * 6 + [0]), answers([0] * 6 + [1]), task="2")
    adjusted = adjust([first, second])
    assert [one.task for one in adjusted] == ["1", "2"]
    assert [one.p_adjusted for one in adjusted] == pytest.approx([2 * first.p_value, second.p_value])
