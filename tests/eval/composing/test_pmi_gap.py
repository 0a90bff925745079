import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap import find_obstacle, measure_pmi


def measure(rows):
    return measure_pmi(rows, np.random.default_rng(0))


def test_counts_hide_an_effect_that_shows_where_they_are_held_equal():
    rows, _ = draw_sets(0, effect=0.3)
    found = measure(rows)
    assert found.left_out == ""
    assert found.samples == rows.samples.sum()
    assert found.sets == 400
    assert found.accuracy == pytest.approx(np.average(rows.accuracy, weights=rows.samples))
    assert found.given_counts.r_samples.low > found.plain.r_samples.value
    assert found.slope_given_counts.low > found.slope.value
    # Over fewer nats there is more of a gap.
    assert found.matched.nats < found.gap.nats
    assert found.matched.difference.value > found.gap.difference.value


def test_without_counts_there_is_the_plain_relation_alone():
    rows, _ = draw_sets(0, effect=0.3)
    found = measure(plain_rows(rows.accuracy, rows.pmi, samples=rows.samples))
    assert found.left_out == "no counts were given"
    assert (found.given_counts, found.matched, found.slope_given_counts) == (None, None, None)
    assert found.gap.difference.value == pytest.approx(measure(rows).gap.difference.value)


def test_a_pmi_that_counts_fix_has_no_effect_of_its_own():
    count = np.linspace(1, 3, 40)
    rows = plain_rows(np.arange(40) % 2, -2 * count, controls=count[:, None])
    found = measure(rows)
    assert "fix the PMI" in found.left_out
    assert found.given_counts is None
    assert found.slope_given_counts is None


def test_the_same_rows_give_the_same_numbers_in_any_order():
    rng = np.random.default_rng(0)
    pmi, count = rng.normal(size=50), rng.uniform(2, 3, 50)
    correct = rng.integers(0, 2, 50).astype(float)
    order = rng.permutation(50)
    names = np.array([f"set {place:02}" for place in range(50)])
    one = plain_rows(correct, pmi, cluster=names, controls=count[:, None])
    other = plain_rows(correct[order], pmi[order], cluster=names[order], controls=count[order, None])
    assert repr(measure(one).plain) == repr(measure(other).plain)
    assert measure(one).matched.difference == measure(other).matched.difference


@pytest.mark.parametrize(
    ("correct", "pmi", "cluster", "told"),
    [
        ([0, 1] * 4, np.arange(8.0), np.arange(8), "8 sets of concepts with a PMI, needed 10"),
        ([0, 1] * 6, np.full(12, 2.0), np.arange(12), "all samples have the PMI 2"),
        ([1.0] * 12, np.arange(12.0), np.arange(12), "all sets of concepts have the accuracy 1"),
        ([0, 1] * 10, np.repeat([0.0, 1], 10), np.tile(np.arange(10), 2), "one mean PMI"),
    ],
    ids=["few", "one-pmi", "one-accuracy", "one-mean"],
)
def test_rows_that_tell_nothing_say_why(correct, pmi, cluster, told):
    if told == "one mean PMI":
        correct = np.concatenate([np.arange(10) % 2, np.zeros(10)])
    rows = plain_rows(correct, pmi, cluster=cluster)
    assert told in str(find_obstacle(rows))
    with pytest.raises(ValueError, match=told):
        measure(rows)
