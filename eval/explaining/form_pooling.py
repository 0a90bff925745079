"""Rows of one model with the effect of their dataset taken out, shrunk as far as the data say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Names = NDArray[np.str_]

# Rows that a dataset's effect is shrunk by: the search for it ends here, where an effect is kept whole or is none.
_LEAST_RIDGE, _MOST_RIDGE = 1e-3, 1e6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledRows:
    """Accuracies of one model against log count, sorted by dataset.

    The effects of datasets are random intercepts: the model of a row is a curve of its log count, plus the effect of
    its dataset, plus noise. Rows of weight 0 are left out.

    Attributes:
        x: Log10 of one plus the count, shape ``(n,)``.
        y: Accuracy, shape ``(n,)``.
        weights: Weight of the row, 1 on the average, shape ``(n,)``.
        codes: Dataset of the row as an index into ``datasets``, ascending, shape ``(n,)``.
        datasets: Names of the datasets, shape ``(n_datasets,)``.
        starts: First row of each dataset, shape ``(n_datasets,)``.
        ridge: Variance of the noise over that of the effects: so many rows' worth of 0 are mixed into each effect.
    """

    x: FloatArray
    y: FloatArray
    weights: FloatArray
    codes: IntArray
    datasets: Names
    starts: IntArray
    ridge: float

    def totals(self, columns: FloatArray) -> FloatArray:
        """Weighted sum of every column in every dataset, shape ``(n_datasets, ...)``."""
        found: FloatArray = np.add.reduceat((self.weights * columns.T).T, self.starts, axis=0)
        return found

    def product(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Inner product of two sets of columns once the datasets' effects are fitted away.

        Args:
            left: Shape ``(n, p)``.
            right: Shape ``(n, q)``.

        Returns:
            The products, shape ``(p, q)``: least squares by them is the mixed model's generalised least squares.
        """
        shrunk = self.totals(right) / (self.totals(np.ones(len(self.x))) + self.ridge)[:, None]
        found: FloatArray = left.T @ (self.weights[:, None] * right) - self.totals(left).T @ shrunk
        return found

    def effects(self, curve: FloatArray) -> FloatArray:
        """Effects of the datasets beside a curve given at every row, shape ``(n_datasets,)``."""
        sums = self.totals(np.stack([self.y - curve, np.ones(len(self.x))], axis=1))
        found: FloatArray = sums[:, 0] / (sums[:, 1] + self.ridge)
        return found


def pool_rows(x: ArrayLike, y: ArrayLike, weights: ArrayLike, dataset: NDArray[Any]) -> PooledRows:
    """Sort rows by dataset and find how far the datasets' effects are to be shrunk.

    The ridge is the ratio of variances that restricted maximum likelihood finds beside a straight line. With one
    dataset its effect cannot be told from the intercept and is 0.

    Args:
        x: Log10 of one plus the count, shape ``(n,)``.
        y: Accuracy, shape ``(n,)``.
        weights: Weight of each row, 0 or more, shape ``(n,)``.
        dataset: Dataset of each row, shape ``(n,)``.

    Raises:
        ValueError: If shapes differ, a number is not finite, no row has weight, or the counts do not vary.

    References:
        Patterson and Thompson, Biometrika 58(3), 1971.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y, weights)]
    if any(column.shape != columns[0].shape for column in (*columns, dataset)) or columns[0].ndim != 1:
        raise ValueError(f"shapes differ: {[column.shape for column in (*columns, dataset)]}")
    if not all(np.isfinite(column).all() for column in columns) or (columns[2] < 0).any():
        raise ValueError("a log count, accuracy or weight is not finite, or a weight is negative")
    kept = np.flatnonzero(columns[2] > 0)
    if len(kept) == 0 or np.ptp(columns[0][kept]) == 0:
        raise ValueError(f"{len(kept)} rows with weight hold fewer than 2 different counts")
    kept = kept[np.argsort(dataset[kept], kind="stable")]
    datasets, starts, codes = np.unique(dataset[kept], return_index=True, return_inverse=True)
    rows = PooledRows(
        x=columns[0][kept],
        y=columns[1][kept],
        weights=columns[2][kept] / columns[2][kept].mean(),
        codes=codes.astype(np.int64),
        datasets=datasets.astype(np.str_),
        starts=starts.astype(np.int64),
        ridge=np.inf,
    )
    return rows if len(datasets) == 1 else replace(rows, ridge=_find_ridge(rows))


def _find_ridge(rows: PooledRows) -> float:
    columns = np.stack([np.ones(len(rows.x)), rows.x, rows.y], axis=1)
    moments = columns.T @ (rows.weights[:, None] * columns)
    sums = rows.totals(columns)
    size, degrees = sums[:, 0], len(rows.x) - 2

    def deviance(log_ridge: float) -> float:
        ridge = np.exp(log_ridge)
        left = moments - (sums / (size + ridge)[:, None]).T @ sums
        slope = np.linalg.solve(left[:2, :2], left[:2, 2])
        noise = max(float(left[2, 2] - slope @ left[:2, 2]), 1e-12)
        logdet = float(np.linalg.slogdet(left[:2, :2])[1])
        return degrees * float(np.log(noise)) + float(np.log1p(size / ridge).sum()) + logdet

    ends = (np.log(_LEAST_RIDGE), np.log(_MOST_RIDGE))
    # One hill may hide another: a coarse walk finds the valley that the search then goes down.
    steps = np.linspace(*ends, 22)
    lowest = int(np.argmin([deviance(step) for step in steps.tolist()]))
    around = (steps[max(lowest - 1, 0)], steps[min(lowest + 1, len(steps) - 1)])
    return float(
        np.exp(minimize_scalar(deviance, bounds=around, method="bounded", options={"xatol": 0.02}).x)
    )
