import numpy as np
import pytest
from PIL import Image

from oddpair.benchmarks.miniature.pairs import draw_pairs
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.pmi.gen_pairs import read_pairs


def test_each_pair_has_a_folder_of_pictures_that_splits_read_as_that_pair(tmp_path):
    assert (
        draw_pairs([("beach ball", "apple"), ("cat", "drum"), ("apple", "beach ball")], 3, 7, tmp_path) == 6
    )
    names = ("apple", "beach ball", "cat", "drum")
    corpus = open_corpus(tmp_path)
    found = read_pairs(corpus, ConceptNames(build_vocabulary(names)))
    shown = sorted(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert shown == [(0, 1)] * 3 + [(2, 3)] * 3
    for row in corpus.read(corpus.shards[0]).captions:
        assert row


def test_pictures_depend_on_seed_and_pair_alone_and_those_there_are_kept(tmp_path):
    draw_pairs([("cat", "drum")], 2, 7, tmp_path / "one")
    draw_pairs([("apple", "bell"), ("drum", "cat")], 3, 7, tmp_path / "more")
    draw_pairs([("cat", "drum")], 2, 8, tmp_path / "other")
    path = "cat__drum/001.jpg"
    assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "more" / path).read_bytes()
    assert (tmp_path / "one" / path).read_bytes() != (tmp_path / "other" / path).read_bytes()
    first, second = (
        np.asarray(Image.open(tmp_path / "one" / f"cat__drum/{copy:03d}.jpg")) for copy in range(2)
    )
    assert (first != second).any()
    (tmp_path / "one" / path).write_bytes(b"mine")
    draw_pairs([("cat", "drum")], 2, 7, tmp_path / "one")
    assert (tmp_path / "one" / path).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("cat", "cat"), "'cat' is paired with itself"),
        (("cat", "drumm"), "no concept 'drumm'; did you mean 'drum'"),
    ],
)
def test_what_is_no_pair_of_the_miniature_is_an_error(tmp_path, pair, said):
    with pytest.raises(ValueError, match=said):
        draw_pairs([pair], 1, 0, tmp_path)
