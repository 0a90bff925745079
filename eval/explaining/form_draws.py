"""Bootstrap weights of rows that share concepts across datasets, and datasets across concepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Bounds the memory of a block.
_DRAWS_AT_ONCE = 100


def draw_rows(clusters: Sequence[NDArray[Any]], rng: np.random.Generator, n: int) -> Iterator[FloatArray]:
    """Draw whole clusters with replacement; with several kinds of clusters a row comes as often as their product.

    Concepts come in several datasets, so that neither nests in the other: drawing both, each by itself, is right or a
    little wide for means over such rows.

    Args:
        clusters: Concept of each row, or concept and dataset of each row, each of shape ``(n_rows,)``.
        rng: Source of the draws.
        n: Number of draws.

    Yields:
        How often each row is drawn, blocks of shape ``(draws, n_rows)``, ``n`` draws in all.

    References:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.
    """
    codes = [np.unique(names, return_inverse=True)[1].reshape(-1) for names in clusters]
    for start in range(0, n, _DRAWS_AT_ONCE):
        draws = min(_DRAWS_AT_ONCE, n - start)
        found = _draw(codes[0], draws, rng)
        for more in codes[1:]:
            found = found * _draw(more, draws, rng)
        yield found


def _draw(codes: NDArray[np.intp], draws: int, rng: np.random.Generator) -> FloatArray:
    size = int(codes.max()) + 1
    drawn = rng.integers(size, size=(draws, size)) + np.arange(draws)[:, None] * size
    times = np.bincount(drawn.ravel(), minlength=draws * size).reshape(draws, size)
    found: FloatArray = times[:, codes].astype(np.float64)
    return found
