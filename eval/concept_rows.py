"""The table that accuracy is explained from: hits per target (beside a partner), and what the corpus held."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Names = NDArray[np.str_]

LOG_COUNT = "log count"
LOG_COUNT_SQUARED = "log count squared"
LOG_PARTNER_COUNT = "log partner count"
PMI = "PMI"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptRows:
    """One row per group, target and partner: how often the model was right, and what the corpus held.

    Rows of two-object images are ordered pairs: (A, B) and (B, A) are two rows of one pair. Rows of
    one-object images have the partner ``""`` and none of the last three columns.

    Attributes:
        group: The world or test set of the row, shape ``(n,)``.
        target: The concept asked for, shape ``(n,)``.
        partner: The concept beside it, shape ``(n,)``.
        successes: Hits, shape ``(n,)``.
        trials: Questions, at least 1, shape ``(n,)``.
        count: Corpus count of the target, shape ``(n,)``.
        partner_count: Corpus count of the partner, shape ``(n,)``.
        pair_count: Corpus count of the two together, shape ``(n,)``; 0 is an unseen pair.
        expected: Pair count expected by chance from the single counts, above 0, shape ``(n,)``.

    Raises:
        ValueError: If shapes differ, a number is out of range, or a row comes twice.
    """

    group: Names
    target: Names
    partner: Names
    successes: IntArray
    trials: IntArray
    count: IntArray
    partner_count: IntArray | None = None
    pair_count: IntArray | None = None
    expected: FloatArray | None = None

    def __post_init__(self) -> None:
        if len(self.target) == 0:
            raise ValueError("no rows")
        for name, column in self._columns().items():
            if column.shape != self.target.shape:
                raise ValueError(f"{name} has shape {column.shape}, target has {self.target.shape}")
        self._check_numbers()
        keys = np.stack([self.group, self.target, self.partner], axis=1)
        unique, first = np.unique(keys, axis=0, return_index=True)
        if len(unique) < len(keys):
            again = np.setdiff1d(np.arange(len(keys)), first)[0]
            raise ValueError(f"row {again} repeats (group, target, partner) {tuple(keys[again].tolist())}")

    def __len__(self) -> int:
        return len(self.target)

    @property
    def accuracy(self) -> FloatArray:
        """Share of hits, shape ``(n,)``."""
        shares: FloatArray = self.successes / self.trials
        return shares

    @property
    def unseen(self) -> BoolArray:
        """Whether the corpus never shows the pair, shape ``(n,)``."""
        return np.asarray(self._needed("pair_count") == 0, dtype=np.bool_)

    @property
    def pair(self) -> IntArray:
        """Number of the unordered pair (within its group) that a row belongs to, shape ``(n,)``."""
        ordered = self.target <= self.partner
        low = np.where(ordered, self.target, self.partner)
        high = np.where(ordered, self.partner, self.target)
        keys = np.stack([self.group, low, high], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def take(self, rows: BoolArray | IntArray) -> "ConceptRows":
        """The rows of a mask or of indices, in that order."""
        return replace(self, **{name: column[rows] for name, column in self._columns().items()})

    def feature(self, name: str) -> FloatArray:
        """One explaining column by its name, shape ``(n,)``.

        Counts enter as log10(1 + count); PMI is ``log((pair_count + 0.5) / (expected + 0.5))`` in nats,
        smoothed so that an unseen pair has a finite value.

        Raises:
            ValueError: If there is no such feature, or the rows lack the column it needs.
        """
        if name == LOG_COUNT:
            log_count: FloatArray = np.log10(1.0 + self.count)
            return log_count
        if name == LOG_COUNT_SQUARED:
            squared: FloatArray = np.log10(1.0 + self.count) ** 2
            return squared
        if name == LOG_PARTNER_COUNT:
            beside: FloatArray = np.log10(1.0 + self._needed("partner_count"))
            return beside
        if name == PMI:
            nats: FloatArray = np.log((self._needed("pair_count") + 0.5) / (self._needed("expected") + 0.5))
            return nats
        known = ", ".join((LOG_COUNT, LOG_COUNT_SQUARED, LOG_PARTNER_COUNT, PMI))
        raise ValueError(f"no feature {name!r}; there are {known}")

    def design(self, features: Sequence[str], groups: Sequence[str]) -> FloatArray:
        """An intercept for each group, then the features, shape ``(n, n_groups + n_features)``.

        Raises:
            ValueError: If a row's group is not among ``groups``.
        """
        intercepts = self.group[:, None] == np.asarray(groups)[None, :]
        strange = np.flatnonzero(~intercepts.any(axis=1))
        if len(strange):
            raise ValueError(
                f"group {str(self.group[strange[0]])!r} at row {strange[0]} is not one of {list(groups)}"
            )
        return np.column_stack([intercepts.astype(np.float64), *(self.feature(name) for name in features)])

    def _columns(self) -> dict[str, NDArray[Any]]:
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in columns.items() if column is not None}

    def _needed(self, name: str) -> NDArray[Any]:
        column = self._columns().get(name)
        if column is None:
            raise ValueError(f"the rows have no {name}, which only pairs have")
        return column

    def _check_numbers(self) -> None:
        if (self.trials < 1).any():
            raise ValueError(f"row {np.flatnonzero(self.trials < 1)[0]} has no trials")
        broken = np.flatnonzero((self.successes < 0) | (self.successes > self.trials))
        if len(broken):
            row = broken[0]
            raise ValueError(f"row {row} has {self.successes[row]} successes in {self.trials[row]} trials")
        for name in ("count", "partner_count", "pair_count"):
            column = self._columns().get(name)
            if column is not None and (column < 0).any():
                raise ValueError(f"{name} at row {np.flatnonzero(column < 0)[0]} is negative")
        if self.expected is not None and not (np.isfinite(self.expected) & (self.expected > 0)).all():
            raise ValueError("expected counts must be positive and finite")
        if self.pair_count is not None and (self.target == self.partner).any():
            row = np.flatnonzero(self.target == self.partner)[0]
            raise ValueError(f"row {row} pairs {str(self.target[row])!r} with itself")
