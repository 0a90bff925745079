"""What is left of a split in another copy of its corpus, where links have rotted since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import stdtrit

from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.proportion import clopper_pearson_interval
from oddpair.retrieval.samples import Bad
from oddpair.splits.exports.failed_rows import read_failed
from oddpair.splits.exports.hashes import HashTable
from oddpair.splits.exports.uid_keys import UidIndex, index_uids, take_new
from oddpair.splits.manifest import Manifest, as_uids

NOT_LISTED = "not listed"
CONFIDENCE = 0.95

_NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """Where each row of a split is in a copy, or why it is not there; arrays are in the order of the split's uids.

    Attributes:
        uids: Its uid in the copy, null where it is not there.
        ways: How it was found, as a place in ``WAYS``; -1 where it was not.
        shards: Shard of the copy that has it, or lists it as failed, as a place in ``names``; -1 for none.
        names: Shards of the copy.
        reasons: Why rows that are not there are not, by their place in the split; of others nothing is known.
        damaged: What was set aside in the copy without its uids being known.
        lists_failed: Whether the copy lists any row as failed; one that does not says nothing about what rotted.
    """

    uids: pa.Array
    ways: NDArray[np.int8]
    shards: NDArray[np.int32]
    names: tuple[str, ...]
    reasons: Mapping[int, str]
    damaged: tuple[Bad, ...]
    lists_failed: bool

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def there(self) -> NDArray[np.bool_]:
        """Whether each row is in the copy, shape ``(n,)``."""
        return self.ways >= 0

    @property
    def n_found(self) -> int:
        """Rows in the copy."""
        return int(self.there.sum())

    @property
    def n_listed(self) -> int:
        """Rows that the copy lists, fetched or failed."""
        return int((self.shards >= 0).sum())

    def count_ways(self) -> dict[str, int]:
        """Count the rows that were found in each way."""
        counts = {way: int((self.ways == place).sum()) for place, way in enumerate(WAYS)}
        return {way: count for way, count in counts.items() if count}

    def count_reasons(self) -> dict[str, int]:
        """Count the rows that are not there by the reason, most frequent first."""
        counts = Counter(self.reasons.values())
        rest = len(self) - self.n_found - len(self.reasons)
        if rest:
            counts[NOT_LISTED] += rest
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def count_shards(self) -> dict[str, tuple[int, int]]:
        """Count the rows of each shard that are there, and those that it lists as failed."""
        found, lost = (
            np.bincount(self.shards[mask & (self.shards >= 0)], minlength=len(self.names)).tolist()
            for mask in (self.there, ~self.there)
        )
        return {
            name: (found[place], lost[place])
            for place, name in enumerate(self.names)
            if found[place] or lost[place]
        }

    def share_of_listed(self) -> tuple[float, tuple[float, float] | None] | None:
        """Return the share of the listed rows that is there, and its 95 % interval by ``interval_of_share``.

        Where the shards of the copy were drawn at random from all, it estimates the share of the whole. ``None`` where
        the copy lists no failed row, or none of the split.
        """
        if not self.n_listed or not self.lists_failed:
            return None
        counts = np.array(list(self.count_shards().values()), np.int64)
        return self.n_found / self.n_listed, interval_of_share(counts[:, 0], counts.sum(axis=1))


def interval_of_share(found: NDArray[np.int64], listed: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of rows, of which whole shards were drawn at random.

    Rows of a shard rot together, so that shards are what was drawn: it is the t interval of the ratio estimator, and
    no narrower than that of Clopper and Pearson for as many rows. Where all rows were found, or none, nothing tells how
    shards differ, and each is taken for a single row.

    Args:
        found: Rows of each shard that are there, shape ``(n,)``.
        listed: Rows of each shard, 1 or more, shape ``(n,)``.

    Returns:
        Both ends, from 0 to 1; ``None`` for fewer than two shards, which have no interval.

    References:
        Cochran, Sampling Techniques, 3rd ed., 1977, chapters 6 and 9A.

    >>> low, high = interval_of_share(np.array([60, 70, 80]), np.array([100, 100, 100]))
    >>> round(low, 3), round(high, 3)
    (0.452, 0.948)
    """
    shards, rows, there = len(listed), int(listed.sum()), int(found.sum())
    if shards < 2:
        return None
    if there in (0, rows):
        return clopper_pearson_interval(shards if there else 0, shards, CONFIDENCE)
    share = there / rows
    spread = float(np.sum((found - share * listed) ** 2)) * shards / (shards - 1)
    reach = float(stdtrit(shards - 1, (1 + CONFIDENCE) / 2)) * spread**0.5 / rows
    # Shards that happen to be alike say no more than as many rows that rot one by one.
    low, high = clopper_pearson_interval(there, rows, CONFIDENCE)
    return max(0.0, min(low, share - reach)), min(1.0, max(high, share + reach))


