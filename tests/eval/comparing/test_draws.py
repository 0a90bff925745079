import numpy as np
import pytest
from scipy.stats import norm, t

from oddpair.eval.comparing.answers import Answers
from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.intervals import widen_confidence


def test_the_same_cluster_has_one_number_in_all_tasks():
    first = Answers(questions=["1", "2", "3"], clusters=["dog", "cat", "dog"], credit=np.ones(3))
    second = Answers(questions=["4", "5"], clusters=["elk", "dog"], credit=np.ones(2))
    codes, n_clusters = code_clusters([first, second])
    assert ([code.tolist() for code in codes], n_clusters) == ([[1, 0, 1], [2, 1]], 3)


def test_a_shared_cluster_is_drawn_in_all_columns_together():
    values, codes = np.arange(12.0), np.repeat(np.arange(4), 3)
    drawn = draw_means([values, values + 5, values[:3]], [codes, codes, codes[:3]], 4, seed=1)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 5)
    # The third column has one cluster: its mean where it is drawn, and none where it is not.
    assert set(np.unique(drawn[:, 2][~np.isnan(drawn[:, 2])])) == {1.0}
    assert np.isnan(drawn[:, 2]).mean() == pytest.approx((3 / 4) ** 4, abs=0.05)


def test_the_spread_of_drawn_means_is_that_of_theory():
    rng = np.random.default_rng(0)
    values, codes = rng.random(600), np.repeat(np.arange(60), 10)
    drawn = draw_means([values], [codes], 60, seed=0)
    means = values.reshape(60, 10).mean(axis=1)
    assert drawn.std() == pytest.approx(means.std() / 60**0.5, rel=0.06)


@pytest.mark.parametrize("n_clusters", [2, 3, 20, 5000])
def test_percentiles_are_as_far_out_as_students_interval_is_wider(n_clusters):
    wide = widen_confidence(0.95, n_clusters)
    assert 0.95 < wide < 1
    # By the definition of the expanded percentile interval.
    tail = norm.cdf(-((n_clusters / (n_clusters - 1)) ** 0.5) * t.ppf(0.975, n_clusters - 1))
    assert (1 - wide) / 2 == pytest.approx(tail, abs=1e-12)
