"""``oddpair doctor``: is this machine set up to run fast, and if not, what to do."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from oddpair.commands.check import Check, Verdict
from oddpair.commands.doctor_blas import check_environment, check_kernels, check_threads, count_threads
from oddpair.commands.doctor_place import check_files, check_libraries, check_shipped
from oddpair.commands.machine import Room, look_around, name_processor
from oddpair.retrieval.faiss_import import CORE_TYPE, find_kernel, load_faiss, read_instructions, report_blas

if TYPE_CHECKING:
    from oddpair.commands.rates import Rates

# Import name, name in the package registry, whether oddpair runs without it.
_PACKAGES = (
    ("numpy", "numpy", False),
    ("scipy", "scipy", False),
    ("numba", "numba", False),
    ("pyarrow", "pyarrow", False),
    ("faiss", "faiss-cpu", False),
    ("torch", "torch", False),
    ("open_clip", "open_clip_torch", False),
    ("distributed", "distributed", True),
)
_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX",
}
# What a library raises that is damaged, or meets another version of its neighbours than it was built for.
_BROKEN = (ImportError, OSError, AttributeError, RuntimeError)
_LEAST_SHARE = 0.5
_ALONE = "import faiss\nfrom oddpair.retrieval.faiss_import import find_kernel\nprint(find_kernel('faiss'))"


def examine() -> Iterator[Check]:
    """Look at everything that decides how fast the suite runs; takes a few seconds.

    Yields:
        What was found, topic by topic. Nothing further is measured with a library that cannot be imported.
    """
    room = look_around()
    alone = _start_alone()
    environment = dict(os.environ)  # before libraries add to it
    yield Check(topic="software", name="Python", found=f"{platform.python_version()}, {platform.platform()}")
    packages = [check_package(*package) for package in _PACKAGES]
    yield from packages
    yield from check_libraries(package for _, package, _ in _PACKAGES)
    yield from check_room(room)
    yield from check_files(Path.cwd())
    yield from check_environment(environment, room)
    if any(check.verdict == "unusable" for check in packages):
        alone.kill()
        alone.communicate()
        return
    # These need what may not have been there.
    from oddpair.commands.rates import measure_rates
    from oddpair.retrieval.kernel.passes import choose_first_pass, explain_first_pass

    by_itself = alone.communicate()[0].strip()
    yield from check_kernels(report_blas(), find_kernel("scipy"), by_itself)
    yield from check_threads(count_threads(), room)
    yield from check_first_pass(dict(explain_first_pass()), choose_first_pass())
    yield from check_gpu()
    yield from check_shipped()
    yield from check_rates(measure_rates())


def check_package(module: str, package: str, is_optional: bool) -> Check:
    """Import a package and give its version.

    Args:
        module: Import name.
        package: Name in the package registry.
        is_optional: Whether the suite runs without it.
    """
    try:
        if module == "faiss":
            load_faiss()
        elif not is_optional and module != "open_clip":  # which takes seconds to import, and is only Python
            importlib.import_module("scipy.linalg" if module == "scipy" else module)
    except _BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = f"pip install --force-reinstall {package}"
        return Check(topic="software", name=module, found=reason, verdict="unusable", remedy=remedy)
    try:
        return Check(topic="software", name=module, found=version(package))
    except PackageNotFoundError:
        loaded = sys.modules.get(module)
        if loaded is not None:  # under another name: faiss-gpu, or conda's faiss
            return Check(topic="software", name=module, found=str(getattr(loaded, "__version__", "unknown")))
    verdict: Verdict = "missing" if is_optional else "unusable"
    return Check(
        topic="software",
        name=module,
        found="not installed",
        verdict=verdict,
        remedy=f"pip install {package}" + (", if you want it" if is_optional else ""),
    )


def check_room(room: Room) -> Iterator[Check]:
    """Tell the processor, its cores and instructions, memory and disk.

    Args:
        room: What the process may use.
    """
    topic = "machine"
    known = read_instructions()
    names = [name for flag, name in _INSTRUCTIONS.items() if flag in known]
    found = ", ".join(names) or "unknown"
    yield Check(topic=topic, name="processor", found=f"{name_processor()}; instructions: {found}")
    limits = f"{room.allowed} of {room.cores}"
    if room.quota is not None:
        limits += f", in a control group that grants {room.quota:g}"
    yield Check(topic=topic, name="cores", found=limits, value=room.usable)
    if room.memory_free is not None and room.memory is not None:
        found = f"{room.memory_free / 1e9:.1f} GB free of {room.memory / 1e9:.1f} GB"
        yield Check(topic=topic, name="memory", found=found, value=room.memory_free)
    found = f"{room.disk_free / 1e9:.1f} GB free in {Path.cwd()}"
    yield Check(topic=topic, name="disk", found=found, value=room.disk_free)


def check_first_pass(verdicts: Mapping[str, str], chosen: str) -> Iterator[Check]:
    """Tell which arithmetic exact search uses to choose candidates here, and why no faster one.

    Args:
        verdicts: ``"ok"`` for each that is fast here, or why it is not; the fastest first.
        chosen: The one that is used.
    """
    for name, verdict in verdicts.items():
        found = "chosen" if name == chosen else "not needed" if verdict == "ok" else "not chosen"
        why = "" if verdict == "ok" else f": {verdict}"
        is_torch = "torch" in verdict
        yield Check(
            topic="first pass of exact search",
            name=name,
            found=found + why,
            verdict="ok" if verdict == "ok" else "slow" if is_torch else "missing",
            remedy="install a newer torch" if is_torch else "",
        )


def check_gpu() -> Iterator[Check]:
    """Tell the GPUs that torch can use."""
    import torch

    topic = "GPU"
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        found = f"{device.name}, {device.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
        yield Check(topic=topic, name=f"cuda:{number}", found=found, value=device.total_memory)
    if torch.cuda.device_count():
        return
    remedy = ""
    if Path("/dev/nvidiactl").exists():
        remedy = (
            "there is an NVIDIA driver: install a torch built for its CUDA, or see why it finds no device"
        )
    found = f"none; torch {torch.__version__} {'has' if torch.version.cuda else 'is built without'} CUDA"
    yield Check(topic=topic, name="cuda", found=found, verdict="missing", remedy=remedy)


def check_rates(rates: Rates) -> Iterator[Check]:
    """Judge the rate of faiss's flat search by that of the matrix product which it is made of.

    Args:
        rates: What was measured.
    """
    topic = "measured now on one core, while others may use the machine"
    share = rates.search / rates.product
    is_slow = share < _LEAST_SHARE
    yield Check(
        topic=topic, name="matrix product", found=f"{rates.product:,.0f} GFLOP/s (numpy)", value=rates.product
    )
    yield Check(
        topic=topic,
        name="faiss flat search",
        found=f"{rates.search:,.0f} GFLOP/s, {share:.0%} of the product",
        verdict="slow" if is_slow else "ok",
        remedy="see the matrix kernels, or run again while the machine is idle" if is_slow else "",
        value=rates.search,
    )


def _start_alone() -> subprocess.Popen[str]:
    """Ask a fresh process which kernel faiss takes if nothing is done."""
    environment = {name: value for name, value in os.environ.items() if name != CORE_TYPE}
    return subprocess.Popen(  # noqa: S603  our own interpreter and program
        [sys.executable, "-c", _ALONE],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
