"""Pointwise mutual information: how much more often two concepts meet than chance would have them meet.

It is the unsmoothed form over captions. Qu and Xie add constants to the counts and take a word's count as
the sum of its pair counts, so their values differ from these: ``pmi_variants`` has them and other forms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Pairs that are checked at once.
_BLOCK = 1 << 20


def pmi(pair: IntArray, first: IntArray, second: IntArray, n_captions: int) -> FloatArray:
    """Pointwise mutual information of concept pairs, in nats.

    ``log(p(a, b) / (p(a) p(b)))``, with probabilities over captions: 0 is chance level and
    ``-inf`` marks a pair that the corpus never shows together.

    Args:
        pair: Captions that hold both concepts, shape ``(n_pairs,)``.
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus.

    Returns:
        One value per pair, shape ``(n_pairs,)``.

    Raises:
        ValueError: If no corpus of ``n_captions`` captions has the counts, or a concept is absent from the corpus,
            where PMI is undefined.

    References:
        Church and Hanks, Computational Linguistics 16(1), 1990. For CLIP: Qu and Xie, arXiv:2507.08000.

    >>> pmi(np.array([2, 0]), np.array([4, 4]), np.array([5, 5]), n_captions=10)
    array([  0., -inf])
    """
    check_pairs(pair, first, second, n_captions)
    absent = np.flatnonzero((first <= 0) | (second <= 0))
    if absent.size:
        raise ValueError(f"pair {absent[0]} has a concept that is absent from the corpus: PMI is undefined")
    with np.errstate(divide="ignore"):
        values: FloatArray = np.log(pair / expect_pairs(first, second, n_captions))
    return values


def expect_pairs(first: IntArray, second: IntArray, n_captions: int) -> FloatArray:
    """Captions that would hold both concepts if the two were independent: ``first * second / n_captions``.

    Args:
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus.

    Returns:
        One value per pair, shape ``(n_pairs,)``.

    Raises:
        ValueError: If the shapes differ, or a concept is counted more often than there are captions.

    >>> expect_pairs(np.array([4]), np.array([5]), n_captions=10)
    array([2.])
    """
    if first.shape != second.shape:
        raise ValueError(f"first concepts have shape {first.shape}, second ones {second.shape}")
    top = max(first.max(initial=0), second.max(initial=0))
    if n_captions < 1 or top > n_captions:
        raise ValueError(f"a concept is counted in {top} of {n_captions} captions")
    values: FloatArray = first.astype(np.float64) * second / n_captions
    return values


def check_pairs(pair: IntArray, first: IntArray, second: IntArray, n_captions: int | None = None) -> None:
    """Check that the counts of pairs and of their concepts, in captions, can be those of one corpus.

    Args:
        pair: Captions that hold both concepts, shape ``(n_pairs,)``.
        first: Captions that hold each pair's first concept, shape ``(n_pairs,)``.
        second: Captions that hold each pair's second concept, shape ``(n_pairs,)``.
        n_captions: Captions in the corpus, or ``None`` if the counts have no such total.

    Raises:
        ValueError: If a count is negative, a pair is counted more often than one of its concepts, or at least one of
            the two concepts would be in more captions than there are; or the shapes differ.

    >>> check_pairs(np.array([1]), np.array([7]), np.array([6]), n_captions=10)
    Traceback (most recent call last):
    ValueError: pair 0 leaves 1 + 6 + 5 captions with one of its concepts, the corpus has 10
    """
    if not pair.shape == first.shape == second.shape:
        raise ValueError(f"pairs have shape {pair.shape}, their concepts {first.shape} and {second.shape}")
    # Some at a time: of tens of millions of pairs, an array more would be felt.
    for start in range(0, len(pair), _BLOCK):
        block = slice(start, start + _BLOCK)
        c, a, b = pair[block], first[block], second[block]
        wrong = (c < 0) | (c > a) | (c > b)
        if n_captions is not None:
            # Both sides are at most the number of captions where counts are right: no sum that may overflow.
            wrong |= a - c > n_captions - b
        if wrong.any():
            place = int(np.argmax(wrong))
            _refuse(start + place, int(c[place]), int(a[place]), int(b[place]), n_captions)


def _refuse(row: int, pair: int, first: int, second: int, n_captions: int | None) -> None:
    if min(pair, first, second) < 0:
        raise ValueError(
            f"pair {row} has a negative count: {pair} for the pair, {first} and {second} for its concepts"
        )
    if pair > min(first, second):
        raise ValueError(f"pair {row} is counted {pair} times, its concepts only {first} and {second} times")
    if n_captions is not None and max(first, second) > n_captions:
        raise ValueError(f"pair {row}: a concept is counted in {max(first, second)} of {n_captions} captions")
    raise ValueError(
        f"pair {row} leaves {pair} + {first - pair} + {second - pair} captions with one of its concepts, "
        f"the corpus has {n_captions}"
    )
