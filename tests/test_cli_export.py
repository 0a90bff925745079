"""``oddpair export`` as a user runs it: where the corpus is found, what is allowed to be missing, and the small kinds."""

import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from tests.command import files_in, run

from oddpair import files
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest


@pytest.fixture(scope="module")
def place(tmp_path_factory, drawn):
    """A corpus, a test set and a reference set in folders, and splits of them where ``oddpair split`` would put them."""
    folder = tmp_path_factory.mktemp("export")
    corpus = shutil.copytree(drawn, folder / "corpus")
    uids = sorted(open_corpus(corpus).metadata()["uid"].to_pylist())[::17]
    write_manifest(folder / "run" / "splits" / "some", Manifest(name="some", recipe="hand", uids=uids))
    for name in ("test", "reference"):
        image = (folder / name / "hot_dog" / "1.png", folder / name / "cat" / "2.png")
        for number, path in enumerate(image):
            path.parent.mkdir(parents=True)
            path.write_bytes(picture(name, number))
        rows = sorted(open_corpus(folder / name).metadata()["uid"].to_pylist())
        split = Manifest(name=name, recipe="hand", of="sketches" if name == "test" else name, uids=rows)
        write_manifest(folder / "run" / "splits" / name, split)
    sources = {
        "corpus": str(corpus),
        "tests": {"sketches": str(folder / "test")},
        "reference": str(folder / "reference"),
    }
    files.write_json(folder / "run" / "sources.json", sources)
    return folder


def picture(name, number):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 3), (number, len(name), 0)).save(file, "PNG")
    return file.getvalue()


def test_the_corpus_is_found_where_the_split_was_made(place, tmp_path):
    split = place / "run" / "splits" / "some"
    status, said = run("export", split, "--out", tmp_path / "found")
    assert status == 0
    manifest = read_manifest(split)
    assert f"some: {len(manifest)} rows as webdataset" in said
    run("export", split, "--corpus", place / "corpus", "--out", tmp_path / "named")
    assert files_in(tmp_path / "found") == files_in(tmp_path / "named")
    assert sorted(open_corpus(tmp_path / "found").metadata()["uid"].to_pylist()) == manifest.uids.to_pylist()


def test_a_split_of_a_test_set_is_exported_from_the_test_set(place, tmp_path):
    split = place / "run" / "splits" / "test"
    assert run("export", split, "--as", "parquet", "--out", tmp_path / "out")[0] == 0
    assert files.read_table(tmp_path / "out" / "test.parquet")["key"].to_pylist() != []


def test_a_reference_set_is_exported_with_captions_of_its_classes(place, tmp_path):
    split = place / "run" / "splits" / "reference"
    status, said = run("export", split, "--out", tmp_path / "out")
    assert status == 2
    assert "has no captions, and this format has one in every row" in said
    options = ("--caption-template", "a photo of a {}", "--out", tmp_path / "out")
    assert run("export", split, *options)[0] == 0
    captions = open_corpus(tmp_path / "out").metadata()["caption"].to_pylist()
    assert sorted(captions) == ["a photo of a cat", "a photo of a hot dog"]


def test_a_split_that_lies_elsewhere_needs_its_corpus_named(place, tmp_path):
    split = shutil.copytree(place / "run" / "splits" / "some", tmp_path / "some")
    status, line = run("export", split, "--out", tmp_path / "out")
    assert status == 2
    assert "does not lie where oddpair split put it, with a note of its corpus: name it with --corpus" in line


def test_lists_of_uids_need_no_corpus(place, tmp_path):
    split = shutil.copytree(place / "run" / "splits" / "some", tmp_path / "some")
    assert run("export", split, "--as", "uids-text", "--out", tmp_path / "text")[0] == 0
    assert run("export", split, "--as", "uids", "--out", tmp_path / "npy")[0] == 0
    manifest = read_manifest(split)
    data = (tmp_path / "text" / "some.txt").read_bytes()
    assert hashlib.sha256(data).hexdigest() == manifest.uids_sha256
    pairs = np.load(tmp_path / "npy" / "some.npy")
    assert [f"{upper:016x}{lower:016x}" for upper, lower in pairs.tolist()] == manifest.uids.to_pylist()


