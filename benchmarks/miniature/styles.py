"""Draws a picture of one or two concepts in any style: the style is the renderer's, never the concept's."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import numpy as np
from PIL import Image

from oddpair.benchmarks.miniature.canvas import SUPERSAMPLING, Thing, arrange
from oddpair.benchmarks.miniature.styles_flat import draw_cartoon, draw_silhouette, draw_sketch
from oddpair.benchmarks.miniature.styles_textured import draw_ambiguous, draw_painting, draw_photo

_RENDERERS: dict[str, Callable[[Sequence[Thing], np.random.Generator, int], Image.Image]] = {
    "photo": draw_photo,
    "sketch": draw_sketch,
    "cartoon": draw_cartoon,
    "painting": draw_painting,
    "silhouette": draw_silhouette,
    "ambiguous": draw_ambiguous,
}

STYLES: tuple[str, ...] = tuple(_RENDERERS)

SMALLEST_SIZE = 16


def render(names: Sequence[str], style: str, rng: np.random.Generator, size: int = 64) -> Image.Image:
    """Draw one or two objects.

    The pixels depend on the arguments and the state of ``rng`` alone, in any process.

    Args:
        names: One or two members of `concepts.CONCEPTS`; the same one twice draws two of it.
        style: A member of `STYLES`.
        rng: Source of all variation; it is advanced.
        size: Side of the picture in pixels, at least 16.

    Returns:
        An RGB picture of ``size`` by ``size`` pixels.

    Raises:
        ValueError: If there is no such concept or style, there are not one or two names, or the size is too small.

    >>> render(["tree", "light bulb"], "cartoon", np.random.default_rng(0)).size
    (64, 64)
    """
    if style not in _RENDERERS:
        near = get_close_matches(style, STYLES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(STYLES)}"
        raise ValueError(f"no style {style!r}; {hint}")
    if not 1 <= len(names) <= 2:
        raise ValueError(f"a picture holds 1 or 2 objects, {len(names)} were asked for")
    if size < SMALLEST_SIZE:
        raise ValueError(f"size is {size} pixels, at least {SMALLEST_SIZE} are needed")
    return _RENDERERS[style](arrange(names, rng, size * SUPERSAMPLING), rng, size)
