"""The style-strict split: rows sorted as one style, less those that the search finds too near the other's test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.errors import Refusal

NOT_SEARCHED = "not searched: this split is NOT style-strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictSplit:
    """Which rows a style-strict split keeps, and why the others left.

    Attributes:
        style: The style that the split keeps.
        keep: True for rows of the split, shape ``(n,)``.
        sorted_in: True for rows that the classifier sorted as ``style``, shape ``(n,)``.
        threshold: Rows nearer to a test image than this left; ``None`` if nothing was searched.
        card: What a reader should know, as (label, value) rows.
    """

    style: str
    keep: NDArray[np.bool_]
    sorted_in: NDArray[np.bool_]
    threshold: float | None
    card: tuple[tuple[str, str], ...]

    @property
    def left(self) -> NDArray[np.bool_]:
        """True for rows sorted as the style that the search took out, shape ``(n,)``."""
        return self.sorted_in & ~self.keep


def style_strict(
    classes: ArrayLike,
    nearest_test_similarity: ArrayLike | None,
    reference_similarity: ArrayLike,
    *,
    style: str = "natural",
    quantile: float = 0.99,
    nearest_test_style: ArrayLike | None = None,
    leak_bound: float | None = None,
) -> StrictSplit:
    """Keep the rows of one style that lie no nearer to test images of the other than that style's own rows do.

    The classifier proposes, the search decides: the ``quantile`` of the nearest-test-image similarity
    among rows that a person labelled as ``style`` is the most that this style explains; a row above it
    leaves. For the natural split the test images are renditions, for the rendition split natural images.

    Args:
        classes: Style of each corpus row as sorted, shape ``(n,)``.
        nearest_test_similarity: Cosine similarity of each corpus row to its nearest test image of the other
            style, shape ``(n,)``; ``None`` if the search was skipped: no row leaves, and the card says so.
        reference_similarity: The same similarity for rows labelled ``style`` by hand that set neither the
            held-out report nor any figure on it, shape ``(m,)``; not looked at without a search.
        style: The style to keep.
        quantile: Share of the hand-labelled rows that the threshold lets stay.
        nearest_test_style: Style of that nearest test image, shape ``(n,)``, for the card.
        leak_bound: Upper bound of the other style's share among held-out rows, for the card.

    Returns:
        The rows kept, the threshold and the card.

    Raises:
        Refusal: If no hand-labelled row of the style is given, or the quantile is no share.
        ValueError: If shapes differ, a similarity is not finite or there is no corpus row.

    >>> near = np.array([0.2, 0.9, 0.4, 0.9])
    >>> found = style_strict(["natural", "natural", "natural", "rendition"], near, [0.1, 0.5], quantile=1.0)
    >>> found.keep, found.threshold
    (array([ True, False,  True, False]), 0.5)
    """
    found = np.asarray(classes, dtype=np.str_)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"classes have shape {found.shape}, needed (n,), n > 0")
    if not 0 < quantile <= 1:
        raise Refusal(f"quantile {quantile:g} is no share of rows: give a number above 0 and at most 1")
    sorted_in = found == style
    card = [
        (f"rows sorted {name}", f"{int((found == name).sum()):,}") for name in sorted(set(found.tolist()))
    ]
    if nearest_test_similarity is None:
        card.append(("search against the test images", NOT_SEARCHED))
        keep, threshold = sorted_in, None
    else:
        near = _as_similarity("nearest_test_similarity", nearest_test_similarity)
        if near.shape != found.shape:
            raise ValueError(f"classes have {len(found)} rows, nearest_test_similarity has {len(near)}")
        reference = _as_similarity("reference_similarity", reference_similarity)
        if not len(reference):
            raise Refusal(
                f"no hand-labelled {style} row says how near {style} images come to the test images: label some"
            )
        threshold = float(np.quantile(reference, quantile, method="inverted_cdf"))
        keep = sorted_in & (near <= threshold)
        card += [
            (
                "similarity threshold",
                f"{threshold:.4f}, the {quantile:.0%} quantile of {len(reference):,} hand-labelled {style} rows",
            ),
            ("rows that left as too near a test image", f"{int((sorted_in & ~keep).sum()):,}"),
            *_nearness(near, sorted_in, keep, nearest_test_style),
        ]
    card.append((f"rows of the {style} split", f"{int(keep.sum()):,}"))
    if leak_bound is not None:
        card.append(
            (f"other style among rows sorted {style}", f"at most {leak_bound:.2%}, on held-out labels")
        )
    return StrictSplit(style=style, keep=keep, sorted_in=sorted_in, threshold=threshold, card=tuple(card))


def _nearness(
    near: NDArray[np.float64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    test_style: ArrayLike | None,
) -> list[tuple[str, str]]:
    groups = [("nearest test image", np.ones(len(near), dtype=bool))]
    if test_style is not None:
        styles = np.asarray(test_style, dtype=np.str_)
        if styles.shape != near.shape:
            raise ValueError(f"nearest_test_style has shape {styles.shape}, needed {near.shape}")
        groups += [(f"nearest test image, {name}", styles == name) for name in sorted(set(styles.tolist()))]
    return [
        (
            f"{label}: median, 99 %, max",
            f"{_spread(near[before & mask])} before, {_spread(near[after & mask])} after",
        )
        for label, mask in groups
    ]


def _spread(near: NDArray[np.float64]) -> str:
    if not len(near):
        return "no row"
    return f"{np.median(near):.3f}, {np.quantile(near, 0.99):.3f}, {near.max():.3f}"


def _as_similarity(name: str, values: ArrayLike) -> NDArray[np.float64]:
    similarity = np.asarray(values, dtype=np.float64)
    if similarity.ndim != 1:
        raise ValueError(f"{name} has shape {similarity.shape}, needed (n,)")
    if not np.isfinite(similarity).all():
        raise ValueError(f"{name} at row {int(np.flatnonzero(~np.isfinite(similarity))[0])} is not finite")
    return similarity
