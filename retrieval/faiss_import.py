"""Import faiss with the BLAS kernel that its bundled OpenBLAS fails to pick on new processors."""

from __future__ import annotations

import os
import platform
import sys
import threading
from typing import Any

CORE_TYPE = "OPENBLAS_CORETYPE"

# What numpy's newer OpenBLAS calls this processor, and the nearest kernel that faiss's 0.3.15 knows.
# An unknown name would make the old library fall back to its slowest kernel.
KNOWN_KERNELS = {
    "SkylakeX": "SkylakeX",
    "Cooperlake": "SkylakeX",
    "SapphireRapids": "SkylakeX",
    "Haswell": "Haswell",
    "Zen": "Haswell",
}
_LOCK = threading.Lock()


def load_faiss() -> Any:
    """Return the faiss module, exact search running on this processor's best matrix kernel.

    The faiss wheel carries an OpenBLAS from before today's processors, which answers an unknown one with
    a kernel 4 times too slow. The kernel's name is set only while the library loads, so that other
    libraries and child processes do not see it. A name that the user has set is left alone.

    >>> load_faiss().IndexFlatIP(4).d
    4
    """
    with _LOCK:
        settled = "faiss" in sys.modules or CORE_TYPE in os.environ
        if settled or sys.platform != "linux" or platform.machine() != "x86_64":
            import faiss

            return faiss
        kernel = KNOWN_KERNELS.get(_numpy_kernel())
        if kernel is None:
            import faiss

            return faiss
        os.environ[CORE_TYPE] = kernel
        try:
            import faiss
        finally:
            os.environ.pop(CORE_TYPE, None)
        return faiss


def _numpy_kernel() -> str:
    import numpy as np  # noqa: F401  loaded first: its kernel follows the processor, not our variable
    import threadpoolctl

    for library in threadpoolctl.threadpool_info():
        if library["internal_api"] == "openblas" and "faiss" not in library["filepath"]:
            return str(library.get("architecture"))
    return ""
