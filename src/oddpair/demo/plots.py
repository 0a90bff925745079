"""The figures of a run, from its tables on disk and its results to arrays to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddpair import files
from oddpair.demo.analyse import from_table
from oddpair.demo.numbers import IMPOSSIBLE
from oddpair.demo.pair_tables import UNSEEN_KINDS
from oddpair.demo.tabulate import Results
from oddpair.eval import figures
from oddpair.eval.concept_rows import LOG_COUNT
from oddpair.eval.intervals import wilson
from oddpair.eval.logistic import fit, predict
from oddpair.eval.transfer import FEATURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 12


def plot_counts(out: Path) -> Figure:
    """Plot the concept counts of the corpus, in captions and in pictures."""
    counts = files.read_table(out / "counts" / "counts.parquet", columns=["count_text", "count_image"])
    return figures.plot_counts(counts["count_text"].to_numpy(), counts["count_image"].to_numpy())


def plot_concepts(out: Path, results: Results) -> Figure:
    """Plot accuracy against count over concepts, with the fit on log count and the binned means."""
    rows = from_table(files.read_table(out / "results" / "concept_rows.parquet"))
    groups = np.unique(rows.group).tolist()
    fitted = fit(rows.successes, rows.trials, rows.design((LOG_COUNT,), groups))
    along = np.linspace(rows.feature(LOG_COUNT).min(), rows.feature(LOG_COUNT).max(), 100)
    points = results["concepts"]["trend"]["points"]
    return figures.plot_accuracy_against_count(
        rows.count,
        rows.accuracy,
        curve_count=10**along - 1,
        curve=predict(fitted, np.column_stack([np.ones_like(along), along])),
        bin_count=np.array([point["count"] for point in points]),
        bin_accuracy=np.array([point["accuracy"] for point in points]),
    )


def plot_transfer(out: Path) -> Figure | None:
    """Plot true against predicted accuracy of unseen pairs in equally filled bins of the prediction.

    Returns:
        The figure, or ``None`` where there are fewer unseen rows than bins or no seen ones to fit.
    """
    table = files.read_table(out / "results" / "pair_rows.parquet")
    rows = from_table(table.drop_columns(["kind"]))
    if rows.unseen.sum() < BINS or (~rows.unseen).sum() <= len(FEATURES) + 1:
        return None
    groups = np.unique(rows.group).tolist()
    seen, unseen = rows.take(~rows.unseen), rows.take(rows.unseen)
    fitted = fit(seen.successes, seen.trials, seen.design(FEATURES, groups))
    predicted = predict(fitted, unseen.design(FEATURES, groups)).probability
    order = np.lexsort((unseen.partner, unseen.target, np.round(predicted, 12)))
    means, observed = [], []
    for members in np.array_split(order, BINS):
        trials = unseen.trials[members]
        means.append(float(predicted[members] @ trials / trials.sum()))
        observed.append(wilson(int(unseen.successes[members].sum()), int(trials.sum())))
    return figures.plot_predicted_against_true(
        np.array(means),
        np.array([share.value for share in observed]),
        np.array([share.low for share in observed]),
        np.array([share.high for share in observed]),
    )


def plot_penalties(results: Results) -> Figure | None:
    """Plot what being unseen costs, by both ways to control for counts; ``None`` if neither can be measured."""
    labels, entries = [], []
    for part, field, what in (("penalty", "points", "modelled"), ("matched", "difference", "matched")):
        for kind, name in UNSEEN_KINDS.items():
            found = results["pairs"][part][kind]
            if IMPOSSIBLE not in found:
                labels.append(f"{name}, {what}")
                entries.append(found[field])
    if not labels:
        return None
    values, low, high = (
        np.array([entry[name] for entry in entries], dtype=np.float64) for name in ("value", "low", "high")
    )
    return figures.plot_differences(
        labels, values, low, high, xlabel="accuracy, unseen minus seen, points (below 0: unseen is harder)"
    )


def plot_pmi(results: Results) -> Figure | None:
    """Plot accuracy at equal counts by fifths of PMI; ``None`` if it cannot be measured."""
    found = results["pairs"]["pmi"]
    if IMPOSSIBLE in found:
        return None
    fifths = found["quintiles"]
    value, low, high = (
        np.array([fifth["accuracy"][name] for fifth in fifths]) for name in ("value", "low", "high")
    )
    return figures.plot_accuracy_against_pmi(
        np.array([fifth["median_pmi"] for fifth in fifths]), value, low, high
    )
