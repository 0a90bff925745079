"""The drawn world: every concept in every style, repeatable, and styles that differ in what they should."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from oddpair.benchmarks.miniature.canvas import (
    Mark,
    Spot,
    Thing,
    arrange,
    blank,
    cut_stencil,
    ink_solid,
    shrink,
)
from oddpair.benchmarks.miniature.concepts import CONCEPTS, colours, shape
from oddpair.benchmarks.miniature.palette import Colours, mix
from oddpair.benchmarks.miniature.primitives import Stroke, disc
from oddpair.benchmarks.miniature.styles import STYLES, render
from oddpair.benchmarks.miniature.textures import brushwork, grain, surface

# Measured on 87 pictures of each of three seeds, and widened: mean and deviation of the brightness in grey
# levels, the mean step between neighbouring pixels, and the share of steps below 2 grey levels.
EXPECTED = {
    "photo": ((110, 132), (38, 56), (7.5, 12), (0.10, 0.26)),
    "sketch": ((170, 205), (64, 88), (11, 16.5), (0.22, 0.45)),
    "cartoon": ((165, 200), (58, 80), (6.5, 10), (0.80, 0.95)),
    "painting": ((130, 170), (40, 60), (11, 18), (0.25, 0.48)),
    "silhouette": ((112, 146), (60, 84), (4, 6.2), (0.88, 0.97)),
    "ambiguous": ((100, 130), (39, 59), (10, 15.5), (0.18, 0.37)),
}


def draw(names, style, *seed, size=64):
    return np.asarray(render(names, style, np.random.default_rng(seed), size))


def draw_all_grey(style, seed):
    pictures = [draw([name], style, seed, index) for index, name in enumerate(CONCEPTS)]
    return np.stack(pictures).astype(float).mean(3)


def test_there_are_at_least_eighty_concepts_in_order_with_the_traps_among_them():
    assert len(CONCEPTS) >= 80
    assert list(CONCEPTS) == sorted(set(CONCEPTS))
    assert all(name == name.lower() for name in CONCEPTS)
    traps = (
        "beach ball, dice, glasses, grapes, ice cream, leaf, light bulb, pine tree, scissors, snowman, tree"
    )
    assert {*traps.split(", "), "wine glass"} <= set(CONCEPTS)


@pytest.mark.parametrize("name", CONCEPTS)
def test_every_shape_varies_and_fills_its_square_without_leaving_it(name):
    variants = [shape(name, np.random.default_rng(seed)) for seed in range(3)]
    for primitives in variants:
        points = np.concatenate([primitive.points for primitive in primitives])
        assert np.isfinite(points).all()
        assert np.abs(points).max() <= 1.25
        assert np.ptp(points, axis=0).max() >= 1.4
        assert all(primitive.width > 0 for primitive in primitives if isinstance(primitive, Stroke))
    first, second = (np.concatenate([part.points for part in variant]) for variant in variants[:2])
    assert first.shape != second.shape or not np.array_equal(first, second)


@pytest.mark.parametrize("style", STYLES)
def test_every_concept_in_every_style_is_an_rgb_picture_of_the_wanted_size(style):
    for index, name in enumerate(CONCEPTS):
        picture = render([name], style, np.random.default_rng(index))
        assert (picture.mode, picture.size) == ("RGB", (64, 64))
        assert np.asarray(picture).std() > 5
    for size in (16, 48, 100):
        assert render(["cat", "dice"], style, np.random.default_rng(0), size).size == (size, size)


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_draws_the_same_pixels_and_another_seed_others(style):
    assert np.array_equal(draw(["car", "tree"], style, 1), draw(["car", "tree"], style, 1))
    assert not np.array_equal(draw(["car", "tree"], style, 1), draw(["car", "tree"], style, 2))


def test_another_process_draws_the_same_bytes_without_importing_anything_heavy():
    program = (
        "import hashlib, sys, numpy as np\n"
        "from oddpair.benchmarks.miniature.styles import STYLES, render\n"
        "for name in ('torch', 'scipy', 'pandas', 'sklearn'): assert name not in sys.modules, name\n"
        "pictures = (render(['car', 'key'], s, np.random.default_rng(5)) for s in STYLES)\n"
        "print(hashlib.sha256(b''.join(picture.tobytes() for picture in pictures)).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    here = b"".join(draw(["car", "key"], style, 5).tobytes() for style in STYLES)
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_the_order_of_earlier_drawings_does_not_matter():
    alone = draw(["bee"], "painting", 3)
    draw(["whale"], "photo", 4)
    assert np.array_equal(draw(["bee"], "painting", 3), alone)


def test_every_style_changes_the_pixels():
    pictures = [draw(["guitar"], style, 8).tobytes() for style in STYLES]
    assert len(set(pictures)) == len(STYLES) == 6


@pytest.mark.parametrize("style", STYLES)
def test_two_objects_are_not_one(style):
    one, two, swapped = (draw(names, style, 2) for names in (["cup"], ["cup", "cat"], ["cat", "cup"]))
    assert not np.array_equal(one, two)
    assert not np.array_equal(two, swapped)


def test_two_objects_keep_apart_and_stay_in_the_picture():
    for seed in range(200):
        first, second = (thing.spot for thing in arrange(["cup", "cat"], np.random.default_rng(seed), 128))
        assert np.hypot(first.x - second.x, first.y - second.y) >= 0.48
        assert all(0.22 <= spot.half_extent <= 0.31 for spot in (first, second))
        assert all(0.2 <= place <= 0.8 for spot in (first, second) for place in (spot.x, spot.y))


def test_one_object_is_larger_than_one_of_two_on_average():
    halves = [
        np.mean([arrange(names, np.random.default_rng(seed), 128)[0].spot.half_extent for seed in range(100)])
        for names in (["cup"], ["cup", "cat"])
    ]
    assert halves[0] > 1.2 * halves[1]


@pytest.mark.parametrize("style", STYLES)
def test_brightness_and_edges_of_a_style_are_what_was_measured(style):
    grey = draw_all_grey(style, 11)
    steps = np.abs(np.diff(grey, axis=2))
    measured = grey.mean(), grey.std(), steps.mean(), (steps < 2).mean()
    for value, (least, most) in zip(measured, EXPECTED[style], strict=True):
        assert least <= value <= most, measured


def test_photos_and_paintings_have_texture_where_flat_styles_have_none():
    flat = {style: (np.abs(np.diff(draw_all_grey(style, 12), axis=2)) < 2).mean() for style in STYLES}
    assert max(flat["photo"], flat["painting"]) < 0.5 * min(flat["cartoon"], flat["silhouette"])
    assert flat["photo"] < flat["ambiguous"]


def test_a_silhouette_has_two_tones_and_a_sketch_hardly_any_colour():
    for index, name in enumerate(CONCEPTS[::4]):
        pixels = draw([name], "silhouette", 13, index).astype(float)
        # Every row runs from its page tone to the object's tone on one straight line of colour.
        offsets = pixels - pixels[:, :1]
        assert max(np.linalg.svd(row, compute_uv=False)[1] for row in offsets) < 12
    chroma = [np.ptp(draw([name], "sketch", 14).astype(float), axis=2).mean() for name in CONCEPTS[::4]]
    vivid = [np.ptp(draw([name], "cartoon", 14).astype(float), axis=2).mean() for name in CONCEPTS[::4]]
    assert np.mean(chroma) < 0.5 * np.mean(vivid)


def test_painted_objects_stand_out_from_the_ground():
    contrasts = []
    for index, name in enumerate(CONCEPTS):
        grey = draw([name], "painting", 15, index).astype(float).mean(2)
        thing = arrange([name], np.random.default_rng((15, index)), 128)[0]
        layer, pen = blank(128)
        ink_solid(pen, thing, mix(colours(name), np.random.default_rng(0)))
        inside = shrink(layer)[1] > 0.5
        contrasts.append(abs(grey[inside].mean() - grey[~inside].mean()))
    assert np.mean(np.array(contrasts) > 20) > 0.9


def test_a_linear_rule_on_texture_alone_tells_the_styles_apart():
    """Steps between near pixels: a far cheaper look than an encoder's early layers, and nearly enough."""

    def describe(style, seed):
        grey = draw([CONCEPTS[seed % len(CONCEPTS)]], style, 16, seed).astype(float).mean(2)
        steps = [np.abs(grey[:, gap:] - grey[:, :-gap]) for gap in (1, 2, 4)]
        steps += [np.abs(grey[gap:] - grey[:-gap]) for gap in (1, 2)]
        spread = np.concatenate([np.quantile(step, (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)) for step in steps])
        return np.concatenate([np.log1p(spread), [1.0]])

    rows = np.stack([describe(style, seed) for style in STYLES for seed in range(200)])
    truth = np.repeat(np.arange(len(STYLES)), 200)
    fitted = np.tile(np.arange(200) < 130, len(STYLES))
    weights = np.linalg.lstsq(rows[fitted], np.eye(len(STYLES))[truth[fitted]], rcond=None)[0]
    guessed = (rows[~fitted] @ weights).argmax(1)
    right = [(guessed == truth[~fitted])[truth[~fitted] == style].mean() for style in range(len(STYLES))]
    assert min(right) > 0.7, dict(zip(STYLES, right, strict=True))


