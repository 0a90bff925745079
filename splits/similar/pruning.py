"""The pruning rules of similarity over the rows of a corpus, from a finished search, and a search of what they keep."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.dedup import DedupPlan, find_duplicates
from oddpair.retrieval.dedup_greedy import fetch_rows
from oddpair.retrieval.embed_layout import SAME_VECTOR
from oddpair.retrieval.neighbour_jobs import THRESHOLDS, distinct_tests
from oddpair.retrieval.scan import Ask, Found, prepare_tests, scan
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.stored import StoredRows, read_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.pool import Pool, pool_of_stored

Mask = NDArray[np.bool_]
Scores = NDArray[np.float32]

_ROWS_AT_ONCE = 1 << 16
_KEPT = "scores.npy"
_DROPPED, _RECALL = "dropped.parquet", "recall.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRows:
    """The rows of a corpus sorted by uid, and those whose uid another row stands for.

    Attributes:
        stored: The embeddings.
        pool: Rows by uid, each uid once, length ``n``.
        repeated: Rows that are not in the pool, shape ``(r,)``.
        places: Place in the pool of the row that stands for each of them, shape ``(r,)``.
    """

    stored: StoredRows
    pool: Pool
    repeated: IntArray
    places: IntArray

    def rows_of(self, mask: Mask) -> IntArray:
        """Return every row whose uid is in a mask over the pool, ascending: also those that another stands for."""
        return np.sort(np.concatenate([self.pool.rows[mask], self.repeated[mask[self.places]]]))

    def by_uid(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the largest value of each uid out of one for each row: what is near by one of its rows is near."""
        found = values[self.pool.rows]
        np.maximum.at(found, self.places, values[self.repeated])
        return found


def read_corpus_rows(stored: StoredRows) -> CorpusRows:
    """Sort the rows of a corpus by uid.

    Raises:
        Refusal: If two rows of one uid have different vectors.
    """
    pool = pool_of_stored(stored)
    repeated = np.empty(0, dtype=np.int64)
    if len(pool) < stored.shape[0]:
        there = np.zeros(stored.shape[0], dtype=np.bool_)
        there[pool.rows] = True
        repeated = np.flatnonzero(~there)
    places = pool.places(stored.uids(repeated)) if len(repeated) else repeated
    return CorpusRows(stored=stored, pool=pool, repeated=repeated, places=places)


