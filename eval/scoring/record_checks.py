"""Rules within a row of records: counts that agree with the lists beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.eval.scoring.ranking import LISTED
from oddpair.eval.scoring.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE


class Fault(NamedTuple):
    """A row that breaks a rule."""

    row: int
    what: str


def find_fault(records: pa.Table, kind: Kind) -> Fault | None:
    """Return the first row that breaks the first rule broken; none where all hold.

    Args:
        records: Records of the kind, without gaps, each column of one chunk.
        kind: What was asked.
    """
    if kind in ("classification", "pairs"):
        return _check_ranked(records, with_partner=kind == "pairs")
    if kind == "retrieval":
        return _check_retrieval(records)
    return _check_choice(records) if kind == "choice" else _check_multilabel(records)


def as_matrix(column: pa.ChunkedArray, width: int, empty: float) -> NDArray[Any]:
    """Return lists as the rows of a matrix.

    Args:
        column: Lists of at most ``width`` numbers.
        width: Columns of the matrix.
        empty: What stands behind the end of a shorter list.

    >>> as_matrix(pa.chunked_array([[[1, 2], [3]]]), 2, -1)
    array([[ 1,  2],
           [ 3, -1]])
    """
    lengths, values = lengths_of(column), column.combine_chunks().flatten().to_numpy()
    matrix = np.full((len(column), width), empty, dtype=values.dtype)
    matrix[np.arange(width) < lengths[:, np.newaxis]] = values
    return matrix


def lengths_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the length of each list."""
    offsets = column.combine_chunks().offsets.to_numpy()
    lengths: NDArray[np.int64] = np.diff(offsets).astype(np.int64)
    return lengths


def _check_ranked(records: pa.Table, *, with_partner: bool) -> Fault | None:
    names = ("target", "partner", "n_greater", "n_tied", "n_candidates")
    target, partner, greater, tied, candidates = (records[name].to_numpy().astype(np.int64) for name in names)
    listed = np.minimum(candidates, LISTED)
    fault = _first(
        (
            (target >= 0) & (partner != target) & (partner >= 0 if with_partner else partner == -1),
            "has a target or a partner that is no class",
        ),
        (
            (greater >= 0) & (tied >= 0) & (greater + tied < candidates),
            "counts more classes before the target, or tied with it, than there are candidates",
        ),
        (
            (lengths_of(records["top_classes"]) == listed) & (lengths_of(records["top_scores"]) == listed),
            "lists more or fewer classes than it should",
        ),
    )
    if fault is not None:
        return fault
    classes, scores = (
        as_matrix(records["top_classes"], LISTED, -1),
        as_matrix(records["top_scores"], LISTED, -np.inf),
    )
    own = records["target_score"].to_numpy()[:, np.newaxis]
    place, length = np.arange(LISTED), listed[:, np.newaxis]
    before = (place < greater[:, np.newaxis]) & (place < length)
    level = (place >= greater[:, np.newaxis]) & (place <= (greater + tied)[:, np.newaxis]) & (place < length)
    at = classes == target[:, np.newaxis]
    ranked = np.sort(classes, axis=1)
    repeated = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)
    follows = (scores[:, 1:] <= scores[:, :-1]) | (place[1:] >= length)
    return _first(
        (~repeated.any(axis=1) & (classes >= -1).all(axis=1), "lists a class twice, or one that is none"),
        (follows.all(axis=1), "lists classes whose scores rise"),
        (
            np.where(before, scores >= own, np.where(level, scores == own, scores <= own)).all(axis=1),
            "lists scores that n_greater, n_tied and target_score contradict",
        ),
        (
            np.where(at.any(axis=1), (at & level).any(axis=1), greater + tied >= listed),
            "lists the target in a place that n_greater and n_tied contradict",
        ),
    )


def _check_retrieval(records: pa.Table) -> Fault | None:
    names = ("caption", "n_greater", "n_tied", "n_positives_tied", "n_candidates")
    caption, greater, tied, level, candidates = (records[name].to_numpy().astype(np.int64) for name in names)
    direction = records["direction"].to_numpy(zero_copy_only=False)
    is_image = direction == IMAGE_TO_TEXT
    return _first(
        (is_image | (direction == TEXT_TO_IMAGE), "has a direction that is none"),
        (
            np.where(is_image, caption == -1, caption >= 0),
            "has a caption number that does not fit its direction",
        ),
        (
            (greater >= 0) & (tied >= 0) & (level >= 1) & (greater + tied + level <= candidates),
            "counts more answers than there are candidates",
        ),
        (is_image | (level == 1), "is a caption's query with more than one right picture"),
    )


def _check_choice(records: pa.Table) -> Fault | None:
    pictures, captions = (records[name].to_numpy() for name in ("n_images", "n_captions"))
    fits = ((pictures == 1) & (captions >= 2)) | ((pictures == 2) & (captions == 2))
    return _first(
        (fits, "has neither 1 picture with 2 or more captions nor 2 of each"),
        (
            lengths_of(records["scores"]) == pictures * captions,
            "has more or fewer scores than pictures times captions",
        ),
    )


def _check_multilabel(records: pa.Table) -> Fault | None:
    lengths, n_labels = lengths_of(records["scores"]), lengths_of(records["labels"])
    fault = _first(
        ((lengths == lengths[0]) & (lengths > 0), "has another number of scores than the first"),
        (n_labels <= lengths, "has more labels than scores"),
    )
    if fault is not None:
        return fault
    k = int(lengths[0])
    labels = as_matrix(records["labels"], k, k)
    rises = (labels[:, 1:] > labels[:, :-1]) | (np.arange(1, k) >= n_labels[:, np.newaxis])
    within = ((labels >= 0) & (labels < k)) | (np.arange(k) >= n_labels[:, np.newaxis])
    return _first((rises.all(axis=1) & within.all(axis=1), "has labels that are no classes, or not in order"))


def _first(*rules: tuple[NDArray[Any] | np.bool_, str]) -> Fault | None:
    for holds, what in rules:
        broken = np.flatnonzero(~holds)
        if len(broken):
            return Fault(int(broken[0]), what)
    return None
