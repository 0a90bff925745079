"""Exact nearest neighbours by cosine similarity, ties broken by uid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.faiss_import import load_faiss

# faiss adds in float32 and in its own order, so two rows that tie exactly may come back either way and the
# k-th place may go to the wrong one of two near-equals. A few more candidates, scored again, settle both.
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

    faiss proposes candidates; every reported score is the float64 dot product of the two rows, rounded to
    float32, and order and ties (the smaller uid first) are decided by it.

    Args:
        queries: Unit rows, shape ``(n_queries, d)``.
        corpus: Unit rows, shape ``(n, d)``.
        k: Neighbours per query; more than ``n`` gives ``n``.
        uids: The corpus rows' ids, length ``n``.

    Returns:
        Scores and rows, each of shape ``(n_queries, min(k, n))``.

    Raises:
        ValueError: If either side is empty, the dimensions differ, or a row is not finite.

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
    candidates = index.search(np.ascontiguousarray(queries), min(k + SPARE_CANDIDATES, len(corpus)))[1]
    rank = np.empty(len(corpus), dtype=np.int64)
    rank[np.argsort(np.asarray(uids, dtype=object), kind="stable")] = np.arange(len(corpus))
    scores = exact_scores(queries, corpus, candidates)
    order = np.lexsort((rank[candidates], -scores), axis=1)[:, :k]
    return Neighbours(
        np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1)
    )


def exact_scores(
    queries: NDArray[np.float32], corpus: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the float64 dot product of each query with its own corpus rows, rounded to float32.

    Args:
        queries: Shape ``(n_queries, d)``.
        corpus: Shape ``(n, d)``.
        rows: Corpus rows per query, shape ``(n_queries, k)``.

    Returns:
        Shape ``(n_queries, k)``.
    """
    scores = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(queries), 256):
        part = slice(start, start + 256)
        scores[part] = np.einsum(
            "qd,qkd->qk", queries[part].astype(np.float64), corpus[rows[part]].astype(np.float64)
        )
    return scores


def _check(queries: NDArray[np.float32], corpus: NDArray[np.float32], uids: Sequence[str]) -> None:
    if not len(queries) or not len(corpus):
        raise ValueError(f"nothing to search: {len(queries)} queries, {len(corpus)} corpus rows")
    if queries.shape[1] != corpus.shape[1]:
        raise ValueError(f"corpus has dimension {corpus.shape[1]}, queries have {queries.shape[1]}")
    if len(uids) != len(corpus):
        raise ValueError(f"corpus has {len(corpus)} rows, {len(uids)} uids were given")
    for name, rows in (("queries", queries), ("corpus", corpus)):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise ValueError(f"{name} row {bad[0]} is not finite")
