"""Columns of text as they lie in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def read_buffers(captions: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Give the bytes of text as they lie in memory, and where in them each row begins and the last one ends.

    >>> values, offsets = read_buffers(pa.array(["ab", None, "c"]))
    >>> values.tobytes()[:3], offsets.tolist()
    (b'abc', [0, 2, 2, 3])
    """
    if pa.types.is_dictionary(captions.type):
        captions = captions.dictionary_decode()
    captions = captions.cast(pa.large_string())
    if captions.null_count:
        captions = pc.fill_null(captions, "")
    if not len(captions):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, places, text = captions.buffers()
    offsets = np.frombuffer(places, np.int64)[captions.offset : captions.offset + len(captions) + 1]
    return np.frombuffer(text, np.uint8) if text is not None else np.zeros(0, np.uint8), offsets
