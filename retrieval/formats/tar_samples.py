"""What a tar holds against what its table says: keys, captions and hashes must agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa

from oddpair.retrieval.formats.clean import MAX_CAPTION
from oddpair.retrieval.formats.shard_table import STORED
from oddpair.retrieval.formats.tars import Entry, read_member

# What img2dataset can be asked to compute, by the hex digits of each.
_HASHES = {32: hashlib.md5, 64: hashlib.sha256, 128: hashlib.sha512}
HASH_COLUMNS = ("sha256", "md5", "sha512")


class BadSample(Exception):  # noqa: N818
    """A sample that its table tells otherwise of; the text is the reason for the quarantine."""


def find_hashes(table: pa.Table, schema: pa.Schema) -> list[str | None]:
    """Find the hash that the stored picture of each row must have, in hex; ``None`` where none is known.

    img2dataset hashes the download. That is what it stores only if it was told not to re-encode, when it also
    leaves the width null; the shards of oddpair say that they hash what they store.

    Args:
        table: Rows with the columns of the shard's table that are hashes, and ``width``.
        schema: Of the shard's table.

    Returns:
        One hash per row.
    """
    name = next((name for name in HASH_COLUMNS if name in table.column_names), None)
    if name is None:
        return [None] * table.num_rows
    hashes: list[str | None] = table[name].to_pylist()
    if STORED in (schema.metadata or {}):
        return hashes
    if "width" not in table.column_names:
        return [None] * table.num_rows
    widths = table["width"].to_pylist()
    return [found if width is None else None for found, width in zip(hashes, widths, strict=True)]


def read_picture(
    file: BinaryIO, entry: Entry, *, caption: str | None = None, digest: str | None = None
) -> bytes:
    """Read the picture of a sample, if it is the one that the table tells of.

    Args:
        file: The archive.
        entry: The sample.
        caption: What its txt member must say, up to 10,000 characters; ``None`` for anything, or no such member.
        digest: Hash of the picture in hex; ``None`` if that is not known.

    Returns:
        The picture as stored.

    Raises:
        BadSample: If the sample has a fault, no caption or another one, or another hash.
    """
    if entry.fault is not None:
        raise BadSample(entry.fault)
    if caption is not None:
        if "txt" not in entry.members:
            raise BadSample(f"sample {entry.key} holds no txt, its table has a caption")
        found = read_member(file, entry.members["txt"]).decode(errors="surrogateescape")
        if found[:MAX_CAPTION] != caption:
            raise BadSample(f"sample {entry.key} has another caption in the tar than in the table")
    picture = read_member(file, entry.picture)
    if digest is not None and hash_like(digest, picture) != digest:
        raise BadSample(f"sample {entry.key} holds a picture whose hash is not the one in the table")
    return picture


def hash_like(digest: str, data: bytes) -> str:
    """Hash bytes by the function whose hex digits are as many as those of ``digest``; ``""`` if there is none.

    >>> hash_like("0" * 32, b"")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    function = _HASHES.get(len(digest))
    return "" if function is None else function(data, usedforsecurity=False).hexdigest()


def find_difference(found: Sequence[str], listed: Sequence[str]) -> str | None:
    """Say how the keys of a tar differ from those of its table, beside keys that only the table has.

    >>> find_difference(["b", "a"], ["a", "x", "b"])
    'holds 2 samples, its table lists 3; at sample 0 the tar has b, the table a'
    >>> find_difference(["a", "b"], ["a", "x", "b"]) is None
    True
    """
    there = set(found)
    common = [key for key in listed if key in there]
    if list(found) == common:
        return None
    place = next(
        (row for row, (left, right) in enumerate(zip(found, common, strict=False)) if left != right),
        min(len(found), len(common)),
    )
    left = found[place] if place < len(found) else "nothing"
    right = common[place] if place < len(common) else "nothing"
    return (
        f"holds {len(found)} samples, its table lists {len(listed)}; at sample {place} the tar has {left}, "
        f"the table {right}"
    )
