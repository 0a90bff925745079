"""Tar archives of samples, written with the same bytes every time and read by a walk that verifies them.

Common readers stop without a word at a damaged header and return the samples before it. This one walks over
all headers first, payloads unread, and says of the archive and of each sample whether it can be trusted.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from oddpair.errors import Refusal
from oddpair.files import atomic
from oddpair.retrieval.formats.loose import MAX_BYTES
from oddpair.retrieval.formats.tar_headers import BLOCK, RECORD, ZEROS, Damage, Header, walk_headers
from oddpair.retrieval.stores import store_errors, unreadable

PICTURES = ("jpg", "jpeg", "png", "webp")
TEXTS = ("json", "txt")

_LARGEST = {**dict.fromkeys(PICTURES, MAX_BYTES), **dict.fromkeys(TEXTS, 1 << 24)}
_STRANGE = re.compile(r"[\\\x00-\x1f\x7f\ufffd]")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
# A walk reads headers with gaps between them: a larger buffer would read the pictures too.
_BUFFER = 4 * BLOCK


class Span(NamedTuple):
    """Where the content of a member lies, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sample of an archive.

    Attributes:
        key: Path of its members up to the first dot of the name.
        offset: Byte of its first header.
        members: Where the content of each suffix, such as ``jpg``, lies.
        fault: Why the sample cannot be used; ``None`` if it can.
    """

    key: str
    offset: int
    members: dict[str, Span]
    fault: str | None = None

    @property
    def picture(self) -> Span:
        """Where the picture lies; only a sample without a fault has just one."""
        return next(span for suffix, span in self.members.items() if suffix in PICTURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarIndex:
    """What lies where in an archive.

    Attributes:
        entries: Its samples in order; those before the damage where there is damage.
        size: Bytes in the file.
        damage: Why nothing behind some byte can be read; ``None`` if the archive is whole.
        ended: Whether it ends in the two empty blocks of an end mark. One that lacks only them may be whole.
    """

    entries: tuple[Entry, ...]
    size: int
    damage: str | None
    ended: bool

    @property
    def dotted(self) -> str | None:
        """Name of the first member of a sample that has several dots, and is passed over; ``None`` if none has."""
        names = (
            f"{entry.key}.{suffix}" for entry in self.entries for suffix in entry.members if "." in suffix
        )
        return next(names, None)

    @property
    def break_off(self) -> str:
        """Say where the archive breaks off: at its damage, or at its end without a mark."""
        last = self.entries[-1].key if self.entries else "nothing"
        return self.damage or f"ends at byte {self.size} after {last}: the shard is truncated"

    @property
    def verdict(self) -> str:
        """Say where the archive breaks off and which sample was the last without a fault."""
        good = next((entry.key for entry in reversed(self.entries) if entry.fault is None), None)
        return self.break_off if good is None else f"{self.break_off}; the last good key is {good}"


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) members as a ustar archive whose bytes depend on nothing else."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            file.write(header.tobuf(tarfile.USTAR_FORMAT))
            file.write(data)
            file.write(bytes(-len(data) % BLOCK))
        file.write(2 * ZEROS)
        file.write(bytes(-file.tell() % RECORD))


@contextmanager
def open_tar(path: Path) -> Iterator[tuple[TarIndex, BinaryIO]]:
    """Open an archive and index it; a remote one is copied to a temporary file first, in one go.

    Args:
        path: The archive, local or remote.

    Yields:
        Its index, and the open file for ``read_member``.

    Raises:
        Refusal: If it cannot be read, is compressed, or its samples cannot be told apart.
    """
    try:
        with local_file(path) as local, local.open("rb", buffering=_BUFFER) as file:
            yield index_tar(file, str(path)), file
    except store_errors() as error:
        raise unreadable(str(path), error) from error


@contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """Give a local path of a file: itself, or a copy of a remote one that is removed afterwards."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="oddpair-") as folder:
        copy = Path(folder) / "copy"
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield copy


def read_member(file: BinaryIO, span: Span) -> bytes:
    """Read the content of one member.

    Raises:
        OSError: If the file has become shorter since it was indexed.
    """
    file.seek(span.offset)
    data = file.read(span.size)
    if len(data) != span.size:
        raise OSError(f"it was cut at byte {span.offset + len(data)} while it was read")
    return data


def index_tar(file: BinaryIO, name: str) -> TarIndex:
    """Walk over all headers of an archive and tell where each sample lies and what is wrong.

    A sample is a run of members ``KEY.SUFFIX``; a folder before the name is part of the key. It has a fault if
    it lacks a picture or has two, is there twice, has a picture of more than 256 MiB or a text of more than 16,
    or has a member that is a link, a folder or named like a path out of the archive: the other samples of such an
    archive are whole, and stay. So has the last sample of an archive without end mark that lacks a text which
    others have. A damaged or sparse header leaves nothing behind it to be trusted. Keys with neither picture nor
    text (``README``, ``1.pkl``) and hidden members (``./``, ``._1.jpg``) are no samples; members with several
    dots (``1.seg.png``) are passed over beside the others of their key.

    Args:
        file: The archive, seekable: ustar, GNU or pax, not compressed.
        name: What messages call it.

    Returns:
        The index; its damage names the byte.

    Raises:
        Refusal: If the archive is compressed, names with several dots would merge samples, or the members of a
            sample lie apart.
    """
    runs: list[Entry] = []
    damage: str | None = None
    ended = False
    try:
        for header in walk_headers(file):
            if header is None:
                ended = True
            else:
                _add(runs, header)
    except Damage as found:
        damage = str(found)
        file.seek(0)
        if not runs and file.read(8).startswith(_COMPRESSED):
            raise Refusal(f"{name} is compressed; a shard is a plain .tar: unpack it first") from found
    _require_apart(runs, name)
    _require_sorted(runs, name)
    size = file.seek(0, os.SEEK_END)
    return TarIndex(entries=tuple(_find_faults(runs, ended)), size=size, damage=damage, ended=ended)


