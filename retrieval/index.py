"""Search of an index: faiss proposes candidates, and the exact scores of the stored rows decide."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.exact import exact_scores
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.index_file import RowIndex
from oddpair.retrieval.pairs import Pairs, join
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray, find_bad_row

FloatArray = NDArray[np.float32]

# The k-th place may go to either of two rows that are all but as near, and copies of one uid count once: a few
# more candidates settle most queries, and the rest are asked again for four times as many.
SPARE_CANDIDATES = 16
_QUERIES_AT_ONCE = 1 << 8
_PAIRS_AT_ONCE = 1 << 16
# How many lists are looked through is a setting of the faiss index, which threads share.
_ONE_AT_A_TIME = threading.Lock()


def search_index(
    index: RowIndex,
    stored: StoredRows,
    queries: FloatArray,
    *,
    k: int | None = None,
    above: float | None = None,
    probes: int | None = None,
    threads: int = 1,
) -> Pairs:
    """Find the rows nearest to each query, or all above a threshold, among those in the lists looked through.

    A row that is found has its exact score, and of two rows in those lists the nearer comes first: only rows in
    other lists are missed, as often as ``index.card.recall`` tells. With ``probes=index.card.lists`` none is.
    The answer depends neither on the threads nor on the other queries.

    Args:
        index: What ``open_index`` returned for these rows.
        stored: The rows.
        queries: Unit rows, shape ``(m, d)``.
        k: Rows per query, of different uids; fewer where there are not as many.
        above: Instead of ``k``: all rows whose score is greater than this, as a float32.
        probes: Lists to look through; by default as many as the recall was measured with.
        threads: Threads of the search.

    Returns:
        Query, row and score, by query, then score descending, then uid; of rows with one uid the best.

    Raises:
        ValueError: If the queries are no unit rows of the index's dimension, or a number is out of range.
    """
    queries = np.ascontiguousarray(queries)
    _check(index, queries, k, above)
    probes = index.card.probes if probes is None else probes
    if not 1 <= probes <= index.card.lists:
        raise ValueError(f"probes is {probes}, needed 1 to {index.card.lists}")
    with faiss_threads(threads):
        lists = nearest_lists(index, queries, probes)
        if k is not None:
            return _find_top(index, stored, queries, lists, k)
        return _find_above(index, stored, queries, lists, np.float32(above))


def _check(index: RowIndex, queries: FloatArray, k: int | None, above: float | None) -> None:
    dimension = index.card.dimension
    if queries.ndim != 2 or queries.shape[1] != dimension or queries.dtype != np.float32 or not len(queries):
        raise ValueError(
            f"queries are {queries.dtype} of shape {queries.shape}, needed float32 of (m, {dimension})"
        )
    bad = find_bad_row(queries)
    if bad is not None:
        raise ValueError(f"query {bad[0]} has length {bad[1]:g}, needed 1")
    if (k is None) == (above is None):
        raise ValueError(f"k is {k} and above is {above}, needed one of them")
    if k is not None and k < 1:
        raise ValueError(f"k is {k}, at least 1 is needed")
    if above is not None and not np.isfinite(above):
        raise ValueError(f"above is {above}, needed a number")


def nearest_lists(index: RowIndex, queries: FloatArray, probes: int) -> IntArray:
    """Return the lists whose centres score highest with each query, of equal ones the first, shape ``(m, probes)``.

    faiss would choose by products whose rounding depends on its version, on threads and on how many queries there
    are. Here exact scores decide where rounding could.
    """
    parts = [
        _choose_lists(index, queries[start : start + _QUERIES_AT_ONCE], probes)
        for start in range(0, len(queries), _QUERIES_AT_ONCE)
    ]
    return np.concatenate(parts)


def _choose_lists(index: RowIndex, queries: FloatArray, probes: int) -> IntArray:
    about = queries @ index.centres.T
    last = np.partition(about, -probes, axis=1)[:, -probes, None]
    chosen = about > last + _slack(index)
    query, doubtful = np.nonzero(~chosen & (about >= last - _slack(index)))
    score = exact_scores(queries[query], index.centres, doubtful[:, None])[:, 0]
    order = np.lexsort((doubtful, -score, query))
    query, doubtful = query[order], doubtful[order]
    place = np.arange(len(query)) - np.searchsorted(query, query)
    fits = place < probes - chosen.sum(axis=1)[query]
    chosen[query[fits], doubtful[fits]] = True
    return np.nonzero(chosen)[1].reshape(len(queries), probes)


def _find_top(index: RowIndex, stored: StoredRows, queries: FloatArray, lists: IntArray, k: int) -> Pairs:
    """Ask for more and more candidates, until no row that was not proposed can be among the best."""
    settled: list[Pairs] = []
    unsettled, asked = np.arange(len(queries)), min(k + SPARE_CANDIDATES, index.card.rows)
    while len(unsettled):
        with _ONE_AT_A_TIME:
            index.held.nprobe = lists.shape[1]
            proposed, rows = index.held.search_preassigned(queries[unsettled], asked, lists[unsettled], None)
        query, column = np.nonzero(rows >= 0)
        best = _decide(index, stored, queries, unsettled[query], rows[query, column])
        place = np.arange(len(best)) - np.searchsorted(best.test, best.test)
        worst = np.full(len(queries), -np.inf)
        worst[best.test[place == k - 1]] = best.score[place == k - 1]
        is_settled = np.zeros(len(queries), dtype=np.bool_)
        is_settled[unsettled] = proposed[:, -1] + _slack(index) < worst[unsettled]
        is_settled[unsettled] |= (rows[:, -1] < 0) | (asked == index.card.rows)
        settled.append(best.take(np.flatnonzero(is_settled[best.test] & (place < k))))
        unsettled = unsettled[~is_settled[unsettled]]
        asked = min(4 * asked, index.card.rows)
    found = join(settled)
    return found.take(np.argsort(found.test, kind="stable"))


def _find_above(
    index: RowIndex,
    stored: StoredRows,
    queries: FloatArray,
    lists: IntArray,
    above: np.float32,
) -> Pairs:
    with _ONE_AT_A_TIME:
        index.held.nprobe = lists.shape[1]
        ends, _, rows = index.held.range_search_preassigned(
            queries, float(above) - _slack(index), lists, None
        )
    query = np.repeat(np.arange(len(queries)), np.diff(ends.astype(np.int64)))
    found = _decide(index, stored, queries, query, rows)
    return found.take(np.flatnonzero(found.score > above))


def _slack(index: RowIndex) -> float:
    """Return twice the most that a float32 dot product of unit rows is off, in any order of the sum."""
    return (index.card.dimension + 2) * 2.0**-23


def _decide(
    index: RowIndex, stored: StoredRows, queries: FloatArray, query: IntArray, row: IntArray
) -> Pairs:
    """Score candidates by their rows, which the index holds as stored, order them, keep the best row of each uid."""
    by_row = np.argsort(row, kind="stable")
    score = np.empty(len(row), dtype=np.float32)
    for start in range(0, len(row), _PAIRS_AT_ONCE):
        part = by_row[start : start + _PAIRS_AT_ONCE]
        needed, places = np.unique(row[part], return_inverse=True)
        left, right = queries[query[part]], index.held.reconstruct_batch(needed)
        score[part] = exact_scores(left, right, places[:, None])[:, 0]
    distinct, places = np.unique(row, return_inverse=True)
    uids = np.asarray(stored.uids(distinct), dtype=object)
    # Rows of one uid have one rank.
    rank = np.unique(uids, return_inverse=True)[1][places]
    order = np.lexsort((row, rank, -score, query))
    first = np.unique(query[order] * (len(distinct) + 1) + rank[order], return_index=True)[1]
    kept = order[np.sort(first)]
    return Pairs(test=query[kept], row=row[kept], score=score[kept])


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """Let faiss use so many threads inside a block."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
