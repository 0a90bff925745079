import hashlib
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval.mentions.incidence import from_lists
from oddpair.splits.curation import balance
from oddpair.splits.curation.balance import draw_levels, fill_evenly, measure_evenness

NAMES = ("ant", "bee", "cat", "dog", "eel")


def uids_of(n):
    return pa.array(
        [hashlib.md5(bytes([row % 256, row // 256])).hexdigest() for row in range(n)], pa.large_string()
    )


def counts_of(rows, kept):
    return np.bincount(
        [concept for row, has in zip(rows, kept, strict=True) if has for concept in row], minlength=5
    )


rows_of_concepts = st.lists(st.lists(st.integers(0, 4), unique=True, max_size=4).map(sorted), max_size=40)


def test_evenness_is_that_of_the_textbook():
    counts = np.array([1, 2, 3, 10])
    share = counts / 16
    found = measure_evenness(counts)
    pairs = sum(abs(a - b) for a, b in itertools.product(counts, counts))
    assert found.entropy == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-6)
    assert found.gini == pytest.approx(pairs / (2 * 16 * 4), abs=1e-6)
    assert (found.concepts, found.smallest, found.largest) == (4, 1, 10)
    assert measure_evenness(np.array([3, 3, 3])).gini == 0
    assert measure_evenness(np.zeros(2, np.int64)).entropy == 0


def test_rows_are_kept_as_often_as_metaclips_rule_says():
    """The rule itself: a row stays if any of its concepts' draws passes, each at min(1, t / count)."""
    rng = np.random.default_rng(0)
    rows = [sorted(np.flatnonzero(rng.random(5) < [0.9, 0.5, 0.1, 0.02, 0.3]).tolist()) for _ in range(400)]
    counts = counts_of(rows, [True] * 400)
    t = 30
    passes = np.minimum(1, t / counts)
    expected = np.array([1 - np.prod(1 - passes[row]) for row in rows])
    kept = np.zeros(400)
    n_seeds = 300
    for seed in range(n_seeds):
        kept += draw_levels(from_lists(rows, 5), uids_of(400), NAMES, seed) < t
    error = np.sqrt(expected * (1 - expected) / n_seeds)
    sure = error == 0
    assert (kept[sure] / n_seeds == expected[sure]).all()
    z = (kept / n_seeds - expected)[~sure] / error[~sure]
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert 0.8 < z.std() < 1.2


def test_levels_depend_on_neither_the_order_of_rows_nor_that_of_concepts():
    rows = [[0, 2], [1], [], [0, 1, 4], [3]]
    uids = uids_of(5)
    levels = draw_levels(from_lists(rows, 5), uids, NAMES, 7)
    turned = draw_levels(from_lists(rows[::-1], 5), uids[::-1], NAMES, 7)
    assert turned[::-1].tolist() == levels.tolist()
    renamed = [sorted(4 - concept for concept in row) for row in rows]
    assert draw_levels(from_lists(renamed, 5), uids, NAMES[::-1], 7).tolist() == levels.tolist()
    assert levels[2] == np.inf


def test_levels_are_the_same_in_blocks_of_any_size(monkeypatch):
    rows = [[0, 2], [1], [], [0, 1, 4], [3], []]
    whole = draw_levels(from_lists(rows, 5), uids_of(6), NAMES, 7)
    monkeypatch.setattr(balance, "_ROWS_AT_ONCE", 2)
    assert draw_levels(from_lists(rows, 5), uids_of(6), NAMES, 7).tolist() == whole.tolist()


@given(rows_of_concepts, st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_under_a_cap_no_concept_has_more_and_every_row_left_out_has_one_that_is_full(rows, most, seed):
    draws = np.random.default_rng(seed).random(len(rows))
    found = fill_evenly(from_lists(rows, 5), NAMES, draws, size=None, most=most)
    counts = counts_of(rows, found.kept)
    assert counts.max(initial=0) <= most
    for row, kept in zip(rows, found.kept, strict=True):
        assert not (kept and not row)
        assert kept or not row or any(counts[concept] == most for concept in row)


@given(rows_of_concepts.filter(lambda rows: any(rows)), st.data())
@settings(max_examples=80, deadline=None)
def test_for_a_size_the_split_has_that_size_and_the_water_stands_at_one_level(rows, data):
    named = sum(map(bool, rows))
    size = data.draw(st.integers(0, named))
    draws = np.random.default_rng(size).random(len(rows))
    found = fill_evenly(from_lists(rows, 5), NAMES, draws, size=size, most=None)
    counts = counts_of(rows, found.kept)
    assert found.kept.sum() == size
    assert counts.max(initial=0) <= found.most
    assert all(
        kept or not row or any(counts[concept] >= found.full for concept in row)
        for row, kept in zip(rows, found.kept, strict=True)
    )


def test_filling_is_that_of_a_slow_obvious_version():
    rng = np.random.default_rng(3)
    rows = [sorted(np.flatnonzero(rng.random(5) < [0.9, 0.5, 0.1, 0.02, 0.3]).tolist()) for _ in range(300)]
    draws = rng.random(300)
    counts = counts_of(rows, [True] * 300)
    rank = {
        concept: place for place, concept in enumerate(sorted(range(5), key=lambda c: (counts[c], NAMES[c])))
    }
    order = sorted(
        (row for row in range(300) if rows[row]), key=lambda r: (min(rank[c] for c in rows[r]), draws[r])
    )
    have, kept = [0] * 5, set()
    for row in order:
        if all(have[concept] < 40 for concept in rows[row]):
            kept.add(row)
            for concept in rows[row]:
                have[concept] += 1
    found = fill_evenly(from_lists(rows, 5), NAMES, draws, size=None, most=40)
    assert set(np.flatnonzero(found.kept).tolist()) == kept


def test_without_a_compiler_the_same_rows_are_filled_in(monkeypatch):
    rows = [[0, 1], [0], [1, 2], [2], [0, 2], [3]] * 5
    draws = np.random.default_rng(0).random(30)
    compiled = fill_evenly(from_lists(rows, 5), NAMES, draws, size=11, most=None)
    monkeypatch.setattr(balance, "_load_fill", lambda: balance._fill)
    plain = fill_evenly(from_lists(rows, 5), NAMES, draws, size=11, most=None)
    assert plain.kept.tolist() == compiled.kept.tolist()


@pytest.mark.parametrize(("size", "most"), [(None, None), (1, 1), (3, None)])
def test_neither_or_both_or_more_rows_than_there_are_is_an_error(size, most):
    with pytest.raises(ValueError, match="needed one of them, and so many"):
        fill_evenly(from_lists([[0], [1], []], 5), NAMES, np.zeros(3), size=size, most=most)
