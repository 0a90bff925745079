import numpy as np
import pytest

from oddpair.eval.scoring.calibration import calibration_error
from oddpair.eval.scoring.spread import BINNED, EXACT_CLUSTERS, OPEN


def test_the_error_is_that_of_a_loop_over_fifteen_bins(rng):
    confidence, credit = rng.random(400), (rng.random(400) < 0.5).astype(float)
    confidence[:3] = [1.0, 1 / 15, 3 / 15]
    found, interval = calibration_error(confidence, credit, np.arange(400), seed=0)
    wanted = 0.0
    for number in range(15):
        within = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if within.any():
            wanted += within.mean() * abs(credit[within].mean() - confidence[within].mean())
    assert found.value == pytest.approx(wanted)
    assert (found.n, interval) == (400, BINNED)
    assert found.low < found.value < found.high


def test_clusters_are_drawn_whole(rng):
    confidence, credit = rng.random(100), (rng.random(100) < 0.5).astype(float)
    many = calibration_error(
        np.repeat(confidence, 4), np.repeat(credit, 4), np.repeat(np.arange(100), 4), seed=0
    )
    once = calibration_error(confidence, credit, np.arange(100), seed=0)
    assert many[0].high == pytest.approx(once[0].high)


def test_a_sure_and_right_model_has_no_error_and_the_exact_interval():
    found, interval = calibration_error(np.ones(40), np.ones(40), np.arange(40), seed=0)
    assert (found.value, found.low, interval) == (0, 0, EXACT_CLUSTERS)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 40))


def test_a_perfectly_calibrated_model_scores_above_0_and_the_more_so_of_fewer_answers(rng):
    errors = []
    for n in (100, 2500):
        confidence = rng.random(n)
        found, _ = calibration_error(
            confidence, (rng.random(n) < confidence).astype(float), np.arange(n), seed=0
        )
        errors.append(found.value)
    assert errors[0] > 2 * errors[1] > 0.01


def test_a_single_cluster_says_nothing():
    found, interval = calibration_error(np.full(3, 0.5), np.ones(3), np.zeros(3, dtype=int), seed=0)
    assert (found.value, found.low, found.high, interval) == (0.5, 0, 1, OPEN)
