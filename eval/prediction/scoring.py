"""How good predictions of accuracies are: explained variance, error, coverage and width of intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.intervals import Estimate, percentile_interval, resample
from oddpair.eval.prediction.dispersion import Interval, interval_score

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_EDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Scores of held-out predictions.

    Attributes:
        n: Rows predicted.
        r2: One minus squared error over that about the rows' own mean, accuracies as fractions.
        mae: Mean absolute error, a fraction.
        coverage90: Share of accuracies inside their 90 % interval.
        interval_score: Mean interval score, a fraction; lower is better.
    """

    n: int
    r2: float
    mae: float
    coverage90: float
    interval_score: float


def score(accuracy: FloatArray, mean: FloatArray, interval: Interval) -> Score | None:
    """Score predictions of the rows whose accuracy is known; ``None`` where it does not vary.

    >>> half = Interval(np.array([0.0, 0.5]), np.array([0.5, 1.0]))
    >>> score(np.array([0.2, 0.8]), np.array([0.3, 0.7]), half).r2.__round__(3)
    0.889
    """
    known = ~np.isnan(accuracy) & ~np.isnan(mean)
    y, predicted = accuracy[known], mean[known]
    kept = Interval(low=interval.low[known], high=interval.high[known])
    if len(y) == 0 or np.ptp(y) == 0:
        return None
    return Score(
        n=len(y),
        r2=float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()),
        mae=float(np.abs(y - predicted).mean()),
        coverage90=float(is_covered(y, kept).mean()),
        interval_score=float(interval_score(kept, y).mean()),
    )


def is_covered(accuracy: FloatArray, interval: Interval) -> NDArray[np.bool_]:
    """Whether accuracies lie in their intervals, ends included."""
    inside: NDArray[np.bool_] = (accuracy >= interval.low - _EDGE) & (accuracy <= interval.high + _EDGE)
    return inside


def compare_r2(
    accuracy: FloatArray,
    ours: FloatArray,
    other: FloatArray,
    dataset: IntArray,
    rng: np.random.Generator,
    *,
    what: str,
) -> Estimate | None:
    """Mean over models of R2 of one prediction minus that of another, with an interval that resamples datasets.

    Args:
        accuracy: Accuracy, NaN where unknown, shape ``(n, m)`` for ``m`` models.
        ours: One prediction, shape ``(n, m)``.
        other: The other, shape ``(n, m)``.
        dataset: Dataset of each row, shape ``(n,)``.
        rng: Draws the datasets, the same for all models and both predictions.
        what: What is estimated, in words.

    Returns:
        The difference; positive where the first is better. ``None`` for fewer than two datasets.
    """
    n_datasets = int(dataset.max()) + 1
    if n_datasets < 2:
        return None
    known = ~np.isnan(accuracy) & ~np.isnan(ours) & ~np.isnan(other)
    y = np.where(known, accuracy, 0.0)

    def summed(values: FloatArray) -> FloatArray:
        kept = np.where(known, values, 0.0)
        return np.stack(
            [np.bincount(dataset, weights=column, minlength=n_datasets) for column in kept.T], axis=1
        )

    n, first, second = summed(np.ones_like(y)), summed(y), summed(y**2)
    lost = summed((accuracy - other) ** 2 - (accuracy - ours) ** 2)

    def statistic(weights: FloatArray) -> FloatArray:
        about = weights @ second - (weights @ first) ** 2 / np.maximum(weights @ n, 1e-12)
        gains: FloatArray = (weights @ lost) / np.maximum(about, 1e-12)
        means: FloatArray = gains.mean(axis=1)
        return means

    value = float(statistic(np.ones((1, n_datasets)))[0])
    return percentile_interval(value, resample(statistic, n_datasets, rng), n=n_datasets, what=what)
