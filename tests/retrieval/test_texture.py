import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.retrieval.texture import PAPER, STEPS, WINDOW, measure_pixels


def obvious(picture):
    """The same numbers by loops over pixels."""
    left, top = max(0, (picture.width - WINDOW) // 2), max(0, (picture.height - WINDOW) // 2)
    box = (left, top, min(picture.width, left + WINDOW), min(picture.height, top + WINDOW))
    window = picture.crop(box)
    width, height = window.size
    at = {(x, y): window.getpixel((x, y)) for x in range(width) for y in range(height)}
    steps, inside = [], []
    for (x, y), here in at.items():
        for neighbour in ((x + 1, y), (x, y + 1)):
            if neighbour not in at:
                continue
            there = at[neighbour]
            step = max(abs(a - b) for a, b in zip(here, there, strict=True))
            steps.append(step)
            if min(here) < PAPER and min(there) < PAPER:
                inside.append(step)
    shares = [
        sum(step <= limit for step in found) / len(found) if found else 1.0
        for found in (steps, inside)
        for limit in STEPS
    ]
    colours: dict[tuple[int, ...], int] = {}
    for here in at.values():
        key = tuple(value // 16 for value in here)
        colours[key] = colours.get(key, 0) + 1
    share = sorted((number / len(at) for number in colours.values()), reverse=True)
    entropy = -sum(part * np.log(part) for part in share)
    saturation = [(max(p) - min(p)) / max(max(p), 1) for p in at.values()]
    brightness = [sum(p) / 765 for p in at.values()]
    drawn = [min(p) < PAPER for p in at.values()]
    return [
        *shares, entropy, np.log(len(share)), share[0], sum(share[:4]), sum(share[:16]),
        np.mean(saturation), np.std(saturation), np.mean(brightness), np.std(brightness), np.mean(drawn),
    ]  # fmt: skip


def before(pixels):
    """The numbers as finished worlds hold them: the formula that wrote them, kept as it was."""
    left, top = max(0, (pixels.shape[1] - 256) // 2), max(0, (pixels.shape[0] - 256) // 2)
    window = pixels[top : top + 256, left : left + 256]
    planes = np.ascontiguousarray(np.moveaxis(window, 2, 0)).astype(np.int16)
    darkest, lightest = planes.min(axis=0), planes.max(axis=0)
    drawn = darkest < 240
    across = np.abs(planes[:, :, 1:] - planes[:, :, :-1]).max(axis=0)
    down = np.abs(planes[:, 1:] - planes[:, :-1]).max(axis=0)
    inside = np.concatenate([across[drawn[:, 1:] & drawn[:, :-1]], down[drawn[1:] & drawn[:-1]]])
    saturation = (lightest - darkest) / np.maximum(lightest, 1)
    brightness = planes.sum(axis=0) / (3 * 255)

    def shares(steps):
        if not len(steps):
            return np.ones(8)
        return np.cumsum(np.bincount(steps, minlength=256))[[0, 1, 2, 4, 8, 16, 32, 64]] / len(steps)

    coarse = planes >> 4
    number = np.bincount((coarse[0] * 256 + coarse[1] * 16 + coarse[2]).ravel())
    share = np.sort(number[number > 0] / number.sum())[::-1]
    colours = [
        float(-(share * np.log(share)).sum()), float(np.log(len(share))),
        float(share[0]), float(share[:4].sum()), float(share[:16].sum()),
    ]  # fmt: skip
    spread = [saturation.mean(), saturation.std(), brightness.mean(), brightness.std(), drawn.mean()]
    steps = np.concatenate([across.ravel(), down.ravel()])
    return np.concatenate([shares(steps), shares(inside), colours, spread], dtype=np.float32)


@settings(max_examples=150, deadline=None)
@given(
    width=st.one_of(st.integers(1, 40), st.integers(200, 300)),
    height=st.one_of(st.integers(1, 40), st.integers(200, 300)),
    levels=st.sampled_from([(0, 1), (0, 2), (0, 256), (235, 256), (239, 241), (250, 256), (100, 104)]),
    smooth=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_numbers_are_to_the_last_bit_those_of_finished_worlds(width, height, levels, smooth, seed):
    low, high = levels
    pixels = np.random.default_rng(seed).integers(low, high, (height, width, 3), dtype=np.uint8)
    if smooth:
        pixels = np.asarray(Image.fromarray(pixels[:9, :9]).resize((width, height)))
    expected = before(pixels)
    assert measure_pixels(pixels).tobytes() == expected.tobytes()
    assert measure_pixels(Image.fromarray(pixels)).tobytes() == expected.tobytes()


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    levels=st.sampled_from([(0, 1), (0, 256), (235, 256), (100, 104)]),
    seed=st.integers(0, 1000),
)
def test_the_numbers_are_those_of_loops_over_pixels(width, height, levels, seed):
    low, high = levels
    pixels = np.random.default_rng(seed).integers(low, high, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    found = measure_pixels(picture)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, obvious(picture), atol=1e-6)


def test_a_large_picture_is_judged_by_its_centre(noise):
    centre = noise(1, WINDOW, WINDOW)
    framed = Image.new("RGB", (WINDOW + 100, WINDOW + 40), "lime")
    framed.paste(centre, (50, 20))
    assert np.array_equal(measure_pixels(framed), measure_pixels(centre))


def test_grain_is_told_from_flat_paint(noise):
    flat = Image.new("RGB", (64, 64), (90, 120, 60))
    rng = np.random.default_rng(0)
    grain = Image.fromarray(np.uint8(np.asarray(flat) + rng.integers(0, 20, (64, 64, 3))))
    assert measure_pixels(flat)[0] == 1.0
    assert measure_pixels(grain)[0] < 0.1


def test_a_white_page_has_no_drawn_pixel_and_finite_numbers():
    found = measure_pixels(Image.new("RGB", (10, 10), "white"))
    assert found[-1] == 0
    assert found[8:16] == pytest.approx(1.0)
