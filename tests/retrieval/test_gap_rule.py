"""Similarity-gap pruning by ``find_neighbours``: what must hold of it whatever the corpus."""

import pytest
from tests.retrieval.brute_force import all_scores
from tests.retrieval.neighbour_data import content, draw, read_rows, stored, whole

from oddpair.retrieval import neighbours
from oddpair.retrieval.neighbours import find_neighbours, gap_thresholds


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS_PER_JOB", 5)


def prune(corpus, above, tests, folder):
    """Return the rows of a corpus that similarity-gap pruning keeps, as a corpus of its own."""
    find_neighbours(corpus, tests, folder / "out", k=1, above=above)
    rows, uids = whole(corpus)
    kept = [row for row, line in enumerate(read_rows(folder / "out")) if not line["hit"]]
    return stored(folder / "kept", rows[kept], [uids[row] for row in kept])


@pytest.fixture
def large(tmp_path):
    """A corpus whose first 20 rows are the reference set, over several shards, and the reference set."""
    rows, uids = draw(8, 120, d=6)
    return (
        stored(tmp_path / "large", rows, uids, [50, 30, 40]),
        stored(tmp_path / "reference", rows[:20], uids[:20]),
        stored(tmp_path / "tests", *draw(9, 8, d=6)),
    )


def test_pruning_by_a_reference_set_brings_the_corpus_to_its_gap_and_keeps_the_set(large, tmp_path):
    corpus, reference, tests = large
    kept = prune(corpus, reference, tests, tmp_path)
    gap = gap_thresholds(reference, tests)
    assert 20 < kept.shape[0] < 120
    assert gap.tolist() == all_scores(*[whole(side)[0] for side in (reference, tests)]).max(axis=0).tolist()
    assert gap_thresholds(kept, tests).tolist() == gap.tolist()
    assert set(whole(reference)[1]) <= set(whole(kept)[1])


def test_pruning_again_removes_nothing(large, tmp_path):
    corpus, reference, tests = large
    kept = prune(corpus, reference, tests, tmp_path)
    assert whole(prune(kept, reference, tests, tmp_path / "again"))[1] == whole(kept)[1]


def test_pruning_by_two_test_sets_is_pruning_by_each(large, tmp_path):
    corpus, reference, tests = large
    rows, uids = whole(tests)
    parts = [stored(tmp_path / f"{start}", rows[start::2], uids[start::2]) for start in (0, 1)]
    dropped = [
        set(whole(corpus)[1]) - set(whole(prune(corpus, reference, some, tmp_path / f"out{number}"))[1])
        for number, some in enumerate([tests, *parts])
    ]
    assert dropped[0] == dropped[1] | dropped[2]
    assert dropped[1] != dropped[2]


def test_a_larger_reference_set_prunes_no_more(large, tmp_path):
    corpus, reference, tests = large
    rows, uids = whole(corpus)
    more = stored(tmp_path / "more", rows[:45], uids[:45])
    assert (gap_thresholds(more, tests) >= gap_thresholds(reference, tests)).all()
    few, many = (
        set(whole(prune(corpus, side, tests, tmp_path / side.folder.name / "out"))[1])
        for side in (reference, more)
    )
    assert few < many


def test_the_gap_rule_is_no_cut_at_one_similarity(large, tmp_path):
    corpus, reference, tests = large
    find_neighbours(corpus, tests, tmp_path / "out", above=reference)
    lines = read_rows(tmp_path / "out")
    pruned = [line["score"] for line in lines if line["hit"]]
    kept = [line["score"] for line in lines if not line["hit"]]
    assert max(kept) > min(pruned)


def test_a_reference_set_and_its_thresholds_mark_the_same_rows(large, tmp_path):
    corpus, reference, tests = large
    find_neighbours(corpus, tests, tmp_path / "a", above=reference)
    find_neighbours(corpus, tests, tmp_path / "b", above=gap_thresholds(reference, tests, workers=2))
    assert read_rows(tmp_path / "a") == read_rows(tmp_path / "b")
    assert content(tmp_path / "a")["thresholds.parquet"] == content(tmp_path / "b")["thresholds.parquet"]
