"""Weighted sums of stored rows, float16 as they lie on disk: a pass over a corpus costs little more than reading it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import ANY_ORDER, compiled

_INFINITE = np.uint16(0x7C00)
# Exponents of float16 are biased by 15, those of float32 by 127.
_REBIAS = np.float32(2.0**112)


def add_weighted_sums(
    rows: NDArray[np.float16], weights: NDArray[np.float64], sums: NDArray[np.float64]
) -> int | None:
    """Add each row's dot product with each row of ``weights`` to ``sums``, in float64.

    A row's sum depends on nothing but the row: not on its block, nor on its place there.

    Args:
        rows: C-ordered, shape ``(n, d)``.
        weights: Shape ``(c, d)``.
        sums: Added to, shape ``(n, c)``.

    Returns:
        The first row with a number that is not finite, ``None`` if there is none.

    >>> sums = np.zeros((1, 2))
    >>> add_weighted_sums(np.float16([[1, 0.5]]), np.array([[2.0, 2.0], [0.0, 4.0]]), sums)
    >>> sums
    array([[3., 2.]])
    """
    bad = _add(np.ascontiguousarray(rows).view(np.uint16), np.ascontiguousarray(weights), sums)
    return None if bad < 0 else int(bad)


def _write_as_float(typing: Any, bits: Any) -> Any:
    """Take 32 bits for a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


_as_float = cast("Callable[[Any], Any]", intrinsic(_write_as_float))


@compiled(ANY_ORDER)
def _add(bits: NDArray[np.uint16], weights: NDArray[np.float64], sums: NDArray[np.float64]) -> int:
    first_bad = -1
    # Converted once for all weights, into what stays in the nearest cache.
    values = np.empty(bits.shape[1], dtype=np.float64)
    for i in range(len(bits)):
        row = bits[i]
        largest = np.uint16(0)
        for j in range(len(row)):
            half = np.uint32(row[j])
            sign, rest = half & np.uint32(0x8000), half & np.uint32(0x7FFF)
            largest = max(largest, row[j] & _INFINITE)
            values[j] = _as_float((rest << np.uint32(13)) | (sign << np.uint32(16))) * _REBIAS
        if largest == _INFINITE and first_bad < 0:
            first_bad = i
        for c in range(len(weights)):
            weight, total = weights[c], 0.0
            for j in range(len(values)):
                total += values[j] * weight[j]
            sums[i, c] += total
    return first_bad
