"""Exact bounds of a proportion, for independent trials."""

from __future__ import annotations

import math
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv


@overload
def clopper_pearson(
    successes: float, trials: int, confidence: float, side: Literal["lower", "upper"]
) -> float: ...
@overload
def clopper_pearson(
    successes: NDArray[np.int64],
    trials: NDArray[np.int64],
    confidence: float,
    side: Literal["lower", "upper"],
) -> NDArray[np.float64]: ...
def clopper_pearson(
    successes: float | NDArray[np.int64],
    trials: int | NDArray[np.int64],
    confidence: float,
    side: Literal["lower", "upper"],
) -> float | NDArray[np.float64]:
    """Exact one-sided confidence bound of a proportion.

    The lower bound of 0 successes is 0, the upper bound of all successes is 1, and no trials say nothing: 0 below and
    1 above. Between whole numbers of successes the bound runs on smoothly, where it is exact no longer.

    Args:
        successes: Successes, a number or shape ``(n,)``.
        trials: Trials, same shape.
        confidence: Between 0 and 1, both excluded.
        side: ``lower`` or ``upper``.

    Returns:
        The bound, same shape.

    Raises:
        ValueError: If there are more successes than trials, or the confidence is no probability.

    References:
        Clopper and Pearson, Biometrika 26(4), 1934.

    >>> round(clopper_pearson(149, 149, 0.95, "lower"), 4)  # 0.05 ** (1 / 149)
    0.9801
    >>> round(clopper_pearson(0, 149, 0.95, "upper"), 4)
    0.0199
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, needed between 0 and 1")
    k, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if not np.all((k >= 0) & (k <= n)):
        raise ValueError("more successes than trials, or fewer than none")
    # The other number of each pair keeps the arguments in range where its result is not used.
    if side == "lower":
        bound = np.where(k > 0, betaincinv(np.where(k > 0, k, 1), n - k + 1, 1 - confidence), 0.0)
    else:
        bound = np.where(k < n, betaincinv(k + 1, np.where(k < n, n - k, 1), confidence), 1.0)
    return float(bound) if bound.ndim == 0 else bound


def clopper_pearson_interval(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided confidence interval of a proportion.

    Parts of a success, as ties that are broken at random earn, are dropped below and filled up above: the interval
    holds those of both whole numbers beside it.

    Args:
        successes: Successes, from 0 to ``trials``.
        trials: Trials; of none the interval is everything, 0 to 1.
        confidence: Coverage of the interval.

    Returns:
        Both ends.

    Raises:
        ValueError: As `clopper_pearson`.

    >>> low, high = clopper_pearson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4439, 0.9748)
    """
    side = (1 + confidence) / 2
    return (
        clopper_pearson(math.floor(successes), trials, side, "lower"),
        clopper_pearson(math.ceil(successes), trials, side, "upper"),
    )
