"""Corpora whose counts are known, as committed and read again."""

import json

import numpy as np
import pytest
from tests.eval.board.planted_entries import name_hash
from tests.eval.prediction.counted_captions import CAPTIONS, count_folder

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.board.corpora import read_corpora, write_corpus

NAMES = ["cat", "dog", "tree", "pine tree", "bird"]
HASH = name_hash("five captions")


@pytest.fixture
def written(tmp_path):
    corpus = write_corpus(tmp_path / "corpora", "five", HASH, count_folder(tmp_path / "counts", NAMES))
    return tmp_path / "corpora", corpus


def ids(corpus, *names):
    return np.array([corpus.counts.find([name]) for name in names])


def test_a_corpus_is_read_as_it_was_counted(written):
    folder, corpus = written
    ((manifest, again),) = read_corpora(folder).items()
    assert (manifest, again.name, again.manifest) == (HASH, "five", HASH)
    for one in (corpus, again):
        assert one.counts.counts.n_captions == len(CAPTIONS)
        assert one.counts.counts.text[ids(one, "cat", "dog", "tree", "bird")].tolist() == [3, 2, 1, 0]
        assert one.counts.counts.image is None


def test_pairs_are_counted_zero_or_unknown(written):
    _, corpus = written
    first, second = ids(corpus, "dog", "cat", "cat", "tree"), ids(corpus, "cat", "tree", "bird", "pine tree")
    assert corpus.count_pairs(first, second).tolist() == [1, 1, 0, -1]
    assert corpus.count_pairs(np.array([-1, 0]), np.array([0, 0])).tolist() == [-1, -1]


def test_the_table_of_pairs_says_pmi_in_nats(written):
    folder, _ = written
    rows = files.read_table(folder / "five" / "pairs.parquet").to_pylist()
    (found,) = [row for row in rows if {row["first"], row["second"]} == {"cat", "dog"}]
    assert found["count"] == 1
    assert found["pmi"] == pytest.approx(np.log(1 * 5 / (3 * 2)))


def test_the_same_counts_give_the_same_bytes(written, tmp_path):
    folder, _ = written
    write_corpus(tmp_path / "again", "five", HASH, tmp_path / "counts")
    for name in ("corpus.json", "concepts.parquet", "pairs.parquet"):
        assert (folder / "five" / name).read_bytes() == (tmp_path / "again" / "five" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "manifest", "told"),
    [
        ("../five", HASH, "cannot be called '../five'"),
        ("", HASH, "cannot be called ''"),
        ("five\u202e", HASH, r"'five\\u202e'"),
        ("five", "abc", "'abc' is no sha256"),
        ("five", HASH.upper(), "is no sha256"),
    ],
)
def test_a_corpus_needs_a_plain_name_and_a_hash(tmp_path, name, manifest, told):
    with pytest.raises(Refusal, match=told):
        write_corpus(tmp_path / "corpora", name, manifest, tmp_path / "nothing")
    assert not (tmp_path / "corpora").exists()


def change(folder, **changes):
    path = folder / "five" / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"extra": 1}, "exactly the keys"),
        ({"captions": True}, "captions has another type"),
        ({"format": 2}, "format is 2"),
        ({"manifest": "0"}, "manifest is no sha256"),
        ({"name": "six"}, "its name is 'six'"),
        ({"files": {}}, "files are not"),
        ({"captions": 2}, "contradicts itself"),
        ({"nested": [[0, 1, 2]]}, "contradicts itself"),
        ({"nested": [["a", 1]]}, "contradicts itself"),
    ],
)
def test_what_no_corpus_says_is_refused(written, changes, told):
    folder, _ = written
    change(folder, **changes)
    with pytest.raises(Refusal, match=told):
        read_corpora(folder)


def test_a_changed_table_is_refused(written):
    folder, _ = written
    table = files.read_table(folder / "five" / "concepts.parquet")
    files.write_table(folder / "five" / "concepts.parquet", table.slice(1))
    with pytest.raises(Refusal, match=r"concepts\.parquet is not what .*corpus\.json names"):
        read_corpora(folder)


def test_two_corpora_of_the_same_uids_are_refused(written, tmp_path):
    folder, _ = written
    write_corpus(folder, "again", HASH, tmp_path / "counts")
    with pytest.raises(Refusal, match="counts of the same uids"):
        read_corpora(folder)


def test_files_beside_the_corpora_are_passed_over_and_no_folder_is_refused(written, tmp_path):
    folder, _ = written
    (folder / "README.md").write_text("what lies here")
    assert list(read_corpora(folder)) == [HASH]
    with pytest.raises(Refusal, match="is no folder"):
        read_corpora(tmp_path / "nothing")
