from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest
from oddpair.splits.recipes.mixture import MixtureRecipe, build, plan_mixes, verify


def pool(name, n, start=0, **fields):
    numbers = np.random.default_rng(n).permutation(n) + start
    return Manifest(
        name=name, recipe="by_hand", uids=tuple(sorted(f"{number:06x}" for number in numbers)), **fields
    )


@pytest.fixture(scope="module")
def inputs():
    return Inputs(pools={"natural": pool("n", 300), "rendition": pool("r", 100, start=1000)})


def make(recipe, inputs, tmp_path):
    return {split.name: split for split in build(recipe, inputs, tmp_path).splits}


def rows_of(split, inputs):
    return {
        name: set(split.uids.to_pylist()) & set(part.uids.to_pylist()) for name, part in inputs.pools.items()
    }


def test_rows_are_replaced_at_a_fixed_total_as_the_paper_does(inputs, tmp_path):
    made = make(MixtureRecipe(base="natural", totals=(200,), replaced=(0, 50, 100)), inputs, tmp_path)
    assert list(made) == ["mix-200-replaced-0", "mix-200-replaced-50", "mix-200-replaced-100"]
    for n, split in zip((0, 50, 100), made.values(), strict=True):
        rows = rows_of(split, inputs)
        assert (len(rows["natural"]), len(rows["rendition"]), len(split)) == (200 - n, n, 200)
        assert split.statement[0].values == {"rows": 200, "pools": {"natural": 200 - n, "rendition": n}}
        assert split.rules[-1] == ("rows kept", 200)
    assert rows_of(made["mix-200-replaced-0"], inputs)["rendition"] == set()


@given(
    seed=st.integers(0, 1000),
    totals=st.lists(st.integers(10, 100), min_size=2, max_size=3, unique=True),
    ratios=st.lists(st.integers(0, 20), min_size=2, max_size=4, unique=True),
)
@settings(max_examples=20, deadline=None)
def test_mixes_nest_in_size_and_in_ratio(inputs, tmp_path_factory, seed, totals, ratios):
    totals, ratios = sorted(totals), [ratio / 20 for ratio in sorted(ratios)]
    recipe = MixtureRecipe(base="natural", totals=tuple(totals), ratios=tuple(ratios), seed=seed)
    made = make(recipe, inputs, tmp_path_factory.getbasetemp())
    rows = {
        (total, ratio): rows_of(made[f"mix-{total}-rendition-{ratio:g}"], inputs)
        for total in totals
        for ratio in ratios
    }
    for (total, ratio), here in rows.items():
        assert sum(map(len, here.values())) == total
        assert abs(len(here["rendition"]) - total * ratio) <= 0.5 + 1e-9
    for ratio in ratios:
        for small, large in pairwise(totals):
            assert all(rows[small, ratio][name] <= rows[large, ratio][name] for name in inputs.pools)
    for total in totals:
        for low, high in pairwise(ratios):
            assert rows[total, low]["rendition"] <= rows[total, high]["rendition"]
            assert rows[total, high]["natural"] <= rows[total, low]["natural"]


def test_rows_are_added_to_a_fixed_base(inputs, tmp_path):
    made = make(MixtureRecipe(base="natural", totals=(100, 300), added=(0, 40)), inputs, tmp_path)
    sizes = {name: [len(part) for part in rows_of(split, inputs).values()] for name, split in made.items()}
    assert sizes == {
        "mix-100-added-0": [100, 0],
        "mix-100-added-40": [100, 40],
        "mix-300-added-0": [300, 0],
        "mix-300-added-40": [300, 40],
    }
    # Without sizes the base is taken whole.
    (whole,) = make(MixtureRecipe(base="natural", added=(7,)), inputs, tmp_path).values()
    assert (whole.name, len(whole)) == ("mix-300-added-7", 307)


def test_the_total_is_the_largest_that_all_ratios_can_have(inputs, tmp_path):
    made = make(MixtureRecipe(base="natural", ratios=(0.0, 0.5)), inputs, tmp_path)
    assert {name: len(split) for name, split in made.items()} == {
        "mix-201-rendition-0": 201,
        "mix-201-rendition-0.5": 201,
    }
    (equal,) = make(MixtureRecipe(), inputs, tmp_path).values()
    assert {name: len(rows) for name, rows in rows_of(equal, inputs).items()} == {
        "natural": 101,
        "rendition": 100,
    }


