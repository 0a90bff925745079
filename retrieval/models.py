"""open_clip models, loaded from what is on disk. The only reader of their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.model_code import refuse_code
from oddpair.retrieval.model_config import read_config
from oddpair.retrieval.model_origin import Origin, find_origin
from oddpair.retrieval.model_places import (
    HUB,
    TOKENIZER_FILE,
    is_weights_file,
    model_files,
    model_folder,
    offline,
    weights_file,
)
from oddpair.retrieval.model_places import reference_folder as reference_folder
from oddpair.retrieval.model_traits import ModelTraits, read_traits
from oddpair.retrieval.model_weights import UNUSABLE, create_model, first_line, silent_log
from oddpair.retrieval.near_names import closest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """An open_clip model in float32, on the CPU.

    Attributes:
        model: The model.
        sha256: Of the file of its weights, hex.
        tokenize: Texts to tokens, shape ``(n, context)``.
        traits: What is known of it.
    """

    model: Any
    sha256: str
    tokenize: Callable[[list[str]], torch.Tensor]
    traits: ModelTraits


def load_model(model: str, pretrained: str | None = None) -> LoadedModel:
    """Load a model from disk, without the network, and without running code that came with it.

    Args:
        model: ``reference`` (the miniature world's encoder, shipped with the suite), an open_clip architecture, or a
            model that has its own weights: ``hf-hub:ORG/NAME`` from the hub's cache, or a folder, also as
            ``local-dir:PATH``, that holds ``open_clip_config.json`` with ``open_clip_model.safetensors``,
            ``open_clip_pytorch_model.bin`` or one ``.pt``.
        pretrained: For an architecture: a ``.safetensors``, ``.pt``, ``.pth`` or ``.bin`` file, checkpoints of
            open_clip's trainer among them, or a tag whose weights are on disk already. All but safetensors are read
            weights-only.

    Returns:
        The model, in evaluation mode. Weights that open_clip knows get the preprocessing that they were made with,
        by tag or as a file.

    Raises:
        Refusal: If there is no such model, folder or weights, the weights do not fit or were made with another
            activation, or a file would run code.
    """
    with offline():
        folder = model_folder(model, pretrained)
        if folder is not None:
            return _load_folder(folder, model if model.startswith(HUB) else f"local-dir:{folder.resolve()}")
        return _load_architecture(model.replace("/", "-"), pretrained)


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
    folder = model_folder(model, pretrained)
    if folder is None:
        is_file = pretrained is not None and is_weights_file(pretrained)
        return {
            "architecture": model,
            "weights": files.sha256(Path(str(pretrained))) if is_file else str(pretrained),
        }
    parts = dict(zip(("config", "weights"), model_files(folder), strict=True))
    if (folder / TOKENIZER_FILE).is_file():
        parts["tokenizer"] = folder / TOKENIZER_FILE
    # What the tokenizers of Hugging Face are made of.
    names = ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "sentencepiece")
    parts.update({path.name: path for path in sorted(folder.iterdir()) if path.name.startswith(names)})
    return {name: files.sha256(path) for name, path in parts.items()}


def _load_architecture(architecture: str, pretrained: str | None) -> LoadedModel:
    import open_clip

    if architecture not in open_clip.list_models():
        near = closest(architecture, open_clip.list_models())
        raise Refusal(
            f"no model '{architecture}': give a folder with open_clip_config.json, 'reference', hf-hub:ORG/NAME, or an "
            f"architecture of open_clip{near}"
        )
    if pretrained is None:
        raise Refusal(
            f"model '{architecture}' needs weights: add --pretrained FILE (.safetensors or .pt), or a tag whose weights are "
            "on this machine"
        )
    weights = weights_file(architecture, pretrained)
    sha256 = files.sha256(weights)
    origin = find_origin(architecture, pretrained, weights, sha256)
    settings = open_clip.get_model_config(architecture)
    notes = (*compare_activation(architecture, settings, weights, origin),)
    refuse_code(settings, None, architecture)
    preprocessing = dict(origin.preprocessing) if origin else {}
    loaded = create_model(architecture, weights, architecture, force_preprocess_cfg=preprocessing)
    tokenizer = _make_tokenizer(
        architecture, f"the tokenizer of {architecture} cannot be made", "install what it asks for"
    )
    return _finish(loaded, sha256, tokenizer, notes)


def _load_folder(folder: Path, name: str) -> LoadedModel:
    config, weights = model_files(folder)
    refuse_code(read_config(config, weights), folder, str(config))
    loaded = create_model(f"local-dir:{folder.resolve()}", weights, str(config))
    # open_clip resolves a relative vocabulary against the working directory, so it is given in full.
    own = folder.resolve() / TOKENIZER_FILE
    options = {"bpe_path": str(own)} if own.is_file() else {}
    tokenizer = _make_tokenizer(
        name, f"{folder} has no usable tokenizer", "put the model's tokenizer files there", **options
    )
    return _finish(loaded, files.sha256(weights), tokenizer, ())


def _finish(loaded: Any, sha256: str, tokenizer: Any, notes: tuple[str, ...]) -> LoadedModel:
    return LoadedModel(
        model=loaded.eval(),
        sha256=sha256,
        tokenize=lambda texts: tokenizer(texts),
        traits=read_traits(loaded, tokenizer, notes),
    )


def _make_tokenizer(name: str, what: str, remedy: str, **options: str) -> Any:
    import open_clip

    try:
        with silent_log():
            return open_clip.get_tokenizer(name, **options)
    except UNUSABLE as error:
        raise Refusal(f"{what} ({first_line(error)}): {remedy}") from error


def compare_activation(
    architecture: str, settings: Mapping[str, Any], weights: Path, origin: Origin | None
) -> Iterator[str]:
    """Compare the activation that weights were made with to the one they would run with.

    Args:
        architecture: One of open_clip.
        settings: Its configuration.
        weights: The file of the weights, for messages.
        origin: What the weights were made with.

    Yields:
        What a user should know, a sentence each.

    Raises:
        Refusal: If they differ, and another architecture is right.
    """
    import open_clip

    has = bool(settings.get("quick_gelu", False))
    words = {True: "QuickGELU", False: "GELU"}
    if origin is None:
        yield (
            f"{weights.name} is not known to open_clip: that it was made with {words[has]} and with open_clip's default "
            "preprocessing is taken on trust"
        )
        return
    if not origin.certain:
        yield f"{weights.name} is taken for {origin.name} by its name"
    if origin.quick_gelu == has:
        return
    other = architecture.removesuffix("-quickgelu") if has else f"{architecture}-quickgelu"
    if other == architecture or other not in open_clip.list_models():
        yield f"{origin.name} was made with {words[not has]}, and open_clip runs {architecture} with {words[has]}"
        return
    doubt = "" if origin.certain else ", or give the file another name if it is not that tag's"
    raise Refusal(
        f"{weights} ({origin.name}) was made with {words[not has]}, the architecture {architecture} uses {words[has]}: use "
        f"{other}{doubt}"
    )
