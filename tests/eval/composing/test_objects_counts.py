import math
from itertools import combinations

import numpy as np
import pytest
from tests.splits.unseen_data import NAMES, count, draw_captions, named, write_corpus

from oddpair.errors import Refusal
from oddpair.eval.composing.objects_counts import look_up_sets
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Captions, and the folder of their counts with posting lists."""
    folder = tmp_path_factory.mktemp("world")
    captions = draw_captions(np.random.default_rng(0), 300)
    count(write_corpus(folder / "corpus", captions), folder / "counts")
    return captions, folder / "counts"


def test_sets_are_counted_as_reading_every_caption_does(world):
    captions, folder = world
    shown = [named(caption) for caption in captions]
    names = [name for name in NAMES if name != "tree"]
    sets = [objects for size in (1, 2, 3, 4) for objects in combinations(names, size)]
    found = look_up_sets(folder, sets)
    assert found.corpus_size == 300
    assert found.together.tolist() == [sum(set(objects) <= held for held in shown) for objects in sets]
    single = {name: sum(name in held for held in shown) for name in names}
    assert [each.tolist() for each in found.single] == [
        [single[name] for name in objects] for objects in sets
    ]
    for objects, together, pmi in zip(sets, found.together, found.pmi, strict=True):
        if len(objects) == 1 or together == 0:
            assert math.isnan(pmi)
            continue
        pairs = [
            math.log(sum({a, b} <= held for held in shown) * 300 / (single[a] * single[b]))
            for a, b in combinations(objects, 2)
        ]
        assert pmi == pytest.approx(np.mean(pairs))


def test_without_posting_lists_a_larger_set_is_known_only_where_a_pair_of_it_is_nowhere(world, tmp_path):
    _, folder = world
    less = tmp_path / "counts"
    less.mkdir()
    for path in folder.iterdir():
        if path.name != POSTINGS_FOLDER:
            (less / path.name).write_bytes(path.read_bytes()) if path.is_file() else None
    sets = list(combinations([name for name in NAMES if name != "tree"], 3))
    exact, found = look_up_sets(folder, sets).together, look_up_sets(less, sets).together
    known = ~np.isnan(found)
    assert 0 < known.sum() < len(sets)
    assert (found[known] == 0).all()
    assert (exact[known] == 0).all()


def test_an_object_that_is_no_concept_was_not_counted_and_nested_ones_are_no_pair(world):
    _, folder = world
    found = look_up_sets(folder, [("cat", "unicorn"), ("Pine_Tree", "tree"), ("CAT",)])
    assert np.isnan(found.single[0]).tolist() == [False, True]
    assert np.isnan(found.together).tolist() == [True, True, False]
    assert not np.isnan(found.single[1]).any()


def test_counts_that_were_changed_are_refused(world, tmp_path):
    _, folder = world
    copy = tmp_path / "counts"
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "pairs.parquet").write_bytes(b"PAR1")
    with pytest.raises(Refusal, match="has changed since it was counted"):
        look_up_sets(copy, [("cat", "dog")])
