"""Exact search as it is done elsewhere, and the bare matrix products that bound it; each runs in a process of its own.

A process of its own, since which BLAS kernel runs, and how torch multiplies, is settled for a whole process.
"""

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tests.perf.search_data import DIMENSION, World

from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.scan import Found

CORES = 2
MINIBATCH = 10_000
# All of them stay in the cache; which is fastest differs between processors.
TILES = ((512, 512), (512, 1024), (1024, 1024))
Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]
Product = Literal["int8", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds, and what was found where it is to be compared."""

    seconds: float
    found: Found | None = None


def search_as_published(world: World, rows: int, tests: int) -> Timed:
    """Find each row's nearest test as `compute_max_sims.py` of clip-ood does.

    The whole shard becomes float32, then ten thousand rows at a time are multiplied with all tests, and the
    greatest of each is taken. Its device is the processor here.
    """
    import torch

    torch.set_num_threads(CORES)
    asked = _as_tensor(world, tests)
    shards = world.shards(rows)
    start = time.perf_counter()
    found = [_search_shard(path, asked) for path in shards]
    _join(found)
    return Timed(time.perf_counter() - start)


def _search_shard(path: Path, asked: Any) -> Nearest:
    import torch

    embeddings = torch.Tensor(np.load(path))
    scores, tests = [], []
    for start in range(0, len(embeddings), MINIBATCH):
        with torch.no_grad():
            score, test = torch.max(asked @ embeddings[start : start + MINIBATCH].T, dim=0)
        scores.append(score.numpy())
        tests.append(test.numpy())
    return np.concatenate(scores), np.concatenate(tests)


@functools.lru_cache(maxsize=1)
def _as_tensor(world: World, tests: int) -> Any:
    import torch

    return torch.from_numpy(world.tests(tests).astype(np.float32))


def search_by_faiss(world: World, rows: int, tests: int, mended: bool) -> Timed:
    """Find each row's nearest test by a flat index of the tests.

    Args:
        world: What to search.
        rows: Of the corpus.
        tests: That count.
        mended: Whether faiss is imported as oddpair does, or as it comes.
    """
    index = _make_index(world, tests, mended)
    shards = world.shards(rows)
    start = time.perf_counter()
    found = [index.search(np.load(path).astype(np.float32), 1) for path in shards]
    _join([(scores[:, 0], places[:, 0]) for scores, places in found])
    return Timed(time.perf_counter() - start)


@functools.lru_cache(maxsize=1)
def _make_index(world: World, tests: int, mended: bool) -> Any:
    if mended:
        faiss = load_faiss()
    else:
        import faiss
    faiss.omp_set_num_threads(CORES)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(world.tests(tests).astype(np.float32))
    return index


def _join(found: Sequence[Nearest]) -> Nearest:
    return np.concatenate([scores for scores, _ in found]), np.concatenate([places for _, places in found])


def multiply(kind: Product, seconds: float) -> float:
    """Multiply tiles and do nothing else, in a thread on each core; operations a second at the best tile shape."""
    import torch

    # A product must not use the cores of its neighbours.
    torch.set_num_threads(1)
    return max(_multiply(kind, shape, seconds / len(TILES)) for shape in TILES)


def _multiply(kind: Product, shape: tuple[int, int], seconds: float) -> float:
    import torch

    rows, tests = shape
    done = [0] * CORES
    until = time.perf_counter() + seconds

    def work(thread: int) -> None:
        torch.set_num_threads(1)
        once = _make_product(kind, rows, tests)
        while time.perf_counter() < until:
            once()
            done[thread] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) * 2 * rows * tests * DIMENSION / (time.perf_counter() - start)


def _make_product(kind: Product, rows: int, tests: int) -> Callable[[], object]:
    import torch

    left, right = torch.randn((rows, DIMENSION)), torch.randn((tests, DIMENSION))
    if kind == "bfloat16":
        few, many = left.bfloat16(), right.bfloat16().T
        out = torch.empty((rows, tests), dtype=torch.bfloat16)
        return lambda: torch.mm(few, many, out=out)
    whole, others = (30 * left).to(torch.int8), (30 * right).to(torch.int8).T
    sums = torch.empty((rows, tests), dtype=torch.int32)
    return lambda: torch._int_mm(whole, others, out=sums)
