from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st
from scipy import stats

from oddpair.retrieval.counting.pmi import pmi
from oddpair.retrieval.counting.pmi_intervals import EXACT_BELOW, calibrate, pmi_interval

DRAWS = 4000


def draw(n_captions, first, second, ratio, rng):
    """Counts of a pair in many corpora of independent captions; ``ratio`` is how much chance is exceeded."""
    both = first * second * ratio
    cells = rng.multinomial(n_captions, [both, first - both, second - both, 1 - first - second + both], DRAWS)
    pair, first, second = cells[:, 0], cells[:, 0] + cells[:, 1], cells[:, 0] + cells[:, 2]
    here = (first > 0) & (second > 0)
    return pair[here], first[here], second[here]


def cover(n_captions, first, second, ratio):
    pair, a, b = draw(n_captions, first, second, ratio, np.random.default_rng(0))
    found = pmi_interval(pair, a, b, n_captions)
    inside = (found.low <= np.log(ratio)) & (np.log(ratio) <= found.high)
    return float(inside.mean()), float(found.exact.mean())


@pytest.mark.parametrize(
    ("n_captions", "first", "second", "ratio"),
    [
        pytest.param(100_000, 0.05, 0.06, 1.0, id="chance"),
        pytest.param(100_000, 0.05, 0.06, 0.4, id="avoid-each-other"),
        pytest.param(1_000_000, 0.002, 0.005, 30.0, id="strong"),
        pytest.param(100_000, 0.01, 0.011, 70.0, id="nearly-always-together"),
        pytest.param(20_000, 0.02, 0.5, 1.5, id="one-is-common"),
        pytest.param(5_000, 0.4, 0.5, 1.0, id="both-are-common"),
        pytest.param(400_000_000, 1e-4, 2e-4, 40.0, id="many-captions"),
    ],
)
def test_normal_intervals_hold_the_true_value_as_often_as_they_say(n_captions, first, second, ratio):
    covered, exact = cover(n_captions, first, second, ratio)
    assert exact < 0.01
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(
    ("n_captions", "first", "second", "ratio"),
    [
        pytest.param(1_000_000, 0.001, 0.001, 1.0, id="expected-1"),
        pytest.param(1_000_000, 0.002, 0.005, 1.0, id="expected-10"),
        pytest.param(1_000_000, 0.004, 0.005, 1.4, id="mean-28"),
        pytest.param(10_000, 0.001, 0.002, 1.0, id="rare-words"),
        pytest.param(10_000, 0.001, 0.001, 500.0, id="rare-words-that-belong-together"),
        pytest.param(1_000, 0.005, 0.3, 2.0, id="few-captions"),
        pytest.param(1_000_000, 0.003, 0.003, 333.0, id="hardly-ever-apart"),
        pytest.param(1_000_000, 0.0005, 0.1, 9.8, id="hardly-ever-without-the-other"),
    ],
)
def test_exact_intervals_hold_the_true_value_at_least_as_often_as_they_say(n_captions, first, second, ratio):
    covered, exact = cover(n_captions, first, second, ratio)
    assert exact > 0.99
    assert covered >= 0.94


def find_coverage(top):
    """Exact coverage where the concepts are common and the corpus is large, so that the count is Poisson.

    Between two limits the intervals that hold the mean stay the same, and their chance has no valley within: its least
    value is just beside a limit.
    """
    n, many = 10**12, 10**9
    pair = np.arange(2 * top + 200)
    found = pmi_interval(pair, np.full(len(pair), many), np.full(len(pair), many), n)
    low, high = np.exp(found.low) * 1e6, np.exp(found.high) * 1e6
    limits = np.concatenate([low[1:], high])
    limits = limits[limits < top]
    means = np.sort(np.concatenate([limits * (1 - 1e-9), limits * (1 + 1e-9)]))
    first, last = np.searchsorted(high, means), np.searchsorted(low, means, side="right") - 1
    assert np.all(np.diff(low) > 0)
    assert np.all(np.diff(high) > 0)
    return means, stats.poisson.cdf(last, means) - stats.poisson.cdf(first - 1, means)


