"""Precision in the corpus, where labels are no random sample of it: from accept rates by class and the classes' shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.splits.styles.certificate import MOST_STEPS, Certificate, Step
from oddpair.splits.styles.scorer import CLASSES, CODE, Codes, Scores

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What share of the corpus each class is, in the order of ``CLASSES``.

    A statement about the corpus rests on three accept rates and, unless they are given, on three bounds of shares. Each
    of them may be wrong with its own risk, and the whole with no more than their sum: with given shares the rates have a
    third each, with estimated ones a sixth each, and so have the shares.

    Attributes:
        lower: Lower bounds, shape ``(3,)``.
        upper: Upper bounds, shape ``(3,)``.
        risk: Left for each accept rate.
        drawn: Rows drawn at random of each class, from which the shares are estimated; ``None`` where they were given.
        confidence: Of what is said by way of them.
    """

    lower: Floats
    upper: Floats
    risk: float
    drawn: tuple[int, ...] | None
    confidence: float

    def without(self, gone: Counts, total: int) -> Shares:
        """Return the shares among the rows that are left when rows of known classes are gone.

        Args:
            gone: Rows of each class, shape ``(3,)``.
            total: Rows before.

        Returns:
            The bounds, which hold whenever those before did; they are the same if nothing is left.
        """
        left = total - int(gone.sum())
        if not left:
            return self
        lower, upper = ((share * total - gone) / left for share in (self.lower, self.upper))
        return replace(self, lower=np.clip(lower, 0, 1), upper=np.clip(upper, 0, 1))

    def worst(self, code: int, rates: Floats) -> tuple[Floats, Floats]:
        """Return the smallest share that a class may have, and what the worst of the other two adds to its rows.

        Args:
            code: The class.
            rates: Rate of each class, shape ``(k, 3)``.

        Returns:
            Share of the class, and share times rate summed over the others, at its largest; each of shape ``(k,)``.
        """
        first, second = (other for other in range(len(CLASSES)) if other != code)
        mine = max(float(self.lower[code]), 1 - float(self.upper[first]) - float(self.upper[second]))
        rest = 1 - mine
        # As much as may be of the other class of which more is accepted.
        options = [self._fill(rest, more, less, rates) for more, less in ((first, second), (second, first))]
        return np.full(len(rates), mine), np.maximum(*options)

    def _fill(self, rest: float, more: int, less: int, rates: Floats) -> Floats:
        share = min(rest, float(self.upper[more]))
        return share * rates[:, more] + (rest - share) * rates[:, less]


def give_shares(shares: Mapping[str, float], confidence: float) -> Shares:
    """Take shares of the corpus as they are given, by class."""
    given = np.array([shares[name] for name in CLASSES])
    return Shares(lower=given, upper=given, risk=(1 - confidence) / 3, drawn=None, confidence=confidence)


def estimate_shares(codes: Codes, confidence: float) -> Shares:
    """Bound the shares of the classes by rows that were drawn from the corpus at random.

    Args:
        codes: Their labels, shape ``(n,)``.
        confidence: Of statements that rest on them.

    Returns:
        Clopper-Pearson bounds.

    Raises:
        Refusal: If there is no row.
    """
    if not len(codes):
        raise Refusal(
            "labels_are is by-class, and no labelled row is known to be drawn at random: mark such rows as random in the "
            "column 'drawn' of the labels, or give the shares of the classes in the corpus"
        )
    counts = count_classes(codes)
    total = np.full(len(CLASSES), len(codes))
    risk = (1 - confidence) / 6
    return Shares(
        lower=clopper_pearson(counts, total, 1 - risk, "lower"),
        upper=clopper_pearson(counts, total, 1 - risk, "upper"),
        risk=risk,
        drawn=tuple(counts.tolist()),
        confidence=confidence,
    )


def bound_precision(accepted: Counts, labelled: Counts, shares: Shares, style: str) -> Floats:
    """Return a lower bound of the precision in the corpus.

    ``pi t / (pi t + sum of pi f)`` with the class's share ``pi`` and accept rate ``t`` at their lower bounds, and the
    shares and rates ``f`` of the others at their upper ones, as far as shares can go together.

    Args:
        accepted: Accepted labelled rows of each class, shape ``(k, 3)``.
        labelled: Labelled rows of each class, shape ``(3,)``.
        shares: Of the classes in the corpus.
        style: The class.

    Returns:
        Bounds that hold one by one with the shares' confidence, shape ``(k,)``; 0 where nothing is known.

    >>> shares = give_shares({"natural": 0.5, "rendition": 0.5, "ambiguous": 0.0}, 0.95)
    >>> bound_precision(np.array([[900, 0, 0]]), np.array([1000, 1000, 0]), shares, "natural").round(4)
    array([0.9954])
    """
    code = CODE[style]
    total = np.broadcast_to(labelled, accepted.shape)
    rates = clopper_pearson(accepted, total, 1 - shares.risk, "upper")
    mine = clopper_pearson(accepted[:, code], total[:, code], 1 - shares.risk, "lower")
    share, wrong = shares.worst(code, rates)
    right = share * mine
    found: Floats = np.divide(right, right + wrong, out=np.zeros(len(right)), where=right > 0)
    return found


