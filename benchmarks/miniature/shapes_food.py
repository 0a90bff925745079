"""Shapes of food."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BROWN,
    CREAM,
    CYAN,
    GOLD,
    GREEN,
    LEAF,
    LIME,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    SCARLET,
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
    trace,
)


def _apple(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.7, 0.85)
    from_top = np.linspace(-np.pi, np.pi, 28)
    dents = (
        1 - 0.3 * np.exp(-((from_top / 0.45) ** 2)) - 0.1 * np.exp(-(((abs(from_top) - np.pi) / 0.4) ** 2))
    )
    skin = np.stack([np.sin(from_top) * wide, -np.cos(from_top) * 0.76], 1) * dents[:, None]
    return [
        trace("primary", skin + np.array((0, 0.15))),
        line("third", 0.12, 0, -0.3, 0.08, -0.95),
        polygon("secondary", 0.08, -0.75, 0.35, -1, 0.65, -0.85, 0.4, -0.6),
    ]


def _banana(rng: np.random.Generator) -> list[Primitive]:
    inner = rng.uniform(0.3, 0.5)
    peel = np.concatenate([circle(20, 160, 14) * (1.0, 0.95), circle(160, 20, 14) * (0.85, inner)])
    return [
        trace("primary", peel - (0, 0.4)),
        polygon("secondary", -1.02, -0.28, -0.8, -0.2, -0.76, 0, -0.94, 0),
        polygon("dark", 0.84, -0.06, 0.94, -0.2, 0.98, -0.04),
    ]


def _cake(rng: np.random.Generator) -> list[Primitive]:
    step = rng.uniform(0.2, 0.4)
    return [
        box("primary", -0.9, step - 0.2, 0.9, 0.9),
        box("secondary", -0.9, step - 0.2, 0.9, step + 0.08),
        box("primary", -0.55, -0.35, 0.55, step - 0.2),
        box("secondary", -0.55, -0.45, 0.55, -0.25),
        box("light", -0.07, -0.8, 0.07, -0.45),
        disc("third", 0, -0.9, 0.1, 0.14),
    ]


def _carrot(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.28, 0.4)
    return [
        polygon("secondary", 0, -0.4, -0.4, -1, -0.1, -0.8, 0, -1.05, 0.1, -0.8, 0.4, -1),
        polygon("primary", -wide, -0.5, wide, -0.5, wide * 0.7, 0.1, 0, 1, -wide * 0.7, 0.1),
        line("dark", 0.06, -wide * 0.7, -0.2, 0, -0.15),
        line("dark", 0.06, wide * 0.6, 0.1, 0, 0.15),
    ]


def _cherry(rng: np.random.Generator) -> list[Primitive]:
    apart = rng.uniform(0.4, 0.55)
    return [
        line("secondary", 0.1, -apart, 0.3, 0, -0.9),
        line("secondary", 0.1, apart, 0.4, 0, -0.9),
        disc("primary", -apart, 0.55, 0.4),
        disc("primary", apart, 0.6, 0.38),
        polygon("third", 0, -0.9, 0.5, -1, 0.75, -0.75, 0.3, -0.7),
    ]


def _donut(rng: np.random.Generator) -> list[Primitive]:
    return [
        disc("secondary", 0, 0, 0.95),
        disc("primary", 0, -0.03, 0.82),
        disc("ground", 0, 0, rng.uniform(0.24, 0.34)),
        line("third", 0.1, -0.6, -0.2, -0.5, -0.35),
        line("light", 0.1, 0.5, 0.3, 0.6, 0.2),
        line("third", 0.1, 0.1, -0.65, 0.3, -0.6),
        line("light", 0.1, -0.3, 0.6, -0.45, 0.5),
    ]


def _egg(rng: np.random.Generator) -> list[Primitive]:
    bulge = 1 + 0.12 * np.cos(3 * np.linspace(0, 2 * np.pi, 20))[:, None]
    return [
        trace("light", circle(0, 360, 20) * (rng.uniform(0.8, 0.98), 0.75) * bulge),
        disc("secondary", 0.05, 0, 0.37),
    ]


def _grapes(rng: np.random.Generator) -> list[Primitive]:
    size = rng.uniform(0.24, 0.28)
    bunch: list[Primitive] = [line("third", 0.1, 0, -0.6, 0.05, -1)]
    for row, berries in enumerate((4, 3, 2, 1)):
        bunch += [
            disc("primary", (berry - (berries - 1) / 2) * 0.46, 0.4 * row - 0.45, size, corners=12)
            for berry in range(berries)
        ]
    return [*bunch, polygon("secondary", 0.05, -0.7, 0.55, -1, 0.7, -0.7)]


def _ice_cream(rng: np.random.Generator) -> list[Primitive]:
    scoop = rng.uniform(0.5, 0.6)
    return [
        polygon("secondary", -0.45, -0.05, 0.45, -0.05, 0, 1),
        disc("primary", 0, -0.35, scoop, 0.45),
        disc("third", 0, -0.7, 0.33, 0.3),
        line("dark", 0.05, -0.3, 0.12, 0.12, 0.72),
        line("dark", 0.05, 0.3, 0.12, -0.12, 0.72),
    ]


def _mushroom(rng: np.random.Generator) -> list[Primitive]:
    stem = rng.uniform(0.2, 0.32)
    return [
        polygon("secondary", -stem, -0.1, stem, -0.1, stem * 1.3, 0.95, -stem * 1.3, 0.95),
        disc("primary", 0, 0, 0.95, 0.85, start=180),
        disc("third", -0.4, -0.35, 0.15),
        disc("third", 0.2, -0.5, 0.17),
        disc("third", 0.55, -0.2, 0.12),
    ]


def _pear(rng: np.random.Generator) -> list[Primitive]:
    neck = rng.uniform(0.28, 0.4)
    top = circle(185, 355, 10) * (neck, 0.5) + np.array((0, -0.3))
    bottom = circle(-20, 200, 16) * (0.7, 0.62) + np.array((0, 0.35))
    return [
        trace("primary", np.concatenate([top, bottom])),
        line("secondary", 0.12, 0, -0.75, 0.1, -1.02),
        polygon("third", 0.08, -0.85, 0.5, -0.95, 0.3, -0.7),
    ]


def _pizza(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.65, 0.85)
    return [
        polygon("primary", -wide, -0.7, wide, -0.7, 0, 1),
        box("secondary", -wide - 0.1, -0.95, wide + 0.1, -0.65),
        disc("third", -0.25, -0.3, 0.18),
        disc("third", 0.3, -0.35, 0.18),
        disc("third", 0, 0.25, 0.17),
    ]


FOOD: dict[str, tuple[Shape, Colours]] = {
    "apple": (_apple, Colours(hues=(RED, GREEN), secondary=LEAF, third=WOOD)),
    "banana": (_banana, Colours(hues=(YELLOW,), secondary=WOOD)),
    "cake": (_cake, Colours(hues=(PINK, BROWN), secondary=CREAM, third=GOLD)),
    "carrot": (_carrot, Colours(hues=(ORANGE,), secondary=LEAF)),
    "cherry": (_cherry, Colours(hues=(RED,), secondary=LEAF, third=LEAF)),
    "donut": (_donut, Colours(hues=(PINK, BROWN), secondary=WOOD, third=GOLD)),
    "egg": (_egg, Colours(hues=(YELLOW,), secondary=GOLD)),
    "grapes": (_grapes, Colours(hues=(PURPLE, LIME), secondary=LEAF, third=WOOD)),
    "ice cream": (_ice_cream, Colours(hues=(PINK, CYAN), secondary=(0.09, 0.6, 0.8), third=CREAM)),
    "mushroom": (_mushroom, Colours(hues=(RED, BROWN), secondary=CREAM, third=CREAM)),
    "pear": (_pear, Colours(hues=(LIME, YELLOW), secondary=WOOD, third=LEAF)),
    "pizza": (_pizza, Colours(hues=(YELLOW,), secondary=WOOD, third=SCARLET)),
}
