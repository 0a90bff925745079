"""What shapes are made of: fills and strokes in the square [-1, 1]^2, x to the right and y down.

A primitive names the role of its colour, never the colour: the style decides what a role looks like.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Role: TypeAlias = Literal["primary", "secondary", "third", "dark", "light", "ground"]
Points: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A filled outline; the role ``ground`` cuts a hole through which the background shows."""

    role: Role
    points: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A line of some width, in the units of the square."""

    role: Role
    points: Points
    width: float


Primitive: TypeAlias = Fill | Stroke
Shape: TypeAlias = Callable[[np.random.Generator], list[Primitive]]


def trace(role: Role, points: ArrayLike) -> Fill:
    """Fill the outline through points of shape ``(n, 2)``."""
    return Fill(role=role, points=np.asarray(points, np.float32))


def polygon(role: Role, *coordinates: float) -> Fill:
    """Fill the outline through the corners x, y, x, y and so on.

    >>> polygon("primary", 0, 0, 1, 0, 0, 1).points.shape
    (3, 2)
    """
    return trace(role, np.asarray(coordinates, np.float32).reshape(-1, 2))


def box(role: Role, left: float, top: float, right: float, bottom: float) -> Fill:
    """Fill an upright rectangle."""
    return polygon(role, left, top, right, top, right, bottom, left, bottom)


def disc(
    role: Role,
    x: float,
    y: float,
    across: float,
    down: float | None = None,
    *,
    start: int = 0,
    stop: int = 360,
    corners: int = 20,
) -> Fill:
    """Fill an ellipse, or the part of it between two angles in degrees, cut off by its chord.

    Args:
        role: Role of the colour.
        x: Centre.
        y: Centre.
        across: Half the width.
        down: Half the height; the half width when left out.
        start: First angle; 0 points right and 90 down.
        stop: Last angle.
        corners: Corners of the outline.
    """
    return trace(role, circle(start, stop, corners) * (across, across if down is None else down) + (x, y))


def star(role: Role, x: float, y: float, outer: float, inner: float, spikes: int) -> Fill:
    """Fill a star whose first spike points up."""
    angles = np.arange(2 * spikes) * np.pi / spikes - np.pi / 2
    radii = np.where(np.arange(2 * spikes) % 2 == 0, outer, inner)
    return trace(role, np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1))


def line(role: Role, width: float, *coordinates: float) -> Stroke:
    """Stroke the line through x, y, x, y and so on."""
    return Stroke(role=role, width=width, points=np.asarray(coordinates, np.float32).reshape(-1, 2))


def curve(role: Role, width: float, points: ArrayLike) -> Stroke:
    """Stroke the line through points of shape ``(n, 2)``."""
    return Stroke(role=role, width=width, points=np.asarray(points, np.float32))


def arc(
    role: Role,
    width: float,
    x: float,
    y: float,
    across: float,
    down: float,
    *,
    start: int = 0,
    stop: int = 360,
    corners: int = 14,
) -> Stroke:
    """Stroke an ellipse between two angles in degrees."""
    return curve(role, width, circle(start, stop, corners) * (across, down) + (x, y))


@cache
def circle(start: int, stop: int, corners: int) -> Points:
    """Points on the unit circle between two angles in degrees, shape ``(corners, 2)``."""
    angles = np.radians(np.linspace(start, stop, corners))
    points = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    points.setflags(write=False)
    return points
