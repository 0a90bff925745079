"""Sets of concepts of high PMI beside sets of low PMI whose concepts are as frequent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from oddpair.eval.composing.pmi_gap_rows import FloatArray, IntArray, PmiRows
from oddpair.eval.intervals import Estimate, cluster_bootstrap, effective_number, widen_confidence
from oddpair.eval.matching import CALIPER

# Shares of the sets that count as high and as low: the first that gives couples enough.
SHARES = (0.05, 0.1, 0.2, 1 / 3, 0.5)
ENOUGH = 30
LEAST = 5
_FLIPS = 1999
# Sets of different test sets lie this far apart for each number between them, beyond every caliper.
_APART = 1e6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedGap:
    """Sets of high PMI against sets of low PMI at matched controls.

    Attributes:
        difference: Accuracy of the high sets minus that of their partners, a fraction; the support is the couples.
        p: Share of sign flips, the data among them, whose difference is as far from 0; two-sided.
        high: Number of the set of high PMI of each couple, shape ``(m,)``.
        low: Number of its partner, shape ``(m,)``.
        weight: Weight of each couple in the difference: the samples that it can compare, which is the harmonic mean of
            its two numbers of samples, shape ``(m,)``.
        high_accuracy: Mean accuracy of the high sets, so weighted.
        low_accuracy: Mean accuracy of their partners.
        nats: Mean PMI of the high sets minus that of their partners, in nats.
        share: Share of all sets that counted as high, and as low.
        n_unmatched: High sets without a low one near enough.
        imbalance: By name of each control its mean in the high sets minus that in their partners.
    """

    difference: Estimate
    p: float
    high: IntArray
    low: IntArray
    weight: FloatArray
    high_accuracy: float
    low_accuracy: float
    nats: float
    share: float
    n_unmatched: int
    imbalance: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sets:
    """One value for each set of concepts: means of its rows, and the test sets that it stands in."""

    samples: FloatArray
    accuracy: FloatArray
    pmi: FloatArray
    controls: FloatArray
    tests: IntArray


def match_pmi(rows: PmiRows, rng: np.random.Generator, *, caliper: float = CALIPER) -> MatchedGap | None:
    """Compare sets of high PMI with sets of low PMI that differ little in every control.

    High and low are the ends of the PMI that is left when controls are taken out by least squares: of plain PMI the
    ends may have no counts in common. The ends are 5 % of the sets each, or as much more (up to halves) as it takes
    for 30 couples; accuracy has no say in it. Matching is one to one, without replacement, the nearest couple first
    and ties by the order of the sets, among sets that stand in the same test sets. The interval draws couples, for no
    set is in two.

    Args:
        rows: Rows of one model.
        rng: Source of the draws.
        caliper: Largest difference allowed in each control, in decades where these are log10 of counts.

    Returns:
        The difference and the imbalance that is left; ``None`` where fewer than 5 couples are found.

    References:
        Rosenbaum and Rubin, The American Statistician 39(1), 1985. Abadie and Spiess, Journal of the American
        Statistical Association 117(538), 2022 (errors of couples matched without replacement).
    """
    sets = _average_sets(rows)
    ranked = np.argsort(_take_out(sets), kind="stable")
    best: tuple[float, int, IntArray, IntArray] | None = None
    for share in SHARES:
        ends = min(round(share * len(ranked)), len(ranked) // 2)
        low, high = np.sort(ranked[:ends]), np.sort(ranked[len(ranked) - ends :])
        one, other = _nearest_first(sets, high, low, caliper)
        best = (share, ends, high[one], low[other])
        if len(one) >= ENOUGH:
            break
    assert best is not None
    share, ends, high, low = best
    return None if len(high) < LEAST else _compare(sets, rows.names, share, ends, (high, low), rng)


def _compare(
    sets: _Sets,
    names: tuple[str, ...],
    share: float,
    ends: int,
    couples: tuple[IntArray, IntArray],
    rng: np.random.Generator,
) -> MatchedGap:
    high, low = couples
    weight = 2 / (1 / sets.samples[high] + 1 / sets.samples[low])
    gap = sets.accuracy[high] - sets.accuracy[low]
    drawn = cluster_bootstrap(
        lambda weights: (weights @ (weight * gap)) / (weights @ weight),
        len(gap),
        rng,
        what="accuracy at high PMI minus that at low PMI, at matched counts",
        confidence=widen_confidence(0.95, max(effective_number(weight), 2)),
    )
    flipped = rng.choice([-1.0, 1.0], size=(_FLIPS, len(gap))) @ (weight * gap) / weight.sum()
    # Sums in another order may miss a tie by their last bits.
    as_far = int((np.abs(flipped) >= abs(drawn.value) * (1 - 1e-9)).sum())
    left = np.average(sets.controls[high] - sets.controls[low], axis=0, weights=weight)
    return MatchedGap(
        difference=Estimate(
            value=drawn.value,
            low=max(drawn.low, -1.0),
            high=min(drawn.high, 1.0),
            n=drawn.n,
            what=drawn.what,
        ),
        p=(as_far + 1) / (_FLIPS + 1),
        high=high,
        low=low,
        weight=weight,
        high_accuracy=float(np.average(sets.accuracy[high], weights=weight)),
        low_accuracy=float(np.average(sets.accuracy[low], weights=weight)),
        nats=float(np.average(sets.pmi[high] - sets.pmi[low], weights=weight)),
        share=share,
        n_unmatched=ends - len(high),
        imbalance=dict(zip(names, left.tolist(), strict=True)),
    )


def _average_sets(rows: PmiRows) -> _Sets:
    """Average what belongs to one set: over samples, but its accuracy over test sets, which all count the same."""
    weighted = np.column_stack([rows.pmi, rows.controls, np.ones(len(rows))]) * rows.samples[:, None]
    *means, samples = rows.sum_clusters(weighted).T
    n_tests = int(rows.group.max()) + 1
    shape = (rows.n_clusters, n_tests)
    cell = np.ravel_multi_index((rows.cluster, rows.group), shape)
    mass = np.bincount(cell, weights=rows.samples, minlength=shape[0] * n_tests).reshape(shape)
    hits = np.bincount(cell, weights=rows.samples * rows.accuracy, minlength=shape[0] * n_tests).reshape(
        shape
    )
    of_tests = np.divide(hits, mass, out=np.zeros(shape), where=mass > 0)
    pmi, *controls = (mean / samples for mean in means)
    return _Sets(
        samples=samples,
        accuracy=of_tests.sum(axis=1) / (mass > 0).sum(axis=1),
        pmi=pmi,
        controls=np.stack(controls, axis=1) if controls else np.zeros((shape[0], 0)),
        tests=np.unique(mass > 0, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64),
    )


def _take_out(sets: _Sets) -> FloatArray:
    """PMI beyond what controls and test sets say of it, rounded, so that equal ones tie."""
    centred = sets.controls - sets.controls.mean(axis=0)
    tests = (sets.tests[:, None] == np.unique(sets.tests)).astype(np.float64)
    known = np.column_stack([tests, centred, centred**2])
    left = sets.pmi - known @ np.linalg.lstsq(known, sets.pmi, rcond=None)[0]
    rounded: FloatArray = np.round(left, 9)
    return rounded


def _nearest_first(sets: _Sets, high: IntArray, low: IntArray, caliper: float) -> tuple[IntArray, IntArray]:
    if len(high) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = np.column_stack([sets.controls, sets.tests * _APART])
    # The allowance keeps a couple that is exactly the caliper apart, whatever its last bit.
    near = KDTree(places[high]).sparse_distance_matrix(
        KDTree(places[low]), caliper + 1e-9, p=np.inf, output_type="ndarray"
    )
    left, right = near["i"].astype(np.int64), near["j"].astype(np.int64)
    distance = np.round(np.sqrt(((places[high][left] - places[low][right]) ** 2).sum(axis=1)), 12)
    free_left, free_right = np.ones(len(high), dtype=np.bool_), np.ones(len(low), dtype=np.bool_)
    matched = []
    for place in np.lexsort((right, left, distance)).tolist():
        a, b = left[place], right[place]
        if free_left[a] and free_right[b]:
            free_left[a] = free_right[b] = False
            matched.append((a, b))
    found = np.array(sorted(matched), dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
