"""Means of accuracy by corpus and by decade of the count, for the data as they stand and for draws of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from oddpair.eval.composing.objects import FloatArray, IntArray
from oddpair.eval.composing.scaling_rows import ScalingRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """The rows of each corpus by the decade of their count; `make_cells` makes it.

    Attributes:
        corpus: Number of the corpus of each cell, the smallest corpus first, shape ``(n_cells,)``.
        decade: 0 for counts below 1, 1 for those from 1 to 9, and so on, shape ``(n_cells,)``.
        cell: Cell of every row, shape ``(n,)``.
        share: Weight of every row: models of one corpus weigh one together, shape ``(n,)``.
        n_clusters: Clusters that are drawn.
        totals: Weight, weighted accuracy and weighted log count of each cluster in each cell, each of shape
            ``(n_cells, n_clusters)``.
    """

    corpus: IntArray
    decade: IntArray
    cell: IntArray
    share: FloatArray
    n_clusters: int
    totals: tuple[csr_array[np.float64, tuple[int, int]], ...]

    def sum_up(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weight, weighted accuracy and weighted log count of each cell in draws, each of shape ``(draws, n_cells)``.

        Args:
            weights: How often each cluster was drawn, shape ``(draws, n_clusters)``.
        """
        weight, accuracy, log_count = (np.asarray((total @ weights.T).T, np.float64) for total in self.totals)
        return weight, accuracy, log_count


def make_cells(rows: ScalingRows) -> Cells:
    """Sort rows into cells.

    A count of a set of objects is the geometric mean of 1 + count over these, less 1.
    """
    corpora = rows.corpora
    of_row = np.array([corpora.index(name) for name in rows.corpus.tolist()])
    # The allowance keeps a count of 10, which went through a logarithm, in its decade.
    count = (10**rows.log_count - 1) * (1 + 1e-9)
    decade = np.where(count >= 1 - 1e-6, 1 + np.floor(np.log10(np.maximum(count, 1))), 0).astype(np.int64)
    keys, cell = np.unique(np.stack([of_row, decade], axis=1), axis=0, return_inverse=True)
    models = {name: len(np.unique(rows.model[rows.corpus == name])) for name in corpora}
    share = np.array([1 / models[name] for name in rows.corpus.tolist()])
    places = (cell.reshape(-1), rows.cluster)
    shape = (len(keys), rows.n_clusters)
    return Cells(
        corpus=keys[:, 0],
        decade=keys[:, 1],
        cell=cell.reshape(-1).astype(np.int64),
        share=share,
        n_clusters=rows.n_clusters,
        totals=tuple(
            csr_array((values, places), shape=shape)
            for values in (share, share * rows.accuracy, share * rows.log_count)
        ),
    )
