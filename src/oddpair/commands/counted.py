"""How counts were made, in words: what whoever reads numbers has to know of rules and tagger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def label_rules(counting: Mapping[str, Any]) -> str | None:
    """Say by which rules concepts are found in captions; ``None`` for the default ones.

    >>> label_rules({"rules": "unigrams", "paper": "arXiv:2404.04125", "check": "unverified against spaCy"})
    'captions by the rules of unigrams, arXiv:2404.04125, unverified against spaCy'
    """
    if counting.get("rules") == "mentions":
        longest = "of concepts that overlap in a caption the longest alone counts"
        return longest if counting.get("overlap") == "longest" else None
    told = [str(counting[name]) for name in ("rules", "paper", "check") if name in counting]
    return f"captions by the rules of {', '.join(told)}" if told else "captions by rules that are not said"


def label_tagger(tagger: Mapping[str, Any] | None) -> str | None:
    """Say what tagged the images; ``None`` where that is not known.

    >>> label_tagger({"kind": "zero-shot", "encoder": {"name": "ViT-B-32"}, "same_encoder": False})
    'tags by ViT-B-32, zero-shot'
    """
    if tagger is None:
        return None
    encoder = tagger.get("encoder")
    name = encoder.get("name") if isinstance(encoder, dict) else encoder
    told = [name if isinstance(name, str) else "a model that is not named"]
    if isinstance(tagger.get("kind"), str):
        told.append(tagger["kind"])
    if tagger.get("same_encoder"):
        told.append("a model under evaluation, whose mistakes are in the counts too")
    return f"tags by {', '.join(told)}"


def label_counts(made: Mapping[str, Any]) -> list[str]:
    """Say what is unusual in how counts were made, a line each, of what their ``meta.json`` says."""
    labels = label_rules(made["counting"]), label_tagger(made.get("tagger"))
    return [label for label in labels if label is not None]
