import math

import numpy as np
import pytest
from tests.eval.composing.test_objects import make_samples

from oddpair.eval.composing.object_features import (
    CANDIDATES,
    LOG_ODDS,
    LOG_PRODUCT,
    MEAN_LOG,
    MIN_LOG,
    PMI,
    SIZE,
    make_design,
    measure,
    tell_apart,
)


def test_features_are_what_the_counts_of_each_object_say():
    samples = make_samples()
    assert measure(samples, MEAN_LOG)[0] == pytest.approx((1 + 2) / 2)
    assert measure(samples, MEAN_LOG)[3] == pytest.approx((1 + 2 + math.log10(6)) / 3)
    assert measure(samples, MIN_LOG)[3] == pytest.approx(math.log10(6))
    assert measure(samples, LOG_PRODUCT)[0] == pytest.approx(3)
    odds = math.log10(10 / 992) + math.log10(100 / 902)
    assert measure(samples, LOG_ODDS)[0] == pytest.approx(odds)
    assert measure(samples, SIZE).tolist() == [2, 2, 1, 3]


def test_an_unseen_set_has_no_pmi():
    pmi = measure(make_samples(pmi=np.full(4, 0.5)), PMI)
    assert pmi[:3].tolist() == [0.5] * 3
    assert np.isnan(pmi[3])


def test_a_count_of_0_is_kept_as_a_logarithm_of_0():
    samples = make_samples(counts=np.zeros(8), count_set=np.zeros(4))
    assert measure(samples, MEAN_LOG).tolist() == [0] * 4
    assert np.isfinite(measure(samples, LOG_ODDS)).all()


def test_a_full_count_has_finite_odds():
    samples = make_samples(counts=np.full(8, 1000.0))
    assert measure(samples, LOG_ODDS)[2] == pytest.approx(math.log10(1001))


def test_columns_that_do_not_vary_or_are_not_known_tell_nothing():
    samples = make_samples()
    assert tell_apart(samples, (MEAN_LOG,))
    assert tell_apart(samples, (MEAN_LOG, SIZE))
    assert not tell_apart(samples.take(np.array([0, 1])), (MEAN_LOG,))
    assert not tell_apart(make_samples(corpus_size=np.full(4, np.nan)), (LOG_ODDS,))
    # Of sets of one size the product says what the mean says.
    assert not tell_apart(samples.take(np.array([0, 1])), (MEAN_LOG, LOG_PRODUCT))


def test_a_design_has_a_level_for_each_model():
    samples = make_samples(model=np.array(["a", "b", "a", "b"]))
    design = make_design(samples, (SIZE,), samples.models)
    assert design.tolist() == [[1, 0, 2], [0, 1, 2], [1, 0, 1], [0, 1, 3]]


def test_no_candidate_needs_what_an_unseen_set_has_not():
    assert all(PMI not in columns for columns in CANDIDATES.values())
    with pytest.raises(ValueError, match="no feature 'PMI squared'; there are mean log count"):
        measure(make_samples(), "PMI squared")
