"""The rows of a split in the order of their corpus, cut into parts that are written one at a time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval import pictures
from oddpair.retrieval.samples import Bad, Batch, Rows, Sample
from oddpair.splits.manifest import Manifest

# Pillow calls a JPEG of several frames MPO, as many phones write them.
_SUFFIXES = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "AVIF": "avif",
}
FORMATS = tuple(dict.fromkeys(_SUFFIXES.values()))


class Readable(Protocol):
    """What an export needs of a corpus; see ``oddpair.retrieval.samples.Source``."""

    # ruff: noqa: D102
    @property
    def root(self) -> Path: ...
    @property
    def shards(self) -> tuple[str, ...]: ...
    @property
    def captioned(self) -> bool: ...
    @property
    def pictures(self) -> bool: ...
    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]: ...
    def stream(self, shard: str) -> Iterator[Sample | Bad]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which rows go where: row ``i`` of the split, in corpus order, has ``uids[i]`` and lies in ``shards[i]``.

    Attributes:
        uids: Ids of the rows.
        shards: Shard of the corpus that holds each row.
        size: Rows in every part but the last.
    """

    uids: tuple[str, ...]
    shards: tuple[str, ...]
    size: int

    @property
    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-len(self.uids) // self.size))

    def rows(self, part: int) -> range:
        """Rows of one part."""
        return range(part * self.size, min((part + 1) * self.size, len(self.uids)))


def require_content(corpus: Readable, *, pictures: bool) -> None:
    """Refuse a corpus without what a format holds: captions, and pictures if they are asked for.

    Raises:
        Refusal: If it has none.
    """
    if pictures and not corpus.pictures:
        raise Refusal(
            f"{corpus.root} holds addresses and captions, no pictures: export it as uids, parquet, laion or datacomp"
        )
    if not corpus.captioned:
        raise Refusal(
            f"{corpus.root} has no captions, and this format has one in every row: export it as uids or parquet"
        )


def plan_rows(manifest: Manifest, corpus: Readable, rows_per_part: int) -> Plan:
    """Find the rows of a split in a corpus; memory grows with the split, not with the corpus.

    A uid that the corpus holds several times is taken where it comes first.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        rows_per_part: Rows in every part but the last.

    Returns:
        The plan; the same for every run.

    Raises:
        Refusal: If a uid of the split is not in the corpus.
        ValueError: If ``rows_per_part`` is below 1.
    """
    if rows_per_part < 1:
        raise ValueError(f"{rows_per_part} rows a part, at least 1 is needed")
    wanted = set(manifest.uids)
    places: dict[str, str] = {}
    damage = ""
    for shard in corpus.shards:
        for batch in corpus.scan(shard):
            for uid in batch.table["uid"].to_pylist():
                if uid in wanted:
                    places.setdefault(uid, shard)
            for bad in batch.bad:
                damage = damage or f" (it is damaged: {bad.file}: {bad.reason})"
    missing = sorted(wanted.difference(places))
    if missing:
        raise Refusal(
            f"{corpus.root} lacks {len(missing):,} of the {len(wanted):,} uids of split {manifest.name!r}, such as "
            f"{missing[0]!r}{damage}: give the corpus that the split was made from"
        )
    return Plan(uids=tuple(places), shards=tuple(places.values()), size=rows_per_part)


