import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.styles.strict import keep_strict, nearness_threshold

SORTED = np.array([True, True, True, False, False])
NEAR = np.array([0.2, 0.8, 0.5, 0.1, 0.1], dtype=np.float32)


def test_rows_nearer_than_the_threshold_leave():
    found = keep_strict(SORTED, NEAR, 0.495)
    assert found.keep.tolist() == [True, False, False, False, False]
    assert found.left.tolist() == [False, True, True, False, False]


def test_a_row_as_near_as_the_threshold_stays():
    assert keep_strict(SORTED, NEAR, 0.5).keep.tolist() == [True, False, True, False, False]


def test_a_threshold_set_by_hand_is_not_rounded_to_the_similarities():
    # The next float32 above 0.8 is above 0.8, though it is what 0.8 becomes in float32.
    assert not keep_strict(np.array([True]), np.array([0.8], dtype=np.float32), 0.8).keep.any()


def test_skipping_the_search_keeps_all_that_was_sorted_in():
    found = keep_strict(SORTED, None, None)
    assert found.keep.tolist() == SORTED.tolist()
    assert found.threshold is None
    assert not found.left.any()


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    m=st.integers(1, 60),
    quantile=st.floats(0.01, 1),
    stricter=st.floats(0.1, 1),
)
@settings(max_examples=60, deadline=None)
def test_the_split_is_what_a_loop_would_keep_and_grows_with_the_quantile(seed, n, m, quantile, stricter):
    rng = np.random.default_rng(seed)
    sorted_in = rng.random(n) < 0.6
    near, reference = np.round(rng.random(n), 1), np.round(rng.random(m), 1)
    threshold = nearness_threshold(reference, quantile, "natural")
    found = keep_strict(sorted_in, near, threshold)
    slow = [mine and not value > threshold for mine, value in zip(sorted_in, near, strict=True)]
    assert found.keep.tolist() == slow
    assert (reference <= threshold).mean() >= quantile - 1e-9
    assert threshold in reference
    lower = nearness_threshold(reference, quantile * stricter, "natural")
    assert not (keep_strict(sorted_in, near, lower).keep & ~found.keep).any()


def test_input_that_cannot_decide_is_refused():
    with pytest.raises(Refusal, match="no hand-labelled natural row says how near"):
        nearness_threshold([], 0.99, "natural")
    with pytest.raises(Refusal, match=r"quantile 1\.5 is no share of rows"):
        nearness_threshold([0.5], 1.5, "natural")


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="5 rows were sorted, near has 4"):
        keep_strict(SORTED, NEAR[:4], 0.5)
    with pytest.raises(ValueError, match="near at row 2 is not finite"):
        keep_strict(SORTED, np.array([0, 0, np.nan, 0, 0]), 0.5)
    with pytest.raises(ValueError, match="needed a threshold"):
        keep_strict(SORTED, NEAR, None)
    with pytest.raises(ValueError, match=r"reference has shape \(\), needed"):
        nearness_threshold(0.5, 0.99, "natural")
