"""Which pairs of concepts are counted: all among some concepts, any that are asked for, and never nested ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.retrieval.counting.pmi import IntArray

# Their triangle of cells of 4 bytes takes 2 GiB, and its cells are numbered in 32 bits.
MOST_AMONG = 32_768


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairPlan:
    """What a counter counts; ``plan_pairs`` makes one.

    Attributes:
        n_concepts: Size of the vocabulary.
        members: Concepts among which all pairs are counted, ascending.
        given: The same as they were given.
        requested: Keys ``a * n_concepts + b`` of the pairs that were asked for, ascending.
        nested: Keys of the pairs that are none.
        owners: For each requested pair that is not among the members, the concept that is no member or, of two such,
            the smaller; ascending.
        partners: The other concept of the pair; ascending for each owner.
        starts: Concept ``c`` owns ``partners[starts[c]:starts[c + 1]]``.
    """

    n_concepts: int
    members: IntArray
    given: IntArray
    requested: IntArray
    nested: IntArray
    owners: IntArray
    partners: IntArray
    starts: IntArray

    @property
    def owned(self) -> IntArray:
        """The keys of the pairs that are not among the members, in the order of ``owners``."""
        low, high = np.minimum(self.owners, self.partners), np.maximum(self.owners, self.partners)
        keys: IntArray = low * self.n_concepts + high
        return keys

    def counts_alike(self, other: PairPlan) -> bool:
        """Say whether another plan counts the same pairs."""
        return self.n_concepts == other.n_concepts and all(
            np.array_equal(mine, theirs)
            for mine, theirs in (
                (self.members, other.members),
                (self.requested, other.requested),
                (self.nested, other.nested),
            )
        )


def plan_pairs(
    n_concepts: int, among: IntArray | None, requested: IntArray | None, nested: IntArray | None
) -> PairPlan:
    """Plan what is counted.

    Args:
        n_concepts: Size of the vocabulary.
        among: Ids of the concepts among which all pairs are counted, each once; ``None`` for all concepts.
        requested: Further pairs ``(a, b)``, ``a < b``, sorted, each once, shape ``(n, 2)``.
        nested: Keys ``a * n_concepts + b`` of pairs that are none.

    Raises:
        ValueError: If ids do not fit, pairs are not sorted, a requested pair is nested, or there are so many
            concepts that their pairs would take more than 2 GiB.
    """
    members = np.arange(n_concepts) if among is None else np.asarray(among, np.int64)
    pairs = np.zeros((0, 2), np.int64) if requested is None else np.asarray(requested, np.int64)
    banned = np.zeros(0, np.int64) if nested is None else np.asarray(nested, np.int64)
    _check_members(members, n_concepts)
    keys = _check_requested(pairs, n_concepts)
    wrong = np.flatnonzero(np.isin(keys, banned))
    if wrong.size:
        a, b = pairs[wrong[0]].tolist()
        raise ValueError(f"requested pair ({a}, {b}) is nested: its concepts are no pair")
    inside = np.zeros(n_concepts, np.bool_)
    inside[members] = True
    # Most rows hold no concept outside the members, and need no second look.
    a, b = pairs[~inside[pairs].all(axis=1)].T
    owners, partners = np.where(inside[a], b, a), np.where(inside[a], a, b)
    order = np.lexsort((partners, owners))
    return PairPlan(
        n_concepts=n_concepts,
        members=np.sort(members),
        given=members,
        requested=keys,
        nested=banned,
        owners=owners[order],
        partners=partners[order],
        starts=np.searchsorted(owners[order], np.arange(n_concepts + 1)),
    )


def _check_members(members: IntArray, n_concepts: int) -> None:
    if len(members) > MOST_AMONG:
        needed = len(members) * (len(members) - 1) * 2 / 2**30
        raise ValueError(
            f"all pairs among {len(members):,} concepts need {needed:.1f} GiB: count them among {MOST_AMONG:,} at most"
        )
    if len(members) and not 0 <= members.min() <= members.max() < n_concepts:
        raise ValueError(
            f"among goes from {members.min()} to {members.max()}, needed ids 0 to {n_concepts - 1}"
        )
    if len(np.unique(members)) < len(members):
        raise ValueError("among holds a concept twice")


def _check_requested(pairs: IntArray, n_concepts: int) -> IntArray:
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"requested pairs have shape {pairs.shape}, needed (n, 2)")
    a, b = pairs.T
    if np.any(a < 0) or np.any(a >= b) or np.any(b >= n_concepts):
        raise ValueError(f"requested pairs need ids 0 <= a < b < {n_concepts}")
    keys: IntArray = a * n_concepts + b
    if np.any(np.diff(keys) <= 0):
        raise ValueError("requested pairs are not sorted by (a, b), or repeat")
    return keys
