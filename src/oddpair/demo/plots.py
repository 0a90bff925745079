"""The figures of a run, from its tables on disk and its results to arrays to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.demo.analyse import from_table
from oddpair.demo.numbers import IMPOSSIBLE
from oddpair.demo.pair_tables import UNSEEN_KINDS
from oddpair.demo.tabulate import Results
from oddpair.eval import figures
from oddpair.eval.concept_rows import LOG_COUNT, PMI
from oddpair.eval.logistic import Band, fit, predict
from oddpair.eval.shares import wilson
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


def plot_pmi(out: Path, results: Results) -> Figure | None:
    """Plot accuracy at equal counts by fifths of PMI, with the fit on PMI and counts behind them.

    Returns:
        The figure, or ``None`` if the effect of PMI cannot be measured.
    """
    found = results["pairs"]["pmi"]
    if IMPOSSIBLE in found:
        return None
    fifths = found["quintiles"]
    value, low, high = (
        np.array([fifth["accuracy"][name] for fifth in fifths]) for name in ("value", "low", "high")
    )
    median = np.array([fifth["median_pmi"] for fifth in fifths])
    return figures.plot_accuracy_against_pmi(median, value, low, high, curve=_fit_pmi(out, median))


def _fit_pmi(out: Path, median: NDArray[np.float64]) -> tuple[NDArray[np.float64], Band]:
    rows = from_table(files.read_table(out / "results" / "pair_rows.parquet").drop_columns(["kind"]))
    assert rows.expected is not None
    used = rows.take(~rows.unseen & (rows.expected >= 1))
    groups = np.unique(used.group).tolist()
    design = used.design((PMI, *FEATURES), groups)
    fitted = fit(used.successes, used.trials, design, used.pair)
    along = np.linspace(median.min() - 0.3, median.max() + 0.3, 60)
    at_mean_counts = np.repeat(design.mean(axis=0)[None], len(along), axis=0)
    at_mean_counts[:, len(groups)] = along
    return along, predict(fitted, at_mean_counts)
