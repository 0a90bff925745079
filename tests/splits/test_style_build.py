from dataclasses import replace

import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.embeddings import Embeddings
from oddpair.splits.recipes import StyleStrictRecipe
from oddpair.splits.style_build import TestPictures, build_style_splits, label_classes
from oddpair.splits.style_strict import NOT_SEARCHED

RECIPE = StyleStrictRecipe(precision=0.8, quantile=0.9)
CENTRES = {"photo": 0, "sketch": 1, "ambiguous": 2}


def plant(n=900, seed=0, spread=0.35):
    """Embeddings whose styles are three overlapping clouds, and the style of each row."""
    rng = np.random.default_rng(seed)
    styles = rng.choice(list(CENTRES), n, p=[0.5, 0.35, 0.15])
    place = np.array([CENTRES[style] for style in styles])
    image = np.eye(12)[place] + spread * rng.normal(size=(n, 12))
    texture = np.eye(5)[place] + rng.normal(size=(n, 5))
    embeddings = Embeddings(
        uids=tuple(f"{row:032x}" for row in rng.permutation(n)),
        captions=("",) * n,
        image=(image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32),
        text=np.empty((n, 0), np.float32),
        texture=texture.astype(np.float32),
        encoder="e" * 64,
    )
    return embeddings, styles.tolist()


def held_pictures(seed=1, n=60):
    embeddings, styles = plant(n, seed)
    found = {}
    for name, style in (("natural", "photo"), ("rendition", "sketch")):
        rows = [row for row, found_style in enumerate(styles) if found_style == style]
        found[name] = TestPictures(
            uids=tuple(embeddings.uids[row] for row in rows),
            image=embeddings.image[rows],
            styles=(style,) * len(rows),
        )
    return found


def build(embeddings, styles, recipe=RECIPE, *, tests=None, search=True):
    return build_style_splits(
        embeddings, styles, recipe, tests=tests, provenance={"corpus": "c"}, search=search
    )


@pytest.fixture(scope="module")
def planted():
    return plant()


@pytest.fixture(scope="module")
def split(planted):
    return build(*planted, tests=held_pictures())


def by_name(splits):
    return {manifest.name: manifest for manifest in splits.manifests}


def test_the_search_decides_membership_and_skipping_it_changes_the_manifest(planted, split):
    unsearched = build(*planted, tests=held_pictures(), search=False)
    with_search, without = by_name(split)["natural-strict"], by_name(unsearched)["natural-strict"]
    assert set(with_search.uids) < set(without.uids)
    assert with_search.uids_sha256 != without.uids_sha256
    assert ("search against the test images", NOT_SEARCHED) in without.card
    assert not any(NOT_SEARCHED in str(value) for _, value in with_search.card)
    assert without.parameters["similarity_threshold"] is None
    assert with_search.parameters["similarity_threshold"] > 0


def test_every_row_that_left_is_nearer_to_a_rendition_test_than_every_row_that_stayed(planted, split):
    embeddings, _ = planted
    tests = held_pictures()["rendition"]
    nearest = (embeddings.image.astype(np.float64) @ tests.image.astype(np.float64).T).max(axis=1)
    natural = split.splits[0]
    assert natural.left.any()
    assert nearest[natural.left].min() > natural.threshold - 1e-6
    assert nearest[natural.keep].max() <= natural.threshold + 1e-6


def test_the_threshold_is_the_quantile_of_hand_labelled_rows_by_a_slow_obvious_count(planted, split):
    embeddings, styles = planted
    tests = held_pictures()["rendition"]
    rows = [r for r in np.concatenate([split.sort.fit, split.sort.threshold]) if styles[r] == "photo"]
    near = sorted((embeddings.image[rows].astype(np.float64) @ tests.image.T.astype(np.float64)).max(axis=1))
    assert split.splits[0].threshold == pytest.approx(near[int(np.ceil(0.9 * len(near))) - 1], abs=1e-6)


def test_hand_labels_outrank_the_probe(planted):
    embeddings, styles = planted
    # A row in the middle of the photos that somebody says is a sketch.
    photos = [row for row, style in enumerate(styles) if style == "photo"]
    wrong = photos[::4]
    relabelled = ["sketch" if row in set(wrong) else style for row, style in enumerate(styles)]
    found = build(embeddings, relabelled, replace(RECIPE, precision=0.5), tests=held_pictures())
    used = set(np.concatenate([found.sort.fit, found.sort.threshold]).tolist())
    overruled = [row for row in wrong if row in used and found.sort.classes[row] == "natural"]
    assert len(overruled) > 10
    assert not found.splits[0].sorted_in[overruled].any()
    assert found.splits[1].sorted_in[overruled].all()
    reported = [row for row in wrong if row not in used and found.sort.classes[row] == "natural"]
    assert found.splits[0].sorted_in[reported].all()


