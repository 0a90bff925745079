"""Shares of successes with their intervals: independent trials, and trials that go alike in clusters."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from oddpair.eval.intervals import Estimate, normal_quantile


def wilson(successes: int, trials: int, confidence: float = 0.95, *, what: str = "accuracy") -> Estimate:
    """Share of successes with Wilson's score interval.

    The interval stays inside [0, 1] and has width at 0 and at ``trials`` successes.

    Args:
        successes: Successful trials.
        trials: All trials; the support.
        confidence: Coverage of the interval.
        what: What is estimated.

    Returns:
        The share as an estimate.

    Raises:
        ValueError: If there are no trials, or more successes than trials.

    References:
        Wilson, Journal of the American Statistical Association 22(158), 1927.

    >>> share = wilson(8, 10)
    >>> share.value, round(share.low, 4), round(share.high, 4)
    (0.8, 0.4902, 0.9433)
    """
    if trials < 1:
        raise ValueError(f"{what}: {trials} trials, an interval needs at least 1")
    if not 0 <= successes <= trials:
        raise ValueError(f"{what}: {successes} successes in {trials} trials")
    low, high = _wilson_ends(successes / trials, trials, normal_quantile(confidence))
    return Estimate(value=successes / trials, low=low, high=high, n=trials, what=what)


def clustered_share(
    successes: ArrayLike,
    trials: ArrayLike,
    cluster: ArrayLike,
    confidence: float = 0.95,
    *,
    what: str = "accuracy",
) -> Estimate:
    """Share of successes where trials of one cluster (concept, pair) go alike.

    Wilson's interval for as many independent trials as the clustered ones are worth: their number over the
    design effect, and less for few clusters, whose spread is itself uncertain. It is never narrower than
    that of independent trials, and equals it at 0 and at all successes, where no spread is seen.

    Args:
        successes: Successful trials of each row, shape ``(n,)``.
        trials: Trials of each row, shape ``(n,)``.
        cluster: What each row belongs to, shape ``(n,)``.
        confidence: Coverage of the interval.
        what: What is estimated.

    Returns:
        The share; its support is the number of trials.

    Raises:
        ValueError: If the shapes differ, there are no trials, or fewer than two clusters.

    References:
        Korn and Graubard, Survey Methodology 24(2), 1998.

    >>> alike = clustered_share([4, 0, 4, 0], [4, 4, 4, 4], ["a", "b", "c", "d"])
    >>> alike.value, alike.high - alike.low > wilson(8, 16).high - wilson(8, 16).low
    (0.5, True)
    """
    hits, asked = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    names, codes = np.unique(np.asarray(cluster), return_inverse=True)
    if not hits.shape == asked.shape == codes.shape:
        raise ValueError(f"{what}: shapes {hits.shape}, {asked.shape} and {codes.shape} differ")
    plain = wilson(int(hits.sum()), int(asked.sum()), confidence, what=what)
    if len(names) < 2:
        raise ValueError(f"{what}: {len(names)} cluster, a spread over clusters needs 2")
    z, n, share = normal_quantile(confidence), plain.n, plain.value
    gaps = np.bincount(codes, weights=hits - share * asked)
    variance = len(names) / (len(names) - 1) * float(gaps @ gaps) / n**2
    independent = share * (1 - share) / n
    if independent == 0 or variance <= independent:
        return plain
    worth = n * independent / variance * (z / float(stdtrit(len(names) - 1, (1 + confidence) / 2))) ** 2
    low, high = _wilson_ends(share, worth, z)
    return Estimate(value=share, low=low, high=high, n=n, what=what)


def _wilson_ends(share: float, trials: float, z: float) -> tuple[float, float]:
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    spread = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    # At the ends the algebra gives exactly 0 and 1, which rounding would miss.
    return 0.0 if share == 0 else float(middle - spread), 1.0 if share == 1 else float(middle + spread)
