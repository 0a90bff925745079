"""Logits of accuracy per nat of PMI, with counts and test sets held equal by regression."""

from __future__ import annotations

import numpy as np

from oddpair.eval.composing.pmi_gap_adjusted import make_controls
from oddpair.eval.composing.pmi_gap_rows import PmiRows
from oddpair.eval.intervals import Estimate, effective_number, normal_interval, widen_confidence
from oddpair.eval.logistic import fit


def fit_slope(rows: PmiRows, *, controlled: bool) -> Estimate:
    """Fit a logistic regression of samples on their PMI.

    Difficulty that the controls do not explain flattens the slope, as in every logistic regression.

    Args:
        rows: Rows of one model, both right and wrong among them.
        controlled: Whether test sets, controls and their squares stand beside PMI.

    Returns:
        Logits per nat, with an interval whose errors are robust to what rows of one set of concepts share; its support
        is the sets.

    Raises:
        ValueError: If there are too few sets for the columns.
    """
    others = make_controls(rows) if controlled else np.ones((len(rows), 1))
    if rows.n_clusters <= others.shape[1] + 2:
        raise ValueError(
            f"{rows.n_clusters} sets of concepts are too few for {others.shape[1]} columns of controls"
        )
    centre = float(np.average(rows.pmi, weights=rows.samples))
    # Scores of 0.6 are six tenths of a hit; rounding may put a sum of them past the samples.
    hits = np.minimum(rows.samples * rows.accuracy, rows.samples)
    fitted = fit(hits, rows.samples, np.column_stack([rows.pmi - centre, others]), rows.cluster)
    worth = effective_number(rows.sum_clusters(rows.samples[:, None])[:, 0])
    return normal_interval(
        float(fitted.coefficients[0]),
        float(fitted.standard_errors[0]),
        n=rows.n_clusters,
        what="logits per nat of PMI" + (", given counts" if controlled else ""),
        confidence=widen_confidence(0.95, max(worth, 2)),
    )
