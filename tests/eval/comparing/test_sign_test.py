import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from oddpair.eval.comparing.sign_test import adjust_holm, flip_signs


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_with_one_question_a_cluster_it_is_mcnemars_exact_test(wins, losses, draws):
    signs = np.r_[np.ones(wins), -np.ones(losses), np.zeros(draws), 0]
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert flip_signs(signs, np.arange(len(signs))) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 7)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_p_is_the_share_of_all_exchanges_of_clusters_that_differ_as_much(rows):
    signs, clusters = np.array(rows).T
    sums = [signs[clusters == cluster].sum() for cluster in np.unique(clusters)]
    reached = [
        abs(np.dot(flips, sums)) >= abs(sum(sums)) for flips in itertools.product([-1, 1], repeat=len(sums))
    ]
    assert flip_signs(signs, clusters) == pytest.approx(np.mean(reached))


def test_questions_that_go_alike_are_no_evidence_of_their_own():
    signs = np.repeat([1, 1, 1, -1], 50)
    assert flip_signs(signs, np.arange(200)) < 1e-9
    assert flip_signs(signs, np.repeat(range(4), 50)) == pytest.approx(10 / 16)


def test_a_huge_lead_has_a_p_above_nothing():
    p = flip_signs(np.ones(1000), np.arange(1000))
    assert p == pytest.approx(2.0**-999, rel=1e-6)


def test_answers_and_clusters_of_other_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"answers \(2,\) and clusters \(3,\)"):
        flip_signs([1, 1], [0, 1, 2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_holms_adjustment_is_that_of_statsmodels(p_values):
    assert adjust_holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_no_tests_need_no_adjustment():
    assert adjust_holm([]) == ()
