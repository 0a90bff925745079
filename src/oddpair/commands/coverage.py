"""``oddpair coverage``: what is left of a split in another copy of its corpus, and a split of what is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from oddpair import files, stages
from oddpair.commands.export import MISSING
from oddpair.commands.given import Given, write_sources
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.splits.exports.coverage import Coverage, count_columns, cover, list_missing, summarise
from oddpair.splits.exports.hashes import read_url_hash
from oddpair.splits.manifest import Manifest, as_uids, write_manifest

REPORT = "coverage.json"
SPLITS = "splits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The corpus that a split was made from, and columns of it that what is left is counted by."""

    corpus: Corpus
    columns: Sequence[str] = field(default_factory=tuple)


def cover_split(
    manifest: Manifest, copy: Corpus, path: str, out: Path, *, by: Path | None, original: Original | None
) -> dict[str, Any]:
    """Write what is left of a split in a copy: ``coverage.json``, ``missing.jsonl`` and ``splits/NAME``.

    The split in it is of the copy, by the copy's own uids: it can be exported and trained on.

    Args:
        manifest: The split.
        copy: The copy.
        path: Where the copy is, as the user named it.
        out: Folder to write.
        by: Table of ``oddpair export --as url-hash``, by which rows with other uids are found; ``None`` for uids alone.
        original: What to count the rows by; ``None`` for nothing.

    Returns:
        What ``coverage.json`` holds.

    Raises:
        Refusal: If the table is of another split, a corpus cannot be read, or the folder holds something else.
    """
    made_from: dict[str, Any] = {
        "split": manifest.name,
        "uids_sha256": manifest.uids_sha256,
        "copy": fingerprint(copy),
    }
    if by is not None:
        made_from["by"] = files.sha256(by)
    if original is not None:
        made_from |= {"original": fingerprint(original.corpus), "columns": list(original.columns)}
    if stages.begin(out, made_from):
        with stages.make(out):
            if original is not None:
                # The first rows tell whether it has the columns, before the whole copy is read.
                next(original.corpus.batches(original.columns), None)
            hashes = read_url_hash(by, manifest) if by is not None else None
            coverage = cover(manifest, copy, hashes)
            columns = {}
            if original is not None:
                columns = count_columns(manifest, coverage, original.corpus, original.columns)
            told = {
                name: {value: {"rows": rows, "found": found} for value, (rows, found) in values.items()}
                for name, values in columns.items()
            }
            if coverage.n_found:
                left = _take_left(manifest, coverage, made_from)
                write_manifest(out / SPLITS / manifest.name, left)
                write_sources(out, Given(corpus=path))
            lines = (json.dumps(row, sort_keys=True) for row in list_missing(manifest, coverage))
            files.write_text(out / MISSING, "".join(f"{line}\n" for line in lines))
            files.write_json(out / REPORT, {**summarise(manifest, coverage), "columns": told})
    found: dict[str, Any] = files.read_json(out / REPORT)
    return found


def _take_left(manifest: Manifest, coverage: Coverage, made_from: dict[str, Any]) -> Manifest:
    left = as_uids(pc.unique(pc.drop_null(coverage.uids)))
    uids = left.take(pc.array_sort_indices(left))
    found, rows = coverage.n_found, len(manifest)
    ways = coverage.count_ways()
    return Manifest(
        name=manifest.name,
        recipe="copy",
        uids=uids,
        parameters=manifest.parameters,
        provenance={**made_from, "recipe": manifest.recipe},
        rules=(
            (f"rows of split {manifest.name}", rows),
            *((f"found by {way}", count) for way, count in ways.items()),
            ("kept", len(uids)),
        ),
        # No claim: a copy alone does not tell what the split was.
        card=((f"rows of split {manifest.name} that are left in this copy", f"{found:,} of {rows:,}"),),
    )
