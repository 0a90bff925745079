"""Concepts of a test set by how often a corpus names them, beside counting by hand."""

from dataclasses import replace

import numpy as np
import pytest
from tests.eval.auditing.pair_material import make_material
from tests.splits.unseen_data import NAMES, draw_captions, named, uid

from oddpair.eval.auditing.concepts import find_concepts, list_decades
from oddpair.splits.inputs import Inputs


def own(names):
    """What a list of names says when who names a pine tree has named a tree."""
    return set(names) - ({"tree"} if "pine tree" in names else set())


def test_concepts_are_counted_as_by_hand(tmp_path):
    rng = np.random.default_rng(3)
    captions = draw_captions(rng, 120, most=3, power=3.0)
    tests = [rng.choice(NAMES[1:], rng.integers(0, 4), replace=False).tolist() for _ in range(60)]
    found = find_concepts(make_material(tmp_path, captions, tests, tail=5))
    # Who names a pine tree in a caption has named a tree, too.
    count = {name: sum(name in named(caption) for caption in captions) for name in NAMES}
    used = {name for names in tests for name in own(names)}
    least = [min((count[name] for name in own(names)), default=None) for names in tests]
    rows = found.images.to_pylist()
    assert [row["uid"] for row in rows] == [uid(5000 + number) for number in range(60)]
    assert [set(row["concepts"]) for row in rows] == [own(names) for names in tests]
    assert [row["least_count"] for row in rows] == least
    told = found.concepts
    assert told is not None
    assert found.why == ""
    assert told.captions == 120
    assert (told.missing.part, told.missing.n) == (sum(not count[name] for name in used), len(used))
    assert told.tail.part == sum(0 < count[name] < 5 for name in used) > 0
    assert (told.images_missing.part, told.images_missing.n) == (
        least.count(0),
        60 - least.count(None),
    )
    assert told.images_tail.part == sum(each is not None and 0 < each < 5 for each in least) > 0
    assert told.unknown == least.count(None) > 0
    assert told.rarest == tuple(
        (name, count[name], sum(name in own(names) for names in tests))
        for name in sorted(used, key=lambda name: (count[name], name))
    )
    assert sum(each.concepts for each in told.decades) == len(used)
    assert sum(each.images for each in told.decades) == 60 - told.unknown


def test_decades_go_from_nothing_to_the_most_frequent_concept():
    found = list_decades(np.array([0, 1, 9, 1000]), np.array([-1, 0, 0, 9, 999]))
    assert [(each.low, each.high) for each in found] == [
        (0, 1),
        (1, 10),
        (10, 100),
        (100, 1000),
        (1000, 10000),
    ]
    assert [each.concepts for each in found] == [1, 2, 0, 0, 1]
    assert [each.images for each in found] == [2, 1, 0, 1, 0]


def test_without_a_vocabulary_the_names_of_the_test_set_are_the_concepts(tmp_path):
    found = find_concepts(
        make_material(tmp_path, ["a red fox", "a fox"], [["red fox"], ["owl"]], vocabulary=None)
    )
    assert found.opened is not None
    assert found.opened.vocabulary.names == ("owl", "red fox")
    assert found.images["least_count"].to_pylist() == [1, 0]


def test_rows_of_one_image_show_what_all_of_them_show(tmp_path):
    found = find_concepts(
        make_material(
            tmp_path, ["a cat", "a dog and a cat"], [["cat"], ["dog"], ["van"]], image=["x", "x", "y"]
        )
    )
    assert found.images["concepts"].to_pylist() == [["cat", "dog"], ["cat", "dog"], ["van"]]
    assert found.images["least_count"].to_pylist() == [1, 1, 0]


def test_an_image_without_an_embedding_is_no_test_image(tmp_path):
    found = find_concepts(make_material(tmp_path, ["a cat"], [["cat"], ["cat"], ["van"]], embedded=2))
    assert found.images["uid"].to_pylist() == [uid(5000), uid(5001)]
    assert found.concepts is not None
    assert found.concepts.rarest == (("cat", 1, 2),)


def test_captions_tell_what_images_show_where_no_column_does(tmp_path):
    material = make_material(tmp_path, ["a cat"], [["cat"], ["van"]])
    asked = replace(material.asked, content_column="absent")
    found = find_concepts(replace(material, asked=asked))
    # All of its captions are "a picture".
    assert found.concepts is None
    assert found.why.startswith(
        "no concepts: of 10 none was found in test: give a vocabulary of what it shows"
    )


def embeddings_alone(material, side):
    inputs = material.inputs
    if side == "corpus":
        changed = replace(inputs, corpus=replace(inputs.need_corpus(), corpus=None))
    else:
        changed = replace(inputs, tests={"test": replace(inputs.tests["test"], corpus=None)})
    return replace(material, inputs=changed)


@pytest.mark.parametrize("side", ["corpus", "test"])
def test_embeddings_alone_have_no_concepts_and_the_reason_says_what_to_give(tmp_path, side):
    material = make_material(tmp_path, ["a cat"], [["cat"]])
    found = find_concepts(embeddings_alone(material, side))
    assert found.why == f"no concepts: {side} is a folder of embeddings: give the set that was embedded"
    assert (found.concepts, found.samples, found.opened) == (None, None, None)
    assert found.images.num_rows == 0


def test_without_any_names_a_vocabulary_is_asked_for(tmp_path):
    material = make_material(tmp_path, ["a cat"], [["cat"]], vocabulary=None)
    asked = replace(material.asked, content_column="absent")
    assert isinstance(material.inputs, Inputs)
    found = find_concepts(replace(material, asked=asked))
    assert found.why == "no concepts: give --vocabulary FILE, imagenet, coco or voc, or --counts"
