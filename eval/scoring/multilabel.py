"""Pictures with several labels: the score of every class, from which each class ranks the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.scoring.rows import (
    check_dimensions,
    check_lengths,
    check_pictures,
    check_rows,
    refuse_alike,
    snap,
)
from oddpair.eval.zero_shot import TIE

_ROWS_AT_ONCE = 4096


def score_multilabel(
    *,
    keys: Sequence[str],
    uids: Sequence[str],
    styles: Sequence[str],
    images: NDArray[Any],
    vectors: NDArray[Any],
    labels: Sequence[Sequence[int]],
) -> pa.Table:
    """Score pictures against classes of which several may be right.

    Scores are float64 dot products, kept as float32; those of one class within 1e-12 of each other are kept as equal.

    Args:
        keys: Id of each picture in its set.
        uids: Id of each picture.
        styles: Its style, ``""`` where unknown.
        images: Unit embeddings of the pictures, shape ``(n, d)``.
        vectors: Unit vectors of the classes, shape ``(k, d)``.
        labels: The right classes of each picture, maybe none.

    Returns:
        Records of ``SCHEMAS["multilabel"]``, in the order of the pictures; labels are sorted.

    Raises:
        ValueError: If shapes do not fit, or a label is no class or is given twice.
        Refusal: If an embedding has no direction, or all pictures or all classes have the same one ("degenerate").

    >>> records = score_multilabel(
    ...     keys=["a"], uids=["1"], styles=[""], images=np.eye(2)[:1], vectors=np.eye(2), labels=[[1, 0]]
    ... )
    >>> records["scores"].to_pylist(), records["labels"].to_pylist()
    ([[1.0, 0.0]], [[0, 1]])
    """
    pictures, classes = check_pictures(images, uids), check_rows(vectors, "class")
    check_lengths(len(pictures), keys=keys, styles=styles, labels=labels)
    check_dimensions(pictures, classes, "classes")
    refuse_alike(classes, "class")
    known = range(len(classes))
    for row, found in enumerate(labels):
        if len(set(found)) != len(found) or not all(label in known for label in found):
            raise ValueError(
                f"labels {list(found)} at row {row}, needed different ones of {len(classes)} classes"
            )
    scores = np.empty((len(pictures), len(classes)))
    exact = classes.astype(np.float64).T
    for start in range(0, len(pictures), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        scores[block] = pictures[block].astype(np.float64) @ exact
    kept = np.stack([snap(scores[:, number], TIE) for number in known], axis=1)
    offsets = np.arange(len(pictures) + 1, dtype=np.int32) * np.int32(len(classes))
    return pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "uid": pa.array(uids, pa.string()),
            "style": pa.array(styles, pa.string()),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(kept.ravel())),
            "labels": pa.array([sorted(found) for found in labels], pa.list_(pa.int32())),
        }
    )
