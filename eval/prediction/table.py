"""The table that predictions are made from: one row per model, dataset and concept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.words import normalise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Names = NDArray[np.str_]

NAMES = ("model", "corpus", "dataset", "concept")
COUNTS = ("count_text", "count_image", "count_joint")
NUMBERS = ("accuracy", "n", *COUNTS, "pmi")
FOLDS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyTable:
    """How well models do on the concepts of datasets, and what their corpora hold of them.

    Missing numbers are NaN. An accuracy that is missing is one to be predicted; a count that is missing was
    not made, which is not a count of 0.

    Attributes:
        model: Model of the row, shape ``(n,)``.
        corpus: Pretraining corpus of the model, shape ``(n,)``; the same in all rows of a model.
        dataset: Test set, shape ``(n,)``.
        concept: Class of the test set as its authors write it, shape ``(n,)``.
        accuracy: Share of the concept's samples that the model has right, 0 to 1, shape ``(n,)``.
        n: Samples behind the accuracy, shape ``(n,)``.
        count_text: Captions of the corpus that name the concept, shape ``(n,)``.
        count_image: Images of the corpus that show it, shape ``(n,)``.
        count_joint: Samples of the corpus that do both, shape ``(n,)``.
        pmi: Pointwise mutual information of the row's concepts, in nats, shape ``(n,)``.

    Raises:
        ValueError: If shapes differ, there are no rows, a row comes twice, a model has two corpora, or a number
            is out of its range.
    """

    model: Names
    corpus: Names
    dataset: Names
    concept: Names
    accuracy: FloatArray
    n: FloatArray
    count_text: FloatArray
    count_image: FloatArray
    count_joint: FloatArray
    pmi: FloatArray

    def __post_init__(self) -> None:
        if len(self.model) == 0:
            raise ValueError("no rows")
        for name, column in self.columns().items():
            if column.shape != self.model.shape:
                raise ValueError(f"{name} has shape {column.shape}, model has {self.model.shape}")
        for name, low, high in (
            ("accuracy", 0.0, 1.0),
            ("n", 1.0, np.inf),
            *((count, 0.0, np.inf) for count in COUNTS),
        ):
            column = self.columns()[name]
            wrong = np.flatnonzero((column < low) | (column > high) | np.isinf(column))
            if len(wrong):
                raise ValueError(f"row {wrong[0]}: {name} is {column[wrong[0]]:g}")
        self._check_keys()

    def __len__(self) -> int:
        return len(self.model)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, sorted."""
        return tuple(np.unique(self.model).tolist())

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets, sorted."""
        return tuple(np.unique(self.dataset).tolist())

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora, sorted."""
        return tuple(np.unique(self.corpus).tolist())

    @property
    def known(self) -> BoolArray:
        """Rows whose accuracy is known, shape ``(n,)``."""
        return ~np.isnan(self.accuracy)

    @property
    def key(self) -> Names:
        """The concept's normalised name, by which it is one concept across datasets, shape ``(n,)``."""
        unique, inverse = np.unique(self.concept, return_inverse=True)
        return np.array([normalise(name) for name in unique.tolist()], dtype=np.str_)[inverse.reshape(-1)]

    @property
    def fold(self) -> IntArray:
        """Fold of each row, 0 to 9: a concept is in one fold whatever its dataset, shape ``(n,)``."""
        unique, inverse = np.unique(self.key, return_inverse=True)
        folds = np.array([fold_of(name) for name in unique.tolist()], dtype=np.int64)
        return folds[inverse.reshape(-1)]

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, in the order of the file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: BoolArray | IntArray) -> AccuracyTable:
        """The rows of a mask or of indices, in that order."""
        return replace(self, **{name: column[rows] for name, column in self.columns().items()})

    def _check_keys(self) -> None:
        keys = np.stack([self.model, self.dataset, self.concept], axis=1)
        unique, first = np.unique(keys, axis=0, return_index=True)
        if len(unique) < len(keys):
            again = np.setdiff1d(np.arange(len(keys)), first)[0]
            raise ValueError(f"row {again} repeats (model, dataset, concept) {tuple(keys[again].tolist())}")
        pairs = np.unique(np.stack([self.model, self.corpus], axis=1), axis=0)
        names, times = np.unique(pairs[:, 0], return_counts=True)
        if (times > 1).any():
            raise ValueError(f"model {str(names[times > 1][0])!r} has rows of {times.max()} corpora")


def fold_of(key: str) -> int:
    """Fold of a normalised concept name: sha256 modulo 10, so that everybody's folds agree.

    >>> fold_of("golden retriever")
    4
    """
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % FOLDS
