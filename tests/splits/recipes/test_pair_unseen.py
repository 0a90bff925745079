"""A corpus without the combinations of test sets: made, beside brute force, verified and forged."""

from dataclasses import replace

import numpy as np
import pytest
from tests.command import run
from tests.splits.unseen_data import VOCABULARY, World, count, named, pictures, uid, write_corpus, write_tags

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import as_uids, read_manifest
from oddpair.splits.recipe_file import Loaded, carry_out
from oddpair.splits.recipes.pair_unseen import KIND, PairUnseenRecipe, verify

RECIPE = PairUnseenRecipe()
BLIND = PairUnseenRecipe(content_column="absent")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Captions whose pictures show more, of some of which a column tells."""
    return World(tmp_path_factory.mktemp("world"), seed=5, captions=300, tests=40)


def inputs_of(world, *, tags=False, **others):
    return Inputs(
        corpus=pictures(world.corpus, "corpus"),
        tests={"test": pictures(world.tests)},
        tags=world.tags if tags else None,
        **{"vocabulary": VOCABULARY, **others},
    )


def make(recipe, inputs, work):
    (split,) = carry_out(Loaded(kind=KIND, recipe=recipe), inputs, work).splits
    return split


def own(names):
    """What names say when who names a pine tree has named a tree."""
    return set(names) - ({"tree"} if "pine tree" in names else set())


def keep_slowly(shown, *rows):
    """Uids of the rows of which no description holds all objects of a test image."""
    sets = [own(names) for names in shown if len(own(names)) > 1]
    return [
        uid(number)
        for number, each in enumerate(zip(*rows, strict=True))
        if not any(names <= set(held or ()) for names in sets for held in each)
    ]


def test_rows_go_whose_caption_or_picture_holds_all_objects_of_a_test_image(world, tmp_path):
    asked = list(map(named, world.asked))
    wanted = {
        "captions of both": (BLIND, False, keep_slowly(asked, world.named)),
        "tags": (BLIND, True, keep_slowly(asked, world.named, world.shown)),
        "content": (RECIPE, False, keep_slowly(world.content, world.named, world.truth)),
    }
    for place, (recipe, tags, uids) in wanted.items():
        split = make(recipe, inputs_of(world, tags=tags), tmp_path / place)
        assert split.uids.to_pylist() == uids, place
        assert dict(split.rules)["rows of the corpus"] == 300
        assert dict(split.rules)["rows kept"] == len(uids)
    assert len({len(uids) for _, _, uids in wanted.values()}) == len(wanted)


def test_all_objects_together_make_a_row_go_and_some_of_them_do_not(tmp_path):
    corpus = write_corpus(
        tmp_path / "corpus", ["a cat and a dog", "a cat, a dog and a van", "a van and a cat"]
    )
    tests = write_corpus(tmp_path / "tests", ["."], first=9, shards=1, concepts=[["cat", "dog", "van"]])
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests={"test": pictures(tests)}, vocabulary=VOCABULARY)
    assert make(RECIPE, inputs, tmp_path / "work").uids.to_pylist() == [uid(0), uid(2)]


def test_a_split_for_several_test_sets_is_for_all_of_them_together(tmp_path):
    captions = ["a cat and a dog", "a van and a kite", "a cat and a van"]
    corpus = write_corpus(tmp_path / "corpus", captions)
    tests = {
        name: pictures(write_corpus(tmp_path / name, ["."], first=9, shards=1, concepts=[shown]), name)
        for name, shown in (("first", ["cat", "dog"]), ("second", ["kite", "van"]))
    }
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests=tests, vocabulary=VOCABULARY)
    assert make(RECIPE, inputs, tmp_path / "work").uids.to_pylist() == [uid(2)]


def test_a_uid_goes_with_any_of_its_rows(tmp_path):
    captions = ["a cat and a dog", "a van", "a kite"]
    corpus = write_corpus(tmp_path / "corpus", captions, uids=[uid(1), uid(2), uid(1)])
    tests = write_corpus(tmp_path / "tests", ["."], first=9, shards=1, concepts=[["cat", "dog"]])
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests={"test": pictures(tests)}, vocabulary=VOCABULARY)
    split = make(RECIPE, inputs, tmp_path / "work")
    assert split.uids.to_pylist() == [uid(2)]
    assert all(check.holds for check in verify(split, RECIPE, inputs, tmp_path / "again"))


def test_without_a_vocabulary_the_names_that_test_sets_give_are_the_objects(world, tmp_path):
    given = make(RECIPE, inputs_of(world), tmp_path / "given")
    names = sorted({name for names in world.content for name in names})
    listed = make(RECIPE, inputs_of(world, vocabulary=build_vocabulary(names)), tmp_path / "listed")
    inputs = inputs_of(world, vocabulary=None)
    split = make(RECIPE, inputs, tmp_path / "own")
    assert split.uids == listed.uids == given.uids
    assert all(check.holds for check in verify(split, RECIPE, inputs, tmp_path / "again"))


def test_counts_that_were_given_are_not_made_again_and_give_the_same(world, tmp_path):
    count(world.corpus, tmp_path / "counts")
    inputs = inputs_of(world, vocabulary=None, counts=tmp_path / "counts")
    split = make(BLIND, inputs, tmp_path / "work")
    assert split.uids == make(BLIND, inputs_of(world), tmp_path / "anew").uids
    assert not (tmp_path / "work" / "counts").exists()
    assert all(check.holds for check in verify(split, BLIND, inputs, tmp_path / "again"))


@pytest.mark.parametrize(("recipe", "tags"), [(BLIND, False), (BLIND, True), (RECIPE, False)])
def test_a_split_verifies_and_forged_ones_do_not(recipe, tags, world, tmp_path):
    inputs = inputs_of(world, tags=tags)
    split = make(recipe, inputs, tmp_path / "made")
    assert all(check.holds for check in verify(split, recipe, inputs, tmp_path / "again"))
    uids = split.uids.to_pylist()
    outside = sorted({uid(number) for number in range(300)} - set(uids))[len(split) % 3]
    for name, forged in {
        "a row too many": replace(split, uids=as_uids(sorted([*uids, outside]))),
        "a row too few": replace(split, uids=as_uids(uids[1:])),
        "a stranger": replace(split, uids=as_uids(sorted([*uids, uid(77777)]))),
        "another claim": replace(
            split, statement=(replace(split.statement[0], text="nothing is seen"), *split.statement[1:])
        ),
    }.items():
        found = verify(forged, recipe, inputs, tmp_path / "forged")
        assert not all(check.holds for check in found), name


def test_test_sets_without_two_objects_are_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", ["a cat"])
    tests = write_corpus(tmp_path / "tests", ["."], first=9, shards=1, concepts=[["pine tree", "tree"]])
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests={"test": pictures(tests)}, vocabulary=VOCABULARY)
    with pytest.raises(Refusal, match="no sample of test shows two objects of the vocabulary"):
        make(RECIPE, inputs, tmp_path / "work")


def test_words_of_captions_are_no_objects(world, tmp_path):
    with pytest.raises(Refusal, match="give --vocabulary FILE, imagenet, coco or voc, or --counts"):
        make(BLIND, inputs_of(world, vocabulary=None), tmp_path / "work")


def test_the_card_tells_how_many_objects_are_left(tmp_path):
    captions = ["a cat and a dog", "a cat and a dog", "a cat", "a dog", "a dog", "a van and a kite"]
    corpus = write_corpus(tmp_path / "corpus", captions)
    tests = write_corpus(tmp_path / "tests", ["."], first=9, shards=1, concepts=[["cat", "dog"]])
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests={"test": pictures(tests)}, vocabulary=VOCABULARY)
    split = make(replace(RECIPE, minimum_count=2), inputs, tmp_path / "work")
    assert split.card[-1] == ("of 2 objects in 2 or more captions: corpus, split", "2, 1")


def test_numbers_that_mean_nothing_are_refused():
    with pytest.raises(Refusal, match="tag_threshold is nan"):
        PairUnseenRecipe(tag_threshold=float("nan"))
    with pytest.raises(Refusal, match="minimum_count is 0: it must be 1 or more"):
        PairUnseenRecipe(minimum_count=0)


def test_a_split_is_made_and_verified_by_command(world, tmp_path):
    out = tmp_path / "out"
    tags = write_tags(tmp_path / "tags.parquet", world.shown)
    options = ("--corpus", world.corpus, "--tests", f"test={world.tests}", "--tags", tags)
    code, said = run("split", "pair-unseen", *options, "--out", out, stream="stdout")
    assert code == 0, said
    split = read_manifest(out / "splits" / "pair-unseen")
    assert split.uids.to_pylist() == keep_slowly(world.content, world.named, world.shown)
    code, said = run("verify", out / "splits" / "pair-unseen", stream="stdout")
    assert code == 0, said
    assert said.count("holds: ") == len(split.statement) + 1


def test_the_order_of_shards_and_the_number_of_workers_change_no_byte(world, tmp_path):
    one = make(RECIPE, inputs_of(world), tmp_path / "one")
    two = make(RECIPE, inputs_of(world, workers=2), tmp_path / "two")
    assert one == two
    order = np.random.default_rng(0).permutation(300)
    shuffled = write_corpus(
        tmp_path / "shuffled",
        [world.captions[row] for row in order],
        uids=[uid(int(row)) for row in order],
        concepts=[world.truth[row] for row in order],
    )
    inputs = replace(inputs_of(world), corpus=pictures(shuffled, "corpus"))
    assert make(RECIPE, inputs, tmp_path / "three").uids == one.uids
