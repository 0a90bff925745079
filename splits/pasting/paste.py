"""One picture with an object pasted in: how large, where, and nothing else changed (ImageNet-Paste)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oddpair.retrieval.pictures import Pixels

# How far, of itself, the area of a box may lie from what was asked for: 10 % of a picture is 9 to 11 %.
_AREA_TOLERANCE = 0.1
# The paper's grid, for pictures of the size of ImageNet's, and its share of the longer side of smaller ones.
_STEP = 100
_STEPS = 5


class Box(NamedTuple):
    """Where an object was pasted, in pixels: from ``left`` to before ``right``, from ``top`` to before ``bottom``."""

    left: int
    top: int
    right: int
    bottom: int


class DoesNotFitError(ValueError):
    """An object that does not fit into a picture; the text is the reason."""


def fit_box(picture: tuple[int, int], cut: tuple[int, int], area: float) -> tuple[int, int]:
    """Find the size of an object whose box is a given share of a picture, in its own proportions.

    Args:
        picture: Width and height of the picture.
        cut: Width and height of the object.
        area: Share of the picture's area, such as 0.1.

    Returns:
        Width and height in pixels; their product is within 10 % of what was asked for.

    Raises:
        DoesNotFitError: If the object would be wider or higher than the picture, or no whole number of pixels comes near.

    >>> fit_box((500, 400), (30, 60), area=0.1)
    (100, 200)
    """
    target = area * picture[0] * picture[1]
    width, height = math.sqrt(target * cut[0] / cut[1]), math.sqrt(target * cut[1] / cut[0])
    sizes = [(side, max(round(target / side), 1)) for side in (max(math.floor(width), 1), math.ceil(width))]
    sizes += [
        (max(round(target / side), 1), side) for side in (max(math.floor(height), 1), math.ceil(height))
    ]
    near = [size for size in sizes if abs(size[0] * size[1] - target) <= _AREA_TOLERANCE * target]
    if not near:
        raise DoesNotFitError("the picture has too few pixels for a box of that area")
    inside = [size for size in near if size[0] <= picture[0] and size[1] <= picture[1]]
    if not inside:
        raise DoesNotFitError("the object would be larger than the picture")
    return min(inside, key=lambda size: abs(size[0] / width - 1) + abs(size[1] / height - 1))


def place_box(
    picture: tuple[int, int], size: tuple[int, int], step: int | None, rng: np.random.Generator
) -> Box:
    """Draw a place for a box on the grid of a picture.

    Args:
        picture: Width and height of the picture.
        size: Width and height of the box.
        step: Distance of the grid's lines in pixels; ``None`` takes 100, and a fifth of the longer side of pictures
            that are smaller than 500 pixels.
        rng: Source of the draw.

    Returns:
        The box, inside the picture; its left and upper edges are multiples of the step.
    """
    step = step or max(min(_STEP, max(picture) // _STEPS), 1)
    left, top = (
        step * int(rng.integers((whole - part) // step + 1))
        for whole, part in zip(picture, size, strict=True)
    )
    return Box(left, top, left + size[0], top + size[1])


def paste_object(pixels: Pixels, cut: NDArray[np.uint8], box: Box) -> Pixels:
    """Paste an object, scaled to a box, over a picture.

    Args:
        pixels: The picture, shape ``(height, width, 3)``.
        cut: The object with its opacity, shape ``(h, w, 4)``.
        box: Where.

    Returns:
        A picture of the same size, equal outside the box.
    """
    size = (box.right - box.left, box.bottom - box.top)
    scaled = np.asarray(Image.fromarray(cut, "RGBA").resize(size, Image.Resampling.LANCZOS), np.uint32)
    edited = pixels.copy()
    under = edited[box.top : box.bottom, box.left : box.right]
    opacity = scaled[:, :, 3:]
    mixed = (scaled[:, :, :3] * opacity + under * (255 - opacity) + 127) // 255
    edited[box.top : box.bottom, box.left : box.right] = mixed.astype(np.uint8)
    return edited
