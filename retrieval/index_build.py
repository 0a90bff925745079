"""Building an index of stored rows for repeated queries, its recall measured against the exact search."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.index import FloatArray, faiss_threads, nearest_lists, search_index
from oddpair.retrieval.index_file import IndexCard, Recall, RowIndex, Share, hold_index, write_index
from oddpair.retrieval.pairs import Pairs
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import Side, StoredRows, open_stored
from oddpair.retrieval.unit_rows import IntArray, find_bad_row

# faiss's k-means asks for 39 rows a list at the least.
_FEWEST_A_LIST = 39
_TRAINED_A_LIST = 50
# A constant, because rounding, and with it the list of a row between two, may depend on how many are added at once.
_ROWS_AT_ONCE = 1 << 14
_NEIGHBOURS = 10
# Recall@10 that is aimed at. Looking through more than a quarter of many lists saves too little to be worth a miss.
_GOAL = 0.99
_FEW_LISTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Queries, the uid that each is not to find (its own, or none), and the rows that it should find, best first."""

    queries: FloatArray
    own: Sequence[str | None]
    true: Sequence[IntArray]

    def only(self, places: IntArray) -> _Trial:
        """Return some of the queries."""
        return _Trial(
            queries=self.queries[places],
            own=[self.own[place] for place in places.tolist()],
            true=[self.true[place] for place in places.tolist()],
        )


def build_index(
    stored: StoredRows,
    out: Path,
    *,
    lists: int | None = None,
    probes: int | None = None,
    sample: int = 1000,
    seed: int = 0,
    threads: int = 1,
) -> RowIndex:
    """Build an IVF index of stored rows, measure its recall and write both.

    The rows are sorted into lists around the centres of a k-means, in float16 as they are stored. All of them are
    held in memory, at most twice while the lists grow, and nothing else of that size. With one list the search
    is exact.

    Args:
        stored: The rows.
        out: Folder to write; an index that is there is replaced.
        lists: Lists; by default the power of two next to ``4 sqrt(n)``, or less for want of rows.
        probes: Lists that a search looks through; by default as many as make recall@10 0.99 for each kind of queries,
            up to a quarter of the lists, or up to 64.
        sample: Rows that are asked for as queries, each without itself; and as many captions, where the folder has
            embeddings of pictures and captions, because texts lie elsewhere than pictures and find less. Probes are
            chosen with as many others; a corpus of fewer than both is halved.
        seed: Seed of the sample and of the k-means.
        threads: Threads; the index does not depend on them.

    Returns:
        The index, in memory.

    Raises:
        Refusal: If there are no rows, fewer rows than lists or lists than probes, a row is not of length 1, or a file
            cannot be written.
        ValueError: If the sample is empty.

    References:
        Sivic and Zisserman, ICCV 2003; Johnson, Douze and Jegou, arXiv:1702.08734.
    """
    total, dimension = stored.shape
    if not total:
        raise Refusal(
            f"{stored.folder} has no rows, an index needs one at the least: embed a corpus that has some"
        )
    lists = choose_lists(total) if lists is None else lists
    if not 1 <= lists <= total:
        raise Refusal(f"{lists:,} lists for {total:,} rows of {stored.folder}: give 1 to {total:,} lists")
    if probes is not None and not 1 <= probes <= lists:
        raise Refusal(f"{probes:,} probes of {lists:,} lists: give 1 to {lists:,} probes")
    if sample < 1:
        raise ValueError(f"sample is {sample}, needed 1 or more")
    rng = np.random.default_rng(seed)
    drawn = [
        (rows, rng.choice(total, min(2 * sample, total), replace=False)) for rows in _kinds_of_queries(stored)
    ]
    with faiss_threads(threads):
        held = _train(stored, lists, rng)
        with track("index", total) as progress:
            for block in _blocks(stored):
                held.add(block)
                progress.advance(len(block))
    card = IndexCard(
        kind=stored.kind,
        rows=total,
        start=stored.start,
        dimension=dimension,
        lists=lists,
        probes=probes or lists,
        seed=seed,
        encoder_sha256=stored.encoder,
        embeddings_sha256=stored.digest,
        recall={},
    )
    index = hold_index(card, held)
    trials: dict[str, _Trial] = {}
    if probes is None:
        # Queries that chose the probes would find more with them than others do.
        probes = 1
        for rows, chosen in drawn:
            half = len(chosen) // 2
            trial = _make_trial(rows, chosen, stored, threads)
            probes = max(probes, _choose_probes(index, trial.only(np.arange(max(1, half)))))
            trials[rows.kind] = trial.only(np.arange(half, len(chosen)))
    else:
        trials = {rows.kind: _make_trial(rows, chosen[-sample:], stored, threads) for rows, chosen in drawn}
    card = replace(card, probes=probes)
    index = replace(index, card=card)
    recall: dict[str, Recall] = {
        name: _measure(index, stored, trial, threads) for name, trial in trials.items()
    }
    index = replace(index, card=replace(card, recall=recall))
    write_index(out, index)
    return index


