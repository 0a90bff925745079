"""What models earned in each cluster of each task, and draws of clusters that all models and tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oddpair.eval.comparing.answers import Answers, align
from oddpair.eval.comparing.draws import code_clusters
from oddpair.eval.intervals import FloatArray, effective_number, resample
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.retrieval.unit_rows import IntArray

CONFIDENCE = 0.95
DRAWS = 2000
# Means that differ by less are equal: sums of as many terms in another order.
SAME_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Totals:
    """What models earned for a task, by cluster; clusters are numbered alike in all tasks.

    Attributes:
        sizes: Questions of each cluster, 0 where the task has none, shape ``(n_clusters,)``.
        earned: Credit by cluster and model, shape ``(n_clusters, n_models)``.
    """

    sizes: FloatArray
    earned: FloatArray

    @property
    def n(self) -> int:
        """Questions."""
        return int(self.sizes.sum())

    @property
    def n_clusters(self) -> int:
        """Clusters that the task has questions of."""
        return int(np.count_nonzero(self.sizes))

    @property
    def worth(self) -> int:
        """Clusters of one size that would tell as much."""
        return effective_number(self.sizes)

    @property
    def bound(self) -> float:
        """How large a share of clusters may be odd where none was found to be."""
        return clopper_pearson(0, self.worth, (1 + CONFIDENCE) / 2, "upper")

    @property
    def means(self) -> FloatArray:
        """Mean credit of each model, shape ``(n_models,)``."""
        means: FloatArray = self.earned.sum(axis=0) / self.n
        return means

    def means_of(self, weights: FloatArray) -> FloatArray:
        """Mean credit where each cluster counts as often as it was drawn.

        Args:
            weights: Shape ``(draws, n_clusters)``.

        Returns:
            Shape ``(draws, n_models)``; NaN where a draw holds no question of the task, or the task has one cluster
            alone, which shows no spread.
        """
        over, under = weights @ self.earned, (weights @ self.sizes)[:, None]
        means: FloatArray = np.divide(
            over, under, out=np.full(over.shape, np.nan), where=(under > 0) & (self.n_clusters > 1)
        )
        return means


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A number of each model, and the same in draws of the questions.

    Attributes:
        values: Shape ``(n_models,)``.
        samples: Shape ``(draws, n_models)``; a draw is defined for all models, or NaN for all.
    """

    values: FloatArray
    samples: FloatArray


def total(models: Sequence[Mapping[str, Answers]], tasks: Sequence[str]) -> dict[str, Totals]:
    """Add up what models earned in each cluster.

    Args:
        models: Answers of each by task, one model or more; each has all tasks.
        tasks: Tasks to look at.

    Raises:
        Refusal: If models were not asked the same questions.
    """
    asked = [models[0][task] for task in tasks]
    codes, n_clusters = code_clusters(asked)
    return {
        task: Totals(
            sizes=np.bincount(code, minlength=n_clusters).astype(np.float64),
            earned=np.stack(
                [_add_up(first, model[task], task, code, n_clusters) for model in models], axis=1
            ),
        )
        for task, first, code in zip(tasks, asked, codes, strict=True)
    }


def draw(totals: Mapping[str, Totals], seed: int, draws: int = DRAWS) -> dict[str, Drawn]:
    """Draw clusters with replacement, the same ones for all models and tasks.

    Args:
        totals: By task.
        seed: Of the draws.
        draws: Number of draws.

    Returns:
        Mean credit by task.

    References:
        Field and Welsh, Journal of the Royal Statistical Society B 69(3), 2007 (cluster bootstrap).
    """
    n_clusters, n_models = next(iter(totals.values())).earned.shape
    samples = np.full((draws, len(totals), n_models), np.nan)
    if n_clusters > 1:
        samples = resample(
            lambda weights: np.stack([one.means_of(weights) for one in totals.values()], axis=1),
            n_clusters,
            np.random.default_rng(seed),
            draws,
        )
    return {
        task: Drawn(values=one.means, samples=samples[:, place])
        for place, (task, one) in enumerate(totals.items())
    }


def average(drawn: Mapping[str, Drawn], weights: Mapping[str, float]) -> Drawn:
    """Return the weighted mean over tasks, whose weights make 1."""
    return Drawn(
        values=np.sum([weight * drawn[task].values for task, weight in weights.items()], axis=0),
        samples=np.sum([weight * drawn[task].samples for task, weight in weights.items()], axis=0),
    )


def _add_up(first: Answers, model: Answers, task: str, codes: IntArray, n_clusters: int) -> FloatArray:
    # Most models list the same questions in the same order, and looking each up takes a hundred times longer.
    credit = model.credit if model.questions == first.questions else align(first, model, task)
    return np.bincount(codes, weights=credit, minlength=n_clusters).astype(np.float64)
