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


def cover_poisson(mean):
    """Exact coverage where the concepts are common and the corpus is large, so that the count is Poisson."""
    n, many = 10**12, 10**9
    pair = np.arange(max(200, int(2 * mean)))
    found = pmi_interval(pair, np.full(len(pair), many), np.full(len(pair), many), n)
    inside = (found.low <= np.log(mean / 1e6)) & (np.log(mean / 1e6) <= found.high)
    return float(stats.poisson.pmf(pair, mean)[inside].sum())


def test_coverage_by_hand_is_never_lower_than_the_documentation_says():
    low, gap = np.arange(0.05, 2.95, 0.05), np.arange(3.0, 3.3, 0.01)
    above, far = np.arange(3.3, 80, 0.25), np.arange(80, 400, 5.0)
    coverage = [min(map(cover_poisson, means)) for means in (low, gap, above, far)]
    assert coverage[0] >= 0.97
    # The price of a one-sided limit for pairs that were never seen.
    assert coverage[1] == pytest.approx(0.938, abs=0.001)
    assert coverage[2] == pytest.approx(0.943, abs=0.001)
    assert coverage[3] >= 0.944


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
    ],
)
def test_calibration_needs_pairs_of_words_that_occur(counts, n_captions, message):
    pair, first, second = (np.array(part, np.int64) for part in counts)
    with pytest.raises(ValueError, match=message):
        calibrate(pair, first, second, n_captions)
