import re

import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.counting.lemmas import Lemmas, find_lemmas, load_lemmas, load_stop_words
from oddpair.retrieval.plurals import find_plurals


def write(folder, text):
    path = folder / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_lines_of_word_tab_lemma_are_a_complete_list(tmp_path):
    text = "\ufeff# made by hand\r\nMice\tmouse\r\n\r\nran\trun \nran\trun\ncafés\tcafe\u0301\n"
    found = load_lemmas(write(tmp_path, text))
    assert found == Lemmas(lemma_of={"mice": "mouse", "ran": "run", "cafés": "café"}, complete=True)


def test_lines_with_spaces_are_a_list_of_exceptions_and_the_shortest_lemma_counts(tmp_path):
    text = "aardwolves aardwolf\naxes ax axis\nantennae antenna\nmen-of-war man-of-war\nbays_de_x bay_de_x\nlice louse lous\n"
    found = load_lemmas(write(tmp_path, text))
    expected = {"aardwolves": "aardwolf", "axes": "ax", "antennae": "antenna", "lice": "lous"}
    assert found == Lemmas(lemma_of=expected, complete=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "holds no lemma", id="33-empty"),
        pytest.param("# nothing\n\n", "holds no lemma", id="33-comments-alone"),
        pytest.param("men-of-war man-of-war\n", "holds no lemma", id="no-single-word"),
        pytest.param("mice\tmouse\nran run\n", "line 2 has no tab, the lines before have one", id="mixed"),
        pytest.param("ran run\nmice\tmouse\n", "line 2 has a tab, the lines before have none", id="mixed-2"),
        pytest.param(
            "mice\tmouse\nran\t\n", "line 2 holds 'ran', needed a word and its lemma", id="no-lemma"
        ),
        pytest.param("mice\tmouse\n\tran\n", "line 2 holds 'ran', needed a word", id="no-word"),
        pytest.param("mice\n", "line 1 holds 'mice', needed a word and its lemma", id="one-column"),
        pytest.param("a\tb\tc\n", "line 1 holds", id="three-columns"),
        pytest.param(
            "US\tus\nmice\tmouse\nus\twe\n", "line 3 gives 'us' the lemma 'we', line 1", id="two-lemmas"
        ),
        pytest.param(b"mice\tmouse\n\xff\xfe", "is not UTF-8 at byte 11", id="31-not-utf-8"),
        pytest.param(b"\x1b[31mmice\t\n", r"line 1 holds '\\x1b\[31mmice'", id="34-control-characters"),
        pytest.param("x" * 10**6 + "\n", "line 1 holds 'x{80}', needed", id="32-long-line"),
    ],
)
def test_a_list_of_lemmas_that_says_nothing_or_two_things_is_refused(tmp_path, text, message):
    with pytest.raises(Refusal, match=message) as caught:
        load_lemmas(write(tmp_path, text))
    assert "list.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", [load_lemmas, load_stop_words])
def test_a_list_that_is_not_there_is_refused(tmp_path, load):
    with pytest.raises(Refusal, match=re.escape(f"{tmp_path / 'none'} cannot be read (No such file")):
        load(tmp_path / "none")
    with pytest.raises(Refusal, match="cannot be read"):
        load(tmp_path)


def test_stop_words_are_in_lower_case(tmp_path):
    assert load_stop_words(write(tmp_path, "The\r\n\n# a\ndon't\n of \n")) == {"the", "don't", "of"}
    with pytest.raises(Refusal, match="holds no stop word"):
        load_stop_words(write(tmp_path, "\n"))
    with pytest.raises(Refusal, match="is not UTF-8 at byte 4"):
        load_stop_words(write(tmp_path, b"the\n\xff"))


def test_a_digest_tells_lists_apart_and_not_their_order():
    one = Lemmas(lemma_of={"a": "b", "c": "d"}, complete=True)
    assert one.sha256 == Lemmas(lemma_of={"c": "d", "a": "b"}, complete=True).sha256
    assert one.sha256 != Lemmas(lemma_of={"a": "b", "c": "d"}, complete=False).sha256
    assert one.sha256 != Lemmas(lemma_of={"a": "b", "c": "e"}, complete=True).sha256


def test_a_complete_list_leaves_other_words_as_they_are():
    lemmas = Lemmas(lemma_of={"mice": "mouse", "ran": "run"}, complete=True)
    assert find_lemmas(["mouse", "cat"], lemmas) == {"cat": "cat", "mice": "mouse", "mouse": "mouse"}


def test_a_list_of_exceptions_is_filled_up_with_regular_plurals():
    lemmas = Lemmas(lemma_of={"mice": "mouse", "leaves": "leave"}, complete=False)
    found = find_lemmas(["mice", "cat", "leaf"], lemmas)
    # What the list says comes first: its leaves are no plural of leaf.
    assert found == {"cat": "cat", "cats": "cat", "leaf": "leaf", "mice": "mouse", "mouse": "mouse"}


def test_a_plural_of_several_words_goes_to_the_shortest_then_the_first():
    assert find_lemmas(["axis", "ax", "axe"], None)["axes"] == "ax"
    assert find_lemmas(["axis"], None)["axes"] == "axis"
    terms = ["base", "basis"]
    assert find_lemmas(terms, None)["bases"] == find_lemmas(terms[::-1], None)["bases"] == "base"


words = st.sampled_from(
    ["cat", "cats", "mouse", "mice", "leaf", "leaves", "axis", "axes", "ax", "glass", "glasses", "ran", "run"]
)


@configure(max_examples=100, deadline=None)
@given(st.lists(words, max_size=6), st.none() | st.dictionaries(words, words), st.booleans())
def test_exactly_the_words_with_the_lemma_of_a_term_are_found(terms, given_lemmas, complete):
    lemmas = None if given_lemmas is None else Lemmas(lemma_of=given_lemmas, complete=complete)
    found = find_lemmas(terms, lemmas)
    assert list(found) == sorted(found)
    listed = given_lemmas or {}
    bases = sorted({*terms, *(listed[t] for t in terms if t in listed)}, key=lambda word: (len(word), word))
    regular = lemmas is None or not complete

    def lemmatise(word):
        """Look a single word up, as one would in a caption."""
        if word in listed:
            return listed[word]
        owners = [base for base in bases if word in find_plurals(base)] if regular else []
        return owners[0] if owners else word

    everything = {
        *terms,
        *listed,
        *listed.values(),
        *bases,
        *(p for base in bases for p in find_plurals(base)),
    }
    wanted = {lemmatise(term) for term in terms}
    assert found == {word: lemmatise(word) for word in everything if lemmatise(word) in wanted}
