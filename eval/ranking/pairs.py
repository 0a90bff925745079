"""Which models differ: every two of them at once, so that the largest of many chance differences deceives nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from oddpair.eval.comparing.gaps import ALIKE
from oddpair.eval.intervals import FloatArray
from oddpair.eval.ranking.totals import CONFIDENCE, Drawn, Totals, average
from oddpair.retrieval.unit_rows import IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Differences:
    """First less second model of each pair, as fractions, with the interval of that pair alone; shape ``(n_pairs,)``."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Every two models, columns of shape ``(n_pairs,)``; the first of a pair stands before the second.

    Attributes:
        first: Number of the first, 0 for the model of place 1.
        second: Number of the second.
        difference: Of the macro means.
        p_adjusted: Chance that, were no two models different, the largest of all pairs' differences lay as many of
            its standard errors out as this one.
        separated: Whether that is at most 5 %.
        tasks: The same difference by task.
    """

    first: IntArray
    second: IntArray
    difference: Differences
    p_adjusted: FloatArray
    separated: NDArray[np.bool_]
    tasks: Mapping[str, Differences]

    def __len__(self) -> int:
        """Pairs."""
        return len(self.first)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spread:
    # Of each pair: difference, standard error, half-width of its own interval. Of each draw: the largest t.
    value: FloatArray
    error: FloatArray
    reach: FloatArray
    largest: FloatArray


def compare_pairs(
    totals: Mapping[str, Totals], drawn: Mapping[str, Drawn], weights: Mapping[str, float]
) -> Pairs:
    """Compare every two models by their macro means on the same draws of questions (max-t).

    Each draw's difference of a pair, less the difference of the data, is divided by the pair's standard error; the
    largest over all pairs tells how far out chance reaches somewhere, and a pair is separated where its own difference
    reaches further than in all but 5 % of draws: then, whichever models are truly alike, any two of them are called
    different in some 5 % of leaderboards at most. Draws of few clusters flatter: all t are moved out as far as
    Student's t reaches beyond the normal, with the clusters of the task that has fewest. That leaves little to be
    wished for: of ten equal models that were simulated again and again any two were called different in 5, 7 and 9 %
    of leaderboards with 87, 20 and 8 clusters. A draw without a question of some task counts as infinitely far out.

    A pair whose difference is the same in every cluster has no standard error. Where it is nothing, as of two copies,
    p is 1. Where it is d, no odd cluster was met although, were the models alike, a share of at least d / (1 + d) would
    have to be odd (a cluster's difference is -1 or more): p is twice ``(1 + d) ** -n``, of as many clusters n as the
    smallest task's are worth, times the number of pairs (Bonferroni).

    Intervals are symmetric, of each pair alone: one that is separated excludes 0. Without a standard error they reach
    as far as Clopper and Pearson's bound of no odd cluster.

    Args:
        totals: What models earned by task, models in the order of their places.
        drawn: Draws by task.
        weights: What each task counts.

    Returns:
        The pairs, by first and then by second.

    References:
        Largest t: Westfall and Young, Resampling-Based Multiple Testing, 1993, chapter 2; Romano and Wolf, Journal of the
        American Statistical Association 100(469), 2005. Share of draws with one added to both: Phipson and Smyth,
        Statistical Applications in Genetics and Molecular Biology 9(1), 2010.
    """
    fewest = min(totals[task].n_clusters for task in weights)
    worth = min(totals[task].worth for task in weights)
    first, second = np.triu_indices(len(next(iter(drawn.values())).values), k=1)
    score = _spread(average(drawn, weights), fewest)
    p_adjusted = _adjust(score, worth)
    return Pairs(
        first=first,
        second=second,
        difference=_bound(score, max(totals[task].bound for task in weights)),
        p_adjusted=p_adjusted,
        separated=p_adjusted <= 1 - CONFIDENCE,
        tasks={
            task: _bound(_spread(drawn[task], totals[task].n_clusters), totals[task].bound)
            for task in weights
        },
    )


def _spread(drawn: Drawn, n_clusters: int) -> _Spread:
    draws, n_models = drawn.samples.shape
    defined = ~np.isnan(drawn.samples[:, 0])
    centred = np.ascontiguousarray((drawn.samples[defined] - drawn.values).T)
    undefined = draws - centred.shape[1]
    # As many draws may lie at least as far out, one being added.
    outside = int((1 - CONFIDENCE) * (draws + 1)) - undefined
    n_pairs = n_models * (n_models - 1) // 2
    value, error, reach = (np.zeros(n_pairs) for _ in range(3))
    largest = np.full(draws, np.inf)
    if outside < 1:
        error, reach = np.full((2, n_pairs), np.inf)
    else:
        largest[undefined:] = 0.0
    start = 0
    for row in range(n_models - 1):
        stop = start + n_models - 1 - row
        value[start:stop] = drawn.values[row] - drawn.values[row + 1 :]
        if outside >= 1:
            moved = centred[row] - centred[row + 1 :]
            spread = moved.std(axis=1, ddof=1)
            np.abs(moved, out=moved)
            # Means of as many terms differ by their last bits alone.
            spread[spread < ALIKE] = 0.0
            far = np.partition(moved, -outside, axis=1)[:, -outside]
            known = spread > 0
            error[start:stop] = spread
            reach[start:stop][known] = spread[known] * _as_student(far[known] / spread[known], n_clusters)
            moved[known] /= spread[known, None]
            moved[~known] = 0.0
            np.maximum(largest[undefined:], moved.max(axis=0), out=largest[undefined:])
        start = stop
    return _Spread(value=value, error=error, reach=reach, largest=_as_student(largest, n_clusters))


def _as_student(t: FloatArray, n_clusters: int) -> FloatArray:
    if n_clusters < 2:
        return np.full(t.shape, np.inf)
    # As `widen_confidence`, at whatever level. Of chances too small for it, stdtrit gives infinity without the sign.
    moved: FloatArray = np.abs(stdtrit(n_clusters - 1, ndtr(-t))) * np.sqrt(n_clusters / (n_clusters - 1))
    return moved


def _adjust(score: _Spread, worth: int) -> FloatArray:
    draws, size = len(score.largest), np.abs(score.value)
    known = score.error > 0
    t = np.divide(size, score.error, out=np.zeros(len(size)), where=known)
    as_far = draws - np.searchsorted(np.sort(score.largest), t, side="left")
    by_draws = (1 + as_far) / (draws + 1)
    size[size < ALIKE] = 0.0
    p_adjusted: FloatArray = np.where(known, by_draws, np.minimum(len(size) * 2 * (1 + size) ** -worth, 1.0))
    return p_adjusted


def _bound(spread: _Spread, bound: float) -> Differences:
    reach = np.where(spread.error > 0, spread.reach, bound)
    return Differences(
        value=spread.value,
        low=np.maximum(spread.value - reach, -1.0),
        high=np.minimum(spread.value + reach, 1.0),
    )
