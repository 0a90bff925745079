"""Sorts images into natural, rendition and ambiguous by two linear probes whose thresholds are certified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.errors import Refusal
from oddpair.splits.certificate import Certificate, certify, clopper_pearson, likeliest_share

NATURAL, RENDITION, AMBIGUOUS = "natural", "rendition", "ambiguous"
CLASSES = (NATURAL, RENDITION, AMBIGUOUS)
PROBED = (NATURAL, RENDITION)

_FIT_SHARE, _THRESHOLD_SHARE = 0.4, 0.3
_PENALTY = 0.1  # sklearn's C: the probes see about as many features as rows of a class
_FOLDS = 5
_CHUNK = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleProbe:
    """Two one-against-the-rest linear probes, natural and rendition, on standardised features.

    Attributes:
        mean: Mean of the features at fit, shape ``(d,)``.
        scale: Their standard deviation, 1 where it is 0, shape ``(d,)``.
        weights: Columns natural and rendition, shape ``(d, 2)``.
        intercepts: Shape ``(2,)``.
        unseen_scores: Scores of the fit rows by probes that did not see them, shape ``(n, 2)``.
        labels: Hand labels of the fit rows, shape ``(n,)``.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    unseen_scores: NDArray[np.float64]
    labels: NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How one class fares on hand-labelled rows that neither fit nor threshold saw.

    Attributes:
        style: The class, natural or rendition.
        rows: Held-out rows.
        members: Of these, rows labelled ``style``.
        accepted: Of these, rows sorted as ``style``.
        correct: Accepted rows that are labelled ``style``.
        opposite: Accepted rows that are labelled as the other of natural and rendition.
        precision: Two-sided interval of the precision.
        recall: Two-sided interval of the recall.
        leak_bound: With this confidence at most this share of what is accepted is of the other style.
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
        classes: One of ``CLASSES`` per corpus row, shape ``(n,)``.
        natural: Certificate of the natural probe.
        rendition: Certificate of the rendition probe.
        held_out: Natural, then rendition, on the untouched part of the labels.
        fit: Corpus rows of the labels used to fit, int64.
        threshold: Corpus rows of the labels used for the thresholds.
        report: Corpus rows of the labels used for ``held_out`` alone.
    """

    classes: NDArray[np.str_]
    natural: Certificate
    rendition: Certificate
    held_out: tuple[HeldOut, HeldOut]
    fit: NDArray[np.int64]
    threshold: NDArray[np.int64]
    report: NDArray[np.int64]

    @property
    def card(self) -> tuple[tuple[str, str], ...]:
        """The rows of the split card: classes, thresholds, held-out precision and recall, leaks."""
        rows = [(f"rows sorted {name}", f"{int((self.classes == name).sum()):,}") for name in CLASSES]
        for name, found in ((NATURAL, self.natural), (RENDITION, self.rendition)):
            rows.append(
                (
                    f"{name} threshold",
                    f"score >= {found.threshold:.4f}, precision at least {found.lower_bound:.4f} at "
                    f"{found.confidence:.0%} ({found.correct:,} of {found.accepted:,} accepted labels right, "
                    f"{len(found.steps)} thresholds tried)",
                )
            )
        for part in self.held_out:
            rows.append(
                (
                    f"{part.style} precision, held out",
                    _proportion(part.correct, part.accepted, part.precision),
                )
            )
            rows.append(
                (f"{part.style} recall, held out", _proportion(part.correct, part.members, part.recall))
            )
            rows.append(
                (
                    f"other style among {part.style}",
                    f"at most {part.leak_bound:.2%} at {part.confidence:.0%} "
                    f"({part.opposite:,} of {part.accepted:,} held-out rows)",
                )
            )
        return tuple(rows)


def fit_style(features: ArrayLike, labels: ArrayLike) -> StyleProbe:
    """Fit a natural and a rendition probe, each against all other rows, ambiguous ones among them.

    Args:
        features: One row per labelled image, shape ``(n, d)``; earlier-layer statistics beside the embedding
            are what tells ambiguous images from natural ones.
        labels: One of ``CLASSES`` per row, shape ``(n,)``.

    Returns:
        The probes; the same arrays give the same probes.

    Raises:
        Refusal: If no row is natural, or none is a rendition; a corpus may have no ambiguous row.
        ValueError: If shapes differ, a label is unknown or a feature is not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x, y = _as_features(features).astype(np.float64), np.asarray(labels, dtype=np.str_)
    if y.shape != x.shape[:1]:
        raise ValueError(f"features have {len(x)} rows, labels have shape {y.shape}")
    unknown = sorted(set(y.tolist()) - set(CLASSES))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is none of {', '.join(CLASSES)}")
    for name in PROBED:
        if not (y == name).any():
            raise Refusal(f"no row of the {len(y):,} to fit the style probe is labelled {name}: label some")
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1.0
    z = (x - mean) / scale
    probes = []
    unseen = np.empty((len(y), len(PROBED)))
    # One thread: several give other last bits on other machines, and are slower on matrices this small.
    with threadpool_limits(1):
        for column, name in enumerate(PROBED):
            truth = y == name
            probes.append(LogisticRegression(C=_PENALTY, max_iter=2000).fit(z, truth))
            unseen[:, column] = _unseen_scores(z, truth)
    return StyleProbe(
        mean=mean,
        scale=scale,
        weights=np.column_stack([probe.coef_[0] for probe in probes]),
        intercepts=np.array([probe.intercept_[0] for probe in probes]),
        unseen_scores=unseen,
        labels=y,
    )


