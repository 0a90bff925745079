"""The stage that turns predictions, counts and what was planted into results, each with n and interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from oddpair import files, stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.rows import RENDITIONS
from oddpair.demo.hits import count_hits, read_hits
from oddpair.demo.plan import Plan
from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.intervals import Estimate, ratio_of_accuracies
from oddpair.eval.matching import match_on_counts
from oddpair.eval.pair_effects import unseen_penalty
from oddpair.eval.pmi_effect import pmi_effect
from oddpair.eval.predictor import COUNT, MEAN, MODELS, cross_validate
from oddpair.eval.shares import clustered_share, wilson
from oddpair.eval.transfer import seen_to_unseen
from oddpair.eval.trend import trend
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.manifest import read_manifest
from oddpair.splits.pairs.unseen_pairs import SEEN, UNSEEN, PairTable

STRICT, CONTROL = "natural-strict", "control"
STYLES = ("natural", *RENDITIONS)
_RATIO_STREAM, _TREND_STREAM, _PAIR_STREAM = 31, 32, 33


def analyse_world(plan: Plan, out: Path) -> None:
    """Write ``results/``: ``results.json``, ``concept_rows.parquet`` and ``pair_rows.parquet``.

    Args:
        plan: The run's plan.
        out: The run's folder.
    """
    folder = out / "results"
    made_from = {name: stages.digest(out / name) for name in ("world", "counts", "splits", "predictions")}
    if not stages.begin(folder, {**plan.as_inputs(), "made_from": made_from}):
        return
    # One thread: last bits then do not depend on the machine's cores, and these small fits run faster.
    with threadpool_limits(limits=1):
        _analyse(plan, out, folder)
    stages.finish(folder)


def _analyse(plan: Plan, out: Path, folder: Path) -> None:
    strict, control = read_hits(out, STRICT), read_hits(out, CONTROL)
    trained_on = training_counts(out)
    singles = concept_rows(strict["natural"], trained_on, f"world {plan.seed}")
    pairs, kinds = pair_rows(out, strict["pairs"], trained_on, f"world {plan.seed}")
    files.write_table(folder / "concept_rows.parquet", to_table(singles))
    files.write_table(
        folder / "pair_rows.parquet", to_table(pairs).append_column("kind", pa.array(kinds.tolist()))
    )
    files.write_json(
        folder / "results.json",
        as_json(
            {
                "plan": plan.as_inputs(),
                "planted": check_planted(out),
                "styles": compare_styles(strict, control, np.random.default_rng((plan.seed, _RATIO_STREAM))),
                "concepts": explain_concepts(singles, np.random.default_rng((plan.seed, _TREND_STREAM))),
                "pairs": explain_pairs(pairs, kinds, np.random.default_rng((plan.seed, _PAIR_STREAM))),
            }
        ),
    )


def training_counts(out: Path) -> Counts:
    """Count concepts and pairs in the captions that the scored model was trained on."""
    members = set(read_manifest(out / "splits" / STRICT).uids.to_pylist())
    metadata = open_corpus(out / "world" / "corpus").metadata()
    captions = [
        caption
        for uid, caption in zip(metadata["uid"].to_pylist(), metadata["caption"].to_pylist(), strict=True)
        if uid in members
    ]
    vocabulary = build_vocabulary(CONCEPTS)
    return count(find_mentions(vocabulary, captions), vocabulary=vocabulary)


def concept_rows(hits: pa.Table, counts: Counts, world: str) -> ConceptRows:
    """Tabulate natural accuracy per concept beside its count in the training captions."""
    of_natural = count_hits(hits, ("target",))
    number = dict(zip(counts.names, counts.text.tolist(), strict=True))
    target = np.asarray(of_natural["target"].to_pylist())
    return ConceptRows(
        group=np.full(len(target), world),
        target=target,
        partner=np.full(len(target), ""),
        successes=of_natural["successes"].to_numpy(),
        trials=of_natural["trials"].to_numpy(),
        count=np.asarray([number[name] for name in target.tolist()], dtype=np.int64),
    )


def pair_rows(out: Path, hits: pa.Table, counts: Counts, world: str) -> tuple[ConceptRows, NDArray[np.str_]]:
    """Tabulate accuracy per ordered pair, with the pair's kind.

    Kept are pairs that the training captions name together (``seen``) and pairs unseen in the whole corpus:
    ``held-out`` by design or ``rare``. A pair that is neither (shown in a picture that no caption names, or
    seen in the corpus but not in the training split) is left out: it is no clean case of either.

    Returns:
        The rows, and the kind of each.
    """
    table = PairTable.from_table(files.read_table(out / "splits" / "pairs.parquet"))
    status = {
        (a, b): found
        for a, b, found in zip(table.a.tolist(), table.b.tolist(), table.status.tolist(), strict=True)
    }
    held = held_out_pairs(out)
    number = dict(zip(counts.names, counts.text.tolist(), strict=True))
    place = {name: position for position, name in enumerate(counts.names)}
    together = {
        (int(a), int(b)): int(n) for a, b, n in zip(counts.a, counts.b, counts.pair_text, strict=True)
    }
    asked = count_hits(hits, ("target", "partner"))
    kept: dict[str, list[Any]] = {
        name: [] for name in ("target", "partner", "successes", "trials", "pair_count", "kind")
    }
    for row in asked.to_pylist():
        pair = (min(row["target"], row["partner"]), max(row["target"], row["partner"]))
        first, second = sorted((place[pair[0]], place[pair[1]]))
        seen = together.get((first, second), 0)
        found = status.get(pair)
        if found == UNSEEN:
            kind = "held-out" if pair in held else "rare"
        elif found == SEEN and seen:
            kind = "seen"
        else:
            continue
        for name, value in {**row, "pair_count": seen, "kind": kind}.items():
            if name in kept:
                kept[name].append(value)
    target, partner = np.asarray(kept["target"]), np.asarray(kept["partner"])
    own = np.asarray([number[name] for name in kept["target"]], dtype=np.int64)
    other = np.asarray([number[name] for name in kept["partner"]], dtype=np.int64)
    rows = ConceptRows(
        group=np.full(len(target), world),
        target=target,
        partner=partner,
        successes=np.asarray(kept["successes"], dtype=np.int64),
        trials=np.asarray(kept["trials"], dtype=np.int64),
        count=own,
        partner_count=other,
        pair_count=np.asarray(kept["pair_count"], dtype=np.int64),
        expected=np.maximum(own, 0.5) * np.maximum(other, 0.5) / counts.n_captions,
    )
    return rows, np.asarray(kept["kind"])


def compare_styles(
    strict: Mapping[str, pa.Table], control: Mapping[str, pa.Table], rng: np.random.Generator
) -> dict[str, Any]:
    """Compare the style-strict model with its control in each style, on the same pictures."""
    compared: dict[str, Any] = {}
    for style in STYLES:
        hits, clusters = {}, None
        for name, answered in ((STRICT, strict), (CONTROL, control)):
            asked = answered["natural" if style == "natural" else "rendition"]
            chosen = asked.filter(pc.equal(asked["style"], "photo" if style == "natural" else style))
            hits[name] = chosen["hit"].to_numpy(zero_copy_only=False)
            clusters = chosen["target"].to_pylist()
        assert clusters is not None
        compared[style] = {
            name: clustered_share(
                hits[name], np.ones(len(hits[name])), clusters, what=f"accuracy on {style}, {name}"
            )
            for name in (STRICT, CONTROL)
        }
        compared[style]["ratio"] = (
            ratio_of_accuracies(
                hits[STRICT], hits[CONTROL], clusters, rng, what=f"strict over control, {style}"
            )
            if hits[CONTROL].any()
            else None
        )
    return compared


def explain_concepts(rows: ConceptRows, rng: np.random.Generator) -> dict[str, Any]:
    """Correlate accuracy with log count, raw and binned, and predict concepts that were held out."""
    return {
        "trend": trend(rows.count, rows.accuracy),
        "cross_validation": cross_validate(rows, rng, models={MEAN: MODELS[MEAN], COUNT: MODELS[COUNT]}),
    }


def explain_pairs(rows: ConceptRows, kinds: NDArray[np.str_], rng: np.random.Generator) -> dict[str, Any]:
    """Predict unseen pairs from seen ones, and measure what being unseen and what PMI adds to the counts."""
    seen = kinds == "seen"
    pair = rows.pair
    accuracy = {
        kind: clustered_share(
            rows.successes[kinds == kind],
            rows.trials[kinds == kind],
            pair[kinds == kind],
            what=f"accuracy on {kind} pairs",
        )
        for kind in ("seen", "held-out", "rare")
        if len(np.unique(pair[kinds == kind])) > 1
    }
    found: dict[str, Any] = {"accuracy": accuracy, "penalty": {}, "matched": {}, "transfer": {}}
    for kind in ("all", "held-out", "rare"):
        chosen = rows.take(seen | (kinds == kind) if kind != "all" else np.ones(len(rows), dtype=np.bool_))
        found["penalty"][kind] = _unless_impossible(unseen_penalty, chosen)
        found["matched"][kind] = _unless_impossible(match_on_counts, chosen, rng)
        found["transfer"][kind] = _unless_impossible(seen_to_unseen, chosen, rng)
    found["pmi"] = _unless_impossible(pmi_effect, rows.take(seen), rng)
    found["cross_validation"] = _unless_impossible(cross_validate, rows.take(seen), rng)
    return found


def _unless_impossible(function: Any, *arguments: Any, **options: Any) -> Any:
    """Return a result, or the reason why these rows cannot give one: a small world may lack them."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        return {"impossible": str(error)}


