"""Write shards in the layout of img2dataset: ``NNNNN.tar``, ``NNNNN.parquet`` and ``NNNNN_stats.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.files import write_json, write_table
from oddpair.retrieval.formats.downloads import write_stats
from oddpair.retrieval.formats.shard_table import (
    Extension,
    build_table,
    list_members,
    look_at_picture,
)
from oddpair.retrieval.formats.tars import write_tar


def make_keys(index: int, n_rows: int, *, rows_per_shard: int = 10_000) -> tuple[str, ...]:
    """Make the keys that img2dataset gives to the rows of one shard.

    Args:
        index: Number of the shard.
        n_rows: Rows in this shard, at most ``rows_per_shard``.
        rows_per_shard: Rows in a full shard of the corpus.

    Returns:
        Shard and row number, each with leading zeros.

    Raises:
        ValueError: If the shard would hold more rows than a full one.

    >>> make_keys(3, 2)
    ('000030000', '000030001')
    """
    if n_rows > rows_per_shard:
        raise ValueError(f"{n_rows} rows in a shard of {rows_per_shard}")
    digits = math.ceil(math.log10(rows_per_shard))
    return tuple(f"{index:05d}{row:0{digits}d}" if digits else f"{index:05d}" for row in range(n_rows))


def write_shard(
    folder: Path,
    index: int,
    *,
    keys: Sequence[str],
    captions: Sequence[str],
    images: Sequence[bytes],
    columns: pa.Table,
    extension: Extension | None = None,
) -> None:
    """Write one shard as img2dataset does: tar, table and, last, the stats that mark it complete.

    The same rows give the same bytes. ``width`` and ``height`` are read from the pictures and ``sha256`` is
    taken over the stored bytes, whatever ``columns`` says of them.

    Args:
        folder: Folder of the corpus.
        index: Number of the shard; names the files, with five digits.
        keys: Key of each row, without a dot or slash, unique.
        captions: Caption of each row.
        images: Encoded JPEG, PNG or WebP files, one per row.
        columns: All other columns, one row per key, or a table of none; ``url``, ``original_width``,
            ``original_height`` and ``exif`` are filled in when they are missing.
        extension: The format that every picture must have; ``None`` takes each picture's own.

    Raises:
        ValueError: If the parts differ in length, a key repeats or is malformed, or ``columns`` holds a
            ``caption`` or ``key``.
        Refusal: If an image is no JPEG, PNG or WebP, or has another format than ``extension`` says, or a
            column holds what JSON cannot.
    """
    n_rows = len(keys)
    n_given = columns.num_rows if columns.num_columns else n_rows
    if not n_rows == len(captions) == len(images) == n_given:
        raise ValueError(
            f"{n_rows} keys, {len(captions)} captions, {len(images)} images and {n_given} rows of "
            "columns; needed one of each per row"
        )
    if len(set(keys)) < n_rows:
        raise ValueError(f"{n_rows} keys, only {len(set(keys))} of them distinct")
    wrong = next((key for key in keys if not key or set(key) & set("./\\")), None)
    if wrong is not None:
        raise ValueError(f"key {wrong!r} is empty or holds a dot or slash")
    formats, widths, heights = [], [], []
    for key, image in zip(keys, images, strict=True):
        found, width, height = look_at_picture(key, image, extension)
        formats.append(found)
        widths.append(width)
        heights.append(height)
    table = build_table(keys, captions, images, columns, widths, heights)
    name = f"{index:05d}"
    write_tar(folder / f"{name}.tar", list_members(table, formats, images))
    write_table(folder / f"{name}.parquet", table)
    write_stats(folder, name, n_rows)


def write_sizes(folder: Path, sizes: Mapping[str, int]) -> None:
    """Write ``sizes.json``, the samples in each tar by file name, where open_clip's trainer looks for it.

    Raises:
        ValueError: If a name is no file name of a tar.
    """
    wrong = next((name for name in sizes if not name.endswith(".tar") or "/" in name), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not the name of a tar")
    write_json(folder / "sizes.json", dict(sizes))
