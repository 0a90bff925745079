from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.perf import count_peers
from tests.perf.count_data import draw_captions, make_language, make_vocabulary, write_captions
from tests.perf.count_ours import Counting, check, find_members, open_world
from tests.perf.perf_count import share

from oddpair.retrieval.mentions.arrow import ArrowMatcher
from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.mentions.slow import find_slowly
from oddpair.retrieval.words import find_words


@pytest.fixture(scope="module")
def language():
    return make_language(5_000, 1_000)


@pytest.fixture(scope="module")
def world(language, tmp_path_factory):
    path = tmp_path_factory.mktemp("captions") / "captions.parquet"
    write_captions(language, path, 400, times=2)
    return open_world(path, 300)


@pytest.fixture(scope="module")
def vocabulary(language):
    return make_vocabulary(language, 300)


class Wrong:
    """Finds what the matcher finds, but for one mention."""

    def __init__(self, vocabulary):
        self.matcher = Matcher(vocabulary)

    def find(self, captions):
        found = self.matcher.find(captions)
        ends = np.minimum(found.ends, found.ends[-1] - 1)
        return Incidence(ends=ends, concepts=found.concepts[:-1], n_concepts=found.n_concepts)


def test_captions_are_as_long_as_they_are_said_to_be(language):
    captions = draw_captions(language, np.random.default_rng(0), 2_000)
    assert np.mean([len(find_words(caption)) for caption in captions]) == pytest.approx(16.5, abs=0.5)
    assert np.mean([not caption.isascii() for caption in captions]) == pytest.approx(0.03, abs=0.012)
    assert any("'s" in caption for caption in captions)


def test_a_vocabulary_has_as_many_concepts_as_asked_for_a_fifth_of_them_phrases(vocabulary):
    assert len(vocabulary) == 300
    assert sum(" " in name for name in vocabulary.names) == 60


def test_captions_come_again_under_other_ids(world):
    assert (world.rows, len(world.first)) == (800, 300)
    counting = Counting(ArrowMatcher(make_vocabulary(make_language(5_000, 1_000), 300)), 300, np.arange(2))
    counting.add(world.batches, pairs=True)
    assert counting.singles.sum() > 800
    assert (counting.singles % 2 == 0).all()


def test_the_reference_finds_what_the_slow_way_finds(vocabulary, world):
    find = count_peers.Reference(vocabulary).find
    expected = find_slowly(vocabulary, world.first)
    found = [concept for caption in world.first for concept in sorted(find(caption))]
    assert found == expected.concepts.tolist()
    assert count_peers.count_singles(find, world.first).total() == len(found)


def test_right_counts_pass_the_check_and_wrong_ones_do_not(vocabulary, world):
    members = find_members(world, Matcher(vocabulary), len(vocabulary))[:50]
    mentions = check(world, vocabulary, members, [Matcher(vocabulary), ArrowMatcher(vocabulary)])
    assert mentions == len(find_slowly(vocabulary, world.first).concepts)
    with pytest.raises(AssertionError, match="other counts"):
        check(world, vocabulary, members, [Wrong(vocabulary)])


def test_threads_share_the_batches_and_count_what_one_counts(vocabulary, world):
    members, matcher = np.arange(50), Matcher(vocabulary)
    one, *two = (Counting(matcher, len(vocabulary), members) for _ in range(3))
    one.add(world.batches, pairs=True)
    with ThreadPoolExecutor(2) as threads:
        pieces = [
            batch[start : start + 100] for batch in world.batches for start in range(0, len(batch), 100)
        ]
        share(threads, two, pieces, pairs=True)
    assert (two[0].singles + two[1].singles).tolist() == one.singles.tolist()
    two[0].pairs.merge(two[1].pairs)
    for ours, theirs in zip(two[0].pairs.pairs(), one.pairs.pairs(), strict=True):
        assert ours.tolist() == theirs.tolist()
