"""Unseen pairs predicted from single-concept counts, by a fit that has met seen pairs only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from oddpair.eval.concept_rows import LOG_COUNT, LOG_COUNT_SQUARED, LOG_PARTNER_COUNT, ConceptRows
from oddpair.eval.intervals import Estimate, pearson_bootstrap, percentile_interval, r_or_none, resample
from oddpair.eval.logistic import fit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEATURES = (LOG_COUNT, LOG_COUNT_SQUARED, LOG_PARTNER_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Accuracy on unseen pairs as predicted by a fit made on seen pairs only.

    Attributes:
        predicted: Mean predicted accuracy over the questions about unseen pairs.
        observed: Their true mean accuracy.
        bias: Predicted minus true, in points.
        r: r of predicted and true accuracy over ordered unseen rows; ``None`` where one does not vary.
        r_binned: The same over the means of equally filled bins of the prediction.
        n_pairs: Unordered unseen pairs.
        n_seen_pairs: Unordered seen pairs behind the fit.
        n_outside: Unseen rows with a count outside the range of the seen rows: extrapolated.
    """

    predicted: float
    observed: float
    bias: Estimate
    r: Estimate | None
    r_binned: Estimate | None
    n_pairs: int
    n_seen_pairs: int
    n_outside: int


def seen_to_unseen(rows: ConceptRows, rng: np.random.Generator, *, bins: int = 12) -> Transfer:
    """Fit accuracy on seen pairs from single-concept counts, and predict the unseen pairs.

    The features are fixed: an intercept per group, log10(1 + target count), its square, and
    log10(1 + partner count). PMI is not among them: an unseen pair has none.

    The interval of the bias resamples unordered pairs, unseen ones in the mean and seen ones in the fit
    (one Newton step per draw from the full fit, the score bootstrap); the two errors are independent and add.

    Args:
        rows: Ordered pairs, seen and unseen.
        rng: Source of the draws.
        bins: Equally filled bins of the binned r.

    Returns:
        Predicted and true means, the bias in points, and both correlations.

    Raises:
        ValueError: If there are no unseen or too few seen rows, or an unseen row's group has no seen row.

    References:
        Kline and Santos, A Score Based Approach to Wild Bootstrap Inference, 2012.
    """
    unseen_mask = rows.unseen
    if not unseen_mask.any() or unseen_mask.all():
        raise ValueError(f"{unseen_mask.sum()} of {len(rows)} rows are unseen, a transfer needs both kinds")
    seen, unseen = rows.take(~unseen_mask), rows.take(unseen_mask)
    groups = np.unique(seen.group).tolist()
    fitted = fit(seen.successes, seen.trials, seen.design(FEATURES, groups), seen.pair)
    design = unseen.design(FEATURES, groups)
    predicted = expit(design @ fitted.coefficients)
    pair = unseen.pair
    share = unseen.trials / unseen.trials.sum()
    observed, mean = float(share @ unseen.accuracy), float(share @ predicted)
    of_fit = resample(
        lambda weights: (
            expit((fitted.coefficients + (weights - 1) @ fitted.influence) @ design.T) @ share - mean
        ),
        len(fitted.influence),
        rng,
    )
    errors = 100 * (of_fit + _resampled_gap(predicted, unseen, pair, rng))
    return Transfer(
        predicted=mean,
        observed=observed,
        bias=percentile_interval(
            100 * (mean - observed),
            errors,
            n=int(pair.max()) + 1,
            what="predicted minus true accuracy, points",
        ),
        r=_r_by_pair(predicted, unseen.accuracy, pair, rng),
        r_binned=_r_of_equal_bins(predicted, unseen, bins),
        n_pairs=int(pair.max()) + 1,
        n_seen_pairs=len(fitted.influence),
        n_outside=_count_outside(seen, unseen),
    )


def _resampled_gap(
    predicted: FloatArray, unseen: ConceptRows, pair: IntArray, rng: np.random.Generator
) -> FloatArray:
    n_pairs = int(pair.max()) + 1
    if n_pairs < 2:
        raise ValueError("1 unseen pair, an interval needs at least 2")
    gap = np.bincount(pair, weights=unseen.trials * (predicted - unseen.accuracy))
    asked = np.bincount(pair, weights=unseen.trials)
    return resample(lambda weights: (weights @ gap) / (weights @ asked), n_pairs, rng)


def _count_outside(seen: ConceptRows, unseen: ConceptRows) -> int:
    outside = np.zeros(len(unseen), dtype=np.bool_)
    for name in (LOG_COUNT, LOG_PARTNER_COUNT):
        known, asked = seen.feature(name), unseen.feature(name)
        outside |= (asked < known.min()) | (asked > known.max())
    return int(outside.sum())


def _r_by_pair(
    predicted: FloatArray, accuracy: FloatArray, pair: IntArray, rng: np.random.Generator
) -> Estimate | None:
    if len(accuracy) < 3 or np.ptp(accuracy) == 0 or np.ptp(predicted) == 0:
        return None
    return pearson_bootstrap(predicted, accuracy, pair, rng, what="r over unseen rows")


def _r_of_equal_bins(predicted: FloatArray, unseen: ConceptRows, bins: int) -> Estimate | None:
    if len(predicted) < bins:
        return None
    # Rows of equal counts have equal predictions; names decide their bin, not the order of the table.
    order = np.lexsort((unseen.partner, unseen.target, unseen.group, np.round(predicted, 12)))
    chunks = np.array_split(order, bins)
    means = np.array([[predicted[rows].mean(), unseen.accuracy[rows].mean()] for rows in chunks])
    return r_or_none(means[:, 0], means[:, 1], f"r over {bins} equally filled bins")
