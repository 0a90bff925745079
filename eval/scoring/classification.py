"""Zero-shot classification: every picture against the vector of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.scoring.ranking import check_scale, rank_candidates, rank_columns
from oddpair.eval.scoring.rows import (
    check_dimensions,
    check_lengths,
    check_pictures,
    check_rows,
    refuse_alike,
)


def score_classification(
    *,
    keys: Sequence[str],
    uids: Sequence[str],
    styles: Sequence[str],
    images: NDArray[Any],
    vectors: NDArray[Any],
    target: ArrayLike,
    logit_scale: float,
) -> pa.Table:
    """Score pictures against classes.

    Scores are float64 dot products; classes within 1e-12 of each other are tied. Counts are the same for any batch
    size and any order of the classes.

    Args:
        keys: Id of each picture in its set.
        uids: Id of each picture.
        styles: Its style, ``""`` where unknown.
        images: Unit embeddings of the pictures, shape ``(n, d)``.
        vectors: Unit vectors of the classes, shape ``(k, d)``, two or more.
        target: The right class of each picture, shape ``(n,)``.
        logit_scale: What the model multiplies cosines with.

    Returns:
        Records of ``SCHEMAS["classification"]``, in the order of the pictures.

    Raises:
        ValueError: If shapes do not fit, a target is no class, or the scale is not above 0.
        Refusal: If an embedding has no direction, or all pictures or all classes have the same one ("degenerate").

    References:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.

    >>> records = score_classification(
    ...     keys=["a", "b"], uids=["1", "2"], styles=["", ""], images=np.eye(2), vectors=np.eye(2)[::-1],
    ...     target=[1, 1], logit_scale=100.0,
    ... )
    >>> records["n_greater"].to_pylist(), records["top_classes"].to_pylist()
    ([0, 1], [[1, 0], [0, 1]])
    """
    pictures, classes = check_pictures(images, uids), check_rows(vectors, "class")
    right = np.asarray(target, dtype=np.int64)
    check_lengths(len(pictures), keys=keys, styles=styles, target=right)
    check_dimensions(pictures, classes, "classes")
    check_scale(logit_scale)
    if len(classes) < 2:
        raise ValueError(f"{len(classes)} class, a decision needs at least 2")
    outside = np.flatnonzero((right < 0) | (right >= len(classes)))
    if len(outside):
        raise ValueError(
            f"target {right[outside[0]]} at row {outside[0]} is not one of {len(classes)} classes"
        )
    refuse_alike(classes, "class")
    exact = classes.astype(np.float64).T
    ranked = rank_candidates(
        keys=keys,
        target=right,
        n_columns=len(classes),
        scores_of=lambda start, stop: pictures[start:stop].astype(np.float64) @ exact,
        logit_scale=logit_scale,
    )
    return pa.table(rank_columns(keys, uids, styles, right, np.full(len(right), -1), ranked))
