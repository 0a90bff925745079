"""How far two concepts are expected to do alike: the covariance of their logits, and a basis of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.prediction.features import ConceptFeatures

# Single precision for thousands of concepts; who needs the same digits on any processor passes doubles.
Basis = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float64]

# Beyond this many columns the basis changes held-out R2 on the published tables by less than .001.
MOST_COLUMNS = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How much is shared among concepts: prior variances in squared logits.

    Attributes:
        dataset: Of what the concepts of one dataset share.
        curve: Of the surface over counts and standing that all datasets share.
        curve_in_dataset: Of each dataset's own departure from it.
        word: Of what names with a common word share, wherever they are.
        word_in_dataset: The same within a dataset.
        length: Distance over which the surface bends, in decades of count.
        rank: Weight of the rank of a count within its dataset, in decades.
        spread: Variance that an unseen dataset adds to the logit, integrated out in its predictions.
    """

    dataset: float
    curve: float
    curve_in_dataset: float
    word: float
    word_in_dataset: float
    length: float
    rank: float
    spread: float


def make_kernel(features: ConceptFeatures, pooling: Pooling) -> NDArray[np.float32]:
    """Make the covariance matrix of the rows' logits.

    Args:
        features: Features of ``n`` rows.
        pooling: The variances of its parts.

    Returns:
        Covariance, shape ``(n, n)``.
    """
    k = features.counts.shape[1]
    standing = features.standing.copy()
    standing[:, 2 + k :] *= pooling.rank
    standing[:, 2 : 2 + k] *= 0.5
    columns = np.column_stack([features.counts, standing, features.missing]) / pooling.length
    # In place and in single precision: at 5,000 rows every matrix is 100 MB, and a logit needs no more digits.
    at = np.ascontiguousarray(columns - columns.mean(axis=0), dtype=np.float32)
    kernel: NDArray[np.float32] = at @ at.T
    squares = np.diag(kernel).copy()
    kernel -= squares[:, None] / 2
    kernel -= squares[None, :] / 2
    np.exp(np.minimum(kernel, 0, out=kernel), out=kernel)
    words: NDArray[np.float32] = (features.words @ features.words.T).astype(np.float32).toarray()
    together = features.dataset[:, None] == features.dataset[None, :]
    kernel *= np.where(
        together, np.float32(pooling.curve + pooling.curve_in_dataset), np.float32(pooling.curve)
    )
    words *= np.where(together, np.float32(pooling.word + pooling.word_in_dataset), np.float32(pooling.word))
    kernel += words
    # The constant is the prior of the mean logit over everything.
    kernel += np.where(together, np.float32(pooling.dataset + 0.3), np.float32(0.3))
    return kernel


def make_basis(kernel: Basis, most: int = MOST_COLUMNS) -> Basis:
    """Find a basis whose products give the covariance: a Cholesky factor, the largest remainder first.

    A function with standard normal coefficients on its columns has the kernel as its covariance, up to what
    is left out; the greedy order makes the largest error of a variance small.

    Args:
        kernel: Positive semidefinite, shape ``(n, n)``.
        most: Largest number of columns.

    Returns:
        Shape ``(n, at most most)``, of the kernel's precision.

    References:
        Harbrecht, Peters and Schneider, Applied Numerical Mathematics 62(4), 2012.

    >>> basis = make_basis(np.array([[2, 1], [1, 2]], dtype=np.float32))
    >>> np.round(basis @ basis.T).tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    n = len(kernel)
    left = np.diag(kernel).astype(np.float64).copy()
    least = 1e-4 * left.max()
    basis = np.zeros((n, min(n, most)), dtype=kernel.dtype)
    for column in range(basis.shape[1]):
        pivot = int(np.argmax(left))
        if left[pivot] <= least:
            return basis[:, :column]
        basis[:, column] = (kernel[:, pivot] - basis[:, :column] @ basis[pivot, :column]) / np.sqrt(
            left[pivot]
        )
        left -= basis[:, column].astype(np.float64) ** 2
        left[pivot] = 0.0
    return basis
