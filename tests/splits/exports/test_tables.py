import hashlib
import struct
import tarfile
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.errors import Refusal
from oddpair.files import read_table
from oddpair.retrieval.formats.clip_retrieval import open_clip_retrieval
from oddpair.retrieval.formats.datacomp import open_datacomp
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.places import Place, locate
from oddpair.retrieval.samples import Source
from oddpair.retrieval.subset import load_subset, write_subset
from oddpair.splits.exports import tables as export_tables
from oddpair.splits.exports.tables import (
    export_datacomp,
    export_laion,
    export_parquet,
    export_uids,
    export_uids_text,
)
from oddpair.splits.manifest import Manifest

CHOSEN = [1, 2, 4, 7, 8, 9, 13]
WAYS = {"laion": (export_laion, open_laion), "datacomp": (export_datacomp, open_datacomp)}
FIXTURES: dict[str, Callable[[Place], Source]] = {
    "img2dataset-raw": open_img2dataset,
    "img2dataset-laion": open_img2dataset,
    "laion": open_laion,
    "datacomp": open_datacomp,
    "clip-retrieval": open_clip_retrieval,
}


@pytest.fixture(params=list(WAYS))
def way(request):
    """An export of metadata, and what opens it."""
    return WAYS[request.param]


def scan(source):
    """All rows of a corpus, none of them bad."""
    batches = [batch for shard in source.shards for batch in source.scan(shard, None)]
    assert not [batch for batch in batches if batch.bad]
    return pa.concat_tables(batch.table for batch in batches)


