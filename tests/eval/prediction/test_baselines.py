import numpy as np
import pytest
from scipy import sparse

from oddpair.eval.prediction.baselines import (
    DATASET_AND_COUNT,
    DATASET_AND_COUNTS,
    DATASET_MEAN,
    GLOBAL_MEAN,
    predict_by_baselines,
)
from oddpair.eval.prediction.features import ConceptFeatures

N = 120


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(6)
    counts = rng.uniform(0, 5, (N, 3))
    dataset = np.arange(N) % 3
    accuracy = 0.1 + 0.1 * counts[:, 2] + 0.1 * dataset + rng.normal(0, 0.05, N)
    features = ConceptFeatures(
        dataset=dataset,
        counts=counts,
        missing=np.zeros((N, 3), dtype=bool),
        standing=np.zeros((N, 8)),
        words=sparse.csr_array((N, 1)),
    )
    return features, np.clip(accuracy, 0, 1), np.arange(N) // 3 % 5


def held_out(data, predict):
    """What a fit on the other parts foretells of each, part by part."""
    _, accuracy, part = data
    found = np.empty(N)
    for number in range(5):
        test = part == number
        found[test] = predict(~test, test, accuracy)
    return found


def by_least_squares(design):
    import statsmodels.api as sm

    return lambda train, test, y: sm.OLS(y[train], design[train]).fit().predict(design[test])


def test_the_global_mean_is_that_of_the_other_parts(data):
    expected = held_out(data, lambda train, test, y: y[train].mean())
    np.testing.assert_allclose(predict_by_baselines(*data)[GLOBAL_MEAN].mean, expected)


@pytest.mark.parametrize(
    ("name", "column"), [("log text count", 0), ("log image count", 1), ("log joint count", 2)]
)
def test_a_line_in_one_count_is_that_of_polyfit(data, name, column):
    x = data[0].counts[:, column]
    expected = held_out(data, lambda train, test, y: np.polyval(np.polyfit(x[train], y[train], 1), x[test]))
    np.testing.assert_allclose(predict_by_baselines(*data)[name].mean, expected)


@pytest.mark.parametrize(
    ("name", "by_dataset", "columns"),
    [
        ("all log counts", False, [0, 1, 2]),
        (DATASET_MEAN, True, []),
        (DATASET_AND_COUNT, True, [2]),
        (DATASET_AND_COUNTS, True, [0, 1, 2]),
    ],
)
def test_a_fit_by_least_squares_is_that_of_statsmodels(data, name, by_dataset, columns):
    features = data[0]
    first = np.eye(3)[features.dataset] if by_dataset else np.ones((N, 1))
    design = np.column_stack([first, features.counts[:, columns]])
    expected = held_out(data, by_least_squares(design))
    np.testing.assert_allclose(predict_by_baselines(*data)[name].mean, expected)


@pytest.mark.parametrize("name", ["isotonic joint count", "isotonic image count"])
def test_an_isotonic_curve_never_falls_with_the_count(data, name):
    features, _, part = data
    mean = predict_by_baselines(*data)[name].mean
    x = features.counts[:, 2 if "joint" in name else 1]
    for number in range(5):
        rows = np.flatnonzero(part == number)
        assert (np.diff(mean[rows[np.argsort(x[rows])]]) >= 0).all()


def test_a_dataset_without_training_rows_has_the_mean_of_all_others(data):
    features, accuracy, _ = data
    mean = predict_by_baselines(features, accuracy, features.dataset)[DATASET_MEAN].mean
    for number in range(3):
        test = features.dataset == number
        np.testing.assert_allclose(mean[test], accuracy[~test].mean())


def test_intervals_are_the_mean_and_its_residual_deviations_cut_at_the_ends(data):
    _, accuracy, part = data
    found = predict_by_baselines(*data)[GLOBAL_MEAN]
    for number in range(5):
        test = part == number
        reach = 1.6448536 * accuracy[~test].std(ddof=1)
        mean = accuracy[~test].mean()
        np.testing.assert_allclose(found.interval.low[test], max(mean - reach, 0))
        np.testing.assert_allclose(found.interval.high[test], min(mean + reach, 1))


def test_no_baseline_reads_the_part_that_it_predicts(data):
    features, accuracy, part = data
    barred = np.where(part == 2, np.nan, accuracy)
    before, after = (
        predict_by_baselines(features, accuracy, part),
        predict_by_baselines(features, barred, part),
    )
    rows = part == 2
    assert len(before) == 10
    for name, one in before.items():
        assert np.array_equal(one.mean[rows], after[name].mean[rows]), name
        assert np.array_equal(one.interval.low[rows], after[name].interval.low[rows]), name
        assert np.array_equal(one.interval.high[rows], after[name].interval.high[rows]), name
        assert not np.array_equal(one.mean[~rows], after[name].mean[~rows]), name
