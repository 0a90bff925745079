"""Prototype splits: what they claim, beside distances computed by hand, and forged ones."""

from dataclasses import replace

import numpy as np
import pytest
from tests.retrieval.neighbour_data import stored
from tests.splits.curation.test_prototypes import draw

from oddpair.errors import Refusal
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.recipes.prototypes import PrototypesRecipe, build, verify

N = 300
RECIPE = PrototypesRecipe(share=0.4, clusters=6, rows_per_cluster=30)


def inputs_of(folder, rows, uids, sizes=None, workers=1):
    held = stored(folder, rows, uids, sizes)
    return Inputs(corpus=Pictures(name="corpus", stored=held), workers=workers)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    rows, uids = draw(N)
    return inputs_of(tmp_path_factory.mktemp("prototypes"), rows, uids, [120, 180])


def cosines(built, inputs):
    """Cosine of each uid to its nearest prototype, and the prototype, from the table of the clusters."""
    centroids = np.array(built.tables["clusters.parquet"]["centroid"].to_pylist())
    rows = inputs.corpus.stored
    scores = rows.read(0, N).astype(np.float64) @ centroids.T
    uids = rows.uids(np.arange(N))
    return {uid: (score.max(), score.argmax()) for uid, score in zip(uids, scores, strict=True)}


RECIPES = [
    RECIPE,
    replace(RECIPE, keep="easy"),
    replace(RECIPE, balance=0.0),
    replace(RECIPE, keep="easy", balance=1.0, size=77),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_a_split_holds_what_it_claims(recipe, inputs, tmp_path):
    built = build(recipe, inputs, tmp_path)
    manifest = built.splits[0]
    assert len(manifest) == (recipe.size or 120)
    of = cosines(built, inputs)
    kept = manifest.uids.to_pylist()
    sign = 1 if recipe.keep == "hard" else -1
    left = sorted(set(of) - set(kept))
    assert np.mean([sign * of[uid][0] for uid in kept]) < np.mean([sign * of[uid][0] for uid in left])
    limit = manifest.statement[1].values["limit"]
    if limit is not None:
        assert min(sign * of[uid][0] for uid in left) >= sign * limit - 1e-6
    table = built.tables["clusters.parquet"].to_pydict()
    for cluster in range(6):
        assert table["rows"][cluster] == sum(of[uid][1] == cluster for uid in of)
        assert table["kept"][cluster] == sum(of[uid][1] == cluster for uid in kept) >= table["least"][cluster]
        expected = int(recipe.balance * table["rows"][cluster] * len(manifest) / N + 1e-9)
        assert table["least"][cluster] == expected
    checks = verify(manifest, recipe, inputs, tmp_path)
    assert [check.holds for check in checks] == [True] * 4
    assert [check.text for check in checks[1:]] == [claim.text for claim in manifest.statement]


def test_without_a_least_number_hard_and_easy_share_no_row(inputs, tmp_path):
    hard, easy = (
        set(build(replace(RECIPE, keep=keep, balance=0.0), inputs, tmp_path).splits[0].uids.to_pylist())
        for keep in ("hard", "easy")
    )
    assert not hard & easy


def test_neither_shards_nor_the_order_of_rows_nor_workers_change_a_split(inputs, tmp_path):
    rows, uids = draw(N)
    order = np.random.default_rng(2).permutation(N)
    other = inputs_of(tmp_path / "e", rows[order], [uids[row] for row in order], [7, 0, 293], workers=2)
    first, second = (
        build(RECIPE, one, tmp_path / str(number)).splits[0] for number, one in enumerate((inputs, other))
    )
    assert first.uids.equals(second.uids)
    assert (first.rules, first.statement, first.card) == (second.rules, second.statement, second.card)
    assert first.provenance["centroids"] == second.provenance["centroids"]


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_a_forged_split_fails_with_the_claim_that_breaks(recipe, inputs, tmp_path):
    built = build(recipe, inputs, tmp_path)
    manifest = built.splits[0]
    of = cosines(built, inputs)
    sign = 1 if recipe.keep == "hard" else -1
    kept = set(manifest.uids.to_pylist())
    best = min(kept, key=lambda uid: sign * of[uid][0])
    worst = max((uid for uid in of if uid not in kept), key=lambda uid: sign * of[uid][0])
    forged = replace(manifest, uids=sorted(kept - {best} | {worst}))
    broken = [check.text for check in verify(forged, recipe, inputs, tmp_path) if not check.holds]
    assert manifest.statement[1].text in broken
    stranger = replace(manifest, uids=sorted([*manifest.uids.to_pylist()[1:], "zzz"]))
    assert "uid zzz is not" in verify(stranger, recipe, inputs, tmp_path)[0].found


def test_a_cluster_that_was_emptied_is_found_out(inputs, tmp_path):
    recipe = replace(RECIPE, balance=1.0)
    built = build(recipe, inputs, tmp_path)
    of = cosines(built, inputs)
    kept = built.splits[0].uids.to_pylist()
    smaller = [uid for uid in kept if of[uid][1] != of[kept[0]][1]]
    forged = replace(built.splits[0], uids=smaller)
    checks = verify(forged, recipe, inputs, tmp_path)
    assert not checks[3].holds
    assert checks[3].found == "1 clusters keep fewer"


def test_another_corpus_has_other_prototypes(inputs, tmp_path):
    manifest = build(RECIPE, inputs, tmp_path).splits[0]
    rows, uids = draw(N)
    rows[:9] = rows[9:18]
    checks = verify(manifest, RECIPE, inputs_of(tmp_path / "e", rows, uids), tmp_path)
    assert not checks[1].holds


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"balance": 1.1}, r"balance is 1\.1: it must lie between 0 and 1"),
        ({"clusters": 0}, "clusters is 0: it must be 1 or more"),
        ({"iterations": 0}, "iterations is 0: it must be 1 or more"),
        ({"rows_per_cluster": 0}, "rows_per_cluster is 0: it must be 1 or more"),
    ],
)
def test_settings_that_no_split_can_have_are_refused(settings, refusal):
    with pytest.raises(Refusal, match=refusal):
        PrototypesRecipe(**settings)
