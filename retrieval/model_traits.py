"""What is known of a model when it has been loaded, before its layers are packed for speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """What is known of a model.

    Attributes:
        activation: ``QuickGELU``, ``GELU``, ``tanh GELU``, or what each tower has.
        logit_scale: What cosines are multiplied with before a softmax, in full precision.
        tokenizer: open_clip's.
        notes: What could not be verified, or was corrected, a sentence each.
    """

    activation: str
    logit_scale: float
    tokenizer: Any
    notes: tuple[str, ...] = ()


def read_traits(model: Any, tokenizer: Any, notes: tuple[str, ...] = ()) -> ModelTraits:
    """Read the traits of a model.

    Args:
        model: An open_clip model.
        tokenizer: Its tokenizer.
        notes: What loading it has shown.
    """
    scale = getattr(model, "logit_scale", None)
    return ModelTraits(
        activation=_name_activation(model),
        logit_scale=float("nan") if scale is None else float(scale.detach().double().exp().reshape(-1)[0]),
        tokenizer=tokenizer,
        notes=notes,
    )


def _name_activation(model: Any) -> str:
    towers = {"image": model.visual, "text": getattr(model, "text", None) or model.transformer}
    found = {name: _activations(tower) for name, tower in towers.items()}
    # A ResNet has neither, and a tower of another library may keep its own out of sight.
    kinds = {kind for kind in found.values() if kind}
    if len(kinds) == 1:
        return kinds.pop()
    return ", ".join(f"{name} {kind or 'unknown'}" for name, kind in found.items())


def _activations(tower: Any) -> str:
    from open_clip.transformer import QuickGELU
    from torch import nn

    found = set()
    for part in tower.modules():
        if isinstance(part, QuickGELU):
            found.add("QuickGELU")
        elif isinstance(part, nn.GELU):
            found.add("GELU" if part.approximate == "none" else "tanh GELU")
    return " and ".join(sorted(found))
