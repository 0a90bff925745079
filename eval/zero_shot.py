"""Zero-shot classification: text vectors of the classes, and the nearest one for every image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Far above the rounding of a float64 dot product (1e-16), far below any real difference of cosines. Matrix
# products round differently for different batch shapes; this keeps an exact tie a tie in all of them.
TIE = 1e-12

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """What a classifier says of each image.

    Attributes:
        classes: Index of the best class, shape ``(n,)``.
        scores: Its dot product with the image, shape ``(n,)``.
        margins: How far it lies above the best other class; 0 for a tie, shape ``(n,)``.
    """

    classes: IntArray
    scores: FloatArray
    margins: FloatArray


def class_vectors(text_embeddings: NDArray[Any]) -> FloatArray:
    """One unit vector per class: the mean over templates of unit text embeddings, scaled to unit length.

    Args:
        text_embeddings: Shape ``(n_classes, n_templates, d)``, of any length above 0.

    Returns:
        Unit rows, shape ``(n_classes, d)``.

    Raises:
        ValueError: If an array is empty or an embedding, or a class's mean, has no direction.

    References:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.

    >>> class_vectors(np.array([[[2.0, 0.0], [0.0, 5.0]]])).round(3)
    array([[0.707, 0.707]])
    """
    vectors = np.asarray(text_embeddings, dtype=np.float64)
    if vectors.ndim != 3 or vectors.size == 0:
        raise ValueError(f"text embeddings have shape {vectors.shape}, need (n_classes, n_templates, d)")
    return unit_rows(unit_rows(vectors, "text embedding").mean(axis=1), "mean text embedding of class")


def classify(images: NDArray[Any], vectors: NDArray[Any]) -> Prediction:
    """Assign every image to the class whose vector has the largest dot product with it.

    Products are float64; classes within 1e-12 of the best are tied and the lowest index wins, so the
    decision is the same for any batch size.

    Args:
        images: Image embeddings, shape ``(n, d)``.
        vectors: Class vectors, shape ``(k, d)``.

    Returns:
        The decisions for the ``n`` images.

    Raises:
        ValueError: If there is no image, fewer than two classes, the dimensions differ, a value is not
            finite, or all classes have the same vector ("degenerate").

    >>> classify(np.eye(2), np.array([[0.6, 0.8], [0.8, 0.6]])).classes
    array([1, 0])
    """
    image_rows, class_rows = np.asarray(images), finite_rows(vectors, "class vector")
    finite_rows(image_rows, "image embedding")
    if image_rows.shape[1] != class_rows.shape[1]:
        raise ValueError(f"images have dimension {image_rows.shape[1]}, classes have {class_rows.shape[1]}")
    if len(class_rows) < 2:
        raise ValueError(f"{len(class_rows)} class, a decision needs at least 2")
    if np.abs(class_rows - class_rows[0]).max() <= TIE:
        raise ValueError(f"degenerate classes: all {len(class_rows)} vectors are the same")
    return decide(
        len(image_rows), lambda start, stop: image_rows[start:stop].astype(np.float64) @ class_rows.T
    )


def decide(n: int, scores_of: Callable[[int, int], FloatArray]) -> Prediction:
    """Best column of every row of a score matrix that is made a few rows at a time.

    Args:
        n: Rows.
        scores_of: Gives the scores of rows ``start`` to ``stop``, shape ``(stop - start, k)``; ``-inf``
            takes a column out.

    Returns:
        The decision for each row; a margin is ``inf`` where only one column stands.
    """
    classes = np.empty(n, dtype=np.int64)
    best, margins = np.empty(n), np.empty(n)
    for start in range(0, n, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, n)
        scores = scores_of(start, stop)
        rows = np.arange(stop - start)
        chosen = (scores >= scores.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
        top = scores[rows, chosen]
        scores[rows, chosen] = -np.inf
        gap = top - scores.max(axis=1)
        classes[start:stop], best[start:stop] = chosen, top
        margins[start:stop] = np.where(gap <= TIE, 0.0, gap)
    return Prediction(classes=classes, scores=best, margins=margins)


def finite_rows(rows: NDArray[Any], what: str) -> FloatArray:
    """Rows as float64, checked to be a non-empty matrix of finite numbers.

    Raises:
        ValueError: If the shape is wrong, or a row holds NaN or infinity ("degenerate").
    """
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{what}s have shape {matrix.shape}, need (rows, dimension) with at least one row")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        raise ValueError(f"degenerate {what} at row {broken[0]}: it holds NaN or infinity")
    return matrix


def unit_rows(vectors: FloatArray, what: str) -> FloatArray:
    """Scale the last axis to unit length.

    Raises:
        ValueError: If a vector is zero or not finite ("degenerate"), which leaves it no direction.
    """
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # Opposite directions cancel to rounding noise, not to an exact 0.
    broken = np.argwhere(~(np.isfinite(norms[..., 0]) & (norms[..., 0] > TIE)))
    if len(broken):
        place = ", ".join(str(index) for index in broken[0])
        raise ValueError(
            f"degenerate {what} at {place}: length {norms[tuple(broken[0])][0]}, needs to be above 0"
        )
    scaled: FloatArray = vectors / norms
    return scaled
