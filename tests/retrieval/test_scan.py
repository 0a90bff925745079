import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import (
    FAMILIES,
    FIRST_PASSES,
    TYPES,
    all_scores,
    assert_same,
    draw_names,
    draw_rows,
    find,
    search,
    unit,
)

from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows

MOST_PRODUCTS = 1_500_000


def thresholds(rng, scores, where, step):
    """One per test: one of its own scores or ``step`` float32 numbers beside it, or outside all of them."""
    m = scores.shape[1]
    if where != "among":
        return np.full(m, {"below": -1.5, "above": 1.5}[where], dtype=np.float32)
    # Most near the top, where a scan has the most to tell apart.
    rank = np.minimum((len(scores) * rng.random(m) ** 3).astype(np.int64), len(scores) - 1)
    found = -np.sort(-scores, axis=0)[rank, np.arange(m)]
    for _ in range(abs(step)):
        found = np.nextafter(found, np.float32(np.copysign(2, step)))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """How to draw a corpus with uids, tests with theirs, and what to find; a failure prints no more than this."""

    n: int
    m: int
    d: int
    families: tuple[str, str]
    kinds: tuple[type, type]
    stretch: float
    held: bool
    repeated: bool
    nearest: bool
    top: int
    where: str | None
    step: int
    pairs: bool
    seed: int

    def draw(self):
        rng = np.random.default_rng(self.seed)
        n, m, d = self.n, self.m, self.d
        rows = draw_rows(rng, self.families[0], n, d, self.kinds[0], self.stretch)
        tests = draw_rows(rng, self.families[1], m, d, self.kinds[1], self.stretch)
        if self.held:
            # Tests that the corpus holds, some of them twice.
            some = rng.integers(0, m, (m + 1) // 2)
            tests[some] = rows[rng.integers(0, n, len(some))].astype(self.kinds[1])
        uids, test_uids = draw_names(rng, n), draw_names(rng, m)
        if self.repeated:
            uids = [uids[place] for place in rng.integers(0, n, n)]
            test_uids = [test_uids[place] for place in rng.integers(0, m, m)]
        above = None
        if self.where:
            above = thresholds(rng, all_scores(rows, tests), self.where, self.step)
        ask = Ask(
            nearest=self.nearest or not (self.top or self.where),
            top=self.top,
            above=above,
            pairs=self.pairs and above is not None,
        )
        return rows, uids, tests, test_uids, ask


KIND = st.sampled_from(TYPES)
FAMILY = st.sampled_from(list(FAMILIES))
PROBLEMS = st.builds(
    Problem,
    n=st.sampled_from([1, 2, 31, 511, 513, 1500]),
    m=st.sampled_from([1, 2, 31, 33, 500, 1030]),
    d=st.sampled_from([1, 3, 16, 31, 32, 64, 100, 512, 640, 768]),
    families=st.tuples(FAMILY, FAMILY),
    kinds=st.tuples(KIND, KIND),
    stretch=st.sampled_from([1, 1.0012, 0.9988]),
    held=st.booleans(),
    repeated=st.booleans(),
    nearest=st.booleans(),
    top=st.sampled_from([0, 1, 2, 10, 33, 600, 2000]),
    where=st.sampled_from([None, "among", "among", "below", "above"]),
    step=st.integers(-1, 1),
    pairs=st.booleans(),
    seed=st.integers(0, 10_000),
).filter(lambda problem: problem.n * problem.m * problem.d <= MOST_PRODUCTS)


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@settings(max_examples=40, deadline=None)
@given(problem=PROBLEMS, threads=st.sampled_from([1, 2, 8]), block=st.sampled_from([32, 100, 512, 4096]))
def test_what_is_found_is_what_brute_force_finds(first_pass, problem, threads, block):
    rows, uids, tests, test_uids, ask = problem.draw()
    found = find(rows, uids, tests, test_uids, ask, first_pass, threads, block)
    assert_same(found, search(rows, uids, tests, test_uids, ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize(
    ("n", "m", "d"),
    [
        (1500, 1030, 16),
        (1500, 500, 32),
        (513, 1030, 3),
        (1500, 33, 640),
        (511, 31, 768),
        (513, 500, 100),
        (1500, 1, 512),
        (2, 1030, 768),
        (1, 1, 1),
        (4200, 2, 64),
    ],
)
def test_shapes_beside_those_of_blocks_find_what_brute_force_finds(first_pass, n, m, d):
    rng = np.random.default_rng(n + m + d)
    half = draw_rows(rng, "power_law", (n + 1) // 2, d, np.float16)
    rows = np.concatenate([half, draw_rows(rng, "normal", n // 2, d, np.float16)])
    # Across blocks, copies of rows under other uids.
    rows[rng.integers(0, n, n // 5)] = rows[rng.integers(0, n, n // 5)]
    tests = np.concatenate([rows[: (m + 1) // 2], draw_rows(rng, "power_law", m, d, np.float16)])[:m]
    uids, test_uids = draw_names(rng, n), draw_names(rng, m)
    above = thresholds(rng, all_scores(rows, tests), "among", 0)
    for ask in (Ask(nearest=True, top=10, above=above), Ask(top=1, above=above, pairs=True)):
        # Blocks of the size that is used, which is 512 rows and more for few tests.
        prepared = prepare_tests(tests, test_uids, first_pass=first_pass)
        found = scan(HeldRows(rows, uids), prepared, ask, threads=2)
        assert_same(found, search(rows, uids, tests, test_uids, ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("kind", TYPES)
def test_all_that_can_be_asked_at_once_is_what_is_found_apart(first_pass, kind):
    rng = np.random.default_rng(5)
    rows, tests = draw_rows(rng, "outliers", 700, 48, kind), draw_rows(rng, "outliers", 90, 48, kind)
    uids, test_uids = draw_names(rng, 700), draw_names(rng, 90)
    above = thresholds(rng, all_scores(rows, tests), "among", 0)
    for nearest in (False, True):
        for top in (0, 7):
            for wanted in ({}, {"above": above}, {"above": above, "pairs": True}):
                if not (nearest or top or wanted):
                    continue
                ask = Ask(nearest=nearest, top=top, **wanted)
                found = find(rows, uids, tests, test_uids, ask, first_pass, 2)
                assert_same(found, search(rows, uids, tests, test_uids, ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("d", [1, 16, 512])
def test_of_1500_copies_those_with_the_smallest_uids_are_found(first_pass, kind, d):
    """49-ties: strings and numbers sort differently, and no block holds all of the copies."""
    rng = np.random.default_rng(0)
    rows = draw_rows(rng, "equal", 1500, d, kind)
    tests = np.concatenate([rows[:1], draw_rows(rng, "normal", 2, d, kind), -rows[:1], rows[:1]])
    uids, test_uids = (
        [str(place) for place in rng.permutation(1500)],
        ["10", "9", "é", "\ufffd", "\U0001f600"],
    )
    for k in (1, 10, 512, 1499, 1500, 1501):
        found = find(rows, uids, tests, test_uids, Ask(nearest=True, top=k), first_pass, 2)
        for test in range(5):
            mine = found.top.row[found.top.test == test]
            assert [uids[row] for row in mine] == sorted(uids)[:k]
        assert_same(found, search(rows, uids, tests, test_uids, Ask(nearest=True, top=k)))
    assert set(found.test.tolist()) == {0}


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_uids_sort_by_code_point_beyond_the_basic_plane_too(first_pass):
    rows = np.repeat(unit([[3.0, 4.0]]), 4, axis=0)
    uids = ["\U0001f600", "\ufffd", "é", "z"]
    found = find(rows, uids, rows[:4], uids, Ask(nearest=True, top=4), first_pass)
    assert found.test.tolist() == [3, 3, 3, 3]
    assert found.top.row.tolist() == 4 * [3, 2, 1, 0]


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("step", [-1, 0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_a_threshold_is_strict_to_the_last_bit(first_pass, step, kind):
    rng = np.random.default_rng(7)
    rows, tests = draw_rows(rng, "normal", 300, 96, kind), draw_rows(rng, "normal", 40, 96, kind)
    scores = all_scores(rows, tests)
    best = scores.max(axis=0)
    above = best if not step else np.nextafter(best, np.float32(2 * step))
    uids, test_uids = draw_names(rng, 300), draw_names(rng, 40)
    listed = find(rows, uids, tests, test_uids, Ask(above=above, pairs=True), first_pass).pairs
    marked = find(rows, uids, tests, test_uids, Ask(above=above), first_pass).hit
    if step >= 0:
        assert len(listed) == 0
        assert not marked.any()
    else:
        assert sorted(listed.test.tolist()) == list(range(40))
        assert np.array_equal(listed.score, best[listed.test])
        assert np.flatnonzero(marked).tolist() == sorted(set(listed.row.tolist()))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_scores_that_only_float64_tells_apart_are_ties(first_pass):
    """Differences of less than half a last place of float32 are none: the uid decides."""
    rows = np.array([[1, 0, 0], [1, 2.0**-30, 0], [1, 0, 2.0**-30], [1, -(2.0**-30), 0]], dtype=np.float32)
    tests = np.array([[1, 0, 0], [1, 2.0**-14, -(2.0**-12)]], dtype=np.float32)
    uids = ["d", "c", "b", "a"]
    exact = rows.astype(np.float64) @ tests[1].astype(np.float64)
    assert len(set(exact.tolist())) == 4
    found = find(
        rows, uids, tests, ["t", "s"], Ask(nearest=True, top=4, above=np.ones(2, np.float32)), first_pass
    )
    assert found.top.row.tolist() == 2 * [3, 2, 1, 0]
    assert found.top.score.tolist() == 8 * [1.0]
    assert found.test.tolist() == 4 * [1]
    assert not found.hit.any()


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("d", [32, 512])
def test_scores_of_which_the_order_of_the_sum_decides_are_those_of_the_index_order(first_pass, d):
    rows = np.array([[1, 2.0**-12] + (d - 2) * [2.0**-27]], dtype=np.float32)
    rows = np.concatenate([rows, rows[:, ::-1]])
    tests = np.array([[1, 2.0**-12] + (d - 2) * [2.0**-26]], dtype=np.float32)
    tests = np.concatenate([tests, tests[:, ::-1]])
    ask = Ask(nearest=True, top=2, above=np.ones(2, np.float32), pairs=True)
    found = find(rows, ["a", "b"], tests, ["a", "b"], ask, first_pass)
    assert found.score.tolist() == [1, 1 + 2.0**-23]
    assert (found.pairs.row.tolist(), found.pairs.test.tolist()) == ([1], [1])
    assert_same(found, search(rows, ["a", "b"], tests, ["a", "b"], ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("kind", TYPES)
def test_scores_that_are_all_negative_have_a_largest(first_pass, kind):
    rng = np.random.default_rng(9)
    tests = draw_rows(rng, "near", 37, 20, kind)
    rows = -draw_rows(rng, "near", 530, 20, kind) if kind == np.float32 else -np.repeat(tests, 15, axis=0)
    tests = (
        unit(tests.astype(np.float64) + np.abs(tests), kind) if kind == np.float16 else unit(-rows[:37], kind)
    )
    uids, test_uids = draw_names(rng, len(rows)), draw_names(rng, 37)
    ask = Ask(nearest=True, top=3, above=np.full(37, -2, np.float32))
    found = find(rows, uids, tests, test_uids, ask, first_pass)
    assert found.score.max() < 0
    assert found.hit.all()
    assert_same(found, search(rows, uids, tests, test_uids, ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_zeros_of_either_sign_tie(first_pass):
    """A score of -1e-60 is -0.0 in float32, which is no less than 0.0."""
    rows = np.array([[1, 0, 0], [1, -1e-30, 0], [1, 1e-30, 0]], dtype=np.float32)
    tests = np.array([[0, 0, 1], [0, 1e-30, 1]], dtype=np.float32)
    uids = ["c", "b", "a"]
    for above in (None, np.zeros(2, np.float32), -np.zeros(2, np.float32)):
        ask = Ask(nearest=True, top=3, above=above)
        found = find(rows, uids, tests, ["y", "x"], ask, first_pass)
        assert found.top.row.tolist() == 2 * [2, 1, 0]
        assert found.test.tolist() == 3 * [1]
        assert not found.hit.any()
        assert_same(found, search(rows, uids, tests, ["y", "x"], ask))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("apart", [1, 600])
def test_a_uid_held_twice_comes_once_in_the_top_with_its_best_row_and_stays_among_the_rows(first_pass, apart):
    rng = np.random.default_rng(11)
    rows = draw_rows(rng, "normal", 1300, 24, np.float16)
    tests = rows[[3, 3 + apart, 1299]]
    uids = [f"{row:04d}" for row in range(1300)]
    uids[3 + apart] = uids[3]
    # As good a row of the same uid: the first of them stands for both.
    rows[1000] = rows[3]
    uids[1000] = uids[3]
    for k in (1, 2, 1297, 1298, 1299):
        found = find(rows, uids, tests, ["a", "b", "c"], Ask(nearest=True, top=k), first_pass, 2)
        for test in range(3):
            names = [uids[row] for row in found.top.row[found.top.test == test]]
            assert len(set(names)) == len(names) == min(k, 1298)
        assert found.top.row[found.top.test == 0][0] == 3
        assert found.top.row[found.top.test == 1][0] == 3 + apart
        assert len(found.score) == 1300
        assert_same(found, search(rows, uids, tests, ["a", "b", "c"], Ask(nearest=True, top=k)))


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("copies", [2, 5])
def test_copies_under_one_uid_do_not_count_for_more_than_one_of_the_k(first_pass, copies):
    """The k-th best of a block with copies is no floor for what other uids score."""
    angles = np.array(copies * [0.0] + [0.1, 0.7, 0.4] + 40 * [1.2])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    uids = copies * ["same"] + ["near", "far", "middle"] + [f"rest-{row}" for row in range(40)]
    for k, expected in ((2, ["same", "near"]), (3, ["same", "near", "middle"])):
        for block in (copies + 1, copies + 2, 1000):
            found = find(rows, uids, rows[:1], ["t"], Ask(top=k), first_pass, block=block)
            assert [uids[row] for row in found.top.row] == expected


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_a_corpus_of_one_uid_has_a_top_of_one(first_pass):
    rng = np.random.default_rng(12)
    rows, tests = draw_rows(rng, "near", 1100, 16, np.float16), draw_rows(rng, "normal", 5, 16, np.float16)
    found = find(rows, 1100 * ["same"], tests, list("abcde"), Ask(top=50), first_pass)
    assert found.top.test.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(found.top.row, all_scores(rows, tests).argmax(axis=0))


def test_what_was_not_asked_for_is_empty():
    tests = prepare_tests(np.eye(2, dtype=np.float32), ["a", "b"])
    held = HeldRows(np.eye(2, dtype=np.float32), ["x", "y"])
    found = scan(held, tests, Ask(nearest=True))
    assert (len(found.score), len(found.test)) == (2, 2)
    assert (len(found.hit), len(found.top), len(found.pairs)) == (0, 0, 0)
    found = scan(held, tests, Ask(top=1))
    assert (len(found.score), len(found.test), len(found.hit), len(found.pairs)) == (0, 0, 0, 0)
    found = scan(held, tests, Ask(above=np.zeros(2, np.float32)))
    assert found.hit.tolist() == [True, True]
    assert (len(found.score), len(found.top), len(found.pairs)) == (0, 0, 0)


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("length", [1.0018, 0.9982])
def test_rows_as_long_as_rounding_makes_them_are_searched(first_pass, length):
    rng = np.random.default_rng(3)
    rows, tests = (draw_rows(rng, "power_law", n, 40, np.float32, length) for n in (600, 30))
    rows[:30] = tests
    uids, test_uids = draw_names(rng, 600), draw_names(rng, 30)
    ask = Ask(nearest=True, top=5, above=np.full(30, 0.999, np.float32))
    found = find(rows, uids, tests, test_uids, ask, first_pass)
    assert found.top.score[::5].tolist() == pytest.approx(30 * [length**2], abs=1e-6)
    assert_same(found, search(rows, uids, tests, test_uids, ask))


def test_the_first_pass_is_counted_and_the_pairs_add_up():
    rng = np.random.default_rng(4)
    rows, tests = draw_rows(rng, "normal", 900, 64, np.float16), draw_rows(rng, "normal", 50, 64, np.float16)
    for first_pass in FIRST_PASSES:
        ask = Ask(nearest=True, top=3)
        work = find(rows, draw_names(rng, 900), tests, draw_names(rng, 50), ask, first_pass).work
        assert work.pairs == 900 * 50
        assert all(value >= 0 for value in dataclasses.astuple(work))
