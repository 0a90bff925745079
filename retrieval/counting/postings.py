"""Which rows hold each concept, collected batch by batch and written as compressed bitmaps."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
from pyroaring import BitMap
from scipy import sparse

from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name, write_bitmaps
from oddpair.retrieval.mentions.incidence import Incidence

# Entries that are grouped at once: enough for the time per concept to vanish beside the time per entry.
_GROUPED = 1 << 22
_MOST_ROWS = 1 << 32


class PostingsBuilder:
    """Collects the rows of each concept, some rows at a time.

    Memory is about two bytes an entry, 200 bytes a concept that occurs, and 60 MB for what is not grouped yet.
    It is not for several threads at once: give each its own and ``merge`` them.

    Attributes:
        n_concepts: Size of the vocabulary.
        n_rows: Rows so far: all row numbers are below.

    >>> from oddpair.retrieval.mentions.incidence import from_lists
    >>> builder = PostingsBuilder(3)
    >>> builder.add(from_lists([[0, 2], []], n_concepts=3))
    >>> builder.add(from_lists([[2]], n_concepts=3))
    >>> {concept: list(rows) for concept, rows in sorted(builder.bitmaps().items())}
    {0: [0], 2: [0, 2]}
    """

    def __init__(self, n_concepts: int) -> None:
        self.n_concepts = n_concepts
        self.n_rows = 0
        self._bitmaps: dict[int, BitMap] = {}
        self._waiting: list[tuple[int, Incidence]] = []
        self._entries = 0

    def add(self, incidence: Incidence, *, first_row: int | None = None) -> None:
        """Add the concepts of some rows.

        Args:
            incidence: The rows.
            first_row: Number of the first of them; by default they follow those that are there.

        Raises:
            ValueError: If they are of another vocabulary, or a number does not fit in 32 bits.
        """
        first = self.n_rows if first_row is None else first_row
        end = first + len(incidence)
        if incidence.n_concepts != self.n_concepts:
            raise ValueError(f"rows of {incidence.n_concepts} concepts, needed {self.n_concepts}")
        if first < 0 or end > _MOST_ROWS:
            raise ValueError(f"rows {first:,} to {end:,}, needed 0 to {_MOST_ROWS:,}")
        self.n_rows = max(self.n_rows, end)
        # The caller may write over its arrays, or they may be a small part of large ones.
        kept = Incidence(
            ends=incidence.ends.copy(),
            concepts=incidence.concepts.copy(),
            n_concepts=self.n_concepts,
        )
        self._waiting.append((first, kept))
        self._entries += len(kept.concepts)
        if self._entries >= _GROUPED:
            self._group()

    def merge(self, other: PostingsBuilder) -> None:
        """Add what another builder collected of other rows of the same numbering.

        Raises:
            ValueError: If it is of another vocabulary.
        """
        if other.n_concepts != self.n_concepts:
            raise ValueError(f"rows of {other.n_concepts} concepts, needed {self.n_concepts}")
        for concept, rows in other.bitmaps().items():
            self._bitmaps.setdefault(concept, BitMap()).update(rows)
        self.n_rows = max(self.n_rows, other.n_rows)

    def bitmaps(self) -> dict[int, BitMap]:
        """Return the rows of each concept that occurs; they go on to grow with the builder."""
        self._group()
        return self._bitmaps

    def write(self, path: Path) -> None:
        """Write the rows of each concept atomically; see ``write_bitmaps``."""
        write_bitmaps(path, self.bitmaps(), n_rows=self.n_rows, n_concepts=self.n_concepts)

    def _group(self) -> None:
        if not self._waiting:
            return
        waiting = sorted(self._waiting, key=lambda part: part[0])
        self._waiting, self._entries = [], 0
        concepts = np.concatenate([part.concepts for _, part in waiting])
        numbers = np.concatenate([np.arange(first, first + len(part)) for first, part in waiting])
        ends = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(np.concatenate([np.diff(part.ends) for _, part in waiting]), out=ends[1:])
        # Transposing is a counting sort: linear, and the rows of each concept stay in order.
        turned = sparse.csr_array(
            (np.ones(len(concepts), np.bool_), concepts, ends), shape=(len(numbers), self.n_concepts)
        ).tocsc()
        rows = array("I", numbers[turned.indices].astype(np.uint32).tobytes())
        for concept in np.flatnonzero(np.diff(turned.indptr)).tolist():
            start, end = int(turned.indptr[concept]), int(turned.indptr[concept + 1])
            self._bitmaps.setdefault(concept, BitMap()).update(rows[start:end])


def write_postings(
    folder: Path, first_shard: int, n_shards: int, text: PostingsBuilder, image: PostingsBuilder | None
) -> None:
    """Write the posting lists of one shard, or of consecutive shards whose rows are numbered through.

    Fewer and larger files are smaller in all and faster to ask. ``write_index`` is called at the end, when those
    of all shards are there.

    Args:
        folder: Folder of the counts; the files are ``postings/text_0003.parquet`` and ``postings/image_0003.parquet``.
        first_shard: Place of the first of these shards among all; they reach to the next file's.
        n_shards: Shards in all.
        text: Concepts of the captions of each row.
        image: Concepts of the tags of the same rows; ``None`` where there are none.

    Raises:
        ValueError: If there is no such shard, or the two are not of the same rows.
    """
    if not 0 <= first_shard < n_shards:
        raise ValueError(f"shard {first_shard} of {n_shards}")
    if image is not None and (image.n_rows, image.n_concepts) != (text.n_rows, text.n_concepts):
        raise ValueError(f"{text.n_rows} rows of captions and {image.n_rows} of images")
    text.write(folder / POSTINGS_FOLDER / file_name("text", first_shard, n_shards))
    if image is not None:
        image.write(folder / POSTINGS_FOLDER / file_name("image", first_shard, n_shards))
