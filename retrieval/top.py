"""The k best rows of each test, gathered while rows stream by."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.pairs import Pairs, join
from oddpair.retrieval.unit_rows import IntArray

# So many finds wait before they are sorted in, or half of what is kept if that is more.
_WAITING = 1 << 16


class TopRows:
    """The k best-scored rows of each test, of rows with one uid the best; equal scores by uid.

    ``floor`` is each test's k-th best score, ``-inf`` until there is one: a row below it cannot matter. It only ever
    rises, so that a thread that reads an old one merely finds more than it had to.
    """

    def __init__(self, tests: int, k: int, uids: Callable[[IntArray], list[str]]) -> None:
        """Keep ``k`` rows for each of ``tests``; ``uids`` tells the ids of rows."""
        self.floor: NDArray[np.float32] = np.full(tests, -np.inf, dtype=np.float32)
        self._k = k
        self._uids = uids
        self._kept = join([])
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._new: list[Pairs] = []
        self._waiting = 0
        self._lock = Lock()

    def add(self, pairs: Pairs) -> None:
        """Take exactly scored pairs; several threads may."""
        with self._lock:
            self._new.append(pairs)
            self._waiting += len(pairs)
            if self._waiting > max(_WAITING, len(self.floor) * self._k // 2) or not len(self._kept):
                self._sort_in()

    def result(self) -> Pairs:
        """Return what is kept, by test, then score descending, then uid."""
        with self._lock:
            self._sort_in()
            return self._kept

    def _sort_in(self) -> None:
        new = join(self._new)
        self._new, self._waiting = [], 0
        new = new.take(np.flatnonzero(new.score >= self.floor[new.test]))
        found = join([self._kept, new])
        keys = np.concatenate([self._keys, self._hash(new.row)])
        order = np.lexsort((found.row, -found.score, found.test))
        found, keys = found.take(order), keys[order]
        order = self._settle_ties(found)
        found, keys = found.take(order), keys[order]
        first = self._first_of_uid(found, keys)
        found, keys = found.take(first), keys[first]
        place = np.arange(len(found)) - np.searchsorted(found.test, found.test)
        stay = np.flatnonzero(place < self._k)
        full = np.flatnonzero(place == self._k - 1)
        self.floor[found.test[full]] = found.score[full]
        self._kept, self._keys = found.take(stay), keys[stay]

    def _settle_ties(self, found: Pairs) -> IntArray:
        """Order pairs of one test and score by uid; all others stay where they are."""
        order = np.arange(len(found))
        same = (found.test[1:] == found.test[:-1]) & (found.score[1:] == found.score[:-1])
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        if len(tied):
            uids = self._uids(found.row[tied])
            rank = {uid: place for place, uid in enumerate(sorted(set(uids)))}
            ranks = np.array([rank[uid] for uid in uids])
            by_uid = np.lexsort((found.row[tied], ranks, -found.score[tied], found.test[tied]))
            order[tied] = tied[by_uid]
        return order

    def _first_of_uid(self, found: Pairs, keys: NDArray[np.uint64]) -> IntArray:
        """Return the places of pairs without those of a test that an earlier one has the same uid as."""
        mixed = keys ^ (found.test.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        _, place, count = np.unique(mixed, return_inverse=True, return_counts=True)
        stay = np.ones(len(found), dtype=np.bool_)
        suspects = np.flatnonzero(count[place] > 1)
        if len(suspects):
            seen: set[tuple[int, str]] = set()
            names = zip(found.test[suspects].tolist(), self._uids(found.row[suspects]), strict=True)
            for suspect, name in zip(suspects.tolist(), names, strict=True):
                stay[suspect] = name not in seen
                seen.add(name)
        return np.flatnonzero(stay)

    def _hash(self, rows: IntArray) -> NDArray[np.uint64]:
        """Hash the uids of rows, each looked up once; hashes say what to compare, so they may differ from run to run."""
        asked, place = np.unique(rows, return_inverse=True)
        hashes = (hash(uid) & 0xFFFFFFFFFFFFFFFF for uid in self._uids(asked))
        return np.fromiter(hashes, dtype=np.uint64, count=len(asked))[place]
