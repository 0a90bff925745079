"""Tables of a run about single concepts: the style gap, and accuracy explained by counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.demo.analyse import CONTROL, STRICT
from oddpair.demo.numbers import IMPOSSIBLE, show_estimate, show_number
from oddpair.demo.tabulate import NONE, Results, Table, impossible_table
from oddpair.eval.predictor import MEAN


def style_table(results: Results) -> Table:
    """Compare the style-strict model with its control in every style."""
    return Table(
        title="Style gap",
        caption=(
            "Zero-shot accuracy of the model trained on the style-strict natural split, and of its control: as "
            "many rows that name the same concepts, in every style. A ratio below 1 is what leaving the style "
            f"out of the training set costs. Chance is {100 / len(CONCEPTS):.1f} %."
        ),
        columns=("style", "strict", "control", "strict / control", "n"),
        rows=tuple(
            (
                style,
                show_estimate(entry[STRICT]),
                show_estimate(entry[CONTROL]),
                show_estimate(entry["ratio"], 2, reason="the control has no hit"),
                f"{entry[STRICT]['n']:,}",
            )
            for style, entry in sorted_styles(results)
        ),
    )


def sorted_styles(results: Results) -> list[tuple[str, Mapping[str, Any]]]:
    """List the styles, natural first, then by the ratio of strict to control, smallest first."""
    styles: Mapping[str, Any] = results["styles"]

    def order(style: str) -> tuple[bool, float, str]:
        ratio = styles[style]["ratio"]
        return style != "natural", ratio["value"] if ratio else float("inf"), style

    return [(style, styles[style]) for style in sorted(styles, key=order)]


def correlation_table(results: Results) -> Table:
    """Set r over concepts beside the binned r, and say what the bins leave out."""
    trend = results["concepts"]["trend"]
    dropped = "; ".join(trend["dropped"]) or "nothing"
    kept = f"{sum(point['n'] for point in trend['points']):,} concepts in {len(trend['points'])} bins"
    rows = (
        ("each concept", trend["raw"], "accuracy or count does not vary", "every concept"),
        ("bins, first and last left out", trend["binned"], "fewer than three bins that differ", kept),
        ("all bins that are not empty", trend["all_bins"], "fewer than three bins that differ", ""),
    )
    return Table(
        title="Accuracy and log count",
        caption=(
            "Correlation of accuracy with log10(1 + count) over concepts, beside the same over bins of equal "
            f"width in log count, as the frequency literature reports it. Bins left out: {dropped}."
        ),
        columns=("r over", "r", "points", "of"),
        rows=tuple(
            (name, show_estimate(entry, reason=reason), f"{entry['n']:,}" if entry else NONE, of or NONE)
            for name, entry, reason, of in rows
        ),
    )


def prediction_table(results: Results, part: str) -> Table:
    """Show how each model predicts concepts that its fit has not met.

    Args:
        results: What ``results.json`` holds.
        part: ``concepts`` or ``pairs``.
    """
    found = results[part]["cross_validation"]
    title = "Predicting concepts" if part == "concepts" else "Predicting seen pairs"
    columns = ("model", "R²", "log loss, nats", "mean absolute error, points")
    if IMPOSSIBLE in found:
        return impossible_table(title, columns, found)
    ceiling = show_number(found["ceiling"], 3) if found["ceiling"] is not None else NONE
    return Table(
        title=title,
        caption=(
            f"Cross-validated with whole concepts held out: {found['n_rows']:,} rows of {found['n_concepts']:,} "
            f"concepts in {found['folds']} folds, intervals over targets. The baselines are the mean and the log "
            "count alone; the ceiling is the R² that the true accuracies would reach against the noise of few "
            "test pictures."
        ),
        columns=columns,
        rows=(
            *(
                (
                    score["model"],
                    show_estimate(score["r2"]),
                    show_estimate(score["log_loss"]),
                    show_estimate(score["absolute_error"], 1),
                )
                for score in found["scores"]
            ),
            ("ceiling", ceiling, NONE, NONE),
        ),
    )


def gain_table(results: Results, part: str) -> Table:
    """Show what each model gains over each baseline.

    Args:
        results: What ``results.json`` holds.
        part: ``concepts`` or ``pairs``.
    """
    found = results[part]["cross_validation"]
    title = "Gain over the baselines, " + ("concepts" if part == "concepts" else "seen pairs")
    columns = ("model", "over", "R² gained", "log loss saved, nats")
    if IMPOSSIBLE in found:
        return impossible_table(title, columns, found)
    return Table(
        title=title,
        caption="Both predict the same held-out rows; above 0 is better than the simpler model.",
        columns=columns,
        rows=tuple(
            (
                score["model"],
                baseline,
                show_estimate(score["r2_gain"][baseline]),
                show_estimate(score["log_loss_gain"][baseline], 4),
            )
            for score in found["scores"]
            if score["model"] != MEAN
            for baseline in score["r2_gain"]
        ),
    )
