"""Errors of means over sets of objects: sets that share an object are right or wrong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import stdtrit

from oddpair.eval.composing.objects import FloatArray, IntArray, ObjectSamples, code_sets
from oddpair.eval.intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedObjects:
    """The sets of some samples and the objects that tie them; `tie` makes it.

    Attributes:
        codes: Set of every sample, shape ``(n,)``.
        members: Objects of every set, ones in shape ``(n_sets, n_objects)``.
    """

    codes: IntArray
    members: csr_array[np.float64, tuple[int, int]]

    def sum_up(self, values: FloatArray, rows: IntArray | None = None) -> FloatArray:
        """Sum the values of samples over each set, shape ``(n_sets,)``.

        Args:
            values: Of these samples, shape ``(n_rows,)``.
            rows: Which samples they are; all by default.
        """
        codes = self.codes if rows is None else self.codes[rows]
        sums: FloatArray = np.zeros(self.members.shape[0])
        np.add.at(sums, codes, values)
        return sums

    def error(self, influence: FloatArray) -> float:
        """Standard error of a figure that each set moves by so much, shape ``(n_sets,)``.

        Two sets go together by the number of objects that they share; where that would make the error smaller than
        that of independent sets, it is theirs.

        References:
            Fafchamps and Gubert, Journal of Development Economics 83(2), 2007; Aronow, Samii and Assenova, Political
            Analysis 23(4), 2015, who count two pairs that share an object once.
        """
        n_sets, n_objects = self.members.shape
        of_objects = self.members.T @ influence
        alone = influence**2
        size: FloatArray = np.diff(self.members.indptr).astype(np.float64)
        # A set shares all its objects with itself, and counts once.
        shared = float(of_objects @ of_objects - (size - 1) @ alone)
        factor = max(n_objects / (n_objects - 1) if n_objects > 1 else 1.0, n_sets / max(n_sets - 1, 1))
        return float(np.sqrt(factor * max(shared, float(alone.sum()))))

    def interval(self, value: float, influence: FloatArray, *, n: int, what: str) -> Estimate:
        """A figure with its 95 % interval: Student's t of one degree of freedom fewer than there are objects."""
        reach = float(stdtrit(max(self.members.shape[1] - 1, 1), 0.975)) * self.error(influence)
        return Estimate(
            value=float(value), low=float(value - reach), high=float(value + reach), n=n, what=what
        )

    def mean(self, values: FloatArray, *, what: str, rows: IntArray | None = None) -> Estimate:
        """The mean of some samples' values with its interval.

        Args:
            values: Of these samples, shape ``(n_rows,)``.
            what: What is averaged.
            rows: The samples; all by default.

        Returns:
            The mean; its support is the number of samples.
        """
        mean = float(values.mean())
        influence = self.sum_up((values - mean) / len(values), rows)
        return self.interval(mean, influence, n=len(values), what=what)


def tie(samples: ObjectSamples) -> SharedObjects:
    """Find which samples show the same set, and which sets share objects."""
    codes, members = code_sets(samples)
    return SharedObjects(codes=codes, members=members)
