from dataclasses import replace

import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import plain_rows

from oddpair.eval.composing.pmi_gap_rows import rows_of_table
from oddpair.eval.prediction.table import AccuracyTable

NONE = np.full(6, np.nan)


def table(**columns):
    whole = {
        "model": np.array(["a", "a", "a", "b", "b", "b"]),
        "corpus": np.full(6, "c"),
        "dataset": np.array(["x", "x", "y", "x", "x", "y"]),
        "concept": np.array(["Cat", "dog", "cats_eye", "Cat", "dog", "cat"]),
        "accuracy": np.array([0.5, 1.0, np.nan, 0.25, 0.75, 0.5]),
        "n": np.array([4.0, 4, 8, 4, 4, 8]),
        "count_text": np.array([9.0, 99, 9, 9, np.nan, 9]),
        "count_image": NONE,
        "count_joint": np.array([0.0, 9, 9, 0, 9, np.nan]),
        "pmi": np.array([1.0, -1, 0, 2, 3, 2]),
    }
    return AccuracyTable(**whole | columns)


def test_samples_of_one_set_and_one_pmi_are_one_row_whatever_their_order():
    correct, pmi = np.array([1.0, 0, 1, 0.5, 0.5]), np.array([2.0, 0, 0, 0, 0])
    sets = np.array(["cat", "dog", "dog", "owl", "owl"])
    rows = plain_rows(correct, pmi, sets)
    assert rows.samples.tolist() == [1, 2, 2]
    assert rows.accuracy.tolist() == [1, 0.5, 0.5]
    # Right and wrong vary, two half scores do not.
    assert rows.spread.tolist() == [0, 0.25, 0]
    order = np.array([4, 2, 0, 3, 1])
    again = plain_rows(correct[order], pmi[order], sets[order])
    assert again.accuracy.tolist() == rows.accuracy.tolist()
    assert again.cluster.tolist() == rows.cluster.tolist() == [0, 1, 2]


def test_a_share_of_several_samples_is_that_many_right_and_wrong_ones():
    shares = plain_rows([0.75], [1.0], samples=[4.0])
    singles = plain_rows([1, 1, 1, 0], [1.0] * 4, cluster=[0] * 4)
    assert shares.spread == singles.spread == pytest.approx(0.75 * 0.25)
    assert shares.samples == singles.samples


def test_a_table_gives_rows_of_each_model_with_the_count_that_is_known_most():
    found = rows_of_table(table())
    assert list(found) == ["a", "b"]
    assert found["a"].names == found["b"].names == ("log10 count_text",)
    assert found["a"].controls[:, 0].tolist() == [1, 2]
    # The dog of b has no text count; the cats of two datasets are one concept.
    assert found["b"].cluster.tolist() == [0, 0]
    assert found["b"].group.tolist() == [0, 1]
    assert found["b"].samples.tolist() == [4, 8]
    joint = rows_of_table(table(count_text=NONE))
    assert joint["a"].names == ("log10 count_joint",)


def test_a_table_without_counts_has_no_controls_and_one_without_pmi_no_rows():
    without = rows_of_table(replace(table(), count_text=NONE, count_joint=NONE))
    assert without["a"].controls.shape == (2, 0)
    assert without["b"].pmi.tolist() == [2, 3, 2]
    assert rows_of_table(table(pmi=NONE)) == {}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"correct": [0.5, 1.5]}, "share of samples that are right lies outside 0 to 1"),
        ({"correct": [0.5, np.nan]}, "share of samples that are right lies outside 0 to 1"),
        ({"pmi": [0.0, -np.inf]}, "pmi holds a value that is not finite"),
        ({"controls": [[0.0], [np.nan]]}, "controls holds a value that is not finite"),
        ({"samples": [1.0, 0.0]}, "no samples"),
        ({"correct": [1.0]}, "have shapes"),
        ({"correct": [], "pmi": []}, "no rows"),
    ],
    ids=["share", "no-share", "pmi", "controls", "samples", "shape", "empty"],
)
def test_rows_that_are_none_are_refused(columns, told):
    with pytest.raises(ValueError, match=told):
        plain_rows(**{"correct": [0.0, 1.0], "pmi": [0.0, 1.0]} | columns)
