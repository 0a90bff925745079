"""``oddpair tag``: zero-shot tags of a corpus's pictures, from their embeddings."""

from __future__ import annotations

from oddpair.errors import Refusal


def tag() -> None:
    """Not here yet."""
    raise Refusal("tag is not built yet")
