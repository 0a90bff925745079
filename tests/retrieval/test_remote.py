"""Every layout in a store behind a URL is the corpus that it is on disk: rows, pictures, embeddings, quarantine."""

import csv
import shutil
from pathlib import Path

import fsspec
import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, read_records
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.embeddings import load_embeddings

FIXTURES = Path(__file__).parents[1] / "fixtures"
STORE = "remote-corpora"
# Name, layout, and columns to ask for.
WRITTEN_BY_TOOLS = {
    "img2dataset-raw": ("img2dataset", ["url", "status"]),
    "img2dataset-jpg": ("img2dataset", ["url", "width"]),
    "img2dataset-laion": ("img2dataset", ["similarity"]),
    "img2dataset-parquet": ("image-parquet", ["url", "sha256"]),
    "laion": ("laion", ["url", "punsafe"]),
    "datacomp": ("datacomp", ["url", "sha256"]),
    "clip-retrieval": ("clip-retrieval", ["url"]),
}
DERIVED = {
    "webdataset": ("webdataset", ["url"]),
    "listed": ("folder", ["style"]),
    "bare": ("folder", []),
    "files": ("folder", []),
    "damaged": ("img2dataset", ["url"]),
}
LAYOUTS = WRITTEN_BY_TOOLS | DERIVED
EMBEDDED = [name for name, (layout, _) in LAYOUTS.items() if layout != "laion"]
PICTURED = [
    name for name, (layout, _) in LAYOUTS.items() if layout not in ("laion", "datacomp", "clip-retrieval")
]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder with one corpus of each layout."""
    folder = tmp_path_factory.mktemp("local")
    for name in WRITTEN_BY_TOOLS:
        shutil.copytree(FIXTURES / name, folder / name)
    (folder / "webdataset").mkdir()
    for path in (FIXTURES / "img2dataset-raw").glob("*.tar"):
        shutil.copy(path, folder / "webdataset")
    rows = open_corpus(FIXTURES / "img2dataset-jpg").read("00000")
    (folder / "listed" / "images").mkdir(parents=True)
    with (folder / "listed" / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption", "uid", "style"])
        for key, caption, uid, image in zip(rows.keys, rows.captions, rows.uids, rows.images, strict=True):
            (folder / "listed" / "images" / f"{key}.jpg").write_bytes(image)
            writer.writerow([f"images/{key}.jpg", caption, uid, "photo"])
    # As img2dataset's third output lies on disk: a table and the stats of each shard beside its folder.
    for name, tables in (("bare", ()), ("files", (".parquet", "_stats.json"))):
        (folder / name / "00000").mkdir(parents=True)
        for key, caption, image in zip(rows.keys, rows.captions, rows.images, strict=True):
            (folder / name / "00000" / f"{key}.jpg").write_bytes(image)
            (folder / name / "00000" / f"{key}.txt").write_text(caption, encoding="utf-8")
        for ending in tables:
            shutil.copy(FIXTURES / "img2dataset-jpg" / f"00000{ending}", folder / name)
    shutil.copytree(FIXTURES / "img2dataset-raw", folder / "damaged")
    tar = folder / "damaged" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    return folder


@pytest.fixture(scope="module")
def store(local):
    """The same corpora in fsspec's memory."""
    system = fsspec.filesystem("memory")
    for path in sorted(local.rglob("*")):
        if path.is_file():
            system.pipe(f"/{STORE}/{path.relative_to(local).as_posix()}", path.read_bytes())
    yield f"memory://{STORE}"
    system.rm(f"/{STORE}", recursive=True)


def test_a_listed_picture_that_is_not_in_the_store_is_set_aside(local, store, tmp_path):
    name = next((local / "listed" / "images").iterdir()).name
    system, place = fsspec.filesystem("memory"), f"/{STORE}/holed"
    system.copy(f"/{STORE}/listed", place, recursive=True)
    system.rm(f"{place}/images/{name}")
    here = open_corpus(shutil.copytree(local / "listed", tmp_path / "holed"))
    whole = here.identify()
    (tmp_path / "holed" / "images" / name).unlink()
    there = open_corpus(f"{store}/holed")
    assert samples_of(there) == samples_of(here)
    assert there.identify() == here.identify() != whole
    assert content(embed(there, tmp_path / "there")) == content(embed(here, tmp_path / "here"))
    assert [line.reason for record in read_records(tmp_path / "there") for line in record.bad] == [
        "no such file"
    ]


def rows_of(corpus, columns):
    batches = list(corpus.batches(columns))
    return [row for batch in batches for row in batch.table.to_pylist()], [
        bad for batch in batches for bad in batch.bad
    ]


def samples_of(corpus):
    return [found for shard in corpus.shards for found in corpus.stream(shard)]


def embed(corpus, out):
    tower = None if corpus.source.embedded else Tower(model="reference")
    embed_corpora([EmbedTask(corpus=corpus, out=out, tower=tower)], workers=1)
    return out


