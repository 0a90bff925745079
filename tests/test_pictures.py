"""The commands on real photographs and drawings that people made, as a user's folder: ../shared/pictures."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import read_manifest
from oddpair.splits.pairs.unseen_pairs import PairTable

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT.parent / "shared" / "pictures"
SPLITS = ("natural-strict", "rendition-strict", "natural-test", "rendition-test")

pytestmark = pytest.mark.skipif(
    not PICTURES.is_dir(), reason=f"{PICTURES} is absent: real pictures are no part of the repository"
)


@pytest.fixture(scope="module")
def oddpair():
    def run(*arguments):
        result = CliRunner().invoke(
            cli.app, [str(argument) for argument in arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture(scope="module")
def corpus():
    return open_corpus(PICTURES)


@pytest.fixture(scope="module")
def embeddings(oddpair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "embeddings"
    said = oddpair("embed", PICTURES, "--out", folder, "--workers", 1)
    assert said.startswith("413 rows of dimension 128")
    return folder


@pytest.fixture(scope="module")
def strict(oddpair, embeddings):
    out = embeddings.parent / "style-strict"
    options = ("--set", "precision=0.5", "--embeddings", embeddings, "--workers", 1)
    oddpair("split", "style-strict", "--corpus", PICTURES, "--out", out, *options)
    return out / "splits"


@pytest.fixture(scope="module")
def styles(corpus):
    metadata = corpus.metadata(["style"])
    return dict(zip(metadata["uid"].to_pylist(), metadata["style"].to_pylist(), strict=True))


def test_the_folder_holds_415_pictures_two_of_them_copies_and_none_is_bad(corpus, embeddings):
    manifest = files.read_json(embeddings / "manifest.json")
    assert (len(corpus), len(corpus.metadata())) == (415, 413)
    assert (sum(manifest["rows"]), manifest["quarantined"], manifest["repeated"]) == (413, 2, 2)


def test_the_split_is_style_strict_with_a_card_and_its_guarantee(strict, styles):
    manifests = {name: read_manifest(strict / name) for name in SPLITS}
    members = [set(manifest.uids.to_pylist()) for manifest in manifests.values()]
    assert len(set.union(*members)) == sum(map(len, members))
    natural = manifests["natural-strict"]
    claims = {claim.values["claim"]: claim.values for claim in natural.statement}
    assert claims["precision"]["at_least"] >= 0.5
    assert claims["nearest"]["tests"] == ["rendition-test"]
    assert "search against the test images" not in dict(natural.card)
    photos = np.mean([styles[uid] == "photo" for uid in manifests["natural-strict"].uids.to_pylist()])
    assert photos >= 0.5
    assert {styles[uid] for uid in manifests["natural-test"].uids.to_pylist()} == {"photo"}
    assert {styles[uid] for uid in manifests["rendition-test"].uids.to_pylist()} == {"cartoon", "clipart"}


def test_the_page_shows_every_split_without_the_network(strict):
    page = (strict / "card.html").read_text()
    for name in SPLITS:
        assert name in page
    assert page.count("<img") == sum(min(24, len(read_manifest(strict / name))) for name in SPLITS)
    assert "data:image/jpeg;base64," in page
    assert "<script" not in page
    assert 'src="http' not in page


def test_a_precision_that_so_few_labels_cannot_certify_is_refused_and_a_lower_one_then_works(
    oddpair, embeddings, tmp_path
):
    from oddpair.errors import Refusal

    options = ("--corpus", PICTURES, "--out", tmp_path, "--embeddings", embeddings, "--workers", 1)
    with pytest.raises(Refusal, match=r"precision"):
        oddpair("split", "style-strict", "--set", "precision=0.98", *options)
    assert not (tmp_path / "splits").exists()
    assert "natural-strict" in oddpair("split", "style-strict", "--set", "precision=0.5", *options)


def test_pairs_of_words_are_listed_and_without_a_search_none_is_called_unseen(oddpair, corpus, tmp_path):
    options = ("--set", "minimum_count=2", "--out", tmp_path)
    said = oddpair("split", "unseen-pairs", "--corpus", PICTURES, *options)
    table = PairTable.from_table(files.read_table(tmp_path / "splits" / "pairs.parquet"))
    assert set(table.status.tolist()) == {"seen", "unchecked"}
    captions = [caption.lower() for caption in corpus.metadata()["caption"].to_pylist()]
    seen = table.select(table.status == "seen")
    for a, b in zip(seen.a[:20].tolist(), seen.b[:20].tolist(), strict=True):
        assert any(a[:3] in caption and b[:3] in caption for caption in captions), (a, b)
    assert f"pairs.parquet: {len(table):,} lines" in said
    assert "pictures not searched" in (tmp_path / "splits" / "card.html").read_text()


def test_words_are_counted_as_a_slow_obvious_loop_counts_them(oddpair, corpus, tmp_path):
    (tmp_path / "names.txt").write_text("crow\nbanana\nflag\n")
    oddpair("count", PICTURES, "--vocabulary", tmp_path / "names.txt", "--out", tmp_path / "counts")
    counted = files.read_table(tmp_path / "counts" / "counts.parquet").to_pylist()
    captions = corpus.metadata()["caption"].to_pylist()
    words = [set("".join(c if c.isalnum() else " " for c in caption.lower()).split()) for caption in captions]
    for row in counted:
        expected = sum(bool({row["name"], row["name"] + "s"} & found) for found in words)
        assert row["count_text"] == expected, row["name"]


def test_a_picture_is_nearest_to_itself(oddpair, corpus, embeddings, tmp_path):
    table = corpus.metadata(["key"])
    file, uid = (table[name][7].as_py() for name in ("key", "uid"))
    sheet = tmp_path / "sheet.html"
    options = ("-k", 3, "--out", sheet, "--embeddings", embeddings, "--workers", 1)
    lines = oddpair("search", PICTURES, PICTURES / file, *options).splitlines()
    place, score, found = lines[0].split()[:3]
    assert (place, found) == ("1", uid)
    assert float(score) == pytest.approx(1, abs=1e-3)
    assert [int(line.split()[0]) for line in lines[:3]] == [1, 2, 3]
    assert sheet.read_text().count("<img") == 4  # the query, too


@pytest.mark.parametrize("kind", ["webdataset", "image-parquet", "folder", "csv", "uids", "parquet"])
def test_a_split_is_exported_whole_in_every_format(oddpair, strict, tmp_path, kind):
    split = read_manifest(strict / "natural-strict")
    said = oddpair("verify", strict / "natural-strict")
    assert split.uids_sha256 in said
    oddpair("export", strict / "natural-strict", "--corpus", PICTURES, "--out", tmp_path, "--as", kind)
    if kind not in ("uids", "parquet"):
        exported = open_corpus(tmp_path / "list.tsv" if kind == "csv" else tmp_path)
        uids = exported.metadata()["uid"].to_pylist()
        pictures = [data for shard in exported.shards for data in exported.read(shard).images]
        assert [hashlib.sha256(data).hexdigest()[:32] for data in pictures] == uids
    elif kind == "uids":
        rows = np.load(tmp_path / "natural-strict.npy")
        uids = [f"{high:016x}{low:016x}" for high, low in rows.tolist()]
    else:
        uids = files.read_table(tmp_path / "natural-strict.parquet")["uid"].to_pylist()
    assert sorted(uids) == split.uids.to_pylist()


def test_no_copy_of_a_picture_is_in_the_repository():
    theirs = {hashlib.sha256(path.read_bytes()).digest() for path in (PICTURES / "images").iterdir()}
    assert len(theirs) == 413
    skipped = {".git", ".venv", "work", "build", "dist"}
    for folder in ROOT.iterdir():
        if folder.name in skipped:
            continue
        for path in [folder] if folder.is_file() else folder.rglob("*"):
            assert not path.is_file() or hashlib.sha256(path.read_bytes()).digest() not in theirs, path
