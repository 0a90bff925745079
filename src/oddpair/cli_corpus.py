"""The verbs on a user's own corpus; here ``oddpair split``, ``verify`` and ``export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_count import count
from oddpair.cli_dedup import dedup
from oddpair.cli_doctor import doctor
from oddpair.cli_embed import embed
from oddpair.cli_graph import graph
from oddpair.cli_index import index
from oddpair.cli_neighbours import neighbours
from oddpair.cli_options import (
    CORPUS_OPTION,
    EMBEDDINGS,
    MAX_BAD,
    MODEL,
    OUT,
    PRETRAINED,
    REFERENCE,
    SUBSET,
    TAGS,
    VOCABULARY,
    WORKERS,
    tell,
)
from oddpair.cli_samples import samples
from oddpair.cli_search import search
from oddpair.cli_tag import tag
from oddpair.errors import Refusal
from oddpair.progress import say


class ExportFormat(StrEnum):
    """Formats of ``oddpair export``."""

    webdataset = "webdataset"
    image_parquet = "image-parquet"
    folder = "folder"
    csv = "csv"
    uids = "uids"
    parquet = "parquet"
    datacomp = "datacomp"
    laion = "laion"


def add_corpus_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for name, verb in (
        ("embed", embed),
        ("tag", tag),
        ("count", count),
        ("samples", samples),
        ("graph", graph),
        ("search", search),
        ("index", index),
        ("neighbours", neighbours),
        ("dedup", dedup),
        ("split", split),
        ("verify", verify),
        ("export", export),
        ("doctor", doctor),
    ):
        app.command(name)(verb)


def split(
    recipe: Annotated[str, typer.Argument(help="style-strict, unseen-pairs, or a YAML file.")],
    corpus: CORPUS_OPTION,
    out: OUT,
    precision: Annotated[
        float | None, typer.Option(help="Certified precision of the style classifier.")
    ] = None,
    style_column: Annotated[str | None, typer.Option(help="Column of the hand labels.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every random choice.")] = None,
    vocabulary: VOCABULARY = None,
    tags: TAGS = None,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    subset: SUBSET = None,
    workers: WORKERS = 2,
) -> None:
    """Make the splits of a recipe: manifests with hashes and provenance, and a page that shows them."""
    from oddpair import files
    from oddpair.commands.paths import need_files, need_folders
    from oddpair.commands.read import read_corpus
    from oddpair.commands.split import refuse_without_labels, split_pairs, split_styles
    from oddpair.splits.recipes import StyleStrictRecipe, load_recipe

    loaded = load_recipe(recipe, {"precision": precision, "style_column": style_column, "seed": seed})
    if isinstance(loaded, StyleStrictRecipe):
        _refuse_unused("style-strict", {"--vocabulary": vocabulary, "--tags": tags})
    else:
        chosen = None if model == REFERENCE else model
        _refuse_unused(
            "unseen-pairs", {"--model": chosen, "--pretrained": pretrained, "--embeddings": embeddings}
        )
    opened = read_corpus(corpus, subset)
    need_files(vocabulary, tags)
    folder = embeddings or out / "embeddings"
    need_folders(opened, out, folder)
    if isinstance(loaded, StyleStrictRecipe):
        refuse_without_labels(opened, loaded)
        with files.locked(out), files.locked(folder):
            manifests = split_styles(
                opened,
                loaded,
                out / "splits",
                embeddings=folder,
                model=model,
                pretrained=pretrained,
                workers=workers,
            )
        for manifest in manifests:
            tell(f"{manifest.name}: {len(manifest):,} rows")
            for label, value in manifest.card:
                tell(f"    {label}: {value}")
        tell(f"page: {out / 'splits' / 'card.html'}")
        return
    with files.locked(out):
        _, card = split_pairs(opened, loaded, out, vocabulary=vocabulary, tags=tags)
    for label, value in card:
        tell(f"{label}: {value}")
    tell(f"page: {out / 'pairs' / 'card.html'}")


def verify(split: Annotated[Path, typer.Argument(help="Folder of a split's manifest.")]) -> None:
    """Recompute the hash of a split's rows and compare it with the manifest."""
    from oddpair.splits.manifest import read_manifest

    manifest = read_manifest(split)
    tell(f"{manifest.name}: {len(manifest):,} rows, uids sha256 {manifest.uids_sha256}: as its manifest says")


def export(
    split: Annotated[Path, typer.Argument(help="Folder of a split's manifest.")],
    corpus: CORPUS_OPTION,
    out: OUT,
    kind: Annotated[ExportFormat, typer.Option("--as", help="Format.")] = ExportFormat.webdataset,
    max_bad: MAX_BAD = 0.001,
) -> None:
    """Write a split in any format that the suite reads: shards, folders, lists of uids, tables of addresses."""
    from oddpair import files
    from oddpair.commands.export import export_split
    from oddpair.commands.paths import need_apart
    from oddpair.commands.read import read_corpus
    from oddpair.splits.manifest import read_manifest

    manifest = read_manifest(split)
    opened = read_corpus(corpus)
    need_apart(opened, out)
    with files.locked(out):
        bad = export_split(manifest, opened, out, kind.value)
    tell(f"{manifest.name}: {len(manifest) - bad:,} rows as {kind.value} in {out}")
    if bad > max_bad * len(manifest):
        say(f"oddpair: done, but {bad / len(manifest):.2%} of the rows are bad, --max-bad is {max_bad:g}")
        raise typer.Exit(3)


def _refuse_unused(recipe: str, options: dict[str, object]) -> None:
    for option, value in options.items():
        if value is not None:
            raise Refusal(f"{option}: a recipe of kind {recipe} does not use it: leave the option out")