def scores(probe: StyleProbe, features: ArrayLike) -> NDArray[np.float64]:
    """Score images by both probes; 0 is the probe's even odds, higher is more like the class.

    Args:
        probe: What ``fit_style`` returned.
        features: Shape ``(n, d)``.

    Returns:
        Columns natural and rendition, shape ``(n, 2)``.

    Raises:
        ValueError: If the dimension differs from the probe's or a feature is not finite.
    """
    from threadpoolctl import threadpool_limits

    x = _as_features(features)
    if x.shape[1] != len(probe.mean):
        raise ValueError(f"features have dimension {x.shape[1]}, the probe has {len(probe.mean)}")
    found = np.empty((len(x), len(PROBED)))
    with threadpool_limits(1):
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            z = (x[part].astype(np.float64) - probe.mean) / probe.scale
            found[part] = z @ probe.weights + probe.intercepts
    return found


def sort_styles(
    probe: StyleProbe, features: ArrayLike, natural: Certificate, rendition: Certificate
) -> NDArray[np.str_]:
    """Sort images: natural or rendition where one probe accepts and the other does not, else ambiguous.

    Args:
        probe: What ``fit_style`` returned.
        features: Shape ``(n, d)``.
        natural: Certificate of the natural probe.
        rendition: Certificate of the rendition probe.

    Returns:
        One of ``CLASSES`` per row, shape ``(n,)``.
    """
    return _sort(scores(probe, features), natural.threshold, rendition.threshold)


