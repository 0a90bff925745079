from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.splits.curation.controls import (
    CountDistance,
    count_distance,
    draw_groups,
    match_concepts,
    match_size,
    signatures,
)


def draw_mentions(n: int, seed: int, n_concepts: int = 4) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((n, n_concepts)) < 0.4


def make_uids(n: int, seed: int = 0) -> list[str]:
    return [f"{value:04x}" for value in np.random.default_rng(seed).permutation(n)]


def pair_counts(mentions: NDArray[np.bool_]) -> Counter[tuple[int, int]]:
    return Counter(pair for row in mentions for pair in combinations(np.flatnonzero(row).tolist(), 2))


def test_equal_sets_of_concepts_have_equal_signatures():
    dense = draw_mentions(50, seed=0)
    keys = signatures(csr_array(dense))
    for i, j in combinations(range(50), 2):
        assert (keys[i] == keys[j]) == (dense[i] == dense[j]).all()


def test_a_signature_ignores_order_repeats_and_stored_zeros():
    messy = csr_array(
        (np.array([1, 1, 0, 1, 1, 1]), np.array([2, 0, 1, 2, 0, 2]), np.array([0, 4, 6])), shape=(2, 3)
    )
    assert signatures(messy).tolist() == [0, 0]
    assert messy.indices.tolist() == [2, 0, 1, 2, 0, 2]  # the caller's table stays as it was


def test_sets_of_one_hash_are_told_apart(monkeypatch):
    dense = draw_mentions(60, seed=3)
    salts = []

    def collide(concepts, salt):
        salts.append(salt)
        # Two salts that send many sets to one hash: by their size alone, and by the sum of their concepts.
        weak = [np.ones_like(concepts), concepts, 1 << concepts]
        return weak[salt].astype(np.uint64)

    monkeypatch.setattr("oddpair.splits.curation.controls._scatter", collide)
    found = signatures(csr_array(dense))
    assert salts == [0, 1, 2]
    for i, j in combinations(range(60), 2):
        assert (found[i] == found[j]) == (dense[i] == dense[j]).all()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), smaller=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_size_control_has_exactly_n_rows_nested_in_n_and_blind_to_order(seed, n, smaller):
    uids = make_uids(40, seed)
    found = match_size(n, uids, np.random.default_rng(seed))
    assert len(set(found.tolist())) == n
    assert found.tolist() == sorted(found.tolist())
    assert set(match_size(min(smaller, n), uids, np.random.default_rng(seed))) <= set(found)
    ordered = sorted(uids)
    again = match_size(n, ordered, np.random.default_rng(seed))
    assert {ordered[row] for row in again} == {uids[row] for row in found}


def test_a_size_control_is_uniform():
    hits = np.zeros(10)
    for seed in range(400):
        hits[match_size(3, make_uids(10), np.random.default_rng(seed))] += 1
    assert np.abs(hits - 120).max() < 4.5 * np.sqrt(400 * 0.3 * 0.7)


def test_a_size_control_larger_than_the_pool_is_refused():
    with pytest.raises(Refusal, match="a control of 5 rows cannot be drawn from a pool of 3"):
        match_size(5, ["a", "b", "c"], np.random.default_rng(0))
    with pytest.raises(ValueError, match="n is 0"):
        match_size(0, ["a"], np.random.default_rng(0))


@given(seed=st.integers(0, 10**6), n=st.integers(2, 80), share=st.floats(0.05, 1))
@settings(max_examples=60, deadline=None)
def test_a_matched_control_has_the_same_size_concept_counts_and_pair_counts(seed, n, share):
    pool = draw_mentions(n, seed)
    split = np.random.default_rng(seed + 1).permutation(n)[: max(1, int(share * n))]
    keys = signatures(csr_array(pool))
    found = match_concepts(keys[split], keys, make_uids(n, seed), np.random.default_rng(seed))
    assert len(set(found.tolist())) == len(found) == len(split)
    assert Counter(map(bytes, pool[found])) == Counter(map(bytes, pool[split]))
    assert pool[found].sum(axis=0).tolist() == pool[split].sum(axis=0).tolist()
    assert pair_counts(pool[found]) == pair_counts(pool[split])
    assert count_distance(csr_array(pool[split]), csr_array(pool[found])) == CountDistance(
        rows=0, concepts=0, pairs=0, decades=0.0
    )


