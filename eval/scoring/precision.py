"""Average precision of each class over the pictures that it ranks, and its mean over classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from oddpair.eval.intervals import Estimate, normal_quantile
from oddpair.eval.scoring.spread import CENTRED, EXACT_CLUSTERS, OPEN, centred_interval, draw
from oddpair.retrieval.proportion import clopper_pearson

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def average_precision(
    scores: NDArray[np.float32], is_right: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Precision averaged over the right pictures, at the rank of each; tied pictures share the last of their ranks.

    Args:
        scores: Higher is more like the class, shape ``(n,)``.
        is_right: Which pictures show it, shape ``(n,)``, one or more.
        weights: How often each picture counts, shape ``(draws, n)``; once each if left out.

    Returns:
        One value a draw; NaN where no right picture counts, shape ``(draws,)``.

    Raises:
        ValueError: If no picture is right.

    References:
        As ``sklearn.metrics.average_precision_score``: the sum of steps in recall times precision, not interpolated.

    >>> average_precision(np.float32([0.9, 0.8, 0.7]), np.array([True, False, True])).round(4)
    array([0.8333])
    """
    if not is_right.any():
        raise ValueError("no right picture, average precision is undefined")
    counts = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], np.flatnonzero(is_right[order])
    # The last rank that is tied with each right picture; what lies between two of these is counted in one go.
    ends, first = np.unique(np.searchsorted(-ranked, -ranked[right], side="right") - 1, return_index=True)
    starts = np.concatenate([[0], ends[:-1] + 1])
    seen = np.add.reduceat(counts[:, order[: ends[-1] + 1]], starts, axis=1).cumsum(axis=1)
    found = np.add.reduceat(counts[:, order[right]], first, axis=1)
    hits = found.cumsum(axis=1)
    precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    total = hits[:, -1]
    mean: FloatArray = np.divide(
        (found * precision).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    return mean


def estimate_mean_average_precision(
    scores: NDArray[np.float32], is_right: BoolArray, codes: IntArray, *, seed: int
) -> tuple[Estimate, str]:
    """Mean over classes of their average precision, with pictures drawn for the interval.

    Classes without a right picture are left out, in the data and in each draw; ``what`` counts those in the data. Where
    every draw is perfect the interval is Clopper and Pearson's of as many trials as there are pictures.

    Args:
        scores: Shape ``(n, k)``.
        is_right: Shape ``(n, k)``.
        codes: Cluster of each picture, drawn whole, shape ``(n,)``.
        seed: Of the draws.

    Returns:
        The mean, whose support is the pictures, and the name of the interval.

    Raises:
        ValueError: If no class has a right picture.
    """
    shown = np.flatnonzero(is_right.any(axis=0)).tolist()
    if not shown:
        raise ValueError("no picture shows any class, mean average precision is undefined")
    left_out = scores.shape[1] - len(shown)
    what = f"mean average precision of {len(shown)} classes" + (
        f", {left_out} that no picture shows left out" if left_out else ""
    )
    n, n_clusters = len(scores), int(codes.max()) + 1

    def mean_of(weights: FloatArray) -> FloatArray:
        drawn = weights[:, codes]
        each = np.stack([average_precision(scores[:, k], is_right[:, k], drawn) for k in shown], axis=1)
        there = ~np.isnan(each)
        total = np.where(there, each, 0.0).sum(axis=1)
        n_there = there.sum(axis=1)
        means: FloatArray = np.divide(total, n_there, out=np.full(len(total), np.nan), where=n_there > 0)
        return means

    value = float(mean_of(np.ones((1, n_clusters)))[0])
    if n_clusters == 1:
        return Estimate(value=value, low=0.0, high=1.0, n=n, what=what), OPEN
    samples = draw(mean_of, n_clusters, seed)
    if value == 1:
        low = clopper_pearson(n_clusters, n_clusters, 0.975, "lower")
        return Estimate(value=value, low=low, high=1.0, n=n, what=what), EXACT_CLUSTERS
    return centred_interval(value, samples, n=n, what=what), CENTRED


def average_precision_interval(value: float, n_right: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of one class's average precision: normal on the logit scale, for as many trials as right pictures.

    Args:
        value: The average precision, above 0.
        n_right: Pictures that show the class, 1 or more.
        confidence: Coverage of the interval.

    Returns:
        Both ends; for a value of 1, Clopper and Pearson's lower end and 1.

    References:
        Boyd, Eng and Page, Area under the precision-recall curve, ECML PKDD 2013.

    >>> low, high = average_precision_interval(0.5, 16)
    >>> round(low, 3), round(high, 3)
    (0.273, 0.727)
    """
    if value >= 1:
        return clopper_pearson(n_right, n_right, (1 + confidence) / 2, "lower"), 1.0
    reach = normal_quantile(confidence) / np.sqrt(n_right * value * (1 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))
