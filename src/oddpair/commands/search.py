"""``oddpair search``: the rows of a corpus nearest to queries, or all above a similarity."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.commands.queries import Query
from oddpair.progress import track
from oddpair.retrieval.index_file import RowIndex
from oddpair.retrieval.pairs import Pairs
from oddpair.retrieval.stored import StoredRows

# What a slow disk and two slow cores do in a second: a search that may take over two shows its progress.
_BYTES_A_SECOND = 5e8
_PRODUCTS_A_SECOND = 5e10


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One result: its place from 1, cosine similarity, uid, caption, and row among the embeddings."""

    place: int
    score: float
    uid: str
    caption: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a query is to find; one of them at least.

    Attributes:
        k: Results; ``None`` for all.
        above: Similarity that each must be larger than, rounded to float32; ``None`` for any.
    """

    k: int | None
    above: float | None


def find_hits(
    stored: StoredRows,
    queries: Sequence[Query],
    wanted: Wanted,
    *,
    index: RowIndex | None = None,
    threads: int,
) -> list[list[Hit]]:
    """Find the rows nearest to each query: exactly, or those that an index finds.

    Args:
        stored: The corpus.
        queries: At least one, of the encoder that made the rows.
        wanted: How many, or how near.
        index: An index of these rows; ``None`` to look at all.
        threads: Threads; the answer does not depend on them.

    Returns:
        Hits of each query, best first, ties by uid; of rows with one uid the best.

    Raises:
        Refusal: If a row of the corpus is not of length 1.
    """
    rows = np.stack([query.row for query in queries])
    pairs = (
        _scan(stored, rows, wanted, threads) if index is None else _ask(index, stored, rows, wanted, threads)
    )
    if wanted.above is not None:
        pairs = pairs.take(np.flatnonzero(pairs.score > np.float32(wanted.above)))
    return _arrange(stored, pairs, len(queries))


def _scan(stored: StoredRows, queries: NDArray[np.float32], wanted: Wanted, threads: int) -> Pairs:
    from oddpair.retrieval.scan import Ask, prepare_tests, scan

    rows, dimension = stored.shape
    seconds = rows * dimension * (2 / _BYTES_A_SECOND + len(queries) / _PRODUCTS_A_SECOND)
    tests = prepare_tests(queries, [f"{number:09d}" for number in range(len(queries))])
    above = None if wanted.above is None else np.full(len(queries), wanted.above, dtype=np.float32)
    ask = Ask(top=wanted.k) if wanted.k else Ask(above=above, pairs=True)
    with track(f"search {stored.folder.name}", rows) if seconds > 2 else nullcontext() as progress:
        told = progress.advance if progress else None
        found = scan(stored, tests, ask, threads=threads, told=told)
    return found.top if wanted.k else found.pairs


def _ask(
    index: RowIndex, stored: StoredRows, queries: NDArray[np.float32], wanted: Wanted, threads: int
) -> Pairs:
    from oddpair.retrieval.index import search_index

    above = None if wanted.k else wanted.above
    return search_index(index, stored, queries, k=wanted.k, above=above, threads=threads)


def _arrange(stored: StoredRows, pairs: Pairs, n_queries: int) -> list[list[Hit]]:
    """Sort hits by query, then score, then uid, and number them; a uid comes once a query."""
    rows, place = np.unique(pairs.row, return_inverse=True)
    uids = np.array(stored.uids(rows), dtype=object)
    captions = stored.captions(rows)
    rank = np.empty(len(rows), dtype=np.int64)
    rank[np.argsort(uids, kind="stable")] = np.arange(len(rows))
    hits: list[list[Hit]] = [[] for _ in range(n_queries)]
    seen: set[tuple[int, str]] = set()
    for pair in np.lexsort((rank[place], -pairs.score, pairs.test)).tolist():
        query, row = int(pairs.test[pair]), int(place[pair])
        if (query, uids[row]) in seen:
            continue
        seen.add((query, uids[row]))
        hits[query].append(
            Hit(
                place=len(hits[query]) + 1,
                score=float(pairs.score[pair]),
                uid=uids[row],
                caption=captions[row],
                row=int(rows[row]),
            )
        )
    return hits
