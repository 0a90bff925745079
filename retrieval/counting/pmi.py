"""Pointwise mutual information: how much more often two concepts meet than chance would have them meet.

It is the unsmoothed form over captions. Qu and Xie add constants to the counts and take a word's count as
the sum of its pair counts, so their values differ from these: ``pmi_variants`` has them and other forms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


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
        ValueError: If a pair is counted more often than one of its concepts, or a concept is
            absent from the corpus, where PMI is undefined.

    References:
        Church and Hanks, Computational Linguistics 16(1), 1990. For CLIP: Qu and Xie, arXiv:2507.08000.

    >>> pmi(np.array([2, 0]), np.array([4, 4]), np.array([5, 5]), n_captions=10)
    array([  0., -inf])
    """
    check_pairs(pair, first, second)
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


def check_pairs(pair: IntArray, first: IntArray, second: IntArray) -> None:
    """Check that no pair is counted more often than one of its concepts.

    Raises:
        ValueError: If one is, or the shapes differ.
    """
    if not pair.shape == first.shape == second.shape:
        raise ValueError(f"pairs have shape {pair.shape}, their concepts {first.shape} and {second.shape}")
    wrong = np.flatnonzero(pair > np.minimum(first, second))
    if wrong.size:
        row = wrong[0]
        raise ValueError(
            f"pair {row} is counted {pair[row]} times, its concepts only {first[row]} and {second[row]} times"
        )
