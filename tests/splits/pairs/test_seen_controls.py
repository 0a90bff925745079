from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.pairs.seen_controls import Frequencies, match_seen, measure_frequencies

CALIPER = 0.1
SIZES = st.integers(2, 3)
LOGS = st.sampled_from([0.0, 0.06, 0.1, 0.15, 0.2, 0.32, 1.0])
SAMPLES = st.lists(st.tuples(SIZES, LOGS, LOGS), min_size=0, max_size=6)


def frequencies(samples):
    return Frequencies(
        size=np.array([size for size, _, _ in samples], np.int64),
        log_counts=np.array([sorted(logs) for _, *logs in samples], np.float64).reshape(-1, 2),
    )


def is_near(one, other):
    gaps = np.abs(np.array(sorted(one[1:])) - np.array(sorted(other[1:])))
    return one[0] == other[0] and gaps.max() <= CALIPER + 1e-9


def slow_most(unseen, seen):
    """The most couples that any assignment has."""
    padded = [*range(len(seen)), *[None] * len(unseen)]
    return max(
        sum(of is not None and is_near(unseen[row], seen[of]) for row, of in enumerate(chosen))
        for chosen in set(permutations(padded, len(unseen)))
    )


@given(unseen=SAMPLES.filter(lambda rows: len(rows) <= 4), seen=SAMPLES.filter(lambda rows: len(rows) <= 4))
@settings(max_examples=60, deadline=None)
def test_no_assignment_has_more_couples_and_every_couple_is_within_the_caliper(unseen, seen):
    left, right, gap = match_seen(frequencies(unseen), frequencies(seen), caliper=CALIPER)
    assert all(is_near(unseen[a], seen[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True))
    assert len(set(left.tolist())) == len(left) == len(set(right.tolist()))
    assert left.tolist() == sorted(left.tolist())
    assert len(left) == slow_most(unseen, seen)
    assert gap.max(initial=0) <= CALIPER + 1e-9


def test_the_nearest_of_equal_matchings_is_chosen():
    unseen, seen = frequencies([(2, 1.0, 2.0)]), frequencies([(2, 1.05, 2.0), (2, 1.01, 2.0), (2, 0.95, 2.0)])
    assert match_seen(unseen, seen, caliper=CALIPER)[1].tolist() == [1]


def test_a_nearest_control_is_given_up_where_another_sample_has_no_other():
    unseen, seen = frequencies([(2, 1.0, 2.0), (2, 1.09, 2.0)]), frequencies([(2, 1.08, 2.0), (2, 0.95, 2.0)])
    left, right, _ = match_seen(unseen, seen, caliper=CALIPER)
    assert (left.tolist(), right.tolist()) == ([0, 1], [1, 0])


def test_samples_of_several_concepts_are_matched_on_the_mean_log_count():
    ends, counts = np.array([0, 2, 5, 8]), np.array([1000, 10, 1, 10, 100, 10, 10, 10])
    found = measure_frequencies(ends, counts, np.array([0, 1, 2]))
    assert found.size.tolist() == [2, 3, 3]
    assert found.log_counts.tolist() == [[1.0, 3.0], [1.0, 1.0], [1.0, 1.0]]
    left, right, gap = match_seen(found.take(np.array([1])), found.take(np.array([0, 2])), caliper=0.0)
    assert (left.tolist(), right.tolist(), gap.tolist()) == ([0], [1], [0.0])


@pytest.mark.parametrize(
    ("counts", "said"), [([5, 0], "a concept that does not occur"), ([5], "fewer than two concepts")]
)
def test_samples_that_have_no_frequencies_are_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        measure_frequencies(np.array([0, len(counts)]), np.array(counts), np.array([0]))


def test_more_couples_than_fit_in_memory_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr("oddpair.splits.pairs.seen_controls.MOST_COUPLES", 5)
    unseen, seen = frequencies([(2, 1.0, 2.0)] * 2), frequencies([(2, 1.05, 2.0)] * 3)
    with pytest.raises(Refusal, match=r"^6 couples of 2 unseen and 3 seen .* at most 5 .* minimum_count$"):
        match_seen(unseen, seen, caliper=CALIPER)
    assert len(match_seen(unseen, seen.take(np.arange(2)), caliper=CALIPER)[0]) == 2
