"""One job of the search for neighbours: some shards against all test images, and how its findings are merged."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.scan import Ask, FirstPass, Found, PreparedTests, Work, prepare_tests, scan
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.stored import StoredRows, identify_folder
from oddpair.retrieval.unit_rows import IntArray, find_bad_row
from oddpair.workers import note_done

THRESHOLDS = "thresholds.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Some shards of a corpus to search, and with what; as plain data, for a worker that opens the files itself.

    Attributes:
        corpus: The shards.
        tests: The test images.
        first_pass: How candidates are chosen; the result does not depend on it.
        device: Where.
        threads: Threads of this search.
    """

    corpus: StoredRows
    tests: StoredRows
    first_pass: FirstPass
    device: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourJob:
    """One search and where its findings go.

    Attributes:
        search: The search.
        out: Folder of the whole run.
        k: Corpus rows to keep for each test image.
        has_thresholds: Whether the folder holds a threshold for each test image.
        index: Number of the job.
        n_jobs: Jobs of the run.
    """

    search: Search
    out: Path
    k: int
    has_thresholds: bool
    index: int
    n_jobs: int

    @property
    def partial(self) -> Path:
        """The file that is written last: with it the job is complete."""
        return numbered(self.out, "top", self.index, self.n_jobs)

    @property
    def shards(self) -> range:
        """Numbers of its shards in the whole corpus."""
        return shards_of(self.search.corpus)

    def rows(self, shard: int) -> Path:
        """Where the neighbours of the rows of a shard go."""
        return numbered(self.out, "rows", shard, len(self.search.corpus.sizes))


def shards_of(stored: StoredRows) -> range:
    """Return the numbers of the shards in the whole folder."""
    return range(len(stored.sizes))[stored.first : stored.last]


def distinct_tests(tests: StoredRows) -> tuple[IntArray, IntArray]:
    """Return the rows of the test images, each uid once, and for every row the place among them of its uid.

    Of rows that share a uid the one with the smallest bytes stands for all: no order of shards changes that.
    """
    total = tests.shape[0]
    members: dict[str, list[int]] = {}
    for row, uid in enumerate(tests.uids(np.arange(total))):
        members.setdefault(uid, []).append(row)
    kept = [rows[0] for rows in members.values()]
    group = np.arange(total)
    if len(members) < total:
        vectors = tests.read(0, total)
        kept = [min(rows, key=lambda row: vectors[row].tobytes()) for rows in members.values()]
        for place, rows in enumerate(members.values()):
            group[rows] = place
    return np.array(kept, dtype=np.int64), group


def find_in_shards(job: NeighbourJob) -> Work:
    """Search some shards, and write the neighbours of their rows and, last, their rows nearest to each test image.

    Args:
        job: What to search.

    Returns:
        The work that it was.

    Raises:
        Refusal: If a folder has changed since the run began, or a row is no unit row.
    """
    above = None
    if job.has_thresholds:
        above = files.read_table(job.out / THRESHOLDS, ["threshold"])["threshold"].to_numpy()
    found, tests = _scan(job.search, Ask(nearest=True, top=job.k, above=above))
    names = pa.array(tests.uids, pa.string())
    corpus, start = job.search.corpus, 0
    for shard in job.shards:
        part = slice(start, start + corpus.sizes[shard])
        columns = {
            "uid": _uids(corpus, shard),
            "score": pa.array(found.score[part]),
            "test": names.take(pa.array(found.test[part])),
        }
        if job.has_thresholds:
            columns["hit"] = pa.array(found.hit[part])
        files.write_table(job.rows(shard), pa.table(columns))
        start = part.stop
    top = {
        "test": pa.array(found.top.test),
        "row": pa.array(found.top.row + corpus.start),
        "uid": pa.array(corpus.uids(found.top.row), pa.string()),
        "score": pa.array(found.top.score),
    }
    files.write_table(job.partial, pa.table(top))
    return found.work


def find_best_scores(search: Search) -> NDArray[np.float32]:
    """Return the largest score of each test image over some shards, -1 or less where they have no row."""
    found, tests = _scan(search, Ask(top=1))
    scores = np.full(len(tests.uids), -np.inf, dtype=np.float32)
    scores[found.top.test] = found.top.score
    return scores


