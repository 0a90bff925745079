import numpy as np
import pytest

from oddpair.eval.prediction.dispersion import Interval
from oddpair.eval.prediction.scoring import compare_r2, is_covered, score

ACCURACY = np.array([0.0, 0.5, 1.0, 0.5])
MEAN = np.array([0.1, 0.5, 0.7, 0.9])
ENDS = Interval(low=np.array([0.0, 0.4, 0.6, 0.7]), high=np.array([0.2, 0.6, 0.9, 1.0]))


def draw_models(seed=0, n=200, models=3):
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0, 1, (n, models))
    dataset = np.arange(n) % 8
    return accuracy, accuracy + rng.normal(0, 0.1, (n, models)), dataset


def compare(accuracy, ours, other, dataset):
    return compare_r2(accuracy, ours, other, dataset, np.random.default_rng(0), what="a gain")


def test_scores_are_those_made_by_hand():
    found = score(ACCURACY, MEAN, ENDS)
    assert found is not None
    assert found.n == 4
    # Squared errors .01, 0, .09 and .16 over squares of .25 and .25 about the mean of a half.
    assert found.r2 == pytest.approx(1 - 0.26 / 0.5)
    assert found.mae == pytest.approx(0.2)
    assert found.coverage90 == 0.5
    # Widths .2, .2, .3 and .3; .1 and .2 lie outside, each tenth of which costs 2.
    assert found.interval_score == pytest.approx((0.2 + 0.2 + 0.3 + 2 + 0.3 + 4) / 4)


def test_rows_without_an_accuracy_or_a_prediction_are_not_scored():
    gaps = score(
        np.append(ACCURACY, [np.nan, 0.3]),
        np.append(MEAN, [0.5, np.nan]),
        Interval(np.append(ENDS.low, [0, 0]), np.append(ENDS.high, [1, 1])),
    )
    assert gaps == score(ACCURACY, MEAN, ENDS)


@pytest.mark.parametrize("accuracy", [[], [0.3], [0.4, 0.4], [np.nan, np.nan]])
def test_accuracies_that_do_not_vary_have_no_score(accuracy):
    values = np.array(accuracy, dtype=float)
    n = len(values)
    assert score(values, np.full(n, 0.5), Interval(low=np.zeros(n), high=np.ones(n))) is None


def test_both_ends_belong_to_an_interval():
    ends = Interval(low=np.full(4, 0.1), high=np.full(4, 0.3))
    assert is_covered(np.array([0.1, 0.3, 0.0999, 0.3001]), ends).tolist() == [True, True, False, False]


def test_equal_predictions_differ_by_exactly_nothing():
    accuracy, ours, dataset = draw_models()
    found = compare(accuracy, ours, ours, dataset)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.n == 8


def test_a_gain_is_the_mean_difference_of_r2_and_turns_its_sign():
    accuracy, ours, dataset = draw_models()
    worse = np.full_like(accuracy, 0.5)
    about = ((accuracy - accuracy.mean(axis=0)) ** 2).sum(axis=0)
    r2 = [1 - ((accuracy - one) ** 2).sum(axis=0) / about for one in (ours, worse)]
    there, back = compare(accuracy, ours, worse, dataset), compare(accuracy, worse, ours, dataset)
    assert there.value == pytest.approx((r2[0] - r2[1]).mean())
    assert there.low > 0
    assert there.low <= there.value <= there.high
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_a_row_that_one_prediction_lacks_is_left_out_of_both():
    accuracy, ours, dataset = draw_models(models=1)
    other = np.full_like(accuracy, 0.5)
    keep = np.arange(200) >= 40
    other[~keep] = np.nan
    found = compare(accuracy, ours, other, dataset)
    kept = compare(accuracy[keep], ours[keep], other[keep], dataset[keep])
    assert found.value == pytest.approx(kept.value)
    assert (found.low, found.high) == pytest.approx((kept.low, kept.high))


def test_one_dataset_tells_no_difference():
    accuracy, ours, _ = draw_models()
    assert compare(accuracy, ours, ours, np.zeros(200, dtype=np.int64)) is None