def test_a_stencil_has_a_hole_for_an_inner_part_and_fills_a_part_of_that_part():
    parts = [disc("primary", 0, 0, 1), disc("light", 0, 0, 0.6), disc("dark", 0, 0, 0.2)]
    marks = [Mark(part.role, (part.points * 50 + 64).ravel().tolist(), 0) for part in parts]
    thing = Thing(colours=Colours(hues=(0.0,)), marks=marks, spot=Spot(0.5, 0.5, 0.4))
    stencil = np.asarray(cut_stencil(thing, 128, 3))
    assert [int(stencil[64, x]) for x in (64, 64 + 20, 64 + 40, 64 + 60)] == [255, 0, 255, 0]
    assert set(np.unique(stencil)) == {0, 255}


def test_no_silhouette_is_lost_in_its_own_cuts():
    for index, name in enumerate(CONCEPTS):
        thing = arrange([name], np.random.default_rng((17, index)), 128)[0]
        layer, pen = blank(128)
        ink_solid(pen, thing, mix(colours(name), np.random.default_rng(0)))
        whole = np.asarray(layer.getchannel("A")) > 0
        kept = np.asarray(cut_stencil(thing, 128, 3)) > 0
        assert 0.35 <= kept.sum() / whole.sum() <= 1.1, name


