from itertools import pairwise

import numpy as np
import pytest
from tests.splits.unseen_data import (
    VOCABULARY,
    World,
    count,
    named,
    pictures,
    proper_pairs,
    uid,
    write_corpus,
)

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.tags import open_tags
from oddpair.splits.pairs.near_images import find_near
from oddpair.splits.pairs.repeated import find_repeated
from oddpair.splits.pairs.sample_sets import Columns, read_samples
from oddpair.splits.pairs.unseen_sets import describe_samples, seen_places, silent_places, to_table

MINIMUM = 10
MODES = ("captions", "images", "both")


def describe(world, mode="captions", *, tagged=True, near=None, captions=None):
    """Describe the test set of a world by the first of its captions, or all."""
    corpus = world.corpus
    if captions is not None:
        corpus = write_corpus(world.folder / f"part-{captions}", world.captions[:captions])
    tags = world.tags if tagged else None
    counts, postings = count(corpus, world.folder / f"counts-{tagged}-{captions}", tags=tags)
    samples = read_samples(pictures(world.tests), VOCABULARY, Columns(), mode=mode, tags=None)
    return describe_samples(
        samples,
        postings,
        counts.nested,
        near,
        mode=mode,
        minimum=MINIMUM,
        images=tagged,
        repeated=find_repeated(open_corpus(corpus)),
    )


