import pytest

from oddpair.errors import Refusal
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Manifest
from oddpair.splits.recipes.sources import SourcesRecipe, build, plan_mixes, verify


def pool(name, n, start=0):
    return Manifest(
        name=name, recipe="whole", uids=tuple(f"{number:06x}" for number in range(start, start + n))
    )


@pytest.fixture
def inputs():
    # 20 rows of b are in a, 10 of c in b.
    return Inputs(pools={"a": pool("a", 100), "b": pool("b", 70, start=80), "c": pool("c", 90, start=140)})


def make(recipe, inputs, tmp_path):
    return {split.name: split for split in build(recipe, inputs, tmp_path).splits}


def test_every_source_alone_all_but_one_and_all_have_one_total(inputs, tmp_path):
    made = make(SourcesRecipe(totals=(30,)), inputs, tmp_path)
    assert {name: len(split) for name, split in made.items()} == {
        "alone-a-30.a": 30,
        "alone-b-30.b": 30,
        "alone-c-30.c": 30,
        "without-a-30.b": 15,
        "without-a-30.c": 15,
        "without-b-30.a": 15,
        "without-b-30.c": 15,
        "without-c-30.a": 15,
        "without-c-30.b": 15,
        "all-30.a": 10,
        "all-30.b": 10,
        "all-30.c": 10,
    }
    assert all(split.of == split.name[-1] for split in made.values())
    inside = [set(made[name].uids.to_pylist()) for name in ("all-30.b", "without-a-30.b", "alone-b-30.b")]
    assert inside[0] < inside[1] < inside[2]


def test_the_total_is_what_the_smallest_source_has_alone(inputs, tmp_path):
    made = make(SourcesRecipe(designs=("alone",)), inputs, tmp_path)
    # 50 rows of b are in no source before it.
    assert {len(split) for split in made.values()} == {50}


def test_pairs_are_mixed_at_every_ratio(inputs, tmp_path):
    recipe = SourcesRecipe(designs=("pairs",), totals=(40,), ratios=(0.25, 0.5))
    mixes = {mix.name: dict(mix.rows) for mix in plan_mixes(recipe, {"a": 100, "b": 50, "c": 80})}
    assert mixes == {
        "a-b-0.25-40": {"a": 30, "b": 10},
        "a-b-0.5-40": {"a": 20, "b": 20},
        "a-c-0.25-40": {"a": 30, "c": 10},
        "a-c-0.5-40": {"a": 20, "c": 20},
        "b-c-0.25-40": {"b": 30, "c": 10},
        "b-c-0.5-40": {"b": 20, "c": 20},
    }


def test_shares_weigh_all_and_what_is_left_without_one(inputs, tmp_path):
    recipe = SourcesRecipe(designs=("without", "all"), totals=(40,), shares={"a": 0.6, "b": 0.2, "c": 0.2})
    mixes = {mix.name: dict(mix.rows) for mix in plan_mixes(recipe, {"a": 100, "b": 50, "c": 80})}
    assert mixes == {
        "without-a-40": {"b": 20, "c": 20},
        "without-b-40": {"a": 30, "c": 10},
        "without-c-40": {"a": 30, "b": 10},
        "all-40": {"a": 24, "b": 8, "c": 8},
    }


def test_what_two_sources_hold_counts_once_in_the_first_by_name(inputs, tmp_path):
    made = make(SourcesRecipe(designs=("all",), totals=(150,)), inputs, tmp_path)
    uids = [uid for split in made.values() for uid in split.uids.to_pylist()]
    assert len(uids) == len(set(uids)) == 150
    assert ("also in a source whose name sorts before it, counted there", 20) in made["all-150.b"].rules
    assert ("also in a source whose name sorts before it, counted there", 10) in made["all-150.c"].rules
    assert made["all-150.b"].statement[1].values == {"before": ["a"]}


