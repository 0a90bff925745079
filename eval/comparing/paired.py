"""Two models on the same questions: difference, ratio, and whether chance explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.eval.comparing.answers import Answers, align, answers_of, make_seed
from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.comparing.gaps import ALIKE, POINTS
from oddpair.eval.comparing.sign_test import adjust_holm, flip_signs
from oddpair.eval.intervals import (
    Estimate,
    FloatArray,
    effective_number,
    percentile_interval,
    widen_confidence,
)
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.retrieval.unit_rows import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on one task; n is of the same questions for both.

    Attributes:
        task: What was asked.
        n: Questions.
        n_clusters: Classes, pairs or pictures that they belong to.
        a: Accuracy of the first model, 0 to 1.
        b: Accuracy of the second.
        difference: First minus second, in percentage points.
        ratio: First over second: relative corrected accuracy, where the second was trained on as many samples drawn
            at random; ``None`` where the second has no question right.
        better: Questions for which the first earned more.
        worse: Questions for which the second did.
        p_value: Of `flip_signs`: McNemar's exact test where every cluster is one question.
        p_adjusted: The same, adjusted for all tasks that were compared at once.
    """

    task: str
    n: int
    n_clusters: int
    a: float
    b: float
    difference: Estimate
    ratio: Estimate | None
    better: int
    worse: int
    p_value: float
    p_adjusted: float


def compare_answers(a: Answers, b: Answers, *, task: str = "task", confidence: float = 0.95) -> Comparison:
    """Compare two models question by question.

    Intervals come from whole clusters drawn for both models together, so that what a question has of difficulty
    cancels. Where the models earned alike for every question nothing tells how they differ, and the intervals reach as
    far as Clopper and Pearson's bound of no discordant cluster in as many as these are worth. Of a single cluster they
    hold everything.

    Args:
        a: Answers of the first model.
        b: Those of the second.
        task: What was asked.
        confidence: Coverage of the intervals.

    Returns:
        The comparison.

    Raises:
        Refusal: If they were not asked the same questions.

    References:
        Ratio: Mayilvahanan et al., arXiv:2410.08258. Difference: Field and Welsh, Journal of the Royal Statistical
        Society B 69(3), 2007 (cluster bootstrap).

    >>> asked, classes = ["1", "2", "3", "4"], ["cat", "cat", "dog", "elk"]
    >>> right = Answers(questions=asked, clusters=classes, credit=np.ones(4))
    >>> half = Answers(questions=asked, clusters=classes, credit=np.array([1.0, 0.0, 0.0, 1.0]))
    >>> found = compare_answers(half, right)
    >>> found.difference.value, found.ratio.value, (found.better, found.worse), found.p_value
    (-50.0, 0.5, (0, 2), 0.5)
    """
    first, second = a.credit, align(a, b, task)
    (codes,), n_clusters = code_clusters([a])
    signs = np.sign(first - second).astype(np.int64)
    p_value = flip_signs(signs, codes)
    difference, ratio = _estimate(first, second, codes, make_seed([a]), confidence)
    return Comparison(
        task=task,
        n=len(a),
        n_clusters=n_clusters,
        a=float(first.mean()),
        b=float(second.mean()),
        difference=difference,
        ratio=ratio,
        better=int((signs > 0).sum()),
        worse=int((signs < 0).sum()),
        p_value=p_value,
        p_adjusted=p_value,
    )


def compare_records(
    a: pa.Table, b: pa.Table, kind: Kind, *, cluster: str, class_keys: Sequence[str] = (), task: str = "task"
) -> Comparison:
    """Compare two models by their records of one task.

    Args:
        a: Records of the first model.
        b: Those of the second.
        kind: What was asked.
        cluster: What goes alike: ``image``, ``class`` or ``pair``.
        class_keys: Keys of the candidates, the same for both; empty for retrieval and choice.
        task: Name of the task.

    Returns:
        As `compare_answers`.

    Raises:
        Refusal: As `compare_answers`, or if tasks of this kind cannot be compared.
    """
    first, second = (answers_of(table, kind, cluster=cluster, class_keys=class_keys) for table in (a, b))
    return compare_answers(first, second, task=task)


def adjust(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Adjust the p values of comparisons that are read side by side."""
    adjusted = adjust_holm([one.p_value for one in comparisons])
    return tuple(replace(one, p_adjusted=p) for one, p in zip(comparisons, adjusted, strict=True))


def _estimate(
    first: FloatArray, second: FloatArray, codes: IntArray, seed: int, confidence: float
) -> tuple[Estimate, Estimate | None]:
    n, n_clusters = len(codes), int(codes.max()) + 1
    over, under = float(first.mean()), float(second.mean())
    drawn, wide = np.full((1, 2), np.nan), confidence
    if n_clusters > 1:
        drawn = draw_means([first, second], [codes, codes], n_clusters, seed)
        wide = widen_confidence(confidence, n_clusters)
    reach = 0.0
    if np.ptp(first - second) < ALIKE:
        worth = effective_number(np.bincount(codes))
        reach = clopper_pearson(0, worth, (1 + confidence) / 2, "upper")
    found = percentile_interval(
        over - under,
        drawn[:, 0] - drawn[:, 1],
        n=n,
        what="difference in percentage points",
        confidence=wide,
    )
    difference = replace(
        found,
        value=POINTS * found.value,
        low=POINTS * max(found.low - reach, -1.0),
        high=POINTS * min(found.high + reach, 1.0),
    )
    if under == 0:
        return difference, None
    above, below = drawn[:, 0], drawn[:, 1]
    ratios = np.divide(above, below, out=np.full(len(drawn), np.nan), where=below > 0)
    found = percentile_interval(over / under, ratios, n=n, what="ratio of accuracies", confidence=wide)
    low, high = max(found.low - reach / under, 0.0), found.high + reach / under
    return difference, replace(found, low=low, high=high)
