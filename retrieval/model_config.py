"""The configuration of a model, checked before its weights are read: sizes that are some, preprocessing that is run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.preprocess import Preprocess

# Whole numbers from 1, where they are told; some may be lists of them.
_SIZES = (
    "embed_dim",
    "layers",
    "width",
    "heads",
    "head_width",
    "patch_size",
    "image_size",
    "context_length",
    "vocab_size",
)
_SEVERAL = ("layers", "image_size", "patch_size")
_PARTS = ("vision_cfg", "text_cfg")
# What a model may ask of memory whatever its weights hold: 4 GB in float32.
_ALWAYS = 1_000_000_000
# open_clip's own name for any of its two; what is scored it resizes bicubic then.
_INTERPOLATIONS = ("bicubic", "bilinear", "random")


def read_config(path: Path, weights: Path) -> dict[str, Any]:
    """Read the ``open_clip_config.json`` of a folder.

    Args:
        path: The file.
        weights: The weights beside it, which no model can outgrow.

    Returns:
        Its ``model_cfg``.

    Raises:
        Refusal: If it has none, a part of it is missing, a size is none, the model would be larger than its weights, or
            the size of its preprocessing is none.
    """
    settings = files.read_json(path)
    model = settings.get("model_cfg") if isinstance(settings, dict) else None
    if not isinstance(model, dict) or not model:
        raise Refusal(f"{path} has no 'model_cfg': give the configuration that open_clip wrote")
    for part in _PARTS:
        if not isinstance(model.get(part), dict):
            raise Refusal(f"{path}: model_cfg has no '{part}': give the configuration that open_clip wrote")
    for where, name, value in _sizes(model):
        if not _is_size(value, may_be_several=name in _SEVERAL):
            raise Refusal(
                f"{path}: {where}{name} is {_short(value)}, needed a whole number from 1: mend it, or give the "
                "configuration that open_clip wrote"
            )
    for part in _PARTS:
        asked = _parameters(model[part])
        if asked > max(_ALWAYS, weights.stat().st_size):
            raise Refusal(
                f"{path}: {part} asks for {asked:,} parameters or more, {weights.name} cannot hold as many: mend its sizes"
            )
    _require_size(path, settings.get("preprocess_cfg"))
    return model


def require_preprocessing(settings: Mapping[str, Any], where: str) -> None:
    """Refuse preprocessing that open_clip would not run, or would run as another.

    Args:
        settings: The model's ``preprocess_cfg``, as open_clip keeps it.
        where: What says so, for messages.
    """
    interpolation = settings.get("interpolation", _INTERPOLATIONS[0])
    if interpolation not in _INTERPOLATIONS:
        raise Refusal(
            f"{where} has the interpolation {_short(interpolation)}, needed one of {', '.join(_INTERPOLATIONS)}: mend its "
            "preprocess_cfg"
        )
    found = Preprocess.from_config(settings)
    numbers = (*found.mean, *found.std)
    if (
        len(found.mean) != 3
        or len(found.std) != 3
        or not all(map(math.isfinite, numbers))
        or min(found.std) <= 0
        or found.resize_mode not in ("shortest", "longest", "squash")
    ):
        raise Refusal(f"{where} has preprocessing that is none ({found.describe()}): mend its preprocess_cfg")


def _sizes(model: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for where, part in (("", model), *((f"{name}.", model[name]) for name in _PARTS)):
        yield from ((where, name, part[name]) for name in _SIZES if part.get(name) is not None)


def _is_size(value: object, *, may_be_several: bool) -> bool:
    values = value if isinstance(value, list) and may_be_several else [value]
    return bool(values) and all(type(one) is int and one >= 1 for one in values)


def _parameters(part: Mapping[str, Any]) -> int:
    """Return about how many a tower has, rather too few; of one of another library, which says no width, none."""
    width, words = int(part.get("width") or 0), int(part.get("vocab_size") or 0)
    stages, image, patch = (
        part[name] if isinstance(part.get(name), list) else [part.get(name) or 1]
        for name in ("layers", "image_size", "patch_size")
    )
    positions = max(image) // max(patch) * (min(image) // max(patch)) + int(part.get("context_length") or 0)
    return width * (12 * width * int(sum(stages)) + int(positions) + words)


def _require_size(path: Path, preprocessing: object) -> None:
    if preprocessing is None:
        return
    if not isinstance(preprocessing, dict):
        raise Refusal(f"{path} has the preprocess_cfg {_short(preprocessing)}, needed an object: mend it")
    size = preprocessing.get("size")
    if size is not None and not (
        _is_size(size, may_be_several=True) and (type(size) is int or len(size) == 2)
    ):
        raise Refusal(
            f"{path} has the size {_short(size)} in preprocess_cfg, needed a number of pixels, or two: mend it"
        )


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 60 else told[:57] + "..."
