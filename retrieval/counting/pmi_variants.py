"""PMI in other forms than the textbook's: finite at zero, normalised, and as the code of a paper computes it.

Which form a number was computed with is part of its name: their values cannot be compared with each other.
"""

from __future__ import annotations

import numpy as np

from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import FloatArray, IntArray, check_pairs, expect_pairs, pmi

# Constants of the code of arXiv:2507.08000: added to the count of a pair and to each marginal, and the tokens that it
# takes LAION-400M to have.
PUBLISHED_PAIR_SMOOTHING = 1.0
PUBLISHED_MARGINAL_SMOOTHING = 1e3
PUBLISHED_TOKENS = 3.2e9


def smoothed_pmi(
    pair: IntArray, first: IntArray, second: IntArray, n_captions: int, *, shrinkage: float = 0.5
) -> FloatArray:
    """PMI shrunk towards chance level, in nats; finite everywhere.

    ``log((c + s) / (E + s))`` for a pair seen ``c`` times where chance expects ``E = a b / n``: 0 without evidence
    (a concept that is absent, or ``c`` and ``E`` both far below ``s``), and the textbook's value where both are far
    above ``s``. A pair that is never seen gets ``-log(1 + E / s)``: the lower, the surer its absence is. Pairs change
    their order with ``n_captions`` and ``s``.

    Args:
        pair: Captions that hold both concepts, shape ``(n_pairs,)``.
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``; may be 0.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``; may be 0.
        n_captions: Captions in the corpus.
        shrinkage: ``s``, in captions, above 0.

    Returns:
        One value per pair, shape ``(n_pairs,)``.

    Raises:
        ValueError: If ``shrinkage`` is not above 0, or the counts contradict each other.

    References:
        Noren, Hopstadius and Bate, Statistical Methods in Medical Research 22(1), 2013.

    >>> smoothed_pmi(np.array([2, 0]), np.array([4, 5]), np.array([5, 3]), n_captions=10).round(4)
    array([ 0.    , -1.3863])
    """
    if not 0 < shrinkage < np.inf:
        raise ValueError(f"shrinkage is {shrinkage}, needed a finite number above 0")
    check_pairs(pair, first, second, n_captions)
    values: FloatArray = np.log((pair + shrinkage) / (expect_pairs(first, second, n_captions) + shrinkage))
    return values


def normalised_pmi(pair: IntArray, first: IntArray, second: IntArray, n_captions: int) -> FloatArray:
    """PMI over its largest possible value, from -1 to 1, without unit.

    ``pmi / -log p(a, b)``: -1 for a pair that is never seen together, 0 at chance level, 1 for two concepts that only
    occur together. Where every caption holds both (``p(a, b) = 1``) the quotient is 0 / 0; they only occur together,
    so it is 1. Pairs change their order with ``n_captions``.

    Args:
        pair: Captions that hold both concepts, shape ``(n_pairs,)``.
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus.

    Returns:
        One value per pair, shape ``(n_pairs,)``.

    Raises:
        ValueError: As ``pmi``.

    References:
        Bouma, Normalized (Pointwise) Mutual Information in Collocation Extraction, GSCL 2009.

    >>> normalised_pmi(np.array([0, 2, 4, 10]), np.array([4, 4, 4, 10]), np.array([5, 5, 4, 10]), n_captions=10)
    array([-1.,  0.,  1.,  1.])
    """
    textbook = pmi(pair, first, second, n_captions)
    values = np.where(pair == 0, -1.0, 1.0)
    inside = (pair > 0) & (pair < n_captions)
    # Two roundings may lift a quotient of equal numbers above 1.
    values[inside] = np.clip(textbook[inside] / -np.log(pair[inside] / n_captions), -1.0, 1.0)
    return values


def published_pmi(
    pair: IntArray,
    first_marginal: IntArray,
    second_marginal: IntArray,
    *,
    tokens: float = PUBLISHED_TOKENS,
) -> FloatArray:
    """PMI as the code of arXiv:2507.08000 computes it, in nats.

    ``log(k (c + 1) / ((f_x + 1000) (f_y + 1000)))`` with ``k = (1 / (T (T - 1))) / (1 / T)^2``, which is 1 but for the
    tenth digit. What differs from the textbook's form: constants are added to the counts; ``f`` is no count of
    captions but the sum of a word's pair counts over its partners (``pair_marginals``), so that long captions weigh
    more; and no number of captions or pairs enters, so that chance level is not 0, and lies elsewhere for each corpus.
    All values are negative: the highest is -8.29, of ``c = f_x = f_y = 998``, and there is no lowest (-34.5 for
    ``c = 1e9`` with both ``f = 1e12``; three zeros give -13.8). The order of the pairs does not depend on ``tokens``.

    Args:
        pair: Captions that hold both words, shape ``(n_pairs,)``.
        first_marginal: Sum of the pair counts of each pair's first word over its partners, shape ``(n_pairs,)``.
        second_marginal: The same of its second word, shape ``(n_pairs,)``.
        tokens: ``T``; the code fixes it whatever the corpus.

    Returns:
        One value per pair, shape ``(n_pairs,)``.

    Raises:
        ValueError: If a count is negative, a pair is counted more often than one of its marginals, or ``tokens`` is
            not a finite number above 1.

    References:
        Qu and Xie, arXiv:2507.08000.

    >>> published_pmi(np.array([10, 0]), np.array([100_000, 0]), np.array([200_000, 0])).round(6)
    array([-21.336041, -13.815511])
    """
    if not 1 < tokens < np.inf:
        raise ValueError(f"tokens is {tokens}, needed a finite number above 1")
    check_pairs(pair, first_marginal, second_marginal)
    constant = (1 / (tokens * (tokens - 1))) / (1 / tokens) ** 2
    first, second = (part + PUBLISHED_MARGINAL_SMOOTHING for part in (first_marginal, second_marginal))
    values: FloatArray = np.log(constant * (pair + PUBLISHED_PAIR_SMOOTHING) / (first * second))
    return values


def marginal_pmi(
    pair: IntArray, first_marginal: IntArray, second_marginal: IntArray, total: int
) -> FloatArray:
    """Textbook PMI over pairs of words instead of captions, in nats: ``log(c F / (f_x f_y))``.

    It is what ``published_pmi`` comes to without its constants and with its chance level put at 0.

    Args:
        pair: Captions that hold both words, shape ``(n_pairs,)``.
        first_marginal: Sum of the pair counts of each pair's first word over its partners, shape ``(n_pairs,)``.
        second_marginal: The same of its second word, shape ``(n_pairs,)``.
        total: ``F``, the sum of the marginals of all words: twice the sum of all pair counts.

    Returns:
        One value per pair, shape ``(n_pairs,)``; ``-inf`` where the pair is never seen.

    Raises:
        ValueError: If the counts contradict each other or a marginal is 0.

    >>> marginal_pmi(np.array([1]), np.array([2]), np.array([2]), total=4)
    array([0.])
    """
    return pmi(pair, first_marginal, second_marginal, total)


def pair_marginals(counts: Counts) -> IntArray:
    """Sum the captions of each concept's pairs over its partners, shape ``(n_concepts,)``.

    The sum runs over the listed pairs, so over frequent concepts alone where only their pairs were counted, and never
    over nested pairs.
    """
    marginals = np.zeros(len(counts.names), np.int64)
    np.add.at(marginals, counts.a, counts.pair_text)
    np.add.at(marginals, counts.b, counts.pair_text)
    return marginals
