"""Rows that make a corpus nearer than its reference set, beside the recipe that leaves them out and beside plain loops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.retrieval.brute_force import unit
from tests.splits.similarity_data import Slow, make_inputs, pictures

from oddpair.eval.auditing.asked import Asked, Material
from oddpair.eval.auditing.gap import find_gap_removal
from oddpair.eval.auditing.nearness import find_nearness
from oddpair.splits.inputs import Inputs
from oddpair.splits.recipes.similarity import SimilarityRecipe, build
from oddpair.splits.similar.search import search_corpus


def search(inputs, work):
    return Material(
        asked=Asked(),
        inputs=inputs,
        name="a",
        searched=search_corpus(inputs, work, deduplicate=None, sampled=0, seed=0),
        table=None,
        work=work,
    )


def split_by_recipe(found, inputs, work):
    told: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.recipe.items()
    }
    (split,) = build(SimilarityRecipe(**told), inputs, work).splits
    return split


@pytest.mark.parametrize("contained", [True, False])
@pytest.mark.parametrize("seed", [3, 4])
def test_the_recipe_keeps_the_corpus_without_the_removal_whether_or_not_it_holds_the_reference_set(
    tmp_path, contained, seed
):
    # The last 20 rows come twice, in another shard.
    order = np.concatenate([np.arange(150), np.arange(130, 150)])
    inputs = make_inputs(tmp_path, seed=seed, contained=contained, order=order, sizes=[100, 70])
    inputs = replace(inputs, tests={"a": inputs.tests["a"]})
    found = find_gap_removal(search(inputs, tmp_path / "audit"))
    assert found is not None
    slow = Slow(inputs)
    kept, gone = slow.keep_gap("a"), found.rows["uid"].to_pylist()
    assert gone == sorted(set(slow.uids) - kept, key=str.encode)
    assert (found.removal.gone, found.removal.left, found.removal.rows) == (len(gone), len(kept), 150)
    assert 0 < len(gone) < 150
    split = split_by_recipe(found, inputs, tmp_path / "split")
    assert (split.name, set(split.uids.to_pylist())) == (found.removal.split, kept)


def test_a_reference_set_that_was_rounded_otherwise_in_the_corpus_is_no_nearer_to_any_image(tmp_path):
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(40, 32)), np.float16)
    again = unit(rows.astype(np.float64) + 2e-4 * rng.normal(size=rows.shape), np.float16)
    tests = unit(rows[:30].astype(np.float64) + 0.1 * rng.normal(size=(30, 32)), np.float16)
    uids = [f"r{place:02}" for place in range(40)]
    inputs = Inputs(
        corpus=pictures("corpus", tmp_path, again, uids),
        tests={"a": pictures("a", tmp_path, tests, [f"t{place:02}" for place in range(30)])},
        reference=pictures("reference", tmp_path, rows, uids),
    )
    material = search(inputs, tmp_path / "audit")
    found, removal = find_nearness(material), find_gap_removal(material)
    gap = found.nearness.gap
    assert gap is not None
    assert removal is not None
    # Else there would be nothing to see through.
    assert (found.images["score"].to_numpy() > found.images["reference_score"].to_numpy()).any()
    assert (gap.nearer.part, gap.rows, removal.removal.gone) == (0, 0, 0)


def test_an_image_is_nearer_by_another_row_though_the_reference_sets_own_is_the_nearest(tmp_path):
    def turn(cosine, axis):
        row = np.zeros(4)
        row[0], row[axis] = cosine, np.sqrt(1 - cosine**2)
        return row

    # Cosines with the first image; the second is that of the reference set's row, as it was rounded in the corpus.
    inputs = Inputs(
        corpus=pictures(
            "corpus",
            tmp_path,
            np.stack([turn(0.604, 1), turn(0.602, 2), turn(0.1, 3)]),
            ["r", "between", "far"],
        ),
        tests={"a": pictures("a", tmp_path, np.stack([turn(1, 1), turn(0.604, 1)]), ["first", "second"])},
        reference=pictures("reference", tmp_path, turn(0.6, 1)[None], ["r"]),
    )
    material = search(inputs, tmp_path / "audit")
    found, removal = find_nearness(material), find_gap_removal(material)
    gap = found.nearness.gap
    assert gap is not None
    assert removal is not None
    assert found.images["nearest"].to_pylist() == ["r", "r"]
    assert removal.rows["uid"].to_pylist() == ["between"]
    assert (gap.nearer.part, gap.nearer.n, gap.rows) == (1, 2, 1)


def test_a_row_as_near_as_the_reference_set_is_not_nearer(tmp_path):
    rows = np.eye(3)
    inputs = Inputs(
        corpus=pictures("corpus", tmp_path, rows[[0, 1]], ["copy of the reference row", "far"]),
        tests={"a": pictures("a", tmp_path, unit([[3, 0, 4]]), ["t"])},
        reference=pictures("reference", tmp_path, rows[:1], ["r"]),
    )
    material = search(inputs, tmp_path / "audit")
    found, removal = find_nearness(material), find_gap_removal(material)
    gap = found.nearness.gap
    assert gap is not None
    assert removal is not None
    assert found.images["score"].to_pylist() == found.images["reference_score"].to_pylist()
    assert (gap.nearer.part, gap.difference.value, gap.rows, removal.removal.gone) == (0, 0, 0, 0)
