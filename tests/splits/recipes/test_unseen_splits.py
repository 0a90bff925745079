"""Splits of test sets by the recipe unseen-pairs: made, verified, forged and made again."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.splits.unseen_data import VOCABULARY, World, pictures, uid, write_corpus, write_tags

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import as_uids, read_manifest, write_manifest
from oddpair.splits.recipes.unseen_pairs import UnseenPairsRecipe, build, verify

RECIPE = UnseenPairsRecipe(neighbours=3, caliper=0.3)
BARE = {"all-pairs-unseen", "full-set-unseen", "gallery", "pairwise-unseen", "seen-matched", "unseen-matched"}
APART = {"text-unseen", "unseen-in-both", "unseen-in-captions", "unseen-in-images"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"), seed=1)


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """Folders of runs, a fresh one each time."""
    root = tmp_path_factory.mktemp("work")
    numbers = itertools.count()
    return lambda: root / str(next(numbers))


def inputs_of(world, *, tags=True, embedded=False, corpus=None, tests=None, **others):
    return Inputs(
        corpus=pictures(corpus or world.corpus, "corpus", world.embed_corpus() if embedded else None),
        tests=tests or {"test": pictures(world.tests, stored=world.embed_tests() if embedded else None)},
        tags=world.tags if tags else None,
        vocabulary=VOCABULARY,
        **others,
    )


@pytest.fixture(scope="module")
def made(world, works):
    """Splits by captions alone, and by captions, tags and search, with what they were made from."""
    found = {}
    for name, options in {"bare": {"tags": False}, "searched": {"embedded": True}}.items():
        inputs = inputs_of(world, **options)
        found[name] = inputs, build(RECIPE, inputs, works())
    return found


def split_of(built, name):
    return next(split for split in built.splits if split.name == name)


def broken(split, inputs, works, recipe=RECIPE):
    return [check for check in verify(split, recipe, inputs, works()) if not check.holds]


def test_a_test_set_is_split_by_captions_and_with_tags_three_ways(made):
    assert {split.name for split in made["bare"][1].splits} == BARE
    assert {split.name for split in made["searched"][1].splits} == BARE | APART
    assert all(split.of == "test" for split in made["bare"][1].splits)


@pytest.mark.parametrize("name", sorted(BARE | APART))
@pytest.mark.parametrize("run", ["bare", "searched"])
def test_what_was_made_holds(made, works, run, name):
    inputs, built = made[run]
    for split in built.splits:
        if split.name == name:
            assert split.statement
            assert broken(split, inputs, works) == []


@pytest.mark.parametrize("mode", ["images", "both"])
def test_what_is_unseen_in_images_and_in_both_holds(world, works, mode):
    recipe, inputs = replace(RECIPE, count_in=mode), inputs_of(world)
    built = build(recipe, inputs, works())
    assert {"full-set-unseen", "unseen-matched"} <= {split.name for split in built.splits}
    for split in built.splits:
        assert broken(split, inputs, works, recipe) == []


def test_splits_are_the_samples_of_a_status_and_say_how_they_are_scored(made):
    built = made["searched"][1]
    lines = built.tables["samples.parquet"].to_pylist()
    for name, status in (("full-set-unseen", "unseen"), ("text-unseen", "text-unseen")):
        split = split_of(built, name)
        assert split.uids.to_pylist() == [line["uid"] for line in lines if line["status"] == status]
    gallery = split_of(built, "gallery")
    assert len(gallery) == len(lines)
    assert {split.provenance["scoring"]["gallery"] for split in built.splits} == {gallery.uids_sha256}
    assert {split.provenance["scoring"]["task"] for split in built.splits} == {"retrieval"}
    rules = dict(split_of(built, "full-set-unseen").rules)
    assert list(rules.values()) == sorted(rules.values(), reverse=True)
    assert rules["kept"] == len(split_of(built, "full-set-unseen"))


def test_every_matched_sample_has_one_partner_whose_counts_are_as_frequent(made):
    built = made["bare"][1]
    lines = {line["uid"]: line for line in built.tables["samples.parquet"].to_pylist()}
    unseen, seen = (split_of(built, f"{name}-matched").uids.to_pylist() for name in ("unseen", "seen"))
    assert sorted(lines[name]["partner"] for name in unseen) == seen
    for name in unseen:
        one, other = lines[name], lines[lines[name]["partner"]]
        assert (one["status"], other["status"], other["partner"]) == ("unchecked", "seen", name)
        logs = [np.sort(np.log10(line["counts"])) for line in (one, other)]
        if one["size"] > 2:
            logs = [log.mean() for log in logs]
        assert one["size"] == other["size"]
        assert np.abs(logs[0] - logs[1]).max() <= RECIPE.caliper + 1e-9
    card = dict(split_of(built, "unseen-matched").card)
    assert card["unseen samples with a control of their own"] == len(unseen)
    total = card["unseen samples without one"] + len(unseen)
    assert total == dict(split_of(built, "full-set-unseen").card)["samples"]


def test_the_card_says_how_many_samples_each_minimum_leaves(made, world, works):
    card = dict(split_of(made["bare"][1], "full-set-unseen").card)
    left = [
        card[f"samples that are left if each concept must be in {minimum} rows"] for minimum in (1, 10, 100)
    ]
    assert left == sorted(left, reverse=True)
    for minimum, samples in zip((1, 10, 100), left, strict=True):
        built = build(replace(RECIPE, minimum_count=minimum), inputs_of(world, tags=False), works())
        found = [len(split) for split in built.splits if split.name == "full-set-unseen"]
        assert found == ([samples] if samples else [])


def other_uid(made, run, split, status):
    lines = made[run][1].tables["samples.parquet"].to_pylist()
    inside = set(split.uids.to_pylist())
    return next(line["uid"] for line in lines if line["status"] == status and line["uid"] not in inside)


@pytest.mark.parametrize(
    ("name", "status", "claim", "found"),
    [
        ("full-set-unseen", "seen", "no caption of the corpus names all", "are together in row"),
        (
            "full-set-unseen",
            "text-unseen",
            "no image of the corpus is tagged with all",
            "are together in row",
        ),
        ("full-set-unseen", "single", "shows two things or more", "shows "),
        ("pairwise-unseen", "single", "some pair of its concepts", "shows no pair"),
        ("all-pairs-unseen", "seen", "every pair of its concepts", "are together in row"),
        ("text-unseen", "seen", "no caption of the corpus names all", "are together in row"),
        ("unseen-in-images", "seen", "no image of the corpus is tagged with all", "are together in row"),
        (
            "unseen-matched",
            "seen",
            "a seen sample of the test set of its own",
            "couples are not those of its",
        ),
        ("seen-matched", "unseen", "are together in a caption", "are nowhere together"),
    ],
)
def test_a_split_with_another_row_in_it_is_found_out(made, works, tmp_path, name, status, claim, found):
    inputs, built = made["searched"]
    split = split_of(built, name)
    stranger = other_uid(made, "searched", split, status)
    uids = sorted([*split.uids.to_pylist()[1:], stranger])
    # With a hash that fits, as a forger would.
    write_manifest(tmp_path / "forged", replace(split, uids=as_uids(uids)))
    checks = broken(read_manifest(tmp_path / "forged"), inputs, works)
    assert any(claim in check.text and found in check.found for check in checks), checks


def test_a_near_image_of_the_corpus_that_shows_a_sample_is_found(made, world, works):
    inputs, built = made["searched"]
    # Without tags only the column of the corpus knows what near images show.
    inputs = replace(inputs, tags=None)
    checks = broken(split_of(built, "text-unseen"), inputs, works)
    assert checks == []
    statement = split_of(built, "full-set-unseen").statement
    forged = replace(split_of(built, "text-unseen"), statement=statement)
    checks = broken(forged, inputs_of(world, embedded=True), works)
    near = [check for check in checks if "nearest to its images" in check.text]
    assert near
    assert "show" in near[0].found


def test_a_row_of_another_set_and_a_gallery_that_lacks_one_are_found_out(made, works):
    inputs, built = made["bare"]
    split = split_of(built, "full-set-unseen")
    strange = replace(split, uids=as_uids([uid(1), *split.uids.to_pylist()]))
    (check,) = broken(strange, inputs, works)
    assert check.found == f"{uid(1)} and 0 more rows are of no such set"
    gallery = split_of(built, "gallery")
    (check,) = broken(replace(gallery, uids=gallery.uids[1:]), inputs, works)
    assert "it holds all rows" in check.text


def test_a_test_set_with_more_rows_is_another_gallery(made, world, works, tmp_path):
    inputs, built = made["bare"]
    more = write_corpus(tmp_path / "more", [*world.asked, "a cat"], first=5000)
    checks = broken(
        split_of(built, "full-set-unseen"), replace(inputs, tests={"test": pictures(more)}), works
    )
    assert [check.text for check in checks] == [
        "its rows are of the test set test, to be ranked among all its 200 rows"
    ]


@pytest.mark.parametrize("name", ["full-set-unseen", "pairwise-unseen", "unseen-matched"])
def test_one_caption_that_was_added_to_the_corpus_breaks_the_claim_and_both_rows_are_named(
    made, world, works, tmp_path, name
):
    inputs, built = made["bare"]
    split = split_of(built, name)
    lines = {line["uid"]: line for line in built.tables["samples.parquet"].to_pylist()}
    sample = next(line for line in lines.values() if line["uid"] in set(split.uids.to_pylist()))
    added = write_corpus(tmp_path / "more", [*world.captions, " with ".join(sample["concepts"])])
    checks = broken(split, replace(inputs, corpus=pictures(added, "corpus")), works)
    told = [check.found for check in checks if "together in row" in check.found]
    assert told
    if name != "pairwise-unseen":
        assert f"of sample {sample['sample']}, are together in row {uid(1000)}" in told[0]


def test_one_tag_that_was_added_breaks_the_claim_of_images(made, world, works, tmp_path):
    inputs, built = made["searched"]
    split = split_of(built, "unseen-in-images")
    first = split.uids[0].as_py()
    line = next(line for line in built.tables["samples.parquet"].to_pylist() if line["uid"] == first)
    shown = [*world.shown[:-1], {*world.shown[-1], *line["concepts"]}]
    tags = write_tags(tmp_path / "tags.parquet", shown)
    (check,) = broken(split, replace(inputs, tags=tags), works)
    assert f"of sample {first}, are together in row {uid(999)}" in check.found


def test_fewer_captions_of_a_concept_break_its_support(made, world, works, tmp_path):
    inputs, built = made["bare"]
    fewer = write_corpus(tmp_path / "fewer", world.captions[:40])
    checks = broken(
        split_of(built, "full-set-unseen"), replace(inputs, corpus=pictures(fewer, "corpus")), works
    )
    assert any("10 or more captions" in check.text for check in checks)


def test_claims_whose_inputs_are_not_given_do_not_hold(made, world, works):
    split = split_of(made["searched"][1], "full-set-unseen")
    told = [check.found for check in broken(split, inputs_of(world, tags=False), works)]
    assert told == [
        "no tags were given: give --tags",
        "no embeddings were given: give --embeddings or --model",
    ]
    with pytest.raises(
        Refusal, match="split 'full-set-unseen' is of the test set 'test': give --tests test=PATH"
    ):
        verify(split, RECIPE, replace(inputs_of(world), tests={}), works())


def test_a_control_that_is_another_sample_is_found_out(made, works):
    inputs, built = made["bare"]
    split = split_of(built, "unseen-matched")
    *others, claim = split.statement
    couples = claim.values["couples"]
    lines = {line["uid"]: line for line in built.tables["samples.parquet"].to_pylist()}
    single = next(line["sample"] for line in lines.values() if line["status"] == "single")
    for control, told in (
        (couples[1][1], "a sample is the control of two"),
        (couples[0][0], "is no seen sample"),
        (single, "is no seen sample"),
    ):
        forged = replace(claim, values={**claim.values, "couples": [[couples[0][0], control], *couples[1:]]})
        (check,) = broken(replace(split, statement=(*others, forged)), inputs, works)
        assert told in check.found or "cannot be matched" in check.found


def test_neither_order_of_rows_nor_shards_nor_workers_change_a_split(made, world, works, tmp_path):
    order = np.random.default_rng(0).permutation(len(world.captions))
    corpus = write_corpus(
        tmp_path / "c", [world.captions[row] for row in order], uids=[uid(row) for row in order], shards=5
    )
    order = np.random.default_rng(1).permutation(len(world.asked))
    tests = write_corpus(
        tmp_path / "t", [world.asked[row] for row in order], uids=[uid(5000 + row) for row in order], shards=1
    )
    inputs = inputs_of(world, tags=False, corpus=corpus, tests={"test": pictures(tests)}, workers=2)
    built = build(RECIPE, inputs, works())
    before = made["bare"][1]
    assert [split.uids_sha256 for split in built.splits] == [split.uids_sha256 for split in before.splits]
    assert [split.statement for split in built.splits] == [split.statement for split in before.splits]
    for name, table in before.tables.items():
        # Where nothing was searched it is NaN, which is equal to nothing.
        kept = [column for column in table.column_names if column != "nearest_similarity"]
        assert built.tables[name].select(kept).equals(table.select(kept))


def test_splits_of_several_test_sets_are_named_after_them(world, works):
    tests = {"a": pictures(world.tests, "a"), "b": pictures(world.tests, "b")}
    built = build(RECIPE, inputs_of(world, tags=False, tests=tests), works())
    assert {split.name for split in built.splits} == {f"{name}-{split}" for name in "ab" for split in BARE}
    assert set(built.tables["samples.parquet"]["test"].to_pylist()) == {"a", "b"}
    with pytest.raises(Refusal, match="test set 'b c': with several sets splits are named after them"):
        build(RECIPE, inputs_of(world, tags=False, tests={**tests, "b c": tests["b"]}), works())


def test_a_corpus_that_shows_everything_leaves_the_gallery(works, tmp_path):
    corpus = write_corpus(tmp_path / "c", ["a cat and a dog"] * 12)
    tests = write_corpus(tmp_path / "t", ["dog and cat", "a cat"], first=50)
    inputs = Inputs(corpus=pictures(corpus), tests={"test": pictures(tests)}, vocabulary=VOCABULARY)
    built = build(RECIPE, inputs, works())
    assert [split.name for split in built.splits] == ["gallery"]
    assert built.tables["samples.parquet"]["status"].to_pylist() == ["seen", "single"]


def test_the_table_of_pairs_is_checked_by_what_is_near_to_the_test_images(made):
    status = made["searched"][1].tables["pairs.parquet"].to_pylist()
    assert {"text-unseen", "unseen"} <= {line["status"] for line in status}
    assert any("search" in line["demoted_by"] or line["demoted_by"] == "both" for line in status)
    unsearched = made["bare"][1].tables["pairs.parquet"].to_pylist()
    assert {line["status"] for line in unsearched} <= {"seen", "unchecked"}


@pytest.fixture(scope="module")
def count(world, works):
    def make(corpus=None, **options):
        folder = works()
        plan = {"vocabulary": VOCABULARY, "postings": True, **options}
        count_corpus(open_corpus(corpus or world.corpus), folder, CountPlan(**plan))
        return folder

    return make


def test_given_counts_give_the_splits_that_counting_again_gives(made, world, works, count):
    inputs = inputs_of(world, counts=count(tags=TagFile(path=world.tags)), embedded=True)
    built = build(RECIPE, inputs, works())
    for split in made["searched"][1].splits:
        assert split_of(built, split.name).uids_sha256 == split.uids_sha256
    bare = replace(inputs_of(world, tags=False, counts=count()), vocabulary=None)
    for split in build(RECIPE, bare, works()).splits:
        assert broken(split, bare, works) == []


def test_given_counts_of_another_corpus_are_refused(world, works, count, tmp_path):
    other = count(write_corpus(tmp_path / "other", world.captions[:50]))
    with pytest.raises(Refusal, match=r"counts another corpus than .*: give the counts of this corpus"):
        build(RECIPE, inputs_of(world, tags=False, counts=other), works())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"postings": False}, "has no posting lists"),
        ({}, "was counted without image tags"),
        ({"finding": Finding(overlap="longest")}, "by the rules 'mentions', overlap 'longest'"),
        ({"finding": Finding(rules="unigrams")}, "by the rules 'unigrams'"),
    ],
)
def test_given_counts_that_lack_what_is_needed_are_refused(world, works, count, options, said):
    tags = not options
    with pytest.raises(Refusal, match=said):
        build(RECIPE, inputs_of(world, tags=tags, counts=count(**options)), works())


def test_given_counts_by_another_threshold_are_refused(world, works, count):
    counts = count(tags=TagFile(path=world.tags, threshold=0.3))
    with pytest.raises(Refusal, match="was counted with other image tags or another threshold"):
        build(RECIPE, inputs_of(world, counts=counts), works())
    recipe = replace(RECIPE, tag_threshold=0.3)
    assert build(recipe, inputs_of(world, counts=counts), works()).splits


def test_given_counts_that_were_rewritten_are_refused(world, works, count):
    folder = count()
    path = next((folder / "postings").glob("text_*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Refusal, match="has changed since it was counted"):
        build(RECIPE, inputs_of(world, tags=False, counts=folder), works())


@pytest.mark.parametrize(
    ("recipe", "change", "said"),
    [
        (RECIPE, {"vocabulary": None}, "test sets need a vocabulary, because not every word"),
        (
            replace(RECIPE, count_in="both"),
            {"tags": None},
            "count_in is both, and images of the corpus are known by",
        ),
    ],
)
def test_what_cannot_be_told_without_another_input_is_refused(world, works, recipe, change, said):
    with pytest.raises(Refusal, match=said):
        build(recipe, replace(inputs_of(world), **change), works())


def test_a_search_that_could_tell_nothing_is_refused(world, works):
    inputs = inputs_of(world, embedded=True, tags=False)
    with pytest.raises(Refusal, match="without a test set no image is searched for"):
        build(RECIPE, replace(inputs, tests={}), works())
    with pytest.raises(
        Refusal, match="nothing is known of the images of corpus that are near to those of test"
    ):
        build(replace(RECIPE, content_column="none"), inputs, works())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"caliper": -0.1}, r"caliper is -0\.1: it must be 0 or more decades"),
        ({"caliper": float("inf")}, "caliper is inf"),
        ({"tag_threshold": float("nan")}, "tag_threshold is nan"),
        ({"neighbours": 0}, "neighbours is 0: it must be 1 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, said):
    with pytest.raises(Refusal, match=said):
        UnseenPairsRecipe(**settings)


def test_a_table_of_samples_has_one_line_a_row_of_the_test_set(made):
    table = made["bare"][1].tables["samples.parquet"]
    assert isinstance(table, pa.Table)
    assert table["uid"].to_pylist() == [uid(5000 + number) for number in range(200)]


def test_rows_of_one_uid_are_one_row_of_support(tmp_path, works):
    captions = ["a cat"] * 15 + ["a dog"] * 15 + ["a van"] * 12
    uids = [uid(number) for number in range(30)] + [uid(99)] * 12
    corpus = write_corpus(tmp_path / "corpus", captions, uids=uids)
    test = write_corpus(tmp_path / "test", ["a cat with a van", "a cat with a dog"], first=5000)
    inputs = Inputs(corpus=pictures(corpus, "corpus"), tests={"test": pictures(test)}, vocabulary=VOCABULARY)
    built = build(RECIPE, inputs, works())
    split = split_of(built, "full-set-unseen")
    assert split.uids.to_pylist() == [uid(5001)]
    statuses = {line["uid"]: line["status"] for line in built.tables["samples.parquet"].to_pylist()}
    assert statuses[uid(5000)] == "unsupported"
    assert broken(split, inputs, works) == []
    forged = replace(split, uids=as_uids([uid(5000)]))
    assert [check.found for check in broken(forged, inputs, works)] == [
        f"'van' of sample {uid(5000)} is in 1"
    ]
