"""What is checked of a model before it is scored: its weights, its tokenizer, and that it tells inputs apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oddpair.errors import Refusal
from oddpair.files import digest
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.model_weights import UNUSABLE, first_line

if TYPE_CHECKING:
    import torch

# The first two are of one length, which is then not what tells them apart; the last is longer than any context.
_TEXTS = ["a photo of a cat", "a photo of a dog", "", "a word " * 600]
# Unit rows that are no further apart in any of their numbers are one row to any score.
_SAME = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What was found out about a model.

    Attributes:
        activation: Of its towers: ``QuickGELU``, ``GELU``, ``tanh GELU``, or what each tower has.
        preprocessing: From pixels to input, in a line.
        tokenizer: Its kind, size and the start of its vocabulary's hash.
        context_length: Tokens that a text is cut to.
        logit_scale: What cosines are multiplied with before a softmax.
        notes: What could not be verified, or was corrected, a sentence each.
    """

    activation: str
    preprocessing: str
    tokenizer: str
    context_length: int
    logit_scale: float
    notes: tuple[str, ...]


def check_model(model: str, pretrained: str | None, encoder: Encoder, *, sha256: str = "") -> ModelReport:
    """Check a model before it is scored, with a few texts and pictures of its own.

    That its activation is the one its weights were made with is seen to when it is loaded.

    Args:
        model: As for `oddpair.retrieval.models.load_model`.
        pretrained: Likewise.
        encoder: The model, loaded by `load_encoder`.
        sha256: What the file of its weights must hash to; ``""`` where nothing was said.

    Returns:
        What was found out.

    Raises:
        Refusal: If its weights are others, its tokenizer does not fit its text tower, its logit scale is no positive
            number, or it is degenerate: embeddings that are not finite, have no length, are the same for all inputs, or
            differ in dimension between images and texts.
        ValueError: If the encoder was not loaded from disk.
    """
    if encoder.traits is None:
        raise ValueError(f"encoder '{encoder.name}' was put together in memory, needed one of load_encoder")
    name = " ".join(filter(None, (model, pretrained)))
    if sha256 and encoder.sha256 != sha256:
        raise Refusal(
            f"the weights of {name} have SHA-256 {encoder.sha256}, needed {sha256}: they are damaged or of another model"
        )
    scale = encoder.traits.logit_scale
    if not 0 < scale < math.inf:
        raise Refusal(
            f"model {name} has logit scale {scale}, needed a positive number: its weights are damaged"
        )
    tokens = _tokenize(name, encoder)
    notes = [
        *encoder.traits.notes,
        *_check_tokens(name, encoder.towers.model, encoder.traits.tokenizer, tokens),
    ]
    _check_embeddings(name, encoder, tokens)
    return ModelReport(
        activation=encoder.traits.activation,
        preprocessing=encoder.preprocess.describe(),
        tokenizer=_describe_tokenizer(encoder.traits.tokenizer),
        context_length=int(tokens.shape[1]),
        logit_scale=scale,
        notes=tuple(notes),
    )


def _tokenize(name: str, encoder: Encoder) -> torch.Tensor:
    try:
        return encoder.tokenize(_TEXTS)
    except UNUSABLE as error:
        raise Refusal(
            f"the tokenizer of {name} fails on plain English ({first_line(error)}): its files are damaged or of another model"
        ) from error


