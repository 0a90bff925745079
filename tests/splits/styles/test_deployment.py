import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.splits.styles.certificate import certify
from oddpair.splits.styles.deployment import (
    bound_leak,
    bound_precision,
    certify_deployed,
    choose_thresholds,
    estimate_shares,
    give_shares,
)

NAMES = ("natural", "rendition", "ambiguous")


def shares_of(*values):
    return give_shares(dict(zip(NAMES, values, strict=True)), 0.95)


def corners(shares):
    """Shares on a fine grid of what the bounds allow together."""
    steps = [np.linspace(low, high, 41) for low, high in zip(shares.lower, shares.upper, strict=True)]
    for two in itertools.combinations(range(3), 2):
        last = ({0, 1, 2} - set(two)).pop()
        for first, second in itertools.product(steps[two[0]], steps[two[1]]):
            rest = 1 - first - second
            if shares.lower[last] - 1e-12 <= rest <= shares.upper[last] + 1e-12:
                found = np.empty(3)
                found[[*two, last]] = first, second, rest
                yield found


def test_the_bound_is_the_formula_with_a_third_of_the_risk_for_each_rate():
    shares = shares_of(0.6, 0.15, 0.25)
    found = bound_precision(np.array([[450, 1, 7]]), np.array([1000, 900, 800]), shares, "natural")
    t = clopper_pearson(450, 1000, 1 - 0.05 / 3, "lower")
    f_r = clopper_pearson(1, 900, 1 - 0.05 / 3, "upper")
    f_a = clopper_pearson(7, 800, 1 - 0.05 / 3, "upper")
    assert found == pytest.approx([0.6 * t / (0.6 * t + 0.15 * f_r + 0.25 * f_a)])


@given(
    drawn=st.lists(st.integers(5, 300), min_size=3, max_size=3),
    accepted=st.lists(st.integers(0, 100), min_size=3, max_size=3),
    style=st.sampled_from(NAMES[:2]),
)
@settings(max_examples=25, deadline=None)
def test_estimated_shares_are_taken_at_their_worst(drawn, accepted, style):
    shares = estimate_shares(np.repeat(np.arange(3), drawn).astype(np.int8), 0.95)
    labelled = np.full(3, 100)
    counts = np.array(accepted)
    upper = clopper_pearson(counts, labelled, 1 - 0.05 / 6, "upper")
    lower = clopper_pearson(counts, labelled, 1 - 0.05 / 6, "lower")
    code, other = NAMES.index(style), 1 - NAMES.index(style)
    precisions, leaks = [], []
    for share in corners(shares):
        rates = np.where(np.arange(3) == code, lower, upper)
        right = (share * rates)[code]
        precisions.append(right / (share * rates).sum() if right else 0.0)
        rates = np.where(np.arange(3) == other, upper, lower)
        leaks.append((share * rates)[other] / (share * rates).sum())
    (bound,) = bound_precision(counts[None], labelled, shares, style)
    assert bound <= min(precisions) + 1e-9
    leak = bound_leak(counts, labelled, shares, style, NAMES[other])
    assert leak >= max(leaks) - 1e-9


def test_given_shares_leave_no_slack():
    shares = shares_of(0.5, 0.3, 0.2)
    counts, labelled = np.array([80, 3, 5]), np.full(3, 100)
    each = 1 - 0.05 / 3
    rates = [
        clopper_pearson(80, 100, each, "lower"),
        clopper_pearson(3, 100, each, "upper"),
        clopper_pearson(5, 100, each, "lower"),
    ]
    leak = 0.3 * rates[1] / (0.5 * rates[0] + 0.3 * rates[1] + 0.2 * rates[2])
    assert bound_leak(counts, labelled, shares, "natural", "rendition") == pytest.approx(leak)


def test_a_class_that_the_corpus_has_none_of_needs_no_label():
    shares = shares_of(0.7, 0.3, 0.0)
    (bound,) = bound_precision(np.array([[300, 0, 0]]), np.array([300, 300, 0]), shares, "natural")
    assert bound > 0.99
    shares = shares_of(0.7, 0.2, 0.1)
    (bound,) = bound_precision(np.array([[300, 0, 0]]), np.array([300, 300, 0]), shares, "natural")
    assert bound < 0.9  # of an unlabelled class all may be accepted


def test_where_nothing_is_known_nothing_is_claimed():
    shares = shares_of(0.5, 0.3, 0.2)
    assert bound_precision(np.zeros((1, 3), int), np.zeros(3, int), shares, "natural").tolist() == [0]
    assert bound_leak(np.zeros(3, int), np.zeros(3, int), shares, "natural", "rendition") == 1


