"""Styles told by the nearest class centroid, which is not trained at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.features import StyleFeatures, fetch_half
from oddpair.splits.styles.probe import LinearScores, score_linear
from oddpair.splits.styles.scorer import CLASSES, PROBED, Codes, Scores, StyleScorer, need_both, score_unseen


def fit_centroids(features: StyleFeatures, rows: IntArray, codes: Codes) -> StyleScorer:
    """Take each class's mean embedding, scaled to length 1, for its centroid.

    A score is the cosine similarity to the centroid of the class, less the largest to one of another class.

    Args:
        features: Of the corpus; embeddings alone are looked at.
        rows: The labelled rows, shape ``(n,)``.
        codes: Their labels, shape ``(n,)``.

    Returns:
        What scores rows.

    Raises:
        Refusal: If no row is natural, or none is a rendition.
    """
    need_both(codes)
    x = fetch_half(features.image, rows).astype(np.float64)
    linear = _centroids(x, codes)

    def fit(mask: NDArray[np.bool_]) -> Callable[[NDArray[np.bool_]], Scores]:
        weights = _centroids(x[mask], codes[mask]).weights
        return lambda held: _margins(x[held] @ weights.T)

    return StyleScorer(
        score=lambda found: _margins(score_linear(linear, found)),
        unseen=score_unseen(fit, codes),
        codes=codes,
    )


def _centroids(x: NDArray[np.float64], codes: Codes) -> LinearScores:
    present = [code for code in range(len(CLASSES)) if (codes == code).any()]
    means = np.stack([x[codes == code].mean(axis=0) for code in present])
    weights = means / np.linalg.norm(means, axis=1, keepdims=True)
    return LinearScores(weights=weights, intercepts=np.zeros(len(present)))


def _margins(similarity: Scores) -> Scores:
    """Return how much nearer the natural and the rendition centroid are than the nearest other one."""
    found = np.empty((len(similarity), len(PROBED)))
    for column in range(len(PROBED)):
        others = np.delete(similarity, column, axis=1)
        found[:, column] = similarity[:, column] - others.max(axis=1)
    return found
