import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.splits.styles.certificate import certify, likeliest_share, smallest_perfect


def smallest_passing_threshold(
    scores: NDArray[np.float64],
    is_class: NDArray[np.bool_],
    precision: float = 0.98,
    confidence: float = 0.95,
) -> float | None:
    """The rule not to use: the loosest threshold that passes anywhere."""
    order = np.argsort(-scores)
    correct, accepted = np.cumsum(is_class[order], dtype=np.int64), np.arange(1, len(scores) + 1)
    passed = np.flatnonzero(clopper_pearson(correct, accepted, confidence, "lower") >= precision)
    return float(scores[order][passed[-1]]) if len(passed) else None


def certified_or_none(
    scores: NDArray[np.float64], is_class: NDArray[np.bool_], first: int | None = None
) -> float | None:
    try:
        return certify(scores, is_class, first=first).threshold
    except Refusal:
        return None


@pytest.mark.parametrize(("precision", "confidence"), [(0.98, 0.95), (0.9, 0.95), (0.95, 0.99), (0.5, 0.9)])
def test_the_fewest_rows_pass_without_an_error_and_one_fewer_does_not(precision, confidence):
    n = smallest_perfect(precision, confidence)
    assert clopper_pearson(n, n, confidence, "lower") >= precision
    assert clopper_pearson(n - 1, n - 1, confidence, "lower") < precision


@given(
    n=st.integers(30, 120),
    seed=st.integers(0, 10**6),
    distinct=st.integers(2, 60),
    quality=st.floats(0.5, 4),
    first=st.none() | st.integers(1, 150),
)
@settings(max_examples=60, deadline=None)
def test_the_walk_equals_the_rule_written_out(n, seed, distinct, quality, first):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.6
    scores = np.round((rng.normal(size=n) + quality * truth) * distinct / 8)
    start = max(29, 58 if first is None else first)  # 0.9 at 95 % needs 29 rows
    tried: list[tuple[float, int, int]] = []
    chosen = None
    for count in dict.fromkeys(np.linspace(min(start, n), n, 100).round().astype(int).tolist()):
        threshold = sorted(scores, reverse=True)[count - 1]
        accepted = [
            bool(is_class) for score, is_class in zip(scores, truth, strict=True) if score >= threshold
        ]
        step = (threshold, len(accepted), sum(accepted))
        if tried and tried[-1] == step:
            continue
        tried.append(step)
        if clopper_pearson(step[2], step[1], 0.95, "lower") < 0.9:
            break
        chosen = step
    if chosen is None:
        with pytest.raises(Refusal, match="is not certified"):
            certify(scores, truth, precision=0.9, first=first)
        return
    found = certify(scores, truth, precision=0.9, first=first)
    assert [step[:3] for step in found.steps] == tried
    assert (found.threshold, found.accepted, found.correct) == chosen
    assert found.lower_bound >= 0.9
    assert found.accepted == (scores >= found.threshold).sum()
    assert found.recall == found.correct / truth.sum()


def test_thresholds_to_try_do_not_depend_on_the_labels():
    scores = np.random.default_rng(0).normal(size=1000)
    good = certify(scores, np.ones(1000, dtype=bool))
    worse = certify(scores, scores > np.quantile(scores, 0.5))
    assert [s.threshold for s in worse.steps] == [s.threshold for s in good.steps][: len(worse.steps)]
    assert len(worse.steps) < len(good.steps)


def test_the_walk_ends_at_its_first_failure_though_looser_thresholds_would_pass():
    truth = np.ones(3000, dtype=bool)
    truth[300:320] = False  # ranks: 300 right, 20 wrong, then all right again
    scores = -np.arange(3000.0)
    found = certify(scores, truth)
    assert found.accepted < 320
    assert found.steps[-1].lower_bound < 0.98 <= found.steps[-2].lower_bound
    assert smallest_passing_threshold(scores, truth) == scores[-1]


def test_a_single_wrong_row_at_the_strict_end_does_not_end_the_walk():
    truth = np.ones(900, dtype=bool)
    truth[0] = False
    assert certify(-np.arange(900.0), truth).accepted == 900
    with pytest.raises(Refusal, match="of the 149 highest of 900 labelled rows 148 are right"):
        certify(-np.arange(900.0), truth, first=149)


def test_recall_does_not_grow_with_a_stricter_target():
    rng = np.random.default_rng(5)
    truth = rng.random(2000) < 0.5
    scores = rng.normal(size=2000) + 3 * truth
    recalls = [certify(scores, truth, precision=target).recall for target in (0.8, 0.9, 0.95, 0.97)]
    assert recalls == sorted(recalls, reverse=True)


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(1)
    truth = rng.random(800) < 0.6
    scores = np.round(rng.normal(size=800) + 4 * truth, 2)
    order = rng.permutation(800)
    assert certify(scores, truth) == certify(scores[order], truth[order])


