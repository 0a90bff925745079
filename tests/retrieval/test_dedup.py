import dataclasses
import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import all_scores, draw_names, draw_rows, unit
from tests.retrieval.stored_folder import write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval import dedup_clusters, dedup_greedy
from oddpair.retrieval.dedup import DedupPlan, cross_duplicates, find_duplicates, sort_by_uid
from oddpair.retrieval.proportion import clopper_pearson_interval
from oddpair.retrieval.stored import open_stored
from oddpair.retrieval.unit_rows import HeldRows

HALF = np.float16


def greedy(rows, uids, threshold):
    """The rule as it is told: dropped uids with the nearest kept uid before them, and their score."""
    scores = all_scores(rows, rows)
    kept: list[int] = []
    dropped: list[tuple[str, str, float]] = []
    for row in sorted(range(len(uids)), key=lambda row: uids[row]):
        near = [
            (-scores[row, other], uids[other]) for other in kept if scores[row, other] > np.float32(threshold)
        ]
        if near:
            score, witness = min(near)
            dropped.append((uids[row], witness, -score))
        else:
            kept.append(row)
    return [uids[row] for row in kept], dropped


def answer(found):
    table = found.to_table()
    columns = (table[name].to_pylist() for name in ("uid", "witness", "score"))
    return found.kept.to_pylist(), list(zip(*columns, strict=True))


@pytest.fixture
def find(tmp_path):
    """Find the duplicates of rows in an embedding folder of their own."""
    count = itertools.count()

    def run(rows, uids, sizes=None, threads=1, **plan):
        number = next(count)
        folder = write_stored(tmp_path / f"rows{number}", rows, uids, [len(uids)] if sizes is None else sizes)
        return find_duplicates(
            open_stored(folder), DedupPlan(**plan), tmp_path / f"parts{number}", threads=threads
        )

    return run


