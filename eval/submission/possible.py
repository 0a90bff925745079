"""Whether a model can have given the answers of some records: what the scores beside them leave open."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.eval.scoring.ranking import LISTED
from oddpair.eval.scoring.record_checks import Fault, as_matrix, lengths_of
from oddpair.eval.scoring.retrieval import IMAGE_TO_TEXT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Scores are cosines; embeddings that were normalised in half precision are a little off length 1.
MOST = 1.01
# Records hold float32.
_ROUNDING = 1e-6


def find_impossible(records: pa.Table, kind: Kind, *, n_classes: int, logit_scale: float) -> Fault | None:
    """Return the first row that no model can have answered, as far as the records tell.

    Choice and multilabel hold every score, and nothing that is measured of them is open. Of retrieval the score of a
    picture is the highest of its captions', and counts leave room for the right answers. Of classification and pairs
    the five best scores are listed. They prove the places of all listed classes, and so ``top1`` and ``top5`` save for
    ties; the counts of a target below the list, and of ties that go on below it, are bounded by ``n_candidates`` alone.
    ``logsumexp``, and so the confidence that calibration is made of, is held between what it is if all candidates that
    are not listed score as low as a cosine can, and as high as the list and the target's place let them: with five
    candidates or fewer it is proven.

    What no file can prove is that a model with this logit scale gave these scores at all: that is what a second run of
    the weights is for.

    Args:
        records: Records that `oddpair.eval.scoring.records.check_records` lets pass.
        kind: What was asked.
        n_classes: Classes of the task; not looked at for retrieval and choice.
        logit_scale: What the model multiplies cosines with.

    Returns:
        The row and what is wrong with it; none where all can be.
    """
    fault = _find_no_cosine(records)
    if fault is not None:
        return fault
    if kind == "retrieval":
        return _check_retrieval(records)
    if kind in ("classification", "pairs"):
        return _check_ranked(records, n_classes, logit_scale)
    return None


def bound_logsumexp(
    listed: FloatArray,
    own: FloatArray,
    *,
    greater: IntArray,
    tied: IntArray,
    candidates: IntArray,
    logit_scale: float,
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the most that the logarithm of the summed exponentials of all scores can be.

    Args:
        listed: The best scores, falling, ``-inf`` behind the end of a shorter list, shape ``(n, places)``.
        own: Score of the target, shape ``(n,)``.
        greater: Candidates before the target, shape ``(n,)``.
        tied: Candidates level with it.
        candidates: Candidates in all.
        logit_scale: What scores are multiplied with, above 0.

    Returns:
        Both bounds, shape ``(n,)``. Rounding of the scores is not allowed for.

    >>> counts = {"greater": np.array([0]), "tied": np.array([1]), "candidates": np.array([3])}
    >>> low, high = bound_logsumexp(np.array([[0.5, 0.5]]), np.array([0.5]), **counts, logit_scale=1.0)
    >>> bool(low[0] < np.log(np.exp([0.5, 0.5, 0.1]).sum()) < high[0])
    True
    """
    n_listed = np.isfinite(listed).sum(axis=1)
    first, last = listed[:, 0], np.where(np.isfinite(listed), listed, np.inf).min(axis=1)
    # Of those that are not listed: before the target, level with it, and after it.
    above = np.maximum(greater - n_listed, 0)
    level = np.maximum(greater + tied + 1 - np.maximum(n_listed, greater), 0)
    below = candidates - n_listed - above - level

    def lifted(score: FloatArray | float) -> FloatArray:
        found: FloatArray = np.exp(logit_scale * (score - first))
        return found

    known = np.exp(logit_scale * (listed - first[:, np.newaxis])).sum(axis=1) + level * lifted(own)
    low = known + above * lifted(own) + below * lifted(-MOST)
    high = known + above * lifted(last) + below * lifted(np.minimum(own, last))
    return logit_scale * first + np.log(low), logit_scale * first + np.log(high)


def _find_no_cosine(records: pa.Table) -> Fault | None:
    for name in ("top_scores", "target_score", "best_score", "scores"):
        if name not in records.column_names:
            continue
        column = records[name]
        is_list = pa.types.is_list(column.type)
        width = int(lengths_of(column).max()) if is_list else 1
        scores = as_matrix(column, width, 0.0) if is_list else column.to_numpy()[:, np.newaxis]
        wrong = np.abs(scores) > MOST
        if wrong.any():
            row = int(wrong.any(axis=1).argmax())
            found = float(scores[row][wrong[row]][0])
            return Fault(row, f"has a {name} of {found:.6g}, which is no cosine")
    return None


def _check_ranked(records: pa.Table, n_classes: int, logit_scale: float) -> Fault | None:
    classes = as_matrix(records["top_classes"], LISTED, -1)
    partner = records["partner"].to_numpy()[:, np.newaxis]
    if (classes >= n_classes).any():
        return Fault(int((classes >= n_classes).any(axis=1).argmax()), f"lists a class above {n_classes - 1}")
    given = (classes == partner) & (classes >= 0)
    if given.any():
        return Fault(int(given.any(axis=1).argmax()), "lists the class that is given as a candidate")
    listed = as_matrix(records["top_scores"], LISTED, -np.inf).astype(np.float64)
    greater, tied, candidates = (
        records[name].to_numpy().astype(np.int64) for name in ("n_greater", "n_tied", "n_candidates")
    )
    low, high = bound_logsumexp(
        listed,
        records["target_score"].to_numpy().astype(np.float64),
        greater=greater,
        tied=tied,
        candidates=candidates,
        logit_scale=logit_scale,
    )
    told = records["logsumexp"].to_numpy().astype(np.float64)
    room = _ROUNDING * (1 + logit_scale)
    wrong = np.flatnonzero((told < low - room) | (told > high + room))
    if not len(wrong):
        return None
    row = int(wrong[0])
    return Fault(
        row,
        f"has a logsumexp of {told[row]:.6f}, its scores and the logit scale {logit_scale:g} make {low[row]:.6f} to "
        f"{high[row]:.6f}",
    )


def _check_retrieval(records: pa.Table) -> Fault | None:
    key = records["key"].to_numpy(zero_copy_only=False).astype(str)
    is_image = records["direction"].to_numpy(zero_copy_only=False) == IMAGE_TO_TEXT
    best = records["best_score"].to_numpy().astype(np.float64)
    greater, tied, level, candidates = (
        records[name].to_numpy().astype(np.int64)
        for name in ("n_greater", "n_tied", "n_positives_tied", "n_candidates")
    )
    asked, place = np.unique(key, return_inverse=True)
    n_right = np.bincount(place[~is_image], minlength=len(asked))[place]
    highest = np.full(len(asked), -np.inf)
    np.maximum.at(highest, place[~is_image], best[~is_image])
    n_right = np.where(is_image, n_right, 1)
    for holds, what in (
        (
            (greater + tied + n_right <= candidates) & (level <= n_right),
            "counts more wrong or right answers than there are",
        ),
        (
            ~is_image | (np.abs(best - highest[place]) <= _ROUNDING),
            "has another best score than the best of its captions",
        ),
    ):
        if not holds.all():
            return Fault(int((~holds).argmax()), what)
    return None