def split_labels(
    uids: Sequence[str], labels: Sequence[str], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split hand-labelled rows at random: 40 % to fit, 30 % for the thresholds, 30 % to report on.

    Which part a uid falls into does not depend on the order of the rows.

    Args:
        uids: Unique ids of the labelled rows, length ``n``.
        labels: Their labels, length ``n``.
        rng: Source of the split.

    Returns:
        Three ascending arrays of positions in ``uids``, together each position once.

    Raises:
        Refusal: If there are fewer than 10 rows or a uid is labelled twice.
        ValueError: If the lengths differ.
    """
    n = len(uids)
    if len(labels) != n:
        raise ValueError(f"{n} uids, {len(labels)} labels")
    if n < 10:
        raise Refusal(f"{n} labelled rows cannot be split into fit, threshold and report: label at least 10")
    by_uid = sorted(range(n), key=uids.__getitem__)
    for before, after in pairwise(by_uid):
        if uids[before] == uids[after]:
            raise Refusal(
                f"uid {uids[after]!r} is labelled twice, at rows {before} and {after}: keep one of them"
            )
    order = np.asarray(by_uid, dtype=np.int64)[rng.permutation(n)]
    first, second = round(_FIT_SHARE * n), round((_FIT_SHARE + _THRESHOLD_SHARE) * n)
    return np.sort(order[:first]), np.sort(order[first:second]), np.sort(order[second:])


def report(classes: ArrayLike, labels: ArrayLike, style: str, *, confidence: float = 0.95) -> HeldOut:
    """Compare sorted classes with hand labels on rows that were used for nothing else.

    Args:
        classes: What the sort says, shape ``(n,)``.
        labels: What a person says, shape ``(n,)``.
        style: ``natural`` or ``rendition``.
        confidence: Of the intervals and of the leak bound.

    Returns:
        Counts and bounds; where no row is accepted nothing is known and the bounds are 0 and 1.

    Raises:
        ValueError: If shapes differ, there is no row, or the style is neither.
    """
    found, truth = np.asarray(classes, dtype=np.str_), np.asarray(labels, dtype=np.str_)
    if found.shape != truth.shape or found.ndim != 1 or not len(found):
        raise ValueError(f"classes have shape {found.shape}, labels {truth.shape}; both need (n,), n > 0")
    if style not in PROBED:
        raise ValueError(f"style {style!r} is neither of {' and '.join(PROBED)}")
    accepted = found == style
    other = RENDITION if style == NATURAL else NATURAL
    n_accepted, members = int(accepted.sum()), int((truth == style).sum())
    correct, opposite = int((accepted & (truth == style)).sum()), int((accepted & (truth == other)).sum())
    return HeldOut(
        style=style,
        rows=len(truth),
        members=members,
        accepted=n_accepted,
        correct=correct,
        opposite=opposite,
        precision=_interval(correct, n_accepted, confidence),
        recall=_interval(correct, members, confidence),
        leak_bound=clopper_pearson(opposite, n_accepted, confidence, "upper"),
        confidence=confidence,
    )


def sort_corpus(
    features: ArrayLike,
    uids: Sequence[str],
    labels: dict[str, str],
    rng: np.random.Generator,
    *,
    precision: float = 0.98,
    confidence: float = 0.95,
) -> StyleSort:
    """Sort a corpus by hand labels of some of its rows: split the labels, fit, certify, sort, report.

    The walk to each threshold begins where the fit rows, scored by probes that did not see them, say that
    it is likeliest to pass.

    Args:
        features: One row per corpus image, shape ``(n, d)``.
        uids: The corpus rows' ids, length ``n``.
        labels: Hand label by uid; every uid must be in the corpus.
        rng: Source of the split of the labels.
        precision: Precision to certify for both classes.
        confidence: Probability of each guarantee.

    Returns:
        Classes of all rows, the certificates and the held-out report.

    Raises:
        Refusal: If a label's uid is not in the corpus, a class has no label or no threshold can be certified.
    """
    x = _as_features(features)
    if len(uids) != len(x):
        raise ValueError(f"features have {len(x)} rows, {len(uids)} uids were given")
    row_of = {uid: row for row, uid in enumerate(uids)}
    missing = sorted(set(labels) - set(row_of))
    if missing:
        raise Refusal(
            f"{len(missing):,} labelled uids are not in the corpus, such as {missing[0]!r}: "
            "give the labels of this corpus"
        )
    labelled = sorted(labels)
    rows = np.array([row_of[uid] for uid in labelled], dtype=np.int64)
    truth = np.array([labels[uid] for uid in labelled], dtype=np.str_)
    fit, threshold, held = split_labels(labelled, truth.tolist(), rng)
    probe = fit_style(x[rows[fit]], truth[fit])
    score = scores(probe, x)
    certificates = []
    for column, name in enumerate(PROBED):
        share = likeliest_share(
            probe.unseen_scores[:, column],
            probe.labels == name,
            len(threshold),
            precision=precision,
            confidence=confidence,
        )
        certificates.append(
            certify(
                score[rows[threshold], column],
                truth[threshold] == name,
                precision=precision,
                confidence=confidence,
                first=round(share * len(threshold)),
                style=name,
            )
        )
    natural, rendition = certificates
    classes = _sort(score, natural.threshold, rendition.threshold)
    seen = classes[rows[held]], truth[held]
    return StyleSort(
        classes=classes,
        natural=natural,
        rendition=rendition,
        held_out=(
            report(*seen, NATURAL, confidence=confidence),
            report(*seen, RENDITION, confidence=confidence),
        ),
        fit=rows[fit],
        threshold=rows[threshold],
        report=rows[held],
    )


def _sort(score: NDArray[np.float64], natural: float, rendition: float) -> NDArray[np.str_]:
    accepts_natural, accepts_rendition = score[:, 0] >= natural, score[:, 1] >= rendition
    return np.where(
        accepts_natural & ~accepts_rendition,
        NATURAL,
        np.where(accepts_rendition & ~accepts_natural, RENDITION, AMBIGUOUS),
    )


def _unseen_scores(z: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = min(_FOLDS, int(truth.sum()), int((~truth).sum()))
    if folds < 2:  # one row of a class: no fold can be scored, every start is as good as another
        return np.zeros(len(truth))
    found: NDArray[np.float64] = cross_val_predict(
        LogisticRegression(C=_PENALTY, max_iter=2000),
        z,
        truth,
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
        method="decision_function",
    )
    return found


def _as_features(features: ArrayLike) -> NDArray[np.floating[Any]]:
    x = np.asarray(features)
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"features have shape {x.shape}, needed (n, d) with a row and a column at least")
    if not np.isfinite(x).all():
        raise ValueError(
            f"features at row {int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])} are not finite"
        )
    return x


def _interval(correct: int, trials: int, confidence: float) -> tuple[float, float]:
    each = (1 + confidence) / 2
    return clopper_pearson(correct, trials, each, "lower"), clopper_pearson(correct, trials, each, "upper")


def _proportion(correct: int, trials: int, interval: tuple[float, float]) -> str:
    if not trials:
        return "unknown, no held-out row"
    return f"{correct / trials:.3f} [{interval[0]:.3f}, {interval[1]:.3f}] ({correct:,} of {trials:,})"
