"""How far numbers made again lie from those that were published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A published column beside the same numbers made again.

    Attributes:
        table: File of the column.
        column: Its name.
        n: Numbers compared.
        largest: Largest absolute difference, infinite where one side alone is blank.
        tolerance: Largest that rounding of the tables explains.
        where: Row of the largest.
    """

    table: str
    column: str
    n: int
    largest: float
    tolerance: float
    where: str

    @property
    def holds(self) -> bool:
        """Whether every number agrees."""
        return self.largest <= self.tolerance


def compare_column(
    table: str, column: str, published: ArrayLike, ours: ArrayLike, *, tolerance: float, rows: Sequence[str]
) -> Agreement:
    """Compare a column of published numbers with our own.

    Args:
        table: File of the column.
        column: Its name.
        published: Published numbers, NaN for a blank, shape ``(n,)``.
        ours: Our own, NaN where there is nothing to compute, shape ``(n,)``.
        tolerance: Largest difference that rounding explains.
        rows: What each row is, ``n`` of them.

    Raises:
        ValueError: If the lengths differ or there are no rows.

    >>> found = compare_column("fits.csv", "r", [0.5, 0.25], [0.5, 0.5], tolerance=1e-5, rows=["a", "b"])
    >>> found.largest, found.where, found.holds
    (0.25, 'b', False)
    """
    left, right = np.asarray(published, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    if left.shape != right.shape or left.shape != (len(rows),) or len(rows) == 0:
        raise ValueError(f"{column}: {left.shape} published, {right.shape} our own, {len(rows)} rows")
    # Two blanks agree; one alone does not.
    gap = np.where(np.isnan(left) & np.isnan(right), 0.0, np.abs(left - right))
    gap = np.where(np.isnan(gap), np.inf, gap)
    worst = int(np.argmax(gap))
    return Agreement(
        table=table,
        column=column,
        n=len(rows),
        largest=float(gap[worst]),
        tolerance=tolerance,
        where=rows[worst],
    )
