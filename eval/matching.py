"""Unseen pairs beside seen pairs of the same concept counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.concept_effects import check_one_world
from oddpair.eval.concept_rows import LOG_COUNT, LOG_PARTNER_COUNT, ConceptRows
from oddpair.eval.intervals import Estimate, cluster_bootstrap

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CALIPER = 0.1
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """Unseen rows against seen rows of the same counts.

    Attributes:
        difference: Accuracy of the unseen rows minus that of their seen partners, in points.
        unseen_rows: Index of each matched unseen row, shape ``(n_matched,)``.
        seen_rows: Index of the seen row matched to it, shape ``(n_matched,)``.
        n_matched: Matches.
        n_unmatched: Unseen rows without a seen row near enough.
        target_imbalance: Mean log10 target count, unseen minus seen, over the matches, in decades.
        partner_imbalance: The same of the partner count.
    """

    difference: Estimate
    unseen_rows: IntArray
    seen_rows: IntArray
    n_matched: int
    n_unmatched: int
    target_imbalance: float
    partner_imbalance: float


def match_on_counts(rows: ConceptRows, rng: np.random.Generator, *, caliper: float = CALIPER) -> Matched:
    """Compare unseen rows with seen rows of nearly the same target count and partner count.

    Matching is one to one, without replacement, the nearest couple first (distance in the plane of the
    two log10 counts), ties by names. The interval resamples unordered unseen pairs with their matches.

    Args:
        rows: Ordered pairs of one world, seen and unseen.
        rng: Source of the draws.
        caliper: Largest difference allowed in each log10 count, in decades.

    Returns:
        The difference in points, who was matched to whom, and the imbalance that is left.

    Raises:
        ValueError: If rows are of several worlds, or fewer than two unordered unseen pairs find a match.

    References:
        Rosenbaum and Rubin, The American Statistician 39(1), 1985.
    """
    check_one_world(rows)
    order = np.lexsort((rows.partner, rows.target))
    unseen_mask = rows.unseen[order]
    unseen, seen = order[unseen_mask], order[~unseen_mask]
    counts = np.column_stack([rows.feature(LOG_COUNT), rows.feature(LOG_PARTNER_COUNT)])
    left, right = _nearest_first(counts[unseen], counts[seen], caliper)
    # Back into the order of names, in which the report lists them.
    by_name = np.argsort(left)
    left, right = unseen[left[by_name]], seen[right[by_name]]
    if len(np.unique(rows.pair[left])) < 2:
        raise ValueError(
            f"{len(left)} of {len(unseen)} unseen rows have a seen row within {caliper} decades "
            "on both counts, a comparison needs matches of at least 2 pairs"
        )
    codes = np.unique(rows.pair[left], return_inverse=True)[1]
    gap = 100 * np.bincount(codes, weights=rows.accuracy[left] - rows.accuracy[right])
    size = np.bincount(codes).astype(np.float64)
    difference = cluster_bootstrap(
        lambda weights: (weights @ gap) / (weights @ size),
        len(gap),
        rng,
        what="unseen minus matched seen, points",
    )
    imbalance = (counts[left] - counts[right]).mean(axis=0)
    return Matched(
        difference=difference,
        unseen_rows=left,
        seen_rows=right,
        n_matched=len(left),
        n_unmatched=len(unseen) - len(left),
        target_imbalance=float(imbalance[0]),
        partner_imbalance=float(imbalance[1]),
    )


def _nearest_first(left: FloatArray, right: FloatArray, caliper: float) -> tuple[IntArray, IntArray]:
    # The allowance keeps a couple that is exactly the caliper apart, whatever its last bit.
    allowed = caliper + 1e-9
    couples = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(left), _ROWS_AT_ONCE):
        gaps = np.abs(left[start : start + _ROWS_AT_ONCE, None] - right[None]).max(axis=2)
        couples.append(np.argwhere(gaps <= allowed) + np.array([start, 0]))
    near = np.concatenate(couples)
    # Rounded, so that equal distances tie and names decide.
    distance = np.round(np.hypot(*(left[near[:, 0]] - right[near[:, 1]]).T), 12)
    free_left, free_right = np.ones(len(left), dtype=np.bool_), np.ones(len(right), dtype=np.bool_)
    matched = []
    for a, b in near[np.lexsort((near[:, 1], near[:, 0], distance))].tolist():
        if free_left[a] and free_right[b]:
            free_left[a] = free_right[b] = False
            matched.append((a, b))
    found = np.array(matched, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
