"""JSON of strangers, read so that it says one thing only."""

from __future__ import annotations

import json
import math
from typing import Any


def parse_json(data: bytes) -> Any:
    """Parse JSON from outside; NaN and the infinities that Python and pandas write are null.

    Raises:
        ValueError: If it is no UTF-8 or JSON, gives a key twice, nests deeper than Python's stack, or holds a
            number of thousands of digits or beyond a double.

    >>> parse_json(b'{"similarity": NaN, "width": 3}')
    {'similarity': None, 'width': 3}
    """
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_as_null, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _as_null(_: str) -> None:
    return None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:20]} is out of range")
    return value
