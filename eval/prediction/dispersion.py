"""How far accuracies scatter about their predictions, and intervals that hold nine in ten of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

COVERAGE = 0.9
# Correlations of two answers about one concept among which the likeliest is taken.
_GRID = 1 / (1 + np.exp(-np.linspace(-6, 3, 19)))
# A group of few concepts borrows from all as if it had as many concepts more, which scatter as all do.
_BORROWED = 20.0
# Accuracies are told on a grid no finer than this: what 1,000 pictures would add to 200 is lost in the scatter.
_FINEST = 200
_LEAST = 1e-4


class Interval(NamedTuple):
    """Lower and upper ends of prediction intervals, each of shape ``(n,)``."""

    low: FloatArray
    high: FloatArray


def fit_dispersion(
    mean: FloatArray, accuracy: FloatArray, support: FloatArray, group: IntArray, n_groups: int
) -> FloatArray:
    """Fit the dispersion of accuracies about held-out predictions, group by group, with partial pooling.

    Accuracy times support is beta-binomial with the predicted mean; the dispersion is the correlation of two
    answers about one concept, 0 for binomial noise alone.

    Args:
        mean: Predicted mean accuracy of rows that the prediction has not met, shape ``(n,)``.
        accuracy: Their accuracy, shape ``(n,)``.
        support: Samples behind it, shape ``(n,)``.
        group: Group of each row, 0 to ``n_groups - 1``, shape ``(n,)``.
        n_groups: Number of groups; one without rows gets the dispersion of all.

    Returns:
        Likeliest dispersion of each group, shape ``(n_groups,)``.
    """
    hits = accuracy * support
    fits = np.stack([_log_likelihood(hits, support, mean, rho) for rho in _GRID], axis=1)
    pooled = fits.mean(axis=0) if len(fits) else np.zeros(len(_GRID))
    sums = np.stack(
        [np.bincount(group, weights=column, minlength=n_groups) for column in fits.T], axis=1
    ).reshape(n_groups, len(_GRID))
    return np.asarray(_GRID[np.argmax(sums + _BORROWED * pooled, axis=1)])


def find_intervals(
    mean: FloatArray, dispersion: FloatArray, support: FloatArray, coverage: float = COVERAGE
) -> Interval:
    """Find for each row the shortest run of possible accuracies that holds about that share of probability.

    Accuracies of few samples come in steps, of which no run may hold the share exactly: the run just above it and
    the best one a step shorter are compared, and the nearer to it is taken.

    Args:
        mean: Predicted mean accuracy, shape ``(n,)``.
        dispersion: Correlation of two answers about the row's concept, shape ``(n,)``.
        support: Samples that the accuracy will be of, shape ``(n,)``.
        coverage: Share wanted, between 0 and 1.

    Returns:
        Ends of the intervals, possible accuracies both; both belong to the interval.
    """
    steps = np.clip(np.round(support), 1, _FINEST).astype(np.int64)
    low, high = np.empty(len(mean)), np.empty(len(mean))
    for n in np.unique(steps).tolist():
        rows = np.flatnonzero(steps == n)
        # Bounded blocks: rows times accuracies squared.
        for block in np.array_split(rows, max(1, len(rows) * n * n // 20_000_000)):
            first, last = _shortest(_masses(mean[block], dispersion[block], n), coverage)
            low[block], high[block] = first / n, last / n
    return Interval(low=low, high=high)


def interval_score(interval: Interval, accuracy: FloatArray, coverage: float = COVERAGE) -> FloatArray:
    """Score intervals: width, plus what lies outside times ``2 / (1 - coverage)``; lower is better.

    Accuracies as fractions, so that 0.01 is one point.

    References:
        Gneiting and Raftery, Journal of the American Statistical Association 102, 2007, section 6.2.

    >>> round(float(interval_score(Interval(np.array([0.2]), np.array([0.6])), np.array([0.7]))[0]), 3)
    2.4
    """
    outside = np.maximum(interval.low - accuracy, 0) + np.maximum(accuracy - interval.high, 0)
    score: FloatArray = interval.high - interval.low + 2 / (1 - coverage) * outside
    return score


def _shape(mean: FloatArray, dispersion: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    bounded = np.clip(mean, _LEAST, 1 - _LEAST)
    size = (1 - dispersion) / dispersion
    return bounded * size, (1 - bounded) * size


def _log_likelihood(hits: FloatArray, support: FloatArray, mean: FloatArray, rho: float) -> FloatArray:
    a, b = _shape(mean, rho)
    fit: FloatArray = betaln(hits + a, support - hits + b) - betaln(a, b)
    return fit


def _masses(mean: FloatArray, dispersion: FloatArray, n: int) -> FloatArray:
    a, b = _shape(mean, dispersion)
    k = np.arange(n + 1.0)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    masses: FloatArray = np.exp(choose + betaln(k + a[:, None], n - k + b[:, None]) - betaln(a, b)[:, None])
    normed: FloatArray = masses / masses.sum(axis=1, keepdims=True)
    return normed


def _shortest(masses: FloatArray, coverage: float) -> tuple[IntArray, IntArray]:
    rows, n = len(masses), masses.shape[1]
    below = np.concatenate([np.zeros((rows, 1)), np.cumsum(masses, axis=1)], axis=1)
    # For every first accuracy, how many it takes to reach the share; n + 1 where it is out of reach.
    held = below[:, None, 1:] - below[:, :-1, None]
    last = np.argmax(held >= coverage - 1e-12, axis=2)
    reached = np.take_along_axis(held, last[:, :, None], axis=2)[:, :, 0]
    start = np.arange(n)
    width = np.where(reached >= coverage - 1e-12, last - start + 1, n + 1)
    least = width.min(axis=1)
    # Among runs of one width the one that holds most.
    at = np.argmax(np.where(width == least[:, None], reached, -1), axis=1)
    mass = reached[np.arange(rows), at]
    first, final = at, at + least - 1
    shorter_width = np.maximum(least - 1, 1)
    ends = np.minimum(start[None, :] + shorter_width[:, None], n)
    shorter = np.take_along_axis(below, ends, axis=1) - below[:, :-1]
    best = np.argmax(shorter, axis=1)
    nearer = (least > 1) & (coverage - shorter[np.arange(rows), best] < mass - coverage)
    first = np.where(nearer, best, first)
    final = np.where(nearer, np.minimum(best + shorter_width - 1, n - 1), final)
    return first.astype(np.int64), final.astype(np.int64)
