"""What a message adds where a name is unknown: the one that was meant, or all that there are."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def suggest(name: str, known: Collection[str]) -> str:
    """Say which of some names was meant, or which there are.

    >>> suggest("famly", ["family", "kind"]), suggest("x", ["family", "kind"])
    ("; did you mean 'family'?", '; use family, kind')
    """
    return closest(name, known) or (f"; use {', '.join(known)}" if known else "; there are none")


def closest(name: str, known: Collection[str]) -> str:
    """Return a question after the nearest of names too many to list, or nothing.

    >>> closest("famly", ["family", "kind"]), closest("x", ["family", "kind"])
    ("; did you mean 'family'?", '')
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
