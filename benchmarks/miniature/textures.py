"""Banks of texture that every drawing dips into: seeded constants, built once in each process.

A style takes a random window of a texture rather than drawing noise afresh, which costs ten times less.
"""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Plane: TypeAlias = NDArray[np.floating]
A = TypeVar("A", bound=np.generic)

SEED = 12345
SURFACES = 48
BRUSHWORKS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Brushwork:
    """A canvas covered with brush strokes: which stroke shows at each pixel, and how it catches the light.

    Attributes:
        stroke: Number of the stroke that shows, shape ``(size, size)``.
        middle: Flat pixel index of the middle of each stroke, shape ``(strokes,)``.
        relief: Height of the paint's edges against the light, in [-1, 1], shape ``(size, size)``.
    """

    stroke: NDArray[np.intp]
    middle: NDArray[np.intp]
    relief: Plane


@cache
def grid(size: int) -> tuple[Plane, Plane]:
    """Coordinates x and y of the pixels in [-1, 1], each of shape ``(size, size)``."""
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    return _frozen(x), _frozen(y)


def surface(rng: np.random.Generator, size: int) -> Plane:
    """Window of a random smooth texture (mean near 0, deviation near 1), shape ``(size, size)``."""
    bank = _surfaces(size)
    return _window(bank[rng.integers(len(bank))], rng, size)


def grain(rng: np.random.Generator, size: int) -> Plane:
    """Window of white noise (mean near 0, deviation near 1), shape ``(size, size)``."""
    return _window(_grain(size), rng, size)


def noise(rng: np.random.Generator, size: int, count: int) -> Plane:
    """Run of white noise (mean near 0, deviation near 1), shape ``(count,)``."""
    values = _grain(size).reshape(-1)
    start = int(rng.integers(len(values) - count + 1))
    return values[start : start + count]


def brushwork(rng: np.random.Generator, size: int, *, fine: bool) -> Brushwork:
    """A random canvas of broad or of fine strokes."""
    bank = _brushworks(size, fine)
    return bank[rng.integers(len(bank))]


def _window(texture: Plane, rng: np.random.Generator, size: int) -> Plane:
    room = len(texture) - size + 1
    top, left = int(rng.integers(room)), int(rng.integers(room))
    return texture[top : top + size, left : left + size]


@cache
def _grain(size: int) -> Plane:
    return _frozen(np.random.default_rng((SEED, 1)).standard_normal((4 * size, 4 * size), np.float32))


@cache
def _surfaces(size: int) -> tuple[Plane, ...]:
    rng = np.random.default_rng((SEED, 2))
    return tuple(_frozen(_make_surface(rng, 2 * size)) for _ in range(SURFACES))


def _make_surface(rng: np.random.Generator, size: int) -> Plane:
    """Add octaves of noise, each twice as fine and fainter than the last, drawn out along one side."""
    cells = min(size, int(rng.choice([4, 6, 8, 12, 16, 24, 32])))
    along, down = int(rng.choice([1, 1, 1, 3, 6])), int(rng.choice([1, 1, 1, 4]))
    strength = 1.0
    texture = np.zeros((size, size), np.float32)
    while cells <= size:
        noise = rng.standard_normal((max(2, cells // down), max(2, cells // along)), np.float32)
        octave = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
        texture += strength * np.asarray(octave)
        strength *= rng.uniform(0.45, 0.8)
        cells *= 2
    return np.asarray((texture - texture.mean()) / texture.std(), np.float32)


@cache
def _brushworks(size: int, fine: bool) -> tuple[Brushwork, ...]:
    rng = np.random.default_rng((SEED, 3, int(fine)))
    return tuple(_make_brushwork(rng, size, fine) for _ in range(BRUSHWORKS))


def _make_brushwork(rng: np.random.Generator, size: int, fine: bool) -> Brushwork:
    """Lay overlapping strokes along a slowly turning direction until the canvas is covered."""
    pixel = size / 64
    length, width = rng.uniform(4, 6, 2) * (1, 0.4) if fine else rng.uniform(8, 14, 2) * (1, 0.3)
    length, width = length * pixel, width * pixel
    count = int(7 * size * size / (length * width))
    middles = rng.uniform(0, size, (count, 2))
    turn = _make_surface(rng, size)[tuple(middles.astype(int).T)]
    angles = rng.uniform(0, np.pi) + 0.5 * turn + rng.normal(0, 0.15, count)

    canvas = Image.new("I", (size, size), -1)
    draw = ImageDraw.Draw(canvas)
    half = np.stack([np.sin(angles), np.cos(angles)], 1) * length / 2
    for number, (start, stop) in enumerate(zip(middles - half, middles + half, strict=True)):
        draw.line((start[1], start[0], stop[1], stop[0]), fill=number, width=max(1, round(width)))
    stroke = np.asarray(canvas)
    while (stroke < 0).any():
        stroke = np.where(stroke < 0, np.roll(stroke, 1, 1), stroke)

    shown, numbered = np.unique(stroke, return_inverse=True)
    rows, columns = middles[shown].astype(np.intp).T
    stroke = numbered.reshape(size, size).astype(np.intp)
    lit = (stroke != np.roll(stroke, 1, 0)).astype(np.float32)
    shaded = (stroke != np.roll(stroke, -1, 0)).astype(np.float32)
    return Brushwork(
        stroke=_frozen(stroke), middle=_frozen(rows * size + columns), relief=_frozen(lit - shaded)
    )


def _frozen(array: NDArray[A]) -> NDArray[A]:
    array.setflags(write=False)
    return array
