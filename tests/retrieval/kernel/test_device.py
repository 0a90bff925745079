"""The first pass of a CUDA device, run on the processor: what it leaves to settle is what brute force finds."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import FAMILIES, all_scores, assert_same, draw_names, draw_rows, search, unit

from oddpair.retrieval.kernel import device
from oddpair.retrieval.kernel.device import DeviceFinder
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows


def find(rows, uids, tests, test_uids, ask, threads=1):
    prepared = prepare_tests(tests, test_uids, first_pass="float32")
    prepared = dataclasses.replace(prepared, finder=DeviceFinder(prepared.rows, "cpu"))
    return scan(HeldRows(rows, uids), prepared, ask, threads=threads)


@settings(max_examples=40, deadline=None)
@given(
    n=st.sampled_from([1, 2, 33, 700]),
    m=st.sampled_from([1, 33, 200]),
    d=st.sampled_from([1, 3, 32, 100]),
    families=st.tuples(*2 * [st.sampled_from(list(FAMILIES))]),
    kinds=st.tuples(*2 * [st.sampled_from([np.float16, np.float32])]),
    stretch=st.sampled_from([0.9985, 1, 1.0015]),
    nearest=st.booleans(),
    top=st.sampled_from([0, 1, 9, 800]),
    pairs=st.booleans(),
    repeated=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_what_is_found_is_what_brute_force_finds(
    n, m, d, families, kinds, stretch, nearest, top, pairs, repeated, seed
):
    rng = np.random.default_rng(seed)
    rows = draw_rows(rng, families[0], n, d, kinds[0], stretch)
    tests = draw_rows(rng, families[1], m, d, kinds[1], stretch)
    tests[: m // 2] = rows[rng.integers(0, n, m // 2)].astype(kinds[1])
    uids, test_uids = draw_names(rng, n), draw_names(rng, m)
    if repeated:
        uids = [uids[place] for place in rng.integers(0, n, n)]
    above = np.sort(all_scores(rows, tests), axis=0)[-min(n, 4)]
    ask = Ask(nearest=nearest, top=top, above=above, pairs=pairs)
    assert_same(find(rows, uids, tests, test_uids, ask, threads=2), search(rows, uids, tests, test_uids, ask))


def test_blocks_of_rows_and_of_tests_change_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    rows, tests = (draw_rows(rng, "ternary", n, 6, np.float16) for n in (300, 90))
    uids, test_uids = draw_names(rng, 300), draw_names(rng, 90)
    above = np.sort(all_scores(rows, tests), axis=0)[-5]
    for size, tile in ((300, 90), (64, 32), (35, 7)):
        monkeypatch.setattr(device, "_ROWS", size)
        monkeypatch.setattr(device, "_TESTS", tile)
        for ask in (Ask(nearest=True, top=8, above=above), Ask(above=above, pairs=True), Ask(above=above)):
            for threads in (1, 4):
                found = find(rows, uids, tests, test_uids, ask, threads)
                assert_same(found, search(rows, uids, tests, test_uids, ask))


@pytest.mark.parametrize("ask", [Ask(nearest=True), Ask(top=2)])
def test_a_bound_that_is_too_small_is_found_out(monkeypatch, ask):
    rng = np.random.default_rng(3)
    rows = unit(np.ones(64) + 1e-2 * rng.normal(size=(900, 64)))
    tests = rows[:200]
    uids, test_uids = draw_names(rng, 900), draw_names(rng, 200)
    expected = search(rows, uids, tests, test_uids, ask)
    assert_same(find(rows, uids, tests, test_uids, ask), expected)
    monkeypatch.setattr(device, "half_sum_error", lambda d: 0.0)
    monkeypatch.setattr(device, "_LONGEST", 0.02)
    with pytest.raises(AssertionError, match=r"differ|^top"):
        assert_same(find(rows, uids, tests, test_uids, ask), expected)
