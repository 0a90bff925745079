"""Permutation test of counts within datasets: would counts dealt out anew explain as much?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.explaining.permutation_held_out import score_held_out
from oddpair.eval.intervals import Estimate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shuffles = NDArray[np.int32]

# Held-out scores of so many shuffles show their mean and spread well enough.
_SCORED = 100
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PermutationTest:
    """Whether counts explain accuracy within datasets better than counts dealt out anew.

    Attributes:
        r: Correlation within datasets.
        p: Share of shuffles, the data among them, whose r is as far from 0; two-sided.
        shuffles: Number of shuffles.
        movable: Rows that a shuffle can move; the others have no concept to change places with.
        held_out: Share of the variance within datasets that a line in the counts explains of held-out concepts.
        held_out_shuffled: The same after shuffles: their mean, and the range of 95 % of them. It is 0 or less, but
            for what a shuffle keeps: names that stand in more datasets may have higher counts and accuracies.
    """

    r: float
    p: float
    shuffles: int
    movable: int
    held_out: float
    held_out_shuffled: Estimate


def shuffle_rows(
    dataset: NDArray[Any], concept: NDArray[Any], rng: np.random.Generator, shuffles: int = 999
) -> Shuffles:
    """Deal concepts' rows out anew within datasets, the rows of one name together.

    A name that stands in several datasets takes the counts of another name that stands in the same ones, so that
    every dataset keeps its counts and every name its counts' agreement across datasets. Names that no other matches
    in this keep theirs.

    Args:
        dataset: Dataset of every row, shape ``(n,)``.
        concept: Concept of every row, by the name that is one across datasets, shape ``(n,)``.
        rng: Source of the shuffles.
        shuffles: Number of shuffles.

    Returns:
        For every shuffle and row the row whose count it gets, shape ``(shuffles, n)``.

    Raises:
        ValueError: If the shapes differ.

    >>> dataset, concept = np.array(["a", "b", "a", "b", "a"]), np.array(["x", "x", "y", "y", "z"])
    >>> shuffle_rows(dataset, concept, np.random.default_rng(1), shuffles=3)
    array([[0, 1, 2, 3, 4],
           [0, 1, 2, 3, 4],
           [2, 3, 0, 1, 4]], dtype=int32)
    """
    if dataset.shape != concept.shape or dataset.ndim != 1:
        raise ValueError(f"datasets have shape {dataset.shape}, concepts {concept.shape}")
    sets = np.unique(dataset, return_inverse=True)[1]
    names = np.unique(concept, return_inverse=True)[1]
    order = np.lexsort((sets, names))
    groups: dict[tuple[int, ...], list[IntArray]] = {}
    for rows in np.split(order, np.flatnonzero(np.diff(names[order])) + 1):
        groups.setdefault(tuple(sets[rows].tolist()), []).append(rows)
    shuffled = np.tile(np.arange(len(dataset), dtype=np.int32), (shuffles, 1))
    for members in groups.values():
        block = np.stack(members)
        places = np.tile(np.arange(len(block)), (shuffles, 1))
        dealt = rng.permuted(places, axis=1)
        for column in block.T:
            shuffled[:, column] = column[dealt]
    return shuffled


def permute_counts(
    log_count: ArrayLike, accuracy: ArrayLike, dataset: NDArray[Any], fold: IntArray, shuffled: Shuffles
) -> PermutationTest | None:
    """Test by permutation whether counts explain accuracy within datasets.

    Args:
        log_count: Log10 of one plus the count of every row, shape ``(n,)``.
        accuracy: Its accuracy, shape ``(n,)``.
        dataset: Dataset of every row, shape ``(n,)``.
        fold: Fold by which the row's concept is held out, shape ``(n,)``.
        shuffled: Rows dealt out anew, from `shuffle_rows`, shape ``(shuffles, n)``.

    Returns:
        The test; ``None`` where counts or accuracies do not vary within any dataset.

    Raises:
        ValueError: If the shapes differ.

    References:
        Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9(1), 2010 (p is never 0).
    """
    x, y = np.asarray(log_count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if not x.shape == y.shape == dataset.shape == fold.shape == shuffled.shape[1:]:
        shapes = [x.shape, y.shape, dataset.shape, fold.shape, shuffled.shape]
        raise ValueError(f"log counts, accuracies, datasets, folds and shuffles have shapes {shapes}")
    codes = np.unique(dataset, return_inverse=True)[1]
    inside_x, inside_y = _centre(x, codes), _centre(y, codes)
    spread = float(np.sqrt(inside_x @ inside_x) * np.sqrt(inside_y @ inside_y))
    if not inside_x.any() or not inside_y.any():
        return None
    r = float(inside_x @ inside_y) / spread
    parts = [shuffled[start : start + _AT_ONCE] for start in range(0, len(shuffled), _AT_ONCE)]
    again = np.concatenate([inside_x[part] @ inside_y for part in parts]) / spread
    # Sums in another order may miss a tie by their last bits.
    as_far = int((np.abs(again) >= abs(r) * (1 - 1e-9)).sum())
    scores = score_held_out(np.concatenate([x[None], x[shuffled[:_SCORED]]]), y, codes, fold)
    low, high = np.quantile(scores[1:], [0.025, 0.975])
    return PermutationTest(
        r=r,
        p=(as_far + 1) / (len(shuffled) + 1),
        shuffles=len(shuffled),
        movable=int((shuffled != np.arange(len(x))).any(axis=0).sum()),
        held_out=float(scores[0]),
        held_out_shuffled=Estimate(
            value=float(scores[1:].mean()),
            low=float(low),
            high=float(high),
            n=len(scores) - 1,
            what="held-out share of variance within datasets, counts shuffled",
        ),
    )


def _centre(values: FloatArray, codes: IntArray) -> FloatArray:
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    centred = values - means[codes]
    # What rounding leaves of a dataset without variation is none.
    centred[np.abs(centred) < 1e-12 * max(float(np.abs(values).max()), 1.0)] = 0.0
    return centred