def search(world, *, tagged, k=5):
    """Find what is near to the test images of a world."""
    return find_near(
        pictures(world.corpus, stored=world.embed_corpus()),
        pictures(world.tests, stored=world.embed_tests()),
        VOCABULARY,
        world.folder / f"near-{tagged}",
        neighbours=k,
        column="concepts",
        tags=open_tags(world.tags, VOCABULARY) if tagged else None,
        workers=1,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"), seed=1)


def slow_sets(world, mode):
    """The concepts of each sample without names inside other names."""
    sets = []
    for caption, content in zip(world.asked, world.content, strict=True):
        names = {"captions": named(caption), "images": set(content), "both": named(caption) | set(content)}[
            mode
        ]
        sets.append(names - {"tree"} if "pine tree" in names else names)
    return sets


def slow_rows(world, place):
    """What each caption names, and what each image is tagged with."""
    return world.named if place == "captions" else world.shown


def together(world, names, places):
    return any(names <= row for place in places for row in slow_rows(world, place))


def slow_status(world, names, mode, *, tagged, near=None):
    """Status by looking at every row; ``near`` holds what is known of the images near to those that show the set."""
    rare = min(
        (
            sum(name in row for row in slow_rows(world, place))
            for name in names
            for place in seen_places(mode)
        ),
        default=0,
    )
    if not proper_pairs(names):
        return "single"
    if rare < MINIMUM:
        return "unsupported"
    known = [] if near is None else near(names)
    shown = any(names <= row for row in known)
    if together(world, names, seen_places(mode)):
        return "seen"
    if mode == "images" and shown:
        return "seen"
    if shown or together(world, names, silent_places(mode, tagged=tagged)):
        return "text-unseen"
    return "unseen" if known else "unchecked"


@pytest.mark.parametrize("mode", MODES)
def test_every_status_is_what_looking_at_every_caption_and_tag_says(world, mode):
    table = describe(world, mode)
    sets = slow_sets(world, mode)
    assert table.status.tolist() == [slow_status(world, names, mode, tagged=True) for names in sets]
    assert table.together.text.tolist() == [
        sum(names <= row for row in slow_rows(world, "captions")) if names else 0 for names in sets
    ]
    assert table.pairs.tolist() == [len(proper_pairs(names)) for names in sets]
    silent = silent_places(mode, tagged=True)
    assert table.unseen_pairs.tolist() == [
        sum(not together(world, set(pair), silent) for pair in proper_pairs(names)) for names in sets
    ]
    assert {"unchecked", "seen", "single"} <= set(table.status.tolist())


def test_without_tags_captions_alone_decide(world):
    table = describe(world, tagged=False)
    expected = [slow_status(world, names, "captions", tagged=False) for names in slow_sets(world, "captions")]
    assert table.status.tolist() == expected
    assert table.together.image is None


@pytest.mark.parametrize("tagged", [False, True], ids=["by a column", "by tags too"])
@pytest.mark.parametrize("mode", MODES)
def test_a_near_image_that_shows_all_demotes_a_sample_and_nothing_known_confirms_none(world, mode, tagged):
    near = search(world, tagged=tagged)
    tagged_too = tagged or mode != "captions"
    table = describe(world, mode, tagged=tagged_too, near=near)
    sets = slow_sets(world, mode)
    neighbours = {
        test: [int(near.uids[row].as_py(), 16) for row in rows]
        for test, rows in zip(near.tests.to_pylist(), near.rows.tolist(), strict=True)
    }

    def known_near(names):
        mine = [uid(5000 + number) for number, other in enumerate(sets) if other == names]
        known = []
        for number in {number for test in mine for number in neighbours[test]}:
            column = world.truth[number]
            if column is not None or (tagged and world.shown[number]):
                known.append(set(column or ()) | (world.shown[number] if tagged else set()))
        return known

    expected = [slow_status(world, names, mode, tagged=tagged_too, near=known_near) for names in sets]
    assert table.status.tolist() == expected
    assert "unseen" in expected
    if mode == "captions" and not tagged:
        assert {"unchecked", "text-unseen"} <= set(expected)


def test_the_neighbours_are_those_of_the_whole_similarity_matrix(world):
    near = search(world, tagged=True)
    corpus = world.folder / "corpus-embedded"
    rows = np.load(next(corpus.glob("img_emb/*.npy"))).astype(np.float64)
    tests = np.load(next((world.folder / "tests-embedded").glob("img_emb/*.npy"))).astype(np.float64)
    best = np.sort((tests @ rows.T).astype(np.float32), axis=1)[:, ::-1][:, :5]
    assert near.tests.to_pylist() == [uid(5000 + number) for number in range(len(tests))]
    assert np.array_equal(near.scores, best)


@pytest.mark.parametrize("mode", MODES)
def test_seen_and_unseen_are_disjoint_and_every_concept_has_its_support(world, mode):
    table = describe(world, mode)
    assert not (table.unseen & table.counted_seen).any()
    names = VOCABULARY.names
    for sample in np.flatnonzero(table.unseen | table.counted_seen):
        ends = table.samples.sets.indptr
        for concept in table.samples.sets.indices[ends[sample] : ends[sample + 1]]:
            for place in seen_places(mode):
                assert sum(names[concept] in row for row in slow_rows(world, place)) >= MINIMUM


def test_more_captions_only_remove_unseen_samples_and_fewer_only_add(world):
    tables = [describe(world, tagged=False, captions=captions) for captions in (250, 500, 1000)]
    for fewer, more in pairwise(tables):
        assert not ((more.whole == "unchecked") & (fewer.whole != "unchecked")).any()
        assert (more.unseen_pairs <= fewer.unseen_pairs).all()
        # Support grows with the captions: of samples that have it with fewer, none becomes unseen with more.
        assert not (more.unseen & fewer.supported & ~fewer.unseen).any()
    assert tables[0].unseen_pairs.sum() > tables[2].unseen_pairs.sum()


def test_unseen_in_captions_in_images_and_in_both_are_stated_apart(world):
    table = describe(world)
    sets = slow_sets(world, "captions")
    for places in (("captions",), ("images",), ("captions", "images")):
        expected = [
            bool(proper_pairs(names))
            and not together(world, names, places)
            and all(
                sum(name in row for row in slow_rows(world, place)) >= MINIMUM
                for name in names
                for place in places
            )
            for names in sets
        ]
        assert table.unseen_in(places).tolist() == expected


def test_a_higher_minimum_leaves_the_samples_of_concepts_that_are_as_frequent(world):
    table = describe(world, tagged=False)
    sets = slow_sets(world, "captions")
    for minimum in (1, 10, 100, 10**6):
        slow = sum(
            bool(proper_pairs(names))
            and not together(world, names, ("captions",))
            and min(sum(name in row for row in slow_rows(world, "captions")) for name in names) >= minimum
            for names in sets
        )
        assert table.left_at(minimum) == slow


def test_the_table_of_samples_says_what_is_known_of_each(world):
    table = describe(world)
    partner = np.full(len(table.samples), -1)
    partner[[0, 2]] = 2, 0
    lines = to_table(table, VOCABULARY.names, partner).to_pylist()
    sets = slow_sets(world, "captions")
    assert [line["uid"] for line in lines] == [uid(5000 + number) for number in range(len(sets))]
    assert [set(line["concepts"]) for line in lines] == sets
    assert [line["size"] for line in lines] == [len(names) for names in sets]
    assert [line["partner"] for line in lines[:3]] == [uid(5002), None, uid(5000)]
    for line, names in zip(lines, sets, strict=True):
        assert line["counts"] == [
            sum(name in row for row in slow_rows(world, "captions")) for name in line["concepts"]
        ]
        assert (line["in_captions"] == "seen") == (bool(names) and together(world, names, ("captions",)))
        assert (line["in_both"] == "unseen") == (line["in_captions"] == line["in_images"] == "unseen")
    bare = to_table(describe(world, tagged=False), VOCABULARY.names, partner)
    assert bare["in_images"].null_count == bare["joint_images"].null_count == len(bare)
