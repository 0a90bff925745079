"""Least squares of each curve beside the shrunk effects of datasets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit

from oddpair.eval.explaining.form_curves import Floor, Line, Logistic, Spline, Steps, natural_basis
from oddpair.eval.explaining.form_pooling import PooledRows

FloatArray = NDArray[np.float64]

# A knot needs rows above it: this share of them at least.
_ABOVE_KNOT = 0.02
_KNOTS = 32
_MIDDLES, _WIDTHS, _SEARCHES = 14, 7, 5
_SPLINE_SHARES = (0.25, 0.5, 0.75, 0.97)
_BACKFITS, _SETTLED = 60, 1e-7


def fit_mean(rows: PooledRows) -> Line:
    """Fit no curve at all: the mean, which the datasets' effects move."""
    one = np.ones((len(rows.x), 1))
    mean = rows.product(one, rows.y[:, None])[0, 0] / rows.product(one, one)[0, 0]
    return Line(intercept=float(mean), slope=0.0)


def fit_line(rows: PooledRows) -> Line:
    """Fit a straight line in log count, rising or falling."""
    intercept, slope = _solve(rows, np.stack([np.ones(len(rows.x)), rows.x], axis=1))
    return Line(intercept=float(intercept), slope=float(slope))


def fit_spline(rows: PooledRows) -> Spline:
    """Fit a natural cubic spline with five knots: the lowest count, and quarters and the top of the rows above it.

    Rows of the lowest count (0 as a rule, half of a table) would draw all knots to it. Knots that fall together are
    one.
    """
    lowest = float(rows.x.min())
    # Counts that occur, so that there are never more knots than different counts to settle them.
    above = np.quantile(rows.x[rows.x > lowest], _SPLINE_SHARES, method="nearest")
    knots = np.unique(np.concatenate([[lowest], above]))
    return Spline(knots=knots, coefficients=_solve(rows, natural_basis(rows.x, knots)))


def fit_floor(rows: PooledRows) -> Floor:
    """Fit a floor and a line that rises from a knot; the knot by search over the counts, finely round the best.

    A knot at the lowest count is a straight line, so that the form holds it. The slope is 0 where the best is negative.
    """
    lowest, highest = float(rows.x.min()), float(np.quantile(rows.x, 1 - _ABOVE_KNOT))
    ends = lowest, highest
    for _ in range(3):
        knots = np.unique(np.clip(np.linspace(*ends, _KNOTS), lowest, highest))
        floor, slope, loss = _fit_each_floor(rows, np.maximum(rows.x[:, None] - knots, 0))
        winner = int(np.argmin(loss))
        knot, step = float(knots[winner]), (ends[1] - ends[0]) / (_KNOTS - 1)
        found = Floor(floor=float(floor[winner]), knot=knot, slope=float(slope[winner]))
        ends = knot - step, knot + step
    return found


def fit_logistic(rows: PooledRows) -> Logistic:
    """Fit a logistic curve in log count between a floor and a ceiling, both within [0, 1].

    Middle and width by search, finely round the best; floor and ceiling are exact at each.
    """
    lowest, highest = float(rows.x.min()), float(rows.x.max())
    reach = highest - lowest
    middle_step, width_step = reach / (_MIDDLES - 1), np.log(20) / (_WIDTHS - 1)
    middles = np.linspace(lowest, highest, _MIDDLES)
    log_widths = np.log(reach / 40) + width_step * np.arange(_WIDTHS)
    for _ in range(_SEARCHES):
        grid = np.stack(np.meshgrid(middles, log_widths, indexing="ij"), axis=-1).reshape(-1, 2)
        rise: FloatArray = expit((rows.x[:, None] - grid[:, 0]) / np.exp(grid[:, 1]))
        floor, ceiling, loss = _fit_each_logistic(rows, rise)
        winner = int(np.argmin(loss))
        middle, log_width = grid[winner].tolist()
        middle_step, width_step = middle_step / 2.5, width_step / 2.5
        middles = np.clip(middle + middle_step * np.arange(-2, 3), lowest, highest)
        log_widths = log_width + width_step * np.arange(-2, 3)
    return Logistic(
        floor=float(floor[winner]),
        ceiling=float(ceiling[winner]),
        middle=middle,
        width=float(np.exp(log_width)),
    )