def test_coverage_by_hand_is_never_lower_than_the_documentation_says():
    means, coverage = find_coverage(1500)
    gap, rest = (means > 2.99) & (means < 3.15), (means < 2.99) | (means > 3.15)
    assert coverage[means < 2.99].min() >= 0.974
    # The price of a one-sided limit for pairs that were never seen.
    assert means[np.argmin(coverage)] == pytest.approx(-np.log(0.05), abs=1e-4)
    assert coverage[gap].min() == pytest.approx(0.9382, abs=5e-5)
    assert coverage[gap].max() == pytest.approx(0.988, abs=5e-4)
    assert means[rest][np.argmin(coverage[rest])] == pytest.approx(40.49, abs=0.005)
    assert coverage[rest].min() == pytest.approx(0.9415, abs=5e-5)
    assert coverage[means > 100].min() >= 0.945


def test_a_normal_interval_from_ten_on_would_cover_less(monkeypatch):
    monkeypatch.setattr("oddpair.retrieval.counting.pmi_intervals.EXACT_BELOW", 10)
    assert find_coverage(200)[1].min() == pytest.approx(0.9360, abs=5e-5)


def test_coverage_rises_again_behind_the_one_sided_limit():
    # Up to the next limit the intervals of 1 to 7 hold the mean, and no others.
    many = np.full(9, 10**9)
    found = pmi_interval(np.arange(9), many, many, 10**12)
    for mean, least in [(2.996, 0.9381), (3.15, 0.9415)]:
        inside = (np.exp(found.low) * 1e6 <= mean) & (mean <= np.exp(found.high) * 1e6)
        assert np.flatnonzero(inside).tolist() == list(range(1, 8))
        assert least <= np.sum(stats.poisson.pmf(range(1, 8), mean)) <= least + 5e-4


def test_limits_of_small_counts_are_those_of_the_tables_of_garwood():
    # Garwood 1936, 95 %: 1 lies in 0.0253 .. 5.572, 10 in 4.795 .. 18.39.
    many = np.full(3, 10**6)
    found = pmi_interval(np.array([0, 1, 10]), many, many, 10**9)
    assert np.exp(found.low) * 1000 == pytest.approx([0, 0.0253, 4.795], abs=5e-4)
    assert np.exp(found.high) * 1000 == pytest.approx([-np.log(0.05), 5.572, 18.39], abs=5e-3)
    assert found.exact.all()


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_a_pair_that_is_never_seen_has_an_upper_limit_alone(confidence):
    found = pmi_interval(np.array([0]), np.array([2000]), np.array([500]), 100_000, confidence=confidence)
    assert found.low[0] == -np.inf
    # With this mean the chance to see none is what the confidence leaves.
    mean = np.exp(found.high[0]) * 10
    assert np.exp(-mean) == pytest.approx(1 - confidence)


cells = st.tuples(*[st.integers(0, 400) | st.integers(0, 10**6)] * 4).filter(
    lambda n: n[0] + n[1] > 0 and n[0] + n[2] > 0
)


@configure(max_examples=150, deadline=None)
@given(cells, st.floats(0.5, 0.999))
def test_an_interval_holds_the_estimate_widens_with_confidence_and_is_symmetric(table, confidence):
    both, first, second, _ = (np.array([n]) for n in table)
    n, a, b = sum(table), both + first, both + second
    estimate = pmi(both, a, b, n)[0]
    found = pmi_interval(both, a, b, n, confidence=confidence)
    wider = pmi_interval(both, a, b, n, confidence=(1 + confidence) / 2)
    swapped = pmi_interval(both, b, a, n, confidence=confidence)
    assert found.low[0] <= estimate <= found.high[0]
    assert wider.low[0] <= found.low[0]
    assert wider.high[0] >= found.high[0]
    assert (swapped.low[0], swapped.high[0]) == pytest.approx((found.low[0], found.high[0]))
    assert np.isfinite(found.high[0])
    assert np.isfinite(found.low[0]) == (table[0] > 0)


