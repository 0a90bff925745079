"""What exact search keeps under every change that must not matter, and what must."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import (
    FAMILIES,
    FIRST_PASSES,
    all_scores,
    assert_same,
    blocks_of,
    columns,
    draw_names,
    draw_rows,
    search,
    unit,
)
from tests.retrieval.stored_folder import write_stored

from oddpair.errors import Refusal
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import open_stored
from oddpair.retrieval.unit_rows import HeldRows

D = 24
TESTS = 40


def find(rows, tests, ask, uids=None, first_pass="auto", threads=1, block=100):
    held = HeldRows(rows, uids or [f"{row:05d}" for row in range(len(rows))])
    prepared = prepare_tests(tests, [f"t{test}" for test in range(len(tests))], first_pass=first_pass)
    with blocks_of(block):
        return scan(held, prepared, ask, threads=threads)


def gap_thresholds(small, tests, first_pass="auto"):
    """The similarity of each test's nearest row in the small corpus, which the large one must not beat."""
    top = find(small, tests, Ask(top=1), first_pass=first_pass).top
    assert top.test.tolist() == list(range(len(tests)))
    return top.score


def prune(rows, tests, above, first_pass="auto"):
    """Rows that no test is nearer to than its threshold."""
    return ~find(rows, tests, Ask(above=above), first_pass=first_pass).hit


@dataclasses.dataclass(frozen=True)
class World:
    """How to draw a large corpus, which of its rows are the small one, and tests."""

    n: int
    family: str
    like_corpus: bool
    kind: type
    first_pass: str
    seed: int

    def draw(self):
        rng = np.random.default_rng(self.seed)
        rows = draw_rows(rng, self.family, self.n, D, self.kind)
        tests = draw_rows(rng, self.family if self.like_corpus else "normal", TESTS, D, self.kind)
        small = rng.random(self.n) < 0.2
        small[0] = True
        return rows, small, tests, self.first_pass


WORLDS = st.builds(
    World,
    n=st.sampled_from([2, 40, 700]),
    family=st.sampled_from(list(FAMILIES)),
    like_corpus=st.booleans(),
    kind=st.sampled_from([np.float16, np.float32]),
    first_pass=st.sampled_from(FIRST_PASSES),
    seed=st.integers(0, 10_000),
)


@settings(max_examples=40, deadline=None)
@given(world=WORLDS)
def test_after_gap_pruning_each_test_is_exactly_as_near_to_the_large_corpus_as_to_the_small(world):
    """I.7 1, 2, 3: to the last bit, no row of the small corpus is pruned, and pruning again prunes nothing."""
    rows, small, tests, first_pass = world.draw()
    above = gap_thresholds(rows[small], tests, first_pass)
    kept = prune(rows, tests, above, first_pass)
    assert kept[small].all()
    assert gap_thresholds(rows[kept], tests, first_pass).tobytes() == above.tobytes()
    assert prune(rows[kept], tests, above, first_pass).all()


@settings(max_examples=30, deadline=None)
@given(world=WORLDS)
def test_without_the_small_corpus_no_test_is_nearer_to_what_is_left(world):
    """I.7 1, where the small corpus is none of the large one's rows."""
    rows, small, tests, first_pass = world.draw()
    above = gap_thresholds(rows[small], tests, first_pass)
    kept = prune(rows, tests, above, first_pass) & ~small
    if kept.any():
        assert (gap_thresholds(rows[kept], tests, first_pass) <= above).all()


@settings(max_examples=30, deadline=None)
@given(world=WORLDS, cut=st.integers(1, TESTS - 1))
def test_pruning_by_two_test_sets_prunes_what_either_prunes(world, cut):
    """I.7 4."""
    rows, small, tests, first_pass = world.draw()
    above = gap_thresholds(rows[small], tests, first_pass)
    one = prune(rows, tests[:cut], above[:cut], first_pass)
    other = prune(rows, tests[cut:], above[cut:], first_pass)
    assert np.array_equal(prune(rows, tests, above, first_pass), one & other)


