"""What this process may use of its machine: cores, memory, disk, as the kernel and its control groups say."""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oddpair.errors import Refusal

_ROOT = Path("/")
# What version 1 says where there is no limit is a number near 2**63.
_NO_LIMIT = 1 << 60
# Files of version 2 and 1.
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
_DROPPABLE = ("inactive_file ", "total_inactive_file ")


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

    Raises:
        Refusal: If the working folder was deleted.
    """
    cores = os.cpu_count() or 1
    try:
        disk_free = shutil.disk_usage(Path.cwd()).free
    except FileNotFoundError as error:  # MKL would end the process
        raise Refusal("the working folder was deleted: cd to one that is there") from error
    free, total = _read_memory(root)
    limit = find_memory_limit(root)
    if limit is not None:
        total = limit if total is None else min(total, limit)
    return Room(
        cores=cores,
        allowed=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores,
        quota=find_quota(root),
        memory_free=min([*([] if free is None else [free]), *_find_unused(root)], default=None),
        memory=total,
        disk_free=disk_free,
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
    found = [
        number
        for folder in _find_groups(root, "memory")
        for name in _LIMITS
        for number in _read_numbers(folder / name)
    ]
    return min((number for number in found if number < _NO_LIMIT), default=None)


def _find_unused(root: Path) -> Iterator[int]:
    """Yield the bytes that each control group with a limit may still take."""
    for folder in _find_groups(root, "memory"):
        limits = [number for name in _LIMITS for number in _read_numbers(folder / name) if number < _NO_LIMIT]
        used = sum(number for name in _USED for number in _read_numbers(folder / name))
        # Files that were read and can be dropped count as used, but are no obstacle.
        stat = _read(folder / "memory.stat").splitlines()
        used -= max((int(line.split()[1]) for line in stat if line.startswith(_DROPPABLE)), default=0)
        yield from (max(0, limit - max(0, used)) for limit in limits)


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
