"""The study's tables, on the terminal and as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files, html
from oddpair.demo.analyse import CONTROL, STRICT
from oddpair.demo.numbers import show_estimate, show_number, show_share
from oddpair.demo.pair_tables import UNSEEN_KINDS
from oddpair.demo.tabulate import Table
from oddpair.eval.figures import plot_accuracy_against_pmi, plot_differences

Results = Mapping[str, Any]
_ENDS = ("value", "low", "high")


def study_tables(study: Results) -> tuple[Table, ...]:
    """Make the tables of a study: pooled figures with intervals over worlds, and each world's own."""
    return (
        _styles(study),
        _concepts(study),
        _predictions("concepts", "Held-out concepts, predicted", study),
        _unseen(study),
        _pmi(study),
        _predictions("pairs", "Held-out concepts of seen pairs, predicted", study),
        _planted(study),
        _worlds(study),
    )


def write_study_report(study: Results, out: Path) -> Path:
    """Write ``study.html`` and return its path; equal studies give equal bytes."""
    tables = {table.title: table for table in study_tables(study)}
    bars = [
        html.Bar(label=style, group=name, n=entry[name]["n"], **{end: entry[name][end] for end in _ENDS})
        for style, entry in study["pooled"]["styles"].items()
        for name in (STRICT, CONTROL)
    ]
    penalty = [
        (f"{shown}: {what}", entry)
        for kind, shown in UNSEEN_KINDS.items()
        for what, entry in (
            ("concept effects", study["pooled"]["pairs"]["penalty"][kind]["points"]["over_worlds"]),
            ("matched on counts", study["pooled"]["pairs"]["matched"][kind]),
            ("predicted minus true", study["pooled"]["pairs"]["bias"][kind]),
        )
    ]
    differences = plot_differences(
        [label for label, _ in penalty],
        *(np.asarray([entry[end] for _, entry in penalty]) for end in _ENDS),
        xlabel="points; unseen minus seen, and predicted minus true",
    )
    fifths = study["pooled"]["pairs"]["pmi"]["quintiles"]
    pmi = plot_accuracy_against_pmi(
        np.asarray([fifth["median_pmi"] for fifth in fifths]),
        *(np.asarray([fifth["accuracy"][end] for fifth in fifths]) for end in _ENDS),
    )
    plan = study["plan"]
    page = html.page(
        "oddpair study",
        [
            html.section(
                "Style",
                html.bars(bars, caption="Accuracy by style, mean over worlds", groups=(STRICT, CONTROL)),
                _table(tables["Style gap over worlds"]),
            ),
            html.section(
                "Counts",
                _table(tables["Accuracy and log count over worlds"]),
                _table(tables["Held-out concepts, predicted"]),
            ),
            html.section(
                "Pairs never seen together",
                html.svg(differences, "Differences in points with their intervals over worlds"),
                _table(tables["Unseen pairs over worlds"]),
            ),
            html.section(
                "PMI",
                html.svg(pmi, "Accuracy of fifths of the seen pairs by PMI, at equal counts"),
                _table(tables["PMI over worlds"]),
                _table(tables["Held-out concepts of seen pairs, predicted"]),
            ),
            html.section("What was planted", _table(tables["Planted truth over worlds"])),
            html.section("Worlds", _table(tables["Each world"])),
        ],
        lead=(
            f"{len(study['seeds'])} worlds of {plan['rows']:,} pictures, {plan['steps']:,} training steps a model. "
            "Intervals are t intervals over worlds unless a table says otherwise."
        ),
    )
    path = out / "study.html"
    files.write_text(path, page)
    return path


def _styles(study: Results) -> Table:
    return Table(
        title="Style gap over worlds",
        caption="Accuracy of the style-strict model and of its control, matched in size and concept counts.",
        columns=("style", "strict", "control", "strict / control", "worlds"),
        rows=tuple(
            (
                style,
                show_share(entry[STRICT]),
                show_share(entry[CONTROL]),
                show_estimate(entry["ratio"], 2),
                f"{entry['ratio']['n']}",
            )
            for style, entry in study["pooled"]["styles"].items()
        ),
    )


def _concepts(study: Results) -> Table:
    concepts = study["pooled"]["concepts"]
    return Table(
        title="Accuracy and log count over worlds",
        caption="Correlation of natural accuracy with log10(1 + count in the training captions).",
        columns=("r over", "r", "n"),
        rows=(
            ("concepts", show_estimate(concepts["r"]), f"{concepts['r']['n']} worlds"),
            ("bins of log count", show_estimate(concepts["binned_r"]), f"{concepts['binned_r']['n']} worlds"),
            (
                "worlds, within each concept",
                show_estimate(concepts["r_given_difficulty"]),
                f"{concepts['r_given_difficulty']['n']:,} concepts x worlds",
            ),
        ),
    )


def _predictions(part: str, title: str, study: Results) -> Table:
    found = study["pooled"][part]["cross_validation"]
    ceiling = found["ceiling"]
    return Table(
        title=title,
        caption=(
            f"{found['folds']} folds of whole concepts over {found['n_rows']:,} rows of all worlds; intervals resample "
            "concepts. R2 that the noise of finite test pictures allows: "
            f"{'unknown' if ceiling is None else show_number(ceiling, 3)}."
        ),
        columns=("model", "R2", "log loss", "mean absolute error, points", "R2 gained over the model above"),
        rows=tuple(
            (
                score["model"],
                show_estimate(score["r2"]),
                show_estimate(score["log_loss"]),
                show_estimate(score["absolute_error"], 1),
                show_estimate([*score["r2_gain"].values()][-1]) if score["r2_gain"] else "–",
            )
            for score in found["scores"]
        ),
    )


