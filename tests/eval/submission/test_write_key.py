"""Answer keys made from what ``oddpair eval`` left: the same whatever the model answered."""

from dataclasses import replace

import pytest
from tests.eval.submission.scores import write_scores

from oddpair.benchmarks.answer_keys import KEYS, key_path, known_keys, read_key
from oddpair.errors import Refusal
from oddpair.eval.results import find_results, write_result
from oddpair.eval.submission.write_key import write_keys

TASKS = ("miniature.natural", "miniature.pairs-seen")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    return write_scores(tmp_path_factory.mktemp("scores"), tasks=TASKS)[0]


def test_keys_of_another_models_results_are_those_that_ship(scores, tmp_path):
    written = write_keys([scores], tmp_path / "keys")
    assert written == [key_path(tmp_path / "keys", task, 1) for task in TASKS]
    assert known_keys(tmp_path / "keys") == tuple(f"{task}@1" for task in TASKS)
    for task in TASKS:
        again, shipped = read_key(task, 1, tmp_path / "keys"), read_key(task, 1)
        assert again.lock == shipped.lock
        assert again.table.equals(shipped.table)
        for ending in (".json", ".parquet"):
            mine = key_path(tmp_path / "keys", task, 1).with_suffix(ending)
            assert mine.read_bytes() == key_path(KEYS, task, 1).with_suffix(ending).read_bytes()


def test_a_version_that_is_locked_is_not_changed(scores, tmp_path):
    write_keys([scores], tmp_path / "keys")
    (one, *_) = find_results([scores])
    other = replace(one.result, hashes={**one.result.hashes, "uids": "b" * 64})
    path = tmp_path / "scores" / one.path.name
    write_result(path, other)
    path.with_name(one.record_path.name).write_bytes(one.record_path.read_bytes())
    with pytest.raises(Refusal, match="what was asked now is not the same: give the benchmark version 2"):
        write_keys([path], tmp_path / "keys")


def test_results_without_all_pictures_make_no_key(scores, tmp_path):
    (one, *_) = find_results([scores])
    path = tmp_path / one.path.name
    write_result(path, replace(one.result, damaged=3))
    path.with_name(one.record_path.name).write_bytes(one.record_path.read_bytes())
    with pytest.raises(Refusal, match="3 pictures were damaged, a key needs all of them"):
        write_keys([path], tmp_path / "keys")
    assert known_keys(tmp_path / "keys") == ()
