"""Judges the matrix libraries: the variables that they obey, their threads and their kernels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from oddpair.commands.check import Check
from oddpair.commands.machine import Room
from oddpair.retrieval.faiss_import import CORE_TYPE, TOO_LATE, BlasReport, load_faiss

_SPEED = re.compile(r"(OPENBLAS|GOTO|OMP|GOMP|KMP|MKL|BLIS|NUMBA|ONEDNN|DNNL|ATEN)_\w+")
_THREADS = re.compile(r"(OPENBLAS|GOTO|OMP|MKL|NUMBA)_NUM_THREADS")
# Bits of the registers that a kernel of OpenBLAS computes with, where they are more than 128.
_BITS = {
    "Haswell": 256,
    "Zen": 256,
    "Excavator": 256,
    "SkylakeX": 512,
    "Cooperlake": 512,
    "SapphireRapids": 512,
}


def check_environment(environment: Mapping[str, str], room: Room) -> Iterator[Check]:
    """Tell the variables that matrix libraries obey; those that leave cores idle or crowd them are slow.

    Args:
        environment: Variables and their values.
        room: What the process may use.
    """
    topic = "environment"
    names = sorted(name for name in environment if _SPEED.fullmatch(name))
    for name in names:
        threads = re.match(r"\s*(\d+)", environment[name]) if _THREADS.fullmatch(name) else None
        remedy = ""
        if threads is not None and int(threads[1]) < room.usable:
            remedy = f"unset {name}: there are {room.usable} cores to use"
        elif threads is not None and int(threads[1]) > room.usable:
            remedy = f"unset {name}, or set it to {room.usable}: threads wait for one another"
        yield Check(
            topic=topic,
            name=name,
            found=environment[name] or "empty",
            verdict="slow" if remedy else "ok",
            remedy=remedy,
        )
    if not names:
        yield Check(topic=topic, name="variables", found="none that changes speed")


def count_threads() -> dict[str, int]:
    """Return how many threads numpy, faiss and torch start, by their names; loads them if need be."""
    import threadpoolctl
    import torch

    faiss = load_faiss()
    found = {}
    for pool in threadpoolctl.threadpool_info():
        # The libraries of a wheel lie in numpy.libs or the like.
        if pool["internal_api"] == "openblas" and Path(pool["filepath"]).parent.name.startswith("numpy"):
            found["numpy"] = int(pool["num_threads"])
    return {**found, "faiss": faiss.omp_get_max_threads(), "torch": torch.get_num_threads()}


def check_threads(threads: Mapping[str, int], room: Room) -> Iterator[Check]:
    """Tell how many threads each library starts.

    Args:
        threads: Numbers by library.
        room: What the process may use.
    """
    for name, count in threads.items():
        is_crowded = count > room.usable
        remedy = f"export OMP_NUM_THREADS={room.usable}: threads wait for one another" if is_crowded else ""
        yield Check(
            topic="threads",
            name=name,
            found=f"{count} on {room.usable} cores",
            verdict="slow" if is_crowded else "ok",
            remedy=remedy,
            value=count,
        )


def check_kernels(report: BlasReport, scipy_kernel: str, by_itself: str) -> Iterator[Check]:
    """Judge the matrix kernels of numpy, scipy and faiss by the width of the registers that they use.

    Args:
        report: What was found and done when faiss was loaded.
        scipy_kernel: Kernel of scipy's OpenBLAS; ``""`` if it has none of its own.
        by_itself: Kernel that faiss's OpenBLAS takes if nothing is done; ``""`` if unknown.
    """
    kernels = {"numpy": report.numpy_kernel, "scipy": scipy_kernel, "faiss": report.faiss_kernel}
    for name, kernel in kernels.items():
        is_slow = bool(kernel) and _BITS.get(kernel, 128) < _BITS.get(report.fitting, 0)
        remedy = f"install a newer {name}"
        if report.set_by_user is not None:
            remedy = f"unset {CORE_TYPE}, which is {report.set_by_user!r}"
        elif name == "faiss" and report.reason == TOO_LATE:
            remedy = "import faiss through oddpair.retrieval.faiss_import.load_faiss"
        yield Check(
            topic="matrix kernels",
            name=name,
            found=(kernel or "no OpenBLAS of its own")
            + (_tell_done(report, by_itself) if name == "faiss" else ""),
            verdict="slow" if is_slow else "ok",
            remedy=remedy if is_slow else "",
        )


def _tell_done(report: BlasReport, by_itself: str) -> str:
    done = f", nothing was done: {report.reason}"
    if report.asked:
        done = ", asked for while it loaded" if report.is_obeyed else f", though {report.asked} was asked for"
    return done if by_itself in ("", report.faiss_kernel) else f"{done}; by itself it takes {by_itself}"
