import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap_adjusted import adjust
from oddpair.eval.composing.pmi_gap_relation import relate_pmi


def relate(rows, seed=0):
    return relate_pmi(rows, rows.pmi, rows.accuracy, np.random.default_rng(seed))


def test_r_over_samples_is_the_point_biserial_one_of_every_hit_and_miss():
    rows, _ = draw_sets(0, effect=0.5, n_sets=80)
    hits = np.round(rows.samples * rows.accuracy).astype(int)
    misses = rows.samples.astype(int) - hits
    pmi = np.concatenate([np.repeat(rows.pmi, hits), np.repeat(rows.pmi, misses)])
    correct = np.repeat([1, 0], [hits.sum(), misses.sum()])
    found = relate(rows)
    assert found.r_samples.value == pytest.approx(np.corrcoef(pmi, correct)[0, 1])
    assert found.r_samples.n == len(pmi)
    assert found.r_sets.value == pytest.approx(np.corrcoef(rows.pmi, rows.accuracy)[0, 1])
    assert found.r_sets.n == 80
    assert found.r_samples.low < found.r_samples.value < found.r_samples.high


def test_binning_makes_a_weak_relation_look_strong():
    rows, _ = draw_sets(0, effect=0.5, n_sets=400, confounded=0)
    found = relate(rows)
    assert found.r_samples.value < 0.35
    assert found.filled is not None
    assert found.filled.value > 0.85
    assert found.filled.n == len(found.bins) == 20


def test_r_given_counts_is_that_of_what_least_squares_leaves():
    rows, _ = draw_sets(0, effect=0.3, n_sets=100)
    pmi, accuracy, cost = adjust(rows)
    found = relate_pmi(rows, pmi, accuracy, np.random.default_rng(0), cost=cost)
    assert found.r_sets.value == pytest.approx(np.corrcoef(pmi, accuracy)[0, 1])
    wider = relate_pmi(rows, pmi, accuracy, np.random.default_rng(0), cost=0)
    assert found.r_sets.high - found.r_sets.low > wider.r_sets.high - wider.r_sets.low


def test_r_is_the_same_for_other_units_of_pmi_and_turns_with_its_sign():
    rows, _ = draw_sets(3, effect=0.5, n_sets=60)
    found = relate(rows)
    other = relate_pmi(rows, 5 - 2 * rows.pmi, rows.accuracy, np.random.default_rng(0))
    assert other.r_samples.value == pytest.approx(-found.r_samples.value)
    assert other.r_samples.low == pytest.approx(-found.r_samples.high, abs=0.02)
    assert found.wide.all_bins is not None


def test_samples_of_one_set_are_not_independent():
    rng = np.random.default_rng(0)
    pmi = rng.normal(size=30)
    correct = (rng.random(30) < 0.5).astype(float)
    once = relate(plain_rows(correct, pmi))
    # Twenty times the same samples tell nothing new.
    often = relate(plain_rows(correct, pmi, samples=np.full(30, 20.0)))
    assert often.r_samples.value == pytest.approx(once.r_samples.value)
    assert often.r_samples.low == pytest.approx(once.r_samples.low)
