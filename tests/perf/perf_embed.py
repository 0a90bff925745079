"""Embedding beside open_clip's own eager fp32: ratios of one interleaved run, with one thread and with two."""

import argparse
import io
import logging
import statistics
import time
from collections.abc import Callable

import numpy as np
import open_clip
import torch
from PIL import Image

from oddpair.retrieval.encoder import BATCH, Encoder
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.towers import Precision, make_towers

MODEL = "ViT-B-32"


def make_picture(rng: np.random.Generator) -> bytes:
    """Draw a JPEG of 400 x 300 to 800 x 600 whose spectrum falls as 1/f, as that of photographs does."""
    height, width = int(rng.integers(300, 601)), int(rng.integers(400, 801))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    shape = (3, *frequency.shape)
    planes = np.fft.irfft2(
        (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency, s=(height, width)
    )
    levels = np.clip(128 + 40 * np.moveaxis(planes, 0, 2) / planes.std(), 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def make_encoder(state: dict[str, torch.Tensor], precision: Precision) -> Encoder:
    """Make an encoder of the weights, as `load_encoder` does of a file."""
    model = open_clip.create_model(MODEL)
    model.load_state_dict(state)
    preprocess = Preprocess.from_config(model.visual.preprocess_cfg)
    return Encoder(
        name=MODEL,
        sha256="",
        dimension=int(model.visual.output_dim),
        preprocess=preprocess,
        tokenize=open_clip.get_tokenizer(MODEL),
        towers=make_towers(model, MODEL, precision=precision, device="cpu"),
    )


def time_ways(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each way once a round, in seconds."""
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return times


def show(name: str, values: list[float], unit: str) -> None:
    """Print the median and the range of one measurement."""
    print(f"{name:44} {statistics.median(values):7.2f} {min(values):7.2f} {max(values):7.2f} {unit}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    plain = open_clip.create_model(MODEL).eval()
    fp32, bf16 = (make_encoder(plain.state_dict(), precision) for precision in ("fp32", "bf16"))
    rng = np.random.default_rng(0)
    files = [make_picture(rng) for _ in range(BATCH)]
    texts = [
        f"a photo of {number} things on a table beside a window, in the morning" for number in range(BATCH)
    ]
    batch = torch.randn((BATCH, 3, 224, 224))
    tokens = bf16.tokenize(texts)
    ways: dict[str, Callable[[], object]] = {
        "open_clip, eager fp32": lambda: plain.encode_image(batch),
        "image tower, fp32": lambda: fp32.towers.embed_images(batch, textures=False),
        "image tower, bf16": lambda: bf16.towers.embed_images(batch, textures=False),
        "files to rows and textures, bf16": lambda: write_rows(bf16, files),
        "open_clip, captions, eager fp32": lambda: plain.encode_text(tokens),
        "captions, fp32": lambda: fp32.encode_texts(texts),
        "captions, bf16": lambda: bf16.encode_texts(texts),
    }
    with torch.inference_mode():
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = time_ways(ways, rounds)
            print(f"\n{MODEL}, batches of {BATCH}, {rounds} rounds, {threads} thread(s): median, least, most")
            for name, taken in times.items():
                base = times[
                    "open_clip, captions, eager fp32" if "captions" in name else "open_clip, eager fp32"
                ]
                show(name, [BATCH / each for each in taken], "a second")
                show("", [each / own for each, own in zip(base, taken, strict=True)], "times as fast")
            around = [
                100 * (whole - tower) / tower
                for whole, tower in zip(
                    times["files to rows and textures, bf16"], times["image tower, bf16"], strict=True
                )
            ]
            show("around the tower, bf16", around, "% of its time")


def write_rows(encoder: Encoder, files: list[bytes]) -> None:
    """Embed files and write their rows as a shard does."""
    found = encoder.encode_files(files)
    for rows in (found.image, found.texture):
        np.save(io.BytesIO(), rows.astype(np.float16))


if __name__ == "__main__":
    main()
