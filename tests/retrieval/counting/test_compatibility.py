import csv
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.compatibility import UnigramFinder, WordFinder
from oddpair.retrieval.counting.lemmas import Lemmas
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.mentions.slow import find_slowly
from oddpair.retrieval.words import find_words

SHARED = Path(__file__).resolve().parents[4] / "shared"
LEMMAS = Lemmas(lemma_of={"mice": "mouse", "better": "good", "ran": "run", "running": "run"}, complete=True)


def found(finder, captions):
    incidence = finder.find(pa.array(captions, pa.string()))
    assert len(incidence) == len(captions)
    return [
        incidence.concepts[start:end].tolist()
        for start, end in zip(incidence.ends[:-1], incidence.ends[1:], strict=True)
    ]


def total(finder, captions):
    rows = found(finder, captions)
    return [sum(concept in row for row in rows) for concept in range(len(finder._names))]


# --- unigrams ------------------------------------------------------------------------------------------------------


def test_a_name_is_found_by_its_words_anywhere_and_in_any_order():
    finder = UnigramFinder(build_vocabulary(["hot dog", "dog", "pine_tree"]), None)
    captions = ["Dogs in HOT weather", "hot-dogs", "a hot day", "trees of pine", "pineapple tree", "", None]
    assert found(finder, captions) == [[0, 1], [0, 1], [], [2], [], [], []]


def test_lemmas_of_a_list_join_words_of_names_and_captions():
    finder = UnigramFinder(build_vocabulary(["running mouse", "good"]), LEMMAS)
    assert found(finder, ["two mice ran", "a mouse will run", "better mice", "mouses ran"]) == [
        [0],
        [0],
        [1],
        [],
    ]


def test_a_word_that_no_caption_holds_gives_zero_and_is_not_passed_over():
    finder = UnigramFinder(build_vocabulary(["kite (bird of prey)", "kite"]), None)
    captions = ["a kite", "a kite, a bird of prey", "kite bird prey"]
    assert total(finder, captions) == [1, 3]


def test_stop_words_are_passed_over_in_names_and_captions():
    vocabulary = build_vocabulary(["kite (bird of prey)", "can", "the who"])
    finder = UnigramFinder(vocabulary, None, {"of", "The", "who", "can"})
    assert total(finder, ["kite bird prey", "a can", "the who can"]) == [1, 0, 0]
    assert finder.describe()["never_counted"] == ["can", "the who"]


def test_stop_words_that_leave_nothing_are_refused():
    with pytest.raises(Refusal, match="the stop words leave no word of any concept"):
        UnigramFinder(build_vocabulary(["of", "the"]), None, {"of", "the"})


WORDS = ["cat", "cats", "mouse", "mice", "tree", "trees", "pine", "of", "hot", "ran", "run", "better", "good"]
names = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=6
)
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join), max_size=6)


def find_unigrams_slowly(vocabulary, captions, lemmatise):
    needed = [{lemmatise(word) for word in name.split()} for name in vocabulary.names]
    held = [{lemmatise(word) for word in find_words(caption)} for caption in captions]
    return [[number for number, words in enumerate(needed) if words <= row] for row in held]


@configure(max_examples=60, deadline=None)
@given(names, texts)
def test_unigrams_equal_lemmatising_every_caption(given_names, captions):
    vocabulary = build_vocabulary(given_names)
    finder = UnigramFinder(vocabulary, LEMMAS)
    assert found(finder, captions) == find_unigrams_slowly(
        vocabulary, captions, lambda word: LEMMAS.lemma_of.get(word, word)
    )


@configure(max_examples=60, deadline=None)
@given(names, texts)
def test_a_name_of_several_words_is_found_at_most_as_often_as_each_of_them(given_names, captions):
    words = sorted({word for name in given_names for word in name.split()})
    vocabulary = build_vocabulary([*given_names, *words])
    finder = UnigramFinder(vocabulary, None)
    count = dict(zip(vocabulary.names, total(finder, captions), strict=True))
    ids = vocabulary.by_given()
    for name in given_names:
        members = [count[vocabulary.names[ids[word]]] for word in name.split()]
        assert count[vocabulary.names[ids[name]]] <= min(members)


@configure(max_examples=60, deadline=None)
@given(names, texts)
def test_pairs_that_unigrams_nest_are_those_found_together_in_whatever_caption(given_names, captions):
    vocabulary = build_vocabulary(given_names)
    finder = UnigramFinder(vocabulary, LEMMAS)
    sets = [{LEMMAS.lemma_of.get(word, word) for word in name.split()} for name in vocabulary.names]
    expected = {
        (min(a, b), max(a, b))
        for a in range(len(sets))
        for b in range(len(sets))
        if a != b and sets[a] <= sets[b]
    }
    assert finder.nested_pairs() == expected


