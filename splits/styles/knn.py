"""Styles told by the labels of the nearest labelled pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.search import nearest
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.features import StyleFeatures, fetch_half
from oddpair.splits.styles.scorer import CODE, PROBED, Codes, Scores, StyleScorer, need_both, score_unseen


def fit_neighbours(features: StyleFeatures, rows: IntArray, codes: Codes, *, k: int) -> StyleScorer:
    """Keep the labelled rows, for others to be compared with.

    A score is the mean over a row's ``k`` nearest labelled rows of their cosine similarity, taken as positive where the
    neighbour is of the class and as negative where it is not.

    Args:
        features: Of the corpus; embeddings alone are looked at.
        rows: The labelled rows, shape ``(n,)``.
        codes: Their labels, shape ``(n,)``.
        k: Neighbours; no more than there are rows count.

    Returns:
        What scores rows.

    Raises:
        Refusal: If no row is natural, or none is a rendition.

    References:
        Somepalli et al., Measuring style similarity in diffusion models, 2024, arXiv:2404.01292, which asks for any one
        neighbour of the style.
    """
    need_both(codes)
    x = fetch_half(features.image, rows).astype(np.float32)

    def fit(mask: NDArray[np.bool_]) -> Callable[[NDArray[np.bool_]], Scores]:
        return lambda held: _vote(x[held], x[mask], codes[mask], k)

    def score(found: StyleFeatures) -> Scores:
        scores = np.empty((len(found), len(PROBED)))
        for block in found.blocks():
            part = found.image.read(block.start, block.stop).astype(np.float32)
            scores[block] = _vote(part, x, codes, k)
        return scores

    return StyleScorer(score=score, unseen=score_unseen(fit, codes), codes=codes)


def _vote(queries: NDArray[np.float32], known: NDArray[np.float32], codes: Codes, k: int) -> Scores:
    # Labelled rows are sorted by uid, so their places settle ties as their uids would.
    places = [f"{place:012d}" for place in range(len(known))]
    found = nearest(queries, known, k, uids=places)
    similarity = found.scores.astype(np.float64)
    styles = codes[found.rows]
    return np.stack(
        [np.where(styles == CODE[name], similarity, -similarity).mean(axis=1) for name in PROBED], axis=1
    )
