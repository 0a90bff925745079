"""The weights of a model, read into it from one file: safetensors, or torch's own format without its pickles."""

from __future__ import annotations

import logging
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.retrieval.model_config import require_preprocessing

# What the libraries raise on weights, vocabularies and configurations that are damaged or of another model.
UNUSABLE = (
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    EOFError,
    ImportError,
    StopIteration,
    struct.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
)
_LONGEST = 160
# Tables of positions, which open_clip stretches to another length without a word.
_POSITIONS = {
    "positional_embedding": "text",
    "text.positional_embedding": "text",
    "visual.positional_embedding": "image",
}


def create_model(name: str, weights: Path, where: str, **options: Any) -> Any:
    """Build a model, and load one file into it: which one is decided by the caller, and no other is opened.

    Args:
        name: As for ``open_clip.create_model``: an architecture, or ``local-dir:PATH`` for its configuration.
        weights: The file.
        where: What says what the weights are loaded into, an architecture or the file of a configuration.
        **options: Of ``open_clip.create_model``.

    Raises:
        Refusal: If there is no such model or preprocessing, or the file is damaged, of another model, or would run code.
    """
    import open_clip
    from open_clip.factory import load_checkpoint
    from safetensors import SafetensorError

    is_safe = weights.suffix.lower() == ".safetensors"
    if not is_safe:
        _refuse_script(weights)
    try:
        with silent_log(), _weights_only():
            model = open_clip.create_model(name, load_weights=False, pretrained_text=False, **options)
            require_preprocessing(model.visual.preprocess_cfg, where)
    except UNUSABLE as error:
        raise Refusal(
            f"{where} describes no model that open_clip can make ({first_line(error)}): mend it, or install what it asks "
            "for"
        ) from error
    try:
        with silent_log(), _weights_only():
            _refuse_stretched(model, _read_lengths(weights, is_safe), weights, name)
            load_checkpoint(model, str(weights), strict=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise Refusal(
            f"{weights} holds more than weights, or is damaged, and pickle is never run: save the state_dict alone, best "
            "as .safetensors"
        ) from error
    except (*UNUSABLE, SafetensorError) as error:
        raise Refusal(
            f"weights {weights} cannot be loaded ({first_line(error)}): fetch or train them again, or check that "
            f"they are of {where}"
        ) from error
    return model


def _refuse_script(weights: Path) -> None:
    """Refuse TorchScript, which is a program; OpenAI published its models so."""
    try:
        if not zipfile.is_zipfile(weights):
            return
        with zipfile.ZipFile(weights) as archive:
            is_script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refusal(
            f"weights {weights} are damaged ({first_line(error)}): fetch or train them again"
        ) from error
    if is_script:
        raise Refusal(
            f"{weights} is a TorchScript program, and code that comes with a model is never run: use the tag, whose weights "
            "the hub has as safetensors, or save the model's state_dict"
        )


def _read_lengths(weights: Path, is_safe: bool) -> dict[str, int]:
    """Return how many positions the weights were made for, by table."""
    if is_safe:
        from safetensors import safe_open

        with safe_open(weights, framework="numpy") as opened:
            shapes = {
                name: opened.get_slice(name).get_shape()
                for name in list(opened.keys())
                if name.endswith(tuple(_POSITIONS))
            }
    else:
        from open_clip.factory import load_state_dict

        state = load_state_dict(str(weights), weights_only=True)
        shapes = {
            name: list(value.shape) for name, value in state.items() if name.endswith(tuple(_POSITIONS))
        }
    return {name.removeprefix("module."): int(shape[-2]) for name, shape in shapes.items() if len(shape) >= 2}


def _refuse_stretched(model: Any, lengths: Mapping[str, int], weights: Path, name: str) -> None:
    needed = {
        kind: int(value.shape[-2])
        for table, kind in _POSITIONS.items()
        if (value := model.state_dict(keep_vars=True).get(table)) is not None and value.ndim >= 2
    }
    for table, length in lengths.items():
        kind = _POSITIONS.get(table)
        if kind in needed and length != needed[kind]:
            raise Refusal(
                f"weights {weights} were made for {length} positions of {kind}, {name} has {needed[kind]}: use the "
                "architecture that they were made for"
            )


@contextmanager
def _weights_only() -> Iterator[None]:
    """Have torch read no pickle but of weights, whatever the environment says and open_clip falls back to."""
    safe, unsafe = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = {name: os.environ.pop(name, None) for name in (safe, unsafe)}
    os.environ[safe] = "1"
    try:
        yield
    finally:
        os.environ.pop(safe)
        os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def silent_log() -> Iterator[None]:
    """Keep open_clip from logging an error that is raised as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def first_line(error: BaseException) -> str:
    """Return the start of what an error of a library says, up to the end of a word."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        line if len(line) <= _LONGEST else f"{line[: _LONGEST + 1].rpartition(' ')[0] or line[:_LONGEST]} ..."
    )
