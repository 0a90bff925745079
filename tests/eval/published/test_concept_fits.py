import numpy as np
import pytest
from scipy import stats

from oddpair.errors import Refusal
from oddpair.eval.published.concept_fits import fit_concepts, reproduce_fits, reproduce_retrieval_fits
from oddpair.eval.published.layout import Concepts, read_published


def make_concepts(count, score, dataset):
    return Concepts(
        dataset=np.array(dataset),
        key=np.array([f"c{row}" for row in range(len(count))]),
        count=np.array(count, dtype=np.float64),
        score=np.array(score, dtype=np.float64),
        n_blank=0,
    )


HAND = make_concepts([0, 1, 10, 10, 100, 1000, 10000], [90, 10, 10, 30, 40, 30, 0], ["a"] * 4 + ["b"] * 3)


def test_a_fit_is_that_of_hand_arithmetic():
    fit = fit_concepts(HAND)
    assert (fit.n, fit.n_zero, fit.n_positive) == (7, 1, 6)
    # About the means 11 / 6 and 20: sums of products -10, of squares 65 / 6 and 1,200.
    assert fit.slope.value == pytest.approx(-12 / 13)
    assert fit.intercept == pytest.approx(20 + 22 / 13)
    assert fit.r.value == pytest.approx(-10 / np.sqrt(13000))
    assert fit.r2 == pytest.approx(1 / 130)
    assert fit.slope_error == pytest.approx(np.sqrt((1200 - 120 / 13) / 4 / (65 / 6)))
    # Inside the sets: products 20 / 3 and -40, squares 2 / 3 and 2, 800 / 3 and 2,600 / 3.
    assert fit.slope_within == pytest.approx(-12.5)
    assert fit.r_within == pytest.approx(-(100 / 3) / np.sqrt((8 / 3) * (3400 / 3)))
    # The line of b says 250 / 3 - 20 x of a, that of a says 10 + 10 x of b.
    assert fit.left_out_r2 == pytest.approx(1 - (28000 / 3 + 2700) / 1200)
    assert (fit.mean_zero, fit.mean_positive) == (90, 20)


def test_fits_over_all_concepts_are_those_of_another_implementation():
    fit = fit_concepts(HAND)
    expected = stats.linregress(np.log10(1 + HAND.count), HAND.score)
    assert fit.slope_with_zero.value == pytest.approx(expected.slope)
    assert fit.intercept_with_zero == pytest.approx(expected.intercept)
    assert fit.r_with_zero.value == pytest.approx(expected.rvalue)
    assert fit.spearman == pytest.approx(stats.spearmanr(HAND.count, HAND.score)[0])


def test_one_set_alone_has_nothing_to_be_predicted_from_and_no_zero_no_mean():
    fit = fit_concepts(make_concepts([1, 10, 100, 1000], [1, 3, 2, 4], ["a"] * 4))
    assert np.isnan([fit.left_out_r2, fit.mean_zero]).all()
    assert fit.r_within == pytest.approx(fit.r.value)


def test_the_tables_of_fits_are_compared_column_by_column(layout):
    published = read_published(layout())
    for reproduce, columns in ((reproduce_fits, 17), (reproduce_retrieval_fits, 9)):
        fits, agreements = reproduce(published)
        assert len(fits) == 1
        assert len(agreements) == columns
        assert [one.column for one in agreements if not one.holds] == []


def test_too_few_concepts_are_refused_by_line(layout):
    counts = {row: f"{name},0,0,0,0" for row, name in enumerate(
        ["cifar10,ant", "cifar10,bee", "cifar10,cow", "cifar10,dog", "dtd,elk"], start=1
    )}  # fmt: skip
    published = read_published(layout({"concept_counts.csv": counts}))
    with pytest.raises(
        Refusal, match=r"golden_fits_concept_level.csv line 2: 2 concepts, a line needs 3 that differ"
    ):
        reproduce_fits(published)


def test_every_published_fit_is_made_again(published_tables):
    for reproduce, rows in ((reproduce_fits, 25), (reproduce_retrieval_fits, 126)):
        fits, agreements = reproduce(published_tables)
        assert len(fits) == rows
        assert [one for one in agreements if not one.holds] == []
        assert all(one.fit.slope.low < one.fit.slope.value < one.fit.slope.high for one in fits)
