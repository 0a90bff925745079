import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.mentions.caption_data import (
    KINDS,
    LONG,
    SIGNS,
    SPELLINGS,
    captions_of,
    make_vocabulary,
    vocabularies,
    worlds,
)

from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.mentions.arrow import ArrowMatcher
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.mentions.slow import find_slowly
from oddpair.retrieval.mentions.tables import hash_word
from oddpair.retrieval.words import find_words, normalise

both = pytest.mark.parametrize("kind", [Matcher, ArrowMatcher])
rules = pytest.mark.parametrize("overlap", ["all", "longest"])


def lists(incidence):
    """The concepts of each row, ascending; each is there once."""
    assert incidence.ends.dtype == np.int64
    assert incidence.concepts.dtype == np.int32
    assert incidence.ends[0] == 0
    assert incidence.ends[-1] == len(incidence.concepts)
    rows = [sorted(row.tolist()) for row in np.split(incidence.concepts, incidence.ends[1:-1])][
        : len(incidence)
    ]
    assert all(len(row) == len(set(row)) for row in rows)
    return rows


def named(kind, forms_of_concepts, *captions, overlap="all"):
    """The names that each caption mentions."""
    vocabulary = make_vocabulary(*forms_of_concepts)
    found = lists(kind(vocabulary, overlap).find(pa.array(captions, pa.string())))
    return [[vocabulary.names[concept] for concept in row] for row in found]


def count(kind, vocabulary, captions, overlap="all"):
    found = kind(vocabulary, overlap).find(pa.array(captions, pa.string()))
    return np.bincount(found.concepts, minlength=len(vocabulary))


@both
@rules
@settings(max_examples=150, deadline=None)
@given(world=worlds())
def test_what_is_found_is_what_the_slow_way_finds(kind, overlap, world):
    vocabulary, captions = world
    expected = lists(find_slowly(vocabulary, captions, overlap=overlap))
    assert lists(kind(vocabulary, overlap).find(pa.array(captions, pa.string()))) == expected


@both
@rules
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40))
def test_words_of_any_text_are_found_as_the_slow_way_finds_them(kind, overlap, text):
    words = find_words(text)
    runs = [
        words[start:end] for start, end in itertools.combinations(range(len(words) + 1), 2) if end - start < 4
    ]
    vocabulary = make_vocabulary(["cat"], *([" ".join(run)] for run in runs))
    captions = [text, text + text, text.upper(), f"cat{text}cat", "'".join(text), f"{text}'s {text}"]
    expected = lists(find_slowly(vocabulary, captions, overlap=overlap))
    assert lists(kind(vocabulary, overlap).find(pa.array(captions, pa.string()))) == expected


@both
@pytest.mark.parametrize(
    ("word", "spelling"), [(word, spelling) for word, row in SPELLINGS.items() for spelling in row]
)
def test_every_spelling_of_a_word_is_that_word(kind, word, spelling):
    name = normalise(word)
    captions = [spelling, f"a {spelling}", f"{spelling}, {spelling}", f"({spelling})", f"the_{spelling}-7"]
    assert named(kind, [[word], ["nothing"]], *captions) == [[name]] * len(captions)


@both
@pytest.mark.parametrize(
    "sign", [sign for sign in SIGNS if find_words(f"pine{sign}tree") == ["pine", "tree"]]
)
def test_signs_separate_the_words_of_a_phrase(kind, sign):
    found = named(kind, [["pine tree"], ["tree"]], f"pine{sign}tree", f"{sign}tree{sign}", overlap="longest")
    assert found == [["pine tree"], ["tree"]]


@both
@pytest.mark.parametrize("sign", ["\u00ad", "\u200d", "\ufe0f", "'", "’", "ʼ"])
def test_invisible_characters_and_apostrophes_inside_a_word_do_not(kind, sign):
    assert named(kind, [["pine tree"], ["pinetree"], ["tree"]], f"a pine{sign}tree") == [["pinetree"]]


