"""JSON of strangers, read so that it says one thing only."""

from __future__ import annotations

from typing import Any

from oddpair import files


def parse_json(data: bytes) -> Any:
    """Parse JSON from outside; NaN and the infinities that Python and pandas write are null.

    Raises:
        ValueError: If it is no UTF-8 or JSON, gives a key twice, nests deeper than Python's stack, or holds a
            number of thousands of digits or beyond a double.

    >>> parse_json(b'{"similarity": NaN, "width": 3}')
    {'similarity': None, 'width': 3}
    """
    return files.parse_json(data, of_strangers=True)
