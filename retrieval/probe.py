"""Whether embeddings are those of a model, before queries of that model are compared with them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.samples import Vectors

Check = Literal["weights", "captions", "unchecked"]

PROBES = 8
# Rounding to 16 bits and bf16 arithmetic leave 0.999; another model, or another row's caption, far less.
LEAST_COSINE = 0.99


def check_encoder(found: Embeddings | Vectors, encoder: Encoder, *, made_by: str = "") -> Check:
    """Check that embeddings were made by an encoder.

    By the hash of the weights where it was recorded; else up to 8 captions, evenly chosen, are embedded
    again and compared with their rows. One of 8 may differ, since a caption can be cut or cleaned in other ways.

    Args:
        found: Embeddings, or some rows of them.
        encoder: The model that queries will be embedded with.
        made_by: sha256 of the weights that made ``Vectors``, where it was recorded.

    Returns:
        What was compared: ``weights``, ``captions``, or ``unchecked`` where there is neither a hash nor a
        caption with its row.

    Raises:
        Refusal: If they were made by another model, or captions and rows do not belong together.
    """
    width = max(found.image.shape[1], found.text.shape[1])
    if width != encoder.dimension:
        raise Refusal(
            f"the embeddings have dimension {width}, model {encoder.name} has {encoder.dimension}: give the model that "
            "made them with --model and --pretrained, or embed the pictures again"
        )
    recorded = found.encoder if isinstance(found, Embeddings) else made_by
    if recorded and encoder.sha256:
        if recorded != encoder.sha256:
            raise Refusal(
                f"the embeddings were made with weights {recorded[:16]}…, model {encoder.name} has "
                f"{encoder.sha256[:16]}…: give the model that made them with --model and --pretrained, or embed the "
                "pictures again"
            )
        return "weights"
    rows = [row for row, caption in enumerate(found.captions) if caption]
    if not rows or not found.text.shape[1]:
        return "unchecked"
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(PROBES, len(rows))).astype(int)]
    again = encoder.encode_texts([found.captions[row] for row in chosen])
    cosines = np.einsum("ij,ij->i", again, found.text[chosen])
    agreeing = int((cosines >= LEAST_COSINE).sum())
    if agreeing < len(chosen) - len(chosen) // PROBES:
        raise Refusal(
            f"of {len(chosen)} captions embedded again with {encoder.name}, {agreeing} have the vector in their row "
            f"(median cosine {np.median(cosines):.3f}, needed {LEAST_COSINE}): they were made by another model, or "
            "captions and rows do not belong together: give the right --model and --pretrained, or embed the pictures "
            "again"
        )
    return "captions"
