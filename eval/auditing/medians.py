"""The median of a sample and its interval by order statistics: exact, whatever the distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from oddpair.eval.intervals import Estimate


def find_median(values: ArrayLike, what: str, confidence: float = 0.95) -> Estimate:
    """Return the median with the interval between two order statistics that holds it with some confidence.

    The number of values below the true median is binomial with 1/2, so that the interval from the ``r`` smallest to the
    ``r`` largest value holds it with probability ``confidence`` or more. Of five values and fewer no such interval is
    bounded at 95 %.

    Args:
        values: A sample, shape ``(n,)``.
        what: What is estimated.
        confidence: Of the interval.

    Returns:
        The median, its ends ``-inf`` and ``inf`` where the sample is too small; the support is ``n``.

    Raises:
        ValueError: If there is no value.

    References:
        Thompson, Annals of Mathematical Statistics 7, 1936.

    >>> found = find_median(range(1, 12), "rank")
    >>> found.value, found.low, found.high
    (6.0, 2.0, 10.0)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        raise ValueError(f"{what}: found no value, needed one or more")
    # The most values that may lie outside at either end.
    outside = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    while outside > 0 and binom.cdf(outside - 1, n, 0.5) > (1 - confidence) / 2:
        outside -= 1
    bounded = outside > 0
    return Estimate(
        value=float(np.median(ordered)),
        low=float(ordered[outside - 1]) if bounded else -np.inf,
        high=float(ordered[n - outside]) if bounded else np.inf,
        n=n,
        what=what,
    )
