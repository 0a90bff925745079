"""Which concepts each of some rows holds, as two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Mentions = sparse.csr_array[np.bool_, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Incidence:
    """The concepts of each row, each once, in any order.

    Attributes:
        ends: Row ``i`` holds ``concepts[ends[i]:ends[i + 1]]``; int64, shape ``(n_rows + 1,)``, the first is 0.
        concepts: Ids, int32.
        n_concepts: Size of the vocabulary.
    """

    ends: NDArray[np.int64]
    concepts: NDArray[np.int32]
    n_concepts: int

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each entry of ``concepts``."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    def to_csr(self) -> Mentions:
        """Return the same as a boolean matrix of shape ``(n_rows, n_concepts)`` with sorted indices."""
        matrix: Mentions = sparse.csr_array(
            (np.ones(len(self.concepts), np.bool_), self.concepts.copy(), self.ends),
            shape=(len(self), self.n_concepts),
        )
        matrix.sort_indices()
        return matrix


def from_lists(rows: Sequence[Sequence[int]], n_concepts: int) -> Incidence:
    """Make an incidence of lists of ids, each ascending and without repetition.

    >>> from_lists([[0, 2], []], n_concepts=3).ends.tolist()
    [0, 2, 2]
    """
    ends = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=ends[1:])
    concepts = np.fromiter((concept for row in rows for concept in row), np.int32, count=int(ends[-1]))
    return Incidence(ends=ends, concepts=concepts, n_concepts=n_concepts)


def join(parts: Sequence[Incidence], n_concepts: int) -> Incidence:
    """Put the rows of several incidences under each other; of none it makes one without rows."""
    if len(parts) == 1:
        return parts[0]
    ends = np.zeros(sum(map(len, parts)) + 1, np.int64)
    np.cumsum(np.concatenate([np.zeros(0, np.int64), *(np.diff(part.ends) for part in parts)]), out=ends[1:])
    concepts = np.concatenate([np.zeros(0, np.int32), *(part.concepts for part in parts)])
    return Incidence(ends=ends, concepts=concepts, n_concepts=n_concepts)


def from_csr(matrix: Mentions) -> Incidence:
    """Make an incidence of a boolean matrix; entries that are stored as false do not count."""
    kept = sparse.csr_array(matrix.astype(np.bool_))
    kept.eliminate_zeros()
    kept.sum_duplicates()
    return Incidence(
        ends=kept.indptr.astype(np.int64), concepts=kept.indices.astype(np.int32), n_concepts=kept.shape[1]
    )


def intersect(first: Incidence, second: Incidence) -> Incidence:
    """Return the concepts that each row holds in both.

    Raises:
        ValueError: If the two have other numbers of rows or of concepts.
    """
    if (len(first), first.n_concepts) != (len(second), second.n_concepts):
        raise ValueError(
            f"{len(first)} rows of {first.n_concepts} concepts, and {len(second)} rows of {second.n_concepts}"
        )
    one, other = (part.rows * part.n_concepts + part.concepts for part in (first, second))
    both = np.intersect1d(one, other, assume_unique=True)
    ends = np.searchsorted(both, np.arange(len(first) + 1) * first.n_concepts)
    return Incidence(
        ends=ends.astype(np.int64),
        concepts=(both % max(1, first.n_concepts)).astype(np.int32),
        n_concepts=first.n_concepts,
    )