@settings(max_examples=30, deadline=None)
@given(world=WORLDS, raised=st.integers(0, TESTS - 1))
def test_a_larger_small_corpus_or_a_higher_threshold_never_prunes_more(world, raised):
    """I.7 6."""
    rows, small, tests, first_pass = world.draw()
    above = gap_thresholds(rows[small], tests, first_pass)
    larger = small | (np.arange(len(rows)) % 3 == 0)
    higher = gap_thresholds(rows[larger], tests, first_pass)
    assert (higher >= above).all()
    kept = prune(rows, tests, above, first_pass)
    assert (prune(rows, tests, higher, first_pass) >= kept).all()
    one = above.copy()
    one[raised] = np.nextafter(one[raised], np.float32(2))
    assert (prune(rows, tests, one, first_pass) >= kept).all()


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_the_gap_rule_is_no_cut_on_the_largest_similarity(first_pass):
    """I.7 7: a row of similarity .9 stays and one of .5 goes, which no one threshold on the maximum can do."""
    tests = np.eye(4, dtype=np.float32)[:2]
    close, far = [0.9, 0, 0.19**0.5, 0], [0, 0.5, 0, 0.75**0.5]
    rows = np.array([close, far], dtype=np.float32)
    above = np.array([0.95, 0.4], dtype=np.float32)
    assert prune(rows, tests, above, first_pass).tolist() == [True, False]
    largest = find(rows, tests, Ask(nearest=True), first_pass=first_pass).score
    assert largest[0] > largest[1]


@settings(max_examples=30, deadline=None)
@given(world=WORLDS, seed=st.integers(0, 999))
def test_the_order_of_the_corpus_and_of_the_tests_changes_nothing_but_their_numbers(world, seed):
    """I.7 5."""
    rows, small, tests, first_pass = world.draw()
    rng = np.random.default_rng(seed)
    order, turn = rng.permutation(len(rows)), rng.permutation(TESTS)
    uids, test_uids = draw_names(rng, len(rows)), draw_names(rng, TESTS)
    above = gap_thresholds(rows[small], tests, first_pass)

    def by_name(rows, uids, tests, test_uids, above):
        held, prepared = HeldRows(rows, uids), prepare_tests(tests, test_uids, first_pass=first_pass)
        with blocks_of(100):
            found = scan(held, prepared, Ask(nearest=True, top=5, above=above), threads=2)
            listed = scan(held, prepared, Ask(above=above, pairs=True)).pairs
        rowwise = zip(uids, found.score.tolist(), found.test.tolist(), found.hit.tolist(), strict=True)
        tops: dict[str, list[tuple[str, float]]] = {uid: [] for uid in test_uids}
        for test, row, score in zip(found.top.test, found.top.row, found.top.score.tolist(), strict=True):
            tops[test_uids[test]].append((uids[row], score))
        return (
            sorted((uid, score, test_uids[test], hit) for uid, score, test, hit in rowwise),
            tops,
            {(uids[row], test_uids[test]) for test, row in zip(listed.test, listed.row, strict=True)},
        )

    assert by_name(rows, uids, tests, test_uids, above) == by_name(
        rows[order],
        [uids[row] for row in order],
        tests[turn],
        [test_uids[test] for test in turn],
        above[turn],
    )


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_threads_and_first_pass_change_no_bit(family, kind):
    """I.7 5."""
    rng = np.random.default_rng(1)
    rows, tests = draw_rows(rng, family, 700, 40, kind), draw_rows(rng, family, 70, 40, kind)
    above = np.partition(all_scores(rows, tests), -3, axis=0)[-3]
    uids = draw_names(rng, 700)
    for ask in (Ask(nearest=True, top=20, above=above), Ask(above=above, pairs=True)):
        first = find(rows, tests, ask, uids, "float32", 1)
        for first_pass in FIRST_PASSES:
            for threads in (1, 8):
                assert_same(find(rows, tests, ask, uids, first_pass, threads), first)


