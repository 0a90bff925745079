"""A split without its pictures: a DataComp subset file, one table of its rows, or metadata as LAION and DataComp have it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import write_table
from oddpair.progress import track
from oddpair.retrieval.formats.datacomp import write_datacomp
from oddpair.retrieval.formats.laion import write_laion
from oddpair.retrieval.subset import write_subset
from oddpair.splits.export_rows import (
    Plan,
    Readable,
    plan_rows,
    read_parts,
    refuse_strangers,
    require_content,
    with_uid,
)
from oddpair.splits.manifest import Manifest

_HEX = re.compile(r"[0-9a-f]{32}")
_LAION_FILE = re.compile(r".*\.parquet")
_DATACOMP_FILE = re.compile(r"[0-9a-f]{32}\.(parquet|npz)")


def export_uids(manifest: Manifest, path: Path) -> None:
    """Write a split as a DataComp subset file: sorted pairs of the uids' upper and lower 64 bits.

    Args:
        manifest: The split; every uid must be 32 lower-case hex digits.
        path: The ``.npy`` file.

    Raises:
        Refusal: If a uid is something else.
    """
    _refuse_other_uids(manifest, "a DataComp subset needs")
    write_subset(path, list(manifest.uids))


def export_parquet(manifest: Manifest, corpus: Readable, path: Path) -> None:
    """Write a split as one table, sorted by uid: ``uid``, ``shard``, ``key`` and ``caption`` of every row.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        path: The ``.parquet`` file.

    Raises:
        Refusal: If a uid of the split is not in the corpus.
    """
    plan = plan_rows(manifest, corpus, len(manifest))
    ((_, rows),) = read_parts(corpus, plan, plan.parts)
    table = pa.table(
        {
            "uid": pa.array(rows.uids, pa.string()),
            "shard": pa.array(plan.shards, pa.string()),
            "key": pa.array(rows.keys, pa.string()),
            "caption": pa.array(rows.captions, pa.string()),
        }
    )
    order = np.argsort(np.asarray(rows.uids, dtype=np.object_), kind="stable")
    write_table(path, table.take(pa.array(order)))


def export_laion(manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_file: int = 100_000) -> None:
    """Write the metadata of a split as LAION's: URL, TEXT, WIDTH, HEIGHT and all other columns, in parquet files.

    Rows keep the order of the corpus. Sizes are ``original_width`` and ``original_height`` where the corpus
    has no LAION columns of its own. The uid stays, behind LAION's columns.

    Args:
        manifest: The split.
        corpus: The corpus it was made from; its pictures are not read.
        folder: Where to write; made if missing.
        rows_per_file: Rows in every file but the last.

    Raises:
        Refusal: If a uid of the split is not in the corpus, a row has no address or caption, a column has a type that
            LAION's cannot have, or the folder holds other parquet files.
        ValueError: If ``rows_per_file`` is below 1.
    """
    require_content(corpus, pictures=False)
    plan = plan_rows(manifest, corpus, rows_per_file)
    names = [f"part-{part:05d}.parquet" for part in plan.parts]
    refuse_strangers(folder, _LAION_FILE, names, f"{len(names)} files")
    for part, table in _read_tables(corpus, plan):
        _refuse_without_address(corpus, table)
        sizes = {"original_width": "WIDTH", "original_height": "HEIGHT"}
        named = [sizes.get(name, name) for name in table.column_names]
        if len(set(named)) == len(named):
            table = table.rename_columns(named)
        write_laion(folder / names[part], table)


def export_datacomp(
    manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_file: int = 100_000
) -> None:
    """Write the metadata of a split as DataComp's, in files named by 32 hex digits that sort in corpus order.

    Columns that DataComp has and the corpus has not are null; embeddings are not copied.

    Args:
        manifest: The split; every uid must be 32 lower-case hex digits.
        corpus: The corpus it was made from; its pictures are not read.
        folder: Where to write; made if missing.
        rows_per_file: Rows in every file but the last.

    Raises:
        Refusal: If a uid is something else or not in the corpus, a row has no address or caption, a column has a type
            that DataComp's cannot have, or the folder holds other files of such names.
        ValueError: If ``rows_per_file`` is below 1.
    """
    _refuse_other_uids(manifest, "DataComp's metadata needs")
    require_content(corpus, pictures=False)
    plan = plan_rows(manifest, corpus, rows_per_file)
    salt = hashlib.sha256(manifest.uids_sha256.encode()).hexdigest()[:24]
    names = [f"{part:08x}{salt}" for part in plan.parts]
    refuse_strangers(folder, _DATACOMP_FILE, [f"{name}.parquet" for name in names], f"{len(names)} files")
    for part, table in _read_tables(corpus, plan):
        _refuse_without_address(corpus, table)
        write_datacomp(folder, names[part], table)


def _read_tables(corpus: Readable, plan: Plan) -> Iterator[tuple[int, pa.Table]]:
    with track("exporting metadata", len(plan.parts), "files") as progress:
        for part, rows in read_parts(corpus, plan, plan.parts):
            yield part, with_uid(rows).append_column("caption", pa.array(rows.captions, pa.string()))
            progress.advance()


def _refuse_without_address(corpus: Readable, table: pa.Table) -> None:
    if "url" not in table.column_names:
        raise Refusal(f"{corpus.root} has no column of addresses, which this format is made of: {_INSTEAD}")
    missing = pc.index(pc.fill_null(pc.equal(table["url"], ""), True), True).as_py()
    if missing >= 0:
        raise Refusal(
            f"{corpus.root} has no address for uid {table['uid'][missing].as_py()!r}, and this format is made of "
            f"addresses: {_INSTEAD}"
        )


def _refuse_other_uids(manifest: Manifest, what: str) -> None:
    wrong = next((uid for uid in manifest.uids if not _HEX.fullmatch(uid)), None)
    if wrong is not None:
        raise Refusal(
            f"split {manifest.name!r}: uid {wrong!r} is not 32 lower-case hex digits, which {what}: export as "
            "parquet instead"
        )


_INSTEAD = "export as webdataset, folder or parquet instead"
