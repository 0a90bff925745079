"""Importance splits: what they claim, beside the law they are drawn by, and forged ones."""

from dataclasses import replace

import numpy as np
import pytest
from tests.splits.caption_data import inputs_of, name, pictures, write_captions

from oddpair.errors import Refusal
from oddpair.splits.manifest import Manifest
from oddpair.splits.recipes.importance import ImportanceRecipe, build, verify

N = 400
RECIPE = ImportanceRecipe(share=0.1, buckets=500)


def captions(n=N):
    """One in ten speaks of sketches, as the target does; some are short."""
    rng = np.random.default_rng(0)
    things = ["cat", "dog", "van", "owl", "tree", "house"]
    found = []
    for row in range(n):
        one, other = rng.choice(things, 2)
        found.append(
            f"pencil sketch of one {one} and some {other}" if row % 10 == 0
            else "buy now" if row % 10 == 1
            else f"a bright photo of the {one} near our {other} {rng.integers(9)}"
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importance")
    target = [f"pencil sketch of one {thing}" for thing in ("cat", "dog", "owl", "yak")]
    tests = {"sketches": pictures(write_captions(folder / "target", target))}
    return inputs_of(write_captions(folder / "corpus", captions(), sizes=[150, 250]), tests=tests)


@pytest.fixture(scope="module")
def manifest(inputs, tmp_path_factory):
    return build(RECIPE, inputs, tmp_path_factory.mktemp("work")).splits[0]


def numbers(manifest):
    kept = set(manifest.uids.to_pylist())
    return [row for row in range(N) if name(row) in kept]


def swap(manifest, leave, enter):
    return replace(manifest, uids=sorted(set(manifest.uids.to_pylist()) - {name(leave)} | {name(enter)}))


def test_captions_like_those_of_the_target_are_drawn_and_it_comes_nearer(manifest, inputs, tmp_path):
    assert len(manifest) == 40
    assert sum(row % 10 == 0 for row in numbers(manifest)) >= 38
    values = manifest.statement[2].values
    assert values["kl_split"] < values["kl_corpus"] - 1
    assert manifest.rules == (
        ("rows of the corpus", N),
        ("rows with captions of 5 words or more", N - N // 10),
        ("rows kept", 40),
    )
    checks = verify(manifest, RECIPE, inputs, tmp_path)
    assert [check.holds for check in checks] == [True] * 4


def test_the_target_may_be_rows_of_the_corpus(inputs, tmp_path):
    pool = Manifest(name="hand", recipe="hand", uids=sorted(name(row) for row in range(0, 40, 10)))
    with_pool = replace(inputs, tests={}, pools={"hand": pool})
    found = build(RECIPE, with_pool, tmp_path / "a").splits[0]
    assert sum(row % 10 == 0 for row in numbers(found)) >= 38
    assert all(check.holds for check in verify(found, RECIPE, with_pool, tmp_path / "b"))


def test_the_draw_is_without_replacement_and_by_weight(inputs, tmp_path):
    """Of one row: the share of seeds that draw it is its share of all weight, which Gumbel top-1 has exactly."""
    from oddpair.splits.recipes.importance import _value, _weigh

    small = replace(RECIPE, minimum_words=1)
    weighed = _weigh(small, inputs, tmp_path).weighed
    flat = replace(weighed, weight=np.log(np.repeat([1.0, 3.0], [N // 2, N - N // 2])))
    first = [int(_value(replace(small, seed=seed), flat).argmax()) for seed in range(2000)]
    share = np.mean(np.array(first) >= N // 2)
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)
    assert len(set(first)) > 350


def test_top_keeps_the_highest_weights_and_smaller_draws_lie_inside_larger(inputs, tmp_path):
    from oddpair.splits.recipes.importance import _weigh

    recipe = replace(RECIPE, draw="top")
    top = build(recipe, inputs, tmp_path / "t").splits[0]
    weighed = _weigh(RECIPE, inputs, tmp_path / "w").weighed
    inside = np.isin(weighed.pool.uids.to_pylist(), top.uids.to_pylist())
    others = ~inside & (weighed.words >= 5)
    assert weighed.weight[inside].min() >= weighed.weight[others].max()
    assert all(check.holds for check in verify(top, recipe, inputs, tmp_path / "v"))
    small = build(replace(RECIPE, size=15), inputs, tmp_path / "s").splits[0]
    large = build(replace(RECIPE, size=90), inputs, tmp_path / "l").splits[0]
    assert set(numbers(small)) < set(numbers(large))


def test_neither_shards_nor_the_order_of_rows_nor_workers_change_a_split(inputs, manifest, tmp_path):
    turned = [name(row) for row in range(N)][::-1]
    folder = write_captions(tmp_path / "other", captions()[::-1], turned, sizes=[399, 0, 1])
    other = build(RECIPE, inputs_of(folder, tests=inputs.tests, workers=2), tmp_path / "w").splits[0]
    assert other.uids.equals(manifest.uids)
    assert (other.rules, other.statement, other.card) == (manifest.rules, manifest.statement, manifest.card)


@pytest.mark.parametrize(("enter", "claims"), [(2, {0, 2}), (1, {1, 2})], ids=["less weight", "too short"])
def test_a_forged_split_fails_with_the_claims_that_break(enter, claims, manifest, inputs, tmp_path):
    forged = swap(manifest, numbers(manifest)[0], enter)
    broken = {check.text for check in verify(forged, RECIPE, inputs, tmp_path) if not check.holds}
    assert {manifest.statement[claim].text for claim in claims} <= broken


def test_another_target_is_found_out(manifest, inputs, tmp_path):
    tests = {"photos": pictures(write_captions(tmp_path / "t", ["a bright photo of the cat"]))}
    checks = verify(manifest, RECIPE, replace(inputs, tests=tests), tmp_path / "w")
    assert not any(checks[place].holds for place in (1, 3))


def test_what_cannot_be_drawn_is_refused(inputs, tmp_path):
    with pytest.raises(Refusal, match="needs a target: give --tests with captions, or --pool"):
        build(RECIPE, replace(inputs, tests={}), tmp_path / "a")
    with pytest.raises(Refusal, match="400 rows are wanted, and 360 of 400 captions have 5 words or more"):
        build(replace(RECIPE, share=1.0), inputs, tmp_path / "b")
    silent = {"silent": pictures(write_captions(tmp_path / "silent", ["", ""]))}
    with pytest.raises(Refusal, match="the captions of the target hold no word"):
        build(RECIPE, replace(inputs, tests=silent), tmp_path / "c")


def test_a_pool_with_rows_that_the_corpus_has_not_is_refused_with_one_of_them(inputs, tmp_path):
    pool = Manifest(name="hand", recipe="hand", uids=sorted([name(0), "zz0", "zz1"]))
    with pytest.raises(
        Refusal, match="split 'mine' has 2 rows that are not in the corpus, the first zz0: give"
    ):
        build(RECIPE, replace(inputs, tests={}, pools={"mine": pool}), tmp_path / "a")
    of_tests = Manifest(name="hand", recipe="hand", uids=[name(0)], of="sketches")
    with pytest.raises(Refusal, match="pool 'mine' is a split of sketches, needed one of the corpus"):
        build(RECIPE, replace(inputs, tests={}, pools={"mine": of_tests}), tmp_path / "b")


def test_of_equal_weights_the_first_uids_are_taken_and_the_claim_says_so(inputs, tmp_path):
    alike = write_captions(
        tmp_path / "alike", ["a pencil sketch of one cat"] * 10 + ["a photo of the big dog"] * 20
    )
    recipe = replace(RECIPE, size=4, draw="top")
    given = inputs_of(alike, tests=inputs.tests)
    found = build(recipe, given, tmp_path / "a").splits[0]
    assert found.uids.to_pylist() == sorted(name(row) for row in range(10))[:4]
    assert found.statement[0].text.endswith(
        "every other caption of enough words less, or as much with a later uid"
    )
    assert all(check.holds for check in verify(found, recipe, given, tmp_path / "b"))
    last = max(name(row) for row in range(10))
    forged = replace(found, uids=sorted([*found.uids.to_pylist()[1:], last]))
    (broken,) = [check for check in verify(forged, recipe, given, tmp_path / "c") if not check.holds]
    assert broken.found == "0 rows of the split have less, 0 others more, 1 as much as one before them"


def test_claims_are_found_wherever_they_stand_and_one_that_is_missing_is_told(manifest, inputs, tmp_path):
    turned = replace(manifest, statement=manifest.statement[::-1])
    assert all(check.holds for check in verify(turned, RECIPE, inputs, tmp_path / "a"))
    short = replace(manifest, statement=manifest.statement[:2])
    with pytest.raises(
        Refusal, match="split 'importance' claims nothing of 'kl_split': make the split again"
    ):
        verify(short, RECIPE, inputs, tmp_path / "b")


def test_pictures_without_captions_are_refused(inputs, noise, as_bytes, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.png").write_bytes(as_bytes(noise(1)))
    with pytest.raises(Refusal, match="bare has no captions, and they are what is compared"):
        build(RECIPE, replace(inputs, tests={"bare": pictures(tmp_path / "bare")}), tmp_path / "w")


def test_settings_that_no_split_can_have_are_refused():
    with pytest.raises(Refusal, match="buckets is 0: it must be 1 or more"):
        ImportanceRecipe(buckets=0)
    with pytest.raises(Refusal, match="minimum_words is 0: it must be 1 or more"):
        ImportanceRecipe(minimum_words=0)
