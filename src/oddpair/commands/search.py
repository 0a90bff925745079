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
    from oddpair.retrieval.top import TopRows

    rows, dimension = stored.shape
    seconds = rows * dimension * (2 / _BYTES_A_SECOND + len(queries) / _PRODUCTS_A_SECOND)
    tests = prepare_tests(queries, [f"{number:09d}" for number in range(len(queries))])
    above = None if wanted.above is None else np.full(len(queries), wanted.above, dtype=np.float32)
    ask = Ask(top=wanted.k) if wanted.k else Ask(above=above, pairs=True)
    with track(f"search {stored.folder.name}", rows) if seconds > 2 else nullcontext() as progress:
        told = progress.advance if progress else None
        found = scan(stored, tests, ask, threads=threads, told=told)
    if wanted.k:
        return found.top
    best = TopRows(len(queries), rows, stored.uids)
    best.add(found.pairs)
    return best.result()


def _ask(
    index: RowIndex, stored: StoredRows, queries: NDArray[np.float32], wanted: Wanted, threads: int
) -> Pairs:
    from oddpair.retrieval.index import search_index

    above = None if wanted.k else wanted.above
    return search_index(index, stored, queries, k=wanted.k, above=above, threads=threads)


def _arrange(stored: StoredRows, pairs: Pairs, n_queries: int) -> list[list[Hit]]:
    """Number the hits of each query, which are in order, and look up what they are."""
    rows, place = np.unique(pairs.row, return_inverse=True)
    uids, captions = stored.uids(rows), stored.captions(rows)
    hits: list[list[Hit]] = [[] for _ in range(n_queries)]
    for query, row, score in zip(pairs.test.tolist(), place.tolist(), pairs.score.tolist(), strict=True):
        number = len(hits[query]) + 1
        hits[query].append(
            Hit(place=number, score=score, uid=uids[row], caption=captions[row], row=int(rows[row]))
        )
    return hits
