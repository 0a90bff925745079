import csv
import json

import pytest
from PIL import Image

from oddpair.errors import Refusal
from oddpair.files import write_bytes
from oddpair.retrieval.formats.folder import open_folder
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Bad
from oddpair.splits.exports import folder as module
from oddpair.splits.exports.folder import export_csv, export_folder
from oddpair.splits.manifest import Manifest

CHOSEN = [1, 2, 4, 7, 8, 9, 13]
WAYS = {"folder": (export_folder, "list.csv"), "csv": (export_csv, "list.tsv")}


@pytest.fixture(params=list(WAYS))
def way(request):
    """An export as files, and the name of its listing."""
    return WAYS[request.param]


def open_again(folder, listing):
    # Absolute paths are followed where the user names the listing.
    return open_folder(locate(folder / listing))


@pytest.mark.parametrize("rows_per_folder", [1, 3, 1000])
def test_an_exported_folder_is_a_corpus_with_the_same_samples(tmp_path, numbered, way, rows_per_folder):
    write, listing = way
    corpus = numbered.write(tmp_path / "corpus")
    found = write(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out", rows_per_folder=rows_per_folder)
    assert found == 0
    source = open_again(tmp_path / "out", listing)
    samples = [item for shard in source.shards for item in source.stream(shard)]
    assert not [item for item in samples if isinstance(item, Bad)]
    assert [sample.uid for sample in samples] == [numbered.uid(number) for number in CHOSEN]
    assert [sample.image for sample in samples] == [numbered.image(number) for number in CHOSEN]
    assert [sample.caption for sample in samples] == [numbered.caption(number) for number in CHOSEN]


def test_a_folder_keeps_the_other_columns(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    export_folder(numbered.split(corpus, CHOSEN), corpus, tmp_path / "out", rows_per_folder=4)
    with (tmp_path / "out" / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [
        f"{place // 4:05d}/{place:09d}.{'png' if number % 3 else 'jpg'}"
        for place, number in enumerate(CHOSEN)
    ]
    assert [row["style"] for row in rows] == ["photo" if number % 2 else "sketch" for number in CHOSEN]
    assert [json.loads(row["concepts"]) for row in rows] == [[f"thing {number}"] for number in CHOSEN]


def test_paths_for_open_clip_open_from_anywhere(tmp_path, numbered, monkeypatch):
    corpus = numbered.write(tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    relative = tmp_path.relative_to(tmp_path) / "out"
    export_csv(numbered.split(corpus, CHOSEN), corpus, relative)
    monkeypatch.chdir("/")
    lines = (tmp_path / "out" / "list.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["filepath", "title", "uid"]
    for number, line in zip(CHOSEN, lines[1:], strict=True):
        path, title, uid = line.split("\t")
        assert (title, uid) == (numbered.caption(number), numbered.uid(number))
        with Image.open(path) as picture:
            assert picture.size == (4, 3)


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_an_export_that_was_stopped_goes_on_and_ends_in_the_same_bytes(
    tmp_path, numbered, monkeypatch, stop_after
):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    export_folder(manifest, corpus, tmp_path / "whole", rows_per_folder=3)
    written: list[str] = []

    def write_or_die(path, data):
        if len(written) == stop_after:
            raise KeyboardInterrupt
        written.append(path.name)
        write_bytes(path, data)

    monkeypatch.setattr(module, "write_bytes", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        export_folder(manifest, corpus, tmp_path / "out", rows_per_folder=3)
    assert not (tmp_path / "out" / "list.csv").exists()
    stop_after = 99
    export_folder(manifest, corpus, tmp_path / "out", rows_per_folder=3)
    assert len(written) == len(CHOSEN)  # what was there was not written again
    assert numbered.files(tmp_path / "out") == numbered.files(tmp_path / "whole")


def test_a_download_that_is_no_picture_is_set_aside(tmp_path, numbered, way, root):
    write, listing = way
    corpus = open_img2dataset(locate(root / "tests" / "fixtures" / "img2dataset-raw"))
    manifest = Manifest(name="all", recipe="by_hand", uids=tuple(sorted(numbered.uids(corpus))))
    assert write(manifest, corpus, tmp_path / "out") == 1
    record = json.loads((tmp_path / "out" / "quarantine.jsonl").read_text())
    assert record["reason"].startswith("no picture, needed jpg, png, webp")
    source = open_again(tmp_path / "out", listing)
    assert source.sizes == (10,)
    captions = [row for batch in source.scan(source.shards[0]) for row in batch.table["caption"].to_pylist()]
    assert "猫とりんご" in captions
    assert 'the "best" coffee — ever' in captions


def test_a_folder_with_another_listing_is_refused(tmp_path, numbered, way):
    corpus = numbered.write(tmp_path / "corpus")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.csv").touch()
    with pytest.raises(Refusal, match=r"out holds mine\.csv, which is no part of this export"):
        way[0](numbered.split(corpus, CHOSEN), corpus, tmp_path / "out")


def test_metadata_alone_is_no_folder_of_pictures(tmp_path, numbered, way, root):
    corpus = open_laion(locate(root / "tests" / "fixtures" / "laion"))
    with pytest.raises(Refusal, match="no pictures: export it as uids, parquet, laion or datacomp"):
        way[0](numbered.split(corpus, [0]), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
