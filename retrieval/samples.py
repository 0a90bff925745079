"""What every layout is read into: samples, batches of their metadata, and records of what is bad."""

# ruff: noqa: D102  The attributes of a protocol are told in its docstring.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Reasons that speak of no damage; each has a counter of its own: a row of which nothing is said, and one whose
# file has the bytes of an earlier row's.
NO_CAPTION = "no caption"
REPEATED = "the same bytes as an earlier row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One line of ``quarantine.jsonl``: what was set aside, where it lies and why.

    Attributes:
        file: Name of the file, relative to the corpus.
        reason: What is wrong with it, in a few words.
        row: Row of the table, from 0; ``None`` where the place is a byte or the whole file.
        offset: Byte in the file; ``None`` where the place is a row or the whole file.
        uid: Id of the sample, where it is known.
        rows: Samples that the line stands for: 1, or all that a damaged file held; 0 if that is not known.
    """

    file: str
    reason: str
    row: int | None = None
    offset: int | None = None
    uid: str | None = None
    rows: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample with its picture, as the encoded bytes of a file.

    ``file``, ``row`` and ``offset`` say where the picture lies, as they do in ``Bad``.
    """

    uid: str
    key: str
    caption: str
    image: bytes
    file: str = ""
    row: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows of a shard's metadata, in order.

    Attributes:
        table: ``uid``, ``key`` and ``caption`` (string, without null), then the columns asked for.
        bad: What lies between these rows, or behind them, and was set aside.
    """

    table: pa.Table
    bad: tuple[Bad, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The samples of one shard, row aligned; ``images`` are encoded files, ``columns`` all that is left."""

    shard: str
    uids: tuple[str, ...]
    keys: tuple[str, ...]
    captions: tuple[str, ...]
    images: tuple[bytes, ...]
    columns: pa.Table
    bad: tuple[Bad, ...] = ()

    def __len__(self) -> int:
        return len(self.uids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Some rows of a shard that somebody else embedded, with their metadata.

    Attributes:
        uids: Ids, length ``n``.
        keys: Keys, length ``n``.
        captions: Captions, length ``n``; all ``""`` where there are none.
        image: Unit rows, float32, shape ``(n, d)``; ``(n, 0)`` if only captions were embedded.
        text: Unit rows, float32, shape ``(n, d)``; ``(n, 0)`` if only pictures were embedded.
        bad: What was set aside.
    """

    uids: tuple[str, ...]
    keys: tuple[str, ...]
    captions: tuple[str, ...]
    image: NDArray[np.float32]
    text: NDArray[np.float32]
    bad: tuple[Bad, ...] = ()


class Source(Protocol):
    """One layout on disk. Sources are frozen dataclasses of plain data: workers are given copies.

    Attributes:
        root: Folder, or file, that file names are relative to.
        layout: Name of the layout.
        shards: Names of the shards, sorted.
        sizes: Samples that each shard is said to hold: what its good and bad rows add up to.
        captioned: Whether there are captions; a corpus of bare pictures has none, and ``""`` for each.
        pictures: Whether ``stream`` gives pictures; other layouts have metadata alone.
        embedded: Whether it is an ``EmbeddedSource``.
        notes: What a user should know of this corpus, a sentence each.
        identity: What uids are made of: ``uid``, ``hash``, ``url and caption``, ``key`` or ``bytes``.
    """

    @property
    def root(self) -> Path: ...
    @property
    def layout(self) -> str: ...
    @property
    def shards(self) -> tuple[str, ...]: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def captioned(self) -> bool: ...
    @property
    def pictures(self) -> bool: ...
    @property
    def embedded(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def identity(self) -> str: ...

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read a shard's metadata in batches; ``columns`` of ``None`` are all that the shard has."""
        ...

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read a shard's samples one by one, in the order of ``scan``, with what was set aside."""
        ...

    def only(self, shard: str) -> Source:
        """Return the same source with as little beside one shard as reading that needs."""
        ...

    def identify(self, shard: str) -> dict[str, str]:
        """Name the files of a shard, each with what changes when its content does, without decoding any."""
        ...


class EmbeddedSource(Source, Protocol):
    """A layout that holds embeddings made elsewhere; ``encoder`` is the sha256 of their model, or ``""``."""

    @property
    def encoder(self) -> str: ...

    def vectors(self, shard: str, *, width: int | None = None) -> Iterator[Vectors]:
        """Read a shard's rows in batches; ``width`` chooses among embeddings of several models."""
        ...
