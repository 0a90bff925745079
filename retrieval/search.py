"""Exact nearest neighbours by cosine similarity, ties broken by uid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.exact import exact_scores
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.unit_rows import find_bad_row

# faiss adds in float32 and in its own order, so two rows that tie exactly may come back either way and the
# k-th place may go to the wrong one of two near-equals. A few more candidates, scored again, settle both,
# and where more rows than that are as near, such as copies of one picture, more are asked for.
SPARE_CANDIDATES = 16


class Neighbours(NamedTuple):
    """The nearest corpus rows of each query, best first.

    Attributes:
        scores: Cosine similarity, float32, shape ``(n_queries, k)``.
        rows: Index into the corpus, int64, shape ``(n_queries, k)``.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]


def nearest(
    queries: NDArray[np.float32], corpus: NDArray[np.float32], k: int, *, uids: Sequence[str]
) -> Neighbours:
    """Find the k corpus rows with the largest cosine similarity to each query, exactly.

    faiss proposes candidates; every reported score is exact (``exact_scores``), and order and ties, the smaller
    uid first, are decided by it. For rows that do not fit memory, or questions of both sides, there is ``scan``.

    Args:
        queries: Unit rows, shape ``(n_queries, d)``.
        corpus: Unit rows, shape ``(n, d)``.
        k: Neighbours per query; more than ``n`` gives ``n``.
        uids: The corpus rows' ids, length ``n``.

    Returns:
        Scores and rows, each of shape ``(n_queries, min(k, n))``.

    Raises:
        ValueError: If either side is empty, the dimensions differ, or a row is not of length 1.

    >>> corpus = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    >>> nearest(corpus[:1], corpus, 2, uids=["b", "c", "a"]).rows
    array([[2, 0]])
    """
    _check(queries, corpus, uids)
    k = min(k, len(corpus))
    if k < 1:
        raise ValueError(f"k is {k}, at least 1 is needed")
    faiss = load_faiss()
    index = faiss.IndexFlatIP(corpus.shape[1])
    index.add(np.ascontiguousarray(corpus))
    rank = np.empty(len(corpus), dtype=np.int64)
    rank[np.argsort(np.asarray(uids, dtype=object), kind="stable")] = np.arange(len(corpus))
    shape = len(queries), min(k, len(corpus))
    best = Neighbours(np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64))
    # The most that a float32 dot product of unit rows is off, twice: for what is found and what is not.
    slack = corpus.shape[1] * 2.0**-23
    unsettled, asked = np.arange(len(queries)), min(k + SPARE_CANDIDATES, len(corpus))
    while len(unsettled):
        part = np.ascontiguousarray(queries[unsettled])
        proposed, candidates = index.search(part, asked)
        scores = exact_scores(part, corpus, candidates)
        order = np.lexsort((rank[candidates], -scores), axis=1)[:, :k]
        best.scores[unsettled] = np.take_along_axis(scores, order, axis=1)
        best.rows[unsettled] = np.take_along_axis(candidates, order, axis=1)
        if asked == len(corpus):
            break
        unsettled = unsettled[proposed[:, -1] + slack >= best.scores[unsettled, -1]]
        asked = min(4 * asked, len(corpus))
    return best


def _check(queries: NDArray[np.float32], corpus: NDArray[np.float32], uids: Sequence[str]) -> None:
    if not len(queries) or not len(corpus):
        raise ValueError(f"nothing to search: {len(queries)} queries, {len(corpus)} corpus rows")
    if queries.shape[1] != corpus.shape[1]:
        raise ValueError(f"corpus has dimension {corpus.shape[1]}, queries have {queries.shape[1]}")
    if len(uids) != len(corpus):
        raise ValueError(f"corpus has {len(corpus)} rows, {len(uids)} uids were given")
    for name, rows in (("queries", queries), ("corpus", corpus)):
        bad = find_bad_row(np.ascontiguousarray(rows, dtype=np.float32))
        if bad is not None:
            raise ValueError(f"{name} row {bad[0]} has length {bad[1]:.4g}, needed 1")