def test_three_pools_are_mixed_by_shares(inputs, tmp_path):
    three = Inputs(pools={**inputs.pools, "web": pool("w", 60, start=5000)})
    shares = {"natural": 0.5, "rendition": 0.25, "web": 0.25}
    (split,) = make(MixtureRecipe(totals=(99,), shares=shares), three, tmp_path).values()
    assert {name: len(rows) for name, rows in rows_of(split, three).items()} == {
        "natural": 49,
        "rendition": 25,
        "web": 25,
    }


def test_the_same_bytes_for_any_order_of_the_pools(inputs, tmp_path):
    recipe = MixtureRecipe(base="natural", totals=(50,), ratios=(0.3,))
    turned = Inputs(pools=dict(reversed(inputs.pools.items())))
    for name, order in (("a", inputs), ("b", turned)):
        write_manifest(tmp_path / name, *make(recipe, order, tmp_path).values())
    for file in ("manifest.json", "uids.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_row_of_both_pools_is_refused_or_counts_in_the_base(tmp_path):
    inputs = Inputs(pools={"natural": pool("n", 30), "rendition": pool("r", 30, start=20)})
    with pytest.raises(Refusal, match="'natural' and 'rendition' share rows"):
        build(MixtureRecipe(base="natural", ratios=(0.5,)), inputs, tmp_path)
    recipe = MixtureRecipe(base="natural", totals=(40,), ratios=(0.5,), overlap="first")
    (split,) = make(recipe, inputs, tmp_path).values()
    uids = split.uids.to_pylist()
    assert len(set(uids)) == 40
    assert sum(uid in inputs.pools["natural"].uids.to_pylist() for uid in uids) == 20
    assert ("in a pool before theirs, counted there", 10) in split.rules
    assert all(check.holds for check in verify(split, recipe, inputs, tmp_path))


def test_a_pool_that_is_too_small_is_refused_with_what_is_missing(inputs, tmp_path):
    with pytest.raises(Refusal, match="pool 'rendition' has 100 rows, the mix takes 150: 50 are missing"):
        build(MixtureRecipe(base="natural", totals=(300,), ratios=(0.5,)), inputs, tmp_path)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"base": "photo", "ratios": (0.5,)}, "the recipe mixes 'photo', given are natural, rendition"),
        ({"shares": {"natural": 1.0}}, "pool 'rendition' has no share: leave it out"),
        ({"shares": {"web": 1.0}}, "the recipe mixes 'web', given are natural, rendition"),
    ],
)
def test_pools_that_do_not_fit_the_recipe_are_refused(inputs, tmp_path, fields, refusal):
    with pytest.raises(Refusal, match=refusal):
        build(MixtureRecipe(**fields), inputs, tmp_path)


def test_a_number_of_pools_that_makes_no_mix_is_refused(inputs, tmp_path):
    one = Inputs(pools={"natural": inputs.pools["natural"]})
    with pytest.raises(Refusal, match="one pool is given, a mixture needs two or more"):
        build(MixtureRecipe(), one, tmp_path)
    three = Inputs(pools={**inputs.pools, "web": pool("w", 60, start=5000)})
    with pytest.raises(Refusal, match="3 pools are given, base needs one beside it"):
        build(MixtureRecipe(base="natural", ratios=(0.5,)), three, tmp_path)


@pytest.mark.parametrize(
    "fields",
    [{"of": "sketch"}, {"provenance": {"corpus": "another"}}],
    ids=["of a test set", "of another corpus"],
)
def test_rows_of_different_sets_are_no_mix(fields, tmp_path):
    first = pool("n", 30, provenance={"corpus": "one"})
    inputs = Inputs(pools={"natural": first, "other": pool("o", 30, start=50, **fields)})
    with pytest.raises(
        Refusal, match="'natural' and 'other' are of different sets: use a recipe of kind sources"
    ):
        build(MixtureRecipe(), inputs, tmp_path)