WAYS = ("uid", "url and caption", "url")


def cover(manifest: Manifest, copy: Corpus, hashes: HashTable | None = None) -> Coverage:
    """Look for the rows of a split in another copy of its corpus, by what the copy says of them.

    A row is there if the copy lists it as downloaded; pictures are not opened. Rows are found by uid and, with
    hashes, by address and caption or, of addresses that one row of the split has, by address alone.

    Args:
        manifest: The split.
        copy: The copy.
        hashes: Hashes of the split's rows, as ``oddpair export --as url-hash`` writes them; ``None`` for uids alone.

    Returns:
        What is left.

    Raises:
        Refusal: If the rows of the copy have no address to make hashes of.
    """
    n_rows = len(manifest)
    found = _Search(
        index=index_uids(manifest.uids),
        hashes=hashes,
        ways=np.full(n_rows, _NONE, dtype=np.int8),
        shards=np.full(n_rows, _NONE, dtype=np.int32),
    )
    lists_failed = False
    with track("looking for the split", len(copy.shards), "shards") as progress:
        for place, shard in enumerate(copy.shards):
            for batch in copy.scan(shard, ["url"] if hashes else ()):
                found.add(place, batch.table)
                found.set_aside(place, batch.bad)
            for table in read_failed(copy, shard):
                lists_failed |= table.num_rows > 0
                found.add_failed(place, table)
            progress.advance()
    return found.finish(manifest, copy, lists_failed=lists_failed)


def count_columns(
    manifest: Manifest, coverage: Coverage, corpus: Corpus, columns: Sequence[str]
) -> dict[str, dict[str, tuple[int, int]]]:
    """Count the rows of a split, and those that are left, by the values of some columns of its corpus.

    Args:
        manifest: The split.
        coverage: What is left of it in a copy.
        corpus: The corpus that the split was made from, which knows the rows that the copy lacks.
        columns: Its columns; a row with a list counts under each entry.

    Returns:
        Rows, and rows that are left, by value, by column.

    Raises:
        Refusal: If there is no such column, or the corpus has not all rows of the split.
    """
    index, there = index_uids(manifest.uids), coverage.there
    seen = np.zeros(len(manifest), dtype=np.bool_)
    counts: dict[str, tuple[Counter[str], Counter[str]]] = {name: (Counter(), Counter()) for name in columns}
    for batch in corpus.batches(columns):
        places = index.find(batch.table["uid"])
        rows = take_new(places, seen)
        left = rows[there[places[rows]]]
        for name, (all_rows, left_rows) in counts.items():
            _count(all_rows, batch.table[name].take(pa.array(rows)))
            _count(left_rows, batch.table[name].take(pa.array(left)))
    if not seen.all():
        raise Refusal(
            f"{corpus.root} lacks {int((~seen).sum()):,} of the {len(seen):,} uids of split {manifest.name!r}: give "
            "the corpus that the split was made from with --original"
        )
    return {
        name: {value: (rows, left_rows[value]) for value, rows in sorted(all_rows.items())}
        for name, (all_rows, left_rows) in counts.items()
    }


def summarise(manifest: Manifest, coverage: Coverage) -> dict[str, Any]:
    """Return what is left of a split as JSON values: rows, ways, reasons, shards and damage."""
    share, interval = coverage.share_of_listed() or (None, None)
    return {
        "split": manifest.name,
        "uids_sha256": manifest.uids_sha256,
        "rows": len(coverage),
        "found": coverage.n_found,
        "share": coverage.n_found / len(coverage),
        "found_by": coverage.count_ways(),
        "missing": coverage.count_reasons(),
        "listed": {
            "rows": coverage.n_listed,
            "failures": coverage.lists_failed,
            "share_found": share,
            "interval_95": None if interval is None else list(interval),
        },
        "shards": {
            shard: {"found": there, "lost": lost} for shard, (there, lost) in coverage.count_shards().items()
        },
        "damaged": [{"file": bad.file, "reason": bad.reason, "rows": bad.rows} for bad in coverage.damaged],
    }


