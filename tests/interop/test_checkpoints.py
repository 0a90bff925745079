"""A ViT-B-32 of random weights in the three forms that people have checkpoints in: one model, one score, and chance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import binom
from tests.command import run

from oddpair.retrieval.encoder import load_encoder

N_CLASSES, PER_CLASS = 10, 20
FORMS = ("safetensors", "pt", "folder")
SCORES = pytest.mark.tool(
    "open-clip-torch", "its ViT-B-32 as .safetensors, .pt and hub folder: equal to the bit"
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str | None]]:
    """Model and weights of each form."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    made = open_clip.create_model("ViT-B-32", load_weights=False)
    state = {name: value.contiguous() for name, value in made.state_dict().items()}
    (folder / "hub").mkdir()
    save_file(state, folder / "random.safetensors")
    torch.save(state, folder / "random.pt")
    (folder / "hub" / "open_clip_model.safetensors").hardlink_to(folder / "random.safetensors")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "hub" / "open_clip_config.json").write_text(json.dumps(config))
    return {
        "safetensors": ("ViT-B-32", str(folder / "random.safetensors")),
        "pt": ("ViT-B-32", str(folder / "random.pt")),
        "folder": (f"local-dir:{folder / 'hub'}", None),
    }


@SCORES
def test_a_checkpoint_gives_the_same_bits_in_every_form(
    checkpoints: dict[str, tuple[str, str | None]], noise: Callable[..., Image.Image]
) -> None:
    pictures = [np.asarray(noise(seed)) for seed in range(3)]
    texts = ["a photo of a cat", "two dogs", ""]
    rows = set()
    for form in FORMS:
        encoder = load_encoder(*checkpoints[form], exact=True)
        rows.add(encoder.encode_pictures(pictures)[0].tobytes() + encoder.encode_texts(texts).tobytes())
    assert len(rows) == 1


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, noise: Callable[..., Image.Image]) -> Path:
    """Folders of pictures by class."""
    folder = tmp_path_factory.mktemp("pictures")
    names = ["apple", "bicycle", "cat", "dog", "elephant", "flower", "guitar", "house", "island", "jacket"]
    for number, name in enumerate(names):
        (folder / name).mkdir()
        for row in range(PER_CLASS):
            noise(number * PER_CLASS + row).save(folder / name / f"{row:02}.png")
    return folder


@SCORES
def test_a_random_checkpoint_scores_chance_and_the_same_in_every_form(
    checkpoints: dict[str, tuple[str, str | None]], pictures: Path, tmp_path: Path
) -> None:
    found: list[dict[str, Any]] = []
    for form in FORMS:
        model, pretrained = checkpoints[form]
        weights = ["--pretrained", pretrained] if pretrained else []
        out = tmp_path / form
        code, printed = run("eval", "--model", model, *weights, "--suite", pictures, "--out", out)
        assert code == 0, printed
        (path,) = out.glob("*/*.result.json")
        found.append(json.loads(path.read_text()))
    # Names and the hash of the file are those of the form; all else is of the model.
    own = ("model", "pretrained", "slug")
    told = [{key: value for key, value in each.items() if key not in own} for each in found]
    for each in told:
        del each["hashes"]["weights"]
    assert told[0] == told[1] == told[2]
    (top1,) = (metric["estimate"] for metric in found[0]["metrics"] if metric["name"] == "top1")
    n = N_CLASSES * PER_CLASS
    low, high = binom.interval(0.999, n, 1 / N_CLASSES)
    assert low <= top1["value"] * n <= high