@pytest.mark.parametrize("first_pass", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("size", [1, 7, 96])
@pytest.mark.parametrize("waiting", [1, 50, 1 << 19])
def test_blocks_of_any_size_and_however_much_waits_change_no_bit(monkeypatch, first_pass, size, waiting):
    """I.7 5: with copies, uids held twice, and threads that overtake one another."""
    from oddpair.retrieval import top
    from oddpair.retrieval.kernel import block

    monkeypatch.setattr(block, "_CANDIDATES", waiting)
    monkeypatch.setattr(top, "_WAITING", waiting)
    rng = np.random.default_rng(2)
    n = 60 * size if size < 9 else 600
    rows, tests = (draw_rows(rng, "ternary", count, 5, np.float16) for count in (n, 60))
    names = draw_names(rng, n)
    uids = [names[place] for place in rng.integers(0, n, n)]
    above = np.partition(all_scores(rows, tests), -9, axis=0)[-9]
    test_uids = [f"t{test}" for test in range(60)]
    for ask in (Ask(nearest=True, top=12, above=above), Ask(top=70, above=above, pairs=True)):
        expected = search(rows, uids, tests, test_uids, ask)
        for threads in (1, 8):
            assert_same(find(rows, tests, ask, uids, first_pass, threads, size), expected)


@pytest.mark.parametrize("spread", [1024, 1025, 2048, 2100])
def test_tests_of_several_tiles_that_all_wait_are_found(monkeypatch, spread):
    """Candidates are settled between tiles: a row that has its best in the first or the last one keeps it."""
    from oddpair.retrieval.kernel import block

    monkeypatch.setattr(block, "_CANDIDATES", 1000)
    rng = np.random.default_rng(spread)
    rows, tests = (draw_rows(rng, "normal", count, 12, np.float16) for count in (90, spread))
    rows[::3], rows[1::3] = tests[0], tests[-1]
    uids, test_uids = draw_names(rng, 90), [f"t{test}" for test in range(spread)]
    above = np.full(spread, 0.5, dtype=np.float32)
    for first_pass in FIRST_PASSES:
        for ask in (Ask(nearest=True, top=2, above=above), Ask(above=above, pairs=True), Ask(above=above)):
            found = find(rows, tests, ask, uids, first_pass)
            assert_same(found, search(rows, uids, tests, test_uids, ask))


def test_a_scan_gives_torch_its_threads_back_whatever_happens():
    import torch

    rows = np.eye(4, dtype=np.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        find(rows, rows, Ask(nearest=True), threads=2)
        assert torch.get_num_threads() == 2
        with pytest.raises(Refusal):
            find(rows * 0, rows, Ask(nearest=True))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 2, 31, 64, 150]), min_size=1, max_size=7).filter(any),
    first_pass=st.sampled_from(FIRST_PASSES),
    threads=st.sampled_from([1, 2, 8]),
    seed=st.integers(0, 999),
)
def test_shards_of_any_size_give_what_rows_in_memory_give(tmp_path_factory, sizes, first_pass, threads, seed):
    """I.7 5."""
    rng = np.random.default_rng(seed)
    rows = draw_rows(rng, "copies" if seed % 3 else "normal", sum(sizes), D, np.float16)
    tests, uids = draw_rows(rng, "normal", TESTS, D, np.float16), draw_names(rng, sum(sizes))
    stored = open_stored(write_stored(tmp_path_factory.mktemp("shards"), rows, uids, sizes))
    above = np.full(TESTS, 0.3, dtype=np.float32)
    prepared = prepare_tests(tests, [f"t{test}" for test in range(TESTS)], first_pass=first_pass)
    for ask in (Ask(nearest=True, top=9, above=above), Ask(above=above, pairs=True)):
        expected = search(rows, uids, tests, list(prepared.uids), ask)
        with blocks_of(64):
            assert_same(scan(stored, prepared, ask, threads=threads), expected)
    # A range of shards is the corpus of its rows, which is what jobs on many machines rest on.
    half = next(shard for shard, size in enumerate(sizes) if size) if len(sizes) < 4 else len(sizes) // 2
    start = sum(sizes[:half])
    if start == sum(sizes):
        return
    part = scan(stored.only(half, None), prepared, Ask(nearest=True, above=above), threads=threads)
    expected = search(rows[start:], uids[start:], tests, list(prepared.uids), Ask(nearest=True, above=above))
    assert_same(part, expected)


