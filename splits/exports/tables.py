"""A split without its pictures: lists of its uids, one table of its rows, or metadata as LAION and DataComp have it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import atomic, write_table
from oddpair.progress import track
from oddpair.retrieval.formats.datacomp import write_datacomp
from oddpair.retrieval.formats.laion import write_laion
from oddpair.retrieval.subset import write_subset
from oddpair.splits.exports.rows import (
    Plan,
    Readable,
    name_address,
    plan_rows,
    read_tables,
    refuse_strangers,
    require_content,
)
from oddpair.splits.manifest import Manifest

_HEX = r"\A[0-9a-f]{32}\z"
_LAION_FILE = re.compile(r".*\.parquet")
_UIDS_AT_ONCE = 1 << 20
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
    write_subset(path, manifest.uids)


def export_uids_text(manifest: Manifest, path: Path) -> None:
    """Write the uids of a split as text, one a line, sorted: ``sha256sum`` of the file is the split's ``uids_sha256``.

    Args:
        manifest: The split.
        path: The ``.txt`` file.
    """
    nothing, end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    with atomic(path) as temporary, temporary.open("wb") as file:
        for start in range(0, len(manifest), _UIDS_AT_ONCE):
            some = manifest.uids.slice(start, _UIDS_AT_ONCE)
            file.write(pc.binary_join_element_wise(some, nothing, end).buffers()[2])


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
    ((_, table),) = read_tables(corpus, plan, plan.parts, ())
    write_table(path, table.select(["uid", "shard", "key", "caption"]).sort_by("uid"))


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
        refuse_without_address(corpus, table)
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
        refuse_without_address(corpus, table)
        write_datacomp(folder, names[part], table)


def _read_tables(corpus: Readable, plan: Plan) -> Iterator[tuple[int, pa.Table]]:
    with track("exporting metadata", len(plan.parts), "files") as progress:
        for part, table in read_tables(corpus, plan, plan.parts):
            rest = [name for name in table.column_names if name not in _OURS]
            yield part, name_address(table.select(["uid", *rest, "caption"]))
            progress.advance()


def refuse_without_address(corpus: Readable, table: pa.Table) -> None:
    """Refuse rows of a corpus of which one has no address in a column ``url``.

    Raises:
        Refusal: If there is no such column, or a row is empty in it.
    """
    if "url" not in table.column_names:
        raise Refusal(f"{corpus.root} has no column of addresses, which this format is made of: {_INSTEAD}")
    missing = pc.index(pc.fill_null(pc.equal(table["url"], ""), True), True).as_py()
    if missing >= 0:
        raise Refusal(
            f"{corpus.root} has no address for uid {table['uid'][missing].as_py()!r}, and this format is made of "
            f"addresses: {_INSTEAD}"
        )


def _refuse_other_uids(manifest: Manifest, what: str) -> None:
    wrong = pc.index(pc.match_substring_regex(manifest.uids, _HEX), False).as_py()
    if wrong >= 0:
        raise Refusal(
            f"split {manifest.name!r}: uid {manifest.uids[wrong].as_py()!r} is not 32 lower-case hex digits, which "
            f"{what}: export as parquet instead"
        )


_OURS = ("uid", "key", "caption", "shard")
_INSTEAD = "export as webdataset, folder or parquet instead"
