"""Architectures small enough to be saved and loaded in every format in no time, and ways to save them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def register(monkeypatch: Any, name: str = "tiny", **changes: Any) -> dict[str, Any]:
    """Make a tiny architecture known to open_clip until the end of a test, as ``name`` and ``name-quickgelu``."""
    from open_clip import factory

    config = deepcopy(TINY)
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    monkeypatch.setitem(factory._MODEL_CONFIGS, name, config)
    monkeypatch.setitem(factory._MODEL_CONFIGS, f"{name}-quickgelu", {**config, "quick_gelu": True})
    return config


def know_tag(monkeypatch: Any, architecture: str, tag: str, **source: Any) -> None:
    """Make open_clip know a tag of an architecture until the end of a test."""
    from open_clip import pretrained

    given = {"url": "", "hf_hub": "", **source}
    known = pretrained._PRETRAINED.get(architecture, {})
    monkeypatch.setitem(pretrained._PRETRAINED, architecture, {**known, tag: given})


def random_state(config: dict[str, Any] = TINY, seed: int = 3) -> dict[str, Any]:
    """Return random weights."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    made = open_clip.CLIP(**deepcopy(config)).state_dict()
    return {name: value.contiguous() for name, value in made.items()}


def save(state: dict[str, Any], path: Path) -> Path:
    """Save weights as safetensors or as torch does, by the file's ending."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def save_training(state: dict[str, Any], path: Path) -> Path:
    """Save a checkpoint as open_clip's trainer does on several GPUs."""
    import torch

    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 1, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}}}, path)
    return path


def save_folder(
    state: dict[str, Any], folder: Path, weights: str, config: dict[str, Any] = TINY, **more: Any
) -> Path:
    """Save a model's folder, with its configuration."""
    save(state, folder / weights)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, **more}))
    return folder


def save_in_hub(state: dict[str, Any], cache: Path, repository: str, weights: str, **more: Any) -> Path:
    """Save a model as the hub's cache holds a repository; return its snapshot."""
    held = cache / f"models--{repository.replace('/', '--')}"
    (held / "refs").mkdir(parents=True)
    (held / "refs" / "main").write_text("0" * 40)
    return save_folder(state, held / "snapshots" / ("0" * 40), weights, **more)
