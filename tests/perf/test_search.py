"""What exact search is timed on is what it is said to be, and a wrong answer would be seen."""

from dataclasses import replace

import numpy as np
import pytest
from tests.perf import search_ours
from tests.perf.search_data import make_world
from tests.perf.search_ours import ALL, check, make_ask, make_uids, score_slowly

from oddpair.retrieval.scan import prepare_tests, scan

ROWS, TESTS = 3_000, 200


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("perf") / "world", rows=ROWS, tests=TESTS, rows_per_shard=1_000)


@pytest.fixture(scope="module")
def found(world):
    prepared = prepare_tests(world.tests(TESTS), make_uids(TESTS))
    return scan(world.corpus(), prepared, make_ask(world, TESTS, ALL))


def test_similarities_spread_as_those_of_pictures_do(world):
    rows = world.corpus().read(0, ROWS).astype(np.float32)
    scores = rows @ world.tests(TESTS).astype(np.float32).T
    assert scores.mean() == pytest.approx(0.3, abs=0.03)
    assert 0.08 < scores.std() < 0.16
    assert 0.0005 < (scores.max(axis=1) > 0.8).mean() < 0.02


def test_part_of_the_corpus_is_its_first_whole_shards(world):
    assert world.corpus(1_001).shape == (2_000, 512)
    assert [path.name for path in world.shards(1_001)] == ["img_emb_0000.npy", "img_emb_0001.npy"]


def test_slow_scores_are_float64_sums_in_index_order():
    rows, tests = np.random.default_rng(0).standard_normal((2, 3, 16)).astype(np.float16)
    plain = [
        [np.float32(sum(float(a) * float(b) for a, b in zip(r, t, strict=True))) for t in tests] for r in rows
    ]
    assert score_slowly(rows, tests).tolist() == np.array(plain).tolist()


def test_the_search_passes_the_check(world, found):
    check(world, ROWS, TESTS, ALL, found)


@pytest.mark.parametrize("field", ["test", "score", "hit", "top"])
def test_a_wrong_answer_does_not(world, found, field):
    row = int(search_ours.find_truth(world, ROWS, TESTS).rows[0])
    wrong = {
        "test": lambda: _with(found.test, row, (found.test[row] + 1) % TESTS),
        "score": lambda: _with(found.score, row, np.nextafter(found.score[row], np.float32(2))),
        "hit": lambda: _with(found.hit, row, not found.hit[row]),
        "top": lambda: replace(found.top, row=found.top.row[::-1]),
    }[field]()
    with pytest.raises(AssertionError, match=r"another|other rows"):
        check(world, ROWS, TESTS, ALL, replace(found, **{field: wrong}))


def _with(values, place, value):
    changed = values.copy()
    changed[place] = value
    return changed
