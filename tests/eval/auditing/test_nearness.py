"""Nearness and the gap, read from a search, beside brute force; and the median's interval."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from tests.retrieval.brute_force import unit
from tests.retrieval.stored_folder import write_stored

from oddpair import stages
from oddpair.eval.auditing.asked import Asked, Material
from oddpair.eval.auditing.gap import find_gap_removal
from oddpair.eval.auditing.medians import find_median
from oddpair.eval.auditing.nearness import find_nearness
from oddpair.retrieval.stored import open_stored
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.recipes.similarity import SimilarityRecipe, build
from oddpair.splits.similar.search import search_corpus


@pytest.fixture
def audited(tmp_path):
    """A corpus of 60 rows, of which 6 are the reference set's and two share a uid, and 20 test images; with brute force."""
    rng = np.random.default_rng(0)
    rows = {
        "corpus": unit(rng.normal(size=(60, 6)), np.float16),
        "tests": unit(rng.normal(size=(20, 6)), np.float16),
        "reference": unit(rng.normal(size=(12, 6)), np.float16),
    }
    rows["corpus"][:6] = rows["reference"][:6]
    rows["corpus"][59] = rows["corpus"][58]
    uids = {
        "corpus": [*(f"r{n:02}" for n in range(6)), *(f"c{n:02}" for n in range(53)), "c52"],
        "tests": [f"t{n:02}" for n in range(20)],
        "reference": [f"r{n:02}" for n in range(12)],
    }
    for name, n in (("corpus", [25, 35]), ("tests", [20]), ("reference", [12])):
        stages.begin(tmp_path / name, {"name": name})
        write_stored(tmp_path / name, rows[name], uids[name], n)
        stages.finish(tmp_path / name)
    return tmp_path, rows, uids


def material_of(place, *, referred):
    pictures = {
        name: Pictures(name=name, stored=open_stored(place / name))
        for name in ("corpus", "tests", "reference")
    }
    inputs = Inputs(
        corpus=pictures["corpus"],
        tests={"tests": pictures["tests"]},
        reference=pictures["reference"] if referred else None,
    )
    work = place / f"work-{referred}"
    return Material(
        asked=Asked(),
        inputs=inputs,
        name="tests",
        searched=search_corpus(inputs, work, deduplicate=None, sampled=0, seed=0),
        table=None,
        work=work,
    )


def test_each_image_has_its_nearest_row_and_its_nearest_reference(audited):
    place, rows, uids = audited
    found = find_nearness(material_of(place, referred=True))
    near = rows["tests"].astype(np.float64) @ rows["corpus"].astype(np.float64).T
    theirs = (rows["tests"].astype(np.float64) @ rows["reference"].astype(np.float64).T).max(axis=1)
    assert found.images["uid"].to_pylist() == uids["tests"]
    assert found.images["score"].to_pylist() == near.max(axis=1).astype(np.float32).tolist()
    assert found.images["nearest"].to_pylist() == [uids["corpus"][row] for row in near.argmax(axis=1)]
    assert found.images["reference_score"].to_pylist() == theirs.astype(np.float32).tolist()
    gap = found.nearness.gap
    assert gap is not None
    assert gap.nearer.part == int((near.max(axis=1).astype(np.float32) > theirs.astype(np.float32)).sum())
    hit = (near.astype(np.float32) > theirs.astype(np.float32)[:, None]).any(axis=0)
    nearer = {uid for uid, one in zip(uids["corpus"], hit, strict=True) if one} - set(uids["reference"])
    assert gap.rows == len(nearer) > 0
    assert found.nearness.corpus.median.value == pytest.approx(np.median(near.max(axis=1).astype(np.float32)))
    assert found.nearness.corpus.rows == 59
    assert sum(count for _, count in found.nearness.corpus.histogram) == 20
    best = np.sort(near.max(axis=1).astype(np.float32))
    assert (found.nearness.corpus.quantiles[0], found.nearness.corpus.quantiles[-1]) == (best[0], best[-1])


def test_without_a_reference_set_there_is_no_gap_and_nothing_to_remove(audited):
    material = material_of(audited[0], referred=False)
    found = find_nearness(material)
    assert found.nearness.gap is None
    assert found.images["reference_score"].null_count == 20
    assert find_gap_removal(material) is None


def test_the_rows_of_the_gap_are_those_that_the_recipe_takes(audited):
    material = material_of(audited[0], referred=True)
    found = find_gap_removal(material)
    assert found is not None
    settings_of: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.recipe.items()
    }
    recipe = SimilarityRecipe(**settings_of)
    (split,) = build(recipe, material.inputs, audited[0] / "again").splits
    assert split.name == found.removal.split
    gone = set(found.rows["uid"].to_pylist())
    assert set(split.uids.to_pylist()) == set(audited[2]["corpus"]) - gone
    assert not gone & set(audited[2]["reference"])
    assert (found.removal.gone, found.removal.left) == (len(gone), len(split))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_interval_of_a_median_lies_between_two_values_as_far_out_as_chance_needs(values):
    found = find_median(values, "a")
    ordered = sorted(values)
    # The widest number of values outside at either end that leaves 95 %.
    outside = [r for r in range(1, len(values) // 2 + 1) if 2 * binom.cdf(r - 1, len(values), 0.5) <= 0.05]
    wanted = (ordered[outside[-1] - 1], ordered[-outside[-1]]) if outside else (-np.inf, np.inf)
    assert (found.low, found.high) == wanted
    assert found.value == np.median(values)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [
        found.low <= 0 <= found.high
        for found in (find_median(rng.standard_cauchy(25), "a") for _ in range(400))
    ]
    assert np.mean(held) > 0.93


def test_of_nothing_there_is_no_median():
    with pytest.raises(ValueError, match="found no value"):
        find_median([], "a")
