"""The style-strict split: rows sorted as one style, less those that the search finds too near the other's test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.errors import Refusal

NOT_SEARCHED = "not searched: this split is NOT style-strict"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictSplit:
    """Which rows a style-strict split keeps, and why the others left.

    Attributes:
        style: The style that the split keeps.
        keep: True for rows of the split, shape ``(n,)``.
        sorted_in: True for rows that were sorted as ``style``, shape ``(n,)``.
        threshold: Rows nearer to a test image than this left; ``None`` if nothing was searched.
        reference: Where the threshold is a quantile of hand-labelled rows, how many these are; ``None`` for a fixed one.
    """

    style: str
    keep: Mask
    sorted_in: Mask
    threshold: float | None
    reference: int | None

    @property
    def left(self) -> Mask:
        """True for rows sorted as the style that the search took out, shape ``(n,)``."""
        return self.sorted_in & ~self.keep


def nearness_threshold(reference: ArrayLike, quantile: float, style: str) -> float:
    """Return how near to test images of the other style rows of one style come: a quantile of hand-labelled rows.

    Args:
        reference: Similarity to the nearest test image of rows labelled ``style`` by hand, which set neither the
            held-out report nor any figure on it, shape ``(m,)``.
        quantile: Share of these rows that the threshold lets stay.
        style: The style.

    Returns:
        One of the similarities.

    Raises:
        Refusal: If no row is given, or the quantile is no share.

    >>> nearness_threshold([0.1, 0.5], 1.0, "natural")
    0.5
    """
    if not 0 < quantile <= 1:
        raise Refusal(f"quantile {quantile:g} is no share of rows: give a number above 0 and at most 1")
    found = _as_similarity("reference", reference)
    if not len(found):
        raise Refusal(
            f"no hand-labelled {style} row says how near {style} images come to the test images: label some"
        )
    return float(np.quantile(found, quantile, method="inverted_cdf"))


def keep_strict(
    sorted_in: Mask,
    near: ArrayLike | None,
    threshold: float | None,
    *,
    style: str = "natural",
    reference: int | None = None,
) -> StrictSplit:
    """Keep the rows of one style that lie no nearer to test images of the other than a threshold.

    The classifier proposes, the search decides. For the natural split the test images are renditions, for the rendition
    split natural images.

    Args:
        sorted_in: Rows sorted as the style, shape ``(n,)``.
        near: Cosine similarity of each row to its nearest test image of the other style, shape ``(n,)``; ``None`` if the
            search was skipped: no row leaves, and the split is not strict.
        threshold: A row above (not at) it leaves; needed with ``near``.
        style: The style to keep.
        reference: Hand-labelled rows that the threshold was set by.

    Returns:
        The rows kept.

    Raises:
        ValueError: If shapes differ, a similarity is not finite, or there is no threshold.

    >>> keep_strict(np.array([True, True, True, False]), [0.2, 0.9, 0.4, 0.9], 0.5).keep
    array([ True, False,  True, False])
    """
    if near is None:
        return StrictSplit(style=style, keep=sorted_in, sorted_in=sorted_in, threshold=None, reference=None)
    similarity = _as_similarity("near", near)
    if similarity.shape != sorted_in.shape:
        raise ValueError(f"{len(sorted_in)} rows were sorted, near has {len(similarity)}")
    if threshold is None:
        raise ValueError("rows were searched, needed a threshold")
    return StrictSplit(
        style=style,
        keep=sorted_in & (similarity <= np.float64(threshold)),
        sorted_in=sorted_in,
        threshold=threshold,
        reference=reference,
    )


def _as_similarity(name: str, values: ArrayLike) -> NDArray[np.floating]:
    similarity = np.asarray(values)
    if not np.issubdtype(similarity.dtype, np.floating):
        similarity = similarity.astype(np.float64)
    if similarity.ndim != 1:
        raise ValueError(f"{name} has shape {similarity.shape}, needed (n,)")
    if not np.isfinite(similarity).all():
        raise ValueError(f"{name} at row {int(np.flatnonzero(~np.isfinite(similarity))[0])} is not finite")
    return similarity
