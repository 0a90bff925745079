import numpy as np
import pytest

from oddpair.eval.concept_rows import ConceptRows

PAIRS = {
    "group": np.array(["w", "w", "w"]),
    "target": np.array(["cat", "dog", "cat"]),
    "partner": np.array(["dog", "cat", "fox"]),
    "successes": np.array([1, 2, 0]),
    "trials": np.array([4, 4, 1]),
    "count": np.array([99, 9, 99]),
    "partner_count": np.array([9, 99, 0]),
    "pair_count": np.array([7, 7, 0]),
    "expected": np.array([2.0, 2.0, 1.5]),
}


def test_features_are_log10_of_one_plus_count_and_smoothed_pmi():
    rows = ConceptRows(**PAIRS)
    assert rows.feature("log count") == pytest.approx(np.array([2.0, 1.0, 2.0]))
    assert rows.feature("log count squared") == pytest.approx(np.array([4.0, 1.0, 4.0]))
    assert rows.feature("log partner count") == pytest.approx(np.array([1.0, 2.0, 0.0]))
    assert rows.feature("PMI") == pytest.approx(np.log([3.0, 3.0, 0.25]))
    assert rows.accuracy.tolist() == [0.25, 0.5, 0.0]
    assert rows.unseen.tolist() == [False, False, True]


def test_both_orders_are_one_pair_but_worlds_keep_their_pairs_apart():
    rows = ConceptRows(**PAIRS)
    assert rows.pair[0] == rows.pair[1] != rows.pair[2]
    apart = ConceptRows(**PAIRS | {"group": np.array(["w", "v", "w"])})
    assert len(set(apart.pair.tolist())) == 3


def test_a_design_has_one_intercept_per_group_before_its_features():
    rows = ConceptRows(**PAIRS | {"group": np.array(["w", "v", "w"])})
    design = rows.design(["log count"], ["v", "w"])
    assert design.tolist() == [[0, 1, 2], [1, 0, 1], [0, 1, 2]]
    with pytest.raises(ValueError, match=r"group 'w' at row 0 is not one of \['v'\]"):
        rows.design([], ["v"])


def test_taking_rows_keeps_every_column_aligned():
    taken = ConceptRows(**PAIRS).take(np.array([2, 0]))
    assert taken.target.tolist() == ["cat", "cat"]
    assert taken.partner.tolist() == ["fox", "dog"]
    assert taken.feature("PMI") == pytest.approx(np.log([0.25, 3.0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": np.array([4, 4, 0])}, "row 2 has no trials"),
        ({"successes": np.array([1, 5, 0])}, "row 1 has 5 successes in 4 trials"),
        ({"count": np.array([1, -1, 0])}, "count at row 1 is negative"),
        ({"count": np.array([1, 1])}, "count has shape"),
        ({"expected": np.array([1.0, 0.0, 1.0])}, "expected counts must be positive"),
        ({"partner": np.array(["dog", "cat", "dog"])}, r"row 2 repeats .*\('w', 'cat', 'dog'\)"),
        ({"partner": np.array(["dog", "dog", "fox"])}, "row 1 pairs 'dog' with itself"),
        ({name: column[:0] for name, column in PAIRS.items()}, "no rows"),
    ],
)
def test_rows_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ConceptRows(**PAIRS | changes)


def test_one_object_rows_have_no_pair_features():
    single = {name: PAIRS[name] for name in ("group", "successes", "trials", "count")}
    rows = ConceptRows(target=np.array(["cat", "dog", "fox"]), partner=np.array(["", "", ""]), **single)
    assert rows.feature("log count") == pytest.approx(np.array([2.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="no pair_count, which only pairs have"):
        rows.feature("PMI")
    with pytest.raises(ValueError, match="no feature 'log counts'; there are log count, "):
        rows.feature("log counts")
