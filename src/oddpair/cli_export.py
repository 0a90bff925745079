"""``oddpair export``: a split in the format of a trainer."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import MAX_BAD, OUT, tell
from oddpair.progress import say


class ExportFormat(StrEnum):
    """Formats of ``oddpair export``."""

    webdataset = "webdataset"
    image_parquet = "image-parquet"
    folder = "folder"
    csv = "csv"
    uids = "uids"
    uids_text = "uids-text"
    parquet = "parquet"
    url_hash = "url-hash"
    datacomp = "datacomp"
    laion = "laion"


def export(
    split: Annotated[Path, typer.Argument(help="Folder of a split's manifest.")],
    out: OUT,
    corpus: Annotated[
        str | None,
        typer.Option(help="The corpus, as for oddpair embed; default: what oddpair split made it from."),
    ] = None,
    kind: Annotated[ExportFormat, typer.Option("--as", help="Format.")] = ExportFormat.webdataset,
    rows_per_shard: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rows in a shard, file or folder, at most; a split has four webdataset shards or more.",
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Export what the corpus still has, and list the rest in missing.jsonl.")
    ] = False,
    caption_template: Annotated[
        str | None,
        typer.Option(
            help="Captions for pictures without: 'a photo of a {}', with {} for the class of each picture."
        ),
    ] = None,
    class_column: Annotated[
        str | None, typer.Option(help="Column of the classes; default: the folder of each picture.")
    ] = None,
    max_bad: MAX_BAD = 0.001,
) -> None:
    """Write a split in any format that the suite reads: shards, folders, lists of uids, tables of addresses."""
    from oddpair import files
    from oddpair.commands.export import LISTS, Choices, export_split, find_corpus
    from oddpair.commands.paths import need_apart
    from oddpair.splits.manifest import read_manifest

    choices = Choices(
        kind=kind.value,
        rows_per_shard=rows_per_shard,
        allow_missing=allow_missing,
        caption_template=caption_template,
        class_column=class_column,
    )
    manifest = read_manifest(split)
    opened = None if corpus is None and kind.value in LISTS else find_corpus(split, manifest, corpus)
    if opened is not None:
        need_apart(opened, out)
    with files.locked(out):
        left_out = export_split(manifest, opened, out, choices)
    tell(f"{manifest.name}: {len(manifest) - sum(left_out):,} rows as {kind.value} in {out}")
    bad = left_out.set_aside
    if bad > max_bad * len(manifest):
        say(f"oddpair: done, but {bad / len(manifest):.2%} of the rows are bad, --max-bad is {max_bad:g}")
        raise typer.Exit(3)
