"""``oddpair verify``: is a split what its manifest says, and does what it claims hold in the corpus?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from oddpair.commands.given import Given, merge_given, open_inputs, read_sources
from oddpair.progress import say
from oddpair.splits.built import Check
from oddpair.splits.manifest import Manifest, read_manifest
from oddpair.splits.recipe_file import KINDS, load_recipe


def verify_split(folder: Path, given: Given, *, workers: int) -> tuple[Manifest, list[Check]]:
    """Read a split, whose files must belong together, and compute its claims again from its inputs.

    Args:
        folder: Folder of the split.
        given: Where its inputs are; what is not given is where the run that made it found it.
        workers: Processes.

    Returns:
        The split, and each claim with whether it holds; none if no recipe made the split or its inputs are not known.

    Raises:
        Refusal: If the files do not belong together, or the inputs cannot be opened.
    """
    manifest = read_manifest(folder)
    if manifest.recipe not in KINDS:
        return manifest, []
    loaded = load_recipe(str(folder), {})
    merged = merge_given(given, read_sources(folder))
    with tempfile.TemporaryDirectory() as work:
        inputs = open_inputs(loaded, merged, folder.resolve().parent.parent, workers=workers)
        changed = [
            name for name, found in inputs.identify().items() if manifest.provenance.get(name) != found
        ]
        if changed:
            say(f"{folder}: {', '.join(changed)} differs from what the split was made from")
        return manifest, KINDS[manifest.recipe].verify(manifest, loaded.recipe, inputs, Path(work))