def test_unigrams_nest_pairs_that_whole_names_do_not():
    vocabulary = build_vocabulary(["bottle of water", "water bottle", "cat"])
    assert nested_pairs(vocabulary) == set()
    assert UnigramFinder(vocabulary, None).nested_pairs() == {(0, 1)}


# --- words ---------------------------------------------------------------------------------------------------------

STOP_WORDS = frozenset({"a", "the", "of", "can", "don"})


def test_words_are_cut_as_the_paper_cuts_them():
    vocabulary = build_vocabulary(["cat", "dog", "tree", "don", "x", "747", "cafe", "café"])
    finder = WordFinder(vocabulary, None, STOP_WORDS)
    captions = ["a CAT's dog_tree", "don't", "x 747", "Café", "cat cat cats", "catdog", "", None]
    assert found(finder, captions) == [[0, 1, 2], [], [], [7], [0], [], [], []]
    # Of the others a plural may be found: stop words go before lemmas are taken.
    assert finder.describe()["never_counted"] == ["747"]


def test_names_that_no_token_can_be_are_said_to_be_never_counted():
    # A vowel sign, a Cherokee letter whose case folds upwards; the dotted capital I is found.
    given_names = ["हिन्दी", "\u13a0\u13a1", "İstanbul", "Straße", "café", "cat"]
    vocabulary = build_vocabulary(given_names)
    finder = WordFinder(vocabulary, None, None)
    captions = [*given_names, *vocabulary.names, *(name.upper() for name in vocabulary.names)]
    never = [name for name, n in zip(vocabulary.names, total(finder, captions), strict=True) if not n]
    assert finder.describe()["never_counted"] == never == list(vocabulary.names[:2])


def test_names_that_an_apostrophe_cuts_are_listed():
    vocabulary = build_vocabulary(["o'clock", "cat's", "dont", "don't", "'tree'", "rock’n’roll"])
    assert vocabulary.names == ("oclock", "cat", "dont", "tree", "rocknroll")
    finder = WordFinder(vocabulary, None, None)
    assert total(finder, ["5 o'clock", "the cat's", "don't", "rock'n'roll"]) == [0, 1, 0, 0, 0]
    assert total(finder, ["oclock rocknroll"]) == [1, 0, 0, 0, 1]
    said = finder.describe()
    assert said["never_counted"] == []
    assert said["counted_only_without_apostrophe"] == ["oclock", "rocknroll"]


@configure(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    st.lists(st.lists(st.sampled_from([*WORDS, "x", "12", "'s", "_", "-"])), max_size=6),
    st.sampled_from([" ", "_", "-", ", ", "'"]),
)
def test_words_equal_the_published_steps(given_names, captions, sign):
    vocabulary = build_vocabulary(given_names)
    captions = [sign.join(words) for words in captions]
    expected = []
    for caption in captions:
        tokens = re.sub(r"[\W_]+", " ", caption).lower().split()
        kept = [
            token for token in tokens if token not in STOP_WORDS and len(token) > 1 and not token.isnumeric()
        ]
        lemmas = {LEMMAS.lemma_of.get(token, token) for token in kept}
        expected.append(
            [n for n, name in enumerate(vocabulary.names) if LEMMAS.lemma_of.get(name, name) in lemmas]
        )
    assert found(WordFinder(vocabulary, LEMMAS, STOP_WORDS), captions) == expected


def test_concepts_of_one_lemma_are_found_together_and_are_no_pair():
    finder = WordFinder(build_vocabulary(["better", "cat", "good"]), LEMMAS, None)
    assert found(finder, ["good cat", "better"]) == [[0, 1, 2], [0, 2]]
    assert finder.nested_pairs() == {(0, 2)}


def test_a_concept_of_several_words_is_refused_by_name():
    with pytest.raises(Refusal, match=r"concept 'pine tree' has more than one word.* take it out"):
        WordFinder(build_vocabulary(["cat", "Pine_Tree", "hot dog"]), None, STOP_WORDS)


# --- both ----------------------------------------------------------------------------------------------------------

FINDERS = {"unigrams": UnigramFinder, "words": WordFinder}


