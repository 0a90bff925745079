"""Puts shapes on a canvas of twice the wanted size: where each object goes, and three ways to ink it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from oddpair.benchmarks.miniature.concepts import colours, shape
from oddpair.benchmarks.miniature.palette import Colours, Palette, Rgb
from oddpair.benchmarks.miniature.primitives import Fill, Role
from oddpair.benchmarks.miniature.textures import Plane

SUPERSAMPLING = 2
CLEAR = (0, 0, 0, 0)
TILT_DEGREES = 14.0
STENCIL_CODES: dict[Role, int] = {
    "ground": 0,
    "primary": 1,
    "secondary": 2,
    "third": 3,
    "dark": 4,
    "light": 5,
}

Jitter: TypeAlias = Callable[[list[float]], list[float]]


class Mark(NamedTuple):
    """A primitive in pixels of the canvas; fills have width 0."""

    role: Role
    outline: list[float]
    width: float


class Spot(NamedTuple):
    """Where an object goes, as shares of the picture's side."""

    x: float
    y: float
    half_extent: float


class Extent(NamedTuple):
    """Upright box around a mark, in pixels of the canvas."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object on the canvas."""

    colours: Colours
    marks: list[Mark]
    spot: Spot


def arrange(names: Sequence[str], rng: np.random.Generator, side: int) -> list[Thing]:
    """Lay out one or two objects on a canvas.

    Args:
        names: One or two concepts.
        rng: Source of shape, place, size and tilt.
        side: Side of the canvas in pixels.

    Returns:
        The objects, in the order of the names.
    """
    return [
        Thing(colours=colours(name), marks=_place(name, spot, rng, side), spot=spot)
        for name, spot in zip(names, _choose_spots(len(names), rng), strict=True)
    ]