def content(folder):
    """Bytes of every array, table and quarantine, and what the manifest and the records say but of the files."""
    found: dict[str, object] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".npy", ".parquet", ".jsonl")
    }
    manifest = files.read_json(folder / "manifest.json")
    found["manifest"] = {name: value for name, value in manifest.items() if name not in ("files", "corpus")}
    found["names"] = sorted(manifest["files"])
    found["records"] = [
        (record.seen, record.kept, record.outside, record.bad) for record in read_records(folder)
    ]
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_corpus_in_a_store_has_the_rows_it_has_on_disk(local, store, name):
    layout, columns = LAYOUTS[name]
    here, there = open_corpus(local / name), open_corpus(f"{store}/{name}")
    assert here.layout == there.layout == layout
    assert (there.shards, there.sizes, there.captioned) == (here.shards, here.sizes, here.captioned)
    assert there.source.notes == here.source.notes
    found, bad = rows_of(there, columns)
    assert (found, bad) == rows_of(here, columns)
    assert len(found) + sum(line.rows for line in bad) == len(here)
    assert there.metadata(columns).equals(here.metadata(columns))
    assert list(there.identify()) == list(here.identify())


@pytest.mark.parametrize("name", PICTURED)
def test_a_corpus_in_a_store_has_the_pictures_it_has_on_disk(local, store, name):
    here, there = open_corpus(local / name), open_corpus(f"{store}/{name}")
    assert samples_of(there) == samples_of(here)
    uids = here.metadata()["uid"].to_pylist()[1::2]
    found = there.find_pictures(uids)
    assert found == here.find_pictures(uids)
    assert found
    read = there.read(there.shards[0])
    assert (read.uids, read.bad) == (here.read(here.shards[0]).uids, here.read(here.shards[0]).bad)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_corpus_in_a_store_is_embedded_to_the_bytes_it_gives_on_disk(
    local, store, name, tmp_path, monkeypatch
):
    here, there = open_corpus(local / name), open_corpus(f"{store}/{name}")
    expected = content(embed(here, tmp_path / "here"))
    out = embed(there, tmp_path / "there")
    assert content(out) == expected
    records = read_records(out)
    quarantined = sum(line.rows for record in records for line in record.bad)
    assert sum(record.kept for record in records) + quarantined == len(there)
    monkeypatch.setattr("oddpair.retrieval.embed.embed_shard", None)
    assert content(embed(there, out)) == expected
    assert load_embeddings(out).uids == load_embeddings(tmp_path / "here").uids


@pytest.mark.parametrize(
    "pattern",
    [
        "img2dataset-jpg/{00000..00001}.tar",
        "img2dataset-jpg/00001.tar::img2dataset-raw/00000.tar",
        "webdataset/{00000..00001}.tar",
        "webdataset/00000.tar::webdataset/00001.tar",
        "img2dataset-parquet/{00000,00001}.parquet",
        "laion/part-00000-fixture.snappy.parquet",
        "listed/list.csv",
    ],
)
def test_a_list_of_files_in_a_store_is_the_corpus_it_is_on_disk(local, store, pattern):
    def named(root):
        return "::".join(f"{root}/{part}" for part in pattern.split("::"))

    here, there = open_corpus(named(local)), open_corpus(named(store))
    assert (there.layout, there.shards, there.sizes) == (here.layout, here.shards, here.sizes)
    assert rows_of(there, []) == rows_of(here, [])
    if here.pictures:
        assert samples_of(there) == samples_of(here)


def test_a_tar_in_a_store_is_named_with_the_tag_that_the_store_keeps(store, tmp_path, monkeypatch):
    system = fsspec.filesystem("memory")
    info = system.info
    monkeypatch.setattr(
        system, "info", lambda path, **kw: {**info(path, **kw), "ETag": '"ab"'}, raising=False
    )
    out = embed(open_corpus(f"{store}/img2dataset-laion"), tmp_path / "out")
    size = (FIXTURES / "img2dataset-laion" / "00000.tar").stat().st_size
    assert files.read_json(out / "manifest.json")["files"]["00000.tar"] == f"ab {size}"


def test_a_subset_limits_a_corpus_in_a_store(store, local):
    subset = FIXTURES / "datacomp-subset.npy"
    here, there = open_corpus(local / "datacomp", subset), open_corpus(f"{store}/datacomp", subset)
    assert there.metadata(["copies"]).equals(here.metadata(["copies"]))


def test_a_shard_that_is_not_in_the_store_is_refused_by_name(store):
    with pytest.raises(Refusal, match=r"memory://remote-corpora/webdataset.* lacks 00002\.tar"):
        open_corpus(f"{store}/webdataset/{{00000..00002}}.tar")
    with pytest.raises(Refusal, match="memory://remote-corpora/none does not exist"):
        open_corpus(f"{store}/none")
