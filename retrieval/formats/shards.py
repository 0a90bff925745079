"""One shard in the layout of img2dataset: ``NNNNN.tar``, ``NNNNN.parquet`` and ``NNNNN_stats.json``.

The tar and the table must tell of the same samples in the same order; every read checks that they do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import read_table, write_json, write_table
from oddpair.retrieval.formats.clean import MAX_CAPTION
from oddpair.retrieval.formats.shard_table import (
    Extension,
    build_table,
    list_members,
    look_at_picture,
)
from oddpair.retrieval.formats.strict_json import parse_json
from oddpair.retrieval.formats.tar_samples import BadSample, find_difference, find_hashes, read_picture
from oddpair.retrieval.formats.tars import open_tar, write_tar
from oddpair.retrieval.stores import store_errors, unreadable


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
    write_json(folder / f"{name}_stats.json", _stats(n_rows))


def write_sizes(folder: Path, sizes: Mapping[str, int]) -> None:
    """Write ``sizes.json``, the samples in each tar by file name, where open_clip's trainer looks for it.

    Raises:
        ValueError: If a name is no file name of a tar.
    """
    wrong = next((name for name in sizes if not name.endswith(".tar") or "/" in name), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not the name of a tar")
    write_json(folder / "sizes.json", dict(sizes))


def read_successes(folder: Path, shard: str) -> int:
    """Read how many samples a shard holds by its stats, without opening the tar or the table.

    Raises:
        Refusal: If the stats lack a whole number of successes.
    """
    path = folder / f"{shard}_stats.json"
    try:
        stats = parse_json(path.read_bytes())
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    except ValueError as error:
        raise Refusal(f"{path} is no valid JSON ({error}): download the shard again") from error
    successes = stats.get("successes") if isinstance(stats, dict) else None
    if not isinstance(successes, int) or isinstance(successes, bool) or successes < 0:
        raise Refusal(
            f"{path} has successes {successes!r}, needed a count of samples: download the shard again"
        )
    return successes


def read_rows(folder: Path, shard: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the table of one shard, only the rows that were downloaded, in the order of the tar.

    Args:
        folder: Folder of the corpus.
        shard: Name of the shard, such as ``"00003"``.
        columns: Columns to read; ``None`` for all.

    Returns:
        The rows with status ``success``; ``caption``, if asked for, with ``""`` for null.

    Raises:
        Refusal: If the table is damaged, lacks a column, holds text that is not UTF-8, or disagrees with
            the stats.
    """
    path = folder / f"{shard}.parquet"
    asked = None if columns is None else list(dict.fromkeys([*columns, "key", "caption", "status"]))
    table = read_table(path, asked)
    for name in ("key", "caption", "status"):
        if name not in table.column_names:
            raise Refusal(f"{path} has no column {name!r}: download with img2dataset and --caption_col")
        table = _with_text(path, table, name)
    table = table.filter(pc.equal(table["status"], "success"))
    successes = read_successes(folder, shard)
    if table.num_rows != successes:
        raise Refusal(
            f"{path} lists {table.num_rows} rows with status success, {shard}_stats.json counts {successes}: "
            "download the shard again"
        )
    return table if columns is None else table.select(list(columns))


def read_shard(folder: Path, shard: str) -> tuple[pa.Table, tuple[bytes, ...]]:
    """Read one shard whole and verify its tar against its table.

    Keys must agree in number and order, and captions where the tar holds them. Pictures are compared with
    their ``sha256`` in shards that oddpair wrote; img2dataset's own hashes are of the downloads.

    Args:
        folder: Folder of the corpus.
        shard: Name of the shard, such as ``"00003"``.

    Returns:
        The rows and their encoded pictures, in the order of the tar.

    Raises:
        Refusal: If tar, table and stats do not tell of the same samples, or one of them is damaged.
    """
    tar = folder / f"{shard}.tar"
    table = read_rows(folder, shard)
    keys = table["key"].to_pylist()
    with open_tar(tar) as (index, file):
        if not index.ended:
            raise Refusal(f"{tar} {index.break_off}; download it again")
        found = [entry.key for entry in index.entries]
        if found != keys:
            missing = next((key for key in keys if key not in found), None)
            difference = find_difference(found, keys) or f"lacks {missing}, which its table lists"
            raise Refusal(f"{tar} {difference}: download the shard again")
        images = []
        captions, hashes = table["caption"].to_pylist(), find_hashes(table, table.schema)
        for entry, caption, digest in zip(index.entries, captions, hashes, strict=True):
            try:
                images.append(read_picture(file, entry, caption=caption[:MAX_CAPTION], digest=digest))
            except BadSample as bad:
                raise Refusal(f"{tar} at byte {entry.offset}: {bad}; download the shard again") from bad
    return table, tuple(images)


def _with_text(path: Path, table: pa.Table, name: str) -> pa.Table:
    column = table[name]
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if not pa.types.is_null(column.type):
            raise Refusal(f"{path} has {column.type} in column {name!r}, needed string: write the table anew")
        column = column.cast(pa.string())
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise Refusal(f"{path} has text that is not UTF-8 in row {_first_bad(column)} of {name!r}") from error
    place = table.column_names.index(name)
    return table.set_column(place, name, pc.fill_null(column.cast(pa.string()), ""))


def _first_bad(column: pa.ChunkedArray) -> int:
    for row, text in enumerate(column.cast(pa.binary()).to_pylist()):
        try:
            (text or b"").decode()
        except UnicodeDecodeError:
            return row
    raise ValueError("every row is UTF-8")


def _stats(n_rows: int) -> dict[str, object]:
    return {
        "count": n_rows,
        "successes": n_rows,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "duration": 0,
        "start_time": 0,
        "end_time": 0,
        "status_dict": {"success": n_rows},
    }
