"""The rows of a split in the order of their corpus, cut into parts that are written one at a time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval import pictures
from oddpair.retrieval.samples import Bad, Batch, Rows, Sample
from oddpair.splits.exports.uid_keys import index_uids, take_new
from oddpair.splits.manifest import Manifest, as_uids

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Which rows go where: row ``i`` of the split, in corpus order, has ``uids[i]`` and lies in shard ``places[i]``.

    Attributes:
        uids: Ids of the rows, ``large_string``.
        places: Place of each row's shard in ``shards``, shape ``(n,)``; ascending.
        shards: Shards of the corpus.
        size: Rows in every part but the last.
    """

    uids: pa.Array
    places: NDArray[np.int32]
    shards: tuple[str, ...]
    size: int

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-len(self) // self.size))

    def rows(self, part: int) -> range:
        """Rows of one part."""
        return range(part * self.size, min((part + 1) * self.size, len(self)))

    def uids_of(self, part: int) -> list[str]:
        """Ids of the rows of one part."""
        rows = self.rows(part)
        found: list[str] = self.uids.slice(rows.start, len(rows)).to_pylist()
        return found


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
            f"{corpus.root} has no captions, and this format has one in every row: make some of their classes with "
            "--caption-template, or export it as uids or parquet"
        )


def plan_rows(manifest: Manifest, corpus: Readable, rows_per_part: int) -> Plan:
    """Find the rows of a split in a corpus; memory grows with the split, some 100 bytes a row, not with the corpus.

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
    index = index_uids(manifest.uids)
    seen = np.zeros(len(manifest), dtype=np.bool_)
    order = np.empty(len(manifest), dtype=np.int64)
    places = np.empty(len(manifest), dtype=np.int32)
    done = 0
    damage = ""
    for place, shard in enumerate(corpus.shards):
        for batch in corpus.scan(shard):
            found = index.find(batch.table["uid"])
            new = found[take_new(found, seen)]
            order[done : done + len(new)] = new
            places[done : done + len(new)] = place
            done += len(new)
            for bad in batch.bad:
                damage = damage or f" (it is damaged: {bad.file}: {bad.reason})"
    if done < len(manifest):
        first = manifest.uids[int(np.argmin(seen))].as_py()
        raise Refusal(
            f"{corpus.root} lacks {len(manifest) - done:,} of the {len(manifest):,} uids of split {manifest.name!r}, "
            f"such as {first!r}{damage}: give the corpus that the split was made from, or export what is there with "
            "--allow-missing"
        )
    return Plan(
        uids=manifest.uids.take(pa.array(order)), places=places, shards=corpus.shards, size=rows_per_part
    )


def read_tables(
    corpus: Readable, plan: Plan, todo: Sequence[int], columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """Read what a corpus says of some parts of a plan, without its pictures.

    Args:
        corpus: The corpus.
        plan: The plan.
        todo: Numbers of the parts.
        columns: Columns beside ``uid``, ``key`` and ``caption``; ``None`` for all.

    Yields:
        Number and table of each part, in order: ``uid``, ``key``, ``caption``, ``shard`` and then the columns.

    Raises:
        Refusal: If the corpus has changed since the plan was made.
    """
    kept: list[pa.Table] = []
    for shard, uids, cuts in _divide(plan, todo):
        found = _read_table(corpus, shard, uids, columns)
        first = found.select(["uid", "key", "caption"])
        first = first.append_column("shard", pa.repeat(pa.scalar(shard, pa.string()), found.num_rows))
        rest = [name for name in found.column_names if name not in first.column_names]
        for name in rest:
            first = first.append_column(name, found[name])
        for part, start, stop in cuts:
            kept.append(first.slice(start, stop - start))
            if sum(table.num_rows for table in kept) == len(plan.rows(part)):
                # Shards differ in their types where a column is empty in one of them; the wider type holds both.
                yield part, pa.concat_tables(kept, promote_options="permissive")
                kept = []


def read_parts(
    corpus: Readable, plan: Plan, todo: Sequence[int], formats: Collection[str]
) -> Iterator[tuple[int, Rows]]:
    """Read some parts of a plan with their pictures; only shards that hold rows of them are opened.

    What is chosen from one shard of the corpus and one part are in memory at a time.

    Args:
        corpus: The corpus.
        plan: The plan.
        todo: Numbers of the parts.
        formats: Formats that pictures may have, as suffixes of files.

    Yields:
        Number and rows of each part, in order. A row whose picture is damaged or of another format is in ``bad``.
        Columns keep the corpus's own names.

    Raises:
        Refusal: If the corpus has changed since the plan was made.
    """
    kept: list[Rows] = []
    for shard, uids, cuts in _divide(plan, todo):
        table = _read_table(corpus, shard, uids, None)
        images, bad = _read_pictures(corpus, shard, table["uid"].to_pylist(), formats)
        for part, start, stop in cuts:
            kept.append(_to_rows(shard, table.slice(start, stop - start), images, bad))
            if sum(len(rows) + len(rows.bad) for rows in kept) == len(plan.rows(part)):
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
    table = name_address(rows.columns)
    columns = {name: table[name] for name in table.column_names}
    return pa.table({"uid": pa.array(rows.uids, pa.string()), **columns})


def name_address(table: pa.Table) -> pa.Table:
    """Call the column of addresses ``url``, whatever the release calls it."""
    names = table.column_names
    return table.rename_columns(["url" if name == "URL" and "url" not in names else name for name in names])


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


def _divide(plan: Plan, todo: Sequence[int]) -> Iterator[tuple[str, pa.Array, list[tuple[int, int, int]]]]:
    """Give each shard with the uids to read from it, and which of them, from and to, belong to which part."""
    chosen = sorted(set(todo))
    if not chosen:
        return
    rows = np.concatenate([np.arange(part.start, part.stop) for part in map(plan.rows, chosen)])
    for start, stop in _runs(plan.places[rows]):
        here = rows[start:stop]
        cuts = [(int(here[first]) // plan.size, first, last) for first, last in _runs(here // plan.size)]
        yield plan.shards[plan.places[here[0]]], plan.uids.take(pa.array(here)), cuts


def _runs(values: NDArray[np.integer]) -> list[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


def _read_table(corpus: Readable, shard: str, uids: pa.Array, columns: Sequence[str] | None) -> pa.Table:
    """Read the rows of some uids of a shard; the first of rows with one uid stays, as it did in the plan."""
    index = index_uids(uids)
    seen = np.zeros(len(uids), dtype=np.bool_)
    tables = []
    for batch in corpus.scan(shard, columns):
        rows = take_new(index.find(batch.table["uid"]), seen)
        tables.append(batch.table.take(pa.array(rows)))
    if not seen.all():
        lost = uids[int(np.argmin(seen))].as_py()
        raise Refusal(f"{corpus.root} no longer holds uid {lost!r} in {shard}: run again")
    table = pa.concat_tables(tables).replace_schema_metadata(None)
    if not pc.all(pc.equal(as_uids(table["uid"]), uids)).as_py():
        raise Refusal(
            f"{corpus.root} has rows in another order in {shard} than when the run began: run again"
        )
    return table


def _read_pictures(
    corpus: Readable, shard: str, uids: list[str], formats: Collection[str]
) -> tuple[dict[str, bytes], dict[str, Bad]]:
    """Read the pictures of some uids of a shard, and say of each that cannot be exported why."""
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
    missing = [uid for uid in uids if uid not in found]
    return found, {uid: replace(bad.get(uid, whole), uid=uid, rows=1) for uid in missing}


def _to_rows(shard: str, table: pa.Table, images: dict[str, bytes], bad: dict[str, Bad]) -> Rows:
    uids = table["uid"].to_pylist()
    table = table.take(pa.array([row for row, uid in enumerate(uids) if uid in images], pa.int64()))
    good = tuple(table["uid"].to_pylist())
    return Rows(
        shard=shard,
        uids=good,
        keys=tuple(table["key"].to_pylist()),
        captions=tuple(table["caption"].to_pylist()),
        images=tuple(images[uid] for uid in good),
        columns=table.drop_columns(["uid", "key", "caption"]),
        bad=tuple(bad[uid] for uid in uids if uid in bad),
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
