"""Import faiss with the BLAS kernel that its bundled OpenBLAS fails to pick on new processors."""

from __future__ import annotations

import functools
import os
import platform
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORE_TYPE = "OPENBLAS_CORETYPE"
TOO_LATE = "faiss was imported before, by other code"

# What a newer OpenBLAS calls this processor, and the nearest kernel that faiss's 0.3.15 knows.
# An unknown name would make the old library fall back to its slowest kernel.
KNOWN_KERNELS = {
    "SkylakeX": "SkylakeX",
    "Cooperlake": "SkylakeX",
    "SapphireRapids": "SkylakeX",
    "Haswell": "Haswell",
    "Zen": "Haswell",
}
# What each of the two asks of the processor, the better one first.
_NEEDED = {
    "SkylakeX": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    "Haswell": frozenset({"avx2", "fma"}),
}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlasReport:
    """What was found and done about faiss's matrix kernel when it was loaded; ``""`` is unknown or none.

    Attributes:
        fitting: Kernel that this processor deserves, by a name that faiss's OpenBLAS knows.
        numpy_kernel: Kernel of numpy's OpenBLAS.
        set_by_user: Value that the variable had before; ``None`` if it was not set.
        asked: Value that was set while faiss loaded.
        faiss_kernel: Kernel that faiss's own OpenBLAS runs; ``""`` if it has none of its own.
        reason: Why nothing was asked.
    """

    fitting: str
    numpy_kernel: str
    set_by_user: str | None
    asked: str
    faiss_kernel: str
    reason: str

    @property
    def is_obeyed(self) -> bool:
        """Whether faiss runs the kernel that was asked for; true where nothing was asked or can be seen."""
        return not self.asked or self.faiss_kernel in ("", self.asked)


def load_faiss() -> Any:
    """Return the faiss module, exact search running on this processor's best matrix kernel.

    The faiss wheel carries an OpenBLAS from before today's processors, which answers an unknown one with
    a kernel 4 times too slow. The kernel's name is set only while the library loads, so that other
    libraries and child processes do not see it. A name that the user has set is left alone.

    >>> load_faiss().IndexFlatIP(4).d
    4
    """
    with _LOCK:
        return _load()[0]


def report_blas() -> BlasReport:
    """Return what was found and done when faiss was loaded, loading it if need be."""
    with _LOCK:
        return _load()[1]


def find_kernel(package: str) -> str:
    """Name the kernel of the OpenBLAS that a package brought along; ``""`` if it has none, or is not loaded.

    Args:
        package: Import name, such as ``"numpy"``.
    """
    import threadpoolctl

    source = getattr(sys.modules.get(package), "__file__", None)
    if source is None:
        return ""
    # Wheels keep their libraries in the package or beside it (faiss_cpu.libs). The full path tells nothing: an
    # environment may be called faiss.
    folder = Path(source).resolve().parent.parent
    for library in threadpoolctl.threadpool_info():
        path = Path(library["filepath"]).resolve()
        if library["internal_api"] != "openblas" or not path.is_relative_to(folder):
            continue
        if path.relative_to(folder).parts[0].startswith(package):
            return str(library.get("architecture") or "")
    return ""


def read_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Name the instruction sets that the processor offers, as Linux calls them; empty where it does not say.

    Args:
        cpuinfo: The kernel's file.
    """
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def find_fitting(kernel: str, instructions: frozenset[str]) -> str:
    """Name the kernel to ask faiss's OpenBLAS for; ``""`` if none is known to fit.

    Args:
        kernel: What a newer OpenBLAS chose; ``""`` if there is none.
        instructions: The processor's, for where there is none.

    >>> find_fitting("SapphireRapids", frozenset()), find_fitting("", frozenset({"avx2", "fma"}))
    ('SkylakeX', 'Haswell')
    """
    if kernel:
        return KNOWN_KERNELS.get(kernel, "")
    return next((name for name, needed in _NEEDED.items() if needed <= instructions), "")


@functools.cache
def _load() -> tuple[Any, BlasReport]:
    import numpy as np  # noqa: F401  loaded first: its kernel follows the processor, not our variable

    set_by_user = os.environ.get(CORE_TYPE)
    numpy_kernel = find_kernel("numpy")
    # numpy obeys a user's variable too, and tells nothing of the processor then.
    fitting = find_fitting(numpy_kernel if set_by_user is None else "", read_instructions())
    reason = _find_reason(fitting)
    if reason:
        import faiss
    else:
        os.environ[CORE_TYPE] = fitting
        try:
            import faiss
        finally:
            os.environ.pop(CORE_TYPE, None)
    return faiss, BlasReport(
        fitting=fitting,
        numpy_kernel=numpy_kernel,
        set_by_user=set_by_user,
        asked="" if reason else fitting,
        faiss_kernel=find_kernel("faiss"),
        reason=reason,
    )


def _find_reason(fitting: str) -> str:
    """Say why faiss is to be imported as it is; ``""`` if there is no reason."""
    if CORE_TYPE in os.environ:
        return f"{CORE_TYPE} was set already"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"{sys.platform} on {platform.machine()} needs none"
    if "faiss" in sys.modules:
        return TOO_LATE
    if not fitting:
        return "no kernel is known to fit this processor"
    return ""
