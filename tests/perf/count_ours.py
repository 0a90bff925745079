"""Captions in memory, counted as oddpair counts them and compared with an exact reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.perf.count_peers import Reference, count_pairs

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.pair_counter import PairCounter
from oddpair.retrieval.counting.plan import PAIR_CONCEPTS
from oddpair.retrieval.mentions.matcher import Finder

# As commands read them.
BATCH_ROWS = 16_384
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Captions in batches, and the first of them as Python strings."""

    batches: Sequence[pa.Array]
    first: Sequence[str]

    @property
    def rows(self) -> int:
        """Captions in all batches."""
        return sum(map(len, self.batches))


class Counting:
    """Singles and pairs that one thread has counted; they go on growing from round to round."""

    def __init__(self, finder: Finder, n_concepts: int, members: IntArray) -> None:
        self.finder = finder
        self.singles = np.zeros(n_concepts, np.int64)
        self.pairs = PairCounter(n_concepts, among=members)

    def add(self, captions: Sequence[pa.Array], *, pairs: bool) -> None:
        """Count some batches."""
        for batch in captions:
            found = self.finder.find(batch)
            self.singles += np.bincount(found.concepts, minlength=len(self.singles))
            if pairs:
                self.pairs.add(found)


def open_world(path: Path, few: int) -> World:
    """Read captions."""
    table = pq.read_table(path, columns=["text"])
    batches = [batch["text"] for batch in table.to_batches(max_chunksize=BATCH_ROWS)]
    return World(batches=batches, first=table["text"][:few].to_pylist())


def find_members(world: World, finder: Finder, n_concepts: int) -> IntArray:
    """Find the concepts of most captions, whose pairs are counted."""
    counting = Counting(finder, n_concepts, np.arange(0))
    counting.add(world.batches, pairs=False)
    order = np.argsort(-counting.singles, kind="stable")
    return np.sort(order[:PAIR_CONCEPTS])


def check(world: World, vocabulary: Vocabulary, members: IntArray, finders: Sequence[Finder]) -> int:
    """Compare all counts of the first captions with the reference's, and return how many mentions there are."""
    find = Reference(vocabulary).find
    singles, pairs = count_pairs(find, world.first, set(members.tolist()))
    for finder in finders:
        ours = Counting(finder, len(vocabulary), members)
        ours.add([pa.array(world.first)], pairs=True)
        assert ours.singles.tolist() == [singles[n] for n in range(len(vocabulary))], "other counts"
        a, b, counts = (column.tolist() for column in ours.pairs.pairs())
        assert dict(zip(zip(a, b, strict=True), counts, strict=True)) == dict(pairs), "other pairs"
    counted = f"{singles.total():,} mentions and {pairs.total():,} pairs in {len(world.first):,} captions"
    print(f"    the same {counted}", flush=True)
    return singles.total()
