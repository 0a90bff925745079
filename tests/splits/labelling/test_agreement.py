"""Kappa is what its papers and statsmodels say it is."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import cohens_kappa

from oddpair.splits.labelling.agreement import cohen_kappa, cross


def test_kappa_of_a_table_worked_by_hand():
    # Observed 35 / 50; expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    found = cohen_kappa([[20, 5], [10, 15]])
    assert found.value == pytest.approx(0.4)
    # Diagonal: 0.4 (1 - 1.1 * 0.6)^2 + 0.3 (1 - 0.9 * 0.6)^2 = 0.10972; crossed: 0.36 (0.1 * 1.1^2 + 0.2 * 0.9^2) with
    # the row's share as a column: cell (1, 2) weighs 0.6 + 0.5, cell (2, 1) 0.4 + 0.5; (0.4 - 0.5 * 0.6)^2 = 0.01.
    spread = 0.10972 + 0.36 * (0.1 * 1.1**2 + 0.2 * 0.9**2) - 0.01
    error = math.sqrt(spread / 50) / 0.5
    assert found.high - found.value == pytest.approx(1.959964 * error, rel=1e-6)
    assert (found.agreed, found.n) == (35, 50)


@settings(max_examples=60, deadline=None)
@given(arrays(np.int64, (3, 3), elements=st.integers(0, 40)))
def test_kappa_and_its_interval_are_those_of_statsmodels(table):
    assume((table.sum(0) > 0).sum() > 1 or (table.sum(1) > 0).sum() > 1)
    with np.errstate(all="ignore"):
        theirs = cohens_kappa(table)
    ours = cohen_kappa(table)
    assert ours.value == pytest.approx(theirs.kappa, abs=1e-12)
    # Where their variance is 0, it may come out as less than that.
    assume(not np.isnan(theirs.kappa_low))
    assert ours.low == pytest.approx(max(theirs.kappa_low, -1), abs=1e-7)
    assert ours.high == pytest.approx(min(theirs.kappa_upp, 1), abs=1e-7)


@given(arrays(np.int64, (3, 3), elements=st.integers(1, 40)), st.permutations(range(3)))
def test_kappa_depends_neither_on_who_is_first_nor_on_the_order_of_labels(table, order):
    found = cohen_kappa(table)
    for other in (table.T, table[np.ix_(order, order)]):
        assert cohen_kappa(other).value == pytest.approx(found.value)
        assert cohen_kappa(other).low == pytest.approx(found.low)


def test_full_agreement_is_one_and_its_bound_depends_on_how_much_was_seen():
    small, large = cohen_kappa(np.diag([2, 3])), cohen_kappa(np.diag([200, 300]))
    assert small.value == large.value == small.low == small.high == 1
    # Clopper and Pearson: with all n alike the lower end is (alpha / 2) ** (1 / n).
    assert small.agreed_low == pytest.approx(0.025 ** (1 / 5))
    assert large.agreed_low == pytest.approx(0.025 ** (1 / 500))


def test_kappa_is_undefined_where_all_have_one_label_and_says_so():
    found = cohen_kappa([[7, 0], [0, 0]])
    assert math.isnan(found.value)
    assert "kappa is undefined" in found.text
    assert cohen_kappa([[0, 7], [0, 0]]).value == 0


@pytest.mark.parametrize("table", [np.zeros((2, 2)), np.ones((2, 3)), [[1, -1], [0, 1]], [1, 2]])
def test_what_is_no_table_of_counts_is_an_error(table):
    with pytest.raises(ValueError, match="needed a square of counts"):
        cohen_kappa(table)


def test_only_what_both_labelled_is_compared_and_an_unknown_label_is_kept():
    names, counts = cross({"a": "x", "b": "y", "c": "x"}, {"a": "z", "b": "y", "d": "x"}, ("x", "y"))
    assert names == ("x", "y", "z")
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
