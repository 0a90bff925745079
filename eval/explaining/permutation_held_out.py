"""Share of the variance within datasets that a line in the counts explains of concepts it was not fitted to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def score_held_out(x: FloatArray, y: FloatArray, codes: IntArray, fold: IntArray) -> FloatArray:
    """Score one slope beside the datasets' means against those means alone, on held-out folds.

    Means and slope are fitted without the fold. Rows of a dataset that lies in one fold alone have no mean to be
    scored against and are left out.

    Args:
        x: Log counts, one row per variant of them, shape ``(variants, n)``.
        y: Accuracies, shape ``(n,)``.
        codes: Dataset of every row, shape ``(n,)``.
        fold: Fold of every row, shape ``(n,)``.

    Returns:
        Share of the squared error of the means that the slope takes away, negative where it adds to it, 0 where
        nothing is left to explain, shape ``(variants,)``.

    References:
        Campbell and Thompson, Review of Financial Studies 21(4), 2008 (share against a mean fitted without the data
        scored).
    """
    order = np.lexsort((fold, codes))
    cell_of = np.stack([codes[order], fold[order]], axis=1)
    cells, starts = np.unique(cell_of, axis=0, return_index=True)
    sets, set_starts = np.unique(cells[:, 0], return_index=True)
    sizes = np.bincount(codes)[sets]
    x, y = x[:, order], y[order]
    # A mean per dataset taken off changes no score and keeps the sums free of cancellation.
    first_rows = starts[set_starts]
    at = np.repeat(np.arange(len(sets)), sizes)
    x = x - (np.add.reduceat(x, first_rows, axis=1) / sizes)[:, at]
    y = y - (np.add.reduceat(y, first_rows) / sizes)[at]

    columns = np.stack(np.broadcast_arrays(np.ones(len(y)), x, y, x * x, x * y, y * y))
    held = np.add.reduceat(columns, starts, axis=2)
    totals = np.add.reduceat(held, set_starts, axis=2)
    counts = np.diff(np.append(set_starts, len(cells)))
    trained = np.repeat(totals, counts, axis=2) - held

    scored = trained[0, 0] > 0
    mean_x, mean_y = trained[1:3] / np.maximum(trained[0], 1)
    slopes = _fit_without(held, totals, cells[:, 1], set_starts)[
        :, np.unique(cells[:, 1], return_inverse=True)[1]
    ]
    size, of_x, of_y, xx, xy, yy = held
    about_xx = xx - 2 * mean_x * of_x + size * mean_x**2
    about_xy = xy - mean_x * of_y - mean_y * of_x + size * mean_x * mean_y
    about_yy = yy - 2 * mean_y * of_y + size * mean_y**2
    gain = (2 * slopes * about_xy - slopes**2 * about_xx)[:, scored].sum(axis=1)
    error = about_yy[:, scored].sum(axis=1)
    shares: FloatArray = np.divide(gain, error, out=np.zeros(len(x)), where=error > 0)
    return shares


def _fit_without(held: FloatArray, totals: FloatArray, folds: IntArray, set_starts: IntArray) -> FloatArray:
    """Slope within datasets without each fold, shape ``(variants, n_folds)``."""
    slopes = []
    for fold in np.unique(folds):
        out = np.where(folds == fold, held, 0.0)
        size, of_x, of_y, xx, xy, _ = totals - np.add.reduceat(out, set_starts, axis=2)
        size = np.maximum(size, 1)
        spread = (xx - of_x**2 / size).sum(axis=1)
        product = (xy - of_x * of_y / size).sum(axis=1)
        slopes.append(np.divide(product, spread, out=np.zeros(len(spread)), where=spread > 1e-12))
    return np.stack(slopes, axis=1)
