"""open_clip models, loaded from what is on disk. The only reader of their weights."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddpair import files
from oddpair.errors import Refusal

if TYPE_CHECKING:
    import torch

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
class LoadedModel:
    """An open_clip model in float32, on the CPU.

    Attributes:
        model: The model.
        sha256: Of its weights, hex.
        tokenize: Texts to tokens, shape ``(n, context)``.
    """

    model: Any
    sha256: str
    tokenize: Callable[[list[str]], torch.Tensor]


def load_model(model: str, pretrained: str | None = None) -> LoadedModel:
    """Load a model from disk, without the network.

    Args:
        model: ``reference`` (the miniature world's encoder, shipped with the suite), a folder that holds
            ``open_clip_config.json`` with ``open_clip_model.safetensors``, or an open_clip architecture.
        pretrained: For an architecture: a ``.safetensors`` file, a ``.pt`` file (read weights-only), or a
            tag whose weights are on disk already.

    Returns:
        The model, in evaluation mode.

    Raises:
        Refusal: If there is no such model, folder or weights, or the weights do not fit.
    """
    with _offline():
        return _load(model, pretrained)


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's library from the network for as long as a model is loaded; a corpus may lie on the hub."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _load(model: str, pretrained: str | None) -> LoadedModel:
    import open_clip

    folder = _model_folder(model, pretrained)
    if folder is not None:
        return _load_folder(folder)
    if model not in open_clip.list_models():
        near = _closest(model, open_clip.list_models())
        raise Refusal(
            f"no model '{model}': give a folder with open_clip_config.json, 'reference', or an architecture of open_clip{near}"
        )
    if pretrained is None:
        raise Refusal(
            f"model '{model}' needs weights: add --pretrained FILE (.safetensors or .pt), or a tag whose weights are on "
            "this machine"
        )
    if not Path(pretrained).is_file():
        _refuse_missing_tag(model, pretrained)
    try:
        with _silent_log():
            loaded = open_clip.create_model(model, pretrained=pretrained)
    except _UNUSABLE as error:
        if not Path(pretrained).is_file():
            raise Refusal(
                f"the weights of tag {pretrained} of {model} are not on this machine, or damaged, and nothing is "
                f"fetched: download them{_address_of(model, pretrained)} and give the file as --pretrained"
            ) from error
        raise Refusal(f"weights {pretrained} cannot be loaded into {model}: {_first_line(error)}") from error
    sha256 = files.sha256(Path(pretrained)) if Path(pretrained).is_file() else _state_hash(loaded)
    return LoadedModel(model=loaded.eval(), sha256=sha256, tokenize=_tokenize(open_clip.get_tokenizer(model)))


def identify_model(model: str, pretrained: str | None = None) -> dict[str, str]:
    """Say which model it is, by hashing its files and without loading it.

    Args:
        model: As for `load_model`.
        pretrained: Likewise.

    Returns:
        Names and hashes.

    Raises:
        Refusal: If a file of the model is missing.
    """
    folder = _model_folder(model, pretrained)
    if folder is None:
        weights = (
            files.sha256(Path(pretrained)) if pretrained and Path(pretrained).is_file() else str(pretrained)
        )
        return {"architecture": model, "weights": weights}
    parts = dict(zip(("config", "weights"), _model_files(folder), strict=True))
    if (folder / TOKENIZER_FILE).is_file():
        parts["tokenizer"] = folder / TOKENIZER_FILE
    # What the tokenizers of Hugging Face are made of.
    names = ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "sentencepiece")
    parts.update({path.name: path for path in sorted(folder.iterdir()) if path.name.startswith(names)})
    return {name: files.sha256(path) for name, path in parts.items()}


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


def _address_of(model: str, tag: str) -> str:
    import open_clip

    repository = (open_clip.get_pretrained_cfg(model, tag).get("hf_hub") or "").rstrip("/")
    return f" from https://huggingface.co/{repository}" if repository else ""


def _load_folder(folder: Path) -> LoadedModel:
    import open_clip
    from safetensors import SafetensorError

    config, weights = _model_files(folder)
    settings = files.read_json(config)
    if not isinstance(settings, dict) or not isinstance(settings.get("model_cfg"), dict):
        raise Refusal(f"{config} has no 'model_cfg': give the configuration that open_clip wrote")
    try:
        loaded = open_clip.create_model(f"local-dir:{folder.resolve()}")
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
    return LoadedModel(model=loaded.eval(), sha256=files.sha256(weights), tokenize=_tokenize(tokenizer))


def _tokenize(tokenizer: Any) -> Callable[[list[str]], torch.Tensor]:
    return lambda texts: tokenizer(texts)


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
