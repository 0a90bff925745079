"""The styles with texture: photo, painting, and the ambiguous cartoon in a photo."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from oddpair.benchmarks.miniature.canvas import SUPERSAMPLING, Thing, blank, ink_solid, shrink
from oddpair.benchmarks.miniature.palette import mix, rgb
from oddpair.benchmarks.miniature.styles_flat import ink_cartoon
from oddpair.benchmarks.miniature.textures import Plane, brushwork, grain, grid, noise, surface

Direction = tuple[float, float]


def draw_photo(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Draw shaded, textured objects that cast a shadow in a textured scene, seen by a noisy camera."""
    planes = _set_scene(rng, size)
    light = _choose_light(rng)
    layer, draw = blank(size * SUPERSAMPLING)
    for thing in things:
        ink_solid(draw, thing, mix(thing.colours, rng))
    colour, coverage = shrink(layer)
    bulk = _blur(coverage, size // 10)
    planes = planes * (1 - coverage) * _cast_shadow(bulk, light, rng, size)
    planes += colour * _shade(bulk, light, rng, size)
    planes += _glint(things, light, rng, size) * coverage
    return _expose(planes, light, rng, size)


def draw_ambiguous(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Paste cartoon objects into a photo of an empty scene, after the camera has seen it."""
    picture = _expose(_set_scene(rng, size), _choose_light(rng), rng, size)
    sticker = ink_cartoon(things, rng, size, max(1, round(4 * size / 64))).reduce(SUPERSAMPLING)
    picture.paste(sticker, mask=sticker)
    return picture


def draw_painting(things: Sequence[Thing], rng: np.random.Generator, size: int) -> Image.Image:
    """Paint the ground with broad strokes and the objects with fine ones, each stroke in one colour."""
    broad, fine = brushwork(rng, size, fine=False), brushwork(rng, size, fine=True)
    ground = _backdrop(rng, size) if rng.random() < 0.6 else _wash(rng, size)
    layer, draw = blank(size * SUPERSAMPLING)
    for thing in things:
        ink_solid(draw, thing, mix(thing.colours, rng), thicken=max(1, round(3 * size / 64)))
    colour, coverage = shrink(layer)
    ground = ground + _contrast(ground, colour, coverage)

    strokes = ground.reshape(3, -1)[:, broad.middle]
    strokes = strokes + _pigment(rng, size, len(broad.middle), rng.uniform(8, 16))
    painted = strokes[:, broad.stroke] * (1 + rng.uniform(0.06, 0.16) * broad.relief)

    held = coverage.reshape(-1)[fine.middle]
    touches = colour.reshape(3, -1)[:, fine.middle] / np.maximum(held, 0.3)
    touches += _pigment(rng, size, len(fine.middle), rng.uniform(5, 10))
    # Half of the true colours stay under the strokes, or thin parts and small details would be lost.
    painted = painted * (1 - coverage) + colour
    share = np.where((held > 0.6)[fine.stroke], np.float32(0.55), np.float32(0))
    relief = 1 + rng.uniform(0.08, 0.16) * fine.relief
    painted += (touches[:, fine.stroke] - painted) * share
    painted *= np.where(share > 0, relief, 1)

    grey = painted.mean(0)
    return _develop(grey + (painted - grey) * rng.uniform(1.1, 1.5))


def _choose_light(rng: np.random.Generator) -> Direction:
    """Unit vector towards the light, which comes from above."""
    angle = rng.uniform(-np.pi, 0)
    return float(np.cos(angle)), float(np.sin(angle))


def _set_scene(rng: np.random.Generator, size: int) -> Plane:
    planes = _backdrop(rng, size)
    return _clutter(planes, rng, size) if rng.random() < 0.6 else planes


def _backdrop(rng: np.random.Generator, size: int) -> Plane:
    """Two colours that meet at a horizon or mingle in a texture, with a surface; shape (3, size, size)."""
    x, y = grid(size)
    hue = rng.random()
    first = _colour(hue, rng.uniform(0.05, 0.55), rng.uniform(0.35, 1))
    if rng.random() < 0.5:
        second = _colour(hue + rng.uniform(-0.5, 0.5), rng.uniform(0.05, 0.55), rng.uniform(0.3, 1))
        height = y - rng.uniform(-0.2, 0.7) + rng.uniform(-0.2, 0.2) * x
        share = 1 / (1 + np.exp(-rng.uniform(8, 40) * height))
    else:
        second = _colour(hue + rng.uniform(-0.15, 0.15), rng.uniform(0.05, 0.55), rng.uniform(0.3, 1))
        share = np.clip(0.5 + 0.35 * surface(rng, size), 0, 1)
    planes = first + (second - first) * share
    return planes * (1 + rng.uniform(0.05, 0.22) * surface(rng, size))


def _wash(rng: np.random.Generator, size: int) -> Plane:
    return _colour(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.55, 1)) * (
        1 + 0.08 * surface(rng, size)
    )


def _clutter(planes: Plane, rng: np.random.Generator, size: int) -> Plane:
    """Put one to four things out of focus into the scene, all of one colour."""
    mask = Image.new("L", (size, size))
    draw = ImageDraw.Draw(mask)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, size, 2)
        across, down = rng.uniform(0.04, 0.2, 2) * size
        put = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        put((x - across, y - down, x + across, y + down), fill=int(rng.integers(80, 255)))
    blurred = mask.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 2.5) * size / 64))
    share = np.asarray(blurred, np.float32) / 255
    colour = _colour(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.95))
    return planes + (colour - planes) * share


def _cast_shadow(bulk: Plane, light: Direction, rng: np.random.Generator, size: int) -> Plane:
    down, right = round(-light[1] * size * 0.05) + 1, round(-light[0] * size * 0.05)
    return 1 - rng.uniform(0.3, 0.6) * np.roll(bulk, (down, right), (0, 1))


def _shade(bulk: Plane, light: Direction, rng: np.random.Generator, size: int) -> Plane:
    """Brightness of the objects as if the blurred mask were their height, with a surface texture."""
    facing = np.zeros_like(bulk)
    facing[:, 1:-1] -= (bulk[:, 2:] - bulk[:, :-2]) * (light[0] * size / 2)
    facing[1:-1] -= (bulk[2:] - bulk[:-2]) * (light[1] * size / 2)
    rim = 1 - rng.uniform(0.1, 0.3) * (1 - bulk)
    brightness: Plane = np.clip(rim + rng.uniform(0.09, 0.18) * facing, 0.4, 1.6)
    texture: Plane = 1 + rng.uniform(0.02, 0.16) * surface(rng, size)
    return brightness * texture


def _glint(things: Sequence[Thing], light: Direction, rng: np.random.Generator, size: int) -> Plane:
    """Soft highlights, one on each object's side towards the light."""
    x, y = grid(size)
    glow = np.zeros((size, size), np.float32)
    for thing in things:
        half = thing.spot.half_extent
        away = (x - (2 * thing.spot.x - 1) - light[0] * half * 0.6) ** 2
        away += (y - (2 * thing.spot.y - 1) - light[1] * half * 0.6) ** 2
        glow += rng.uniform(0, 60) * np.exp(away * (-1.5 / half**2))
    return glow


def _expose(planes: Plane, light: Direction, rng: np.random.Generator, size: int) -> Image.Image:
    """See planes through a camera: automatic exposure, uneven light, vignette, colour cast, noise and blur."""
    x, y = grid(size)
    gain = min(max(255 * rng.uniform(0.42, 0.64) / float(planes.mean()), 0.7), 2.2)
    falloff = gain * (1 + rng.uniform(0, 0.4) * (x * light[0] + y * light[1]))
    if rng.random() < 0.5:
        falloff *= 1 - rng.uniform(0.1, 0.4) * (x * x + y * y)
    cast = np.array([rng.uniform(-0.12, 0.12), rng.uniform(-0.05, 0.05), rng.uniform(-0.12, 0.12)])
    seen = planes * falloff * (1 + cast[:, None, None]).astype(np.float32)
    seen += grain(rng, size) * rng.uniform(2, 12)
    seen += np.stack([grain(rng, size) for _ in range(3)]) * rng.uniform(1, 6)
    picture = _develop(seen)
    if rng.random() < 0.35:
        return picture.filter(ImageFilter.BoxBlur(rng.uniform(0.15, 0.5) * size / 64))
    return picture


def _contrast(ground: Plane, colour: Plane, coverage: Plane) -> float:
    """Amount to add to the ground so that objects stand out by at least 50 grey levels."""
    total = max(float(coverage.sum()), 1.0)
    below, above = float((ground * coverage).sum()) / (3 * total), float(colour.sum()) / (3 * total)
    if abs(below - above) >= 50:
        return 0.0
    return above + 50 - below if (below > above and above < 190) or above < 90 else above - 50 - below


def _pigment(rng: np.random.Generator, size: int, strokes: int, deviation: float) -> Plane:
    """Differences between strokes, more in brightness than in hue; shape (3, strokes)."""
    brightness, hue = noise(rng, size, strokes), noise(rng, size, 3 * strokes).reshape(3, strokes)
    return (brightness + 0.5 * hue) * deviation


def _blur(plane: Plane, radius: float) -> Plane:
    picture = Image.fromarray((plane * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.BoxBlur(radius)), np.float32) / 255


def _colour(hue: float, saturation: float, value: float) -> Plane:
    """Colour with shape (3, 1, 1)."""
    return np.array(rgb(hue, saturation, value), np.float32)[:, None, None]


def _develop(planes: Plane) -> Image.Image:
    pixels = np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))
