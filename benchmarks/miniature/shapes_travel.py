"""Shapes of vehicles."""

import numpy as np

from oddpair.benchmarks.miniature.palette import (
    BLUE,
    FLAME,
    GLASS,
    GREEN,
    ORANGE,
    RED,
    SCARLET,
    STEEL,
    WOOD,
    YELLOW,
    Colours,
)
from oddpair.benchmarks.miniature.primitives import Primitive, Shape, arc, box, disc, line, polygon


def _airplane(rng: np.random.Generator) -> list[Primitive]:
    wing = rng.uniform(0.55, 0.8)
    return [
        polygon("secondary", -0.05, -0.05, 0.3, -0.05, 0.5, -wing, 0.35, -wing),
        polygon("third", 0.65, -0.1, 0.9, -0.5, 1.05, -0.5, 0.95, 0),
        disc("light", 0, 0, 1, 0.21),
        polygon("secondary", -0.1, 0.05, 0.3, 0.05, 0.6, wing, 0.4, wing),
        disc("dark", -0.75, -0.05, 0.09, 0.07, corners=6),
        disc("dark", -0.4, -0.05, 0.07, corners=6),
        disc("dark", -0.15, -0.05, 0.07, corners=6),
    ]


def _anchor(rng: np.random.Generator) -> list[Primitive]:
    arm = rng.uniform(0.65, 0.8)
    return [
        arc("primary", 0.15, 0, -0.75, 0.2, 0.2),
        box("primary", -0.11, -0.6, 0.11, 0.9),
        box("primary", -0.45, -0.38, 0.45, -0.18),
        arc("primary", 0.2, 0, 0.25, arm, 0.65, start=5, stop=175),
        polygon("primary", -arm - 0.2, 0.3, -arm, -0.05, 0.2 - arm, 0.35),
        polygon("primary", arm + 0.2, 0.3, arm, -0.05, arm - 0.2, 0.35),
    ]


def _bicycle(rng: np.random.Generator) -> list[Primitive]:
    wheel = rng.uniform(0.36, 0.43)
    return [
        arc("dark", 0.1, -0.58, 0.35, wheel, wheel, corners=18),
        arc("dark", 0.1, 0.58, 0.35, wheel, wheel, corners=18),
        line("primary", 0.11, -0.58, 0.35, -0.25, -0.25, 0.4, -0.25, 0.05, 0.35, -0.58, 0.35),
        line("primary", 0.11, 0.05, 0.35, -0.25, -0.4),
        line("primary", 0.11, 0.58, 0.35, 0.35, -0.55, 0.6, -0.6),
        line("dark", 0.13, -0.42, -0.43, -0.1, -0.43),
    ]


def _bus(rng: np.random.Generator) -> list[Primitive]:
    tall = rng.uniform(0.6, 0.8)
    windows: list[Primitive] = [
        box("secondary", left, 0.15 - tall, left + 0.32, -0.1) for left in (-0.9, -0.44, 0.02)
    ]
    return [
        box("primary", -1, -tall, 1, 0.5),
        *windows,
        box("secondary", 0.5, 0.15 - tall, 0.86, 0.4),
        disc("dark", -0.55, 0.48, 0.26),
        disc("dark", 0.5, 0.48, 0.26),
    ]


def _car(rng: np.random.Generator) -> list[Primitive]:
    roof = rng.uniform(0.5, 0.7)
    sill = 0.13 - roof
    return [
        polygon("primary", -0.55, -0.05, -0.35, -roof, 0.35, -roof, 0.65, -0.05),
        box("primary", -1, -0.1, 1, 0.42),
        polygon("secondary", -0.42, -0.08, -0.28, sill, -0.03, sill, -0.03, -0.08),
        polygon("secondary", 0.05, -0.08, 0.05, sill, 0.28, sill, 0.48, -0.08),
        disc("dark", -0.55, 0.4, 0.28),
        disc("dark", 0.55, 0.4, 0.28),
        disc("light", -0.55, 0.4, 0.11),
        disc("light", 0.55, 0.4, 0.11),
    ]


def _rocket(rng: np.random.Generator) -> list[Primitive]:
    wide = rng.uniform(0.28, 0.36)
    return [
        polygon("third", -0.22, 0.6, 0.22, 0.6, 0, 1.1),
        polygon("primary", -wide, 0.15, -wide - 0.35, 0.7, -wide, 0.6),
        polygon("primary", wide, 0.15, wide + 0.35, 0.7, wide, 0.6),
        box("light", -wide, -0.45, wide, 0.65),
        polygon("primary", -wide, -0.45, 0, -1.05, wide, -0.45),
        disc("primary", 0, -0.1, 0.17),
    ]


def _sailboat(rng: np.random.Generator) -> list[Primitive]:
    sail = rng.uniform(0.6, 0.8)
    return [
        polygon("secondary", -0.9, 0.5, 0.9, 0.5, 0.6, 0.95, -0.6, 0.95),
        box("dark", -0.06, -1, 0.06, 0.5),
        polygon("primary", 0.1, -0.95, 0.1, 0.35, sail, 0.35),
        polygon("light", -0.1, -0.75, -0.1, 0.35, -sail * 0.8, 0.35),
    ]


def _train(rng: np.random.Generator) -> list[Primitive]:
    boiler = rng.uniform(0.3, 0.45)
    return [
        polygon("dark", -0.95, 0.3, -1.15, 0.75, -0.95, 0.7),
        box("dark", -0.78, -0.8, -0.5, -0.2),
        box("primary", -0.95, 0.05 - boiler, 0.3, 0.45),
        box("primary", 0.2, -0.8, 0.95, 0.45),
        box("secondary", 0.38, -0.6, 0.78, -0.2),
        box("third", 0.1, -0.98, 1, -0.78),
        disc("dark", -0.65, 0.43, 0.24),
        disc("dark", -0.1, 0.43, 0.24),
        disc("dark", 0.55, 0.43, 0.32),
    ]


TRAVEL: dict[str, tuple[Shape, Colours]] = {
    "airplane": (_airplane, Colours(hues=(BLUE,), secondary=STEEL, third=SCARLET)),
    "anchor": (_anchor, Colours(hues=(BLUE,))),
    "bicycle": (_bicycle, Colours(hues=(RED, BLUE))),
    "bus": (_bus, Colours(hues=(YELLOW, RED, GREEN), secondary=GLASS)),
    "car": (_car, Colours(hues=(RED, BLUE, YELLOW, GREEN), secondary=GLASS)),
    "rocket": (_rocket, Colours(hues=(RED, BLUE), third=FLAME)),
    "sailboat": (_sailboat, Colours(hues=(RED, ORANGE, BLUE), secondary=WOOD)),
    "train": (_train, Colours(hues=(GREEN, RED, 0.02), secondary=GLASS, third=STEEL)),
}
