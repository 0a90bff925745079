"""How alike the concept counts of pretraining corpora are, made again, and where the published counts disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from oddpair.errors import Refusal
from oddpair.eval.intervals import FloatArray
from oddpair.eval.prediction.table_cells import read_cells
from oddpair.eval.published.agreement import Agreement, compare_column
from oddpair.eval.published.layout import CORPORA, Published

# Published to five decimals.
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusPair:
    """Correlation of the counts of concepts in two pretraining corpora.

    Attributes:
        method: How concepts were counted.
        a: First corpus.
        b: Second.
        n: Concepts with a count in every corpus of the table, each once by its name as written.
        spearman: Of ranks.
        pearson: Of counts.
        pearson_log: Of log10 of the count, 0 taken as 1.
        n_disagreeing: Concepts whose count in one of the two differs between test sets; the first is taken.
    """

    method: str
    a: str
    b: str
    n: int
    spearman: float
    pearson: float
    pearson_log: float
    n_disagreeing: int


def reproduce_corpora(published: Published) -> tuple[tuple[CorpusPair, ...], tuple[Agreement, ...]]:
    """Make the published correlations between corpora again.

    Args:
        published: The tables.

    Returns:
        The pairs in the order of their table, and how far each column lies from the published one.

    Raises:
        Refusal: If a row names counts that are not there.
    """
    cells = read_cells(published.folder / CORPORA)
    rows = list(zip(*(cells.text(name) for name in ("counttype", "a", "b")), strict=True))
    for row, (method, *pair) in enumerate(rows):
        for corpus in pair:
            if f"{corpus}|{method}" not in published.counts:
                raise Refusal(
                    f"{cells.where(row)}: no counts {method} of {corpus} are published: leave it out"
                )
    concept = np.array([name for _, name in published.concepts], dtype=np.str_)
    found = []
    for method, a, b in rows:
        corpora = sorted({corpus for other, *pair in rows if other == method for corpus in pair})
        counts = np.stack([published.counts[f"{corpus}|{method}"] for corpus in corpora], axis=1)
        known = ~np.isnan(counts).any(axis=1)
        # Counts stand by test set, in the order of the file.
        _, first, inverse = np.unique(concept[known], return_index=True, return_inverse=True)
        two = counts[known][:, [corpora.index(a), corpora.index(b)]]
        x, y = two[first].T
        found.append(
            CorpusPair(
                method=method,
                a=a,
                b=b,
                n=len(first),
                spearman=_correlate(rankdata(x), rankdata(y)),
                pearson=_correlate(x, y),
                pearson_log=_correlate(np.log10(np.maximum(x, 1)), np.log10(np.maximum(y, 1))),
                n_disagreeing=len(np.unique(inverse[(two != two[first][inverse]).any(axis=1)])),
            )
        )
    names = [f"{one.a} and {one.b}, {one.method}" for one in found]
    columns: dict[str, list[float]] = {
        "n_concepts": [one.n for one in found],
        "spearman": [one.spearman for one in found],
        "pearson_raw": [one.pearson for one in found],
        "pearson_log10_clip1": [one.pearson_log for one in found],
    }
    return tuple(found), tuple(
        compare_column(
            CORPORA,
            column,
            cells.numbers(column),
            ours,
            tolerance=0.0 if column == "n_concepts" else TOLERANCE,
            rows=names,
        )
        for column, ours in columns.items()
    )


def _correlate(x: FloatArray, y: FloatArray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if min(np.ptp(x), np.ptp(y)) > 0 else np.nan
