import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.mining import mine_vocabulary


def test_words_that_recur_are_concepts_each_caption_counting_once():
    captions = ["red fox fox", "a red barn", "fox", "a barn", "one comet, a lonely comet"]
    assert mine_vocabulary(captions, minimum=2).names == ("barn", "fox", "red")
    assert mine_vocabulary([*captions, "a red fox", "fox"], minimum=3).names == ("fox", "red")


def test_stop_words_short_words_and_words_with_digits_are_left_out():
    captions = ["the ox and img001 with lamp", "the ox and img001 with lamp, rose", "rose"]
    assert mine_vocabulary(captions, minimum=2).names == ("lamp", "rose")


def test_a_plural_is_left_out_only_where_its_singular_is_there():
    assert mine_vocabulary(["a dog, scissors", "dogs, scissors", "dog", "dogs"], minimum=2).names == (
        "dog",
        "scissors",
    )


def test_the_order_of_the_captions_changes_nothing():
    captions = ["blue kite", "kite sky", "sky blue", "moss"]
    assert mine_vocabulary(captions, minimum=2) == mine_vocabulary(captions[::-1], minimum=2)


@pytest.mark.parametrize("captions", [[], [""], ["a cat", "a cat"], ["123 456", "123 456"]])
def test_fewer_than_two_words_are_refused_with_the_remedy(captions):
    with pytest.raises(Refusal, match=r"[01] words occur in 2 captions or more: give a --vocabulary file"):
        mine_vocabulary(captions, minimum=2)
