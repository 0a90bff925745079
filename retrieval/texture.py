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
# Longer than any step that is counted: stands for all that are longer still, and for places without a step.
NO_STEP = np.uint8(127)
# Marks a step to or from paper.
TOUCHES = np.uint8(128)
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
    planes = _central_planes(np.asarray(picture))
    red, green, blue = planes
    lightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    paper = darkest >= PAPER
    return np.concatenate(
        [
            *_shares(_steps(planes), paper),
            _colours(red, green, blue),
            # One after the other, in the same half a megabyte: two would not stay in the cache.
            _mean_and_spread((lightest - darkest) / (lightest + (lightest == 0))),
            _mean_and_spread((red + green.astype(np.uint16) + blue) / (3 * 255)),
            [np.count_nonzero(~paper) / paper.size],
        ],
        dtype=np.float32,
    )


def _central_planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy the central pixels, channels first: numpy is much faster on long inner axes than on one of three."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - WINDOW) // 2), max(0, (width - WINDOW) // 2)
    window = np.ascontiguousarray(pixels[top : top + WINDOW, left : left + WINDOW])
    planes = np.empty((3, *window.shape[:2]), dtype=np.uint8)
    # Channel by channel out of packed rows: all at once numpy takes twice as long.
    for channel, plane in enumerate(planes):
        plane[...] = window[..., channel]
    return planes


def _steps(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the largest step of any channel to the right and down: shape ``(2, height, width)``."""
    steps = np.empty((2, *planes.shape[1:]), dtype=np.uint8)
    flat, found = planes.reshape(3, -1), steps.reshape(2, -1)
    for way, ahead in enumerate((1, planes.shape[2])):
        here, there = flat[:, :-ahead], flat[:, ahead:]
        apart = np.maximum(here, there)
        apart -= np.minimum(here, there)
        found[way, :-ahead] = np.maximum(np.maximum(apart[0], apart[1]), apart[2])
    # A row beside them, since numpy is slow with a single number.
    np.minimum(steps, np.full(planes.shape[2], NO_STEP), out=steps)
    _end(steps)
    return steps


def _end(steps: NDArray[np.uint8]) -> None:
    """Clear the places without a neighbour: what follows a row's last pixel in memory is the next row."""
    steps[0, :, -1] = NO_STEP
    steps[1, -1] = NO_STEP


def _shares(
    steps: NDArray[np.uint8], paper: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the shares of short steps over all pixels, and between pixels that are not paper; the steps are used up.

    Both come from one count, since the highest bit of a step says whether it touches paper.
    """
    if paper.any():
        marks = paper.view(np.uint8) * TOUCHES
        steps |= marks
        steps[0, :, :-1] |= marks[:, 1:]
        steps[1, :-1] |= marks[1:]
        _end(steps)
    # Pillow counts bytes as bytes; numpy would widen them to eight bytes each first.
    levels = np.array(Image.fromarray(steps.reshape(-1, steps.shape[2])).histogram()).reshape(2, -1)
    inside, touching = np.cumsum(levels, axis=1)[:, STEPS]
    number = 2 * paper.size - sum(paper.shape)
    return _divide(inside + touching, number), _divide(inside, number - int(levels[1].sum()))


def _divide(counts: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    return counts / number if number else np.ones(len(counts))


def _colours(red: NDArray[np.uint8], green: NDArray[np.uint8], blue: NDArray[np.uint8]) -> list[float]:
    import torch

    coarse = ((red >> 4).astype(np.int16) << 8) | (green & 0xF0) | (blue >> 4)
    # torch counts numbers of two bytes as they are, in half of numpy's time.
    number = torch.bincount(torch.from_numpy(coarse.ravel())).numpy()
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
