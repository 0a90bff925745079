"""What a job of the count leaves on disk, and how such parts add up: singles, pairs and the record of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair import files
from oddpair.retrieval.counting.pmi import IntArray

_KINDS = ("count_text", "count_image", "count_joint")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """How often pairs of concepts occur, in captions alone or in captions, images and both.

    Attributes:
        keys: ``a * n_concepts + b`` of each pair with ``a < b``, ascending, each once; shape ``(n_pairs,)``.
        counts: A row for each kind of count, shape ``(n_kinds, n_pairs)``.
    """

    keys: IntArray
    counts: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRecord:
    """What became of some rows of a corpus.

    Attributes:
        captions: Captions counted, each as often as a subset repeats it.
        rows: Rows counted, of each shard.
        quarantined: Rows set aside, by reason.
        lost: Files set aside without anybody knowing how many rows they had.
        tagged: Rows with at least one tag that holds.
    """

    captions: int
    rows: tuple[int, ...]
    quarantined: dict[str, int]
    lost: int
    tagged: int


def join_pairs(kinds: Sequence[tuple[IntArray, IntArray, IntArray]], n_concepts: int) -> PairSums:
    """Put the pairs of each kind of count side by side; a pair that one kind does not list is 0 there.

    Args:
        kinds: Smaller ids, larger ids and counts, sorted by ``(a, b)``, for each kind.
        n_concepts: Size of the vocabulary.

    >>> one = (np.array([0]), np.array([2]), np.array([5]))
    >>> join_pairs([one, (np.array([0, 1]), np.array([1, 2]), np.array([3, 4]))], n_concepts=3)
    PairSums(keys=array([1, 2, 5]), counts=array([[0, 5, 0],
           [3, 0, 4]]))
    """
    parts = []
    for row, (first, second, counts) in enumerate(kinds):
        placed = np.zeros((len(kinds), len(counts)), np.int64)
        placed[row] = counts
        parts.append(PairSums(keys=first.astype(np.int64) * n_concepts + second, counts=placed))
    joined = parts[0]
    for part in parts[1:]:
        joined = add_pairs(joined, part)
    return joined


def add_pairs(first: PairSums, second: PairSums) -> PairSums:
    """Add the counts of two parts of a corpus.

    >>> one = PairSums(keys=np.array([1, 4]), counts=np.array([[2, 3]]))
    >>> add_pairs(one, PairSums(keys=np.array([0, 4]), counts=np.array([[1, 1]])))
    PairSums(keys=array([0, 1, 4]), counts=array([[1, 2, 4]]))
    """
    if not len(first.keys):
        return second
    places = np.searchsorted(first.keys, second.keys)
    known = first.keys[np.minimum(places, len(first.keys) - 1)] == second.keys
    counts = first.counts.copy()
    counts[:, places[known]] += second.counts[:, known]
    if known.all():
        return PairSums(keys=first.keys, counts=counts)
    fresh = ~known
    return PairSums(
        keys=np.insert(first.keys, places[fresh], second.keys[fresh]),
        counts=np.insert(counts, places[fresh], second.counts[:, fresh], axis=1),
    )


def add_records(first: RowRecord, second: RowRecord) -> RowRecord:
    """Join the records of two parts of a corpus, the second behind the first."""
    quarantined = Counter(first.quarantined)
    # Not a sum of the two, which would leave out files that held nobody knows how many rows.
    quarantined.update(second.quarantined)
    return RowRecord(
        captions=first.captions + second.captions,
        rows=first.rows + second.rows,
        quarantined=dict(quarantined),
        lost=first.lost + second.lost,
        tagged=first.tagged + second.tagged,
    )


def write_pairs(path: Path, pairs: PairSums) -> None:
    """Write the pairs of one part."""
    # Gaps between keys take a quarter of the room and half the time.
    columns = {"gap": pa.array(np.diff(pairs.keys, prepend=0))}
    for name, counts in zip(_KINDS, pairs.counts, strict=False):
        columns[name] = pa.array(counts)
    files.write_table(path, pa.table(columns))


def read_pairs(path: Path) -> PairSums:
    """Read what ``write_pairs`` wrote."""
    table = files.read_table(path)
    gaps, *counts = (column.to_numpy() for column in table.columns)
    return PairSums(keys=np.cumsum(gaps), counts=np.array(counts))


def write_record(path: Path, record: RowRecord) -> None:
    """Write the record of one part."""
    files.write_json(path, asdict(record))


def read_record(path: Path) -> RowRecord:
    """Read what ``write_record`` wrote."""
    value = files.read_json(path)
    return RowRecord(**{**value, "rows": tuple(value["rows"])})


def join_files(path: Path, parts: Iterable[Path]) -> None:
    """Write the bytes of some files one after the other into one."""
    with files.atomic(path) as temporary, temporary.open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    joined.write(block)
