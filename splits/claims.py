"""What a manifest claims beyond what its recipe would: nobody can have computed it again."""

from __future__ import annotations

from collections.abc import Sequence

from oddpair.splits.built import Check
from oddpair.splits.manifest import Claim, Manifest


def refute_others(manifest: Manifest, known: Sequence[Claim]) -> list[Check]:
    """Say that claims do not hold which a recipe does not make, or makes with other figures.

    Args:
        manifest: A split.
        known: The claims that its recipe makes of it, computed again.

    Returns:
        One failed check for each other claim.

    >>> split = Manifest(name="a", recipe="b", uids=["c"], statement=(Claim(text="it is the best"),))
    >>> [check.holds for check in refute_others(split, [])]
    [False]
    """
    return [
        Check(text=claim.text, holds=False, found="the recipe does not claim this of these inputs")
        for claim in manifest.statement
        if claim not in known
    ]