@configure(max_examples=200, deadline=None)
@given(cells.filter(lambda n: n[0] > 0))
def test_the_variance_is_never_negative_and_at_most_that_of_a_poisson_count(table):
    both, first, second, _ = table
    c, a, b, n = both, both + first, both + second, sum(table)
    variance = 1 / c - 1 / a - 1 / b + (2 * n * c / (a * b) - 1) / n
    assert -1e-15 <= variance <= 1 / c + 1e-15
    # What the delta method says cell by cell: the variance of the slopes over the cells.
    share = np.array(table) / n
    slope = np.array([n / c - n / a - n / b, -n / a, -n / b, 0])
    slow = (share @ slope**2 - (share @ slope) ** 2) / n
    assert variance == pytest.approx(slow, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("pair", "first", "second", "n_captions"),
    [
        pytest.param(1000, 1000, 1000, 50_000, id="always-together"),
        pytest.param(1000, 1000, 50_000, 50_000, id="second-in-every-caption"),
        pytest.param(50_000, 50_000, 50_000, 50_000, id="both-in-every-caption"),
        pytest.param(1000, 1000, 9000, 50_000, id="first-inside-second"),
    ],
)
def test_where_one_concept_is_hardly_seen_without_the_other_the_interval_is_no_point(
    pair, first, second, n_captions
):
    found = pmi_interval(np.array([pair]), np.array([first]), np.array([second]), n_captions)
    assert found.exact.all()
    width = found.high[0] - found.low[0]
    assert width == pytest.approx(2 * 1.96 / np.sqrt(pair), rel=0.01)


def test_the_normal_interval_begins_with_fifty_captions_of_each_kind():
    edge = EXACT_BELOW
    pair = np.array([edge, edge - 1, edge, edge])
    first = pair + np.array([edge, edge, edge - 1, edge])
    second = pair + np.array([edge, edge, edge, edge - 1])
    assert pmi_interval(pair, first, second, 10_000).exact.tolist() == [False, True, True, True]


def find_variance(table):
    """Variance by the delta method in fractions."""
    both, first, second, rest = map(Fraction, table)
    c, a, b, n = both, both + first, both + second, both + first + second + rest
    return 1 / c - 1 / a - 1 / b + (2 * n * c / (a * b) - 1) / n


crowds = st.tuples(*[st.integers(50, 10**4) | st.integers(50, 10**10)] * 3, st.integers(0, 10**10))


@configure(max_examples=200, deadline=None)
@given(crowds)
def test_normal_intervals_have_the_width_of_exact_fractions(table):
    both, first, second = (np.array([n]) for n in table[:3])
    a, b, n = both + first, both + second, sum(table)
    found = pmi_interval(both, a, b, n)
    width = 2 * stats.norm.ppf(0.975) * np.sqrt(float(find_variance(table)))
    # The limits themselves are rounded.
    rounding = 4 * np.spacing(np.abs(found.low[0]) + np.abs(found.high[0]))
    assert found.high[0] - found.low[0] == pytest.approx(width, rel=1e-6, abs=rounding)
    short = 1 / both - 1 / a - 1 / b + 2 * both / (a * b.astype(float)) - 1 / n
    if short[0] > 1e-8 / both[0]:
        assert found.high[0] - found.low[0] == pytest.approx(
            2 * stats.norm.ppf(0.975) * np.sqrt(short[0]), rel=1e-6, abs=rounding
        )


@pytest.mark.parametrize("n", [10**6, 4 * 10**8, 10**9, 10**10])
def test_concepts_in_nearly_every_caption_have_an_interval_that_is_no_point(n):
    found = pmi_interval(np.array([n - 100]), np.array([n - 50]), np.array([n - 50]), n)
    assert not found.exact[0]
    width = 2 * stats.norm.ppf(0.975) * np.sqrt(float(find_variance((n - 100, 50, 50, 0))))
    assert found.high[0] - found.low[0] == pytest.approx(width, rel=0.01)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 95.0, np.nan])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match=r"confidence is .*, needed a number between 0 and 1"):
        pmi_interval(np.array([1]), np.array([2]), np.array([2]), 10, confidence=confidence)


def test_counts_that_need_more_captions_than_there_are_are_an_error():
    with pytest.raises(ValueError, match=r"pair 1 leaves 1 \+ 6 \+ 5 captions .*, the corpus has 10"):
        pmi_interval(np.array([2, 1]), np.array([7, 7]), np.array([5, 6]), 10)


def test_no_pairs_have_no_intervals():
    none = np.zeros(0, np.int64)
    found = pmi_interval(none, none, none, 10)
    assert found.low.shape == found.high.shape == found.exact.shape == (0,)


# --- calibration ---------------------------------------------------------------------------------------------------