def list_missing(manifest: Manifest, coverage: Coverage) -> Iterator[dict[str, str]]:
    """Give uid, reason and, where the copy lists it, shard of every row that is not there, by uid."""
    for place in np.flatnonzero(~coverage.there).tolist():
        shard = int(coverage.shards[place])
        listed = {"shard": coverage.names[shard]} if shard >= 0 else {}
        yield {
            "uid": manifest.uids[place].as_py(),
            "reason": coverage.reasons.get(place, NOT_LISTED),
            **listed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What was found so far; of two rows that are one of the split's, the one found by its uid, then the first."""

    index: UidIndex
    hashes: HashTable | None
    ways: NDArray[np.int8]
    shards: NDArray[np.int32]
    others: list[tuple[NDArray[np.int64], pa.Array]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    damaged: list[Bad] = field(default_factory=list)

    def add(self, shard: int, table: pa.Table) -> None:
        for way, places in enumerate(self._find(table)):
            rows = np.flatnonzero(places >= 0)
            known = self.ways[places[rows]]
            rows = rows[(known < 0) | (known > way)]
            here, first = np.unique(places[rows], return_index=True)
            self.ways[here], self.shards[here] = way, shard
            if way:
                self.others.append((here, table["uid"].take(pa.array(rows[first])).combine_chunks()))
            if self.reasons:
                for place in here.tolist():
                    self.reasons.pop(place, None)

    def add_failed(self, shard: int, table: pa.Table) -> None:
        reasons = table["reason"].to_pylist()
        for places in self._find(table):
            for row in np.flatnonzero(places >= 0).tolist():
                self._lose(int(places[row]), shard, reasons[row])

    def set_aside(self, shard: int, bad: Sequence[Bad]) -> None:
        known = [one for one in bad if one.uid is not None]
        self.damaged.extend(one for one in bad if one.uid is None)
        for one, place in zip(known, self.index.find([str(one.uid) for one in known]).tolist(), strict=True):
            if place >= 0:
                self._lose(place, shard, f"set aside: {one.reason}")

    def finish(self, manifest: Manifest, copy: Corpus, *, lists_failed: bool) -> Coverage:
        uids = pc.if_else(pa.array(self.ways == 0), manifest.uids, pa.scalar(None, pa.large_string()))
        if self.others:
            entry = np.zeros(len(manifest), dtype=np.int64)
            # Of a row that was found again in a better way the last entry counts.
            places = np.concatenate([places for places, _ in self.others])
            entry[places] = np.arange(len(places))
            by_hash = self.ways > 0
            listed = as_uids(pa.chunked_array([uids for _, uids in self.others]))
            uids = pc.replace_with_mask(uids, pa.array(by_hash), listed.take(pa.array(entry[by_hash])))
        return Coverage(
            uids=uids,
            ways=self.ways,
            shards=self.shards,
            names=copy.shards,
            reasons=self.reasons,
            damaged=tuple(self.damaged),
            lists_failed=lists_failed,
        )

    def _find(self, table: pa.Table) -> list[NDArray[np.int64]]:
        places = [self.index.find(table["uid"])]
        if self.hashes is not None:
            places += self.hashes.find(table["url"], table["caption"])
        return places

    def _lose(self, place: int, shard: int, reason: str) -> None:
        if self.ways[place] < 0 and place not in self.reasons:
            self.shards[place] = shard
            self.reasons[place] = reason


def _count(counts: Counter[str], column: pa.ChunkedArray) -> None:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_flatten(column)
    for value, count in zip(*_value_counts(column), strict=True):
        counts["" if value is None else str(value)] += count


def _value_counts(column: pa.ChunkedArray) -> tuple[list[Any], list[int]]:
    found = pc.value_counts(column)
    return found.field("values").to_pylist(), found.field("counts").to_pylist()
