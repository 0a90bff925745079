"""How sure a PMI is, and whether the counts of a corpus are those of independent words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.counting.pmi import FloatArray, IntArray, check_pairs, expect_pairs, pmi

# With fewer captions than this that hold both concepts, or one but not the other, the normal interval misses too often.
EXACT_BELOW = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PmiInterval:
    """Confidence intervals of PMI, in nats.

    Attributes:
        low: Lower limits, shape ``(n_pairs,)``; ``-inf`` where a pair was never seen.
        high: Upper limits, same shape.
        exact: Where the limits are those of a Poisson count and not of a normal logarithm, same shape.
    """

    low: FloatArray
    high: FloatArray
    exact: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the counts of many pairs compare with those of independent words.

    Attributes:
        ratio: Pairs counted over pairs expected, ``sum(c) / sum(E)``; 1 for independent words.
        standard_error: Standard error of ``ratio`` for independent words.
        n_pairs: Pairs.
        log_bias: How far the mean of the logarithms lies from 0 for independent words, to first order: the mean of
            about ``-1 / (2 E)``. It says why ``ratio`` is looked at and not the mean PMI, which moreover is ``-inf``
            as soon as one pair is never seen. Where some ``E`` is below about 5 even its size is wrong.
    """

    ratio: float
    standard_error: float
    n_pairs: int
    log_bias: float


def pmi_interval(
    pair: IntArray, first: IntArray, second: IntArray, n_captions: int, *, confidence: float = 0.95
) -> PmiInterval:
    """Confidence intervals of textbook PMI, in nats, for captions drawn independently of each other.

    The logarithm of ``c n / (a b)`` is nearly normal with the variance ``1/c - 1/a - 1/b + (2 n c / (a b) - 1) / n``
    (the delta method for the four cells of a multinomial; it is computed as a sum over the cells, which loses no digits
    where nearly every caption holds both). It is at most ``1/c`` and never negative, and 0 only where a concept is in
    every caption.

    Where fewer than ``EXACT_BELOW = 50`` captions hold both concepts, or hold the first but not the second, or the
    second but not the first, the limits are those of Garwood for a Poisson count ``c``, over ``E = a b / n``. They are
    no narrower than the data allow, since the true variance is below that of a Poisson count. At 95 %, where ``a`` and
    ``b`` are large, the two together cover at least 0.941 whatever the true mean count, but for means just above 3
    (below); the least is 0.9415 at a mean of 40.49, where both kinds meet, and from 100 on it is 0.945. With the
    normal interval from 10 on it would be 0.936.

    A pair that was never seen has the one-sided limits ``-inf`` and ``log(-log(1 - confidence) / E)``, which is
    ``log(3.00 / E)`` at 95 %; as the other counts have two-sided ones, coverage drops from 0.988 to 0.938 where the
    true mean count passes 2.996, and is above 0.941 again from 3.15 on.

    Args:
        pair: Captions that hold both concepts, shape ``(n_pairs,)``.
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus.
        confidence: Share of intervals that hold the true value, above 0 and below 1.

    Returns:
        The limits, one of each per pair.

    Raises:
        ValueError: If ``confidence`` is not between 0 and 1, the counts contradict each other, or a concept is absent
            from the corpus.

    References:
        Garwood, Fiducial limits for the Poisson distribution, Biometrika 28, 1936.

    >>> found = pmi_interval(np.array([0, 100]), np.array([300, 200]), np.array([100, 500]), n_captions=1000)
    >>> found.low.round(3), found.high.round(3), found.exact
    (array([  -inf, -0.124]), array([-2.304,  0.124]), array([ True, False]))
    """
    from scipy.special import gammaincinv, ndtri

    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, needed a number between 0 and 1")
    estimate = pmi(pair, first, second, n_captions)
    tail = (1 - confidence) / 2
    exact = (pair < EXACT_BELOW) | (first - pair < EXACT_BELOW) | (second - pair < EXACT_BELOW)
    low, high = np.empty_like(estimate), np.empty_like(estimate)

    half = ndtri(1 - tail) * np.sqrt(_find_variance(pair[~exact], first[~exact], second[~exact], n_captions))
    low[~exact], high[~exact] = estimate[~exact] - half, estimate[~exact] + half

    # Counts repeat, and their quantiles are dear.
    number, place = np.unique(pair[exact], return_inverse=True)
    least, most = gammaincinv(np.maximum(number, 1), tail), gammaincinv(number + 1, 1 - tail)
    least[number == 0], most[number == 0] = 0, -np.log1p(-confidence)
    expected = expect_pairs(first[exact], second[exact], n_captions)
    with np.errstate(divide="ignore"):
        low[exact], high[exact] = np.log(least[place] / expected), np.log(most[place] / expected)
    return PmiInterval(low=low, high=high, exact=exact)


