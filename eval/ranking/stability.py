"""Whether another half of the questions would put the same model first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oddpair.eval.comparing.answers import Answers
from oddpair.eval.intervals import FloatArray
from oddpair.eval.ranking.macro import Families, task_weights
from oddpair.eval.ranking.totals import SAME_DIGITS, Totals, total

_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """How often both halves of the questions have the same first place.

    Attributes:
        share: Of the halvings, 0 to 1.
        by_chance: What models of one skill would show, copies apart: 1 over their number.
        halvings: Random halvings; they share their questions, and tell no more the more there are.
    """

    share: float
    by_chance: float
    halvings: int


def split_halves(
    entries: Mapping[str, Mapping[str, Answers]], families: Families, *, seed: int, halvings: int = 1000
) -> Stability | None:
    """Halve the clusters at random, again and again, and compare the first place of one half with that of the other.

    Whole clusters go to one half, in all tasks together; those that have questions in the same tasks are shared out
    evenly. Each half asks half as many questions as the leaderboard, so its own first place is surer than this. Models
    of equal score stand in alphabetical order. A halving that leaves a half without a question of some task counts as
    not the same.

    Args:
        entries: Answers by model and task; each model has every task of the families.
        families: Tasks by family.
        seed: Of the halvings.
        halvings: How many.

    Returns:
        The share; ``None`` for fewer than two models.

    Raises:
        Refusal: If models were not asked the same questions.

    >>> asked, classes = [str(n) for n in range(40)], [str(n // 2) for n in range(40)]
    >>> answers = lambda credit: {"task": Answers(questions=asked, clusters=classes, credit=credit)}
    >>> split_halves({"a": answers(np.ones(40)), "b": answers(np.zeros(40))}, {"family": ("task",)}, seed=0)
    Stability(share=1.0, by_chance=0.5, halvings=1000)
    """
    weights = task_weights(families)
    if len(entries) < 2:
        return None
    totals = total([entries[name] for name in sorted(entries)], tuple(weights))
    rng = np.random.default_rng(seed)
    same = 0
    for start in range(0, halvings, _AT_ONCE):
        half = _halve(totals, min(_AT_ONCE, halvings - start), rng)
        first, second = _lead(totals, weights, half), _lead(totals, weights, 1 - half)
        same += int(np.count_nonzero((first == second) & (first >= 0)))
    return Stability(share=same / halvings, by_chance=1 / len(entries), halvings=halvings)


def _halve(totals: Mapping[str, Totals], n: int, rng: np.random.Generator) -> FloatArray:
    held = np.stack([one.sizes > 0 for one in totals.values()], axis=1)
    kinds = np.unique(held, axis=0, return_inverse=True)[1].ravel()
    halves = np.empty((n, len(kinds)))
    for row in range(n):
        # Every other one in random order, tasks' clusters apart; which half starts is chance too.
        order = np.lexsort((rng.random(len(kinds)), kinds))
        halves[row, order] = (np.arange(len(kinds)) + rng.integers(2)) % 2
    return halves


def _lead(totals: Mapping[str, Totals], weights: Mapping[str, float], half: FloatArray) -> FloatArray:
    scores = np.sum([weight * totals[task].means_of(half) for task, weight in weights.items()], axis=0)
    undefined = np.isnan(scores[:, 0])
    leaders: FloatArray = np.argmax(np.round(np.where(np.isnan(scores), 0.0, scores), SAME_DIGITS), axis=1)
    return np.where(undefined, -1, leaders)
