"""Intervals of metrics: exact for independent answers, from draws of whole clusters for those that go alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from oddpair.eval.intervals import (
    Estimate,
    effective_number,
    percentile_interval,
    resample,
    widen_confidence,
)
from oddpair.retrieval.proportion import clopper_pearson, clopper_pearson_interval

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DRAWS = 2000
EXACT = "Clopper-Pearson"
# Where every cluster earned all or nothing draws show no spread, and of one cluster there is none to draw.
EXACT_CLUSTERS = "Clopper-Pearson over clusters"
BOOTSTRAP = "cluster bootstrap"
STRATIFIED = "Student's t of the variance within classes"
CENTRED = "cluster bootstrap, its bias taken out"
BINNED = "cluster bootstrap of the error in 15 bins of as many answers, centred"
OPEN = "everything, as a single cluster shows no spread"


def estimate_mean(credit: FloatArray, codes: IntArray, *, seed: int, what: str) -> tuple[Estimate, str]:
    """Mean credit of questions that go alike in clusters.

    Where each cluster is one question the interval is Clopper and Pearson's, of whole answers: parts of an answer are
    dropped below and filled up above. Else clusters are drawn whole. Where all earned 1, or all 0, draws show no spread
    and the interval is Clopper and Pearson's of as many trials as the clusters are worth, the wider one.

    Args:
        credit: From 0 to 1, shape ``(n,)``.
        codes: Cluster of each, 0 to the number of clusters less 1, shape ``(n,)``.
        seed: Of the draws.
        what: What is estimated.

    Returns:
        The mean, whose support is the questions, and the name of the interval.
    """
    n, n_clusters = len(credit), int(codes.max()) + 1
    value = float(credit.mean())
    if n_clusters == n:
        # A sum of parts such as thirds may miss a whole number by its last bits.
        low, high = clopper_pearson_interval(min(round(float(credit.sum()), 9), n), n)
        return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, what=what), EXACT
    if n_clusters == 1 or (np.ptp(credit) == 0 and credit[0] in (0, 1)):
        trials = effective_number(np.bincount(codes))
        low, high = clopper_pearson_interval(value * trials, trials)
        return Estimate(
            value=value, low=min(low, value), high=max(high, value), n=n, what=what
        ), EXACT_CLUSTERS
    totals = np.stack([np.bincount(codes, weights=credit), np.bincount(codes)], axis=1)
    sums = draw(lambda weights: weights @ totals, n_clusters, seed)
    return _of_clusters(value, sums[:, 0] / sums[:, 1], n_clusters, n=n, what=what), BOOTSTRAP


def estimate_mean_of_classes(
    credit: FloatArray, classes: IntArray, codes: IntArray | None, *, seed: int, what: str
) -> tuple[Estimate, str]:
    """Mean over classes of the mean credit in each; classes without a question do not count.

    Without clusters the interval is Student's t of the variance within classes, with Satterthwaite's degrees of freedom.
    Classes of one question show none: they vary about their common mean, and no less than all questions do, which is
    too much rather than too little. It is no narrower than where no class shows a spread: Clopper and Pearson's bound of
    no odd answer in as many as these are worth. Its ends stay within 0 and 1.

    Args:
        credit: From 0 to 1, shape ``(n,)``.
        classes: Class of each, shape ``(n,)``.
        codes: Cluster of each, drawn whole; ``None`` takes questions as independent. A class
            counts as often as it is drawn where it lies whole in a cluster, else once where any of it is drawn.
        seed: Of the draws.
        what: What is estimated.

    Returns:
        The mean, whose support is the questions, and the name of the interval.

    References:
        Cochran, Sampling Techniques, 3rd ed., 1977, sections 5.4 (degrees of freedom) and 5A.12 (strata of one).
    """
    present, at_first, places = np.unique(classes, return_index=True, return_inverse=True)
    sizes = np.bincount(places)
    if sizes.max() == 1:
        # Classes of one question have no spread within them, and the mean over classes is the plain one.
        return estimate_mean(credit, np.arange(len(credit)) if codes is None else codes, seed=seed, what=what)
    means = np.bincount(places, weights=credit) / sizes
    value, n = float(means.mean()), len(credit)
    if np.ptp(credit) == 0 and credit[0] in (0, 1):
        alone = np.arange(n) if codes is None else codes
        trials = effective_number(np.bincount(alone, weights=1 / sizes[places]))
        low, high = clopper_pearson_interval(value * trials, trials)
        return Estimate(
            value=value, low=low, high=high, n=n, what=what
        ), EXACT if codes is None else EXACT_CLUSTERS
    if codes is None:
        reach = _reach_within(credit, places)
        low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        return Estimate(value=value, low=low, high=high, n=n, what=what), STRATIFIED
    n_clusters = int(codes.max()) + 1
    if n_clusters == 1:
        return Estimate(value=value, low=0.0, high=1.0, n=n, what=what), OPEN

    # Sums by cluster and class: few of them are not zero, as a cluster holds few classes.
    cells, at = np.unique(codes * len(present) + places, return_inverse=True)
    if len(cells) == len(present):
        # Classes lie whole in clusters: one that is drawn twice counts twice.
        totals = np.stack(
            [np.bincount(codes[at_first], weights=each, minlength=n_clusters) for each in (means, None)], 1
        )
        sums = draw(lambda weights: weights @ totals, n_clusters, seed)
        return _of_clusters(value, sums[:, 0] / sums[:, 1], n_clusters, n=n, what=what), BOOTSTRAP
    earned, asked = (np.bincount(at, weights=each).astype(np.float64) for each in (credit, None))
    cell_cluster, cell_class = cells // len(present), cells % len(present)

    def statistic(weights: FloatArray) -> FloatArray:
        return np.array(
            [_mean_drawn(row[cell_cluster], cell_class, earned, asked, len(present)) for row in weights]
        )

    return _of_clusters(value, draw(statistic, n_clusters, seed), n_clusters, n=n, what=what), BOOTSTRAP


def draw(statistic: Callable[[FloatArray], FloatArray], n_clusters: int, seed: int) -> FloatArray:
    """Return a statistic of 2,000 draws of whole clusters with replacement, in bounded memory.

    Args:
        statistic: Maps how often each cluster was drawn, shape ``(draws, n_clusters)``, to one row per draw.
        n_clusters: Clusters in the data.
        seed: Of the draws.
    """
    return resample(statistic, n_clusters, np.random.default_rng(seed), DRAWS)


def centred_interval(value: float, samples: FloatArray, *, n: int, what: str) -> Estimate:
    """Read an interval off draws that lie above or below the value they scatter about.

    Drawing answers again adds noise to a bin, and twins to a ranking: statistics that are no mean then move, all draws
    alike. They are moved back until their mean is the value; ends stay within 0 and 1.

    Args:
        value: The statistic of the data, 0 to 1.
        samples: That of the draws; NaN where it is undefined.
        n: Support.
        what: What is estimated.

    Returns:
        The estimate.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 10 (bias of a bootstrap).

    >>> centred_interval(0.5, np.array([0.5, 0.6, 0.7]), n=3, what="error")
    Estimate(value=0.5, low=0.4, high=0.6, n=3, what='error')
    """
    found = percentile_interval(value, samples - np.nanmean(samples) + value, n=n, what=what)
    low, high = max(min(found.low, value), 0.0), min(max(found.high, value), 1.0)
    return Estimate(value=value, low=low, high=high, n=n, what=what)


def code_clusters(columns: Sequence[NDArray[np.generic]]) -> IntArray:
    """Return a number for each different row of some columns, 0 and up, in their sorted order."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        found, places = np.unique(column, return_inverse=True)
        codes = np.unique(codes * len(found) + places, return_inverse=True)[1].astype(np.int64)
    return codes


