"""Shapes of things found in a home."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    CREAM,
    CYAN,
    FLAME,
    GREEN,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    STEEL,
    WOOD,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import Primitive, Shape, arc, box, disc, line, polygon


def _bed(rng: np.random.Generator) -> list[Primitive]:
    head = rng.uniform(0.6, 0.9)
    return [
        box("secondary", -1, -head, -0.84, 0.75),
        box("secondary", 0.86, -0.15, 1, 0.75),
        box("primary", -0.9, 0.05, 0.92, 0.5),
        box("third", -0.82, -0.25, -0.3, 0.08),
    ]


def _book(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.5, 0.7)
    cover = (-1, -tall, 0, 0.15 - tall, 1, -tall, 1, tall, 0, tall + 0.15, -1, tall)
    return [
        polygon("primary", *cover),
        polygon("light", -0.9, -tall - 0.08, 0, 0.1 - tall, 0, tall, -0.9, tall - 0.12),
        polygon("light", 0.9, -tall - 0.08, 0, 0.1 - tall, 0, tall, 0.9, tall - 0.12),
        line("dark", 0.06, 0, 0.1 - tall, 0, tall),
        line("dark", 0.06, -0.7, -0.2, -0.2, -0.1),
        line("dark", 0.06, -0.7, 0.1, -0.2, 0.2),
        line("dark", 0.06, 0.7, -0.2, 0.2, -0.1),
        line("dark", 0.06, 0.7, 0.1, 0.2, 0.2),
    ]


def _bottle(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.3, 0.42)
    left = (-wide, -0.15, -0.14, -0.5, -0.14, -0.9)
    right = (0.14, -0.9, 0.14, -0.5, wide, -0.15)
    return [
        polygon("primary", *left, *right, wide, 1, -wide, 1),
        box("secondary", -wide, 0.2, wide, 0.65),
        box("dark", -0.17, -1, 0.17, -0.82),
    ]


def _candle(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.22, 0.36)
    return [
        box("primary", -wide, -0.25, wide, 1),
        disc("light", 0, -0.25, wide, 0.1),
        line("dark", 0.07, 0, -0.25, 0, -0.45),
        polygon("secondary", 0, -1, 0.2, -0.6, 0.1, -0.42, -0.1, -0.42, -0.2, -0.6),
    ]


def _chair(rng: np.random.Generator) -> list[Primitive]:
    back = rng.uniform(0.75, 1)
    return [
        box("primary", -0.6, -back, -0.4, 1),
        box("primary", -0.6, -back, -0.3, 0.1),
        box("secondary", -0.6, 0, 0.62, 0.24),
        box("primary", 0.42, 0.1, 0.62, 1),
    ]


def _clock(rng: np.random.Generator) -> list[Primitive]:
    hour, minute = rng.uniform(0, 2 * np.pi, 2)
    return [
        disc("primary", 0, 0, 0.95),
        disc("light", 0, 0, 0.75),
        line("dark", 0.12, 0, 0, 0.4 * float(np.cos(hour)), 0.4 * float(np.sin(hour))),
        line("dark", 0.08, 0, 0, 0.62 * float(np.cos(minute)), 0.62 * float(np.sin(minute))),
        *(disc("dark", x, y, 0.07, corners=6) for x, y in ((0, 0.62), (0.62, 0), (0, -0.62), (-0.62, 0))),
    ]


def _cup(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.55, 0.85)
    wide = rng.uniform(0.5, 0.65)
    return [
        arc("primary", 0.16, wide, 0, 0.38, 0.42 * tall, start=-90, stop=90),
        box("primary", -wide, -tall, wide, tall),
        disc("light", 0, -tall, wide, 0.15),
    ]


def _fork(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.36, 0.44)
    return [
        box("secondary", -0.11, -0.1, 0.11, 1),
        disc("secondary", 0, -0.25, wide, 0.32, stop=180),
        box("secondary", -wide, -1, 0.14 - wide, -0.2),
        box("secondary", wide - 0.14, -1, wide, -0.2),
        box("secondary", -0.07, -1, 0.07, -0.2),
    ]


def _lamp(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.4, 0.55)
    return [
        box("secondary", -0.08, -0.1, 0.08, 0.8),
        polygon("primary", -wide * 0.7, -0.95, wide * 0.7, -0.95, wide * 1.4, -0.1, -wide * 1.4, -0.1),
        box("secondary", -0.45, 0.78, 0.45, 0.96),
    ]


def _light_bulb(rng: np.random.Generator) -> list[Primitive]:
    globe = rng.uniform(0.6, 0.72)
    return [
        disc("primary", 0, -0.3, globe),
        polygon("primary", -globe * 0.75, 0, globe * 0.75, 0, 0.28, 0.5, -0.28, 0.5),
        line("dark", 0.07, -0.22, -0.25, -0.1, 0.42),
        line("dark", 0.07, 0.22, -0.25, 0.1, 0.42),
        line("dark", 0.07, -0.22, -0.25, 0, -0.1, 0.22, -0.25),
        box("secondary", -0.28, 0.5, 0.28, 0.62),
        box("dark", -0.28, 0.66, 0.28, 0.76),
        box("secondary", -0.22, 0.8, 0.22, 0.95),
    ]


def _spoon(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.3, 0.4)
    return [
        box("secondary", -0.09, -0.2, 0.09, 1),
        disc("secondary", 0, -0.53, wide, 0.47),
    ]


def _table(rng: np.random.Generator) -> list[Primitive]:
    thick = rng.uniform(0.17, 0.26)
    return [
        box("secondary", -0.85, -0.25, -0.66, 0.8),
        box("secondary", 0.66, -0.25, 0.85, 0.8),
        box("primary", -1, -0.4, 1, thick - 0.4),
    ]


def _teapot(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.5, 0.65)
    return [
        arc("primary", 0.14, 0.6, 0.15, 0.38, 0.35, start=-80, stop=80),
        polygon("primary", -0.5, 0.35, -1, -0.35, -0.85, -0.4, -0.4, 0),
        disc("primary", 0, 0.2, 0.68, tall),
        disc("secondary", 0, 0.2 - tall, 0.4, 0.14),
        disc("dark", 0, 0.05 - tall, 0.1),
    ]


def _television(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.5, 0.65)
    return [
        line("dark", 0.08, 0, -0.4, -0.45, -1),
        line("dark", 0.08, 0, -0.4, 0.45, -1),
        box("secondary", -0.95, -tall, 0.95, 0.7),
        box("primary", -0.8, 0.15 - tall, 0.45, 0.55),
        disc("light", 0.7, -0.2, 0.11),
        disc("light", 0.7, 0.15, 0.11),
        box("dark", -0.7, 0.7, -0.5, 0.92),
        box("dark", 0.5, 0.7, 0.7, 0.92),
    ]


def _wine_glass(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.42, 0.58)
    foot = (wide * 0.85, -0.35, 0.1, -0.02, -0.1, -0.02, -wide * 0.85, -0.35)
    return [
        polygon("light", -wide, -1, wide, -1, wide * 0.9, -0.35, 0.1, 0, -0.1, 0, -wide * 0.9, -0.35),
        polygon("primary", -wide * 0.96, -0.65, wide * 0.96, -0.65, *foot),
        box("secondary", -0.07, 0, 0.07, 0.85),
        disc("secondary", 0, 0.88, 0.45, 0.12),
    ]


HOUSEHOLD: dict[str, tuple[Shape, Colours]] = {
    "bed": (_bed, Colours(hues=(BLUE, PINK), secondary=WOOD, third=CREAM)),
    "book": (_book, Colours(hues=(BLUE, RED, GREEN))),
    "bottle": (_bottle, Colours(hues=(GREEN, BLUE), secondary=CREAM)),
    "candle": (_candle, Colours(hues=(RED, ORANGE), secondary=FLAME)),
    "chair": (_chair, Colours(hues=(BROWN, RED), secondary=WOOD)),
    "clock": (_clock, Colours(hues=(RED, BLUE))),
    "cup": (_cup, Colours(hues=(BLUE, RED, GREEN))),
    "fork": (_fork, Colours(hues=(BLUE,), secondary=(0.6, 0.05, 0.75))),
    "lamp": (_lamp, Colours(hues=(YELLOW, PINK), secondary=STEEL)),
    "light bulb": (_light_bulb, Colours(hues=(YELLOW,), secondary=STEEL)),
    "spoon": (_spoon, Colours(hues=(BLUE,), secondary=(0.6, 0.05, 0.75))),
    "table": (_table, Colours(hues=(BROWN,), secondary=WOOD)),
    "teapot": (_teapot, Colours(hues=(CYAN, PINK), secondary=STEEL)),
    "television": (_television, Colours(hues=(BLUE, CYAN), secondary=(0.07, 0.3, 0.35))),
    "wine glass": (_wine_glass, Colours(hues=(PURPLE, RED), secondary=STEEL)),
}
