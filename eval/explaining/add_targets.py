"""The classes whose mean accuracy is to rise, and what samples of their concepts add to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Names = NDArray[np.str_]
AccuracyAt = Callable[[FloatArray, Names], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """Classes by concept: samples of a concept are added in all its datasets at once.

    Attributes:
        concept: Concept of each class, shape ``(n,)``.
        dataset: Its dataset, shape ``(n,)``.
        count: Samples of it that the corpus holds, shape ``(n,)``.
        weight: Its share of the mean, 0 or more, whatever their sum, shape ``(n,)``.
        names: The concepts, sorted, shape ``(n_concepts,)``; follows from the others.
        codes: Concept of each class as an index into ``names``, shape ``(n,)``; follows from the others.
        least: Count of each concept, the least where its datasets were counted apart, shape ``(n_concepts,)``;
            follows from the others.

    Raises:
        ValueError: If shapes differ, there are no rows, or a count or weight is not 0 or more.
    """

    concept: Names
    dataset: Names
    count: FloatArray
    weight: FloatArray
    names: Names = field(init=False)
    codes: IntArray = field(init=False)
    least: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        shapes = [column.shape for column in (self.concept, self.dataset, self.count, self.weight)]
        if len(set(shapes)) > 1 or self.count.ndim != 1 or len(self.count) == 0:
            raise ValueError(f"concepts, datasets, counts and weights have shapes {shapes}")
        for name, column in (("count", self.count), ("weight", self.weight)):
            if not (np.isfinite(column).all() and (column >= 0).all()):
                raise ValueError(f"a {name} is negative or not finite")
        if self.weight.sum() == 0:
            raise ValueError("no weight is above 0")
        names, codes = np.unique(self.concept, return_inverse=True)
        least = np.full(len(names), np.inf)
        np.minimum.at(least, codes.reshape(-1), self.count)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "codes", codes.reshape(-1).astype(np.int64))
        object.__setattr__(self, "least", least)

    def mean(self, predict: AccuracyAt) -> float:
        """Predicted mean accuracy as the corpus stands."""
        return float(self.weight @ predict(np.log10(1 + self.count), self.dataset) / self.weight.sum())

    def gains(self, added: FloatArray, predict: AccuracyAt) -> FloatArray:
        """Rise of the mean accuracy by each concept's samples, of the shape of ``added``.

        Args:
            added: Samples added to each concept, shape ``(..., n_concepts)``.
            predict: Predicts accuracies at log10 of one plus the counts, shape ``(..., n)``, in datasets.
        """
        before = predict(np.log10(1 + self.count), self.dataset)
        after = predict(np.log10(1 + self.count + added[..., self.codes]), self.dataset)
        return self.by_concept(self.weight / self.weight.sum() * (after - before))

    def by_concept(self, values: FloatArray) -> FloatArray:
        """Sum over each concept's classes, from shape ``(..., n)`` to ``(..., n_concepts)``."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self.names)))
        found: FloatArray = np.add.reduceat(values[..., order], starts, axis=-1)
        return found
