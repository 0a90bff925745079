"""Settings of a set by name: one that nobody knows is refused, with the one that was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest


def require_known(settings: Mapping[str, str], known: Sequence[str], *, name: str, layout: str) -> None:
    """Refuse settings that a layout does not have.

    Args:
        settings: Settings by name, as the user gave them.
        known: Names that the layout has.
        name: What the user calls the set.
        layout: Name of the layout.

    Raises:
        Refusal: If one is not known, or is empty.
    """
    stranger = next((setting for setting in settings if setting not in known), None)
    if stranger is not None:
        raise Refusal(f"set {name}: layout {layout} has no setting {stranger!r}{suggest(stranger, known)}")
    empty = next((setting for setting, value in settings.items() if not value), None)
    if empty is not None:
        raise Refusal(f"set {name}: its setting {empty!r} is empty: give it a value, or leave it out")
