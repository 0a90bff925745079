"""The headers of a tar archive one by one, each verified; contents are sought over, never read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
RECORD = 20 * BLOCK
ZEROS = bytes(BLOCK)

_LONGEST_EXTENSION = 1 << 16
_SPECIAL = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}


class Damage(Exception):  # noqa: N818
    """Where and how an archive is broken; what follows that byte cannot be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One member of an archive.

    Attributes:
        name: As stored; what is not UTF-8 is replaced.
        offset: Byte of its header, or of the extended header before it.
        content: Byte of its content.
        size: Bytes of content.
        special: What it is if it is no plain file, such as ``"a link"``.
    """

    name: str
    offset: int
    content: int
    size: int
    special: str | None


def walk_headers(file: BinaryIO) -> Iterator[Header | None]:
    """Read every header of a ustar, GNU or pax archive, in order, and ``None`` for its end mark.

    Args:
        file: The archive, seekable.

    Yields:
        Members; lastly ``None`` if the archive ends in two empty blocks, nothing if it just stops there.

    Raises:
        Damage: If a header is damaged, claims more than the file holds, belongs to a sparse member, or data
            follows the end mark.
    """
    size = file.seek(0, os.SEEK_END)
    offset = start = 0
    last = ""
    extended: dict[str, str] = {}
    if size < BLOCK:
        raise Damage(f"ends at byte {size} in its first header: the shard is truncated")
    while True:
        file.seek(offset)
        header = file.read(BLOCK)
        if header.count(0) == len(header):
            if start != offset:
                raise Damage(
                    f"ends at byte {min(offset, size)} after an extended header: the shard is truncated"
                )
            if _check_end(file, offset):
                yield None
            return
        if len(header) < BLOCK:
            raise Damage(f"ends at byte {size} after {last}: the shard is truncated")
        name, kind, length = _parse(header, offset, last)
        if kind not in b"xgLK":
            name = extended.get("path", name)
            length = _extended_size(extended, length, offset)
        # Compared before anything is read: a header that claims more than the file holds allocates nothing.
        if length > size - offset - BLOCK:
            raise Damage(f"ends at byte {size} inside {name}: the shard is truncated")
        if kind in b"xgLK":
            found = _read_extension(file, kind, length, offset)
            # What a global header says of all members is a comment, or it cannot be followed here.
            extended |= {} if kind == b"g" else found
        else:
            if kind not in b"0\0007" and (kind not in _SPECIAL or length):
                raise Damage(f"holds a sparse or unknown kind of member ({kind!r}) at byte {offset}")
            yield Header(
                name=name, offset=start, content=offset + BLOCK, size=length, special=_SPECIAL.get(kind)
            )
            last, extended = name, {}
        offset += BLOCK + length + -length % BLOCK
        if kind not in b"xLK":
            start = offset


def _parse(header: bytes, offset: int, last: str) -> tuple[str, bytes, int]:
    try:
        if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise ValueError("checksum")
        length = _octal(header[124:136])
    except ValueError as error:
        place = (
            f"damaged at byte {offset}, in the header after {last}"
            if offset
            else "no tar, or damaged at byte 0"
        )
        raise Damage(f"is {place}") from error
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345] != 0:
        name = f"{_text(header[345:500])}/{name}"
    return name, header[156:157], length


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ValueError("not octal")
    return int(digits, 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _extended_size(extended: dict[str, str], size: int, offset: int) -> int:
    text = extended.get("size", str(size))
    if not text.isdecimal() or len(text) > 20:
        raise Damage(f"is damaged in the extended header before byte {offset}")
    return int(text)


def _read_extension(file: BinaryIO, kind: bytes, length: int, offset: int) -> dict[str, str]:
    if length > _LONGEST_EXTENSION:
        raise Damage(f"holds an extended header of {length} bytes at byte {offset}")
    data = file.read(length)
    if kind in b"LK":
        return {"path": _text(data)} if kind == b"L" else {}
    records: dict[str, str] = {}
    try:
        start = 0
        while start < length:
            space = data.index(b" ", start)
            if not data[start:space].isdigit():
                raise ValueError("record length")
            stop = start + int(data[start:space])
            if not space < stop <= length or data[stop - 1] != ord("\n"):
                raise ValueError("record length")
            key, _, value = data[space + 1 : stop - 1].decode(errors="replace").partition("=")
            records[key] = value
            start = stop
    except ValueError as error:
        raise Damage(f"is damaged in the extended header at byte {offset}") from error
    if any(key.startswith("GNU.sparse") for key in records):
        raise Damage(f"holds a sparse member at byte {offset}")
    if kind == b"g" and records.keys() & {"path", "size"}:
        raise Damage(f"holds a global header that names members at byte {offset}")
    return records


def _check_end(file: BinaryIO, offset: int) -> bool:
    """Say whether an archive that has nothing more ends in two blocks of zeros."""
    file.seek(offset)
    found = 0
    while data := file.read(1 << 20):
        if data.count(0) != len(data):
            raise Damage(
                f"holds data after the end mark at byte {offset}: it is damaged, or several archives in one file"
            )
        found += len(data)
    return found >= 2 * BLOCK
