"""Answer keys that ship, and what stands in the way of changing one."""

import json
import shutil

import pyarrow as pa
import pytest

from oddpair import files
from oddpair.benchmarks import answer_keys
from oddpair.benchmarks.answer_keys import KEYS, TRUTH, key_path, known_keys, make_key, read_key, write_key
from oddpair.benchmarks.evaluation_set import KINDS
from oddpair.benchmarks.lock import hash_uids
from oddpair.benchmarks.miniature.rows import uid
from oddpair.benchmarks.suite import read_suite
from oddpair.errors import Refusal


@pytest.fixture
def copy(tmp_path):
    """A copy of the shipped keys of one task."""
    for ending in (".json", ".parquet"):
        path = key_path(KEYS, "miniature.sketch", 1).with_suffix(ending)
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name)
    return tmp_path


def changed(key, **changes):
    fields = ("task", "version", "kind", "cluster", "class_keys", "class_names", "uids", "table")
    return make_key(**{**{name: getattr(key, name) for name in fields}, **changes})


def test_every_required_task_has_a_key_and_every_key_is_what_its_lock_says():
    assert {f"{task}@1" for task in read_suite().required} <= set(known_keys())
    for name in known_keys():
        task, _, version = name.partition("@")
        key = read_key(task, int(version))
        assert key.name == name
        assert key.table.schema == TRUTH[key.kind]
        assert hash_uids(key.table["key"].to_pylist(), key.table["uid"].to_pylist()) == key.uids
        assert max(key.table["target"].to_pylist()) == len(key.class_keys) - 1


@pytest.mark.parametrize(("task", "rows"), [("natural", 2175), ("rendition", 3480)])
def test_the_pictures_of_a_key_follow_from_the_seed_of_the_world_alone(task, rows):
    key = read_key(f"miniature.{task}", 1)
    assert set(key.table["uid"].to_pylist()) == {uid(0, task, index) for index in range(rows)}


def test_pictures_of_pairs_follow_from_the_seed_too_and_each_is_asked_both_ways():
    table = read_key("miniature.pairs-unseen", 1).table
    ours = {uid(0, "pairs", index) for index in range(200_000)}
    assert set(table["uid"].to_pylist()) <= ours
    asked = set(zip(*(table[name].to_pylist() for name in ("key", "target", "partner")), strict=True))
    assert {(key, b, a) for key, a, b in asked} == asked


def test_the_keys_are_small_enough_for_a_repository():
    assert sum(path.stat().st_size for path in KEYS.rglob("*") if path.is_file()) < 400_000


def test_truth_is_told_in_the_columns_of_records():
    from oddpair.eval.scoring.records import SCHEMAS

    for kind in KINDS:
        names = [name for name in SCHEMAS[kind].names if name in TRUTH[kind].names]
        assert TRUTH[kind] == pa.schema([SCHEMAS[kind].field(name) for name in names])


def test_a_key_that_is_written_and_read_is_the_same(copy):
    key = read_key("miniature.sketch", 1)
    before = key_path(copy, key.task, 1).with_suffix(".parquet").read_bytes()
    path = write_key(copy, key)
    assert path == key_path(copy, key.task, 1)
    again = read_key(key.task, 1, copy)
    assert again.table.equals(key.table)
    assert (again.lock, again.seed, again.class_names) == (key.lock, key.seed, key.class_names)
    assert path.with_suffix(".parquet").read_bytes() == before


@pytest.mark.parametrize("column", ["target", "style", "uid", "n_candidates"])
def test_a_changed_answer_changes_the_lock_and_is_never_written_over_a_version(copy, column):
    key = read_key("miniature.sketch", 1)
    values = key.table[column].to_pylist()
    values[3] = values[3] + 1 if isinstance(values[3], int) else values[3] + "x"
    place = key.table.schema.get_field_index(column)
    other = changed(
        key, table=key.table.set_column(place, column, pa.array(values, key.table.schema.field(column).type))
    )
    assert other.lock != key.lock
    with pytest.raises(Refusal, match="what was asked now is not the same: give the benchmark version 2"):
        write_key(copy, other)
    assert read_key(key.task, 1, copy).lock == key.lock


@pytest.mark.parametrize(
    "change", [{"cluster": "image"}, {"class_names": ("x",) * 87}, {"uids": "0" * 64}, {"kind": "pairs"}]
)
def test_what_a_key_says_beside_its_table_is_locked(change):
    key = read_key("miniature.sketch", 1)
    assert changed(key, **change).lock != key.lock
    assert changed(key).lock == key.lock


def test_a_key_edited_by_hand_is_refused(copy):
    path = key_path(copy, "miniature.sketch", 1)
    told = json.loads(path.read_text())
    files.write_json(path, {**told, "cluster": "image"})
    with pytest.raises(Refusal, match=r"no answer key of miniature.sketch@1 \(its content has lock"):
        read_key("miniature.sketch", 1, copy)
    files.write_json(path, {**told, "cluster": "pair"})
    with pytest.raises(Refusal, match="asks for classification by pair"):
        read_key("miniature.sketch", 1, copy)


@pytest.mark.parametrize(
    ("task", "version"),
    [("miniature.sketch", 2), ("miniature.sketh", 1), ("../miniature.sketch", 1), ("a.b/../c", 1)],
)
def test_an_unknown_task_or_version_is_refused_without_a_look_at_a_path(task, version, monkeypatch):
    monkeypatch.setattr(answer_keys, "key_path", None)
    with pytest.raises(Refusal, match=r"^there is no answer key of .*: leave the task out, only"):
        read_key(task, version)


def test_a_task_of_no_benchmark_that_ships_has_no_key():
    key = read_key("miniature.sketch", 1)
    with pytest.raises(Refusal, match="only tasks of benchmarks that ship"):
        changed(key, task="mine.sketch")
    with pytest.raises(Refusal, match="has no lock"):
        changed(key, version=2)


def test_a_half_written_key_is_not_listed(copy):
    key_path(copy, "miniature.sketch", 1).unlink()
    assert known_keys(copy) == ()
