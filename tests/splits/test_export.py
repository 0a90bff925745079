import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import webdataset
from PIL import Image

from oddpair.errors import Refusal
from oddpair.files import read_table
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.splits import export
from oddpair.splits.export import export_parquet, export_uids, export_webdataset
from oddpair.splits.manifest import Manifest


def draw_image(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (number % 256, number // 256, 9)).save(file, "PNG" if number % 3 else "JPEG")
    return file.getvalue()


def make_uid(number: int) -> str:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def write_corpus(folder: Path, sizes: tuple[int, ...] = (5, 4, 6), *, with_uid: bool = True) -> Corpus:
    """Write shards whose row ``i``, counted through, has the picture and caption of number ``i``."""
    start = 0
    for index, size in enumerate(sizes):
        numbers = range(start, start + size)
        columns = {
            "style": pa.array(["photo" if number % 2 else "sketch" for number in numbers]),
            "concepts": pa.array([[f"thing {number}"] for number in numbers], pa.list_(pa.string())),
            "url": pa.array([f"http://example.org/{number}" for number in numbers]),
        }
        if with_uid:
            columns = {"uid": pa.array([make_uid(number) for number in numbers]), **columns}
        write_shard(
            folder,
            index,
            keys=make_keys(index, size),
            captions=[f"a thing, number {number}" for number in numbers],
            images=[draw_image(number) for number in numbers],
            columns=pa.table(columns),
        )
        start += size
    return open_corpus(folder)


def make_split(corpus: Corpus, numbers: list[int]) -> Manifest:
    uids = corpus.metadata()["uid"].to_pylist()
    return Manifest(name="test", recipe="by_hand", uids=tuple(sorted(uids[number] for number in numbers)))


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


CHOSEN = [1, 2, 4, 7, 8, 9, 13]


@pytest.mark.parametrize("rows_per_shard", [1, 2, 3, 7, 1000])
def test_an_exported_split_is_a_corpus_with_the_same_samples(tmp_path, rows_per_shard):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = make_split(corpus, CHOSEN)
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=rows_per_shard)
    found = open_corpus(tmp_path / "out")
    assert found.sizes[:-1] == (rows_per_shard,) * (len(found.sizes) - 1)
    shards = [found.read(shard) for shard in found.shards]
    assert [uid for rows in shards for uid in rows.uids] == [make_uid(number) for number in CHOSEN]
    assert [image for rows in shards for image in rows.images] == [draw_image(number) for number in CHOSEN]
    assert [text for rows in shards for text in rows.captions] == [f"a thing, number {n}" for n in CHOSEN]
    assert [name for rows in shards for name in rows.columns["style"].to_pylist()] == [
        "photo" if number % 2 else "sketch" for number in CHOSEN
    ]
    assert [url for rows in shards for url in rows.columns["url"].to_pylist()] == [
        f"http://example.org/{number}" for number in CHOSEN
    ]
    assert [things for rows in shards for things in rows.columns["concepts"].to_pylist()] == [
        [f"thing {number}"] for number in CHOSEN
    ]
    keys = [key for rows in shards for key in rows.keys]
    assert keys[0] == "000000000"
    assert len(set(keys)) == len(CHOSEN)
    sizes = json.loads((tmp_path / "out" / "sizes.json").read_text())
    assert sizes == {f"{shard}.tar": size for shard, size in zip(found.shards, found.sizes, strict=True)}


def test_a_trainer_reads_what_was_exported(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    export_webdataset(make_split(corpus, CHOSEN), corpus, tmp_path / "out")
    dataset = webdataset.WebDataset(str(tmp_path / "out" / "00000.tar"), shardshuffle=False)
    samples = list(
        dataset.rename(image="jpg;png;jpeg;webp", text="txt", info="json").to_tuple("image", "text", "info")
    )
    assert [sample[0] for sample in samples] == [draw_image(number) for number in CHOSEN]
    assert [sample[1].decode() for sample in samples] == [f"a thing, number {number}" for number in CHOSEN]
    assert [json.loads(sample[2])["uid"] for sample in samples] == [make_uid(number) for number in CHOSEN]


def test_a_corpus_without_a_uid_column_gets_one(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", with_uid=False)
    manifest = make_split(corpus, CHOSEN)
    export_webdataset(manifest, corpus, tmp_path / "out")
    assert read_table(tmp_path / "out" / "00000.parquet").column_names[0] == "uid"
    assert sorted(open_corpus(tmp_path / "out").metadata()["uid"].to_pylist()) == list(manifest.uids)


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = make_split(corpus, CHOSEN)
    for name in ("one", "two"):
        export_webdataset(manifest, corpus, tmp_path / name, rows_per_shard=3)
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_export_that_was_stopped_goes_on_and_ends_in_the_same_bytes(tmp_path, monkeypatch, stop_after):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = make_split(corpus, CHOSEN)
    export_webdataset(manifest, corpus, tmp_path / "whole", rows_per_shard=3)
    export_webdataset(make_split(corpus, [0, 3, 5]), corpus, tmp_path / "out", rows_per_shard=3)
    written: list[int] = []

    def write_or_die(folder: Path, index: int, **rest: object) -> None:
        if len(written) == stop_after:
            raise KeyboardInterrupt
        written.append(index)
        write_shard(folder, index, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "write_shard", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert not (tmp_path / "out" / "sizes.json").exists()  # not even that of the export it replaces
    assert written == list(range(stop_after))
    stop_after = 99
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert written == [0, 1, 2]  # what was whole was not written again
    assert all_bytes(tmp_path / "out") == all_bytes(tmp_path / "whole")


@pytest.mark.parametrize("name", ["00001.tar", "00001.parquet", "00001_stats.json", "sizes.json"])
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_shard_is_written_again(tmp_path, name, damage):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = make_split(corpus, CHOSEN)
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    whole = all_bytes(tmp_path / "out")
    if damage == "cut":
        (tmp_path / "out" / name).write_bytes(whole[name][: len(whole[name]) // 2])
    else:
        (tmp_path / "out" / name).unlink()
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert all_bytes(tmp_path / "out") == whole


def test_shards_of_another_split_are_replaced_and_left_over_ones_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    export_webdataset(make_split(corpus, [0, 3, 5]), corpus, tmp_path / "out", rows_per_shard=3)
    export_webdataset(make_split(corpus, CHOSEN), corpus, tmp_path / "out", rows_per_shard=3)
    export_webdataset(make_split(corpus, CHOSEN), corpus, tmp_path / "fresh", rows_per_shard=3)
    assert all_bytes(tmp_path / "out") == all_bytes(tmp_path / "fresh")
    with pytest.raises(
        Refusal, match=r"out holds 00001\.parquet, which is no part of this export of 1 shards"
    ):
        export_webdataset(make_split(corpus, [0, 3, 5]), corpus, tmp_path / "out", rows_per_shard=3)
    assert all_bytes(tmp_path / "out") == all_bytes(tmp_path / "fresh")


def test_only_shards_with_rows_of_the_split_are_read(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    (tmp_path / "corpus" / "00001.tar").write_bytes(b"")  # rows 5 to 8
    export_webdataset(make_split(corpus, [1, 2, 13]), corpus, tmp_path / "out")
    with pytest.raises(Refusal, match=r"00001\.tar"):
        export_webdataset(make_split(corpus, [1, 7]), corpus, tmp_path / "other")


def test_shards_that_differ_in_an_empty_column_are_joined(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", (2, 2))
    for index, values in enumerate((pa.nulls(2), pa.array(["cc-by", None]))):
        numbers = range(2 * index, 2 * index + 2)
        write_shard(
            tmp_path / "corpus",
            index,
            keys=make_keys(index, 2),
            captions=["a thing"] * 2,
            images=[draw_image(number) for number in numbers],
            columns=pa.table({"uid": [make_uid(number) for number in numbers], "license": values}),
        )
    corpus = open_corpus(tmp_path / "corpus")
    export_webdataset(make_split(corpus, [0, 2, 3]), corpus, tmp_path / "out")
    assert read_table(tmp_path / "out" / "00000.parquet")["license"].to_pylist() == [None, "cc-by", None]


def test_a_uid_outside_the_corpus_is_refused_before_anything_is_written(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = Manifest(name="test", recipe="by_hand", uids=tuple(sorted([make_uid(1), "f" * 32])))
    with pytest.raises(Refusal, match=r"corpus lacks 1 of the 2 uids of split 'test', such as 'f{32}'"):
        export_webdataset(manifest, corpus, tmp_path / "out")
    with pytest.raises(Refusal, match="lacks 1 of the 2 uids"):
        export_parquet(manifest, corpus, tmp_path / "out.parquet")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.parquet").exists()


def test_no_rows_per_shard_is_an_error(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", (2,))
    with pytest.raises(ValueError, match="rows_per_shard is 0"):
        export_webdataset(make_split(corpus, [0]), corpus, tmp_path / "out", rows_per_shard=0)


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
    assert [f"{high:016x}{low:016x}" for high, low in found.tolist()] == list(uids)


@pytest.mark.parametrize("uid", ["f" * 16, "F" * 32, "g" * 32, "f" * 32 + "\n"])
def test_a_subset_file_needs_uids_of_32_hex_digits(tmp_path, uid):
    with pytest.raises(Refusal, match=r"is not 32 lower-case hex digits, .* export as parquet instead"):
        export_uids(Manifest(name="test", recipe="by_hand", uids=(uid,)), tmp_path / "subset.npy")


def test_a_table_lists_every_row_by_uid(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    manifest = make_split(corpus, CHOSEN)
    export_parquet(manifest, corpus, tmp_path / "split.parquet")
    table = read_table(tmp_path / "split.parquet")
    assert table.column_names == ["uid", "shard", "key", "caption"]
    assert table["uid"].to_pylist() == list(manifest.uids)
    number_of = {make_uid(number): number for number in CHOSEN}
    assert table["caption"].to_pylist() == [f"a thing, number {number_of[uid]}" for uid in manifest.uids]
    for shard, key in zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True):
        with tarfile.open(tmp_path / "corpus" / f"{shard}.tar") as tar:
            assert f"{key}.txt" in tar.getnames()
