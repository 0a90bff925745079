"""Rows rounded to int8 after a fixed rotation, each with its scale and with the length of what rounding took away.

CLIP's rows have a few large coordinates, and a scale that suits these leaves little for the others. A rotation
keeps every dot product and makes the coordinates alike: signs at random, then a Hadamard transform. It mixes
coordinates that lie 16 apart, because 16 of them are one register; where their number is no power of two, it
mixes the first and then the last of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import ANY_ORDER, compiled

LANES = 16
# Any fixed signs do; results never depend on them.
_SIGNS_SEED = 2310


class Quantised(NamedTuple):
    """Rows as ``scale * values``.

    Attributes:
        values: int8, shape ``(n, width)``, rotated; the width is the dimension, rounded up to 16.
        scale: float32, shape ``(n,)``.
        error: Length of what rounding took away from each row, float32, shape ``(n,)``.
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    error: NDArray[np.float32]


def make_signs(d: int) -> NDArray[np.float32]:
    """Return the fixed signs of the rotation of rows of dimension ``d``, shape ``(d,)``."""
    return np.random.default_rng(_SIGNS_SEED).choice(np.array([-1, 1], dtype=np.float32), d)


def quantise(rows: NDArray[np.float32], signs: NDArray[np.float32]) -> Quantised:
    """Rotate rows and round them to int8, each by its own scale.

    Args:
        rows: float32, C-ordered, shape ``(n, d)``.
        signs: Of ``make_signs(d)``.

    Returns:
        The rounded rows; those of zeros are zeros of scale 0.
    """
    n, d = rows.shape
    width = -(-d // LANES) * LANES
    found = Quantised(
        values=np.empty((n, width), dtype=np.int8),
        scale=np.empty(n, dtype=np.float32),
        error=np.empty(n, dtype=np.float32),
    )
    mixed = 1 << ((width // LANES).bit_length() - 1)
    _quantise(rows, signs, mixed, np.zeros(width, dtype=np.float32), *found)
    return found


def squared_lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared length of each row, NaN where a number is; C-ordered float32 of shape ``(n, d)``."""
    lengths = np.empty(len(rows), dtype=np.float32)
    _squared_lengths(rows, lengths)
    return lengths


@compiled(ANY_ORDER)
def _squared_lengths(rows: NDArray[np.float32], lengths: NDArray[np.float32]) -> None:
    for i in range(len(rows)):
        total = np.float32(0)
        for k in range(rows.shape[1]):
            total += rows[i, k] * rows[i, k]
        lengths[i] = total


@compiled()
def _quantise(
    rows: NDArray[np.float32],
    signs: NDArray[np.float32],
    mixed: int,
    row: NDArray[np.float32],
    values: NDArray[np.int8],
    scale: NDArray[np.float32],
    error: NDArray[np.float32],
) -> None:
    n, d = rows.shape
    span = mixed * LANES
    shrink = np.float32(1) / np.float32(np.sqrt(mixed))
    for i in range(n):
        for k in range(d):
            row[k] = rows[i, k] * signs[k]
        for k in range(d, len(row)):
            row[k] = 0
        _mix(row[:span], shrink)
        if span < len(row):
            _mix(row[len(row) - span :], shrink)
        largest = _largest(row)
        if not largest > 0:
            values[i] = 0
            scale[i] = 0
            error[i] = 0
            continue
        steps = np.float32(127) / largest
        _round(row, steps, values[i])
        scale[i] = largest / np.float32(127)
        error[i] = np.sqrt(_squared_error(row, steps, values[i])) * scale[i]


@compiled()
def _mix(row: Any, shrink: Any) -> None:
    """Replace a row by its Hadamard transform over registers, four at a time and, where two are left, two."""
    for k in range(len(row)):
        row[k] *= shrink
    step = LANES
    while 4 * step <= len(row):
        for start in range(0, len(row), 4 * step):
            a = row[start : start + step]
            b = row[start + step : start + 2 * step]
            c = row[start + 2 * step : start + 3 * step]
            e = row[start + 3 * step : start + 4 * step]
            for k in range(step):
                left, right = a[k] + b[k], a[k] - b[k]
                more, less = c[k] + e[k], c[k] - e[k]
                a[k], b[k] = left + more, right + less
                c[k], e[k] = left - more, right - less
        step *= 4
    if step < len(row):
        a, b = row[:step], row[step:]
        for k in range(step):
            left, right = a[k], b[k]
            a[k], b[k] = left + right, left - right


@compiled()
def _largest(row: Any) -> Any:
    # Floats without their sign bit sort as integers do, and a maximum of integers runs side by side.
    bits = row.view(np.int32)
    found = np.int32(0)
    for k in range(len(bits)):
        value = np.int32(bits[k] & np.int32(0x7FFFFFFF))
        found = np.int32(value) if value > found else np.int32(found)
    return np.int32(found).view(np.float32)


@compiled()
def _round(row: Any, steps: Any, values: Any) -> None:
    # Adding 1.5 * 2**23 leaves no bits behind the point, and the whole number, rounded to even, in the lowest ones.
    magic = np.float32(12582912)
    for k in range(len(row)):
        values[k] = np.int8(np.float32(row[k] * steps + magic).view(np.int32))


@compiled(ANY_ORDER)
def _squared_error(row: Any, steps: Any, values: Any) -> Any:
    total = np.float32(0)
    for k in range(len(row)):
        rest = row[k] * steps - np.float32(values[k])
        total += rest * rest
    return total
