"""A corpus that clip-retrieval's own writer wrote, and our embeddings in the reader that its tools use."""

import json
import tarfile

import numpy as np
import pytest
from tests.interop import peers
from tests.interop.conftest import ROWS

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.formats.clip_retrieval import open_clip_retrieval
from oddpair.retrieval.places import locate


@pytest.fixture(scope="module")
def written(tmp_path_factory, download, embeddings):
    """Our embeddings as clip-retrieval would have written them: two partitions, in an order of its own."""
    records = {}
    for path in sorted(download.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    record = json.load(file)
                    records[(record["url"], record["caption"])] = record
    ours = load_embeddings(embeddings)
    corpus = open_corpus(download).metadata(["url"]).to_pylist()
    by_uid = {row["uid"]: records[(row["url"], row["caption"])] for row in corpus}
    order = np.random.default_rng(0).permutation(len(ours.uids))
    parts = [
        (
            ours.image[rows].astype(np.float16),
            ours.text[rows].astype(np.float16),
            [by_uid[ours.uids[row]] for row in rows],
        )
        for rows in np.array_split(order, 2)
    ]
    out = tmp_path_factory.mktemp("clip-retrieval") / "out"
    peers.run_numpy_writer(out, parts)
    return out


def test_a_corpus_that_its_writer_wrote_is_counted(tmp_path, written, oddpair):
    oddpair("count", written, "--out", tmp_path / "counts")
    assert json.loads((tmp_path / "counts" / "meta.json").read_text())["n_captions"] == ROWS


def test_its_rows_are_the_ones_that_were_written(written, embeddings):
    ours = load_embeddings(embeddings)
    row_of = {uid: row for row, uid in enumerate(ours.uids)}
    source = open_clip_retrieval(locate(written))
    seen = 0
    for shard in source.shards:
        for batch in source.vectors(shard):
            rows = [row_of[uid] for uid in batch.uids]
            assert list(batch.captions) == [ours.captions[row] for row in rows]
            np.testing.assert_allclose(batch.image, ours.image[rows], atol=2e-3)
            np.testing.assert_allclose(batch.text, ours.text[rows], atol=2e-3)
            seen += len(rows)
    assert seen == ROWS


def test_the_reader_of_its_tools_reads_our_embeddings(embeddings):
    ours = load_embeddings(embeddings)
    found = json.loads(peers.run_python("read_embeddings.py", str(embeddings)))
    captions = dict(zip(ours.uids, ours.captions, strict=True))
    sums = dict(zip(ours.uids, ours.image.astype(np.float64).sum(axis=1).tolist(), strict=True))
    assert len(found) == len(ours.uids)
    for uid, caption, total in found:
        assert caption == captions[uid]
        assert total == pytest.approx(sums[uid], abs=0.02)
