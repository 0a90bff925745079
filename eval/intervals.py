"""Estimates that carry their interval and their support; every number the suite reports is one of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

FloatArray = NDArray[np.float64]

# Bounds of a bootstrap's memory; the stream of draws does not depend on them.
_DRAWS_AT_ONCE = 200
_CLUSTERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, its confidence interval and what stands behind it.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; ``-inf`` where the data set no lower bound.
        high: Upper end of the interval; ``inf`` where the data set no upper bound.
        n: Support, in the units that ``what`` names.
        what: What is estimated, in words.
    """

    value: float
    low: float
    high: float
    n: int
    what: str

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"{self.what}: support is {self.n}, an estimate needs at least 1")
        if not np.isfinite(self.value) or np.isnan(self.low) or np.isnan(self.high):
            raise ValueError(f"{self.what}: {self.value} [{self.low}, {self.high}] is not an estimate")
        if self.low > self.high:
            raise ValueError(f"{self.what}: interval runs from {self.low} down to {self.high}")


def normal_interval(
    value: float, standard_error: float, *, n: int, what: str, confidence: float = 0.95
) -> Estimate:
    """A value plus and minus the normal quantile times its standard error.

    >>> round(normal_interval(1.0, 0.5, n=9, what="slope").high, 3)
    1.98
    """
    reach = normal_quantile(confidence) * standard_error
    return Estimate(value=float(value), low=float(value - reach), high=float(value + reach), n=n, what=what)


