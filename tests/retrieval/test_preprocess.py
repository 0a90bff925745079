"""Pixels to model input: both ways beside open_clip's own transform."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from oddpair.retrieval.pictures import BadPicture, decode_pixels
from oddpair.retrieval.preprocess import Preprocess


def theirs(pixels, **config):
    """What open_clip's transform makes of a picture."""
    return image_transform_v2(PreprocessCfg(**config), is_train=False)(Image.fromarray(pixels))


def ours(pixels, *, exact, **config):
    preprocess = Preprocess.from_config(config, exact=exact)
    return preprocess.normalise(preprocess.resize(pixels)[None])[0]


def grey_levels_apart(first, second):
    std = torch.tensor(PreprocessCfg().std).view(3, 1, 1)
    return float(((first - second) * std * 255).abs().max())


def draw(kind, height, width, seed):
    """Draw black and white dots, noise, or what photographs are like: a spectrum that falls as 1/f."""
    rng = np.random.default_rng(seed)
    if kind == "dots":
        return (255 * rng.integers(0, 2, (height, width, 3))).astype(np.uint8)
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    waves = np.fft.fft2(rng.normal(size=(3, height, width))) / frequency
    planes = np.fft.ifft2(waves).real
    grey = np.clip(128 + 60 * planes / (planes.std() + 1e-9), 0, 255).astype(np.uint8)
    return grey.transpose(1, 2, 0)


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(["dots", "noise", "natural"]),
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    size=st.sampled_from([16, 64, 224]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    seed=st.integers(0, 1000),
)
# Sizes where the larger side or the crop is rounded, where nothing is resized, and either side of twice as tall as wide.
@example(kind="dots", height=375, width=500, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=501, width=333, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=224, width=225, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=224, width=224, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=599, width=300, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=601, width=300, size=224, interpolation="bicubic", seed=0)
@example(kind="dots", height=300, width=900, size=224, interpolation="bicubic", seed=0)
@example(kind="noise", height=1, width=1, size=224, interpolation="bicubic", seed=0)
def test_the_fast_way_is_two_grey_levels_at_most_from_open_clip(
    kind, height, width, size, interpolation, seed
):
    pixels = draw(kind, height, width, seed)
    config = {"size": size, "interpolation": interpolation}
    found = ours(pixels, exact=False, **config)
    expected = theirs(pixels, **config)
    assert found.shape == expected.shape == (3, size, size)
    assert grey_levels_apart(found, expected) <= 2.01


def test_most_pixels_of_a_photograph_are_the_same_to_the_bit():
    pixels = draw("natural", 480, 640, 3)
    assert (ours(pixels, exact=False) == theirs(pixels)).float().mean() > 0.95


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(5, 300),
    width=st.integers(5, 300),
    size=st.sampled_from([32, (48, 48), (32, 64)]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize_mode=st.sampled_from(["shortest", "longest", "squash"]),
    fill_color=st.sampled_from([0, 127]),
    seed=st.integers(0, 1000),
)
def test_the_exact_way_gives_open_clips_floats_to_the_bit(height, width, seed, **config):
    pixels = draw("noise", height, width, seed)
    assert torch.equal(ours(pixels, exact=True, **config), theirs(pixels, **config))


def test_a_picture_of_which_open_clip_leaves_nothing_is_bad():
    pixels = draw("noise", 1, 99, 0)
    with pytest.raises(ValueError, match="> 0"):
        theirs(pixels, size=32, resize_mode="longest")
    with pytest.raises(BadPicture, match="99 x 1 pixels: too narrow"):
        ours(pixels, exact=True, size=32, resize_mode="longest")


@pytest.mark.parametrize(
    "config", [{"resize_mode": "longest"}, {"resize_mode": "squash"}, {"size": (32, 64)}]
)
def test_what_the_fast_way_does_not_know_is_done_exactly(config):
    pixels = draw("dots", 90, 140, 0)
    assert not Preprocess.from_config(config).fast
    assert torch.equal(ours(pixels, exact=False, **config), theirs(pixels, **config))


def test_a_picture_twice_as_tall_as_wide_is_resized_by_pillow():
    pixels = draw("dots", 700, 300, 0)
    assert torch.equal(ours(pixels, exact=False), theirs(pixels))


def test_every_grey_level_is_normalised_to_the_bit():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(2, 3, 16, 16)
    config = {"size": 16, "mean": (0.1, 0.5, 0.9), "std": (0.2, 0.3, 0.7)}
    found = Preprocess.from_config(config).normalise(levels)
    expected = theirs(levels[0].permute(1, 2, 0).numpy(), **config)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.stack([expected, expected]))


def test_a_batch_is_normalised_on_the_device_where_it_lies():
    batch = torch.zeros(2, 3, 8, 8, dtype=torch.uint8, device="meta")
    found = Preprocess.from_config({"size": 8}).normalise(batch)
    assert (found.device.type, found.dtype, found.shape) == ("meta", torch.float32, batch.shape)


def test_a_configuration_that_says_nothing_is_open_clips_default():
    assert Preprocess.from_config({"unheard of": 1}) == Preprocess.from_config(vars(PreprocessCfg()))
    assert Preprocess.from_config({"mean": 0.5}).mean == (0.5, 0.5, 0.5)
    assert Preprocess.from_config({"interpolation": "random"}).interpolation == "bicubic"


def test_the_description_tells_apart_whatever_changes_the_input():
    plain = Preprocess.from_config({})
    changed = [
        dataclasses.replace(plain, **change)
        for change in (
            {"size": (336, 336)},
            {"mean": (0.0, 0.0, 0.0)},
            {"std": (1.0, 1.0, 1.0)},
            {"interpolation": "bilinear"},
            {"resize_mode": "squash"},
            {"fill_color": 127},
            {"exact": True},
        )
    ]
    assert len({each.describe() for each in [plain, *changed]}) == 8
    assert plain.describe().startswith("shortest bicubic to 224 x 224 by torch, fill 0, mean (0.48")


def test_pixels_that_may_not_be_written_or_lie_apart_are_resized_alike():
    pixels = draw("natural", 70, 50, 1)
    preprocess = Preprocess.from_config({"size": 32})
    expected = preprocess.resize(pixels)
    fixed = pixels.copy()
    fixed.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(preprocess.resize(fixed), expected)
        assert torch.equal(preprocess.resize(np.asfortranarray(pixels)), expected)
        assert torch.equal(preprocess.resize(pixels[::-1][::-1]), expected)


def test_what_is_decoded_can_be_resized(noise, as_bytes):
    for kind in ("JPEG", "PNG"):
        for exact in (False, True):
            found = Preprocess.from_config({"size": 32}, exact=exact).resize(
                decode_pixels(as_bytes(noise(1), kind))
            )
            assert found.dtype == torch.uint8
            assert found.is_contiguous()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (3, 4, 5, 3)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"needed are uint8 of shape \(height, width, 3\)"):
        Preprocess.from_config({}).resize(np.zeros(shape, dtype=np.uint8))


def test_floats_are_refused():
    with pytest.raises(ValueError, match="pixels are float32"):
        Preprocess.from_config({}).resize(np.zeros((4, 4, 3), dtype=np.float32))
