"""Shapes of things to wear."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    CREAM,
    GREEN,
    PINK,
    PURPLE,
    RED,
    SCARLET,
    WOOD,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import Primitive, Shape, box, disc, line, polygon


def _boot(rng: np.random.Generator) -> list[Primitive]:
    toe = rng.uniform(0.55, 0.85)
    return [
        polygon("primary", -0.55, -1, 0.1, -1, 0.15, 0.2, toe, 0.4, toe + 0.1, 0.75, -0.55, 0.75),
        box("dark", -0.58, 0.72, toe + 0.12, 0.92),
        box("secondary", -0.6, -1, 0.15, -0.75),
    ]


def _crown(rng: np.random.Generator) -> list[Primitive]:
    dip = rng.uniform(-0.05, 0.2)
    spikes = (-0.85, 0.6, -1, -0.5, -0.5, dip, 0, -0.75, 0.5, dip, 1, -0.5, 0.85, 0.6)
    return [
        polygon("primary", *spikes),
        box("primary", -0.85, 0.55, 0.85, 0.75),
        disc("secondary", 0, 0.35, 0.15),
        disc("third", -0.5, 0.38, 0.12),
        disc("third", 0.5, 0.38, 0.12),
        disc("secondary", 0, -0.78, 0.12),
        disc("secondary", -1, -0.52, 0.12),
        disc("secondary", 1, -0.52, 0.12),
    ]


def _glasses(rng: np.random.Generator) -> list[Primitive]:
    lens = rng.uniform(0.36, 0.44)
    return [
        line("dark", 0.13, -0.92, -0.1, -1.05, -0.35),
        line("dark", 0.13, 0.92, -0.1, 1.05, -0.35),
        line("dark", 0.14, -0.2, -0.05, 0.2, -0.05),
        disc("dark", -0.52, 0, lens + 0.07),
        disc("dark", 0.52, 0, lens + 0.07),
        disc("light", -0.52, 0, lens - 0.08),
        disc("light", 0.52, 0, lens - 0.08),
    ]


def _hat(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.6, 0.95)
    return [
        disc("primary", 0, 0.5, 1, 0.25),
        polygon("primary", -0.5, 0.5, -0.42, 0.2 - tall, 0.42, 0.2 - tall, 0.5, 0.5),
        box("secondary", -0.5, 0.15, 0.5, 0.4),
    ]


def _shirt(rng: np.random.Generator) -> list[Primitive]:
    sleeve = rng.uniform(0.08, 0.18)
    left = (-0.35, -0.8, -0.6, -0.75, -1, sleeve - 0.35, -0.75, sleeve - 0.05, -0.5, -0.25, -0.5, 0.85)
    right = (0.5, 0.85, 0.5, -0.25, 0.75, sleeve - 0.05, 1, sleeve - 0.35, 0.6, -0.75, 0.35, -0.8)
    return [polygon("primary", *left, *right, 0.2, -0.62, -0.2, -0.62)]


def _sock(rng: np.random.Generator) -> list[Primitive]:
    toe = rng.uniform(0.55, 0.8)
    foot = (0.1, 0.15, toe, 0.5, toe, 0.85, toe - 0.3, 0.95, -0.15, 0.75, -0.5, 0.3)
    return [
        polygon("primary", -0.5, -0.8, 0.1, -0.8, *foot),
        polygon("secondary", toe - 0.25, 0.35, toe, 0.5, toe, 0.85, toe - 0.3, 0.95),
        box("secondary", -0.55, -1, 0.15, -0.68),
        box("secondary", -0.5, -0.4, 0.1, -0.22),
        box("secondary", -0.5, 0, 0.1, 0.15),
    ]


CLOTHING: dict[str, tuple[Shape, Colours]] = {
    "boot": (_boot, Colours(hues=(BROWN, RED), secondary=WOOD)),
    "crown": (_crown, Colours(hues=(YELLOW,), secondary=SCARLET, third=(0.6, 0.8, 0.8))),
    "glasses": (_glasses, Colours(hues=(BLUE, PINK))),
    "hat": (_hat, Colours(hues=(BROWN, PURPLE), secondary=SCARLET)),
    "shirt": (_shirt, Colours(hues=(BLUE, RED, GREEN))),
    "sock": (_sock, Colours(hues=(RED, GREEN, PINK), secondary=CREAM)),
}
