"""Embedding as it is done elsewhere: open_clip in eager fp32 with its own transform, pictures by webdataset.

``processes`` is a plain loop in two processes of one thread. ``loader`` is clip-retrieval's way (its mapper and
``webdataset`` reader, which need older libraries than are here): one process of two threads, a DataLoader of two
workers, batches of 256.
"""

import argparse
import io
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import webdataset
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

SMALL_BATCH, LARGE_BATCH = 32, 256
CORES = 2


def read_tars(tars: list[str], model: Path) -> Any:
    """Read pictures and captions of tars as tensors."""
    transform = image_transform_v2(PreprocessCfg(), is_train=False)
    tokenize = open_clip.get_tokenizer(f"local-dir:{model}")

    def prepare(sample: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        return transform(Image.open(io.BytesIO(sample["jpg"]))), tokenize([sample["txt"].decode()])[0]

    return webdataset.WebDataset(tars, shardshuffle=False).map(prepare)


def embed(model: Path, batches: Iterable[Any], out: Path) -> None:
    """Embed batches of pictures and captions into two arrays of float16."""
    clip, _, _ = open_clip.create_model_and_transforms(f"local-dir:{model}")
    clip.eval()
    found: tuple[list[Any], list[Any]] = [], []
    with torch.inference_mode():
        for pictures, texts in batches:
            for rows, kept in zip((clip.encode_image(pictures), clip.encode_text(texts)), found, strict=True):
                kept.append((rows / rows.norm(dim=-1, keepdim=True)).to(torch.float16).numpy())
    for name, kept in zip(("image", "text"), found, strict=True):
        np.save(out.with_name(f"{out.name}-{name}.npy"), np.concatenate(kept))


def in_small_batches(rows: Iterable[Any]) -> Iterator[Any]:
    """Stack rows, some at a time."""
    waiting: list[Any] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == SMALL_BATCH:
            yield tuple(map(torch.stack, zip(*waiting, strict=True)))
            waiting.clear()
    if waiting:
        yield tuple(map(torch.stack, zip(*waiting, strict=True)))


def work_alone(model: Path, tars: list[str], out: Path) -> None:
    """Embed some tars with one thread."""
    torch.set_num_threads(1)
    embed(model, in_small_batches(read_tars(tars, model)), out)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("way", choices=("processes", "loader"))
    options.add_argument("model", type=Path)
    options.add_argument("corpus", type=Path)
    options.add_argument("out", type=Path)
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    asked.out.mkdir()
    tars = sorted(map(str, asked.corpus.glob("*.tar")))
    if asked.way == "processes":
        spawn = multiprocessing.get_context("spawn")
        workers = [
            spawn.Process(target=work_alone, args=(asked.model, tars[place::CORES], asked.out / str(place)))
            for place in range(CORES)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    else:
        torch.set_num_threads(CORES)
        rows = read_tars(tars, asked.model)
        loader = torch.utils.data.DataLoader(rows, batch_size=LARGE_BATCH, num_workers=CORES)
        embed(asked.model, loader, asked.out / "all")


if __name__ == "__main__":
    main()
