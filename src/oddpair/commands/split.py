"""``oddpair split``: carry out a recipe, into manifests, tables and a page that shows them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from oddpair import files, stages
from oddpair.commands.given import Given, list_differences, open_inputs, write_sources
from oddpair.commands.split_page import CARD_FILE, write_page
from oddpair.errors import Refusal
from oddpair.splits.built import Built
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
from oddpair.splits.recipe_file import Loaded, as_parameters, carry_out

SPLITS = "splits"
WORK = "work"
_WRITERS = 4


class Made(NamedTuple):
    """The splits of a run, by name, and the lines of every table beside them."""

    splits: list[Manifest]
    lines: dict[str, int]


def split_corpus(loaded: Loaded, given: Given, out: Path, *, workers: int) -> Made:
    """Make the splits of a recipe; a killed run goes on, a finished one is left as it is.

    Writes ``splits/NAME/`` with ``manifest.json`` and ``uids.parquet`` for every split, tables of the recipe and
    ``card.html`` beside them, ``work/`` with what a killed run goes on from, and ``sources.json``.

    Args:
        loaded: The recipe.
        given: Where its inputs are.
        out: Folder to write.
        workers: Processes.

    Returns:
        What was made.

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
                _write(folder, loaded, built, inputs)
            made = _sum_up(built)
        else:
            made = _read_made(folder)
        write_sources(out, given)
    return made


def try_split(loaded: Loaded, given: Given, out: Path, *, workers: int) -> Made:
    """Carry out a recipe without writing a split, and return what it would keep.

    Args:
        loaded: The recipe.
        given: Where its inputs are.
        out: Folder of the run, of which nothing is made but the embeddings beside it.
        workers: Processes.

    Returns:
        What would be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = open_inputs(loaded, given, out, workers=workers)
        if loaded.made is not None:
            refuse_other_inputs(loaded.made, inputs)
        return _sum_up(_build(loaded, inputs, Path(folder)))


def refuse_other_inputs(made: Manifest, inputs: Inputs) -> None:
    """Refuse to make a split again from other inputs than it was made from, and name the first that differs."""
    differences = list_differences(made, inputs)
    if differences:
        raise Refusal(
            f"split {made.name!r} has other inputs: {differences[0]}: give those that it was made from"
        )


def _sum_up(built: Built) -> Made:
    return Made(
        splits=sorted(built.splits, key=lambda manifest: manifest.name),
        lines={name: len(built.tables[name]) for name in sorted(built.tables)},
    )


def _read_made(folder: Path) -> Made:
    return Made(
        splits=[read_manifest(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST_FILE}"))],
        lines={path.name: pq.read_metadata(path).num_rows for path in sorted(folder.glob("*.parquet"))},
    )


def _write(folder: Path, loaded: Loaded, built: Built, inputs: Inputs) -> None:
    """Write tables, splits and page side by side: packing, hashing and the disk leave the interpreter to others."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        tables = [
            writers.submit(files.write_table, folder / name, table) for name, table in built.tables.items()
        ]
        splits = [
            writers.submit(write_manifest, folder / manifest.name, manifest) for manifest in built.splits
        ]
        # The page shows the hashes of the splits, which are known when they are written.
        _wait(splits)
        write_page(folder / CARD_FILE, loaded, built, inputs)
        _wait(tables)


def _wait(tasks: Iterable[Future[None]]) -> None:
    for task in tasks:
        task.result()


def _build(loaded: Loaded, inputs: Inputs, work: Path) -> Built:
    built = carry_out(loaded, inputs, work)
    if loaded.made is not None and loaded.made not in built.splits:
        raise Refusal(
            f"split {loaded.made.name!r} cannot be made again: its recipe and inputs give another one, so its manifest "
            "was changed, or another version of oddpair made it"
        )
    return built
