"""Shapes of toys, instruments and emblems."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    CREAM,
    CYAN,
    FLAME,
    GOLD,
    GREEN,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    WOOD,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import (
    Primitive,
    Role,
    Shape,
    box,
    circle,
    disc,
    line,
    polygon,
    trace,
)

PIPS: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((-0.4, -0.4), (0.4, 0.4)),
    3: ((-0.45, -0.45), (0, 0), (0.45, 0.45)),
    4: ((-0.4, -0.4), (0.4, 0.4), (-0.4, 0.4), (0.4, -0.4)),
    5: ((-0.42, -0.42), (0.42, 0.42), (-0.42, 0.42), (0.42, -0.42), (0, 0)),
    6: ((-0.4, -0.5), (0.4, 0.5), (-0.4, 0.5), (0.4, -0.5), (-0.4, 0), (0.4, 0)),
}


def _balloon(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.5, 0.62)
    return [
        line("dark", 0.07, 0, 0.35, -0.1, 0.6, 0.1, 0.8, 0, 1),
        disc("primary", 0, -0.3, wide, 0.65),
        polygon("primary", 0, 0.3, 0.14, 0.48, -0.14, 0.48),
        disc("light", -0.2, -0.55, 0.1, 0.15),
    ]


def _beach_ball(rng: np.random.Generator) -> list[Primitive]:
    first = int(rng.integers(60))
    stripes: tuple[tuple[int, Role], ...] = ((0, "primary"), (120, "secondary"), (240, "third"))
    ball: list[Primitive] = [disc("light", 0, 0, 0.95, corners=24)]
    for turn, role in stripes:
        edge = circle(first + turn, first + turn + 60, 7) * 0.87
        ball.append(trace(role, np.concatenate([np.zeros((1, 2)), edge])))
    return [*ball, disc("light", 0, 0, 0.15)]


def _dice(rng: np.random.Generator) -> list[Primitive]:
    pips = PIPS[int(rng.integers(2, 7))]
    return [
        box("light", -0.85, -0.85, 0.85, 0.85),
        line("dark", 0.1, -0.85, -0.85, 0.85, -0.85, 0.85, 0.85, -0.85, 0.85, -0.85, -0.85),
        *(disc("dark", x, y, 0.17, corners=10) for x, y in pips),
    ]


def _drum(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.35, 0.5)
    return [
        box("primary", -0.8, -0.3, 0.8, tall),
        disc("primary", 0, tall, 0.8, 0.28),
        line("light", 0.07, -0.8, -0.2, -0.4, tall + 0.2, 0, -0.05, 0.4, tall + 0.2, 0.8, -0.2),
        disc("light", 0, -0.3, 0.8, 0.28),
        line("third", 0.12, -0.9, -1, -0.2, -0.35),
        line("third", 0.12, 0.9, -1, 0.2, -0.35),
    ]


def _flag(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.35, 0.5)
    top = np.array([(-0.66, -0.9), (0.2, -0.75), (0.9, -0.95)])
    cloth, upper, lower = (top + np.array((0, share * tall)) for share in (2, 0.65, 1.35))
    return [
        box("secondary", -0.82, -1, -0.66, 1),
        trace("primary", np.concatenate([top, cloth[::-1]])),
        trace("light", np.concatenate([upper, lower[::-1]])),
    ]


def _guitar(rng: np.random.Generator) -> list[Primitive]:
    body = rng.uniform(0.45, 0.55)
    return [
        box("secondary", -0.1, -1, 0.1, 0.2),
        box("dark", -0.19, -1, 0.19, -0.78),
        disc("primary", 0, 0.1, body * 0.78, 0.35),
        disc("primary", 0, 0.55, body, 0.43),
        disc("dark", 0, 0.3, 0.17),
        line("light", 0.05, 0, -0.9, 0, 0.7),
    ]


def _heart(rng: np.random.Generator) -> list[Primitive]:
    tall = 0.95 * rng.uniform(0.9, 1.1)
    angles = np.linspace(0, 2 * np.pi, 26)
    lobes = 13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)
    return [trace("primary", np.stack([0.95 * np.sin(angles) ** 3, -lobes / 16 * tall], 1))]


def _kite(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.5, 0.65)
    return [
        line("dark", 0.07, 0, 0.4, 0.2, 0.6, -0.1, 0.8, 0.1, 1.05),
        polygon("primary", 0, -1, wide, -0.4, 0, 0.4, -wide, -0.4),
        polygon("secondary", 0, -1, wide, -0.4, 0, -0.4),
        polygon("secondary", 0, 0.4, -wide, -0.4, 0, -0.4),
        line("dark", 0.05, 0, -1, 0, 0.4),
    ]


def _snowman(rng: np.random.Generator) -> list[Primitive]:
    belly = rng.uniform(0.5, 0.6)
    return [
        disc("light", 0, 0.5, belly, 0.5),
        disc("light", 0, -0.2, 0.38),
        box("dark", -0.34, -0.72, 0.34, -0.54),
        box("dark", -0.22, -1.05, 0.22, -0.7),
        polygon("secondary", 0, -0.22, 0.34, -0.12, 0, -0.08),
        disc("dark", -0.14, -0.32, 0.06, corners=6),
        disc("dark", 0.14, -0.32, 0.06, corners=6),
        disc("dark", 0, 0.34, 0.07, corners=6),
        disc("dark", 0, 0.6, 0.07, corners=6),
        box("primary", -0.36, 0.05, 0.36, 0.19),
    ]


PLAY: dict[str, tuple[Shape, Colours]] = {
    "balloon": (_balloon, Colours(hues=(RED, BLUE, PURPLE, GREEN))),
    "beach ball": (_beach_ball, Colours(hues=(RED,), secondary=(0.6, 0.7, 0.9), third=GOLD)),
    "dice": (_dice, Colours(hues=(RED,))),
    "drum": (_drum, Colours(hues=(RED, BLUE), third=WOOD)),
    "flag": (_flag, Colours(hues=(RED, BLUE, GREEN), secondary=WOOD, third=CREAM)),
    "guitar": (_guitar, Colours(hues=(ORANGE, BROWN), secondary=WOOD)),
    "heart": (_heart, Colours(hues=(RED, PINK))),
    "kite": (_kite, Colours(hues=(RED, CYAN, PURPLE), secondary=GOLD)),
    "snowman": (_snowman, Colours(hues=(RED,), secondary=FLAME)),
}
