"""The styles without texture: sketch, cartoon and silhouette."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from oddpair.benchmarks.miniature.canvas import (
    SUPERSAMPLING,
    Jitter,
    Thing,
    blank,
    cut_stencil,
    ink_outlined,
)
from oddpair.benchmarks.miniature.palette import Palette, Rgb, enliven, mix, rgb
from oddpair.benchmarks.miniature.textures import grain, grid

CARTOON_INK: Rgb = (15, 15, 20)


def draw_sketch(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Draw shaky outlines on paper, or one time in eight in chalk on a board."""
    side = size * SUPERSAMPLING
    paper, ink = _choose_paper(rng)
    page = Image.new("RGB", (side, side), paper)
    layer, draw = blank(side)
    thickness = _scaled(int(rng.integers(2, 4)), size)
    palette: Palette = dict.fromkeys(("primary", "secondary", "third", "light", "dark"), paper)
    if rng.random() < 0.4:
        palette["dark"] = ink
    for thing in things:
        ink_outlined(draw, thing, palette, ink, thickness, _shaky_hand(rng, 0.008 * side))
    page.paste(layer, mask=layer)
    if rng.random() < 0.35:
        _hatch(ImageDraw.Draw(page), paper, ink, rng, side)
    noise = grain(rng, size)[..., None] * rng.uniform(0, 6)
    pixels = np.asarray(page.reduce(SUPERSAMPLING)) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_cartoon(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Draw flat bright colours inside thick outlines on a plain, two-part or sunburst background."""
    side = size * SUPERSAMPLING
    page = _cartoon_page(rng, side)
    layer = ink_cartoon(things, rng, size, _scaled(int(rng.integers(4, 7)), size))
    page.paste(layer, mask=layer)
    return page.reduce(SUPERSAMPLING)


def ink_cartoon(things: Sequence[Thing], rng: np.random.Generator, size: int, thickness: int) -> Image.Image:
    """Ink cartoon objects on a clear layer, for a picture of some size; outlines are in canvas pixels."""
    layer, draw = blank(size * SUPERSAMPLING)
    for thing in things:
        ink_outlined(draw, thing, enliven(mix(thing.colours, rng)), CARTOON_INK, thickness)
    return layer


def draw_silhouette(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Draw stencils in one tone on another, dark on light six times in seven."""
    side = size * SUPERSAMPLING
    bright = rgb(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.75, 1))
    dim = rgb(rng.random(), rng.uniform(0, 0.6), rng.uniform(0, 0.25))
    ground, tone = (dim, bright) if rng.random() < 0.15 else (bright, dim)
    mask = Image.new("L", (side, side))
    for thing in things:
        mask = ImageChops.lighter(mask, cut_stencil(thing, side, _scaled(3, size)))
    coverage = np.asarray(mask.reduce(SUPERSAMPLING), np.float32)[..., None] / 255
    page = np.broadcast_to(np.asarray(ground, np.float32), (size, size, 3))
    if rng.random() < 0.5:
        page = page * (1 - 0.175 * (grid(size)[1][..., None] + 1))
    pixels = page * (1 - coverage) + np.asarray(tone, np.float32) * coverage
    return Image.fromarray(pixels.astype(np.uint8))


def _scaled(pixels: int, size: int) -> int:
    """Line widths are stated for pictures of 64 pixels."""
    return max(1, round(pixels * size / 64))


def _choose_paper(rng: np.random.Generator) -> tuple[Rgb, Rgb]:
    if rng.random() < 0.12:
        return rgb(rng.uniform(0.3, 0.65), rng.uniform(0.3, 0.8), rng.uniform(0.12, 0.3)), rgb(
            0.1, 0.05, 0.95
        )
    paper = rgb(rng.uniform(0.08, 0.15), rng.uniform(0, 0.12), rng.uniform(0.86, 1))
    return paper, rgb(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.05, 0.4))


def _shaky_hand(rng: np.random.Generator, deviation: float) -> Jitter:
    def jitter(outline: list[float]) -> list[float]:
        moves = rng.normal(0, deviation, len(outline)).tolist()
        return [place + move for place, move in zip(outline, moves, strict=True)]

    return jitter


def _hatch(draw: ImageDraw.ImageDraw, paper: Rgb, ink: Rgb, rng: np.random.Generator, side: int) -> None:
    faint = tuple((dark + 2 * light) // 3 for dark, light in zip(ink, paper, strict=True))
    left, step = rng.uniform(0, side), side / 25
    for number in range(int(rng.integers(4, 14))):
        x = left + number * step
        lean = rng.uniform(2, 6) * step
        draw.line((x, rng.uniform(0, side), x - lean, rng.uniform(0, side)), fill=faint, width=1)


def _cartoon_page(rng: np.random.Generator, side: int) -> Image.Image:
    plain = rgb(rng.random(), rng.uniform(0, 0.55), rng.uniform(0.8, 1))
    page = Image.new("RGB", (side, side), plain if rng.random() < 0.7 else (255, 255, 255))
    draw = ImageDraw.Draw(page)
    kind = rng.random()
    if kind < 0.35:
        floor = rgb(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.7, 1))
        draw.rectangle((0, rng.uniform(0.4, 0.8) * side, side, side), fill=floor)
    elif kind < 0.48:
        turn = rng.random()
        for ray in range(0, 12, 2):
            start = 30 * (ray + turn)
            draw.pieslice((-side, -side, 2 * side, 2 * side), start, start + 30, fill=rgb(turn, 0.2, 1))
    return page
