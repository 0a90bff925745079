"""What this process may use of its machine: cores, memory, disk, as the kernel and its control groups say."""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
# What version 1 says where there is no limit is a number near 2**63.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a process may use.

    Attributes:
        cores: Cores of the machine.
        allowed: Those that the process may run on.
        quota: Cores' worth of time that its control group grants; ``None`` without a limit.
        memory_free: Bytes that it may still take; ``None`` if unknown.
        memory: Bytes of the machine, or of the control group if that is less; ``None`` if unknown.
        disk_free: Bytes free where the process was started.
    """

    cores: int
    allowed: int
    quota: float | None
    memory_free: int | None
    memory: int | None
    disk_free: int

    @property
    def usable(self) -> int:
        """Threads that can run at the same time."""
        return self.allowed if self.quota is None else max(1, min(self.allowed, math.ceil(self.quota)))


def look_around(root: Path = _ROOT) -> Room:
    """Find out what this process may use.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    cores = os.cpu_count() or 1
    free, total = _read_memory(root)
    limit = find_memory_limit(root)
    if limit is not None:
        total = limit if total is None else min(total, limit)
        free = limit if free is None else min(free, limit)
    return Room(
        cores=cores,
        allowed=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores,
        quota=find_quota(root),
        memory_free=free,
        memory=total,
        disk_free=shutil.disk_usage(Path.cwd()).free,
    )


def find_quota(root: Path = _ROOT) -> float | None:
    """Return the cores' worth of time that the control groups of this process grant; ``None`` if no limit.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    found = []
    for folder in _find_groups(root, "cpu"):
        numbers = _read_numbers(folder / "cpu.max")
        numbers = numbers or [
            *_read_numbers(folder / "cpu.cfs_quota_us"),
            *_read_numbers(folder / "cpu.cfs_period_us"),
        ]
        if len(numbers) == 2 and min(numbers) > 0:
            found.append(numbers[0] / numbers[1])
    return min(found, default=None)


def find_memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes that the control groups of this process grant; ``None`` if no limit.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    names = ("memory.max", "memory.limit_in_bytes")
    found = [
        number
        for folder in _find_groups(root, "memory")
        for name in names
        for number in _read_numbers(folder / name)
    ]
    return min((number for number in found if number < _NO_LIMIT), default=None)


def name_processor(root: Path = _ROOT) -> str:
    """Name the processor, or its architecture where the kernel does not say more.

    Args:
        root: Folder that holds ``proc`` and ``sys``.
    """
    for line in _read(root / "proc" / "cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _find_groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, each with its parents, for either version."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            base = mounted / controller
        elif number == "0":
            base = mounted
        else:
            continue
        group = base / path.lstrip("/")
        # A container may not see the path that the kernel tells, but its mount is then the group itself.
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def _read_memory(root: Path) -> tuple[int | None, int | None]:
    """Return the bytes available and in all."""
    sizes = {}
    for line in _read(root / "proc" / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith("kB"):
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes.get("MemAvailable"), sizes.get("MemTotal")


def _read_numbers(path: Path) -> list[int]:
    """Return the numbers in a file; none if it says that there is no limit, or is not there."""
    words = _read(path).split()
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