def test_a_matched_control_is_drawn_from_the_whole_pool_and_blind_to_its_order():
    pool = np.repeat(np.eye(3, dtype=bool), 40, axis=0)
    keys, uids = signatures(csr_array(pool)), make_uids(120)
    split = np.arange(0, 120, 4)
    found = match_concepts(keys[split], keys, uids, np.random.default_rng(0))
    shared = len(set(found) & set(split))
    assert 0 < shared < len(split)
    order = np.random.default_rng(5).permutation(120)
    again = match_concepts(keys[split], keys[order], [uids[row] for row in order], np.random.default_rng(0))
    assert set(order[again]) == set(found)


def test_every_row_of_a_set_of_concepts_is_drawn_equally_often():
    pool = np.array([[1, 0]] * 6 + [[0, 1]] * 2, dtype=bool)
    keys, uids, hits = signatures(csr_array(pool)), make_uids(8), np.zeros(8)
    for seed in range(400):
        hits[match_concepts(keys[[0, 1, 6]], keys, uids, np.random.default_rng(seed))] += 1
    assert hits[:6].sum() == 800
    assert np.abs(hits[:6] - 400 / 3).max() < 4.5 * np.sqrt(400 * (1 / 3) * (2 / 3))
    assert np.abs(hits[6:] - 200).max() < 4.5 * np.sqrt(400 * 0.25)


def test_a_pool_that_cannot_match_is_refused_with_the_group():
    names = ["cat", "dog"]
    with pytest.raises(
        Refusal, match=r"in 1 groups: of cat the split has 3 rows, the pool 1: draw from a larger corpus"
    ):
        draw_groups(
            np.array([0, 0, 0, 1]), np.array([1, 0, 1]), np.random.default_rng(0), tell=names.__getitem__
        )


@given(seed=st.integers(0, 10**6), n=st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_the_control_of_a_part_lies_inside_the_control_of_the_whole(seed, n):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 4, n)
    split = rng.permutation(n)[: max(1, n // 2)]
    part = split[: max(1, len(split) // 2)]
    whole, inside = (
        draw_groups(groups[rows], groups, np.random.default_rng(seed), tell=str) for rows in (split, part)
    )
    assert set(inside.tolist()) <= set(whole.tolist())
    assert sorted(groups[inside].tolist()) == sorted(groups[part].tolist())


def test_a_control_of_nothing_is_an_error():
    keys = signatures(csr_array(np.eye(2, dtype=bool)))
    with pytest.raises(ValueError, match="the split has no row to match"):
        match_concepts(keys[:0], keys, ["a", "b"], np.random.default_rng(0))
    with pytest.raises(ValueError, match="pool has 2 rows, 1 uids were given"):
        match_concepts(keys, keys, ["a"], np.random.default_rng(0))


def test_distances_are_counted_by_hand():
    split = csr_array(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0]], dtype=bool))  # counts 3 2 0, pair 0-1 twice
    control = csr_array(np.array([[1, 0, 1], [1, 1, 0]], dtype=bool))  # counts 2 1 1, pairs 0-1 and 0-2 once
    found = count_distance(split, control)
    assert (found.rows, found.concepts, found.pairs) == (1, 3, 2)
    assert found.decades == pytest.approx(np.log10(2))
    assert count_distance(control, split) == found


def test_splits_of_two_vocabularies_cannot_be_compared():
    with pytest.raises(ValueError, match="needed rows and equal concepts"):
        count_distance(csr_array(np.eye(2, dtype=bool)), csr_array(np.eye(3, dtype=bool)))
