"""The effect of PMI on accuracy: correlations, curve and the gap between its ends, plain and at matched counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.pmi_gap_adjusted import adjust
from oddpair.eval.composing.pmi_gap_relation import PmiRelation, relate_pmi
from oddpair.eval.composing.pmi_gap_rows import PmiRows
from oddpair.eval.composing.pmi_gap_tails import TailGap, find_gap
from oddpair.eval.composing.pmi_matched import MatchedGap, match_pmi
from oddpair.eval.composing.pmi_matched_slope import fit_slope
from oddpair.eval.intervals import Estimate

LEAST_SETS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiEffects:
    """What PMI says of one model's accuracy.

    Attributes:
        samples: Samples.
        sets: Sets of concepts among them.
        accuracy: Mean accuracy over samples.
        plain: Accuracy against PMI as it is.
        given_counts: Both beyond what controls and test sets say of them; ``None`` where `left_out` says why.
        gap: Between the outermost 5 % of PMI as it is.
        matched: Between high and low PMI at matched controls; ``None`` for fewer than 5 couples, or no control.
        slope: Logits per nat.
        slope_given_counts: The same given controls and test sets; ``None`` as `given_counts`.
        left_out: Why there is nothing given counts; ``""`` where there is.
    """

    samples: float
    sets: int
    accuracy: float
    plain: PmiRelation
    given_counts: PmiRelation | None
    gap: TailGap
    matched: MatchedGap | None
    slope: Estimate
    slope_given_counts: Estimate | None
    left_out: str


def find_obstacle(rows: PmiRows) -> str | None:
    """Say why rows tell nothing of PMI; ``None`` where they do."""
    if rows.n_clusters < LEAST_SETS:
        return f"{rows.n_clusters} sets of concepts with a PMI, needed {LEAST_SETS} or more"
    if np.ptp(rows.pmi) == 0:
        return f"all samples have the PMI {rows.pmi[0]:.4g}"
    sums = rows.sum_clusters(np.stack([rows.samples, rows.samples * rows.accuracy], axis=1))
    if np.ptp(sums[:, 1] / sums[:, 0]) == 0:
        return f"all sets of concepts have the accuracy {rows.accuracy[0]:.4g}"
    if (
        np.ptp(
            rows.sum_clusters(np.stack([rows.samples, rows.samples * rows.pmi], axis=1))[:, 1] / sums[:, 0]
        )
        == 0
    ):
        return "all sets of concepts have one mean PMI"
    return None


def measure_pmi(rows: PmiRows, rng: np.random.Generator) -> PmiEffects:
    """Measure how one model's accuracy goes with PMI, plain and at matched counts.

    All intervals cover 95 % and take whole sets of concepts to be drawn.

    Args:
        rows: Its rows, of which `find_obstacle` says nothing.
        rng: Source of the draws.

    Returns:
        Correlations, curves, gaps and slopes.

    Raises:
        ValueError: If the rows tell nothing of PMI.

    References:
        Qu and Xie, arXiv:2507.08000.
    """
    obstacle = find_obstacle(rows)
    if obstacle is not None:
        raise ValueError(obstacle)
    given, matched, slope, why = None, None, None, ""
    if rows.names:
        try:
            pmi, accuracy, cost = adjust(rows)
            slope = fit_slope(rows, controlled=True)
        except ValueError as error:
            why = str(error)
        else:
            given = relate_pmi(rows, pmi, accuracy, rng, cost=cost)
            matched = match_pmi(rows, rng)
    else:
        why = "no counts were given"
    return PmiEffects(
        samples=float(rows.samples.sum()),
        sets=rows.n_clusters,
        accuracy=float(np.average(rows.accuracy, weights=rows.samples)),
        plain=relate_pmi(rows, rows.pmi, rows.accuracy, rng),
        given_counts=given,
        gap=find_gap(rows, rng),
        matched=matched,
        slope=fit_slope(rows, controlled=False),
        slope_given_counts=slope,
        left_out=why,
    )