def test_a_mix_names_the_corpora_of_its_pools_and_is_itself_a_pool_of_theirs(tmp_path):
    one, other = pool("a", 30, provenance={"corpus": "one"}), pool("b", 30, start=50)
    inputs = Inputs(pools={"a": one, "b": other})
    (split,) = make(MixtureRecipe(), inputs, tmp_path).values()
    assert split.provenance["pool_corpora"] == {"a": "one"}
    third = pool("c", 30, start=100, provenance={"corpus": "two"})
    with pytest.raises(Refusal, match="'a' and 'c' are of different sets"):
        # The pool between them does not say what it is of.
        build(MixtureRecipe(), Inputs(pools={"a": one, "b": other, "c": third}), tmp_path)
    with pytest.raises(Refusal, match="'c' and 'mix' are of different sets"):
        build(MixtureRecipe(), Inputs(pools={"c": third, "mix": split}), tmp_path)
    assert "pool_corpora" not in Inputs(pools={"b": other}).identify()


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"ratios": (0.5,), "shares": {"a": 1.0}}, "shares and ratios say the same thing twice"),
        ({"ratios": (0.5,)}, "base is not given: ratios needs it"),
        ({"base": "a", "shares": {"a": 1.0}}, "base is for ratios, replaced and added"),
        ({"base": "a", "ratios": (0.5, 0.5)}, "ratios holds 0.5 twice"),
        ({"base": "a", "ratios": (1.5,)}, r"ratios holds 1.5: it must lie between 0 and 1"),
        ({"base": "a", "ratios": (float("nan"),)}, "ratios holds nan"),
        ({"totals": (0,)}, "totals holds 0: it must be 1 or more"),
        ({"base": "a", "added": (-1,)}, "added holds -1: it must be 0 or more"),
        ({"base": "a", "replaced": (5,)}, "totals is empty: replaced rows need the rows of a mix"),
        ({"base": "a", "replaced": (5,), "totals": (9, 4)}, "replaced holds 5: a mix of 4 rows"),
        ({"shares": {"a": 0.5, "b": 0.4}}, r"shares add up to 0.9: they must add up to 1"),
        ({"shares": {"a": 1.5, "b": -0.5}}, "shares gives 1.5 to 'a': it must lie between 0 and 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, refusal):
    with pytest.raises(Refusal, match=refusal):
        MixtureRecipe(**fields).refuse_contradictions()


def test_names_tell_the_design():
    sizes = {"natural": 101, "rendition": 100}
    assert [
        mix.name for mix in plan_mixes(MixtureRecipe(base="natural", totals=(8,), ratios=(1 / 3,)), sizes)
    ] == ["mix-8-rendition-0.333333333333"]


def test_a_forged_mix_fails_with_the_claim_that_breaks(inputs, tmp_path):
    recipe = MixtureRecipe(base="natural", totals=(80,), replaced=(20,))
    (split,) = make(recipe, inputs, tmp_path).values()

    def forge(out, into):
        uids = sorted({*split.uids.to_pylist()} - {out} | {into})
        fields = {
            name: getattr(split, name) for name in ("name", "recipe", "statement", "provenance", "rules")
        }
        write_manifest(tmp_path / "forged", Manifest(uids=tuple(uids), **fields))
        return verify(read_manifest(tmp_path / "forged"), recipe, inputs, tmp_path)

    assert [check.holds for check in verify(split, recipe, inputs, tmp_path)] == [True, True]
    mine = rows_of(split, inputs)
    natural, rendition = min(mine["natural"]), min(mine["rendition"])
    other = {name: min(set(part.uids.to_pylist()) - mine[name]) for name, part in inputs.pools.items()}
    counts, draw = forge(natural, other["natural"])
    assert (counts.holds, draw.holds) == (True, False)
    assert draw.found == f"1 of 80 rows were not drawn, the first {other['natural']}"
    counts, draw = forge(rendition, other["natural"])
    assert (counts.holds, draw.holds) == (False, False)
    assert counts.found == "61 of natural, 19 of rendition"
    counts, _ = forge(rendition, "zz")
    assert counts.found == "60 of natural, 19 of rendition, 1 of no pool"
    # Other pools than those that it was made of.
    smaller = Inputs(pools={**inputs.pools, "rendition": pool("r", 10, start=1000)})
    assert not any(check.holds for check in verify(split, recipe, smaller, tmp_path))
    # A manifest that claims another mix.
    renamed = Manifest(name="mix-80-replaced-7", recipe="mixture", uids=split.uids, statement=split.statement)
    (check,) = verify(renamed, recipe, inputs, tmp_path)
    assert (check.holds, check.found) == (False, "of these pools the recipe makes mix-80-replaced-20")