def test_a_table_says_which_splits_form_a_mix_and_the_card_how_to_train_on_it(inputs, tmp_path):
    built = build(SourcesRecipe(designs=("without",), totals=(30,)), inputs, tmp_path)
    rows = built.tables["parts.parquet"].to_pylist()
    by_name = {split.name: split for split in built.splits}
    assert [(row["mix"], row["source"], row["rows"], row["share"]) for row in rows[:2]] == [
        ("without-a-30", "b", 15, 0.5),
        ("without-a-30", "c", 15, 0.5),
    ]
    assert all(by_name[row["split"]].uids_sha256 == row["uids_sha256"] for row in rows)
    card = dict(by_name["without-a-30.b"].card)
    assert card["open_clip_train on the exported splits"] == (
        "--train-data 'SHARDS-OF-without-a-30.b::SHARDS-OF-without-a-30.c'"
    )
    # 15 of 50 rows of b, and of 80 of c.
    assert card["open_clip_train on whole sources, the shares on average"] == (
        "--train-data 'SHARDS-OF-b::SHARDS-OF-c' --dataset-resampled --train-data-upsampling-factors 0.3::0.1875"
    )


def test_a_forged_part_fails_with_the_claim_that_breaks(inputs, tmp_path):
    recipe = SourcesRecipe(designs=("all",), totals=(30,))
    split = make(recipe, inputs, tmp_path)["all-30.b"]
    assert [check.holds for check in verify(split, recipe, inputs, tmp_path)] == [True, True, True]

    def forge(into, **fields):
        uids = sorted([*split.uids.to_pylist()[1:], into])
        kept = {name: getattr(split, name) for name in ("name", "recipe", "of", "statement")}
        forged = Manifest(**{**kept, "uids": tuple(uids), **fields})
        return [(check.holds, check.found) for check in verify(forged, recipe, inputs, tmp_path)]

    drawn = set(split.uids.to_pylist())
    other = next(uid for uid in inputs.pools["b"].uids.to_pylist()[30:] if uid not in drawn)
    assert [holds for holds, _ in forge(other)] == [True, True, False]
    of_a = forge(f"{90:06x}")  # of a and of b
    assert of_a[0] == (False, "9 rows of b, 0 of no source")
    assert of_a[1] == (False, "1 rows have such a uid")
    assert forge("zz")[0] == (False, "9 rows of b, 1 of no source")
    assert forge(other, of="a")[0][0] is False


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        (
            {"designs": ("everything",)},
            "designs holds 'everything': it must be one of alone, without, all, pairs",
        ),
        ({"designs": ()}, "designs is empty"),
        ({"designs": ("all", "all")}, "designs holds all twice"),
        ({"totals": (0,)}, "totals holds 0"),
        ({"ratios": (1.0,)}, "ratios holds 1.0: it must lie between 0 and 1"),
        ({"designs": ("pairs",), "ratios": ()}, "ratios is empty"),
        ({"shares": {"a": 0.5}}, "shares add up to 0.5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, refusal):
    with pytest.raises(Refusal, match=refusal):
        SourcesRecipe(**fields)


def test_sources_that_do_not_fit_are_refused(inputs, tmp_path):
    with pytest.raises(Refusal, match="shares names 'd', given are a, b, c"):
        build(SourcesRecipe(shares={"d": 1.0}), inputs, tmp_path)
    with pytest.raises(Refusal, match="one source is given, mixes need two or more"):
        build(SourcesRecipe(), Inputs(pools={"a": inputs.pools["a"]}), tmp_path)
    alike = Inputs(
        pools={name: pool(name, 9, start=20 * n) for n, name in enumerate(["a", "a-b", "b-c", "c"])}
    )
    with pytest.raises(Refusal, match=r"two mixes would be called a-b-c-0.25-9"):
        build(SourcesRecipe(designs=("pairs",), totals=(9,)), alike, tmp_path)
    covered = Inputs(pools={"a": inputs.pools["a"], "b": pool("b", 10)})
    with pytest.raises(Refusal, match="for want of rows of its own in b: leave it out"):
        build(SourcesRecipe(), covered, tmp_path)
    with pytest.raises(Refusal, match=r"pool 'b' has 50 rows that are in no pool before it \(20 are\)"):
        build(SourcesRecipe(totals=(60,)), inputs, tmp_path)
