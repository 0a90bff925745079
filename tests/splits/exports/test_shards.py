import json
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset

from oddpair.errors import Refusal
from oddpair.files import read_table
from oddpair.retrieval.formats.folder import open_folder
from oddpair.retrieval.formats.image_parquet import open_image_parquet, write_image_parquet
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Bad
from oddpair.splits.exports import shards as export
from oddpair.splits.exports.folder import export_csv, export_folder
from oddpair.splits.exports.shards import export_image_parquet, export_webdataset
from oddpair.splits.exports.tables import export_datacomp, export_laion, export_parquet
from oddpair.splits.manifest import Manifest

CHOSEN = [1, 2, 4, 7, 8, 9, 13]
WAYS = {
    "webdataset": (export_webdataset, open_img2dataset, "write_shard", write_shard),
    "image-parquet": (export_image_parquet, open_image_parquet, "write_image_parquet", write_image_parquet),
}


@pytest.fixture(params=list(WAYS))
def way(request):
    """An export in shards, what opens it, and what writes one shard of it."""
    return WAYS[request.param]


def read(source):
    """All samples of a corpus and the tables of its columns."""
    samples = [item for shard in source.shards for item in source.stream(shard)]
    assert not [item for item in samples if isinstance(item, Bad)]
    return samples, [batch.table for shard in source.shards for batch in source.scan(shard, None)]


