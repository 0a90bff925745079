"""What is known of a concept before any model is asked: its counts, its name and its rivals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from oddpair.eval.prediction.names import find_rivals, weigh_words
from oddpair.eval.prediction.table import COUNTS, AccuracyTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptFeatures:
    """Features of the rows of one model; no accuracy is among them, nor the name of a dataset or model.

    Attributes:
        dataset: Number of the row's dataset, a grouping alone, shape ``(n,)``.
        counts: Text, image and joint count as log10(1 + count), missing ones filled, shape ``(n, 3)``.
        missing: Whether a count was filled, shape ``(n, 3)``.
        standing: How the concept stands among its rivals, as `find_rivals`, shape ``(n, 8)``.
        words: Weighed words of its name, shape ``(n, n_words)``.
    """

    dataset: IntArray
    counts: FloatArray
    missing: NDArray[np.bool_]
    standing: FloatArray
    words: sparse.csr_array


def find_features(rows: AccuracyTable) -> ConceptFeatures:
    """Find the features of the rows of one model.

    A count that was not made is filled: with that of the same name in another dataset (a corpus holds a
    concept as often whatever test asks for it), else with what the row's other counts foretell by least
    squares, else with the mean.

    Raises:
        ValueError: If the rows are of several models.
    """
    if len(rows.models) > 1:
        raise ValueError(f"rows are of {len(rows.models)} models, features are found one by one")
    made = np.log10(1 + np.stack([rows.columns()[name] for name in COUNTS], axis=1))
    counts = _fill(_borrow(made, rows.key))
    dataset = np.unique(rows.dataset, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return ConceptFeatures(
        dataset=dataset,
        counts=counts,
        missing=np.isnan(made),
        standing=find_rivals(dataset, rows.concept, counts),
        words=weigh_words(rows.concept),
    )


def _borrow(counts: FloatArray, key: NDArray[np.str_]) -> FloatArray:
    codes = np.unique(key, return_inverse=True)[1].reshape(-1)
    borrowed = counts.copy()
    for column in range(counts.shape[1]):
        values = counts[:, column]
        known = ~np.isnan(values)
        most = np.full(codes.max() + 1, -np.inf)
        np.maximum.at(most, codes[known], values[known])
        gap = ~known & np.isfinite(most[codes])
        borrowed[gap, column] = most[codes[gap]]
    return borrowed


def _fill(counts: FloatArray) -> FloatArray:
    filled = counts.copy()
    for column in range(counts.shape[1]):
        others = [other for other in range(counts.shape[1]) if other != column]
        gap = np.isnan(counts[:, column])
        if not gap.any():
            continue
        whole = ~np.isnan(counts).any(axis=1)
        able = gap & ~np.isnan(counts[:, others]).any(axis=1)
        if whole.sum() > 10 and able.any():
            design = np.column_stack([np.ones(len(counts)), counts[:, others]])
            line = np.linalg.lstsq(design[whole], counts[whole, column], rcond=None)[0]
            filled[able, column] = np.maximum(design[able] @ line, 0)
        rest = gap & ~able if whole.sum() > 10 else gap
        known = counts[~gap, column]
        filled[rest, column] = known.mean() if len(known) else 0.0
    return filled
