"""Embeddings as a scorer takes them: checked in blocks, so that a gallery needs no second copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal

# Embeddings that differ by less than this everywhere tell nothing apart.
ALIKE = 1e-6

_ROWS_AT_ONCE = 4096


def check_rows(rows: NDArray[Any], what: str) -> NDArray[Any]:
    """Return embeddings that all have a direction, as they came.

    Args:
        rows: Shape ``(n, d)``, both at least 1.
        what: What a row is of, in the singular: ``picture``, ``class`` or ``caption``.

    Returns:
        The rows.

    Raises:
        ValueError: If the shape is wrong.
        Refusal: If a row is zero or not finite ("degenerate").
    """
    matrix = np.asarray(rows)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(
            f"embeddings of {what} have shape {matrix.shape}, needed (rows, dimension), 1 or more"
        )
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        block = matrix[start : start + _ROWS_AT_ONCE]
        finite = np.isfinite(block).all(axis=1)
        broken = np.flatnonzero(~(finite & (block != 0).any(axis=1)))
        if len(broken):
            found = "it is zero" if finite[broken[0]] else "it holds NaN or infinity"
            raise Refusal(
                f"degenerate model: the embedding of {what} {start + broken[0]} has no direction, {found}: "
                "check its weights and precision"
            )
    return matrix


def refuse_alike(rows: NDArray[Any], what: str) -> None:
    """Refuse a model that gives the same embedding to everything it is shown.

    Args:
        rows: Embeddings of different things, shape ``(n, d)``; a single row is never refused.
        what: What a row is of, in the singular.

    Raises:
        Refusal: If no row differs from the first by more than 1e-6 ("degenerate").
    """
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    if len(rows) > 1 and all(
        np.abs(rows[start : start + _ROWS_AT_ONCE] - rows[0]).max() <= ALIKE for start in starts
    ):
        raise Refusal(
            f"degenerate model: every {what} has the same embedding: check its weights and precision"
        )


def check_pictures(images: NDArray[Any], uids: Sequence[str]) -> NDArray[Any]:
    """Return the embeddings of pictures, checked as `check_rows` and `refuse_alike` do.

    A picture that is asked about twice has the same embedding twice, which is no fault.

    Raises:
        ValueError: If the shape is wrong, or there are more or fewer ids.
        Refusal: If the embeddings are degenerate.
    """
    rows = check_rows(images, "picture")
    if len(uids) != len(rows):
        raise ValueError(f"{len(uids)} uids, {len(rows)} embeddings of pictures, needed as many")
    if len(set(uids)) > 1:
        refuse_alike(rows, "picture")
    return rows


def check_lengths(n: int, **columns: Sequence[Any] | NDArray[Any]) -> None:
    """Refuse columns that are not as long as the questions.

    Raises:
        ValueError: If one is not.
    """
    for name, column in columns.items():
        if len(column) != n:
            raise ValueError(f"{len(column)} {name}, {n} questions, needed as many")


def check_dimensions(images: NDArray[Any], vectors: NDArray[Any], what: str) -> None:
    """Refuse pictures and texts of different spaces.

    Raises:
        ValueError: If they are.
    """
    if images.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"embeddings of pictures have dimension {images.shape[1]}, those of {what} {vectors.shape[1]}"
        )


def snap(values: NDArray[np.float64], tie: float) -> NDArray[np.float32]:
    """Round scores to float32 so that tied ones stay tied and others keep their order.

    Args:
        values: Scores that are compared with each other, shape ``(n,)``.
        tie: The largest gap between neighbours in rank that is a tie.

    Returns:
        Each as the smallest that it is tied with, shape ``(n,)``.

    >>> snap(np.array([0.5, 0.25 + 1e-13, 0.25]), 1e-12)
    array([0.5 , 0.25, 0.25], dtype=float32)
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    first = np.maximum.accumulate(np.where(np.diff(ranked, prepend=-np.inf) > tie, np.arange(len(ranked)), 0))
    snapped = np.empty(len(values), dtype=np.float32)
    snapped[order] = ranked[first]
    return snapped
