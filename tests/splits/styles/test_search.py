import numpy as np
import pytest
from tests.splits.style_data import plant, write_pictures

from oddpair.splits.pool import pool_of_stored
from oddpair.splits.styles.search import StyleTest, find_nearest, nearest_again, store_rows


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    corpus = write_pictures(folder, plant(300), sizes=[100, 0, 200]).stored
    sets = {name: plant(40, seed) for name, seed in (("one", 1), ("two", 2))}
    tests = [
        StyleTest(name=name, stored=write_pictures(folder, rows, name=name).stored, styles={})
        for name, rows in sets.items()
    ]
    return corpus, tests, sets, folder


def slow(corpus, tests):
    rows = corpus.read(0, corpus.shape[0]).astype(np.float64)
    return [(rows @ test.stored.read(0, test.stored.shape[0]).astype(np.float64).T) for test in tests]


def test_the_nearest_picture_of_any_set_counts_and_names_its_style(searched, tmp_path):
    corpus, tests, sets, _ = searched
    fine = {uid: ("cartoon" if place % 2 else "sketch") for place, uid in enumerate(sets["one"][3])}
    named = [StyleTest(name="one", stored=tests[0].stored, styles=fine), tests[1]]
    pool = pool_of_stored(corpus)
    found = find_nearest(corpus, pool, named, tmp_path, workers=1)
    one, two = slow(corpus, tests)
    assert found.names == ("cartoon", "one", "sketch", "two")
    for place, row in enumerate(pool.rows.tolist()):
        best = max(one[row].max(), two[row].max())
        assert found.similarity[place] == np.float32(best)
        mine = "two" if two[row].max() > one[row].max() else fine[sets["one"][3][int(one[row].argmax())]]
        assert found.names[found.styles[place]] == mine


def test_the_check_finds_what_the_search_found(searched, tmp_path):
    corpus, tests, _, _ = searched
    pool = pool_of_stored(corpus)
    found = find_nearest(corpus, pool, tests, tmp_path, workers=1)
    again = nearest_again(corpus, pool.rows, tests)
    assert again.tobytes() == found.similarity.tobytes()
    assert nearest_again(corpus, pool.rows[[5, 2]], tests).tolist() == found.similarity[[5, 2]].tolist()
    assert nearest_again(corpus, pool.rows[:0], tests).shape == (0,)


def test_rows_of_the_corpus_can_be_searched_like_a_test_set(searched, tmp_path):
    corpus, _, _, _ = searched
    rows = np.array([7, 120, 3])
    stored = store_rows(corpus, rows, tmp_path / "held")
    assert stored.uids(np.arange(3)) == corpus.uids(rows)
    assert (stored.read(0, 3) == corpus.read(0, 300)[rows]).all()
    assert stored.encoder == corpus.encoder
    other = store_rows(corpus, rows + 1, tmp_path / "other")
    assert other.digest != stored.digest
    test = StyleTest(name="held", stored=stored, styles={})
    found = find_nearest(corpus, pool_of_stored(corpus), [test], tmp_path, workers=1)
    assert (found.similarity > 0.999).sum() == 3
