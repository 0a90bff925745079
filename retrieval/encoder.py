"""CLIP encoders: any open_clip model, loaded from what is on disk. The only reader of open_clip weights."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.texture import measure_pixels

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

BATCH = 128
TEXTURE_STAGES = 4
TOKENIZER_FILE = "bpe.txt.gz"
# What open_clip raises on weights and configurations that are damaged or of another model.
_UNUSABLE = (
    RuntimeError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    pickle.UnpicklingError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A CLIP model ready to embed pictures and texts on the processor.

    Attributes:
        name: What the user called it.
        sha256: Of its weights, hex; empty for an untrained architecture.
        dimension: Length of an embedding.
    """

    name: str
    sha256: str
    dimension: int
    model: Any
    preprocess: Callable[[Image], torch.Tensor]
    tokenize: Callable[[list[str]], torch.Tensor]

    def encode_pictures(
        self, pictures: Iterable[Image], *, textures: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed RGB pictures, and describe their texture.

        The texture of a picture is the mean and the standard deviation of every channel in four stages of
        the image tower before its last, what a drawing technique changes and what the last layer has
        learned to ignore, and behind them the statistics of its pixels at full resolution. Batches have a
        fixed shape (the last is padded), so a picture's numbers do not depend on its neighbours.

        Args:
            pictures: RGB pictures of any size, at least one; each is let go before the next is asked for.
            textures: Whether to describe textures; without, ``t`` is 0.

        Returns:
            Unit rows of shape ``(n, d)`` and texture rows of shape ``(n, t)``, both float32.

        Raises:
            ValueError: If there is no picture.

        References:
            Channel statistics as style: Huang and Belongie, ICCV 2017.
        """
        embeddings, described = [], []
        waiting: list[torch.Tensor] = []
        pixels: list[NDArray[np.float32]] = []
        # What waits for its batch is at the model's input size: full pictures would fill the memory.
        for picture in pictures:
            waiting.append(self.preprocess(picture))
            pixels.append(measure_pixels(picture) if textures else np.empty(0, dtype=np.float32))
            if len(waiting) == BATCH:
                embeddings.append(self._encode_batch(waiting, textures=textures))
                described.append(np.stack(pixels))
                waiting, pixels = [], []
        if waiting:
            embeddings.append(self._encode_batch(waiting, textures=textures))
            described.append(np.stack(pixels))
        if not embeddings:
            raise ValueError("no picture to embed")
        image, channels = (np.concatenate(parts) for parts in zip(*embeddings, strict=True))
        return image, np.hstack([channels, np.concatenate(described)])

    def _encode_batch(
        self, part: list[torch.Tensor], *, textures: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            batch = torch.stack(part + [torch.zeros_like(part[0])] * (BATCH - len(part)))
            stages = self.model.visual.forward_intermediates(batch)
            image = _unit(stages["image_features"][: len(part)].float())
            if not textures:
                return image, np.empty((len(part), 0), dtype=np.float32)
            maps = stages["image_intermediates"]
            early = [maps[stage][: len(part)].float().flatten(2) for stage in _early_stages(len(maps))]
            channels = torch.cat([f(stage) for stage in early for f in (_mean, _deviation)], dim=1)
            return image, channels.numpy()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: unit rows, float32, shape ``(n, d)``; equal texts get equal rows.

        Args:
            texts: At least one; what is longer than the model's context is cut.

        Returns:
            Shape ``(n, d)``.

        Raises:
            ValueError: If there is no text.
        """
        import torch

        if not texts:
            raise ValueError("no text to embed")
        unique = sorted(set(texts))
        tokens = self.tokenize(unique)
        rows = []
        with torch.inference_mode():
            for start in range(0, len(tokens), BATCH):
                part = tokens[start : start + BATCH]
                batch = torch.cat([part, part[:1].expand(BATCH - len(part), -1)])
                rows.append(_unit(self.model.encode_text(batch)[: len(part)].float()))
        place = {text: row for row, text in enumerate(unique)}
        found: NDArray[np.float32] = np.concatenate(rows)[[place[text] for text in texts]]
        return found


def load_encoder(model: str, pretrained: str | None = None) -> Encoder:
    """Load an encoder from disk, without the network.

    Args:
        model: ``reference`` (the miniature world's encoder, shipped with the suite), a folder that holds
            ``open_clip_config.json`` with ``open_clip_model.safetensors``, or an open_clip architecture.
        pretrained: For an architecture: a ``.safetensors`` file, a ``.pt`` file (read weights-only), or a
            tag whose weights are on disk already.

    Returns:
        The encoder, in evaluation mode.

    Raises:
        Refusal: If there is no such model, folder or weights, or the weights do not fit.
    """
    # The hub's library reads it once, when it is first imported, which open_clip does.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import open_clip

    folder = _model_folder(model, pretrained)
    if folder is not None:
        return _load_folder(model, folder)
    if model not in open_clip.list_models():
        near = _closest(model, open_clip.list_models())
        raise Refusal(
            f"no model '{model}': give a folder with open_clip_config.json, 'reference', or an architecture of open_clip{near}"
        )
    if pretrained is None:
        raise Refusal(f"model '{model}' needs weights: add --pretrained FILE.safetensors")
    if not Path(pretrained).is_file():
        _refuse_missing_tag(model, pretrained)
    try:
        with _silent_log():
            loaded, _, preprocess = open_clip.create_model_and_transforms(model, pretrained=pretrained)
    except _UNUSABLE as error:
        if not Path(pretrained).is_file():
            raise Refusal(
                f"the weights of tag {pretrained} of {model} are not on this machine, or damaged, and nothing is "
                "fetched: download them and give their path as --pretrained"
            ) from error
        raise Refusal(f"weights {pretrained} cannot be loaded into {model}: {_first_line(error)}") from error
    sha256 = files.sha256(Path(pretrained)) if Path(pretrained).is_file() else _state_hash(loaded)
    return _finish(model, sha256, loaded, preprocess, open_clip.get_tokenizer(model))


def identify_encoder(model: str, pretrained: str | None = None) -> dict[str, str]:
    """Say what embeddings of an encoder depend on, by hashing its files and without loading it.

    Returns:
        Names and hashes, and the versions of the libraries that run it.

    Raises:
        Refusal: If a file of the model is missing.
    """
    versions = {name: version(name) for name in ("torch", "open_clip_torch", "pillow")}
    folder = _model_folder(model, pretrained)
    if folder is None:
        weights = (
            files.sha256(Path(pretrained)) if pretrained and Path(pretrained).is_file() else str(pretrained)
        )
        return {"architecture": model, "weights": weights, **versions}
    parts = dict(zip(("config", "weights"), _model_files(folder), strict=True))
    if (folder / TOKENIZER_FILE).is_file():
        parts["tokenizer"] = folder / TOKENIZER_FILE
    return {**{name: files.sha256(path) for name, path in parts.items()}, **versions}


def reference_folder() -> Path:
    """Return the folder of the encoder that the suite ships, trained on the whole miniature world."""
    return Path(__file__).resolve().parent.parent / "benchmarks" / "miniature" / "reference"


def _model_folder(model: str, pretrained: str | None) -> Path | None:
    if model == "reference":
        folder = reference_folder()
    elif model.startswith("local-dir:") or Path(model).is_dir():
        folder = Path(model.removeprefix("local-dir:"))
    else:
        return None
    if pretrained is not None:
        raise Refusal(
            f"model '{model}' has its own weights, and --pretrained {pretrained} would go unused: leave the option out"
        )
    return folder


@contextmanager
def _silent_log() -> Iterator[None]:
    """Keep open_clip from logging an error that is raised as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _model_files(folder: Path) -> tuple[Path, Path]:
    found = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    for path in found:
        if not path.is_file():
            raise Refusal(f"{path} is missing: a model folder holds {found[0].name} and {found[1].name}")
    return found


def _refuse_missing_tag(model: str, tag: str) -> None:
    """Refuse a tag that open_clip does not know, or whose weights it would fetch from a web address."""
    import open_clip

    if tag not in open_clip.list_pretrained_tags_by_model(model):
        raise Refusal(
            f"{tag} is neither a file nor a pretrained tag of {model}: check the path of the weights"
        )
    source = open_clip.get_pretrained_cfg(model, tag)
    if not source.get("hf_hub"):
        cached = Path("~/.cache/clip").expanduser() / Path(source.get("url", "")).name
        if not cached.is_file():
            raise Refusal(
                f"{cached} is missing, and nothing is fetched: download it from {source.get('url')} and give "
                "its path as --pretrained"
            )


def _load_folder(name: str, folder: Path) -> Encoder:
    import open_clip
    from safetensors import SafetensorError

    config, weights = _model_files(folder)
    settings = files.read_json(config)
    if not isinstance(settings, dict) or not isinstance(settings.get("model_cfg"), dict):
        raise Refusal(f"{config} has no 'model_cfg': give the configuration that open_clip wrote")
    try:
        loaded, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder.resolve()}")
    except (*_UNUSABLE, SafetensorError) as error:
        raise Refusal(
            f"{weights} cannot be loaded ({_first_line(error)}): fetch or train it again"
        ) from error
    # open_clip resolves a relative vocabulary against the working directory, so it is given in full.
    own = folder.resolve() / TOKENIZER_FILE
    options = {"bpe_path": str(own)} if own.is_file() else {}
    try:
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder.resolve()}", **options)
    except (*_UNUSABLE, ImportError, EOFError) as error:
        raise Refusal(
            f"{folder} has no usable tokenizer ({_first_line(error)}): put the model's tokenizer files there"
        ) from error
    return _finish(name, files.sha256(weights), loaded, preprocess, tokenizer)


def _finish(name: str, sha256: str, model: Any, preprocess: Any, tokenizer: Any) -> Encoder:
    model.eval()
    return Encoder(
        name=name,
        sha256=sha256,
        dimension=int(model.visual.output_dim),
        model=model,
        preprocess=preprocess,
        tokenize=lambda texts: tokenizer(texts),
    )


def _unit(rows: torch.Tensor) -> NDArray[np.float32]:
    import torch

    unit: NDArray[np.float32] = torch.nn.functional.normalize(rows, dim=1).numpy()
    if not np.isfinite(unit).all():
        raise Refusal("the model gives embeddings that are not finite: its weights are damaged")
    return unit


def _early_stages(stages: int) -> list[int]:
    """Choose up to four stages, evenly from the first to the last but one."""
    return sorted({round(place) for place in np.linspace(0, max(stages - 2, 0), TEXTURE_STAGES).tolist()})


def _mean(channels: torch.Tensor) -> torch.Tensor:
    return channels.mean(dim=2)


def _deviation(channels: torch.Tensor) -> torch.Tensor:
    return channels.std(dim=2)


def _state_hash(model: Any) -> str:
    state = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        state.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


def _closest(name: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
