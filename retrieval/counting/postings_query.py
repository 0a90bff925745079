"""Asking posting lists: how many rows hold a set of concepts, and which; exact, and read no further than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyroaring import BitMap

from oddpair.errors import Refusal
from oddpair.retrieval.counting.postings_file import (
    POSTINGS_FOLDER,
    file_name,
    read_bitmaps,
    read_counts_of,
)
from oddpair.retrieval.counting.postings_index import Index, read_index

IntArray = NDArray[np.int64]
Kind = Literal["text", "image", "joint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """The posting lists of a corpus; ``open_postings`` makes it.

    A row counts once, however often the subset that was counted repeats it. With ``joint`` a row holds a concept
    that is in its caption and in its tags.

    Attributes:
        folder: Folder of the counts.
        index: Shards, rows and vocabulary.
    """

    folder: Path
    index: Index

    @property
    def n_rows(self) -> int:
        """Rows of the corpus."""
        return sum(self.index.rows)

    def count(self, concepts: Sequence[int], kind: Kind = "text") -> int:
        """Count the rows that hold all of some concepts, exactly.

        Args:
            concepts: One id or more; naming one twice changes nothing.
            kind: Where they have to be.

        Raises:
            ValueError: If there is no concept, or no such concept.
            Refusal: If there are no image tags, or a file is damaged.
        """
        wanted = self._check(concepts, kind)
        return sum(_count_all(self._read(part, wanted, kind), wanted) for part in self._parts())

    def count_each(self, concepts: Sequence[int], kind: Kind = "text") -> IntArray:
        """Count the rows that hold each of some concepts, shape ``(n_concepts_given,)``; see ``count``."""
        wanted = self._check(concepts, kind)
        total = dict.fromkeys(wanted, 0)
        for part in self._parts():
            if kind == "joint":
                found = {concept: len(rows) for concept, rows in self._read(part, wanted, kind).items()}
            else:
                path, n_rows = self._file(part, kind)
                found = read_counts_of(path, wanted, n_rows=n_rows, n_concepts=self.index.n_concepts)
            for concept, count in found.items():
                total[concept] += count
        return np.array([total[int(concept)] for concept in concepts], np.int64)

    def count_pairs(
        self, pairs: ArrayLike, kind: Kind = "text", *, told: Callable[[int], None] | None = None
    ) -> IntArray:
        """Count the rows that hold both concepts of each pair; each bitmap is read once.

        Args:
            pairs: Ids, shape ``(n_pairs, 2)``.
            kind: Where they have to be.
            told: Called with how many more shards were looked at.

        Returns:
            Counts, shape ``(n_pairs,)``.

        Raises:
            ValueError: If the shape is another, or there is no such concept.
            Refusal: As ``count``.
        """
        given = np.asarray(pairs, np.int64)
        if given.ndim != 2 or given.shape[1] != 2:
            raise ValueError(f"pairs of shape {given.shape}, needed (n, 2)")
        total = np.zeros(len(given), np.int64)
        if not len(given):
            return total
        wanted = self._check(given.ravel().tolist(), kind)
        couples = list(map(tuple, given.tolist()))
        empty = BitMap()
        for part in self._parts():
            found = self._read(part, wanted, kind)
            total += np.fromiter(
                (found.get(a, empty).intersection_cardinality(found.get(b, empty)) for a, b in couples),
                np.int64,
                count=len(couples),
            )
            if told:
                told(len(part))
        return total

    def rows(self, concepts: Sequence[int], kind: Kind = "text") -> Iterator[tuple[str, IntArray]]:
        """Find the rows that hold all of some concepts.

        Args:
            concepts: As for ``count``.
            kind: Where they have to be.

        Yields:
            Each shard that has such rows, in order, and their ascending numbers among the rows of the shard that
            ``Corpus.scan`` keeps.

        Raises:
            ValueError: As ``count``.
            Refusal: As ``count``.
        """
        wanted = self._check(concepts, kind)
        for part in self._parts():
            common = _intersect(self._read(part, wanted, kind), wanted)
            if not common:
                continue
            found = np.frombuffer(common.to_array(), np.uint32).astype(np.int64)
            ends = np.cumsum(self.index.rows[part.start : part.stop])
            cuts = np.searchsorted(found, ends)
            for place, rows in enumerate(np.split(found, cuts[:-1])):
                if len(rows):
                    first = ends[place] - self.index.rows[part[place]]
                    yield self.index.shards[part[place]], rows - first

    def files(self, kind: Kind = "text") -> list[str]:
        """Name the files in the folder of the counts that a question of some kind reads.

        Raises:
            Refusal: If there are no image tags.
        """
        self._need_kind(kind)
        kinds = ("text", "image") if kind == "joint" else (kind,)
        paths = [self._file(part, which)[0] for part in self._parts() for which in kinds]
        return [path.relative_to(self.folder).as_posix() for path in paths]

    def _check(self, concepts: Sequence[int], kind: Kind) -> list[int]:
        wanted = sorted(set(map(int, concepts)))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.index.n_concepts:
            raise ValueError(f"concepts {wanted[:3]}, needed ids from 0 to {self.index.n_concepts - 1}")
        self._need_kind(kind)
        return wanted

    def _need_kind(self, kind: Kind) -> None:
        if kind != "text" and not self.index.image:
            raise Refusal(f"{self.folder} was counted without image tags: count again with --tags")

    def _parts(self) -> Iterator[range]:
        ends = (*self.index.starts[1:], len(self.index.shards))
        yield from map(range, self.index.starts, ends)

    def _file(self, part: range, kind: str) -> tuple[Path, int]:
        name = file_name(kind, part.start, len(self.index.shards))
        return self.folder / POSTINGS_FOLDER / name, sum(self.index.rows[part.start : part.stop])

    def _read(self, part: range, wanted: list[int], kind: Kind) -> dict[int, BitMap]:
        if kind == "joint":
            text, image = self._read(part, wanted, "text"), self._read(part, wanted, "image")
            return {concept: rows & image[concept] for concept, rows in text.items() if concept in image}
        path, n_rows = self._file(part, kind)
        return read_bitmaps(path, wanted, n_rows=n_rows, n_concepts=self.index.n_concepts)


def open_postings(folder: Path) -> Postings:
    """Open the posting lists in a folder of counts.

    No checksum of a parquet file covers its footer, which says where a concept may be. Who did not write the files a
    moment ago compares them with the record of the count first: ``verify_counts(folder, postings.files(kind))``.

    Raises:
        Refusal: If there are none, or their index contradicts itself.
    """
    return Postings(folder=folder, index=read_index(folder))


def _intersect(found: dict[int, BitMap], wanted: list[int]) -> BitMap:
    if len(found) < len(wanted):
        return BitMap()
    # From the rarest on, no step has more to do than it.
    common, *others = sorted(found.values(), key=len)
    for other in others:
        common = common & other
    return common


def _count_all(found: dict[int, BitMap], wanted: list[int]) -> int:
    return len(_intersect(found, wanted))