def held_out_pairs(out: Path) -> set[tuple[str, str]]:
    """Read which pairs the world never draws together."""
    truth = files.read_table(out / "world" / "truth" / "pairs.parquet", columns=["a", "b", "held_out"])
    return {(row["a"], row["b"]) for row in truth.to_pylist() if row["held_out"]}


def check_planted(out: Path) -> dict[str, Any]:
    """Compare what the suite found with what the world planted.

    Returns:
        Precision and recall of the style classifier on rows without a hand label; the true share of
        renditions before and after the search; pairs found unseen that are not, and held-out pairs not
        found; counts that differ from the captions' ground truth.
    """
    classes = files.read_table(out / "splits" / "classes.parquet")
    metadata = open_corpus(out / "world" / "corpus").metadata(["style", "named", "concepts"])
    style = np.asarray(metadata["style"].to_pylist())
    truth = np.where(style == "photo", "natural", np.where(style == "ambiguous", "ambiguous", "rendition"))
    if classes["uid"].to_pylist() != metadata["uid"].to_pylist():
        raise ValueError("classes and corpus are not in the same order")
    fresh = ~classes["labelled"].to_numpy(zero_copy_only=False)
    found = np.asarray(classes["class"].to_pylist())
    checked: dict[str, Any] = {"style": {}}
    for name in ("natural", "rendition"):
        accepted, members = fresh & (found == name), fresh & (truth == name)
        both = int((accepted & members).sum())
        before = classes[f"sorted_{name}"].to_numpy(zero_copy_only=False)
        after = classes[f"{name}_strict"].to_numpy(zero_copy_only=False)
        checked["style"][name] = {
            "precision": _unless_impossible(
                wilson, both, int(accepted.sum()), what=f"precision of {name}, rows without a label"
            ),
            "recall": _unless_impossible(
                wilson, both, int(members.sum()), what=f"recall of {name}, rows without a label"
            ),
            "wrong_before_search": _unless_impossible(
                wilson, int((truth[before] != name).sum()), int(before.sum()), what="share of another style"
            ),
            "wrong_after_search": _unless_impossible(
                wilson, int((truth[after] != name).sum()), int(after.sum()), what="share of another style"
            ),
            "left_by_search": int(before.sum() - after.sum()),
            "left_and_wrong": int((before & ~after & (truth != name)).sum()),
        }
    checked["pairs"] = _check_pairs(out, metadata)
    checked["counts"] = _check_counts(out, metadata)
    return checked