def test_rows_in_a_shard_are_chosen_and_four_shards_are_the_fewest(place, tmp_path):
    split = place / "run" / "splits" / "some"
    run("export", split, "--rows-per-shard", 3, "--out", tmp_path / "three")
    n_rows = len(read_manifest(split))
    sizes = json.loads((tmp_path / "three" / "sizes.json").read_text())
    assert len(sizes) == -(-n_rows // 3)
    run("export", split, "--out", tmp_path / "usual")
    assert len(json.loads((tmp_path / "usual" / "sizes.json").read_text())) == 4


@pytest.fixture
def rotten(place, tmp_path):
    """A copy of the corpus that has lost its last shard, and the rows of the split in it."""
    shutil.copytree(place / "corpus", tmp_path / "copy")
    lost = set(open_corpus(place / "corpus").only("00002").metadata()["uid"].to_pylist())
    for path in (tmp_path / "copy").glob("00002*"):
        path.unlink()
    return tmp_path / "copy", lost & set(read_manifest(place / "run" / "splits" / "some").uids.to_pylist())


def test_what_is_missing_is_refused_unless_it_is_allowed_and_then_listed(place, rotten, tmp_path):
    copy, lost = rotten
    split = place / "run" / "splits" / "some"
    manifest = read_manifest(split)
    status, line = run("export", split, "--corpus", copy, "--out", tmp_path / "out")
    assert status == 2
    assert f"lacks {len(lost)} of the {len(manifest)} uids" in line
    assert line.endswith("or export what is there with --allow-missing")
    status, said = run("export", split, "--corpus", copy, "--allow-missing", "--out", tmp_path / "out")
    assert status == 0
    assert f"some: {len(manifest) - len(lost)} rows as webdataset" in said
    assert f"{len(lost)} of {len(manifest)} rows are no longer in the corpus" in said
    listed = [json.loads(line) for line in (tmp_path / "out" / "missing.jsonl").read_text().splitlines()]
    assert [row["uid"] for row in listed] == sorted(lost)
    assert {row["reason"] for row in listed} == {"not listed"}
    kept = open_corpus(tmp_path / "out").metadata()["uid"].to_pylist()
    assert sorted([*kept, *lost]) == manifest.uids.to_pylist()
    before = files_in(tmp_path / "out")
    assert run("export", split, "--corpus", copy, "--allow-missing", "--out", tmp_path / "out")[0] == 0
    assert files_in(tmp_path / "out") == before


def test_a_corpus_that_has_nothing_of_a_split_is_refused_even_so(place, tmp_path):
    split = place / "run" / "splits" / "some"
    options = ("--allow-missing", "--as", "parquet", "--out", tmp_path / "out")
    status, line = run("export", split, "--corpus", place / "test", *options)
    assert status == 2
    assert "has none of the" in line
    assert "oddpair coverage --by" in line
    assert files_in(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--as", "uids", "--rows-per-shard", 3), "--rows-per-shard: uids is one file: leave the option out"),
        (("--as", "parquet", "--rows-per-shard", 3), "--rows-per-shard: parquet is one file"),
        (
            ("--as", "uids-text", "--allow-missing"),
            "--allow-missing: uids-text lists the uids of the split alone",
        ),
        (("--as", "uids", "--caption-template", "{}"), "--caption-template: uids lists"),
        (("--class-column", "style"), "--class-column is what captions are made of: give --caption-template"),
        (("--caption-template", "a photo"), "--caption-template 'a photo' must hold one {} for the class"),
    ],
)
def test_options_that_say_nothing_are_refused(place, tmp_path, options, expected):
    status, line = run("export", place / "run" / "splits" / "some", *options, "--out", tmp_path / "out")
    assert status == 2
    assert expected in line
    assert files_in(tmp_path / "out") == {}


def test_hashes_of_addresses_are_a_table_of_every_row(tmp_path, numbered_listing):
    corpus, manifest = numbered_listing
    assert (
        run("export", tmp_path / "s", "--corpus", corpus, "--as", "url-hash", "--out", tmp_path / "out")[0]
        == 0
    )
    table = files.read_table(tmp_path / "out" / "s.parquet")
    assert table.column_names == ["uid", "url_sha256", "text_sha256", "laion_hash"]
    assert table["uid"].to_pylist() == manifest.uids.to_pylist()


@pytest.fixture
def numbered_listing(tmp_path):
    from oddpair.retrieval.formats.laion import write_laion

    rows = {"url": [f"http://example.org/{n}" for n in range(9)], "caption": [f"thing {n}" for n in range(9)]}
    write_laion(tmp_path / "laion" / "part-00000.parquet", pa.table(rows))
    uids = sorted(open_corpus(tmp_path / "laion").metadata()["uid"].to_pylist())[:5]
    manifest = Manifest(name="s", recipe="hand", uids=uids)
    write_manifest(tmp_path / "s", manifest)
    return tmp_path / "laion", manifest
