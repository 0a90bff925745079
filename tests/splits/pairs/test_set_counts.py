import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from oddpair.retrieval.concepts import Vocabulary, nested_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.pair_counter import nested_keys
from oddpair.retrieval.counting.tags import open_tags
from oddpair.splits.pairs.set_counts import (
    count_sets,
    count_together,
    group_by_size,
    list_pairs,
    sets_of_pairs,
)
from oddpair.splits.pairs.set_scan import _slices, scan_sets


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """1,000 captions with tags, counted."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(3)
    captions = draw_captions(rng, 1000)
    shown = [[name for name in NAMES if rng.random() < 0.1] for _ in captions]
    tags = write_tags(folder / "tags.parquet", shown)
    corpus = write_corpus(folder / "corpus", captions, shards=3)
    counts, postings = count(corpus, folder / "counts", tags=tags)
    return {
        "corpus": corpus,
        "tags": tags,
        "captions": [named(caption) for caption in captions],
        "shown": list(map(set, shown)),
        "counts": counts,
        "postings": postings,
    }


def matrix(sets):
    rows = np.zeros((len(sets), len(NAMES)), np.bool_)
    for row, names in enumerate(sets):
        rows[row, [NAMES.index(name) for name in names]] = True
    return csr_array(rows)


SETS = st.lists(st.sets(st.sampled_from(NAMES), max_size=4), min_size=1, max_size=12)


@given(sets=SETS)
@settings(max_examples=25, deadline=None)
def test_sets_are_counted_as_looking_at_every_row_counts_them(world, sets):
    found = count_together(world["postings"], matrix(sets), images=True)
    for place, rows in (("text", world["captions"]), ("image", world["shown"])):
        slow = [sum(names <= row for row in rows) if names else 0 for names in sets]
        assert getattr(found, place).tolist() == slow


@given(sets=SETS.map(lambda sets: [names or {"cat"} for names in sets]))
@settings(max_examples=15, deadline=None)
def test_a_scan_of_the_corpus_finds_what_posting_lists_say_and_names_the_first_row(world, sets):
    used = sorted({NAMES.index(name) for names in sets for name in names})
    small = Vocabulary(concepts=tuple(VOCABULARY.concepts[number] for number in used))
    asked = matrix(sets)
    text, image = scan_sets(
        open_corpus(world["corpus"]), small, csr_array(asked[:, used]), open_tags(world["tags"], small)
    )
    assert image is not None
    assert text.rows == 1000
    assert text.together.tolist() == count_sets(world["postings"], asked, "text").tolist()
    assert image.together.tolist() == count_sets(world["postings"], asked, "image").tolist()
    assert text.each.tolist() == world["counts"].text[used].tolist()
    for names, first in zip(sets, text.first, strict=True):
        rows = [row for row, held in enumerate(world["captions"]) if names <= held]
        assert first == (uid(rows[0]) if rows else None)


def test_pairs_of_which_one_is_named_by_the_other_are_none():
    nested = nested_keys(nested_pairs(VOCABULARY), len(NAMES))
    of, keys = list_pairs(matrix([{"tree", "pine tree"}, {"cat", "tree", "pine tree"}, set()]), nested)
    pairs = [tuple(NAMES[number] for number in divmod(key, len(NAMES))) for key in keys.tolist()]
    assert of.tolist() == [1, 1]
    assert pairs == [("cat", "pine tree"), ("cat", "tree")]
    assert (sets_of_pairs(keys, len(NAMES)).toarray() == matrix(list(map(set, pairs))).toarray()).all()


def test_sets_are_grouped_by_their_size():
    found = [
        (rows.tolist(), columns.tolist())
        for rows, columns in group_by_size(matrix([{"dog"}, set(), {"cat", "dog"}, {"cat"}]))
    ]
    assert found == [([0, 3], [[1], [0]]), ([2], [[0, 1]])]


def test_a_scan_in_slices_finds_the_same(world, monkeypatch):
    sets = [{"cat", "dog", "tree"}, {"cat", "dog", "van"}, {"cat", "kite", "tree"}, {"bell", "drum", "harp"}]
    found = []
    for most in (1 << 21, 1):
        monkeypatch.setattr("oddpair.splits.pairs.set_scan._ROWS_AT_ONCE", most)
        text, _ = scan_sets(open_corpus(world["corpus"]), VOCABULARY, matrix(sets), None)
        found.append((text.together.tolist(), text.first))
    assert found[0] == found[1]
    assert found[0][0] == [sum(names <= row for row in world["captions"]) for names in sets]


def test_slices_hold_no_more_than_is_asked_for_unless_one_thing_does():
    assert list(_slices(np.array([2, 2, 9, 0, 3, 1]), 4)) == [(0, 2), (2, 3), (3, 6)]
    assert list(_slices(np.zeros(0, np.int64), 4)) == []
