"""Whether two things were made by one model: a question asked before they are compared, and before one judges the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.stored import StoredRows

_SHA256 = re.compile(r"[0-9a-f]{64}")


def describe_model(model: str, pretrained: str | None = None) -> dict[str, str]:
    """Name a model and what tells it apart, without loading it.

    Args:
        model: As for ``load_encoder``.
        pretrained: Likewise.

    Returns:
        ``name``, and ``weights``: the SHA-256 of their file, or ``ARCHITECTURE TAG`` where they go by a tag.

    Raises:
        Refusal: If a file of the model is missing, or an architecture has no weights.
    """
    found = identify_model(model, pretrained)
    if pretrained is None and "architecture" in found:
        raise Refusal(
            f"{model} is no folder of a model, and an architecture needs weights: check the path, or name the weights"
        )
    weights = found["weights"]
    return {
        # The name alone: the same model elsewhere gives the same description.
        "name": Path(model).name,
        "weights": weights if _SHA256.fullmatch(weights) else f"{model} {weights}",
    }


def refuse_same_encoder(
    tagger: Mapping[str, Any] | None, model: str, pretrained: str | None = None, *, allow: bool = False
) -> bool:
    """Refuse counts of tags that come from the very model they are to explain.

    Such counts say what the model sees, not what it was shown, and would predict its accuracy for that reason alone.

    Args:
        tagger: What made the tags (``Tags.tagger``, or ``tagger`` in the ``meta.json`` of counts); ``None`` for tags
            of others and for none.
        model: The model under evaluation, as for ``load_encoder``.
        pretrained: Its weights, for an architecture.
        allow: Whether the user asked for it all the same (``--allow-same-encoder``).

    Returns:
        Whether it is the same model, to be marked in what is made of the two: whether the files of the weights have
        the same bytes. Weights that go by a tag are compared by it; with those of a file they cannot be compared, which
        is said, and the answer is no.

    Raises:
        Refusal: If it is the same model and that is not allowed, or a file of the model is missing.
    """
    if tagger is None:
        return False
    tagged_by, evaluated = tagger["encoder"], describe_model(model, pretrained)
    if tagged_by["weights"] != evaluated["weights"]:
        by_file = [bool(_SHA256.fullmatch(each["weights"])) for each in (tagged_by, evaluated)]
        if by_file[0] != by_file[1]:
            say(
                f"{tagged_by['name']} tagged the pictures and {evaluated['name']} is evaluated, one with weights of a "
                "file and one with weights of a tag: whether they are the same cannot be told, and is taken for no"
            )
        return False
    if not allow:
        raise Refusal(
            f"{evaluated['name']} is the model that tagged the pictures (weights {evaluated['weights'][:16]}…), and "
            "counts of its own tags say what it sees, not what it was shown: tag with another --model, or add "
            "--allow-same-encoder, which marks every output"
        )
    return True


def require_one_encoder(first: StoredRows, second: StoredRows, names: tuple[str, str]) -> None:
    """Refuse to compare rows that different models made, and say where it cannot be known.

    Args:
        first: Embeddings.
        second: Others.
        names: What to call the two.

    Raises:
        Refusal: If their dimensions or the recorded weights differ.
    """
    mine, other = names
    if first.shape[1] != second.shape[1]:
        raise Refusal(
            f"{mine} has embeddings of dimension {first.shape[1]}, {other} of {second.shape[1]}: embed both with the "
            "same model"
        )
    if first.encoder and second.encoder and first.encoder != second.encoder:
        raise Refusal(
            f"{mine} was embedded by a model with weights {first.encoder[:12]}…, {other} by one with "
            f"{second.encoder[:12]}…: embed both with the same model"
        )
    if not (first.encoder and second.encoder):
        unknown = other if first.encoder else mine
        say(
            f"{unknown}: nothing tells which model made these embeddings; that it is the other's is taken at your word"
        )
