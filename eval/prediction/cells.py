"""Accuracies of many models on the same concepts, side by side, and how alike the models' corpora are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from oddpair.eval.prediction.table import COUNTS, AccuracyTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Names = NDArray[np.str_]

_LEAST_SHARED = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Concepts of datasets by models.

    Attributes:
        models: Names of the models, shape ``(m,)``.
        corpora: Number of each model's corpus, a grouping alone, shape ``(m,)``.
        dataset: Number of each concept's dataset, a grouping alone, shape ``(n,)``.
        names: Names of the concepts as written, shape ``(n,)``.
        accuracy: Accuracy, NaN where unknown, shape ``(n, m)``.
        support: Samples behind it, shape ``(n,)``.
        log_counts: log10(1 + count) of text, image and joint less the corpus' mean, NaN where there is no count,
            shape ``(n, m, 3)``.
        skill: Logit of each model's accuracy on the anchor dataset, shape ``(m,)``.
        anchor: Number of the anchor dataset.
        likeness: How alike the models' corpora are: 1 for the same, else the cosine of their counts' departures
            from the mean over corpora, 0 where one is not counted, shape ``(m, m)``.
    """

    models: Names
    corpora: IntArray
    dataset: IntArray
    names: Names
    accuracy: FloatArray
    support: FloatArray
    log_counts: FloatArray
    skill: FloatArray
    anchor: int
    likeness: FloatArray

    @property
    def counted(self) -> BoolArray:
        """Models whose corpus is counted, shape ``(m,)``."""
        return np.asarray(np.isfinite(self.log_counts).any(axis=(0, 2)), dtype=np.bool_)

    def place_rows(self, table: AccuracyTable) -> IntArray:
        """Cell of each row of the table that the cells were found in, shape ``(len(table),)``."""
        keys = np.stack([table.dataset, table.concept], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def mean_by_dataset(self, values: FloatArray) -> FloatArray:
        """Mean of each concept's dataset, spread over its concepts; shape of ``values``, ``(n, ...)``."""
        sizes = np.bincount(self.dataset)
        flat = values.reshape(len(values), -1)
        sums = np.stack([np.bincount(self.dataset, weights=column) for column in flat.T], axis=1)
        means: FloatArray = (sums / sizes[:, None])[self.dataset].reshape(values.shape)
        return means


def find_anchor(table: AccuracyTable, name: str | None = None) -> str:
    """Name the dataset whose accuracy is known of a new model: ``imagenet``, else the one of most concepts.

    Raises:
        ValueError: If the dataset that is asked for is not in the table.
    """
    if name is not None:
        if name not in table.datasets:
            raise ValueError(f"no dataset {name!r}; there are {', '.join(table.datasets)}")
        return name
    for dataset in table.datasets:
        if dataset.lower() in ("imagenet", "imagenet1k", "imagenet-1k"):
            return dataset
    sizes = [len(np.unique(table.concept[table.dataset == dataset])) for dataset in table.datasets]
    return table.datasets[int(np.argmax(sizes))]


def find_cells(
    table: AccuracyTable, support: FloatArray, anchor: str, top1: dict[str, float] | None = None
) -> Cells:
    """Lay the models of a table side by side.

    Args:
        table: The table.
        support: Samples behind each row, shape ``(len(table),)``.
        anchor: Dataset whose accuracy stands for a model's skill.
        top1: Accuracy on the anchor of models that have no rows of it, as fractions.

    Returns:
        The cells; a model has NaN where it has no row.

    Raises:
        ValueError: If a model's accuracy on the anchor is not known.
    """
    keys = np.stack([table.dataset, table.concept], axis=1)
    unique, cell = np.unique(keys, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    models, model = np.unique(table.model, return_inverse=True)
    model = model.reshape(-1)
    accuracy = np.full((len(unique), len(models)), np.nan)
    accuracy[cell, model] = table.accuracy
    counts = np.full((len(unique), len(models), len(COUNTS)), np.nan)
    counts[cell, model] = np.log10(1 + np.stack([table.columns()[name] for name in COUNTS], axis=1))
    samples = np.zeros(len(unique))
    np.maximum.at(samples, cell, support)
    corpus_of = dict(zip(table.model.tolist(), table.corpus.tolist(), strict=True))
    corpora = np.unique([corpus_of[name] for name in models.tolist()], return_inverse=True)[1].reshape(-1)
    dataset_names, dataset = np.unique(unique[:, 0], return_inverse=True)
    dataset = dataset.reshape(-1).astype(np.int64)
    number = int(np.searchsorted(dataset_names, anchor))
    skill = np.empty(len(models))
    for index, name in enumerate(models.tolist()):
        known = accuracy[dataset == number, index]
        told = (top1 or {}).get(name)
        if told is None and np.isnan(known).all():
            raise ValueError(f"model {name!r} has no accuracy on {anchor!r}")
        skill[index] = np.nanmean(known) if told is None else told
    centred = counts - _mean(counts, axis=0)[None]
    return Cells(
        models=models,
        corpora=corpora.astype(np.int64),
        dataset=dataset,
        names=unique[:, 1],
        accuracy=accuracy,
        support=samples,
        log_counts=centred,
        skill=logit(np.clip(skill, 0.005, 0.995)),
        anchor=number,
        likeness=_liken(centred, corpora),
    )


def drop_counts(cells: Cells) -> Cells:
    """The same without counts: of corpora only who shares one is left."""
    return replace(
        cells,
        log_counts=np.full_like(cells.log_counts, np.nan),
        likeness=(cells.corpora[:, None] == cells.corpora[None, :]).astype(np.float64),
    )


def _liken(centred: FloatArray, corpora: IntArray) -> FloatArray:
    first = [int(np.flatnonzero(corpora == corpus)[0]) for corpus in np.unique(corpora)]
    departures = centred - _mean(centred[:, first], axis=1)[:, None]
    m = centred.shape[1]
    flat = departures.transpose(1, 0, 2).reshape(m, -1)
    likeness = np.zeros((m, m))
    for one in range(m):
        for other in range(m):
            both = ~np.isnan(flat[one]) & ~np.isnan(flat[other])
            a, b = flat[one, both], flat[other, both]
            length = np.sqrt((a @ a) * (b @ b))
            if both.sum() >= _LEAST_SHARED and length > 0:
                likeness[one, other] = a @ b / length
    return np.where(corpora[:, None] == corpora[None, :], 1.0, likeness)


def _mean(values: FloatArray, axis: int) -> FloatArray:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=axis)
    n = known.sum(axis=axis)
    means: FloatArray = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return means
