"""``oddpair split``: carry out a recipe, into manifests, tables and a page that shows them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from oddpair import files, stages
from oddpair.commands.given import Given, open_inputs, write_sources
from oddpair.commands.split_page import CARD_FILE, write_page
from oddpair.errors import Refusal
from oddpair.splits.built import Built
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
from oddpair.splits.recipe_file import KINDS, Loaded, as_parameters

SPLITS = "splits"
WORK = "work"


def split_corpus(loaded: Loaded, given: Given, out: Path, *, workers: int) -> list[Manifest]:
    """Make the splits of a recipe; a killed run goes on, a finished one is left as it is.

    Writes ``splits/NAME/`` with ``manifest.json`` and ``uids.parquet`` for every split, tables of the recipe and
    ``card.html`` beside them, ``work/`` with what a killed run goes on from, and ``sources.json``.

    Args:
        loaded: The recipe.
        given: Where its inputs are.
        out: Folder to write.
        workers: Processes.

    Returns:
        The splits, in the order of their names.

    Raises:
        Refusal: If the recipe cannot be carried out, or the folder is of another run.
    """
    # Before the lock, which would be left where nothing is to be written.
    inputs = open_inputs(loaded, given, out, workers=workers)
    if loaded.made is not None:
        refuse_other_inputs(loaded.made, inputs)
    folder = out / SPLITS
    with files.locked(out):
        if stages.begin(
            folder, {"kind": loaded.kind, "recipe": as_parameters(loaded.recipe), **inputs.identify()}
        ):
            with stages.make(folder):
                built = _build(loaded, inputs, out / WORK)
                for name, table in built.tables.items():
                    files.write_table(folder / name, table)
                for manifest in built.splits:
                    write_manifest(folder / manifest.name, manifest)
                write_page(folder / CARD_FILE, loaded, built, inputs)
        write_sources(out, given)
    return [read_manifest(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST_FILE}"))]


def try_split(loaded: Loaded, given: Given, out: Path, *, workers: int) -> list[Manifest]:
    """Carry out a recipe without writing a split, and return what it would keep.

    Args:
        loaded: The recipe.
        given: Where its inputs are.
        out: Folder of the run, of which nothing is made but the embeddings beside it.
        workers: Processes.

    Returns:
        The splits, in the order of their names.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = open_inputs(loaded, given, out, workers=workers)
        return sorted(_build(loaded, inputs, Path(folder)).splits, key=lambda manifest: manifest.name)


def count_lines(out: Path) -> dict[str, int]:
    """Return the lines of each table beside the splits of a run, by its name."""
    return {path.name: pq.read_metadata(path).num_rows for path in sorted((out / SPLITS).glob("*.parquet"))}


def refuse_other_inputs(made: Manifest, inputs: Inputs) -> None:
    """Refuse to make a split again from other inputs than it was made from, and name the first that differs."""
    for name, found in inputs.identify().items():
        wanted = made.provenance.get(name)
        if wanted != found:
            raise Refusal(
                f"split {made.name!r} was made with {name} {str(wanted)[:40]}, given is {str(found)[:40]}: give the "
                "inputs that it was made from"
            )


def _build(loaded: Loaded, inputs: Inputs, work: Path) -> Built:
    built = KINDS[loaded.kind].build(loaded.recipe, inputs, work)
    parameters = as_parameters(loaded.recipe)
    return replace(built, splits=tuple(replace(manifest, parameters=parameters) for manifest in built.splits))