def _of_clusters(value: float, samples: FloatArray, n_clusters: int, *, n: int, what: str) -> Estimate:
    confidence = widen_confidence(0.95, n_clusters)
    return percentile_interval(value, samples, n=n, what=what, confidence=confidence)


def _reach_within(credit: FloatArray, places: IntArray) -> float:
    sizes = np.bincount(places)
    gaps = credit - (np.bincount(places, weights=credit) / sizes)[places]
    within = np.bincount(places, weights=gaps**2) / np.maximum(sizes - 1, 1)
    free = (sizes - 1).astype(np.float64)
    single = sizes == 1
    if single.any():
        own = credit[single[places]]
        spreads = [(float(each.var(ddof=1)), len(each) - 1) for each in (own, credit) if len(each) > 1]
        within[single], known = max(spreads)
        # They share one variance, known with as many degrees of freedom in all.
        free[single] = known / len(own)
    parts = within / sizes
    worth = effective_number(1 / sizes[places])
    least = clopper_pearson(0, worth, 0.975, "upper")
    total = float(parts.sum())
    if total == 0:
        return least
    degrees = total**2 / float((parts**2 / free).sum())
    return max(float(stdtrit(degrees, 0.975)) * float(np.sqrt(total)) / len(sizes), least)


def _mean_drawn(
    weights: FloatArray, classes: IntArray, earned: FloatArray, asked: FloatArray, n_classes: int
) -> float:
    over = np.bincount(classes, weights=weights * earned, minlength=n_classes)
    under = np.bincount(classes, weights=weights * asked, minlength=n_classes)
    drawn = under > 0
    return float((over[drawn] / under[drawn]).mean())