@both
@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("cat's", "cat"),
        ("cat's's", "cats"),
        ("cats'", "cats"),
        ("cat's'", "cat"),
        ("cat'sup", "catsup"),
        ("'s", "s"),
        ("s's", "s"),
        ("''cat''s''", "cat s"),
        ("rock'n'roll", "rocknroll"),
        ("cat'", "cat"),
        ("cat''s", "cat s"),
        ("o'clock's", "oclock"),
        ("Cat’S", "cat"),
        ("cat's-eye", "cat eye"),
        ("a'b'c's d's", "abc d"),
        ("'", ""),
    ],
)
def test_apostrophes_are_settled_by_the_rule(kind, caption, words):
    pool = ["cat", "cats", "catsup", "s", "rocknroll", "oclock", "eye", "abc", "d", "clock", "o"]
    expected = [word for word in pool if word in words.split()]
    captions = [caption, f"{caption} x", f"x {caption}"]
    assert named(kind, [[word] for word in pool], *captions) == [expected] * 3
    # What ends one caption is no part of the next.
    assert named(kind, [[word] for word in pool], "cat", caption, "s", caption)[1::2] == [expected] * 2


@both
@pytest.mark.parametrize("word", LONG, ids=len)
def test_long_words_are_told_from_those_that_differ_in_one_byte(kind, word):
    twins = [word[:-1], word + "x", word[:-1] + "q", "q" + word[1:], word]
    phrases = [[f"{word} tree"], [f"tree {word}"], [word]]
    assert named(kind, phrases, *twins) == [[], [], [], [], [word]]
    assert named(kind, phrases, f"tree {word} tree") == [[f"{word} tree", f"tree {word}", word]]
    assert named(kind, [[twin] for twin in twins], " ".join(twins), word) == [twins, [word]]


@both
def test_phrases_of_up_to_six_words_are_found_where_all_words_follow_each_other(kind):
    phrases = [["a b c d e f"], ["b c d"], ["d e f a"], ["f"]]
    captions = ["a b c d e f", "a b c d e x f", "x b c d e f a b", "a b c d e"]
    assert named(kind, phrases, *captions) == [
        ["a b c d e f", "b c d", "f"],
        ["b c d", "f"],
        ["b c d", "d e f a", "f"],
        ["b c d"],
    ]


@both
def test_longest_leaves_out_what_lies_inside_a_longer_form_and_nothing_else(kind):
    forms = [["pine tree"], ["tree"], ["tree house"], ["pine tree house sale"], ["sale"]]
    captions = [
        "pine tree",
        "a tree and a pine tree",
        # Forms that overlap in part both count.
        "pine tree house",
        "pine tree house sale",
        "pine tree house. Sale, sale",
    ]
    assert named(kind, forms, *captions, overlap="longest") == [
        ["pine tree"],
        ["pine tree", "tree"],
        ["pine tree", "tree house"],
        ["pine tree house sale"],
        ["pine tree house sale", "sale"],
    ]


@both
@rules
def test_every_concept_of_a_shared_form_is_found(kind, overlap):
    forms = [["crane", "lifting machine"], ["crane bird", "crane"], ["machine"]]
    found = named(kind, forms, "a crane", "lifting machine", overlap=overlap)
    assert found == [["crane", "crane bird"], ["crane"] if overlap == "longest" else ["crane", "machine"]]


@both
@rules
def test_forms_do_not_reach_into_the_next_caption(kind, overlap):
    captions = ["a pine", "tree", "pine", "", None, "tree"]
    found = named(kind, [["pine tree"], ["pinetree"], ["tree"]], *captions, overlap=overlap)
    assert found == [[], ["tree"], [], [], [], ["tree"]]


@both
def test_captions_without_words_mention_nothing(kind):
    captions = ["", " ", "\0", "...", None, "'", "-'-", "\u00ad", "❤\ufe0f", "\u202e"]
    assert named(kind, [["cat"]], *captions) == [[]] * len(captions)


