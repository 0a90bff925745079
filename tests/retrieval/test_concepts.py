import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import (
    Concept,
    Vocabulary,
    build_vocabulary,
    find_doubtful,
    find_joined,
    nested_pairs,
)
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.words import find_words, normalise

NAMES = [
    "cat",
    "dog",
    "tree",
    "pine tree",
    "tree house",
    "wine glass",
    "glasses",
    "leaf",
    "ice cream",
    "wine",
]
WORDS = [
    "cat",
    "cats",
    "dog",
    "tree",
    "trees",
    "pine",
    "house",
    "wine",
    "glass",
    "glasses",
    "leaves",
    "ice",
    "cream",
]
SIGNS = [" ", "  ", ", ", "-", "_", "\t", "/", "s ", "'s ", " a "]


def mentioned(names, *captions):
    vocabulary = build_vocabulary(names)
    found = find_mentions(vocabulary, captions).toarray()
    return [{name for name, hit in zip(vocabulary.names, row, strict=True) if hit} for row in found]


def mentioned_slowly(vocabulary, caption):
    words = f" {' '.join(find_words(caption))} "
    return [any(f" {form} " in words for form in concept.forms) for concept in vocabulary.concepts]


@st.composite
def captions(draw):
    pieces = draw(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SIGNS)), max_size=8))
    return "".join(itertools.chain.from_iterable(pieces))


@configure(max_examples=150, deadline=None)
@given(st.lists(captions(), max_size=6))
def test_mentions_equal_those_of_a_slow_search_in_every_caption(texts):
    vocabulary = build_vocabulary(NAMES)
    slow = np.array([mentioned_slowly(vocabulary, text) for text in texts], bool).reshape(-1, len(NAMES))
    mentions = find_mentions(vocabulary, texts)
    assert np.array_equal(mentions.toarray(), slow)
    assert mentions.has_canonical_format


@configure(max_examples=100, deadline=None)
@given(captions(), st.sampled_from([str.upper, str.title, lambda text: unicodedata.normalize("NFD", text)]))
def test_case_and_unicode_form_of_a_caption_change_nothing(text, change):
    assert mentioned(NAMES, text) == mentioned(NAMES, change(text))


@configure(max_examples=100, deadline=None)
@given(captions(), st.integers(2, 4))
def test_saying_it_again_changes_nothing(text, times):
    assert mentioned(NAMES, text) == mentioned(NAMES, " . x ".join([text] * times))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a scatter of cattle, concatenated", set()),
        ("CAT!", {"cat"}),
        ("two cats", {"cat"}),
        ("the cat's dog", {"cat", "dog"}),
        ("the cats' dog’s", {"cat", "dog"}),
        ("catdog", set()),
        ("cat-dog_tree", {"cat", "dog", "tree"}),
        ("cat2 and 2cat", set()),
        ("cat 2", {"cat"}),
        ("ｃａｔ", {"cat"}),
        ("pine\u00a0tree", {"pine tree", "tree"}),
        ("a pine, tree", {"pine tree", "tree"}),
        ("pine trees' tree-houses", {"pine tree", "tree", "tree house"}),
        ("pine tree house", {"pine tree", "tree", "tree house"}),
        ("tree pine", {"tree"}),
        ("pines tree", {"tree"}),
        ("two wine glasses", {"wine glass", "glasses", "wine"}),
        ("a wine glass", {"wine glass", "wine"}),
        ("a glass", set()),
        ("falling leaves, he leaves", {"leaf"}),
        ("ice creams in cups", {"ice cream"}),
        ("ice\ncream", {"ice cream"}),
        ("i\u00adce cream", {"ice cream"}),
        ("", set()),
        ("🐈 cat\ufe0f", {"cat"}),
    ],
)
def test_whole_words_are_mentioned_in_singular_and_plural(caption, expected):
    assert mentioned(NAMES, caption) == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5 o'clock don't", ["5", "oclock", "dont"]),
        ("'cat' \"s's\"", ["cat", "s"]),
        ("Straße ﬁsh CAFE\u0301", ["strasse", "fish", "café"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("eine Katze’s_é", ["eine", "katze", "é"]),
        ("x²", ["x2"]),
    ],
)
def test_words_are_runs_of_letters_and_digits(text, words):
    assert find_words(text) == words


