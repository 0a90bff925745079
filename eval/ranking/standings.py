"""Places of models with the interval of each: draws shared by all, rank intervals and bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from oddpair import files
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.comparing.gaps import ALIKE
from oddpair.eval.intervals import Estimate, percentile_interval, widen_confidence
from oddpair.eval.ranking.macro import Families, task_weights
from oddpair.eval.ranking.pairs import Pairs, compare_pairs
from oddpair.eval.ranking.totals import CONFIDENCE, DRAWS, SAME_DIGITS, Drawn, Totals, average, draw, total
from oddpair.retrieval.unit_rows import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a model stands.

    Attributes:
        name: The model.
        place: 1 for the best; models of equal score are in alphabetical order.
        low: 1 plus the number of models that are significantly better.
        high: Number of models less those that are significantly worse.
        band: 1 for the models not separated from the first, 2 for those not separated from the first of the others, ...
        score: Macro mean, a fraction; its support is the questions of all tasks.
        families: Mean over the family's tasks.
        tasks: Main metric of each task.
    """

    name: str
    place: int
    low: int
    high: int
    band: int
    score: Estimate
    families: Mapping[str, Estimate]
    tasks: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Models by place, and every two of them compared."""

    standings: tuple[Standing, ...]
    pairs: Pairs | None
    draws: int


def seed_of(versions: Mapping[str, int]) -> int:
    """Return the seed of all draws of a leaderboard: made of its benchmarks' names and versions, not of its entries.

    Args:
        versions: Version by benchmark.

    >>> seed_of({"miniature": 1, "imagenet": 2}) == seed_of({"imagenet": 2, "miniature": 1}) != seed_of({"miniature": 2})
    True
    """
    return int(files.digest(sorted(versions.items()))[:16], 16)


def rank(
    entries: Mapping[str, Mapping[str, Answers]], families: Families, *, seed: int, draws: int = DRAWS
) -> Ranking:
    """Rank models by their macro mean: over families, of the mean over the tasks of each.

    Clusters (classes, pairs, pictures) are drawn whole, with replacement, the same ones for all models; one that has
    questions in several tasks is drawn in all of them together. So an entry's numbers do not change with the company
    it is in. Intervals of scores are as `oddpair.eval.comparing.gaps.gap_of` says of a gap: wider where clusters are
    few, by Clopper and Pearson's bound where a task's answers are all right or all wrong, and open, 0 to 1, where a task
    has one cluster.

    A model's rank interval counts the models from which it is separated (`compare_pairs`): all of them hold the true
    ranks at once in some 95 % of leaderboards or more, where equals have every rank that they share. A band is a first
    model with all later ones not separated from it; one in between may be, whose difference is surer.

    Args:
        entries: Answers by model and task; each model has every task of the families.
        families: Tasks by family.
        seed: Of the draws.
        draws: Number of draws, 2,000 unless told.

    Returns:
        Standings by place, and the pairs; ``None`` for fewer than two models.

    Raises:
        Refusal: If models were not asked the same questions.
        ValueError: If a model lacks a task.

    References:
        Rank intervals: Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91(1), 2024 (simultaneous
        confidence sets from all pairs). Draws: Field and Welsh, Journal of the Royal Statistical Society B 69(3), 2007.

    >>> asked, classes = [str(n) for n in range(40)], [str(n // 2) for n in range(40)]
    >>> ones, few = np.ones(40), np.arange(40) % 10 == 0
    >>> answers = lambda credit: {"task": Answers(questions=asked, clusters=classes, credit=credit.astype(float))}
    >>> found = rank({"a": answers(few), "b": answers(ones), "c": answers(few)}, {"family": ("task",)}, seed=0)
    >>> [(one.name, one.place, one.low, one.high, one.band) for one in found.standings]
    [('b', 1, 1, 1, 1), ('a', 2, 2, 3, 2), ('c', 3, 2, 3, 2)]
    """
    weights = task_weights(families)
    for name, answers in entries.items():
        if missing := [task for task in weights if task not in answers]:
            raise ValueError(f"{name} lacks {', '.join(missing)}: only models with every task are ranked")
    if not entries:
        return Ranking(standings=(), pairs=None, draws=draws)
    names = sorted(entries)
    totals = total([entries[name] for name in names], tuple(weights))
    scores = sum(weight * totals[task].means for task, weight in weights.items())
    # Sorting is stable: equal scores stay in alphabetical order.
    order = np.argsort(-np.round(scores, SAME_DIGITS), kind="stable")
    totals = {task: Totals(sizes=one.sizes, earned=one.earned[:, order]) for task, one in totals.items()}
    drawn = draw(totals, seed, draws)
    pairs = compare_pairs(totals, drawn, weights) if len(names) > 1 else None
    low, high, band = _place(pairs, len(names))
    score = _estimate(totals, drawn, weights, "macro mean")
    by_family = {
        family: _estimate(totals, drawn, dict.fromkeys(tasks, 1 / len(tasks)), f"mean of {family}")
        for family, tasks in families.items()
    }
    by_task = {task: _estimate(totals, drawn, {task: 1.0}, task) for task in weights}
    standings = tuple(
        Standing(
            name=names[number],
            place=row + 1,
            low=int(low[row]),
            high=int(high[row]),
            band=int(band[row]),
            score=score[row],
            families={family: found[row] for family, found in by_family.items()},
            tasks={task: found[row] for task, found in by_task.items()},
        )
        for row, number in enumerate(order.tolist())
    )
    return Ranking(standings=standings, pairs=pairs, draws=draws)


def _place(pairs: Pairs | None, n_models: int) -> tuple[IntArray, IntArray, IntArray]:
    apart = np.zeros((n_models, n_models), dtype=bool)
    if pairs is not None:
        # A pair is separated only where it differs, and then its first is the better one.
        apart[pairs.first, pairs.second] = pairs.separated
    low, high = 1 + apart.sum(axis=0), n_models - apart.sum(axis=1)
    band = np.zeros(n_models, dtype=np.int64)
    number = 0
    while (band == 0).any():
        number += 1
        leader = int(np.argmin(band > 0))
        band[(band == 0) & ~apart[leader]] = number
    return low, high, band


def _estimate(
    totals: Mapping[str, Totals], drawn: Mapping[str, Drawn], weights: Mapping[str, float], what: str
) -> list[Estimate]:
    found, parts = average(drawn, weights), [totals[task] for task in weights]
    fewest, n = min(part.n_clusters for part in parts), sum(part.n for part in parts)
    confidence = widen_confidence(CONFIDENCE, fewest) if fewest > 1 else CONFIDENCE
    widest = max(part.bound for part in parts)
    # By how much a task whose answers are all wrong, or all right, moves an end.
    reaches = [
        (weight * part.bound, part.means) for weight, part in zip(weights.values(), parts, strict=True)
    ]
    estimates = []
    for row, value in enumerate(found.values.tolist()):
        samples = found.samples[:, row]
        plain = percentile_interval(value, samples, n=n, what=what, confidence=confidence)
        low = plain.low - sum(reach for reach, means in reaches if means[row] >= 1)
        high = plain.high + sum(reach for reach, means in reaches if means[row] <= 0)
        shown = samples[~np.isnan(samples)]
        if any(0 < means[row] < 1 for _, means in reaches) and len(shown) and np.ptp(shown) < ALIKE:
            low, high = low - widest, high + widest
        low, high = min(max(low, 0.0), value), max(min(high, 1.0), value)
        estimates.append(replace(plain, low=low, high=high))
    return estimates
