"""How a published r moves with the number of bins, made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.intervals import FloatArray
from oddpair.eval.prediction.table_cells import read_cells
from oddpair.eval.published.agreement import Agreement, compare_column
from oddpair.eval.published.layout import CLASSIFICATION, MOST_BINS, SENSITIVITY, ZERO_SHOT, Published, join
from oddpair.eval.trend import bin_by_count

# Published to four decimals.
TOLERANCE = 6e-5
_FEWEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """r over bins that hold concepts, the first bin left out, for one number of bins.

    Attributes:
        model: Backbone.
        corpus: Its pretraining corpus.
        method: How concepts were counted in it.
        bins: Bins that the counts of the 17 sets were cut into.
        n_filled: Those behind r.
        r: r of the mean accuracy and the log upper edge.
        r_without_last: The same without the last of them.
        r_weighted: The same over all, each as heavy as the concepts in it are many.
        fewest: Concepts in the emptiest.
    """

    model: str
    corpus: str
    method: str
    bins: int
    n_filled: int
    r: float
    r_without_last: float
    r_weighted: float
    fewest: int


def reproduce_sensitivity(published: Published) -> tuple[tuple[Sensitivity, ...], tuple[Agreement, ...]]:
    """Make the published r for every number of bins again, ensemble prompts.

    Args:
        published: The tables.

    Returns:
        The correlations in the order of their table, and how far each column lies from the published one.

    Raises:
        Refusal: If a row names what is not there, or bins of which fewer than four are filled.
    """
    cells = read_cells(published.folder / SENSITIVITY)
    names = (cells.text(name) for name in ("model", "pretrain", "counttype"))
    numbers = cells.numbers("n_bins").tolist()
    found = []
    for row, (model, corpus, method, bins) in enumerate(zip(*names, numbers, strict=True)):
        concepts = join(published, (ZERO_SHOT, "ensemble"), model, corpus, method, CLASSIFICATION)
        if isinstance(concepts, str):
            raise Refusal(f"{cells.where(row)}: {concepts}: leave the row out")
        if not _FEWEST <= bins <= MOST_BINS or bins != int(bins):
            raise Refusal(
                f"{cells.where(row)}: n_bins is {bins:g}, needed a whole number, {_FEWEST} to {MOST_BINS}: mend the table"
            )
        filled = [
            (np.log(one.count), one.accuracy, one.n)
            for one in bin_by_count(concepts.count, concepts.score, int(bins))[1:]
            if one.accuracy is not None
        ]
        if len(filled) < _FEWEST:
            raise Refusal(
                f"{cells.where(row)}: {len(filled)} bins are filled, needed {_FEWEST}: leave it out"
            )
        edge, mean, number = np.array(filled).T
        found.append(
            Sensitivity(
                model=model,
                corpus=corpus,
                method=method,
                bins=int(bins),
                n_filled=len(filled),
                r=_correlate(edge, mean, np.ones_like(number)),
                r_without_last=_correlate(edge[:-1], mean[:-1], np.ones_like(number[:-1])),
                r_weighted=_correlate(edge, mean, number),
                fewest=int(number.min()),
            )
        )
    rows = [f"{one.model} {one.corpus}, {one.method}, {one.bins} bins" for one in found]
    columns: dict[str, list[float]] = {
        "n_nonempty_pos_bins": [one.n_filled for one in found],
        "r_all_pos_bins": [one.r for one in found],
        "r_drop_last": [one.r_without_last for one in found],
        "r_count_weighted": [one.r_weighted for one in found],
        "min_bin_n": [one.fewest for one in found],
    }
    return tuple(found), tuple(
        compare_column(
            SENSITIVITY,
            column,
            cells.numbers(column),
            ours,
            tolerance=TOLERANCE if column.startswith("r_") else 0.0,
            rows=rows,
        )
        for column, ours in columns.items()
    )


def _correlate(x: FloatArray, y: FloatArray, weights: FloatArray) -> float:
    (xx, xy), (_, yy) = np.cov(x, y, aweights=weights, ddof=0)
    return float(xy / np.sqrt(xx * yy)) if min(xx, yy) > 0 else np.nan
