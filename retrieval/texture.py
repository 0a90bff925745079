"""What a picture's pixels say about how it was made: flat or grained, few colours or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from oddpair.retrieval.pictures import Pixels

# Steps between neighbours of at most so many grey levels: 0 to 2 are flat paint, more is grain, then edges.
STEPS = (0, 1, 2, 4, 8, 16, 32, 64)
# What is given to places without a step: longer than any step that is counted.
NO_STEP = np.uint8(255)
# Pixels lighter than this in every channel count as paper: a cut-out on white is judged by what is cut out.
PAPER = 240
WINDOW = 256


def measure_pixels(picture: Pixels | Image.Image) -> NDArray[np.float32]:
    """Describe an RGB picture by the statistics of its pixels, at its own resolution.

    An encoder sees a picture shrunk, which wipes out the grain that tells a photograph from flat paint.
    Large pictures are judged by their central 256 x 256 pixels.

    Args:
        picture: RGB, of any size: an image, or pixels of shape ``(height, width, 3)``.

    Returns:
        26 numbers: shares of steps between neighbours up to 0, 1, 2, 4, 8, 16, 32 and 64 levels, over all
        pixels and over those that are not paper; entropy, number and concentration of 4,096 colours; mean
        and spread of saturation and of brightness; share of pixels that are not paper. Finite for any
        picture, down to one pixel.

    >>> measure_pixels(np.full((64, 64, 3), (255, 0, 0), dtype=np.uint8))[:3]
    array([1., 1., 1.], dtype=float32)
    """
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    top, left = max(0, (height - WINDOW) // 2), max(0, (width - WINDOW) // 2)
    # Channels first: numpy works on long inner axes much faster than on one of three.
    window = np.moveaxis(pixels[top : top + WINDOW, left : left + WINDOW], 2, 0)
    planes = np.ascontiguousarray(window)
    red, green, blue = planes
    darkest, lightest = planes.min(axis=0), planes.max(axis=0)
    drawn = darkest < PAPER
    steps = _steps(planes)
    number = 2 * drawn.size - sum(drawn.shape)
    everywhere = _shares(steps, number)
    saturation = (lightest - darkest) / np.maximum(lightest, 1)
    brightness = (red + green.astype(np.uint16) + blue) / (3 * 255)
    return np.concatenate(
        [
            everywhere,
            everywhere if drawn.all() else _shares_inside(steps, drawn),
            _colours(red, green, blue),
            _mean_and_spread(saturation),
            _mean_and_spread(brightness),
            [drawn.mean()],
        ],
        dtype=np.float32,
    )


def _steps(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the largest step of any channel to the right and down: shape ``(2, height, width)``."""
    steps = np.full((2, *planes.shape[1:]), NO_STEP)
    flat, found = planes.reshape(3, -1), steps.reshape(2, -1)
    for way, ahead in enumerate((1, planes.shape[2])):
        here, there = flat[:, :-ahead], flat[:, ahead:]
        apart = np.maximum(here, there)
        apart -= np.minimum(here, there)
        found[way, :-ahead] = apart.max(axis=0)
    # A row's last pixel has no neighbour: what follows in memory is the next row.
    steps[0, :, -1] = NO_STEP
    return steps


def _shares_inside(steps: NDArray[np.uint8], drawn: NDArray[np.bool_]) -> NDArray[np.float64]:
    inside = np.zeros(steps.shape, dtype=np.bool_)
    inside[0, :, :-1] = drawn[:, 1:] & drawn[:, :-1]
    inside[1, :-1] = drawn[1:] & drawn[:-1]
    return _shares(np.where(inside, steps, NO_STEP), int(np.count_nonzero(inside)))


def _shares(steps: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
    if not number:
        return np.ones(len(STEPS))
    # Pillow counts bytes as bytes; numpy would widen them to eight bytes each first.
    levels = Image.fromarray(steps.reshape(-1, steps.shape[2])).histogram()
    shares: NDArray[np.float64] = np.cumsum(levels)[list(STEPS)] / number
    return shares


def _colours(red: NDArray[np.uint8], green: NDArray[np.uint8], blue: NDArray[np.uint8]) -> list[float]:
    coarse = ((red >> 4).astype(np.uint16) << 8) | (green & 0xF0) | (blue >> 4)
    number = np.bincount(coarse.ravel())
    share = np.sort(number[number > 0] / coarse.size)[::-1]
    return [
        float(-(share * np.log(share)).sum()),
        float(np.log(len(share))),
        float(share[0]),
        float(share[:4].sum()),
        float(share[:16].sum()),
    ]


def _mean_and_spread(values: NDArray[np.float64]) -> list[float]:
    """Give what ``mean`` and ``std`` give, to the last bit, with one sum less; the values are used up."""
    mean = values.sum() / values.size
    values -= mean
    values *= values
    return [float(mean), float(np.sqrt(values.sum() / values.size))]