def test_a_hole_shows_the_background():
    thing = arrange(["donut"], np.random.default_rng(1), 128)[0]
    layer, pen = blank(128)
    ink_solid(pen, thing, mix(colours("donut"), np.random.default_rng(0)))
    assert layer.getpixel((round(thing.spot.x * 128), round(thing.spot.y * 128))) == (0, 0, 0, 0)


def test_textures_are_standardised_constants_that_nobody_can_write_to():
    rng = np.random.default_rng(0)
    for texture in (surface(rng, 64), grain(rng, 64)):
        assert texture.shape == (64, 64)
        assert not texture.flags.writeable
    assert abs(grain(rng, 64).mean()) < 0.1
    canvas = brushwork(rng, 64, fine=True)
    assert canvas.stroke.min() == 0
    assert canvas.stroke.max() == len(canvas.middle) - 1
    broad = brushwork(rng, 64, fine=False)
    assert len(broad.middle) < len(canvas.middle)


def test_what_does_not_exist_is_refused_with_what_was_probably_meant():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"no concept 'umbrela'; did you mean 'umbrella'\?"):
        render(["umbrela"], "photo", rng)
    with pytest.raises(ValueError, match=r"no concept 'zzz'; there are: airplane, anchor"):
        shape("zzz", rng)
    with pytest.raises(ValueError, match=r"no style 'sketsh'; did you mean 'sketch'\?"):
        render(["cat"], "sketsh", rng)
    with pytest.raises(ValueError, match="no style '9'; there are: photo, sketch, cartoon"):
        render(["cat"], "9", rng)


@pytest.mark.parametrize("names", [[], ["cat", "dice", "key"]])
def test_a_picture_holds_one_or_two_objects(names):
    with pytest.raises(ValueError, match=f"holds 1 or 2 objects, {len(names)} were asked for"):
        render(names, "photo", np.random.default_rng(0))


def test_a_picture_too_small_to_see_is_refused():
    with pytest.raises(ValueError, match="size is 8 pixels, at least 16 are needed"):
        render(["cat"], "photo", np.random.default_rng(0), size=8)
