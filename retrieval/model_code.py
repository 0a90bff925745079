"""Models that would bring code along: refused by what their configurations say, before a library reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal

# What the tokenizers of open_clip and of Hugging Face may be told by a configuration. Others name code, fetch, or drop
# words at random.
TOKENIZER_SETTINGS = {"additional_special_tokens", "bpe_path", "clean", "language", "strip_sep_token"}
# Where the libraries of Hugging Face look for the name of a class in a file of Python.
_SETTINGS_FILES = ("config.json", "tokenizer_config.json")


def refuse_code(settings: Mapping[str, Any], folder: Path | None, where: str) -> None:
    """Refuse a model whose files name code to run.

    Args:
        settings: Its ``model_cfg``.
        folder: Its own folder, if it has one.
        where: What the settings were read from.

    Raises:
        Refusal: If a tokenizer's settings ask for more than a vocabulary, or a configuration has an ``auto_map``.
    """
    text = settings.get("text_cfg")
    if not isinstance(text, dict):
        return
    told = text.get("tokenizer_kwargs") or {}
    strange = sorted(set(told) - TOKENIZER_SETTINGS) if isinstance(told, dict) else ["no object"]
    if strange:
        raise Refusal(
            f"{where} sets {strange[0]} in tokenizer_kwargs, which is not trusted: known are "
            f"{', '.join(sorted(TOKENIZER_SETTINGS))}"
        )
    names = [text[name] for name in ("hf_model_name", "hf_tokenizer_name") if text.get(name)]
    for path in _files_of_transformers(names, folder):
        found = files.read_json(path)
        if isinstance(found, dict) and "auto_map" in found:
            raise Refusal(
                f"{path} has an 'auto_map', and code that comes with a model is never run: use a model without it"
            )


def _files_of_transformers(names: list[Any], folder: Path | None) -> Iterator[Path]:
    if not names:
        return
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folders = [*([folder] if folder else []), *(Path(str(name)) for name in names)]
    yield from (each / name for each in folders for name in _SETTINGS_FILES if (each / name).is_file())
    for name in names:
        for file in _SETTINGS_FILES:
            try:
                found = try_to_load_from_cache(str(name), file)
            except HFValidationError:
                continue
            if isinstance(found, str):
                yield Path(found)
