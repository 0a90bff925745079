"""``oddpair graph``: the graph of seen pairs, and what it says of a test set's pairs."""

from __future__ import annotations

from oddpair.errors import Refusal


def graph() -> None:
    """Not here yet."""
    raise Refusal("graph is not built yet")
