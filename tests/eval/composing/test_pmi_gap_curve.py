import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap_curve import MOST_BINS, bin_equally_wide, fill_bins


def fill(rows):
    return fill_bins(rows, rows.pmi, rows.accuracy, np.random.default_rng(0))


def test_of_many_sets_the_outermost_bins_are_the_outermost_five_percent():
    pmi = np.arange(200.0)
    rows = plain_rows(pmi >= 100, pmi)
    bins = fill(rows)
    assert len(bins) == MOST_BINS
    assert [each.accuracy.n for each in bins] == [10] * 20
    assert bins[0].at == 4.5
    assert [each.accuracy.value for each in bins] == [0] * 10 + [1] * 10
    # Ten misses of ten sets: their rate may be as high as 31 %.
    assert bins[0].accuracy.high == pytest.approx(1 - 0.025**0.1)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(1, 9)), min_size=1, max_size=60),
)
def test_bins_rise_share_out_all_samples_and_average_to_the_whole(rows):
    pmi, correct, samples = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    gathered = plain_rows(correct, pmi, samples=samples)
    bins = fill(gathered)
    sizes = np.array([each.accuracy.n for each in bins])
    assert sizes.sum() == samples.sum()
    assert (np.diff([each.at for each in bins]) > 0).all()
    whole = sizes @ [each.accuracy.value for each in bins] / sizes.sum()
    assert whole == pytest.approx(np.average(correct, weights=samples))
    assert all(0 <= each.accuracy.low <= each.accuracy.high <= 1 for each in bins)


def test_equally_wide_bins_are_those_of_a_loop():
    rows, _ = draw_sets(1, effect=0.5, n_sets=120)
    found = bin_equally_wide(rows, rows.pmi, rows.accuracy)
    edges = np.linspace(rows.pmi.min(), rows.pmi.max(), 12)
    means, places = [], []
    for place in range(12):
        below = -np.inf if place == 0 else edges[place - 1]
        inside = (rows.pmi > below) & (rows.pmi <= edges[place])
        if inside.any():
            places.append(place)
            means.append((rows.samples * rows.accuracy)[inside].sum() / rows.samples[inside].sum())
    assert places[0] == 0
    assert places[-1] == 11
    assert found.all_bins is not None
    assert found.all_bins.value == pytest.approx(np.corrcoef(edges[places], means)[0, 1])
    assert found.all_bins.n == len(places)
    assert found.inner is not None
    assert found.inner.value == pytest.approx(np.corrcoef(edges[places[1:-1]], means[1:-1])[0, 1])
    assert found.inner.n == len(places) - 2
    assert len(found.dropped) == 12 - found.inner.n


def test_dropped_bins_say_why():
    rows = plain_rows([0, 1, 0, 1], [0.0, 1, 2, 11])
    found = bin_equally_wide(rows, rows.pmi, rows.accuracy)
    assert found.inner is None
    assert found.all_bins is not None
    assert found.all_bins.n == 4
    assert found.dropped[0] == "bin 1 (PMI up to 0.00): first, 1 samples"
    assert found.dropped[1] == "bin 4 (PMI up to 3.00): empty"
    assert found.dropped[-1] == "bin 12 (PMI up to 11.00): last, 1 samples"
