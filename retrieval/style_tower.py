"""An image tower with a linear layer behind it: what a fine-tuned style classifier computes, and its files."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.models import load_model
from oddpair.retrieval.preprocess import Preprocess

if TYPE_CHECKING:
    import torch

WEIGHTS, RECORD = "style_model.safetensors", "style_model.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleTower:
    """An image tower with a linear layer behind its unit embeddings.

    Attributes:
        model: The open_clip model, of which the image side is used.
        head: The layer.
        preprocess: Pixels to input.
        sha256: Of the weights that the model began with, hex.
    """

    model: Any
    head: torch.nn.Linear
    preprocess: Preprocess
    sha256: str

    def parameters(self) -> list[torch.nn.Parameter]:
        """List what learns: everything but the text side."""
        return [*self.model.visual.parameters(), *self.head.parameters()]

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        """Score normalised pictures, shape ``(n, 3, height, width)``: shape ``(n, n_classes)``."""
        from torch.nn.functional import normalize

        found: torch.Tensor = self.head(normalize(self.model.encode_image(batch), dim=1))
        return found

    def put_on(self, device: str) -> None:
        """Move it to where it computes."""
        self.model.visual.to(device)
        self.head.to(device)


def need_device(device: str) -> None:
    """Refuse a GPU where torch finds none.

    >>> need_device("cpu")
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise Refusal(f"torch finds no GPU for device {device} here: use cpu")


def load_tower(model: str, pretrained: str | None, n_classes: int, seed: int) -> StyleTower:
    """Put a new linear layer behind a model's image tower.

    Args:
        model: As for ``load_encoder``.
        pretrained: Likewise.
        n_classes: Outputs of the layer.
        seed: Of its weights.

    Returns:
        The tower, on the processor, in evaluation mode.

    Raises:
        Refusal: If the model cannot be loaded.
    """
    import torch

    loaded = load_model(model, pretrained)
    visual = loaded.model.visual
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(int(visual.output_dim), n_classes)
    return StyleTower(
        model=loaded.model,
        head=head,
        preprocess=Preprocess.from_config(visual.preprocess_cfg),
        sha256=loaded.sha256,
    )


def write_tower(path: Path, tower: StyleTower) -> None:
    """Write the weights of tower and layer as safetensors, atomically."""
    from safetensors.torch import save

    state = {f"visual.{name}": value for name, value in tower.model.visual.state_dict().items()}
    state |= {f"head.{name}": value for name, value in tower.head.state_dict().items()}
    files.write_bytes(path, save({name: value.cpu().contiguous() for name, value in state.items()}))


@functools.lru_cache(maxsize=1)
def read_tower(folder: Path, sha256: str, device: str) -> StyleTower:
    """Read a fine-tuned tower, once a process.

    Args:
        folder: Where its weights and their record lie.
        sha256: Of the file of weights, hex.
        device: Where to put it.

    Raises:
        Refusal: If the model that it began from, which gives the architecture, is another one now, or the weights
            have changed or are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    record = files.read_json(folder / RECORD)
    tower = load_tower(record["model"], record["pretrained"], len(record["classes"]), 0)
    if tower.sha256 != record["base"]:
        raise Refusal(
            f"model '{record['model']}' has weights {tower.sha256[:12]}…, {folder} was trained from "
            f"{record['base'][:12]}…: put them back, or train again"
        )
    path = folder / WEIGHTS
    if files.sha256(path) != sha256:
        raise Refusal(f"{path} has changed since scoring began: run again")
    try:
        state = load_file(path)
        for module, prefix in ((tower.model.visual, "visual."), (tower.head, "head.")):
            module.load_state_dict(
                {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            )
    except (SafetensorError, RuntimeError) as error:
        raise Refusal(f"{path} is damaged: delete {folder} and train again") from error
    tower.model.eval()
    tower.put_on(device)
    return tower


def log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Turn logits, shape ``(n, n_classes)``, into ``ln p - ln(1 - p)``: each against all others together.

    >>> import torch
    >>> log_odds(torch.tensor([[1.0, 3.0]])).tolist()
    [[-2.0, 2.0]]
    """
    import torch

    itself = torch.eye(logits.shape[1], dtype=torch.bool)
    others = logits[:, None, :].expand(-1, logits.shape[1], -1).masked_fill(itself, -math.inf)
    return logits - torch.logsumexp(others, dim=2)