@both
@rules
@pytest.mark.parametrize("text", ["cat ", "pine tree, ", "é ", "'s ", "cat", "猫", "\u0301", "x", "'"])
def test_a_caption_of_ten_thousand_characters_is_read_whole(kind, overlap, text):
    caption = text * (10_000 // len(text)) + " hot dog"
    vocabulary = make_vocabulary(
        ["cat"], ["pine tree"], ["tree pine tree"], ["hot dog"], ["dog"], ["猫"], ["é"]
    )
    found = kind(vocabulary, overlap).find(pa.array([caption, "dog"]))
    assert lists(found) == lists(find_slowly(vocabulary, [caption, "dog"], overlap=overlap))
    assert 3 in lists(found)[0]


@both
@rules
@settings(max_examples=40, deadline=None)
@given(world=worlds(), data=st.data())
def test_arrow_s_kinds_slices_and_chunks_make_no_difference(kind, overlap, world, data):
    vocabulary, captions = world
    expected = lists(find_slowly(vocabulary, captions, overlap=overlap))
    matcher = kind(vocabulary, overlap)
    before, after = (data.draw(st.lists(st.none() | st.just("cat pine"), max_size=3)) for _ in range(2))
    for name, of_kind in KINDS.items():
        whole = pa.array([*before, *captions, *after], pa.string()).cast(of_kind)
        piece = whole.slice(len(before), len(captions))
        assert lists(matcher.find(piece)) == expected, name
        cut = data.draw(st.integers(0, len(captions)))
        chunks = pa.chunked_array([piece[:cut], piece[cut:cut], piece[cut:]], of_kind)
        assert lists(matcher.find(chunks)) == expected, name


@both
@pytest.mark.parametrize("of_kind", KINDS.values(), ids=list(KINDS))
def test_no_captions_have_no_rows(kind, of_kind):
    matcher = kind(make_vocabulary(["cat"]))
    none = pa.array([], pa.string()).cast(of_kind)
    for captions in (none, pa.chunked_array([], of_kind), pa.chunked_array([none, none])):
        found = matcher.find(captions)
        assert (len(found), found.n_concepts, lists(found)) == (0, 1, [])
    missing = matcher.find(pa.array([None, None], pa.string()).cast(of_kind))
    assert lists(missing) == [[], []]


@both
def test_bytes_under_a_null_are_no_caption(kind):
    _, offsets, values = pa.array(["cat", "dog", "a cat"]).buffers()
    column = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(bytes([0b110])), offsets, values])
    assert lists(kind(make_vocabulary(["cat"], ["dog"])).find(column)) == [[], [1], [0]]


@both
def test_text_beyond_two_gibibytes_is_found_at_its_place(kind):
    # Pages that are not touched take no memory.
    beyond = (1 << 31) + 5
    texts = b"a cat's dogs and cat"
    values = np.zeros(beyond + len(texts), np.uint8)
    values[beyond:] = np.frombuffer(texts, np.uint8)
    offsets = np.array([0, beyond, beyond + 5, beyond + len(texts)])
    valid = pa.py_buffer(bytes([0b110]))
    column = pa.Array.from_buffers(pa.large_string(), 3, [valid, pa.py_buffer(offsets), pa.py_buffer(values)])
    assert lists(kind(make_vocabulary(["cat"], ["dogs and"])).find(column)) == [[], [0], [0, 1]]


@both
@rules
@settings(max_examples=40, deadline=None)
@given(world=worlds())
def test_a_caption_counts_once_however_often_it_says_a_word(kind, overlap, world):
    """Invariant 1."""
    vocabulary, captions = world
    given_captions = [caption or "" for caption in captions]
    once = count(kind, vocabulary, given_captions, overlap)
    thrice = count(kind, vocabulary, [f"{each} qqq {each} qqq {each}" for each in given_captions], overlap)
    assert once.tolist() == thrice.tolist()
    assert once.max() <= len(captions)


@both
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_phrase_is_mentioned_no_more_often_than_its_words(kind, data):
    """Invariant 5."""
    phrases = data.draw(
        st.lists(st.sampled_from(["pine tree", "hot dog", "dog tree pine", "tree 猫"]), unique=True)
    )
    members = ["pine", "tree", "hot", "dog", "猫"]
    vocabulary = build_vocabulary([*members, *phrases])
    captions = data.draw(st.lists(captions_of(vocabulary), max_size=20))
    counts = dict(zip(vocabulary.names, count(kind, vocabulary, captions).tolist(), strict=True))
    for phrase in phrases:
        assert counts[phrase] <= min(counts[word] for word in phrase.split())


@both
@rules
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_phrase_with_a_word_that_no_caption_has_is_mentioned_nowhere(kind, overlap, data):
    """Invariant 5, a member that is not there."""
    vocabulary = make_vocabulary(["pine tree qqq"], ["qqq pine"], ["pine qqq tree"], ["pine tree"])
    captions = data.draw(st.lists(captions_of(make_vocabulary(["pine tree"], ["tree"])), max_size=8))
    assert count(kind, vocabulary, captions, overlap)[:3].tolist() == [0, 0, 0]


VARIANTS = {
    "case": str.upper,
    "underscores": lambda name: name.replace(" ", "_"),
    "hyphens": lambda name: name.replace(" ", "-"),
    "plural": lambda name: f"{name}s",
    "possessive": lambda name: f"{name}’s",
    "wide": lambda name: "".join(chr(ord(c) + 0xFEE0) if c != " " else "\u3000" for c in name),
}


