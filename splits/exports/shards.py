"""A split in shards of pictures, as img2dataset writes them: webdataset tars, or parquet that holds the bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.formats.image_parquet import open_image_parquet, write_image_parquet
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.shards import make_keys, write_shard, write_sizes
from oddpair.retrieval.formats.tars import has_end
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import Bad, Rows, Sample, Source
from oddpair.splits.exports.quarantine import read_quarantine, tell_quarantine, write_quarantine
from oddpair.splits.exports.rows import (
    Plan,
    Readable,
    plan_rows,
    read_parts,
    refuse_strangers,
    require_content,
    with_uid,
)
from oddpair.splits.manifest import Manifest

_SHARD_FILE = re.compile(r"\d+(\.tar|\.parquet|_stats\.json)")
_MOST_SHARDS = 100_000
# A trainer needs a shard for each of its loading processes, of which open_clip starts four.
_FEWEST_SHARDS = 4
# What trainers look for in a tar.
_TRAINABLE = ("jpg", "png", "webp")


def export_webdataset(
    manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_shard: int = 1000
) -> int:
    """Write a split as img2dataset shards with ``sizes.json``, as open_clip's trainer reads them.

    Rows keep the order of the corpus, their pictures byte for byte and all their columns; keys are numbered
    anew and a ``uid`` column is added where the corpus had none. One output shard and its rows of one input
    shard are in memory at a time. A row whose picture is damaged, or neither JPEG, PNG nor WebP, is set aside
    in ``quarantine.jsonl``. A shard that is whole and holds the right uids, from a run that was stopped, is
    kept; the result has the same bytes either way. ``sizes.json`` is written last: without it the export is
    not complete.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        folder: Where to write; made if missing.
        rows_per_shard: Rows in every shard but the last, or as few as give four shards; a split of fewer rows than
            that has one in each.

    Returns:
        Rows set aside.

    Raises:
        Refusal: If a uid of the split is not in the corpus, the corpus has no captions or no picture that can
            be exported, or the folder holds shards of another export.
        ValueError: If ``rows_per_shard`` is below 1.
    """
    plan, aside = _write_shards(
        manifest,
        corpus,
        folder,
        min(rows_per_shard, _most_rows(len(manifest))),
        write=write_shard,
        open_source=open_img2dataset,
        suffixes=(".tar", ".parquet", "_stats.json"),
    )
    sizes = {f"{part:05d}.tar": len(plan.rows(part)) - len(aside.get(part, ())) for part in plan.parts}
    write_sizes(folder, sizes)
    return sum(map(len, aside.values()))


def export_image_parquet(
    manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_shard: int = 1000
) -> int:
    """Write a split as img2dataset does with ``--output_format parquet``: tables with a column of pictures.

    All that ``export_webdataset`` says holds here too, but for ``sizes.json``, which no reader looks for.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        folder: Where to write; made if missing.
        rows_per_shard: Rows in every shard but the last.

    Returns:
        Rows set aside.

    Raises:
        Refusal: As ``export_webdataset``.
        ValueError: If ``rows_per_shard`` is below 1.
    """
    _, aside = _write_shards(
        manifest,
        corpus,
        folder,
        rows_per_shard,
        write=write_image_parquet,
        open_source=open_image_parquet,
        suffixes=(".parquet", "_stats.json"),
    )
    return sum(map(len, aside.values()))


def _most_rows(n_rows: int) -> int:
    """Return how many rows a shard may hold so that there are four, which are as even as can be."""
    return min(-(-n_rows // _FEWEST_SHARDS), max(1, (n_rows - 1) // (_FEWEST_SHARDS - 1)))


def _write_shards(
    manifest: Manifest,
    corpus: Readable,
    folder: Path,
    rows_per_shard: int,
    *,
    write: Callable[..., None],
    open_source: Callable[[Place], Source],
    suffixes: tuple[str, ...],
) -> tuple[Plan, dict[int, Sequence[Bad]]]:
    require_content(corpus, pictures=True)
    plan = plan_rows(manifest, corpus, rows_per_shard)
    if len(plan.parts) > _MOST_SHARDS:
        raise Refusal(f"{len(plan.parts):,} shards need more than five digits: write more rows per shard")
    names = {f"{part:05d}{suffix}" for part in plan.parts for suffix in suffixes}
    refuse_strangers(folder, _SHARD_FILE, names, f"{len(plan.parts)} shards")
    before = read_quarantine(folder)
    done = [
        part
        for part in plan.parts
        if _is_complete(
            folder, part, suffixes, open_source, [uid for uid in plan.uids_of(part) if uid not in before]
        )
    ]
    todo = sorted(set(plan.parts).difference(done))
    if todo:
        (folder / "sizes.json").unlink(missing_ok=True)
    # Rows of shards that are made again may have been mended since.
    aside: dict[int, Sequence[Bad]] = {
        part: [before[uid] for uid in plan.uids_of(part) if uid in before] for part in done if before
    }
    with track("exporting shards", len(plan.parts), "shards") as progress:
        progress.advance(len(done))
        progress.quarantine(sum(map(len, aside.values())))
        for part, rows in read_parts(corpus, plan, todo, _TRAINABLE):
            aside[part] = rows.bad
            progress.quarantine(len(rows.bad))
            # Before the shard: one that is found whole is whole but for the rows of the quarantine.
            write_quarantine(folder, aside)
            write(
                folder,
                part,
                keys=_number_keys(plan, part, rows),
                captions=rows.captions,
                images=rows.images,
                columns=with_uid(rows),
            )
            progress.advance()
    write_quarantine(folder, aside)
    tell_quarantine(folder, len(plan), aside)
    return plan, aside


def _number_keys(plan: Plan, part: int, rows: Rows) -> list[str]:
    """Number the rows of a shard as img2dataset does: those set aside leave a gap."""
    keys = make_keys(part, len(plan.rows(part)), rows_per_shard=max(10_000, plan.size))
    key_of = dict(zip(plan.uids_of(part), keys, strict=True))
    return [key_of[uid] for uid in rows.uids]


def _is_complete(
    folder: Path,
    part: int,
    suffixes: tuple[str, ...],
    open_source: Callable[[Place], Source],
    uids: list[str],
) -> bool:
    """Read a shard back as any reader would: it is complete if it gives the right rows, and nothing bad or cut."""
    shard = f"{part:05d}"
    names = tuple(f"{shard}{suffix}" for suffix in suffixes)
    if not all((folder / name).is_file() for name in names):
        return False
    try:
        source = open_source(Place(root=folder, names=names, folders=(), explicit=True))
        if ".tar" in suffixes and not has_end(folder / f"{shard}.tar"):
            return False
        found = list(source.stream(shard))
    except Refusal:  # whatever is wrong with it, writing it again mends it
        return False
    return [item.uid if isinstance(item, Sample) else None for item in found] == uids
