"""The pruning rules over arrays, and rows of a corpus that are searched by themselves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.retrieval.brute_force import FIRST_PASSES, all_scores, unit
from tests.retrieval.neighbour_data import draw, stored, whole
from tests.splits.similarity_data import make_inputs

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.neighbours import find_neighbours
from oddpair.splits.recipes.similarity import SimilarityRecipe, build
from oddpair.splits.similar import pruning as similarity
from oddpair.splits.similar.pruning import (
    ChosenRows,
    find_nearest,
    find_shared,
    keep_lowest,
    keep_random,
    nearest_of_kept,
    quantiles,
    read_corpus_rows,
    read_nearness,
    read_test_images,
)

SCORES = arrays.arrays(np.float32, st.integers(1, 30), elements=st.sampled_from([-1, 0.25, 0.5, 0.75, 1]))


@given(SCORES, st.data())
def test_the_lowest_are_those_that_a_stable_sort_puts_first(scores, data):
    count = data.draw(st.integers(0, len(scores)))
    assert np.flatnonzero(keep_lowest(scores, count)).tolist() == sorted(
        sorted(range(len(scores)), key=scores.__getitem__)[:count]
    )


@given(SCORES, st.data())
def test_no_score_that_is_kept_is_above_one_that_left(scores, data):
    kept = keep_lowest(scores, data.draw(st.integers(1, len(scores))))
    if not kept.all():
        assert scores[kept].max() <= scores[~kept].min()


@given(st.integers(1, 50), st.integers(0, 2**32), st.data())
def test_random_rows_are_nested_and_as_many_as_asked_for(total, seed, data):
    few, many = sorted(data.draw(st.tuples(*[st.integers(0, total)] * 2)))
    first, second = (keep_random(total, count, np.random.default_rng(seed)) for count in (few, many))
    assert (first.sum(), second.sum()) == (few, many)
    assert not (first & ~second).any()


def test_random_rows_are_drawn_with_equal_chances():
    counts = np.sum([keep_random(10, 4, np.random.default_rng(seed)) for seed in range(2000)], axis=0)
    # 800 of 2,000 each; 6 standard deviations are 131.
    assert abs(counts - 800).max() < 131


@pytest.mark.parametrize("count", [-1, 4])
def test_more_or_fewer_rows_than_there_are_are_an_error(count):
    with pytest.raises(ValueError, match=f"found count {count} of 3 scores"):
        keep_lowest(np.zeros(3, np.float32), count)
    with pytest.raises(ValueError, match=f"found count {count} of 3 rows"):
        keep_random(3, count, np.random.default_rng(0))


@pytest.fixture
def corpus(tmp_path):
    """A corpus of 90 rows, ten of which come twice, in shards of which one is empty."""
    rows, uids = draw(4, 80, d=6)
    twice = np.concatenate([np.arange(80), np.arange(10)])
    return read_corpus_rows(
        stored(tmp_path / "corpus", rows[twice], [uids[row] for row in twice], [50, 0, 40])
    )


def test_every_row_of_a_kept_uid_is_a_row_of_the_mask(corpus):
    _, uids = whole(corpus.stored)
    mask = np.arange(80) % 3 == 0
    names = set(corpus.pool.keep(mask).to_pylist())
    assert corpus.rows_of(mask).tolist() == [row for row, uid in enumerate(uids) if uid in names]


def test_the_value_of_a_uid_is_the_largest_of_its_rows(corpus):
    _, uids = whole(corpus.stored)
    values = np.random.default_rng(0).random(90)
    largest: dict[str, float] = {}
    for uid, value in zip(uids, values, strict=True):
        largest[uid] = max(value, largest.get(uid, 0))
    assert corpus.by_uid(values).tolist() == [largest[uid] for uid in sorted(largest)]


def test_some_rows_are_searched_as_if_there_were_no_others(corpus, tmp_path):
    tests = read_test_images(stored(tmp_path / "tests", *draw(5, 7, d=6)))
    chosen = ChosenRows(stored=corpus.stored, rows=np.array([3, 4, 40, 77, 79]))
    rows, uids = whole(corpus.stored)
    assert chosen.read(1, 4).tolist() == rows[[4, 40, 77]].tolist()
    assert chosen.uids(np.array([4, 0])) == [uids[79], uids[3]]
    assert chosen.tell_place(3).endswith("img_emb_0002.npy row 27")
    expected = -np.sort(-all_scores(rows[chosen.rows], tests.image), axis=0)[:3].T
    found = find_nearest(chosen, tests, 3, threads=2, title="search")
    assert found.tolist() == expected.tolist()


def test_no_row_at_all_is_nearest_to_nothing(corpus, tmp_path):
    tests = read_test_images(stored(tmp_path / "tests", *draw(5, 7, d=6)))
    none = ChosenRows(stored=corpus.stored, rows=np.empty(0, np.int64))
    assert find_nearest(none, tests, 1, threads=1, title="search").tolist() == [[-np.inf]] * 7


def test_what_is_kept_is_searched_once(corpus, tmp_path, monkeypatch):
    tests = read_test_images(stored(tmp_path / "tests", *draw(5, 7, d=6)))
    mask = np.arange(80) % 2 == 0
    first = nearest_of_kept(corpus, mask, tests, tmp_path / "kept", k=2, threads=1)
    monkeypatch.setattr(similarity, "find_nearest", None)
    again = nearest_of_kept(corpus, mask, tests, tmp_path / "kept", k=2, threads=1)
    assert again.tolist() == first.tolist()
    with pytest.raises(Refusal, match="was made with kept="):
        nearest_of_kept(corpus, ~mask, tests, tmp_path / "kept", k=2, threads=1)


def test_a_sample_of_test_images_is_in_the_order_of_uids_and_no_order_of_files_changes_it(tmp_path):
    rows, uids = draw(6, 40, d=6)
    first = stored(tmp_path / "first", rows, uids)
    other = stored(tmp_path / "other", rows[::-1], uids[::-1], [10, 30])
    here, there = (read_test_images(each, sampled=9, rng=np.random.default_rng(1)) for each in (first, other))
    assert here.uids == there.uids == tuple(sorted(here.uids))
    assert len(here) == 9
    assert here.image.tolist() == there.image.tolist()
    assert read_test_images(first).uids == tuple(sorted(uids))


def test_a_search_of_other_rows_is_no_search_of_these(corpus, tmp_path):
    rows, uids = whole(corpus.stored)
    fewer = stored(tmp_path / "fewer", rows[:70], uids[:70], [50, 0, 20])
    find_neighbours(fewer, stored(tmp_path / "tests", *draw(5, 7, d=6)), tmp_path / "out")
    with pytest.raises(Refusal, match=r"out holds 70 rows, .+corpus 90: delete it and run again"):
        read_nearness(tmp_path / "out", corpus)


def test_rows_of_the_reference_set_are_known_by_uid(corpus, tmp_path):
    rows, uids = whole(corpus.stored)
    more, _ = draw(9, 3, d=6)
    reference = stored(
        tmp_path / "reference", np.concatenate([rows[20:25], more]), [*uids[20:25], "x", "y", "z"]
    )
    assert set(corpus.pool.keep(find_shared(corpus, reference)).to_pylist()) == set(uids[20:25])


def test_11_embeddings_of_another_length_give_the_same_splits_and_similarities_of_a_cosine(tmp_path):
    inputs = make_inputs(tmp_path / "one")
    rows, uids = whole(inputs.corpus.stored)
    lengths = 2.0 ** np.random.default_rng(0).integers(-5, 6, len(rows))
    longer = unit(rows.astype(np.float64) * lengths[:, None], np.float16)
    again = unit(rows.astype(np.float64), np.float16)
    recipe = SimilarityRecipe(sampled=0)
    found = []
    for name, each in (("longer", longer), ("again", again)):
        corpus = replace(inputs.corpus, stored=stored(tmp_path / name, each, uids))
        built = build(recipe, replace(inputs, corpus=corpus), tmp_path / f"work {name}")
        found.append([(split.name, split.uids_sha256) for split in built.splits])
        scores = read_nearness(
            tmp_path / f"work {name}" / "neighbours-a", read_corpus_rows(corpus.stored)
        ).score
        assert abs(scores).max() <= 1.001
    assert found[0] == found[1]
    itself = all_scores(again, again).diagonal()
    assert abs(itself - 1).max() <= 1e-3


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_10_no_first_pass_keeps_a_planted_violator_however_near_its_threshold(tmp_path, first_pass):
    """No recipe searches an approximate index; what is approximate is the first pass over the scores."""
    rng = np.random.default_rng(7)
    images = unit(rng.normal(size=(40, 48)), np.float16)
    known = unit(images.astype(np.float64) + 0.15 * rng.normal(size=images.shape), np.float16)
    planted = np.repeat(known, 20, axis=0)
    # The last digit of some coordinates, up or down: scores lie a hair above the threshold, below it, or on it.
    coordinates = rng.integers(0, 48, (len(planted), 2))
    for column in coordinates.T:
        place = np.arange(len(planted)), column
        planted[place] = np.nextafter(planted[place], rng.choice([-2, 2], len(planted)).astype(np.float16))
    corpus = np.concatenate([planted, known, unit(rng.normal(size=(200, 48)), np.float16), images])
    uids = [f"{row:05d}" for row in rng.permutation(len(corpus))]
    gap = all_scores(known, images).max(axis=0)
    scores = all_scores(corpus, images)
    above = (scores > gap).any(axis=1)
    near = (abs(scores - gap) < 2e-4).any(axis=1)
    assert 100 < (above & near).sum() < near.sum() - 100
    rows = stored(tmp_path / "corpus", corpus, uids, [500, len(corpus) - 500])
    tests = stored(tmp_path / "tests", images, [f"t{row}" for row in range(40)])
    reference = stored(tmp_path / "reference", known, [f"r{row}" for row in range(40)])
    find_neighbours(rows, tests, tmp_path / "out", above=reference, first_pass=first_pass)
    found = np.concatenate(
        [files.read_table(path, ["hit"])["hit"].to_numpy() for path in sorted(tmp_path.glob("out/rows/*"))]
    )
    assert found.tolist() == above.tolist()


def test_quantiles_are_scores_that_are_there():
    scores = np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32)
    assert quantiles(scores, [0, 0.25, 0.26, 0.5, 1]) == [0.1, 0.1, 0.2, 0.2, 0.4]
