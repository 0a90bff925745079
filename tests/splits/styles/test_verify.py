from dataclasses import replace

import pytest
from tests.splits.style_data import plant, plant_tests, write_inputs

from oddpair.splits.manifest import Claim, as_uids
from oddpair.splits.recipes.style_strict import StyleStrictRecipe, build, verify
from oddpair.splits.styles.claims import say

RECIPE = StyleStrictRecipe(precision=0.8, quantile=0.9, natural_tests=("val",), rendition_tests=("sketches",))
FORGED = [
    ("precision", "confidence", 0.99999),
    ("precision", "correct", 1_000_000),
    ("precision", "accepted", 1_000_000),
    ("precision", "at_least", 0.5),
    ("precision", "shares", ", confirmed by three independent laboratories"),
    ("nearest", "reference", 1_000_000),
    ("nearest", "quantile", 0.5),
    ("nearest", "tests", ["ImageNet-Sketch", "ImageNet-R"]),
    ("nearest", "threshold", 0.99),
    ("leak", "confidence", 0.99999),
    ("leak", "shares", ", confirmed by three independent laboratories"),
    ("leak", "at_most", 0.9),
    ("leak", "style", "rendition"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("given"), plant(), tests=plant_tests())


@pytest.fixture(scope="module")
def splits(inputs, tmp_path_factory):
    built = build(RECIPE, inputs, tmp_path_factory.mktemp("work"))
    return {manifest.name: manifest for manifest in built.splits}


def forge(manifest, kind, **values):
    """The manifest with other figures in a claim, in words that say so."""
    changed = [
        Claim(text=say({**claim.values, **values}), values={**claim.values, **values})
        if claim.values["claim"] == kind
        else claim
        for claim in manifest.statement
    ]
    return replace(manifest, statement=tuple(changed))


def failing(manifest, inputs, work):
    return [check for check in verify(manifest, RECIPE, inputs, work) if not check.holds]


def drop(manifest, uids):
    return replace(manifest, uids=as_uids([uid for uid in manifest.uids.to_pylist() if uid not in uids]))


@pytest.mark.parametrize(
    ("kind", "name", "value"), FORGED, ids=[f"{kind}-{name}" for kind, name, _ in FORGED]
)
def test_a_figure_that_was_changed_together_with_its_words_is_found(
    inputs, splits, tmp_path, kind, name, value
):
    honest = next(claim for claim in splits["natural-strict"].statement if claim.values["claim"] == kind)
    forged = forge(splits["natural-strict"], kind, **{name: value})
    (check,) = failing(forged, inputs, tmp_path)
    assert check.text == say({**honest.values, name: value})
    assert f"{name} is {honest.values[name]!r}, not {value!r}" in check.found


def test_a_figure_too_many_is_found(inputs, splits, tmp_path):
    (check,) = failing(forge(splits["natural-strict"], "leak", reviewers=3), inputs, tmp_path)
    assert "reviewers, those of the recipe claim, style" in check.found


def test_a_clean_test_set_under_another_name_is_found(inputs, splits, tmp_path):
    (check,) = failing(forge(splits["clean-val"], "clean", test="ImageNet-A"), inputs, tmp_path)
    assert "test is 'val', not 'ImageNet-A'" in check.found


def test_some_of_the_rows_of_a_split_are_not_that_split(inputs, splits, tmp_path):
    for name, manifest in splits.items():
        # Rows that no claim of a single row could tell: all left are what the claims say.
        dropped = manifest.uids.to_pylist()[3:5]
        checks = failing(drop(manifest, dropped), inputs, tmp_path / name)
        assert (checks[-1].text, checks[-1].found) == (
            "the rows are those that the recipe keeps of these inputs", f"2 are missing, such as {dropped[0]}"
        )  # fmt: skip


def test_rows_that_are_missing_and_rows_that_are_too_many_are_told_apart(inputs, splits, tmp_path):
    natural = splits["natural-strict"]
    first = natural.uids[0].as_py()
    stranger = splits["rendition-strict"].uids[0].as_py()
    forged = replace(natural, uids=as_uids(sorted({*natural.uids.to_pylist()[1:], stranger})))
    found = failing(forged, inputs, tmp_path)[-1].found
    assert found == f"1 are missing, such as {first}, 1 are too many, such as {stranger}"


def test_rows_of_the_corpus_that_are_test_pictures_by_their_uid_are_in_no_split(inputs, splits, tmp_path):
    natural, rendition = (
        splits[f"{style}-strict"].uids.to_pylist()[:7] for style in ("natural", "rendition")
    )
    image, texture, styles, uids = plant_tests()["val"]
    shared = [*natural, *rendition]
    tests = {**plant_tests(), "val": (image, texture, styles, [*shared, *uids[len(shared) :]])}
    given = write_inputs(tmp_path / "given", plant(), tests=tests)
    for manifest in build(RECIPE, given, tmp_path / "work").splits:
        if manifest.of == "corpus":
            assert not set(shared) & set(manifest.uids.to_pylist())
            rules = dict(manifest.rules)
            assert (rules["rows of the corpus"], rules["rows that are no test picture"]) == (900, 900 - 14)
            assert not failing(manifest, given, tmp_path / manifest.name)
    (sorted_claim,) = [
        check
        for check in failing(splits["natural-strict"], given, tmp_path / "old")
        if "none is a test picture" in check.text
    ]
    assert "7 of the tests or not in the corpus" in sorted_claim.found


def test_the_card_says_nothing_that_the_statement_says(splits):
    for style in ("natural", "rendition"):
        labels = [label for label, _ in splits[f"{style}-strict"].card]
        assert f"{style} threshold" in labels
        assert not {
            "similarity threshold",
            f"other style in the {style} split",
            f"rows of the {style} split",
        } & {*labels}
        assert "precision" not in str(dict(splits[f"{style}-strict"].card)[f"{style} threshold"])
