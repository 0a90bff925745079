"""The streamed pass: one look at each tile of scores answers every question about its rows and its tests.

For each corpus row the nearest test and whether it passes a threshold, for each test its nearest corpus rows, from
the same tiles, over rows that are read as they are needed. A fast first pass with a computed error bound chooses
candidates (``retrieval/kernel``); every score that is reported, and every tie and decision, is exact.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.pairs import Pairs, join
from oddpair.retrieval.top import TopRows
from oddpair.retrieval.unit_rows import UnitRows, find_bad_row

if TYPE_CHECKING:
    from oddpair.retrieval.kernel.block import Block, Finder

FirstPass = Literal["auto", "float32", "bfloat16", "int8"]

# glibc learns from pieces up to 32 MB.
_JUST_BELOW_LIMIT = 31 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a scan shall find.

    Attributes:
        nearest: For each corpus row its largest score and the test that has it.
        top: For each test so many best corpus rows.
        above: A threshold for each test, float32, shape ``(m,)``: which corpus rows score above it, strictly, with
            any test.
        pairs: List every pair above its threshold, rather than mark the rows.

    Raises:
        ValueError: If nothing is asked for, pairs without a threshold, or a threshold is NaN.
    """

    nearest: bool = False
    top: int = 0
    above: NDArray[np.float32] | None = None
    pairs: bool = False

    def __post_init__(self) -> None:
        if self.top < 0:
            raise ValueError(f"found top {self.top}, needed 0 or more")
        if not self.nearest and not self.top and self.above is None:
            raise ValueError("found nothing asked for, needed nearest, top or above")
        if self.above is not None and np.isnan(self.above).any():
            raise ValueError("found a threshold of NaN, needed numbers")
        if self.pairs and self.above is None:
            raise ValueError("found pairs without above, needed a threshold for each test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How many pairs there were, how many were scored again in float32, and how many of these exactly."""

    pairs: int = 0
    refined: int = 0
    exact: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a scan found; arrays of what was not asked for are empty.

    Attributes:
        score: Largest score of each corpus row, float32, shape ``(n,)``.
        test: The test that has it, of equal ones that of the smaller uid, int64, shape ``(n,)``.
        hit: Whether some score of the row is above its test's threshold, shape ``(n,)``.
        top: Best rows of each test, by test, then score descending, then uid; each uid once a test.
        pairs: Pairs above their threshold, by row, then test.
        work: What it took; it depends on the first pass and on threads, nothing else does.
    """

    score: NDArray[np.float32]
    test: NDArray[np.int64]
    hit: NDArray[np.bool_]
    top: Pairs
    pairs: Pairs
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTests:
    """Tests as a scan multiplies them: made once, used for any number of scans.

    Attributes:
        rows: Unit rows, float32, shape ``(m, d)``.
        uids: Their ids, length ``m``.
        rank: Place of each in the order of ids, shape ``(m,)``.
        finder: The first pass.
    """

    rows: NDArray[np.float32]
    uids: tuple[str, ...]
    rank: NDArray[np.int64]
    finder: Finder


def prepare_tests(
    rows: NDArray[Any],
    uids: Sequence[str],
    *,
    first_pass: FirstPass = "auto",  # noqa: S107
    device: str = "cpu",
) -> PreparedTests:
    """Check tests and lay them out for the first pass.

    Args:
        rows: Unit rows, float16 or float32, shape ``(m, d)``.
        uids: Their ids, length ``m``.
        first_pass: ``"auto"`` is the fastest that this machine has the instructions for; found is the same.
        device: ``"cpu"``, or ``"cuda"`` or ``"cuda:1"`` for the first pass, which is then one of float16.

    Returns:
        The tests, to be given to ``scan``.

    Raises:
        Refusal: If a row is not finite or not of length 1, or there is no such device.
        ValueError: If there is none, or not as many ids.
    """
    from oddpair.retrieval.kernel.block import TileFinder
    from oddpair.retrieval.kernel.device import DeviceFinder
    from oddpair.retrieval.kernel.passes import make_pass

    if rows.ndim != 2 or not rows.size or len(rows) != len(uids):
        raise ValueError(
            f"found tests of shape {rows.shape} and {len(uids)} uids, needed (m, d), m > 0, and m"
        )
    tests = np.ascontiguousarray(rows, dtype=np.float32)
    bad = find_bad_row(tests)
    if bad is not None:
        row, length = bad
        raise Refusal(
            f"test {row} ({uids[row]}) has length {length:.4g}, needed 1: normalise the rows, and leave out those "
            "of zeros or NaN"
        )
    rank = np.empty(len(uids), dtype=np.int64)
    rank[sorted(range(len(uids)), key=uids.__getitem__)] = np.arange(len(uids))
    on_device = device != "cpu"
    if on_device:
        _require_gpu(device)
    return PreparedTests(
        rows=tests,
        uids=tuple(uids),
        rank=rank,
        finder=DeviceFinder(tests, device) if on_device else TileFinder(make_pass(tests, first_pass)),
    )


def scan(
    corpus: UnitRows,
    tests: PreparedTests,
    ask: Ask,
    *,
    threads: int = 1,
    told: Callable[[int], None] | None = None,
) -> Found:
    """Find in one pass what is asked for, exactly.

    Memory does not grow with the corpus, but for what is asked for of each row. What is found does not depend on
    threads, on the first pass or on how rows are read.

    Args:
        corpus: Unit rows.
        tests: Of ``prepare_tests``.
        ask: What to find.
        threads: Threads, each with rows of its own.
        told: Called with how many rows more are done, by any thread.

    Returns:
        What was found; nothing in a corpus of no rows.

    Raises:
        Refusal: If a corpus row is not finite or not of length 1.
        ValueError: If dimensions or shapes do not agree.

    References:
        The pruning rules are those of Mayilvahanan et al., arXiv:2310.09562, whose code this replaces.

    >>> from oddpair.retrieval.unit_rows import HeldRows
    >>> tests = prepare_tests(np.eye(2, dtype=np.float32), ["a", "b"])
    >>> corpus = HeldRows(np.array([[0, 1], [0.6, 0.8]], dtype=np.float32), ["x", "y"])
    >>> found = scan(corpus, tests, Ask(nearest=True, top=1))
    >>> found.score, found.test, found.top.row
    (array([1. , 0.8], dtype=float32), array([1, 1]), array([1, 0]))
    """
    n, d = corpus.shape
    m = len(tests.rows)
    if threads < 1:
        raise ValueError(f"found {threads} threads, needed 1 or more")
    if d != tests.rows.shape[1]:
        raise ValueError(f"corpus has dimension {d}, tests have {tests.rows.shape[1]}")
    if ask.above is not None and ask.above.shape != (m,):
        raise ValueError(f"found thresholds of shape {ask.above.shape}, needed {(m,)}")
    run = _Run(corpus, tests, ask, told)
    if not n:
        return run.result()
    size = tests.finder.block_rows(m)
    starts = iter(range(0, n, size))
    _keep_freed_memory()
    with _ONE_THREAD_EACH:
        # The first block alone: what it leaves for floors spares the others most of their finds.
        run.search(next(starts), size)
        if threads == 1:
            run.drain(starts, size)
        else:
            with ThreadPoolExecutor(threads, initializer=_take_one_thread) as pool:
                try:
                    for done in [pool.submit(run.drain, starts, size) for _ in range(threads)]:
                        done.result()
                except BaseException:  # an interrupt is this thread's: the others would go on to the end
                    run.stopped = True
                    raise
    return run.result()


class _Run:
    """One scan: what its threads share."""

    def __init__(
        self, corpus: UnitRows, tests: PreparedTests, ask: Ask, told: Callable[[int], None] | None
    ) -> None:
        n, m = corpus.shape[0], len(tests.rows)
        self.corpus, self.tests, self.ask, self.told = corpus, tests, ask, told
        self.score = np.full(n if ask.nearest else 0, -2, dtype=np.float32)
        self.test = np.zeros(n if ask.nearest else 0, dtype=np.int64)
        self.hit = np.zeros(n if ask.above is not None and not ask.pairs else 0, dtype=np.uint8)
        self.top = TopRows(m, ask.top, corpus.uids) if ask.top else None
        self.pairs: dict[int, Pairs] = {}
        self.refined = self.exact = 0
        self.lock = threading.Lock()
        self.refused: dict[int, Refusal] = {}
        self.stopped = False
        self.own = threading.local()

    def drain(self, starts: Iterator[int], size: int) -> None:
        """Search blocks until there are no more."""
        try:
            while not self.stopped:
                with self.lock:
                    start = next(starts, None)
                if start is None:
                    return
                try:
                    self.search(start, size)
                except Refusal as refusal:
                    # Blocks before this one are under way, and the first bad row is the one to name.
                    self.refused[start] = refusal
                    self.stopped = True
        except BaseException:
            self.stopped = True
            raise

    def search(self, start: int, size: int) -> None:
        """Search one block of rows."""
        from oddpair.retrieval.kernel.block import Block, Space

        stop = min(start + size, self.corpus.shape[0])
        stored = self.corpus.read(start, stop)
        rows = _as_float(stored)
        bad = find_bad_row(rows)
        if bad is not None:
            raise Refusal(
                f"{self.corpus.tell_place(start + bad[0])} has length {bad[1]:.4g}, needed 1: embed again, or leave "
                "the row out"
            )
        floor = self.top.floor.copy() if self.top else None
        block = Block(
            stored,
            rows,
            self.tests.rows,
            self.tests.rank,
            nearest=self.ask.nearest,
            above=self.ask.above,
            pairs=self.ask.pairs,
            top_floor=floor,
        )
        begins = floor is not None and bool(np.isneginf(floor).any())
        repeated = _repeats(self.corpus.uids(np.arange(start, stop))) if begins else np.zeros(0, np.bool_)
        if not hasattr(self.own, "space"):
            self.own.space = Space()
        self.tests.finder.search(block, self.own.space, self.ask.top if begins else 0, repeated)
        self._keep(block, start, stop)

    def _keep(self, block: Block, start: int, stop: int) -> None:
        if self.ask.nearest:
            self.score[start:stop], self.test[start:stop] = block.best, block.best_test
        if len(self.hit):
            self.hit[start:stop] = block.hit
        found = block.found()
        found = Pairs(test=found.test, row=found.row + start, score=found.score)
        if self.top:
            self.top.add(found.take(np.flatnonzero(found.score >= self.top.floor[found.test])))
        if self.ask.pairs and self.ask.above is not None:
            kept = found.take(np.flatnonzero(found.score > self.ask.above[found.test]))
            self.pairs[start] = kept.take(np.lexsort((kept.test, kept.row)))
        with self.lock:
            self.refined += block.refined
            self.exact += block.exact
            if self.told:
                self.told(stop - start)

    def result(self) -> Found:
        """Put together what the threads found, or raise what the first of them refused."""
        if self.refused:
            raise self.refused[min(self.refused)]
        return Found(
            score=self.score,
            test=self.test,
            hit=self.hit.view(np.bool_),
            top=self.top.result() if self.top else join([]),
            pairs=join([self.pairs[start] for start in sorted(self.pairs)]),
            work=Work(
                pairs=self.corpus.shape[0] * len(self.tests.rows), refined=self.refined, exact=self.exact
            ),
        )


def _require_gpu(device: str) -> None:
    import torch

    try:
        is_there = torch.device(device).type == "cuda" and torch.cuda.is_available()
    except RuntimeError:  # no name of a device
        is_there = False
    if not is_there:
        raise Refusal(f"device {device}: torch finds no such GPU here: search on the processor")


def _as_float(stored: NDArray[Any]) -> NDArray[np.float32]:
    import torch

    # torch converts float16 several times as fast as numpy.
    rows: NDArray[np.float32] = torch.from_numpy(np.require(stored, requirements=["C", "W"])).float().numpy()
    return rows


def _repeats(uids: Sequence[str]) -> NDArray[np.bool_]:
    seen: set[str] = set()
    repeated = np.zeros(len(uids), dtype=np.bool_)
    for place, uid in enumerate(uids):
        repeated[place] = uid in seen
        seen.add(uid)
    return repeated


@functools.cache
def _keep_freed_memory() -> None:
    """Have glibc reuse memory of tiles, once it has seen a larger piece freed, rather than return and fetch it again.

    Fresh memory is zeroed page by page, which took a fifth of the time of a tile.
    """
    np.empty(_JUST_BELOW_LIMIT, dtype=np.uint8).fill(0)


class _OneThreadEach:
    """While any scan runs, torch computes with one thread in each of its threads: none waits for another's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scans = 0
        self._before = 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._scans:
                self._before = torch.get_num_threads()
            self._scans += 1
        _take_one_thread()

    def __exit__(self, *_: object) -> None:
        import torch

        with self._lock:
            self._scans -= 1
            if not self._scans:
                torch.set_num_threads(self._before)


_ONE_THREAD_EACH = _OneThreadEach()


def _take_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
