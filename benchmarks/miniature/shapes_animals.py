"""Shapes of animals."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    CREAM,
    CYAN,
    FLAME,
    GOLD,
    GREEN,
    LIME,
    ORANGE,
    PURPLE,
    RED,
    ROSE,
    SCARLET,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import (
    Primitive,
    Shape,
    arc,
    box,
    curve,
    disc,
    line,
    polygon,
)


def _bee(rng: np.random.Generator) -> list[Primitive]:
    plump = rng.uniform(0.38, 0.5)
    return [
        disc("secondary", -0.05, -0.45, 0.25, 0.42),
        disc("secondary", 0.3, -0.4, 0.22, 0.4),
        polygon("dark", 0.8, 0.1, 1.05, 0.18, 0.8, 0.25),
        disc("primary", 0.1, 0.15, 0.75, plump),
        box("dark", -0.12, 0.18 - plump, 0.08, plump + 0.12),
        box("dark", 0.3, 0.2 - plump, 0.5, plump + 0.1),
        disc("dark", -0.65, 0.15, 0.26),
    ]


def _bird(rng: np.random.Generator) -> list[Primitive]:
    wing = rng.uniform(0.3, 0.5)
    return [
        line("dark", 0.08, -0.05, 0.5, -0.05, 0.95),
        line("dark", 0.08, 0.2, 0.5, 0.2, 0.95),
        polygon("primary", 0.4, 0.1, 1, -0.15, 0.95, 0.25),
        disc("primary", 0.1, 0.2, 0.58, 0.42),
        disc("primary", -0.45, -0.3, 0.36),
        polygon("secondary", -0.75, -0.42, -1.08, -0.2, -0.72, -0.14),
        disc("dark", -0.52, -0.38, 0.08, corners=8),
        polygon("third", -0.12, 0.03, 0.5, 0.03, 0.35, wing + 0.03),
    ]


def _butterfly(rng: np.random.Generator) -> list[Primitive]:
    wing = rng.uniform(0.35, 0.45)
    return [
        disc("secondary", -0.4, 0.35, wing - 0.05, wing - 0.08),
        disc("secondary", 0.4, 0.35, wing - 0.05, wing - 0.08),
        disc("primary", -0.5, -0.4, wing + 0.05, wing),
        disc("primary", 0.5, -0.4, wing + 0.05, wing),
        disc("light", -0.5, -0.4, 0.15),
        disc("light", 0.5, -0.4, 0.15),
        line("dark", 0.06, 0, -0.5, -0.25, -0.95),
        line("dark", 0.06, 0, -0.5, 0.25, -0.95),
        disc("dark", 0, 0, 0.11, 0.6),
    ]


def _cat(rng: np.random.Generator) -> list[Primitive]:
    ears = rng.uniform(0.85, 1)
    return [
        polygon("primary", -0.75, -0.1, -0.7, -ears, -0.15, -0.55),
        polygon("primary", 0.75, -0.1, 0.7, -ears, 0.15, -0.55),
        disc("primary", 0, 0.1, 0.8, 0.7),
        disc("light", -0.32, 0, 0.19),
        disc("light", 0.32, 0, 0.19),
        disc("dark", -0.32, 0, 0.09, 0.16, corners=8),
        disc("dark", 0.32, 0, 0.09, 0.16, corners=8),
        polygon("secondary", -0.12, 0.25, 0.12, 0.25, 0, 0.4),
        line("dark", 0.05, -0.3, 0.35, -1.05, 0.25),
        line("dark", 0.05, -0.3, 0.45, -1.05, 0.52),
        line("dark", 0.05, 0.3, 0.35, 1.05, 0.25),
        line("dark", 0.05, 0.3, 0.45, 1.05, 0.52),
    ]


def _duck(rng: np.random.Generator) -> list[Primitive]:
    head = rng.uniform(0.3, 0.38)
    return [
        polygon("secondary", -0.78, -0.55, -1.12, -0.35, -0.75, -0.25),
        polygon("primary", 0.3, 0.1, 0.98, -0.2, 0.75, 0.5),
        disc("primary", 0.1, 0.35, 0.75, 0.45),
        disc("primary", -0.5, -0.42, head),
        disc("dark", -0.58, -0.5, 0.07, corners=8),
        disc("third", 0.2, 0.3, 0.38, 0.2),
    ]


def _fish(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.4, 0.55)
    return [
        polygon("secondary", 0.45, 0, 1, -0.5, 0.85, 0, 1, 0.5),
        polygon("secondary", -0.2, 0.05 - tall, 0.2, -tall - 0.25, 0.3, 0.15 - tall),
        disc("primary", -0.15, 0, 0.75, tall),
        arc("dark", 0.06, -0.42, 0, 0.22, 0.3, start=-60, stop=60, corners=8),
        disc("light", -0.6, -0.1, 0.13),
        disc("dark", -0.62, -0.1, 0.07, corners=8),
    ]


def _rabbit(rng: np.random.Generator) -> list[Primitive]:
    ears = rng.uniform(0.45, 0.58)
    return [
        disc("primary", -0.3, -0.5, 0.18, ears),
        disc("primary", 0.3, -0.5, 0.18, ears),
        disc("secondary", -0.3, -0.5, 0.09, ears * 0.75, corners=10),
        disc("secondary", 0.3, -0.5, 0.09, ears * 0.75, corners=10),
        disc("primary", 0, 0.4, 0.62, 0.55),
        disc("dark", -0.24, 0.28, 0.09, corners=8),
        disc("dark", 0.24, 0.28, 0.09, corners=8),
        disc("secondary", 0, 0.5, 0.11, 0.08, corners=8),
        box("light", -0.1, 0.62, 0.1, 0.85),
    ]


def _snail(rng: np.random.Generator) -> list[Primitive]:
    shell = rng.uniform(0.48, 0.58)
    return [
        line("secondary", 0.08, -0.85, 0.35, -1, -0.1),
        line("secondary", 0.08, -0.72, 0.35, -0.65, -0.1),
        polygon("secondary", -1, 0.75, -0.9, 0.3, -0.65, 0.3, -0.55, 0.5, 1, 0.55, 0.95, 0.8),
        disc("primary", 0.25, 0.05, shell),
        arc("dark", 0.1, 0.25, 0.05, shell * 0.62, shell * 0.62, stop=270),
        arc("dark", 0.1, 0.3, 0.05, shell * 0.3, shell * 0.3, start=180, stop=400),
    ]


def _snake(rng: np.random.Generator) -> list[Primitive]:
    swing = rng.uniform(0.35, 0.48)
    along = np.linspace(-0.95, 0.65, 18)
    head = swing * float(np.sin(0.65 * 5.5)) + 0.05
    return [
        curve("primary", 0.26, np.stack([along, swing * np.sin(along * 5.5) + 0.1], 1)),
        line("secondary", 0.07, 1, head, 1.2, head - 0.05),
        disc("primary", 0.75, head, 0.27, 0.2),
        disc("dark", 0.78, head - 0.07, 0.07, corners=6),
    ]


def _spider(rng: np.random.Generator) -> list[Primitive]:
    belly = rng.uniform(0.35, 0.48)
    legs: list[Primitive] = [
        line("dark", 0.08, 0, 0.1, side * 0.6, bend * 1.2 - 0.15, side * 0.95, bend * 1.5 + 0.2)
        for side in (-1, 1)
        for bend in (-0.6, -0.2, 0.2, 0.6)
    ]
    return [
        *legs,
        disc("dark", 0, 0.3, belly, belly * 1.1),
        disc("dark", 0, -0.3, 0.26),
        disc("light", -0.1, -0.38, 0.07, corners=6),
        disc("light", 0.1, -0.38, 0.07, corners=6),
    ]


def _turtle(rng: np.random.Generator) -> list[Primitive]:
    dome = rng.uniform(0.6, 0.85)
    return [
        disc("secondary", 0.88, 0.15, 0.25, 0.22),
        box("secondary", -0.6, 0.3, -0.3, 0.75),
        box("secondary", 0.25, 0.3, 0.55, 0.75),
        polygon("secondary", -0.7, 0.3, -1.05, 0.5, -0.7, 0.45),
        disc("primary", 0, 0.4, 0.78, dome, start=180),
        line("dark", 0.07, -0.4, 0.35, -0.2, -0.15, 0.2, -0.15, 0.4, 0.35),
        disc("dark", 0.95, 0.1, 0.07, corners=6),
    ]


def _whale(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.5, 0.62)
    tail = (0.55, 0.2, 0.9, -0.6, 1.05, -0.85, 0.65, -0.7, 0.4, -0.85, 0.6, -0.5, 0.3, 0.1)
    return [
        line("third", 0.09, -0.3, -0.3, -0.3, -0.75),
        arc("third", 0.09, -0.48, -0.75, 0.18, 0.2, start=180, stop=360),
        arc("third", 0.09, -0.12, -0.75, 0.18, 0.2, start=180, stop=360),
        polygon("primary", *tail),
        disc("primary", -0.2, 0.2, 0.8, tall),
        disc("light", -0.3, 0.5, 0.55, 0.2),
        disc("dark", -0.65, 0.1, 0.08, corners=8),
    ]


ANIMALS: dict[str, tuple[Shape, Colours]] = {
    "bee": (_bee, Colours(hues=(YELLOW,), secondary=(0.55, 0.15, 0.95))),
    "bird": (_bird, Colours(hues=(BLUE, RED, YELLOW), secondary=GOLD)),
    "butterfly": (_butterfly, Colours(hues=(ORANGE, BLUE, PURPLE), secondary=GOLD)),
    "cat": (_cat, Colours(hues=(0.08, BLUE, ORANGE), secondary=ROSE)),
    "duck": (_duck, Colours(hues=(YELLOW,), secondary=FLAME, third=CREAM)),
    "fish": (_fish, Colours(hues=(ORANGE, BLUE, CYAN), secondary=GOLD)),
    "rabbit": (_rabbit, Colours(hues=(0.08, 0.9), secondary=ROSE)),
    "snail": (_snail, Colours(hues=(BROWN, ORANGE), secondary=(0.12, 0.4, 0.85))),
    "snake": (_snake, Colours(hues=(GREEN, LIME), secondary=SCARLET)),
    "spider": (_spider, Colours(hues=(PURPLE,))),
    "turtle": (_turtle, Colours(hues=(GREEN, BROWN), secondary=(0.25, 0.5, 0.7))),
    "whale": (_whale, Colours(hues=(BLUE, 0.55), third=(0.55, 0.3, 0.9))),
}
