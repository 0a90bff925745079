"""How fast faiss's flat search and a plain matrix product run on one core here, now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oddpair.retrieval.faiss_import import load_faiss

_DIMENSION = 512
_ROWS = 4096
_TESTS = 1024
# Rows of the product's right side at a time: a tile of scores that stays in cache, as faiss has it.
_TILE = 1024
_TURNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Billions of multiplications and additions a second on one core.

    Attributes:
        search: Of faiss's flat search.
        product: Of numpy's matrix product of the same rows.
    """

    search: float
    product: float


def measure_rates(seconds: float = 2.0) -> Rates:
    """Measure faiss's flat search and the product behind it on one core, in turns, and take the best of each.

    On all cores a few busy ones would hold up the others, and the library with less patience would look slow.

    Args:
        seconds: How long it takes, about.
    """
    import threadpoolctl

    rng = np.random.default_rng(0)
    rows, tests = (rng.standard_normal((n, _DIMENSION), dtype=np.float32) for n in (_ROWS, _TESTS))
    tile = np.empty((_TESTS, _TILE), dtype=np.float32)
    index = load_faiss().IndexFlatIP(_DIMENSION)
    index.add(rows)

    def search() -> None:
        index.search(tests, 1)

    def multiply() -> None:
        for start in range(0, _ROWS, _TILE):
            np.matmul(tests, rows[start : start + _TILE].T, out=tile)

    turn = seconds / 2 / _TURNS
    with threadpoolctl.threadpool_limits(limits=1):
        took = [(_time(search, turn), _time(multiply, turn)) for _ in range(_TURNS)]
    work = 2 * _ROWS * _TESTS * _DIMENSION / 1e9
    return Rates(search=work / min(one for one, _ in took), product=work / min(other for _, other in took))


def _time(step: Callable[[], None], seconds: float) -> float:
    """Repeat a step and return the least time that it took."""
    least, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        least = min(least, time.perf_counter() - start)
    return least
