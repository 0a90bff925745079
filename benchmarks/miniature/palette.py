"""What colour a role takes: concepts have usual hues, and one object in four takes a hue of its own."""

import colorsys
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from oddpair.benchmarks.miniature.primitives import Role

Rgb: TypeAlias = tuple[int, int, int]
Hsv: TypeAlias = tuple[float, float, float]
Palette: TypeAlias = dict[Role, Rgb]

RED = 0.0
ORANGE = 0.07
BROWN = 0.07
YELLOW = 0.14
LIME = 0.22
GREEN = 0.33
CYAN = 0.5
BLUE = 0.6
PURPLE = 0.77
PINK = 0.92

WOOD: Hsv = (0.07, 0.6, 0.5)
STEEL: Hsv = (0.6, 0.05, 0.6)
CREAM: Hsv = (0.1, 0.1, 0.95)
LEAF: Hsv = (0.33, 0.7, 0.45)
GLASS: Hsv = (0.55, 0.3, 0.9)
GOLD: Hsv = (0.14, 0.9, 0.95)
FLAME: Hsv = (0.08, 0.95, 0.95)
SCARLET: Hsv = (0.0, 0.8, 0.8)
ROSE: Hsv = (0.95, 0.5, 0.9)

UNUSUAL_HUE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """The usual colours of one concept: hues of its primary role, and two further colours."""

    hues: tuple[float, ...]
    secondary: Hsv = STEEL
    third: Hsv = STEEL


def rgb(hue: float, saturation: float, value: float) -> Rgb:
    """Colour as 0-255 channels; the hue wraps around, saturation and value are clipped to [0, 1].

    >>> rgb(1 / 3, 1, 2)
    (0, 255, 0)
    """
    channels = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return int(channels[0] * 255), int(channels[1] * 255), int(channels[2] * 255)


def mix(colours: Colours, rng: np.random.Generator) -> Palette:
    """Draw the colours of one object."""
    hue = rng.random() if rng.random() < UNUSUAL_HUE else colours.hues[int(rng.integers(len(colours.hues)))]
    return {
        "primary": rgb(hue + rng.uniform(-0.035, 0.035), rng.uniform(0.55, 0.95), rng.uniform(0.6, 1)),
        "secondary": _near(colours.secondary, rng),
        "third": _near(colours.third, rng),
        "dark": rgb(rng.random(), rng.uniform(0, 0.4), rng.uniform(0.1, 0.3)),
        "light": rgb(rng.random(), rng.uniform(0, 0.15), rng.uniform(0.85, 1)),
    }


def enliven(palette: Palette) -> Palette:
    """Make the colours of an object as pure and bright as in print; greys stay grey."""
    vivid: Palette = {}
    for role, (red, green, blue) in palette.items():
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        vivid[role] = rgb(hue, saturation * 1.3 if saturation > 0.2 else saturation, value * 1.15)
    return vivid


def _near(colour: Hsv, rng: np.random.Generator) -> Rgb:
    hue, saturation, value = colour
    return rgb(
        hue + rng.uniform(-0.04, 0.04), saturation * rng.uniform(0.7, 1.1), value * rng.uniform(0.85, 1.1)
    )