def _find_variance(pair: IntArray, first: IntArray, second: IntArray, n_captions: int) -> FloatArray:
    """Variance of PMI by the delta method: no term is negative, so that none takes digits from another.

    Over the four cells, their captions times the squared distance of the slope from the mean slope, which is -1.
    """
    # Differences of whole numbers are exact; products of them would overflow.
    cells = (pair, first - pair, second - pair, n_captions - first - (second - pair))
    c, r, s, rest = (cell.astype(np.float64) for cell in cells)
    a, b = c + r, c + s
    # ``n/c - n/a - n/b + 1``, with what cancels taken out.
    both = (r / a) * (s / b) * ((n_captions + c) / c) - (c / a) * (rest / b)
    terms = c * both**2 + r * ((s + rest) / a) ** 2 + s * ((r + rest) / b) ** 2 + rest
    variance: FloatArray = terms / float(n_captions) ** 2
    return variance


def calibrate(pair: IntArray, first: IntArray, second: IntArray, n_captions: int) -> Calibration:
    """Compare the counts of pairs with those of independent words: the ratio is 1 within 3 standard errors.

    Given the counts of the words, independence puts the captions of each word anywhere, and ``c`` is hypergeometric
    with mean ``E = a b / n`` and variance ``a b (n - a) (n - b) / (n^2 (n - 1))``. Two pairs that share a word are
    uncorrelated: wherever the captions of the shared word lie, the two others fall on them independently, with the same
    means. So the variances add up, and the standard error is exact.

    Pairs must be taken whatever their count: leaving out those that are never seen lifts the ratio.

    Args:
        pair: Captions that hold both words, shape ``(n_pairs,)``, zeros included.
        first: Captions that hold each pair's first word, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second word, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus, at least 2.

    Returns:
        The ratio, its standard error, the number of pairs and the bias of the mean logarithm.

    Raises:
        ValueError: If there is no pair, a word is absent from the corpus, or the counts contradict each other.

    >>> found = calibrate(np.array([3, 1]), np.array([5, 5]), np.array([4, 4]), n_captions=10)
    >>> found.ratio, round(found.standard_error, 3), found.n_pairs, round(found.log_bias, 3)
    (1.0, 0.289, 2, -0.083)
    """
    if n_captions < 2 or not len(pair):
        raise ValueError(f"{len(pair)} pairs in {n_captions} captions, needed at least 1 pair and 2 captions")
    check_pairs(pair, first, second, n_captions)
    expected = expect_pairs(first, second, n_captions)
    if not np.all(expected > 0):
        raise ValueError(f"pair {np.argmin(expected)} has a word that is absent from the corpus")
    variance = expected * (1 - first / n_captions) * (n_captions - second) / (n_captions - 1)
    total = float(expected.sum())
    return Calibration(
        ratio=float(pair.sum()) / total,
        standard_error=float(np.sqrt(variance.sum())) / total,
        n_pairs=len(pair),
        log_bias=-float(np.mean(variance / (2 * expected**2))),
    )
