import pytest

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.prompts import (
    PAIR_TEMPLATES,
    TEMPLATES,
    all_pairs,
    concept_prompts,
    pair_prompts,
)
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.mentions.find import find_mentions


def test_every_concept_has_as_many_prompts_and_none_twice():
    assert {len(set(concept_prompts(name))) for name in CONCEPTS} == {len(TEMPLATES)}


@pytest.mark.parametrize(
    ("first", "second", "prompt"),
    [("egg", "cup", "a photo of an egg and a cup"), ("cup", "egg", "a photo of a cup and an egg")],
)
def test_a_pair_is_asked_for_in_both_orders_with_the_right_articles(first, second, prompt):
    prompts = pair_prompts(first, second)
    assert len(prompts) == 2 * len(PAIR_TEMPLATES)
    assert prompts[0] == prompt
    assert sorted(prompts) == sorted(pair_prompts(second, first))


def test_prompts_name_their_concepts_and_no_other_but_nested_ones():
    vocabulary = build_vocabulary(CONCEPTS)
    place = {name: column for column, name in enumerate(vocabulary.names)}
    for name in CONCEPTS:
        mentions = find_mentions(vocabulary, concept_prompts(name)).toarray()
        assert mentions[:, place[name]].all()
        named = {other for other in CONCEPTS if mentions[:, place[other]].any()}
        assert all(other in name.split() or other == name for other in named), (name, named)


def test_all_pairs_are_each_two_once():
    assert all_pairs("abc") == [(0, 1), (0, 2), (1, 2)]
    assert len(all_pairs(CONCEPTS)) == len(CONCEPTS) * (len(CONCEPTS) - 1) // 2
