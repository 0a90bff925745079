"""``oddpair export``: a split in the format of a trainer, in a folder that says which split it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from oddpair import stages
from oddpair.commands.given import read_sources
from oddpair.commands.read import read_corpus
from oddpair.errors import Refusal
from oddpair.files import write_text
from oddpair.progress import say
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.splits.exports.captions import caption_by_class
from oddpair.splits.exports.coverage import cover, list_missing
from oddpair.splits.exports.folder import export_csv, export_folder
from oddpair.splits.exports.hashes import export_url_hash
from oddpair.splits.exports.quarantine import read_quarantine
from oddpair.splits.exports.rows import Readable
from oddpair.splits.exports.shards import export_image_parquet, export_webdataset
from oddpair.splits.exports.tables import (
    export_datacomp,
    export_laion,
    export_parquet,
    export_uids,
    export_uids_text,
)
from oddpair.splits.manifest import CORPUS, Manifest

MISSING = "missing.jsonl"
REFERENCE = "reference"

# What each kind is written by, and what it calls the number of rows in one of its files.
_FOLDERS: dict[str, tuple[Callable[..., int | None], str]] = {
    "webdataset": (export_webdataset, "rows_per_shard"),
    "image-parquet": (export_image_parquet, "rows_per_shard"),
    "laion": (export_laion, "rows_per_file"),
    "datacomp": (export_datacomp, "rows_per_file"),
    "folder": (export_folder, "rows_per_folder"),
    "csv": (export_csv, "rows_per_folder"),
}
_TABLES: dict[str, Callable[[Manifest, Readable, Path], None]] = {
    "parquet": export_parquet,
    "url-hash": export_url_hash,
}
LISTS: dict[str, tuple[Callable[[Manifest, Path], None], str]] = {
    "uids": (export_uids, ".npy"),
    "uids-text": (export_uids_text, ".txt"),
}
KINDS = (*_FOLDERS, *_TABLES, *LISTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How a split is exported.

    Attributes:
        kind: One of ``KINDS``.
        rows_per_shard: Rows in a shard, file or folder of the export, at most; ``None`` for the usual number.
        allow_missing: Whether rows that the corpus has lost may be left out, and listed in ``missing.jsonl``.
        caption_template: Caption with ``{}`` for the class, for a corpus without captions.
        class_column: Column of the classes; ``None`` for the folders of the pictures.
    """

    kind: str = "webdataset"
    rows_per_shard: int | None = None
    allow_missing: bool = False
    caption_template: str | None = None
    class_column: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r}, needed one of {', '.join(KINDS)}")
        if self.rows_per_shard is not None and self.kind not in _FOLDERS:
            raise Refusal(f"--rows-per-shard: {self.kind} is one file: leave the option out")
        if self.class_column is not None and self.caption_template is None:
            raise Refusal("--class-column is what captions are made of: give --caption-template too")
        for option in ("allow_missing", "caption_template"):
            if getattr(self, option) and self.kind in LISTS:
                name = option.replace("_", "-")
                raise Refusal(
                    f"--{name}: {self.kind} lists the uids of the split alone: leave the option out"
                )


def find_corpus(split: Path, manifest: Manifest, corpus: str | None) -> Corpus:
    """Open the corpus that a split is exported from: the one that is named, or where ``oddpair split`` noted it.

    Args:
        split: Folder of the split.
        manifest: The split.
        corpus: Path of the corpus; ``None`` for the set that its uids are of, where the split was made.

    Returns:
        The corpus.

    Raises:
        Refusal: If nothing says where it is, or it cannot be opened.
    """
    if corpus is not None:
        return read_corpus(corpus)
    sources = read_sources(split)
    if manifest.of == CORPUS:
        found, subset = sources.get("corpus"), sources.get("subset")
    else:
        subset = None
        found = sources.get("tests", {}).get(manifest.of)
        if found is None and manifest.of == REFERENCE:
            found = sources.get("reference")
    if found is None and "pools" in manifest.provenance and "corpus" not in manifest.provenance:
        raise Refusal(f"{split} was drawn from pools, which are not looked up: name its corpus with --corpus")
    if found is None:
        raise Refusal(
            f"{split} does not lie where oddpair split put it, with a note of its {manifest.of}: name it with --corpus"
        )
    if (Path(found) / "img_emb").is_dir() and (Path(found) / "done.json").is_file():
        raise Refusal(
            f"{found}, which {split} was made from, holds embeddings: name the corpus with --corpus"
        )
    return read_corpus(str(found), Path(subset) if subset else None)


class Exported(NamedTuple):
    """Rows of a split that are not in its export."""

    set_aside: int
    missing: int


def export_split(manifest: Manifest, corpus: Corpus | None, out: Path, choices: Choices) -> Exported:
    """Write a split into a folder of its own; a whole export of the same split is left as it is.

    Args:
        manifest: The split.
        corpus: The corpus it was made from; lists of uids need none.
        out: The folder.
        choices: The format, and how it is written.

    Returns:
        Rows that are not in the export: those that are listed in ``quarantine.jsonl`` and in ``missing.jsonl``.

    Raises:
        Refusal: If the folder holds anything else, or the split cannot be exported.
    """
    made_from: dict[str, Any] = {
        "split": manifest.name,
        "uids_sha256": manifest.uids_sha256,
        "format": choices.kind,
    }
    if corpus is not None:
        made_from["corpus"] = fingerprint(corpus)
    for name in ("rows_per_shard", "allow_missing", "caption_template", "class_column"):
        if getattr(choices, name):
            made_from[name] = getattr(choices, name)
    if stages.begin(out, made_from):
        with stages.make(out):
            _write(manifest, corpus, out, choices)
    return Exported(set_aside=len(read_quarantine(out)), missing=_count_lines(out / MISSING))


def _write(manifest: Manifest, corpus: Corpus | None, out: Path, choices: Choices) -> None:
    kind = choices.kind
    if kind in LISTS:
        write_list, suffix = LISTS[kind]
        write_list(manifest, out / f"{manifest.name}{suffix}")
        return
    if corpus is None:
        raise ValueError(f"{kind} is made of a corpus, and none was given")
    if choices.allow_missing:
        manifest = _leave_out_missing(manifest, corpus, out)
    readable: Readable = corpus
    if choices.caption_template is not None:
        readable = caption_by_class(corpus, choices.caption_template, choices.class_column)
    if kind in _TABLES:
        _TABLES[kind](manifest, readable, out / f"{manifest.name}.parquet")
        return
    write_folder, rows = _FOLDERS[kind]
    if choices.rows_per_shard is None:
        write_folder(manifest, readable, out)
    else:
        write_folder(manifest, readable, out, **{rows: choices.rows_per_shard})


def _leave_out_missing(manifest: Manifest, corpus: Corpus, out: Path) -> Manifest:
    """Return what the corpus still has of a split, and list the rest."""
    coverage = cover(manifest, corpus)
    if not coverage.n_found:
        raise Refusal(
            f"{corpus.root} has none of the {len(manifest):,} uids of split {manifest.name!r}: give another copy, or "
            "find its rows with oddpair coverage --by"
        )
    lines = [json.dumps(row, sort_keys=True) for row in list_missing(manifest, coverage)]
    if not lines:
        return manifest
    write_text(out / MISSING, "".join(f"{line}\n" for line in lines))
    say(f"{len(lines):,} of {len(manifest):,} rows are no longer in the corpus, see {out / MISSING}")
    return replace(manifest, uids=pc.drop_null(coverage.uids))


def _count_lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n") if path.is_file() else 0