@pytest.fixture
def crowd():
    """Rows in groups of near-duplicates, some of them chains, with uids of their own."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(40, 24))
    rows = unit(centres[rng.integers(0, 40, 300)] + 0.25 * rng.normal(size=(300, 24)), HALF)
    return rows, draw_names(rng, 300)


@st.composite
def corpora(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.integers(1, 60)), draw(st.sampled_from([1, 3, 16, 40]))
    family = draw(st.sampled_from(["normal", "copies", "equal", "opposite", "near", "ternary"]))
    rows = draw_rows(rng, family, n, d, HALF)
    scores = all_scores(rows, rows)
    # A threshold that is the score of a pair decides nothing by luck: it is not above itself.
    threshold = float(rng.choice(scores.ravel())) if draw(st.booleans()) else draw(st.floats(-0.5, 0.99))
    return rows, draw_names(rng, n), min(max(threshold, -1.0), 0.9999)


@settings(max_examples=40, deadline=None)
@given(corpus=corpora(), block=st.sampled_from([1, 7, 16, 1000]), settled=st.sampled_from([1, 5, 256]))
def test_what_is_dropped_and_why_is_what_the_rule_says(tmp_path_factory, corpus, block, settled):
    rows, uids, threshold = corpus
    folder = tmp_path_factory.mktemp("dedup")
    stored = open_stored(write_stored(folder / "rows", rows, uids, [len(uids)]))
    plan = DedupPlan(threshold=threshold, block=block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup_greedy, "_SETTLED_AT_ONCE", settled)
        assert answer(find_duplicates(stored, plan, folder / "parts")) == greedy(rows, uids, threshold)


def test_no_two_kept_rows_are_above_the_threshold_and_every_dropped_row_has_a_kept_witness_that_is(
    find, crowd
):
    rows, uids = crowd
    kept, dropped = answer(find(rows, uids, threshold=0.7, block=32))
    scores = all_scores(rows, rows)
    place = {uid: row for row, uid in enumerate(uids)}
    held = [place[uid] for uid in kept]
    assert not (np.triu(scores[np.ix_(held, held)], 1) > np.float32(0.7)).any()
    assert len(kept) + len(dropped) == len(uids)
    assert 50 < len(dropped) < 290
    for uid, witness, score in dropped:
        assert witness in kept
        assert witness < uid
        assert score == scores[place[uid], place[witness]] > np.float32(0.7)


def test_a_chain_keeps_both_of_its_ends(find):
    angles = np.deg2rad([0, 20, 40])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(HALF)
    kept, dropped = answer(find(rows, ["a", "b", "c"], threshold=0.9))
    assert kept == ["a", "c"]
    assert [line[:2] for line in dropped] == [("b", "a")]


def test_a_score_of_the_threshold_itself_drops_nothing(find):
    rows = np.array([[1, 0], [0.8, 0.6]], dtype=HALF)
    score = float(all_scores(rows, rows)[0, 1])
    below = float(np.nextafter(np.float32(score), np.float32(0)))
    assert answer(find(rows, ["a", "b"], threshold=score))[0] == ["a", "b"]
    assert answer(find(rows, ["a", "b"], threshold=below))[0] == ["a"]


def test_of_a_thousand_copies_the_smallest_uid_stays(find):
    rng = np.random.default_rng(0)
    rows = np.repeat(unit(rng.normal(size=(2, 16)), HALF), 500, axis=0)
    names = [f"{name:04d}" for name in rng.permutation(1000)]
    found = find(rows, names, threshold=0.9, block=300)
    assert answer(found)[0] == sorted([min(names[:500]), min(names[500:])])
    assert found.groups[1].tolist() == [500, 500]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("block", [17, 64, 8192])
def test_neither_blocks_nor_threads_nor_the_order_of_shards_change_the_result(find, crowd, threads, block):
    rows, uids = crowd
    expected = greedy(rows, uids, 0.7)
    order = np.random.default_rng(block).permutation(len(uids))
    shuffled = [uids[row] for row in order]
    found = find(rows[order], shuffled, [100, 0, 3, 150, 47], threads=threads, threshold=0.7, block=block)
    assert answer(found) == expected


def test_rows_of_one_pass_over_the_corpus_may_be_fewer_than_all(find, crowd, monkeypatch):
    rows, uids = crowd
    monkeypatch.setattr(dedup_greedy, "_BYTES_FETCHED", 2 * 24 * 70)
    monkeypatch.setattr(dedup_greedy, "_BYTES_AT_ONCE", 2 * 24 * 11)
    assert answer(find(rows, uids, threshold=0.7, block=32)) == greedy(rows, uids, 0.7)


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("clustered", [False, True], ids=["all pairs", "within clusters"])
@pytest.mark.parametrize("at", range(0, 20, 4))
def test_a_run_that_is_killed_goes_on_to_the_same_result(tmp_path, crowd, monkeypatch, at, clustered):
    rows, uids = crowd
    stored = open_stored(write_stored(tmp_path / "rows", rows, uids, [200, 100]))
    options = {"exact_rows": 10, "cluster_rows": 75} if clustered else {}
    plan = DedupPlan(threshold=0.7, block=32, **options)
    expected = find_duplicates(stored, plan, tmp_path / "whole")
    left = itertools.count(at, -1)

    def stopping(write):
        def once(*arguments):
            if next(left) == 0:
                raise Stopped
            write(*arguments)

        return once

    for name in ("write_array", "write_table"):
        monkeypatch.setattr(files, name, stopping(getattr(files, name)))
    with pytest.raises(Stopped):
        find_duplicates(stored, plan, tmp_path / "parts")
    monkeypatch.undo()
    again = find_duplicates(stored, plan, tmp_path / "parts")
    assert answer(again) == answer(expected)
    assert again.recall == expected.recall


@pytest.mark.parametrize("lost", ["img_emb/img_emb_0003.npy", "records/record_0004.parquet", "img_emb"])
def test_parts_that_are_lost_are_made_again(tmp_path, crowd, lost):
    rows, uids = crowd
    stored = open_stored(write_stored(tmp_path / "rows", rows, uids, [300]))
    plan = DedupPlan(threshold=0.7, block=32)
    expected = answer(find_duplicates(stored, plan, tmp_path / "parts"))
    path = tmp_path / "parts" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert answer(find_duplicates(stored, plan, tmp_path / "parts")) == expected
    assert path.exists()


def test_parts_of_another_threshold_are_refused(tmp_path, crowd):
    stored = open_stored(write_stored(tmp_path / "rows", crowd[0], crowd[1], [300]))
    find_duplicates(stored, DedupPlan(threshold=0.7), tmp_path / "parts")
    with pytest.raises(Refusal, match=r"parts was made with plan.threshold=0.7, now plan.threshold=0.8"):
        find_duplicates(stored, DedupPlan(threshold=0.8), tmp_path / "parts")


def test_parts_of_other_vectors_are_refused(tmp_path, crowd):
    stored = open_stored(write_stored(tmp_path / "rows", crowd[0], crowd[1], [300]))
    find_duplicates(stored, DedupPlan(threshold=0.7), tmp_path / "parts")
    with pytest.raises(Refusal, match=r"parts was made with embeddings="):
        find_duplicates(
            dataclasses.replace(stored, digest="other"), DedupPlan(threshold=0.7), tmp_path / "parts"
        )


@pytest.mark.parametrize("clustered", [False, True], ids=["all pairs", "within clusters"])
def test_rows_of_one_uid_count_once_whichever_comes_first(find, crowd, clustered):
    rows, uids = crowd
    again = [3, 3, 50, 299]
    # Embedded twice, a picture differs by rounding.
    nudged = np.nextafter(rows[again], np.array([[1], [-1], [1], [1]], dtype=HALF))
    all_rows, all_uids = np.concatenate([rows, nudged]), uids + [uids[row] for row in again]
    options = {"exact_rows": 10, "cluster_rows": 100} if clustered else {}
    answers = []
    for order in (np.arange(304), np.arange(304)[::-1]):
        found = find(all_rows[order], [all_uids[row] for row in order], threshold=0.7, **options)
        answers.append(answer(found))
        assert found.repeated == 4
        assert len(found.kept) + len(found.drops) + found.repeated == 304
        assert found.uids.to_pylist() == sorted(uids)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("case", ["46-other-vector"])
def test_one_uid_with_two_vectors_is_refused(tmp_path, case):
    rows = np.eye(3, dtype=HALF)
    stored = open_stored(write_stored(tmp_path / "rows", rows, ["a", "b", "a"], [2, 1]))
    with pytest.raises(
        Refusal, match=r"uid a has one vector in .*img_emb_0000.npy row 0 and another in .*_0001.npy row 0"
    ):
        find_duplicates(stored, DedupPlan(threshold=0.9), tmp_path / "parts")


@pytest.mark.parametrize(
    "value", [np.nan, 0, 0.5, 1e4], ids=["38-nan", "39-zero", "47-not-normalised", "40-overflow"]
)
@pytest.mark.parametrize("clustered", [False, True], ids=["all pairs", "within clusters"])
def test_a_row_that_is_not_of_length_1_is_refused_by_file_and_row(tmp_path, value, clustered):
    rows = np.eye(16, dtype=HALF)
    rows[11] *= value
    stored = open_stored(
        write_stored(tmp_path / "rows", rows, [f"{name:02d}" for name in range(16)], [10, 6])
    )
    plan = DedupPlan(threshold=0.9, exact_rows=8 if clustered else 16, cluster_rows=16)
    with pytest.raises(Refusal, match=r"img_emb_0001.npy row 1 has length .*, needed 1"):
        find_duplicates(stored, plan, tmp_path / "parts")


def test_one_cluster_is_all_pairs_and_misses_nothing(find, crowd):
    rows, uids = crowd
    found = find(rows, uids, [120, 180], threshold=0.7, block=64, exact_rows=100, cluster_rows=300)
    assert answer(found) == greedy(rows, uids, 0.7)
    scores = all_scores(rows, rows)
    pairs = int((scores > np.float32(0.7)).sum() - len(uids))
    assert (found.recall.clusters, found.recall.largest, found.recall.sampled) == (1, 300, 300)
    assert (found.recall.pairs, found.recall.together, found.recall.recall) == (pairs, pairs, 1.0)
    assert (found.recall.missed, found.recall.missed_interval[0]) == (0, 0.0)


def test_what_clusters_split_is_counted(find, crowd, monkeypatch):
    rows, uids = crowd
    # Clusters by the sign of the first number, which tears near-duplicates apart.
    centres = np.zeros((2, 24), dtype=np.float32)
    centres[:, 0] = [1, -1]
    monkeypatch.setattr(dedup_clusters, "_load_centres", lambda *_: centres)
    monkeypatch.setattr(dedup_clusters, "_CHUNK", 70)
    found = find(rows, uids, [120, 180], threshold=0.7, exact_rows=100, cluster_rows=150, block=64)
    side = rows[:, 0] >= 0
    kept: set[str] = set()
    for part in (side, ~side):
        mine, _ = greedy(rows[part], [uid for uid, here in zip(uids, part, strict=True) if here], 0.7)
        kept |= set(mine)
    assert set(found.kept.to_pylist()) == kept
    near = (all_scores(rows, rows) > np.float32(0.7)) & ~np.eye(300, dtype=bool)
    together = near & (side[:, None] == side[None])
    assert (found.recall.pairs, found.recall.together) == (near.sum(), together.sum())
    stays = np.array(list(map(kept.__contains__, uids)))
    earlier = np.array([[uids[other] < uids[row] for other in range(300)] for row in range(300)])
    missed = (near & earlier & stays[None] & stays[:, None]).any(axis=1).sum()
    assert found.recall.missed == missed > 0
    low, high = found.recall.interval
    assert 0 < low < found.recall.recall < high < 1


def test_a_sample_measures_the_share_that_all_rows_have(find, crowd):
    rows, uids = crowd
    options = {"threshold": 0.7, "exact_rows": 100, "cluster_rows": 40}
    whole = find(rows, uids, **options).recall
    part = find(rows, uids, sampled=150, **options).recall
    assert (whole.sampled, part.sampled) == (300, 150)
    assert part.pairs < whole.pairs
    assert part.interval[0] <= whole.recall <= part.interval[1]


def test_the_interval_of_a_ratio_covers_it_where_pairs_come_in_groups():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        # Copies of a picture, 2 to 60 of them, all in one cluster or torn in two halves.
        sizes = rng.integers(2, 61, 300)
        wholes = rng.choice(np.concatenate([np.full(size, size) for size in sizes]), 200)
        torn = rng.random(200) < 0.1
        low, high = dedup_clusters._interval_of_ratio(np.where(torn, wholes // 2, wholes), wholes, rng)
        covered += low <= 0.95 <= high
    assert covered >= 85


def test_the_interval_of_a_ratio_is_that_of_rows_where_none_is_torn():
    rng = np.random.default_rng(0)
    wholes = np.array([0, 500, 3, 0])
    assert dedup_clusters._interval_of_ratio(wholes, wholes, rng) == clopper_pearson_interval(2, 2)
    assert dedup_clusters._interval_of_ratio(0 * wholes, wholes, rng) == clopper_pearson_interval(0, 2)
    assert dedup_clusters._interval_of_ratio(0 * wholes, 0 * wholes, rng) == (0.0, 1.0)


@pytest.mark.parametrize("threads", [1, 4])
def test_clusters_are_the_same_for_any_threads(find, crowd, threads):
    rows, uids = crowd
    options = {"threshold": 0.7, "exact_rows": 100, "cluster_rows": 30, "block": 16}
    expected = find(rows, uids, **options)
    found = find(rows, uids, threads=threads, **options)
    assert answer(found) == answer(expected)
    assert found.recall == expected.recall


def test_each_picture_near_one_of_the_other_set_is_found_with_its_nearest(monkeypatch):
    rng = np.random.default_rng(3)
    corpus = unit(rng.normal(size=(200, 12)), HALF)
    tests = unit(corpus[rng.integers(0, 200, 30)] + 0.1 * rng.normal(size=(30, 12)), HALF)
    uids, names = draw_names(rng, 200), draw_names(rng, 30)
    monkeypatch.setattr("oddpair.retrieval.dedup._TESTS_AT_ONCE", 11)
    # Of equal scores the test of the smaller uid is named, in whichever block it lies.
    tests[[4, 20]] = tests[9]
    tests[0] = -corpus.astype(np.float32).mean(axis=0) / np.linalg.norm(
        corpus.astype(np.float32).mean(axis=0)
    )
    scores = all_scores(corpus, tests)
    near = [
        (-scores[row, test], names[test], uids[row]) for row, test in np.argwhere(scores > np.float32(0.8))
    ]
    assert len(near) > 30
    found = cross_duplicates(HeldRows(corpus, uids), HeldRows(tests, names), 0.8, threads=2)
    nearest = [min(pair for pair in near if pair[2] == uid) for uid in {pair[2] for pair in near}]
    lines = [(line["test"], -line["score"], line["uid"]) for line in found.rows.to_pylist()]
    assert lines == sorted((test, score, uid) for score, test, uid in nearest)
    best = [min((p[1], p[0], p[2]) for p in near if p[1] == test) for test in {pair[1] for pair in near}]
    lines = [(line["test"], -line["score"], line["uid"]) for line in found.tests.to_pylist()]
    assert lines == sorted(best)
    assert 1 < len(best) < 30


def test_a_uid_of_several_rows_comes_once_with_its_best_score():
    rows = np.array([[1, 0], [0.8, 0.6]], dtype=HALF)
    twice, once = HeldRows(rows[[1, 0]], ["a", "a"]), HeldRows(rows[:1], ["t"])
    found = cross_duplicates(twice, once, 0.5)
    assert found.rows.to_pylist() == found.tests.to_pylist() == [{"test": "t", "uid": "a", "score": 1.0}]
    found = cross_duplicates(once, twice, 0.5)
    assert found.rows.to_pylist() == found.tests.to_pylist() == [{"test": "a", "uid": "t", "score": 1.0}]


def test_sets_that_share_nothing_have_no_pairs():
    found = cross_duplicates(
        HeldRows(np.eye(2, dtype=HALF), ["a", "b"]), HeldRows(-np.eye(2, dtype=HALF), ["t", "u"]), 0.5
    )
    for table in (found.rows, found.tests):
        assert table.num_rows == 0
        assert table.column_names == ["test", "uid", "score"]


def test_a_test_picture_is_found_though_its_near_row_is_nearer_to_another():
    rows = np.array([[1, 0], [0.8, 0.6]], dtype=HALF)
    found = cross_duplicates(HeldRows(rows[:1], ["a"]), HeldRows(rows, ["t", "u"]), 0.5)
    assert found.rows["test"].to_pylist() == ["t"]
    assert found.tests["test"].to_pylist() == ["t", "u"]


def test_a_score_of_the_threshold_itself_is_no_duplicate_across_sets():
    rows = np.array([[1, 0], [0.8, 0.6]], dtype=HALF)
    score = float(all_scores(rows, rows)[0, 1])
    found = cross_duplicates(HeldRows(rows[:1], ["a"]), HeldRows(rows[1:], ["t"]), score)
    assert (found.rows.num_rows, found.tests.num_rows) == (0, 0)


def test_uids_are_sorted_as_python_sorts_them(tmp_path):
    uids = draw_names(np.random.default_rng(1), 200)
    stored = open_stored(write_stored(tmp_path, np.tile(np.eye(4, dtype=HALF), (50, 1)), uids, [200]))
    found, rows, repeated = sort_by_uid(stored)
    assert found.to_pylist() == sorted(uids) == [uids[row] for row in rows]
    assert repeated == 0


@pytest.mark.parametrize("threshold", [1.0, 1.5, -1.1, float("nan")])
def test_a_threshold_that_no_cosine_is_above_is_refused(threshold):
    with pytest.raises(Refusal, match=r"threshold .*, needed a cosine similarity from -1 to below 1"):
        DedupPlan(threshold=threshold)