def write_corpora(chances, n_captions, corpora, seed):
    """Counts of all pairs of independent words in many corpora; the pairs share words."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(len(chances), 1)
    for _ in range(corpora):
        words = (rng.random((n_captions, len(chances))) < chances).astype(np.float32)
        single = words.sum(axis=0).astype(np.int64)
        pair = (words.T @ words).astype(np.int64)
        yield pair[first, second], single[first], single[second]


@pytest.mark.parametrize(
    "chances",
    [
        pytest.param(np.full(12, 0.05), id="equal"),
        pytest.param(0.4 / np.arange(1, 21), id="Zipf"),
        pytest.param(np.array([0.9, *[0.02] * 8]), id="one-word-almost-everywhere"),
    ],
)
def test_the_ratio_of_independent_words_is_one_within_three_standard_errors(chances):
    found = [calibrate(pair, a, b, 1500) for pair, a, b in write_corpora(chances, 1500, 400, seed=1)]
    surprise = np.array([(one.ratio - 1) / one.standard_error for one in found])
    assert np.mean(np.abs(surprise) <= 3) >= 0.99
    # No wider than it has to be: pairs that share a word add nothing.
    assert 0.9 <= surprise.std() <= 1.1
    assert found[0].n_pairs == len(chances) * (len(chances) - 1) // 2


def test_the_mean_logarithm_of_independent_words_is_low_by_half_the_expected_count():
    chances, n = np.full(10, 0.15), 2000
    corpora = list(write_corpora(chances, n, 400, seed=2))
    means = [pmi(pair, a, b, n).mean() for pair, a, b in corpora]
    said = np.mean([calibrate(pair, a, b, n).log_bias for pair, a, b in corpora])
    error = np.std(means) / np.sqrt(len(means))
    assert np.mean(means) < -5 * error
    assert np.mean(means) == pytest.approx(said, abs=4 * error)
    rare = calibrate(np.array([5]), np.array([100]), np.array([500]), 10_000)
    assert rare.log_bias == pytest.approx(-1 / (2 * 5), rel=0.1)
    # The ratio has no such bias.
    assert np.mean([calibrate(pair, a, b, n).ratio for pair, a, b in corpora]) == pytest.approx(1, abs=0.002)


def test_words_that_seek_each_other_are_far_from_calibrated():
    rng = np.random.default_rng(3)
    topic = rng.random((2000, 1)) < 0.5
    words = (rng.random((2000, 8)) < np.where(topic, 0.2, 0.05)).astype(np.int64)
    first, second = np.triu_indices(8, 1)
    single = words.sum(axis=0)
    found = calibrate((words.T @ words)[first, second], single[first], single[second], 2000)
    assert found.ratio - 1 > 5 * found.standard_error


def test_calibration_by_hand():
    # Two concepts in 2 of 3 captions: one caption in common at least, 4/3 expected, variance 2 2 1 1 / (9 2).
    found = calibrate(np.array([1]), np.array([2]), np.array([2]), 3)
    assert found.ratio == pytest.approx(0.75)
    assert found.standard_error == pytest.approx(np.sqrt(4 / 18) / (4 / 3))
    assert found.log_bias == pytest.approx(-(4 / 18) / (2 * 16 / 9))


@pytest.mark.parametrize(
    ("counts", "n_captions", "message"),
    [
        pytest.param(([], [], []), 10, "0 pairs in 10 captions", id="no-pair"),
        pytest.param(([1], [1], [1]), 1, "1 pairs in 1 captions", id="one-caption"),
        pytest.param(([0, 0], [2, 0], [2, 2]), 10, "pair 1 has a word that is absent", id="absent-word"),
        pytest.param(([0, -1], [2, 2], [2, 2]), 10, "pair 1 has a negative count", id="negative"),
        pytest.param(([1, 3], [2, 2], [2, 3]), 10, "pair 1 is counted 3 times", id="more-than-a-word"),
        pytest.param(([1, 1], [2, 7], [2, 6]), 10, "pair 1 leaves 1", id="too-few-captions"),
    ],
)
def test_calibration_needs_pairs_of_words_that_occur(counts, n_captions, message):
    pair, first, second = (np.array(part, np.int64) for part in counts)
    with pytest.raises(ValueError, match=message):
        calibrate(pair, first, second, n_captions)
