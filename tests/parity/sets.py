"""Pictures of the miniature in CLIP_benchmark's webdataset layout, and models that its command can load."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# As many as the peer has loaders unless it is told otherwise; it finds nothing where there are fewer.
SHARDS = 4
TEMPLATES = ("a photo of {c}", "a picture of {c}.", "{c}", "a sketch of {c}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture file, and what its label file says.

    Attributes:
        data: The bytes of the picture.
        ending: What its file's name ends in.
        label: The number of its class, or its captions, a line each.
    """

    data: bytes
    ending: str
    label: str


def write_classes(folder: Path, samples: Sequence[Sample], names: Sequence[str]) -> Path:
    """Write a set for classification."""
    _write_shards(folder, samples, "cls")
    (folder / "classnames.txt").write_text("\n".join(names))
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES))
    return folder


def write_captions(folder: Path, samples: Sequence[Sample]) -> Path:
    """Write a set for retrieval."""
    _write_shards(folder, samples, "txt")
    (folder / "dataset_type.txt").write_text("retrieval")
    return folder


def _write_shards(folder: Path, samples: Sequence[Sample], kind: str) -> None:
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text(str(SHARDS))
    for shard, rows in enumerate(np.array_split(np.arange(len(samples)), SHARDS)):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as tar:
            for row in rows.tolist():
                sample = samples[row]
                for ending, data in ((sample.ending, sample.data), (kind, sample.label.encode())):
                    member = tarfile.TarInfo(f"s{row:07}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def vary(data: bytes, number: int) -> tuple[bytes, str]:
    """Save a picture in another size, shape and format, which its number chooses; return it with its ending."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture = picture.resize(
        ((48, 48), (64, 64), (97, 70), (60, 131), (301, 200))[number % 5], Image.Resampling.BILINEAR
    )
    match number % 4:
        case 0:
            return save(picture, "JPEG", quality=90), "jpg"
        case 1:
            return save(picture, "PNG"), "png"
        case 2:
            return save(picture, "WEBP", quality=90), "webp"
        case _:
            return save(picture.convert("L"), "JPEG", quality=90), "jpeg"


def save(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def write_model(folder: Path, source: Path, *, noise: float = 0.0) -> Path:
    """Write a copy of a model whose configuration says in full where its vocabulary lies, as the peer needs it.

    Args:
        folder: Where to.
        source: The model.
        noise: What is added to each weight, as a part of the standard deviation of its tensor.

    Returns:
        The folder.
    """
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    (folder / "bpe.txt.gz").write_bytes((source / "bpe.txt.gz").read_bytes())
    config = json.loads((source / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"bpe_path": str(folder / "bpe.txt.gz")}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    state = load_file(source / "open_clip_model.safetensors")
    for name, value in state.items():
        if noise and value.is_floating_point() and value.numel() > 1 and "running" not in name:
            state[name] = value + noise * value.std() * torch.randn_like(value)
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
