"""A line over concepts whose intervals come from drawing whole concepts, by name and across test sets."""

from __future__ import annotations

import numpy as np

from oddpair.eval.intervals import Estimate, FloatArray, percentile_interval, resample
from oddpair.eval.published.layout import Names

N_DRAWS = 1000


def fit_concept_line(x: FloatArray, y: FloatArray, key: Names, *, seed: int = 0) -> tuple[Estimate, Estimate]:
    """Fit a line by least squares and draw whole concepts for its intervals.

    A concept that stands in several test sets, such as ImageNet's names in ImageNet-Sketch, is drawn with all its
    rows. The test sets themselves are taken as given.

    Args:
        x: Such as log counts, shape ``(n,)``.
        y: Scores, shape ``(n,)``.
        key: Normalised name of each row's concept, shape ``(n,)``.
        seed: Of the draws.

    Returns:
        Pearson's r and the slope, with 95 % intervals; their support is the number of rows.

    Raises:
        ValueError: If the shapes differ, there are fewer than three concepts, or one side does not vary.

    >>> r, slope = fit_concept_line(np.arange(4.0), np.array([0.0, 2.0, 4.0, 6.0]), np.array(["a", "b", "c", "d"]))
    >>> r.value, slope.value, slope.n
    (1.0, 2.0, 4)
    """
    if not x.shape == y.shape == key.shape or x.ndim != 1:
        raise ValueError(f"x has shape {x.shape}, y {y.shape}, names {key.shape}: all need one shape")
    codes = np.unique(key, return_inverse=True)[1]
    number = int(codes.max(initial=-1)) + 1
    if number < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError(f"{number} concepts, a line needs 3 that differ in x and y")
    # Centring first keeps the moments free of cancellation.
    x, y = x - x.mean(), y - y.mean()
    columns = (np.ones_like(x), x, y, x * y, x * x, y * y)
    sums = np.stack([np.bincount(codes, weights=column, minlength=number) for column in columns])

    def statistic(weights: FloatArray) -> FloatArray:
        # The last bits of a matrix product depend on the threads of BLAS, those of einsum do not.
        total, mean_x, mean_y, xy, xx, yy = np.einsum("dk,ck->cd", weights, sums)
        cross = xy / total - (mean_x / total) * (mean_y / total)
        spread_x, spread_y = xx / total - (mean_x / total) ** 2, yy / total - (mean_y / total) ** 2
        varies = (spread_x > 0) & (spread_y > 0)
        nothing = np.full(len(total), np.nan)
        r = np.divide(cross, np.sqrt(np.abs(spread_x * spread_y)), out=nothing.copy(), where=varies)
        slope = np.divide(cross, spread_x, out=nothing, where=varies)
        return np.stack([np.clip(r, -1, 1), slope], axis=1)

    draws = resample(statistic, number, np.random.default_rng(seed), N_DRAWS)
    value = statistic(np.ones((1, number)))[0].tolist()
    return (
        percentile_interval(value[0], draws[:, 0], n=len(x), what="r over concepts"),
        percentile_interval(value[1], draws[:, 1], n=len(x), what="slope over concepts"),
    )
