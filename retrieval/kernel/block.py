"""One block of corpus rows against all tests: floors, candidates, and what settles them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.candidates import PART, find_by_both, find_by_row, find_by_test, raise_floors
from oddpair.retrieval.kernel.passes import (
    TESTS_PER_TILE,
    Approximate,
    Pass,
    float_sum_error,
    rows_per_block,
)
from oddpair.retrieval.kernel.settle import decide, refine, score_pairs
from oddpair.retrieval.pairs import Pairs, join

# So many candidates are settled before more are looked for.
_CANDIDATES = 1 << 19
# No tile has more.
_PRODUCTS_PER_TILE = 1 << 20


class Space:
    """Memory that one thread uses again and again."""

    def __init__(self) -> None:
        """Take room for the candidates of a tile beyond those that wait."""
        most = _CANDIDATES + _PRODUCTS_PER_TILE
        self.row: NDArray[np.int32] = np.empty(most, dtype=np.int32)
        self.test: NDArray[np.int32] = np.empty(most, dtype=np.int32)
        self.upper: NDArray[np.float32] = np.empty(most, dtype=np.float32)
        self.tiles: dict[str, Any] = {}


class Block:
    """Some corpus rows, and what is known of them so far.

    Attributes:
        stored: The rows as they are stored.
        rows: The same as float32, C-ordered, shape ``(n, d)``.
        floor: Best lower bound of each row's largest score; infinite where that is not asked for.
        best: Largest exact score of each row, ``-2`` before there is one; empty where it is not asked for.
        best_test: Its test.
        hit: 1 for rows that surely have a score above its test's threshold.
        asked: Thresholds of the tests; infinite where there are none.
        floors: What matters to each test: of rows that have not hit yet, and of those that have; shape ``(2, m)``.
        above: Thresholds that make a row hit; infinite where no hit is asked for.
        only_hits: Whether there is nothing to find in rows that have hit.
        refined: Pairs scored in float32.
        exact: Pairs scored exactly.
    """

    def __init__(
        self,
        stored: NDArray[Any],
        rows: NDArray[np.float32],
        tests: NDArray[np.float32],
        rank: NDArray[np.int64],
        *,
        nearest: bool,
        above: NDArray[np.float32] | None,
        pairs: bool,
        top_floor: NDArray[np.float32] | None,
    ) -> None:
        """Begin with a block: nothing is known but the floors that earlier blocks left.

        Args:
            stored: float16 or float32, shape ``(n, d)``.
            rows: The same as float32.
            tests: Shape ``(m, d)``.
            rank: Of the tests in the order of their ids.
            nearest: Whether each row's largest score is asked for.
            above: Thresholds of the tests, or none.
            pairs: Whether every pair above them is asked for.
            top_floor: k-th best score of each test so far, or ``None`` where no best rows are asked for.
        """
        n, m = len(rows), len(tests)
        self.stored, self.rows, self.tests, self.rank = stored, rows, tests, rank
        self.floor = np.full(n, -np.inf if nearest else np.inf, dtype=np.float32)
        self.best = np.full(n if nearest else 0, -2, dtype=np.float32)
        self.best_test = np.zeros(n if nearest else 0, dtype=np.int64)
        self.hit = np.zeros(n, dtype=np.uint8)
        never = np.full(m, np.inf, dtype=np.float32)
        self.above = never if above is None or pairs else above
        self.asked = never if above is None else above
        later = never if top_floor is None else top_floor
        self.floors = np.stack([np.minimum(later, self.asked), later])
        self.by_row, self.by_test = nearest, above is not None or top_floor is not None
        self.only_hits = not nearest and not pairs and top_floor is None
        self.refined = self.exact = 0
        self._found: list[Pairs] = []

    def settle(self, space: Space, n: int) -> None:
        """Settle the first ``n`` candidates."""
        d = self.rows.shape[1]
        stay, scored = refine(
            self.rows,
            self.tests,
            np.float32(float_sum_error(d)),
            self.floors,
            self.above,
            self.floor,
            self.hit,
            space.row,
            space.test,
            space.upper,
            n,
        )
        scores = np.empty(stay, dtype=np.float32)
        row, test = space.row[:stay], space.test[:stay]
        score_pairs(self.rows, self.tests, row, test, scores)
        decide(scores, self.above, self.rank, self.hit, self.best, self.best_test, row, test, stay)
        self.refined += scored
        self.exact += stay
        if self.by_test and not self.only_hits:
            kept = np.flatnonzero(scores >= self.floors[0, test])
            self._found.append(
                Pairs(test=test[kept].astype(np.int64), row=row[kept].astype(np.int64), score=scores[kept])
            )

    def raise_tests(self, tests: slice, floor: NDArray[np.float32]) -> None:
        """Give some tests a lower bound of their k-th best score."""
        later = np.maximum(self.floors[1, tests], floor)
        self.floors[:, tests] = np.minimum(later, self.asked[tests]), later

    def found(self) -> Pairs:
        """Return the pairs that may be among a test's best or above its threshold, exactly scored."""
        return join(self._found)


