"""What style classifiers look at: embeddings, and the textures beside them where the folder has some."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed_layout import part_path, read_manifest
from oddpair.retrieval.formats.arrays import open_array
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray, UnitRows

_BYTES_AT_ONCE = 2 << 20
_GAP_BYTES = 128 << 10
_THREADS = 4


class HalfRows(Protocol):
    """Rows of float16, numbered from 0; ``read(start, stop)`` gives some of them, shape ``(stop - start, d)``."""

    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102
    def read(self, start: int, stop: int) -> NDArray[Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureRows:
    """The texture of each row of an embedding folder, none of it in memory; ``sizes`` are the rows of its shards."""

    folder: Path
    sizes: tuple[int, ...]
    dimension: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return sum(self.sizes), self.dimension

    def read(self, start: int, stop: int) -> NDArray[np.float16]:
        """Read rows ``start`` to ``stop``, shape ``(stop - start, dimension)``.

        Raises:
            Refusal: If a file is not what the folder's manifest says.
        """
        ends = list(accumulate(self.sizes))
        parts: list[NDArray[np.float16]] = []
        shard = bisect_right(ends, start)
        while start < stop:
            before, end = ends[shard] - self.sizes[shard], min(stop, ends[shard])
            if end > start:
                parts.append(self._read_part(shard, start - before, end - before))
            start, shard = end, shard + 1
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float16)

    def _read_part(self, shard: int, start: int, stop: int) -> NDArray[np.float16]:
        path = part_path(self.folder, "texture", shard, len(self.sizes))
        found = open_array(path)
        if found.shape != (self.sizes[shard], self.dimension) or found.dtype != np.dtype("<f2"):
            raise Refusal(
                f"{path} holds {found.dtype} of shape {found.shape}, its manifest says float16 of "
                f"{(self.sizes[shard], self.dimension)}: embed again"
            )
        return found.rows(start, stop).astype(np.float16)


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleFeatures:
    """What is known of each row of a corpus, or of a test set, to tell its style by.

    Attributes:
        image: Embeddings, float16, shape ``(n, d)``.
        texture: Statistics of the pixels, which tell ambiguous pictures from natural ones; ``None`` if not measured.
        pictures: The pictures themselves, for classifiers that look at them.
    """

    image: UnitRows
    texture: HalfRows | None = None
    pictures: Corpus | None = None

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def parts(self) -> tuple[HalfRows, ...]:
        """The kinds of features, side by side."""
        return (self.image,) if self.texture is None else (self.image, self.texture)

    @property
    def widths(self) -> tuple[int, ...]:
        """Length of each part of a row."""
        return tuple(part.shape[1] for part in self.parts)

    def blocks(self) -> Iterator[slice]:
        """Yield stretches of rows, in order, that are read at once."""
        step = max(1, _BYTES_AT_ONCE // (2 * sum(self.widths)))
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def fetch(self, rows: IntArray) -> NDArray[np.float64]:
        """Read some rows, in the order asked for, all parts side by side, shape ``(m, sum of widths)``."""
        return np.hstack([fetch_half(part, rows) for part in self.parts]).astype(np.float64)


def open_features(stored: StoredRows, corpus: Corpus | None = None, *, textured: bool) -> StyleFeatures:
    """Open what is known of embedded pictures.

    Args:
        stored: Their embeddings.
        corpus: The pictures.
        textured: Whether textures are asked for.

    Returns:
        The features.

    Raises:
        Refusal: If textures are asked for and the folder has none.
    """
    texture = open_textures(stored) if textured else None
    if textured and texture is None:
        raise Refusal(
            f"{stored.folder} has no textures and the corpus has: embed these pictures again with oddpair embed"
        )
    return StyleFeatures(image=stored, texture=texture, pictures=corpus)


def open_textures(stored: StoredRows) -> TextureRows | None:
    """Open the textures beside embeddings; ``None`` if none were measured."""
    width = read_manifest(stored.folder)["dimensions"].get("texture", 0)
    return TextureRows(folder=stored.folder, sizes=stored.sizes, dimension=width) if width else None


def fetch_half(rows: HalfRows, wanted: IntArray) -> NDArray[np.float16]:
    """Read rows anywhere in one pass, in the order asked for, shape ``(m, d)``."""
    width = rows.shape[1]
    found = np.empty((len(wanted), width), dtype=np.float16)
    order = np.argsort(wanted, kind="stable")
    ascending = wanted[order]

    def fetch(part: tuple[int, int]) -> None:
        begin, end = part
        start = int(ascending[begin])
        read = rows.read(start, int(ascending[end - 1]) + 1)
        found[order[begin:end]] = read[ascending[begin:end] - start]

    # A disk answers several at once.
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(fetch, _stretches(ascending, 2 * width)):
            pass
    return found


def _stretches(ascending: IntArray, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield places that are read at once: what lies between them takes no longer than to begin anew behind it."""
    most, gap = (max(1, size // row_bytes) for size in (_BYTES_AT_ONCE, _GAP_BYTES))
    behind = [*(np.flatnonzero(np.diff(ascending) > gap) + 1).tolist(), len(ascending)]
    begin = 0
    for end in behind:
        while begin < end:
            stop = min(end, int(np.searchsorted(ascending, ascending[begin] + most)))
            yield begin, stop
            begin = stop
