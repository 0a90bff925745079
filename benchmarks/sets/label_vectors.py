"""Labels of many classes as an ``.npy`` vector of 0 and 1; its header is read by numpy, its objects by nobody."""

from __future__ import annotations

import io

import numpy as np


def read_vector(data: bytes, n_classes: int) -> list[int]:
    """Read which classes a vector of 0 and 1 names.

    Args:
        data: An ``.npy`` file of shape ``(n_classes,)``, of booleans, whole numbers or floats.
        n_classes: Classes that there are.

    Returns:
        Places of the ones, in order; none for a picture of no class.

    Raises:
        ValueError: If it is no such file, cut, of another shape, or holds objects or other numbers.

    >>> file = io.BytesIO()
    >>> np.save(file, np.array([0.0, 1.0, 1.0], dtype=np.float32))
    >>> read_vector(file.getvalue(), 3)
    [1, 2]
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    except ValueError as error:
        raise ValueError("is no whole .npy file") from error
    if dtype.hasobject:
        raise ValueError("holds pickled Python objects, which are never read")
    if shape != (n_classes,) or dtype.kind not in "buif":
        raise ValueError(f"has shape {shape} of {dtype}, needed {n_classes:,} numbers, one a class")
    if len(data) - file.tell() != n_classes * dtype.itemsize:
        raise ValueError(
            f"holds {len(data) - file.tell():,} bytes, its header needs {n_classes * dtype.itemsize:,}"
        )
    values = np.frombuffer(data, dtype=dtype, offset=file.tell())
    ones = values == 1
    if not (ones | (values == 0)).all():
        raise ValueError(f"holds {values[~(ones | (values == 0))][0]}, needed 0 or 1")
    return [int(place) for place in np.flatnonzero(ones)]
