"""Shapes of tools and other things that fit in a hand."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    BROWN,
    CREAM,
    ORANGE,
    PURPLE,
    RED,
    ROSE,
    STEEL,
    WOOD,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import (
    Primitive,
    Shape,
    arc,
    box,
    circle,
    disc,
    line,
    polygon,
    trace,
)


def _bell(rng: np.random.Generator) -> list[Primitive]:
    rim = rng.uniform(0.75, 0.92)
    dome = circle(180, 360, 10) * (0.5, 0.7) - (0, 0.15)
    flare = np.array([(0.55, 0.3), (rim, 0.62), (-rim, 0.62), (-0.55, 0.3)])
    return [
        disc("secondary", 0, 0.75, 0.2),
        disc("primary", 0, -0.88, 0.13),
        trace("primary", np.concatenate([dome, flare])),
        line("dark", 0.07, -0.62, 0.36, 0.62, 0.36),
    ]


def _camera(rng: np.random.Generator) -> list[Primitive]:
    lens = rng.uniform(0.38, 0.48)
    return [
        box("secondary", -0.4, -0.8, 0.4, -0.4),
        box("secondary", -1, -0.5, 1, 0.7),
        disc("light", 0, 0.12, lens),
        disc("dark", 0, 0.12, lens * 0.7),
        disc("primary", 0, 0.12, lens * 0.4),
        box("light", 0.65, -0.4, 0.88, -0.22),
    ]


def _envelope(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.55, 0.72)
    return [
        box("light", -0.98, -tall, 0.98, tall),
        line("dark", 0.07, -0.98, tall, -0.25, 0, 0.25, 0, 0.98, tall),
        polygon("primary", -0.98, -tall, 0.98, -tall, 0, 0.15),
        line("dark", 0.08, -0.98, -tall, 0, 0.15, 0.98, -tall),
        line("dark", 0.08, -0.98, -tall, 0.98, -tall, 0.98, tall, -0.98, tall, -0.98, -tall),
    ]


def _hammer(rng: np.random.Generator) -> list[Primitive]:
    grip = rng.uniform(0.11, 0.16)
    return [
        box("primary", -grip, -0.5, grip, 1),
        polygon("secondary", -0.65, -0.98, 0.35, -0.98, 0.8, -0.7, 0.35, -0.48, -0.65, -0.48),
    ]


def _key(rng: np.random.Generator) -> list[Primitive]:
    bow = rng.uniform(0.38, 0.46)
    return [
        disc("primary", -0.56, 0, bow),
        box("primary", -0.25, -0.13, 1, 0.13),
        box("primary", 0.78, 0, 0.98, 0.46),
        box("primary", 0.42, 0, 0.62, 0.38),
        disc("ground", -0.56, 0, bow * 0.5),
    ]


def _ladder(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.34, 0.45)
    rungs: list[Primitive] = [
        box("secondary", -wide, height, wide, height + 0.15) for height in (-0.78, -0.36, 0.06, 0.48)
    ]
    return [
        *rungs,
        box("primary", -wide - 0.16, -1, -wide, 1),
        box("primary", wide, -1, wide + 0.16, 1),
    ]


def _magnet(rng: np.random.Generator) -> list[Primitive]:
    leg = rng.uniform(0.4, 0.55)
    return [
        arc("primary", 0.36, 0, 0, 0.6, 0.65, start=180, stop=360, corners=16),
        box("primary", -0.78, 0, -0.42, leg),
        box("primary", 0.42, 0, 0.78, leg),
        box("secondary", -0.78, leg, -0.42, leg + 0.35),
        box("secondary", 0.42, leg, 0.78, leg + 0.35),
    ]


def _pencil(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.18, 0.25)
    return [
        box("primary", -wide, -0.65, wide, 0.5),
        line("dark", 0.05, -wide * 0.35, -0.55, -wide * 0.35, 0.45),
        line("dark", 0.05, wide * 0.35, -0.55, wide * 0.35, 0.45),
        polygon("secondary", -wide, 0.5, wide, 0.5, 0, 1.02),
        polygon("dark", -wide * 0.4, 0.82, wide * 0.4, 0.82, 0, 1.03),
        box("third", -wide, -1, wide, -0.75),
        box("light", -wide, -0.77, wide, -0.62),
    ]


def _scissors(rng: np.random.Generator) -> list[Primitive]:
    spread = rng.uniform(0.4, 0.6)
    return [
        arc("primary", 0.18, -0.42, 0.66, 0.27, 0.27),
        arc("primary", 0.18, 0.42, 0.66, 0.27, 0.27),
        polygon("secondary", -spread, -1, 0.14 - spread, -1.03, 0.34, 0.34, 0.16, 0.5),
        polygon("secondary", spread, -1, spread - 0.14, -1.03, -0.34, 0.34, -0.16, 0.5),
        disc("dark", 0, 0.0, 0.08, corners=8),
    ]


def _umbrella(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.85, 1)
    dome = circle(180, 360, 12) * (wide, 0.85)
    scallops = [circle(360, 180, 6) * (wide / 3, 0.17) + (middle * wide, 0) for middle in (2 / 3, 0, -2 / 3)]
    return [
        line("secondary", 0.1, 0, -0.95, 0, 0.7),
        arc("secondary", 0.1, 0.17, 0.7, 0.17, 0.2, start=180, stop=20),
        trace("primary", np.concatenate([dome, *scallops])),
        line("dark", 0.05, 0, -0.83, -0.33 * wide, -0.04),
        line("dark", 0.05, 0, -0.83, 0.33 * wide, -0.04),
    ]


TOOLS: dict[str, tuple[Shape, Colours]] = {
    "bell": (_bell, Colours(hues=(YELLOW, ORANGE), secondary=WOOD)),
    "camera": (_camera, Colours(hues=(BLUE, RED), secondary=(0.6, 0.1, 0.35))),
    "envelope": (_envelope, Colours(hues=(ORANGE, BLUE))),
    "hammer": (_hammer, Colours(hues=(BROWN, RED), secondary=STEEL)),
    "key": (_key, Colours(hues=(YELLOW, ORANGE))),
    "ladder": (_ladder, Colours(hues=(BROWN, ORANGE), secondary=WOOD)),
    "magnet": (_magnet, Colours(hues=(RED, BLUE), secondary=(0.6, 0.05, 0.75))),
    "pencil": (_pencil, Colours(hues=(YELLOW, RED), secondary=(0.09, 0.4, 0.9), third=ROSE)),
    "scissors": (_scissors, Colours(hues=(RED, BLUE), secondary=(0.6, 0.05, 0.75))),
    "umbrella": (_umbrella, Colours(hues=(RED, BLUE, PURPLE), secondary=WOOD, third=CREAM)),
}
