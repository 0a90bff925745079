"""A split beside the one that its recipe makes of the inputs once more: nothing in a manifest is taken at its word."""

from __future__ import annotations

from typing import Any

from oddpair.retrieval.uid_order import find_uids
from oddpair.splits.built import Built, Check
from oddpair.splits.manifest import Manifest, as_json_value

_REST = ("of", "parameters", "provenance", "rules", "card")
_TEXT = "made again from these inputs it is the same split"


def find_remade(manifest: Manifest, built: Built) -> Manifest | None:
    """Return the split that a recipe made in place of another, which has its name; ``None`` if it made none."""
    return next((split for split in built.splits if split.name == manifest.name), None)


def has_shape(manifest: Manifest, remade: Manifest) -> bool:
    """Say whether two statements have claims with the same figures, whatever these are."""
    mine, theirs = ([_shape(claim.values) for claim in split.statement] for split in (manifest, remade))
    return mine == theirs


def compare_remade(manifest: Manifest, remade: Manifest | None, *, same_inputs: bool) -> list[Check]:
    """Compare a split with the one made again.

    Args:
        manifest: The split.
        remade: What its recipe makes of the inputs; ``None`` if no split of this name.
        same_inputs: Whether the inputs are those that the manifest names: then everything must be the same, else the
            rows and the statement, which may hold in another copy of a corpus.

    Returns:
        One check that holds, or one for each thing that differs.
    """
    if remade is None:
        return [Check(text=_TEXT, holds=False, found=f"its recipe makes no split {manifest.name!r} of them")]
    checks = []
    if manifest.uids_sha256 != remade.uids_sha256:
        extra = int((find_uids(remade.uids, manifest.uids) < 0).sum())
        missing = int((find_uids(manifest.uids, remade.uids) < 0).sum())
        found = f"{extra:,} rows are not among those that its recipe keeps, {missing:,} of these are missing"
        checks.append(Check(text=_TEXT, holds=False, found=found))
    known = [claim.text for claim in remade.statement]
    checks += [
        Check(text=claim.text, holds=False, found=f"made again it reads: {_nearest(number, known)}")
        for number, claim in enumerate(manifest.statement)
        if claim not in remade.statement
    ]
    missing_claims = [claim.text for claim in remade.statement if claim not in manifest.statement]
    if missing_claims and not checks:
        checks.append(Check(text=_TEXT, holds=False, found=f"it lacks the claim: {missing_claims[0]}"))
    if same_inputs and not checks:
        mine_json, theirs_json = as_json_value(manifest), as_json_value(remade)
        checks += [
            Check(text=_TEXT, holds=False, found=f"its {name!r} is another")
            for name in _REST
            if mine_json[name] != theirs_json[name]
        ]
    return checks or [Check(text=_TEXT, holds=True, found=f"{len(manifest):,} rows")]


def _nearest(number: int, known: list[str]) -> str:
    return known[number] if number < len(known) else "nothing of the kind"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value[:1]]
    return type(value).__name__
