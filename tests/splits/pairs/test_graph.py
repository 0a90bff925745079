import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.retrieval.counting.counts import Counts
from oddpair.splits.pairs.graph import build_graph, count_bipartite, find_identifiable
from oddpair.splits.pairs.paths import NO_PATH, find_paths


def counts_of(n, edges, *, captions=1000, text=None):
    """Counts of ``n`` concepts whose pairs ``edges`` have the given counts."""
    ordered = sorted(edges)
    a, b = (np.array([edge[end] for edge in ordered], np.int64) for end in (0, 1))
    pair = np.array([edges[edge] for edge in ordered], np.int64)
    return Counts(
        names=tuple(f"c{number}" for number in range(n)),
        vocabulary_sha256="0" * 64,
        n_captions=captions,
        text=np.full(n, 100, np.int64) if text is None else np.array(text, np.int64),
        image=None,
        joint=None,
        a=a,
        b=b,
        pair_text=pair,
        pair_image=None,
        pair_joint=None,
    )


@st.composite
def weighted_graphs(draw, most=8):
    n = draw(st.integers(2, most))
    every = list(itertools.combinations(range(n), 2))
    chosen = draw(st.lists(st.sampled_from(every), unique=True))
    return n, {edge: draw(st.integers(0, 4)) for edge in chosen}


def every_pair(n):
    return np.array(list(itertools.combinations(range(n), 2)), np.int64)


@configure(max_examples=150, deadline=None)
@given(weighted_graphs())
def test_a_pair_is_identifiable_if_it_adds_no_rank_to_the_incidence_matrix(drawn):
    n, edges = drawn
    seen = [edge for edge, count in edges.items() if count > 0]
    incidence = np.zeros((len(seen) + 1, n))
    for row, edge in enumerate(seen):
        incidence[row, list(edge)] = 1
    pairs = every_pair(n)
    expected = []
    for pair in pairs:
        incidence[-1] = 0
        without = np.linalg.matrix_rank(incidence)
        incidence[-1, pair] = 1
        expected.append(np.linalg.matrix_rank(incidence) == without)
    graph = build_graph(counts_of(n, edges))
    assert find_identifiable(graph, pairs).tolist() == expected
    incidence[-1] = 0
    # The rank is the number of concepts less that of bipartite components, of which a lone concept is one.
    alone = int((graph.sizes == 1).sum())
    assert np.linalg.matrix_rank(incidence) == n - count_bipartite(graph) - alone


@configure(max_examples=150, deadline=None)
@given(weighted_graphs(), st.integers(1, 3), st.integers(0, 3))
def test_degrees_neighbours_paths_and_components_are_those_of_a_slow_search(drawn, minimum, most):
    n, edges = drawn
    weights = np.zeros((n, n), np.int64)
    for (a, b), count in edges.items():
        weights[a, b] = weights[b, a] = count if count >= minimum else 0
    distance = np.where(np.eye(n, dtype=bool), 0.0, np.where(weights > 0, 1.0, np.inf))
    for through in range(n):
        distance = np.minimum(distance, distance[:, [through]] + distance[[through]])

    graph = build_graph(counts_of(n, edges), minimum=minimum)
    pairs = every_pair(n)
    found = find_paths(graph, pairs, most=most)
    assert graph.degrees.tolist() == (weights > 0).sum(axis=1).tolist()
    for row, (a, b) in enumerate(pairs):
        weaker = np.minimum(weights[a], weights[b])
        order = sorted(np.flatnonzero(weaker).tolist(), key=lambda near: (-weaker[near], near))
        assert found.common[row] == len(order)
        assert found.strongest[row] == order[:most]
        assert found.strengths[row] == [weaker[near] for near in order[:most]]
        assert found.lengths[row] == (distance[a, b] if np.isfinite(distance[a, b]) else NO_PATH)
        assert (graph.component[a] == graph.component[b]) == np.isfinite(distance[a, b])
    sizes = np.isfinite(distance).sum(axis=1)
    assert graph.sizes[graph.component].tolist() == sizes.tolist()
    assert graph.sizes.tolist() == sorted(graph.sizes, reverse=True)


def test_components_are_numbered_by_size_then_by_their_first_concept():
    graph = build_graph(counts_of(7, {(1, 2): 1, (4, 5): 1, (5, 6): 1}))
    assert graph.component.tolist() == [2, 1, 1, 3, 0, 0, 0]
    assert graph.sizes.tolist() == [3, 2, 1, 1]
    assert count_bipartite(graph) == 2


def test_two_sides_of_a_square_are_identifiable_and_its_diagonals_are_not():
    square = {(0, 1): 1, (1, 2): 1, (2, 3): 1}
    pairs = np.array([[0, 3], [0, 2], [1, 3]])
    assert find_identifiable(build_graph(counts_of(4, square)), pairs).tolist() == [True, False, False]
    # An edge across makes a triangle, and then each concept is determined by itself.
    assert find_identifiable(build_graph(counts_of(4, square | {(0, 2): 1})), pairs).all()


def test_long_paths_are_found_from_both_ends():
    ring = {(place, place + 1): 1 for place in range(40)} | {(0, 40): 1}
    pairs = np.array([[0, 20], [0, 21], [3, 38], [7, 9]])
    assert find_paths(build_graph(counts_of(41, ring)), pairs).lengths.tolist() == [20, 20, 6, 2]


def test_a_large_graph_of_which_only_some_edges_are_looked_at_first_is_joined_whole(monkeypatch):
    monkeypatch.setattr("oddpair.splits.pairs.graph._FIRST_EDGES", 1)
    n = 60
    path = {(place, place + 1): 1 for place in range(n - 1)}
    dense = dict.fromkeys(itertools.combinations(range(n, 2 * n), 2), 1)
    bridged = build_graph(counts_of(2 * n, path | dense | {(0, 2 * n - 1): 1}))
    assert bridged.sizes.tolist() == [2 * n]
    assert find_identifiable(bridged, np.array([[3, 5]])).tolist() == [True]
    apart = build_graph(counts_of(2 * n, path | dense))
    assert apart.sizes.tolist() == [n, n]
    assert find_identifiable(apart, np.array([[3, 5], [3, 6], [3, n], [n, n + 1]])).tolist() == [
        *(False, True, False, True)
    ]


def test_a_minimum_of_zero_is_an_error():
    with pytest.raises(ValueError, match="minimum is 0, needed 1 or more"):
        build_graph(counts_of(2, {(0, 1): 1}), minimum=0)
