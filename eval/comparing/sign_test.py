"""Tests of whether two models that answered the same questions differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from oddpair.eval.intervals import FloatArray
from oddpair.retrieval.unit_rows import IntArray


def flip_signs(better: ArrayLike, cluster: ArrayLike) -> float:
    """Exact two-sided p value of as many more wins than losses, were the models' answers exchangeable.

    Whole clusters are flipped: chance exchanges the two models' answers to all questions of a cluster at once, and p is
    the share of the ``2 ** n_clusters`` exchanges whose wins and losses differ by as much. With one question a cluster
    this is McNemar's exact test, the binomial of the discordant answers; there questions that go alike would be
    counted as if each were news.

    Args:
        better: 1 where the first model earned more, -1 where the second did, 0 for a draw, shape ``(n,)``.
        cluster: What each question goes alike with, shape ``(n,)``.

    Returns:
        p, from above 0 to 1; 1 where there is no discordant answer.

    Raises:
        ValueError: If the shapes differ.

    References:
        McNemar, Psychometrika 12(2), 1947. Exchanges: Fisher, The Design of Experiments, 1935, section 21.

    >>> round(flip_signs([1, 1, 1, 1, 1, -1, 0], range(7)), 5)  # 2 * (1 + 6) / 2 ** 6
    0.21875
    >>> flip_signs([1, 1, 1, 1, 1, -1, 0], [0, 0, 0, 0, 0, 1, 2])  # sums of 5 and -1: all four reach 4
    1.0
    """
    signs, codes = np.asarray(better, dtype=np.int64), np.unique(np.asarray(cluster), return_inverse=True)[1]
    if signs.ndim != 1 or signs.shape != codes.shape:
        raise ValueError(f"answers {signs.shape} and clusters {codes.shape} differ in shape")
    sums = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
    np.add.at(sums, codes, signs)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    return _tail(sizes, counts, abs(int(sums.sum())))


def adjust_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p values of several tests so that the chance of any wrong "differs" stays below the level.

    Args:
        p_values: One a test.

    Returns:
        As many, none smaller than before and none above 1.

    References:
        Holm, Scandinavian Journal of Statistics 6(2), 1979.

    >>> adjust_holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return tuple(adjusted.tolist())


def _tail(sizes: IntArray, counts: IntArray, reached: int) -> float:
    """Return the chance that a sum of randomly signed sizes is ``reached`` or more in absolute value."""
    if reached == 0:
        return 1.0
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        # Of `count` signs k are plus: the sum moves in steps of twice the size, which is kept as one step of the size.
        taps = np.zeros(size * count + 1)
        taps[::size] = _binomial(count)
        chances = np.convolve(chances, taps)
    total = len(chances) - 1
    above = np.abs(2 * np.arange(total + 1) - total) >= reached
    return min(float(chances[above].sum()), 1.0)


def _binomial(n: int) -> FloatArray:
    k = np.arange(n + 1)
    chances: FloatArray = np.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * np.log(2))
    return chances
