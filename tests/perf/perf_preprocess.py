"""Decoding and preprocessing beside open_clip's own Pillow transform: ratios of one interleaved run, one thread."""

import argparse
import io
import statistics
import time
from collections.abc import Callable

import numpy as np
import simplejpeg
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from oddpair.retrieval.pictures import Pixels, decode_pixels
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.texture import measure_pixels

BATCH = 64


def make_pictures(number: int, seed: int = 0) -> list[bytes]:
    """Draw JPEGs of 400 x 300 to 800 x 600 whose spectrum falls as 1/f, as that of photographs does."""
    rng = np.random.default_rng(seed)
    mix = np.array([[1, 0.5, 0.2], [1, -0.2, 0.3], [1, 0.1, -0.4]])
    files = []
    for _ in range(number):
        height, width = int(rng.integers(300, 601)), int(rng.integers(400, 801))
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
        frequency[0, 0] = np.inf
        shape = (3, *frequency.shape)
        waves = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency
        planes = np.fft.irfft2(waves, s=(height, width))
        colours = np.moveaxis(planes / planes.std(axis=(1, 2), keepdims=True), 0, 2) @ mix.T
        picture = Image.fromarray(np.uint8(np.clip(128 + 35 * colours / colours.std(), 0, 255)))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=60)
        files.append(buffer.getvalue())
    return files


def in_batches(
    each: Callable[[bytes], torch.Tensor], whole: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[list[bytes]], None]:
    """Make a run over files from what is done to one picture and to a batch."""

    def run(files: list[bytes]) -> None:
        for start in range(0, len(files), BATCH):
            whole(torch.stack([each(data) for data in files[start : start + BATCH]]))

    return run


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=320)
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    files = make_pictures(chosen.pictures)
    config = PreprocessCfg()
    transform = image_transform_v2(config, is_train=False)
    fast = Preprocess.from_config(vars(config))
    exact = Preprocess.from_config(vars(config), exact=True)

    def one_by_pillow(data: bytes) -> torch.Tensor:
        found: torch.Tensor = transform(Image.open(io.BytesIO(data)))
        return found

    def pillow_pixels(data: bytes) -> Pixels:
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))

    pixels = [decode_pixels(data) for data in files]
    apart = max(
        int((fast.resize(each).int() - exact.resize(each).int()).abs().max()) for each in pixels[:100]
    )
    ways: dict[str, Callable[[list[bytes]], object]] = {
        "open_clip's transform (Pillow)": in_batches(one_by_pillow, lambda batch: batch),
        "decode_pixels, fast": in_batches(lambda data: fast.resize(decode_pixels(data)), fast.normalise),
        "decode_pixels, exact": in_batches(lambda data: exact.resize(decode_pixels(data)), exact.normalise),
        "Pillow decode, fast": in_batches(lambda data: fast.resize(pillow_pixels(data)), fast.normalise),
        "decode_pixels alone": lambda files: [decode_pixels(data) for data in files],
        "simplejpeg alone": lambda files: [simplejpeg.decode_jpeg(data) for data in files],
        "Pillow decode alone": lambda files: [pillow_pixels(data) for data in files],
        "resize alone": lambda files: [fast.resize(each) for each in pixels],
        "measure_pixels alone": lambda files: [measure_pixels(each) for each in pixels],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(files[:BATCH])
    for _ in range(chosen.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(files)
            times[name].append(time.perf_counter() - start)
    base = times["open_clip's transform (Pillow)"]
    size = statistics.mean(map(len, files)) / 1000
    print(
        f"{len(files)} JPEGs of {size:.0f} kB, {chosen.rounds} rounds, one thread; fast is {apart} grey levels from exact"
    )
    print(f"{'':32}  times as fast as open_clip      ms a picture")
    print(f"{'':32}  median    least     most        median")
    for name, taken in times.items():
        ratios = sorted(first / second for first, second in zip(base, taken, strict=True))
        print(
            f"{name:32}  {statistics.median(ratios):6.2f}   {ratios[0]:6.2f}   {ratios[-1]:6.2f}"
            f"        {1000 * statistics.median(taken) / len(files):6.3f}"
        )


if __name__ == "__main__":
    main()
