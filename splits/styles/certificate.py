"""A threshold whose precision is certified: a fixed-sequence test from strict to loose, stopped at its first failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.proportion import clopper_pearson

MOST_STEPS = 100
NEARLY_BEST = 0.95


class Step(NamedTuple):
    """One threshold of the walk: the rows it accepts, how many are correct, and the bound on its precision."""

    threshold: float
    accepted: int
    correct: int
    lower_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A score threshold that keeps its precision: accept a row if ``score >= threshold``.

    Attributes:
        threshold: The loosest threshold that passed.
        accepted: Labelled rows that it accepts.
        correct: Accepted rows that are of the class.
        members: Labelled rows of the class.
        rows: Labelled rows.
        lower_bound: One-sided lower confidence bound of the precision, at least ``target``.
        target: The precision asked for.
        confidence: Probability, over draws of the labelled rows, that the precision is at least ``target``.
        steps: Every threshold tried, in order; only the last may have failed.
    """

    threshold: float
    accepted: int
    correct: int
    members: int
    rows: int
    lower_bound: float
    target: float
    confidence: float
    steps: tuple[Step, ...]

    @property
    def precision(self) -> float:
        """Share of the accepted labelled rows that are of the class."""
        return self.correct / self.accepted

    @property
    def recall(self) -> float:
        """Share of the labelled rows of the class that are accepted."""
        return self.correct / self.members


def smallest_perfect(precision: float, confidence: float) -> int:
    """Return the fewest accepted rows that can certify ``precision``, when not one of them is wrong.

    >>> smallest_perfect(0.98, 0.95)
    149
    """
    return math.ceil(math.log(1 - confidence) / math.log(precision))


def certify(
    scores: ArrayLike,
    is_class: ArrayLike,
    *,
    precision: float = 0.98,
    confidence: float = 0.95,
    first: int | None = None,
    style: str = "the class",
) -> Certificate:
    """Find the loosest score threshold whose precision is at least ``precision`` with ``confidence``.

    Thresholds accept a fixed sequence of counts, from ``first`` rows in at most 100 even steps to all of
    them, and are tested in this order by the Clopper-Pearson lower bound. The walk stops at the first
    failure. Since a threshold is only tried after all stricter ones passed, the chance that any threshold
    passes wrongly is at most ``1 - confidence``, however many are tried; the smallest threshold that
    happens to pass anywhere has no such guarantee, as it has as many chances as there are rows.

    By default the walk starts at twice the fewest rows that could pass, if there are so many: at the fewest
    themselves (149 rows for 0.98 at 95 %) a single wrong row ends it, at twice as many one is forgiven.

    Args:
        scores: Higher is more like the class, shape ``(n,)``. These rows must not have been used to fit.
        is_class: The hand labels, shape ``(n,)``.
        precision: Share of the accepted rows that must be of the class.
        confidence: Probability of the guarantee.
        first: Rows that the strictest threshold accepts; must be chosen without these labels.
        style: What the class is called in a refusal.

    Returns:
        The threshold, its bound and the walk. A threshold is one of the scores; tied rows are all accepted.

    Raises:
        Refusal: If there are too few rows, or the strictest threshold fails. There is no way round it but
            more labels, better features or a lower precision.
        ValueError: If the shapes differ or a score is not finite.

    References:
        Maurer, Hothorn and Lehmacher, 1995 (fixed-sequence testing); Angelopoulos et al., arXiv:2110.01052.

    >>> walk = certify(np.arange(400.0), np.arange(400) >= 60)
    >>> walk.accepted, walk.correct, walk.steps[-1].lower_bound < 0.98
    (342, 340, True)
    """
    score, truth = np.asarray(scores, dtype=np.float64), np.asarray(is_class, dtype=bool)
    _check(score, truth, precision, confidence)
    n, fewest = len(score), smallest_perfect(precision, confidence)
    if n < fewest:
        raise Refusal(
            f"{style}: {n:,} labelled rows cannot certify precision {precision:g} at {confidence:.0%} confidence, "
            f"even {fewest:,} without an error are needed: label more rows or ask for a lower precision"
        )
    if first is None:
        first = 2 * fewest
    ranked = np.sort(score)[::-1]
    counts = np.unique(np.linspace(min(max(first, fewest), n), n, MOST_STEPS).round().astype(np.int64))
    thresholds = np.unique(ranked[counts - 1])[::-1]
    accepted = n - np.searchsorted(ranked[::-1], thresholds, side="left")
    members = np.sort(score[truth])
    correct = len(members) - np.searchsorted(members, thresholds, side="left")
    bounds = clopper_pearson(correct, accepted, confidence, "lower")
    failed = np.flatnonzero(bounds < precision)
    tried = int(failed[0]) + 1 if len(failed) else len(thresholds)
    steps = tuple(
        Step(
            threshold=float(thresholds[i]),
            accepted=int(accepted[i]),
            correct=int(correct[i]),
            lower_bound=float(bounds[i]),
        )
        for i in range(tried)
    )
    if len(failed) and failed[0] == 0:
        raise Refusal(_not_certified(style, steps[0], n, precision, confidence))
    last = steps[-2] if len(failed) else steps[-1]
    return Certificate(
        threshold=last.threshold,
        accepted=last.accepted,
        correct=last.correct,
        members=int(truth.sum()),
        rows=n,
        lower_bound=last.lower_bound,
        target=precision,
        confidence=confidence,
        steps=steps,
    )


