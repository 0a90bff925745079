"""Which tasks say the same thing: rank agreement of every two tasks over the models that have both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from oddpair.eval.comparing.answers import Answers
from oddpair.eval.comparing.gaps import ALIKE
from oddpair.eval.intervals import Estimate, FloatArray, percentile_interval, widen_confidence
from oddpair.eval.ranking.totals import CONFIDENCE, DRAWS, SAME_DIGITS, draw, total
from oddpair.retrieval.proportion import clopper_pearson

FEWEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrence:
    """Kendall's tau-b of two tasks, -1 to 1, its support the models that have both.

    Attributes:
        first: A task.
        second: Another.
        tau: ``None`` for fewer than four models, or where a task scores all of them alike.
    """

    first: str
    second: str
    tau: Estimate | None


def concur(
    entries: Mapping[str, Mapping[str, Answers]], tasks: Sequence[str], *, seed: int, draws: int = DRAWS
) -> tuple[Concurrence, ...]:
    """Correlate the ranks that every two tasks give the models; 0 is what unrelated tasks show.

    Tau is that of tasks with as many questions: chance answers lower it below the agreement of what models can do. The
    interval comes from drawing models and questions together, which holds for other models and for other questions, and
    is too wide rather than too narrow (of 20 or 40 simulated models it held the mean tau in 98 to 100 % of cases, a
    quarter to a half wider than needed); tasks that share clusters share their draws. Drawing questions again lowers
    tau again: draws are moved back until their mean is the tau of the data. Percentiles are read further out where
    models are few (`oddpair.eval.intervals.widen_confidence`). Where all models are ranked alike, or all the other way
    round, draws show too little: the interval reaches as far as Clopper and Pearson's bound of ``m // 2`` trials, as
    many pairs as share no model.

    Args:
        entries: Answers by model and task; a model may lack tasks.
        tasks: Tasks to correlate, each with each.
        seed: Of the draws.
        draws: Number of draws.

    Returns:
        Every two tasks, in their order.

    Raises:
        Refusal: If models were not asked the same questions.

    References:
        Kendall, Biometrika 33(3), 1945 (tau-b, with ties). Owen, Annals of Applied Statistics 1(2), 2007 (drawing both
        rows and columns).
    """
    return tuple(
        Concurrence(first=first, second=second, tau=_agree(entries, first, second, seed, draws))
        for first, second in combinations(tasks, 2)
    )


def kendall_tau(x: FloatArray, y: FloatArray) -> FloatArray:
    """Kendall's tau-b of each row.

    Args:
        x: Shape ``(rows, n)``.
        y: The same shape.

    Returns:
        Shape ``(rows,)``; NaN where a side of a row holds one value alone, or NaN.

    >>> kendall_tau(np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), np.array([[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])).round(3)
    array([0.333,   nan])
    """
    rows, n = x.shape
    over, left, right = (np.zeros(rows) for _ in range(3))
    for one in range(n - 1):
        sign_x, sign_y = (
            (side[:, one, None] > side[:, one + 1 :]).astype(np.int8)
            - (side[:, one, None] < side[:, one + 1 :])
            for side in (x, y)
        )
        over += (sign_x * sign_y).sum(axis=1, dtype=np.int64)
        left += np.count_nonzero(sign_x, axis=1)
        right += np.count_nonzero(sign_y, axis=1)
    tau: FloatArray = np.divide(
        over, np.sqrt(left * right), out=np.full(rows, np.nan), where=left * right > 0
    )
    return tau


def _agree(
    entries: Mapping[str, Mapping[str, Answers]], first: str, second: str, seed: int, draws: int
) -> Estimate | None:
    models = [entries[name] for name in sorted(entries) if first in entries[name] and second in entries[name]]
    n = len(models)
    if n < FEWEST:
        return None
    drawn = draw(total(models, (first, second)), seed, draws)
    sides = [drawn[task] for task in (first, second)]
    value = float(kendall_tau(*(np.round(side.values[None], SAME_DIGITS) for side in sides))[0])
    if np.isnan(value):
        return None
    # Another stream than that of the questions.
    chosen = np.random.default_rng([seed, n]).integers(n, size=(draws, n))
    samples = kendall_tau(
        *(np.round(np.take_along_axis(side.samples, chosen, axis=1), SAME_DIGITS) for side in sides)
    )
    shown = samples[~np.isnan(samples)]
    if len(shown):
        samples = samples - shown.mean() + value
    found = percentile_interval(
        value, samples, n=n, what=f"tau-b of {first} and {second}", confidence=widen_confidence(CONFIDENCE, n)
    )
    low, high = min(max(found.low, -1.0), value), max(min(found.high, 1.0), value)
    # Of pairs that share no model each is ranked alike by chance (1 + tau) / 2.
    odd = 2 * clopper_pearson(0, n // 2, (1 + CONFIDENCE) / 2, "upper")
    if value > 1 - ALIKE:
        low = min(low, 1 - odd)
    if value < ALIKE - 1:
        high = max(high, odd - 1)
    return replace(found, low=low, high=high)