def read_parts(
    corpus: Readable, plan: Plan, todo: Sequence[int], formats: Collection[str] | None = None
) -> Iterator[tuple[int, Rows]]:
    """Read some parts of a plan; only shards that hold rows of them are opened.

    What is chosen from one shard of the corpus and one part are in memory at a time.

    Args:
        corpus: The corpus.
        plan: The plan.
        todo: Numbers of the parts.
        formats: Formats that pictures may have, as suffixes of files; ``None`` reads no picture at all.

    Yields:
        Number and rows of each part, in order. A row whose picture is damaged or of another format is in ``bad``.
        Columns keep the corpus's own names.

    Raises:
        Refusal: If the corpus has changed since the plan was made.
    """
    chosen = set(todo)
    places = [row for part in plan.parts if part in chosen for row in plan.rows(part)]
    kept: list[Rows] = []
    for shard, group in groupby(places, key=plan.shards.__getitem__):
        rows = list(group)
        found = _read_rows(corpus, shard, [plan.uids[row] for row in rows], formats)
        for part, members in groupby(rows, key=lambda row: row // plan.size):
            mine = list(members)
            kept.append(_pick(found, {plan.uids[row] for row in mine}))
            if mine[-1] == plan.rows(part)[-1]:
                yield part, _join(kept)
                kept = []


def find_suffix(image: bytes) -> str | None:
    """Find the format of an encoded picture by its head, as the suffix of its file; ``None`` if it is none of ours.

    >>> find_suffix(b"<html>") is None
    True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(image), formats=pictures.FORMATS) as picture:
                return _SUFFIXES.get(picture.format or "")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def with_uid(rows: Rows) -> pa.Table:
    """Return the columns of some rows behind their ``uid``; the column of addresses is called ``url``."""
    names = rows.columns.column_names
    columns = {"url" if name == "URL" and "url" not in names else name: rows.columns[name] for name in names}
    return pa.table({"uid": pa.array(rows.uids, pa.string()), **columns})


def refuse_strangers(folder: Path, pattern: re.Pattern[str], ours: Collection[str], what: str) -> None:
    """Refuse a folder with a file that readers of the export would take for a part of it.

    Args:
        folder: Where the export will be.
        pattern: Names that readers look for.
        ours: Names that the export writes.
        what: The export in a few words.

    Raises:
        Refusal: If a name in it fits the pattern and is not ours.
    """
    if not folder.is_dir():
        return
    for name in sorted(entry.name for entry in folder.iterdir()):
        if pattern.fullmatch(name) and name not in ours:
            raise Refusal(
                f"{folder} holds {name}, which is no part of this export of {what}: choose an empty folder"
            )


def _read_rows(corpus: Readable, shard: str, uids: list[str], formats: Collection[str] | None) -> Rows:
    wanted = set(uids)
    tables = []
    for batch in corpus.scan(shard, None):
        # The first of rows with one uid stays, as it did in the plan.
        rows = []
        for row, uid in enumerate(batch.table["uid"].to_pylist()):
            if uid in wanted:
                wanted.discard(uid)
                rows.append(row)
        tables.append(batch.table.take(pa.array(rows, pa.int64())))
    if wanted:
        raise Refusal(f"{corpus.root} no longer holds uid {min(wanted)!r} in {shard}: run again")
    rows_of = _to_rows(shard, pa.concat_tables(tables).replace_schema_metadata(None))
    if formats is None:
        return rows_of
    images, bad = _read_pictures(corpus, shard, uids, formats)
    good = _pick(rows_of, set(images))
    return replace(good, images=tuple(images[uid] for uid in good.uids), bad=bad)


def _to_rows(shard: str, table: pa.Table) -> Rows:
    return Rows(
        shard=shard,
        uids=tuple(table["uid"].to_pylist()),
        keys=tuple(table["key"].to_pylist()),
        captions=tuple(table["caption"].to_pylist()),
        images=(),
        columns=table.drop_columns(["uid", "key", "caption"]),
    )


def _read_pictures(
    corpus: Readable, shard: str, uids: list[str], formats: Collection[str]
) -> tuple[dict[str, bytes], tuple[Bad, ...]]:
    wanted = set(uids)
    found: dict[str, bytes] = {}
    bad: dict[str | None, Bad] = {}
    for item in corpus.stream(shard):
        if isinstance(item, Bad):
            bad.setdefault(item.uid, item)
        elif item.uid in wanted and item.uid not in found and item.uid not in bad:
            suffix = find_suffix(item.image)
            if suffix in formats:
                found[item.uid] = item.image
            else:
                kind = "no picture" if suffix is None else f"a picture in {suffix}"
                reason = f"{kind}, needed {', '.join(formats)}"
                bad[item.uid] = Bad(file=f"{shard}/{item.key}", uid=item.uid, reason=reason)
    # What has no id of its own is a shard that is damaged as a whole.
    whole = bad.get(None, Bad(file=shard, reason="no longer in the shard"))
    missing = (uid for uid in uids if uid not in found)
    return found, tuple(replace(bad.get(uid, whole), uid=uid, rows=1) for uid in missing)


def _pick(rows: Rows, uids: Collection[str]) -> Rows:
    chosen = [row for row, uid in enumerate(rows.uids) if uid in uids]
    return Rows(
        shard=rows.shard,
        uids=tuple(rows.uids[row] for row in chosen),
        keys=tuple(rows.keys[row] for row in chosen),
        captions=tuple(rows.captions[row] for row in chosen),
        images=tuple(rows.images[row] for row in chosen) if rows.images else (),
        columns=rows.columns.take(pa.array(chosen, pa.int64())),
        bad=tuple(bad for bad in rows.bad if bad.uid in uids),
    )


def _join(parts: list[Rows]) -> Rows:
    # Shards differ in their types where a column is empty in one of them; the wider type holds both.
    columns = pa.concat_tables([part.columns for part in parts], promote_options="permissive")
    return Rows(
        shard=parts[0].shard,
        uids=tuple(uid for part in parts for uid in part.uids),
        keys=tuple(key for part in parts for key in part.keys),
        captions=tuple(caption for part in parts for caption in part.captions),
        images=tuple(image for part in parts for image in part.images),
        columns=columns,
        bad=tuple(bad for part in parts for bad in part.bad),
    )
