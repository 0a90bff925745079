"""Tar archives of samples, written with the same bytes every time and read by a walk that verifies them.

Common readers stop without a word at a damaged header and return the samples before it; this one refuses.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from oddpair.errors import Refusal
from oddpair.files import atomic

BLOCK = 512
RECORD = 20 * BLOCK
PICTURES = ("jpg", "jpeg", "png", "webp")
TEXTS = ("json", "txt")

_ZEROS = bytes(BLOCK)
_NAME = re.compile(r"([^./\\\x00-\x1f]+)\.([A-Za-z0-9_]+)")
_KEPT = frozenset(PICTURES + TEXTS)
_AGAIN = "download it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The members of one key: ``members`` maps a suffix such as ``jpg`` to the bytes of that file."""

    key: str
    offset: int
    members: dict[str, bytes]


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) members as a ustar archive whose bytes depend on nothing else."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            file.write(header.tobuf(tarfile.USTAR_FORMAT))
            file.write(data)
            file.write(bytes(-len(data) % BLOCK))
        file.write(2 * _ZEROS)
        file.write(bytes(-file.tell() % RECORD))


def read_samples(path: Path) -> list[Sample]:
    """Read every sample of a shard, in order, or refuse the shard.

    A sample is a run of members ``KEY.SUFFIX``; its pictures, ``.json`` and ``.txt`` are kept, and members
    of any other suffix are passed over unread.

    Args:
        path: The archive; plain ustar or pax, not compressed.

    Returns:
        One sample per key. An archive that holds none gives an empty list.

    Raises:
        Refusal: If the archive is cut short, damaged, compressed, not a tar at all, or holds anything but
            plain files named ``KEY.SUFFIX`` whose members of one key lie together.
    """
    try:
        with path.open("rb") as file:
            return _gather(path, _walk(path, file))
    except OSError as error:
        raise _unreadable(path, error) from error


def check_end(path: Path) -> None:
    """Refuse an archive that does not end as one does, in whole blocks of which the last two are zero.

    Only such an archive is walked, for the words that ``read_samples`` would refuse it with.

    Raises:
        Refusal: If the archive is cut short, damaged, compressed or not a tar at all.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - 2 * BLOCK, 0))
            if size % BLOCK or file.read() != 2 * _ZEROS:
                file.seek(0)
                for _ in _walk(path, file):
                    pass
    except OSError as error:
        raise _unreadable(path, error) from error


def _gather(path: Path, found: Iterator[tuple[str, int, bytes]]) -> list[Sample]:
    samples: dict[str, Sample] = {}
    current: Sample | None = None
    for name, offset, data in found:
        match = _NAME.fullmatch(name)
        if match is None:
            raise Refusal(
                f"{path} holds {name!r} at byte {offset}; a shard holds members named KEY.SUFFIX, "
                "without folders and with one dot: write the shard anew"
            )
        key, suffix = match.groups()
        if current is None or key != current.key:
            if key in samples:
                raise Refusal(
                    f"{path} holds {name} at byte {offset}, apart from the sample that began at byte "
                    f"{samples[key].offset}: the members of a sample must lie together; sort the shard"
                )
            current = samples[key] = Sample(key=key, offset=offset, members={})
        if suffix in current.members:
            raise Refusal(
                f"{path} holds {name} twice, the second at byte {offset} in the sample that began at "
                f"byte {current.offset}: write the shard anew"
            )
        current.members[suffix] = data
    return list(samples.values())


def _walk(path: Path, file: BinaryIO) -> Iterator[tuple[str, int, bytes]]:
    size = os.fstat(file.fileno()).st_size
    offset, name = 0, ""
    override: dict[str, str] = {}
    while True:
        header = file.read(BLOCK)
        if len(header) < BLOCK:
            raise Refusal(_cut(path, size, f"after {name}" if name else "in its first header"))
        if header == _ZEROS:
            if override:
                raise Refusal(f"{path} ends at byte {offset} after an extended header: {_AGAIN}")
            _check_end(path, file, offset, name)
            return
        found, kind, length = _parse(path, header, offset, name)
        name = override.get("path", found)
        try:
            length = int(override.get("size", length))
        except ValueError as error:
            raise Refusal(
                f"{path} is damaged in the extended header before byte {offset}: {_AGAIN}"
            ) from error
        padded = length + -length % BLOCK
        # Compared before it is read: a header that claims more than the file holds allocates nothing.
        if not 0 <= length <= size - offset - BLOCK:
            raise Refusal(_cut(path, size, f"inside {name}"))
        if kind == b"x":
            override = _parse_extended(path, file.read(padded)[:length], offset)
            name = found
        elif kind in (b"0", b"\0"):
            override = {}
            if name.rpartition(".")[2] in _KEPT:
                payload = file.read(padded)
                yield name, offset, payload[:length]
            else:
                file.seek(padded, os.SEEK_CUR)
                yield name, offset, b""
        else:
            raise Refusal(
                f"{path} holds {name!r} at byte {offset}, which is a link, a folder or another special "
                "member; a shard holds plain files only: write the shard anew"
            )
        offset += BLOCK + padded


def _parse(path: Path, header: bytes, offset: int, last: str) -> tuple[str, bytes, int]:
    try:
        stated = _octal(header[148:156])
        if stated != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise ValueError("checksum")
        name = header[:100].rstrip(b"\0").decode()
        if header[257:263] == b"ustar\0" and header[345] != 0:
            name = header[345:500].rstrip(b"\0").decode() + "/" + name
        return name, header[156:157], _octal(header[124:136])
    except ValueError as error:
        if offset:
            raise Refusal(
                f"{path} is damaged at byte {offset}, in the header after {last}: {_AGAIN}"
            ) from error
        if header.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
            raise Refusal(f"{path} is compressed; a shard is a plain .tar: unpack it first") from error
        raise Refusal(f"{path} is no tar archive, or damaged at byte 0: {_AGAIN}") from error


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ValueError("not octal")
    return int(digits, 8)


def _parse_extended(path: Path, data: bytes, offset: int) -> dict[str, str]:
    records: dict[str, str] = {}
    try:
        while data:
            length = int(data[: data.index(b" ")])
            record, data = data[:length], data[length:]
            if len(record) != length or not record.endswith(b"\n"):
                raise ValueError("record length")
            key, _, value = record[record.index(b" ") + 1 : -1].decode().partition("=")
            records[key] = value
    except ValueError as error:
        raise Refusal(f"{path} is damaged in the extended header at byte {offset}: {_AGAIN}") from error
    if any(key.startswith("GNU.sparse") for key in records):
        raise Refusal(f"{path} holds a sparse member at byte {offset}; a shard holds plain files only")
    return records


def _check_end(path: Path, file: BinaryIO, offset: int, last: str) -> None:
    second = file.read(BLOCK)
    if len(second) < BLOCK:
        raise Refusal(
            _cut(path, offset + BLOCK + len(second), f"after {last}" if last else "before any member")
        )
    while second:
        if second.count(0) != len(second):
            raise Refusal(
                f"{path} holds data after the end mark at byte {offset}: it is damaged, or several archives "
                f"in one file; {_AGAIN}"
            )
        second = file.read(1 << 20)


def _unreadable(path: Path, error: OSError) -> Refusal:
    return Refusal(f"{path} cannot be read ({error.strerror}): check the file and its permissions")


def _cut(path: Path, size: int, place: str) -> str:
    return f"{path} ends at byte {size} {place}: the shard is truncated; {_AGAIN}"