def test_too_few_rows_are_refused_with_the_number_needed():
    with pytest.raises(
        Refusal,
        match=r"natural: 100 labelled rows cannot certify precision 0\.98 at 95% .* even 149 .*lower precision",
    ):
        certify(np.arange(100.0), np.ones(100, dtype=bool), style="natural")


def test_an_unattainable_precision_is_refused_with_the_bound_and_the_rows_needed():
    truth = np.ones(400, dtype=bool)
    truth[[3, 50, 90, 170]] = False
    with pytest.raises(Refusal) as caught:
        certify(-np.arange(400.0), truth, style="rendition")
    text = str(caught.value)
    assert "of the 298 highest of 400 labelled rows 294 are right, which bounds precision at 0.9695" in text
    assert "lower precision" in text
    needed = int(re.findall(r"about ([\d,]+) such rows", text)[0].replace(",", ""))
    enough, too_few = needed * 298 // 400, round(needed / 1.3) * 298 // 400
    assert clopper_pearson(int(enough * 294 / 298), enough, 0.95, "lower") >= 0.98
    assert clopper_pearson(int(too_few * 294 / 298), too_few, 0.95, "lower") < 0.98


def test_where_more_rows_would_not_help_the_refusal_says_so():
    with pytest.raises(
        Refusal, match="more rows of this kind would not help: use better features or a lower"
    ):
        certify(np.arange(400.0), np.arange(400) % 2 == 0)


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5])
def test_a_precision_outside_zero_and_one_is_refused(target):
    with pytest.raises(Refusal, match=r"precision .* cannot be certified"):
        certify(np.arange(400.0), np.ones(400, dtype=bool), precision=target)


def test_scores_and_labels_must_fit():
    with pytest.raises(ValueError, match=r"scores have shape \(3,\), labels \(2,\)"):
        certify(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="score at row 1 is not finite"):
        certify(np.array([0, np.nan]), np.ones(2))


def test_the_true_precision_is_below_the_target_in_at_most_a_twentieth_of_the_draws():
    # Precision 0.979 at every threshold: whatever is certified is wrong. The rule that takes the smallest
    # threshold passing anywhere has thousands of chances to be, the walk has one.
    draws, wrong, wrong_naive = 400, 0, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        scores, truth = rng.random(6000), rng.random(6000) < 0.979
        wrong += certified_or_none(scores, truth) is not None
        wrong_naive += smallest_passing_threshold(scores, truth) is not None
    assert wrong / draws <= 0.05
    assert wrong_naive / draws > 0.08
    assert wrong_naive > 2 * wrong


def test_a_separable_class_keeps_its_precision_and_most_of_its_rows():
    rng = np.random.default_rng(0)
    truth = rng.random(200_000) < 0.5
    scores = rng.normal(size=200_000) + 3.2 * truth
    wrong, recalls = 0, []
    for seed in range(200):
        rows = np.random.default_rng(seed).integers(0, len(scores), 1800)
        threshold = certified_or_none(scores[rows], truth[rows])
        if threshold is not None:
            accepted = scores >= threshold
            wrong += truth[accepted].mean() < 0.98
            recalls.append(accepted[truth].mean())
    assert wrong / 200 <= 0.05
    assert len(recalls) >= 190
    assert np.mean(recalls) > 0.75


def test_a_start_learned_from_other_rows_passes_more_often_and_costs_no_guarantee():
    # One other image in a hundred is mislabelled or a twin: the strict end is never pure.
    rng = np.random.default_rng(0)
    truth = rng.random(200_000) < 0.5
    scores = rng.normal(size=200_000) + 4 * (truth | (rng.random(200_000) < 0.01))
    by_default, learned, wrong = 0, 0, 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        rows, others = draw.integers(0, len(scores), 1800), draw.integers(0, len(scores), 2400)
        first = round(1800 * likeliest_share(scores[others], truth[others], 1800))
        by_default += certified_or_none(scores[rows], truth[rows]) is not None
        threshold = certified_or_none(scores[rows], truth[rows], first=first)
        if threshold is not None:
            learned += 1
            wrong += truth[scores >= threshold].mean() < 0.98
    assert learned > 1.5 * by_default
    assert wrong / 200 <= 0.05


def test_the_start_keeps_away_from_the_edge_of_a_pure_class():
    truth = np.arange(1000) < 600
    assert 0.149 < likeliest_share(-np.arange(1000.0), truth, 1000) < 0.5


def test_the_start_lies_behind_wrong_rows_at_the_strict_end():
    truth = np.arange(2000) < 1200
    truth[[5, 40]] = False  # 2 of the first 298 would fail, 2 of the first 600 pass
    assert 450 < 2000 * likeliest_share(-np.arange(2000.0), truth, 2000) < 1150


def test_where_nothing_could_pass_the_start_is_still_a_share():
    assert 0 < likeliest_share(np.arange(50.0), np.arange(50) % 2 == 0, 40) <= 1
