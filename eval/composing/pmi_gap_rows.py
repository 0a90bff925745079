"""Samples whose accuracy is compared along their PMI, and the sets of concepts that they show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.prediction.support import find_support
from oddpair.eval.prediction.table import COUNTS, AccuracyTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PmiRows:
    """Samples of one model that share their concepts, their PMI and their test set; one row for all of them.

    Attributes:
        samples: Samples of the row, above 0, shape ``(n,)``.
        accuracy: Share of them that the model has right, 0 to 1, shape ``(n,)``.
        spread: Variance of right and wrong among them, shape ``(n,)``.
        pmi: In nats, finite, shape ``(n,)``.
        controls: What rows are made comparable by, such as log10 of counts, finite, shape ``(n, k)``; k may be 0.
        names: What each control is.
        cluster: Number of the row's set of concepts, 0 to the number of sets less one, shape ``(n,)``.
        group: Number of its test set, within which alone rows are compared where controls count, shape ``(n,)``.

    Raises:
        ValueError: If shapes differ, there are no rows, or a number is not finite or out of its range.
    """

    samples: FloatArray
    accuracy: FloatArray
    spread: FloatArray
    pmi: FloatArray
    controls: FloatArray
    names: tuple[str, ...]
    cluster: IntArray
    group: IntArray

    def __post_init__(self) -> None:
        if len(self.pmi) == 0:
            raise ValueError("no rows")
        for field in fields(self):
            column = getattr(self, field.name)
            if field.name != "names" and column.shape[:1] != self.pmi.shape:
                raise ValueError(f"{field.name} has shape {column.shape}, pmi has {self.pmi.shape}")
        if self.controls.shape != (len(self.pmi), len(self.names)):
            raise ValueError(f"controls have shape {self.controls.shape} and {len(self.names)} names")
        for name in ("samples", "accuracy", "pmi", "controls"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds a value that is not finite")
        if (self.samples <= 0).any():
            raise ValueError(f"row {np.flatnonzero(self.samples <= 0)[0]} has no samples")

    def __len__(self) -> int:
        return len(self.pmi)

    @property
    def n_clusters(self) -> int:
        """Number of sets of concepts."""
        return int(self.cluster.max()) + 1

    def sum_clusters(self, columns: FloatArray) -> FloatArray:
        """Sum columns of shape ``(n, m)`` over the rows of each set of concepts, shape ``(n_clusters, m)``."""
        sums = [np.bincount(self.cluster, weights=column, minlength=self.n_clusters) for column in columns.T]
        return np.stack(sums, axis=1)


def gather_rows(
    correct: ArrayLike,
    samples: ArrayLike,
    pmi: ArrayLike,
    controls: FloatArray,
    *,
    names: tuple[str, ...],
    cluster: NDArray[Any],
    group: NDArray[Any],
) -> PmiRows:
    """Gather samples of one model, or shares of samples, by their concepts, in an order that is theirs.

    Args:
        correct: Share that is right, 0 to 1, shape ``(n,)``: of one sample its score, of several the share of hits.
        samples: Samples behind it, shape ``(n,)``.
        pmi: PMI in nats, shape ``(n,)``.
        controls: What rows are made comparable by, shape ``(n, k)``.
        names: What each control is.
        cluster: Set of concepts of each row, shape ``(n,)``.
        group: Test set of each row, shape ``(n,)``.

    Returns:
        The rows, sorted by test set, set of concepts, PMI and controls.

    Raises:
        ValueError: If shapes or numbers do not fit.

    >>> rows = gather_rows([1, 0, 1], [1, 1, 1], [0.5, 0.5, 2.0], np.zeros((3, 0)), names=(),
    ...     cluster=np.array(["cat;dog", "cat;dog", "cat;owl"]), group=np.zeros(3))
    >>> rows.samples, rows.accuracy, rows.spread
    (array([2., 1.]), array([0.5, 1. ]), array([0.25, 0.  ]))
    """
    shares, weights, nats = (np.asarray(column, dtype=np.float64) for column in (correct, samples, pmi))
    if not shares.shape == weights.shape == nats.shape == controls.shape[:1] == cluster.shape == group.shape:
        shapes = [shares.shape, weights.shape, nats.shape, controls.shape, cluster.shape, group.shape]
        raise ValueError(f"shares, samples, PMI, controls, clusters and groups have shapes {shapes}")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("a share of samples that are right lies outside 0 to 1")
    sets = np.unique(cluster, return_inverse=True)[1].reshape(-1)
    tests = np.unique(group, return_inverse=True)[1].reshape(-1)
    keys = np.column_stack([tests, sets, nats, controls])
    unique, row = np.unique(keys, axis=0, return_inverse=True)
    row = row.reshape(-1)

    def sum_rows(column: FloatArray) -> FloatArray:
        return np.bincount(row, weights=column, minlength=len(unique)).astype(np.float64)

    total = sum_rows(weights)
    if not (total > 0).all():
        raise ValueError("a row has no samples")
    # Rounding may put a mean of shares past their bounds.
    accuracy = np.clip(sum_rows(weights * shares) / total, 0, 1)
    # Several samples are right or wrong each; a single one may be right in part.
    squares = sum_rows(weights * np.where(weights > 1, shares, shares**2)) / total
    return PmiRows(
        samples=total,
        accuracy=accuracy,
        spread=np.maximum(squares - accuracy**2, 0),
        pmi=unique[:, 2],
        controls=unique[:, 3:],
        names=names,
        cluster=unique[:, 1].astype(np.int64),
        group=unique[:, 0].astype(np.int64),
    )


def rows_of_table(table: AccuracyTable) -> dict[str, PmiRows]:
    """Rows of each model whose accuracy and PMI are known, with the count that is known of most of them.

    Of the text, image and joint count the first of those known for most rows is the control; rows without it are left
    out. Where no count is known there is no control. The same concept in several datasets is one cluster.

    Args:
        table: Of any models; rows without a PMI are left out.

    Returns:
        Rows by model, none for a model without any.

    Raises:
        Refusal: If a row has a PMI and nothing says how many samples are behind the accuracies.
    """
    usable = table.known & np.isfinite(table.pmi)
    if not usable.any():
        return {}
    support = find_support(table)
    key = table.key
    found = {}
    for model in table.models:
        rows = np.flatnonzero(usable & (table.model == model))
        counted = {name: ~np.isnan(table.columns()[name][rows]) for name in COUNTS}
        best = max(COUNTS, key=lambda name: int(counted[name].sum()))
        names: tuple[str, ...] = ()
        if counted[best].any():
            rows = rows[counted[best]]
            names = (f"log10 {best}",)
        if len(rows):
            logs = np.log10(1 + table.columns()[best][rows])[:, None]
            found[model] = gather_rows(
                table.accuracy[rows],
                support[rows],
                table.pmi[rows],
                logs if names else np.zeros((len(rows), 0)),
                names=names,
                cluster=key[rows],
                group=table.dataset[rows],
            )
    return found
