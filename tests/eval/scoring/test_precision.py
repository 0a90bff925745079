import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from oddpair.eval.scoring.precision import (
    average_precision,
    average_precision_interval,
    estimate_mean_average_precision,
)
from oddpair.eval.scoring.spread import CENTRED, EXACT_CLUSTERS, OPEN


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 12))
def test_average_precision_is_sklearns_with_ties_and_with_draws(seed, n, n_values):
    rng = np.random.default_rng(seed)
    scores = rng.integers(n_values, size=n).astype(np.float32)
    is_right = rng.random(n) < 0.4
    is_right[rng.integers(n)] = True
    weights = rng.multinomial(n, np.full(n, 1 / n), size=5).astype(float)
    assert average_precision(scores, is_right)[0] == pytest.approx(average_precision_score(is_right, scores))
    for row, found in zip(weights, average_precision(scores, is_right, weights), strict=True):
        if row[is_right].sum() == 0:
            assert np.isnan(found)
        else:
            drawn = np.repeat(np.arange(n), row.astype(int))
            assert found == pytest.approx(average_precision_score(is_right[drawn], scores[drawn]))


def test_no_right_picture_is_an_error():
    with pytest.raises(ValueError, match="no right picture"):
        average_precision(np.ones(3, dtype=np.float32), np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="no picture shows any class"):
        estimate_mean_average_precision(
            np.ones((3, 2), dtype=np.float32), np.zeros((3, 2), dtype=bool), np.arange(3), seed=0
        )


def test_classes_without_a_picture_are_left_out_and_counted(rng):
    scores, is_right = rng.random((50, 4)).astype(np.float32), rng.random((50, 4)) < 0.3
    is_right[:, 2] = False
    found, interval = estimate_mean_average_precision(scores, is_right, np.arange(50), seed=0)
    wanted = np.mean([average_precision_score(is_right[:, k], scores[:, k]) for k in (0, 1, 3)])
    assert found.value == pytest.approx(wanted)
    assert (found.n, interval) == (50, CENTRED)
    assert found.what == "mean average precision of 3 classes, 1 that no picture shows left out"
    assert found.low < found.value < found.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says(rng):
    # Normal scores, one apart: the truth is that of very many pictures.
    def draw(n):
        is_right = rng.random((n, 1)) < 0.3
        return (rng.standard_normal((n, 1)) + is_right).astype(np.float32), is_right

    scores, is_right = draw(200_000)
    truth = average_precision(scores[:, 0], is_right[:, 0])[0]
    held = 0
    for seed in range(60):
        scores, is_right = draw(150)
        found, _ = estimate_mean_average_precision(scores, is_right, np.arange(150), seed=seed)
        held += found.low <= truth <= found.high
    # Of 60 intervals at 95 %, fewer than 50 would be a chance of one in a thousand.
    assert held >= 50


def test_a_perfect_ranking_and_a_single_cluster_have_the_widest_intervals_that_fit():
    scores = np.array([[0.9], [0.8], [0.1]], dtype=np.float32)
    is_right = np.array([[True], [True], [False]])
    found, interval = estimate_mean_average_precision(scores, is_right, np.arange(3), seed=0)
    assert [found.low, found.high] == pytest.approx([0.025 ** (1 / 3), 1])
    assert interval == EXACT_CLUSTERS
    found, interval = estimate_mean_average_precision(scores, is_right, np.zeros(3, dtype=int), seed=0)
    assert (found.low, found.high, interval) == (0, 1, OPEN)


def test_the_interval_of_a_perfect_class_is_the_exact_one():
    assert list(average_precision_interval(1.0, 20)) == pytest.approx([0.025 ** (1 / 20), 1])
