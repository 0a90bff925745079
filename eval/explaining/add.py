"""What to add to a corpus: the samples of which concepts raise the predicted mean accuracy most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.explaining.add_steps import choose_amounts, find_level
from oddpair.eval.explaining.add_targets import AccuracyAt, Targets
from oddpair.eval.intervals import Estimate, percentile_interval

FloatArray = NDArray[np.float64]
Way = Literal["planned", "balanced", "even", "proportional"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """One way to spend samples.

    Attributes:
        way: Its name.
        added: Samples added to each concept, in the order of the sorted names, shape ``(n_concepts,)``.
        spent: Samples in all.
        accuracy: Predicted mean accuracy with them.
        gain: What they add to it, with the spread over the drawn fits.
        level: Count that no concept lies below any more, for ``balanced``.
    """

    way: Way
    added: FloatArray
    spent: float
    accuracy: float
    gain: Estimate
    level: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Samples for one concept.

    Attributes:
        concept: The concept.
        datasets: Datasets that have it.
        count: Samples of it in the corpus; the least, where its datasets were counted apart.
        added: Samples to add.
        before: Predicted accuracy of its classes now.
        after: Predicted accuracy with them.
        gain: What they add to the mean over all classes.
        outside: Whether the count lies beyond the fitted ones, before or after.
    """

    concept: str
    datasets: tuple[str, ...]
    count: float
    added: float
    before: float
    after: float
    gain: Estimate
    outside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """A plan, beside three plain ways of spending as many samples.

    Attributes:
        budget: Samples that may be added.
        before: Predicted mean accuracy as the corpus stands.
        scenarios: ``planned``, ``balanced``, ``even`` and ``proportional``.
        concepts: Concepts that the plan adds to, the largest gain first.
    """

    budget: int
    before: float
    scenarios: tuple[Scenario, ...]
    concepts: tuple[Addition, ...]


def plan_additions(
    targets: Targets,
    accuracy_at: AccuracyAt,
    budget: int,
    *,
    draws: Sequence[AccuracyAt] = (),
    bends: ArrayLike = (),
    fitted: tuple[float, float] = (0.0, np.inf),
    confidence: float = 0.95,
) -> Additions:
    """Spend a budget of samples where the predicted mean accuracy rises most.

    Steps of the steepest rise per sample are taken first, along the least concave curve above each concept's own. Where
    accuracy is concave in the count that is optimal, up to the fineness of the amounts; where it is flat and then
    rises, a step reaches over the flat stretch or is not taken, and the plan falls short of the optimum by less than
    one step's gain.

    The steps of an isotonic fit are a poor thing to plan on: samples go to concepts just below one.

    A curve fitted over concepts is not an intervention: rare concepts differ from common ones in more than their
    count, and what samples add when they are sought out is not known from it. Intervals are those of the fit alone, for
    the plan as it stands.

    Args:
        targets: The classes.
        accuracy_at: Predicts accuracies, at log10 of one plus the counts, of shape ``(..., n)``, in datasets of shape
            ``(n,)``; more samples must not mean less.
        budget: Samples that may be added, 1 or more.
        draws: Refits of ``accuracy_at`` to resampled data, for the intervals; without them these have no bounds.
        bends: Log counts where the curve bends at once, to be hit exactly.
        fitted: Least and greatest log count of the fit; what lies beyond is flagged.
        confidence: Share of the draws within the intervals.

    Returns:
        The plan and its total gain, beside a raise of the rarest concepts to one level (``balanced``), the same
        number for each (``even``), and more of what there is (``proportional``).

    Raises:
        ValueError: If the budget is below 1.

    >>> targets = Targets(
    ...     concept=np.array(["axolotl", "cat"]), dataset=np.array(["pets", "pets"]),
    ...     count=np.array([9.0, 999.0]), weight=np.ones(2))
    >>> plan = plan_additions(targets, lambda x, dataset: 0.1 + 0.2 * x, 90)
    >>> [(found.way, round(found.gain.value, 3)) for found in plan.scenarios]
    [('planned', 0.1), ('balanced', 0.1), ('even', 0.076), ('proportional', 0.007)]
    >>> [(found.concept, found.added) for found in plan.concepts]
    [('axolotl', 90.0)]
    """
    if budget < 1:
        raise ValueError(f"a budget of {budget} samples adds nothing")
    count = targets.least
    level = find_level(count, budget)
    ways: dict[Way, FloatArray] = {
        "planned": choose_amounts(
            lambda added: targets.gains(added, accuracy_at),
            count,
            budget,
            np.asarray(bends, dtype=np.float64),
        ),
        "balanced": np.maximum(level - count, 0),
        "even": np.full(len(count), budget / len(count)),
        "proportional": budget
        * (count / count.sum() if count.sum() else np.full(len(count), 1 / len(count))),
    }
    before, scenarios, planned = targets.mean(accuracy_at), [], ways["planned"]
    for way, added in ways.items():
        gain = float(targets.gains(added, accuracy_at).sum())
        drawn = np.array([targets.gains(added, draw).sum() for draw in draws])
        scenarios.append(
            Scenario(
                way=way,
                added=added,
                spent=float(added.sum()),
                accuracy=before + gain,
                gain=_estimate(gain, drawn, len(count), f"gain in mean accuracy, {way}", confidence),
                level=level if way == "balanced" else None,
            )
        )
    return Additions(
        budget=budget,
        before=before,
        scenarios=tuple(scenarios),
        concepts=_list_concepts(targets, planned, accuracy_at, draws, fitted, confidence),
    )


def _list_concepts(
    targets: Targets,
    added: FloatArray,
    accuracy_at: AccuracyAt,
    draws: Sequence[AccuracyAt],
    fitted: tuple[float, float],
    confidence: float,
) -> tuple[Addition, ...]:
    gains = targets.gains(added, accuracy_at)
    drawn = np.array([targets.gains(added, draw) for draw in draws]).reshape(len(draws), len(added))
    sizes = np.bincount(targets.codes)
    now, then = (
        targets.by_concept(accuracy_at(np.log10(1 + targets.count + more), targets.dataset)) / sizes
        for more in (0.0, added[targets.codes])
    )
    low, high = np.log10(1 + targets.least), np.log10(1 + targets.least + added)
    outside = (low < fitted[0]) | (low > fitted[1]) | (high > fitted[1])
    datasets: list[list[str]] = [[] for _ in added]
    for code, name in zip(targets.codes.tolist(), targets.dataset.tolist(), strict=True):
        datasets[code].append(name)
    # By gain; equal gains by name, in which order they stand.
    ranked = np.argsort(-gains, kind="stable")
    return tuple(
        Addition(
            concept=str(targets.names[i]),
            datasets=tuple(sorted(datasets[i])),
            count=float(targets.least[i]),
            added=float(added[i]),
            before=float(now[i]),
            after=float(then[i]),
            gain=_estimate(
                float(gains[i]), drawn[:, i], int(sizes[i]), f"gain by {targets.names[i]}", confidence
            ),
            outside=bool(outside[i]),
        )
        for i in ranked.tolist()
        if added[i] > 0
    )


def _estimate(value: float, drawn: FloatArray, n: int, what: str, confidence: float) -> Estimate:
    if len(drawn) == 0:
        return Estimate(value=value, low=-np.inf, high=np.inf, n=n, what=what)
    return percentile_interval(value, drawn, n=n, what=what, confidence=confidence)
