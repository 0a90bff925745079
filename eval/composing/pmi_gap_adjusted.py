"""PMI and accuracy beyond what counts and test sets say of both, by least squares."""

from __future__ import annotations

import numpy as np

from oddpair.eval.composing.pmi_gap_rows import FloatArray, PmiRows

# Less than this share of its variation is left of a column that the others fix.
_FIXED = 1e-9


def make_controls(rows: PmiRows) -> FloatArray:
    """Make the columns that stand for what is held equal: test sets, controls and their squares.

    Controls are about their means; what does not vary is left out.

    Args:
        rows: Rows of one model.

    Returns:
        Shape ``(n, m)``, the first of them test sets.
    """
    groups = rows.group[:, None] == np.unique(rows.group)
    varied = rows.controls[:, np.ptp(rows.controls, axis=0) > 0]
    centred = varied - np.average(varied, axis=0, weights=rows.samples)
    squares = centred**2
    # Of a control with two values the square says nothing more.
    more = [column for column in squares.T if np.ptp(column) > 1e-9 * max(float(column.max()), 1e-300)]
    return np.column_stack([groups.astype(np.float64), centred, *more])


def adjust(rows: PmiRows) -> tuple[FloatArray, FloatArray, int]:
    """Take out of PMI and of accuracy what controls and test sets say of them; their means stay.

    Args:
        rows: Rows of one model.

    Returns:
        Adjusted PMI, adjusted accuracy (which may leave 0 to 1), and the number of columns that this cost.

    Raises:
        ValueError: If nothing of the PMI is left, or there are no more rows than columns.
    """
    controls = make_controls(rows)
    rank = int(np.linalg.matrix_rank(controls))
    if rows.n_clusters <= rank + 2:
        raise ValueError(f"{rows.n_clusters} sets of concepts are too few for {rank} columns of controls")
    weights = np.sqrt(rows.samples)[:, None]
    both = np.column_stack([rows.pmi, rows.accuracy])
    means = np.average(both, axis=0, weights=rows.samples)
    fitted = controls @ np.linalg.lstsq(controls * weights, both * weights, rcond=None)[0]
    left = both - fitted
    if left[:, 0] ** 2 @ rows.samples <= _FIXED * ((both[:, 0] - means[0]) ** 2 @ rows.samples):
        raise ValueError("counts and test sets fix the PMI: nothing of it is left to compare")
    pmi, accuracy = (left + means).T
    return pmi, accuracy, rank
