"""``oddpair predict`` of texts, and of tables with a column ``pmi``: accuracy against PMI, plain and at matched counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files
from oddpair.commands.counted import label_counts
from oddpair.commands.predict_page import write_report
from oddpair.commands.predict_report import Caution, PmiCurve, Point, Report
from oddpair.errors import Refusal
from oddpair.eval.composing.pmi_gap import find_obstacle, measure_pmi
from oddpair.eval.composing.pmi_gap_rows import PmiRows, rows_of_table
from oddpair.eval.composing.pmi_texts import VARIANTS, TextPmi, find_concepts, measure_texts, rows_of_texts
from oddpair.eval.composing.pmi_texts_file import Answers, TextSamples, read_texts
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, verify_counts
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.pmi_variants import PUBLISHED_MARGINAL_SMOOTHING, pair_marginals
from oddpair.retrieval.vocabulary_file import load_vocabulary

SCORES, PREDICTIONS = "scores.json", "predictions.parquet"
_COUNTED = ("counts.parquet", "pairs.parquet", "nested.parquet", "meta.json", VOCABULARY)
_SEED = 0


def predict_texts(path: Path, counts: Path, out: Path | None, *, answers: Answers = "gold") -> dict[str, Any]:
    """Relate what models make of texts to the mean PMI of the concepts in these.

    Args:
        path: Table of samples, see `oddpair.eval.composing.pmi_texts_file.read_texts`.
        counts: Folder of ``oddpair count`` of the corpus that the models were trained on; its vocabulary finds concepts.
        out: Folder for ``scores.json``, ``predictions.parquet`` (a row for each sample with its concepts and PMI) and
            the report; ``None`` writes none.
        answers: ``gold`` for the correct answers beside the questions, ``predicted`` for those of the models.

    Returns:
        By model and variant of PMI what `measure_pmi` finds; ``left_out`` says why there is nothing to say.

    Raises:
        Refusal: If the table or the counts cannot be read, the counts were not made by this suite's rules, or no text
            holds a counted pair.
    """
    samples = read_texts(path, answers)
    counted, finding = _open_counts(counts)
    vocabulary = load_vocabulary(counts / VOCABULARY)
    texts = measure_texts(find_concepts(samples.parts, finding.make_finder(vocabulary)), counted)
    if not texts.known.any():
        raise Refusal(
            f"{path}: none of {len(samples):,} texts names two concepts whose pair {counts} counted: count a vocabulary "
            "that has the words of these texts"
        )
    found = {
        "table": str(path),
        "counts": str(counts),
        "captions": counted.n_captions,
        "answers": answers,
        "rows": len(samples),
        "used": int(texts.known.sum()),
        "fewer_than_two_concepts": int((texts.concepts < 2).sum()),
        "no_counted_pair": int(((texts.concepts >= 2) & ~texts.known).sum()),
        "uncounted_pairs": int(texts.uncounted[texts.known].sum()),
        "notes": [*label_counts(read_meta(counts)), *_warn_of_constants(counted, texts)],
        "models": {
            model: {variant: _tell(rows_of_texts(samples, texts, model, variant)) for variant in VARIANTS}
            for model in samples.models
        },
    }
    if out is not None:
        files.write_json(out / SCORES, found)
        _write_samples(out / PREDICTIONS, samples, texts, counted.names)
        write_report(out, _make_report(found))
    return found


def _make_report(found: Mapping[str, Any]) -> Report:
    # The published variant is no logarithm of a ratio to chance, so that its curve has no place beside the other.
    models = {model: {VARIANTS[0]: each[VARIANTS[0]]} for model, each in found["models"].items()}
    return Report(
        title="Accuracy against PMI of the words of texts",
        lead=f"{found['used']:,} of {found['rows']:,} rows have a mean PMI over the pairs of concepts that their words name.",
        cautions=tuple(Caution(title="The texts", text=note) for note in found["notes"]),
        pmi=make_curves({"models": models}),
    )


def show_texts(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in lines what `predict_texts` found."""
    yield (
        f"{found['used']:,} of {found['rows']:,} rows have a mean PMI ({found['answers']} answers); "
        f"{found['fewer_than_two_concepts']:,} name fewer than two concepts, {found['no_counted_pair']:,} no pair that "
        f"was counted; {found['uncounted_pairs']:,} pairs of the others were not counted either"
    )
    yield from (f"note: {note}" for note in found["notes"])
    for model, variants in found["models"].items():
        for variant, each in variants.items():
            yield from _show(f"{model}, {variant} PMI", each)


