"""Shapes of plants, the sky and the land."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    FLAME,
    GOLD,
    GREEN,
    LEAF,
    LIME,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    WOOD,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import (
    Primitive,
    Shape,
    box,
    circle,
    disc,
    line,
    polygon,
    star,
    trace,
)


def _cactus(rng: np.random.Generator) -> list[Primitive]:
    elbow = rng.uniform(-0.3, 0)
    return [
        line("primary", 0.26, -0.6, elbow - 0.3, -0.6, elbow + 0.2, 0, elbow + 0.2),
        line("primary", 0.26, 0.6, elbow - 0.45, 0.6, elbow, 0, elbow),
        disc("primary", 0, -0.72, 0.24, 0.24),
        box("primary", -0.24, -0.7, 0.24, 0.6),
        polygon("secondary", -0.5, 0.5, 0.5, 0.5, 0.35, 1, -0.35, 1),
    ]


def _cloud(rng: np.random.Generator) -> list[Primitive]:
    middle = rng.uniform(0.42, 0.52)
    puffs = (
        circle(90, 260, 9) * 0.38 + np.array((-0.58, 0.19)),
        circle(195, 325, 9) * middle + np.array((-0.14, -0.12)),
        circle(250, 350, 7) * 0.34 + np.array((0.36, -0.02)),
        circle(270, 450, 9) * 0.34 + np.array((0.64, 0.23)),
    )
    return [
        trace("light", np.concatenate(puffs)),
        line("dark", 0.06, -0.32, 0.22, -0.12, 0.3, 0.06, 0.2),
    ]


def _flower(rng: np.random.Generator) -> list[Primitive]:
    petals = int(rng.integers(5, 8))
    angles = 2 * np.pi * np.arange(petals) / petals
    centres = np.stack([0.38 * np.cos(angles), 0.38 * np.sin(angles) - 0.4], 1).tolist()
    return [
        line("third", 0.12, 0, -0.2, 0, 1),
        polygon("third", 0, 0.7, 0.45, 0.35, 0.5, 0.6),
        *(disc("primary", x, y, 0.25, corners=12) for x, y in centres),
        disc("secondary", 0, -0.4, 0.22),
    ]


def _leaf(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.42, 0.58)
    angles = np.linspace(0, np.pi, 12)
    edge = np.stack([np.sin(angles) * wide, -np.cos(angles) * 0.85], 1)
    return [
        trace("primary", np.concatenate([edge, edge[::-1] * (-1, 1)])),
        line("dark", 0.08, 0, -0.6, 0, 1.05),
        line("dark", 0.06, 0, 0.1, 0.3, -0.2),
        line("dark", 0.06, 0, 0.1, -0.3, -0.2),
        line("dark", 0.06, 0, 0.5, 0.3, 0.2),
        line("dark", 0.06, 0, 0.5, -0.3, 0.2),
    ]


def _moon(rng: np.random.Generator) -> list[Primitive]:
    thin = rng.uniform(0.3, 0.55)
    outer = circle(60, 300, 16) * 0.95
    inner = circle(300, 60, 16) * (0.95 * thin, 0.95) + (0.475 * (1 - thin), 0)
    return [trace("primary", np.concatenate([outer, inner]) + np.array((0.3, 0)))]


def _mountain(rng: np.random.Generator) -> list[Primitive]:
    peak = rng.uniform(-0.4, -0.15)
    return [
        polygon("primary", 0.05, 0.8, 0.5, peak, 1, 0.8),
        polygon("primary", -1, 0.8, -0.25, -0.8, 0.55, 0.8),
        polygon("light", -0.25, -0.8, 0.08, -0.14, -0.08, 0.06, -0.25, -0.18, -0.4, 0.04, -0.56, -0.14),
    ]


def _pine_tree(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.55, 0.75)
    return [
        box("secondary", -0.12, 0.6, 0.12, 1),
        polygon("primary", 0, -0.1, wide, 0.7, -wide, 0.7),
        polygon("primary", 0, -0.6, wide * 0.8, 0.2, -wide * 0.8, 0.2),
        polygon("primary", 0, -1, wide * 0.55, -0.3, -wide * 0.55, -0.3),
    ]


def _star(rng: np.random.Generator) -> list[Primitive]:
    return [star("primary", 0, 0, 1, rng.uniform(0.38, 0.48), 5)]


def _sun(rng: np.random.Generator) -> list[Primitive]:
    return [star("secondary", 0, 0, 1, 0.62, int(rng.integers(8, 13))), disc("primary", 0, 0, 0.56)]


def _tree(rng: np.random.Generator) -> list[Primitive]:
    crown = rng.uniform(0.4, 0.5)
    return [
        box("secondary", -0.15, 0.1, 0.15, 1),
        disc("primary", -0.38, -0.1, crown),
        disc("primary", 0.38, -0.1, crown),
        disc("primary", 0, -0.5, crown + 0.05),
    ]


NATURE: dict[str, tuple[Shape, Colours]] = {
    "cactus": (_cactus, Colours(hues=(GREEN,), secondary=(0.05, 0.6, 0.6))),
    "cloud": (_cloud, Colours(hues=(BLUE,))),
    "flower": (_flower, Colours(hues=(PINK, RED, PURPLE), secondary=GOLD, third=LEAF)),
    "leaf": (_leaf, Colours(hues=(GREEN, ORANGE))),
    "moon": (_moon, Colours(hues=(YELLOW, BLUE))),
    "mountain": (_mountain, Colours(hues=(BLUE, BROWN))),
    "pine tree": (_pine_tree, Colours(hues=(0.38, GREEN), secondary=WOOD)),
    "star": (_star, Colours(hues=(YELLOW,))),
    "sun": (_sun, Colours(hues=(YELLOW, ORANGE), secondary=FLAME)),
    "tree": (_tree, Colours(hues=(GREEN, LIME), secondary=WOOD)),
}
