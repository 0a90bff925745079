"""How accuracy on seen pairs goes with their PMI once the single concepts are accounted for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.concept_effects import (
    Uninformative,
    check_identified,
    check_one_world,
    find_informative,
    first_coefficient,
    make_concept_dummies,
    residuals_of,
)
from oddpair.eval.concept_rows import LOG_COUNT, LOG_COUNT_SQUARED, LOG_PARTNER_COUNT, PMI, ConceptRows
from oddpair.eval.intervals import Estimate, normal_interval, percentile_interval, resample
from oddpair.eval.logistic import fit

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quintile:
    """One fifth of the pairs by PMI: median PMI, and the accuracy it would have at average counts."""

    median_pmi: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiEffect:
    """Effect of PMI among seen pairs, with the single concepts controlled.

    Attributes:
        r: Correlation of PMI and accuracy over unordered pairs, nothing controlled.
        r_given_counts: Partial correlation given both log counts (linear, squared, product).
        r_given_concepts: Partial correlation given an effect of each of the two concepts.
        logit_given_counts: Logits per nat of PMI on ordered rows, given the log counts; difficulty that counts
            do not explain flattens it.
        logit_given_concepts: The same, given an effect of each target and each partner.
        quintiles: Accuracy by fifth of PMI, adjusted for counts.
        n_excluded: Ordered rows left out: unseen, or expected less often than ``min_expected``.
        dropped: Concepts without information for ``logit_given_concepts``.
    """

    r: Estimate
    r_given_counts: Estimate
    r_given_concepts: Estimate
    logit_given_counts: Estimate
    logit_given_concepts: Estimate
    quintiles: tuple[Quintile, ...]
    n_excluded: int
    dropped: Uninformative


def pmi_effect(rows: ConceptRows, rng: np.random.Generator, *, min_expected: float = 1.0) -> PmiEffect:
    """Measure how accuracy goes with PMI among seen pairs, with counts or concepts controlled.

    Correlations are over unordered pairs, both orders pooled, and their intervals resample pairs. The
    residuals are made once; draws are widened by ``sqrt(n / (n - k))`` for the ``k`` controls they
    cost. The logistic coefficients are of ordered rows, with pair-robust errors.

    Args:
        rows: Ordered pairs of one world; unseen rows are left out.
        rng: Source of the draws.
        min_expected: Least expected count of a pair: below it, PMI is the noise of small counts.

    Returns:
        Correlations, coefficients and adjusted quintiles.

    Raises:
        ValueError: If rows are of several worlds, fewer pairs are left than controls, or PMI or accuracy
            does not vary.
    """
    check_one_world(rows)
    if rows.expected is None:
        raise ValueError("the rows have no expected counts, without which there is no PMI")
    kept = ~rows.unseen & (rows.expected >= min_expected)
    if not kept.any():
        raise ValueError(f"no seen pair is expected {min_expected:g} times or more")
    used = rows.take(kept)
    accuracy, pmi, counts, concepts = _by_pair(used)
    informative, dropped = find_informative(used)
    known = used.take(informative)
    features = [used.feature(name) for name in (PMI, LOG_COUNT, LOG_COUNT_SQUARED, LOG_PARTNER_COUNT)]
    by_counts = fit(used.successes, used.trials, np.column_stack([*features, np.ones(len(used))]), used.pair)
    dummies = make_concept_dummies(known)
    check_identified(known.feature(PMI), dummies)
    by_concepts = fit(
        known.successes, known.trials, np.column_stack([known.feature(PMI), dummies]), known.pair
    )
    everywhere = np.ones((len(pmi), 1))
    return PmiEffect(
        r=_partial_r(pmi, accuracy, everywhere, rng, "r of PMI and accuracy"),
        r_given_counts=_partial_r(pmi, accuracy, counts, rng, "partial r of PMI given counts"),
        r_given_concepts=_partial_r(pmi, accuracy, concepts, rng, "partial r of PMI given concepts"),
        logit_given_counts=first_coefficient(by_counts, "logits per nat of PMI, given counts"),
        logit_given_concepts=first_coefficient(by_concepts, "logits per nat of PMI, given concepts"),
        quintiles=_quintiles(pmi, accuracy, counts),
        n_excluded=int((~kept).sum()),
        dropped=dropped,
    )


def _by_pair(rows: ConceptRows) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    codes, first = rows.pair, np.unique(rows.pair, return_index=True)[1]
    hits, asked = np.bincount(codes, weights=rows.successes), np.bincount(codes, weights=rows.trials)
    a, b = rows.feature(LOG_COUNT)[first], rows.feature(LOG_PARTNER_COUNT)[first]
    # Symmetric in the two concepts, because a pooled pair has no target.
    counts = np.column_stack([np.ones(len(first)), a + b, a**2 + b**2, a * b])
    names = np.unique(np.concatenate([rows.target, rows.partner]))
    concepts = (rows.target[first, None] == names).astype(np.float64) + (rows.partner[first, None] == names)
    accuracy: FloatArray = hits / asked
    return accuracy, rows.feature(PMI)[first], counts, concepts


def _partial_r(
    x: FloatArray, y: FloatArray, controls: FloatArray, rng: np.random.Generator, what: str
) -> Estimate:
    n, k = len(x), int(np.linalg.matrix_rank(controls))
    if n <= k + 2:
        raise ValueError(f"{what}: {n} pairs for {k} controls")
    left, right = residuals_of(x, controls), residuals_of(y, controls)
    moments = np.stack([left * right, left**2, right**2], axis=1)
    if min(moments.sum(axis=0)[1:]) < 1e-12 * n:
        raise ValueError(f"{what}: PMI or accuracy does not vary beyond the controls")

    def statistic(weights: FloatArray) -> FloatArray:
        both, xx, yy = (weights @ moments).T
        r: FloatArray = np.divide(both, np.sqrt(xx * yy), out=np.full(len(both), np.nan), where=xx * yy > 0)
        return r

    value = float(statistic(np.ones((1, n)))[0])
    draws = value + (resample(statistic, n, rng) - value) * np.sqrt(n / (n - k))
    return percentile_interval(value, np.clip(draws, -1, 1), n=n, what=what)


def _quintiles(pmi: FloatArray, accuracy: FloatArray, counts: FloatArray) -> tuple[Quintile, ...]:
    fifth = np.digitize(pmi, np.quantile(pmi, [0.2, 0.4, 0.6, 0.8]))
    present = np.unique(fifth)
    controls = counts[:, 1:] - counts[:, 1:].mean(axis=0)
    design = np.column_stack([(fifth[:, None] == present).astype(np.float64), controls])
    n, k = design.shape
    if n <= k:
        raise ValueError(f"{n} pairs for {k} columns, adjusted quintiles need more")
    inverse = np.linalg.pinv(design)
    level = inverse @ accuracy
    residuals = accuracy - design @ level
    errors = np.sqrt(((inverse * residuals) ** 2).sum(axis=1) * n / (n - k))
    return tuple(
        Quintile(
            median_pmi=float(np.median(pmi[fifth == number])),
            accuracy=normal_interval(
                level[index],
                float(errors[index]),
                n=int((fifth == number).sum()),
                what=f"accuracy in PMI fifth {number + 1}, at average counts",
            ),
        )
        for index, number in enumerate(present)
    )