def fit_steps(rows: PooledRows) -> Steps:
    """Fit the best rising curve of any shape, by isotonic regression and the datasets' effects in turn."""
    at, codes = np.unique(rows.x, return_inverse=True)
    weight = np.bincount(codes, weights=rows.weights)
    effects: FloatArray = np.zeros(len(rows.datasets))
    for _ in range(_BACKFITS):
        left = np.bincount(codes, weights=rows.weights * (rows.y - effects[rows.codes])) / weight
        levels = isotonic_regression(left, weights=weight).x
        moved = rows.effects(levels[codes]) - effects
        effects += moved
        if np.abs(moved).max() < _SETTLED:
            break
    # The inside of a flat stretch says nothing that its ends do not.
    flat = np.diff(levels) == 0
    ends = np.flatnonzero(~np.concatenate([[False], flat[:-1] & flat[1:], [False]]))
    return Steps(at=at[ends], levels=levels[ends])


def _solve(rows: PooledRows, basis: FloatArray) -> FloatArray:
    by_y = rows.product(basis, rows.y[:, None])
    return np.linalg.solve(rows.product(basis, basis), by_y)[:, 0].astype(np.float64)


def _systems(
    rows: PooledRows, columns: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, float, float]:
    """Products of every column by itself, by 1 and by y; and of 1 by itself and by y."""
    fixed = np.stack([np.ones(len(rows.x)), rows.y], axis=1)
    beside = rows.product(fixed, fixed)
    crossed = rows.product(fixed, columns)
    sums = rows.totals(columns)
    shrunk = sums / (rows.totals(np.ones(len(rows.x))) + rows.ridge)[:, None]
    own = np.einsum("i,ij,ij->j", rows.weights, columns, columns) - (sums * shrunk).sum(axis=0)
    return own, crossed[0], crossed[1], float(beside[0, 0]), float(beside[0, 1])


def _fit_each_floor(rows: PooledRows, hinges: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    own, by_one, by_y, one, y = _systems(rows, hinges)
    left = own - by_one**2 / one
    gain = np.maximum(by_y - by_one * y / one, 0)
    slope = np.divide(gain, left, out=np.zeros_like(gain), where=left > 1e-12 * own)
    return (y - slope * by_one) / one, slope, -slope * gain


def _fit_each_logistic(rows: PooledRows, rise: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Floor and ceiling in 0 <= floor <= ceiling <= 1 with the least loss: inside, or the best of the edges."""
    own, by_one, by_y, one, y = _systems(rows, rise)
    low_low, low_high, high_high = one - 2 * by_one + own, by_one - own, own
    low_y, high_y = y - by_y, by_y
    determinant = low_low * high_high - low_high**2
    safe = np.where(determinant > 1e-12 * low_low * high_high, determinant, np.inf)
    floor = (high_high * low_y - low_high * high_y) / safe
    ceiling = (low_low * high_y - low_high * low_y) / safe
    inside = np.isfinite(safe) & (floor >= 0) & (ceiling <= 1) & (floor <= ceiling)
    level: FloatArray = np.full(len(own), min(max(y / one, 0.0), 1.0))
    zero, full = np.zeros(len(own)), np.ones(len(own))
    floors = np.stack([np.where(inside, floor, level), zero, np.clip((low_y - low_high) / low_low, 0, 1)])
    ceilings = np.stack([np.where(inside, ceiling, level), np.clip(high_y / high_high, 0, 1), full])
    losses = (
        floors**2 * low_low
        + 2 * floors * ceilings * low_high
        + ceilings**2 * high_high
        - 2 * (floors * low_y + ceilings * high_y)
    )
    best, column = np.argmin(losses, axis=0), np.arange(len(own))
    return floors[best, column], ceilings[best, column], losses[best, column]
