"""Shapes of buildings and shelters."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    CREAM,
    GLASS,
    GOLD,
    GREEN,
    ORANGE,
    RED,
    SCARLET,
    STEEL,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import Primitive, Shape, box, disc, line, polygon, trace


def _castle(rng: np.random.Generator) -> list[Primitive]:
    wall = rng.uniform(-0.3, 0)
    merlons: list[Primitive] = [
        box("secondary", left, -0.84, left + 0.14, -0.55) for left in (-1, -0.82, -0.64, 0.5, 0.68, 0.86)
    ]
    return [
        box("secondary", -0.6, wall, 0.6, 0.85),
        box("secondary", -1, -0.6, -0.5, 0.85),
        box("secondary", 0.5, -0.6, 1, 0.85),
        *merlons,
        box("dark", -0.82, -0.35, -0.68, -0.05),
        box("dark", 0.68, -0.35, 0.82, -0.05),
        disc("dark", 0, 0.55, 0.22, 0.3, start=180),
        box("dark", -0.22, 0.55, 0.22, 0.85),
        polygon("primary", 0, wall - 0.55, 0.35, wall - 0.45, 0, wall - 0.33),
        box("dark", -0.03, wall - 0.55, 0.04, wall),
    ]


def _house(rng: np.random.Generator) -> list[Primitive]:
    ridge = rng.uniform(0.75, 1)
    return [
        box("secondary", 0.35, -0.85, 0.58, -0.3),
        box("primary", -0.7, -0.2, 0.7, 0.9),
        polygon("secondary", -0.95, -0.15, 0, -ridge, 0.95, -0.15),
        box("dark", -0.17, 0.3, 0.17, 0.9),
        box("third", -0.55, 0.05, -0.27, 0.35),
        box("third", 0.27, 0.05, 0.55, 0.35),
    ]


def _lighthouse(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.22, 0.28)
    return [
        polygon("third", wide, -0.72, 1, -0.95, 1, -0.45),
        polygon("light", -wide, -0.5, wide, -0.5, wide * 1.6, 0.95, -wide * 1.6, 0.95),
        polygon("primary", -wide * 1.1, -0.25, wide * 1.1, -0.25, wide * 1.27, 0.1, -wide * 1.27, 0.1),
        polygon("primary", -wide * 1.37, 0.4, wide * 1.37, 0.4, wide * 1.5, 0.7, -wide * 1.5, 0.7),
        box("third", -wide * 0.75, -0.8, wide * 0.75, -0.5),
        polygon("primary", -wide, -0.78, 0, -1.05, wide, -0.78),
    ]


def _tent(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.85, 1)
    return [
        line("dark", 0.08, -0.12, -1.0, 0.05, -0.7),
        line("dark", 0.08, 0.12, -1.0, -0.05, -0.7),
        polygon("primary", -wide, 0.75, 0, -0.8, wide, 0.75),
        polygon("dark", -0.32, 0.75, 0, -0.25, 0.32, 0.75),
    ]


def _windmill(rng: np.random.Generator) -> list[Primitive]:
    turn = rng.uniform(0, np.pi / 2)
    blade = np.array([(0.1, 0), (0.88, 0.17), (0.88, -0.1), (0.1, -0.07)])
    mill: list[Primitive] = [
        polygon("primary", -0.28, -0.35, 0.28, -0.35, 0.45, 1, -0.45, 1),
        box("dark", -0.13, 0.6, 0.13, 1),
    ]
    for quarter in range(4):
        angle = turn + quarter * np.pi / 2
        axes = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
        mill.append(trace("third", blade @ axes - (0, 0.35)))
    return [*mill, disc("dark", 0, -0.35, 0.11)]


PLACES: dict[str, tuple[Shape, Colours]] = {
    "castle": (_castle, Colours(hues=(BLUE, RED), secondary=STEEL)),
    "house": (_house, Colours(hues=(0.09, RED), secondary=(0.02, 0.65, 0.6), third=GLASS)),
    "lighthouse": (_lighthouse, Colours(hues=(RED,), third=GOLD)),
    "tent": (_tent, Colours(hues=(GREEN, ORANGE))),
    "windmill": (_windmill, Colours(hues=(0.09,), secondary=CREAM, third=SCARLET)),
}
