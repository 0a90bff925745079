"""How far a model's confidence lies from how often it is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.intervals import Estimate, effective_number
from oddpair.eval.scoring.spread import BINNED, EXACT_CLUSTERS, OPEN, centred_interval, draw
from oddpair.retrieval.proportion import clopper_pearson

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BINS = 15


def calibration_error(
    confidence: FloatArray, credit: FloatArray, codes: IntArray, *, seed: int
) -> tuple[Estimate, str]:
    """Expected calibration error: the mean over answers of how far their bin's accuracy lies from its confidence.

    There are 15 bins of equal width, closed above. A bin of few answers lies off its confidence by luck: a model that is
    perfectly calibrated scores above 0, the more so the fewer answers there are, and errors compare only over as many.
    The interval is of this binned error of as many answers, not of the error that endless answers would show, which
    may lie below it. Where draws show no spread, as where every answer is right and sure, the ends lie as far off as
    Clopper and Pearson's bound of no failure in as many trials as the clusters are worth.

    Args:
        confidence: Probability that the model gives to its first class, 0 to 1, shape ``(n,)``.
        credit: What that answer earned, 0 to 1, shape ``(n,)``.
        codes: Cluster of each answer, drawn whole, shape ``(n,)``.
        seed: Of the draws.

    Returns:
        The error, 0 to 1, whose support is the answers, and the name of the interval.

    References:
        Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599. Bias: Roelofs et al., Mitigating Bias in
        Calibration Error Estimation, arXiv:2012.08668.

    >>> error, _ = calibration_error(np.array([0.9, 0.9]), np.array([1.0, 0.0]), np.arange(2), seed=0)
    >>> round(error.value, 3)
    0.4
    """
    n, n_clusters = len(confidence), int(codes.max()) + 1
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    # Of a bin, how many more were right than it was confident of; its size cancels in the mean.
    cells = codes * BINS + bins
    surplus = np.bincount(cells, weights=credit - confidence, minlength=n_clusters * BINS)
    surplus = surplus.reshape(n_clusters, BINS)
    sizes = np.bincount(codes).astype(np.float64)

    def error_of(weights: FloatArray) -> FloatArray:
        errors: FloatArray = np.abs(weights @ surplus).sum(axis=1) / (weights @ sizes)
        return errors

    value = float(error_of(np.ones((1, n_clusters)))[0])
    what = f"expected calibration error in {BINS} bins"
    if n_clusters == 1:
        return Estimate(value=value, low=0.0, high=1.0, n=n, what=what), OPEN
    samples = draw(error_of, n_clusters, seed)
    if np.ptp(samples) == 0:
        reach = clopper_pearson(0, effective_number(sizes), 0.975, "upper")
        low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        return Estimate(value=value, low=low, high=high, n=n, what=what), EXACT_CLUSTERS
    return centred_interval(value, samples, n=n, what=what), BINNED
