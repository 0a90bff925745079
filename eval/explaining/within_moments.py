"""Slopes, correlations and shares of variance from sums over datasets, for the data and for draws of them alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class LineMoments(NamedTuple):
    """Slope and correlation of each set of sums, NaN where they are undefined, each of shape ``(draws,)``."""

    slope: FloatArray
    r: FloatArray


class Moments(NamedTuple):
    """What a table's sums say of each set of draws.

    Attributes:
        pooled: Over all rows alike.
        within: With the means of the datasets taken out.
        by_datasets: Share of variance that the means of the datasets explain, shape ``(draws,)``.
        by_counts: Share that a line in the counts explains, shape ``(draws,)``.
        by_both: Share that both explain, shape ``(draws,)``.
    """

    pooled: LineMoments
    within: LineMoments
    by_datasets: FloatArray
    by_counts: FloatArray
    by_both: FloatArray


def stack_columns(x: FloatArray, y: FloatArray) -> FloatArray:
    """Columns whose sums `find_moments` takes: 1, x, y, xx, xy and yy of the centred values, shape ``(n, 6)``."""
    # Centring first keeps the one-pass sums free of cancellation.
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones(len(x)), x, y, x * x, x * y, y * y], axis=1)


def find_moments(sums: FloatArray) -> Moments:
    """Turn sums over datasets into slopes, correlations and shares of variance.

    Shares are adjusted for the number of means and slopes fitted, so that nineteen datasets do not explain more than
    one line by their number alone.

    Args:
        sums: Sums of `stack_columns` in each dataset, shape ``(draws, n_datasets, 6)``.

    References:
        Ezekiel, Methods of Correlation Analysis, 1930 (adjusted share).
    """
    over_all, within = _scatter(sums.sum(axis=1)), _scatter(sums).sum(axis=1)
    rows = sums[:, :, 0].sum(axis=1)
    means = (sums[:, :, 0] > 0).sum(axis=1) - 1
    pooled, inside = _find_line(over_all), _find_line(within)
    total, left = over_all[:, 2], within[:, 2]
    beside = left * (1 - np.nan_to_num(inside.r) ** 2)
    return Moments(
        pooled=pooled,
        within=inside,
        by_datasets=_explained(left, total, rows, means),
        by_counts=_explained(total * (1 - np.nan_to_num(pooled.r) ** 2), total, rows, np.ones_like(means)),
        by_both=_explained(beside, total, rows, means + 1),
    )


def spread_within(sums: FloatArray) -> FloatArray:
    """Sum of squares of x about the mean of each dataset, shape ``(n_datasets,)``."""
    return _scatter(sums)[:, 0]


def _scatter(sums: FloatArray) -> FloatArray:
    """Sums of squares and products about the mean: xx, xy, yy in the last axis."""
    rows, x, y, xx, xy, yy = np.moveaxis(sums, -1, 0)
    rows = np.maximum(rows, 1)
    about = np.stack([xx - x * x / rows, xy - x * y / rows, yy - y * y / rows], axis=-1)
    # What rounding leaves of a column that does not vary is no variance.
    for place, square in ((0, xx), (2, yy)):
        about[..., place] = np.where(about[..., place] > 1e-12 * square, about[..., place], 0.0)
    return about


def _find_line(scatter: FloatArray) -> LineMoments:
    xx, xy, yy = scatter.T
    slope = np.divide(xy, xx, out=np.full(len(xx), np.nan), where=xx > 0)
    spread = np.sqrt(xx * yy)
    r = np.divide(xy, spread, out=np.full(len(xx), np.nan), where=spread > 0)
    return LineMoments(slope, np.clip(r, -1.0, 1.0))


def _explained(left: FloatArray, total: FloatArray, rows: FloatArray, fitted: NDArray[np.int_]) -> FloatArray:
    degrees = rows - fitted - 1
    possible = (total > 0) & (degrees > 0)
    ratio = np.divide(left * (rows - 1), total * degrees, out=np.full(len(rows), np.nan), where=possible)
    shares: FloatArray = np.clip(1 - ratio, 0.0, 1.0)
    return shares