def likeliest_share(
    scores: ArrayLike, is_class: ArrayLike, rows: int, *, precision: float = 0.98, confidence: float = 0.95
) -> float:
    """Return the share of rows at which a walk over ``rows`` fresh rows should begin, judged on others.

    Too strict a start leaves no room for a wrong row, too loose a one has too many of them. For every
    share the wrong rows among these scores give a chance of passing; the strictest share whose chance is
    nearly the best wins, as the edge of a class lies elsewhere in every draw. Computed on rows that
    ``certify`` does not see, it costs the guarantee nothing.

    Args:
        scores: Scores of rows that the walk will not see, shape ``(n,)``; out-of-fold if the model saw them.
        is_class: Their labels, shape ``(n,)``.
        rows: Labelled rows of the walk.
        precision: As for ``certify``.
        confidence: As for ``certify``.

    Returns:
        Accepted rows as a share of all, above 0 and at most 1.

    Raises:
        ValueError: If the shapes differ, a score is not finite, or nothing is given.
    """
    from scipy.stats import binom

    score, truth = np.asarray(scores, dtype=np.float64), np.asarray(is_class, dtype=bool)
    _check(score, truth, precision, confidence)
    fewest = smallest_perfect(precision, confidence)
    counts = np.unique(np.linspace(min(fewest, rows), rows, MOST_STEPS).round().astype(np.int64))
    here = np.clip((counts * len(score) / rows).round().astype(np.int64), 1, len(score))
    wrong = np.cumsum(~truth[np.argsort(-score, kind="stable")])[here - 1]
    # Half a wrong row more than were seen: a start at which none was seen is good, not certain.
    share_wrong = np.minimum((wrong + 0.5) / (here + 1), 1.0)
    chance = np.asarray(binom.cdf(_forgiven(counts, precision, confidence), counts, share_wrong))
    return float(counts[np.argmax(chance >= NEARLY_BEST * chance.max())] / rows)


def _forgiven(accepted: NDArray[np.int64], precision: float, confidence: float) -> NDArray[np.int64]:
    most = int(accepted.max() * (1 - precision)) + 1
    wrong = np.arange(most + 1)
    found = np.empty(len(accepted), dtype=np.int64)
    for i, n in enumerate(accepted):
        k = np.maximum(n - wrong, 0)
        found[i] = int((clopper_pearson(k, np.full(len(k), n), confidence, "lower") >= precision).sum()) - 1
    return found


def _not_certified(style: str, step: Step, rows: int, precision: float, confidence: float) -> str:
    found = (
        f"{style}: precision {precision:g} is not certified: of the {step.accepted:,} highest of {rows:,} labelled "
        f"rows {step.correct:,} are right, which bounds precision at {step.lower_bound:.4f}"
    )
    share = step.correct / step.accepted
    if share <= precision:
        return f"{found}; more rows of this kind would not help: use better features or a lower precision"
    accepted = step.accepted
    while clopper_pearson(math.floor(share * accepted), accepted, confidence, "lower") < precision:
        accepted = math.ceil(accepted * 1.1)
    needed = math.ceil(rows * accepted / step.accepted)
    return f"{found}; about {needed:,} such rows are needed: label more or ask for a lower precision"


def _check(score: NDArray[np.float64], truth: NDArray[np.bool_], precision: float, confidence: float) -> None:
    if score.ndim != 1 or score.shape != truth.shape:
        raise ValueError(f"scores have shape {score.shape}, labels {truth.shape}; both need (n,)")
    if not np.isfinite(score).all():
        raise ValueError(f"score at row {int(np.flatnonzero(~np.isfinite(score))[0])} is not finite")
    for name, value in (("precision", precision), ("confidence", confidence)):
        if not 0 < value < 1:
            raise Refusal(
                f"{name} {value:g} cannot be certified: give a number between 0 and 1, both excluded"
            )