@both
@rules
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
def test_variants_of_a_concept_have_one_count(kind, overlap, variant):
    """Invariant 6."""
    names = ["cat", "pine tree", "hot dog stand"]
    captions = [f"a {name} by the sea" for name in names] * 2 + ["a tree"]
    vocabulary = build_vocabulary([*names, *map(variant, names)])
    assert len(vocabulary) == 3
    expected = count(kind, build_vocabulary(names), captions, overlap)
    assert expected.tolist() == [2, 2, 2]
    assert count(kind, vocabulary, captions, overlap).tolist() == expected.tolist()
    varied = [variant(name) for name in names] * 2 + ["a tree"]
    assert count(kind, vocabulary, varied, overlap).tolist() == expected.tolist()


@both
@rules
@settings(max_examples=20, deadline=None)
@given(vocabulary=vocabularies(), data=st.data())
def test_the_order_of_captions_and_of_concepts_makes_no_difference(kind, overlap, vocabulary, data):
    captions = data.draw(st.lists(captions_of(vocabulary), min_size=1, max_size=6))
    rows = data.draw(st.permutations(range(len(captions))))
    ids = data.draw(st.permutations(range(len(vocabulary))))
    other = make_vocabulary(*(list(vocabulary.concepts[number].forms) for number in ids))
    straight = lists(kind(vocabulary, overlap).find(pa.array(captions)))
    turned = lists(kind(other, overlap).find(pa.array([captions[row] for row in rows])))
    assert [sorted(ids[concept] for concept in row) for row in turned] == [straight[row] for row in rows]


@both
def test_a_vocabulary_of_thousands_is_found_word_by_word(kind):
    names = [f"{first}{second}" for first in range(100) for second in "abcdefghijklmnopqrstuvwxyz"]
    phrases = [f"{one} {two}" for one, two in itertools.pairwise(names)]
    vocabulary = make_vocabulary(*([name] for name in (*names, *phrases)))
    drawn = np.random.default_rng(0).choice(names, (500, 12)).tolist()
    captions = [" ".join(row) for row in (*zip(names[::3], names[1::3], names[2::3], strict=False), *drawn)]
    found = lists(kind(vocabulary).find(pa.array(captions)))
    assert found == lists(find_slowly(vocabulary, captions))
    assert [len(row) for row in found[:5]] == [5] * 5


@both
@rules
def test_korean_letters_that_join_to_a_syllable_are_that_syllable(kind, overlap):
    vocabulary = build_vocabulary(["큐", "하", "갃", "한"])
    captions = ["ㅋㅠ", "큐", "ㅎㅏ", "가ㄳ", "하ㄴ", "ㅋㅋㅋ", "ﾡ하", "ㅎㅏㄴ"]
    expected = lists(find_slowly(vocabulary, captions, overlap=overlap))
    assert expected[:3] == [[0], [0], [1]]
    assert lists(kind(vocabulary, overlap).find(pa.array(captions))) == expected


@both
@rules
def test_signs_that_become_several_words_are_found_however_many_there_are(kind, overlap):
    vocabulary = build_vocabulary(["1", "4", "1 4", "4 1 4", "cat"])
    captions = ["¼ " * times for times in (1, 3, 40, 300)] + ["½¾" * 500]
    expected = lists(find_slowly(vocabulary, captions, overlap=overlap))
    for _ in range(3):
        assert lists(kind(vocabulary, overlap).find(pa.array(captions))) == expected


def test_a_word_is_not_taken_for_a_longer_one_that_begins_with_it_and_has_its_hash():
    rng = np.random.default_rng(0)
    for _ in range(200_000):
        word = "".join(rng.choice(list("bcdfghklmnprtvz"), 16))
        low, high = (int.from_bytes(word[at : at + 8].encode(), "little") for at in (0, 8))
        one, other = hash_word(low, high, 16), hash_word(low, high, 18)
        # The same tag, and the same of the few slots that a vocabulary of one word has.
        if one >> 56 == other >> 56 and (one ^ other) >> 24 & 15 == 0:
            break
    else:
        pytest.fail("no two words with one hash")
    found = Matcher(build_vocabulary([f"{word}ab"])).find(
        pa.array([word, f"{word}ab", f"{word}abs", f"{word}a"])
    )
    assert lists(found) == [[], [0], [0], []]
