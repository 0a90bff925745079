"""Sorts pictures into natural, rendition and ambiguous by two classifiers whose thresholds are certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.proportion import clopper_pearson, clopper_pearson_interval
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.certificate import Certificate, certify, likeliest_share
from oddpair.splits.styles.deployment import (
    Shares,
    bound_leak,
    certify_deployed,
    choose_thresholds,
    count_classes,
)
from oddpair.splits.styles.features import StyleFeatures
from oddpair.splits.styles.rounding import name_confidence, round_down, round_up
from oddpair.splits.styles.scorer import (
    AMBIGUOUS,
    CLASSES,
    CODE,
    NATURAL,
    OTHER,
    PROBED,
    RENDITION,
    Codes,
    Scores,
    StyleScorer,
)

_FIT_SHARE, _THRESHOLD_SHARE = 0.4, 0.3

Fit = Callable[[StyleFeatures, IntArray, Codes], StyleScorer]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How one class fares on hand-labelled rows that neither fit nor threshold saw.

    Attributes:
        style: The class, natural or rendition.
        rows: Held-out rows.
        members: Of these, rows labelled ``style``.
        accepted: Of these, rows that are kept as ``style``.
        correct: Accepted rows that are labelled ``style``.
        opposite: Accepted rows that are labelled as the other of natural and rendition.
        precision: Two-sided interval of the precision among labelled rows.
        recall: Two-sided interval of the recall.
        leak_bound: With this confidence at most this share of what is accepted is of the other style, in the corpus.
        confidence: Of the intervals and of the bound.
    """

    style: str
    rows: int
    members: int
    accepted: int
    correct: int
    opposite: int
    precision: tuple[float, float]
    recall: tuple[float, float]
    leak_bound: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSort:
    """A sorted corpus and what is known about its errors.

    Attributes:
        codes: Class of each row as the classifiers see it, shape ``(n,)``.
        natural: Certificate of the natural classifier.
        rendition: Certificate of the rendition classifier.
        held_out: Natural, then rendition, on the untouched part of the labels.
        fit: Rows of the labels used to fit, ascending.
        threshold: Rows of the labels used for the thresholds.
        report: Rows of the labels used for ``held_out`` alone.
        shares: Of the classes in the corpus; ``None`` where the labels are a random sample of it.
        scorer: The fitted classifiers, for other pictures.
    """

    codes: Codes
    natural: Certificate
    rendition: Certificate
    held_out: tuple[HeldOut, HeldOut]
    fit: IntArray
    threshold: IntArray
    report: IntArray
    shares: Shares | None
    scorer: StyleScorer

    @property
    def seen(self) -> IntArray:
        """Rows whose labels were used to fit or for a threshold."""
        return np.concatenate([self.fit, self.threshold])

    def certificate(self, style: str) -> Certificate:
        """Return the certificate of one classifier."""
        return self.natural if style == NATURAL else self.rendition


def sort_scores(scores: Scores, natural: float, rendition: float) -> Codes:
    """Sort rows: natural or rendition where one classifier accepts and the other does not, else ambiguous.

    Args:
        scores: Columns natural and rendition, shape ``(n, 2)``.
        natural: Threshold of the natural classifier, which accepts scores at it.
        rendition: Threshold of the rendition classifier.

    Returns:
        Codes of classes, shape ``(n,)``.

    >>> sort_scores(np.array([[1, 0], [0, 1], [1, 1], [0, 0]]), 0.5, 0.5).tolist()
    [0, 1, 2, 2]
    """
    accepts_natural, accepts_rendition = scores[:, 0] >= natural, scores[:, 1] >= rendition
    codes = np.full(len(scores), CODE[AMBIGUOUS], dtype=np.int8)
    codes[accepts_natural & ~accepts_rendition] = CODE[NATURAL]
    codes[accepts_rendition & ~accepts_natural] = CODE[RENDITION]
    return codes


