"""Similarity splits: the invariants of the paper's pruning, each beside a slow obvious version, and forged splits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.retrieval.neighbour_data import stored, whole
from tests.retrieval.stored_folder import write_manifest
from tests.splits.similarity_data import Slow, make_inputs, pictures

from oddpair.errors import Refusal
from oddpair.retrieval.neighbours import gap_thresholds
from oddpair.retrieval.stored import open_stored
from oddpair.splits.built import Listing
from oddpair.splits.inputs import Inputs
from oddpair.splits.recipes.similarity import SimilarityRecipe, build, plan_rules, verify

RECIPE = SimilarityRecipe(sizes=(0.8, 0.5, 30), sampled=5)


def by_name(built):
    return {manifest.name: manifest for manifest in built.splits}


def kept(manifest):
    return set(manifest.uids.to_pylist())


def figures(built):
    return [
        (each.name, each.uids.to_pylist(), each.rules, each.statement, each.card) for each in built.splits
    ]


def corpus_of(inputs, uids, folder):
    """Return the same inputs with some rows of the corpus."""
    rows, names = whole(inputs.corpus.stored)
    chosen = [place for place, name in enumerate(names) if name in uids]
    return replace(
        inputs, corpus=pictures("corpus", folder, rows[chosen], [names[place] for place in chosen])
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"), sizes=[60, 0, 50, 40])


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    return build(RECIPE, inputs, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def splits(built):
    return by_name(built)


@pytest.fixture(scope="module")
def slow(inputs):
    return Slow(inputs)


def test_a_split_is_made_for_every_rule_set_and_size(splits):
    sets = ("a", "b", "combined")
    sizes = ("0.8", "0.5", "30")
    expected = [f"gap-pruned-{name}" for name in sets]
    expected += [
        f"{kind}-pruned-{name}-{size}" for kind in ("near", "far") for name in sets for size in sizes
    ]
    assert list(splits) == [*expected, *(f"random-pruned-{size}" for size in sizes), "reference"]


def test_gap_pruning_keeps_what_a_loop_over_all_scores_keeps(splits, slow):
    assert kept(splits["gap-pruned-a"]) == slow.keep_gap("a")
    assert kept(splits["gap-pruned-b"]) == slow.keep_gap("b")
    assert 25 < len(splits["gap-pruned-combined"]) < 150


def test_1_a_pruned_corpus_that_holds_the_reference_set_is_exactly_as_near_as_it(inputs, splits, tmp_path):
    for name in ("a", "b", "combined"):
        pruned = corpus_of(inputs, kept(splits[f"gap-pruned-{name}"]), tmp_path / name).corpus.stored
        for test in ("a", "b") if name == "combined" else (name,):
            tests = inputs.tests[test].stored
            gap = gap_thresholds(inputs.reference.stored, tests)
            assert gap_thresholds(pruned, tests).tolist() == gap.tolist()


def test_1_without_the_reference_set_no_test_image_is_nearer_and_some_are_farther(tmp_path):
    inputs = make_inputs(tmp_path, contained=False)
    recipe = SimilarityRecipe(prune=("gap",), add_reference=False)
    found = by_name(build(recipe, inputs, tmp_path / "work"))["gap-pruned-a"]
    tests = inputs.tests["a"].stored
    gap = gap_thresholds(inputs.reference.stored, tests)
    pruned = gap_thresholds(corpus_of(inputs, kept(found), tmp_path / "kept").corpus.stored, tests)
    assert (pruned <= gap).all()
    assert (pruned < gap).any()
    assert not any("= s_i(reference) exactly" in claim.text for claim in found.statement)


def test_2_no_row_of_the_reference_set_is_pruned_though_its_vector_is_rounded_otherwise(tmp_path):
    inputs = make_inputs(tmp_path)
    rows, uids = whole(inputs.corpus.stored)
    tests, _ = whole(inputs.tests["a"].stored)
    # A corpus in which a reference row lies a little nearer to a test image than its vector in the reference set.
    moved = rows.astype(np.float32)
    moved[:25] += 0.004 * tests[0].astype(np.float32)
    moved[:25] /= np.linalg.norm(moved[:25], axis=1, keepdims=True)
    moved = replace(inputs, corpus=pictures("moved", tmp_path, moved, uids))
    slow = Slow(moved)
    assert set(uids[:25]) - slow.keep_gap("a"), "no reference row is above a threshold"
    recipe = SimilarityRecipe(prune=("gap",))
    found = by_name(build(recipe, moved, tmp_path / "work"))["gap-pruned-a"]
    assert kept(found) == slow.keep_gap("a") | set(uids[:25])
    assert all(check.holds for check in verify(found, recipe, moved, tmp_path / "again"))


def test_2_a_uid_that_is_another_picture_in_the_reference_set_is_refused(tmp_path):
    inputs = make_inputs(tmp_path)
    rows, uids = whole(inputs.reference.stored)
    other = replace(inputs, reference=pictures("other", tmp_path, rows[::-1], uids))
    with pytest.raises(
        Refusal, match=r"uid .+ has one vector in .+corpus.+ and another in .+other.+: give the"
    ):
        build(SimilarityRecipe(prune=("gap",)), other, tmp_path / "work")


def test_3_pruning_again_removes_nothing(inputs, splits, tmp_path):
    recipe = SimilarityRecipe(prune=("gap",), sampled=0)
    for name in ("a", "b", "combined"):
        pruned = corpus_of(inputs, kept(splits[f"gap-pruned-{name}"]), tmp_path / name)
        again = by_name(build(recipe, pruned, tmp_path / f"work {name}"))
        assert again[f"gap-pruned-{name}"].uids.equals(splits[f"gap-pruned-{name}"].uids)


def test_4_pruning_for_all_test_sets_takes_what_pruning_for_each_takes(inputs, splits):
    everything = set(whole(inputs.corpus.stored)[1])
    taken = [everything - kept(splits[f"gap-pruned-{name}"]) for name in ("combined", "a", "b")]
    assert taken[0] == taken[1] | taken[2]
    assert taken[1] - taken[2]
    assert taken[2] - taken[1]


def test_5_order_of_rows_shards_workers_and_a_killed_run_change_nothing(inputs, built, tmp_path):
    order = np.random.default_rng(0).permutation(150)
    shuffled = make_inputs(tmp_path / "shuffled", order=order, sizes=[7, 143])
    assert figures(build(RECIPE, replace(shuffled, workers=2), tmp_path / "work")) == figures(built)
    # The same folder again, as a run that was killed behind its searches.
    assert figures(build(RECIPE, shuffled, tmp_path / "work")) == figures(built)


def test_5_repeated_rows_are_one_row_that_is_near_if_one_of_them_is(inputs, built, tmp_path):
    rows, uids = whole(inputs.corpus.stored)
    twice = replace(
        inputs,
        corpus=pictures(
            "twice",
            tmp_path,
            np.concatenate([rows[40:70], rows, rows[:20]]),
            [*uids[40:70], *uids, *uids[:20]],
        ),
    )
    found = build(RECIPE, twice, tmp_path / "work")
    assert [each.uids.to_pylist() for each in found.splits] == [
        each.uids.to_pylist() for each in built.splits
    ]
    lines = dict(by_name(found)["gap-pruned-a"].rules)
    assert (lines["rows that have an embedding"], lines["rows whose uid another row has"]) == (200, 50)


def test_6_a_larger_reference_set_prunes_no_more(inputs, splits, tmp_path):
    rows, uids = whole(inputs.corpus.stored)
    larger = replace(inputs, reference=pictures("reference", tmp_path, rows[:60], uids[:60]))
    found = by_name(build(SimilarityRecipe(prune=("gap",), sampled=0), larger, tmp_path / "work"))
    for name in ("a", "b", "combined"):
        assert kept(splits[f"gap-pruned-{name}"]) < kept(found[f"gap-pruned-{name}"])


def test_7_the_gap_rule_is_no_cut_at_one_similarity(splits, slow):
    nearest, stays = slow.nearest("a"), kept(splits["gap-pruned-a"])
    pruned = [nearest[uid] for uid in nearest if uid not in stays]
    assert max(nearest[uid] for uid in stays) > min(pruned)


def test_7_cut_is_the_cut_at_one_similarity_and_says_so(inputs, slow, tmp_path):
    threshold = sorted(slow.nearest("a").values())[90]
    recipe = SimilarityRecipe(prune=("cut",), threshold=threshold, sampled=0)
    alone = replace(inputs, reference=None)
    found = by_name(build(recipe, alone, tmp_path / "work"))
    for names in (("a",), ("b",), ("a", "b")):
        split = found[f"cut-pruned-{'combined' if len(names) > 1 else names[0]}"]
        assert kept(split) == {uid for uid, score in slow.nearest(*names).items() if score <= threshold}
        assert "(one threshold for all of them, not the similarity gap)" in split.statement[0].text
        assert all(check.holds for check in verify(split, recipe, alone, tmp_path / split.name))


def test_8_rules_count_every_row_once_and_sizes_are_exact(inputs, splits):
    everything = set(whole(inputs.corpus.stored)[1])
    for name, split in splits.items():
        (_, seen), *taken, (_, rows) = split.rules
        assert seen - sum(count for _, count in taken) == rows == len(kept(split))
        assert kept(split) <= everything
        if name.split("-")[0] in ("near", "far", "random"):
            assert rows == {"0.8": 120, "0.5": 75, "30": 30}[name.rsplit("-", 1)[1]]


def test_9_near_and_far_keep_what_a_sort_by_similarity_and_uid_keeps(splits, slow):
    for label, names in (("a", ("a",)), ("b", ("b",)), ("combined", ("a", "b"))):
        for size, count in (("0.8", 120), ("0.5", 75), ("30", 30)):
            assert kept(splits[f"near-pruned-{label}-{size}"]) == slow.keep_near(count, *names)
            assert kept(splits[f"far-pruned-{label}-{size}"]) == slow.keep_far(count, *names)


def test_9_near_far_and_random_are_nested_and_near_and_far_share_no_row(splits):
    for label in ("near-pruned-a", "far-pruned-combined", "random-pruned"):
        assert kept(splits[f"{label}-30"]) < kept(splits[f"{label}-0.5"]) < kept(splits[f"{label}-0.8"])
    near, far = kept(splits["near-pruned-b-0.5"]), kept(splits["far-pruned-b-0.5"])
    assert (len(near | far), len(near & far)) == (150, 0)


def test_the_core_set_is_far_pruned_on_all_sets_whether_or_not_they_are_combined(inputs, slow, tmp_path):
    recipe = SimilarityRecipe(prune=(), combined=False, core=40, sampled=0)
    alone = replace(inputs, reference=None)
    (core,) = build(recipe, alone, tmp_path / "work").splits
    assert core.name == "core"
    assert kept(core) == slow.keep_far(40, "a", "b")
    assert all(check.holds for check in verify(core, recipe, alone, tmp_path / "again"))


def test_another_seed_draws_other_rows(inputs, splits, tmp_path):
    recipe = SimilarityRecipe(prune=("random",), sizes=(0.5,), seed=1, sampled=0)
    (found,) = build(recipe, replace(inputs, reference=None), tmp_path).splits
    assert len(kept(found) & kept(splits["random-pruned-0.5"])) < 60


def test_12_near_duplicates_leave_first_and_each_that_left_has_a_witness(inputs, slow, tmp_path):
    rows, uids = whole(inputs.corpus.stored)
    scores = rows.astype(np.float64) @ rows.astype(np.float64).T
    recipe = replace(RECIPE, deduplicate=0.876)
    splits = by_name(build(recipe, inputs, tmp_path / "work"))
    assert not (tmp_path / "work" / "duplicate-parts").exists()
    stays: list[int] = []
    for row in sorted(range(150), key=uids.__getitem__):
        if not any(scores[row, other] > 0.876 for other in stays):
            stays.append(row)
    names = {uids[row] for row in stays}
    assert 30 < len(names) < 140
    for name in ("a", "b"):
        assert kept(splits[f"gap-pruned-{name}"]) == slow.keep_gap(name) & names
    nearest = {uid: score for uid, score in slow.nearest("a").items() if uid in names}
    lowest = sorted(names, key=lambda uid: (nearest[uid], uid))[: round(0.5 * len(names))]
    assert kept(splits["near-pruned-a-0.5"]) == set(lowest)
    assert dict(splits["near-pruned-a-0.5"].rules)["near-duplicates of a row that stays"] == 150 - len(names)
    for name in ("gap-pruned-combined", "near-pruned-a-0.5", "random-pruned-30"):
        assert all(check.holds for check in verify(splits[name], recipe, inputs, tmp_path / name))


@pytest.mark.parametrize("contained", [True, False], ids=["contained", "apart"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "alone"])
def test_the_statement_claims_equality_only_where_the_reference_set_is_trained_on(
    tmp_path, contained, beside
):
    inputs = make_inputs(tmp_path, contained=contained)
    recipe = SimilarityRecipe(prune=("gap",), add_reference=beside, sampled=0)
    splits = by_name(build(recipe, inputs, tmp_path / "work"))
    assert ("reference" in splits) == beside
    texts = [claim.text for claim in splits["gap-pruned-combined"].statement]
    assert texts[0].startswith(
        "no row is nearer to any of 23 test images of a and b than the reference set is"
    )
    equal = [text for text in texts if "= s_i(reference) exactly" in text]
    assert len(equal) == (beside or contained)
    assert [text.startswith("trained on beside the split 'reference'") for text in equal] == [beside] * len(
        equal
    )
    for name, split in splits.items():
        assert all(check.holds for check in verify(split, recipe, inputs, tmp_path / name))


def test_the_reference_split_is_of_the_reference_set(inputs, splits):
    reference = splits["reference"]
    assert reference.of == "reference"
    assert kept(reference) == set(whole(inputs.reference.stored)[1])


def test_every_split_is_what_it_says(inputs, splits, tmp_path):
    for name, split in splits.items():
        checks = verify(split, RECIPE, inputs, tmp_path / name)
        assert [check.text for check in checks if not check.holds] == []
        assert {claim.text for claim in split.statement} <= {check.text for check in checks}


FORGED = {
    "gap-pruned-a": ("no row is nearer", "trained on beside", "no row left but"),
    "gap-pruned-combined": ("no row is nearer", "trained on beside", "no row left but"),
    "near-pruned-b-0.5": ("its 75 rows are the least similar",),
    "far-pruned-combined-30": ("its 30 rows are the most similar",),
    "random-pruned-0.8": ("its 120 rows are drawn uniformly",),
    "reference": ("it is the whole reference set",),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_row_that_is_swapped_for_another_breaks_the_claims_that_it_breaks(
    inputs, splits, slow, tmp_path, name
):
    split = splits[name]
    uids = split.uids.to_pylist()
    others = sorted(set(slow.uids) - set(uids))
    names = [each for each in ("a", "b") if f"-{each}" in name] or ["a", "b"]
    nearest = slow.nearest(*names)
    # One that all rules would part: the most similar that left for the least similar that stayed, or the other way.
    others.sort(key=nearest.__getitem__, reverse=not name.startswith("far"))
    uids.sort(key=nearest.__getitem__, reverse=name.startswith("far"))
    shared = set(whole(inputs.reference.stored)[1])
    out = next(uid for uid in uids if uid not in shared or name == "reference")
    forged = replace(split, uids=sorted({*uids, others[0]} - {out}))
    broken = [check.text for check in verify(forged, RECIPE, inputs, tmp_path) if not check.holds]
    assert len(broken) == len(FORGED[name])
    assert all(text.startswith(begin) for text, begin in zip(broken, FORGED[name], strict=True))


def test_a_uid_that_no_row_has_is_named(inputs, splits, tmp_path):
    split = splits["random-pruned-0.5"]
    forged = replace(split, uids=sorted([*split.uids.to_pylist()[1:], "nowhere"]))
    broken = [check for check in verify(forged, RECIPE, inputs, tmp_path) if not check.holds]
    assert broken[0].found == "1 uids are no row's, such as nowhere"


def test_a_statement_that_says_more_or_less_than_the_recipe_is_no_statement(inputs, splits, tmp_path):
    split = splits["gap-pruned-a"]
    first, *rest = split.statement
    for claims in ([replace(first, text="no row is similar to any test image at all"), *rest], rest):
        forged = replace(split, statement=tuple(claims))
        (broken,) = [check for check in verify(forged, RECIPE, inputs, tmp_path) if not check.holds]
        assert broken.text == "its statement is that of its recipe on these inputs"


def test_rows_that_came_to_the_corpus_since_break_what_they_break(inputs, splits, tmp_path):
    rows, uids = whole(inputs.corpus.stored)
    tests, _ = whole(inputs.tests["a"].stored)
    more = np.concatenate([rows, tests[:2], -tests[:2]])
    grown = replace(
        inputs, corpus=pictures("grown", tmp_path, more, [*uids, "near1", "near2", "far1", "far2"])
    )
    checks = verify(splits["gap-pruned-a"], RECIPE, grown, tmp_path / "gap")
    # What lies far would be kept, so the split is not the whole of what the rule keeps.
    assert next(check.text for check in checks if not check.holds).startswith("no row left but those")
    assert next(check.found for check in checks if not check.holds).endswith("such as far1")
    checks = verify(splits["far-pruned-a-30"], RECIPE, grown, tmp_path / "far")
    assert next(check.text for check in checks if not check.holds).startswith(
        "its 30 rows are the most similar"
    )


def test_a_reference_row_that_is_left_out_breaks_the_claim_to_hold_the_set(tmp_path):
    inputs = make_inputs(tmp_path)
    recipe = SimilarityRecipe(prune=("gap",), add_reference=False, sampled=0)
    split = by_name(build(recipe, inputs, tmp_path / "work"))["gap-pruned-a"]
    one = whole(inputs.reference.stored)[1][0]
    forged = replace(split, uids=sorted(kept(split) - {one}))
    broken = [check.text for check in verify(forged, recipe, inputs, tmp_path / "again") if not check.holds]
    assert any(text.startswith("no row left but") for text in broken)
    assert any(text.startswith("its statement is") for text in broken)


def test_a_split_of_other_test_sets_is_refused(inputs, splits, tmp_path):
    other = replace(inputs, tests={"a": inputs.tests["a"]})
    with pytest.raises(
        Refusal, match=r"split 'gap-pruned-b' is none that its recipe makes with the test sets a:"
    ):
        verify(splits["gap-pruned-b"], RECIPE, other, tmp_path)


def test_the_page_shows_rows_and_test_images_before_and_after(built, splits, slow):
    panels = built.panels["gap-pruned-a"]
    rows = panels[0]
    assert rows.counts["before"].sum() == 150
    assert rows.counts["kept"].sum() == len(splits["gap-pruned-a"])
    assert len(rows.edges) == len(rows.counts["kept"]) + 1
    scores = np.array(list(slow.nearest("a").values()))
    expected = np.histogram(scores, rows.edges.astype(np.float32))[0]
    assert abs(rows.counts["before"] - expected).sum() <= 4, "no more than rounding at an edge"
    assert {name: counts.sum() for name, counts in panels[1].counts.items()} == {
        "corpus": 5, "split": 5, "reference": 5,
    }  # fmt: skip
    listing = panels[2]
    assert [line[:2] for line in listing.rows] == [
        (1, "corpus"), (1, "split"), (1, "reference"), (10, "corpus"), (10, "split"),
    ]  # fmt: skip
    assert listing.rows[1][2:] == listing.rows[2][2:], "the gap is the reference set's"
    taken = dict(built.panels[""][0].rows)
    assert taken["gap-pruned-a"] == 150 - len(splits["gap-pruned-a"])


def test_the_tenth_nearest_kept_row_is_told_as_a_sort_of_the_kept_scores_tells_it(inputs, slow, tmp_path):
    recipe = SimilarityRecipe(prune=("gap",), combined=False, sampled=1000)
    built = build(recipe, inputs, tmp_path)
    stays = kept(by_name(built)["gap-pruned-b"])
    rows = [row for row, uid in enumerate(slow.uids) if uid in stays]
    tenth = np.sort(slow.scores["b"][rows], axis=0)[-10]
    listing = built.panels["gap-pruned-b"][-1]
    assert isinstance(listing, Listing)
    assert listing.rows[4][2:] == tuple(
        round(float(np.sort(tenth)[int(np.ceil(share * 14)) - 1]), 4)
        for share in (0.05, 0.25, 0.5, 0.75, 0.95)
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), contained=st.booleans())
def test_whatever_the_corpus_the_gap_rule_is_the_loop_and_its_claims_hold(tmp_path_factory, seed, contained):
    folder = tmp_path_factory.mktemp("drawn")
    inputs = make_inputs(folder, seed=seed, n=60, contained=contained)
    recipe = SimilarityRecipe(prune=("gap",), sampled=0)
    slow = Slow(inputs)
    expected = slow.keep_gap("a", "b")
    if expected:
        found = by_name(build(recipe, inputs, folder / "work"))["gap-pruned-combined"]
        assert kept(found) == expected
        assert all(check.holds for check in verify(found, recipe, inputs, folder / "again"))


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"prune": ("gaps",)}, "prune names 'gaps': it must name some of gap, near, far, random, cut"),
        ({"prune": ("gap", "gap")}, "prune is ['gap', 'gap']: it must name each once"),
        ({"prune": ()}, "prune is empty: it must name a rule, or core must be given"),
        ({"sizes": ()}, "sizes is empty: near, far and random need one"),
        ({"sizes": (0.5, 0.5)}, "sizes is [0.5, 0.5]: it must name each once"),
        ({"sizes": (1.5,)}, "sizes is 1.5: it must be a share between 0 and 1 or a whole number of rows"),
        ({"sizes": (0.0,)}, "sizes is 0: it must be a share"),
        ({"sizes": (float("nan"),)}, "sizes is nan: it must be a share"),
        ({"core": -1.0}, "core is -1: it must be a share"),
        (
            {"threshold": 0.9},
            "threshold is 0.9 and prune is ['gap', 'near', 'far', 'random']: it must be given for",
        ),
        ({"prune": ("cut",)}, "threshold is None and prune is ['cut']: it must be given for 'cut'"),
        (
            {"prune": ("cut",), "threshold": 1.0},
            "threshold is 1: it must be a cosine similarity from -1 to below 1",
        ),
        ({"deduplicate": float("nan")}, "deduplicate is nan: it must be a cosine similarity"),
        ({"sampled": -1}, "sampled is -1: it must be 0 or more"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, refusal):
    with pytest.raises(Refusal) as found:
        SimilarityRecipe(**settings)
    assert str(found.value).startswith(refusal)


@pytest.mark.parametrize(
    ("recipe", "tests", "has_reference", "refusal"),
    [
        (SimilarityRecipe(), ["a"], False, "prune names 'gap', which compares with a reference set"),
        (SimilarityRecipe(prune=("far",)), ["a"], True, "--reference: prune does not name 'gap'"),
        (SimilarityRecipe(), ["my set"], True, "test set 'my set' cannot be part of a split's name"),
        (SimilarityRecipe(), ["combined"], True, "test set 'combined' cannot be part of a split's name"),
    ],
)
def test_sets_that_do_not_fit_the_recipe_are_refused(recipe, tests, has_reference, refusal):
    with pytest.raises(Refusal, match=f"^{refusal}"):
        plan_rules(recipe, tests, has_reference=has_reference)


def test_more_rows_than_there_are_are_refused(inputs, tmp_path):
    recipe = SimilarityRecipe(prune=("far",), sizes=(151,), sampled=0)
    with pytest.raises(
        Refusal, match=r"split 'far-pruned-a-151' is to keep 151 rows of 150: ask for fewer in 'sizes'"
    ):
        build(recipe, replace(inputs, reference=None), tmp_path)


def test_sets_of_different_encoders_are_refused(inputs, tmp_path):
    other = stored(tmp_path / "other", *whole(inputs.tests["a"].stored))
    write_manifest(other.folder, encoder_sha256="cd" * 32)
    mixed = replace(inputs, tests={"a": replace(inputs.tests["a"], stored=open_stored(other.folder))})
    with pytest.raises(Refusal, match=r"other.+encoder|encoder.+other|model"):
        build(RECIPE, mixed, tmp_path / "work")


def test_a_split_that_would_keep_no_row_is_refused(tmp_path):
    inputs = make_inputs(tmp_path)
    tests, names = whole(inputs.tests["a"].stored)
    same = Inputs(corpus=pictures("same", tmp_path, tests, names), tests={"a": inputs.tests["a"]})
    recipe = SimilarityRecipe(prune=("cut",), threshold=0.9, sampled=0)
    with pytest.raises(Refusal, match="split 'cut-pruned-a' keeps no row"):
        build(recipe, same, tmp_path / "work")
