"""Train a tiny CLIP on shards, by steps; killed at any point, it goes on from its checkpoint to the same bytes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.benchmarks.miniature import model as tiny
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.pictures import decode_picture

if TYPE_CHECKING:
    import torch

CHECKPOINT_EVERY = 100
CHECKPOINT = "checkpoint.safetensors"
STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """How long and how fast a model learns. Steps, never seconds: the result may not depend on the machine.

    Attributes:
        steps: Optimiser steps.
        seed: Of the initial weights, of the order of the rows and of the crops.
        batch: Rows a step. Steps, not rows, are what is scarce: 128 learns more than 256 from equal rows.
        rate: Highest learning rate, reached after the warm-up and left along a cosine.
        warmup: Steps of linear warm-up.
        decay: Weight decay of matrices.
        width: Of the model, as `oddpair.benchmarks.miniature.model.model_config`.
    """

    steps: int
    seed: int
    batch: int = 128
    rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.1
    width: int = tiny.WIDTH


def train_model(shards: Path, vocabulary: Path, folder: Path, plan: TrainPlan, *, half: bool = False) -> None:
    """Train on a folder of img2dataset shards and write a model folder for ``local-dir:``.

    One thread: two single-thread trainings side by side are faster than one with two threads, and the order
    of every sum is then the same each time. Everything random in step k is a function of the seed and k.

    Args:
        shards: The training split.
        vocabulary: The tokenizer's merges file.
        folder: Model folder to write; holds the checkpoint until training ends.
        plan: Steps and rates.
        half: Store the finished weights as float16.

    Raises:
        Refusal: If the split holds fewer rows than a batch.
    """
    import torch
    from open_clip.tokenizer import SimpleTokenizer

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tokenizer = SimpleTokenizer(str(vocabulary), context_length=tiny.CONTEXT_LENGTH)
    pictures, captions = read_pixels(shards)
    if len(captions) < plan.batch:
        raise Refusal(f"{shards} holds {len(captions)} rows, a batch needs {plan.batch}: use a larger corpus")
    tokens = tokenizer(captions).to(torch.int32)
    model = tiny.create_model(tokenizer.vocab_size, plan.seed, plan.width)
    optimizer = _optimizer(model, plan)
    log = _resume(folder / CHECKPOINT, model, optimizer)
    start = len(log)
    model.train()
    for step in range(start, plan.steps):
        log.append(_step(model, optimizer, pictures, tokens, plan, step))
        if (step + 1) % 10 == 0:
            files.write_text(folder / STEP, str(step + 1))
        if (step + 1) % CHECKPOINT_EVERY == 0 and step + 1 < plan.steps:
            _save_checkpoint(folder / CHECKPOINT, model, optimizer, log)
    files.write_json(
        folder / "training.json",
        {"plan": asdict(plan), "rows": len(captions), "loss": [round(value, 5) for value in log[::10]]},
    )
    tiny.write_model(
        folder,
        model.state_dict(),
        vocabulary.read_bytes(),
        tokenizer.vocab_size,
        width=plan.width,
        half=half,
    )
    for name in (CHECKPOINT, STEP):
        (folder / name).unlink(missing_ok=True)


def read_pixels(shards: Path) -> tuple[torch.Tensor, list[str]]:
    """Read shards as pixels of the model's input size, uint8 of shape ``(n, 3, 48, 48)``, and captions."""
    import torch
    from PIL import Image

    corpus = open_corpus(shards)
    pixels: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    size = (tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    for shard in corpus.shards:
        rows = corpus.read(shard)
        captions.extend(rows.captions)
        pixels.extend(
            np.asarray(decode_picture(data).resize(size, Image.Resampling.BICUBIC)) for data in rows.images
        )
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(), captions


def _step(
    model: Any,
    optimizer: torch.optim.Optimizer,
    pictures: torch.Tensor,
    tokens: torch.Tensor,
    plan: TrainPlan,
    step: int,
) -> float:
    import torch
    from open_clip import ClipLoss

    for group in optimizer.param_groups:
        group["lr"] = plan.rate * _schedule(step, plan)
    rows = _rows(len(tokens), plan, step)
    batch = _augment(pictures[rows], np.random.default_rng((plan.seed, 1, step)))
    optimizer.zero_grad(set_to_none=True)
    image, text, scale = model(batch, tokens[rows].long())
    loss: torch.Tensor = ClipLoss()(image, text, scale)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))
    return float(loss.item())


def _rows(n: int, plan: TrainPlan, step: int) -> torch.Tensor:
    import torch

    steps_an_epoch = n // plan.batch
    epoch, place = divmod(step, steps_an_epoch)
    order = np.random.default_rng((plan.seed, 0, epoch)).permutation(n)
    return torch.from_numpy(order[place * plan.batch : (place + 1) * plan.batch])


def _schedule(step: int, plan: TrainPlan) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * step / plan.steps))
    return min(1.0, (step + 1) / plan.warmup) * (0.02 + 0.98 * cosine)


def _augment(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    import torch

    batch = (pixels.float() - 255 * tiny.MEAN) / (255 * tiny.DEVIATION)
    if rng.random() < 0.5:
        batch = batch.flip(3)
    margin = tiny.IMAGE_SIZE // 16
    down, right = rng.integers(0, 2 * margin + 1, 2)
    padded = torch.nn.functional.pad(batch, (margin,) * 4, mode="replicate")
    crop = padded[:, :, down : down + tiny.IMAGE_SIZE, right : right + tiny.IMAGE_SIZE]
    return crop.contiguous(memory_format=torch.channels_last)


def _optimizer(model: Any, plan: TrainPlan) -> torch.optim.Optimizer:
    import torch

    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": plan.decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), eps=1e-6)


def _save_checkpoint(path: Path, model: Any, optimizer: torch.optim.Optimizer, log: list[float]) -> None:
    import torch
    from safetensors.torch import save

    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = value.contiguous()
    tensors["log"] = torch.tensor(log, dtype=torch.float64)
    files.write_bytes(path, save(tensors))


def _resume(path: Path, model: Any, optimizer: torch.optim.Optimizer) -> list[float]:
    """Put a checkpoint into the model and the optimiser; return the loss of every step that it has seen."""
    from safetensors.torch import load_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        return []
    tensors = load_file(path)
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    log: list[float] = tensors["log"].tolist()
    return log
