"""A corpus that clip-retrieval's own writer wrote, and our embeddings in the reader that its tools use."""

import json

import numpy as np
import pytest
from tests.interop import peers
from tests.interop.conftest import ROWS

from oddpair import files
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.splits.manifest import read_manifest

written = pytest.mark.tool(
    "clip-retrieval", "its writer's parts: embed, count, search, split by the command line"
)


@pytest.fixture(scope="module")
def taken(tmp_path_factory, parts, oddpair):
    """What its writer wrote, taken over."""
    out = tmp_path_factory.mktemp("taken") / "out"
    oddpair("embed", parts, "--out", out)
    return out


@written
def test_its_embeddings_are_taken_over_row_by_row(taken, embeddings):
    ours, theirs = load_embeddings(embeddings), load_embeddings(taken)
    row_of = {uid: row for row, uid in enumerate(ours.uids)}
    rows = [row_of[uid] for uid in theirs.uids]
    assert sorted(rows) == list(range(ROWS))
    assert theirs.captions == tuple(ours.captions[row] for row in rows)
    np.testing.assert_allclose(theirs.image, ours.image[rows], atol=1e-3)
    np.testing.assert_allclose(theirs.text, ours.text[rows], atol=1e-3)
    assert files.read_json(taken / "manifest.json")["encoder"] == "made elsewhere"


@written
def test_its_captions_are_counted_as_those_of_the_download(tmp_path, parts, download, oddpair):
    oddpair("count", parts, "--out", tmp_path / "parts")
    oddpair("count", download, "--out", tmp_path / "download")
    for name in ("counts.parquet", "pairs.parquet", "meta.json", "vocabulary.txt"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "download" / name).read_bytes()


@written
@pytest.mark.parametrize("query", ["text", "picture"])
def test_its_rows_are_searched_as_ours(tmp_path, parts, taken, download, embeddings, oddpair, query):
    uid = load_embeddings(embeddings).uids[7]
    asked = "a dog on the grass"
    if query == "picture":
        asked = str(tmp_path / "asked.jpg")
        (tmp_path / "asked.jpg").write_bytes(open_corpus(download).find_pictures([uid])[uid])
    hits = [
        [
            line.split()[1:3]
            for line in oddpair(
                *(
                    "search",
                    corpus,
                    asked,
                    "-k",
                    3,
                    "--embeddings",
                    folder,
                    "--out",
                    tmp_path / f"{name}.html",
                )
            ).splitlines()[:3]
        ]
        for name, corpus, folder in (("theirs", parts, taken), ("ours", download, embeddings))
    ]
    assert [found for _, found in hits[0]] == [found for _, found in hits[1]]
    assert [float(score) for score, _ in hits[0]] == pytest.approx(
        [float(score) for score, _ in hits[1]], abs=2e-3
    )
    if query == "picture":
        assert hits[0][0][1] == uid


@written
def test_its_rows_are_split_by_the_styles_in_its_metadata(tmp_path, parts, taken, oddpair):
    asked = ("--corpus", parts, "--embeddings", taken, "--set", "precision=0.5")
    oddpair("split", "style-strict", *asked, "--out", tmp_path / "out")
    manifest = read_manifest(tmp_path / "out" / "splits" / "natural-strict")
    assert 0 < len(manifest) < ROWS
    assert set(manifest.uids.to_pylist()) <= set(load_embeddings(taken).uids)


@pytest.mark.tool("embedding-reader", "reads what oddpair embedded, row by row")
def test_the_reader_of_its_tools_reads_our_embeddings(embeddings):
    ours = load_embeddings(embeddings)
    found = json.loads(peers.run_python("read_embeddings.py", str(embeddings)))
    captions = dict(zip(ours.uids, ours.captions, strict=True))
    sums = dict(zip(ours.uids, ours.image.astype(np.float64).sum(axis=1).tolist(), strict=True))
    assert len(found) == len(ours.uids)
    for uid, caption, total in found:
        assert caption == captions[uid]
        assert total == pytest.approx(sums[uid], abs=0.02)
