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
        ``name``, and ``weights``: the SHA-256 of their file or, where they go by a tag, where open_clip has the file
        from. Architectures that differ in settings alone (``ViT-B-32-quickgelu``) share files.

    Raises:
        Refusal: If a file of the model is missing, an architecture has no weights, or open_clip does not know it or
            them.
    """
    found = identify_model(model, pretrained)
    if "architecture" not in found:
        # The name alone: the same model elsewhere gives the same description.
        return {"name": Path(model).name, "weights": found["weights"]}
    if not pretrained:
        raise Refusal(
            f"{model} is no folder of a model, and an architecture needs weights: check the path, or name the weights"
        )
    architecture = _clean_architecture(model)
    if _SHA256.fullmatch(found["weights"]):
        return {"name": architecture, "weights": found["weights"]}
    return {"name": architecture, "weights": _find_source(architecture, pretrained)}


def _clean_architecture(model: str) -> str:
    import open_clip

    # As open_clip.create_model does.
    architecture = model.replace("/", "-")
    if architecture not in open_clip.list_models():
        raise Refusal(
            f"{model} is neither a folder of a model nor an architecture of open_clip: check the name"
        )
    return architecture


def _find_source(architecture: str, tag: str) -> str:
    import open_clip

    known = open_clip.get_pretrained_cfg(architecture, tag)
    # The hub first, as open_clip does.
    source = str(known.get("hf_hub") or known.get("url") or "").rstrip("/")
    if not source:
        raise Refusal(
            f"{tag} is neither a file nor pretrained weights that open_clip has of {architecture}: check the path or "
            "the tag"
        )
    return source


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
        the same bytes. Weights that go by a tag are compared by the file that open_clip has for it; with those of a file
        on disk they cannot be compared, which is said, and the answer is no.

    Raises:
        Refusal: If it is the same model and that is not allowed, ``tagger`` does not name the tagger, or as
            ``describe_model`` does.
    """
    if tagger is None:
        return False
    tagged_by, evaluated = _encoder_of(tagger), describe_model(model, pretrained)
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
            f"{evaluated['name']} is the model that tagged the pictures (weights {_shorten(evaluated['weights'])}), and "
            "counts of its own tags say what it sees, not what it was shown: tag with another --model, or add "
            "--allow-same-encoder, which marks every output"
        )
    return True


def _encoder_of(tagger: object) -> dict[str, str]:
    encoder = tagger.get("encoder") if isinstance(tagger, Mapping) else None
    found = {
        name: encoder.get(name) if isinstance(encoder, Mapping) else None for name in ("name", "weights")
    }
    if not all(isinstance(value, str) and value for value in found.values()):
        raise Refusal(
            "meta.json does not tell who tagged the pictures, needed the name and weights of the encoder in its "
            "'tagger': tag and count again"
        )
    return {name: str(value) for name, value in found.items()}


def _shorten(weights: str) -> str:
    return f"{weights[:16]}…" if _SHA256.fullmatch(weights) else weights


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
