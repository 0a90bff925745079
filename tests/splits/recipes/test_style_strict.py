from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.splits.style_data import STYLES, plant, plant_tests, write_inputs

from oddpair import files
from oddpair.errors import Refusal
from oddpair.splits.manifest import as_uids
from oddpair.splits.recipes.style_strict import StyleStrictRecipe, build, verify
from oddpair.splits.styles.manifests import describe_strict
from oddpair.splits.styles.splits import split_styles
from oddpair.splits.styles.strict import NOT_SEARCHED

RECIPE = StyleStrictRecipe(precision=0.8, quantile=0.9)
TESTED = replace(RECIPE, natural_tests=("val",), rendition_tests=("sketches",))


@pytest.fixture(scope="module")
def planted():
    return plant()


@pytest.fixture(scope="module")
def inputs(planted, tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("given"), planted, tests=plant_tests())


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    return build(TESTED, inputs, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    return split_styles(TESTED, inputs, tmp_path_factory.mktemp("work"))


def names(built):
    return [manifest.name for manifest in built.splits]


def by_name(built):
    return {manifest.name: manifest for manifest in built.splits}


def style_of(planted):
    return dict(zip(planted[3], planted[2], strict=True))


def largest_similarity(planted, name):
    """By uid, the similarity to the nearest picture of a test set, from the stored numbers."""
    rows, tests = (
        planted[0].astype(np.float16).astype(float),
        plant_tests()[name][0].astype(np.float16).astype(float),
    )
    return dict(zip(planted[3], (rows @ tests.T).max(axis=1), strict=True))


def test_splits_and_clean_tests_are_made(built):
    assert names(built) == ["natural-strict", "rendition-strict", "clean-sketches", "clean-val"]
    assert [manifest.of for manifest in built.splits] == ["corpus", "corpus", "sketches", "val"]
    assert sorted(built.tables) == ["classes.parquet", "clean_classes.parquet"]


def test_every_row_that_left_is_nearer_to_a_rendition_test_than_every_row_that_stayed(planted, made):
    near = largest_similarity(planted, "sketches")
    natural = made.splits[0]
    uids = made.sorted.pool.uids.to_numpy(zero_copy_only=False)
    assert natural.left.any()
    assert min(near[uid] for uid in uids[natural.left]) > natural.threshold - 1e-6
    assert max(near[uid] for uid in uids[natural.keep]) <= natural.threshold + 1e-6


def test_the_threshold_is_the_quantile_of_hand_labelled_rows_by_a_slow_obvious_count(planted, made):
    near, style = largest_similarity(planted, "sketches"), style_of(planted)
    seen = made.sorted.pool.uids.take(made.sorted.sort.seen).to_pylist()
    known = sorted(near[uid] for uid in seen if style[uid] == "photo")
    assert made.splits[0].threshold == pytest.approx(known[int(np.ceil(0.9 * len(known))) - 1], abs=1e-6)


def test_the_search_decides_membership_and_skipping_it_changes_the_manifest(inputs, made, tmp_path):
    unsearched = split_styles(TESTED, inputs, tmp_path, search=False)
    with_search, without = (describe_strict(found, {}, quantile=0.9)[0] for found in (made, unsearched))
    assert set(with_search.uids.to_pylist()) < set(without.uids.to_pylist())
    assert ("search against the test images", NOT_SEARCHED) in without.card
    assert not any(NOT_SEARCHED in str(value) for _, value in with_search.card)
    kinds = [[claim.values["claim"] for claim in manifest.statement] for manifest in (with_search, without)]
    assert kinds == [["sorted", "precision", "nearest", "leak"], ["sorted", "precision", "leak"]]


def test_a_similarity_set_by_hand_decides_alone(planted, inputs, tmp_path):
    found = build(replace(TESTED, similarity=0.6), inputs, tmp_path)
    near = largest_similarity(planted, "sketches")
    natural = by_name(found)["natural-strict"]
    assert max(near[uid] for uid in natural.uids.to_pylist()) <= 0.6
    assert any("above 0.6000 to a rendition test picture (sketches): a threshold set by hand" in claim.text
               for claim in natural.statement)  # fmt: skip


def test_hand_labels_outrank_the_classifier(planted, inputs, tmp_path):
    # Rows in the middle of the photos that somebody says are sketches.
    image, texture, styles, uids = planted
    photos = [row for row, style in enumerate(styles) if style == "photo"]
    wrong = {uids[row] for row in photos[::4]}
    relabelled = ["sketch" if uid in wrong else style for uid, style in zip(uids, styles, strict=True)]
    corpus = write_inputs(tmp_path / "given", (image, texture, relabelled, uids)).corpus
    found = split_styles(replace(TESTED, precision=0.5), replace(inputs, corpus=corpus), tmp_path / "work")
    pool, sort = found.sorted.pool, found.sorted.sort
    of_wrong = np.isin(pool.uids.to_numpy(zero_copy_only=False), sorted(wrong))
    used = np.zeros(len(pool), dtype=bool)
    used[sort.seen] = True
    overruled = of_wrong & used & (sort.codes == 0)
    assert overruled.sum() > 10
    assert not found.splits[0].sorted_in[overruled].any()
    assert found.splits[1].sorted_in[overruled].all()
    assert found.splits[0].sorted_in[of_wrong & ~used & (sort.codes == 0)].all()


def test_held_out_tests_are_labelled_rows_that_no_split_holds(planted, tmp_path):
    found = build(RECIPE, write_inputs(tmp_path / "given", planted), tmp_path / "work")
    assert names(found) == ["natural-strict", "rendition-strict", "natural-test", "rendition-test"]
    everything = [set(manifest.uids.to_pylist()) for manifest in found.splits]
    assert len(set.union(*everything)) == sum(map(len, everything))
    style = style_of(planted)
    for name, label in (("natural-test", "photo"), ("rendition-test", "sketch")):
        assert {style[uid] for uid in by_name(found)[name].uids.to_pylist()} == {label}
        assert 0.1 < len(by_name(found)[name]) / planted[2].count(label) < 0.3


def test_a_style_without_a_test_set_has_one_held_out(planted, inputs, tmp_path):
    given = replace(inputs, tests={"sketches": inputs.tests["sketches"]})
    found = build(replace(TESTED, natural_tests=()), given, tmp_path)
    assert names(found) == ["natural-strict", "rendition-strict", "natural-test", "clean-sketches"]


def test_the_same_rows_in_another_order_and_other_shards_give_the_same_manifests(planted, tmp_path):
    order = np.random.default_rng(5).permutation(900)
    one = build(RECIPE, write_inputs(tmp_path / "one", planted), tmp_path / "work-one")
    given = write_inputs(tmp_path / "two", planted, order=order, sizes=[300, 0, 450, 150])
    two = build(RECIPE, replace(given, workers=2), tmp_path / "work-two")
    for here, there in zip(one.splits, two.splits, strict=True):
        assert replace(here, provenance={}) == replace(there, provenance={})
    assert one.tables["classes.parquet"] == two.tables["classes.parquet"]


def test_another_seed_holds_out_other_tests(planted, tmp_path):
    given = write_inputs(tmp_path / "given", planted)
    first, second = (
        by_name(build(replace(RECIPE, seed=seed), given, tmp_path / str(seed)))["natural-test"]
        for seed in (0, 1)
    )
    assert first.uids != second.uids


def test_only_so_many_labels_are_looked_at(inputs, tmp_path):
    found = split_styles(replace(TESTED, labelled=300, precision=0.7), inputs, tmp_path)
    sort = found.sorted.sort
    assert sum(map(len, (sort.fit, sort.threshold, sort.report))) == 300


def test_unlabelled_rows_are_sorted_too(planted, inputs, tmp_path):
    image, texture, styles, uids = planted
    some = [style if row % 2 else None for row, style in enumerate(styles)]
    corpus = write_inputs(tmp_path / "given", (image, texture, some, uids)).corpus
    found = build(replace(TESTED, precision=0.7), replace(inputs, corpus=corpus), tmp_path / "work")
    kept = set(by_name(found)["natural-strict"].uids.to_pylist())
    assert len(kept & set(uids[::2])) > 100


def write_labels(path, planted, most, *, per_class=None, random=0, other=None):
    """Hand labels of so many rows of each class, and of some drawn at random."""
    _, _, styles, uids = planted
    rng = np.random.default_rng(3)
    order = rng.permutation(len(uids))
    drawn = set(order[:random].tolist())
    chosen = [
        row for style in STYLES for row in [r for r in order if styles[r] == style][: per_class or most]
    ]
    rows = sorted({*chosen, *drawn})
    columns = {
        "uid": [uids[row] for row in rows],
        "label": ["natural" if styles[row] == "photo" else styles[row] for row in rows],
        "drawn": ["random" if row in drawn else other for row in rows],
    }
    files.write_table(path, pa.table(columns))
    return path


def test_labels_by_class_give_bounds_for_the_corpus(inputs, tmp_path):
    planted = plant(4000, 3, shares=(0.15, 0.35, 0.5))
    given = write_inputs(tmp_path / "given", planted)
    given = replace(
        given,
        tests=inputs.tests,
        labels=write_labels(tmp_path / "l.parquet", planted, 0, per_class=500, random=800),
    )
    recipe = replace(TESTED, labels_are="by-class", precision=0.7)
    built = build(recipe, given, tmp_path / "work")
    natural = by_name(built)["natural-strict"]
    style = style_of(planted)
    kept = [style[uid] for uid in natural.uids.to_pylist()]
    claims = {claim.values["claim"]: claim.values for claim in natural.statement}
    assert kept.count("sketch") / len(kept) <= claims["leak"]["at_most"]
    assert "shares of the classes from 800 rows drawn at random" in claims["precision"]["shares"]
    assert all(check.holds for check in verify(natural, recipe, given, tmp_path / "again"))
    shares = {"natural": 0.15, "rendition": 0.35, "ambiguous": 0.5}
    sharper = build(replace(recipe, shares=shares), given, tmp_path / "sharper")
    bounds = [found.statement[3].values["at_most"] for found in (by_name(sharper)["natural-strict"], natural)]
    assert bounds[0] < bounds[1]


def test_labels_by_class_without_shares_or_random_rows_are_refused(planted, inputs, tmp_path):
    with pytest.raises(Refusal, match="no labelled row is known to be drawn at random"):
        build(replace(TESTED, labels_are="by-class"), inputs, tmp_path)


def test_rows_that_were_drawn_by_a_guess_serve_to_fit_and_for_nothing_else(inputs, planted, tmp_path):
    planted = plant(4000, 3)
    given = write_inputs(tmp_path / "given", planted)
    path = write_labels(tmp_path / "l.parquet", planted, 0, per_class=300, random=700, other="enriched")
    given = replace(given, tests=inputs.tests, labels=path)
    for labels_are in ("random", "by-class"):
        recipe = replace(TESTED, labels_are=labels_are, precision=0.6)
        sort = split_styles(recipe, given, tmp_path / labels_are).sorted.sort
        assert len(sort.threshold) + len(sort.report) == 420
    lone = write_labels(tmp_path / "lone.parquet", planted, 0, per_class=300, other="enriched")
    with pytest.raises(Refusal, match=r"says of none of 900 labelled rows that it was drawn at random"):
        build(TESTED, replace(given, labels=lone), tmp_path / "lone")


def test_a_label_without_an_embedding_is_told_on_the_card(inputs, planted, tmp_path):
    path = tmp_path / "labels.parquet"
    table = pa.table({"uid": [*planted[3], "zz"], "label": [*planted[2], "photo"]})
    files.write_table(path, table)
    recipe = replace(TESTED, natural=("photo",))
    card = dict(build(recipe, replace(inputs, labels=path), tmp_path / "work").splits[0].card)
    assert card["hand labels that were left out"] == "1 of pictures that are no embedded row of the corpus"


def test_embeddings_alone_are_sorted_by_a_table_of_labels(inputs, planted, tmp_path):
    path = tmp_path / "labels.parquet"
    files.write_table(path, pa.table({"uid": planted[3], "label": planted[2]}))
    recipe = replace(TESTED, natural=("photo",))
    alone = replace(inputs, labels=path, corpus=replace(inputs.need_corpus(), corpus=None))
    found, whole = (
        build(recipe, given, tmp_path / name)
        for name, given in (("alone", alone), ("whole", replace(inputs, labels=path)))
    )
    assert [split.uids_sha256 for split in found.splits] == [split.uids_sha256 for split in whole.splits]


@pytest.mark.parametrize("classifier", ["knn", "centroid", "density-ratio"])
def test_every_classifier_makes_splits_that_verify(inputs, tmp_path, classifier):
    recipe = replace(TESTED, classifier=classifier, precision=0.75)
    for manifest in build(recipe, inputs, tmp_path / "work").splits:
        assert all(check.holds for check in verify(manifest, recipe, inputs, tmp_path / manifest.name))


def test_a_corpus_without_textures_is_sorted_by_embeddings_alone(planted, tmp_path):
    given = write_inputs(tmp_path / "given", planted, tests=plant_tests(), textured=False)
    found = build(replace(TESTED, precision=0.7), given, tmp_path / "work")
    assert len(by_name(found)["natural-strict"]) > 100


def test_clean_tests_are_what_their_own_classifier_accepts_and_the_other_rejects(inputs, made, built):
    from oddpair.splits.styles.features import open_features

    for name, mine, other in (("val", 0, 1), ("sketches", 1, 0)):
        stored = inputs.tests[name].stored
        scores = made.sorted.sort.scorer.score(open_features(stored, textured=True))
        thresholds = [made.sorted.sort.natural.threshold, made.sorted.sort.rendition.threshold]
        uids = stored.uids(np.arange(stored.shape[0]))
        clean = [
            uid
            for uid, row in zip(uids, scores, strict=True)
            if row[mine] >= thresholds[mine] and not row[other] >= thresholds[other]
        ]
        manifest = by_name(built)[f"clean-{name}"]
        assert manifest.uids.to_pylist() == sorted(clean)
        assert 0 < len(clean) < len(uids)
        table = built.tables["clean_classes.parquet"].to_pylist()
        rows = [row for row in table if row["test"] == name]
        assert [row["class"] for row in rows] == [f"class {number}" for number in range(5)]
        assert sum(row["pictures"] for row in rows) == len(uids)
        assert sum(row["clean"] for row in rows) == len(clean)
        assert ("classes left", "5 of 5") in manifest.card


def test_a_manifest_says_what_it_was_made_from_and_what_became_of_every_row(inputs, built):
    for style in ("natural", "rendition"):
        manifest = by_name(built)[f"{style}-strict"]
        assert manifest.provenance == inputs.identify()
        counts = [rows for _, rows in manifest.rules]
        assert counts == sorted(counts, reverse=True)
        assert (counts[0], counts[-1]) == (900, len(manifest))
        labels = [label for label, _ in manifest.card]
        assert len(labels) == len(set(labels))
        card = dict(manifest.card)
        assert sum(int(card[f"rows sorted {name}"]) for name in ("natural", "rendition", "ambiguous")) == 900
        assert card[f"rows sorted {style}"] == str(counts[2])
        histogram, composition = built.panels[manifest.name]
        for panel in (
            histogram.counts,
            {name: np.array(list(part.values())) for name, part in composition.counts.items()},
        ):
            assert [int(values.sum()) for values in panel.values()] == counts[2:]


def test_every_split_verifies_and_the_rules_hold_in_a_copy(inputs, planted, built, tmp_path):
    copy = write_inputs(tmp_path / "copy", planted, tests=plant_tests(), sizes=[450, 450])
    for manifest in built.splits:
        for given in (inputs, copy):
            checks = verify(manifest, TESTED, given, tmp_path / "work" / manifest.name / str(given is copy))
            assert [check.text for check in checks] == [claim.text for claim in manifest.statement]
            assert all(check.holds for check in checks), checks


def broken(manifest, inputs, work, recipe=TESTED):
    """Which claims fail: the first word of what each is about."""
    checks = verify(manifest, recipe, inputs, work)
    kinds = [claim.values.get("claim", "?") for claim in manifest.statement] + ["whole"]
    return [kind for kind, check in zip(kinds, checks, strict=False) if not check.holds]


def swap(manifest, uid):
    """The split with another row in place of one of its own."""
    kept = manifest.uids.to_pylist()
    return replace(manifest, uids=as_uids(sorted({*kept[1:], uid})))


def test_a_forged_split_says_which_claim_breaks(planted, inputs, made, built, tmp_path):
    natural = by_name(built)["natural-strict"]
    uids, sort = made.sorted.pool.uids, made.sorted.sort
    rendition = uids[int(np.flatnonzero(made.splits[1].keep)[0])].as_py()
    too_near = uids[int(np.flatnonzero(made.splits[0].left)[0])].as_py()
    held = np.isin(np.arange(len(uids)), sort.report)
    leaking = uids[
        int(np.flatnonzero(held & (made.sorted.labels.codes == 1) & ~made.splits[0].keep)[0])
    ].as_py()
    assert "sorted" in broken(swap(natural, rendition), inputs, tmp_path / "1")
    assert "nearest" in broken(swap(natural, too_near), inputs, tmp_path / "2")
    assert {"sorted", "leak"} <= set(broken(swap(natural, leaking), inputs, tmp_path / "3"))
    assert "sorted" in broken(swap(natural, "f" * 32), inputs, tmp_path / "4")
    clean = by_name(built)["clean-val"]
    unclean = sorted(set(plant_tests()["val"][3]) - set(clean.uids.to_pylist()))[0]
    assert broken(swap(clean, unclean), inputs, tmp_path / "5") == ["clean", "whole"]


def test_a_forged_test_is_found(planted, tmp_path):
    given = write_inputs(tmp_path / "given", planted)
    found = by_name(build(RECIPE, given, tmp_path / "work"))
    test, split = found["natural-test"], found["natural-strict"]
    assert broken(test, given, tmp_path / "1", RECIPE) == []
    assert broken(swap(test, split.uids[0].as_py()), given, tmp_path / "2", RECIPE) == ["labelled", "whole"]
    assert "sorted" in broken(swap(split, test.uids[0].as_py()), given, tmp_path / "3", RECIPE)


def test_a_forged_statement_is_found(inputs, built, tmp_path):
    natural = by_name(built)["natural-strict"]
    sorted_claim, precision, nearest, leak = natural.statement
    kept = natural.statement

    def forge(claim, **values):
        from oddpair.splits.styles.claims import say

        changed = {**claim.values, **values}
        return replace(claim, values=changed, text=say(changed))

    better = replace(natural, statement=(*kept[:3], forge(leak, at_most=0.0001)))
    assert broken(better, inputs, tmp_path / "1") == ["leak"]
    surer = replace(natural, statement=(sorted_claim, forge(precision, at_least=0.9999), nearest, leak))
    assert broken(surer, inputs, tmp_path / "2") == ["precision"]
    farther = replace(natural, statement=(sorted_claim, precision, forge(nearest, threshold=0.1), leak))
    assert broken(farther, inputs, tmp_path / "3") == ["nearest"]
    words = replace(natural, statement=(*kept[:3], replace(leak, text="no row is of the other style")))
    assert broken(words, inputs, tmp_path / "4") == ["leak"]
    short = replace(natural, statement=kept[:3])
    (check,) = [check for check in verify(short, TESTED, inputs, tmp_path / "5") if not check.holds]
    assert (check.text, check.found) == ("the statement is whole", "it lacks leak")
    stranger = replace(natural, name="mine")
    assert [check.holds for check in verify(stranger, TESTED, inputs, tmp_path / "6")] == [False] * 5


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        (
            {"rendition_tests": ("sketches", "r")},
            "rendition_tests names 'r', and no such test set is given: add --tests r=PATH",
        ),
        (
            {"natural_tests": ()},
            r"test set 'val' is of no style: name it in natural_tests or in rendition_tests",
        ),
        ({"precision": 0.999}, r"natural: .*0\.999"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(inputs, tmp_path, changes, refusal):
    with pytest.raises(Refusal, match=refusal):
        build(replace(TESTED, **changes), inputs, tmp_path)


def test_test_sets_without_the_textures_of_the_corpus_are_refused_before_the_search(planted, tmp_path):
    given = write_inputs(tmp_path / "given", planted)
    plain = write_inputs(tmp_path / "plain", planted, tests=plant_tests(), textured=False)
    with pytest.raises(Refusal, match="val-embeddings has no textures and the corpus has"):
        build(TESTED, replace(given, tests=plain.tests), tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"precision": 1.0}, r"precision is 1\.0: it must lie between 0 and 1"),
        (
            {"confidence": 0.9999999999999999},
            r"confidence is 0\.9999999999999999: it must be 0\.999999 or less",
        ),
        ({"similarity": 1.5}, r"similarity is 1\.5: it must lie between -1 and 1, or be null"),
        ({"natural": ()}, "natural names no label"),
        ({"ambiguous": ("photo",)}, "label 'photo' is natural and ambiguous"),
        ({"natural_tests": ("a",), "rendition_tests": ("a",)}, "test set 'a' is natural and rendition"),
        ({"labelled": 0}, "labelled is 0: it must be 1 or more, or null for all rows"),
        ({"neighbours": 0}, "neighbours is 0: it must be 1 or more$"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
        ({"shares": {"natural": 1.0}}, "shares are given, and random labels need none"),
        (
            {"shares": {"natural": 1.0}, "labels_are": "by-class"},
            "they must name natural, rendition, ambiguous",
        ),
        (
            {"shares": {"natural": 0.5, "rendition": 0.5, "ambiguous": 0.5}, "labels_are": "by-class"},
            "none below 0, and add up to 1",
        ),
        (
            {
                "shares": {"natural": float("nan"), "rendition": 0.5, "ambiguous": 0.5},
                "labels_are": "by-class",
            },
            "none below 0, and add up to 1",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, refusal):
    with pytest.raises(Refusal, match=refusal):
        StyleStrictRecipe(**changes)