def blank(side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Make a clear layer to ink objects on."""
    layer = Image.new("RGBA", (side, side), CLEAR)
    return layer, ImageDraw.Draw(layer)


def shrink(layer: Image.Image) -> tuple[Plane, Plane]:
    """Bring a layer to the wanted size.

    Args:
        layer: An RGBA layer, opaque where it is inked.

    Returns:
        Colour times coverage in [0, 255], shape ``(3, size, size)``, and coverage in [0, 1], ``(size, size)``.
    """
    small = np.asarray(layer.convert("RGBa").reduce(SUPERSAMPLING)).transpose(2, 0, 1).astype(np.float32)
    return small[:3], small[3] / np.float32(255)


def ink_solid(draw: ImageDraw.ImageDraw, thing: Thing, palette: Palette, *, thicken: int = 0) -> None:
    """Ink an object without outlines.

    Args:
        draw: Where to.
        thing: The object.
        palette: Its colours.
        thicken: Pixels of the canvas by which every part grows, for styles that lose thin parts.
    """
    for role, outline, width in thing.marks:
        fill = CLEAR if role == "ground" else (*palette[role], 255)
        if width:
            _draw_line(draw, outline, fill, max(2, round(width) + thicken))
        else:
            draw.polygon(outline, fill=fill)
            if thicken and role != "ground":
                draw.line(outline + outline[:2], fill=fill, width=thicken)


def ink_outlined(
    draw: ImageDraw.ImageDraw,
    thing: Thing,
    palette: Palette,
    ink: Rgb,
    thickness: int,
    jitter: Jitter | None = None,
) -> None:
    """Ink an object with flat colours inside dark outlines; lines too thin for an outline become ink.

    Args:
        draw: Where to.
        thing: The object.
        palette: Its colours.
        ink: Colour of the outlines.
        thickness: Width of the outlines, in pixels of the canvas.
        jitter: Moves the corners of every part, for a shaky hand.
    """
    contour = (*ink, 255)
    for role, steady, width in thing.marks:
        outline = steady if jitter is None else jitter(steady)
        fill = CLEAR if role == "ground" else (*palette[role], 255)
        if not width:
            draw.polygon(outline, fill=fill, outline=contour, width=thickness)
        elif width > 2 * thickness:
            _draw_line(draw, outline, contour, round(width) + thickness)
            _draw_line(draw, outline, fill, max(1, round(width) - thickness))
        else:
            draw.line(outline, fill=contour, width=max(thickness, round(width / 2)))


def cut_stencil(thing: Thing, side: int, gap: int) -> Image.Image:
    """Make a two-tone mask of an object, with its inner parts cut out as a stencil has them.

    A part over another part of a different role is a hole, and a part over a hole is solid again; bands that
    cross the whole object would cut it to pieces, so only their borders are cut.

    Args:
        thing: The object.
        side: Side of the canvas in pixels.
        gap: Width of the cut borders, in pixels of the canvas.

    Returns:
        A mask of 0 and 255.
    """
    # A pixel holds twice the code of the role on top, plus one where the stencil is solid.
    codes = Image.new("L", (side, side))
    draw = ImageDraw.Draw(codes)
    body: Extent | None = None
    for role, outline, width in thing.marks:
        code = 2 * STENCIL_CODES[role]
        under = _look_under(codes, outline, width)
        over_other_part = body is not None and under > 1 and under // 2 != code // 2
        solid = code and code + (1 - under % 2 if over_other_part else 1)
        if width:
            _draw_line(draw, outline, solid, max(2, round(width)))
            continue
        extent = Extent(min(outline[::2]), min(outline[1::2]), max(outline[::2]), max(outline[1::2]))
        if over_other_part and code and body is not None and not _is_inner(extent, body, gap):
            draw.polygon(outline, fill=code + under % 2, outline=code + 1 - under % 2, width=gap)
        else:
            draw.polygon(outline, fill=solid)
        body = extent if body is None else _join(body, extent)
    return codes.point([255 * (code % 2) for code in range(256)])


def _choose_spots(count: int, rng: np.random.Generator) -> list[Spot]:
    if count == 1:
        half = rng.uniform(0.26, 0.44)
        room = (0.5 - half) * 0.7
        return [Spot(0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room), half)]
    angle = rng.uniform(-0.7, 0.7) + (np.pi / 2 if rng.random() < 0.3 else 0)
    distance = rng.uniform(0.24, 0.28) * (-1 if rng.random() < 0.5 else 1)
    right, down = distance * float(np.cos(angle)), distance * float(np.sin(angle))
    return [
        Spot(0.5 + right, 0.5 + down, rng.uniform(0.22, 0.31)),
        Spot(0.5 - right, 0.5 - down, rng.uniform(0.22, 0.31)),
    ]


def _place(name: str, spot: Spot, rng: np.random.Generator, side: int) -> list[Mark]:
    primitives = shape(name, rng)
    tilt = float(np.radians(rng.normal(0, TILT_DEGREES)))
    flip = -1 if rng.random() < 0.5 else 1
    stretch, shear = rng.uniform(0.85, 1.15), rng.uniform(-0.15, 0.15)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    reshape = np.array([[flip * stretch, shear], [0, 1 / stretch]])
    scale = spot.half_extent * side
    axes = (turn @ reshape).T * scale
    middle = np.array([spot.x, spot.y]) * side
    return [
        Mark(
            primitive.role,
            (primitive.points @ axes + middle).ravel().tolist(),
            0 if isinstance(primitive, Fill) else primitive.width * scale,
        )
        for primitive in primitives
    ]


def _draw_line(
    draw: ImageDraw.ImageDraw, outline: list[float], fill: int | tuple[int, ...], width: int
) -> None:
    draw.line(outline, fill=fill, width=width, joint="curve" if width > 4 and len(outline) > 4 else None)


def _look_under(codes: Image.Image, outline: list[float], width: float) -> int:
    """Code of the part that a new part lies on, 0 where a line leads out of the object."""
    if not width:
        return _pixel(codes, 2 * sum(outline[::2]) / len(outline), 2 * sum(outline[1::2]) / len(outline))
    half = len(outline) // 4 * 2
    x, y = outline[half : half + 2]
    for end_x, end_y in (outline[:2], outline[-2:]):
        # A line that starts on the very edge is still inside.
        if not _pixel(codes, 0.8 * end_x + 0.2 * x, 0.8 * end_y + 0.2 * y):
            return 0
    return _pixel(codes, x, y)


def _pixel(codes: Image.Image, x: float, y: float) -> int:
    if not (0 <= x < codes.width and 0 <= y < codes.height):
        return 0
    value = codes.getpixel((int(x), int(y)))
    assert isinstance(value, int)
    return value


def _is_inner(part: Extent, body: Extent, slack: float) -> bool:
    """Whether a part can be cut out whole: it reaches at most one side of the body and leaves a rim."""
    margins = (
        part.left - body.left,
        part.top - body.top,
        body.right - part.right,
        body.bottom - part.bottom,
    )
    share = max(
        (part.right - part.left) / (body.right - body.left),
        (part.bottom - part.top) / (body.bottom - body.top),
    )
    return min(margins) >= -slack and sum(margin < slack for margin in margins) <= 1 and share < 0.8


def _join(first: Extent, second: Extent) -> Extent:
    return Extent(
        min(first.left, second.left),
        min(first.top, second.top),
        max(first.right, second.right),
        max(first.bottom, second.bottom),
    )