@pytest.mark.parametrize("rows_per_file", [1, 3, 100])
def test_exported_metadata_is_a_corpus_with_the_same_samples(tmp_path, numbered, way, rows_per_file):
    write, open_again = way
    corpus = numbered.write(tmp_path / "corpus")
    write(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out", rows_per_file=rows_per_file)
    table = scan(open_again(locate(tmp_path / "out")))
    assert table["uid"].to_pylist() == [numbered.uid(number) for number in CHOSEN]
    assert table["caption"].to_pylist() == [numbered.caption(number) for number in CHOSEN]
    assert table["url"].to_pylist() == [f"http://example.org/{number}" for number in CHOSEN]
    assert table["style"].to_pylist() == ["photo" if number % 2 else "sketch" for number in CHOSEN]


@pytest.mark.parametrize("name", FIXTURES)
def test_ids_survive_the_way_through_laion_metadata(tmp_path, numbered, root, name):
    corpus: Source = FIXTURES[name](locate(root / "tests" / "fixtures" / name))
    uids = numbered.uids(corpus)
    manifest = Manifest(name="all", recipe="by_hand", uids=tuple(sorted(uids)))
    export_laion(manifest, corpus, tmp_path / "out", rows_per_file=2)
    assert numbered.uids(open_laion(locate(tmp_path / "out"))) == uids


def test_laion_metadata_goes_through_unchanged(tmp_path, numbered, root):
    corpus = open_laion(locate(root / "tests" / "fixtures" / "laion"))
    export_laion(numbered.split(corpus, [0, 2, 3]), corpus, tmp_path / "out")
    found = read_table(tmp_path / "out" / "part-00000.parquet")
    (original,) = (root / "tests" / "fixtures" / "laion").iterdir()
    kept = pq.read_table(original).take([0, 2, 3])
    assert found.select(kept.column_names).equals(kept)


def test_datacomp_metadata_goes_through_unchanged(tmp_path, numbered, root):
    folder = root / "tests" / "fixtures" / "datacomp"
    corpus = open_datacomp(locate(folder))
    export_datacomp(numbered.split(corpus, [0, 1, 2, 3]), corpus, tmp_path / "out", rows_per_file=3)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    found = pa.concat_tables(read_table(tmp_path / "out" / name) for name in names)
    assert found.equals(pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet"))))
    assert [name[:8] for name in names] == ["00000000", "00000001"]
    assert {len(name) for name in names} == {len("f" * 32 + ".parquet")}


def test_sizes_of_a_download_become_those_of_laion(tmp_path, numbered, root):
    corpus = open_img2dataset(locate(root / "tests" / "fixtures" / "img2dataset-jpg"))
    export_laion(numbered.split(corpus, [0]), corpus, tmp_path / "out")
    table = read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.column_names[:4] == ["URL", "TEXT", "WIDTH", "HEIGHT"]
    assert table.schema.field("WIDTH").type == pa.int32()
    assert table.num_rows == 1
    original = pq.read_table(root / "tests" / "fixtures" / "img2dataset-jpg" / "00000.parquet")
    assert table["WIDTH"][0].as_py() == original["original_width"][0].as_py()


def test_exporting_twice_gives_the_same_bytes(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    for name in ("one", "two", "two"):
        way[0](manifest, corpus, tmp_path / name, rows_per_file=3)
    assert numbered.files(tmp_path / "one") == numbered.files(tmp_path / "two")


def test_files_of_another_export_are_refused(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    way[0](manifest, corpus, tmp_path / "out", rows_per_file=3)
    with pytest.raises(Refusal, match="which is no part of this export of 2 files: choose an empty folder"):
        way[0](manifest, corpus, tmp_path / "out", rows_per_file=4)


def test_rows_without_an_address_cannot_be_metadata(tmp_path, numbered, way):
    write_shard(
        tmp_path / "corpus",
        0,
        keys=make_keys(0, 2),
        captions=["one", "two"],
        images=[numbered.image(0), numbered.image(1)],
        columns=pa.table({"uid": [numbered.uid(0), numbered.uid(1)], "url": ["http://a", ""]}),
    )
    corpus = open_img2dataset(locate(tmp_path / "corpus"))
    with pytest.raises(Refusal, match=f"no address for uid '{numbered.uid(1)}'.* export as webdataset"):
        way[0](numbered.split(corpus, [0, 1]), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_datacomp_needs_uids_of_its_own_kind(tmp_path, numbered, root):
    corpus = open_laion(locate(root / "tests" / "fixtures" / "laion"))
    with pytest.raises(
        Refusal, match=r"is not 32 lower-case hex digits, which DataComp's metadata needs: export"
    ):
        export_datacomp(numbered.split(corpus, [0]), corpus, tmp_path / "out")


def test_a_subset_file_holds_both_halves_of_every_uid_sorted(tmp_path):
    uids = tuple(sorted(["0" * 31 + "a", "f" * 32, "0123456789abcdeffedcba9876543210"]))
    export_uids(Manifest(name="test", recipe="by_hand", uids=uids), tmp_path / "subset.npy")
    found = np.load(tmp_path / "subset.npy")
    assert found.dtype == np.dtype([("f0", "<u8"), ("f1", "<u8")])
    assert found.tolist() == [
        (0, 10),
        (0x0123456789ABCDEF, 0xFEDCBA9876543210),
        (2**64 - 1, 2**64 - 1),
    ]
    assert load_subset(tmp_path / "subset.npy").find(list(uids)).tolist() == [1, 1, 1]


def test_a_subset_file_has_the_bytes_that_numpy_writes_of_datacomp_pairs(tmp_path):
    uids = sorted(["0" * 31 + "a", "f" * 32, "0123456789abcdeffedcba9876543210"])
    export_uids(Manifest(name="test", recipe="by_hand", uids=uids), tmp_path / "subset.npy")
    header = b"{'descr': [('f0', '<u8'), ('f1', '<u8')], 'fortran_order': False, 'shape': (3,), }"
    header += b" " * (128 - 10 - len(header) - 1) + b"\n"
    pairs = [(0, 10), (0x0123456789ABCDEF, 0xFEDCBA9876543210), (2**64 - 1, 2**64 - 1)]
    body = b"".join(struct.pack("<QQ", *pair) for pair in pairs)
    written = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body
    assert (tmp_path / "subset.npy").read_bytes() == written
    by_hand = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], np.dtype("u8,u8"))
    np.save(tmp_path / "numpy.npy", np.sort(by_hand))
    assert (tmp_path / "numpy.npy").read_bytes() == written


def test_a_subset_file_is_headed_like_the_one_that_the_resharder_was_given(tmp_path, root):
    theirs = (root / "tests" / "fixtures" / "datacomp-subset.npy").read_bytes()
    pairs = np.frombuffer(theirs[128:], np.dtype("u8,u8"))
    uids = [f"{upper:016x}{lower:016x}" for upper, lower in pairs.tolist()]
    assert len(set(uids)) < len(uids)
    write_subset(tmp_path / "subset.npy", uids)
    assert (tmp_path / "subset.npy").read_bytes() == theirs


def test_a_text_file_of_uids_has_the_hash_that_the_manifest_names(tmp_path, monkeypatch):
    monkeypatch.setattr(export_tables, "_UIDS_AT_ONCE", 2)
    uids = sorted(["f" * 16, "a picture", "n01/é.JPEG", "0" * 32, "b"])
    manifest = Manifest(name="test", recipe="by_hand", uids=uids)
    export_uids_text(manifest, tmp_path / "uids.txt")
    data = (tmp_path / "uids.txt").read_bytes()
    assert data.decode().splitlines() == uids
    assert hashlib.sha256(data).hexdigest() == manifest.uids_sha256


@pytest.mark.parametrize("uid", ["f" * 16, "F" * 32, "g" * 32])
def test_a_subset_file_needs_uids_of_32_hex_digits(tmp_path, uid):
    with pytest.raises(Refusal, match=r"is not 32 lower-case hex digits, .* export as parquet instead"):
        export_uids(Manifest(name="test", recipe="by_hand", uids=(uid,)), tmp_path / "subset.npy")


def test_a_table_lists_every_row_by_uid(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    export_parquet(manifest, corpus, tmp_path / "split.parquet")
    table = read_table(tmp_path / "split.parquet")
    assert table.column_names == ["uid", "shard", "key", "caption"]
    assert table["uid"].to_pylist() == manifest.uids.to_pylist()
    number_of = {numbered.uid(number): number for number in CHOSEN}
    captions = [numbered.caption(number_of[uid]) for uid in manifest.uids.to_pylist()]
    assert table["caption"].to_pylist() == captions
    for shard, key in zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True):
        with tarfile.open(tmp_path / "corpus" / f"{shard}.tar") as tar:
            assert f"{key}.txt" in tar.getnames()


def test_a_table_of_a_uid_outside_the_corpus_is_refused(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = Manifest(name="test", recipe="by_hand", uids=tuple(sorted([numbered.uid(1), "f" * 32])))
    with pytest.raises(Refusal, match="lacks 1 of the 2 uids"):
        export_parquet(manifest, corpus, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
