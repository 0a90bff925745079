import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.vocabulary_file import load_vocabulary, save_vocabulary
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


@pytest.mark.parametrize(
    ("singular", "plurals"),
    [
        ("cat", ["cats"]),
        ("bus", ["buses"]),
        ("glass", ["glasses"]),
        ("box", ["boxes"]),
        ("torch", ["torches"]),
        ("brush", ["brushes"]),
        ("butterfly", ["butterflies"]),
        ("key", ["keys"]),
        ("leaf", ["leaves"]),
        ("knife", ["knives"]),
        ("roof", ["roofs"]),
        ("giraffe", ["giraffes"]),
        ("man", ["men"]),
        ("snowman", ["snowmen"]),
        ("human", ["humans"]),
        ("child", ["children"]),
        ("mouse", ["mice"]),
        ("house", ["houses"]),
        ("tomato", ["tomatoes", "tomatos"]),
        ("radio", ["radios"]),
        ("sheep", []),
        ("fish", ["fishes"]),
        ("jellyfish", ["jellyfishes"]),
        ("cactus", ["cacti", "cactuses"]),
        ("oasis", ["oases"]),
        ("iris", ["irises"]),
        ("lens", ["lenses"]),
        ("scissors", []),
        ("glasses", []),
        ("grapes", []),
        ("dice", []),
        ("café", ["cafés"]),
        ("y", ["ys"]),
        ("747", []),
        ("кот", []),
    ],
)
def test_plurals_are_those_of_english(singular, plurals):
    assert list(find_plurals(singular)) == plurals


def test_only_the_last_word_of_a_name_takes_a_plural():
    assert build_vocabulary(["Pine-Tree"]).concepts[0].forms == ("pine tree", "pine trees")


def test_spellings_of_one_name_are_one_concept_in_the_order_given():
    vocabulary = build_vocabulary(["zebra", "Pine_Tree", "pine-tree", " PINE  tree ", "cat"])
    assert vocabulary.names == ("zebra", "pine tree", "cat")
    assert len(vocabulary) == 3


@pytest.mark.parametrize(
    "names",
    [["cat", "cats"], ["cats", "cat"], ["glasses", "glass"], ["wine glass", "wine_glasses"], ["axe", "axis"]],
)
def test_a_name_that_is_the_plural_of_another_is_refused_naming_both(names):
    with pytest.raises(
        Refusal, match=f"concepts '{normalise(names[0])}' and '{normalise(names[1])}' are both written"
    ):
        build_vocabulary(names)


def test_a_name_without_a_word_and_an_empty_vocabulary_are_refused():
    with pytest.raises(Refusal, match="concept '!!' holds no letter or digit"):
        build_vocabulary(["cat", "!!"])
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


def test_nested_pairs_equal_those_of_a_slow_search():
    names = [" ".join(words) for n in (1, 2, 3) for words in itertools.product("xyz", repeat=n)]
    vocabulary = build_vocabulary(names)
    forms = [[f" {form} " for form in concept.forms] for concept in vocabulary.concepts]
    slow = {
        (a, b)
        for a, b in itertools.combinations(range(len(names)), 2)
        if any(one in two or two in one for one in forms[a] for two in forms[b])
    }
    assert nested_pairs(vocabulary) == slow


def test_the_digest_tells_order_and_names_apart_and_no_spelling():
    digests = {
        build_vocabulary(names).sha256 for names in (["a b", "c"], ["c", "a b"], ["a b"], ["a b", "d"])
    }
    assert len(digests) == 4
    assert build_vocabulary(["A_B", "C"]).sha256 in digests


@pytest.mark.parametrize("name", ["vocabulary.txt", "vocabulary.yaml", "vocabulary.yml"])
def test_a_vocabulary_comes_back_from_its_file(tmp_path, name):
    vocabulary = build_vocabulary([*NAMES, "no", "5", "über mensch"])
    save_vocabulary(tmp_path / name, vocabulary)
    assert load_vocabulary(tmp_path / name) == vocabulary


def test_comments_and_empty_lines_of_a_text_vocabulary_are_passed_over(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# animals\ncat\r\n\n  dog \n")
    assert load_vocabulary(path).names == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.txt", None, r"none\.txt cannot be read"),
        ("words.txt", b"", r"words\.txt: the vocabulary is empty"),
        ("words.txt", b"cat\ncats\n", r"words\.txt: concepts 'cat' and 'cats' are both written 'cats'"),
        ("words.txt", b"caf\xe9", r"words\.txt is not UTF-8 at byte 3"),
        ("words.yaml", b"cat: 1", r"words\.yaml holds dict, needed a list of names"),
        ("words.yaml", b"- cat\n- no\n", r"words\.yaml has False as item 2, needed text: put it in quotes"),
        ("words.yaml", b"- [", r"words\.yaml is no YAML"),
        ("words.yaml", b"- !!python/object:os.system x", r"words\.yaml is no YAML"),
    ],
)
def test_files_that_hold_no_vocabulary_are_refused(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(Refusal, match=message) as caught:
        load_vocabulary(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_very_long_caption_is_read_in_time_that_grows_with_its_length():
    assert mentioned(["pine tree"], "pine " * 400_000 + "tree") == [{"pine tree"}]
