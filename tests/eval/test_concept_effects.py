import numpy as np
import pytest

from oddpair.eval.concept_effects import (
    check_identified,
    find_informative,
    make_concept_dummies,
    residuals_of,
)
from oddpair.eval.concept_rows import ConceptRows


def rows_of(*rows):
    target, partner, hits = zip(*rows, strict=True)
    return ConceptRows(
        group=np.full(len(rows), "w"),
        target=np.array(target),
        partner=np.array(partner),
        successes=np.array(hits),
        trials=np.full(len(rows), 4),
        count=np.full(len(rows), 10),
    )


def test_concepts_with_hits_only_or_misses_only_are_left_out_until_none_is_left():
    # Target d is all hits; without it, partner z is all misses; without that, target c is all hits.
    rows = rows_of(
        ("a", "x", 1), ("a", "y", 3), ("b", "x", 2), ("b", "y", 1), ("d", "z", 4), ("c", "z", 0), ("c", "x", 4),
    )  # fmt: skip
    kept, dropped = find_informative(rows)
    assert kept.tolist() == [True, True, True, True, False, False, False]
    assert dropped.targets == ("c", "d")
    assert dropped.partners == ("z",)
    assert dropped.n_rows == 3


def test_rows_of_hits_only_leave_nothing_to_compare():
    with pytest.raises(ValueError, match="nothing is left to compare"):
        find_informative(rows_of(("a", "x", 4), ("b", "x", 4)))


def test_dummies_span_every_target_and_partner_once():
    rows = rows_of(("a", "x", 1), ("a", "y", 3), ("b", "x", 2), ("b", "y", 1))
    dummies = make_concept_dummies(rows)
    assert dummies.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert np.linalg.matrix_rank(dummies) == 3


def test_a_column_that_concepts_fix_is_refused_and_one_that_they_do_not_passes():
    dummies = make_concept_dummies(rows_of(("a", "x", 1), ("a", "y", 3), ("b", "x", 2), ("b", "y", 1)))
    check_identified(np.array([1.0, 0.0, 0.0, 0.0]), dummies)
    with pytest.raises(ValueError, match="together fix the effect"):
        check_identified(np.array([1.0, 0.0, 1.0, 0.0]), dummies)


def test_residuals_have_nothing_left_in_common_with_the_controls():
    rng = np.random.default_rng(0)
    controls, values = rng.normal(size=(20, 3)), rng.normal(size=20)
    assert controls.T @ residuals_of(values, controls) == pytest.approx(np.zeros(3), abs=1e-12)
