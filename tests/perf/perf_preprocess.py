"""Decoding and preprocessing beside open_clip's own Pillow transform, one thread."""

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
from tests.perf.drawing import draw_jpegs
from tests.perf.figures import Figure, divide, report, time_ways

from oddpair.retrieval.pictures import Pixels, decode_pixels
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.texture import measure_pixels

BATCH = 32


def in_batches(
    files: list[bytes],
    each: Callable[[bytes], torch.Tensor],
    whole: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[], None]:
    """Make a run over files from what is done to one picture and to a batch."""

    def run() -> None:
        for start in range(0, len(files), BATCH):
            whole(torch.stack([each(data) for data in files[start : start + BATCH]]))

    return run


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=192)
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    files = draw_jpegs(chosen.pictures)
    config = PreprocessCfg()
    transform = image_transform_v2(config, is_train=False)
    fast = Preprocess.from_config(vars(config))
    exact = Preprocess.from_config(vars(config), exact=True)

    def by_pillow(data: bytes) -> torch.Tensor:
        found: torch.Tensor = transform(Image.open(io.BytesIO(data)))
        return found

    def pillow_pixels(data: bytes) -> Pixels:
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))

    pixels = [decode_pixels(data) for data in files]
    apart = [int((fast.resize(each).int() - exact.resize(each).int()).abs().max()) for each in pixels]
    ways: dict[str, Callable[[], object]] = {
        "open_clip": in_batches(files, by_pillow, lambda batch: batch),
        "fast": in_batches(files, lambda data: fast.resize(decode_pixels(data)), fast.normalise),
        "exact": in_batches(files, lambda data: exact.resize(decode_pixels(data)), exact.normalise),
        "decode_pixels": lambda: [decode_pixels(data) for data in files],
        "simplejpeg": lambda: [simplejpeg.decode_jpeg(data) for data in files],
        "Pillow decode": lambda: [pillow_pixels(data) for data in files],
        "resize": lambda: [fast.resize(each) for each in pixels],
        "measure_pixels": lambda: [measure_pixels(each) for each in pixels],
    }
    times = time_ways(ways, chosen.rounds, clock=time.process_time)
    print(f"{len(files)} JPEGs of {statistics.mean(map(len, files)) / 1000:.0f} kB: ms a picture")
    for name, taken in times.items():
        print(f"    {name:16}{1000 * statistics.median(taken) / len(files):8.3f}")
    base = times["open_clip"]
    report(
        "1-preprocess",
        [
            Figure(
                name="decode + preprocess, beside open_clip's transform",
                values=divide(base, times["fast"]),
                goal=2.6,
                floor=2.3,
            ),
            Figure(name="the same with --preprocess exact", values=divide(base, times["exact"])),
            Figure(name="fast, beside exact: most apart", values=apart, unit="grey levels", ceiling=2),
        ],
    )


if __name__ == "__main__":
    main()