class Finder(Protocol):
    """A way of finding the candidates of a block."""

    def block_rows(self, tests: int) -> int:
        """Return how many rows make a good block."""
        ...

    def search(self, block: Block, space: Space, k: int, repeated: NDArray[np.bool_]) -> None:
        """Find all candidates of a block, and have the block settle them.

        Args:
            block: The block.
            space: Memory of this thread.
            k: Rows wanted of each test that has no floor yet; 0 if every test has one or none is wanted.
            repeated: Rows whose uid came before in the block, shape ``(n,)``; looked at where ``k`` is not 0.
        """
        ...


class TileFinder:
    """Candidates by a first pass on the processor, tile after tile of tests."""

    def __init__(self, first: Pass) -> None:
        """Lay out what is compared with the products of ``first``."""
        m = len(first.scale)
        padded = -(-m // PART) * PART
        self._first = first
        self._m = m
        self._scale = np.zeros(padded, dtype=np.float32)
        self._scale[:m] = first.scale
        # No bound of a test that is not there reaches any floor, nor is one: slacks are never negative otherwise.
        self._slack = np.full(padded, -np.inf, dtype=np.float32)
        self._slack[:m] = first.slack

    def block_rows(self, tests: int) -> int:
        """Return 512 rows, or more if there are few tests: a tile has 2**19 products at most."""
        return rows_per_block(tests)

    def search(self, block: Block, space: Space, k: int, repeated: NDArray[np.bool_]) -> None:
        """Find all candidates of a block, and have the block settle them."""
        products = len(block.rows) * min(self._m, TESTS_PER_TILE)
        if products > _PRODUCTS_PER_TILE:
            raise ValueError(f"found tiles of {products:,} products, needed at most {_PRODUCTS_PER_TILE:,}")
        rounded = self._first.approximate(block.rows)
        gap = np.full((2, len(self._slack)), -np.inf, dtype=np.float32)
        gap[:, : self._m] = self._first.slack - block.floors
        above = np.full(len(self._slack), np.inf, dtype=np.float32)
        above[: self._m] = block.above
        n = 0
        for tile, start in enumerate(range(0, len(self._slack), TESTS_PER_TILE)):
            part = slice(start, start + TESTS_PER_TILE)
            values = self._first.multiply(rounded, tile, space.tiles)
            if k:
                self._begin(block, values, rounded, part, k, repeated)
                mine = slice(start, min(start + TESTS_PER_TILE, self._m))
                gap[:, mine] = self._first.slack[mine] - block.floors[:, mine]
            n = self._find(block, space, values, rounded, part, gap, above, n)
            if n > _CANDIDATES:
                block.settle(space, n)
                n = 0
            if block.only_hits and block.hit.all():
                return
        block.settle(space, n)

    def _find(
        self,
        block: Block,
        space: Space,
        values: NDArray[Any],
        rounded: Approximate,
        part: slice,
        gap: NDArray[np.float32],
        above: NDArray[np.float32],
        n: int,
    ) -> int:
        shape = -1, PART
        bounds = (
            rounded.scale,
            rounded.slack,
            self._scale[part].reshape(shape),
            self._slack[part].reshape(shape),
        )
        wide = values.reshape(len(values), *shape)
        out: tuple[Any, ...] = space.row, space.test, space.upper, n
        if block.by_row and part.start == 0:
            raise_floors(
                values,
                rounded.scale,
                rounded.slack,
                self._scale[part],
                np.abs(self._slack[part]),
                block.floor,
            )
        if not block.by_test:
            return find_by_row(wide, *bounds, block.floor, part.start, *out)
        # A view would have gaps, for which other and slower loops would be compiled.
        goals = np.ascontiguousarray(gap[:, part]).reshape(2, *shape), above[part].reshape(shape)
        if block.by_row:
            return find_by_both(wide, *bounds, *goals, block.floor, part.start, block.hit, *out)
        return find_by_test(wide, *bounds, *goals, part.start, block.only_hits, block.hit, *out)

    def _begin(
        self,
        block: Block,
        values: NDArray[Any],
        rounded: Approximate,
        part: slice,
        k: int,
        repeated: NDArray[np.bool_],
    ) -> None:
        """Give tests their first floors: their k-th best lower bound among rows of different uids."""
        if len(values) - int(repeated.sum()) < k:
            return
        import torch

        mine = slice(part.start, min(part.stop, self._m))
        lower = values[:, : mine.stop - mine.start] * (rounded.scale[:, None] * self._scale[mine])
        lower -= rounded.slack[:, None] + self._slack[mine]
        lower[repeated] = -np.inf
        kth = torch.from_numpy(np.ascontiguousarray(lower.T)).topk(k).values[:, -1].numpy()
        block.raise_tests(mine, kth)
