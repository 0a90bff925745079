import re
import unicodedata
from collections import Counter

import numpy as np
import pytest

from oddpair.benchmarks.miniature import captions
from oddpair.benchmarks.miniature.captions import LONGEST, STYLE_WORDS, caption, describe
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.rows import plan_corpus_row
from oddpair.benchmarks.miniature.styles import STYLES
from oddpair.benchmarks.miniature.world import make_world
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.mentions.find import find_mentions

VOCABULARY = build_vocabulary(CONCEPTS)


@pytest.fixture(scope="module")
def rows():
    world = make_world(11, decades=1.0)
    return [plan_corpus_row(world, index) for index in range(20_000)]


def matched(texts: list[str]) -> list[tuple[str, ...]]:
    found = find_mentions(VOCABULARY, texts)
    return [tuple(sorted(VOCABULARY.names[i] for i in found[[row]].indices)) for row in range(len(texts))]


def test_the_matcher_finds_exactly_what_20000_captions_name(rows):
    found = matched([row.caption for row in rows])
    wrong = [
        (row.caption, row.named, names) for row, names in zip(rows, found, strict=True) if row.named != names
    ]
    assert wrong == []


def test_no_fixed_phrase_names_a_concept():
    phrases = [*captions.ADJECTIVES, *captions.TAILS, *captions.NOISE, *captions.EXTRAS, *captions.ENDINGS]
    phrases += [word for words in STYLE_WORDS.values() for word in words]
    phrases += [listing.format("") for listing in captions.LISTINGS]
    assert [(text, names) for text, names in zip(phrases, matched(phrases), strict=True) if names] == []


def test_many_distractors_hold_a_concepts_letters():
    fixed = " ".join((*captions.TAILS, *captions.NOISE))
    trapped = {name for name in CONCEPTS if name in fixed}
    assert len(trapped) >= 10
    assert {"car", "cat", "fish", "key", "star"} <= trapped


def test_every_style_of_the_renderer_has_words():
    assert set(STYLE_WORDS) == set(STYLES)


def test_captions_of_two_objects_leave_one_out_in_30_to_40_of_100(rows):
    pairs = [row for row in rows if len(row.concepts) == 2]
    missing = [len(set(row.concepts) & set(row.named)) == 1 for row in pairs]
    assert 0.30 < np.mean(missing) < 0.40


def test_one_caption_in_twenty_is_noise(rows):
    silent = np.mean([not row.named for row in rows])
    elsewhere = np.mean([not set(row.named) & set(row.concepts) and bool(row.named) for row in rows])
    assert silent == pytest.approx(0.05 * 0.7, abs=4 * np.sqrt(0.035 / len(rows)))
    assert elsewhere == pytest.approx(0.05 * 0.3, abs=4 * np.sqrt(0.015 / len(rows)) + 0.001)


def test_a_misplaced_caption_names_one_concept_so_it_never_makes_a_pair():
    rng = np.random.default_rng(0)
    strays = [
        got.named
        for _ in range(4000)
        if "drum" not in (got := caption(("drum",), "photo", rng, stray="pine tree")).named and got.named
    ]
    assert set(strays) == {("pine tree", "tree")}


def test_plurals_missing_articles_and_style_words_keep_their_shares():
    rng = np.random.default_rng(1)
    texts = [
        unicodedata.normalize("NFKC", describe(("drum",), "photo", rng).text).lower() for _ in range(6000)
    ]
    assert np.mean(["drums" in text for text in texts]) == pytest.approx(0.08, abs=0.015)
    articles = [re.search(r"\ban? (\w+ )?drum\b", text) is not None for text in texts if "drums" not in text]
    assert np.mean(articles) == pytest.approx(0.75, abs=0.025)
    words = re.compile("|".join(STYLE_WORDS["photo"]))
    assert np.mean([words.search(text) is not None for text in texts]) == pytest.approx(0.35, abs=0.03)
    sketches = [
        unicodedata.normalize("NFKC", describe(("drum",), "sketch", rng).text).lower() for _ in range(6000)
    ]
    words = re.compile("|".join(STYLE_WORDS["sketch"]))
    assert np.mean([words.search(text) is not None for text in sketches]) == pytest.approx(0.55, abs=0.03)


def test_names_that_are_always_plural_take_no_article():
    rng = np.random.default_rng(2)
    for _ in range(500):
        assert not re.search(r"\ban? (\w+ )?scissors", describe(("scissors",), "photo", rng).text.lower())


def test_a_described_picture_is_named_whole_with_all_overlaps():
    rng = np.random.default_rng(3)
    named = Counter(describe(("pine tree", "wine glass"), "photo", rng).named for _ in range(500))
    assert set(named) == {("pine tree", "tree", "wine glass"), ("glasses", "pine tree", "tree", "wine glass")}
    assert named.most_common()[0][0] == ("pine tree", "tree", "wine glass")


def test_both_orders_of_two_objects_occur():
    rng = np.random.default_rng(4)
    texts = [describe(("apple", "drum"), "photo", rng).text.lower() for _ in range(300)]
    first = np.mean([text.find("apple") < text.find("drum") for text in texts])
    assert 0.4 < first < 0.6


@pytest.mark.parametrize(
    "mark", ["ice-cream", "ice_cream", "ice\xa0cream", "ice cream", "ICE CREAM", "Ice Cream"]
)
def test_a_name_of_two_words_is_written_in_every_way(mark):
    rng = np.random.default_rng(5)
    assert any(mark in describe(("ice cream",), "photo", rng).text for _ in range(2000))


def test_letters_beyond_ascii_and_trailing_signs_occur_now_and_then(rows):
    texts = [row.caption for row in rows]
    beyond = np.mean([not text.replace("\xa0", " ").isascii() for text in texts])
    assert 0.01 < beyond < 0.05
    wide = [text for text in texts if "ａ" in text]
    assert wide
    assert all("a" in unicodedata.normalize("NFKC", text) for text in wide)
    assert 0.05 < np.mean([text.endswith((".", "!", "|", "-")) for text in texts]) < 0.2


def test_no_caption_is_longer_than_the_text_tower_reads_but_for_trailing_signs(rows):
    lengths = [len([word for word in row.caption.split() if any(map(str.isalnum, word))]) for row in rows]
    assert max(lengths) <= LONGEST + 1  # the one more is the signature after a dash
    assert np.mean(lengths) > 3


def test_equal_generators_write_equal_captions():
    first, second = (
        [caption(("cat", "drum"), "cartoon", np.random.default_rng(seed), stray="sun") for seed in range(20)]
        for _ in range(2)
    )
    assert first == second
    assert len({got.text for got in first}) > 15
