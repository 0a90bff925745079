from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.mining import count_words, mine_vocabulary
from oddpair.retrieval.words import find_words

INDEX = (
    "  1 This software and database is being provided to you, the LICENSEE, by  \n"
    "  2 dog n 1 2 the licence says so  \n"
    "lamp n 3 1 @ 3 0 03636248 03636649 02732072  \n"
    "ice_cream n 1 2 @ ~ 1 1 07614500  \n"
    "tulip n 1 2 @ ~ 1 0 12452673  \n"
)


def test_words_that_recur_are_concepts_each_caption_counting_once():
    captions = ["red fox fox", "a red barn", "fox", "a barn", "one comet, a lonely comet"]
    assert mine_vocabulary(captions, minimum=2).names == ("barn", "fox", "red")
    assert mine_vocabulary([*captions, "a red fox", "fox"], minimum=3).names == ("fox", "red")


def test_stop_words_short_words_and_words_with_digits_are_left_out():
    captions = ["the ox and img001 with lamp", "the ox and img001 with lamp, rose", "rose"]
    assert mine_vocabulary(captions, minimum=2).names == ("lamp", "rose")


def test_words_that_captions_say_of_themselves_are_left_out_and_what_can_be_seen_is_not():
    captions = [
        "stock photos of fire, free images",
        "a photo of a mill: high quality picture",
        "a fire at the mill",
    ]
    assert mine_vocabulary(captions * 2, minimum=2).names == ("fire", "mill", "high")


def test_a_plural_is_left_out_only_where_its_singular_is_there():
    assert mine_vocabulary(["a dog, scissors", "dogs, scissors", "dog", "dogs"], minimum=2).names == (
        "dog",
        "scissors",
    )


def test_a_concept_is_ranked_by_the_more_frequent_of_singular_and_plural():
    words = Counter({"rose": 4, "grape": 2, "grapes": 9, "lamp": 5, "lamps": 5})
    mined = mine_vocabulary(words, minimum=2)
    assert mined.names == ("grape", "lamp", "rose")
    assert mined.concepts[0].forms == ("grape", "grapes")


def test_only_the_most_frequent_words_are_kept_and_ties_fall_by_the_word():
    words = Counter({"rose": 4, "lamp": 4, "tulip": 4, "moss": 7})
    assert mine_vocabulary(words, minimum=2, most=3).names == ("moss", "lamp", "rose")


def test_the_order_of_the_captions_changes_nothing():
    captions = ["blue kite", "kite sky", "sky blue", "moss"]
    assert mine_vocabulary(captions, minimum=2) == mine_vocabulary(captions[::-1], minimum=2)


@pytest.mark.parametrize("text", [INDEX, "lamp\n# flowers\n\nTulip\nice cream\nox\n"])
def test_only_nouns_of_the_file_are_kept_in_singular_or_in_plural(tmp_path, text):
    path = tmp_path / "index.noun"
    path.write_text(text)
    words = Counter({"dog": 9, "tulips": 4, "lamp": 3, "lamps": 9, "blue": 9, "ice": 9, "cream": 9, "ox": 9})
    mined = mine_vocabulary(words, minimum=3, nouns=path)
    assert mined.names == ("lamp", "tulip")
    assert mine_vocabulary(words, minimum=4, nouns=path) == mined


def test_a_file_of_stop_words_takes_the_place_of_the_usual_ones(tmp_path):
    path = tmp_path / "stop.txt"
    path.write_text("Lamp\nnever\n")
    words = Counter({"lamp": 4, "lamps": 2, "photo": 3, "the": 3, "never": 2})
    assert mine_vocabulary(words, minimum=2, stop_words=path).names == ("photo", "the", "lamps")
    path.write_text("")
    assert "the" in mine_vocabulary(words, minimum=2, stop_words=path).names


def test_a_file_without_nouns_leaves_no_word(tmp_path):
    path = tmp_path / "index.noun"
    path.write_text("# none\n\n!!\n  1 licence\n")
    with pytest.raises(Refusal, match="0 words occur in 1 captions or more"):
        mine_vocabulary(["cat dog"], 1, nouns=path)


@pytest.mark.parametrize("captions", [[], [""], ["a cat", "a cat"], ["123 456", "123 456"]])
def test_fewer_than_two_words_are_refused_with_the_remedy(captions):
    with pytest.raises(Refusal, match=r"[01] words occur in 2 captions or more: give a --vocabulary file"):
        mine_vocabulary(captions, minimum=2)


@pytest.mark.parametrize("option", ["nouns", "stop_words"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, r"words cannot be read \(No such file or directory\): give a file with one word a line"),
        (b"caf\xe9", "words is not UTF-8 at byte 3"),
        (b"cat\0", "words holds a NUL at byte 3"),
    ],
)
def test_files_of_words_that_cannot_be_used_are_refused(tmp_path, option, data, message):
    path = tmp_path / "words"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(Refusal, match=message):
        mine_vocabulary(["cat dog"] * 2, 2, **{option: path})


CAPTIONS = st.lists(
    st.sampled_from(["a red cat's cats", "Cat", "CAT dog", "x1 dog's", "", "ÉTÉ é dog", "a b" * 30])
)


@configure(max_examples=80, deadline=None)
@given(CAPTIONS, CAPTIONS)
def test_tables_of_parts_add_up_to_that_of_the_whole(one, other):
    assert count_words(one) + count_words(other) == count_words([*one, *other])


@configure(max_examples=80, deadline=None)
@given(CAPTIONS)
def test_words_are_counted_as_one_caption_after_another_says(captions):
    slow: Counter[str] = Counter()
    for caption in captions:
        slow.update(word for word in set(find_words(caption)) if 3 <= len(word) <= 40 and word.isalpha())
    assert count_words(captions) == slow


def test_columns_are_counted_like_lists_and_null_says_nothing():
    captions = ["a red cat", "cats", "a red cat", None]
    expected = count_words(captions[:3])
    assert expected == {"red": 2, "cat": 2, "cats": 1}
    for column in (pa.array(captions), pa.chunked_array([captions[:1], captions[1:]], pa.large_string())):
        assert count_words(column) == expected


@configure(max_examples=80, deadline=None)
@given(CAPTIONS, st.data())
def test_copies_count_as_captions_that_are_repeated(captions, data):
    copies = np.array([data.draw(st.integers(0, 3)) for _ in captions], np.int64)
    repeated = [caption for caption, times in zip(captions, copies, strict=True) for _ in range(times)]
    assert count_words(captions, copies) == count_words(repeated)
    with_null = pa.array([*captions, None], pa.string())
    assert count_words(with_null, np.append(copies, 2)) == count_words(repeated)


def test_copies_that_are_not_one_number_a_caption_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        count_words(["a cat", "a dog"], np.array([1]))
