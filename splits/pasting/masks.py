"""An object cut out of its picture: by its transparency, or from a plain background that reaches the four corners.

Qu and Xie (arXiv:2507.08000) ask SAM, with the corners as points, for the background. The fill from the corners below
needs no model and fails where theirs may not: on shadows, gradients and patterns behind the object, and between its
parts where the background is shut in. Pictures with transparency are the better input.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from oddpair.retrieval.pictures import FORMATS, Pixels, decode_pixels

# Red, green, blue and opacity from 0 to 255, shape (height, width, 4).
Layers = NDArray[np.uint8]

# The paper's checks of a mask.
LEAST_PIXELS = 100
LEAST_SIDE = 10
# How far a channel may lie from a corner's to be background: more than a JPEG strays, less than a pale object.
TOLERANCE = 24
# Parts smaller than this share of the object are noise, which would widen its box; a background smaller than this
# share of the picture is none.
_LEAST_PART = 0.01
_LEAST_BACKGROUND = 0.05
_OPAQUE = 128


class NoObjectError(ValueError):
    """A picture of which no object can be cut; the text is the reason."""


def cut_out(data: bytes) -> Layers:
    """Cut the object out of a picture of an accessory, cropped to its box.

    Args:
        data: An encoded picture, with transparency or with a plain background.

    Returns:
        Red, green, blue and opacity, shape ``(height, width, 4)``.

    Raises:
        BadPicture: If the bytes are no picture by the rule of ``decode_pixels``.
        NoObjectError: If nothing is left, the background is not plain, or the object has 100 pixels or fewer or a box of
            10 x 10 or less in either direction.
    """
    return cut_layers(read_layers(data))


def read_layers(data: bytes) -> Layers:
    """Decode a picture to red, green, blue and opacity, shape ``(height, width, 4)``.

    The same picture gives the same layers, whatever else its file holds. One without a pixel that is more clear than
    opaque is opaque all over.

    Raises:
        BadPicture: If the bytes are no picture by the rule of ``decode_pixels``.
    """
    pixels = decode_pixels(data)
    layered = _read_opacity(data)
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]) if layered is None else layered


def cut_layers(layers: Layers) -> Layers:
    """Cut the object out of the layers of a picture; see ``cut_out``."""
    shown = layers[:, :, 3] >= _OPAQUE
    if shown.all():
        shown = find_object(layers[:, :, :3])
        layers = np.dstack([layers[:, :, :3], np.where(shown, np.uint8(255), np.uint8(0))])
    if shown.sum() <= LEAST_PIXELS:
        raise NoObjectError(f"object of {int(shown.sum())} pixels, needed more than {LEAST_PIXELS}")
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    if min(height, width) <= LEAST_SIDE:
        raise NoObjectError(f"object in a box of {width} x {height}, needed more than {LEAST_SIDE} each way")
    cut: Layers = layers[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(cut)


def find_object(pixels: Pixels) -> NDArray[np.bool_]:
    """Find what stands before a plain background: all that a fill from the four corners does not reach.

    Args:
        pixels: Shape ``(height, width, 3)``.

    Returns:
        True where the object is, shape ``(height, width)``; specks under 1 % of it are taken for noise.

    Raises:
        NoObjectError: If the fill covers less than 5 % of the picture, so that there is no plain background.

    >>> picture = np.full((9, 9, 3), 255, np.uint8)
    >>> picture[3:6, 2:6] = 0
    >>> int(find_object(picture).sum())
    12
    """
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    plain = np.zeros(pixels.shape[:2], np.bool_)
    for colour in np.unique([pixels[corner] for corner in corners], axis=0):
        plain |= np.abs(pixels.astype(np.int16) - colour.astype(np.int16)).max(axis=2) <= TOLERANCE
    regions, _ = ndimage.label(plain)
    background = np.isin(regions, [regions[corner] for corner in corners])
    if background.mean() < _LEAST_BACKGROUND:
        raise NoObjectError("no plain background reaches the corners: give pictures with transparency")
    parts, n_parts = ndimage.label(~background)
    sizes = np.bincount(parts.ravel(), minlength=n_parts + 1)
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes >= max(_LEAST_PART * sizes.sum(), 1))[parts]
    return kept


def _read_opacity(data: bytes) -> Layers | None:
    """Decode a picture that was found good with its transparency; nothing where it is opaque all over."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data), formats=FORMATS))
    if not picture.has_transparency_data:
        return None
    layered = np.array(picture.convert("RGBA"))
    return layered if layered[:, :, 3].min() < _OPAQUE else None