@pytest.mark.parametrize("row", [0, 2, 3, 299, 303, 1302])
def test_a_bad_row_of_a_folder_is_refused_by_file_and_row(tmp_path, row):
    """38-nan, 39-zero-norm, 47-not-normalised: they must not have come through ``oddpair embed``, and are not searched."""
    rng = np.random.default_rng(0)
    sizes = [3, 0, 300, 1000]
    tests = prepare_tests(draw_rows(rng, "normal", 5, D, np.float16), list("abcde"))
    for value in (np.nan, np.inf, 0.0, 0.5):
        rows = draw_rows(rng, "normal", 1303, D, np.float16)
        rows[row] = rows[row] * value if value < 1 else value
        stored = open_stored(write_stored(tmp_path, rows, draw_names(rng, 1303), sizes))
        shard = np.searchsorted(np.cumsum(sizes), row, side="right")
        inside = row - sum(sizes[:shard])
        with pytest.raises(Refusal, match=rf"img_emb_{shard:04d}\.npy row {inside}\b"), blocks_of(300):
            scan(stored, tests, Ask(nearest=True), threads=2)


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("cosine", [0.999, 0.97, 0.9])
def test_no_planted_neighbour_is_missed_and_none_is_added(first_pass, cosine):
    """I.7 10: among rows that are close to everything, as CLIP's are."""
    rng = np.random.default_rng(int(1000 * cosine))
    tests = draw_rows(rng, "outliers", 64, 64, np.float16)
    rows = draw_rows(rng, "outliers", 1400, 64, np.float16)
    planted = rng.choice(1400, 64, replace=False)
    aside = rng.normal(size=(64, 64))
    aside = unit(aside - np.sum(aside * tests, axis=1, keepdims=True) * tests, np.float64)
    rows[planted] = unit(cosine * tests + (1 - cosine**2) ** 0.5 * aside, np.float16)
    scores = all_scores(rows, tests)
    above = np.nextafter(scores[planted, np.arange(64)], np.float32(-2))
    found = find(rows, tests, Ask(nearest=True, above=above), first_pass=first_pass)
    assert found.hit[planted].all()
    assert np.array_equal(found.hit, (scores > above).any(axis=1))
    listed = find(rows, tests, Ask(above=above, pairs=True), first_pass=first_pass).pairs
    assert set(zip(planted.tolist(), range(64), strict=True)) <= set(
        zip(listed.row.tolist(), listed.test.tolist(), strict=True)
    )
    assert len(listed) == (scores > above).sum()


@settings(max_examples=30, deadline=None)
@given(world=WORLDS, power=st.integers(-20, 20))
def test_the_scale_of_the_models_output_does_not_matter_and_no_score_leaves_its_range(world, power):
    """I.7 11."""
    rows, _, tests, first_pass = world.draw()
    raw = rows.astype(np.float32) * np.float32(2.0**power)
    kind = rows.dtype
    ask = Ask(nearest=True, top=3)
    one = find(unit(rows, kind), unit(tests, kind), ask, first_pass=first_pass)
    assert_same(find(unit(raw, kind), unit(tests, kind), ask, first_pass=first_pass), one)
    assert np.abs(one.score).max() <= 1 + 1e-3
    itself = find(rows, rows[:TESTS], Ask(nearest=True, top=1), first_pass=first_pass)
    assert np.abs(itself.score[:TESTS] - 1).max() <= 1e-3
    assert np.abs(itself.top.score - 1).max() <= 1e-3


def test_scanning_twice_gives_the_same_bytes_and_leaves_the_rows_as_they_were():
    rng = np.random.default_rng(8)
    rows, tests = (
        draw_rows(rng, "power_law", 900, 32, np.float32),
        draw_rows(rng, "normal", 70, 32, np.float32),
    )
    before = rows.tobytes(), tests.tobytes()
    above = np.full(70, 0.4, dtype=np.float32)
    prepared = prepare_tests(tests, [f"t{test}" for test in range(70)])
    held = HeldRows(rows, draw_names(rng, 900))
    ask = Ask(nearest=True, top=4, above=above)
    first, second = scan(held, prepared, ask, threads=2), scan(held, prepared, ask, threads=2)
    for name, value in columns(first).items():
        assert value.tobytes() == columns(second)[name].tobytes(), name
    assert (rows.tobytes(), tests.tobytes()) == before
    assert above.tolist() == 70 * [np.float32(0.4)]