@configure(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_a_normal_form_is_its_own_normal_form(text):
    assert normalise(normalise(text)) == normalise(text)


def test_what_stands_before_of_takes_a_plural_too():
    assert build_vocabulary(["bird of prey"]).concepts[0].forms == (
        "bird of prey",
        "bird of preys",
        "birds of prey",
    )


def test_only_the_last_word_of_a_name_takes_a_plural():
    assert build_vocabulary(["Pine-Tree"]).concepts[0].forms == ("pine tree", "pine trees")


def test_spellings_of_one_name_are_one_concept_in_the_order_given():
    vocabulary = build_vocabulary(["zebra", "Pine_Tree", "pine-tree", " PINE  tree ", "cat"])
    assert vocabulary.names == ("zebra", "pine tree", "cat")
    assert len(vocabulary) == 3


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat", "cats"], ["cat"]),
        (["cats", "cat"], ["cat"]),
        (["Sunglasses", "zebra", "sunglass"], ["sunglass", "zebra"]),
        (["zebra", "wine_glasses", "dog", "wine glass"], ["zebra", "wine glass", "dog"]),
        (["axe", "axes"], ["axe"]),
        (["axes", "axe", "ax"], ["axes", "axe", "ax"]),
        (["axis", "axe", "axes", "ax"], ["axis", "axe", "axes", "ax"]),
        (["leaf", "leave", "leaves"], ["leaf", "leave", "leaves"]),
        (["bird of prey", "birds of prey"], ["bird of prey"]),
        (["oxens", "oxen", "ox"], ["ox"]),
    ],
)
def test_a_name_that_is_the_plural_of_one_other_name_joins_it(names, expected):
    assert list(build_vocabulary(names).names) == expected


def test_a_joined_plural_adds_no_form_but_those_that_were_given_for_it():
    alone, joined = build_vocabulary(["ox"]), build_vocabulary(["oxen", "ox"])
    assert alone == joined
    assert alone.sha256 == joined.sha256
    assert build_vocabulary([("oxen", "bullock"), "ox"]).concepts[0].forms == (
        "ox",
        "oxen",
        "bullock",
        "bullocks",
    )


def test_further_forms_are_kept_as_given_and_take_plurals_too():
    (concept,) = build_vocabulary([("couch", "Love-Seat", "sofas", "couches")]).concepts
    assert concept.forms == ("couch", "couches", "love seat", "love seats", "sofas")


def test_entries_of_one_name_share_their_forms():
    (crane,) = build_vocabulary([("crane", "derrick"), ("Crane", "whooper"), "crane"]).concepts
    assert crane.forms == ("crane", "cranes", "derrick", "derricks", "whooper", "whoopers")


def test_a_form_of_several_concepts_mentions_each_and_they_are_no_pair():
    entries = ["axe", "axis", ("cell phone", "mobile"), ("sculpture", "mobile"), "mobile", "dog"]
    vocabulary = build_vocabulary(entries)
    found = find_mentions(vocabulary, ["two axes", "a mobile"]).toarray()
    assert found.tolist() == [
        [True, True, False, False, False, False],
        [False, False, True, True, True, False],
    ]
    assert nested_pairs(vocabulary) == {(0, 1), (2, 3), (2, 4), (3, 4)}


def test_concepts_are_known_by_every_spelling_that_was_given():
    vocabulary = build_vocabulary([" Pine_Tree", "cats", "pine tree ", ("cat", "kitty"), "cats"])
    assert vocabulary.by_given() == {"Pine_Tree": 0, "pine tree": 0, "cats": 1, "cat": 1}
    assert Vocabulary(concepts=(Concept(name="cat", forms=("cat",)),)).by_given() == {"cat": 0}


def test_concepts_keep_their_forms_and_are_not_joined_with_each_other():
    concepts = [Concept(name="cats", forms=("cats",)), Concept(name="cat", forms=("cat", "moggy"))]
    assert build_vocabulary(concepts).concepts == tuple(concepts)
    assert build_vocabulary([*concepts[1:], "cats"]).concepts == (
        Concept(name="cat", forms=("cat", "moggy", "cats")),
    )


def test_names_with_signs_beside_their_words_are_doubtful_until_they_have_a_further_form():
    names = [
        "kite (bird)",
        "t-shirt",
        "jack-o'-lantern",
        "shorts / trunks",
        "St. Bernard",
        ("kite (toy)", "kite"),
    ]
    assert find_doubtful(build_vocabulary(names)) == ("kite (bird)", "shorts / trunks")


@st.composite
def spellings(draw):
    words = draw(st.lists(st.sampled_from(["pine", "tree", "wine", "glass", "café"]), min_size=1, max_size=3))
    joint, change = draw(st.sampled_from([" ", "_", "-", "  ", "\u00a0"])), draw(st.sampled_from(CHANGES))
    return " ".join(words), change(joint.join(words))


CHANGES = [
    str,
    str.upper,
    str.title,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: f" {text}'s ",
]


