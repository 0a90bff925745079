"""A split in the formats that trainers read: webdataset shards, DataComp subset files, parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.files import write_array, write_table
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus, Rows
from oddpair.retrieval.formats.shards import make_keys, read_shard, write_shard, write_sizes
from oddpair.splits.manifest import Manifest

SUBSET_TYPE = np.dtype([("f0", "<u8"), ("f1", "<u8")])

_SHARD_FILE = re.compile(r"(\d+)(\.tar|\.parquet|_stats\.json)")
_HEX = re.compile(r"[0-9a-f]{32}")
_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Which rows go where: row ``i`` of the split, in corpus order, has ``uids[i]`` and lies in ``shards[i]``."""

    uids: list[str]
    shards: list[str]
    size: int

    @property
    def outputs(self) -> range:
        return range(-(-len(self.uids) // self.size))

    def rows(self, index: int) -> slice:
        return slice(index * self.size, (index + 1) * self.size)


def export_webdataset(
    manifest: Manifest, corpus: Corpus, folder: Path, *, rows_per_shard: int = 1000
) -> None:
    """Write a split as img2dataset shards with ``sizes.json``, as open_clip's trainer reads them.

    Rows keep the order of the corpus, their pictures byte for byte and all their columns; keys are numbered
    anew and a ``uid`` column is added where the corpus had none. One output and one input shard are in
    memory at a time. A shard that is whole and holds the right uids, from a run that was stopped, is kept;
    the result has the same bytes either way. ``sizes.json`` is written last: without it the export is not
    complete.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        folder: Where to write; made if missing.
        rows_per_shard: Rows in every shard but the last.

    Raises:
        Refusal: If a uid of the split is not in the corpus, or the folder holds shards of another export.
        ValueError: If ``rows_per_shard`` is below 1.
    """
    if rows_per_shard < 1:
        raise ValueError(f"rows_per_shard is {rows_per_shard}, at least 1 is needed")
    plan = _make_plan(manifest, corpus, rows_per_shard)
    if len(plan.outputs) > _MOST_SHARDS:
        raise Refusal(f"{len(plan.outputs):,} shards need more than five digits: write more rows per shard")
    _refuse_strangers(folder, plan)
    todo = [index for index in plan.outputs if not _is_complete(folder, index, plan)]
    if todo:
        (folder / "sizes.json").unlink(missing_ok=True)
    with track("exporting shards", len(plan.outputs), "shards") as progress:
        progress.advance(len(plan.outputs) - len(todo))
        for index, part in _read_outputs(corpus, plan, set(todo)):
            write_shard(
                folder,
                index,
                keys=make_keys(index, len(part), rows_per_shard=max(10_000, rows_per_shard)),
                captions=part.captions,
                images=part.images,
                columns=part.columns,
            )
            progress.advance()
    write_sizes(folder, {f"{index:05d}.tar": len(plan.uids[plan.rows(index)]) for index in plan.outputs})


def export_uids(manifest: Manifest, path: Path) -> None:
    """Write a split as a DataComp subset file: sorted pairs of the uids' upper and lower 64 bits.

    Args:
        manifest: The split; every uid must be 32 lower-case hex digits.
        path: The ``.npy`` file.

    Raises:
        Refusal: If a uid is something else.
    """
    wrong = next((uid for uid in manifest.uids if not _HEX.fullmatch(uid)), None)
    if wrong is not None:
        raise Refusal(
            f"split {manifest.name!r}: uid {wrong!r} is not 32 lower-case hex digits, which a DataComp subset "
            "needs: export as parquet instead"
        )
    halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in manifest.uids]
    subset: NDArray[np.void] = np.sort(np.array(halves, dtype=SUBSET_TYPE))
    write_array(path, subset)


def export_parquet(manifest: Manifest, corpus: Corpus, path: Path) -> None:
    """Write a split as one table, sorted by uid: ``uid``, ``shard``, ``key`` and ``caption`` of every row.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        path: The ``.parquet`` file.

    Raises:
        Refusal: If a uid of the split is not in the corpus.
    """
    table = _split_rows(manifest, corpus, ("key",)).select(["uid", "shard", "key", "caption"])
    order = np.argsort(np.asarray(table["uid"].to_pylist(), dtype=np.object_), kind="stable")
    write_table(path, table.take(pa.array(order)))


def _split_rows(manifest: Manifest, corpus: Corpus, columns: tuple[str, ...] = ()) -> pa.Table:
    table = corpus.metadata(columns)
    wanted = set(manifest.uids)
    found = table["uid"].to_pylist()
    missing = sorted(wanted.difference(found))
    if missing:
        raise Refusal(
            f"{corpus.root} lacks {len(missing):,} of the {len(wanted):,} uids of split {manifest.name!r}, such as "
            f"{missing[0]!r}: give the corpus that the split was made from"
        )
    return table.filter(pa.array([uid in wanted for uid in found]))


def _make_plan(manifest: Manifest, corpus: Corpus, rows_per_shard: int) -> _Plan:
    table = _split_rows(manifest, corpus)
    return _Plan(uids=table["uid"].to_pylist(), shards=table["shard"].to_pylist(), size=rows_per_shard)


def _refuse_strangers(folder: Path, plan: _Plan) -> None:
    if not folder.is_dir():
        return
    ours = {f"{index:05d}" for index in plan.outputs}
    for name in sorted(entry.name for entry in folder.iterdir()):
        match = _SHARD_FILE.fullmatch(name)
        if match is not None and match[1] not in ours:
            raise Refusal(
                f"{folder} holds {name}, which is no part of this export of {len(ours)} shards: "
                "choose an empty folder"
            )


def _is_complete(folder: Path, index: int, plan: _Plan) -> bool:
    name = f"{index:05d}"
    if not all((folder / f"{name}{end}").is_file() for end in (".tar", ".parquet", "_stats.json")):
        return False
    try:
        table, _ = read_shard(folder, name)
    except Refusal:  # whatever is wrong with it, writing it again mends it
        return False
    return "uid" in table.column_names and table["uid"].to_pylist() == plan.uids[plan.rows(index)]


def _read_outputs(corpus: Corpus, plan: _Plan, todo: set[int]) -> Iterator[tuple[int, Rows]]:
    parts: list[Rows] = []
    start = 0
    while start < len(plan.uids):
        shard = plan.shards[start]
        stop = start
        while stop < len(plan.uids) and plan.shards[stop] == shard:
            stop += 1
        touched = [index for index in range(start // plan.size, -(-stop // plan.size)) if index in todo]
        first, start = start, stop
        if not touched:
            continue
        rows = corpus.read(shard)
        row_of = {uid: row for row, uid in enumerate(rows.uids)}
        for index in touched:
            span = range(*plan.rows(index).indices(len(plan.uids)))
            mine = plan.uids[max(span.start, first) : min(span.stop, stop)]
            parts.append(_take(rows, [row_of[uid] for uid in mine]))
            if span.stop <= stop:
                yield index, _join(parts)
                parts = []


def _take(rows: Rows, chosen: list[int]) -> Rows:
    return Rows(
        shard=rows.shard,
        uids=tuple(rows.uids[row] for row in chosen),
        keys=tuple(rows.keys[row] for row in chosen),
        captions=tuple(rows.captions[row] for row in chosen),
        images=tuple(rows.images[row] for row in chosen),
        columns=rows.columns.take(pa.array(chosen, pa.int64())),
    )


def _join(parts: list[Rows]) -> Rows:
    uids = tuple(uid for part in parts for uid in part.uids)
    # Shards differ in their types where a column is empty in one of them; the wider type holds both.
    columns = pa.concat_tables(
        [part.columns.replace_schema_metadata(None) for part in parts], promote_options="permissive"
    )
    columns = columns.add_column(0, "uid", pa.array(uids, pa.string()))
    return Rows(
        shard=parts[0].shard,
        uids=uids,
        keys=tuple(key for part in parts for key in part.keys),
        captions=tuple(caption for part in parts for caption in part.captions),
        images=tuple(image for part in parts for image in part.images),
        columns=columns,
    )
