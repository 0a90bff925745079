"""The table of one shard, and the members of its tar that are made from the rows."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import pyarrow as pa
from PIL import Image

from oddpair.errors import Refusal

Extension = Literal["jpg", "png", "webp"]

# img2dataset hashes the download, not the file it stores. Shards that say this hash what they store.
STORED = b"oddpair.sha256"

_EXTENSIONS: dict[str, Extension] = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}


def look_at_picture(key: str, image: bytes, extension: Extension | None) -> tuple[Extension, int, int]:
    """Read format, width and height from the head of an encoded picture; the pixels are not decoded.

    Raises:
        Refusal: If it is no JPEG, PNG or WebP, or of another format than ``extension``.
    """
    try:
        with Image.open(io.BytesIO(image)) as picture:
            found, (width, height) = _EXTENSIONS.get(picture.format or ""), picture.size
            kind = picture.format
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Refusal(f"the picture with key {key} cannot be read; leave it out") from error
    if found is None or (extension is not None and found != extension):
        raise Refusal(
            f"the picture with key {key} is {kind}, needed {extension or 'jpg, png or webp'}; convert it"
        )
    return found, width, height


def build_table(
    keys: Sequence[str],
    captions: Sequence[str],
    images: Sequence[bytes],
    columns: pa.Table,
    widths: list[int],
    heights: list[int],
) -> pa.Table:
    """Build the table that img2dataset would write: the extra columns first, then its own.

    Args:
        keys: Keys of the samples, length ``n``, as of the next two.
        captions: Captions.
        images: Encoded files, for the sha256 of each.
        columns: Extra columns, ``n`` rows.
        widths: Of the pictures, in pixels.
        heights: Of the pictures, in pixels.

    Returns:
        One row per sample.

    Raises:
        ValueError: If ``columns`` holds a ``caption`` or ``key``.
    """
    n_rows = len(keys)
    taken = {"caption", "key"} & set(columns.column_names)
    if taken:
        raise ValueError(f"columns hold {sorted(taken)[0]!r}, which is given apart")
    made: dict[str, pa.Array] = {
        "caption": pa.array(captions, pa.string()),
        "url": pa.array([""] * n_rows, pa.string()),
        "key": pa.array(keys, pa.string()),
        "status": pa.array(["success"] * n_rows, pa.string()),
        "error_message": pa.nulls(n_rows, pa.string()),
        "width": pa.array(widths, pa.int32()),
        "height": pa.array(heights, pa.int32()),
        "original_width": pa.array(widths, pa.int32()),
        "original_height": pa.array(heights, pa.int32()),
        "exif": pa.array(["{}"] * n_rows, pa.string()),
        "sha256": pa.array([hashlib.sha256(image).hexdigest() for image in images], pa.string()),
    }
    for name in ("url", "original_width", "original_height", "exif"):
        if name in columns.column_names:
            made[name] = columns[name].cast(made[name].type)
    extra = {name: columns[name] for name in columns.column_names if name not in made}
    return pa.table({**extra, **made}).replace_schema_metadata({STORED: b"of the stored bytes"})


def list_members(
    table: pa.Table, formats: Sequence[Extension], images: Sequence[bytes]
) -> Iterator[tuple[str, bytes]]:
    """List the members of a tar: for each row its picture, its json of all columns and its caption.

    Raises:
        Refusal: If a column holds what JSON cannot.
    """
    columns = {name: _plain(name, table[name]) for name in table.column_names}
    for row, (key, suffix, image) in enumerate(zip(columns["key"], formats, images, strict=True)):
        values = {name: column[row] for name, column in columns.items()}
        yield f"{key}.{suffix}", image
        yield f"{key}.json", json.dumps(values, sort_keys=True, ensure_ascii=False).encode()
        yield f"{key}.txt", str(values["caption"]).encode()


def _plain(name: str, column: pa.ChunkedArray) -> list[object]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_floating(kind):
        # JSON has no NaN and no infinity; the table keeps them.
        return [_finite(value) for value in column.to_pylist()]
    simple = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_null,
    )
    if not any(check(kind) for check in simple):
        raise Refusal(
            f"column {name!r} has type {column.type}, which the json of a shard cannot hold; leave it out"
        )
    return list(column.to_pylist())


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if isinstance(value, float) and math.isfinite(value) else None
