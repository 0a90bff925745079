import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from oddpair.errors import Refusal
from oddpair.eval.published.correlations import find_p, parse_slice, reproduce_correlations
from oddpair.eval.published.layout import read_published


def test_a_correlation_is_that_of_hand_arithmetic(layout):
    text, _, recall = reproduce_correlations(read_published(layout()))
    # Bins end at 10, 100 and 1,000 with means 20, 40, 30: 10 / sqrt(2 * 200).
    for found, unit in ((text, 1), (recall, 0.01)):
        assert found.binned.value == pytest.approx(0.5)
        assert [point.accuracy for point in found.trend.points] == pytest.approx(
            [20 * unit, 40 * unit, 30 * unit]
        )
        assert found.trend.all_bins is not None
        assert found.trend.all_bins.value == pytest.approx(-90 / np.sqrt(14800))
        assert found.p == pytest.approx(2 / 3)
        assert (found.label, found.own_label, found.holds) == ("0.50", "0.50", True)
        assert found.left_out == (1, 5)
        assert found.trend.dropped == (
            "bin 1 (counts up to 1, 2 concepts): first bin, left out by rule",
            "bin 5 (counts up to 1e+04, 1 concepts): last bin, left out by rule",
        )
        assert found.from_curve == pytest.approx(0.5)
    assert (text.over_concepts.n, text.n_blank) == (7, 0)
    expected = np.corrcoef(np.log10([1, 2, 11, 11, 101, 1001, 10001]), [90, 10, 10, 30, 40, 30, 0])[0, 1]
    assert text.over_concepts.value == pytest.approx(expected)
    assert text.over_concepts.low < expected < text.over_concepts.high


def test_sketches_move_a_correlation_of_image_counts(layout):
    found = reproduce_correlations(read_published(layout()))[1]
    # The bin of 100 holds 40 and the sketch's 100: means 20, 70, 30.
    assert found.binned.value == pytest.approx(10 / np.sqrt(2800))
    assert (found.holds, found.same_counts, found.own_label) == (True, False, "0.19")
    assert found.of_curve == pytest.approx(0.5)


def test_another_published_r_does_not_hold(layout):
    row = "retrieval,i2t_k=1,c,integrated_rampp0.7,M,5,1:-1,0.50,0.5,0.5002,coco,True"
    found = reproduce_correlations(read_published(layout({"published_pearson.csv": {3: row}})))[2]
    assert not found.holds
    assert found.difference == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("t2i,i2t_k=1,c,lemmatized,M,5,1:-1,0.50,0.5,0.5,coco,True", "task is 't2i', needed one of zeroshot_"),
        ("retrieval,i2t_k=1,c,lemmatized,M,5,all,0.50,0.5,0.5,coco,True", "slice_used is 'all', needed one such as"),
        ("retrieval,i2t_k=1,c,lemmatized,N,5,1:,0.50,0.5,0.5,coco,True", "no scores of N trained on c"),
        ("retrieval,i2t_k=1,c,lemmatized,M,2.5,1:,0.50,0.5,0.5,coco,True", "n_bins is 2.5, needed a whole number"),
        ("retrieval,i2t_k=1,c,lemmatized,M,1e9,1:,0.50,0.5,0.5,coco,True", "n_bins is 1e.09, needed a whole number, 3 to"),
        ("retrieval,i2t_k=1,c,lemmatized,M,,1:,0.50,0.5,0.5,coco,True", "n_bins is empty, needed a number"),
        ("retrieval,i2t_k=1,c,lemmatized,M,5,3:,0.50,0.5,0.5,coco,True", "2 bins are left, needed 3 that differ"),
        ("retrieval,i2t_k=1,c,lemmatized,M,5,1:,0.50,0.5,0.5,coco,True", "binned_curves.csv has 0 of its points"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_made_again_are_refused_by_line(layout, row, message):
    published = read_published(layout({"published_pearson.csv": {3: row}}))
    with pytest.raises(Refusal, match=f"published_pearson.csv line 4: {message}"):
        reproduce_correlations(published)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("zeroshot,lemmatized,ensemble,c,M,1,,20,10,2", "line 3: needed bin, upper_edge above 0 and mean"),
        ("zeroshot,lemmatized,ensemble,c,M,1,0,20,10,2", "line 3: needed bin, upper_edge above 0 and mean"),
        ("zeroshot,lemmatized,ensemble,c,M,,10,20,10,2", "line 3: needed bin, upper_edge above 0 and mean"),
    ],
)
def test_points_without_numbers_are_refused_by_line(layout, point, message):
    with pytest.raises(Refusal, match=f"binned_curves.csv {message}"):
        reproduce_correlations(read_published(layout({"binned_curves.csv": {2: point}})))


def test_a_curve_whose_points_do_not_differ_has_no_r(layout):
    flat = {at: f"zeroshot,lemmatized,ensemble,c,M,{at - 1},{10 ** (at - 1)},20,10,2" for at in range(1, 6)}
    with pytest.raises(Refusal, match=r"line 2: the points of its curve in binned_curves.csv do not differ"):
        reproduce_correlations(read_published(layout({"binned_curves.csv": flat})))


@given(st.lists(st.integers(0, 20), min_size=4, max_size=12, unique=True))
@settings(max_examples=20, deadline=None)
def test_p_is_that_of_another_implementation(values):
    y = np.sin(np.array(values, dtype=np.float64))
    r, p = stats.pearsonr(values, y)
    assert find_p(float(r), len(values)) == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize("text", ["", "1", "-:1", "1:2:3", "a:b"])
def test_what_is_no_slice_is_none(text):
    assert parse_slice(text) is None


def test_every_published_correlation_is_made_again(published_tables):
    found = reproduce_correlations(published_tables)
    assert len(found) == 109
    assert all(one.holds for one in found)
    # Accuracies of five digits leave no more than this.
    assert max(one.difference for one in found) < 1e-5
    assert max(abs(one.from_curve - one.of_curve) for one in found) < 1e-6
    assert {one.binned.n for one in found if one.task == "retrieval"} == {4}
    assert {one.binned.n for one in found if one.task == "zeroshot"} == {8, 9, 10}
    other = {(one.corpus, one.method) for one in found if not one.same_counts}
    assert other == {("laion400m", "lemmatized"), ("laion400m", "rampp0.7")}
    assert all(one.label == one.own_label for one in found if one.same_counts)
    assert all(one.over_concepts.value < one.binned.value for one in found)
