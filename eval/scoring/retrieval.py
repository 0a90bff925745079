"""Retrieval both ways against the whole gallery: how many wrong answers stand above the best right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.scoring.rows import (
    check_dimensions,
    check_lengths,
    check_pictures,
    check_rows,
    refuse_alike,
)
from oddpair.eval.zero_shot import TIE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

IMAGE_TO_TEXT = "image_to_text"
TEXT_TO_IMAGE = "text_to_image"

# 32 MB of scores at a time; both sides of the gallery are read in blocks of these.
_IMAGES_AT_ONCE = 1024
_TEXTS_AT_ONCE = 4096


def score_retrieval(
    *,
    keys: Sequence[str],
    uids: Sequence[str],
    styles: Sequence[str],
    images: NDArray[Any],
    texts: NDArray[Any],
    owner: ArrayLike,
    queries: NDArray[np.bool_] | None = None,
) -> pa.Table:
    """Count, for each picture and each caption that asks, the wrong answers that stand above its best right one.

    The gallery is always whole, whoever asks. Scores are float64 dot products, each made once for both directions, in
    blocks, so that memory beside the inputs does not grow with the gallery. A picture without captions stands in the
    gallery and asks nothing, as nothing is right for it.

    Args:
        keys: Id of each picture in its set.
        uids: Id of each picture.
        styles: Its style, ``""`` where unknown.
        images: Unit embeddings of the pictures, shape ``(n, d)``.
        texts: Unit embeddings of the captions, shape ``(m, d)``.
        owner: Row of each caption's picture, shape ``(m,)``.
        queries: Which pictures ask, and with them their captions, shape ``(n,)``; all if left out.

    Returns:
        Records of ``SCHEMAS["retrieval"]``: pictures first, in their order, then captions in theirs.

    Raises:
        ValueError: If shapes do not fit, an owner is no picture, or nothing asks.
        Refusal: If an embedding has no direction, or all pictures or all captions have the same one ("degenerate").

    >>> records = score_retrieval(
    ...     keys=["a", "b"], uids=["1", "2"], styles=["", ""], images=np.eye(2), texts=np.eye(2)[[1, 0, 1]],
    ...     owner=[0, 0, 1],
    ... )
    >>> records["n_greater"].to_pylist(), records["n_tied"].to_pylist()
    ([0, 0, 1, 0, 0], [0, 1, 0, 0, 0])
    """
    pictures, captions = check_pictures(images, uids), check_rows(texts, "caption")
    owners = np.asarray(owner, dtype=np.int64)
    check_lengths(len(pictures), keys=keys, styles=styles)
    check_lengths(len(captions), owner=owners)
    check_dimensions(pictures, captions, "captions")
    refuse_alike(captions, "caption")
    outside = np.flatnonzero((owners < 0) | (owners >= len(pictures)))
    if len(outside):
        raise ValueError(
            f"owner {owners[outside[0]]} of caption {outside[0]} is not one of {len(pictures)} pictures"
        )
    asks = np.ones(len(pictures), dtype=np.bool_) if queries is None else np.asarray(queries, dtype=np.bool_)
    check_lengths(len(pictures), queries=asks)
    asking, asking_captions = np.flatnonzero(asks), np.flatnonzero(asks[owners])
    if not len(asking_captions):
        raise ValueError("no picture with a caption asks, needed 1 or more")

    right = _score_right(pictures, captions, owners)
    n_captions = np.bincount(owners, minlength=len(pictures))
    best = np.full(len(pictures), -np.inf)
    np.maximum.at(best, owners, right)
    with_best = np.bincount(owners, weights=best[owners] - right <= TIE, minlength=len(pictures)).astype(
        np.int64
    )
    of_images, of_captions = _Tally.of(best), _Tally.of(right)
    for rows, columns in ((asking, np.arange(len(captions))), (np.flatnonzero(~asks), asking_captions)):
        _count(pictures, captions, owners, rows, columns, of_images, of_captions)

    asking = asking[n_captions[asking] > 0]
    row_of = np.concatenate([asking, owners[asking_captions]]).tolist()
    n_each = len(asking), len(asking_captions)
    return pa.table(
        {
            "key": pa.array([keys[row] for row in row_of], pa.string()),
            "uid": pa.array([uids[row] for row in row_of], pa.string()),
            "style": pa.array([styles[row] for row in row_of], pa.string()),
            "direction": pa.array([IMAGE_TO_TEXT] * n_each[0] + [TEXT_TO_IMAGE] * n_each[1]),
            "caption": _int32(np.full(n_each[0], -1), _number_within(owners)[asking_captions]),
            "best_score": pa.array(np.concatenate([best[asking], right[asking_captions]]).astype(np.float32)),
            "n_greater": _int32(of_images.greater[asking], of_captions.greater[asking_captions]),
            "n_tied": _int32(of_images.tied[asking], of_captions.tied[asking_captions]),
            "n_positives_tied": _int32(with_best[asking], np.ones(n_each[1])),
            "n_candidates": _int32(np.full(n_each[0], len(captions)), np.full(n_each[1], len(pictures))),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tally:
    """Wrong answers above, and level with, the best right one of each query."""

    best: FloatArray
    greater: IntArray
    tied: IntArray

    @classmethod
    def of(cls, best: FloatArray) -> _Tally:
        zeros = np.zeros(len(best), dtype=np.int64)
        return cls(best=best, greater=zeros, tied=zeros.copy())

    def add(self, places: IntArray, scores: FloatArray, axis: int) -> None:
        """Count scores, whose queries lie along the other axis than ``axis``."""
        best = np.expand_dims(self.best[places], axis)
        greater = np.count_nonzero(scores > best + TIE, axis=axis)
        self.greater[places] += greater
        self.tied[places] += np.count_nonzero(scores >= best - TIE, axis=axis) - greater


def _count(
    pictures: NDArray[Any],
    captions: NDArray[Any],
    owners: IntArray,
    rows: IntArray,
    columns: IntArray,
    of_images: _Tally,
    of_captions: _Tally,
) -> None:
    """Count the scores of some pictures with some captions for both; the right ones are left out."""
    place = np.full(len(pictures), -1, dtype=np.int64)
    for first in range(0, len(columns), _TEXTS_AT_ONCE):
        texts = columns[first : first + _TEXTS_AT_ONCE]
        exact = captions[texts].astype(np.float64).T
        for start in range(0, len(rows), _IMAGES_AT_ONCE):
            block = rows[start : start + _IMAGES_AT_ONCE]
            scores = pictures[block].astype(np.float64) @ exact
            place[block] = np.arange(len(block))
            own = place[owners[texts]]
            scores[own[own >= 0], np.flatnonzero(own >= 0)] = -np.inf
            place[block] = -1
            of_images.add(block, scores, axis=1)
            of_captions.add(texts, scores, axis=0)


def _score_right(pictures: NDArray[Any], captions: NDArray[Any], owners: IntArray) -> FloatArray:
    """Score of each caption with its picture, shape ``(m,)``."""
    blocks = (slice(start, start + _TEXTS_AT_ONCE) for start in range(0, len(captions), _TEXTS_AT_ONCE))
    return np.concatenate(
        [
            np.einsum(
                "ij,ij->i", pictures[owners[block]].astype(np.float64), captions[block].astype(np.float64)
            )
            for block in blocks
        ]
    )


def _number_within(owners: IntArray) -> IntArray:
    """Number of each caption among those of its picture, in their order."""
    order = np.argsort(owners, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners))[:-1]])
    numbers = np.empty(len(owners), dtype=np.int64)
    numbers[order] = np.arange(len(owners)) - starts[owners[order]]
    return numbers


def _int32(first: NDArray[Any], second: NDArray[Any]) -> pa.Array:
    return pa.array(np.concatenate([first, second]).astype(np.int32))
