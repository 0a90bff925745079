"""A process for each way of doing something: what one way sets for its whole process does not reach the others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


class Stage:
    """Processes by name, started when they are first needed; each does one thing after the other.

    While one works the others only wait, so that ways can be timed in turn.
    """

    def __init__(self) -> None:
        self._processes: dict[str, ProcessPoolExecutor] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.shutdown()

    def run(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do some work in the process of a name, and return what it returns."""
        if name not in self._processes:
            spawn = multiprocessing.get_context("spawn")
            self._processes[name] = ProcessPoolExecutor(1, mp_context=spawn)
        return self._processes[name].submit(work, *arguments).result()
