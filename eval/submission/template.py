"""The declaration that a submitter fills in: YAML with a comment for every field, and what is known already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.model_places import is_weights_file, model_files, model_folder, weights_file

# State of a model that nobody trains: the moving averages of batch normalisation.
_NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked")
_PLACE = 24
_TEXT = """\
# What only you can know of the model{of}.
# Fill in every line: what you do not know is the word unknown, an empty line is refused.

{handle}# you: 1 to 39 letters, digits or single hyphens
{model}# what the leaderboard calls it: 1 to 60 letters, digits, '.', '-' or single '_'
{architecture}# such as ViT-B-32
{parameters}# their number, such as 151277313
{open_weights}# true if anybody can download these weights, else false
{training}# unknown, or every corpus that it was trained on, that of weights it began with too:
#  - name: DataComp-1B
#    manifest: unknown  # or the SHA-256 of its sorted uids, a line each: uids_sha256 of a split's manifest.json
{samples_seen}# unknown, or samples that it was trained on, repeats counted
{variants_tried}# checkpoints or settings that you scored, of which you submit this one; 1 if no other
links: {{}}               # https addresses of any of weights, code, paper and data, such as {{paper: https://arxiv.org/abs/...}}
"""


def write_template(run: Mapping[str, Any]) -> str:
    """Return a declaration to fill in, with what the record of a run and the weights tell.

    Args:
        run: The model's ``run.json``, as `oddpair.eval.run_record`; empty if nothing is known.

    Returns:
        YAML. Its parameters are filled in where the weights lie here as safetensors, whose header tells them.
    """
    model = run.get("model") or {}
    named = model.get("pretrained") is not None
    known: dict[str, object] = {
        "architecture": model["model"] if named else None,
        "parameters": _count_here(model) if model else None,
    }
    names = (
        "handle",
        "model",
        "architecture",
        "parameters",
        "open_weights",
        "training",
        "samples_seen",
        "variants_tried",
    )
    lines = {name: _line(name, known.get(name)) for name in names}
    return _TEXT.format(of=f" whose weights have SHA-256 {model['sha256']}" if model else "", **lines)


def count_parameters(weights: Path) -> int | None:
    """Count the parameters of a model from the header of its weights; ``None`` if they are no safetensors.

    Moving averages of batch normalisation are state and no parameters; what two layers share is stored, and counted, once.

    Args:
        weights: The file.
    """
    from safetensors import SafetensorError, safe_open

    if weights.suffix != ".safetensors":
        return None
    total = 0
    try:
        with safe_open(weights, framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118  no mapping
                size = 1
                for length in opened.get_slice(name).get_shape():
                    size *= length
                total += 0 if name.endswith(_NO_PARAMETERS) else size
    except (SafetensorError, OSError):
        return None
    return total


def _count_here(model: Mapping[str, Any]) -> int | None:
    """Count the parameters of the weights that a run names, if these still lie where they lay then."""
    try:
        weights = _weights_here(model["model"], model["pretrained"])
    except Refusal:
        return None
    if not weights.is_file() or files.sha256(weights) != model["sha256"]:
        return None
    return count_parameters(weights)


def _weights_here(model: str, pretrained: str | None) -> Path:
    folder = model_folder(model, pretrained)
    if folder is not None:
        return model_files(folder)[1]
    # A file needs no look into open_clip's tables, which take seconds to load.
    return Path(str(pretrained)) if is_weights_file(str(pretrained)) else weights_file(model, str(pretrained))


def _line(name: str, value: object) -> str:
    told = "" if value is None else f" {json.dumps(value)}" if isinstance(value, str) else f" {value}"
    return f"{name}:{told}".ljust(_PLACE - 1) + " "
