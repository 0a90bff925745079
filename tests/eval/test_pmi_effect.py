import numpy as np
import pytest

from oddpair.eval.pmi_effect import pmi_effect


def partial_r_of_two(x, y, z):
    r = np.corrcoef([x, y, z])
    return (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))


def pairs_of(rows):
    """Each unordered pair that is seen and expected once or more, by dictionaries."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(rows)):
        if rows.pair_count[i] > 0 and rows.expected[i] >= 1:
            key = tuple(sorted((str(rows.target[i]), str(rows.partner[i]))))
            found.setdefault(key, []).append(i)
    return found


def test_r_is_over_unordered_pairs_with_both_orders_pooled(planted):
    rows = planted(0, pmi=0.4)
    found = pmi_effect(rows, np.random.default_rng(0))
    pairs = pairs_of(rows)
    accuracy = [rows.successes[i].sum() / rows.trials[i].sum() for i in pairs.values()]
    pmi = [np.log((rows.pair_count[i[0]] + 0.5) / (rows.expected[i[0]] + 0.5)) for i in pairs.values()]
    assert found.r.value == pytest.approx(np.corrcoef(pmi, accuracy)[0, 1])
    assert found.r.n == found.r_given_counts.n == found.r_given_concepts.n == len(pairs)
    assert found.n_excluded == len(rows) - 2 * len(pairs)


def test_the_partial_r_of_concepts_is_that_of_residuals_on_concept_dummies(planted):
    rows = planted(0, concepts=12, pmi=0.4)
    found = pmi_effect(rows, np.random.default_rng(0))
    pairs = pairs_of(rows)
    names = sorted({name for pair in pairs for name in pair})
    dummies = np.array([[name in pair for name in names] for pair in pairs], dtype=float)
    accuracy = np.array([rows.successes[i].sum() / rows.trials[i].sum() for i in pairs.values()])
    pmi = np.array([rows.feature("PMI")[i[0]] for i in pairs.values()])
    hat = dummies @ np.linalg.pinv(dummies)
    expected = np.corrcoef(pmi - hat @ pmi, accuracy - hat @ accuracy)[0, 1]
    assert found.r_given_concepts.value == pytest.approx(expected, abs=1e-6)


def test_the_partial_r_of_counts_is_that_of_residuals_on_both_log_counts_squares_and_product(planted):
    rows = planted(0, pmi=0.4)
    found = pmi_effect(rows, np.random.default_rng(0))
    pairs = pairs_of(rows)
    log_count = dict(zip(rows.target.tolist(), np.log10(1.0 + rows.count).tolist(), strict=True))
    a, b = np.array([[log_count[first], log_count[second]] for first, second in pairs]).T
    controls = np.column_stack([np.ones(len(a)), a + b, a**2 + b**2, a * b])
    accuracy = np.array([rows.successes[i].sum() / rows.trials[i].sum() for i in pairs.values()])
    pmi = np.array([rows.feature("PMI")[i[0]] for i in pairs.values()])
    hat = controls @ np.linalg.pinv(controls)
    expected = np.corrcoef(pmi - hat @ pmi, accuracy - hat @ accuracy)[0, 1]
    assert found.r_given_counts.value == pytest.approx(expected, abs=1e-6)


def test_intervals_pay_for_the_controls_they_used_as_fishers_do(planted):
    # 30 concept effects of about 85 pairs: without paying, intervals would be a fifth too narrow.
    ratios = []
    for seed in range(6):
        rows = planted(seed, concepts=30)
        pair = np.random.default_rng(0).permutation(rows.pair.max() + 1)[rows.pair]
        found = pmi_effect(rows.take(pair < 130), np.random.default_rng(0)).r_given_concepts
        fisher = 2 * 1.959964 / np.sqrt(found.n - 30 - 3)
        ratios.append((np.arctanh(found.high) - np.arctanh(found.low)) / fisher)
    assert 0.92 < np.mean(ratios) < 1.1


def test_a_planted_slope_is_found_again_with_counts_and_with_concepts_controlled(planted):
    rng = np.random.default_rng(0)
    effects = [pmi_effect(planted(seed, concepts=48, pmi=0.4), rng) for seed in range(200, 206)]
    for effect in effects:
        assert effect.r_given_counts.low > 0
        assert effect.r_given_concepts.low > 0
        slope = effect.logit_given_concepts
        assert abs(slope.value - 0.4) < 3 * (slope.high - slope.low) / (2 * 1.959964)
        # Difficulty that the counts do not explain flattens the slope a little.
        assert 0.3 < effect.logit_given_counts.value < 0.45
        levels = [quintile.accuracy.value for quintile in effect.quintiles]
        assert levels[4] - levels[0] > 0.08
        medians = [quintile.median_pmi for quintile in effect.quintiles]
        assert medians == sorted(medians)


def test_no_effect_is_covered_in_most_worlds(planted):
    rng = np.random.default_rng(0)
    effects = [pmi_effect(planted(seed, concepts=20), rng) for seed in range(40)]
    for name in ("r_given_counts", "r_given_concepts", "logit_given_counts", "logit_given_concepts"):
        found = [getattr(effect, name) for effect in effects]
        assert 33 <= sum(each.low <= 0 <= each.high for each in found) <= 40, name


def test_quintiles_share_out_the_pairs_and_average_to_the_accuracy(planted):
    rows = planted(0)
    quintiles = pmi_effect(rows, np.random.default_rng(0)).quintiles
    pairs = pairs_of(rows)
    support = [quintile.accuracy.n for quintile in quintiles]
    assert sum(support) == len(pairs)
    assert max(support) - min(support) <= 1
    mean = np.mean([rows.successes[i].sum() / rows.trials[i].sum() for i in pairs.values()])
    levels = [quintile.accuracy.value for quintile in quintiles]
    assert np.average(levels, weights=support) == pytest.approx(mean)


def test_pairs_without_pmi_are_refused(planted):
    rows = planted(0, concepts=10)
    with pytest.raises(ValueError, match="no seen pair is expected 1e\\+09 times"):
        pmi_effect(rows, np.random.default_rng(0), min_expected=1e9)
    with pytest.raises(ValueError, match="no seen pair is expected 1 times"):
        pmi_effect(rows.take(rows.unseen), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"\d+ rows for \d+ columns"):
        pmi_effect(rows.take(np.flatnonzero(~rows.unseen)[:6]), np.random.default_rng(0))
