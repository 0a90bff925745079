"""Which checkpoints to evaluate: from the command line, or from a file with one a line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from oddpair.errors import Refusal

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A checkpoint to evaluate.

    Attributes:
        model: As for `oddpair.retrieval.models.load_model`.
        pretrained: Likewise; ``None`` for a model that has its own weights.
        sha256: What the file of the weights must hash to, hex; ``""`` where nothing was said.
    """

    model: str
    pretrained: str | None = None
    sha256: str = ""


def read_models(
    models: Sequence[str], pretrained: Sequence[str] = (), file: Path | None = None
) -> tuple[ModelChoice, ...]:
    """Put together the checkpoints that a user named, in that order: those of the command line, then the file's.

    A file has lines ``model,pretrained`` as clip_benchmark reads them, optionally with the SHA-256 of the weights
    as third; empty lines and lines that start with ``#`` are left out.

    Args:
        models: Models of the command line.
        pretrained: Their weights: none, as many as models, or any number for a single model.
        file: Further models; a relative path to weights in it is one from the working directory.

    Returns:
        At least one choice, each once.

    Raises:
        Refusal: If there is none, one is named twice, numbers do not fit, or a line of the file is malformed.

    >>> [choice.pretrained for choice in read_models(["ViT-B-32"], ["epoch_1.pt", "epoch_2.pt"])]
    ['epoch_1.pt', 'epoch_2.pt']
    """
    named = [(choice, "the command line") for choice in _pair(models, pretrained)]
    if file is not None:
        named += _read_file(file)
    if not named:
        raise Refusal("no model to evaluate: give --model, or a file of models")
    _refuse_twice(named)
    return tuple(choice for choice, _ in named)


def _pair(models: Sequence[str], pretrained: Sequence[str]) -> list[ModelChoice]:
    if len(models) == 1 and pretrained:
        pairs: Iterable[tuple[str, str | None]] = zip(repeat(models[0]), pretrained, strict=False)
    elif len(pretrained) in (0, len(models)):
        pairs = zip(models, pretrained or repeat(None, len(models)), strict=True)
    else:
        raise Refusal(
            f"{len(models)} models and {len(pretrained)} pretrained weights: give one model with all its weights, as "
            "many of both, or models that have their own"
        )
    return [ModelChoice(model=model, pretrained=weights) for model, weights in pairs]


def _read_file(path: Path) -> list[tuple[ModelChoice, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} cannot be read as a file of models ({error}): give a text with lines model,pretrained"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            found.append((_read_line(line, f"{path} line {number}"), f"{path} line {number}"))
    if not found:
        raise Refusal(f"{path} names no model: give lines model,pretrained")
    return found


def _read_line(line: str, where: str) -> ModelChoice:
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise Refusal(f"{where} is no line model,pretrained ({error}): mend its quotes") from error
    if not 1 <= len(cells) <= 3 or not cells[0]:
        raise Refusal(f"{where} has {len(cells)} columns, needed model,pretrained or model,pretrained,sha256")
    model, weights, sha256 = (*cells, "", "")[:3]
    sha256 = sha256.lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise Refusal(f"{where}: '{sha256[:70]}' is no SHA-256, needed 64 hex digits or nothing")
    return ModelChoice(model=model, pretrained=weights or None, sha256=sha256)


def _refuse_twice(named: Iterable[tuple[ModelChoice, str]]) -> None:
    first: dict[tuple[str, str | None], str] = {}
    for choice, where in named:
        key = choice.model, choice.pretrained
        if key in first:
            told = ", ".join(filter(None, key))
            raise Refusal(f"{where} names {told} again, after {first[key]}: leave one out")
        first[key] = where
