import pytest

from oddpair.errors import Refusal
from oddpair.eval.published.curves import compare_curves, reproduce_curves
from oddpair.eval.published.layout import read_published


def test_points_are_edge_mean_spread_and_number_of_each_bin(layout):
    text, image, recall, pictures = reproduce_curves(read_published(layout()))
    assert text.holds
    assert recall.holds
    assert (text.n, text.bins, text.n_empty, text.same_counts) == (7, 5, 0, True)
    # The sketch moves the mean of the third bin from 40 to 70 and its spread from 0 to 30.
    assert (image.mean, image.spread) == pytest.approx((30, 30))
    assert not image.same_counts
    assert not image.holds
    assert pictures.reason == "no scores of t2i max_clip are published"
    assert not pictures.holds
    assert [found.n for found in compare_curves((text, image, recall, pictures))] == [1] * 8


def test_an_empty_bin_is_compared_with_the_zero_that_the_authors_draw(layout):
    curve = {
        1 + at: f"zeroshot,lemmatized,ensemble,c,M,{at},{10 ** (at / 2)},{mean},{spread},{n}"
        for at, (mean, spread, n) in enumerate([(50, 40, 2), (0, 0, 0), (20, 10, 2), (0, 0, 0), (40, 0, 1)])
    }
    blank = {6: "dtd,fox,,1,1,1", 7: "dtd,gnu,,1,1,1"}
    text = reproduce_curves(
        read_published(layout({"binned_curves.csv": curve, "concept_counts.csv": blank}))
    )[0]
    assert (text.n, text.n_blank, text.n_empty, text.holds) == (5, 2, 2, True)


def test_points_that_are_not_all_there_are_refused(layout):
    row = "zeroshot,lemmatized,ensemble,c,M,7,10,20,10,2"
    with pytest.raises(Refusal, match=r"line 2: bins of this curve are not 0 to 4"):
        reproduce_curves(read_published(layout({"binned_curves.csv": {2: row}})))


def test_every_curve_of_published_counts_is_made_again_and_no_other(published_tables):
    found = reproduce_curves(published_tables)
    assert len(found) == 709
    assert sum(one.same_counts for one in found) == 260
    assert [one.name for one in found if one.holds != one.same_counts] == []
    assert {one.task for one in found if one.reason} == {"t2i", "zeroshot"}
    assert all(one.holds for one in compare_curves(found))
