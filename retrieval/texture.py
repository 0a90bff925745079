"""What a picture's pixels say about how it was made: flat or grained, few colours or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

# Steps between neighbours of at most so many grey levels: 0 to 2 are flat paint, more is grain, then edges.
STEPS = (0, 1, 2, 4, 8, 16, 32, 64)
# Pixels lighter than this in every channel count as paper: a cut-out on white is judged by what is cut out.
PAPER = 240
WINDOW = 256


def measure_pixels(picture: Image) -> NDArray[np.float32]:
    """Describe an RGB picture by the statistics of its pixels, at its own resolution.

    An encoder sees a picture shrunk, which wipes out the grain that tells a photograph from flat paint.
    Large pictures are judged by their central 256 x 256 pixels.

    Args:
        picture: RGB, of any size.

    Returns:
        26 numbers: shares of steps between neighbours up to 0, 1, 2, 4, 8, 16, 32 and 64 levels, over all
        pixels and over those that are not paper; entropy, number and concentration of 4,096 colours; mean
        and spread of saturation and of brightness; share of pixels that are not paper. Finite for any
        picture, down to one pixel.

    >>> from PIL import Image
    >>> measure_pixels(Image.new("RGB", (64, 64), "red"))[:3]
    array([1., 1., 1.], dtype=float32)
    """
    left, top = max(0, (picture.width - WINDOW) // 2), max(0, (picture.height - WINDOW) // 2)
    window = picture.crop((left, top, min(picture.width, left + WINDOW), min(picture.height, top + WINDOW)))
    # Channels first: numpy reduces over a long inner axis much faster than over one of three.
    pixels = np.ascontiguousarray(np.moveaxis(np.asarray(window), 2, 0)).astype(np.int16)
    darkest, lightest = pixels.min(axis=0), pixels.max(axis=0)
    drawn = darkest < PAPER
    across = np.abs(pixels[:, :, 1:] - pixels[:, :, :-1]).max(axis=0)
    down = np.abs(pixels[:, 1:] - pixels[:, :-1]).max(axis=0)
    inside = np.concatenate([across[drawn[:, 1:] & drawn[:, :-1]], down[drawn[1:] & drawn[:-1]]])
    saturation = (lightest - darkest) / np.maximum(lightest, 1)
    brightness = pixels.sum(axis=0) / (3 * 255)
    return np.concatenate(
        [
            _shares(np.concatenate([across.ravel(), down.ravel()])),
            _shares(inside),
            _colours(pixels),
            [saturation.mean(), saturation.std(), brightness.mean(), brightness.std(), drawn.mean()],
        ],
        dtype=np.float32,
    )


def _shares(steps: NDArray[np.int16]) -> NDArray[np.float64]:
    if not len(steps):
        return np.ones(len(STEPS))
    shares: NDArray[np.float64] = np.cumsum(np.bincount(steps, minlength=256))[list(STEPS)] / len(steps)
    return shares


def _colours(pixels: NDArray[np.int16]) -> list[float]:
    coarse = pixels >> 4
    number = np.bincount((coarse[0] * 256 + coarse[1] * 16 + coarse[2]).ravel())
    share = np.sort(number[number > 0] / number.sum())[::-1]
    return [
        float(-(share * np.log(share)).sum()),
        float(np.log(len(share))),
        float(share[0]),
        float(share[:4].sum()),
        float(share[:16].sum()),
    ]