def _unseen(study: Results) -> Table:
    pairs = study["pooled"]["pairs"]
    return Table(
        title="Unseen pairs over worlds",
        caption=(
            "Seen pairs reach "
            f"{show_share(pairs['accuracy']['seen'])}. Unseen minus seen in points, with concept effects and "
            "after 1 : 1 matching on both counts; predicted minus true for a fit that met seen pairs only."
        ),
        columns=(
            "pairs",
            "accuracy",
            "concept effects",
            "matched",
            "predicted minus true",
            "r, predicted and true",
        ),
        rows=tuple(
            (
                shown,
                show_share(pairs["accuracy"][kind]) if kind in pairs["accuracy"] else "–",
                show_estimate(pairs["penalty"][kind]["points"]["over_worlds"], 1),
                f"{show_estimate(pairs['matched'][kind], 1)}, {_share_range(pairs['matched_share'][kind])} of rows",
                show_estimate(pairs["bias"][kind], 1),
                show_estimate(pairs["r_unseen"][kind]["r"], 2),
            )
            for kind, shown in UNSEEN_KINDS.items()
        ),
    )


def _pmi(study: Results) -> Table:
    pmi = study["pooled"]["pairs"]["pmi"]
    names = {
        "r": "r, nothing controlled",
        "r_given_counts": "partial r, counts controlled",
        "r_given_concepts": "partial r, concept effects",
        "logit_given_counts": "logits per nat, counts controlled",
        "logit_given_concepts": "logits per nat, concept effects",
    }
    return Table(
        title="PMI over worlds",
        caption="Accuracy on seen pairs, of an expected count of at least 1, against their PMI.",
        columns=("effect of PMI", "estimate", "worlds"),
        rows=tuple((shown, show_estimate(pmi[name]), f"{pmi[name]['n']}") for name, shown in names.items()),
    )


def _planted(study: Results) -> Table:
    planted = study["pooled"]["planted"]
    rows: list[tuple[str, str]] = []
    for style, entry in planted["style"].items():
        for name in ("precision", "recall"):
            rows.append(
                (
                    f"{style} {name}, rows without a label: mean, lowest world",
                    f"{show_number(entry[name]['mean']['value'], 3)}, {show_number(entry[name]['lowest'], 3)}",
                )
            )
        before, after = (entry[f"wrong_{when}_search"]["mean"]["value"] for when in ("before", "after"))
        rows.append(
            (
                f"other styles among {style}: before the search, after it",
                f"{show_number(100 * before, 2)} %, {show_number(100 * after, 2)} %",
            )
        )
        rows.append(
            (
                f"rows that left {style} by the search, of these of other styles",
                f"{entry['left_by_search']:,}, {entry['left_and_wrong']:,}",
            )
        )
    pairs = planted["pairs"]
    rows += [
        (
            "held-out pairs found unseen, of those tested",
            f"{pairs['held_out_found_unseen']:,} of {pairs['held_out_tested']:,}",
        ),
        (
            "pairs called unseen that are shown or named together",
            f"{pairs['found_unseen_but_shown_or_named']:,}",
        ),
        (
            "pairs shown together that no caption names: found by the search, with the tags of what it found",
            f"{pairs['silent_but_shown_found_by_search']:,} of {pairs['silent_but_shown']:,}",
        ),
        ("counts that differ from the truth", f"{planted['count_differences']:,}"),
    ]
    return Table(
        title="Planted truth over worlds",
        caption="What the suite found, against what the worlds planted.",
        columns=("planted", "found"),
        rows=tuple(rows),
    )


def _worlds(study: Results) -> Table:
    def row(seed: int, world: Results) -> Sequence[str]:
        styles = world["styles"]
        return (
            f"{seed}",
            *(
                show_estimate(styles[style]["ratio"], 2, reason="no hit")
                for style in ("natural", "sketch", "silhouette")
            ),
            show_estimate(world["concepts"]["trend"]["raw"], 2),
            show_estimate(world["pairs"]["penalty"]["all"]["points"], 1),
            show_estimate(world["pairs"]["transfer"]["all"]["bias"], 1),
            show_estimate(world["pairs"]["pmi"]["r_given_concepts"], 2),
        )

    return Table(
        title="Each world",
        caption="The main figures of every world with their intervals over its pictures, concepts or pairs.",
        columns=(
            "seed",
            "natural ratio",
            "sketch ratio",
            "silhouette ratio",
            "r with log count",
            "unseen, points",
            "bias, points",
            "PMI partial r",
        ),
        rows=tuple(
            tuple(row(seed, world)) for seed, world in zip(study["seeds"], study["worlds"], strict=True)
        ),
    )


def _share_range(entry: Results) -> str:
    return f"{show_number(100 * entry['lowest'], 0)} to {show_number(100 * entry['highest'], 0)} %"


def _table(table: Table) -> str:
    return html.table(table.columns, table.rows, caption=f"{table.title}. {table.caption}")