def split_labels(n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Split hand-labelled rows at random: 40 % to fit, 30 % for the thresholds, 30 % to report on.

    Args:
        n: Labelled rows, which are sorted by uid: which part one falls into does not depend on the corpus's order.
        rng: Source of the split.

    Returns:
        Three ascending arrays of places, together each place once.

    Raises:
        Refusal: If there are fewer than 10 rows.
    """
    if n < 10:
        raise Refusal(f"{n} labelled rows cannot be split into fit, threshold and report: label at least 10")
    order = rng.permutation(n)
    first, second = round(_FIT_SHARE * n), round((_FIT_SHARE + _THRESHOLD_SHARE) * n)
    return np.sort(order[:first]), np.sort(order[first:second]), np.sort(order[second:])


def report(
    kept: NDArray[np.bool_],
    codes: Codes,
    style: str,
    *,
    confidence: float = 0.95,
    shares: Shares | None = None,
) -> HeldOut:
    """Compare what is kept as a style with hand labels, on rows that were used for nothing else.

    Args:
        kept: Whether a row is kept as ``style``, shape ``(n,)``.
        codes: What a person says, shape ``(n,)``.
        style: ``natural`` or ``rendition``.
        confidence: Of the intervals and of the leak bound.
        shares: Of the classes in the corpus, where the labels are a random sample of each class only.

    Returns:
        Counts and bounds; where no row is kept nothing is known and the bounds are 0 and 1.

    Raises:
        ValueError: If shapes differ, there is no row, or the style is neither.
    """
    if kept.shape != codes.shape or kept.ndim != 1 or not len(kept):
        raise ValueError(f"kept has shape {kept.shape}, codes {codes.shape}; both need (n,), n > 0")
    if style not in PROBED:
        raise ValueError(f"style {style!r} is neither of {' and '.join(PROBED)}")
    by_class, labelled = count_classes(codes[kept]), count_classes(codes)
    accepted, correct, members = int(by_class.sum()), int(by_class[CODE[style]]), int(labelled[CODE[style]])
    opposite = int(by_class[CODE[OTHER[style]]])
    if shares is None:
        leak = clopper_pearson(opposite, accepted, confidence, "upper")
    else:
        leak = bound_leak(by_class, labelled, shares, style, OTHER[style])
    return HeldOut(
        style=style,
        rows=len(kept),
        members=members,
        accepted=accepted,
        correct=correct,
        opposite=opposite,
        precision=clopper_pearson_interval(correct, accepted, confidence),
        recall=clopper_pearson_interval(correct, members, confidence),
        leak_bound=leak,
        confidence=confidence,
    )


def sort_corpus(
    features: StyleFeatures,
    rows: IntArray,
    codes: Codes,
    rng: np.random.Generator,
    *,
    fit: Fit,
    precision: float = 0.98,
    confidence: float = 0.95,
    shares: Shares | None = None,
    sampled: NDArray[np.bool_] | None = None,
) -> StyleSort:
    """Sort a corpus by hand labels of some of its rows: split the labels, fit, certify, sort, report.

    The walk to each threshold begins where the fit rows, scored by classifiers that did not see them, say that it is
    likeliest to pass.

    Args:
        features: Of the corpus, not in memory.
        rows: Its rows to sort, each uid once, by uid, shape ``(n,)``.
        codes: Hand label of each of these rows, -1 for none, shape ``(n,)``.
        rng: Source of the split of the labels.
        fit: Fits a classifier to some rows and their labels.
        precision: Precision to certify for both classes.
        confidence: Probability of each guarantee.
        shares: Of the classes in the corpus, where labelled rows are a random sample of each class; ``None`` where they
            are one of the corpus.
        sampled: Labelled rows that are such a sample, shape ``(n,)``; others only serve to fit. ``None`` for all.

    Returns:
        Classes of all rows, the certificates and the held-out report.

    Raises:
        Refusal: If a class has no label or no threshold can be certified.
    """
    labelled = codes >= 0
    drawn = np.flatnonzero(labelled if sampled is None else labelled & sampled)
    others = np.flatnonzero(labelled & ~sampled) if sampled is not None else np.empty(0, dtype=np.int64)
    parts = split_labels(len(drawn), rng)
    to_fit = np.sort(np.concatenate([drawn[parts[0]], others]))
    threshold, held = drawn[parts[1]], drawn[parts[2]]
    scorer = fit(features, rows[to_fit], codes[to_fit])
    score = scorer.score(features).take(rows, axis=0)
    natural, rendition = (
        _certify(score[threshold, column], codes[threshold], scorer, name, precision, confidence, shares)
        for column, name in enumerate(PROBED)
    )
    found = sort_scores(score, natural.threshold, rendition.threshold)
    first, second = (
        report(found[held] == CODE[name], codes[held], name, confidence=confidence, shares=shares)
        for name in PROBED
    )
    return StyleSort(
        codes=found,
        natural=natural,
        rendition=rendition,
        held_out=(first, second),
        fit=to_fit,
        threshold=threshold,
        report=held,
        shares=shares,
        scorer=scorer,
    )


def _certify(
    score: Scores,
    codes: Codes,
    scorer: StyleScorer,
    style: str,
    precision: float,
    confidence: float,
    shares: Shares | None,
) -> Certificate:
    unseen = scorer.unseen[:, PROBED.index(style)]
    if shares is not None:
        thresholds = choose_thresholds(unseen, scorer.codes, shares, style)
        return certify_deployed(score, codes, thresholds, shares, style=style, precision=precision)
    first = likeliest_share(
        unseen, scorer.codes == CODE[style], len(codes), precision=precision, confidence=confidence
    )
    return certify(
        score,
        codes == CODE[style],
        precision=precision,
        confidence=confidence,
        first=round(first * len(codes)),
        style=style,
    )


def sort_card(sort: StyleSort) -> tuple[tuple[str, str], ...]:
    """Return the rows of the split card: classes, thresholds, held-out precision and recall, leaks."""
    counts = count_classes(sort.codes)
    rows = [(f"rows sorted {name}", f"{counts[code]:,}") for code, name in enumerate(CLASSES)]
    where = "precision" if sort.shares is None else "precision in the corpus"
    for name, found in ((NATURAL, sort.natural), (RENDITION, sort.rendition)):
        rows.append(
            (
                f"{name} threshold",
                f"score >= {round_down(found.threshold)}, {where} at least {round_down(found.lower_bound)} at "
                f"{name_confidence(found.confidence)} ({found.correct:,} of {found.accepted:,} accepted labels right, "
                f"{len(found.steps)} thresholds tried)",
            )
        )
    for part in sort.held_out:
        rows += [
            (f"{part.style} precision, held out", _proportion(part.correct, part.accepted, part.precision)),
            (f"{part.style} recall, held out", _proportion(part.correct, part.members, part.recall)),
            (
                f"other style among {part.style}",
                f"at most {round_up(part.leak_bound):.2%} at {name_confidence(part.confidence)} "
                f"({part.opposite:,} of {part.accepted:,} held-out rows)",
            ),
        ]
    return tuple(rows)


def _proportion(correct: int, trials: int, interval: tuple[float, float]) -> str:
    if not trials:
        return "unknown, no held-out row"
    return f"{correct / trials:.3f} [{round_down(interval[0], 3)}, {round_up(interval[1], 3)}] ({correct:,} of {trials:,})"
