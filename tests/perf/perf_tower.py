"""ViT-B-32 on the processor beside open_clip's own eager fp32, with one thread and with two."""

import argparse
import io
import logging
import time
from collections.abc import Callable

import numpy as np
import open_clip
import torch
from tests.perf.drawing import draw_jpegs
from tests.perf.figures import Figure, divide, report, time_ways, use_two_cores

from oddpair.retrieval.encoder import BATCH, Encoder
from oddpair.retrieval.preprocess import Preprocess
from oddpair.retrieval.towers import Precision, make_towers

MODEL = "ViT-B-32"
ALONE = 1


def make_encoder(state: dict[str, torch.Tensor], precision: Precision) -> Encoder:
    """Make an encoder of the weights, as `load_encoder` does of a file."""
    model = open_clip.create_model(MODEL)
    model.load_state_dict(state)
    return Encoder(
        name=MODEL,
        sha256="",
        dimension=int(model.visual.output_dim),
        preprocess=Preprocess.from_config(model.visual.preprocess_cfg),
        tokenize=open_clip.get_tokenizer(MODEL),
        towers=make_towers(model, MODEL, precision=precision, device="cpu"),
    )


def write_rows(encoder: Encoder, files: list[bytes]) -> None:
    """Embed files and write their rows as a shard does."""
    for found in encoder.encode_files(files):
        for rows in (found.image, found.texture):
            np.save(io.BytesIO(), rows.astype(np.float16))


def judge(times: dict[str, list[float]], threads: int) -> list[Figure]:
    """Make the figures of one number of threads; goals are for one, of which every worker has one."""
    on = "1 thread" if threads == ALONE else f"{threads} threads"
    eager, captions = times["eager"], times["captions eager"]
    figures = []
    for precision, goal, floor in (("fp32", None, 2.2), ("bf16", 4.5, 3.5)):
        figures += [
            Figure(
                name=f"image tower {precision}, beside eager fp32, {on}",
                values=divide(eager, times[precision]),
                goal=goal if threads == ALONE else None,
                floor=floor if threads == ALONE else None,
            ),
            Figure(
                name=f"captions {precision}, beside eager fp32, {on}",
                values=divide(captions, times[f"captions {precision}"]),
            ),
        ]
    return figures


def judge_around(ways: dict[str, Callable[[], object]], rounds: int) -> Figure:
    """Make the figure of what a worker does beside the tower: a small difference, so from many short rounds."""
    times = time_ways(ways, rounds, clock=time.process_time)
    shares = divide(times["files bf16"], times["bf16"])
    return Figure(
        name="decoding to writing, bf16, 1 thread: what it adds to the tower",
        values=[100 * (share - 1) for share in shares],
        unit="%",
        ceiling=10,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    logging.disable(logging.WARNING)
    use_two_cores()
    torch.manual_seed(0)
    plain = open_clip.create_model(MODEL).eval()
    fp32, bf16 = (make_encoder(plain.state_dict(), precision) for precision in ("fp32", "bf16"))
    files = draw_jpegs(BATCH)
    texts = [
        f"a photo of {number} things on a table beside a window, in the morning" for number in range(BATCH)
    ]
    batch = torch.randn((BATCH, 3, 224, 224))
    tokens = bf16.tokenize(texts)
    ways: dict[str, Callable[[], object]] = {
        "eager": lambda: plain.encode_image(batch),
        "fp32": lambda: fp32.towers.embed_images(batch, textures=False),
        "bf16": lambda: bf16.towers.embed_images(batch, textures=False),
        "captions eager": lambda: plain.encode_text(tokens),
        "captions fp32": lambda: fp32.encode_texts(texts),
        "captions bf16": lambda: bf16.encode_texts(texts),
    }
    around = {"bf16": ways["bf16"], "files bf16": lambda: write_rows(bf16, files)}
    figures = []
    with torch.inference_mode():
        for threads in (ALONE, 2):
            torch.set_num_threads(threads)
            clock = time.process_time if threads == ALONE else time.perf_counter
            figures += judge(time_ways(ways, rounds, clock=clock), threads)
        torch.set_num_threads(ALONE)
        figures.append(judge_around(around, 5 * rounds))
    report("2-tower", figures)


if __name__ == "__main__":
    main()
