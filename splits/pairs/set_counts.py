"""How often sets of concepts occur together: all of them at once, exactly, from the posting lists of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csr_array

from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name, read_bitmaps
from oddpair.retrieval.counting.postings_query import Postings
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.controls import signatures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Together:
    """Rows that hold all concepts of each set; one value a set.

    Attributes:
        text: Captions, shape ``(n_sets,)``.
        image: Images by their tags; ``None`` where they are not tagged.
    """

    text: IntArray
    image: IntArray | None

    def take(self, places: IntArray) -> Together:
        """Return the counts of some of the sets."""
        return Together(text=self.text[places], image=None if self.image is None else self.image[places])


def count_together(postings: Postings, sets: Mentions, *, images: bool) -> Together:
    """Count the captions and, if asked for, the tagged images that hold all concepts of each set.

    Args:
        postings: The posting lists of a corpus.
        sets: Shape ``(n_sets, n_concepts)``; of a set without concepts 0 rows are counted.
        images: Whether to count images too.

    Returns:
        The counts; a row of the corpus counts once.
    """
    return Together(
        text=count_sets(postings, sets, "text"),
        image=count_sets(postings, sets, "image") if images else None,
    )


def count_sets(postings: Postings, sets: Mentions, kind: Literal["text", "image"]) -> IntArray:
    """Count the rows that hold all concepts of each set; each bitmap is read once.

    Args:
        postings: The posting lists of a corpus.
        sets: Shape ``(n_sets, n_concepts)``; of a set without concepts 0 rows are counted.
        kind: Captions, or tags of images.

    Returns:
        Counts, shape ``(n_sets,)``.
    """
    first, which = distinct_rows(sets)
    members = [sets.indices[sets.indptr[row] : sets.indptr[row + 1]].tolist() for row in first.tolist()]
    wanted = np.unique(sets.indices).tolist()
    index = postings.index
    total = np.zeros(len(members), np.int64)
    for start, stop in zip(index.starts, (*index.starts[1:], len(index.shards)), strict=True):
        found = read_bitmaps(
            postings.folder / POSTINGS_FOLDER / file_name(kind, start, len(index.shards)),
            wanted,
            n_rows=sum(index.rows[start:stop]),
            n_concepts=index.n_concepts,
        )
        total += np.array([_count_all(found, concepts) for concepts in members], np.int64)
    return total[which]


def distinct_rows(sets: Mentions) -> tuple[IntArray, IntArray]:
    """Return the first row of each different set, in their order, and for every row the place of its set among them.

    >>> first, which = distinct_rows(csr_array(np.array([[1, 0], [1, 1], [1, 0]], dtype=bool)))
    >>> first.tolist(), which.tolist()
    ([0, 1], [0, 1, 0])
    """
    seen: dict[bytes, int] = {}
    which = np.array([seen.setdefault(key, len(seen)) for key in signatures(sets)], np.int64)
    return np.unique(which, return_index=True)[1].astype(np.int64), which


def group_by_size(sets: Mentions) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the rows of sets of one size and their concepts, shape ``(n_rows, size)``, for each size from 1 on."""
    sizes = np.diff(sets.indptr)
    for size in np.unique(sizes[sizes > 0]).tolist():
        rows = np.flatnonzero(sizes == size)
        yield rows, sets.indices[sets.indptr[rows][:, None] + np.arange(size)].astype(np.int64)


def list_pairs(sets: Mentions, nested: IntArray) -> tuple[IntArray, IntArray]:
    """List the pairs of concepts of each set, without those of which one is named by the other's form.

    Args:
        sets: Shape ``(n_sets, n_concepts)``, with sorted indices.
        nested: Keys ``a * n_concepts + b`` of what is no pair, ascending.

    Returns:
        The set of each pair, ascending, and the pair's key.
    """
    width = int(sets.shape[1])
    rows, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for places, columns in group_by_size(sets):
        low, high = np.triu_indices(columns.shape[1], 1)
        rows.append(np.repeat(places, len(low)))
        keys.append((columns[:, low] * width + columns[:, high]).ravel())
    row, key = np.concatenate(rows), np.concatenate(keys)
    proper = ~np.isin(key, nested)
    order = np.lexsort((key[proper], row[proper]))
    return row[proper][order], key[proper][order]


def sets_of_pairs(keys: IntArray, n_concepts: int) -> Mentions:
    """Return pairs, given by their keys, as sets of two concepts, shape ``(n_pairs, n_concepts)``."""
    columns = np.column_stack(np.divmod(keys, n_concepts))
    ends = np.arange(0, 2 * len(keys) + 1, 2)
    return csr_array((np.ones(2 * len(keys), np.bool_), columns.ravel(), ends), shape=(len(keys), n_concepts))


def sum_by(rows: IntArray, mask: NDArray[np.bool_], n: int) -> IntArray:
    """Count, for each of ``n`` rows, its entries where ``mask`` is true."""
    counts: IntArray = np.bincount(rows[mask], minlength=n)
    return counts


def _count_all(found: dict[int, BitMap], concepts: list[int]) -> int:
    lists = [found.get(concept) for concept in concepts]
    held = [rows for rows in lists if rows is not None]
    if not held or len(held) < len(lists):
        return 0
    # From the rarest on, no step has more to do than it.
    held.sort(key=len)
    common = held[0]
    for other in held[1:-1]:
        common = common & other
    return common.intersection_cardinality(held[-1]) if len(held) > 1 else len(common)
