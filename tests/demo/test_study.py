"""Several worlds pooled: each figure checked by hand from the worlds' own."""

import json
import math
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from oddpair import files
from oddpair.demo.analyse import as_json, explain_concepts, explain_pairs, to_table
from oddpair.demo.plan import make_plan
from oddpair.demo.study import pool_study, run_study, world_folder
from oddpair.demo.study_report import study_tables, write_study_report
from oddpair.errors import Refusal
from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.shares import wilson

SEEDS = (0, 1, 2)
NAMES = [f"thing {number:02d}" for number in range(24)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The results of three small made-up worlds, written as the analysis writes them."""
    folder = tmp_path_factory.mktemp("study")
    for seed in SEEDS:
        _write_world(folder, seed)
    return folder


@pytest.fixture(scope="module")
def study(out):
    return pool_study([make_plan("small", seed=seed) for seed in SEEDS], out)


def _write_world(folder, seed):
    rng = np.random.default_rng(seed)
    count = (10 ** rng.uniform(1, 3, len(NAMES))).astype(np.int64)
    world = np.full(len(NAMES), f"world {seed}")
    concepts = ConceptRows(
        group=world,
        target=np.asarray(NAMES),
        partner=np.full(len(NAMES), ""),
        successes=rng.binomial(20, 1 / (1 + np.exp(4 - 2 * np.log10(count)))),
        trials=np.full(len(NAMES), 20),
        count=count,
    )
    pairs, kinds = _pairs(rng, count, seed)
    results = {
        "plan": make_plan("small", seed=seed).as_inputs(),
        "planted": _planted(seed),
        "styles": {
            style: {
                "natural-strict": wilson(20 + seed, 100),
                "control": wilson(40, 100),
                "ratio": {"value": (20 + seed) / 40, "low": 0.1, "high": 1.0, "n": 100, "what": "ratio"},
            }
            for style in ("natural", "sketch", "cartoon", "painting", "silhouette")
        },
        "concepts": explain_concepts(concepts, rng),
        "pairs": explain_pairs(pairs, kinds, rng),
    }
    place = world_folder(folder, make_plan("small", seed=seed)) / "results"
    files.write_table(place / "concept_rows.parquet", to_table(concepts))
    files.write_table(
        place / "pair_rows.parquet", to_table(pairs).append_column("kind", pa.array(kinds.tolist()))
    )
    files.write_json(place / "results.json", as_json(results))


def _pairs(rng, count, seed):
    kept = rng.permutation(list(combinations(range(len(NAMES)), 2)))[:200]
    kind = np.asarray(["seen"] * 110 + ["held-out"] * 60 + ["rare"] * 30)
    target, partner = np.concatenate([kept, kept[:, ::-1]]).T
    together = np.concatenate([np.where(kind == "seen", rng.integers(1, 30, 200), 0)] * 2)
    rows = ConceptRows(
        group=np.full(400, f"world {seed}"),
        target=np.asarray(NAMES)[target],
        partner=np.asarray(NAMES)[partner],
        successes=rng.binomial(10, 1 / (1 + np.exp(4 - 2 * np.log10(count[target])))),
        trials=np.full(400, 10),
        count=count[target],
        partner_count=count[partner],
        pair_count=together,
        expected=1 + count[target] * count[partner] / 1000,
    )
    return rows, np.concatenate([kind, kind])


def _planted(seed):
    share = wilson(99 - seed, 100)
    names = ("precision", "recall", "wrong_before_search", "wrong_after_search")
    pairs = {
        "held_out_tested": 60,
        "held_out_found_unseen": 60,
        "found_unseen": 90,
        "found_unseen_but_shown_or_named": 0,
        "silent_but_shown": 5,
        "silent_but_shown_found_by_search": 3,
    }
    counts = {"count_text_differences": seed, "count_image_differences": 0}
    return {
        "style": {
            style: {**dict.fromkeys(names, share), "left_by_search": 7, "left_and_wrong": seed}
            for style in ("natural", "rendition")
        },
        "pairs": pairs,
        "counts": counts,
    }


def test_a_correlation_is_pooled_by_fishers_z(study):
    own = [world["concepts"]["trend"]["raw"]["value"] for world in study["worlds"]]
    pooled = study["pooled"]["concepts"]["r"]
    assert pooled["value"] == pytest.approx(math.tanh(np.mean(np.arctanh(own))), abs=1e-5)
    assert pooled["low"] < min(own) < max(own) < pooled["high"]
    assert pooled["n"] == 3


def test_a_ratio_is_pooled_by_its_logarithm(study):
    pooled = study["pooled"]["styles"]["sketch"]["ratio"]
    assert pooled["value"] == pytest.approx((0.5 * 0.525 * 0.55) ** (1 / 3), abs=1e-5)


def test_an_accuracy_is_pooled_by_its_logit_and_stays_a_share(study):
    pooled = study["pooled"]["styles"]["sketch"]["natural-strict"]
    logits = [math.log(share / (1 - share)) for share in (0.20, 0.21, 0.22)]
    assert pooled["value"] == pytest.approx(1 / (1 + math.exp(-np.mean(logits))), abs=1e-5)
    assert 0 < pooled["low"] < pooled["high"] < 1


def test_the_interval_is_that_of_a_t_distribution_over_worlds(study):
    own = [world["pairs"]["transfer"]["all"]["bias"]["value"] for world in study["worlds"]]
    pooled = study["pooled"]["pairs"]["bias"]["all"]
    half = 4.302653 * np.std(own, ddof=1) / math.sqrt(3)
    assert (pooled["value"], pooled["high"]) == pytest.approx((np.mean(own), np.mean(own) + half), abs=1e-4)


def test_planted_numbers_are_summed_and_the_worst_world_is_named(study):
    planted = study["pooled"]["planted"]
    assert planted["pairs"]["held_out_tested"] == 180
    assert planted["count_differences"] == 0 + 1 + 2
    assert planted["style"]["natural"]["left_and_wrong"] == 0 + 1 + 2
    assert planted["style"]["natural"]["precision"]["lowest"] == pytest.approx(0.97)


def test_a_world_without_a_hit_gives_a_plain_mean_and_says_so(out, study, tmp_path):
    for seed in SEEDS:
        place = tmp_path / f"world-{seed}" / "results"
        for path in (out / f"world-{seed}" / "results").iterdir():
            files.write_bytes(place / path.name, path.read_bytes())
    results = files.read_json(tmp_path / "world-0" / "results" / "results.json")
    results["styles"]["sketch"]["ratio"]["value"] = 0.0
    files.write_json(tmp_path / "world-0" / "results" / "results.json", results)
    pooled = pool_study([make_plan("small", seed=seed) for seed in SEEDS], tmp_path)["pooled"]["styles"][
        "sketch"
    ]
    assert pooled["ratio"]["value"] == pytest.approx((0 + 0.525 + 0.55) / 3, abs=1e-5)
    assert "plain mean" in pooled["ratio"]["what"]


def test_the_study_is_json_and_its_page_has_the_same_bytes_each_time(study, tmp_path):
    again = json.loads(json.dumps(study, allow_nan=False))
    first = write_study_report(again, tmp_path).read_bytes()
    assert write_study_report(again, tmp_path).read_bytes() == first
    for table in study_tables(again):
        assert table.title.encode() in first


def test_a_study_of_worlds_too_small_to_learn_in_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(Refusal, match="a study needs --size demo or study"):
        run_study([make_plan("small", seed=0), make_plan("small", seed=1)], tmp_path / "study", workers=1)
    assert not (tmp_path / "study").exists()
