"""What may tell where a new model departs from the weighed mean of other models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from oddpair.eval.prediction.cells import Cells
from oddpair.eval.prediction.donors import BY_CORPUS, complete, make_covariance, shrink, stretch, weigh_donors
from oddpair.eval.prediction.names import weigh_words

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NEAREST = 3
_KIN = 2


class Transfer(NamedTuple):
    """Features of one model given its donors, shape ``(n, f)``, and the accuracy they alone foretell, ``(n,)``."""

    features: NDArray[np.float32]
    mean: FloatArray


class Shared(NamedTuple):
    """What all models of a table share: covariances, stretched accuracies, and neighbours by name."""

    covariances: tuple[FloatArray, ...]
    stretched: FloatArray
    kin_inside: sparse.csr_array
    kin_elsewhere: sparse.csr_array
    fixed: FloatArray


def find_shared(cells: Cells) -> Shared:
    """Prepare what the features of every model are made from; holds no accuracy beyond its own cell."""
    words = weigh_words(cells.names)
    alike = sparse.coo_array(words @ words.T)
    row, column = alike.coords
    inside = cells.dataset[row] == cells.dataset[column]
    kin = []
    for mask in (inside & (row != column), ~inside):
        found = sparse.csr_array(
            (alike.data[mask], (row[mask], column[mask])), shape=(len(cells.names), len(cells.names))
        )
        total = np.asarray(found.sum(axis=1)).reshape(-1)
        kin.append(sparse.csr_array(sparse.diags_array(1 / (total + 0.5)) @ found))
    sizes = np.bincount(cells.dataset)[cells.dataset]
    fixed = np.column_stack(
        [np.log10(sizes), *(np.asarray(one.sum(axis=1)).reshape(-1) for one in kin), np.diff(words.indptr)]
    )
    return Shared(
        covariances=tuple(make_covariance(cells, share) for share in BY_CORPUS),
        stretched=stretch(cells.accuracy),
        kin_inside=kin[0],
        kin_elsewhere=kin[1],
        fixed=fixed,
    )


def find_transfer(cells: Cells, shared: Shared, model: int, donors: IntArray) -> Transfer:
    """Find features of a model on every concept, from donors' accuracies, its own counts and its skill.

    No accuracy of the model itself is read.

    Args:
        cells: Models side by side.
        shared: As `find_shared`.
        model: The model.
        donors: Models whose accuracies may be read.

    Returns:
        Features and the mean of the donors, weighed.
    """
    values = complete(shared.stretched[:, donors])
    # How much a corpus shares is not known: the mean of several answers, and their disagreement as a feature.
    weighings = [weigh_donors(covariance, model, donors) for covariance in shared.covariances]
    answers = values @ np.stack([weights.donor for weights in weighings], axis=1)
    level = answers.mean(axis=1)
    weights = weighings[len(weighings) // 2]
    of_dataset = cells.mean_by_dataset(level)
    away = np.abs(cells.skill[donors] - cells.skill[model])
    nearest = _first(np.argsort(away, kind="stable"), _NEAREST)
    gaps = values - level[:, None]
    centre = values.mean(axis=1)
    skill = cells.skill[donors] - cells.skill[donors].mean()
    slope = (values - centre[:, None]) @ skill / (skill @ skill + 2)
    scatter = (values - centre[:, None] - slope[:, None] * skill).std(axis=1)
    kin = _first(np.argsort(-cells.likeness[model, donors] - 1e-3 * np.exp(-away), kind="stable"), _KIN)
    own = cells.log_counts[:, model]
    theirs = np.nan_to_num(cells.log_counts[:, donors])
    departure = np.nan_to_num(own - np.tensordot(theirs, weights.donor, axes=(1, 0)))
    columns = [
        level[:, None],
        of_dataset[:, None],
        slope[:, None],
        scatter[:, None],
        values.max(axis=1)[:, None],
        values.min(axis=1)[:, None],
        values.std(axis=1)[:, None],
        answers[:, :-1] - level[:, None],
        gaps[:, nearest],
        cells.mean_by_dataset(gaps[:, nearest[:2]]),
        gaps[:, kin],
        cells.mean_by_dataset(gaps[:, kin[:1]]),
        shared.kin_inside @ np.column_stack([level - of_dataset, gaps[:, kin[0]]]),
        shared.kin_elsewhere @ np.column_stack([level - of_dataset, gaps[:, kin[0]]]),
        np.nan_to_num(own),
        departure,
        cells.mean_by_dataset(departure),
        np.nan_to_num(own - theirs.mean(axis=1)),
        shared.fixed,
    ]
    constants = [
        cells.skill[model],
        weights.variance,
        *(cells.skill[donors[nearest[:2]]] - cells.skill[model]),
        *cells.likeness[model, donors[kin]],
        cells.skill[donors[kin[0]]] - cells.skill[model],
    ]
    features = np.column_stack([*columns, np.tile(constants, (len(level), 1))]).astype(np.float32)
    return Transfer(features=features, mean=shrink(level))


def _first(order: IntArray, n: int) -> IntArray:
    # Fewer donors stand in for more, so that every model has the same features.
    return order[np.minimum(np.arange(n), len(order) - 1)]
