"""The three styles, and what every style classifier gives: two scores a row, and scores of rows that it did not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.splits.styles.features import StyleFeatures

NATURAL, RENDITION, AMBIGUOUS = "natural", "rendition", "ambiguous"
# A row's code is the place of its style; -1 where there is no label.
CLASSES = (NATURAL, RENDITION, AMBIGUOUS)
PROBED = (NATURAL, RENDITION)
OTHER = {NATURAL: RENDITION, RENDITION: NATURAL}
CODE = {name: place for place, name in enumerate(CLASSES)}
UNLABELLED = -1

Codes = NDArray[np.int8]
Scores = NDArray[np.float64]

_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleScorer:
    """A fitted classifier of natural and of rendition pictures; higher scores are more like the class.

    Attributes:
        score: Scores every row of some features: columns natural and rendition, shape ``(n, 2)``. A row's scores depend
            on nothing but the row.
        unseen: Scores of labelled rows by a classifier that did not see them, shape ``(u, 2)``.
        codes: Labels of these rows, shape ``(u,)``.
        tower: Of the weights of an image tower that was trained, sha256, hex; ``None`` where none was.
    """

    score: Callable[[StyleFeatures], Scores]
    unseen: Scores
    codes: Codes
    tower: str | None = None


def need_both(codes: Codes) -> None:
    """Refuse labels without a natural row or without a rendition; there need not be an ambiguous one."""
    for name in PROBED:
        if not (codes == CODE[name]).any():
            raise Refusal(
                f"no row of the {len(codes):,} to fit the style classifier is labelled {name}: label some"
            )


def score_unseen(
    fit: Callable[[NDArray[np.bool_]], Callable[[NDArray[np.bool_]], Scores]], codes: Codes
) -> Scores:
    """Score every row by a classifier that was fitted to four fifths of the rows, without it.

    Args:
        fit: Fits to the rows of a mask, and gives what scores those of another.
        codes: Labels, shape ``(n,)``.

    Returns:
        Shape ``(n, 2)``; zeros if a class has a single row, where no start is better than another.
    """
    found = np.zeros((len(codes), len(PROBED)))
    counts = [int((codes == CODE[name]).sum()) for name in PROBED]
    folds = min(_FOLDS, *counts)
    if folds < 2:
        return found
    rng = np.random.default_rng(0)
    fold = np.empty(len(codes), dtype=np.int64)
    for code in range(len(CLASSES)):
        members = np.flatnonzero(codes == code)
        fold[rng.permutation(members)] = np.arange(len(members)) % folds
    for each in range(folds):
        held = fold == each
        found[held] = fit(~held)(held)
    return found