def test_held_out_tests_are_labelled_rows_that_no_split_holds(planted):
    embeddings, styles = planted
    found = build(*planted)
    manifests = by_name(found)
    assert sorted(manifests) == ["natural-strict", "natural-test", "rendition-strict", "rendition-test"]
    everything = [set(manifest.uids) for manifest in found.manifests]
    assert len(set.union(*everything)) == sum(map(len, everything))
    style = dict(zip(embeddings.uids, styles, strict=True))
    for name, label in (("natural-test", "photo"), ("rendition-test", "sketch")):
        assert {style[uid] for uid in manifests[name].uids} == {label}
        assert len(manifests[name]) == round(0.2 * styles.count(label))
    assert len(found.rows) == 900 - len(manifests["natural-test"]) - len(manifests["rendition-test"])


def test_the_same_rows_in_another_order_give_the_same_manifests(planted):
    embeddings, styles = planted
    order = np.random.default_rng(5).permutation(len(styles))
    shuffled = replace(
        embeddings,
        uids=tuple(embeddings.uids[row] for row in order),
        image=embeddings.image[order],
        texture=embeddings.texture[order],
    )
    here = build(embeddings, styles)
    there = build(shuffled, [styles[row] for row in order])
    assert [(m.name, m.uids_sha256) for m in here.manifests] == [
        (m.name, m.uids_sha256) for m in there.manifests
    ]


def test_another_seed_holds_out_other_tests(planted):
    embeddings, styles = planted
    first, second = (
        by_name(build(embeddings, styles, replace(RECIPE, seed=seed)))["natural-test"] for seed in (0, 1)
    )
    assert first.uids != second.uids
    assert first.provenance["seed"] != second.provenance["seed"]


def test_only_so_many_labels_are_looked_at(planted):
    embeddings, styles = planted
    found = build(embeddings, styles, replace(RECIPE, labelled=300, precision=0.7), tests=held_pictures())
    parts = (found.sort.fit, found.sort.threshold, found.sort.report)
    assert sum(map(len, parts)) == 300
    assert by_name(found)["natural-strict"].provenance["labelled"] == 300


def test_unlabelled_rows_are_sorted_too(planted):
    embeddings, styles = planted
    some = [style if row % 2 else ("" if row % 4 else None) for row, style in enumerate(styles)]
    found = build(embeddings, some, replace(RECIPE, precision=0.7), tests=held_pictures())
    assert found.splits[0].keep[::2].sum() > 100


def test_a_manifest_says_what_it_was_made_from_and_by(split):
    manifest = by_name(split)["rendition-strict"]
    assert manifest.provenance == {
        "corpus": "c",
        "encoder": "e" * 64,
        "seed": 0,
        "labelled": 900,
        "test_pictures": len(held_pictures()["natural"].uids),
    }
    assert set(manifest.parameters) == {
        "style", "precision", "confidence", "quantile", "score_threshold", "similarity_threshold",
    }  # fmt: skip
    labels = [label for label, _ in manifest.card]
    assert len(labels) == len(set(labels))
    assert "rendition precision, held out" in labels
    card = dict(manifest.card)
    sorted_in = sum(int(card[f"rows sorted {name}"]) for name in ("natural", "rendition", "ambiguous"))
    assert sorted_in == 900
    assert card["rows sorted rendition"] == str(split.splits[1].sorted_in.sum())
    assert card["rows of any class that went by their hand label"] == str(
        len(split.sort.fit) + len(split.sort.threshold)
    )
    assert not any(label.startswith("natural precision") for label in labels)


@pytest.mark.parametrize(
    ("labels", "refusal"),
    [
        (lambda styles: [None] * len(styles), "0 rows are labelled natural, too few to hold out 20%"),
        (lambda styles: ["sketch"] * len(styles), "0 rows are labelled natural"),
        (lambda styles: ["photo"] * len(styles), "0 rows are labelled rendition"),
    ],
)
def test_labels_that_cannot_make_a_test_are_refused_with_the_column(planted, labels, refusal):
    embeddings, styles = planted
    with pytest.raises(Refusal, match=rf"{refusal}.*check the column 'style'"):
        build(embeddings, labels(styles))


def test_no_label_at_all_is_refused_where_tests_are_given(planted):
    embeddings, styles = planted
    with pytest.raises(Refusal, match="no row has a label in the column 'style': label some rows by hand"):
        build(embeddings, [""] * len(styles), tests=held_pictures())


def test_a_precision_that_the_labels_cannot_certify_is_refused():
    embeddings, styles = plant(120, spread=1.5)
    with pytest.raises(Refusal, match=r"precision"):
        build(embeddings, styles, replace(RECIPE, precision=0.99), tests=held_pictures())


def test_every_label_that_is_named_nowhere_is_a_rendition():
    recipe = StyleStrictRecipe(natural=("photo", "render"), ambiguous=("?",))
    assert label_classes(["photo", "render", "?", "oil", "", None], recipe) == [
        "natural", "natural", "ambiguous", "rendition", "", "",
    ]  # fmt: skip
