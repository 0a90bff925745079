"""Near-duplicates: those within a corpus, each dropped for a kept row, and those across two sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.dedup_clusters import ClusterPlan, ClusterRecall, drop_in_clusters
from oddpair.retrieval.dedup_greedy import BLOCK, Drops, drop_duplicates, fetch_rows
from oddpair.retrieval.pairs import Pairs, join
from oddpair.retrieval.repeats import count_repeats
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import StoredRows, read_uids
from oddpair.retrieval.uid_order import sort_uids
from oddpair.retrieval.unit_rows import IntArray, UnitRows

_UIDS_AT_ONCE = 1 << 16
_TESTS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupPlan:
    """How near-duplicates are found.

    Attributes:
        threshold: Cosine similarity above which, strictly, a row is a near-duplicate; rounded to float32 as
            scores are.
        exact_rows: Rows up to which every pair is compared; of more, only pairs within one cluster.
        cluster_rows: Mean rows of a cluster.
        sampled: Rows whose neighbours in all the corpus measure what the clusters missed.
        seed: Of the sample that the clusters are made from, and of the one that measures them.
        block: Rows compared at once with those kept before; the result does not depend on it.
    """

    threshold: float
    exact_rows: int = 5_000_000
    cluster_rows: int = 65_536
    sampled: int = 20_000
    seed: int = 0
    block: int = BLOCK

    def __post_init__(self) -> None:
        if not -1 <= self.threshold < 1:
            raise Refusal(
                f"threshold {self.threshold:g}, needed a cosine similarity from -1 to below 1, such as 0.95"
            )
        if min(self.exact_rows, self.cluster_rows, self.sampled, self.block) < 1:
            raise ValueError(f"{self}: rows, needed 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """A corpus sorted by uid, and which of its rows are near-duplicates of others.

    Attributes:
        uids: Each once, sorted, length ``n``.
        rows: Row of each in the corpus, shape ``(n,)``.
        drops: What is dropped, and for which witness, by place in ``uids``.
        repeated: Rows left out beforehand, because another row has their uid and vector.
        recall: What was missed between clusters; ``None`` where every pair was compared.
    """

    uids: pa.Array
    rows: IntArray
    drops: Drops
    repeated: int
    recall: ClusterRecall | None

    @property
    def kept(self) -> pa.Array:
        """The uids that stay, sorted."""
        mask = np.ones(len(self.uids), dtype=np.bool_)
        mask[self.drops.row] = False
        return self.uids.filter(pa.array(mask))

    @property
    def groups(self) -> tuple[IntArray, IntArray]:
        """Kept rows that stand for others, by place in ``uids``, and how many rows each stands for, itself included."""
        witness, copies = np.unique(self.drops.witness, return_counts=True)
        return witness, copies + 1

    def to_table(self) -> pa.Table:
        """Return the dropped uids, sorted, with their witnesses and scores."""
        return pa.table(
            {
                "uid": self.uids.take(pa.array(self.drops.row)),
                "witness": self.uids.take(pa.array(self.drops.witness)),
                "score": pa.array(self.drops.score, pa.float32()),
            }
        )


def find_duplicates(rows: StoredRows, plan: DedupPlan, parts: Path, *, threads: int = 1) -> Duplicates:
    """Find the near-duplicates within a corpus, greedily in the order of uids.

    A row is dropped if its score with a *kept* row of smaller uid is above the threshold; its witness is the
    nearest such row, of equals the one of smaller uid. So no two kept rows are above the threshold, and each
    dropped row has a kept witness that is. (The rule of the paper lets a dropped row drop others: of a chain
    a, b, c, where a is near b and b near c but not a near c, it keeps a alone.)

    Every pair is compared in a corpus of up to ``exact_rows``. Beyond, pairs of rows in different clusters are
    not, and what that misses is measured. Some 50 bytes a row are held in memory; the rows themselves are not,
    but while this runs kept ones, or with clusters all, lie in ``parts`` a second time.

    Args:
        rows: Embeddings of pictures.
        plan: Threshold and limits.
        parts: Folder for what is decided so far: a killed run goes on from there. When the result is safe,
            the caller deletes it.
        threads: Threads; the result does not depend on them.

    Returns:
        The corpus's uids, and which are dropped.

    Raises:
        Refusal: If a row is not of length 1, rows of one uid have different vectors, or ``parts`` is of
            another plan or corpus.

    References:
        Abbas et al., "SemDeDup", arXiv:2303.09540, and Mayilvahanan et al., arXiv:2310.09562, whose threshold
        on LAION-400M is 0.876.
    """
    if rows.kind != "img_emb":
        raise ValueError(f"rows of {rows.kind}, needed img_emb: a uid names a picture")
    uids, order, repeated = sort_by_uid(rows)
    made_from = {"embeddings": rows.digest, "first": rows.first, "last": rows.last, "plan": asdict(plan)}
    stages.begin(parts, made_from)
    recall = None
    if len(order) <= plan.exact_rows:
        with track("compare", len(order) * (len(order) - 1) // 2, unit="pairs") as progress:
            drops = drop_duplicates(
                rows,
                order,
                plan.threshold,
                parts,
                threads=threads,
                block=plan.block,
                progress=progress,
            )
    else:
        clusters = ClusterPlan(
            clusters=-(-len(order) // plan.cluster_rows),
            sampled=plan.sampled,
            seed=plan.seed,
            block=plan.block,
        )
        drops, recall = drop_in_clusters(rows, order, plan.threshold, parts, clusters, threads=threads)
    return Duplicates(uids=uids, rows=order, drops=drops, repeated=repeated, recall=recall)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossDuplicates:
    """Near-duplicates across a corpus and a test set.

    Attributes:
        rows: ``uid`` of each corpus picture that scores above the threshold with a test picture, the nearest
            ``test`` (of equals the one of smaller uid) and their ``score``; by test, best first, then by uid.
        tests: ``test`` picture by uid, each that scores above the threshold with a corpus picture, with the nearest
            of these, ``uid``, and their ``score``.
    """

    rows: pa.Table
    tests: pa.Table


def cross_duplicates(
    corpus: UnitRows,
    tests: UnitRows,
    threshold: float,
    *,
    threads: int = 1,
    told: Callable[[int], None] | None = None,
) -> CrossDuplicates:
    """Find the corpus pictures, and the test pictures, whose score with one of the others is above a threshold, strictly.

    Memory grows with the rows of both, not with the pairs above the threshold.

    Args:
        corpus: float16 unit rows.
        tests: float16 unit rows of the same encoder.
        threshold: Cosine similarity.
        threads: Threads.
        told: Called with the number of pairs that were compared.

    Returns:
        The pictures of either set, each with its nearest of the other; a uid of several rows comes once, with the
        best score of them.

    Raises:
        Refusal: If a row is not of length 1.
        ValueError: If the two have different dimensions.

    >>> from oddpair.retrieval.unit_rows import HeldRows
    >>> rows = np.array([[0, 1], [0.6, 0.8]], dtype=np.float16)
    >>> cross_duplicates(HeldRows(rows, ["a", "b"]), HeldRows(rows[:1], ["t"]), 0.9).rows.to_pylist()
    [{'test': 't', 'uid': 'a', 'score': 1.0}]
    """
    if corpus.shape[1] != tests.shape[1]:
        raise ValueError(f"corpus of dimension {corpus.shape[1]}, tests of {tests.shape[1]}: needed the same")
    limit = np.float32(threshold)
    order = pc.array_sort_indices(_read_uids(tests, np.arange(tests.shape[0]))).to_numpy().astype(np.int64)
    score = np.full(corpus.shape[0], limit, dtype=np.float32)
    nearest = np.full(corpus.shape[0], -1, dtype=np.int64)
    best = []
    for start in range(0, len(order), _TESTS_AT_ONCE):
        numbers = order[start : start + _TESTS_AT_ONCE]
        prepared = prepare_tests(fetch_rows(tests, numbers), tests.uids(numbers))
        found = scan(corpus, prepared, Ask(nearest=True, top=1), threads=threads)
        # Tests come by uid, so of equal scores the one found before stays.
        better = found.score > score
        score[better], nearest[better] = found.score[better], numbers[found.test[better]]
        top = found.top.take(np.flatnonzero(found.top.score > limit))
        best.append(Pairs(test=numbers[top.test], row=top.row, score=top.score))
        if told:
            told(corpus.shape[0] * len(numbers))
    hit = np.flatnonzero(nearest >= 0)
    rows = _name_pairs(corpus, tests, Pairs(test=nearest[hit], row=hit, score=score[hit]))
    rows = _first_of_each(rows, "uid", "test")
    order_told = [("test", "ascending"), ("score", "descending"), ("uid", "ascending")]
    return CrossDuplicates(
        rows=rows.sort_by(order_told),
        tests=_first_of_each(_name_pairs(corpus, tests, join(best)), "test", "uid"),
    )


def sort_by_uid(rows: StoredRows) -> tuple[pa.Array, IntArray, int]:
    """Sort a corpus by uid, each once; of rows that share one, one stands for all.

    Args:
        rows: Embeddings of pictures.

    Returns:
        The uids in the order of their code points, the row of each, and how many rows are left out.

    Raises:
        Refusal: If rows of one uid have different vectors.
    """
    total = rows.shape[0]
    uids, order = sort_uids(read_uids(rows))
    same = pc.equal(uids[1:], uids[:-1]).to_numpy(zero_copy_only=False).astype(np.bool_)
    if not same.any():
        return uids, order, 0
    count_repeats(rows)  # refuses different vectors of one uid
    first = ~np.concatenate([[False], same])
    starts = np.flatnonzero(first)
    shared = np.diff(np.append(starts, total)) > 1
    order[starts[shared]] = _smallest_of_each(rows, order, starts, shared)
    return uids.filter(pa.array(first)), order[first], int(same.sum())


def _smallest_of_each(
    rows: StoredRows, order: IntArray, starts: IntArray, shared: NDArray[np.bool_]
) -> IntArray:
    """Of each uid that several rows share, choose a row by its vector: no order of shards changes that."""
    counts = np.diff(np.append(starts, len(order)))
    members = order[np.repeat(shared, counts)]
    marks = np.empty(len(members), dtype="S32")
    for start in range(0, len(members), _UIDS_AT_ONCE):
        vectors = fetch_rows(rows, members[start : start + _UIDS_AT_ONCE])
        marks[start : start + len(vectors)] = [
            hashlib.blake2b(vector.tobytes(), digest_size=16).hexdigest() for vector in vectors
        ]
    groups = np.repeat(np.arange(int(shared.sum())), counts[shared])
    foremost = np.cumsum(counts[shared]) - counts[shared]
    chosen: IntArray = members[np.lexsort((marks, groups))[foremost]]
    return chosen


def _read_uids(rows: UnitRows, wanted: IntArray) -> pa.Array:
    """Read uids some at a time: as Python strings, those of millions of rows would take gigabytes."""
    chunks = [
        pa.array(rows.uids(wanted[start : start + _UIDS_AT_ONCE]), pa.large_string())
        for start in range(0, len(wanted), _UIDS_AT_ONCE)
    ]
    return pa.chunked_array(chunks, pa.large_string()).combine_chunks()


def _name_pairs(corpus: UnitRows, tests: UnitRows, pairs: Pairs) -> pa.Table:
    columns = {
        "test": _read_uids(tests, pairs.test).cast(pa.string()),
        "uid": _read_uids(corpus, pairs.row).cast(pa.string()),
        "score": pa.array(pairs.score, pa.float32()),
    }
    return pa.table(columns)


def _first_of_each(pairs: pa.Table, mine: str, other: str) -> pa.Table:
    """Of pairs with one uid keep the best, of equals the one whose other uid is smaller; by uid."""
    ordered = pairs.sort_by([(mine, "ascending"), ("score", "descending"), (other, "ascending")])
    uids = ordered[mine].combine_chunks()
    first = np.ones(len(uids), dtype=np.bool_)
    first[1:] = pc.not_equal(uids[1:], uids[:-1]).to_numpy(zero_copy_only=False)
    return ordered.filter(pa.array(first))
