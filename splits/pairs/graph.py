"""The graph of seen pairs: concepts, and an edge where captions name two of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import IntArray

BoolArray = NDArray[np.bool_]

_FIRST_EDGES = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairGraph:
    """Concepts and the pairs of them that captions name together.

    Attributes:
        starts: The partners of concept ``i`` are ``partners[starts[i]:starts[i + 1]]``; shape ``(n_concepts + 1,)``.
        partners: Ids, ascending within each concept.
        together: Captions that name the concept and the partner.
        even: Walks of even length join two concepts if and only if these labels of the two are equal.
        odd: Walks of odd length join ``a`` and ``b`` if and only if ``even[a] == odd[b]``; both have shape
            ``(n_concepts,)``.
        component: The connected component of each concept, 0 the largest, ties in the order of ids.
        sizes: Concepts in each component; one that is seen with no other is a component of its own.
    """

    starts: IntArray
    partners: NDArray[np.int32]
    together: IntArray
    even: IntArray
    odd: IntArray
    component: IntArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.component)

    @property
    def degrees(self) -> IntArray:
        """How many other concepts each concept is seen with, shape ``(n_concepts,)``."""
        return np.diff(self.starts)

    def of(self, concept: int) -> tuple[NDArray[np.int32], IntArray]:
        """Return the partners of a concept and the captions with both."""
        span = slice(self.starts[concept], self.starts[concept + 1])
        return self.partners[span], self.together[span]


def build_graph(counts: Counts, *, minimum: int = 1) -> PairGraph:
    """Build the graph of the counted pairs that at least ``minimum`` captions name together.

    Time and memory are linear in the pairs. Pairs that were not counted are no edges.

    Raises:
        ValueError: If ``minimum`` is below 1.
    """
    if minimum < 1:
        raise ValueError(f"minimum is {minimum}, needed 1 or more: what is seen 0 times is no edge")
    n = len(counts.names)
    kept = counts.pair_text >= minimum
    first, second = counts.a[kept].astype(np.int32), counts.b[kept].astype(np.int32)
    starts = np.searchsorted(first, np.arange(n + 1))
    upper = sparse.csr_array((counts.pair_text[kept], second, starts.astype(np.int64)), shape=(n, n))
    both = sparse.csr_array(upper + upper.T.tocsr())
    even, odd = _label_walks(n, first, second)
    component, sizes = _rank_components(np.minimum(even, odd))
    return PairGraph(
        starts=both.indptr.astype(np.int64),
        partners=both.indices.astype(np.int32),
        together=both.data,
        even=even,
        odd=odd,
        component=component,
        sizes=sizes,
    )


def find_identifiable(graph: PairGraph, pairs: IntArray) -> BoolArray:
    """Say for which pairs a sum ``f(a) + f(b)`` is determined by its values on the edges of the graph.

    It is if and only if ``e_a + e_b`` lies in the row space of the graph's unsigned incidence matrix, which is one row
    ``e_u + e_v`` an edge. Along a walk of odd length from ``a`` to ``b`` the edges, added and subtracted in turn, leave
    just ``f(a) + f(b)``; where a component holds a cycle of odd length, ``f`` of each of its concepts is determined by
    itself. So the sum is determined if ``a`` and ``b`` are on opposite sides of one bipartite component, or both lie in
    components with an odd cycle, and otherwise not: in a bipartite component, one number may be added to ``f`` on one
    side and taken from it on the other.

    Args:
        graph: The graph; its edges are determined, by themselves.
        pairs: Ids, shape ``(n_pairs, 2)``.

    Returns:
        Shape ``(n_pairs,)``.

    References:
        Van Nuffelen, On the incidence matrix of a graph, IEEE Transactions on Circuits and Systems 23(9), 1976, for
        the rank. For sums as a model of CLIP: Trager et al., Linear spaces of meanings, arXiv:2302.14383.
    """
    first, second = pairs[:, 0], pairs[:, 1]
    alone = graph.even == graph.odd
    identifiable: BoolArray = (graph.even[first] == graph.odd[second]) | (alone[first] & alone[second])
    return identifiable


def count_bipartite(graph: PairGraph) -> int:
    """Count the components that have an edge and no cycle of odd length."""
    sides = (graph.even != graph.odd) & (graph.degrees > 0)
    return len(np.unique(graph.component[sides]))


def _label_walks(n: int, first: NDArray[np.int32], second: NDArray[np.int32]) -> tuple[IntArray, IntArray]:
    """Label the components of the double cover, where each edge leads from an even to an odd step and back."""
    labels = np.arange(2 * n)
    # Some edges join nearly all that is joined, so that of many edges few are left to follow.
    for part in (slice(None, None, max(1, len(first) // (_FIRST_EDGES * max(n, 1)))), slice(None)):
        labels = _join(labels, first[part], second[part] + n)
        labels = _join(labels, first[part] + n, second[part])
    return labels[:n], labels[n:]


def _join(labels: IntArray, first: NDArray[np.int32], second: NDArray[np.int32]) -> IntArray:
    one, other = labels[first], labels[second]
    apart = one != other
    edges = (np.ones(int(apart.sum()), np.bool_), (one[apart], other[apart]))
    graph = sparse.csr_array(edges, shape=(len(labels), len(labels)))
    _, joined = sparse.csgraph.connected_components(graph, directed=False)
    merged: IntArray = joined[labels].astype(np.int64)
    return merged


def _rank_components(labels: IntArray) -> tuple[IntArray, IntArray]:
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse].astype(np.int64), sizes[order].astype(np.int64)
