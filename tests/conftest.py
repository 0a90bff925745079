"""What many tests need: pictures, corpora small and drawn, a random vision transformer, one run of the path."""

from __future__ import annotations

import csv
import io
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Before torch and BLAS are loaded: on a busy machine their threads wait for one another far longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def noise() -> Callable[..., Image.Image]:
    """Make an RGB picture of blocks in random colours, a function of its seed."""

    def make(seed: int, width: int = 40, height: int = 32) -> Image.Image:
        rng = np.random.default_rng(seed)
        blocks = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        return blocks.resize((width, height), Image.Resampling.BICUBIC)

    return make


@pytest.fixture(scope="session")
def as_bytes() -> Callable[..., bytes]:
    """Encode a picture as a file's bytes."""

    def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., Path]:
    """Write a user's folder: named files and a csv of file, caption and further columns."""

    def write(
        folder: Path, pictures: Mapping[str, bytes], captions: Sequence[str], **columns: Sequence[str]
    ) -> Path:
        folder.mkdir(parents=True)
        for name, data in pictures.items():
            (folder / name).write_bytes(data)
        with (folder / "list.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "caption", *columns])
            writer.writerows(zip(pictures, captions, *columns.values(), strict=True))
        return folder

    return write


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that opens a connection."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn corpus of 300 rows in three shards."""
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    folder = tmp_path_factory.mktemp("drawn")
    draw_corpus(make_world(5), folder, 300, rows_per_shard=100, workers=1)
    return folder / "corpus"


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CLIP with a random vision transformer, as a user's own model would look."""
    import open_clip
    import torch
    from safetensors.torch import save

    from oddpair import files
    from oddpair.retrieval.encoder import reference_folder

    folder = tmp_path_factory.mktemp("transformer")
    vocabulary = (reference_folder() / "bpe.txt.gz").read_bytes()
    size = files.read_json(reference_folder() / "open_clip_config.json")["model_cfg"]["text_cfg"][
        "vocab_size"
    ]
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 12, "vocab_size": size, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(7)
    state = open_clip.CLIP(**config).state_dict()
    files.write_bytes(folder / "bpe.txt.gz", vocabulary)
    files.write_json(
        folder / "open_clip_config.json",
        {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}},
    )
    files.write_bytes(
        folder / "open_clip_model.safetensors",
        save({name: value.contiguous() for name, value in state.items()}),
    )
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole path on a world of 2,000 rows, run once for all tests that look at it."""
    from oddpair.demo.plan import make_plan
    from oddpair.demo.run import run_stages

    folder = tmp_path_factory.mktemp("small")
    run_stages(make_plan("small", seed=0), folder, workers=2)
    return folder
