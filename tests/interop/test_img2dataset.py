"""What the real img2dataset writes is a corpus, and what oddpair exports is one to it."""

import functools
import hashlib
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.interop import peers
from tests.interop.conftest import FROM_CSV, RAW, UNTOUCHED

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

# Options, and how many samples they give: what is not decoded may be a page.
WAYS = {
    "raw": (RAW, 11),
    "again": (("--output_format=webdataset", "--image_size=32"), 10),
    "webp": (("--output_format=webdataset", "--image_size=32", "--encode_format=webp"), 10),
    "skip": (("--output_format=webdataset", "--resize_mode=no", "--skip_reencode=True"), 10),
    "parquet": (("--output_format=parquet", "--image_size=32"), 10),
    "parquet raw": (("--output_format=parquet", *UNTOUCHED), 11),
    "files": (("--output_format=files", "--image_size=32"), 10),
}
LAYOUTS = {"webdataset": "img2dataset", "parquet": "image-parquet", "files": "folder"}


def bytes_of(rows):
    return sorted(row.astype(np.float16).tobytes() for row in rows)


def read_tars(folder):
    """Caption and sha256 of the picture of every sample, by uid, as webdataset reads them."""
    found = json.loads(peers.run_python("read_tars.py", *map(str, sorted(folder.glob("*.tar")))))
    assert len({uid for uid, _, _ in found}) == len(found)
    return {uid: (caption, digest) for uid, caption, digest in found}


@pytest.mark.tool("img2dataset", "writes shards, tables and files in seven ways, and oddpair reads them")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_downloading_is_a_corpus(tmp_path, address, way):
    options, samples = WAYS[way]
    peers.write_urls(tmp_path / "urls.csv", address)
    peers.run_img2dataset(tmp_path / "urls.csv", tmp_path / "out", *FROM_CSV, *options)
    corpus = open_corpus(tmp_path / "out")
    assert corpus.layout == LAYOUTS[options[0].removeprefix("--output_format=")]
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


@pytest.mark.tool("img2dataset", "still writes what the fixtures of the tests hold")
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


@pytest.mark.tool("mmh3", "makes LAION's hash, which is the uid before and after a download")
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


@pytest.fixture(scope="module")
def unseen(tmp_path_factory, downloads, oddpair):
    """The table of unseen pairs of a download in one of the formats, made once."""

    @functools.cache
    def split(kind):
        out = tmp_path_factory.mktemp("unseen") / kind
        oddpair(
            "split", "unseen-pairs", "--corpus", downloads(kind), "--set", "minimum_count=1", "--out", out
        )
        return out / "splits" / "pairs.parquet"

    return split


@pytest.mark.tool("img2dataset", "each of its outputs: embed, count, split, export by the command line")
@pytest.mark.parametrize("kind", ["webdataset", "parquet", "files"])
def test_a_download_goes_the_whole_way(tmp_path, downloads, embedded, unseen, oddpair, kind):
    corpus, tars = downloads(kind), downloads("webdataset")
    assert open_corpus(corpus).layout == LAYOUTS[kind]
    assert not (embedded(kind) / "quarantine.jsonl").read_text()
    ours = load_embeddings(embedded(kind))
    assert ours.encoder == load_embeddings(embedded("webdataset")).encoder
    # The order is that of the downloads, the uid of a file is made of its bytes, and the rows are the same.
    assert bytes_of(ours.image) == bytes_of(load_embeddings(embedded("webdataset")).image)
    assert bytes_of(ours.text) == bytes_of(load_embeddings(embedded("webdataset")).text)
    assert (set(ours.uids) == set(open_corpus(tars).metadata()["uid"].to_pylist())) == (kind != "files")

    oddpair("count", corpus, "--out", tmp_path / "counts")
    counted = pq.read_table(tmp_path / "counts" / "counts.parquet").to_pylist()
    most = max(counted, key=lambda row: (row["count_text"], row["name"]))
    named = re.compile(rf"\b{re.escape(most['name'])}s?\b", re.IGNORECASE)
    assert most["count_text"] == sum(named.search(caption) is not None for caption in ours.captions)
    assert unseen(kind).read_bytes() == unseen("webdataset").read_bytes()
    assert pq.read_table(unseen(kind)).num_rows

    if kind == "files":
        # Nothing but pictures and captions is there, no labels.
        chosen = tuple(sorted(ours.uids)[::3])
        write_manifest(tmp_path / "third", Manifest(name="third", recipe="hand", uids=chosen))
        split = tmp_path / "third"
    else:
        asked = ("--corpus", corpus, "--embeddings", embedded(kind), "--set", "precision=0.5")
        oddpair("split", "style-strict", *asked, "--out", tmp_path / "styles")
        split = tmp_path / "styles" / "splits" / "natural-strict"
    oddpair("verify", split)
    oddpair("export", split, "--corpus", corpus, "--as", "webdataset", "--out", tmp_path / "export")
    caption_of = dict(zip(ours.uids, ours.captions, strict=True))
    found = read_tars(tmp_path / "export")
    assert {uid: caption for uid, (caption, _) in found.items()} == {
        uid: caption_of[uid] for uid in read_manifest(split).uids.to_pylist()
    }
    pictures = open_corpus(corpus).find_pictures(found)
    assert {uid: digest for uid, (_, digest) in found.items()} == {
        uid: hashlib.sha256(picture).hexdigest() for uid, picture in pictures.items()
    }


@pytest.mark.tool("img2dataset", "downloads exported LAION and DataComp metadata")
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


@pytest.mark.tool("webdataset", "reads exported shards, in the version that img2dataset uses")
def test_the_webdataset_that_img2dataset_uses_reads_exported_shards(export, expected):
    assert {uid: caption for uid, (caption, _) in read_tars(export("webdataset")).items()} == {
        uid: caption for uid, (caption, _) in expected.items()
    }
