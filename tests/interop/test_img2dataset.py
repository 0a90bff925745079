"""What the real img2dataset writes is a corpus, and what oddpair exports is one to it."""

import hashlib
import json
import tarfile

import pyarrow.parquet as pq
import pytest
from tests.interop import peers
from tests.interop.conftest import FROM_CSV, RAW, ROWS

from oddpair.retrieval.corpus import open_corpus

# Options, and how many samples they give: what is not decoded may be a page.
WAYS = {
    "raw": (RAW, 11),
    "again": (("--output_format=webdataset", "--image_size=32"), 10),
    "webp": (("--output_format=webdataset", "--image_size=32", "--encode_format=webp"), 10),
    "skip": (("--output_format=webdataset", "--resize_mode=no", "--skip_reencode=True"), 10),
    "parquet": (("--output_format=parquet", "--image_size=32"), 10),
    "parquet raw": (("--output_format=parquet", *RAW[1:]), 11),
    "files": (("--output_format=files", "--image_size=32"), 10),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_downloading_is_a_corpus(tmp_path, address, way):
    options, samples = WAYS[way]
    peers.write_urls(tmp_path / "urls.csv", address)
    peers.run_img2dataset(tmp_path / "urls.csv", tmp_path / "out", *FROM_CSV, *options)
    corpus = open_corpus(tmp_path / "out")
    assert len(corpus) == samples
    rows = [corpus.read(shard) for shard in corpus.shards]
    assert not [bad for part in rows for bad in part.bad]
    captions = {caption for part in rows for caption in part.captions}
    assert captions >= {
        peers.CAPTIONS[name].strip() if way == "files" else peers.CAPTIONS[name]
        for name in peers.draw_pictures()
    }
    if way.endswith("raw"):
        drawn = {hashlib.sha256(data).hexdigest() for data in peers.draw_pictures().values()}
        assert {hashlib.sha256(image).hexdigest() for part in rows for image in part.images} >= drawn


@pytest.mark.parametrize("way", ["raw", "again", "parquet"])
def test_the_fixtures_are_what_is_still_written(tmp_path, address, way):
    peers.write_urls(tmp_path / "urls.csv", address)
    peers.run_img2dataset(tmp_path / "urls.csv", tmp_path / "out", *FROM_CSV, *WAYS[way][0], rows_per_shard=6)
    fixture = peers.ROOT / "tests" / "fixtures" / f"img2dataset-{'jpg' if way == 'again' else way}"
    names = sorted(path.name for path in fixture.iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in (name for name in names if name.endswith(".parquet")):
        found, kept = pq.read_table(tmp_path / "out" / name), pq.read_table(fixture / name)
        assert found.schema.equals(kept.schema, check_metadata=True)
        # Ports differ, and the order is that of the downloads.
        rest = found.drop_columns(["url"]).sort_by("key")
        assert rest.equals(kept.drop_columns(["url"]).sort_by("key"))


def test_hashes_of_laion_survive_a_download(tmp_path, address):
    peers.write_laion(tmp_path / "laion.parquet", address, ["00.jpg", "06.png", "02.jpg", "09.jpg"])
    peers.run_img2dataset(
        tmp_path / "laion.parquet",
        tmp_path / "out",
        "--input_format=parquet",
        "--url_col=URL",
        "--caption_col=TEXT",
        '--save_additional_columns=["hash","similarity"]',
        *RAW,
    )
    hashes = pq.read_table(tmp_path / "laion.parquet")["hash"].to_pylist()
    found = open_corpus(tmp_path / "out").metadata()["uid"].to_pylist()
    # The last row has no caption.
    assert sorted(found) == sorted(f"{value % (1 << 64):016x}" for value in hashes[:-1])


def test_a_download_is_embedded_counted_split_and_exported(
    tmp_path, download, embeddings, expected, export, oddpair
):
    assert len(open_corpus(download)) == ROWS
    oddpair("count", download, "--out", tmp_path / "counts")
    meta = json.loads((tmp_path / "counts" / "meta.json").read_text())
    assert meta["n_captions"] == ROWS
    assert expected
    shards = open_corpus(export("webdataset"))
    assert sorted(shards.metadata()["uid"].to_pylist()) == sorted(expected)


@pytest.mark.parametrize("kind", ["webdataset", "image-parquet", "folder", "csv", "laion", "datacomp"])
def test_every_export_holds_the_same_samples(export, expected, kind):
    folder = export(kind)
    table = open_corpus(folder / "list.tsv" if kind == "csv" else folder).metadata()
    assert dict(zip(table["uid"].to_pylist(), table["caption"].to_pylist(), strict=True)) == {
        uid: caption for uid, (caption, _) in expected.items()
    }


@pytest.mark.parametrize(
    ("kind", "columns"),
    [("laion", ("URL", "TEXT")), ("datacomp", ("url", "text"))],
    ids=["laion", "datacomp"],
)
def test_img2dataset_downloads_exported_metadata(tmp_path, export, expected, kind, columns):
    peers.run_img2dataset(
        export(kind),
        tmp_path / "out",
        "--input_format=parquet",
        f"--url_col={columns[0]}",
        f"--caption_col={columns[1]}",
        *RAW,
        rows_per_shard=1000,
    )
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    rows = [(row["caption"], row["url"]) for table in tables for row in table.to_pylist()]
    assert sorted(rows) == sorted(expected.values())
    assert {status for table in tables for status in table["status"].to_pylist()} == {"success"}


def test_the_webdataset_that_img2dataset_uses_reads_exported_shards(export, expected):
    folder = export("webdataset")
    found = json.loads(peers.run_python("read_tars.py", *map(str, sorted(folder.glob("*.tar")))))
    assert {uid: caption for uid, caption, _ in found} == {
        uid: caption for uid, (caption, _) in expected.items()
    }
    stored = {}
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.endswith((".json", ".txt")):
                    file = tar.extractfile(member)
                    assert file is not None
                    stored[member.name.split(".")[0]] = hashlib.sha256(file.read()).hexdigest()
    assert sorted(digest for _, _, digest in found) == sorted(stored.values())
