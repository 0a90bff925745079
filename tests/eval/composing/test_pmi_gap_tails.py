import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap_tails import find_gap


def gap(rows, **options):
    return find_gap(rows, np.random.default_rng(0), **options)


def test_the_ends_are_those_of_sorting_every_sample():
    rng = np.random.default_rng(0)
    pmi, correct = rng.normal(size=400), rng.integers(0, 2, 400).astype(float)
    found = gap(plain_rows(correct, pmi))
    ranked = correct[np.argsort(pmi)]
    assert found.bottom == pytest.approx(ranked[:20].mean())
    assert found.top == pytest.approx(ranked[-20:].mean())
    assert found.difference.value == pytest.approx(found.top - found.bottom)
    assert found.nats == pytest.approx(np.sort(pmi)[-20:].mean() - np.sort(pmi)[:20].mean())
    assert found.difference.n == 400


def test_samples_of_one_pmi_at_an_edge_count_in_part():
    # The lowest 5 of 20 are the two at -1 and three of the ten at 0, which have each half of the hits.
    pmi = np.repeat([-1.0, 0.0, 1.0], [2, 10, 8])
    correct = np.concatenate([[1, 1], np.tile([0, 1], 5), np.ones(8)])
    found = gap(plain_rows(correct, pmi), share=0.25)
    assert found.bottom == pytest.approx((2 + 3 * 0.5) / 5)
    assert found.top == 1
    shuffled = np.random.default_rng(1).permutation(20)
    again = gap(plain_rows(correct[shuffled], pmi[shuffled], cluster=shuffled), share=0.25)
    assert again.bottom == pytest.approx(found.bottom)


def test_a_set_of_many_samples_may_fill_an_end_by_itself():
    rows = plain_rows([0.25, 0.5, 1.0], [0.0, 1.0, 2.0], samples=np.array([100.0, 100, 100]))
    found = gap(rows)
    assert (found.bottom, found.top) == (0.25, 1)
    # Drawing sets, it may be any two of them, or one with itself.
    assert found.difference.low == 0


def test_without_an_effect_the_interval_covers_0_about_as_often_as_it_says():
    covered = []
    for seed in range(60):
        rows, _ = draw_sets(seed, effect=0.0, n_sets=120, confounded=0, difficulty=0.5)
        found = gap(rows).difference
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("share", [0, 0.51, -1])
def test_ends_that_overlap_or_are_empty_are_refused(share):
    with pytest.raises(ValueError, match=r"at most 0\.5"):
        gap(plain_rows([0, 1], [0.0, 1.0]), share=share)
