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
    """Find for each row the run of possible accuracies that holds about that share of probability and scores best.

    Of the runs that hold the share, as short as they can be from where they start, the one with the least expected
    interval score: a shorter one may leave out what lies far away. Accuracies of few samples come in steps, of which
    no run may hold the share exactly: the run a step shorter is taken where what it holds is nearer to the share.

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
            first, last = _choose_runs(_masses(mean[block], dispersion[block], n), coverage)
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


def _choose_runs(masses: FloatArray, coverage: float) -> tuple[IntArray, IntArray]:
    rows, n = len(masses), masses.shape[1]
    below = np.concatenate([np.zeros((rows, 1)), np.cumsum(masses, axis=1)], axis=1)
    # Expected steps by which an accuracy lies below the first, or above the last, of a run.
    short_of = np.concatenate([np.zeros((rows, 1)), np.cumsum(below[:, 1:-1], axis=1)], axis=1)
    beyond = np.concatenate(
        [np.cumsum((1 - below[:, 1:-1])[:, ::-1], axis=1)[:, ::-1], np.zeros((rows, 1))], axis=1
    )
    held = below[:, None, 1:] - below[:, :-1, None]
    reaches = held >= coverage - 1e-12
    start = np.arange(n)
    last = np.argmax(reaches, axis=2)
    cost = last - start + 2 / (1 - coverage) * (short_of + np.take_along_axis(beyond, last, axis=1))
    first = np.argmin(np.where(reaches.any(axis=2), cost, np.inf), axis=1)
    every = np.arange(rows)
    final = last[every, first]
    mass = held[every, first, final]
    from_above, from_below = mass - masses[every, final], mass - masses[every, first]
    shorter = np.maximum(from_above, from_below)
    nearer = (final > first) & (coverage - shorter < mass - coverage)
    cut_above = nearer & (from_above >= from_below)
    return first + (nearer & ~cut_above), final - cut_above
