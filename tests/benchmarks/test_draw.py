from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from oddpair.benchmarks.miniature import draw
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.draw import draw_corpus, draw_tests, write_truth
from oddpair.benchmarks.miniature.rows import (
    Row,
    choose_test_pairs,
    draw_picture,
    plan_corpus_row,
    plan_test_row,
)
from oddpair.benchmarks.miniature.world import make_world, planted_pmi
from oddpair.retrieval.corpus import open_corpus

NAMES = ("apple", "bell", "cat", "drum", "egg", "pine tree", "tree", "wine glass")


@pytest.fixture(scope="module")
def world():
    return make_world(5, names=NAMES, decades=0.5, held_out=0.1)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw_corpus(world, folder, 50, rows_per_shard=20, workers=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def all_rows(folder: Path) -> list[tuple[str, str, bytes, dict[str, Any]]]:
    """Everything of each row but its key, which numbers shards."""
    corpus = open_corpus(folder)
    found: list[tuple[str, str, bytes, dict[str, Any]]] = []
    for shard in corpus.shards:
        rows = corpus.read(shard)
        columns = rows.columns.to_pylist()
        found += list(zip(rows.uids, rows.captions, rows.images, columns, strict=True))
    return found


def test_two_processes_write_the_bytes_of_one(world, folder, tmp_path):
    draw_corpus(world, tmp_path, 50, rows_per_shard=20, workers=2)
    assert contents(tmp_path) == contents(folder)


def test_rows_do_not_depend_on_the_size_of_shards(world, folder, tmp_path):
    draw_corpus(world, tmp_path, 50, rows_per_shard=33, workers=1)
    assert sorted(path.name for path in (tmp_path / "corpus").glob("*.tar")) == ["00000.tar", "00001.tar"]
    assert all_rows(tmp_path / "corpus") == all_rows(folder / "corpus")


def test_a_larger_corpus_begins_with_the_smaller_one(world, folder, tmp_path):
    draw_corpus(world, tmp_path, 70, rows_per_shard=20, workers=1)
    assert all_rows(tmp_path / "corpus")[:50] == all_rows(folder / "corpus")


def test_the_reader_of_shards_gives_back_every_row_as_planned(world, folder):
    found = all_rows(folder / "corpus")
    assert len(found) == 50
    for index, (uid, caption, image, columns) in enumerate(found):
        row = plan_corpus_row(world, index)
        assert (uid, caption, image) == (row.uid, row.caption, draw_picture(row))
        assert (columns["style"], columns["role"]) == (row.style, "corpus")
        assert (tuple(columns["concepts"]), tuple(columns["named"])) == (row.concepts, row.named)


def test_columns_stand_in_the_documented_order(folder):
    names = pq.read_schema(folder / "corpus" / "00000.parquet").names
    assert names[:5] == ["uid", "style", "concepts", "role", "named"]
    assert names[5:8] == ["caption", "url", "key"]
    table = pq.read_table(folder / "corpus" / "00002.parquet")
    assert table["url"][0].as_py() == "miniature://5/corpus/40"
    assert table["key"].to_pylist() == [f"00002{row:02d}" for row in range(10)]


def test_only_missing_shards_are_drawn_again(world, folder, tmp_path, monkeypatch):
    draw_corpus(world, tmp_path, 50, rows_per_shard=20, workers=1)
    (tmp_path / "corpus" / "00001_stats.json").unlink()
    drawn = []

    def draw_and_tell(row: Row) -> bytes:
        drawn.append(row.index)
        return draw_picture(row)

    monkeypatch.setattr(draw, "draw_picture", draw_and_tell)
    draw_corpus(world, tmp_path, 50, rows_per_shard=20, workers=1)
    assert drawn == list(range(20, 40))
    assert contents(tmp_path) == contents(folder)


def test_test_sets_hold_every_concept_style_and_pair_as_often_as_asked(world, tmp_path):
    pairs = choose_test_pairs(
        world, 1000, held=2, rare=0, seen=3, rng=np.random.default_rng(0), minimum_count=1
    )
    draw_tests(
        world,
        tmp_path,
        per_concept=3,
        per_rendition=1,
        test_pairs=pairs,
        per_pair=2,
        workers=1,
        rows_per_shard=15,
    )
    assert len(all_rows(tmp_path / "natural")) == 3 * len(NAMES)
    assert len(all_rows(tmp_path / "rendition")) == 4 * len(NAMES)
    shown = [tuple(columns["concepts"]) for _, _, _, columns in all_rows(tmp_path / "pairs")]
    assert sorted(shown) == sorted([(pair.a, pair.b) for pair in pairs] * 2)
    uid, caption, image, _ = all_rows(tmp_path / "rendition")[9]
    row = plan_test_row(world, "rendition", 9)
    assert (uid, caption, image) == (row.uid, row.caption, draw_picture(row))


def test_the_truth_is_what_is_planted_and_what_is_drawn(world, folder):
    write_truth(world, 50, folder)
    concepts = pq.read_table(folder / "truth" / "concepts.parquet")
    assert concepts.column_names == ["name", "frequency", "expected_count"]
    assert concepts["name"].to_pylist() == list(NAMES)
    np.testing.assert_allclose(sum(concepts["expected_count"].to_pylist()), 50 * 1.6)

    pairs = pq.read_table(folder / "truth" / "pairs.parquet").to_pylist()
    assert [(pair["a"], pair["b"]) for pair in pairs] == [
        (a, b) for i, a in enumerate(NAMES) for b in NAMES[i + 1 :]
    ]
    nested = [(pair["a"], pair["b"]) for pair in pairs if pair["nested"]]
    assert nested == [("pine tree", "tree")]
    last = pairs[-1]
    assert last["theta"] == world.theta[6, 7]
    assert last["planted_pmi"] == planted_pmi(world)[6, 7]
    assert last["held_out"] == world.held_out[6, 7]
    np.testing.assert_allclose(sum(pair["expected_count"] for pair in pairs), 50 * 0.6)

    tags = pq.read_table(folder / "truth" / "tags.parquet").to_pylist()
    drawn = {
        (uid, concept)
        for uid, _, _, columns in all_rows(folder / "corpus")
        for concept in columns["concepts"]
    }
    assert [(tag["uid"], tag["concept"]) for tag in tags] == sorted(drawn)
    assert {tag["score"] for tag in tags} == {1.0}


def test_a_world_of_all_concepts_is_drawn_in_every_style(tmp_path):
    draw_corpus(make_world(0), tmp_path, 60, workers=1)
    styles = {columns["style"] for _, _, _, columns in all_rows(tmp_path / "corpus")}
    assert styles == {"photo", "sketch", "cartoon", "painting", "silhouette", "ambiguous"}
    assert len(CONCEPTS) >= 80