@configure(max_examples=100, deadline=None)
@given(st.lists(spellings(), min_size=1, max_size=5))
def test_spellings_of_a_name_are_one_concept(drawn):
    names = [name for name, _ in drawn]
    vocabulary = build_vocabulary([*names, *(spelling for _, spelling in drawn)])
    assert vocabulary.names == build_vocabulary(names).names
    assert vocabulary.sha256 == build_vocabulary(names).sha256


ENTRIES = [
    "cat",
    "Cats",
    "CAT",
    "ax",
    "axe",
    "axis",
    "axes",
    "leaf",
    "leave",
    "leaves",
    "wine glass",
    "wine_glasses",
    "glass",
    "glasses",
    "man",
    "men",
    "ox",
    "oxen",
    ("car", "automobile", "auto"),
    ("auto", "cats"),
    ("glass", "tumbler"),
    ("pine tree", "pine"),
]


def partition(vocabulary):
    return {
        (concept.name, frozenset(concept.forms), frozenset(concept.given)) for concept in vocabulary.concepts
    }


@configure(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_change_which_are_one_concept(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert partition(build_vocabulary(entries)) == partition(build_vocabulary(shuffled))


@configure(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=12))
def test_saying_entries_twice_or_building_again_changes_nothing(entries):
    vocabulary = build_vocabulary(entries)
    assert build_vocabulary(entries * 2) == vocabulary
    assert build_vocabulary(vocabulary.concepts) == vocabulary


@configure(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=12))
def test_every_name_as_given_is_a_form_of_its_concept(entries):
    vocabulary = build_vocabulary(entries)
    given_names = {entry if isinstance(entry, str) else entry[0] for entry in entries}
    assert vocabulary.by_given().keys() == given_names
    for name, number in vocabulary.by_given().items():
        assert normalise(name) in vocabulary.concepts[number].forms


def test_a_name_without_a_word_and_an_empty_vocabulary_are_refused():
    with pytest.raises(Refusal, match="concept '!!' holds no letter or digit"):
        build_vocabulary(["cat", "!!"])
    with pytest.raises(Refusal, match="form '\\?' of concept 'cat' holds no letter or digit"):
        build_vocabulary([("cat", "?")])
    with pytest.raises(Refusal, match="the vocabulary is empty"):
        build_vocabulary([])


def test_nested_pairs_are_those_where_a_form_holds_a_form():
    vocabulary = build_vocabulary(NAMES)
    by_name = {(NAMES[a], NAMES[b]) for a, b in nested_pairs(vocabulary)}
    assert by_name == {
        ("tree", "pine tree"),
        ("tree", "tree house"),
        ("wine glass", "glasses"),
        ("wine glass", "wine"),
    }


def nested_slowly(vocabulary):
    forms = [[f" {form} " for form in concept.forms] for concept in vocabulary.concepts]
    return {
        (a, b)
        for a, b in itertools.combinations(range(len(forms)), 2)
        if any(one in two or two in one for one in forms[a] for two in forms[b])
    }


def test_nested_pairs_of_all_short_names_equal_those_of_a_slow_search():
    vocabulary = build_vocabulary(
        [" ".join(words) for n in (1, 2, 3) for words in itertools.product("xyz", repeat=n)]
    )
    assert nested_pairs(vocabulary) == nested_slowly(vocabulary)


@configure(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["x", "y", "x y", "y x z", "cat", "cats", "x cat"]), min_size=1), min_size=1
    )
)
def test_nested_pairs_equal_those_of_a_slow_search(entries):
    vocabulary = build_vocabulary(entries)
    assert nested_pairs(vocabulary) == nested_slowly(vocabulary)


def test_the_digest_tells_order_and_names_apart_and_no_spelling():
    digests = {
        build_vocabulary(names).sha256 for names in (["a b", "c"], ["c", "a b"], ["a b"], ["a b", "d"])
    }
    assert len(digests) == 4
    assert build_vocabulary(["A_B", "C"]).sha256 in digests


def test_a_very_long_caption_is_read_in_time_that_grows_with_its_length():
    assert mentioned(["pine tree"], "pine " * 400_000 + "tree") == [{"pine tree"}]


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (["new", "news"], (("news", "new"),)),
        (["Glasses", "glasses", "Glass", "glass"], (("Glasses", "Glass"),)),
        (["Pine_Tree", "pine tree", "PINE-TREE"], ()),
        ([("new", "news"), "cat"], ()),
        (["axes", "axe", "axis"], ()),
    ],
)
def test_names_that_joined_another_as_its_plural_are_found(names, joined):
    assert find_joined(build_vocabulary(names)) == joined
