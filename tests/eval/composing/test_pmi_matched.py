import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import kstest
from tests.eval.composing.pmi_worlds import OF_COUNT, draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap_tails import find_gap
from oddpair.eval.composing.pmi_matched import match_pmi

SIMULATIONS = 100


def match(rows, seed=0, **options):
    return match_pmi(rows, np.random.default_rng(seed), **options)


def controls_of(rows):
    """Controls by set, of rows that are sets."""
    assert rows.cluster.tolist() == list(range(len(rows)))
    return rows.controls


def test_the_matched_gap_recovers_a_planted_effect_that_the_plain_gap_misses():
    covered, errors, plain = [], [], []
    effect = 0.3
    for seed in range(SIMULATIONS):
        rows, base = draw_sets(seed, effect)
        found = match(rows)
        counts = base[found.high]
        planted = expit(counts + effect * rows.pmi[found.high]) - expit(counts + effect * rows.pmi[found.low])
        truth = np.average(planted, weights=found.weight)
        covered.append(found.difference.low <= truth <= found.difference.high)
        errors.append(found.difference.value - truth)
        if seed < 20:
            plain.append(find_gap(rows, np.random.default_rng(0)))
    assert np.mean(covered) >= 0.9
    assert abs(np.mean(errors)) < 0.01
    # At equal counts its ends would lie as far apart as this.
    ends = np.mean([found.nats for found in plain])
    assert expit(0.3 * ends / 2) - expit(-0.3 * ends / 2) > 0.33
    assert np.mean([found.difference.value for found in plain]) < 0.25


def test_without_an_effect_p_is_uniform_and_the_interval_covers_0():
    covered, p, plain = [], [], []
    for seed in range(SIMULATIONS):
        rows, _ = draw_sets(1000 + seed, effect=0.0, difficulty=0.5)
        found = match(rows)
        covered.append(found.difference.low <= 0 <= found.difference.high)
        p.append(found.p)
        if seed < 20:
            plain.append(find_gap(rows, np.random.default_rng(0)).difference)
    assert np.mean(covered) >= 0.9
    assert kstest(p, "uniform").pvalue > 0.01
    # What counts do looks like an effect of PMI.
    assert np.mean([found.high < 0 for found in plain]) > 0.7


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 80), st.sampled_from([0.05, 0.1, 0.3]))
def test_couples_are_near_in_every_control_and_no_set_is_in_two(seed, n_sets, caliper):
    rows, _ = draw_sets(seed, effect=0.3, n_sets=n_sets)
    found = match(rows, caliper=caliper)
    if found is None:
        return
    controls = controls_of(rows)
    assert np.abs(controls[found.high] - controls[found.low]).max() <= caliper + 1e-9
    both = np.concatenate([found.high, found.low])
    assert len(np.unique(both)) == len(both)
    assert len(found.high) + found.n_unmatched == min(round(found.share * n_sets), n_sets // 2)
    left = np.average(controls[found.high] - controls[found.low], axis=0, weights=found.weight)
    assert list(found.imbalance.values()) == pytest.approx(left.tolist())
    accuracy = rows.accuracy[found.high] - rows.accuracy[found.low]
    assert found.difference.value == pytest.approx(np.average(accuracy, weights=found.weight))
    assert found.high_accuracy - found.low_accuracy == pytest.approx(found.difference.value)


def test_the_nearest_couple_is_matched_first():
    # Ten sets, five high and five low; the counts of the couples differ by 0.01, 0.02, ...
    count = np.concatenate([np.arange(5.0), np.arange(5.0) + 0.01 * np.arange(1, 6)])
    pmi = np.repeat([2.0, -2.0], 5)
    rows = plain_rows(np.repeat([1.0, 0.0], 5), pmi, controls=count[:, None])
    found = match(rows)
    assert found.high.tolist() == [0, 1, 2, 3, 4]
    assert found.low.tolist() == [5, 6, 7, 8, 9]
    assert found.difference.value == 1
    assert found.nats == 4
    assert found.share == 0.5
    assert found.imbalance["control 0"] == pytest.approx(-0.03)
    # Of 32 sign flips two are as far from 0 as all five.
    assert found.p == pytest.approx(2 / 32, abs=0.02)


def test_too_few_couples_are_no_comparison():
    count = np.concatenate([np.arange(5.0), np.arange(5.0) + 0.02])
    rows = plain_rows(np.repeat([1.0, 0.0], 5), np.repeat([2.0, -2.0], 5), controls=count[:, None])
    assert match(rows, caliper=0.01) is None
    assert match(rows) is not None


def test_accuracy_has_no_say_in_who_is_matched():
    rows, _ = draw_sets(0, effect=1.0, n_sets=100)
    other, _ = draw_sets(0, effect=-1.0, n_sets=100)
    assert other.pmi.tolist() == rows.pmi.tolist()
    first, second = match(rows), match(other)
    assert first.high.tolist() == second.high.tolist()
    assert first.low.tolist() == second.low.tolist()
    assert first.difference.value > 0 > second.difference.value


def test_sets_are_matched_within_the_test_sets_that_they_stand_in():
    # The second test set is harder and has the higher PMI, which has no effect in either.
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 100)
    count, noise = rng.uniform(2, 3, 200), rng.normal(size=200)
    correct = np.clip(0.7 - 0.4 * group + OF_COUNT * 0.1 * (count - 2.5), 0, 1)
    rows = plain_rows(correct, noise + 4 * group, controls=count[:, None], group=group)
    found = match(rows)
    test_set = group[np.arange(200)]
    assert (test_set[found.high] == test_set[found.low]).all()
    assert abs(found.difference.value) < 0.01
    assert find_gap(rows, np.random.default_rng(0)).difference.value < -0.3


def test_the_same_set_in_two_test_sets_is_one():
    rng = np.random.default_rng(0)
    pmi, count = np.tile(rng.normal(size=40), 2), np.tile(rng.uniform(2, 2.2, 40), 2)
    sets, group = np.tile(np.arange(40), 2), np.repeat([0, 1], 40)
    correct = np.concatenate([np.full(40, 0.2), np.tile([0.4, 0.6], 20)])
    samples = np.repeat([1.0, 30.0], 40)
    rows = plain_rows(correct, pmi, cluster=sets, controls=count[:, None], samples=samples, group=group)
    found = match(rows)
    # Both test sets count the same, however many samples they have.
    accuracy = (0.2 + np.tile([0.4, 0.6], 20)) / 2
    expected = np.average(accuracy[found.high] - accuracy[found.low], weights=found.weight)
    assert found.difference.value == pytest.approx(expected)
    assert set(found.weight.tolist()) == {31.0}