def drop_near_duplicates(
    corpus: CorpusRows, threshold: float, work: Path, *, threads: int
) -> tuple[Mask, dict[str, Any] | None]:
    """Mark the rows that stay where near-duplicates leave, see ``find_duplicates``; found once, then read from ``work``.

    Returns:
        The mask over the pool, and what was missed as ``ClusterRecall`` has it; ``None`` where every pair was compared.
    """
    plan, out, parts = DedupPlan(threshold=threshold), work / "duplicates", work / "duplicate-parts"
    if stages.begin(out, {"corpus": corpus.stored.digest, "plan": asdict(plan)}):
        with stages.make(out):
            found = find_duplicates(corpus.stored, plan, parts, threads=threads)
            files.write_table(out / _DROPPED, found.to_table())
            files.write_json(out / _RECALL, found.recall and asdict(found.recall))
    # Now that the result is safe; of millions of rows this is as large as their embeddings.
    shutil.rmtree(parts, ignore_errors=True)
    stays = np.ones(len(corpus.pool), dtype=np.bool_)
    stays[corpus.pool.places(files.read_table(out / _DROPPED, ["uid"])["uid"])] = False
    return stays, files.read_json(out / _RECALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near the rows of a pool are to a test set; both of shape ``(n,)``.

    Attributes:
        score: Cosine similarity to the nearest test image.
        hit: Whether some test image is nearer than its threshold allows; empty where there were no thresholds.
    """

    score: Scores
    hit: Mask


def read_nearness(out: Path, corpus: CorpusRows) -> Nearness:
    """Read what ``find_neighbours`` left in ``out`` of each row of a corpus."""
    sizes = corpus.stored.sizes
    columns = ["score", "hit"] if (out / THRESHOLDS).is_file() else ["score"]
    tables = [
        files.read_table(numbered(out, "rows", shard, len(sizes)), columns) for shard in range(len(sizes))
    ]
    found = pa.concat_tables(tables)
    if len(found) != corpus.stored.shape[0]:
        raise Refusal(
            f"{out} holds {len(found):,} rows, {corpus.stored.folder} {corpus.stored.shape[0]:,}: delete it and run "
            "again"
        )
    hit = corpus.by_uid(found["hit"].to_numpy()) if "hit" in columns else np.empty(0, np.bool_)
    return Nearness(score=corpus.by_uid(found["score"].to_numpy()), hit=hit)


def keep_lowest(scores: Scores, count: int) -> Mask:
    """Mark the ``count`` lowest scores, of equal ones the first: near-pruned, over rows sorted by uid.

    ``~keep_lowest(scores, n - count)`` marks the ``count`` highest, which is far-pruned: the two share no row and
    leave none, and either is nested in ``count``.

    Args:
        scores: Similarity of each row to its nearest test image, without NaN, shape ``(n,)``.
        count: 0 to ``n``.

    References:
        Mayilvahanan et al., Does CLIP's generalization performance mainly stem from high train-test similarity?
        ICLR 2024, arXiv:2310.09562.

    >>> keep_lowest(np.array([0.5, 0.2, 0.5], dtype=np.float32), 2)
    array([ True,  True, False])
    """
    if not 0 <= count <= len(scores):
        raise ValueError(f"found count {count} of {len(scores)} scores, needed 0 to as many")
    if not count:
        return np.zeros(len(scores), dtype=np.bool_)
    cut = np.partition(scores, count - 1)[count - 1]
    kept: Mask = scores < cut
    equal = np.flatnonzero(scores == cut)
    kept[equal[: count - int(np.count_nonzero(kept))]] = True
    return kept


def keep_random(total: int, count: int, rng: np.random.Generator) -> Mask:
    """Mark ``count`` of ``total`` rows, uniformly without replacement; of equal generators, nested in ``count``.

    >>> keep_random(9, 4, np.random.default_rng(0)).sum()
    np.int64(4)
    """
    if not 0 <= count <= total:
        raise ValueError(f"found count {count} of {total} rows, needed 0 to as many")
    kept = np.zeros(total, dtype=np.bool_)
    kept[rng.permutation(total)[:count]] = True
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRows:
    """Some rows of embeddings as rows of their own, read as they are needed; ``rows`` ascends."""

    stored: StoredRows
    rows: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return len(self.rows), self.stored.dimension

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows ``start`` to ``stop`` of the chosen ones."""
        return fetch_rows(self.stored, self.rows[start:stop])

    def uids(self, rows: IntArray) -> list[str]:
        """Return the ids of rows."""
        return self.stored.uids(self.rows[rows])

    def tell_place(self, row: int) -> str:
        """Name the file and row, for an error."""
        return self.stored.tell_place(int(self.rows[row]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TestImages:
    """Images of a test set, each uid once, sorted by uid: ids of length ``m`` and unit rows of shape ``(m, d)``."""

    __test__ = False  # pytest would take the class for a test

    uids: tuple[str, ...]
    image: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.uids)


def read_test_images(
    tests: StoredRows, *, sampled: int | None = None, rng: np.random.Generator | None = None
) -> TestImages:
    """Read the images of a test set, or ``sampled`` of them, drawn by ``rng``."""
    kept, _ = distinct_tests(tests)
    names = tests.uids(kept)
    order = sorted(range(len(names)), key=names.__getitem__)
    if sampled is not None and rng is not None and sampled < len(order):
        order = [order[place] for place in np.sort(rng.permutation(len(order))[:sampled])]
    return TestImages(uids=tuple(names[place] for place in order), image=fetch_rows(tests, kept[order]))


def search_chosen(rows: ChosenRows, tests: TestImages, ask: Ask, *, threads: int, title: str) -> Found:
    """Search some rows of a corpus; see ``scan``."""
    prepared = prepare_tests(tests.image, tests.uids)
    with track(title, len(rows.rows)) as progress:
        return scan(rows, prepared, ask, threads=threads, told=progress.advance)


def find_nearest(rows: ChosenRows, tests: TestImages, k: int, *, threads: int, title: str) -> Scores:
    """Return the scores of each test image's ``k`` nearest of some rows, best first.

    Returns:
        float32, shape ``(m, min(k, uids))``, ``-inf`` where there is no row at all and ``k`` is 1.
    """
    if not len(rows.rows):
        return np.full((len(tests), 1), -np.inf, dtype=np.float32)
    found = search_chosen(rows, tests, Ask(top=k), threads=threads, title=title)
    return found.top.score.reshape(len(tests), -1)


def nearest_of_kept(
    corpus: CorpusRows, mask: Mask, tests: TestImages, out: Path, *, k: int, threads: int
) -> Scores:
    """Return the scores of each test image's ``k`` nearest rows among those kept; found once, then read from ``out``.

    Args:
        corpus: The rows.
        mask: Which of them are kept, over the pool.
        tests: Test images.
        out: Folder of the search.
        k: Rows for each test image.
        threads: Threads; the result does not depend on them.

    Returns:
        As ``find_nearest``.
    """
    made_from = {
        "corpus": corpus.stored.digest,
        "kept": hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(),
        "tests": hashlib.sha256(repr(tests.uids).encode() + tests.image.tobytes()).hexdigest(),
        "k": k,
    }
    if stages.begin(out, made_from):
        with stages.make(out):
            rows = ChosenRows(stored=corpus.stored, rows=corpus.rows_of(mask))
            scores = find_nearest(rows, tests, k, threads=threads, title="search what is kept")
            files.write_array(out / _KEPT, scores)
    return files.read_array(out / _KEPT)


def find_shared(corpus: CorpusRows, reference: StoredRows) -> Mask:
    """Mark the rows of a corpus that are rows of a reference set, by uid.

    Returns:
        Over the pool, shape ``(n,)``.

    Raises:
        Refusal: If a uid is one picture in the corpus and another in the reference set.
    """
    uids = read_uids(reference)
    places = corpus.pool.places(uids)
    rows = np.flatnonzero(places >= 0)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        theirs = rows[start : start + _ROWS_AT_ONCE]
        mine = corpus.pool.rows[places[theirs]]
        apart = fetch_rows(corpus.stored, mine).astype(np.float32) - fetch_rows(reference, theirs)
        wrong = np.flatnonzero(np.linalg.norm(apart, axis=1) > SAME_VECTOR)
        if len(wrong):
            raise Refusal(
                f"uid {uids[int(theirs[wrong[0]])].as_py()} has one vector in "
                f"{corpus.stored.tell_place(int(mine[wrong[0]]))} and another in "
                f"{reference.tell_place(int(theirs[wrong[0]]))}: give the pictures of one of the two uids of their own"
            )
    shared = np.zeros(len(corpus.pool), dtype=np.bool_)
    shared[places[rows]] = True
    return shared


def quantiles(scores: Scores, shares: Sequence[float]) -> list[float]:
    """Return scores that are there, rounded to 4 digits: the smallest that at least a share of all do not exceed.

    >>> quantiles(np.array([0.5, 0.25, 0.75], dtype=np.float32), [0, 0.5, 1])
    [0.25, 0.5, 0.75]
    """
    found = np.quantile(scores.astype(np.float64), shares, method="inverted_cdf")
    return [round(float(score), 4) for score in found]
