"""The first pass on a CUDA device: stored rows are float16, which it multiplies as they are.

Products are rounded to float16 and their sums are of float32; candidates alone travel back and are settled on the
processor, so that what is found is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.block import Block, Space
from oddpair.retrieval.kernel.passes import ROUNDING, float_sum_error
from oddpair.retrieval.unit_rows import UNIT_TOLERANCE

if TYPE_CHECKING:
    import torch

# Threads take turns to set what torch keeps for all of them.
_SETTINGS = Lock()
_ROWS = 4096
_TESTS = 8192
_LONGEST = 1 + UNIT_TOLERANCE


class DeviceFinder:
    """Candidates by products on a device of torch; ``"cpu"`` does the same, slowly."""

    def __init__(self, tests: NDArray[np.float32], device: str) -> None:
        """Send the tests, float32 of shape ``(m, d)``, to the device."""
        import torch

        exact = torch.from_numpy(tests)
        rounded = exact.half()
        error = torch.linalg.vector_norm(exact - rounded.float(), dim=1)
        self._device = device
        self._tests = rounded.to(device)
        self._slack = (error * (_LONGEST * 1.001)).to(device)
        self._longest = _LONGEST + float(error.max())

    def block_rows(self, tests: int) -> int:
        """Return 4,096 rows."""
        return _ROWS

    def search(self, block: Block, space: Space, k: int, repeated: NDArray[np.bool_]) -> None:
        """Find all candidates of a block, and have the block settle them."""
        import torch

        rows = torch.from_numpy(np.require(block.stored, requirements=["C", "W"])).to(self._device)
        half = rows.half()
        error = torch.linalg.vector_norm(rows.float() - half.float(), dim=1)
        row_slack = error * (self._longest * 1.001) + half_sum_error(rows.shape[1])
        for start in range(0, len(self._tests), _TESTS):
            mine = slice(start, min(start + _TESTS, len(self._tests)))
            with _float32_sums():
                score = (half @ self._tests[mine].T).float()
            slack = row_slack[:, None] + self._slack[mine]
            if k and len(rows) - int(repeated.sum()) >= k:
                lower = (score - slack).masked_fill(
                    torch.from_numpy(repeated).to(self._device)[:, None], -torch.inf
                )
                block.raise_tests(mine, lower.topk(k, dim=0).values[-1].cpu().numpy())
            upper = score + slack
            wanted = torch.zeros_like(upper, dtype=torch.bool)
            if block.by_row:
                best = (score - slack).amax(1).cpu().numpy()
                np.maximum(block.floor, best, out=block.floor)
                wanted |= upper >= torch.from_numpy(block.floor).to(self._device)[:, None]
            if block.by_test:
                above = torch.from_numpy(block.above[mine]).to(self._device)
                hits = (score - slack > above).any(1).cpu().numpy()
                block.hit[hits] = 1
                floors = torch.from_numpy(block.floors[:, mine]).to(self._device)
                wanted |= upper >= floors[torch.from_numpy(block.hit).to(self._device).long()]
            self._settle(block, space, upper, wanted, start)

    def _settle(
        self, block: Block, space: Space, upper: torch.Tensor, wanted: torch.Tensor, start: int
    ) -> None:
        row, test = wanted.nonzero(as_tuple=True)
        bound = upper[row, test].cpu().numpy()
        rows, tests = row.cpu().numpy(), test.cpu().numpy() + start
        for begin in range(0, len(rows), len(space.row)):
            part = slice(begin, begin + len(space.row))
            n = len(rows[part])
            space.row[:n], space.test[:n], space.upper[:n] = rows[part], tests[part], bound[part]
            block.settle(space, n)


@contextmanager
def _float32_sums() -> Iterator[None]:
    """Have products of float16 summed in float32, which the bound rests on, whatever torch was told before."""
    import torch

    with _SETTINGS:
        matmul = torch.backends.cuda.matmul
        names = ("allow_fp16_reduced_precision_reduction", "allow_fp16_accumulation")
        before = {name: getattr(matmul, name) for name in names if hasattr(matmul, name)}
        try:
            for name in before:
                setattr(matmul, name, False)
            yield
        finally:
            for name, value in before.items():
                setattr(matmul, name, value)


def half_sum_error(d: int) -> float:
    """Return the most that the float16 product of unit rows is off beyond the rows' own rounding.

    The device may cut off where a processor would round, which counts twice; the result is rounded to 11 bits.
    """
    return 2 * float_sum_error(d) + 2.0**-11 * _LONGEST**2 * 1.01 + ROUNDING