def _check_pairs(out: Path, metadata: pa.Table) -> dict[str, int]:
    table = PairTable.from_table(files.read_table(out / "splits" / "pairs.parquet"))
    shown = {tuple(sorted(pair)) for pair in metadata["concepts"].to_pylist() if len(pair) == 2}
    named = set()
    for concepts in metadata["named"].to_pylist():
        named |= {(a, b) for a in concepts for b in concepts if a < b}
    pairs = list(zip(table.a.tolist(), table.b.tolist(), strict=True))
    status = dict(zip(pairs, table.status.tolist(), strict=True))
    tested = {pair for pair, n in zip(pairs, table.neighbours_checked.tolist(), strict=True) if n}
    held = held_out_pairs(out) & set(pairs)
    unseen = {pair for pair, found in status.items() if found == UNSEEN}
    silent = {pair for pair in tested if pair not in named}
    by_search = {
        pair
        for pair, hits, n in zip(pairs, table.neighbour_hits.tolist(), table.count_text.tolist(), strict=True)
        if hits and not n
    }
    return {
        "held_out_tested": len(held & tested),
        "held_out_found_unseen": len(held & tested & unseen),
        "found_unseen": len(unseen),
        "found_unseen_but_shown_or_named": len(unseen & (shown | named)),
        "silent_but_shown": len(silent & shown),
        "silent_but_shown_found_by_search": len(silent & shown & by_search),
    }


