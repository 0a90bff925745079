"""A new model's accuracies from those of other models: which to listen to, and how far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.prediction.cells import Cells

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Prior variances, beside a residual of 1, of what models share by their skill (per squared logit) and by their corpus.
# Halving or doubling either moves the mean R2 on the published tables by less than .01.
_BY_SKILL = 3.0
BY_CORPUS = (0.3, 1.0, 2.0)


class Weights(NamedTuple):
    """Weight of each donor, summing to 1, and the variance that is left, in units of a donor's residual."""

    donor: FloatArray
    variance: float


def stretch(accuracy: FloatArray) -> FloatArray:
    """Arcsine of the root of accuracies: their sampling noise is then the same everywhere."""
    return np.asarray(np.arcsin(np.sqrt(accuracy)))


def shrink(stretched: FloatArray) -> FloatArray:
    """Accuracies of `stretch`ed ones; beyond its range 0 and 1.

    >>> shrink(stretch(np.array([0.0, 0.3, 1.0]))).round(6).tolist()
    [0.0, 0.3, 1.0]
    """
    return np.asarray(np.sin(np.clip(stretched, 0, np.pi / 2)) ** 2)


def make_covariance(cells: Cells, by_corpus: float) -> FloatArray:
    """Covariance of models about each concept's own level: alike in skill, alike in what their corpora hold.

    Args:
        cells: Models side by side.
        by_corpus: Variance that models of one corpus share, beside a residual of 1.

    Returns:
        Shape ``(m, m)``, positive definite.
    """
    skill = cells.skill - cells.skill.mean()
    covariance = 1 + _BY_SKILL * np.outer(skill, skill) + np.eye(len(skill))
    covariance = covariance + by_corpus * cells.likeness
    values, vectors = np.linalg.eigh(covariance)
    positive: FloatArray = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    return positive


def weigh_donors(covariance: FloatArray, model: int, donors: IntArray) -> Weights:
    """Weigh donors for a model: best linear unbiased prediction, each concept's level being unknown.

    Args:
        covariance: As `make_covariance`.
        model: The model whose accuracies are wanted.
        donors: The models to predict from.

    Returns:
        Weights that sum to 1; some may be negative.
    """
    among = covariance[np.ix_(donors, donors)]
    towards = covariance[donors, model]
    both = np.linalg.solve(among, np.column_stack([towards, np.ones(len(donors))]))
    level = (1 - both[:, 0].sum()) / both[:, 1].sum()
    weights = both[:, 0] + level * both[:, 1]
    variance = covariance[model, model] - 2 * weights @ towards + weights @ among @ weights
    return Weights(donor=weights, variance=float(variance))


def complete(stretched: FloatArray) -> FloatArray:
    """Fill what a model lacks with the concept's level plus the model's: the additive fit.

    Args:
        stretched: Accuracies of donors on a scale where effects add, NaN where unknown, shape ``(n, k)``.

    Returns:
        The same without NaN; where nobody has a concept, the models' means.
    """
    known = ~np.isnan(stretched)
    if known.all():
        return stretched
    values = np.where(known, stretched, 0.0)
    of_model = values.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    of_concept = np.where(known, values - of_model, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, stretched, of_model[None, :] + of_concept[:, None])
