"""JPEGs that cost what photographs cost: 400 x 300 to 800 x 600, about 60 kB, a spectrum that falls as 1/f."""

import io

import numpy as np
from PIL import Image

# Channels of a photograph rise and fall together.
_MIX = np.array([[1, 0.5, 0.2], [1, -0.2, 0.3], [1, 0.1, -0.4]])


def draw_jpegs(number: int, seed: int = 0) -> list[bytes]:
    """Draw so many JPEGs, a function of the seed."""
    rng = np.random.default_rng(seed)
    return [_draw(rng) for _ in range(number)]


def _draw(rng: np.random.Generator) -> bytes:
    height, width = int(rng.integers(300, 601)), int(rng.integers(400, 801))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    shape = (3, *frequency.shape)
    waves = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency
    planes = np.fft.irfft2(waves, s=(height, width))
    colours = np.moveaxis(planes / planes.std(axis=(1, 2), keepdims=True), 0, 2) @ _MIX.T
    picture = Image.fromarray(np.uint8(np.clip(128 + 35 * colours / colours.std(), 0, 255)))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()