def mean_over_worlds(values: ArrayLike, confidence: float = 0.95, *, what: str = "mean") -> Estimate:
    """Plain mean over worlds with Student's t interval: the spread between worlds is the error.

    Args:
        values: One value per world, shape ``(n_worlds,)``.
        confidence: Coverage of the interval.
        what: What is averaged.

    Returns:
        The mean; its support is the number of worlds.

    Raises:
        ValueError: If there are fewer than two worlds, where the spread is unknown.

    >>> mean = mean_over_worlds([1.0, 2.0, 3.0])
    >>> mean.value, round(mean.low, 4), round(mean.high, 4)
    (2.0, -0.4841, 4.4841)
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < 2:
        raise ValueError(f"{what}: a t interval needs at least 2 worlds, found shape {sample.shape}")
    n = len(sample)
    error = float(sample.std(ddof=1) / np.sqrt(n))
    reach = float(stdtrit(n - 1, 0.5 + _checked(confidence) / 2)) * error
    value = float(sample.mean())
    return Estimate(value=value, low=value - reach, high=value + reach, n=n, what=what)


def resample(
    statistic: Callable[[FloatArray], FloatArray], n_clusters: int, rng: np.random.Generator, n: int = 2000
) -> FloatArray:
    """Bootstrap a statistic by drawing whole clusters with replacement.

    Args:
        statistic: Maps how often each cluster was drawn, shape ``(draws, n_clusters)``, to one row per draw.
        n_clusters: Clusters in the data.
        rng: Source of the draws.
        n: Number of draws.

    Returns:
        The statistic of every draw, shape ``(n, ...)``.

    Raises:
        ValueError: If there are fewer than two clusters, where resampling shows no spread.
    """
    if n_clusters < 2:
        raise ValueError(f"a cluster bootstrap needs at least 2 clusters, found {n_clusters}")
    parts = []
    at_once = min(_DRAWS_AT_ONCE, max(1, _CLUSTERS_AT_ONCE // n_clusters))
    for start in range(0, n, at_once):
        rows = min(at_once, n - start)
        drawn = rng.integers(n_clusters, size=(rows, n_clusters)) + np.arange(rows)[:, None] * n_clusters
        weights = np.bincount(drawn.ravel(), minlength=rows * n_clusters).reshape(rows, n_clusters)
        parts.append(statistic(weights.astype(np.float64)))
    return np.concatenate(parts)


def percentile_interval(
    value: float, samples: FloatArray, *, n: int, what: str, confidence: float = 0.95
) -> Estimate:
    """An estimate whose interval is read off bootstrap draws.

    A draw where the statistic is undefined (NaN) counts against both ends, so that missing
    information widens the interval instead of vanishing from it.

    >>> percentile_interval(2.0, np.array([1.0, 2.0, 3.0]), n=3, what="mean")
    Estimate(value=2.0, low=1.0, high=3.0, n=3, what='mean')
    """
    tail = (1 - _checked(confidence)) / 2
    undefined = np.isnan(samples)
    low = np.quantile(np.where(undefined, -np.inf, samples), tail, method="lower")
    high = np.quantile(np.where(undefined, np.inf, samples), 1 - tail, method="higher")
    return Estimate(value=float(value), low=float(low), high=float(high), n=n, what=what)


def widen_confidence(confidence: float, n_clusters: int) -> float:
    """Return the confidence at which percentiles of draws are read so that few clusters do not flatter.

    Percentiles of a bootstrap are too narrow for few clusters, whose spread is itself uncertain: these are as far out
    as Student's t interval is wider than the normal one.

    Args:
        confidence: Wanted coverage of the interval.
        n_clusters: Clusters drawn from, 2 or more.

    References:
        Hesterberg, The American Statistician 69(4), 2015, section 5.3 (expanded percentile interval).

    >>> [round(widen_confidence(0.95, n), 4) for n in (10, 100, 10_000)]
    [0.9829, 0.9539, 0.95]
    """
    reach = float(stdtrit(n_clusters - 1, (1 + confidence) / 2)) * np.sqrt(n_clusters / (n_clusters - 1))
    # Two clusters ask for more than a double can say: the outermost draws are all there is.
    return min(float(2 * ndtr(reach) - 1), float(np.nextafter(1, 0)))


def effective_number(sizes: ArrayLike) -> int:
    """Return how many clusters of one size tell as much as clusters of these sizes: their number, or fewer.

    Bounds of a proportion count trials of equal weight; of the share of questions in clusters of unequal sizes they are
    bounds for this many. Rounded down, 1 or more.

    Args:
        sizes: Questions of each cluster or their weight, 0 or more and not all 0, shape ``(n_clusters,)``.

    References:
        Kish, Survey Sampling, 1965, section 11.7.

    >>> effective_number([5, 5, 5]), effective_number([98, 1, 1])
    (3, 1)
    """
    weights = np.asarray(sizes, dtype=np.float64)
    # Weights such as thirds may miss a whole number by their last bits.
    return max(int(weights.sum() ** 2 / (weights @ weights) + 1e-9), 1)


def cluster_bootstrap(
    statistic: Callable[[FloatArray], FloatArray],
    n_clusters: int,
    rng: np.random.Generator,
    n: int = 2000,
    *,
    what: str,
    confidence: float = 0.95,
) -> Estimate:
    """A statistic over clusters with a percentile interval from whole-cluster resampling.

    Args:
        statistic: Maps cluster weights, shape ``(draws, n_clusters)``, to values, shape ``(draws,)``; all
            weights 1 is the data as it stands.
        n_clusters: Clusters in the data; the support.
        rng: Source of the draws.
        n: Number of draws.
        what: What is estimated.
        confidence: Coverage of the interval.

    Returns:
        The statistic as an estimate.

    Raises:
        ValueError: If there are fewer than two clusters or the statistic of the data is undefined.

    References:
        Field and Welsh, Journal of the Royal Statistical Society B 69(3), 2007.

    >>> values = np.array([1.0, 1.0, 1.0])
    >>> mean = lambda weights: weights @ values / weights.sum(axis=1)
    >>> cluster_bootstrap(mean, 3, np.random.default_rng(0), what="mean")
    Estimate(value=1.0, low=1.0, high=1.0, n=3, what='mean')
    """
    samples = resample(statistic, n_clusters, rng, n)
    value = float(statistic(np.ones((1, n_clusters)))[0])
    return percentile_interval(value, samples, n=n_clusters, what=what, confidence=confidence)


def ratio_of_accuracies(
    hits_a: ArrayLike,
    hits_b: ArrayLike,
    cluster: ArrayLike,
    rng: np.random.Generator,
    *,
    what: str = "ratio of accuracies",
    confidence: float = 0.95,
) -> Estimate:
    """Accuracy of model a over that of model b on the same images, paired.

    1 is no difference. Clusters (concepts) are drawn whole, both models' hits together, so that what an
    image has of difficulty cancels. A draw where b hits nothing has no ratio and widens the interval.

    Args:
        hits_a: Hits of model a, shape ``(n,)``.
        hits_b: Hits of model b on the same images, shape ``(n,)``.
        cluster: Concept of every image, shape ``(n,)``.
        rng: Source of the draws.
        what: What is compared.
        confidence: Coverage of the interval.

    Returns:
        The ratio; its support is the number of images.

    Raises:
        ValueError: If the shapes differ, there are fewer than two clusters, or b hits nothing.

    >>> rng = np.random.default_rng(0)
    >>> ratio_of_accuracies([1, 0, 1, 0], [1, 1, 1, 1], ["cat", "cat", "dog", "dog"], rng).value
    0.5
    """
    a, b = np.asarray(hits_a, dtype=np.float64), np.asarray(hits_b, dtype=np.float64)
    names = np.asarray(cluster)
    if not a.shape == b.shape == names.shape or a.ndim != 1:
        raise ValueError(f"{what}: hits {a.shape} and {b.shape}, clusters {names.shape}, all need one shape")
    if len(a) == 0:
        raise ValueError(f"{what}: no images")
    if b.sum() == 0:
        raise ValueError(f"{what}: the model below the line hits none of {len(b)} images, no ratio exists")
    codes = np.unique(names, return_inverse=True)[1]
    totals = np.stack([np.bincount(codes, weights=a), np.bincount(codes, weights=b)], axis=1)

    def statistic(weights: FloatArray) -> FloatArray:
        over, under = (weights @ totals).T
        ratios: FloatArray = np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)
        return ratios

    found = cluster_bootstrap(statistic, len(totals), rng, what=what, confidence=confidence)
    return Estimate(value=found.value, low=max(found.low, 0.0), high=found.high, n=len(a), what=what)


def pearson(x: ArrayLike, y: ArrayLike, confidence: float = 0.95, *, what: str = "Pearson r") -> Estimate:
    """Pearson correlation with Fisher's z interval.

    Three points give the interval [-1, 1]: Fisher's error is infinite there.

    Args:
        x: Shape ``(n,)``.
        y: Shape ``(n,)``.
        confidence: Coverage of the interval.
        what: What is correlated.

    Returns:
        The correlation; its support is the number of points.

    Raises:
        ValueError: If the shapes differ, there are fewer than three points, or one side does not vary.

    References:
        Fisher, Metron 1, 1921.

    >>> r = pearson([1, 2, 3, 4], [1, 3, 2, 4])
    >>> round(r.value, 3), round(r.low, 3), round(r.high, 3)
    (0.8, -0.697, 0.996)
    """
    left, right = _two_columns(x, y, what)
    value = _weighted_r(np.ones((1, len(left))), left, right)[0]
    n = len(left)
    reach = normal_quantile(confidence) / np.sqrt(n - 3) if n > 3 else np.inf
    z = np.arctanh(np.clip(value, -1 + 1e-15, 1 - 1e-15))
    return Estimate(
        value=float(value), low=float(np.tanh(z - reach)), high=float(np.tanh(z + reach)), n=n, what=what
    )


def r_or_none(x: ArrayLike, y: ArrayLike, what: str) -> Estimate | None:
    """`pearson`, or ``None`` for fewer than three points or a side that does not vary."""
    left, right = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return pearson(left, right, what=what)


def pearson_bootstrap(
    x: ArrayLike,
    y: ArrayLike,
    cluster: ArrayLike,
    rng: np.random.Generator,
    *,
    what: str = "Pearson r",
    confidence: float = 0.95,
) -> Estimate:
    """Pearson correlation with a cluster-bootstrap interval, for points that are not independent.

    Args:
        x: Shape ``(n,)``.
        y: Shape ``(n,)``.
        cluster: Cluster of every point, shape ``(n,)``.
        rng: Source of the draws.
        what: What is correlated.
        confidence: Coverage of the interval.

    Returns:
        The correlation; its support is the number of points.

    Raises:
        ValueError: As `pearson`, or if there are fewer than two clusters.
    """
    left, right = _two_columns(x, y, what)
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    if codes.shape != left.shape:
        raise ValueError(f"{what}: {len(left)} points, clusters have shape {codes.shape}")

    def statistic(weights: FloatArray) -> FloatArray:
        return _weighted_r(weights[:, codes], left, right)

    found = cluster_bootstrap(statistic, int(codes.max()) + 1, rng, what=what, confidence=confidence)
    return Estimate(value=found.value, low=found.low, high=found.high, n=len(left), what=what)


def pool_worlds(
    values: Sequence[float], standard_errors: Sequence[float], *, what: str, confidence: float = 0.95
) -> tuple[Estimate, Estimate]:
    """One effect of several worlds, as a plain mean and as an inverse-variance mean.

    The plain mean with its t interval is the one to quote: it allows worlds to differ. The weighted
    mean takes every world to share one effect, and is the tighter check beside it.

    Args:
        values: The effect in each world.
        standard_errors: Its standard error in each world.
        what: What is pooled.
        confidence: Coverage of the intervals.

    Returns:
        The plain mean and the inverse-variance mean; their support is the number of worlds.

    Raises:
        ValueError: If the lengths differ, there are fewer than two worlds, or an error is not positive.

    >>> plain, weighted = pool_worlds([0.0, 3.0], [1.0, 2.0], what="effect")
    >>> plain.value, round(weighted.value, 3)
    (1.5, 0.6)
    """
    effect, error = np.asarray(values, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    if effect.shape != error.shape:
        raise ValueError(f"{what}: {effect.shape} effects, {error.shape} standard errors")
    plain = mean_over_worlds(effect, confidence, what=what)
    if not (np.isfinite(error).all() and (error > 0).all()):
        raise ValueError(f"{what}: standard errors {error.tolist()} must be positive")
    weight = error**-2.0
    weighted = normal_interval(
        float(effect @ weight / weight.sum()),
        float(weight.sum() ** -0.5),
        n=len(effect),
        what=f"{what}, inverse-variance mean",
        confidence=confidence,
    )
    return plain, weighted


def _two_columns(x: ArrayLike, y: ArrayLike, what: str) -> tuple[FloatArray, FloatArray]:
    left, right = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"{what}: x has shape {left.shape}, y has {right.shape}")
    if len(left) < 3:
        raise ValueError(f"{what}: {len(left)} points, a correlation needs at least 3")
    for name, column in (("x", left), ("y", right)):
        if not np.isfinite(column).all():
            raise ValueError(f"{what}: {name} holds a value that is not finite")
        if np.ptp(column) == 0:
            raise ValueError(f"{what}: {name} is {column[0]} everywhere, correlation is undefined")
    return left, right


def _weighted_r(weights: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    # Centring first keeps the one-pass moments below free of cancellation.
    x, y = x - x.mean(), y - y.mean()
    total = weights.sum(axis=1)
    moments = weights @ np.stack([x, y, x * y, x * x, y * y], axis=1) / total[:, None]
    mean_x, mean_y, xy, xx, yy = moments.T
    spread = np.sqrt(np.maximum(xx - mean_x**2, 0) * np.maximum(yy - mean_y**2, 0))
    r = np.divide(xy - mean_x * mean_y, spread, out=np.full(len(total), np.nan), where=spread > 0)
    clipped: FloatArray = np.clip(r, -1.0, 1.0)
    return clipped


def normal_quantile(confidence: float) -> float:
    """Half-width, in standard errors, of a two-sided normal interval.

    Raises:
        ValueError: If the confidence does not lie between 0 and 1.
    """
    return float(ndtri(0.5 + _checked(confidence) / 2))


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, needs to lie between 0 and 1")
    return confidence
