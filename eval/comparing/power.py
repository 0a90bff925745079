"""How small a difference of two models a test set can tell."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, ndtr, ndtri

from oddpair.eval.intervals import FloatArray
from oddpair.retrieval.unit_rows import IntArray

# Beyond as many standard deviations the number of discordant answers is left out: 1e-15 of the chance.
_SPREAD = 8.0


def power_of_paired(difference: float, *, n: int, discordant: float, alpha: float = 0.05) -> float:
    """Chance that McNemar's exact test tells two models apart that answer the same questions.

    Args:
        difference: Of their accuracies, 0 to ``discordant``.
        n: Questions.
        discordant: Share of the questions that exactly one of the two has right, 0 to 1.
        alpha: Level of the two-sided test.

    Returns:
        The power, computed over every number of discordant answers that can happen.

    Raises:
        ValueError: If the difference is larger than the discordant share, or a share is none.

    References:
        McNemar, Psychometrika 12(2), 1947. Duffy, Biometrics 40(4), 1984 (exact power).

    >>> round(power_of_paired(0.03, n=1000, discordant=0.1), 2)
    0.83
    """
    if not 0 <= difference <= discordant <= 1 or discordant == 0:
        raise ValueError(f"difference {difference}, discordant share {discordant}: needed 0 to share to 1")
    middle, spread = n * discordant, math.sqrt(n * discordant * (1 - discordant))
    counts = np.arange(
        max(0, math.floor(middle - _SPREAD * spread)), min(n, math.ceil(middle + _SPREAD * spread)) + 1
    )
    chances = _binomial_cdf(counts, n, discordant) - _binomial_cdf(counts - 1, n, discordant)
    most = _most_losses(counts, alpha / 2)
    wins = (1 + difference / discordant) / 2
    told = _binomial_cdf(most, counts, 1 - wins) + _binomial_cdf(most, counts, wins)
    return min(float(chances @ told), 1.0)


def power_of_unpaired(difference: float, *, n: int, accuracy: float, alpha: float = 0.05) -> float:
    """Chance that the test of two proportions tells two models apart that answer ``n`` other questions each.

    Args:
        difference: Of their accuracies; the second model's is nearer to 0.5, where it is told with more difficulty.
        n: Questions of each model.
        accuracy: Of the first model, 0 to 1.
        alpha: Level of the two-sided test.

    Returns:
        The power, by the normal approximation.

    Raises:
        ValueError: If no second accuracy lies so far away.

    References:
        Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed., 2003, chapter 4.

    >>> round(power_of_unpaired(0.06, n=1000, accuracy=0.6), 2)
    0.77
    """
    other = accuracy - difference if accuracy > 0.5 else accuracy + difference
    if not (0 <= accuracy <= 1 and difference >= 0 and 0 <= other <= 1):
        raise ValueError(f"accuracies {accuracy} and {other}: needed 0 to 1")
    both = (accuracy + other) / 2
    pooled = math.sqrt(2 * both * (1 - both) / n)
    own = math.sqrt((accuracy * (1 - accuracy) + other * (1 - other)) / n)
    needed = -float(ndtri(alpha / 2)) * pooled
    if own == 0:
        return float(difference > needed)
    return float(ndtr((difference - needed) / own) + ndtr((-difference - needed) / own))


def detect_paired(*, n: int, discordant: float, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Smallest difference in accuracy that McNemar's exact test tells with a power, on the same ``n`` questions.

    Args:
        n: Questions.
        discordant: Share of them that exactly one model has right, above 0.
        power: Chance that the difference is told.
        alpha: Level of the test.

    Returns:
        The difference, 0 to ``discordant``; ``None`` where even one of that size is not told.

    >>> round(detect_paired(n=1000, discordant=0.1), 4)
    0.0287
    """
    return _smallest(lambda d: power_of_paired(d, n=n, discordant=discordant, alpha=alpha), discordant, power)


def detect_unpaired(*, n: int, accuracy: float, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Smallest difference in accuracy that is told with a power, on ``n`` other questions for each model.

    Args:
        n: Questions of each model.
        accuracy: Of one of them.
        power: Chance that the difference is told.
        alpha: Level of the test.

    Returns:
        The difference; ``None`` where no possible one is told.

    >>> round(detect_unpaired(n=1000, accuracy=0.6), 4)
    0.062
    """
    most = max(accuracy, 1 - accuracy)
    return _smallest(lambda d: power_of_unpaired(d, n=n, accuracy=accuracy, alpha=alpha), most, power)


def design_effect(values: ArrayLike, cluster: ArrayLike) -> float:
    """How many times more questions are needed because those of a cluster go alike; 1 where they do not.

    The variance of the mean over clusters, over that of as many independent questions. Divide the number of questions
    by it for what they are worth.

    Args:
        values: What each question earned, or the difference of two models, shape ``(n,)``.
        cluster: What it goes alike with, shape ``(n,)``.

    Returns:
        1 or more; 1 where the values do not vary.

    Raises:
        ValueError: If the shapes differ, or there are fewer than two clusters.

    References:
        Kish, Survey Sampling, 1965.

    >>> round(design_effect([1, 1, 0, 0, 1, 1, 0, 0], ["a", "a", "b", "b", "c", "c", "d", "d"]), 2)
    2.33
    """
    sample, codes = (
        np.asarray(values, dtype=np.float64),
        np.unique(np.asarray(cluster), return_inverse=True)[1],
    )
    if sample.ndim != 1 or sample.shape != codes.shape:
        raise ValueError(f"values {sample.shape} and clusters {codes.shape} differ in shape")
    n, n_clusters = len(sample), int(codes.max(initial=-1)) + 1
    if n_clusters < 2:
        raise ValueError(f"{n_clusters} cluster, a spread over clusters needs 2")
    gaps = sample - sample.mean()
    alone = float(gaps @ gaps) * n / (n - 1)
    if alone == 0:
        return 1.0
    sums = np.bincount(codes, weights=gaps)
    return max(float(sums @ sums) * n_clusters / (n_clusters - 1) / alone, 1.0)


def _smallest(power_of: Callable[[float], float], most: float, power: float) -> float | None:
    if power_of(most) < power:
        return None
    low, high = 0.0, most
    # Power rises with the difference; 40 halvings are finer than any print.
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def _most_losses(counts: IntArray, tail: float) -> IntArray:
    """Return the most losses of each number of discordant answers that are still told, -1 where none are."""
    low, high = np.full(len(counts), -1), counts // 2 + 1
    while np.any(high - low > 1):
        middle = (low + high) // 2
        told = _binomial_cdf(middle, counts, 0.5) <= tail
        low, high = np.where(told, middle, low), np.where(told, high, middle)
    return low


def _binomial_cdf(k: IntArray, n: int | IntArray, p: float) -> FloatArray:
    return np.where(k < 0, 0.0, bdtr(np.maximum(k, 0), n, p))