def test_shares_of_what_is_left_when_known_rows_are_gone_are_a_count():
    shares = shares_of(0.5, 0.3, 0.2)
    left = shares.without(np.array([400, 0, 100]), 1000)
    for bound in (left.lower, left.upper):
        assert bound == pytest.approx([100 / 500, 300 / 500, 100 / 500])
    assert left.risk == shares.risk
    assert shares.without(np.array([500, 300, 200]), 1000) is shares
    # Given shares may say less of a class than was seen of it.
    assert shares.without(np.array([600, 0, 0]), 1000).lower[0] == 0


def test_shares_without_a_row_drawn_at_random_are_refused():
    with pytest.raises(
        Refusal, match="no labelled row is known to be drawn at random: mark such rows as random"
    ):
        estimate_shares(np.empty(0, np.int8), 0.95)


CENTRES = np.array([4.0, 0.0, 1.0])


def draw(rng, n):
    """Scores that overlap, of n rows of each class."""
    codes = np.repeat(np.arange(3), n).astype(np.int8)
    return rng.normal(size=len(codes)) + CENTRES[codes], codes


def test_the_walk_stops_at_its_first_failure_and_begins_where_other_rows_say():
    rng = np.random.default_rng(0)
    shares = shares_of(0.6, 0.2, 0.2)
    scores, codes = draw(rng, 1300)
    thresholds = choose_thresholds(scores, codes, shares, "natural")
    assert (np.diff(thresholds) < 0).all()
    scores, codes = draw(rng, 1000)
    found = certify_deployed(scores, codes, thresholds, shares, style="natural", precision=0.95)
    bounds = [step.lower_bound for step in found.steps]
    assert [step.threshold for step in found.steps] == thresholds[: len(bounds)].tolist()
    assert min(bounds[:-1]) >= 0.95 > bounds[-1]
    last = scores >= found.threshold
    assert (found.accepted, found.correct, found.members, found.rows) == (
        last.sum(), (last & (codes == 0)).sum(), 1000, 3000,
    )  # fmt: skip
    assert found.lower_bound == bounds[-2]


def test_the_start_is_the_best_threshold_of_the_other_rows():
    scores, codes = draw(np.random.default_rng(1), 500)
    shares = shares_of(0.3, 0.3, 0.4)
    thresholds = choose_thresholds(scores, codes, shares, "natural")

    def bound(threshold):
        accepted = np.bincount(codes[scores >= threshold], minlength=3)
        return bound_precision(accepted[None], np.full(3, 500), shares, "natural")[0]

    members = np.sort(scores[codes == 0])[::-1][np.linspace(0, 499, 100).round().astype(int)]
    assert bound(thresholds[0]) == max(bound(threshold) for threshold in members)


@pytest.mark.parametrize(
    ("counts", "labelled", "helps"),
    [
        ((90, 0, 0), 100, r"about \d+ times as many labels of each class are needed"),
        ((900, 0, 120), 1000, "more labels of this kind would not help: use better features or a lower"),
    ],
)
def test_an_unattainable_precision_is_refused_with_what_would_help(counts, labelled, helps):
    scores = np.concatenate([np.arange(labelled) < count for count in counts]).astype(float)
    codes = np.repeat(np.arange(3), labelled).astype(np.int8)
    refusal = rf"natural: precision 0\.98 in the corpus is not certified: .* accepts {counts[0]} of .* natural, .*{helps}"
    with pytest.raises(Refusal, match=refusal):
        certify_deployed(scores, codes, np.array([0.5]), shares_of(0.4, 0.3, 0.3), style="natural")


def test_in_a_thousand_score_sets_the_bounds_hold_as_often_as_they_say():
    # Labels balanced by class, shares estimated from 600 rows drawn at random; what is claimed is checked by the
    # distributions that all was drawn from. Natural pictures are rarer in the corpus than among the labels, so what
    # labels alone certify is wrong nearly always.
    from scipy.stats import norm

    truth = np.array([0.2, 0.3, 0.5])

    def precision(threshold):
        rates = truth * norm.sf(threshold - CENTRES)
        return rates[0] / rates.sum()

    certified = precise = tight = naive = 0
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        shares = estimate_shares(rng.choice(3, 600, p=truth).astype(np.int8), 0.95)
        scores, codes = draw(rng, 600)
        thresholds = choose_thresholds(scores, codes, shares, "natural")
        scores, codes = draw(rng, 400)
        naive += precision(certify(scores, codes == 0, precision=0.8).threshold) >= 0.8
        try:
            found = certify_deployed(scores, codes, thresholds, shares, style="natural", precision=0.8)
        except Refusal:
            continue
        certified += 1
        precise += precision(found.threshold) >= 0.8
        scores, codes = draw(rng, 400)
        accepted = np.bincount(codes[scores >= found.threshold], minlength=3)
        leak = bound_leak(accepted, np.full(3, 400), shares, "natural", "rendition")
        rates = truth * norm.sf(found.threshold - CENTRES)
        tight += rates[1] / rates.sum() <= leak
    assert certified >= 900
    assert precise >= 0.94 * certified
    assert tight >= 0.94 * certified
    assert naive <= 100
