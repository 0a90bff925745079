"""What differences the records of one or two models could tell on the same test set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oddpair.eval.comparing.answers import Answers, align
from oddpair.eval.comparing.draws import code_clusters
from oddpair.eval.comparing.power import design_effect, detect_paired, detect_unpaired
from oddpair.eval.intervals import FloatArray
from oddpair.retrieval.unit_rows import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The smallest differences in accuracy, 0 to 1, that a test set tells of two models.

    Attributes:
        n: Questions.
        accuracy: Of the first model, 0 to 1.
        design_effect: How many times more questions are needed because those of a cluster go alike, for models that are
            each asked other questions; 1 where they do not.
        unpaired: Smallest difference told of such models; ``None`` where there is none.
        discordant: Share of questions that exactly one of two models has right, by which the next are found; ``None``
            where it is not known.
        paired_effect: As `design_effect`, for models that are asked the same questions.
        paired: Smallest difference told of such models; ``None`` where there is none, or nothing is known of them.
    """

    n: int
    accuracy: float
    design_effect: float
    unpaired: float | None
    discordant: float | None
    paired_effect: float
    paired: float | None


def detect(
    n: int,
    accuracy: float,
    discordant: float | None = None,
    *,
    effects: tuple[float, float] = (1.0, 1.0),
    power: float = 0.8,
    alpha: float = 0.05,
) -> Detectable:
    """Find the smallest differences that ``n`` questions tell.

    Args:
        n: Questions.
        accuracy: Of one model, 0 to 1.
        discordant: Share of questions that exactly one of two models has right; ``None`` if not known.
        effects: Design effects of models that are asked other questions, and of those that are asked the same.
        power: Chance that a difference is told.
        alpha: Level of the test.

    Returns:
        The differences, of as many independent questions as these are worth: their number over the design effect.

    >>> found = detect(1000, 0.6, 0.1)
    >>> round(found.unpaired, 3), round(found.paired, 3)
    (0.062, 0.029)
    """
    worth, paired_worth = (max(1, math.floor(n / effect)) for effect in effects)
    return Detectable(
        n=n,
        accuracy=accuracy,
        design_effect=effects[0],
        unpaired=detect_unpaired(n=worth, accuracy=accuracy, power=power, alpha=alpha),
        discordant=discordant,
        paired_effect=effects[1],
        paired=detect_paired(n=paired_worth, discordant=discordant, power=power, alpha=alpha)
        if discordant
        else None,
    )


def detect_by_answers(
    a: Answers,
    b: Answers | None = None,
    *,
    discordant: float | None = None,
    task: str = "task",
    power: float = 0.8,
    alpha: float = 0.05,
) -> Detectable:
    """Find the smallest differences that a test set tells, from answers that models gave on it.

    Two models tell how many answers are discordant, and how much those of a cluster go alike; of one model alone
    the latter is taken from its answers for both.

    Args:
        a: Answers of a model.
        b: Answers of another to the same questions; ``None`` for none.
        discordant: Share of questions that exactly one of two models has right, where ``b`` does not tell.
        task: What was asked.
        power: Chance that a difference is told.
        alpha: Level of the test.

    Returns:
        The differences. Where parts of a success are earned, the discordant share is the mean squared difference.

    Raises:
        Refusal: If the models were not asked the same questions.
    """
    (codes,), _ = code_clusters([a])
    effect = paired_effect = _effect(a.credit, codes)
    if b is not None:
        gained = a.credit - align(a, b, task)
        discordant, paired_effect = float(np.mean(gained**2)), _effect(gained, codes)
    return detect(
        len(a),
        float(a.credit.mean()),
        discordant,
        effects=(effect, paired_effect),
        power=power,
        alpha=alpha,
    )


def _effect(values: FloatArray, codes: IntArray) -> float:
    # A single cluster is worth a single question.
    return design_effect(values, codes) if codes.max() > 0 else float(len(values))
