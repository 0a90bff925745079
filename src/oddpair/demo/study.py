"""The study: the whole path on several worlds, and what they say together, with intervals over worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from oddpair import __version__, files
from oddpair.demo.analyse import STYLES, as_json, from_table
from oddpair.demo.plan import Plan
from oddpair.demo.run import run_stages
from oddpair.errors import Refusal
from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.intervals import Estimate, mean_over_worlds, pool_worlds
from oddpair.eval.predictor import COUNT, MEAN, MODELS, cross_validate
from oddpair.progress import say

Results = dict[str, Any]
STUDY_FILE = "study.json"
FEWEST_STEPS = 300
KINDS = ("all", "held-out", "rare")
_CONCEPT_STREAM, _PAIR_STREAM = 41, 42


def run_study(plans: Sequence[Plan], out: Path, *, workers: int) -> Path:
    """Carry out the path for every plan that is not done yet, pool the results and write the report.

    Args:
        plans: One plan a world, equal but for the seed.
        out: Folder for ``world-<seed>/``, ``study.json`` and ``study.html``.
        workers: Processes.

    Returns:
        The report.
    """
    from oddpair.demo.study_report import study_tables, write_study_report
    from oddpair.demo.tables import show

    if plans[0].steps < FEWEST_STEPS:
        raise Refusal(
            f"{plans[0].steps} training steps teach a model nothing to pool: a study needs --size demo or study"
        )
    with files.locked(out):
        for plan in plans:
            say(f"world {plan.seed}")
            with files.locked(world_folder(out, plan)):
                run_stages(plan, world_folder(out, plan), workers=workers)
        study = pool_study(plans, out)
        files.write_json(out / STUDY_FILE, study)
        report = write_study_report(study, out)
    show(study_tables(study))
    return report


def world_folder(out: Path, plan: Plan) -> Path:
    """Return where a world's run lies."""
    return out / f"world-{plan.seed}"


def pool_study(plans: Sequence[Plan], out: Path) -> Results:
    """Pool the results of all worlds.

    A world, with its frequencies, held-out pairs, drawings and two trained models, is the independent
    repetition: every pooled figure is a mean over worlds with its t interval, taken of correlations by
    Fisher's z, of ratios by their logarithm and of accuracies by their logit. The pooled cross-validation
    holds a concept out of all worlds at once.

    Args:
        plans: One plan a world.
        out: The study's folder.

    Returns:
        JSON: the plan, the pooled figures, and every world's own.
    """
    folders = [world_folder(out, plan) / "results" for plan in plans]
    worlds = [files.read_json(folder / "results.json") for folder in folders]
    concepts = join_rows(
        [from_table(files.read_table(folder / "concept_rows.parquet")) for folder in folders]
    )
    tables = [files.read_table(folder / "pair_rows.parquet") for folder in folders]
    pairs = [from_table(table).take(np.asarray(table["kind"].to_pylist()) == "seen") for table in tables]
    pooled = {
        "styles": _pool_styles(worlds),
        "concepts": {
            "r": _pool_r([world["concepts"]["trend"]["raw"] for world in worlds]),
            "binned_r": _pool_r([world["concepts"]["trend"]["binned"] for world in worlds]),
            "r_given_difficulty": _r_given_difficulty(concepts),
            "cross_validation": cross_validate(
                concepts,
                np.random.default_rng(_CONCEPT_STREAM),
                models={MEAN: MODELS[MEAN], COUNT: MODELS[COUNT]},
            ),
        },
        "pairs": _pool_pairs(worlds)
        | {"cross_validation": cross_validate(join_rows(pairs), np.random.default_rng(_PAIR_STREAM))},
        "planted": _pool_planted(worlds),
    }
    plan = plans[0].as_inputs()
    plan.pop("seed")
    return {
        "oddpair": __version__,
        "plan": plan,
        "seeds": [plan.seed for plan in plans],
        "pooled": as_json(pooled),
        "worlds": worlds,
    }


def join_rows(parts: Sequence[ConceptRows]) -> ConceptRows:
    """Put the rows of several worlds under one another."""
    import pyarrow as pa

    from oddpair.demo.analyse import to_table

    return from_table(pa.concat_tables([to_table(part) for part in parts]))


def _pool_styles(worlds: Sequence[Results]) -> Results:
    pooled: Results = {}
    for style in STYLES:
        found = [world["styles"][style] for world in worlds]
        ratios = [entry["ratio"]["value"] for entry in found if entry["ratio"]]
        pooled[style] = {
            name: _pool_shares([entry[name]["value"] for entry in found], f"accuracy on {style}, {name}")
            for name in ("natural-strict", "control")
        }
        # A ratio of 0 has no logarithm; the plain mean is reported where a world has one.
        positive = len(ratios) == len(worlds) and min(ratios) > 0
        pooled[style]["ratio"] = (
            _pool(ratios, np.log, np.exp, f"strict over control, {style}")
            if positive
            else mean_over_worlds(ratios, what=f"strict over control, {style} (plain mean)")
        )
    return pooled