@pytest.mark.parametrize("rows_per_shard", [1, 2, 3, 7, 1000])
def test_an_exported_split_is_a_corpus_with_the_same_samples(tmp_path, numbered, way, rows_per_shard):
    write, open_again, *_ = way
    corpus = numbered.write(tmp_path / "corpus")
    assert write(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out", rows_per_shard=rows_per_shard) == 0
    found = open_again(locate(tmp_path / "out"))
    full = min(rows_per_shard, 2) if write is export_webdataset else rows_per_shard
    assert found.sizes[:-1] == (full,) * (len(found.sizes) - 1)
    samples, tables = read(found)
    assert [sample.uid for sample in samples] == [numbered.uid(number) for number in CHOSEN]
    assert [sample.image for sample in samples] == [numbered.image(number) for number in CHOSEN]
    assert [sample.caption for sample in samples] == [numbered.caption(number) for number in CHOSEN]
    assert len({sample.key for sample in samples}) == len(CHOSEN)
    assert samples[0].key == "000000000"
    table = pa.concat_tables(tables)
    assert table["style"].to_pylist() == ["photo" if number % 2 else "sketch" for number in CHOSEN]
    assert table["concepts"].to_pylist() == [[f"thing {number}"] for number in CHOSEN]
    assert table["url"].to_pylist() == [f"http://example.org/{number}" for number in CHOSEN]
    assert not (tmp_path / "out" / "quarantine.jsonl").exists()


def test_the_sizes_of_tars_are_written_where_a_trainer_looks(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    export_webdataset(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out")
    sizes = json.loads((tmp_path / "out" / "sizes.json").read_text())
    assert sizes == {"00000.tar": 2, "00001.tar": 2, "00002.tar": 2, "00003.tar": 1}


@pytest.mark.parametrize("n_rows", range(1, 15))
def test_there_are_four_tars_or_more_and_in_few_rows_one_for_each(tmp_path, numbered, n_rows):
    corpus = numbered.write(tmp_path / "corpus")
    export_webdataset(numbered.split(corpus, list(range(n_rows))), corpus, tmp_path / "out")
    sizes = json.loads((tmp_path / "out" / "sizes.json").read_text())
    assert sum(sizes.values()) == n_rows
    assert len(sizes) == n_rows if n_rows < 7 else 4 <= len(sizes) <= 5
    assert max(sizes.values()) - min(sizes.values()) <= 3


def test_a_trainer_reads_what_was_exported(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    export_webdataset(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out")
    tars = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    dataset = webdataset.WebDataset(tars, shardshuffle=False)
    samples = list(
        dataset.rename(image="jpg;png;jpeg;webp", text="txt", info="json").to_tuple("image", "text", "info")
    )
    assert [sample[0] for sample in samples] == [numbered.image(number) for number in CHOSEN]
    assert [sample[1].decode() for sample in samples] == [numbered.caption(number) for number in CHOSEN]
    assert [json.loads(sample[2])["uid"] for sample in samples] == [numbered.uid(number) for number in CHOSEN]


def test_a_corpus_without_a_uid_column_gets_one(tmp_path, numbered, way):
    write, open_again, *_ = way
    corpus = numbered.write(tmp_path / "corpus", with_uid=False)
    manifest = numbered.split(corpus, CHOSEN)
    write(manifest, corpus, tmp_path / "out")
    assert read_table(tmp_path / "out" / "00000.parquet").column_names[0] == "uid"
    assert sorted(numbered.uids(open_again(locate(tmp_path / "out")))) == manifest.uids.to_pylist()


def test_exporting_twice_gives_the_same_bytes(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    for name in ("one", "two"):
        way[0](manifest, corpus, tmp_path / name, rows_per_shard=3)
    assert numbered.files(tmp_path / "one") == numbered.files(tmp_path / "two")


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_export_that_was_stopped_goes_on_and_ends_in_the_same_bytes(
    tmp_path, numbered, way, monkeypatch, stop_after
):
    write, _, name, write_one = way
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    write(manifest, corpus, tmp_path / "whole", rows_per_shard=3)
    write(numbered.split(corpus, [0, 3]), corpus, tmp_path / "out", rows_per_shard=3)
    written: list[int] = []

    def write_or_die(folder: Path, index: int, **rest: object) -> None:
        if len(written) == stop_after:
            raise KeyboardInterrupt
        written.append(index)
        write_one(folder, index, **rest)

    monkeypatch.setattr(export, name, write_or_die)
    with pytest.raises(KeyboardInterrupt):
        write(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert not (tmp_path / "out" / "sizes.json").exists()  # not even that of the export it replaces
    assert written == list(range(stop_after))
    stop_after = 99
    write(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert written == list(
        range(4 if write is export_webdataset else 3)
    )  # what was whole was not written again
    assert numbered.files(tmp_path / "out") == numbered.files(tmp_path / "whole")


@pytest.mark.parametrize("name", ["00001.tar", "00001.parquet", "00001_stats.json", "sizes.json"])
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_shard_is_written_again(tmp_path, numbered, name, damage):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    whole = numbered.files(tmp_path / "out")
    if damage == "cut":
        (tmp_path / "out" / name).write_bytes(whole[name][: len(whole[name]) // 2])
    else:
        (tmp_path / "out" / name).unlink()
    export_webdataset(manifest, corpus, tmp_path / "out", rows_per_shard=3)
    assert numbered.files(tmp_path / "out") == whole


def test_shards_of_another_split_are_replaced_and_left_over_ones_refused(tmp_path, numbered, way):
    write, out = way[0], tmp_path / "out"
    corpus = numbered.write(tmp_path / "corpus")
    write(numbered.split(corpus, [0, 3, 5]), corpus, out, rows_per_shard=3)
    write(numbered.split(corpus, CHOSEN), corpus, out, rows_per_shard=3)
    write(numbered.split(corpus, CHOSEN), corpus, tmp_path / "fresh", rows_per_shard=3)
    assert numbered.files(out) == numbered.files(tmp_path / "fresh")
    with pytest.raises(
        Refusal, match=r"out holds 0000[13]\.parquet, which is no part of this export of [13] shards"
    ):
        write(numbered.split(corpus, [0, 3, 5]), corpus, out, rows_per_shard=3)
    assert numbered.files(out) == numbered.files(tmp_path / "fresh")


def test_pictures_are_read_only_in_shards_with_rows_of_the_split(tmp_path, numbered, monkeypatch):
    corpus = numbered.write(tmp_path / "corpus")
    read_in: list[str] = []
    stream = type(corpus).stream

    def note(self, shard):
        read_in.append(shard)
        return stream(self, shard)

    monkeypatch.setattr(type(corpus), "stream", note)
    export_webdataset(numbered.split(corpus, [1, 2, 13]), corpus, tmp_path / "out", rows_per_shard=1)
    assert read_in == ["00000", "00002"]


def replace_bytes(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize("rows_per_shard", [2, 1000])
def test_a_row_whose_picture_is_damaged_is_set_aside_and_the_others_are_exported(
    tmp_path, numbered, way, rows_per_shard
):
    write, open_again, *_ = way
    corpus = numbered.write(tmp_path / "corpus")
    image = numbered.image(7)
    replace_bytes(tmp_path / "corpus" / "00001.tar", image, image[:-1] + b"?")
    manifest = numbered.split(corpus, CHOSEN)
    assert write(manifest, corpus, tmp_path / "out", rows_per_shard=rows_per_shard) == 1
    whole = numbered.files(tmp_path / "out")
    samples, _ = read(open_again(locate(tmp_path / "out")))
    assert [sample.uid for sample in samples] == [numbered.uid(number) for number in CHOSEN if number != 7]
    (line,) = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["uid"] == numbered.uid(7)
    assert record["file"] == "00001.tar"
    assert "hash" in record["reason"]
    # A second run finds everything whole, and knows of the row.
    assert write(manifest, corpus, tmp_path / "out", rows_per_shard=rows_per_shard) == 1
    assert numbered.files(tmp_path / "out") == whole
    if write is export_webdataset:
        sizes = json.loads((tmp_path / "out" / "sizes.json").read_text())
        assert sum(sizes.values()) == len(CHOSEN) - 1


def test_a_shard_whose_only_picture_is_damaged_stays_empty_among_the_others(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    image = numbered.image(7)
    replace_bytes(tmp_path / "corpus" / "00001.tar", image, image[:-1] + b"?")
    manifest = numbered.split(corpus, [1, 7, 13])
    assert export_webdataset(manifest, corpus, tmp_path / "out") == 1
    whole = numbered.files(tmp_path / "out")
    sizes = json.loads(whole["sizes.json"])
    assert sizes == {"00000.tar": 1, "00001.tar": 0, "00002.tar": 1}
    samples, _ = read(open_img2dataset(locate(tmp_path / "out")))
    assert [sample.uid for sample in samples] == [numbered.uid(1), numbered.uid(13)]
    assert export_webdataset(manifest, corpus, tmp_path / "out") == 1
    assert numbered.files(tmp_path / "out") == whole


def test_rows_that_a_damaged_shard_no_longer_has_are_refused_with_its_damage(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    tar = tmp_path / "corpus" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(Refusal, match=r"lacks 2 of the 7 uids .* \(it is damaged: 00001\.tar: .*\): give"):
        way[0](manifest, corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_of_which_no_picture_is_left_is_refused(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    image = numbered.image(7)
    replace_bytes(tmp_path / "corpus" / "00001.tar", image, image[:-1] + b"?")
    with pytest.raises(Refusal, match=r"none of the 1 rows .* 00001\.tar: .*hash"):
        way[0](numbered.split(corpus, [7]), corpus, tmp_path / "out")


def test_a_download_that_is_no_picture_is_set_aside(tmp_path, numbered, way, root):
    corpus = open_img2dataset(locate(root / "tests" / "fixtures" / "img2dataset-raw"))
    manifest = Manifest(name="all", recipe="by_hand", uids=tuple(sorted(numbered.uids(corpus))))
    assert way[0](manifest, corpus, tmp_path / "out") == 1
    record = json.loads((tmp_path / "out" / "quarantine.jsonl").read_text())
    assert record["reason"] == "no picture, needed jpg, png, webp"
    samples, _ = read(way[1](locate(tmp_path / "out")))
    assert len(samples) == 10


def test_shards_that_differ_in_an_empty_column_are_joined(tmp_path, numbered):
    for index, values in enumerate((pa.nulls(2), pa.array(["cc-by", None]))):
        numbers = range(2 * index, 2 * index + 2)
        write_shard(
            tmp_path / "corpus",
            index,
            keys=make_keys(index, 2),
            captions=["a thing"] * 2,
            images=[numbered.image(number) for number in numbers],
            columns=pa.table({"uid": [numbered.uid(number) for number in numbers], "license": values}),
        )
    corpus = open_img2dataset(locate(tmp_path / "corpus"))
    export_webdataset(numbered.split(corpus, [0, 2, 3]), corpus, tmp_path / "out")
    tables = [read_table(tmp_path / "out" / f"{part:05d}.parquet") for part in range(3)]
    assert [table["license"].to_pylist() for table in tables] == [[None], ["cc-by"], [None]]
    export_image_parquet(numbered.split(corpus, [0, 2, 3]), corpus, tmp_path / "joined")
    joined = read_table(tmp_path / "joined" / "00000.parquet")
    assert joined["license"].to_pylist() == [None, "cc-by", None]


def test_a_uid_outside_the_corpus_is_refused_before_anything_is_written(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = Manifest(name="test", recipe="by_hand", uids=tuple(sorted([numbered.uid(1), "f" * 32])))
    with pytest.raises(Refusal, match=r"corpus lacks 1 of the 2 uids of split 'test', such as 'f{32}'"):
        way[0](manifest, corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_corpus_of_metadata_alone_has_no_pictures_to_export(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    export_laion(numbered.split(corpus, CHOSEN), corpus, tmp_path / "laion")
    metadata = open_laion(locate(tmp_path / "laion"))
    with pytest.raises(Refusal, match="no pictures: export it as uids, parquet, laion or datacomp"):
        way[0](numbered.split(metadata, [0]), metadata, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "write", [export_webdataset, export_folder, export_csv, export_laion, export_datacomp]
)
def test_pictures_without_captions_are_exported_as_ids_alone(tmp_path, numbered, write):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.png").write_bytes(numbered.image(1))
    corpus = open_folder(locate(tmp_path / "bare"))
    manifest = numbered.split(corpus, [0])
    with pytest.raises(
        Refusal, match=r"bare has no captions, .*--caption-template, or export it as uids or parquet"
    ):
        write(manifest, corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_parquet(manifest, corpus, tmp_path / "split.parquet")
    assert read_table(tmp_path / "split.parquet")["key"].to_pylist() == ["a.png"]


def test_no_rows_per_shard_is_an_error(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus", (2,))
    with pytest.raises(ValueError, match="0 rows a part, at least 1 is needed"):
        way[0](numbered.split(corpus, [0]), corpus, tmp_path / "out", rows_per_shard=0)
