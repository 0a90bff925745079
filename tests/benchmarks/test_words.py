import pytest

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.words import concepts_inside, mentions_by_phrase, noun_phrase, plural


@pytest.mark.parametrize(
    ("name", "one", "many"),
    [
        ("apple", "an apple", "apples"),
        ("ice cream", "an ice cream", "ice creams"),
        ("bus", "a bus", "buses"),
        ("fish", "a fish", "fish"),
        ("wine glass", "a wine glass", "wine glasses"),
        ("glasses", "glasses", "glasses"),
        ("butterfly", "a butterfly", "butterflies"),
        ("key", "a key", "keys"),
    ],
)
def test_one_and_many_are_named_as_english_does(name, one, many):
    assert (noun_phrase(name), plural(name)) == (one, many)


def test_a_plural_can_mention_what_its_singular_does_not():
    mentions = mentions_by_phrase(("glasses", "pine tree", "tree", "wine glass"))
    assert mentions["wine glass"] == ("wine glass",)
    assert mentions["wine glasses"] == ("glasses", "wine glass")
    assert mentions["pine trees"] == ("pine tree", "tree")
    assert mentions["trees"] == ("tree",)


def test_a_word_inside_a_word_is_no_mention():
    assert concepts_inside(("car", "carpet", "house", "lighthouse")) == {
        "car": (),
        "carpet": (),
        "house": (),
        "lighthouse": (),
    }


def test_every_concept_mentions_itself_in_both_numbers():
    mentions = mentions_by_phrase(CONCEPTS)
    for name in CONCEPTS:
        assert name in mentions[name]
        assert name in mentions[plural(name)]
