"""The gap between two families of tasks, such as seen minus unseen, of one model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddpair.eval.comparing.answers import Answers, make_seed
from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.intervals import Estimate, effective_number, percentile_interval, widen_confidence
from oddpair.retrieval.proportion import clopper_pearson

POINTS = 100.0
# Means of as many terms differ by their last bits alone.
ALIKE = 1e-12


def gap_of(
    first: Sequence[Answers], second: Sequence[Answers], *, what: str = "gap", confidence: float = 0.95
) -> Estimate:
    """Mean accuracy over the first tasks minus that over the second, in percentage points.

    Each task counts alike, whatever its size. Clusters (classes, pairs, pictures) are drawn whole; one that tasks
    share is drawn in all of them together, others vary on their own, so that the interval is right where tasks share
    all, some or none of them. The draws follow from the questions, and are the same for all models.

    Where a task's answers are all right, or all wrong, nothing tells how they vary: the end on which the truth may lie
    moves out by Clopper and Pearson's bound of as many trials as the task's clusters are worth. Where all clusters that
    tasks share show the same gap nothing tells how it varies, and both ends move out by the bound of no odd cluster, in
    the task whose clusters are worth least. A task of a single cluster leaves the interval open, -100 to 100.

    Args:
        first: Tasks in distribution, or seen.
        second: Tasks out of distribution, or unseen.
        what: What is estimated.
        confidence: Coverage of the interval.

    Returns:
        The gap; its support is the questions of all tasks.

    Raises:
        ValueError: If a side has no task.

    References:
        Field and Welsh, Journal of the Royal Statistical Society B 69(3), 2007 (cluster bootstrap).

    >>> right = Answers(questions=["a", "b", "c"], clusters=["cat", "dog", "elk"], credit=np.array([1.0, 1.0, 0.5]))
    >>> wrong = Answers(questions=["d", "e", "f"], clusters=["cat", "dog", "elk"], credit=np.array([0.5, 0.5, 0.0]))
    >>> gap = gap_of([right], [wrong])  # each class shows 50, but of three classes: 100 * (1 - 0.025 ** (1 / 3)) = 70.8
    >>> gap.value, round(gap.low, 1), gap.high, gap.n
    (50.0, -20.8, 100.0, 6)
    """
    if not first or not second:
        raise ValueError(f"{what}: {len(first)} and {len(second)} tasks, a gap needs 1 or more on each side")
    sides = [*first, *second]
    share = np.r_[np.full(len(first), 1 / len(first)), np.full(len(second), -1 / len(second))]
    credits = [side.credit for side in sides]
    codes, n_clusters = code_clusters(sides)
    fewest = min(len(np.unique(code)) for code in codes)
    n = sum(map(len, sides))
    value = float(share @ [credit.mean() for credit in credits])
    if fewest < 2:
        return Estimate(value=POINTS * value, low=-POINTS, high=POINTS, n=n, what=what)
    samples = draw_means(credits, codes, n_clusters, make_seed(sides)) @ share
    found = percentile_interval(
        value,
        samples,
        n=n,
        what=what,
        confidence=widen_confidence(confidence, fewest),
    )
    low, high = found.low, found.high
    bounds = [
        clopper_pearson(0, effective_number(np.bincount(code)), (1 + confidence) / 2, "upper")
        for code in codes
    ]
    settled = [np.ptp(credit) == 0 and credit[0] in (0, 1) for credit in credits]
    shown = samples[np.isfinite(samples)]
    if not all(settled) and len(shown) and np.ptp(shown) < ALIKE:
        low, high = low - max(bounds), high + max(bounds)
    for weight, credit, bound, is_settled in zip(share, credits, bounds, settled, strict=True):
        if is_settled:
            reach = weight * bound
            inward = reach if credit[0] == 0 else -reach
            low, high = low + min(inward, 0.0), high + max(inward, 0.0)
    return Estimate(
        value=POINTS * value, low=POINTS * max(low, -1.0), high=POINTS * min(high, 1.0), n=n, what=what
    )
