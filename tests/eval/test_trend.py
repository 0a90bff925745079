import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.trend import bin_by_count, trend


def test_bins_are_closed_on_the_right_and_sit_at_their_upper_edge():
    # 5 edges of ln: 1, e, e^2, e^3, e^4; counts on an edge belong to the bin that it closes.
    e = np.exp(1)
    counts = np.array([0, 1, e, e**1.5, e**2, e**2.5, e**3, e**4])
    accuracy = np.array([0.9, 0.1, 0.2, 0.3, 0.5, 0.6, 0.6, 0.0])
    found = trend(counts, accuracy, bins=5)
    assert [point.count for point in found.points] == pytest.approx([e, e**2, e**3])
    assert [point.accuracy for point in found.points] == pytest.approx([0.2, 0.4, 0.6])
    assert [point.n for point in found.points] == [1, 2, 2]
    assert found.binned is not None
    assert found.binned.value == pytest.approx(1.0)
    assert found.binned.n == 3
    assert found.all_bins is not None
    assert found.all_bins.n == 5
    assert found.dropped == (
        "bin 1 (counts up to 1, 2 concepts): first bin, left out by rule",
        "bin 5 (counts up to 54.6, 1 concepts): last bin, left out by rule",
    )


def test_the_raw_r_is_over_concepts_against_log10_of_one_plus_count():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5000, size=60)
    accuracy = np.log10(1.0 + counts) / 5 + rng.normal(0, 0.2, size=60)
    found = trend(counts, accuracy)
    assert found.raw is not None
    assert found.raw.value == pytest.approx(np.corrcoef(np.log10(1.0 + counts), accuracy)[0, 1])
    assert found.raw.n == 60


def test_binning_hides_the_scatter_that_the_raw_r_shows():
    rng = np.random.default_rng(1)
    counts = np.round(10 ** rng.uniform(0, 4, size=600))
    accuracy = np.log10(1 + counts) / 8 + rng.normal(0, 0.3, size=600)
    found = trend(counts, accuracy)
    assert found.raw is not None
    assert found.binned is not None
    assert found.binned.value > found.raw.value + 0.2
    assert len(found.points) == 10


def test_empty_bins_are_named_among_the_dropped():
    found = trend([1, 10, 11, 90, 100, 10_000], [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], bins=12)
    assert sum("empty" in reason for reason in found.dropped) == 8
    assert len(found.points) + len(found.dropped) == 12


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40), st.floats(0.1, 3))
@settings(max_examples=60, deadline=None)
def test_the_binned_r_ignores_affine_changes_of_accuracy_and_the_smallest_count(counts, scale):
    counts = np.array([0, *counts])
    accuracy = np.sin(np.arange(len(counts)))
    found = trend(counts, accuracy)
    moved = accuracy.copy()
    moved[np.maximum(counts, 1) == 1] += 7
    changed = trend(counts, 2 + scale * moved)
    assert sum(point.n for point in found.points) <= len(counts)
    if found.binned is None or changed.binned is None:
        assert found.binned is changed.binned
    else:
        assert changed.binned.value == pytest.approx(found.binned.value, abs=1e-6)


def test_a_rule_set_by_hand_chooses_the_bins_and_is_told():
    counts = [1, 10, 11, 100, 1000, 1001, 10_000]
    accuracy = [0.9, 0.2, 0.4, 0.1, 0.6, 0.8, 0.3]
    found = trend(counts, accuracy, bins=5, kept=slice(2, None))
    assert [point.accuracy for point in found.points] == pytest.approx([0.25, 0.6, 0.55])
    assert found.binned is not None
    assert found.binned.value == pytest.approx(np.corrcoef([0, 1, 2], [0.25, 0.6, 0.55])[0, 1])
    assert found.dropped == (
        "bin 1 (counts up to 1, 1 concepts): first bin, left out by rule",
        "bin 2 (counts up to 10, 1 concepts): left out by rule",
    )
    whole = trend(counts, accuracy, bins=5, kept=slice(None))
    assert whole.dropped == ()
    assert whole.binned is not None
    assert found.all_bins is not None
    assert whole.binned.value == found.all_bins.value


def test_bins_tell_mean_spread_and_number_and_nothing_where_they_are_empty():
    first, second, third = bin_by_count([0, 1, 100, 100], [0.0, 1.0, 0.2, 0.4], bins=3)
    assert (first.n, first.accuracy, first.spread) == (2, 0.5, 0.5)
    assert (second.n, second.accuracy, second.spread) == (0, None, None)
    assert third.accuracy == pytest.approx(0.3)
    assert third.spread == pytest.approx(0.1)
    assert [one.count for one in (first, second, third)] == pytest.approx([1, 10, 100])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(2, 15))
@settings(max_examples=60, deadline=None)
def test_every_concept_lies_in_one_bin_and_the_largest_count_in_the_last(counts, bins):
    found = bin_by_count(counts, np.zeros(len(counts)), bins)
    assert len(found) == bins
    assert sum(one.n for one in found) == len(counts)
    if max(counts) > max(min(counts), 1):
        assert found[-1].n >= counts.count(max(counts))


def test_one_distinct_count_gives_no_correlation_instead_of_a_crash():
    found = trend([50, 50, 50], [0.1, 0.5, 0.9])
    assert found.raw is None
    assert found.binned is None


@pytest.mark.parametrize(
    ("counts", "accuracy", "message"),
    [([], [], "counts have shape"), ([1, 2], [0.1], "counts have shape"), ([-1], [0.1], "negative or NaN")],
)
def test_counts_that_cannot_be_are_refused(counts, accuracy, message):
    with pytest.raises(ValueError, match=message):
        trend(counts, accuracy)
