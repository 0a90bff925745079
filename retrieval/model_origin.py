"""Where weights come from, as far as open_clip knows: by their tag, hash, name or place, or the configuration beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.model_places import CONFIG_FILE, sha256_in

_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
# Names that many models share.
_COMMON_NAMES = {"pytorch_model.bin", "open_clip_pytorch_model.bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What weights were made with.

    Attributes:
        name: What tells it, such as ``tag openai of ViT-B-32``.
        quick_gelu: Whether they were made with QuickGELU.
        preprocessing: Settings of open_clip's ``PreprocessCfg`` that they were made with.
        certain: Whether more than a file's name tells it.
    """

    name: str
    quick_gelu: bool
    preprocessing: Mapping[str, Any]
    certain: bool


def find_origin(architecture: str, pretrained: str, weights: Path, sha256: str) -> Origin | None:
    """Find out what some weights of an architecture were made with.

    A tag says it; of a file, in this order: its hash, the repository of the hub's cache that it lies in, the
    configuration beside it, and its name.

    Args:
        architecture: One of open_clip.
        pretrained: What the user gave as weights.
        weights: Their file.
        sha256: Of the file, hex.

    Returns:
        What is known, or ``None``.

    Raises:
        Refusal: If the configuration beside the weights is no JSON.
    """
    import open_clip

    given = open_clip.get_pretrained_cfg(architecture, pretrained)
    if given and str(weights) != pretrained:
        return _from_tag(architecture, pretrained, given, certain=True)
    # Tags of the same network first: a file of several repositories is then told by its own.
    family = architecture.removesuffix("-quickgelu")
    known = sorted(open_clip.list_pretrained(), key=lambda pair: pair[0].removesuffix("-quickgelu") != family)
    named = None
    repository = _hub_repository(weights)
    for name, tag in known:
        source = open_clip.get_pretrained_cfg(name, tag)
        told = sha256_in(source.get("url", ""))
        if (told and sha256.startswith(told)) or (
            repository and (source.get("hf_hub") or "").startswith(f"{repository}/")
        ):
            return _from_tag(name, tag, source, certain=True)
        if named is None and weights.name in _names(source):
            named = _from_tag(name, tag, source, certain=False)
    return _beside(weights) or named


def _from_tag(architecture: str, tag: str, source: Mapping[str, Any], *, certain: bool) -> Origin:
    return Origin(
        name=f"tag {tag} of {architecture}",
        quick_gelu=bool(source.get("quick_gelu", False)),
        preprocessing={name: source[name] for name in _PREPROCESSING if name in source},
        certain=certain,
    )


def _names(source: Mapping[str, Any]) -> set[str]:
    # An address of the hub that ends in a slash names a repository, not a file.
    addresses = [source.get("url") or "", (source.get("hf_hub") or "").rpartition("/")[2]]
    return {address.rpartition("/")[2] for address in addresses} - _COMMON_NAMES - {""}


def _hub_repository(weights: Path) -> str:
    """Return the repository that a file of the hub's cache belongs to."""
    for part in weights.absolute().parts:
        if part.startswith("models--") and part.count("--") >= 2:
            return "/".join(part.split("--", 2)[1:])
    return ""


def _beside(weights: Path) -> Origin | None:
    config = weights.parent / CONFIG_FILE
    if not config.is_file():
        return None
    settings = files.read_json(config)
    model = settings.get("model_cfg") if isinstance(settings, dict) else None
    if not isinstance(model, dict):
        raise Refusal(
            f"{config} has no 'model_cfg': give the configuration that open_clip wrote, or take it away"
        )
    told = settings.get("preprocess_cfg")
    told = told if isinstance(told, dict) else {}
    return Origin(
        name=str(config),
        quick_gelu=bool(model.get("quick_gelu", False)),
        preprocessing={name: told[name] for name in _PREPROCESSING if name in told},
        certain=True,
    )
