import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.style_strict import NOT_SEARCHED, style_strict

CLASSES = ["natural", "natural", "natural", "rendition", "ambiguous"]
NEAR = np.array([0.2, 0.8, 0.5, 0.1, 0.1])


def test_rows_nearer_than_hand_labelled_ones_leave():
    found = style_strict(CLASSES, NEAR, np.linspace(0, 0.5, 101), quantile=0.99)
    assert found.threshold == pytest.approx(0.495)
    assert found.keep.tolist() == [True, False, False, False, False]
    assert found.left.tolist() == [False, True, True, False, False]


def test_a_row_as_near_as_the_threshold_stays():
    assert style_strict(CLASSES, NEAR, [0.5], quantile=0.99).keep.tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_skipping_the_search_changes_the_split_and_the_card_says_so():
    searched = style_strict(CLASSES, NEAR, [0.5])
    skipped = style_strict(CLASSES, None, [0.5])
    assert skipped.keep.tolist() == [True, True, True, False, False]
    assert skipped.keep.tolist() != searched.keep.tolist()
    assert skipped.threshold is None
    assert (
        dict(skipped.card)["search against the test images"]
        == NOT_SEARCHED
        == ("not searched: this split is NOT style-strict")
    )
    assert NOT_SEARCHED not in dict(searched.card).values()


def test_the_same_function_makes_the_rendition_split():
    found = style_strict(CLASSES, NEAR, [0.05], style="rendition")
    assert found.sorted_in.tolist() == [False, False, False, True, False]
    assert not found.keep.any()
    assert dict(found.card)["rows of the rendition split"] == "0"


def test_the_card_tells_sizes_threshold_and_nearness_by_test_style():
    found = style_strict(
        CLASSES,
        NEAR,
        [0.5],
        nearest_test_style=["sketch", "sketch", "cartoon", "sketch", "sketch"],
        leak_bound=0.0123,
    )
    assert found.card == (
        ("rows sorted ambiguous", "1"),
        ("rows sorted natural", "3"),
        ("rows sorted rendition", "1"),
        ("similarity threshold", "0.5000, the 99% quantile of 1 hand-labelled natural rows"),
        ("rows that left as too near a test image", "1"),
        ("nearest test image: median, 99 %, max", "0.500, 0.794, 0.800 before, 0.350, 0.497, 0.500 after"),
        (
            "nearest test image, cartoon: median, 99 %, max",
            "0.500, 0.500, 0.500 before, 0.500, 0.500, 0.500 after",
        ),
        (
            "nearest test image, sketch: median, 99 %, max",
            "0.500, 0.794, 0.800 before, 0.200, 0.200, 0.200 after",
        ),
        ("rows of the natural split", "2"),
        ("other style among rows sorted natural", "at most 1.23%, on held-out labels"),
    )


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
    classes = rng.choice(["natural", "rendition", "ambiguous"], size=n)
    near, reference = np.round(rng.random(n), 1), np.round(rng.random(m), 1)
    found = style_strict(classes, near, reference, quantile=quantile)
    slow = [
        name == "natural" and not value > found.threshold for name, value in zip(classes, near, strict=True)
    ]
    assert found.keep.tolist() == slow
    assert (reference <= found.threshold).mean() >= quantile - 1e-9
    assert found.threshold in reference
    assert not (style_strict(classes, near, reference, quantile=quantile * stricter).keep & ~found.keep).any()
    assert not (found.keep & ~style_strict(classes, None, reference).keep).any()


def test_input_that_cannot_decide_is_refused():
    with pytest.raises(Refusal, match="no hand-labelled natural row says how near"):
        style_strict(CLASSES, NEAR, [])
    with pytest.raises(Refusal, match=r"quantile 1\.5 is no share of rows"):
        style_strict(CLASSES, NEAR, [0.5], quantile=1.5)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="classes have 5 rows, nearest_test_similarity has 4"):
        style_strict(CLASSES, NEAR[:4], [0.5])
    with pytest.raises(ValueError, match="nearest_test_similarity at row 2 is not finite"):
        style_strict(CLASSES, np.array([0, 0, np.nan, 0, 0]), [0.5])
    with pytest.raises(ValueError, match=r"nearest_test_style has shape \(1,\), needed \(5,\)"):
        style_strict(CLASSES, NEAR, [0.5], nearest_test_style=["sketch"])
    with pytest.raises(ValueError, match=r"reference_similarity has shape \(\), needed"):
        style_strict(CLASSES, NEAR, 0.5)
    with pytest.raises(ValueError, match=r"classes have shape \(0,\)"):
        style_strict([], None, [0.5])