def _check_tokens(name: str, model: Any, tokenizer: Any, tokens: torch.Tensor) -> Iterator[str]:
    """Refuse a tokenizer that is not the text tower's; yield what cannot be told."""
    # A model of open_clip's first kind is its own text tower.
    tower: Any = getattr(model, "text", model)
    context, words = int(tower.context_length), int(tower.vocab_size)
    is_open = hasattr(tower, "token_embedding")
    # Towers of Hugging Face have room for more than they were trained with.
    if tokens.shape[1] != context if is_open else tokens.shape[1] > context:
        raise Refusal(
            f"the tokenizer of {name} gives {tokens.shape[1]} tokens, its text tower takes {context}: mend context_length in "
            "its configuration"
        )
    size = _size(tokenizer)
    highest = max(int(tokens.max()), (size or 0) - 1)
    if highest >= words or int(tokens.min()) < 0:
        raise Refusal(
            f"the tokenizer of {name} has tokens up to {highest}, its text tower knows {words}: it is another model's, put the "
            "model's own vocabulary beside it"
        )
    if size is not None and size < words:
        yield (
            f"the text tower knows {words} tokens and the tokenizer has {size}: that the vocabulary is its own is taken "
            "on trust"
        )
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", ""))
    end = _end_token(tokenizer)
    if pool not in ("argmax", "eos"):
        return
    if end is None:
        yield "that texts are read off at their end token is taken on trust"
        return
    wanted = int(getattr(tower, "text_eos_id", getattr(tower, "eos_id", end))) if pool == "eos" else end
    read = tokens.max(dim=1).values if pool == "argmax" else tokens.eq(wanted).any(dim=1) * wanted
    if wanted != end or not bool((read == end).all()):
        raise Refusal(
            f"the text tower of {name} reads texts off at token {int(read.max())}, its tokenizer ends them with {end}: it is "
            "another model's, put the model's own vocabulary beside it"
        )


def _check_embeddings(name: str, encoder: Encoder, tokens: torch.Tensor) -> None:
    import torch

    towers = encoder.towers
    resized = torch.stack([encoder.preprocess.resize(picture) for picture in _pictures()])
    with torch.inference_mode():
        batch = encoder.preprocess.normalise(resized).to(towers.device)
        rows = {"image": towers.embed_images(batch, textures=False)[0], "text": towers.embed_texts(tokens)}
    for kind, found in rows.items():
        if found.ndim != 2 or not bool(found.isfinite().all()) or not bool(found.norm(dim=1).min() > 0):
            raise Refusal(
                f"model {name} is degenerate: embeddings of {kind}s are not finite or have no length, its weights are damaged"
            )
        unit = torch.nn.functional.normalize(found.double(), dim=1)
        # One input that stands out is no sign of life: the empty text, say.
        if not bool((unit[1:2] - unit[:1]).abs().max() > _SAME):
            raise Refusal(
                f"model {name} is degenerate: it embeds all {kind}s alike, its weights are damaged or untrained"
            )
    if rows["image"].shape[1] != rows["text"].shape[1]:
        raise Refusal(
            f"model {name} is degenerate: its embeddings of images have {rows['image'].shape[1]} numbers, of texts "
            f"{rows['text'].shape[1]}: its configuration is not the weights' own"
        )


def _pictures() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Noise, and a ramp from black to white."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (64, 64, 3))
    return [noise, np.ascontiguousarray(ramp)]


def _describe_tokenizer(tokenizer: Any) -> str:
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    words = _vocabulary(tokenizer)
    if words is None:
        return type(inner).__name__
    return f"{type(inner).__name__} of {len(words)} tokens, vocabulary {digest(words)[:12]}"


def _vocabulary(tokenizer: Any) -> dict[str, int] | None:
    """Return the tokens of a tokenizer, of open_clip's own or wrapped by it, with their numbers."""
    if hasattr(tokenizer, "encoder"):
        found: dict[str, int] = tokenizer.encoder
        return found
    inner = getattr(tokenizer, "tokenizer", None)
    return dict(inner.get_vocab()) if inner is not None and hasattr(inner, "get_vocab") else None


def _size(tokenizer: Any) -> int | None:
    words = _vocabulary(tokenizer)
    return None if not words else max(words.values()) + 1


def _end_token(tokenizer: Any) -> int | None:
    inner = getattr(tokenizer, "tokenizer", None)
    found = getattr(tokenizer, "eot_token_id", getattr(inner, "eos_token_id", None))
    return None if found is None else int(found)