def has_end(path: Path) -> bool:
    """Say whether a file ends in the two empty blocks of a tar, by its last bytes alone.

    Raises:
        Refusal: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 2 * BLOCK, 0))
            return size % BLOCK == 0 and file.read() == 2 * ZEROS
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    except ValueError:
        # A web server that gives no parts of files: only reading it whole tells.
        return False


def _add(runs: list[Entry], header: Header) -> None:
    parts = header.name.removeprefix("./").rstrip("/").split("/")
    stem, _, suffix = parts[-1].partition(".")
    suffix = suffix.lower()
    if not stem or not suffix:
        return
    # A name that leads elsewhere is still told as a fault of the sample that it would have been part of.
    key = stem if _leads_out(parts) else "/".join([*parts[:-1], stem])
    last = runs[-1] if runs else None
    fault = _judge(header, parts, suffix)
    # A suffix that comes again begins a second copy of the sample.
    if last is None or last.key != key or suffix in last.members:
        runs.append(Entry(key=key, offset=header.offset, members={}, fault=fault))
    elif fault is not None and last.fault is None:
        runs[-1] = replace(last, fault=fault)
    runs[-1].members[suffix] = Span(header.content, header.size)


def _judge(header: Header, parts: list[str], suffix: str) -> str | None:
    place = f"{header.name!r} at byte {header.offset}"
    if header.special is not None:
        return f"{place} is {header.special}, no plain file"
    if _leads_out(parts):
        return f"{place} is no name KEY.SUFFIX of a file inside the archive"
    if header.size > _LARGEST.get(suffix, header.size):
        return f"{place} holds {header.size:,} bytes, more than {_LARGEST[suffix] >> 20} MiB"
    return None


def _leads_out(parts: list[str]) -> bool:
    return any(part in ("", ".", "..") or _STRANGE.search(part) is not None for part in parts)


def _require_apart(runs: list[Entry], name: str) -> None:
    for run in runs:
        dotted = _find_dotted(run, PICTURES)
        plain = [suffix for suffix in run.members if suffix in PICTURES]
        # Beside a plain picture it is another view of the sample, unless it brings a text of its own.
        told = {suffix.rpartition(".")[0] for suffix in _find_dotted(run, TEXTS)}
        own = [suffix for suffix in dotted if suffix.rpartition(".")[0] in told]
        if (len(dotted) > 1 and not plain) or (plain and own):
            first, second = (f"{run.key}.{suffix}" for suffix in (plain + own if plain else dotted)[:2])
            raise Refusal(
                f"{name} holds {first!r} at byte {run.members[first[len(run.key) + 1 :]].offset - BLOCK}; readers cut "
                f"names at the first dot, which would merge it with {second!r}: write the shard anew with keys without "
                "dots"
            )


def _find_dotted(run: Entry, endings: tuple[str, ...]) -> list[str]:
    return [suffix for suffix in run.members if "." in suffix and suffix.rpartition(".")[2] in endings]


def _require_sorted(runs: list[Entry], name: str) -> None:
    seen: dict[str, Entry] = {}
    for run in runs:
        first = seen.setdefault(run.key, run)
        if first is not run and not first.members.keys() & run.members.keys():
            raise Refusal(
                f"{name} is an unsorted shard: members of {run.key} lie at byte {first.offset} and, apart from "
                f"them, at byte {run.offset}; write it anew with the members of a sample together"
            )


def _find_faults(runs: list[Entry], ended: bool) -> Iterator[Entry]:
    runs = [
        run
        for run in runs
        if any(suffix in PICTURES + TEXTS for suffix in run.members) or _find_dotted(run, PICTURES)
    ]
    copies: dict[str, list[int]] = {}
    for run in runs:
        copies.setdefault(run.key, []).append(run.offset)
    for place, run in enumerate(runs):
        fault = run.fault
        if len(copies[run.key]) > 1:
            offsets = " and ".join(str(offset) for offset in copies[run.key][:2])
            fault = f"key {run.key} is there {len(copies[run.key])} times, at bytes {offsets}"
        elif fault is None:
            fault = _judge_pictures(run)
        if fault is None and not ended and place == len(runs) - 1:
            there = {suffix for other in runs for suffix in other.members}
            lacking = next((name for name in TEXTS if name in there and name not in run.members), None)
            fault = None if lacking is None else f"sample {run.key} holds no {lacking}, which others have"
        yield run if fault is run.fault else replace(run, fault=fault)


def _judge_pictures(run: Entry) -> str | None:
    count = sum(suffix in PICTURES for suffix in run.members)
    if count == 1:
        return None
    dotted = _find_dotted(run, PICTURES)
    if dotted and not count:
        return f"sample {run.key} holds a picture named '{run.key}.{dotted[0]}', needed a name with one dot"
    return f"sample {run.key} holds {count} pictures, needed one jpg, png or webp"
