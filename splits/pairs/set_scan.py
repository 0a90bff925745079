"""Sets of concepts counted once more, by reading every caption and tag of a corpus: what posting lists are held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from oddpair.progress import track
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.tag_table import spread
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.mentions.incidence import Incidence, Mentions
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.pairs.repeated import Repeated, find_repeated
from oddpair.splits.pairs.set_counts import distinct_rows, group_by_size, list_pairs

# A byte for each row and concept is held at a time, and so many rows of the rarest concepts of sets.
_BYTES_AT_ONCE = 1 << 25
_ROWS_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scanned:
    """What was found in all captions, or in all tagged images.

    Attributes:
        rows: Captions, or images with a tag among the concepts.
        each: Uids of which a row holds each concept, shape ``(n_concepts,)``.
        together: Rows that hold all concepts of each set, shape ``(n_sets,)``.
        first: Uid of the first such row in the order of the corpus, ``None`` where there is none.
    """

    rows: int
    each: IntArray
    together: IntArray
    first: list[str | None]


def scan_sets(
    corpus: Corpus, vocabulary: Vocabulary, sets: Mentions, tags: Tags | None
) -> tuple[Scanned, Scanned | None]:
    """Read a corpus twice, its uids and its captions, and count concepts and sets of them in captions and tags.

    Args:
        corpus: The corpus; some of its captions are in memory at a time.
        vocabulary: The concepts, no more than the sets hold.
        sets: Shape ``(n_sets, n_concepts)``; of a set without concepts 0 rows are counted.
        tags: Tags of its images, opened with this vocabulary; ``None`` looks at captions alone.

    Returns:
        What the captions say, and what the tags say.
    """
    repeated = find_repeated(corpus)
    matcher, text = Matcher(vocabulary), _Counter(sets, repeated)
    image = None if tags is None else _Counter(sets, repeated)
    step = max(1, _BYTES_AT_ONCE // max(1, len(vocabulary)))
    with track("count claimed sets again", len(corpus), "rows") as progress:
        for shard in corpus.shards:
            for batch in corpus.scan(shard):
                for start in range(0, batch.table.num_rows, step):
                    part = batch.table.slice(start, step)
                    uids = part["uid"].combine_chunks()
                    text.add(uids, matcher.find(part["caption"]), part.num_rows)
                    if tags is not None and image is not None:
                        shown = tags.of(shard, uids)
                        image.add(uids, shown, int(np.count_nonzero(np.diff(shown.ends))))
                    progress.advance(part.num_rows)
    return text.result(), None if image is None else image.result()


class _Counter:
    """Adds up what batches hold."""

    def __init__(self, sets: Mentions, repeated: Repeated) -> None:
        self._repeated = repeated
        first, self._which = distinct_rows(sets)
        n, self._width = len(first), sets.shape[1]
        groups = {columns.shape[1]: (rows, columns) for rows, columns in group_by_size(sets[first])}
        places, columns = groups.pop(2, (np.zeros(0, np.int64), np.zeros((0, 2), np.int64)))
        order = np.argsort(columns @ [self._width, 1])
        self._pairs, self._pair_keys = places[order], (columns @ [self._width, 1])[order]
        self._groups = list(groups.values())
        self._rows, self._read = 0, 0
        # Group and concept of rows that share their uid with others, each once.
        self._shared = np.zeros(0, np.int64)
        self._each = np.zeros(self._width, np.int64)
        self._together = np.zeros(n, np.int64)
        self._first: list[str | None] = [None] * n

    def add(self, uids: pa.Array, held: Incidence, rows: int) -> None:
        """Add some rows, in the order of the corpus."""
        self._rows += rows
        counts = np.bincount(held.concepts, minlength=self._width)
        self._add_each(held, counts, len(uids))
        for row, of in (self._find_pairs(held), *self._find_sets(held, counts)):
            met, place, times = np.unique(of, return_index=True, return_counts=True)
            self._together[met] += times
            for number, at in zip(met.tolist(), place.tolist(), strict=True):
                if self._first[number] is None:
                    self._first[number] = uids[int(row[at])].as_py()

    def result(self) -> Scanned:
        """Return the sums."""
        return Scanned(
            rows=self._rows,
            each=self._each + np.bincount(self._shared % max(1, self._width), minlength=self._width),
            together=self._together[self._which],
            first=[self._first[number] for number in self._which.tolist()],
        )

    def _add_each(self, held: Incidence, counts: IntArray, rows: int) -> None:
        """Count concepts at once in rows of their own uid, and note them in rows that share it."""
        groups = self._repeated.groups_of(self._read, self._read + rows)
        self._read += rows
        shared = groups[held.rows] >= 0
        self._each += counts
        if shared.any():
            self._each -= np.bincount(held.concepts[shared], minlength=self._width)
            keys = groups[held.rows[shared]] * self._width + held.concepts[shared]
            self._shared = np.union1d(self._shared, keys)

    def _find_pairs(self, held: Incidence) -> tuple[IntArray, IntArray]:
        """Find the pairs among the sets: there may be many, and few in a row."""
        if not len(self._pairs):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        row, key = list_pairs(held.to_csr(), np.zeros(0, np.int64))
        place = np.minimum(np.searchsorted(self._pair_keys, key), len(self._pairs) - 1)
        asked = self._pair_keys[place] == key
        return row[asked], self._pairs[place[asked]]

    def _find_sets(self, held: Incidence, counts: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Find the other sets, by looking at the rows of the concept of each that is rarest here."""
        if not self._groups:
            return
        shows = np.zeros((len(held), self._width), np.bool_)
        shows[held.rows, held.concepts] = True
        of_concept = held.rows[np.argsort(held.concepts, kind="stable")]
        starts = np.cumsum(counts) - counts
        for places, columns in self._groups:
            rarest_first = np.argsort(counts[columns], axis=1, kind="stable")
            ordered = np.take_along_axis(columns, rarest_first, axis=1)
            rare = ordered[:, 0]
            for start, stop in _slices(counts[rare], _ROWS_AT_ONCE):
                which = np.repeat(np.arange(start, stop), counts[rare[start:stop]])
                row = of_concept[spread(starts[rare[start:stop]], counts[rare[start:stop]])]
                for column in ordered.T[1:]:
                    kept = shows[row, column[which]]
                    row, which = row[kept], which[kept]
                order = np.argsort(row, kind="stable")
                yield row[order], places[which[order]]


def _slices(sizes: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Cut things of some sizes into runs that hold ``most`` together, or one thing that alone is larger."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = int(ends[start] - sizes[start])
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, stop
        start = stop
