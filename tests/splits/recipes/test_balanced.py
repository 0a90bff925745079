"""Balanced splits: what they claim, beside counting by hand, and forged ones."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from tests.splits.caption_data import inputs_of, name, write_captions

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.splits.curation.balance import measure_evenness
from oddpair.splits.recipes.balanced import BalancedRecipe, build, verify

NAMES = ("cat", "dog", "van", "pine tree", "owl")
SHARES = (0.7, 0.35, 0.1, 0.05, 0.02)
VOCABULARY = build_vocabulary(NAMES)
N = 600


def captions(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return [
        " and ".join(f"a {one}" for one, has in zip(NAMES, rng.random(5) < SHARES, strict=True) if has)
        or "nothing"
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("balanced") / "corpus"
    return inputs_of(write_captions(folder, captions(), sizes=[250, 350]), vocabulary=VOCABULARY)


def make(recipe, inputs, tmp_path):
    built = build(recipe, inputs, tmp_path)
    return built.splits[0], built


def concepts_of(manifest):
    """Counts of the concepts in the captions of a split, by hand."""
    kept = set(manifest.uids.to_pylist())
    texts = [caption for row, caption in enumerate(captions()) if name(row) in kept]
    return np.array([sum(one in text for text in texts) for one in NAMES])


def swap(manifest, wanted=lambda inside, outside: True):
    """Exchange a row of the split for one outside of it."""
    kept = set(manifest.uids.to_pylist())
    texts = dict(zip(map(name, range(N)), captions(), strict=True))
    inside, outside = next(
        (one, other)
        for one in sorted(kept)
        for other in sorted(set(texts) - kept)
        if wanted(texts[one], texts[other])
    )
    return replace(manifest, uids=sorted(kept - {inside} | {outside}))


RECIPES = [
    BalancedRecipe(share=0.3),
    BalancedRecipe(rule="cap", share=0.3),
    BalancedRecipe(size=100, without_concept="share"),
    BalancedRecipe(rule="cap", size=200, without_concept="keep", seed=4),
    BalancedRecipe(most=40, without_concept="share"),
    BalancedRecipe(rule="cap", most=40, without_concept="keep"),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_a_split_is_evener_than_its_corpus_and_holds_what_it_claims(recipe, inputs, tmp_path):
    manifest, built = make(recipe, inputs, tmp_path)
    table = built.tables["concept_counts.parquet"].to_pydict()
    after = concepts_of(manifest)
    assert table["after"] == after.tolist()
    before, evener = measure_evenness(np.array(table["before"])), measure_evenness(after)
    assert evener.entropy > before.entropy
    assert evener.gini < before.gini
    assert manifest.rules[0] == ("rows of the corpus", N)
    assert manifest.rules[-1] == ("rows kept", len(manifest))
    checks = verify(manifest, recipe, inputs, tmp_path)
    assert [check.holds for check in checks] == [True] * 4
    assert [check.text for check in checks[1:]] == [claim.text for claim in manifest.statement]


@pytest.mark.parametrize("rule", ["sample", "cap"])
def test_the_size_is_met_exactly_and_rows_without_a_concept_are_dropped_kept_or_in_proportion(
    rule, inputs, tmp_path
):
    nameless = captions().count("nothing")
    expected_of: dict[Literal["drop", "keep", "share"], int] = {
        "drop": 0,
        "keep": nameless,
        "share": round(200 * nameless / N),
    }
    for how, expected in expected_of.items():
        manifest, _ = make(BalancedRecipe(rule=rule, size=200, without_concept=how), inputs, tmp_path / how)
        assert len(manifest) == 200
        kept = set(manifest.uids.to_pylist())
        assert sum(name(row) in kept for row, text in enumerate(captions()) if text == "nothing") == expected


def test_under_a_cap_of_its_own_no_concept_has_more(inputs, tmp_path):
    manifest, _ = make(BalancedRecipe(rule="cap", most=40), inputs, tmp_path)
    assert concepts_of(manifest).max() == 40
    assert "no concept has more than 40 rows" in manifest.statement[0].text


def test_samples_of_one_seed_are_nested_and_other_seeds_draw_others(inputs, tmp_path):
    small, large, other = (
        set(make(BalancedRecipe(size=size, seed=seed), inputs, tmp_path)[0].uids.to_pylist())
        for size, seed in ((60, 0), (150, 0), (150, 1))
    )
    assert small < large
    assert large != other


@pytest.mark.parametrize("recipe", RECIPES[:4], ids=range(4))
def test_neither_shards_nor_the_order_of_rows_change_a_split(recipe, inputs, tmp_path):
    turned = [name(row) for row in range(N)][::-1]
    folder = write_captions(tmp_path / "other", captions()[::-1], turned, sizes=[1, 599])
    other, _ = make(recipe, inputs_of(folder, vocabulary=VOCABULARY), tmp_path / "w")
    one, _ = make(recipe, inputs, tmp_path / "v")
    assert other.uids.equals(one.uids)
    assert (other.rules, other.statement, other.card) == (one.rules, one.statement, one.card)


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_a_forged_split_fails_with_the_claim_that_breaks(recipe, inputs, tmp_path):
    manifest, _ = make(recipe, inputs, tmp_path)
    forged = swap(
        manifest, lambda inside, outside: "cat" not in inside and inside != "nothing" and "cat" in outside
    )
    broken = [check for check in verify(forged, recipe, inputs, tmp_path) if not check.holds]
    assert manifest.statement[0].text in [check.text for check in broken]
    stranger = replace(manifest, uids=sorted([*manifest.uids.to_pylist()[1:], "f" * 32]))
    first = verify(stranger, recipe, inputs, tmp_path)[0]
    assert (first.text, first.holds) == ("every row is a row of the corpus", False)
    assert first.found.endswith(f"uid {'f' * 32} is not")


def test_rows_without_a_concept_that_were_not_drawn_are_found_out(inputs, tmp_path):
    recipe = BalancedRecipe(size=100, without_concept="share")
    manifest, _ = make(recipe, inputs, tmp_path)
    forged = swap(manifest, lambda inside, outside: inside == "nothing" == outside)
    broken = [check.text for check in verify(forged, recipe, inputs, tmp_path) if not check.holds]
    assert broken == [manifest.statement[1].text]


def test_rows_that_were_added_to_the_corpus_are_found_out(inputs, tmp_path):
    manifest, _ = make(BalancedRecipe(share=0.3), inputs, tmp_path)
    more = write_captions(tmp_path / "more", [*captions(), "an owl"])
    checks = verify(manifest, BalancedRecipe(share=0.3), inputs_of(more, vocabulary=VOCABULARY), tmp_path)
    assert not all(check.holds for check in checks)


def test_sizes_that_cannot_be_met_are_refused(inputs, tmp_path):
    named = N - captions().count("nothing")
    with pytest.raises(
        Refusal, match=f"600 rows are wanted, 0 of them without a concept, and {named} rows have one"
    ):
        make(BalancedRecipe(share=1.0), inputs, tmp_path)
    with pytest.raises(Refusal, match=r"10 rows are wanted, \d+ of them without a concept"):
        make(BalancedRecipe(size=10, without_concept="keep"), inputs, tmp_path)
    with pytest.raises(Refusal, match="no row of the corpus has a concept of the vocabulary"):
        make(BalancedRecipe(), replace(inputs, vocabulary=build_vocabulary(["yak"])), tmp_path)


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"most": 0}, "most is 0: it must be 1 or more, or null"),
        ({"most": 5, "size": 5}, "size is 5 and most is 5: one follows from the other"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
        ({"share": 2.0}, "share is 2: it must lie above 0"),
    ],
)
def test_settings_that_no_split_can_have_are_refused(settings, refusal):
    with pytest.raises(Refusal, match=refusal):
        BalancedRecipe(**settings)
