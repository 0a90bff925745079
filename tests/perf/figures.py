"""Ratios of one interleaved run: taken, shown, kept for the table that `make perf` ends with."""

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

FOLDER = Path("work/perf")
TABLE = Path("work/perf.md")
LIBRARIES = (
    "torch",
    "open_clip_torch",
    "faiss-cpu",
    "numba",
    "numpy",
    "pillow",
    "simplejpeg",
    "pyarrow",
    "webdataset",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured, and beside what.
        values: One of each round.
        unit: ``x`` for times as fast, ``%``, ``s`` or another.
        goal: What it is wanted to be.
        floor: What it must not be below.
        ceiling: What it must not be above.
        note: A word that belongs to it.
    """

    name: str
    values: Sequence[float]
    unit: str = "x"
    goal: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """Whether a figure is what it must be and is wanted to be; nothing where nothing is wanted."""
        if self.floor is not None and self.median < self.floor:
            return "BELOW ITS FLOOR"
        if self.ceiling is not None and self.median > self.ceiling:
            return "ABOVE ITS CEILING"
        if self.goal is not None and self.median < self.goal:
            return "below its goal"
        return "ok" if self.wanted else ""

    @property
    def wanted(self) -> str:
        """What was wanted, in words."""
        parts = (("goal", self.goal), ("at least", self.floor), ("at most", self.ceiling))
        return ", ".join(f"{word} {value:g}" for word, value in parts if value is not None)

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        middle, least, most = (f"{value:.3g}" for value in (self.median, min(self.values), max(self.values)))
        return (
            self.name,
            f"{middle} {self.unit}",
            f"{least} – {most}",
            str(len(self.values)),
            self.wanted,
            ": ".join(filter(None, (self.verdict, self.note))),
        )


HEAD = ("what", "median", "range", "n", "wanted", "")


def time_ways(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Time each way once a round.

    Args:
        ways: What to time, by name.
        rounds: That count.
        clock: ``time.process_time`` for ways of one thread, which others on the machine then disturb less.
        warm: Whether there is a round before that does not count.

    Returns:
        Seconds of each way in each round.
    """
    if warm:
        for way in ways.values():
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = clock()
            way()
            times[name].append(clock() - start)
    return times


def divide(times: Sequence[float], others: Sequence[float]) -> tuple[float, ...]:
    """Divide what was timed in the same round."""
    return tuple(first / second for first, second in zip(times, others, strict=True))


def report(part: str, figures: Sequence[Figure]) -> None:
    """Show figures, and keep them for the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{part}.json").write_text(json.dumps([asdict(figure) for figure in figures]))
    print(_lay_out([figure.cells for figure in figures]), flush=True)


def describe_machine() -> str:
    """Say in one line what it was measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if _on_linux() else None
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    processor = found[1] if found else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def use_two_cores() -> None:
    """Keep this process and those that it starts to two cores, so that all have as much."""
    if _on_linux():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def main() -> None:
    """Print all figures that are kept as one table, and write it as Markdown."""
    parts = sorted(FOLDER.glob("*.json"), key=lambda path: path.stat().st_mtime)
    rows = [Figure(**each).cells for path in parts for each in json.loads(path.read_text())]
    print(f"\n{describe_machine()}\n{_lay_out([HEAD, *rows])}")
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ("---",) * len(HEAD), *rows)]
    TABLE.write_text(f"Measured on {describe_machine()}.\n\n" + "\n".join(lines) + "\n")
    print(f"written to {TABLE}")


def _on_linux() -> bool:
    return platform.system() == "Linux"


def _lay_out(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    main()
