import hashlib
import re

import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.files import read_table, write_table
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.places import locate
from oddpair.splits.exports.hashes import export_url_hash, hash_texts, read_url_hash
from oddpair.splits.exports.laion_hash import hash_laion
from oddpair.splits.manifest import Manifest

CHOSEN = [1, 2, 4, 7, 8, 9, 13]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def written(tmp_path, numbered):
    """A split, and the path of the table of its hashes."""
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    export_url_hash(manifest, corpus, tmp_path / "hashes.parquet")
    return manifest, tmp_path / "hashes.parquet"


def test_every_row_has_the_hashes_of_its_address_and_caption(written, numbered):
    manifest, path = written
    rows = read_table(path).to_pylist()
    assert [row["uid"] for row in rows] == manifest.uids.to_pylist()
    number_of = {numbered.uid(number): number for number in CHOSEN}
    for row in rows:
        number = number_of[row["uid"]]
        url, caption = f"http://example.org/{number}", numbered.caption(number)
        assert row["url_sha256"] == digest(url)
        assert row["text_sha256"] == digest(caption)
        assert row["laion_hash"] == hash_laion(pa.array([url]), pa.array([caption]))[0].as_py()


def test_laion_keeps_its_own_hashes(tmp_path, numbered, root):
    corpus = open_laion(locate(root / "tests" / "fixtures" / "laion"))
    export_url_hash(numbered.split(corpus, [0, 2]), corpus, tmp_path / "hashes.parquet")
    for row in read_table(tmp_path / "hashes.parquet").to_pylist():
        assert f"{row['laion_hash'] % 2**64:016x}" == row["uid"]


def test_a_row_is_found_by_address_and_caption_else_by_an_address_that_no_other_row_has(tmp_path):
    rows = [
        ("b", "http://1", "one"),
        ("d", "http://1", "two"),
        ("a", "http://2", "three"),
        ("c", "http://3", ""),
    ]
    table = pa.table(
        {
            "uid": [uid for uid, *_ in rows],
            "url_sha256": [digest(url) for _, url, _ in rows],
            "text_sha256": [digest(text) for *_, text in rows],
        }
    ).sort_by("uid")
    write_table(tmp_path / "hashes.parquet", table)
    found = read_url_hash(
        tmp_path / "hashes.parquet", Manifest(name="s", recipe="r", uids=["a", "b", "c", "d"])
    )
    asked = [
        ("http://1", "two", 3, -1),
        ("http://1", "three", -1, -1),  # two rows have this address
        ("http://2", "mended", -1, 0),
        ("http://3", None, 2, -1),
        ("http://4", "one", -1, -1),
        (None, "one", -1, -1),
    ]
    exact, near = found.find(
        pa.chunked_array([[url for url, *_ in asked]]), pa.chunked_array([[text for _, text, *_ in asked]])
    )
    assert exact.tolist() == [one for *_, one, _ in asked]
    assert near.tolist() == [two for *_, two in asked]


def test_a_table_of_another_split_is_refused(written, numbered):
    manifest, path = written
    other = Manifest(name="other", recipe="r", uids=manifest.uids[:-1])
    with pytest.raises(Refusal, match="lists 7 uids that are not those of split 'other': write it with"):
        read_url_hash(path, other)


def test_a_table_of_something_else_than_hashes_is_refused(tmp_path):
    table = pa.table({"uid": ["a"], "url_sha256": ["none"], "text_sha256": ["none"]})
    write_table(tmp_path / "hashes.parquet", table)
    with pytest.raises(Refusal, match=re.escape("holds what is no SHA-256 in hex: write it again")):
        read_url_hash(tmp_path / "hashes.parquet", Manifest(name="s", recipe="r", uids=["a"]))


def test_no_text_is_hashed_like_empty_text():
    assert hash_texts(pa.array([None, ""])).to_pylist() == [digest("")] * 2