def choose_lists(rows: int) -> int:
    """Return the power of two next to ``4 sqrt(rows)``, or the largest with enough rows a list for a k-means.

    >>> [choose_lists(rows) for rows in (1, 100, 10_000, 1_000_000)]
    [1, 2, 256, 4096]
    """
    wanted = round(math.log2(4 * math.sqrt(rows)))
    most = math.floor(math.log2(max(1, rows // _FEWEST_A_LIST)))
    return 1 << min(wanted, most)


def interval_of(shares: NDArray[np.float64]) -> Share:
    """Return the mean of shares, one a query, with the ends of a 95 % interval.

    Clopper and Pearson's limits for as many trials as there are queries: exact where each share is 0 or 1. Of all
    shares with one mean those vary the most, so that for others the interval is too wide in practice; that it
    always is has not been proven.

    Args:
        shares: Each in [0, 1], shape ``(n,)``.

    References:
        Clopper and Pearson, Biometrika 26(4), 1934.

    >>> share = interval_of(np.array([1.0, 1.0, 1.0, 0.5]))
    >>> share.value, round(share.low, 3), round(share.high, 4)
    (0.875, 0.284, 0.9999)
    """
    right, trials = float(shares.sum()), len(shares)
    low, high = (clopper_pearson(right, trials, 0.975, side) for side in ("lower", "upper"))
    return Share(value=right / trials, low=low, high=high)


def _kinds_of_queries(stored: StoredRows) -> Iterator[StoredRows]:
    """Yield the rows themselves, and captions of pictures or pictures of captions where those are embedded too."""
    yield stored
    other: Side = "text_emb" if stored.kind == "img_emb" else "img_emb"
    manifest = files.read_json(stored.folder / "manifest.json")
    if manifest["dimensions"].get(other) == stored.dimension:
        yield open_stored(stored.folder, other).only(stored.first, stored.last)


def _make_trial(asked: StoredRows, rows: IntArray, stored: StoredRows, threads: int) -> _Trial:
    """Search exactly with some rows, in the order given."""
    queries = np.empty((len(rows), asked.shape[1]), dtype=np.float16)
    for place in np.argsort(rows).tolist():  # the order in which they are stored
        queries[place] = asked.read(int(rows[place]), int(rows[place]) + 1)[0]
    tests = prepare_tests(queries, [f"{place:020d}" for place in range(len(rows))])
    with track(f"nearest rows of {len(rows):,} of {asked.kind}", stored.shape[0]) as progress:
        top = scan(stored, tests, Ask(top=_NEIGHBOURS + 1), threads=threads, told=progress.advance).top
    own = stored.uids(rows) if asked.kind == stored.kind else [None] * len(rows)
    return _Trial(queries=queries.astype(np.float32), own=own, true=_nearest_others(stored, top, own))


def _nearest_others(stored: StoredRows, top: Pairs, own: Sequence[str | None]) -> list[IntArray]:
    """Return the ten best rows of each query, without its own."""
    uids = stored.uids(top.row)
    other = np.array([uid != own[test] for uid, test in zip(uids, top.test, strict=True)], dtype=np.bool_)
    rows, tests = top.row[other], top.test[other]
    ends = np.searchsorted(tests, np.arange(len(own) + 1))
    return [rows[start:end][:_NEIGHBOURS] for start, end in pairwise(ends.tolist())]


def _choose_probes(index: RowIndex, trial: _Trial) -> int:
    """Return how few lists hold the share of the true neighbours that is aimed at, or the most that pays."""
    lists = index.card.lists
    # faiss keeps list and place in it as one number.
    homes = [[index.held.direct_map.get(row) >> 32 for row in true.tolist()] for true in trial.true]

    def share_within(probes: int) -> float:
        near = nearest_lists(index, trial.queries, probes)
        shares = [np.isin(home, mine).mean() if home else 1.0 for home, mine in zip(homes, near, strict=True)]
        return float(np.mean(shares))

    most = min(lists, max(_FEW_LISTS, lists // 4))
    return 1 + bisect_left(range(1, most), _GOAL, key=share_within)


def _measure(index: RowIndex, stored: StoredRows, trial: _Trial, threads: int) -> Recall:
    """Compare what an index finds with what there is; a query that has no neighbour misses none."""
    top = search_index(index, stored, trial.queries, k=_NEIGHBOURS + 1, threads=threads)
    pairs = list(zip(_nearest_others(stored, top, trial.own), trial.true, strict=True))
    at_1 = [float(np.array_equal(mine[:1], true[:1])) for mine, true in pairs]
    at_10 = [np.isin(true, mine).mean() if len(true) else 1.0 for mine, true in pairs]
    return Recall(queries=len(pairs), at_1=interval_of(np.array(at_1)), at_10=interval_of(np.array(at_10)))


def _train(stored: StoredRows, lists: int, rng: np.random.Generator) -> Any:
    """Return an empty faiss index whose lists have their centres."""
    total, dimension = stored.shape
    # From all over the folder: neighbouring rows of a corpus are often alike.
    chosen = np.sort(rng.choice(total, min(total, _TRAINED_A_LIST * lists), replace=False))
    rows = np.empty((len(chosen), dimension), dtype=np.float32)
    start = filled = 0
    for block in _blocks(stored):
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(block))] - start
        rows[filled : filled + len(inside)] = block[inside]
        start, filled = start + len(block), filled + len(inside)
    faiss = load_faiss()
    # Not of what is left of a row when its centre is taken away: float16 holds the rows without loss, not the rest.
    by_residual = False
    held = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        by_residual,
    )
    held.cp.spherical = True
    held.cp.seed = int(rng.integers(2**31))
    held.cp.min_points_per_centroid = 1
    held.train(rows)
    return held


def _blocks(stored: StoredRows) -> Iterator[FloatArray]:
    """Read all rows, some at a time.

    Raises:
        Refusal: If a row is not of length 1.
    """
    for start in range(0, stored.shape[0], _ROWS_AT_ONCE):
        rows = stored.read(start, min(start + _ROWS_AT_ONCE, stored.shape[0])).astype(np.float32)
        bad = find_bad_row(rows)
        if bad is not None:
            raise Refusal(f"{stored.tell_place(start + bad[0])} has length {bad[1]:g}, needed 1: embed again")
        yield rows