@pytest.mark.parametrize("kind", FINDERS)
def test_a_finder_says_how_it_counts_in_strict_json(kind):
    vocabulary = build_vocabulary(["cat", "dog"])
    plain = FINDERS[kind](vocabulary, None, None).describe()
    listed = FINDERS[kind](vocabulary, LEMMAS, STOP_WORDS).describe()
    assert json.loads(json.dumps(listed, allow_nan=False)) == listed
    assert (plain["rules"], plain["check"].split()[0]) == (kind, "unverified")
    assert plain["lemmas_sha256"] is plain["stop_words_sha256"] is None
    assert "plural table" in plain["lemmas"]
    assert (listed["lemmas"], listed["lemmas_sha256"]) == ("list", LEMMAS.sha256)
    assert re.fullmatch("[0-9a-f]{64}", listed["stop_words_sha256"])
    other = FINDERS[kind](vocabulary, LEMMAS, STOP_WORDS | {"an"}).describe()
    assert other["stop_words_sha256"] != listed["stop_words_sha256"]
    assert listed["differences"]
    assert listed["not_copied"]


@pytest.mark.parametrize("kind", FINDERS)
def test_a_repeated_word_changes_nothing_and_batches_do_not_matter(kind):
    finder = FINDERS[kind](build_vocabulary(["cat", "dog", "tree"]), None, STOP_WORDS)
    captions = ["cat dog", "Dogs, dogs, dogs!", "tree tree cat", None, "cats"]
    doubled = [None if caption is None else f"{caption} {caption}" for caption in captions]
    whole = found(finder, captions)
    assert found(finder, doubled) == whole
    parts = pa.chunked_array([captions[:2], [], captions[2:]], pa.large_string())
    assert (
        finder.find(parts).to_csr().toarray().tolist()
        == finder.find(pa.array(captions)).to_csr().toarray().tolist()
    )


@pytest.mark.parametrize("kind", FINDERS)
def test_a_finder_goes_to_another_process(kind):
    finder = FINDERS[kind](build_vocabulary(["cat", "dog"]), LEMMAS, STOP_WORDS)
    copy = pickle.loads(pickle.dumps(finder))
    assert found(copy, ["cat", "dog cat"]) == [[0], [0, 1]]
    assert copy.describe() == finder.describe()


def test_of_single_words_the_rules_find_the_same_in_plain_captions():
    vocabulary = build_vocabulary(["cat", "mouse", "tree", "box"])
    captions = ["Two cats and a mouse.", "mice in boxes", "A tree!", "category", "treehouse box"]
    expected = found(FINDERS["words"](vocabulary, None, None), captions)
    assert expected == [[0, 1], [1, 3], [2], [], [3]]
    assert found(UnigramFinder(vocabulary, None), captions) == expected
    assert find_mentions(vocabulary, captions).toarray().tolist() == [
        [number in row for number in range(4)] for row in expected
    ]


def read_real_captions():
    path = SHARED / "pictures" / "pictures.csv"
    if not path.is_file():
        pytest.skip("the real captions are not here")
    with path.open(encoding="utf-8", newline="") as file:
        return [row["caption"] for row in csv.DictReader(file)]


def test_in_real_captions_the_three_rules_find_the_same_single_words():
    captions = read_real_captions()
    words = sorted({word for caption in captions for word in find_words(caption)})
    vocabulary = build_vocabulary(word for word in words if len(word) > 1 and not word.isnumeric())
    reference = find_slowly(vocabulary, captions).to_csr()
    assert reference.nnz > 900
    for kind in FINDERS.values():
        other = kind(vocabulary, None, None).find(pa.array(captions)).to_csr()
        assert np.array_equal(other.toarray(), reference.toarray())


def test_in_real_captions_two_neighbours_are_found_in_more_captions_than_the_phrase():
    captions = read_real_captions()
    couples = sorted(
        {" ".join(two) for c in captions for two in zip(find_words(c), find_words(c)[1:], strict=False)}
    )
    vocabulary = build_vocabulary(couples)
    phrases = find_mentions(vocabulary, captions)
    unigrams = UnigramFinder(vocabulary, None).find(pa.array(captions)).to_csr()
    assert np.all(unigrams.toarray() >= phrases.toarray())
    assert unigrams.nnz > phrases.nnz


def test_the_published_counts_pass_over_words_that_the_index_lacks():
    path = SHARED / "published" / "concept_counts.csv"
    if not path.is_file():
        pytest.skip("the published counts are not here")
    with path.open(encoding="utf-8", newline="") as file:
        count = {(row["downstream"], row["concept"]): row["cc12m|lemmatized"] for row in csv.DictReader(file)}
    # "mississippi" is in the index in upper case alone, so the bird was counted as every kite.
    assert count["birdsnap", "Mississippi_Kite"] == count["coco", "kite"]
    captions = ["a kite", "a kite on a beach", "a Mississippi kite"]
    assert total(UnigramFinder(build_vocabulary(["Mississippi_Kite", "kite"]), None), captions) == [1, 3]