def merge_tops(merged: pa.Table, more: pa.Table, *, k: int, tests: int) -> pa.Table:
    """Return the ``k`` best rows for each test image out of two such tables, one uid once.

    Associative and commutative up to the order of rows, which ``sort_tops`` settles.

    Args:
        merged: Columns ``test`` (its number), ``row`` of the whole corpus, ``uid`` and ``score``.
        more: The same of other shards.
        k: Rows to keep for each test image.
        tests: Number of test images.
    """
    test, score = merged["test"].to_numpy(), merged["score"].to_numpy()
    floor = np.full(tests, np.inf, dtype=np.float32)
    np.minimum.at(floor, test, score)
    floor[np.bincount(test, minlength=tests) < k] = -np.inf
    # Few rows of later shards get among the best: only the test images that gain one are sorted again.
    more = more.filter(pa.array(more["score"].to_numpy() >= floor[more["test"].to_numpy()]))
    gains = np.zeros(tests, dtype=np.bool_)
    gains[more["test"].to_numpy()] = True
    changes = gains[test]
    ordered = sort_tops(pa.concat_tables([merged.filter(pa.array(changes)), more]))
    names = pc.dictionary_encode(ordered["uid"].combine_chunks())
    pairs = ordered["test"].to_numpy() * len(names.dictionary) + names.indices.to_numpy()
    once = ordered.take(pa.array(np.sort(np.unique(pairs, return_index=True)[1])))
    best = once.filter(pa.array(places(once["test"].to_numpy()) <= k))
    return pa.concat_tables([merged.filter(pa.array(~changes)), best]).combine_chunks()


def sort_tops(top: pa.Table) -> pa.Table:
    """Sort by test image, then score descending, then uid; of rows with the same uid the first comes first."""
    names = {"test": "ascending", "score": "descending", "uid": "ascending", "row": "ascending"}
    return top.sort_by(list(names.items()))


def places(test: IntArray) -> IntArray:
    """Number the rows of each test image from 1, in a sorted column.

    >>> places(np.array([0, 0, 0, 2, 2])).tolist()
    [1, 2, 3, 1, 2]
    """
    return np.arange(1, len(test) + 1) - np.searchsorted(test, test)


def _scan(search: Search, ask: Ask) -> tuple[Found, PreparedTests]:
    _require_unchanged(search.corpus)
    tests = _prepare(search.tests, search.first_pass, search.device)
    # Not how many rows are done, which may be as many each time: a number that changes is the sign of life.
    blocks = itertools.count()
    return scan(
        search.corpus, tests, ask, threads=search.threads, told=lambda _: note_done(next(blocks))
    ), tests


# Jobs of one worker have the same test images.
@functools.lru_cache(maxsize=1)
def _prepare(tests: StoredRows, first_pass: FirstPass, device: str) -> PreparedTests:
    _require_unchanged(tests)
    kept, _ = distinct_tests(tests)
    rows = tests.read(0, tests.shape[0]).astype(np.float32)
    bad = find_bad_row(rows)
    if bad is not None:
        raise Refusal(
            f"{tests.tell_place(bad[0])} has length {bad[1]:.4g}, needed 1: embed again, or leave the row out"
        )
    return prepare_tests(rows[kept], tests.uids(kept), first_pass=first_pass, device=device)


def _require_unchanged(stored: StoredRows) -> None:
    if identify_folder(stored.folder) != stored.digest:
        raise Refusal(
            f"{stored.folder} does not hold what the run began with: see that nobody writes to the folder and that all "
            "machines see the same one, then run again"
        )


def _uids(corpus: StoredRows, shard: int) -> pa.ChunkedArray:
    # As they lie on disk: a shard may have a million, too many for a list of Python's strings.
    path = part_path(corpus.folder, "metadata", shard, len(corpus.sizes))
    found = files.read_table(path, ["uid"])["uid"]
    if len(found) != corpus.sizes[shard]:
        raise Refusal(f"{path} has {len(found)} rows, its manifest says {corpus.sizes[shard]}: embed again")
    return found.cast(pa.string())