def _pool_pairs(worlds: Sequence[Results]) -> Results:
    pooled: Results = {
        name: {} for name in ("accuracy", "penalty", "matched", "matched_share", "bias", "r_unseen")
    }
    for kind in ("seen", "held-out", "rare"):
        pooled["accuracy"][kind] = _pool_shares(
            [world["pairs"]["accuracy"][kind]["value"] for world in worlds], f"accuracy on {kind} pairs"
        )
    for kind in KINDS:
        penalty = [world["pairs"]["penalty"][kind] for world in worlds]
        for name, error in (("beta", "beta_error"), ("points", "points_error")):
            plain, weighted = pool_worlds(
                [entry[name]["value"] for entry in penalty],
                [entry[error] for entry in penalty],
                what=f"unseen minus seen, {kind}, {'logits' if name == 'beta' else 'points'}",
            )
            pooled["penalty"].setdefault(kind, {})[name] = {
                "over_worlds": plain,
                "inverse_variance": weighted,
            }
        pooled["matched"][kind] = mean_over_worlds(
            [world["pairs"]["matched"][kind]["difference"]["value"] for world in worlds],
            what=f"unseen minus seen of equal counts, {kind}, points",
        )
        shares = [
            entry["n_matched"] / (entry["n_matched"] + entry["n_unmatched"])
            for entry in (world["pairs"]["matched"][kind] for world in worlds)
        ]
        pooled["matched_share"][kind] = {"lowest": min(shares), "highest": max(shares)}
        transfer = [world["pairs"]["transfer"][kind] for world in worlds]
        pooled["bias"][kind] = mean_over_worlds(
            [entry["bias"]["value"] for entry in transfer],
            what=f"predicted minus true, {kind} unseen pairs, points",
        )
        pooled["r_unseen"][kind] = {
            name: _pool_r([entry[name] for entry in transfer]) for name in ("r", "r_binned")
        }
    pooled["pmi"] = {
        name: _pool_r([world["pairs"]["pmi"][name] for world in worlds])
        for name in ("r", "r_given_counts", "r_given_concepts")
    }
    for name in ("logit_given_counts", "logit_given_concepts"):
        pooled["pmi"][name] = mean_over_worlds(
            [world["pairs"]["pmi"][name]["value"] for world in worlds],
            what=f"PMI slope, {name.replace('_', ' ')}",
        )
    fifths = zip(*(world["pairs"]["pmi"]["quintiles"] for world in worlds), strict=True)
    pooled["pmi"]["quintiles"] = [
        {
            "accuracy": _pool_shares(
                [entry["accuracy"]["value"] for entry in fifth], f"accuracy in PMI fifth {place}"
            ),
            "median_pmi": float(np.mean([entry["median_pmi"] for entry in fifth])),
        }
        for place, fifth in enumerate(fifths, start=1)
    ]
    return pooled


def _pool_planted(worlds: Sequence[Results]) -> Results:
    planted = [world["planted"] for world in worlds]
    return {
        "style": {
            style: {
                name: {
                    "lowest": min(entry["style"][style][name]["value"] for entry in planted),
                    "mean": mean_over_worlds(
                        [entry["style"][style][name]["value"] for entry in planted], what=name
                    ),
                }
                for name in ("precision", "recall", "wrong_before_search", "wrong_after_search")
            }
            | {
                name: sum(entry["style"][style][name] for entry in planted)
                for name in ("left_by_search", "left_and_wrong")
            }
            for style in ("natural", "rendition")
        },
        "pairs": {name: sum(entry["pairs"][name] for entry in planted) for name in planted[0]["pairs"]},
        "count_differences": sum(
            entry["counts"]["count_text_differences"] + entry["counts"]["count_image_differences"]
            for entry in planted
        ),
    }


def _pool_r(entries: Sequence[Results]) -> Estimate:
    return _pool([entry["value"] for entry in entries], np.arctanh, np.tanh, str(entries[0]["what"]))


def _pool_shares(values: Sequence[float], what: str) -> Estimate:
    if min(values) > 0 and max(values) < 1:
        return _pool(values, logit, expit, what)
    return mean_over_worlds(values, what=f"{what} (plain mean)")


def _pool(
    values: Sequence[float],
    forward: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    back: Callable[[Any], Any],
    what: str,
) -> Estimate:
    found = mean_over_worlds(forward(np.asarray(values, dtype=np.float64)), what=what)
    return Estimate(
        value=float(back(found.value)),
        low=float(back(found.low)),
        high=float(back(found.high)),
        n=found.n,
        what=what,
    )


def _r_given_difficulty(rows: ConceptRows) -> Estimate:
    """Correlate within concepts: a concept that is hard to draw is hard in every world."""
    from oddpair.eval.intervals import pearson_bootstrap

    accuracy, log_count = rows.accuracy.copy(), np.log10(1.0 + rows.count)
    for column in (accuracy, log_count):
        for name in np.unique(rows.target):
            of_concept = rows.target == name
            column[of_concept] -= column[of_concept].mean()
    rng = np.random.default_rng(_CONCEPT_STREAM)
    return pearson_bootstrap(log_count, accuracy, rows.target, rng, what="r within concepts, over worlds")
