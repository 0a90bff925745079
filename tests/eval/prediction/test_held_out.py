from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from tests.eval.prediction.accuracy_tables import make_table

from oddpair.eval.prediction.features import find_features
from oddpair.eval.prediction.held_out import CONCEPTS, DATASETS, Rows, predict_held_out
from oddpair.eval.prediction.scoring import is_covered
from oddpair.eval.prediction.table import fold_of

SLOPE = 0.7
N = 200
SUPPORT = 50


def plant_rows(seed=0, slope=SLOPE, n_datasets=5, noise=0.5):
    """Rows whose logits rise by the slope with every decade of count, about a level of each dataset."""
    rng = np.random.default_rng(seed)
    dataset = np.arange(N) % n_datasets
    decades = rng.uniform(0.5, 5, N)
    level = rng.normal(-1.5, 0.6, n_datasets)
    true = expit(level[dataset] + slope * decades + rng.normal(0, noise, N))
    rows = [
        {
            "dataset": f"d{dataset[row]}",
            "concept": f"thing{chr(97 + row // 26)}{chr(97 + row % 26)}",
            "accuracy": rng.binomial(SUPPORT, true[row]) / SUPPORT,
            "n": SUPPORT,
            **dict.fromkeys(("count_text", "count_image", "count_joint"), 10 ** decades[row]),
        }
        for row in range(N)
    ]
    table = make_table(rows)
    features = find_features(table)
    chance = np.full(N, n_datasets / N)
    known = Rows(features=features, accuracy=table.accuracy, support=table.n, chance=chance)
    return known, np.array([fold_of(key) for key in table.key.tolist()]), decades, level


def predict(rows, part, whole_datasets=False):
    pooling = DATASETS if whole_datasets else CONCEPTS
    return predict_held_out(rows, part, pooling, whole_datasets=whole_datasets)


def slope_of(mean, decades, dataset):
    """Common slope of the logits within datasets."""
    design = np.column_stack([np.eye(int(dataset.max()) + 1)[dataset], decades])
    return np.linalg.lstsq(design, logit(np.clip(mean, 0.005, 0.995)), rcond=None)[0][-1]


@pytest.mark.parametrize("slope", [0.0, 0.4, SLOPE])
def test_a_planted_slope_in_the_count_is_predicted_of_new_concepts(slope):
    found = []
    for seed in range(4):
        rows, part, decades, _ = plant_rows(seed=seed, slope=slope)
        found.append(slope_of(predict(rows, part).mean, decades, rows.features.dataset))
    # A prior pulls it towards nothing, and guesses lift the lowest accuracies.
    assert np.mean(found) == pytest.approx(slope, abs=0.12)


def test_a_planted_slope_in_the_count_is_predicted_of_new_datasets():
    found = []
    for seed in range(4):
        rows, _, decades, _ = plant_rows(seed=seed)
        found.append(
            slope_of(predict(rows, rows.features.dataset, True).mean, decades, rows.features.dataset)
        )
    # The unknown level of a new dataset flattens its mean: logits are divided by sqrt(1 + pi / 8).
    assert np.mean(found) == pytest.approx(SLOPE / np.sqrt(1 + np.pi / 8), abs=0.15)


def test_planted_levels_of_datasets_are_predicted_of_new_concepts():
    rows, part, decades, level = plant_rows()
    mean = predict(rows, part).mean
    for number in range(5):
        mine = rows.features.dataset == number
        residual = logit(mean[mine]) - SLOPE * decades[mine]
        assert residual.mean() == pytest.approx(level[number], abs=0.4)


@pytest.mark.parametrize(("whole_datasets", "low", "high"), [(False, 0.87, 0.94), (True, 0.80, 0.98)])
def test_intervals_of_planted_accuracies_hold_near_nine_in_ten(whole_datasets, low, high):
    covered = []
    for seed in range(5):
        rows, part, _, _ = plant_rows(seed=seed)
        found = predict(rows, rows.features.dataset if whole_datasets else part, whole_datasets)
        covered.append(is_covered(rows.accuracy, found.interval).mean())
    assert low <= np.mean(covered) <= high


@pytest.mark.parametrize("whole_datasets", [False, True], ids=["concepts", "datasets"])
def test_no_part_reads_its_own_accuracies(whole_datasets):
    rows, part, _, _ = plant_rows()
    if whole_datasets:
        part = rows.features.dataset
    before = predict(rows, part, whole_datasets)
    for number in np.unique(part)[:3].tolist():
        mine = part == number
        for value in (0.0, 1.0):
            altered = replace(rows, accuracy=np.where(mine, value, rows.accuracy))
            after = predict(altered, part, whole_datasets)
            assert np.array_equal(before.mean[mine], after.mean[mine])
            assert np.array_equal(before.interval.low[mine], after.interval.low[mine])
            assert np.array_equal(before.interval.high[mine], after.interval.high[mine])
            assert not np.array_equal(before.mean[~mine], after.mean[~mine])


def test_an_unknown_accuracy_is_predicted_by_all_that_is_known_also_of_its_part():
    rows, part, _, _ = plant_rows()
    hidden = np.zeros(N, dtype=bool)
    hidden[np.flatnonzero(part == 3)[0]] = True
    unknown = replace(rows, accuracy=np.where(hidden, np.nan, rows.accuracy))
    mates = (part == 3) & ~hidden
    moved = replace(unknown, accuracy=np.where(mates, 0.0, unknown.accuracy))
    one, other = predict(unknown, part), predict(moved, part)
    assert np.isfinite(one.mean).all()
    assert other.mean[hidden][0] < one.mean[hidden][0]


def test_predictions_are_rates_and_lie_with_their_intervals_between_zero_and_one():
    rows, part, _, _ = plant_rows(slope=2.0)
    found = predict(rows, part)
    assert ((found.mean > 0) & (found.mean < 1)).all()
    assert ((found.interval.low >= 0) & (found.interval.high <= 1)).all()
    assert (found.interval.low <= found.interval.high).all()


def test_two_parts_are_enough_and_one_is_told():
    rows, part, _, _ = plant_rows()
    assert np.isfinite(predict(rows, part % 2).mean).all()
    with pytest.raises(ValueError, match="problem 0 has no rows to be trained on"):
        predict(rows, np.zeros(N, dtype=np.int64))