def bound_leak(accepted: Counts, labelled: Counts, shares: Shares, style: str, other: str) -> float:
    """Return an upper bound of the share that another class has among accepted rows of the corpus.

    Args:
        accepted: Accepted labelled rows of each class, shape ``(3,)``; none of them used for anything else.
        labelled: Labelled rows of each class, shape ``(3,)``.
        shares: Of the classes in the corpus.
        style: The class that was asked for.
        other: The class that leaks in.

    Returns:
        The bound, which holds with the shares' confidence; 1 where nothing is known.
    """
    mine, leaking = CODE[style], CODE[other]
    third = next(code for code in range(len(CLASSES)) if code not in (mine, leaking))
    leak = clopper_pearson(int(accepted[leaking]), int(labelled[leaking]), 1 - shares.risk, "upper")
    right, neither = (
        clopper_pearson(int(accepted[code]), int(labelled[code]), 1 - shares.risk, "lower")
        for code in (mine, third)
    )
    # The leaking class as frequent as it may be, and of the rest as much as may be of the class that is accepted less.
    least = float(shares.lower[mine])
    most = min(float(shares.upper[leaking]), 1 - least)
    rest = min(float(shares.upper[third]), 1 - most - least) if neither < right else 0.0
    wrong, others = most * leak, rest * neither + (1 - most - rest) * right
    return wrong / (wrong + others) if others > 0 else 1.0


def choose_thresholds(unseen: Scores, codes: Codes, shares: Shares, style: str) -> Floats:
    """Choose the thresholds to try, from strict to loose, judged on rows that the certificate does not see.

    At most 100, at even shares of the class's rows, from the one whose bound is best on these rows: a stricter one
    accepts too few to be certified, a looser one too many that are wrong.

    Args:
        unseen: Scores of labelled rows by a classifier that did not see them, shape ``(u,)``.
        codes: Their labels, shape ``(u,)``.
        shares: Of the classes in the corpus.
        style: The class.

    Returns:
        Descending.
    """
    members = np.sort(unseen[codes == CODE[style]])[::-1]
    if not len(members):
        return np.empty(0)
    places = np.unique(np.linspace(0, len(members) - 1, MOST_STEPS).round().astype(np.int64))
    thresholds = np.unique(members[places])[::-1]
    bounds = bound_precision(*_count(unseen, codes, thresholds), shares, style)
    return thresholds[int(np.argmax(bounds)) :]


def certify_deployed(
    scores: Scores,
    codes: Codes,
    thresholds: Floats,
    shares: Shares,
    *,
    style: str,
    precision: float = 0.98,
) -> Certificate:
    """Find the loosest threshold whose precision in the corpus is certified, by a walk from strict to loose.

    Args:
        scores: Of labelled rows that were not used to fit, shape ``(n,)``; within each class these rows are a random
            sample of the corpus.
        codes: Their labels, shape ``(n,)``.
        thresholds: To try, descending, chosen without these labels.
        shares: Of the classes in the corpus; their confidence is the certificate's.
        style: The class.
        precision: Share of the accepted corpus rows that must be of the class.

    Returns:
        The threshold and the walk, which stopped at its first failure; counts are of labelled rows.

    Raises:
        Refusal: If the strictest threshold fails, with what would help.

    References:
        Maurer, Hothorn and Lehmacher, 1995 (fixed-sequence testing).
    """
    if not len(thresholds):
        raise Refusal(f"{style}: no labelled row to choose thresholds from: label some rows of this class")
    accepted, labelled = _count(scores, codes, thresholds)
    bounds = bound_precision(accepted, labelled, shares, style)
    failed = np.flatnonzero(bounds < precision)
    tried = int(failed[0]) + 1 if len(failed) else len(thresholds)
    correct, total = accepted[:, CODE[style]], accepted.sum(axis=1)
    steps = tuple(
        Step(
            threshold=float(thresholds[i]),
            accepted=int(total[i]),
            correct=int(correct[i]),
            lower_bound=float(bounds[i]),
        )
        for i in range(tried)
    )
    if tried == 1 and len(failed):
        raise Refusal(_not_certified(accepted[0], labelled, shares, style, precision))
    last = steps[-2] if len(failed) else steps[-1]
    return Certificate(
        threshold=last.threshold,
        accepted=last.accepted,
        correct=last.correct,
        members=int(labelled[CODE[style]]),
        rows=len(codes),
        lower_bound=last.lower_bound,
        target=precision,
        confidence=shares.confidence,
        steps=steps,
    )


def count_classes(codes: Codes) -> Counts:
    """Count the rows of each class, shape ``(3,)``."""
    return np.bincount(codes, minlength=len(CLASSES)).astype(np.int64)


def _count(scores: Scores, codes: Codes, thresholds: Floats) -> tuple[Counts, Counts]:
    """Count the rows of each class that each threshold accepts, and all of them."""
    accepted = np.empty((len(thresholds), len(CLASSES)), dtype=np.int64)
    for code in range(len(CLASSES)):
        members = np.sort(scores[codes == code])
        accepted[:, code] = len(members) - np.searchsorted(members, thresholds, side="left")
    return accepted, count_classes(codes)


def _not_certified(accepted: Counts, labelled: Counts, shares: Shares, style: str, precision: float) -> str:
    bound = float(bound_precision(accepted[None], labelled, shares, style)[0])
    parts = ", ".join(f"{accepted[code]:,} of {labelled[code]:,} {name}" for code, name in enumerate(CLASSES))
    found = (
        f"{style}: precision {precision:g} in the corpus is not certified: the strictest threshold accepts {parts} "
        f"labelled rows, which bounds it at {bound:.4f}"
    )
    many = np.array([2**power for power in range(1, 11)])
    bounds = [
        float(bound_precision(accepted[None] * times, labelled * times, shares, style)[0]) for times in many
    ]
    enough = [int(times) for times, each in zip(many, bounds, strict=True) if each >= precision]
    if enough:
        return (
            f"{found}; about {enough[0]} times as many labels of each class are needed: label more or ask for a lower "
            "precision"
        )
    drawn = (
        ""
        if shares.drawn is None
        else f", more than {sum(shares.drawn):,} rows drawn at random for the shares"
    )
    return (
        f"{found}; more labels of this kind would not help: use better features{drawn} or a lower precision"
    )