def _check_counts(out: Path, metadata: pa.Table) -> dict[str, int]:
    counts = read_counts(out / "counts")
    assert counts.image is not None
    assert counts.pair_image is not None
    nested = {
        tuple(sorted((counts.names[a], counts.names[b]))) for a, b in nested_pairs(build_vocabulary(CONCEPTS))
    }
    pairs = [
        tuple(sorted((counts.names[a], counts.names[b]))) for a, b in zip(counts.a, counts.b, strict=True)
    ]
    differences = {}
    for name, source, single, pair in (
        ("count_text", "named", counts.text, counts.pair_text),
        ("count_image", "concepts", counts.image, counts.pair_image),
    ):
        rows = metadata[source].to_pylist()
        singles = Counter(concept for row in rows for concept in row)
        together = Counter(two for row in rows for two in combinations(sorted(row), 2) if two not in nested)
        singles.subtract(dict(zip(counts.names, single.tolist(), strict=True)))
        together.subtract(dict(zip(pairs, pair.tolist(), strict=True)))
        differences[f"{name}_differences"] = sum(map(abs, singles.values())) + sum(
            map(abs, together.values())
        )
    named = counts.text[counts.text > 0]
    return {
        **differences,
        "largest": int(named.max()),
        "smallest": int(named.min()),
        "concepts": len(counts.names),
    }


def to_table(rows: ConceptRows) -> pa.Table:
    """Return the rows as an arrow table, its columns the attributes that are there."""
    columns = {field.name: getattr(rows, field.name) for field in fields(rows)}
    return pa.table({name: column.tolist() for name, column in columns.items() if column is not None})


def from_table(table: pa.Table) -> ConceptRows:
    """Return the rows of a table that ``to_table`` made."""
    names = [field.name for field in fields(ConceptRows) if field.name in table.column_names]
    return ConceptRows(**{name: np.asarray(table[name].to_pylist()) for name in names})


def as_json(value: Any) -> Any:
    """Turn results into JSON: estimates with their interval, infinite ends as ``None``, arrays left out."""
    if isinstance(value, Estimate):
        ends = {name: getattr(value, name) for name in ("value", "low", "high")}
        return {**{name: _finite(end) for name, end in ends.items()}, "n": value.n, "what": value.what}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: as_json(getattr(value, field.name))
            for field in fields(value)
            if not isinstance(getattr(value, field.name), np.ndarray)
        }
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items() if not isinstance(item, np.ndarray)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return as_json(value._asdict())
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, np.generic):
        return as_json(value.item())
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
