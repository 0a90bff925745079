"""Text vectors of the classes of a zero-shot classifier, and when two scores are a tie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Far above the rounding of a float64 dot product (1e-16), far below any real difference of cosines. Matrix
# products round differently for different batch shapes; this keeps an exact tie a tie in all of them.
TIE = 1e-12


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
