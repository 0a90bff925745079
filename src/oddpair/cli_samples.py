"""``oddpair samples``: samples of a corpus that hold a set of concepts."""

from __future__ import annotations

from oddpair.errors import Refusal


def samples() -> None:
    """Not here yet."""
    raise Refusal("samples is not built yet")
