import numpy as np
import pytest
from scipy.sparse import csr_array
from tests.splits.unseen_data import (
    NAMES,
    VOCABULARY,
    count,
    draw_captions,
    named,
    uid,
    write_corpus,
    write_tags,
)

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.tags import open_tags
from oddpair.splits.pairs.repeated import count_uids, find_repeated
from oddpair.splits.pairs.set_scan import scan_sets

EVERY = range(len(NAMES))


@pytest.fixture(scope="module", params=[1, 3])
def world(tmp_path_factory, request):
    """300 captions of 200 uids in any order, of which some rows of one uid say different things."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    captions = draw_captions(rng, 300)
    owners = rng.integers(0, 200, 300).tolist()
    shown = [[name for name in NAMES if rng.random() < 0.1] for _ in range(200)]
    tags = write_tags(folder / "tags.parquet", shown)
    path = write_corpus(folder / "corpus", captions, shards=request.param, uids=list(map(uid, owners)))
    postings = count(path, folder / "counts", tags=tags)[1]
    text = [
        len({owner for owner, said in zip(owners, captions, strict=True) if name in named(said)})
        for name in NAMES
    ]
    image = [len({owner for owner in owners if name in shown[owner]}) for name in NAMES]
    return open_corpus(path), tags, postings, owners, {"text": text, "image": image}


def test_rows_that_share_a_uid_are_found_with_their_groups(world):
    corpus, _, _, owners, _ = world
    found = find_repeated(corpus)
    slow = [row for row, owner in enumerate(owners) if owners.count(owner) > 1]
    assert found.rows.tolist() == slow
    groups = dict(zip(slow, found.groups.tolist(), strict=True))
    assert all((groups[a] == groups[b]) == (owners[a] == owners[b]) for a in slow for b in slow)
    assert found.groups_of(10, 50).tolist() == [groups.get(row, -1) for row in range(10, 50)]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_uids_are_counted_as_looking_at_every_row_counts_them(world, kind):
    corpus, _, postings, _, slow = world
    found = count_uids(postings, list(EVERY), kind, find_repeated(corpus))
    assert found.tolist() == slow[kind]
    assert (found < postings.count_each(list(EVERY), kind)).any()


def test_a_scan_counts_each_concept_once_for_a_uid(world):
    corpus, tags, _, _, slow = world
    sets = csr_array(np.eye(len(NAMES), dtype=np.bool_))
    text, image = scan_sets(corpus, VOCABULARY, sets, open_tags(tags, VOCABULARY))
    assert image is not None
    assert text.each.tolist() == slow["text"]
    assert image.each.tolist() == slow["image"]


def test_a_corpus_without_repeats_has_none(tmp_path):
    found = find_repeated(open_corpus(write_corpus(tmp_path / "corpus", ["a cat", "a dog"])))
    assert len(found.rows) == len(found.groups) == 0
    assert found.groups_of(0, 2).tolist() == [-1, -1]
