"""The rows of some shards, read batch by batch for several threads at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.samples import Bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some rows that follow each other in a shard.

    Attributes:
        shard: Name of the shard.
        first: Rows that were kept before these, of this shard and those before it.
        table: At least ``caption``.
        copies: How often a subset repeats each row; ``None`` where each counts once.
    """

    shard: str
    first: int
    table: pa.Table
    copies: NDArray[np.int64] | None


class RowReader:
    """Gives each batch of some shards to one of the threads that ask for it.

    Attributes:
        kept: Rows given so far, of each shard.
        quarantined: Rows set aside so far, by reason.
        lost: Files set aside without anybody knowing how many rows they had.
    """

    def __init__(
        self,
        shards: Sequence[Corpus],
        *,
        named: bool,
        set_aside: Callable[[Bad], None] | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """Begin before the first row.

        Args:
            shards: A corpus of one shard each.
            named: Whether uids are needed.
            set_aside: Called with what is set aside, in the order of the corpus; by one thread at a time.
            told: Likewise, with how many rows were looked at so far.
        """
        self.kept = [0] * len(shards)
        self.quarantined: Counter[str] = Counter()
        self.lost = 0
        self._shards = shards
        self._named = named
        self._set_aside = set_aside
        self._told = told
        self._batches = self._read()
        self._lock = threading.Lock()
        self._is_stopped = False

    def take(self) -> Rows | None:
        """Return the next rows; ``None`` at the end, or after ``stop``."""
        with self._lock:
            return None if self._is_stopped else next(self._batches, None)

    def stop(self) -> None:
        """Give no more rows."""
        self._is_stopped = True

    def _read(self) -> Iterator[Rows]:
        for place, corpus in enumerate(self._shards):
            (shard,) = corpus.shards
            repeated = corpus.subset is not None
            for batch in corpus.scan(shard, ["copies"] if repeated else [], named=self._named):
                for line in batch.bad:
                    self._note(line)
                table = batch.table
                first = sum(self.kept)
                self.kept[place] += table.num_rows
                if self._told is not None:
                    self._told(first + table.num_rows + self.quarantined.total())
                if table.num_rows:
                    copies = table["copies"].to_numpy() if repeated else None
                    yield Rows(shard=shard, first=first, table=table, copies=copies)

    def _note(self, line: Bad) -> None:
        self.quarantined[line.reason] += line.rows
        self.lost += line.rows == 0
        if self._set_aside is not None:
            self._set_aside(line)


def share_rows(reader: RowReader, takers: Sequence[Callable[[Rows], None]]) -> None:
    """Give all rows of a reader to some functions, each in a thread of its own; the error of one stops all."""

    def work(take: Callable[[Rows], None]) -> None:
        try:
            while (rows := reader.take()) is not None:
                take(rows)
        finally:
            # After an error nobody needs what the others would still find.
            reader.stop()

    if len(takers) == 1:
        work(takers[0])
        return
    # A worker process tells all libraries to compute with one thread; Arrow would then read one column after the other.
    before = pa.cpu_count()
    pa.set_cpu_count(max(before, len(takers)))
    try:
        with ThreadPoolExecutor(len(takers)) as pool:
            for future in [pool.submit(work, take) for take in takers]:
                future.result()
    finally:
        pa.set_cpu_count(before)


def repeat_rows(incidence: Incidence, copies: NDArray[np.int64]) -> Incidence:
    """Repeat each row as often as asked, 0 or more.

    >>> from oddpair.retrieval.mentions.incidence import from_lists
    >>> twice = repeat_rows(from_lists([[0, 2], [1]], n_concepts=3), np.array([2, 1]))
    >>> twice.ends.tolist(), twice.concepts.tolist()
    ([0, 2, 4, 5], [0, 2, 0, 2, 1])
    """
    lengths = np.repeat(np.diff(incidence.ends), copies)
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    # Each entry lies as far behind the start of its row as before.
    moved = np.repeat(incidence.ends[:-1], copies) - ends[:-1]
    places = np.arange(ends[-1]) + np.repeat(moved, lengths)
    return Incidence(ends=ends, concepts=incidence.concepts[places], n_concepts=incidence.n_concepts)