def predict_pmi(table: AccuracyTable) -> dict[str, Any]:
    """Relate the accuracies of a table to its PMI.

    Args:
        table: With a PMI in some rows.

    Returns:
        By model what `measure_pmi` finds; ``left_out`` says why there is nothing to say. No model where no row has both
        accuracy and PMI.
    """
    return {"models": {model: _tell(rows) for model, rows in rows_of_table(table).items()}}


def show_pmi(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in lines what `predict_pmi` found."""
    for model, each in found["models"].items():
        yield from _show(f"{model}, PMI", each)


def make_curves(found: Mapping[str, Any]) -> tuple[PmiCurve, ...]:
    """Make the curves of a report from what `predict_texts` or `predict_pmi` found."""
    curves = []
    for model, each in found["models"].items():
        variants = {model: each}
        if set(each) <= set(VARIANTS):
            variants = {f"{model}, {variant} PMI": told for variant, told in each.items()}
        curves += [_make_curve(name, told) for name, told in variants.items() if "plain" in told]
    return tuple(curves)


def _make_curve(name: str, told: Mapping[str, Any]) -> PmiCurve:
    matched = told["matched"]
    return PmiCurve(
        name=name,
        points=tuple(
            Point(at=each["at"], observed=_as_estimate(each["accuracy"])) for each in told["plain"]["bins"]
        ),
        gap=_as_estimate(told["gap"]["difference"]),
        matched_gap=None if matched is None else _as_estimate(matched["difference"]),
    )


def _as_estimate(told: Mapping[str, Any]) -> Estimate:
    low = -math.inf if told["low"] is None else told["low"]
    high = math.inf if told["high"] is None else told["high"]
    return Estimate(value=told["value"], low=low, high=high, n=told["n"], what=told["what"])


def _open_counts(folder: Path) -> tuple[Counts, Finding]:
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise Refusal(f"{folder} {found}: give the folder that oddpair count wrote")
    verify_counts(folder, _COUNTED)
    counting = read_meta(folder)["counting"]
    if counting.get("rules") != "mentions":
        raise Refusal(
            f"{folder} was counted by the rules {counting.get('rules')!r}, by which concepts are not found again: count "
            "the corpus by the rules of this suite, without --rules"
        )
    counts = read_counts(folder, load_vocabulary(folder / VOCABULARY))
    return counts, Finding(overlap=counting["overlap"])


def _warn_of_constants(counts: Counts, texts: TextPmi) -> Iterator[str]:
    """Warn where the constants of the published PMI outweigh the counts."""
    named = np.unique(texts.mentions.indices)
    small = int((pair_marginals(counts)[named] < PUBLISHED_MARGINAL_SMOOTHING).sum())
    if 2 * small > len(named):
        yield (
            f"published PMI adds {PUBLISHED_MARGINAL_SMOOTHING:,.0f} to the pair counts of each concept, which is more than "
            f"{small:,} of the {len(named):,} concepts here have: it orders their pairs by little else than how often "
            "these occur; quote the smoothed one"
        )


def _tell(rows: PmiRows | None) -> dict[str, Any]:
    if rows is None:
        return {"left_out": "no sample has a mean PMI"}
    obstacle = find_obstacle(rows)
    if obstacle is not None:
        return {"left_out": obstacle}
    effects = measure_pmi(rows, np.random.default_rng(_SEED))
    told = asdict(effects)
    told["controls"] = list(rows.names)
    told["not_given_counts"] = told.pop("left_out")
    if told["matched"] is not None:
        told["matched"]["couples"] = len(told["matched"].pop("weight"))
        del told["matched"]["high"], told["matched"]["low"]
    return dict(_as_plain(told))


def _write_samples(path: Path, samples: TextSamples, texts: TextPmi, names: tuple[str, ...]) -> None:
    import pyarrow as pa

    mentions = texts.mentions
    named = [
        ";".join(names[concept] for concept in mentions.indices[start:stop].tolist())
        for start, stop in zip(mentions.indptr[:-1], mentions.indptr[1:], strict=True)
    ]
    strings = {
        "model": samples.model.tolist(),
        "dataset": samples.dataset.tolist(),
        "sample": samples.sample.tolist(),
        "concepts": named,
    }
    numbers = {
        "correct": samples.correct,
        **{f"pmi_{variant}": values for variant, values in texts.pmi.items()},
        "mean_log10_count": texts.mean_log_count,
        "least_log10_count": texts.least_log_count,
    }
    columns = {name: pa.array(column, pa.string()) for name, column in strings.items()}
    columns |= {"pairs": pa.array(texts.pairs.astype(np.int64))}
    columns |= {name: pa.array(column, mask=np.isnan(column)) for name, column in numbers.items()}
    files.write_table(path, pa.table(columns))


def _show(label: str, told: Mapping[str, Any]) -> Iterator[str]:
    if "plain" not in told:
        yield f"{label}: {told['left_out']}"
        return
    yield (
        f"{label}: {told['samples']:,.0f} samples of {told['sets']:,} sets of concepts, "
        f"{100 * told['accuracy']:.1f} % right"
    )
    yield f"  {_show_relation(told['plain'])}"
    gap = told["gap"]
    share = f"{100 * gap['share']:.0f} %"
    yield (
        f"  top {share} of PMI minus bottom {share}: {_points(gap['difference'])} points over "
        f"{gap['nats']:.2f} nats ({100 * gap['top']:.1f} against {100 * gap['bottom']:.1f} %)"
    )
    yield f"  {_number(told['slope'], 3)} logits per nat"
    if told["given_counts"] is None:
        yield f"  at matched counts: nothing, {told['not_given_counts']}"
    else:
        yield f"  given {', '.join(told['controls'])}: {_show_relation(told['given_counts'])}"
        yield f"  given these, {_number(told['slope_given_counts'], 3)} logits per nat"
        yield f"  at matched counts: {_show_matched(told['matched'])}"
    bins = told["plain"]["bins"]
    curve = (f"{each['at']:.2f} {100 * each['accuracy']['value']:.1f} %" for each in bins)
    yield f"  accuracy by PMI: {', '.join(curve)}"


def _show_relation(told: Mapping[str, Any]) -> str:
    wide = told["wide"]
    inner, every, filled = (
        "none" if r is None else f"{_number(r, 2)} ({r['n']} bins)"
        for r in (wide["inner"], wide["all_bins"], told["filled"])
    )
    return (
        f"r {_number(told['r_samples'], 3)} over samples, {_number(told['r_sets'], 3)} over sets; of bin means {inner} "
        f"equally wide without the outermost, {every} with them, {filled} equally filled"
    )


def _show_matched(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "too few couples of sets with nearly the same counts"
    left = ", ".join(f"{name} {value:+.3f}" for name, value in told["imbalance"].items())
    return (
        f"{_points(told['difference'])} points over {told['nats']:.2f} nats, p {told['p']:.4f}, {told['couples']:,} "
        f"couples from the outermost {100 * told['share']:.0f} % of sets, {told['n_unmatched']:,} without a partner; "
        f"imbalance left: {left}"
    )


def _points(told: Mapping[str, Any]) -> str:
    return _number(
        {name: None if told[name] is None else 100 * told[name] for name in ("value", "low", "high")}, 1
    )


def _number(told: Mapping[str, Any], digits: int) -> str:
    low, high = ("unknown" if told[end] is None else f"{told[end]:.{digits}f}" for end in ("low", "high"))
    return f"{told['value']:.{digits}f} [{low}, {high}]"


def _as_plain(value: Any) -> Any:
    """What JSON can hold: lists for tuples, and null where the data set no bound."""
    if isinstance(value, Mapping):
        return {str(name): _as_plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
