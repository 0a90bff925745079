"""``oddpair predict --reproduce frequency``: the published figures made again from the published tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.commands.reproduce_tables import as_csv
from oddpair.commands.reproduce_words import show_reproduction, write_page
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.table_cells import read_cells
from oddpair.eval.published.agreement import Agreement
from oddpair.eval.published.concept_fits import NamedFit, reproduce_fits, reproduce_retrieval_fits
from oddpair.eval.published.corpora import reproduce_corpora
from oddpair.eval.published.correlations import TOLERANCE, Correlation, reproduce_correlations
from oddpair.eval.published.curves import Curve, compare_curves, reproduce_curves
from oddpair.eval.published.decades import reproduce_decades
from oddpair.eval.published.defects import find_published_defects
from oddpair.eval.published.layout import CURVES, MISALIGNED, read_published
from oddpair.eval.published.lines import reproduce_lines
from oddpair.eval.published.sensitivity import reproduce_sensitivity

__all__ = ["reproduce_frequency", "show_reproduction"]

NUMBERS, PAGE = "reproduction.json", "reproduction.md"
# Parts that are lists of rows, each written as a CSV of its name.
_PARTS = (
    "correlations", "agreements", "concept_fits", "retrieval_fits", "curves", "decades", "sensitivity", "corpora",
    "lines",
)  # fmt: skip


def reproduce_frequency(path: Path, out: Path | None) -> dict[str, Any]:
    """Make the figures of the frequency paper again from its published tables.

    Args:
        path: Folder of the tables.
        out: Folder for ``reproduction.json``, a CSV of each part and ``reproduction.md``; ``None`` writes none.

    Returns:
        Each published r beside our own, with its points, the bins dropped, r over concepts and r over all bins; how far
        every other published column lies from ours; lines of effective robustness; what is told and cannot be made
        again; what does not hold in the published counts.

    Raises:
        Refusal: If a table is missing or is not what its name says.
    """
    published = read_published(path)
    correlations = reproduce_correlations(published)
    curves = reproduce_curves(published)
    fits, of_fits = reproduce_fits(published)
    retrieval, of_retrieval = reproduce_retrieval_fits(published)
    decades, of_decades = reproduce_decades(published)
    sensitivity, of_sensitivity = reproduce_sensitivity(published)
    corpora, of_corpora = reproduce_corpora(published)
    agreements = (
        *compare_curves(curves), *of_fits, *of_retrieval, *of_decades, *of_sensitivity, *of_corpora
    )  # fmt: skip
    found: dict[str, Any] = {
        "summary": {
            "correlations": len(correlations),
            "correlations_that_hold": sum(one.holds for one in correlations),
            "largest_difference": max(one.difference for one in correlations),
            "tolerance": TOLERANCE,
            "of_other_counts": sum(not one.same_counts for one in correlations),
            "columns": len(agreements),
            "columns_that_hold": sum(one.holds for one in agreements),
        },
        "correlations": [_tell_correlation(one) for one in correlations],
        "agreements": [{**_as_plain(one), "verdict": _judge(one)} for one in agreements],
        "concept_fits": [_tell_fit(one) for one in fits],
        "retrieval_fits": [_tell_fit(one) for one in retrieval],
        "curves": _as_plain(curves),
        "decades": _as_plain(decades),
        "sensitivity": _as_plain(sensitivity),
        "corpora": _as_plain(corpora),
        "lines": _as_plain(reproduce_lines(published)),
        "given": list(_list_given(path, curves)),
        "warnings": [*_warn(correlations, curves), *find_published_defects(published)],
    }
    if out is not None:
        files.write_json(out / NUMBERS, found)
        for part in _PARTS:
            if found[part]:
                files.write_text(out / f"{part}.csv", as_csv(found[part]))
        files.write_text(out / PAGE, "\n".join(write_page(found)))
    return found


def _tell_correlation(one: Correlation) -> dict[str, Any]:
    return {
        "task": one.task,
        "metric": one.metric,
        "model": one.model,
        "corpus": one.corpus,
        "method": one.method,
        "sets": one.sets,
        "label": one.label,
        "own_label": one.own_label,
        "published": one.published,
        "r": _as_plain(one.binned),
        "p": one.p,
        "bins": one.bins,
        "kept": one.kept,
        "left_out": list(one.left_out),
        "dropped": list(one.trend.dropped),
        "n_empty": sum(reason.endswith(": empty") for reason in one.trend.dropped),
        "n_kept": sum(point.n for point in one.trend.points),
        "n": one.over_concepts.n,
        "n_blank": one.n_blank,
        "r_over_concepts": _as_plain(one.over_concepts),
        "r_all_bins": _as_plain(one.trend.all_bins),
        "of_curve": one.of_curve,
        "from_curve": one.from_curve,
        "same_counts": one.same_counts,
        "difference": one.difference,
        "verdict": _judge(one),
    }


def _tell_fit(one: NamedFit) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "model": one.model,
        "corpus": one.corpus,
        "method": one.method,
        **_as_plain(one.fit),
    }


def _judge(one: Correlation | Agreement) -> str:
    if isinstance(one, Agreement):
        return "ok" if one.holds else f"differs by {one.largest:.2g} at {one.where}"
    told = "ok" if one.holds else f"differs by {one.difference:.2g}"
    if one.same_counts:
        return told
    return f"{told}; printed from other counts, whose r is {one.of_curve:.4f}"


def _warn(correlations: Sequence[Correlation], curves: Sequence[Curve]) -> Iterator[str]:
    other: dict[tuple[str, str], list[Correlation]] = {}
    for one in correlations:
        if not one.same_counts:
            other.setdefault((one.corpus, one.method), []).append(one)
    for (corpus, method), rows in sorted(other.items()):
        changed = [one for one in rows if one.label != one.own_label]
        figures = "; ".join(f"{one.metric} {one.model} {one.label} is {one.own_label}" for one in changed)
        yield (
            f"{corpus}|{method}: the published counts are not those behind {len(rows)} published figures, of which "
            f"{len(changed)} read otherwise from them{f' ({figures})' if figures else ''}"
        )
    for one in correlations:
        if one.same_counts and one.label != one.own_label:
            yield (
                f"{one.task} {one.metric}, {one.model} {one.corpus}, {one.method}: printed {one.label}, is {one.own_label}"
            )
    unlike = [one for one in curves if one.reason is None and not one.same_counts and not one.holds]
    for corpus, method in sorted({(one.corpus, one.method) for one in unlike}):
        here = [one for one in unlike if (one.corpus, one.method) == (corpus, method)]
        yield f"{corpus}|{method}: {len(here)} published curves are not those of the published counts"
    empty = [one for one in curves if one.n_empty]
    if empty:
        yield (
            f"{len(empty)} published curves draw an empty bin at a score of 0 ({empty[0].name}); here it is left out"
        )
    few = [one for one in correlations if one.binned.n < 5]
    if few:
        yield f"{len(few)} published correlations rest on {min(one.binned.n for one in few)} points: see their intervals"


def _list_given(path: Path, curves: Sequence[Curve]) -> Iterator[str]:
    misaligned = len(read_cells(path / MISALIGNED))
    yield (
        f"{MISALIGNED}: {misaligned} shares of misaligned samples are given; they need the concepts of every sample, "
        "which were not published"
    )
    reasons: dict[str, int] = {}
    for one in curves:
        if one.reason is not None:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    yield from (f"{CURVES}: {number} curves: {reason}" for reason, number in reasons.items())


def _as_plain(found: Any) -> Any:
    """Turn results into what JSON can say: what is not finite becomes ``null``."""
    if isinstance(found, Estimate):
        return {end: _as_plain(getattr(found, end)) for end in ("value", "low", "high", "n")}
    if is_dataclass(found) and not isinstance(found, type):
        return {name: _as_plain(getattr(found, name)) for name in found.__dataclass_fields__}
    if isinstance(found, (list, tuple)):
        return [_as_plain(one) for one in found]
    if isinstance(found, float):
        return float(found) if math.isfinite(found) else None
    return found
