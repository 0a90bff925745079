"""``oddpair verify``: is a split what its manifest says, and does what it claims hold in the corpus?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from oddpair.commands.given import Given, list_differences, merge_given, open_inputs, read_sources
from oddpair.errors import Refusal
from oddpair.splits.built import Check
from oddpair.splits.manifest import Manifest, read_manifest
from oddpair.splits.recipe_file import KINDS, carry_out, load_recipe
from oddpair.splits.remake import compare_remade, find_remade, has_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A split whose claims were computed again.

    Attributes:
        manifest: The split.
        checks: Each claim and whether it holds; none if no recipe made the split and it claims nothing.
        differences: Inputs that are not those that the manifest names, in words: the claims were computed from what
            was given.
    """

    manifest: Manifest
    checks: list[Check]
    differences: list[str]


def verify_split(folder: Path, given: Given, *, workers: int) -> Verified:
    """Read a split, whose files must belong together, and compute its claims again from its inputs.

    Twice, and by different ways: by what the recipe knows of checking a split's rows, without the decisions that chose
    them, and by making the split again, which tells a claim, a figure or a row that the recipe would not give.

    Args:
        folder: Folder of the split; nothing is written there.
        given: Where its inputs are; what is not given is where the run that made it found it.
        workers: Processes.

    Returns:
        What was found.

    Raises:
        Refusal: If the files do not belong together, nobody can compute the claims again, or the inputs cannot be
            opened.
    """
    manifest = read_manifest(folder)
    if manifest.recipe not in KINDS:
        if manifest.statement:
            raise Refusal(
                f"{folder} claims something, and was made by {manifest.recipe!r}, which is no recipe: nobody can compute "
                "it again"
            )
        return Verified(manifest=manifest, checks=[], differences=[])
    loaded = load_recipe(str(folder), {})
    sources = read_sources(folder)
    with tempfile.TemporaryDirectory() as work:
        # Embeddings that are missing are made for this alone; those of the run that made the split lie beside it.
        out = folder.resolve().parent.parent if sources else Path(work) / "verify"
        inputs = open_inputs(loaded, merge_given(given, sources), out, workers=workers)
        kind, differences = KINDS[manifest.recipe], list_differences(manifest, inputs)
        remade = find_remade(manifest, carry_out(loaded, inputs, Path(work) / "again"))
        checks: list[Check] = []
        # A claim of another form is none of the recipe's, and nobody knows how to check it.
        if remade is not None and has_shape(manifest, remade):
            checks += kind.verify(manifest, loaded.recipe, inputs, Path(work))
        checks += compare_remade(manifest, remade, same_inputs=not differences)
        return Verified(manifest=manifest, checks=checks, differences=differences)
